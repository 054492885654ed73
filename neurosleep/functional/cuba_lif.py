"""One time step of leaky integrate-and-fire units with a synaptic current that decays."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from neurosleep.functional.lif import LIFParams, LIFState, lif_step

__all__ = ["CubaLIFState", "cuba_lif_step"]


class CubaLIFState(NamedTuple):
    """State of a population, ``[batch, n]``: potential ``v``, int steps left ``wait``, synaptic current ``i``.

    See Also
    --------
    cuba_lif_step : which takes it and returns the next
    LIFState : without a synaptic current

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import CubaLIFState
    >>> state = CubaLIFState(v=torch.zeros(1, 3), wait=torch.zeros(1, 3, dtype=torch.int64), i=torch.zeros(1, 3))
    >>> state.i.shape
    torch.Size([1, 3])
    """

    v: Tensor
    wait: Tensor
    i: Tensor


def cuba_lif_step(
    current: Tensor, state: CubaLIFState, p: LIFParams, synaptic_decay: Tensor
) -> tuple[Tensor, CubaLIFState]:
    r"""Advance a population of LIF units with synaptic currents by one step.

    .. math::
        i \leftarrow b\, i + I, \quad v \leftarrow v_{leak} + a (v - v_{leak}) + i, \quad s = [v \ge \theta], \quad
        v \leftarrow reset(v, s)

    The potential takes in the current of this step, and neither a spike nor a refractory unit changes the current.

    Parameters
    ----------
    current:
        Summed input of the step, bias included, ``[batch, n]``.
    state, p:
        State before the step and the parameters.
    synaptic_decay:
        Factor b per step on the synaptic current, ``[n]`` or a scalar; 0 makes the unit a LIF unit.

    Returns
    -------
    spikes, state
        Boolean ``[batch, n]`` and the state after the reset.

    See Also
    --------
    lif_step : without a synaptic current
    neurosleep.simulate : a whole network of such units

    References
    ----------
    Gerstner et al. (2014), Neuronal Dynamics, sec. 3.1 (exponential synaptic currents), in discrete time.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import CubaLIFState, LIFParams, cuba_lif_step
    >>> zero, one = torch.tensor(0.0), torch.tensor(1.0)
    >>> p = LIFParams(threshold=one, decay=one, leak=zero, reset_value=zero, amount=one, refractory=torch.tensor(0))
    >>> state = CubaLIFState(torch.zeros(1, 1), torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, 1))
    >>> spikes, state = cuba_lif_step(torch.full((1, 1), 0.75), state, p, torch.tensor(0.5))
    >>> spikes.item(), state.v.item(), state.i.item()
    (False, 0.75, 0.75)
    """
    i = synaptic_decay * state.i + current
    spiked, after = lif_step(i, LIFState(state.v, state.wait), p)
    return spiked, CubaLIFState(after.v, after.wait, i)
