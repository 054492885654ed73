r"""One time step of leaky integrate-and-fire units.

The four choices on which spiking libraries disagree are made here once, and are parameters: ``>=`` or ``>`` at the
threshold, reset to a value or by subtraction, reset in the same step (always, here), and the membrane potential that
is returned is the one after the reset.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

__all__ = ["Compare", "LIFParams", "LIFState", "Refractory", "Reset", "lif_step", "reset_spiked"]

Compare = Literal[">=", ">"]
Reset = Literal["to_value", "subtract"]
Refractory = Literal["hold", "integrate"]


class LIFParams(NamedTuple):
    """Parameters of a population; tensors are ``[n]`` or scalars, potentials in units of the threshold's.

    ``decay`` is the factor per step (``exp(-dt/tau)``), ``amount`` what a soft reset takes away, ``refractory`` a
    number of steps. While refractory the potential keeps its value (``while_refractory="hold"``) or goes on integrating
    without firing (``"integrate"``).
    """

    threshold: Tensor
    decay: Tensor
    leak: Tensor
    reset_value: Tensor
    amount: Tensor
    refractory: Tensor
    compare: Compare = ">="
    reset: Reset = "to_value"
    while_refractory: Refractory = "hold"


class LIFState(NamedTuple):
    """State of a population, ``[batch, n]``: potential ``v`` and int steps of refractoriness left ``wait``."""

    v: Tensor
    wait: Tensor


def reset_spiked(v: Tensor, spiked: Tensor, p: LIFParams) -> Tensor:
    """``v`` after the reset of the units that spiked (``spiked`` is boolean)."""
    target = p.reset_value.expand_as(v) if p.reset == "to_value" else v - p.amount
    return torch.where(spiked, target, v)


def lif_step(current: Tensor, state: LIFState, p: LIFParams) -> tuple[Tensor, LIFState]:
    r"""Advance a population of LIF units by one step.

    .. math::
        v \leftarrow v_{leak} + a (v - v_{leak}) + I, \quad s = [v \ge \theta], \quad v \leftarrow reset(v, s)

    Parameters
    ----------
    current:
        Summed input of the step, bias included, ``[batch, n]``.
    state, p:
        State before the step and the parameters.

    Returns
    -------
    spikes, state
        Boolean ``[batch, n]`` and the state after the reset.

    References
    ----------
    Section A.5 of Tadros et al. (2022, doi:10.1038/s41467-022-34938-7) is the case ``a = 0.999``, leak and reset
    value 0, ``>=``; Gerstner et al. (2014), Neuronal Dynamics, sec. 1.3, is the model.
    """
    ready = state.wait <= 0
    v = p.leak + p.decay * (state.v - p.leak) + current
    if p.while_refractory == "hold":
        v = torch.where(ready, v, state.v)
    over = v >= p.threshold if p.compare == ">=" else v > p.threshold
    spiked = over & ready
    wait = torch.where(spiked, p.refractory.expand_as(state.wait), (state.wait - 1).clamp_min(0))
    return spiked, LIFState(reset_spiked(v, spiked, p), wait)
