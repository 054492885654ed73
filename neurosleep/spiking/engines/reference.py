"""The definition: the step contract in plain torch, any dtype, any device; the other torch engines build on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from neurosleep.functional import (
    CubaLIFState,
    LIFState,
    PlasticityRule,
    PooledSRC,
    SpikeEvents,
    StreamRule,
    StreamUpdates,
    cuba_li_step,
    cuba_lif_step,
    lif_step,
)
from neurosleep.spiking.engines.base import Engine, Session, check_inputs, register_engine
from neurosleep.spiking.engines.batch import BatchInput, BatchSession, ConstantInput
from neurosleep.spiking.geometry import propagate, synapses_with
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.parts import Population
from neurosleep.spiking.plastic import changes
from neurosleep.spiking.projections import Conv, Projection, Transposed, Weighted

__all__ = ["STEPPERS", "CubaLIFStepper", "LIFStepper", "LIStepper", "ReferenceEngine", "Stepper", "TorchSession"]


class Stepper:
    """The neurons of one population: takes the summed input ``[batch, n]``, gives boolean spikes ``[batch, n]``."""

    def __init__(self, population: Population, dtype: torch.dtype, device: str, batch: int) -> None:
        self.p = population.lif_params(dtype, device)
        v = torch.as_tensor(population.leak, dtype=dtype, device=device).expand(batch, population.size).clone()
        self.state = LIFState(v, torch.zeros(batch, population.size, dtype=torch.int64, device=device))

    def step(self, current: Tensor) -> Tensor:
        """Advance by one step."""
        raise TypeError("a stepper must say how it advances")


class LIFStepper(Stepper):
    """LIF units by :func:`~neurosleep.functional.lif_step`."""

    def step(self, current: Tensor) -> Tensor:
        """Advance by one step."""
        spiked, self.state = lif_step(current, self.state, self.p)
        return spiked


class _SynapticStepper(Stepper):
    """Units with a synaptic current ``i``."""

    def __init__(self, population: Population, dtype: torch.dtype, device: str, batch: int) -> None:
        super().__init__(population, dtype, device, batch)
        self.synaptic_decay = torch.as_tensor(population.synaptic_decay, dtype=dtype, device=device)
        self.i = torch.zeros_like(self.state.v)


class CubaLIFStepper(_SynapticStepper):
    """LIF units with synaptic currents, by :func:`~neurosleep.functional.cuba_lif_step`."""

    def step(self, current: Tensor) -> Tensor:
        """Advance by one step."""
        state = CubaLIFState(*self.state, self.i)
        spiked, (v, wait, self.i) = cuba_lif_step(current, state, self.p, self.synaptic_decay)
        self.state = LIFState(v, wait)
        return spiked


class LIStepper(_SynapticStepper):
    """Leaky integrators by :func:`~neurosleep.functional.cuba_li_step`: no spikes, a potential to read."""

    def step(self, current: Tensor) -> Tensor:
        """Advance by one step."""
        p = self.p
        v, self.i = cuba_li_step(current, self.state.v, self.i, p.decay, p.leak, self.synaptic_decay)
        self.state = LIFState(v, self.state.wait)
        return torch.zeros_like(v, dtype=torch.bool)


class TorchSession(Session, BatchSession):
    """Steps a network population by population; only the neurons' own step differs between the torch engines."""

    def __init__(
        self,
        network: SpikingNetwork,
        rule: PlasticityRule | Sequence[PlasticityRule | None] | None,
        device: str,
        steppers: Mapping[str, Callable[[Population, torch.dtype, str, int], Stepper]],
        batch: int = 1,
        updates: StreamUpdates | None = None,
    ) -> None:
        # How the members of a batch change the weights together; None: the first one alone.
        self._updates = updates
        self._network, self._device = network, device
        # One rule for every plastic projection, or a list with one for each projection.
        each = list(rule) if isinstance(rule, Sequence) else [rule] * len(network.projections)
        self._rules = [r if changes(r, q) else None for r, q in zip(each, network.projections, strict=True)]
        self._weights = [
            q.weight.detach().clone().to(device) if isinstance(q, Weighted) else None for q in network.projections
        ]
        for k, projection in enumerate(network.projections):
            if isinstance(projection, Transposed) and (shared := self._weights[network.owner(k)]) is not None:
                # A view: whatever changes the one is seen by the other.
                self._weights[k] = shared.T
        self._dtype, self._batch = network.dtype, batch
        self._traces = [
            () if own is None or w is None else own.initial_traces(w)
            for own, w in zip(self._rules, self._weights, strict=True)
        ]
        # Weights of a projection's own first, then those that it shares: the order that Projection states.
        own = [k for k, q in enumerate(network.projections) if not isinstance(q, Transposed)]
        sharing = [k for k, q in enumerate(network.projections) if isinstance(q, Transposed)]
        self._own, self._update_order = own, own + sharing
        self._steppers = {
            p.name: steppers[p.kind](p, self._dtype, device, batch) for p in network.populations if p.kind in steppers
        }
        self._bias = {p.name: torch.as_tensor(p.bias, dtype=self._dtype, device=device) for p in network.populations}
        longest = max([projection.delay for projection in network.projections], default=0)
        silent = {p.name: torch.zeros(batch, p.size, dtype=torch.bool, device=device) for p in network.populations}
        # Looked up once: a network answers by name, and slowly.
        self._plan = [(p, network.incoming(p.name)) for p in network.layers]
        # What arrives through a projection in every step, of a batch with a constant input.
        self._held: dict[int, Tensor] = {}
        # Of each population, what it sent since the start of the session: kept while batches are stepped.
        self._totals = {
            p.name: torch.zeros(batch, p.size, dtype=self._dtype, device=device) for p in network.populations
        }
        # past[0] is the present step, past[d] the step d before it.
        self._past: deque[dict[str, Tensor]] = deque([dict(silent) for _ in range(longest + 1)], maxlen=longest + 1)

    def step(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One step of the contract: boolean input spikes ``[batch, n]`` by input population; all spikes come back.

        An input of floating point is a graded one: its values take the place of the spikes' ones. What a relay sends is
        graded too.
        """
        network, now = self._network, dict(inputs)
        self._past.appendleft(now)
        for population, incoming in self._plan:
            name = population.name
            current = self._bias[name]
            for k in incoming:
                projection = network.projections[k]
                source = self._past[projection.delay][projection.source]
                if k in self._held:
                    current = current + self._held[k]
                elif source.any():
                    current = current + projection.scale * self._arriving(k, source.to(self._dtype))
            if population.kind == "relay":
                now[name] = current.expand(self._batch, population.size)
                continue
            stepper = self._steppers[name]
            now[name] = stepper.step(current.expand_as(stepper.state.v))
        # Rows and columns of one projection only; the contract lets updates wait for the end of the step.
        for k in self._update_order:
            projection, own, weight = network.projections[k], self._rules[k], self._weights[k]
            if own is None or weight is None:
                continue
            pre, post = self._past[projection.delay][projection.source] != 0, now[projection.target] != 0
            if isinstance(projection, Conv):
                if isinstance(own, PooledSRC) and post.any():
                    self._pool(projection, own, weight, pre[0], post[0])
            elif self._updates is None:
                self._traces[k] = own.step_(weight, pre[0], post[0], self._traces[k])
            else:
                assert isinstance(own, StreamRule)
                own.step_streams_(weight, pre, post, self._updates)
        return now

    def _pool(self, projection: Conv, rule: PooledSRC, weight: Tensor, pre: Tensor, post: Tensor) -> None:
        shapes = [self._network.population(name).shape for name in (projection.source, projection.target)]
        both, alone = (synapses_with(projection, side, post, shapes[0], shapes[1]) for side in (pre, ~pre))
        rule.step_pooled_(weight, both, alone)

    def _arriving(self, k: int, source: Tensor) -> Tensor:
        """What ``source`` ``[batch, n]`` makes arrive through projection ``k``, its scale left out."""
        projection = self._network.projections[k]
        return propagate(projection, source, self._network.population(projection.source).shape, self._weights[k])

    @torch.no_grad()
    def run(self, inputs: Mapping[str, SpikeEvents]) -> dict[str, SpikeEvents]:
        """Advance by the steps of ``inputs``."""
        batch = self._batch
        steps = check_inputs(self._network, inputs, batch)
        if steps == 0:
            return {p.name: SpikeEvents.empty(batch * p.size) for p in self._network.populations}
        fired: dict[str, list[Tensor]] = {p.name: [] for p in self._network.populations}
        dense = {name: events.to_dense(torch.bool).to(self._device) for name, events in inputs.items()}
        for t in range(steps):
            for name, spikes in self.step({name: d[t].reshape(batch, -1) for name, d in dense.items()}).items():
                fired[name].append(spikes.reshape(-1).nonzero().squeeze(1))
        result = {}
        for population in self._network.populations:
            if population.name in inputs:
                result[population.name] = inputs[population.name]
                continue
            neurons = torch.cat(fired[population.name]).cpu().numpy()
            widths = torch.tensor([len(f) for f in fired[population.name]])
            offsets = torch.cat([torch.zeros(1, dtype=torch.int64), widths.cumsum(0)]).numpy()
            result[population.name] = SpikeEvents._trusted(batch * population.size, offsets, neurons.astype("int32"))
        return result

    @torch.no_grad()
    def advance(self, sent: BatchInput) -> Tensor:
        """Advance a batch by the steps of ``sent``; the read-out after each of them, ``[steps, batch, n]``."""
        (source,) = self._network.inputs
        last = self._network.last
        if isinstance(sent, ConstantInput):
            self._hold(source.name, sent.values.to(self._device, self._dtype))
        said = torch.empty(sent.steps, self._batch, last.size, dtype=self._dtype, device=self._device)
        for t in range(sent.steps):
            for name, found in self.step({source.name: sent.at(t).to(self._device)}).items():
                self._totals[name] += found
            said[t] = self._steppers[last.name].state.v if last.kind == "li" else self._totals[last.name]
        return said

    def _hold(self, name: str, values: Tensor) -> None:
        """Compute once what the constant ``values`` of input ``name`` make arrive at every step."""
        for k, projection in enumerate(self._network.projections):
            if projection.source == name and projection.delay == 0 and k not in self._held:
                self._held[k] = projection.scale * self._arriving(k, values)

    def totals(self) -> Mapping[str, Tensor]:
        """By population, ``[batch, n]``: what it sent while :meth:`advance` stepped it."""
        return {name: total.clone() for name, total in self._totals.items()}

    def weights(self) -> list[Tensor]:
        """The present weights."""
        return [w.detach().cpu().clone() for k in self._own if (w := self._weights[k]) is not None]

    def membranes(self) -> dict[str, Tensor]:
        """The present membrane potentials, of several streams one after another."""
        return {name: v.reshape(-1) for name, v in self.batch_membranes().items()}

    def batch_membranes(self) -> dict[str, Tensor]:
        """The present membrane potentials ``[batch, n]``, by population."""
        return {name: stepper.state.v.detach().cpu().clone() for name, stepper in self._steppers.items()}


#: How the neurons of each kind are stepped.
STEPPERS: Mapping[str, type[Stepper]] = {"lif": LIFStepper, "cuba_lif": CubaLIFStepper, "li": LIStepper}


@register_engine
class ReferenceEngine(Engine):
    """Plain torch, dense input sums, row-sparse plasticity."""

    name: ClassVar[str] = "reference"
    devices: ClassVar[frozenset[str]] = frozenset({"cpu", "cuda"})
    population_kinds: ClassVar[frozenset[str]] = frozenset({"input", "relay", *STEPPERS})
    projection_types: ClassVar[frozenset[type[Projection]]] = frozenset({Projection})
    rules: ClassVar[frozenset[str]] = frozenset({"*"})
    synaptic_integrators: ClassVar[bool] = True
    symmetric_rules: ClassVar[frozenset[str]] = frozenset({"*"})
    reset_times: ClassVar[frozenset[str]] = frozenset({"same", "next", "guarded"})
    batches: ClassVar[bool] = True
    homeostasis: ClassVar[frozenset[str]] = frozenset({"weights"})
    spike_counts: ClassVar[bool] = True
    streams: ClassVar[bool] = True

    def start_batch(self, network: SpikingNetwork, batch: int, *, device: str = "cpu") -> TorchSession:
        """As of every engine that steps batches; this session can also be stepped one step at a time."""
        session = super().start_batch(network, batch, device=device)
        assert isinstance(session, TorchSession)
        return session

    def _start(self, network: SpikingNetwork, rule: PlasticityRule | None, device: str) -> Session:
        return TorchSession(network, rule, device, STEPPERS)

    def _start_batch(self, network: SpikingNetwork, batch: int, device: str) -> TorchSession:
        return TorchSession(network, None, device, STEPPERS, batch)

    def _start_streams(
        self,
        network: SpikingNetwork,
        rule: StreamRule | None,
        streams: int,
        updates: StreamUpdates,
        device: str,
    ) -> Session:
        return TorchSession(network, rule, device, STEPPERS, streams, updates)
