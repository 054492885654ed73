r"""One time step of leaky integrate-and-fire units.

The four choices on which spiking libraries disagree are made here once, and are parameters: ``>=`` or ``>`` at the
threshold, reset to a value or by subtraction, reset in the same step or (by subtraction only) in the next, and the
membrane potential that is returned is the one after the reset of the step.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

__all__ = ["Compare", "LIFParams", "LIFState", "Refractory", "Reset", "ResetTime", "lif_step", "reset_spiked"]

Compare = Literal[">=", ">"]
Reset = Literal["to_value", "subtract"]
Refractory = Literal["hold", "integrate"]
ResetTime = Literal["same", "next", "guarded"]


class LIFParams(NamedTuple):
    """Parameters of a population; tensors are ``[n]`` or scalars, potentials in units of the threshold's.

    ``decay`` is the factor per step (``exp(-dt/tau)``), ``amount`` what a soft reset takes away, ``refractory`` a
    number of steps. While refractory the potential keeps its value (``while_refractory="hold"``) or goes on integrating
    without firing (``"integrate"``). When a soft reset happens is ``reset_time``: in the ``"same"`` step, in the
    ``"next"`` one after its decay and input, or ``"guarded"``: in the same step, but a potential that its reset left
    beyond the threshold must exceed it by ``amount`` more to fire in the next step (what snnTorch does if its reset is
    not to be delayed).

    See Also
    --------
    lif_step : the step that they belong to
    neurosleep.spiking.Population : the same parameters in a network

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import LIFParams
    >>> zero, one = torch.tensor(0.0), torch.tensor(1.0)
    >>> p = LIFParams(threshold=one, decay=one, leak=zero, reset_value=zero, amount=one, refractory=torch.tensor(0))
    >>> p.compare, p.reset, p.reset_time
    ('>=', 'to_value', 'same')
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
    reset_time: ResetTime = "same"


class LIFState(NamedTuple):
    """State of a population, ``[batch, n]``: potential ``v`` and int steps of refractoriness left ``wait``.

    See Also
    --------
    lif_step : which takes it and returns the next
    CubaLIFState : with a synaptic current

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import LIFState
    >>> LIFState(v=torch.zeros(1, 2), wait=torch.zeros(1, 2, dtype=torch.int64)).v
    tensor([[0., 0.]])
    """

    v: Tensor
    wait: Tensor


def reset_spiked(v: Tensor, spiked: Tensor, p: LIFParams) -> Tensor:
    """``v`` after the reset of the units that spiked (``spiked`` is boolean).

    See Also
    --------
    lif_step : which calls it

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import LIFParams, reset_spiked
    >>> zero, one = torch.tensor(0.0), torch.tensor(1.0)
    >>> p = LIFParams(one, decay=one, leak=zero, reset_value=zero, amount=one, refractory=zero, reset="subtract")
    >>> reset_spiked(torch.tensor([[0.5, 1.25]]), torch.tensor([[False, True]]), p)
    tensor([[0.5000, 0.2500]])
    """
    target = p.reset_value.expand_as(v) if p.reset == "to_value" else v - p.amount
    return torch.where(spiked, target, v)


def _beyond(v: Tensor, p: LIFParams) -> Tensor:
    return v >= p.threshold if p.compare == ">=" else v > p.threshold


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

    See Also
    --------
    cuba_lif_step : with a synaptic current
    neurosleep.simulate : a whole network of such units

    Notes
    -----
    With ``reset_time`` ``"next"`` or ``"guarded"`` there is no refractoriness, and whether a reset is still owed is
    read from the potential itself: it is beyond the threshold.

    References
    ----------
    Section A.5 of Tadros et al. (2022, doi:10.1038/s41467-022-34938-7) is the case ``a = 0.999``, leak and reset
    value 0, ``>=``; Gerstner et al. (2014), Neuronal Dynamics, sec. 1.3, is the model.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import LIFParams, LIFState, lif_step
    >>> zero, one = torch.tensor(0.0), torch.tensor(1.0)
    >>> p = LIFParams(threshold=one, decay=one, leak=zero, reset_value=zero, amount=one, refractory=torch.tensor(0))
    >>> state = LIFState(v=torch.zeros(1, 2), wait=torch.zeros(1, 2, dtype=torch.int64))
    >>> spikes, state = lif_step(torch.tensor([[0.75, 1.25]]), state, p)
    >>> spikes, state.v
    (tensor([[False,  True]]), tensor([[0.7500, 0.0000]]))
    """
    ready = state.wait <= 0
    v = p.leak + p.decay * (state.v - p.leak) + current
    if p.while_refractory == "hold":
        v = torch.where(ready, v, state.v)
    if p.reset_time != "same":
        owed = _beyond(state.v, p)
        v = torch.where(owed, v - p.amount, v)
        spiked = _beyond(v, p)
        if p.reset_time == "guarded":
            # Nothing is taken away twice, and what was taken before the comparison without a spike is given back.
            v = v - (spiked.to(v.dtype) - owed.to(v.dtype)) * p.amount
        return spiked, LIFState(v, state.wait)
    spiked = _beyond(v, p) & ready
    wait = torch.where(spiked, p.refractory.expand_as(state.wait), (state.wait - 1).clamp_min(0))
    return spiked, LIFState(reset_spiked(v, spiked, p), wait)
