"""The same network stepped by snnTorch neurons: the explicit simulation that people can inspect."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from neurosleep.functional import LIFState, PlasticityRule, reset_spiked
from neurosleep.spiking.engines.base import Engine, Session, register_engine
from neurosleep.spiking.engines.reference import Stepper, TorchSession
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.parts import Population
from neurosleep.spiking.projections import Projection

__all__ = ["SnnTorchEngine", "strictly_above"]


def strictly_above(threshold: Tensor, compare: str) -> Tensor:
    """The threshold for a library that fires on ``v > threshold`` so that it fires where ``v compare threshold``."""
    return threshold if compare == ">" else torch.nextafter(threshold, torch.full_like(threshold, -math.inf))


class _SnnTorchStepper(Stepper):
    def __init__(self, population: Population, dtype: torch.dtype, device: str, batch: int) -> None:
        super().__init__(population, dtype, device, batch)
        import snntorch

        # Its reset would come a step late, and differs for values other than 0: none there, ours here.
        self._neuron: Any = snntorch.Leaky(
            beta=self.p.decay, threshold=strictly_above(self.p.threshold, self.p.compare), reset_mechanism="none"
        ).to(device)
        # snnTorch keeps every neuron ever made in a class-wide list, by which a reset elsewhere would reach this one.
        snntorch.SpikingNeuron.instances.remove(self._neuron)

    def step(self, current: Tensor) -> Tensor:
        p, state = self.p, self.state
        spikes, v = self._neuron(current + (1 - p.decay) * p.leak, state.v)
        return self._after(spikes.bool(), v)

    def _after(self, spiked: Tensor, v: Tensor) -> Tensor:
        """Refractoriness and reset, which the neuron itself leaves out."""
        p, state = self.p, self.state
        ready = state.wait <= 0
        if p.refractory > 0:
            spiked &= ready
            if p.while_refractory == "hold":
                v = torch.where(ready, v, state.v)
        wait = torch.where(spiked, p.refractory.expand_as(state.wait), (state.wait - 1).clamp_min(0))
        self.state = LIFState(reset_spiked(v, spiked, p), wait)
        return spiked


class _IntegratorStepper(_SnnTorchStepper):
    """A ``Leaky`` that can never fire."""

    def __init__(self, population: Population, dtype: torch.dtype, device: str, batch: int) -> None:
        super().__init__(population, dtype, device, batch)
        self._neuron.threshold.fill_(math.inf)


class _SynapticStepper(_SnnTorchStepper):
    def __init__(self, population: Population, dtype: torch.dtype, device: str, batch: int) -> None:
        super().__init__(population, dtype, device, batch)
        import snntorch

        # What is added to the input would stay in the synaptic current: the potential is counted from the leak value.
        self._neuron = snntorch.Synaptic(
            alpha=torch.as_tensor(population.synaptic_decay, dtype=dtype),
            beta=self.p.decay,
            threshold=strictly_above(self.p.threshold - self.p.leak, self.p.compare),
            reset_mechanism="none",
        ).to(device)
        snntorch.SpikingNeuron.instances.remove(self._neuron)
        self._i = torch.zeros_like(self.state.v)

    def step(self, current: Tensor) -> Tensor:
        spikes, self._i, v = self._neuron(current, self._i, self.state.v - self.p.leak)
        return self._after(spikes.bool(), v + self.p.leak)


_STEPPERS = {"lif": _SnnTorchStepper, "cuba_lif": _SynapticStepper, "li": _IntegratorStepper}


@register_engine
class SnnTorchEngine(Engine):
    """snnTorch ``Leaky`` and ``Synaptic`` neurons; plasticity and wiring are those of the reference engine."""

    name: ClassVar[str] = "snntorch"
    devices: ClassVar[frozenset[str]] = frozenset({"cpu", "cuda"})
    population_kinds: ClassVar[frozenset[str]] = frozenset({"input", "relay", "lif", "cuba_lif", "li"})
    projection_types: ClassVar[frozenset[type[Projection]]] = frozenset({Projection})
    rules: ClassVar[frozenset[str]] = frozenset({"*"})
    symmetric_rules: ClassVar[frozenset[str]] = frozenset({"*"})

    batches: ClassVar[bool] = True
    homeostasis: ClassVar[frozenset[str]] = frozenset({"weights"})

    def _start(self, network: SpikingNetwork, rule: PlasticityRule | None, device: str) -> Session:
        return TorchSession(network, rule, device, _STEPPERS)

    def _start_batch(self, network: SpikingNetwork, batch: int, device: str) -> TorchSession:
        return TorchSession(network, None, device, _STEPPERS, batch)
