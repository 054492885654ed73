"""Whether the network in a file converts: what ``neurosleep convert FILE --check`` says."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from torch import nn

from neurosleep._guards.hdf5 import read_hdf5
from neurosleep.conversion import ModelCheck, Obstacle, check
from neurosleep.errors import NeurosleepError, SettingsError
from neurosleep.exchange._convert_file import ReadOptions, read_file
from neurosleep.exchange.inexact import ExchangeWarning
from neurosleep.exchange.nir.nodes import KNOWN
from neurosleep.exchange.other_kinds import check_network_file, is_hdf5
from neurosleep.networks import MLP, EquilibriumMLP
from neurosleep.spiking import SpikingNetwork

__all__ = ["check_file", "input_shape_of"]

_PLAIN = ReadOptions()


def check_file(path: str | Path, read: ReadOptions = _PLAIN) -> tuple[ModelCheck, SpikingNetwork | nn.Module | None]:
    """Whether the network in a file converts: all that stands in the way at once, and what is taken how.

    Needs no calibration data, and writes nothing. Operators of an ONNX file and kinds of nodes of a NIR file that
    cannot be read are among the obstacles.

    Parameters
    ----------
    path:
        File of the network, as :func:`~neurosleep.load` reads it.
    read:
        How it is read; ``calibration``, ``recipe`` and ``reset`` of an awake network have no place here.

    Returns
    -------
    check, network:
        What was found, and the network as it was read; None if some of it could not be.

    Raises
    ------
    NeurosleepError
        If the file is no network, or damaged, so that nothing can be said of its layers.

    See Also
    --------
    neurosleep.conversion.check : of a network in memory
    convert_file : which converts it

    Examples
    --------
    >>> import tempfile
    >>> import neurosleep as ns
    >>> from neurosleep.exchange import check_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     check, network = check_file(ns.save(ns.MLP([4, 3, 2]), f"{folder}/model.safetensors"))
    >>> check
    <ModelCheck: converts; 3 layers taken>
    """
    path = Path(path)
    check_network_file(path)
    for name in ("calibration", "recipe", "reset"):
        if getattr(read, name) is not None and (name != "reset" or not is_hdf5(path)):
            raise SettingsError(f"--{name} has no place here: a check needs none.", expected=f"no --{name}")
    if is_hdf5(path) and (obstacles := _unknown_nodes(path)):
        return ModelCheck(obstacles=obstacles), None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ExchangeWarning)
        network = read_file(path, read, unread=True)
    notes = tuple(str(one.message) for one in caught if one.category is ExchangeWarning)
    if isinstance(network, SpikingNetwork):
        found = check(network, ())
    else:
        found = check(network, input_shape_of(network), maxpool="approximate" if read.approximate else "exact")
    found = ModelCheck(found.layers, found.obstacles, (*notes, *found.notes))
    return found, network


def input_shape_of(network: nn.Module) -> tuple[int, ...]:
    """Shape of one input, without the batch, of a network that was read from a file.

    Raises
    ------
    SettingsError
        If neither network nor file say it.

    See Also
    --------
    check_file : which asks it of a file

    Examples
    --------
    >>> from neurosleep.networks import MLP
    >>> input_shape_of(MLP([6, 4, 2]))
    (6,)
    """
    if isinstance(network, MLP | EquilibriumMLP):
        return (network.sizes[0],)
    shape: Any = getattr(network, "input_shape", None)
    if not isinstance(shape, tuple):
        raise SettingsError("The file does not say the shape of an input.", expected="--input-shape, such as 3,32,32")
    return shape


def _unknown_nodes(path: Path) -> tuple[Obstacle, ...]:
    """Nodes of a NIR file whose kind cannot be read; empty where the file is no graph, which reading it says."""
    try:
        tree = read_hdf5(path, "node")
    except NeurosleepError:
        return ()
    obstacles: list[Obstacle] = []
    waiting = [("", tree, 0)]
    while waiting:
        prefix, graph, depth = waiting.pop()
        nodes = graph.get("nodes")
        for key, node in nodes.items() if isinstance(nodes, dict) and depth <= 16 else ():
            kind = str(node.get("type"))[:80] if isinstance(node, dict) else ""
            if kind == "NIRGraph":
                waiting.append((f"{prefix}{key}.", node, depth + 1))
            elif kind not in KNOWN:
                why = f"The node {prefix + key!r} is of kind {kind!r}, which cannot be read."
                obstacles.append(Obstacle(prefix + key, kind, why, None, "one of: " + ", ".join(sorted(KNOWN))))
    return tuple(obstacles)
