"""SpikingNetwork -> NIR graph. What NIR does not express stands in the metadata of its nodes."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurosleep.errors import UnsupportedError, missing_extra
from neurosleep.exchange.inexact import ExchangeWarning
from neurosleep.exchange.network_format import network_parts
from neurosleep.exchange.nir.moves import Layout, without_moves
from neurosleep.exchange.nir.time_constants import resistances, time_constants
from neurosleep.spiking import (
    Conv,
    Dense,
    Identity,
    Pool,
    Population,
    Projection,
    Reshape,
    SpikingNetwork,
    Transposed,
)
from neurosleep.spiking.given import check_spiking

__all__ = ["NIR_FORMAT", "import_nir", "nir_network", "to_nir"]

#: Version of what neurosleep puts into the metadata.
NIR_FORMAT = 1

Array = npt.NDArray[Any]


def import_nir(purpose: str) -> Any:
    """The package ``nir``, or the error that says how to install it."""
    try:
        import nir
    except ImportError as error:
        raise missing_extra("nir", "nir", purpose) from error
    return nir


def to_nir(network: SpikingNetwork) -> Any:
    r"""The network as a graph of the Neuromorphic Intermediate Representation (NIR).

    Weights are written bit for bit. Neurons become LIF, IF, CubaLIF, LI, CubaLI or I nodes in the unit of their summed
    input: a scale that all projections into a population share divides its potentials, and the resistance makes the
    gain per step 1 (for the network's own discretisation). Other scales become Scale nodes, delays Delay nodes; a
    recurrent projection of one step is an edge of the graph, as NIR means it. Relays between two projections leave no
    node.

    Where NIR has no node for a relay that only moves, scales or shifts values, what reads it does it: a permutation is
    in the columns of a matrix, a normalisation of the input in the weights and biases of the first layer, or in a
    convolution of kernel 1 before one that pads. An input in channels last is one in channels first of the graph; the
    metadata of its node say how to turn images (``axes``).

    Other tools read NIR's own meaning: strict threshold, reset to a value in the same step, no refractoriness. The
    exact values, ``dt``, the decays, what kind of reset, which comparison and everything else that NIR does not
    express are in the metadata of the nodes, and :func:`~neurosleep.exchange.from_nir` gives the same network back
    (that without such relays, where there were any).

    Parameters
    ----------
    network:
        Any network whose wiring NIR has nodes for.

    Returns
    -------
    nir.NIRGraph

    Raises
    ------
    SettingsError
        If ``network`` is no SpikingNetwork.
    UnsupportedError
        If a projection or bias has no place in NIR: a pool over one dimension, a dense projection into a population
        whose two-dimensional shape a convolution then needs, a bias of units that only pools feed.

    Warns
    -----
    ExchangeWarning
        If the graph takes its input in channels first, and the network does not.

    See Also
    --------
    from_nir : the way back
    write_nir : into a file

    References
    ----------
    Pedersen et al. (2024), Neuromorphic Intermediate Representation, doi:10.1038/s41467-024-52259-9.

    Examples
    --------
    >>> import torch
    >>> import neurosleep as ns
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> graph = ns.to_nir(ns.convert(model, torch.rand(20, 4), recipe="percentile"))
    >>> sorted({type(node).__name__ for node in graph.nodes.values()})
    ['Affine', 'I', 'IF', 'Input', 'Output']
    """
    network, layouts = nir_network(check_spiking(network, "written as NIR"))
    for layout in layouts.values():
        warnings.warn(layout.words, ExchangeWarning, stacklevel=2)
    return _Writer(network, layouts).graph()


def nir_network(network: SpikingNetwork) -> tuple[SpikingNetwork, Mapping[str, Layout]]:
    """The network that a graph holds, with the layouts of inputs that it takes in another order.

    It is the one given wherever NIR has nodes for it, else the one without moves.
    """
    try:
        _Writer(network, {})
    except UnsupportedError:
        folded = without_moves(network)
        if folded is None:
            raise
        return folded
    return network, {}


def _value(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        array: Array = value.detach().cpu().numpy()
        return float(array) if array.ndim == 0 else array.copy()
    return value


class _Writer:
    def __init__(self, network: SpikingNetwork, layouts: Mapping[str, Layout]) -> None:
        self.nir = import_nir("Writing NIR")
        self.network, self.layouts = network, layouts
        self.dtype = np.float64 if network.dtype == torch.float64 else np.float32
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.keys: dict[str, str] = {}
        self.ends: dict[str, str] = {}  # population -> the node that carries its output
        self.weights: dict[int, str] = {}  # number of a projection -> the node of its weight
        self.carried: dict[str, int] = {}  # population -> the projection that carries its bias
        for p in network.populations:
            self.keys[p.name] = self._key(p.name)
        for p in network.populations:
            self._check(p)
            self._place_bias(p)

    def graph(self) -> Any:
        """The graph of nodes."""
        network = self.network
        tensors, header = network_parts(network)
        metadata: dict[str, Any] = {}
        for number, p in enumerate(network.populations):
            exact = {
                key: _value(tensors[name])
                for key in ("threshold", "decay", "leak", "reset_value", "bias", "amount", "synaptic_decay")
                if (name := f"population/{p.name}/{key}") in tensors
            }
            if self._has_node(p):
                key = self.keys[p.name]
                self.nodes[key] = node = self._population(p)
                self.ends[p.name] = key
                if p.kind not in ("input", "relay"):
                    node.metadata = {
                        "dt": network.dt,
                        "decay": _value(p.decay),
                        "reset": p.reset,
                        "reset_time": p.reset_time,
                        "compare": p.compare,
                        "refractory": p.refractory,
                        "alpha": self._folded(p),
                    }
                if layout := self.layouts.get(p.name):
                    node.metadata = {
                        "layout": "channels first",
                        "shape_before": np.array(layout.before),
                        "axes": np.array(layout.axes),
                    }
                node.metadata["population"] = p.name
                node.metadata |= {f"exact_{key}": value for key, value in exact.items()}
            else:
                metadata |= {f"population_{number}_{key}": value for key, value in exact.items()}
        waiting = []
        for number, q in enumerate(network.projections):
            waiting.append((q, *self._chain(number, q)))
        for q, chain, into in waiting:
            if into is None:
                continue
            start = self.ends[q.source]
            for a, b in zip([start, *chain], [*chain, into], strict=False):
                if b and (a, b) not in self.edges:
                    self.edges.append((a, b))
        self._outputs()
        metadata |= {
            "writer": "neurosleep",
            "format": NIR_FORMAT,
            "network": json.dumps(header, allow_nan=False),
            "weights": json.dumps(self.weights),
        }
        return self.nir.NIRGraph(nodes=self.nodes, edges=self.edges, metadata=metadata, type_check=False)

    # --- names ---

    def _key(self, name: str) -> str:
        """A key that HDF5 takes, and that no other node has."""
        plain = name.replace("/", "_").strip(".") or "node"
        taken = {*self.keys.values(), *self.nodes}
        key, number = plain, 1
        while key in taken:
            key, number = f"{plain}_{number}", number + 1
        return key

    # --- populations ---

    def _incoming(self, p: Population) -> list[Projection]:
        return [self.network.projections[k] for k in self.network.incoming(p.name)]

    def _has_node(self, p: Population) -> bool:
        if p.kind != "relay":
            return True
        incoming = self._incoming(p)
        return len(incoming) != 1 or isinstance(incoming[0], Identity)

    def _flat(self, p: Population) -> bool:
        return any(isinstance(q, Dense | Transposed | Reshape) for q in self._incoming(p))

    def _shape(self, p: Population) -> tuple[int, ...]:
        return (p.size,) if self._flat(p) else p.shape

    def _check(self, p: Population) -> None:
        for q in self.network.projections:
            if q.source == p.name and isinstance(q, Conv | Pool) and len(p.shape) > 1 and self._flat(p):
                raise UnsupportedError(
                    f"NIR cannot write {q.source!r} -> {q.target!r} ({q.kind}): {p.name!r} has the shape {p.shape} and "
                    "a dense or flatten projection feeds it.",
                    expected="a shape that comes from the input, a convolution or a pool",
                    hint="NIR has no node that turns a vector into a map",
                )

    def _folded(self, p: Population) -> float:
        """The scale shared by all projections into a population of neurons, which its potentials are divided by."""
        scales = {q.scale for q in self._incoming(p)}
        common = scales.pop() if len(scales) == 1 else 1.0
        return common if common > 0 and p.kind not in ("input", "relay") else 1.0

    def _place_bias(self, p: Population) -> None:
        bias = np.broadcast_to(np.asarray(_value(p.bias), dtype=np.float64), (p.size,))
        if not bias.any() or p.kind == "input":
            return
        for k in self.network.incoming(p.name):
            q = self.network.projections[k]
            if q.scale == 0:
                continue
            if isinstance(q, Dense | Transposed):
                self.carried[p.name] = k
                return
            if isinstance(q, Conv) and (bias.reshape(p.shape[0], -1) == bias.reshape(p.shape[0], -1)[:, :1]).all():
                self.carried[p.name] = k
                return
        raise UnsupportedError(
            f"NIR has no place for the bias of population {p.name!r}.",
            found=", ".join(sorted({q.kind for q in self._incoming(p)})) or "no projection into it",
            expected="a dense projection into it, or a convolution with one bias per channel",
        )

    def _cuba_li(self, p: Population) -> Any:
        if not hasattr(self.nir, "CubaLI"):
            raise UnsupportedError(
                f"This version of the package nir has no node for the synaptic current of population {p.name!r} (li).",
                expected="nir 1.0.8 or newer",
                hint="pip install --upgrade nir",
            )
        return self.nir.CubaLI

    def _population(self, p: Population) -> Any:
        nir, network = self.nir, self.network
        if p.kind == "input":
            return nir.Input(input_type=np.array(p.shape))
        shape, folded = self._shape(p), self._folded(p)
        if p.kind == "relay":
            return nir.Scale(scale=np.ones(shape, dtype=self.dtype))

        def vector(value: Any) -> npt.NDArray[np.float64]:
            array = np.asarray(_value(value), dtype=np.float64)
            return np.ascontiguousarray(np.broadcast_to(array.reshape(-1) if array.ndim else array, (p.size,)))

        def cast(array: npt.NDArray[np.float64]) -> Array:
            return array.reshape(shape).astype(self.dtype)

        decay = vector(p.decay)
        potentials = {"v_leak": cast(vector(p.leak) / folded)}
        if p.kind != "li":
            potentials |= {
                "v_threshold": cast(vector(p.threshold) / folded),
                "v_reset": cast(vector(p.reset_value) / folded),
            }
        synaptic = vector(p.synaptic_decay)
        if p.kind == "cuba_lif" or (p.kind == "li" and synaptic.any()):
            kind = nir.CubaLIF if p.kind == "cuba_lif" else self._cuba_li(p)
            return kind(
                tau_syn=cast(time_constants(synaptic, network.dt, network.discretisation)),
                tau_mem=cast(time_constants(decay, network.dt, network.discretisation)),
                r=cast(resistances(decay)),
                w_in=cast(resistances(synaptic)),
                **potentials,
            )
        if (decay == 1).all() and not potentials["v_leak"].any():
            del potentials["v_leak"]
            r = np.full(shape, 1 / network.dt, dtype=self.dtype)
            return nir.I(r=r) if p.kind == "li" else nir.IF(r=r, **potentials)
        tau = cast(time_constants(decay, network.dt, network.discretisation))
        kind = nir.LI if p.kind == "li" else nir.LIF
        return kind(tau=tau, r=cast(resistances(decay)), **potentials)

    # --- projections ---

    def _chain(self, number: int, q: Projection) -> tuple[list[str], str | None]:
        """Make the nodes of a projection; returns them, and the node of its target ('' for a relay without one)."""
        network, nir = self.network, self.nir
        source, target = network.population(q.source), network.population(q.target)
        name = f"{self.keys[q.source]}_to_{self.keys[q.target]}"
        chain: list[str] = []

        def add(suffix: str, node: Any) -> None:
            key = self._key(name + suffix)
            self.nodes[key] = node
            chain.append(key)

        shape = self._shape(source)
        if q.delay > (1 if q.source == q.target else 0):
            add("_delay", nir.Delay(delay=np.full(shape, q.delay * network.dt, dtype=np.float64)))
        if isinstance(q, Dense | Transposed) and len(shape) > 1:
            add("_flatten", nir.Flatten(input_type=np.array(shape), start_dim=0, end_dim=-1))
        main = self._main(number, q, source, target)
        if main is not None:
            main.metadata = {"dt": network.dt, "alpha": q.scale, "delay": q.delay, "plastic": int(q.plastic)}
            add("", main)
            self.weights[number] = chain[-1]
        folded = self._folded(target)
        twins = [k for k, other in enumerate(network.projections) if self._edge_only(other) == (q.source, q.target)]
        if q.scale != folded or number in twins[1:]:
            add("_scale", nir.Scale(scale=np.full(self._shape(target), q.scale / folded, dtype=np.float64)))
        if self._has_node(target):
            return chain, self.keys[target.name]
        self.ends[target.name] = chain[-1]
        return chain, ""

    def _edge_only(self, q: Projection) -> tuple[str, str] | None:
        """Source and target, if an edge is all that NIR sees of this projection; two of them would be one edge."""
        edge = isinstance(q, Identity) and q.delay <= (1 if q.source == q.target else 0)
        return (q.source, q.target) if edge else None

    def _main(self, number: int, q: Projection, source: Population, target: Population) -> Any:
        nir, bias = self.nir, None
        if self.carried.get(q.target) == number:
            scale = q.scale
            values = np.asarray(_value(target.bias), dtype=np.float64) / scale
            bias = np.broadcast_to(values, (target.size,)).astype(self.dtype)
        if isinstance(q, Dense | Transposed):
            array = np.ascontiguousarray(_value(self.network.matrix(q)))
            return nir.Linear(weight=array) if bias is None else nir.Affine(weight=array, bias=bias)
        if isinstance(q, Conv):
            weight, window = _value(q.weight), {key: getattr(q, key) for key in ("stride", "padding", "dilation")}
            channels = np.zeros(target.shape[0], dtype=self.dtype)
            if bias is not None:
                channels = bias.reshape(target.shape[0], -1)[:, 0].copy()
            if len(q.kernel) == 1:
                numbers = {key: value[0] for key, value in window.items()}
                return nir.Conv1d(
                    input_shape=source.shape[1],
                    weight=weight,
                    groups=q.groups,
                    bias=channels,
                    **numbers,
                )
            node = nir.Conv2d(
                input_shape=tuple(source.shape[1:]),
                weight=weight,
                groups=q.groups,
                bias=channels,
                **window,
            )
            node.input_type = {"input": np.array(source.shape)}
            node.output_type = {"output": np.array(target.shape)}
            return node
        if isinstance(q, Pool):
            if len(q.kernel) != 2:
                raise UnsupportedError(
                    f"NIR has no pool over {len(q.kernel)} dimension(s): {q.source!r} -> {q.target!r}.",
                    expected="a pool over two dimensions",
                )
            kind = nir.SumPool2d if q.mode == "sum" else nir.AvgPool2d
            return kind(kernel_size=np.array(q.kernel), stride=np.array(q.stride), padding=np.array(q.padding))
        if isinstance(q, Reshape):
            return nir.Flatten(input_type=np.array(self._shape(source)), start_dim=0, end_dim=-1)
        return None

    def _outputs(self) -> None:
        others = {q.source for q in self.network.projections if q.source != q.target}
        last = [p for p in self.network.layers if p.name not in others] or list(self.network.layers[-1:])
        for p in last:
            if p.name in self.ends:
                key = self._key("output" if len(last) == 1 else f"output_{p.name}")
                self.nodes[key] = self.nir.Output(output_type=np.array(self._shape(p)))
                self.edges.append((self.ends[p.name], key))
