"""A network from the nodes of a NIR graph, by NIR's own meaning, discretised."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch

from neurosleep.errors import ExchangeError, NeurosleepError, SettingsError
from neurosleep.exchange.inexact import ExchangeWarning
from neurosleep.exchange.nir.defects import defects
from neurosleep.exchange.nir.nodes import LINEAR, NEURONS, Floats, Nodes
from neurosleep.exchange.nir.simplify import Parts, contract, delay_loops
from neurosleep.exchange.nir.time_constants import Discretisation, decays, gains
from neurosleep.spiking import Conv, Dense, Identity, Pool, Population, Projection, SpikingNetwork

__all__ = ["Builder", "NIRReset", "NIRWriter"]

NIRWriter = Literal["nir", "snntorch", "norse", "sinabs"]
NIRReset = Literal["to_value", "subtract", "subtract-next"]

# A dense matrix made of one number per unit (a Scale node with different numbers) has at most so many entries.
_DIAGONAL = 2**24


class Builder:
    """What makes populations and projections of nodes; see :func:`from_nir` for what it takes."""

    def __init__(
        self, graph: Nodes, dt: float | None, discretisation: Discretisation, writer: NIRWriter, reset: NIRReset | None
    ) -> None:
        self.graph, self.given_dt, self.discretisation, self.writer = graph, dt, discretisation, writer
        theirs: dict[str, NIRReset] = {"snntorch": "subtract-next", "sinabs": "subtract"}
        self.reset = reset or theirs.get(writer, "to_value")
        self.parts = Parts()
        self.gains: dict[str, Floats] = {}

    def network(self) -> SpikingNetwork:
        """The network, with as few relays as can be."""
        neurons = [key for key in self.graph.nodes if self.graph.kind(key) in NEURONS]
        kinds = {key: self.graph.kind(key) for key in self.graph.nodes}
        timed = [key for key, kind in kinds.items() if kind in (*NEURONS, "Delay") and kind != "Threshold"]
        if self.given_dt is None and timed:
            raise SettingsError(
                f"The graph has no time step, and the node {timed[0]!r} needs one.",
                expected="dt in seconds: dt=0.001, on the command line --dt 0.001",
                hint="snnTorch writes for dt=1e-4, Norse usually for dt=1e-3, sinabs for steps of any length; "
                "writer= (--writer snntorch, norse, sinabs) puts right what they write otherwise, and reset= (--reset "
                "subtract) tells the reset, which NIR does not",
            )
        self.dt = 0.001 if self.given_dt is None else self.given_dt
        self.graph.find_shapes()
        for message in defects(self.graph, self.writer, self.dt):
            warnings.warn(message, ExchangeWarning, stacklevel=4)
        for key in self.graph.nodes:
            kind = self.graph.kind(key)
            if kind == "Input":
                self._add(Population(key, "input", self.graph.shape(key)))
            elif key in neurons:
                self._neuron(key, kind)
        for key in self.graph.nodes:
            if self.graph.kind(key) in LINEAR:
                self._linear(key)
        for key in self.graph.nodes:
            if self.graph.kind(key) in ("Input", *NEURONS):
                for other in self.graph.after[key]:
                    if self.graph.kind(other) in NEURONS:
                        self._project(key, key, other, Identity)
            if self.graph.kind(key) == "Output":
                self._output(key)
        if not any(p.kind == "input" for p in self.parts.populations.values()):
            raise ExchangeError("The graph has no input.", expected="a node of kind Input")
        contract(self.parts)
        delay_loops(self.parts)
        populations = []
        for name, p in self.parts.populations.items():
            if name in self.parts.biases and p.kind != "input":
                p = dataclasses.replace(
                    p, bias=self._parameter(self.parts.biases[name] * self.gains.get(name, np.ones(1)))
                )
            populations.append(p)
        projections = []
        for q in self.parts.projections:
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
        self.parts.populations[population.name] = population

    @staticmethod
    def _parameter(values: Floats) -> float | torch.Tensor:
        flat = np.asarray(values, dtype=np.float64).reshape(-1)
        return float(flat[0]) if (flat == flat[0]).all() else torch.from_numpy(flat.copy())

    def _decay(self, key: str, field: str) -> tuple[Floats, Floats]:
        """Decay and gain per step from a time constant."""
        tau = self.graph.vector(key, field)
        if self.writer == "norse":
            tau = tau / self.dt
        elif self.writer == "sinabs":  # in steps
            tau = tau * self.dt
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
        size, shape = math.prod(self.graph.shape(key)), self.graph.shape(key)
        fields: dict[str, Any] = {}
        if kind == "Threshold":
            gain, decay, fields = np.ones(size), np.zeros(size), {"threshold": self.graph.vector(key, "threshold")}
        elif kind in ("IF", "I"):
            step = 1.0 if self.writer in ("norse", "sinabs") and kind == "IF" else self.dt
            gain, decay = self.graph.vector(key, "r") * step, np.ones(size)
        elif kind in ("CubaLIF", "CubaLI"):
            synaptic, jump = self._decay(key, "tau_syn")
            decay, pull = self._decay(key, "tau_mem")
            jump = np.ones(size) if self.writer == "norse" else jump
            gain = jump * self.graph.vector(key, "w_in") * pull * self.graph.vector(key, "r")
            fields["synaptic_decay"] = synaptic
        else:
            decay, pull = self._decay(key, "tau")
            gain = pull * self.graph.vector(key, "r")
        # R = tau/dt in float32 gives a gain of 1 only to its rounding.
        gain = np.where(np.abs(gain - 1) < 1e-6, 1.0, gain)
        fields["decay"] = decay
        if kind in ("LIF", "CubaLIF", "LI", "CubaLI"):
            fields["leak"] = self.graph.vector(key, "v_leak")
        if kind in ("LIF", "CubaLIF", "IF"):
            fields["threshold"] = self.graph.vector(key, "v_threshold")
            fields["reset_value"] = self.graph.vector(key, "v_reset")
            if self.reset == "to_value":
                fields = _not_negative(fields)
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
            parameters["compare"] = ">=" if self.writer == "sinabs" else ">"
            if self.reset != "to_value" and kind != "Threshold":
                parameters["reset"] = "subtract"
                parameters["reset_time"] = "next" if self.reset == "subtract-next" else "same"
        make: Any = Population
        self._add(self._named(f"The node {key!r}", lambda: make(key, what, shape, **parameters)))

    def _source(self, key: str) -> str | None:
        """The population whose output comes to a linear node."""
        coming = self.graph.before[key]
        if not coming:
            return None
        if len(coming) == 1:
            return self._gives(coming[0])
        name = f"{key}.sum"
        if name not in self.parts.populations:
            self._add(Population(name, "relay", self.graph.shape(coming[0])))
            for other in coming:
                self._project(key, self._gives(other), name, Identity)
        return name

    def _gives(self, key: str) -> str:
        """The population that carries the output of a node."""
        if self.graph.kind(key) in ("Input", *NEURONS):
            return key
        if key not in self.parts.populations:
            self._add(Population(key, "relay", self.graph.shape(key)))
        return key

    def _takes(self, key: str) -> str:
        """The population that takes the output of a linear node: that of the only node after it, or a relay."""
        after = self.graph.after[key]
        if len(after) == 1 and self.graph.kind(after[0]) in NEURONS:
            return after[0]
        return self._gives(key)

    def _linear(self, key: str) -> None:
        source = self._source(key)
        if source is None:
            return  # nothing ever comes to it
        target, kind, node = self._takes(key), self.graph.kind(key), self.graph.nodes[key]
        if target == key:
            for other in self.graph.after[key]:
                if self.graph.kind(other) in NEURONS:
                    self._project(key, key, other, Identity)
        if kind in ("Linear", "Affine"):
            self._project(key, source, target, Dense, weight=self._weight(key))
            if kind == "Affine":
                self.parts.add_bias(key, target, self.graph.array(key, "bias").astype(np.float64).reshape(-1))
        elif kind in ("Conv1d", "Conv2d"):
            dims = 1 if kind == "Conv1d" else 2
            shape = self.graph.shape(key)
            window: dict[str, Any] = {f: self.graph.geometry(key, f, dims) for f in ("stride", "padding", "dilation")}
            groups = self.graph.geometry(key, "groups", 1)[0]
            self._project(key, source, target, Conv, weight=self._weight(key), groups=groups, **window)
            if node.bias is not None:
                bias = self.graph.array(key, "bias").astype(np.float64).reshape(-1)
                if len(bias) not in (1, shape[0]):
                    raise ExchangeError(
                        f"The node {key!r} has {len(bias)} biases.", expected=f"one for each of {shape[0]} channels"
                    )
                self.parts.add_bias(key, target, np.repeat(np.broadcast_to(bias, shape[:1]), math.prod(shape[1:])))
        elif kind in ("SumPool2d", "AvgPool2d"):
            self.graph.shape(key)
            mode = "sum" if kind == "SumPool2d" else "average"
            fields = {"kernel": "kernel_size", "stride": "stride", "padding": "padding"}
            window = {field: self.graph.geometry(key, theirs, 2) for field, theirs in fields.items()}
            self._project(key, source, target, Pool, mode=mode, **window)
        elif kind == "Scale":
            self._scale(key, source, target)
        elif kind == "Delay":
            self._project(key, source, target, Identity, delay=self._steps(key))
        else:
            self._project(key, source, target, Identity)

    def _weight(self, key: str) -> torch.Tensor:
        weight = self.graph.array(key, "weight")
        if weight.dtype.kind != "f" or weight.dtype.itemsize < 4:
            weight = weight.astype(np.float32)
        return torch.from_numpy(np.array(weight, dtype=np.float64 if weight.dtype.itemsize > 4 else np.float32))

    def _scale(self, key: str, source: str, target: str) -> None:
        values = self.graph.vector(key, "scale")
        if (values == values[0]).all():
            self._project(key, source, target, Identity, scale=float(values[0]))
            return
        if len(values) ** 2 > _DIAGONAL:
            raise ExchangeError(
                f"The node {key!r} scales {len(values)} units by different factors.",
                expected=f"one factor, or at most {math.isqrt(_DIAGONAL)} units",
            )
        self._project(key, source, target, Dense, weight=torch.diag(torch.from_numpy(values.astype(np.float32))))

    def _steps(self, key: str) -> int:
        delay = self.graph.array(key, "delay").astype(np.float64).reshape(-1)
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

    def _project(self, key: str, source: str, target: str, kind: type[Projection], **fields: Any) -> None:
        a, b = self.parts.populations[source], self.parts.populations[target]
        expected = (b.size, a.size)
        if kind is Dense and tuple(fields["weight"].shape) != expected:
            raise ExchangeError(
                f"The node {key!r} has a weight of shape {tuple(fields['weight'].shape)}.",
                expected=f"[out, in] = {expected}, for {source!r} -> {target!r}",
            )
        produced = math.prod(self.graph.shape(key)) if kind in (Conv, Pool) else a.size
        if kind is not Dense and produced != b.size:
            raise ExchangeError(
                f"{source!r} -> {target!r} at node {key!r}: {produced} values for {b.size} units.",
                expected="sizes that are equal",
            )
        if kind in (Conv, Pool) and b.shape != self.graph.shape(key):
            self.parts.populations[target] = dataclasses.replace(b, shape=self.graph.shape(key))
        self.parts.projections.append(self._named(f"The node {key!r}", lambda: kind(source, target, **fields)))

    def _output(self, key: str) -> None:
        """A relay, where what goes out is no population's own output."""
        coming = self.graph.before[key]
        if len(coming) > 1:
            self._add(Population(key, "relay", self.graph.shape(coming[0])))
            for other in coming:
                self._project(key, self._gives(other), key, Identity)


def _not_negative(fields: dict[str, Any]) -> dict[str, Any]:
    """The same neurons with thresholds of at least 0, where those of a file (in volts, often) are not.

    Potentials are counted from where they rest, or from the threshold where they rest above it.
    """
    threshold, leak = fields["threshold"], fields.get("leak", np.zeros_like(fields["threshold"]))
    if not (threshold < 0).any():
        return fields
    start = np.minimum(threshold, leak)
    return fields | {
        "threshold": threshold - start,
        "reset_value": fields["reset_value"] - start,
        "leak": leak - start,
    }
