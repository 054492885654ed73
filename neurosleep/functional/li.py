"""One time step of leaky integrators, which never fire."""

from __future__ import annotations

from torch import Tensor

__all__ = ["li_step"]


def li_step(current: Tensor, v: Tensor, decay: Tensor, leak: Tensor) -> Tensor:
    r"""Advance a population of leaky integrators by one step.

    .. math:: v \leftarrow v_{leak} + a (v - v_{leak}) + I

    Parameters
    ----------
    current:
        Summed input of the step, bias included, ``[batch, n]``.
    v:
        Potential before the step, ``[batch, n]``.
    decay, leak:
        Factor a per step and resting potential, ``[n]`` or scalars.

    Returns
    -------
    Tensor
        The potential after the step, ``[batch, n]``. The unit is read out by it.

    References
    ----------
    Gerstner et al. (2014), Neuronal Dynamics, sec. 1.3, without the threshold.
    """
    return leak + decay * (v - leak) + current
