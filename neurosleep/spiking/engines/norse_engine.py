"""The same network stepped by Norse cells (extra ``norse``)."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import torch
from torch import Tensor

from neurosleep.errors import UnsupportedError, missing_extra
from neurosleep.functional import LIFState, PlasticityRule, reset_spiked
from neurosleep.spiking.engines.base import Engine, Session, register_engine
from neurosleep.spiking.engines.reference import LIStepper, Stepper, TorchSession
from neurosleep.spiking.engines.snntorch_engine import strictly_above
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.parts import Population
from neurosleep.spiking.projections import Projection

__all__ = ["NorseEngine", "import_norse"]


def import_norse(purpose: str) -> Any:
    """The package ``norse.torch``; an error names the extra that brings it."""
    try:
        with warnings.catch_warnings():
            # Norse compiles functions with torch.jit.script, which newer versions of torch deprecate.
            warnings.filterwarnings("ignore", message=r".*torch\.jit\..* is deprecated")
            import norse.torch as norse
    except ImportError as error:
        raise missing_extra("norse", "norse", purpose) from error
    return norse


def _keep(z: Tensor, v: Tensor, reset: Tensor, threshold: Tensor) -> Tensor:
    """No reset inside the cell: a soft one would take away the shifted threshold instead of the amount."""
    return v


class _NorseStepper(Stepper):
    def __init__(self, population: Population, dtype: torch.dtype, device: str, batch: int) -> None:
        super().__init__(population, dtype, device, batch)
        norse = import_norse("The engine 'norse'")
        p = self.p
        # With dt = 1 the cell computes v + rate * (I + leak - v): rate is 1 - decay, and the input is divided by it.
        self._rate = 1 - p.decay
        if bool((self._rate == 0).any()) and not bool((self._rate == 0).all()):
            raise UnsupportedError(
                f"The engine 'norse' cannot step population {population.name!r}: some of its neurons leak, others not.",
                expected="a decay below 1 for all of its neurons, or 1 for all",
            )
        threshold = strictly_above(p.threshold, p.compare)
        if bool((self._rate == 0).all()):
            from norse.torch.functional.iaf import IAFFeedForwardState, IAFParameters

            # Norse's cell without leak knows only the reset to a value, which is undone and repeated in step() below.
            self._cell: Any = norse.IAFCell(IAFParameters(v_th=threshold, v_reset=p.reset_value))
            self._state: Any = IAFFeedForwardState
        else:
            from norse.torch.functional.lif_box import LIFBoxFeedForwardState, LIFBoxParameters

            self._cell = norse.LIFBoxCell(
                LIFBoxParameters(
                    tau_mem_inv=self._rate,
                    v_leak=p.leak,
                    v_th=threshold,
                    v_reset=p.reset_value,
                    reset_method=_keep,
                ),
                dt=1.0,
            )
            self._state = LIFBoxFeedForwardState
        self._leaky = not bool((self._rate == 0).all())

    def step(self, current: Tensor) -> Tensor:
        p, state = self.p, self.state
        ready = state.wait <= 0
        fed = current / self._rate if self._leaky else current
        spikes, after = self._cell(fed, self._state(v=state.v))
        v = after.v if self._leaky else state.v + current
        spiked: Tensor = spikes.bool()
        if p.refractory > 0:
            spiked &= ready
            if p.while_refractory == "hold":
                v = torch.where(ready, v, state.v)
        wait = torch.where(spiked, p.refractory.expand_as(state.wait), (state.wait - 1).clamp_min(0))
        self.state = LIFState(reset_spiked(v, spiked, p), wait)
        return spiked


_STEPPERS = {"lif": _NorseStepper, "li": LIStepper}


@register_engine
class NorseEngine(Engine):
    """Norse ``LIFBoxCell`` (``IAFCell`` where nothing leaks); everything else as in the reference engine."""

    name: ClassVar[str] = "norse"
    devices: ClassVar[frozenset[str]] = frozenset({"cpu", "cuda"})
    population_kinds: ClassVar[frozenset[str]] = frozenset({"input", "relay", "lif", "li"})
    projection_types: ClassVar[frozenset[type[Projection]]] = frozenset({Projection})
    rules: ClassVar[frozenset[str]] = frozenset({"*"})
    synaptic_integrators: ClassVar[bool] = True
    symmetric_rules: ClassVar[frozenset[str]] = frozenset({"*"})

    batches: ClassVar[bool] = True
    homeostasis: ClassVar[frozenset[str]] = frozenset({"weights"})

    def _start(self, network: SpikingNetwork, rule: PlasticityRule | None, device: str) -> Session:
        return TorchSession(network, rule, device, _STEPPERS)

    def _start_batch(self, network: SpikingNetwork, batch: int, device: str) -> TorchSession:
        return TorchSession(network, None, device, _STEPPERS, batch)
