"""The engine ``fixed``: a mapped network, stepped in the integers of its chip, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurosleep.errors import UnsupportedError
from neurosleep.functional import EngineRule, LIFState, PlasticityRule, SpikeEvents, lif_step
from neurosleep.hardware.arithmetic.arithmetic import Arithmetic
from neurosleep.hardware.arithmetic.registers import Register
from neurosleep.hardware.emulation.chip_rule import ChipRule, SynapseRule
from neurosleep.hardware.emulation.compiled_steps import CompiledSteps, FixedState
from neurosleep.hardware.mapping.mapped import MappedNetwork, check_whole
from neurosleep.spiking import (
    Dense,
    Engine,
    Population,
    Projection,
    Session,
    SpikingNetwork,
    Transposed,
    get_engine,
    register_engine,
)
from neurosleep.spiking.engines.base import check_inputs
from neurosleep.spiking.engines.reference import STEPPERS, ReferenceEngine, Stepper, TorchSession

__all__ = ["FixedEngine", "FixedSession"]


def _rules(network: MappedNetwork, rule: ChipRule) -> list[SynapseRule | None]:
    """The rule of each projection; None for those that are not plastic."""
    if rule.profile != network.profile:
        raise UnsupportedError(
            f"The network was mapped to {network.profile!r}, and the rule is that of {rule.profile!r}.",
            expected=f"neurosleep.hardware.chip_rule({network.profile!r}, rule)",
        )
    synapses = network.synapses or (None,) * len(network.projections)
    rules: list[SynapseRule | None] = []
    for k, (q, stands_for) in enumerate(zip(network.projections, synapses, strict=True)):
        changes = q.plastic and isinstance(q, Dense)
        if changes and stands_for is None:
            raise UnsupportedError(
                f"Projection {q.source!r} -> {q.target!r} does not say what its integers stand for.",
                expected="a network that neurosleep.map_to made",
                hint=f"neurosleep.map_to(network, {network.profile!r})",
            )
        rules.append(rule.on(stands_for, k) if changes and stands_for else None)
    return rules


class _FixedStepper(Stepper):
    r"""Neurons of a chip.

    .. math::
        u \leftarrow hold(\lfloor u b \rfloor + hold(a)), \quad v \leftarrow hold(\lfloor v d \rfloor + u + bias)

    with the step's synaptic input a, the chip's rounding of decays and what its registers hold. Comparison, reset and
    refractoriness are those of the step contract. A leak that is a constant is taken from v, toward 0, after u and the
    bias have been added. Where the chip goes by events (:attr:`Arithmetic.by_event`), each is added by itself and
    followed by the comparison, after the leak of the step before; what a neuron fires beyond one spike in a step is
    lost, and counted.
    """

    def __init__(
        self,
        population: Population,
        dtype: torch.dtype,
        device: str,
        batch: int,
        *,
        arithmetic: Arithmetic,
        leaks: Mapping[str, Tensor],
    ) -> None:
        super().__init__(population, dtype, device, batch)
        self._arithmetic = arithmetic
        self._leak = leaks.get(population.name)
        # Where a constant is taken away instead, the factor is only what it stands for.
        self._decay = torch.ones_like(self.p.decay) if arithmetic.decay == "subtract" else self.p.decay
        # The decay has taken place where lif_step is called: its sum is what it is given.
        self.p = self.p._replace(decay=torch.zeros_like(self.p.decay))
        self._synaptic_decay = torch.as_tensor(population.synaptic_decay, dtype=dtype, device=device)
        self._bias = torch.as_tensor(population.bias, dtype=dtype, device=device)
        self._fires = population.kind != "li"
        self.i = torch.zeros_like(self.state.v)
        self.overflows = {"accumulator": 0, "current": 0, "membrane": 0}
        if arithmetic.by_event:
            self.overflows["spikes"] = 0

    def _held(self, name: str, register: Register | None, x: Tensor) -> Tensor:
        if register is None:
            return x
        beyond = int(register.overflowed(x).sum())
        if not beyond:
            return x
        self.overflows[name] += beyond
        return register.hold(x)

    def step(self, current: Tensor) -> Tensor:
        """Advance by one step; ``current`` is the synaptic input alone."""
        a = self._arithmetic
        arriving = self._held("accumulator", a.accumulator, current)
        kept = 0.0 if a.current is None else a.decayed(self.i, self._synaptic_decay)
        self.i = self._held("current", a.current, kept + arriving)
        v = a.decayed(self.state.v, self._decay) + self.i + self._bias
        if self._leak is not None:
            v = a.leaked(v, self._leak)
        v = self._held("membrane", a.membrane, v)
        if not self._fires:
            self.state = LIFState(v, self.state.wait)
            return torch.zeros_like(v, dtype=torch.bool)
        spiked, self.state = lif_step(v, self.state, self.p)
        return spiked

    def by_events(self, events: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
        """Advance by one step of events: of each presynaptic neuron its spikes ``[batch]`` and its weights ``[n]``."""
        a, v = self._arithmetic, self.state.v
        if self._leak is not None:
            v = a.leaked(v, self._leak)
        v = self._held("membrane", a.membrane, v + self._bias)
        fired = torch.zeros_like(v, dtype=torch.bool)
        for sent, weights in events:
            there = (sent != 0).unsqueeze(1)
            v = self._held("membrane", a.membrane, v + sent.to(v.dtype).unsqueeze(1) * weights)
            if self._fires:
                spiked, after = lif_step(v, LIFState(torch.zeros_like(v), self.state.wait), self.p)
                spiked = spiked & there
                v = torch.where(spiked, after.v, v)
                self.overflows["spikes"] += int((spiked & fired).sum())
                fired = fired | spiked
        self.state = LIFState(v, self.state.wait)
        return fired


class _MappedSession(TorchSession):
    """Leaves out of products what is 0: of split sums, each helper hears a few of the inputs only."""

    def __init__(
        self,
        network: SpikingNetwork,
        rule: PlasticityRule | Sequence[PlasticityRule | None] | None,
        device: str,
        steppers: Mapping[str, Callable[[Population, torch.dtype, str, int], Stepper]],
        batch: int = 1,
    ) -> None:
        super().__init__(network, rule, device, steppers, batch)
        self._heard: dict[int, tuple[Tensor, Tensor]] = {}
        for k, (q, weight) in enumerate(zip(network.projections, self._weights, strict=True)):
            if rule is None and weight is not None and isinstance(q, Dense | Transposed):
                columns = weight.any(0).nonzero().flatten()
                if 2 * len(columns) <= weight.shape[1]:
                    self._heard[k] = columns, weight[:, columns].T.contiguous()

    def _arriving(self, k: int, source: Tensor) -> Tensor:
        if k not in self._heard:
            return super()._arriving(k, source)
        columns, weight = self._heard[k]
        return source[:, columns] @ weight


class FixedSession(_MappedSession):
    """A mapped network being stepped; the sums of its inputs are exact, and so is all that follows.

    One :meth:`step` is plain torch. :meth:`run` does the same steps compiled where it can.
    """

    def __init__(
        self,
        network: MappedNetwork,
        arithmetic: Arithmetic,
        device: str,
        batch: int = 1,
        rule: ChipRule | None = None,
    ) -> None:
        stepper = partial(_FixedStepper, arithmetic=arithmetic, leaks=network.leaks)
        rules = None if rule is None else _rules(network, rule)
        super().__init__(
            network.to(torch.float64), rules, device, {"lif": stepper, "cuba_lif": stepper, "li": stepper}, batch
        )
        self._payload, self._by_event = arithmetic.payload_bits, arithmetic.by_event
        # A chip adds the bias to the membrane, after the current: the neurons themselves do.
        self._bias = {
            name: torch.zeros_like(bias) if name in self._steppers else bias for name, bias in self._bias.items()
        }
        self._mapped, self._arithmetic, self._steps = network, arithmetic, 0
        self._compiled: CompiledSteps | None = None
        self._may_compile = batch == 1 and device == "cpu" and CompiledSteps.offered(network, arithmetic)

    def step(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One step; inputs are spikes, or integers that a spike of the chip can carry."""
        for name, sent in inputs.items():
            if sent.dtype != torch.bool:
                most = 2 ** max(self._payload, 1) - 1
                if not ((sent == torch.round(sent)) & (sent >= 0) & (sent <= most)).all():
                    raise UnsupportedError(
                        f"The input {name!r} sends graded values, which a spike of the chip does not carry.",
                        found=f"values from {float(sent.min()):g} to {float(sent.max()):g}",
                        expected="spikes" if self._payload == 0 else f"integers from 0 to {most}",
                        hint="coding='bernoulli' makes spikes of images",
                    )
        self._take_back()
        self._steps += 1
        return self._step_by_event(inputs) if self._by_event else super().step(inputs)

    def _step_by_event(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As the step of every engine, but for the events, which are not summed."""
        now = dict(inputs)
        self._past.appendleft(now)
        for population, incoming in self._plan:
            stepper = self._steppers[population.name]
            assert isinstance(stepper, _FixedStepper)  # relays are refused
            now[population.name] = stepper.by_events(self._events(incoming))
        return now

    def _events(self, incoming: list[int]) -> Iterator[tuple[Tensor, Tensor]]:
        for k in incoming:
            projection, weight = self._network.projections[k], self._weights[k]
            assert weight is not None  # only matrices are let through
            source = self._past[projection.delay][projection.source]
            for j in source.any(0).nonzero().flatten().tolist():
                yield source[:, j], projection.scale * weight[:, j]

    @torch.no_grad()
    def run(self, inputs: Mapping[str, SpikeEvents]) -> dict[str, SpikeEvents]:
        """Advance by the steps of ``inputs``."""
        if not self._may_compile:
            return super().run(inputs)
        steps = check_inputs(self._network, inputs)
        if self._compiled is None:
            self._compiled = CompiledSteps(
                self._mapped,
                self._arithmetic,
                [rule if isinstance(rule, SynapseRule) else None for rule in self._rules],
                self._state(),
            )
        spikes = self._compiled.run(inputs)
        self._steps += steps
        return spikes

    def _state(self) -> FixedState:
        """Everything that changes, as integers of numpy."""

        def whole(x: Tensor) -> npt.NDArray[np.int64]:
            return x.detach().cpu().numpy().astype(np.int64)

        steppers = {name: s for name, s in self._steppers.items() if isinstance(s, _FixedStepper)}
        return FixedState(
            self._steps,
            {name: whole(s.state.v[0]) for name, s in steppers.items()},
            {name: whole(s.i[0]) for name, s in steppers.items()},
            {name: whole(s.state.wait[0]) for name, s in steppers.items()},
            [None if w is None else whole(w) for w in self._weights],
            [whole(t[0]) if t else None for t in self._traces],
            [{name: whole(sent[0]).nonzero()[0] for name, sent in past.items()} for past in self._past],
            {name: dict(s.overflows) for name, s in steppers.items()},
        )

    @torch.no_grad()
    def _take_back(self) -> None:
        """Make what the compiled steps have changed the state of the plain ones."""
        if self._compiled is None:
            return
        state, self._compiled = self._compiled.state(), None
        for name, stepper in self._steppers.items():
            assert isinstance(stepper, _FixedStepper)
            v, wait = torch.from_numpy(state.v[name])[None], torch.from_numpy(state.wait[name])[None]
            stepper.state = LIFState(v.to(torch.float64), wait)
            stepper.i = torch.from_numpy(state.u[name])[None].to(torch.float64)
            stepper.overflows = dict(state.overflows[name])
        for k, found in enumerate(state.weights):
            weight = self._weights[k]
            if found is not None and weight is not None:
                weight.copy_(torch.from_numpy(found))
        for k, trace in enumerate(state.traces):
            if trace is not None:
                self._traces[k] = (torch.from_numpy(trace), torch.tensor(self._steps))
        for now, past in zip(self._past, state.past, strict=True):
            for name, neurons in past.items():
                now[name] = torch.zeros(1, self._network.population(name).size, dtype=torch.bool)
                now[name][0, torch.from_numpy(neurons)] = True

    def weights(self) -> list[Tensor]:
        """The present weights, integers in float64."""
        self._take_back()
        return super().weights()

    def outliers(self, bound: float) -> list[int]:
        """Weights that are no finite number; what bounds the others is the chip's grid."""
        return super().outliers(math.inf)

    def batch_membranes(self) -> dict[str, Tensor]:
        """The present membrane potentials ``[batch, n]``, by population."""
        self._take_back()
        return super().batch_membranes()

    def overflows(self) -> dict[str, dict[str, int]]:
        """How often a register could not hold its number, by population: accumulator, current and membrane.

        Where a chip goes by events, also the spikes beyond one that neurons fired in a step, which were lost.
        """
        self._take_back()
        steppers = {name: s for name, s in self._steppers.items() if isinstance(s, _FixedStepper)}
        return {name: dict(stepper.overflows) for name, stepper in steppers.items()}

    def currents(self) -> dict[str, Tensor]:
        """The present synaptic currents ``[batch, n]``, by population."""
        self._take_back()
        steppers = {name: s for name, s in self._steppers.items() if isinstance(s, _FixedStepper)}
        return {name: stepper.i.detach().cpu().clone() for name, stepper in steppers.items()}


def _check_events(network: MappedNetwork) -> None:
    """Refuse what does not go event by event."""
    for p in network.layers:
        if p.kind == "relay" or p.refractory or p.reset == "subtract" or bool(torch.as_tensor(p.synaptic_decay).any()):
            raise UnsupportedError(
                f"Population {p.name!r}: it does not go event by event.",
                found=f"kind {p.kind!r}, refractory {p.refractory}, reset {p.reset!r}",
                expected="neurons without synaptic current and refractoriness, which are reset to a value",
            )
    for q in network.projections:
        if not isinstance(q, Dense | Transposed):
            raise UnsupportedError(
                f"Projection {q.source!r} -> {q.target!r}: it does not go event by event.",
                found=f"kind {q.kind!r}",
                expected="a matrix of weights",
                hint=f"map the network again: neurosleep.map_to(network, {network.profile!r})",
            )


@register_engine
class FixedEngine(Engine):
    """Integer arithmetic of a chip, for networks that :func:`~neurosleep.map_to` made.

    Weights change by a rule of the chip (:func:`~neurosleep.hardware.chip_rule`). A network mapped to a profile of
    floating point is stepped by the engine ``reference``.

    See Also
    --------
    neurosleep.map_to : makes the networks that it steps
    neurosleep.spiking.get_engine : the engine by its name

    Examples
    --------
    >>> from neurosleep.hardware import FixedEngine
    >>> FixedEngine().name
    'fixed'
    """

    name: ClassVar[str] = "fixed"
    devices: ClassVar[frozenset[str]] = ReferenceEngine.devices
    population_kinds: ClassVar[frozenset[str]] = ReferenceEngine.population_kinds
    projection_types: ClassVar[frozenset[type[Projection]]] = ReferenceEngine.projection_types
    rules: ClassVar[frozenset[str]] = frozenset({"*"})
    synaptic_integrators: ClassVar[bool] = True
    reset_times: ClassVar[frozenset[str]] = ReferenceEngine.reset_times
    batches: ClassVar[bool] = True
    homeostasis: ClassVar[frozenset[str]] = frozenset({"registers", "weights"})
    general: ClassVar[bool] = False

    def _check(self, network: SpikingNetwork) -> MappedNetwork:
        if not isinstance(network, MappedNetwork):
            raise UnsupportedError(
                "The engine 'fixed' computes in a chip's integers, and this network was not mapped to a chip.",
                expected="a network that neurosleep.map_to made",
                hint="mapped = neurosleep.map_to(network, neurosleep.load_profile('loihi1'))",
            )
        if network.arithmetic is not None:
            for population in network.populations:
                if population.reset_time != "same":
                    raise UnsupportedError(
                        f"The engine 'fixed' cannot step population {population.name!r} in integers.",
                        found=f"reset_time {population.reset_time!r}",
                        expected="reset_time 'same'",
                    )
            check_whole(network, network.arithmetic)
            if network.arithmetic.by_event:
                _check_events(network)
        return network

    def _check_batch(self, network: SpikingNetwork, device: str) -> None:
        super()._check_batch(network, device)
        self._check(network)

    def _start(self, network: SpikingNetwork, rule: PlasticityRule | None, device: str) -> Session:
        mapped = self._check(network)
        if mapped.arithmetic is None:
            return get_engine("reference").start(mapped, rule, device=device)
        return FixedSession(mapped, mapped.arithmetic, device)

    def _start_own(self, network: SpikingNetwork, rule: EngineRule, device: str) -> Session:
        mapped = self._check(network)
        if mapped.arithmetic is None or not isinstance(rule, ChipRule):
            return super()._start_own(network, rule, device)
        if mapped.arithmetic.by_event:
            raise UnsupportedError(
                f"The engine 'fixed' applies no rule to networks that go event by event, as on {mapped.profile!r}.",
                expected="rule=None",
                hint="sleep off chip, before the mapping",
            )
        return FixedSession(mapped, mapped.arithmetic, device, rule=rule)

    def _start_batch(self, network: SpikingNetwork, batch: int, device: str) -> TorchSession:
        mapped = self._check(network)
        if mapped.arithmetic is None:
            return _MappedSession(mapped, None, device, STEPPERS, batch)
        return FixedSession(mapped, mapped.arithmetic, device, batch)
