"""One time step of leaky integrators, which never fire."""

from __future__ import annotations

from torch import Tensor

__all__ = ["cuba_li_step", "li_step"]


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

    See Also
    --------
    cuba_li_step : with a synaptic current
    lif_step : with a threshold

    References
    ----------
    Gerstner et al. (2014), Neuronal Dynamics, sec. 1.3, without the threshold.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import li_step
    >>> li_step(torch.tensor([[0.5]]), v=torch.tensor([[1.0]]), decay=torch.tensor(0.5), leak=torch.tensor(0.0))
    tensor([[1.]])
    """
    return leak + decay * (v - leak) + current


def cuba_li_step(
    current: Tensor, v: Tensor, i: Tensor, decay: Tensor, leak: Tensor, synaptic_decay: Tensor
) -> tuple[Tensor, Tensor]:
    r"""Advance a population of leaky integrators with synaptic currents by one step.

    .. math:: i \leftarrow b\, i + I, \quad v \leftarrow v_{leak} + a (v - v_{leak}) + i

    Parameters
    ----------
    current, v, decay, leak:
        As for :func:`li_step`.
    i:
        Synaptic current before the step, ``[batch, n]``.
    synaptic_decay:
        Factor b per step on the synaptic current, ``[n]`` or a scalar; 0 makes the unit that of :func:`li_step`.

    Returns
    -------
    v, i
        Potential and synaptic current after the step, ``[batch, n]``. The potential takes in the current of this step.

    See Also
    --------
    li_step : without a synaptic current
    cuba_lif_step : with a threshold

    References
    ----------
    Gerstner et al. (2014), Neuronal Dynamics, sec. 3.1 (exponential synaptic currents), in discrete time.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import cuba_li_step
    >>> v, i = torch.zeros(1, 1), torch.zeros(1, 1)
    >>> decay, leak, synaptic_decay = torch.tensor(0.5), torch.tensor(0.0), torch.tensor(0.5)
    >>> v, i = cuba_li_step(torch.ones(1, 1), v, i, decay, leak, synaptic_decay)
    >>> cuba_li_step(torch.zeros(1, 1), v, i, decay, leak, synaptic_decay)
    (tensor([[1.]]), tensor([[0.5000]]))
    """
    i = synaptic_decay * i + current
    return li_step(i, v, decay, leak), i
