"""The nodes of a NIR graph without nesting: their edges, their checked numbers, and the shapes of what leaves them."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurosleep.errors import ExchangeError

__all__ = ["KNOWN", "LINEAR", "MAX_NODES", "MAX_UNITS", "NEURONS", "Floats", "Nodes"]

NEURONS = ("LIF", "IF", "CubaLIF", "LI", "CubaLI", "I", "Threshold")
LINEAR = ("Linear", "Affine", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten", "Scale", "Delay", "junction")
KNOWN = ("Input", "Output", "NIRGraph", *NEURONS, *(kind for kind in LINEAR if kind != "junction"))

#: Units of all nodes that a graph may have together.
MAX_UNITS = 2**24

#: Nodes that a graph may have at most, nested ones included.
MAX_NODES = 2048

# The fields that hold numbers, by kind, and those that hold whole ones; a bias of a convolution may be missing.
_NUMBERS = {
    "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
    "IF": ("r", "v_threshold", "v_reset"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
    "LI": ("tau", "r", "v_leak"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
    "I": ("r",),
    "Threshold": ("threshold",),
    "Linear": ("weight",),
    "Affine": ("weight", "bias"),
    "Scale": ("scale",),
    "Delay": ("delay",),
}
_WHOLE = dict.fromkeys(("Conv1d", "Conv2d"), ("stride", "padding", "dilation", "groups")) | dict.fromkeys(
    ("SumPool2d", "AvgPool2d"), ("kernel_size", "stride", "padding")
)
# Networks are stepped in float32, unless asked otherwise.
_LARGEST = float(np.finfo(np.float32).max)


Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


def _plain(node: Any) -> Any:
    """A copy with arrays in place of tensors, which Norse leaves in its nodes."""
    tensors = {key: value.detach().cpu().numpy() for key, value in vars(node).items() if torch.is_tensor(value)}
    if tensors:
        node = copy.copy(node)
        vars(node).update(tensors)
    return node


class Nodes:
    """All nodes of a graph by name, ``nested.inner`` for those of nested graphs, and what they say of themselves."""

    def __init__(self, graph: Any) -> None:
        self.nodes: dict[str, Any] = {}
        self.edges: dict[tuple[str, str], None] = {}
        self.junctions: set[str] = set()  # inputs and outputs of nested graphs
        self._flatten(graph, "", 0)
        self.before: dict[str, list[str]] = {key: [] for key in self.nodes}
        self.after: dict[str, list[str]] = {key: [] for key in self.nodes}
        for a, b in self.edges:
            self.after[a].append(b)
            self.before[b].append(a)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.units = 0

    def _flatten(self, graph: Any, prefix: str, depth: int) -> None:
        if depth > 16:
            raise ExchangeError("The graph is nested too deeply, or in itself.", expected="at most 16 levels")
        if not isinstance(graph.nodes, Mapping) or not graph.nodes:
            raise ExchangeError(f"The graph {prefix or 'itself'} has no nodes.", expected="at least an input")
        entry: dict[str, str] = {}
        leaving: dict[str, str] = {}
        for key, node in graph.nodes.items():
            name, kind = prefix + str(key), type(node).__name__
            if kind not in KNOWN:
                raise ExchangeError(
                    f"The node {name!r} is of kind {kind!r}, which cannot be read.",
                    expected="one of: " + ", ".join(sorted(KNOWN)),
                )
            if kind == "NIRGraph":
                self._flatten(node, f"{name}.", depth + 1)
                inside = {k: type(n).__name__ for k, n in node.nodes.items()}
                for found, where in (("Input", entry), ("Output", leaving)):
                    keys = [k for k, what in inside.items() if what == found]
                    if len(keys) > 1:
                        raise ExchangeError(
                            f"The nested graph {name!r} has {len(keys)} nodes of kind {found}.", expected="one"
                        )
                    if keys:
                        where[str(key)] = f"{name}.{keys[0]}"
            else:
                self.nodes[name] = _plain(node)
                self._check_values(name, kind)
                if depth and kind in ("Input", "Output"):
                    self.junctions.add(name)
            if len(self.nodes) > MAX_NODES:
                raise ExchangeError("The graph has too many nodes.", expected=f"at most {MAX_NODES}")
        known = {str(key) for key in graph.nodes}
        for edge in graph.edges:
            a, b = (str(end) for end in edge)
            for end in (a, b):
                if end not in known:
                    raise ExchangeError(
                        f"The edge {prefix + a!r} -> {prefix + b!r} has an end that is no node: {end!r}.",
                        expected="names of nodes",
                    )
            self.edges[self._port(graph, a, prefix, leaving), self._port(graph, b, prefix, entry)] = None

    @staticmethod
    def _port(graph: Any, key: str, prefix: str, ports: Mapping[str, str]) -> str:
        if type(graph.nodes[key]).__name__ != "NIRGraph":
            return prefix + key
        if key not in ports:
            raise ExchangeError(
                f"The nested graph {prefix + key!r} has an edge, but no Input or Output for it.",
                expected="a node Input for edges into it, Output for those out of it",
            )
        return ports[key]

    def kind(self, key: str) -> str:
        """The kind of a node; ``"junction"`` for inputs and outputs of nested graphs."""
        return "junction" if key in self.junctions else type(self.nodes[key]).__name__

    def _check_values(self, key: str, kind: str) -> None:
        """Refuse values that cannot be, of any field, before anything is computed from them."""
        for field in _NUMBERS.get(kind, ()):
            self.array(key, field)
        dims = 1 if kind == "Conv1d" else 2
        if kind.startswith("Conv"):
            weight = self.array(key, "weight")
            if weight.ndim != dims + 2:
                raise ExchangeError(
                    f"The node {key!r} has a weight of shape {weight.shape}.", expected=f"{dims + 2} axes"
                )
            if self.nodes[key].bias is not None:
                self.array(key, "bias")
        for field in _WHOLE.get(kind, ()):
            self.geometry(key, field, 1 if field == "groups" else dims)

    def array(self, key: str, field: str) -> Array:
        """The finite real numbers in a field of a node."""
        try:
            array = np.asarray(getattr(self.nodes[key], field))
            if array.dtype == object or array.dtype.kind not in "fiub":
                raise TypeError(f"values of type {array.dtype}")
        except (TypeError, ValueError, AttributeError) as error:
            raise ExchangeError(
                f"The node {key!r} has no numbers as {field}.", found=str(error)[:200], expected="real numbers"
            ) from error
        if array.size == 0:
            raise ExchangeError(
                f"The node {key!r}: {field} is empty.", found=f"shape {array.shape}", expected="at least one number"
            )
        if not np.isfinite(array).all():
            raise ExchangeError(f"The node {key!r}: {field} holds NaN or infinite values.", expected="finite numbers")
        if (np.abs(array.astype(np.float64)) > _LARGEST).any():
            raise ExchangeError(
                f"The node {key!r}: {field} holds values that float32 cannot.", expected=f"at most {_LARGEST:.3g}"
            )
        return array

    def vector(self, key: str, field: str) -> Floats:
        """The numbers in a field of a node, one for each of its units."""
        array, size = self.array(key, field).astype(np.float64).reshape(-1), math.prod(self.shape(key))
        if len(array) not in (1, size):
            raise ExchangeError(
                f"The node {key!r}: {field} has {len(array)} numbers.", expected=f"1, or one for each of {size} neurons"
            )
        return np.broadcast_to(array, (size,)).copy()

    def geometry(self, key: str, field: str, dims: int) -> tuple[int, ...]:
        """The integers in a field of a node, one per axis, with paddings that are words made numbers."""
        value = getattr(self.nodes[key], field)
        if isinstance(value, bytes):
            value = value.decode()
        if isinstance(value, str) and field == "padding" and self.kind(key).startswith("Conv"):
            if value == "valid":
                return (0,) * dims
            kernel = self.nodes[key].weight.shape[2:]
            spread = [d * (k - 1) for d, k in zip(self.geometry(key, "dilation", dims), kernel, strict=True)]
            if value == "same" and not any(total % 2 for total in spread):
                return tuple(total // 2 for total in spread)
            raise ExchangeError(
                f"The node {key!r} has the padding {value!r}.",
                expected="integers, 'valid', or 'same' that is the same on both sides",
            )
        numbers = self.array(key, field).astype(np.float64).reshape(-1)
        sound = len(numbers) in (1, dims) and (numbers == np.floor(numbers)).all() and (np.abs(numbers) < 2**31).all()
        if not sound:
            shown = np.array2string(numbers[:8], separator=", ")
            raise ExchangeError(f"The node {key!r}: {field} is {shown}.", expected=f"{dims} integer(s)")
        return tuple(int(n) for n in np.broadcast_to(numbers, (dims,)))

    def shape(self, key: str, visiting: frozenset[str] = frozenset()) -> tuple[int, ...]:
        """Shape of what leaves a node; found from its own numbers, else from what comes before it."""
        if key in self.shapes:
            return self.shapes[key]
        if key in visiting:
            return ()
        found = self._find_shape(key, self.kind(key), visiting | {key})
        if not found and not visiting:
            raise ExchangeError(f"The size of node {key!r} cannot be told.", expected="an input with a shape")
        if found and any(length < 1 for length in found):
            raise ExchangeError(f"The node {key!r} has the shape {found}.", expected="sizes of at least 1")
        if found:
            self.shapes[key] = found
            self.units += math.prod(found)
            if self.units > MAX_UNITS:
                raise ExchangeError(f"The graph has too many units, at node {key!r}.", expected=f"at most {MAX_UNITS}")
        return found

    def _coming(self, key: str, visiting: frozenset[str]) -> tuple[int, ...]:
        for other in sorted(self.before[key], key=lambda name: name not in self.shapes):
            if found := self.shape(other, visiting or frozenset({""})):
                return found
        return ()

    def _find_shape(self, key: str, kind: str, visiting: frozenset[str]) -> tuple[int, ...]:
        node = self.nodes[key]
        if kind == "Input":
            return self._input_shape(key)
        if kind in ("Linear", "Affine"):
            weight = self.array(key, "weight")
            if weight.ndim != 2:
                raise ExchangeError(f"The node {key!r} has a weight of shape {weight.shape}.", expected="[out, in]")
            return (weight.shape[0],)
        if kind in NEURONS or kind in ("Scale", "Delay"):
            field = {"LIF": "tau", "IF": "r", "LI": "tau", "I": "r", "Threshold": "threshold"}
            field |= dict.fromkeys(("CubaLIF", "CubaLI"), "tau_mem")
            shape = self.array(key, field.get(kind, kind.lower())).shape
            coming = self._coming(key, visiting)
            if math.prod(shape) == 1 and coming:
                return coming
            return shape or ((1,) if not self.before[key] else ())
        coming = self._coming(key, visiting)
        if kind in ("Output", "junction"):
            return coming or tuple(int(n) for n in np.atleast_1d(node.input_type["input"]))
        if kind == "Flatten":
            return self._flattened(key, coming)
        return self._map_shape(key, kind, coming)

    def _flattened(self, key: str, coming: tuple[int, ...]) -> tuple[int, ...]:
        """All in one axis. NIR counts axes without the batch, and some tools with it: the first may be 0 or 1."""
        if not coming:
            return ()
        first, last = (int(self.array(key, field).reshape(-1)[0]) for field in ("start_dim", "end_dim"))
        maps = [self.kind(other) for other in self.after[key] if self.kind(other) in ("Conv1d", "Conv2d")]
        if maps or first not in (0, 1) or last not in (-1, len(coming) - 1, len(coming)):
            before = f", before a {maps[0]}" if maps else ""
            raise ExchangeError(
                f"The node {key!r} flattens the axes {first} to {last} of {coming}{before}.",
                expected="all axes: start_dim 0, or 1 where the batch counts, and end_dim -1",
            )
        return (math.prod(coming),)

    def _input_shape(self, key: str) -> tuple[int, ...]:
        try:
            shape = tuple(int(n) for n in np.atleast_1d(self.nodes[key].input_type["input"]))
        except (TypeError, ValueError, KeyError) as error:
            raise ExchangeError(f"The input {key!r} has no shape.", expected="a shape of integers") from error
        wanted = {"Conv1d": 2, "Conv2d": 3, "SumPool2d": 3, "AvgPool2d": 3, "Linear": 1, "Affine": 1}
        for other in self.after[key]:
            if len(shape) == wanted.get(self.kind(other), 0) + 1 and shape[0] == 1 and self.kind(other) in wanted:
                return shape[1:]
        return shape

    def _map_shape(self, key: str, kind: str, coming: tuple[int, ...]) -> tuple[int, ...]:
        dims = 1 if kind == "Conv1d" else 2
        if not coming:
            return ()
        if len(coming) != dims + 1:
            raise ExchangeError(
                f"What comes to node {key!r} has the shape {coming}.", expected=f"{dims + 1} dimensions, channels first"
            )
        padding, stride = self.geometry(key, "padding", dims), self.geometry(key, "stride", dims)
        if kind.startswith("Conv"):
            weight = self.array(key, "weight")
            (groups,) = self.geometry(key, "groups", 1)
            if weight.ndim != dims + 2 or groups < 1 or weight.shape[1] * groups != coming[0]:
                raise ExchangeError(
                    f"The node {key!r} has a weight of shape {weight.shape} and {groups} group(s).",
                    expected=f"[out, {coming[0]} / groups, ...] for what comes to it, of shape {coming}",
                )
            kernel, dilation, channels = weight.shape[2:], self.geometry(key, "dilation", dims), weight.shape[0]
        else:
            kernel, dilation, channels = self.geometry(key, "kernel_size", dims), (1,) * dims, coming[0]
        if min(*stride, *kernel, *dilation) < 1 or min(padding) < 0:
            raise ExchangeError(
                f"The node {key!r} has a kernel of {kernel}, stride {stride}, padding {padding}, dilation {dilation}.",
                expected="numbers of at least 1, padding at least 0",
            )
        sizes = [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(coming[1:], padding, dilation, kernel, stride, strict=True)
        ]
        return (channels, *sizes)

    def find_shapes(self) -> None:
        """From the inputs on, so that the shape before a node is known when its own is asked for."""
        waiting = [key for key in self.nodes if self.kind(key) == "Input"]
        seen = set(waiting)
        while waiting:
            ahead = dict.fromkeys(b for a in waiting for b in self.after[a] if b not in seen)
            for key in waiting:
                self.shape(key)
            seen.update(ahead)
            waiting = list(ahead)
