"""NIR graphs in files (HDF5)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from neurosleep._files import write_whole
from neurosleep._guards.files import check_regular
from neurosleep._guards.hdf5 import read_hdf5
from neurosleep.errors import ExchangeError
from neurosleep.exchange.naming import naming
from neurosleep.exchange.nir.build import NIRReset, NIRWriter
from neurosleep.exchange.nir.nodes import KNOWN, MAX_NODES
from neurosleep.exchange.nir.read import from_nir
from neurosleep.exchange.nir.time_constants import Discretisation
from neurosleep.exchange.nir.write import import_nir, to_nir
from neurosleep.spiking import SpikingNetwork

__all__ = ["read_nir", "read_nir_graph", "write_nir"]


def write_nir(network: SpikingNetwork, path: str | Path) -> Path:
    """Write a network as a NIR file, whole or not at all; see :func:`~neurosleep.exchange.to_nir`.

    Raises
    ------
    UnsupportedError
        If NIR has no place for something of the network.
    ExchangeError
        If the file cannot be written.

    See Also
    --------
    read_nir : the way back
    to_nir : without a file

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> import neurosleep as ns
    >>> from neurosleep.exchange import write_nir
    >>> network = ns.convert(torch.nn.Sequential(torch.nn.Linear(4, 2)), torch.rand(20, 4), recipe="percentile")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_nir(network, f"{folder}/network.nir")
    >>> path.name
    'network.nir'
    """
    nir, path = import_nir("Writing NIR"), Path(path)
    graph, buffer = to_nir(network), io.BytesIO()
    nir.write(buffer, graph)
    return write_whole(path, buffer.getvalue(), folders=False, error=ExchangeError)


def read_nir(
    path: str | Path,
    *,
    dt: float | None = None,
    discretisation: Discretisation | None = None,
    writer: NIRWriter = "nir",
    reset: NIRReset | None = None,
) -> SpikingNetwork:
    """Read a network from a NIR file of neurosleep or of another tool.

    The file is examined before NIR sees it: nothing outside it is opened, and memory is bounded by its size.

    Parameters
    ----------
    path:
        A ``.nir`` file.
    dt, discretisation, writer, reset:
        As for :func:`~neurosleep.exchange.from_nir`.

    Raises
    ------
    ExchangeError
        If the file is damaged or hostile, or the graph in it cannot be read.

    See Also
    --------
    write_nir : the way there
    from_nir : of a graph in memory

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> import neurosleep as ns
    >>> from neurosleep.exchange import read_nir, write_nir
    >>> network = ns.convert(torch.nn.Sequential(torch.nn.Linear(4, 2)), torch.rand(20, 4), recipe="percentile")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = read_nir(write_nir(network, f"{folder}/network.nir"))
    >>> again.dt == network.dt
    True
    """
    graph = read_nir_graph(path)
    with naming(Path(path).name):
        return from_nir(graph, dt=dt, discretisation=discretisation, writer=writer, reset=reset)


def read_nir_graph(path: str | Path) -> Any:
    """The ``nir.NIRGraph`` of a file, read as carefully as by :func:`read_nir`."""
    nir, path = import_nir("Reading NIR"), Path(path)
    check_regular(path, ExchangeError)
    tree = read_hdf5(path, "node")
    if tree.get("type") != "NIRGraph":
        raise ExchangeError(f"{path.name!r} holds no graph.", found=str(tree.get("type"))[:80], expected="a NIRGraph")
    return _Nodes(nir, path.name).graph(tree, "the graph", 0)


class _Nodes:
    def __init__(self, nir: Any, file: str) -> None:
        self.nir, self.file, self.count = nir, file, 0

    def graph(self, tree: dict[str, Any], where: str, depth: int) -> Any:
        nodes, edges = tree.get("nodes"), tree.get("edges")
        if isinstance(edges, np.ndarray) and edges.size == 0:
            edges = []
        if not isinstance(nodes, dict) or not isinstance(edges, list) or depth > 16:
            raise ExchangeError(f"{self.file!r}: {where} is no graph.", expected="nodes and edges")
        if not all(isinstance(edge, list) and len(edge) == 2 for edge in edges):
            raise ExchangeError(
                f"{self.file!r}: the edges of {where} are no pairs of names.", expected="pairs of names of nodes"
            )
        made = {key: self.node(value, key, depth) for key, value in nodes.items()}
        return self.nir.NIRGraph(
            nodes=made,
            edges=[(a, b) for a, b in edges],
            metadata=self.metadata(tree),
            type_check=False,
        )

    def metadata(self, tree: dict[str, Any]) -> dict[str, Any]:
        told = tree.get("metadata", {})
        return told if isinstance(told, dict) else {}

    def node(self, tree: Any, key: str, depth: int) -> Any:
        self.count += 1
        if self.count > MAX_NODES:
            raise ExchangeError(f"{self.file!r} has too many nodes.", expected=f"at most {MAX_NODES}")
        kind = tree.get("type") if isinstance(tree, dict) else None
        if not isinstance(kind, str) or kind not in KNOWN:
            raise ExchangeError(
                f"{self.file!r}: the node {key!r} is of kind {str(kind)[:80]!r}, which cannot be read.",
                expected="one of: " + ", ".join(sorted(KNOWN)),
            )
        if kind == "NIRGraph":
            return self.graph(tree, repr(key), depth + 1)
        fields = {name: value for name, value in tree.items() if name not in ("type", "metadata")}
        if kind.startswith("Conv"):
            fields.setdefault("input_shape", None)
        sizes = {np.shape(value) for value in fields.values() if np.size(value) > 1}
        if kind.startswith("Cuba") and len(sizes) > 1:
            raise ExchangeError(
                f"{self.file!r}: the node {key!r} ({kind}) has parameters of different shapes.",
                found=", ".join(map(str, sorted(sizes))),
                expected="parameters of one shape, a value per neuron",
            )
        try:
            # A stride of 0 is refused later, by name; nir itself divides by it.
            with np.errstate(all="ignore"):
                node = self.nir.dict2NIRNode({**fields, "type": kind, "metadata": self.metadata(tree)})
        except (TypeError, ValueError, KeyError, AssertionError, AttributeError, IndexError, OverflowError) as error:
            text = str(error).splitlines()
            raise ExchangeError(
                f"{self.file!r}: the node {key!r} ({kind}) is damaged.",
                found=(text[0] if text else type(error).__name__)[:200],
                hint="write the graph again, with nir.write",
            ) from error
        return node
