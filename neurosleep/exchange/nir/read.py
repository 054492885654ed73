"""NIR graph -> SpikingNetwork: exactly, where neurosleep wrote it; else by NIR's own meaning, discretised."""

from __future__ import annotations

import dataclasses
import json
import math
import warnings
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
import torch

from neurosleep.errors import ExchangeError, SettingsError, unknown_name
from neurosleep.exchange.inexact import ExchangeWarning
from neurosleep.exchange.network_format import network_of
from neurosleep.exchange.nir.build import Builder, NIRReset, NIRWriter
from neurosleep.exchange.nir.nodes import MAX_UNITS, Nodes
from neurosleep.exchange.nir.time_constants import Discretisation
from neurosleep.exchange.nir.write import NIR_FORMAT, import_nir, to_nir
from neurosleep.spiking import SpikingNetwork

__all__ = ["from_nir"]


def from_nir(
    graph: Any,
    *,
    dt: float | None = None,
    discretisation: Discretisation | None = None,
    writer: NIRWriter = "nir",
    reset: NIRReset | None = None,
) -> SpikingNetwork:
    r"""The network that a graph of the Neuromorphic Intermediate Representation (NIR) describes.

    A graph that neurosleep wrote, and nobody changed since, comes back exactly. Any other is read by NIR's own
    differential equations: strict threshold, reset to ``v_reset`` in the same step, and an edge that closes a loop
    takes one step. What tools are known to write wrongly is warned of where the graph looks like theirs, and put right
    if ``writer`` names them.

    Parameters
    ----------
    graph:
        A ``nir.NIRGraph``, nested graphs included.
    dt:
        Length of a step in seconds. Needed where the graph does not say it; NIR itself has no place for it.
    discretisation:
        ``"euler"`` (forward Euler, the default: what snnTorch, Norse and most tools step) or ``"exponential"`` (exact
        for input that is constant over a step).
    writer:
        ``"nir"`` takes the graph by the letter. ``"snntorch"``: its step of 1e-4 s is taken if ``dt`` is not given, and
        its soft reset in the next step, which it does not write, if ``reset`` is not given. ``"norse"``: what
        Norse 1.1.0 writes as time constants is multiplied by 1/dt, and its CubaLIF and IF nodes take an input spike as
        a jump of 1. ``"sinabs"``: what it writes as time constants are steps, IF nodes take an input spike as a jump of
        1; ``discretisation`` is ``"exponential"`` and ``reset`` ``"subtract"`` if they are not given.
    reset:
        The reset of all neurons, since NIR knows only one kind: ``"to_value"``, ``"subtract"`` (the threshold, in the
        same step) or ``"subtract-next"`` (in the next step).

    Returns
    -------
    SpikingNetwork

    Raises
    ------
    ExchangeError
        If a node is of an unknown kind, the graph is broken, shapes do not fit, a delay is given per neuron, a number
        is not finite, or a time constant is too short for forward Euler; each names the node.
    SettingsError
        If ``dt`` is missing or an argument makes no sense.

    See Also
    --------
    to_nir : the way back
    read_nir : of a file

    References
    ----------
    Pedersen et al. (2024), Neuromorphic Intermediate Representation, doi:10.1038/s41467-024-52259-9.

    Examples
    --------
    >>> import torch
    >>> import neurosleep as ns
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> network = ns.convert(model, torch.rand(20, 4), recipe="percentile")
    >>> again = ns.from_nir(ns.to_nir(network))
    >>> all(torch.equal(a, b) for a, b in zip(again.weights, network.weights))
    True
    """
    nir = import_nir("Reading NIR")
    if writer not in get_args(NIRWriter):
        raise unknown_name("NIR writer", writer, get_args(NIRWriter))
    if reset is not None and reset not in get_args(NIRReset):
        raise unknown_name("reset", reset, get_args(NIRReset))
    if discretisation is not None and discretisation not in get_args(Discretisation):
        raise unknown_name("discretisation", discretisation, get_args(Discretisation))
    if dt is not None and not (dt > 0 and math.isfinite(dt)):
        raise SettingsError(f"dt is {dt!r}.", expected="a number of seconds > 0")
    if not isinstance(graph, nir.NIRGraph):
        raise ExchangeError(f"A {type(graph).__name__} is no NIR graph.", expected="a nir.NIRGraph")
    by_letter = dt is None and discretisation is None and writer == "nir" and reset is None
    own = _own(graph)
    if own is not None and (by_letter or (dt == own.dt and discretisation in (None, own.discretisation))):
        return own
    if own is not None:
        raise SettingsError(
            "The graph says its own time step and conventions.",
            found=f"dt = {own.dt:g} s, {own.discretisation}",
            expected="no dt, discretisation, writer or reset, or the same",
        )
    if dt is None:
        dt = _told(graph) if writer != "snntorch" else 1e-4
    try:
        usual: Discretisation = "exponential" if writer == "sinabs" else "euler"
        return Builder(Nodes(graph), dt, discretisation or usual, writer, reset).network()
    except RecursionError as error:
        raise ExchangeError("The graph is nested too deeply, or in itself.", expected="at most 16 levels") from error


def _told(graph: Any) -> float | None:
    """A time step that the nodes' metadata agree on."""
    found = set()
    for node in graph.nodes.values():
        metadata = getattr(node, "metadata", None)
        if isinstance(metadata, Mapping) and isinstance(metadata.get("dt"), int | float | np.number):
            found.add(float(metadata["dt"]))
    value = found.pop() if len(found) == 1 else 0.0
    return value if value > 0 and math.isfinite(value) else None


# --- our own graphs -------------------------------------------------------------------------------------------------


def _own(graph: Any) -> SpikingNetwork | None:
    metadata = graph.metadata if isinstance(graph.metadata, Mapping) else {}
    if metadata.get("writer") != "neurosleep":
        return None
    found_format = metadata.get("format")
    if isinstance(found_format, int | np.integer) and found_format > NIR_FORMAT:
        raise ExchangeError(
            "The graph was written by a newer neurosleep.",
            found=f"format {found_format}",
            expected=f"format {NIR_FORMAT} or below",
        )
    try:
        header = json.loads(metadata["network"])
        if sum(math.prod(map(int, entry["shape"])) for entry in header["populations"]) > MAX_UNITS:
            raise ExchangeError("The graph has too many units.", expected=f"at most {MAX_UNITS}")
        weights = {int(k): key for k, key in json.loads(metadata["weights"]).items()}
        tensors = {}
        for number, entry in enumerate(header["populations"]):
            for key in ("threshold", "decay", "leak", "reset_value", "bias", "amount", "synaptic_decay"):
                if key in entry:
                    continue
                value = metadata.get(f"population_{number}_{key}")
                if value is None:
                    value = _exact(graph, entry["name"], key)
                tensors[f"population/{entry['name']}/{key}"] = torch.as_tensor(value)
        for number, entry in enumerate(header["projections"]):
            weight = getattr(graph.nodes[weights[number]], "weight", None) if number in weights else None
            if weight is not None and entry.get("transpose_of") is None:
                tensors[f"projection/{number}/weight"] = torch.from_numpy(np.array(weight))
        network = network_of(tensors, header)
        if _same(to_nir(network), graph):
            return network
        why = "its nodes or edges are no longer those that neurosleep wrote"
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0]
    warnings.warn(
        f"The graph was changed since neurosleep wrote it ({why}): it is read by NIR's own meaning.",
        ExchangeWarning,
        stacklevel=3,
    )
    return None


def _exact(graph: Any, name: str, key: str) -> Any:
    """A tensor of parameters from the metadata of the population's node."""
    plain = name.replace("/", "_").strip(".") or "node"
    candidates = [k for k in graph.nodes if k == plain or k.startswith(f"{plain}_")]
    for candidate in candidates:
        metadata = graph.nodes[candidate].metadata
        if metadata.get("population", name) == name and f"exact_{key}" in metadata:
            return metadata[f"exact_{key}"]
    raise KeyError(f"{key} of population {name!r}")


def _same(a: Any, b: Any) -> bool:
    """Whether two graphs have the same nodes and edges, metadata aside."""
    if a.nodes.keys() != b.nodes.keys() or sorted(map(tuple, a.edges)) != sorted(map(tuple, b.edges)):
        return False
    for key, node in a.nodes.items():
        other = b.nodes[key]
        if type(node) is not type(other):
            return False
        for field in dataclasses.fields(node):
            if field.name in ("metadata", "input_type", "output_type"):
                continue
            x, y = np.asarray(getattr(node, field.name)), np.asarray(getattr(other, field.name))
            if x.shape != y.shape or not np.array_equal(x, y):
                return False
        if type(node).__name__ in ("Input", "Output") and not np.array_equal(
            node.input_type["input"], other.input_type["input"]
        ):
            return False
    return True
