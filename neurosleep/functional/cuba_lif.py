"""One time step of leaky integrate-and-fire units with a synaptic current that decays."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from neurosleep.functional.lif import LIFParams, LIFState, lif_step

__all__ = ["CubaLIFState", "cuba_lif_step"]


class CubaLIFState(NamedTuple):
    """State of a population, ``[batch, n]``: potential ``v``, int steps left ``wait``, synaptic current ``i``."""

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

    References
    ----------
    Gerstner et al. (2014), Neuronal Dynamics, sec. 3.1 (exponential synaptic currents), in discrete time.
    """
    i = synaptic_decay * state.i + current
    spiked, after = lif_step(i, LIFState(state.v, state.wait), p)
    return spiked, CubaLIFState(after.v, after.wait, i)
