r"""Oja's rule: Hebbian learning with a forgetting that keeps the weights of every unit at a norm of 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from neurosleep.functional.rule_checks import TAU_20, check_amplitudes, check_decays

__all__ = ["Oja", "oja_step"]


@dataclass(frozen=True)
class Oja:
    r"""Specification of Oja's rule on traces of spikes, which stand for rates; weights change in every step.

    Each step, in this order: traces x and y decay and take up this step's spikes; weights change by :func:`oja_step`.

    .. math::
        \Delta w_{ji} = \eta\, y_j \left(x_i - y_j\, w_{ji}\right)

    Parameters
    ----------
    rate:
        The learning rate η, per step and squared spikes, not negative.
    decay:
        Factor of both traces per step, ``exp(-dt/tau)``, from 0 to below 1 (0.951 is 20 ms at 1 ms a step). A trace is
        a number of spikes, about those of the last tau; with 0 it is this step's.

    See Also
    --------
    BCM : another rule of rates
    oja_step : one step of it, of any rates
    neurosleep.sleep : which takes any rule

    References
    ----------
    Oja (1982), Journal of Mathematical Biology 15:267, doi:10.1007/BF00275687.

    Examples
    --------
    >>> from neurosleep.functional import Oja
    >>> Oja(rate=0.01, decay=0.5)
    Oja(rate=0.01, decay=0.5)
    """

    rate: float
    decay: float = TAU_20
    name: ClassVar[str] = "oja"

    def __post_init__(self) -> None:
        check_amplitudes(self, "rate")
        check_decays(self, "decay")

    def initial_traces(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Presynaptic ``[pre]`` and postsynaptic ``[post]`` trace, zero."""
        return weight.new_zeros(weight.shape[1]), weight.new_zeros(weight.shape[0])

    def step_(self, weight: Tensor, pre: Tensor, post: Tensor, traces: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Change ``weight`` ``[post, pre]`` in place; return the new traces."""
        x = traces[0] * self.decay + pre.to(weight.dtype)
        y = traces[1] * self.decay + post.to(weight.dtype)
        weight.copy_(oja_step(weight, x, y, self.rate))
        return x, y


def oja_step(weight: Tensor, x: Tensor, y: Tensor, rate: float) -> Tensor:
    r"""New weights ``[post, pre]`` after a step with the rates ``x`` ``[pre]`` and ``y`` ``[post]``, in any unit.

    Where ``y = weight @ x``, each row tends to the principal component of the inputs, at a norm of 1 (Oja 1982).

    See Also
    --------
    Oja : on traces of spikes
    bcm_step : another rule of rates

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import oja_step
    >>> oja_step(torch.tensor([[0.5, 0.5]]), torch.tensor([1.0, 0.0]), torch.tensor([1.0]), rate=0.5)
    tensor([[0.7500, 0.2500]])
    """
    return weight + rate * (torch.outer(y, x) - (y * y)[:, None] * weight)
