"""NIR graph -> SpikingNetwork: exactly, where neurosleep wrote it; else by NIR's own meaning, discretised."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch

from neurosleep.errors import ExchangeError, NeurosleepError, SettingsError, unknown_name
from neurosleep.exchange.files import _spiking_network
from neurosleep.exchange.inexact import ExchangeWarning
from neurosleep.exchange.nir.time_constants import Discretisation, decays, gains
from neurosleep.exchange.nir.write import NIR_FORMAT, import_nir, to_nir
from neurosleep.spiking import Population, Projection, SpikingNetwork

__all__ = ["MAX_NODES", "NIRWriter", "from_nir"]

NIRWriter = Literal["nir", "snntorch", "norse"]
NIRReset = Literal["to_value", "subtract", "subtract-next"]

_NEURONS = ("LIF", "IF", "CubaLIF", "LI", "CubaLI", "I", "Threshold")
_LINEAR = ("Linear", "Affine", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten", "Scale", "Delay", "junction")
_KNOWN = ("Input", "Output", "NIRGraph", *_NEURONS, *(kind for kind in _LINEAR if kind != "junction"))

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

# A dense matrix made of one number per unit (a Scale node with different numbers) has at most so many entries.
_DIAGONAL = 2**24

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


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
        a jump of 1.
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

    References
    ----------
    Pedersen et al. (2024), Neuromorphic Intermediate Representation, doi:10.1038/s41467-024-52259-9.
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
        return _Reader(graph, dt, discretisation or "euler", writer, reset).network()
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
        network = _spiking_network(tensors, header)
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


# --- everybody else's -----------------------------------------------------------------------------------------------


def _plain(node: Any) -> Any:
    """A copy with arrays in place of tensors, which Norse leaves in its nodes."""
    tensors = {key: value.detach().cpu().numpy() for key, value in vars(node).items() if torch.is_tensor(value)}
    if tensors:
        node = copy.copy(node)
        vars(node).update(tensors)
    return node


class _Reader:
    def __init__(
        self,
        graph: Any,
        dt: float | None,
        discretisation: Discretisation,
        writer: NIRWriter,
        reset: NIRReset | None,
    ) -> None:
        self.given_dt, self.discretisation, self.writer = dt, discretisation, writer
        self.reset = reset or ("subtract-next" if writer == "snntorch" else "to_value")
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
        self.populations: dict[str, Population] = {}
        self.projections: list[Projection] = []
        self.biases: dict[str, Floats] = {}
        self.gains: dict[str, Floats] = {}

    # --- nodes and edges of nested graphs, flat ---

    def _flatten(self, graph: Any, prefix: str, depth: int) -> None:
        if depth > 16:
            raise ExchangeError("The graph is nested too deeply, or in itself.", expected="at most 16 levels")
        if not isinstance(graph.nodes, Mapping) or not graph.nodes:
            raise ExchangeError(f"The graph {prefix or 'itself'} has no nodes.", expected="at least an input")
        entry: dict[str, str] = {}
        leaving: dict[str, str] = {}
        for key, node in graph.nodes.items():
            name, kind = prefix + str(key), type(node).__name__
            if kind not in _KNOWN:
                raise ExchangeError(
                    f"The node {name!r} is of kind {kind!r}, which cannot be read.",
                    expected="one of: " + ", ".join(sorted(_KNOWN)),
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
            raise ExchangeError(f"The nested graph {prefix + key!r} has an edge, but no Input or Output for it.")
        return ports[key]

    def _kind(self, key: str) -> str:
        return "junction" if key in self.junctions else type(self.nodes[key]).__name__

    # --- the network ---

    def network(self) -> SpikingNetwork:
        neurons = [key for key in self.nodes if self._kind(key) in _NEURONS]
        timed = [k for k in self.nodes if self._kind(k) in (*_NEURONS, "Delay") and self._kind(k) != "Threshold"]
        if self.given_dt is None and timed:
            raise SettingsError(
                f"The graph has no time step, and the node {timed[0]!r} needs one.",
                expected="dt in seconds",
                hint="snnTorch writes for dt=1e-4, Norse usually for dt=1e-3",
            )
        self.dt = 0.001 if self.given_dt is None else self.given_dt
        waiting = [key for key in self.nodes if self._kind(key) == "Input"]
        seen = set(waiting)
        while waiting:  # from the inputs on, so that the shape before a node is known when its own is asked for
            ahead = dict.fromkeys(b for a in waiting for b in self.after[a] if b not in seen)
            for key in waiting:
                self._shape(key)
            seen.update(ahead)
            waiting = list(ahead)
        for message in self._defects():
            warnings.warn(message, ExchangeWarning, stacklevel=4)
        for key in self.nodes:
            kind = self._kind(key)
            if kind == "Input":
                self._add(Population(key, "input", self._shape(key)))
            elif key in neurons:
                self._neuron(key, kind)
        for key in self.nodes:
            if self._kind(key) in _LINEAR:
                self._linear(key)
        for key in self.nodes:
            if self._kind(key) in ("Input", *_NEURONS):
                for other in self.after[key]:
                    if self._kind(other) in _NEURONS:
                        self._project(key, key, other, "identity")
            if self._kind(key) == "Output":
                self._output(key)
        if not any(p.kind == "input" for p in self.populations.values()):
            raise ExchangeError("The graph has no input.", expected="a node of kind Input")
        self._contract()
        self._loops()
        populations = []
        for name, p in self.populations.items():
            if name in self.biases and p.kind != "input":
                p = dataclasses.replace(p, bias=self._parameter(self.biases[name] * self.gains.get(name, np.ones(1))))
            populations.append(p)
        projections = []
        for q in self.projections:
            gain = self.gains.get(q.target)
            projections.append(q if gain is None else dataclasses.replace(q, scale=q.scale * float(gain[0])))
        made: SpikingNetwork = self._named(
            "The graph",
            lambda: SpikingNetwork(
                tuple(populations), tuple(projections), dt=self.dt, discretisation=self.discretisation
            ),
        )
        return made

    def _named(self, what: str, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except NeurosleepError as error:
            if isinstance(error, ExchangeError):
                raise
            raise ExchangeError(f"{what}: {error.message}", found=error.found, expected=error.expected) from error

    def _add(self, population: Population) -> None:
        self.populations[population.name] = population

    def _check_values(self, key: str, kind: str) -> None:
        """Refuse values that cannot be, of any field, before anything is computed from them."""
        for field in _NUMBERS.get(kind, ()):
            self._array(key, field)
        dims = 1 if kind == "Conv1d" else 2
        if kind.startswith("Conv"):
            weight = self._array(key, "weight")
            if weight.ndim != dims + 2:
                raise ExchangeError(
                    f"The node {key!r} has a weight of shape {weight.shape}.", expected=f"{dims + 2} axes"
                )
            if self.nodes[key].bias is not None:
                self._array(key, "bias")
        for field in _WHOLE.get(kind, ()):
            self._geometry(key, field, 1 if field == "groups" else dims)

    def _array(self, key: str, field: str) -> Array:
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

    def _parameter(self, values: Floats) -> float | torch.Tensor:
        flat = np.asarray(values, dtype=np.float64).reshape(-1)
        return float(flat[0]) if (flat == flat[0]).all() else torch.from_numpy(flat.copy())

    # --- shapes ---

    def _shape(self, key: str, visiting: frozenset[str] = frozenset()) -> tuple[int, ...]:
        """Shape of what leaves a node; found from its own numbers, else from what comes before it."""
        if key in self.shapes:
            return self.shapes[key]
        if key in visiting:
            return ()
        found = self._find_shape(key, self._kind(key), visiting | {key})
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
            if found := self._shape(other, visiting or frozenset({""})):
                return found
        return ()

    def _find_shape(self, key: str, kind: str, visiting: frozenset[str]) -> tuple[int, ...]:
        node = self.nodes[key]
        if kind == "Input":
            return self._input_shape(key)
        if kind in ("Linear", "Affine"):
            weight = self._array(key, "weight")
            if weight.ndim != 2:
                raise ExchangeError(f"The node {key!r} has a weight of shape {weight.shape}.", expected="[out, in]")
            return (weight.shape[0],)
        if kind in _NEURONS or kind in ("Scale", "Delay"):
            field = {"LIF": "tau", "IF": "r", "LI": "tau", "I": "r", "Threshold": "threshold"}
            field |= dict.fromkeys(("CubaLIF", "CubaLI"), "tau_mem")
            shape = self._array(key, field.get(kind, kind.lower())).shape
            coming = self._coming(key, visiting)
            if math.prod(shape) == 1 and coming:
                return coming
            return shape or ((1,) if not self.before[key] else ())
        coming = self._coming(key, visiting)
        if kind in ("Output", "junction"):
            return coming or tuple(int(n) for n in np.atleast_1d(node.input_type["input"]))
        if kind == "Flatten":
            return (math.prod(coming),) if coming else ()
        return self._map_shape(key, kind, coming)

    def _input_shape(self, key: str) -> tuple[int, ...]:
        try:
            shape = tuple(int(n) for n in np.atleast_1d(self.nodes[key].input_type["input"]))
        except (TypeError, ValueError, KeyError) as error:
            raise ExchangeError(f"The input {key!r} has no shape.", expected="a shape of whole numbers") from error
        wanted = {"Conv1d": 2, "Conv2d": 3, "SumPool2d": 3, "AvgPool2d": 3, "Linear": 1, "Affine": 1}
        for other in self.after[key]:
            if len(shape) == wanted.get(self._kind(other), 0) + 1 and shape[0] == 1 and self._kind(other) in wanted:
                return shape[1:]
        return shape

    def _geometry(self, key: str, field: str, dims: int) -> tuple[int, ...]:
        value = getattr(self.nodes[key], field)
        if isinstance(value, bytes):
            value = value.decode()
        if isinstance(value, str) and field == "padding" and self._kind(key).startswith("Conv"):
            if value == "valid":
                return (0,) * dims
            kernel = self.nodes[key].weight.shape[2:]
            spread = [d * (k - 1) for d, k in zip(self._geometry(key, "dilation", dims), kernel, strict=True)]
            if value == "same" and not any(total % 2 for total in spread):
                return tuple(total // 2 for total in spread)
            raise ExchangeError(
                f"The node {key!r} has the padding {value!r}.",
                expected="whole numbers, 'valid', or 'same' that is the same on both sides",
            )
        numbers = self._array(key, field).astype(np.float64).reshape(-1)
        sound = len(numbers) in (1, dims) and (numbers == np.floor(numbers)).all() and (np.abs(numbers) < 2**31).all()
        if not sound:
            shown = np.array2string(numbers[:8], separator=", ")
            raise ExchangeError(f"The node {key!r}: {field} is {shown}.", expected=f"{dims} whole number(s)")
        return tuple(int(n) for n in np.broadcast_to(numbers, (dims,)))

    def _map_shape(self, key: str, kind: str, coming: tuple[int, ...]) -> tuple[int, ...]:
        dims = 1 if kind == "Conv1d" else 2
        if not coming:
            return ()
        if len(coming) != dims + 1:
            raise ExchangeError(
                f"What comes to node {key!r} has the shape {coming}.", expected=f"{dims + 1} dimensions, channels first"
            )
        padding, stride = self._geometry(key, "padding", dims), self._geometry(key, "stride", dims)
        if kind.startswith("Conv"):
            weight = self._array(key, "weight")
            (groups,) = self._geometry(key, "groups", 1)
            if weight.ndim != dims + 2 or groups < 1 or weight.shape[1] * groups != coming[0]:
                raise ExchangeError(
                    f"The node {key!r} has a weight of shape {weight.shape} and {groups} group(s).",
                    expected=f"[out, {coming[0]} / groups, ...] for what comes to it, of shape {coming}",
                )
            kernel, dilation, channels = weight.shape[2:], self._geometry(key, "dilation", dims), weight.shape[0]
        else:
            kernel, dilation, channels = self._geometry(key, "kernel_size", dims), (1,) * dims, coming[0]
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

    # --- neurons ---

    def _vector(self, key: str, field: str) -> Floats:
        array, size = self._array(key, field).astype(np.float64).reshape(-1), math.prod(self._shape(key))
        if len(array) not in (1, size):
            raise ExchangeError(
                f"The node {key!r}: {field} has {len(array)} numbers.", expected=f"1, or one for each of {size} neurons"
            )
        return np.broadcast_to(array, (size,)).copy()

    def _decay(self, key: str, field: str) -> tuple[Floats, Floats]:
        """Decay and gain per step from a time constant."""
        tau = self._vector(key, field)
        if self.writer == "norse":
            tau = tau / self.dt
        if not (tau > 0).all():
            raise ExchangeError(
                f"The node {key!r}: {field} is {tau[~(tau > 0)][0]:g} s.", expected="a time constant above 0"
            )
        decay, gain = decays(tau, self.dt, self.discretisation), gains(tau, self.dt, self.discretisation)
        if (decay < -1e-6).any():
            raise ExchangeError(
                f"The node {key!r}: {field} of {tau.min():g} s is shorter than the step of {self.dt:g} s.",
                expected="dt at most as long as the shortest time constant, for forward Euler",
                hint="a smaller dt, discretisation='exponential', or writer='norse' for a file of Norse 1.1.0, "
                "which writes time constants dt times too short",
            )
        return np.clip(decay, 0.0, 1.0), gain

    def _neuron(self, key: str, kind: str) -> None:
        size, shape = math.prod(self._shape(key)), self._shape(key)
        fields: dict[str, Any] = {}
        if kind == "Threshold":
            gain, decay, fields = np.ones(size), np.zeros(size), {"threshold": self._vector(key, "threshold")}
        elif kind in ("IF", "I"):
            step = 1.0 if self.writer == "norse" and kind == "IF" else self.dt
            gain, decay = self._vector(key, "r") * step, np.ones(size)
        elif kind in ("CubaLIF", "CubaLI"):
            synaptic, jump = self._decay(key, "tau_syn")
            decay, pull = self._decay(key, "tau_mem")
            jump = np.ones(size) if self.writer == "norse" else jump
            gain = jump * self._vector(key, "w_in") * pull * self._vector(key, "r")
            fields["synaptic_decay"] = synaptic
        else:
            decay, pull = self._decay(key, "tau")
            gain = pull * self._vector(key, "r")
        # R = tau/dt in float32 gives a gain of 1 only to its rounding.
        gain = np.where(np.abs(gain - 1) < 1e-6, 1.0, gain)
        fields["decay"] = decay
        if kind in ("LIF", "CubaLIF", "LI", "CubaLI"):
            fields["leak"] = self._vector(key, "v_leak")
        if kind in ("LIF", "CubaLIF", "IF"):
            fields["threshold"] = self._vector(key, "v_threshold")
            fields["reset_value"] = self._vector(key, "v_reset")
        if (gain == gain[0]).all():
            if gain[0] != 1:
                self.gains[key] = gain[:1]
        elif kind in ("LI", "CubaLI", "I") or (gain <= 0).any():
            raise ExchangeError(
                f"The node {key!r} takes its input with gains that differ from neuron to neuron.",
                found=f"{gain.min():g} to {gain.max():g} per step",
                expected="one gain, or neurons that fire, with gains above 0",
            )
        else:
            # The same spikes from potentials in the unit of the input.
            for field in ("threshold", "leak", "reset_value"):
                if field in fields:
                    fields[field] = fields[field] / gain
        parameters: dict[str, Any] = {name: self._parameter(value) for name, value in fields.items()}
        what = {"LI": "li", "CubaLI": "li", "I": "li", "CubaLIF": "cuba_lif"}.get(kind, "lif")
        if what != "li":
            parameters["compare"] = ">"
            if self.reset != "to_value" and kind != "Threshold":
                parameters["reset"] = "subtract"
                parameters["reset_time"] = "next" if self.reset == "subtract-next" else "same"
        make: Any = Population
        self._add(self._named(f"The node {key!r}", lambda: make(key, what, shape, **parameters)))

    # --- linear nodes ---

    def _source(self, key: str) -> str | None:
        """The population whose output comes to a linear node."""
        coming = self.before[key]
        if not coming:
            return None
        if len(coming) == 1:
            return self._gives(coming[0])
        name = f"{key}.sum"
        if name not in self.populations:
            self._add(Population(name, "relay", self._shape(coming[0])))
            for other in coming:
                self._project(key, self._gives(other), name, "identity")
        return name

    def _gives(self, key: str) -> str:
        """The population that carries the output of a node."""
        if self._kind(key) in ("Input", *_NEURONS):
            return key
        if key not in self.populations:
            self._add(Population(key, "relay", self._shape(key)))
        return key

    def _takes(self, key: str) -> str:
        """The population that takes the output of a linear node: that of the only node after it, or a relay."""
        after = self.after[key]
        if len(after) == 1 and self._kind(after[0]) in _NEURONS:
            return after[0]
        return self._gives(key)

    def _linear(self, key: str) -> None:
        source = self._source(key)
        if source is None:
            return  # nothing ever comes to it
        target, kind, node = self._takes(key), self._kind(key), self.nodes[key]
        if target == key:
            for other in self.after[key]:
                if self._kind(other) in _NEURONS:
                    self._project(key, key, other, "identity")
        if kind in ("Linear", "Affine"):
            self._project(key, source, target, "dense", weight=self._weight(key))
            if kind == "Affine":
                self._bias(key, target, self._array(key, "bias").astype(np.float64).reshape(-1))
        elif kind in ("Conv1d", "Conv2d"):
            dims = 1 if kind == "Conv1d" else 2
            shape = self._shape(key)
            options: Any = tuple((f, self._geometry(key, f, dims)) for f in ("stride", "padding", "dilation"))
            options += (("groups", self._geometry(key, "groups", 1)[0]),)
            self._project(key, source, target, "conv", weight=self._weight(key), options=options)
            if node.bias is not None:
                bias = self._array(key, "bias").astype(np.float64).reshape(-1)
                if len(bias) not in (1, shape[0]):
                    raise ExchangeError(
                        f"The node {key!r} has {len(bias)} biases.", expected=f"one for each of {shape[0]} channels"
                    )
                self._bias(key, target, np.repeat(np.broadcast_to(bias, shape[:1]), math.prod(shape[1:])))
        elif kind in ("SumPool2d", "AvgPool2d"):
            self._shape(key)
            options = (
                ("mode", "sum" if kind == "SumPool2d" else "average"),
                ("kernel", self._geometry(key, "kernel_size", 2)),
                ("stride", self._geometry(key, "stride", 2)),
                ("padding", self._geometry(key, "padding", 2)),
            )
            self._project(key, source, target, "pool", options=options)
        elif kind == "Scale":
            self._scale(key, source, target)
        elif kind == "Delay":
            self._project(key, source, target, "identity", delay=self._steps(key))
        else:
            self._project(key, source, target, "identity")

    def _weight(self, key: str) -> torch.Tensor:
        weight = self._array(key, "weight")
        if weight.dtype.kind != "f" or weight.dtype.itemsize < 4:
            weight = weight.astype(np.float32)
        return torch.from_numpy(np.array(weight, dtype=np.float64 if weight.dtype.itemsize > 4 else np.float32))

    def _scale(self, key: str, source: str, target: str) -> None:
        values = self._vector(key, "scale")
        if (values == values[0]).all():
            self._project(key, source, target, "identity", scale=float(values[0]))
            return
        if len(values) ** 2 > _DIAGONAL:
            raise ExchangeError(
                f"The node {key!r} scales {len(values)} units by different factors.",
                expected=f"one factor, or at most {math.isqrt(_DIAGONAL)} units",
            )
        self._project(key, source, target, "dense", weight=torch.diag(torch.from_numpy(values.astype(np.float32))))

    def _steps(self, key: str) -> int:
        delay = self._array(key, "delay").astype(np.float64).reshape(-1)
        steps = delay / self.dt
        if (delay < 0).any() or not (delay == delay[0]).all() or steps.max() > 1e6:
            raise ExchangeError(
                f"The node {key!r} has delays from {delay.min():g} to {delay.max():g} s.",
                expected="one delay for all of its units, at least 0 and at most a million steps",
            )
        if abs(steps[0] - round(steps[0])) > 1e-3:
            warnings.warn(
                f"The delay of node {key!r}, {delay[0]:g} s, is no multiple of dt = {self.dt:g} s: "
                f"{round(steps[0])} steps are taken.",
                ExchangeWarning,
                stacklevel=5,
            )
        return round(float(steps[0]))

    def _bias(self, key: str, target: str, bias: Floats) -> None:
        size = self.populations[target].size
        if len(bias) != size:
            raise ExchangeError(f"The node {key!r} has {len(bias)} biases.", expected=f"{size}, for {target!r}")
        if bias.any():
            self.biases[target] = self.biases.get(target, np.zeros(size)) + bias

    def _project(self, key: str, source: str, target: str, kind: Any, **fields: Any) -> None:
        a, b = self.populations[source], self.populations[target]
        weight, expected = fields.get("weight"), (b.size, a.size)
        if kind == "dense" and weight is not None and tuple(weight.shape) != expected:
            raise ExchangeError(
                f"The node {key!r} has a weight of shape {tuple(weight.shape)}.",
                expected=f"[out, in] = {expected}, for {source!r} -> {target!r}",
            )
        produced = math.prod(self._shape(key)) if kind in ("conv", "pool") else a.size
        if kind != "dense" and produced != b.size:
            raise ExchangeError(
                f"{source!r} -> {target!r} at node {key!r}: {produced} values for {b.size} units.",
                expected="sizes that are equal",
            )
        if kind in ("conv", "pool") and b.shape != self._shape(key):
            self.populations[target] = dataclasses.replace(b, shape=self._shape(key))
        make: Any = Projection
        self.projections.append(self._named(f"The node {key!r}", lambda: make(source, target, kind, **fields)))

    def _output(self, key: str) -> None:
        """A relay, where what goes out is no population's own output."""
        coming = self.before[key]
        if len(coming) > 1:
            self._add(Population(key, "relay", self._shape(coming[0])))
            for other in coming:
                self._project(key, self._gives(other), key, "identity")

    # --- fewer relays, and loops ---

    def _contract(self) -> None:
        """Take out relays that only pass on or delay what one projection brings, or that one alone takes up."""
        projections = dict(enumerate(self.projections))
        into: dict[str, list[int]] = {name: [] for name in self.populations}
        out: dict[str, list[int]] = {name: [] for name in self.populations}
        for k, q in projections.items():
            into[q.target].append(k)
            out[q.source].append(k)
        waiting = [name for name, p in self.populations.items() if p.kind == "relay"]
        while waiting:
            name = waiting.pop()
            if name not in self.populations or not into[name] or set(into[name]) & set(out[name]):
                continue
            if not out[name]:
                only = projections[into[name][0]]
                if (len(into[name]), only.kind, only.scale, only.delay) == (1, "identity", 1, 0) and (
                    name not in self.biases and self.populations[only.source].kind != "input"
                ):
                    (gone,) = into[name]
                    out[only.source].remove(gone)
                    del projections[gone], self.populations[name], into[name], out[name]
                    waiting += [only.source] * (self.populations[only.source].kind == "relay")
                continue
            first, last = projections[into[name][0]], projections[out[name][0]]
            if len(into[name]) == 1 and first.kind == "identity" and name not in self.biases:
                if first.scale != 1 and any(projections[k].scale != 1 for k in out[name]):
                    continue
                (gone,), kept = into[name], out[name]
                fields = {"source": first.source}
                out[first.source] = [k for k in out[first.source] if k != gone] + kept
            elif len(out[name]) == 1 and last.kind == "identity" and not (name in self.biases and last.delay):
                arriving = [projections[k] for k in into[name]]
                maps = any(q.kind in ("conv", "pool") for q in arriving)
                if maps and self.populations[last.target].shape != self.populations[name].shape:
                    continue
                if last.scale != 1 and any(q.scale != 1 for q in arriving):
                    continue
                if name in self.biases:
                    self._bias(name, last.target, self.biases.pop(name) * last.scale)
                (gone,), kept = out[name], into[name]
                fields = {"target": last.target}
                into[last.target] = [k for k in into[last.target] if k != gone] + kept
            else:
                continue
            taken = projections.pop(gone)
            for k in kept:
                q, make = projections[k], self._replace
                projections[k] = make(q, **fields, delay=q.delay + taken.delay, scale=q.scale * taken.scale)
            del self.populations[name], into[name], out[name]
            for neighbour in (taken.source, taken.target):
                if neighbour in self.populations and self.populations[neighbour].kind == "relay":
                    waiting.append(neighbour)
        self.projections = list(projections.values())

    @staticmethod
    def _replace(q: Projection, **fields: Any) -> Projection:
        return dataclasses.replace(q, **fields)

    def _loops(self) -> None:
        """One step for every edge that closes a loop without delay."""
        leaving: dict[str, list[int]] = {name: [] for name in self.populations}
        for k, q in enumerate(self.projections):
            leaving[q.source].append(k)
        done: dict[str, bool] = {}  # False: on the way down from it
        for start in sorted(self.populations, key=lambda name: self.populations[name].kind != "input"):
            if start in done:
                continue
            done[start] = False
            stack = [(start, iter(leaving[start]))]
            while stack:
                name, rest = stack[-1]
                for k in rest:
                    q = self.projections[k]
                    if q.delay == 0 and q.target not in done:
                        done[q.target] = False
                        stack.append((q.target, iter(leaving[q.target])))
                        break
                    if q.delay == 0 and not done[q.target]:
                        kind = "recurrent" if q.kind == "dense" and q.source == q.target else q.kind
                        self.projections[k] = self._replace(q, delay=1, kind=kind)
                else:
                    done[name] = True
                    stack.pop()

    # --- what other tools are known to write wrongly ---

    def _defects(self) -> list[str]:
        found: list[str] = []
        neurons = {k: self.nodes[k] for k in self.nodes if self._kind(k) in _NEURONS}
        scalars = [k for k, n in neurons.items() if hasattr(n, "v_threshold") and np.ndim(n.v_threshold) == 0]
        if scalars:
            found.append(
                f"The parameters of node {scalars[0]!r} are numbers where NIR wants one for each neuron (snnTorch 1.0 "
                "and Norse 1.1.0 write layers so): they are taken for all neurons of the layer."
            )
        batched = [k for k in self.nodes if self._kind(k) == "Input" and len(self._shape(k)) < self._rank(k)]
        if batched:
            found.append(
                f"The shape of input {batched[0]!r} has a batch dimension (Norse 1.1.0 and nirtorch write that of the "
                "sample data): it is left out."
            )
        for key, node in neurons.items():
            taus = [float(np.min(getattr(node, f))) for f in ("tau", "tau_mem", "tau_syn") if hasattr(node, f)]
            plain = hasattr(node, "r") and bool(np.all(np.asarray(node.r) == 1))
            if self.writer != "norse" and plain and taus and min(taus) < self.dt:
                found.append(
                    f"The time constant {min(taus):g} s of node {key!r} is shorter than a step, with R = 1: "
                    "Norse 1.1.0 writes dt/tau_mem_inv where NIR wants 1/tau_mem_inv. writer='norse' puts it right."
                )
                break
        for key, node in neurons.items():
            if self.writer == "nir" and type(node).__name__ == "IF" and np.all(np.asarray(node.r) == 1):
                found.append(
                    f"R = 1 of the IF node {key!r} means a gain of dt = {self.dt:g} per step; Norse 1.1.0, "
                    "snnTorch 1.0 and Sinabs write it for a gain of 1 (writer='norse' reads it so)."
                )
                break
        for key, node in neurons.items():
            tau = getattr(node, "tau", getattr(node, "tau_mem", None))
            if self.writer != "nir" or tau is None or not hasattr(node, "v_reset"):
                continue
            times, factors = (np.asarray(values, dtype=float).reshape(-1) for values in (tau, node.r))
            # Other numbers of values are refused by name when the neurons are made.
            fits = len({1, len(times), len(factors)}) < 3
            like = fits and np.allclose(factors, times / 1e-4, rtol=1e-4)
            if like and not np.any(node.v_leak) and not np.any(node.v_reset):
                found.append(
                    f"The node {key!r} looks like snnTorch's: it writes for dt = 1e-4 s, whatever the step was, and "
                    "does not write how a neuron resets (by default by subtraction, one step later; NIR says to 0, in "
                    "the same step). writer='snntorch', with reset= if it was not the default, reads what was meant."
                )
                break
        if self.writer == "norse" and any(hasattr(n, "v_reset") for n in neurons.values()):
            found.append("Norse 1.1.0 does not write v_reset: it is taken as the graph says it, usually 0.")
        return found

    def _rank(self, key: str) -> int:
        return len(np.atleast_1d(self.nodes[key].input_type["input"]))
