"""The engine ``fixed``: a mapped network, stepped in the integers of its chip, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from neurosleep.errors import UnsupportedError
from neurosleep.functional import LIFState, PlasticityRule, lif_step
from neurosleep.hardware._arithmetic import Arithmetic
from neurosleep.hardware._mapped import MappedNetwork, check_whole
from neurosleep.hardware._registers import Register
from neurosleep.spiking import Engine, Population, Session, SpikingNetwork, get_engine, register_engine
from neurosleep.spiking.engines.reference import ReferenceEngine, Stepper, TorchSession

__all__ = ["FixedEngine", "FixedSession"]


class _FixedStepper(Stepper):
    r"""Neurons of a chip.

    .. math::
        u \leftarrow hold(\lfloor u b \rfloor + hold(a)), \quad v \leftarrow hold(\lfloor v d \rfloor + u + bias)

    with the step's synaptic input a, the chip's rounding of decays and what its registers hold. Comparison, reset and
    refractoriness are those of the step contract.
    """

    def __init__(
        self, population: Population, dtype: torch.dtype, device: str, batch: int, *, arithmetic: Arithmetic
    ) -> None:
        super().__init__(population, dtype, device, batch)
        self._arithmetic = arithmetic
        self._decay = self.p.decay
        # The decay has taken place where lif_step is called: its sum is what it is given.
        self.p = self.p._replace(decay=torch.zeros_like(self.p.decay))
        self._synaptic_decay = torch.as_tensor(population.synaptic_decay, dtype=dtype, device=device)
        self._bias = torch.as_tensor(population.bias, dtype=dtype, device=device)
        self._fires = population.kind != "li"
        self.i = torch.zeros_like(self.state.v)
        self.overflows = {"accumulator": 0, "current": 0, "membrane": 0}

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
        v = self._held("membrane", a.membrane, a.decayed(self.state.v, self._decay) + self.i + self._bias)
        if not self._fires:
            self.state = LIFState(v, self.state.wait)
            return torch.zeros_like(v, dtype=torch.bool)
        spiked, self.state = lif_step(v, self.state, self.p)
        return spiked


class FixedSession(TorchSession):
    """A mapped network being stepped; the sums of its inputs are exact, and so is all that follows."""

    def __init__(self, network: MappedNetwork, arithmetic: Arithmetic, device: str, batch: int = 1) -> None:
        stepper = partial(_FixedStepper, arithmetic=arithmetic)
        super().__init__(
            network.to(torch.float64), None, device, {"lif": stepper, "cuba_lif": stepper, "li": stepper}, batch
        )
        self._payload = arithmetic.payload_bits
        # A chip adds the bias to the membrane, after the current: the neurons themselves do.
        self._bias = {
            name: torch.zeros_like(bias) if name in self._steppers else bias for name, bias in self._bias.items()
        }

    def step(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One step; inputs are spikes, or whole numbers that a spike of the chip can carry."""
        for name, sent in inputs.items():
            if sent.dtype != torch.bool:
                most = 2 ** max(self._payload, 1) - 1
                if not ((sent == torch.round(sent)) & (sent >= 0) & (sent <= most)).all():
                    raise UnsupportedError(
                        f"The input {name!r} sends graded values, which a spike of the chip does not carry.",
                        found=f"values from {float(sent.min()):g} to {float(sent.max()):g}",
                        expected="spikes" if self._payload == 0 else f"whole numbers from 0 to {most}",
                        hint="coding='poisson' or 'bernoulli' makes spikes of images",
                    )
        return super().step(inputs)

    def overflows(self) -> dict[str, dict[str, int]]:
        """How often a register could not hold its number, by population: accumulator, current and membrane."""
        steppers = {name: s for name, s in self._steppers.items() if isinstance(s, _FixedStepper)}
        return {name: dict(stepper.overflows) for name, stepper in steppers.items()}

    def currents(self) -> dict[str, Tensor]:
        """The present synaptic currents ``[batch, n]``, by population."""
        steppers = {name: s for name, s in self._steppers.items() if isinstance(s, _FixedStepper)}
        return {name: stepper.i.detach().cpu().clone() for name, stepper in steppers.items()}


@register_engine
class FixedEngine(Engine):
    """Integer arithmetic of a chip, for networks that :func:`~neurosleep.map_to` made; without plasticity.

    A network mapped to a profile of floating point is stepped by the engine ``reference``.
    """

    name: ClassVar[str] = "fixed"
    population_kinds: ClassVar[frozenset[str]] = ReferenceEngine.population_kinds
    projection_kinds: ClassVar[frozenset[str]] = ReferenceEngine.projection_kinds
    rules: ClassVar[frozenset[str]] = frozenset()
    synaptic_integrators: ClassVar[bool] = True
    transposes: ClassVar[bool] = True
    reset_times: ClassVar[frozenset[str]] = ReferenceEngine.reset_times
    batches: ClassVar[bool] = True
    general: ClassVar[bool] = False

    def _check(self, network: SpikingNetwork) -> MappedNetwork:
        if not isinstance(network, MappedNetwork):
            raise UnsupportedError(
                "The engine 'fixed' computes in a chip's integers, and this network was not mapped to a chip.",
                expected="a network that neurosleep.map_to made",
                hint="mapped, report = neurosleep.map_to(network, neurosleep.load_profile('loihi1'))",
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
        return network

    def _check_batch(self, network: SpikingNetwork, device: str) -> None:
        super()._check_batch(network, device)
        self._check(network)

    def _start(self, network: SpikingNetwork, rule: PlasticityRule | None, device: str) -> Session:
        mapped = self._check(network)
        if mapped.arithmetic is None:
            return get_engine("reference").start(mapped, rule, device=device)
        return FixedSession(mapped, mapped.arithmetic, device)

    def _start_batch(self, network: SpikingNetwork, batch: int, device: str) -> TorchSession:
        mapped = self._check(network)
        if mapped.arithmetic is None:
            return ReferenceEngine().start_batch(mapped, batch, device=device)
        return FixedSession(mapped, mapped.arithmetic, device, batch)
