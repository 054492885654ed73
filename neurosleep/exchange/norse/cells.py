"""Norse cells for neurons that Norse 1.1 has no cell for: no leak with a soft reset, a gain and a decay per step.

It needs torch and norse alone: an exported folder holds this file's text, so that its model runs without neurosleep.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from norse.torch.functional.threshold import threshold
from norse.torch.module.snn import SNNCell

__all__ = ["DecayLICell", "DecayLIFCell", "DecayParameters", "DecayState", "subtract_reset"]


class DecayParameters(NamedTuple):
    """Numbers or tensors of the neurons' shape: v decays by ``decay`` per step and takes in ``bias + gain * input``."""

    decay: torch.Tensor
    gain: torch.Tensor
    bias: torch.Tensor
    synaptic_decay: torch.Tensor
    v_leak: torch.Tensor
    v_th: torch.Tensor = torch.tensor(1.0)
    v_reset: torch.Tensor = torch.tensor(0.0)
    soft: bool = False  # a spike takes v_reset away, instead of setting v to it
    method: str = "super"
    alpha: float = 100.0


class DecayState(NamedTuple):
    """Membrane potential and synaptic current."""

    v: torch.Tensor
    i: torch.Tensor


def subtract_reset(z: torch.Tensor, v: torch.Tensor, reset: torch.Tensor, th: torch.Tensor) -> torch.Tensor:
    """Reset method for LIFBoxParameters: a spike takes ``v_reset`` away."""
    return v - z * reset


def _integrate(x: torch.Tensor, state: DecayState, p: DecayParameters) -> DecayState:
    i = p.synaptic_decay * state.i + (p.bias + p.gain * x)
    return DecayState(p.v_leak + p.decay * (state.v - p.v_leak) + i, i)


def decay_lif_step(
    x: torch.Tensor, state: DecayState, p: DecayParameters, dt: float
) -> tuple[torch.Tensor, DecayState]:
    """One step of neurons that fire where v > v_th, and are reset in the same step."""
    v, i = _integrate(x, state, p)
    z = threshold(v - p.v_th, p.method, p.alpha)
    return z, DecayState(v - z * p.v_reset if p.soft else (1 - z) * v + z * p.v_reset, i)


def decay_li_step(x: torch.Tensor, state: DecayState, p: DecayParameters, dt: float) -> tuple[torch.Tensor, DecayState]:
    """One step of integrators, whose output is their potential."""
    state = _integrate(x, state, p)
    return state.v, state


class _DecayCell(SNNCell):  # type: ignore[misc, unused-ignore]
    def __init__(self, activation: Any, p: DecayParameters, dt: float) -> None:
        super().__init__(activation, self.initial_state, p, dt)

    def initial_state(self, x: torch.Tensor) -> DecayState:
        """Neurons at rest, for an input ``[batch, ...]``."""
        return DecayState(torch.zeros_like(x) + self.p.v_leak, torch.zeros_like(x))


class DecayLIFCell(_DecayCell):
    """Neurons that fire (:func:`decay_lif_step`)."""

    def __init__(self, p: DecayParameters, dt: float = 0.001) -> None:
        super().__init__(decay_lif_step, p, dt)


class DecayLICell(_DecayCell):
    """Integrators (:func:`decay_li_step`)."""

    def __init__(self, p: DecayParameters, dt: float = 0.001) -> None:
        super().__init__(decay_li_step, p, dt)
