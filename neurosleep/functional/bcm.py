r"""The rule of Bienenstock, Cooper and Munro: a threshold that slides with a unit's activity parts growth from loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from neurosleep.errors import SettingsError
from neurosleep.functional.rule_checks import TAU_20, check_amplitudes, check_decays

__all__ = ["BCM", "bcm_step"]


@dataclass(frozen=True)
class BCM:
    r"""Specification of the BCM rule on traces of spikes, which stand for rates; weights change in every step.

    Each step, in this order: traces x and y decay and take up this step's spikes; weights change by :func:`bcm_step`;
    the threshold of each unit, ``target`` at first, moves towards :math:`y_j^2 / y_0`.

    .. math::
        \Delta w_{ji} &= \eta\, y_j \left(y_j - \theta_j\right) x_i \\
        \theta_j &\leftarrow d_\theta\, \theta_j + (1 - d_\theta)\, y_j^2 / y_0

    Parameters
    ----------
    rate:
        The learning rate η, in units of the weight per step and cubed spikes, not negative.
    target:
        The activity :math:`y_0` at which the threshold equals the activity, in spikes of the trace y, above 0.
    decay:
        Factor of both traces per step, ``exp(-dt/tau)``, from 0 to below 1 (0.951 is 20 ms at 1 ms a step). A trace is
        a number of spikes, about those of the last tau; with 0 it is this step's.
    decay_threshold:
        Factor :math:`d_\theta` per step of the threshold, from 0 to below 1 (0.999 is 1 s at 1 ms a step).

    See Also
    --------
    Oja : another rule of rates
    bcm_step : one step of it, of any rates
    neurosleep.sleep : which takes any rule

    References
    ----------
    Bienenstock, Cooper, Munro (1982), Journal of Neuroscience 2:32, doi:10.1523/JNEUROSCI.02-01-00032.1982; with the
    mean of squares as threshold, Intrator, Cooper (1992), Neural Networks 5:3.

    Examples
    --------
    >>> from neurosleep.functional import BCM
    >>> BCM(rate=1e-4, target=0.5).name
    'bcm'
    """

    rate: float
    target: float = 1.0
    decay: float = TAU_20
    decay_threshold: float = 0.999
    name: ClassVar[str] = "bcm"

    def __post_init__(self) -> None:
        check_amplitudes(self, "rate")
        if not 0 < self.target < math.inf:
            raise SettingsError(f"The rule's target is {self.target!r}.", expected="a number > 0")
        check_decays(self, "decay", "decay_threshold")

    def initial_traces(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Presynaptic ``[pre]`` and postsynaptic ``[post]`` trace, zero, and the thresholds ``[post]``."""
        post = weight.new_zeros(weight.shape[0])
        return weight.new_zeros(weight.shape[1]), post, torch.full_like(post, self.target)

    def step_(self, weight: Tensor, pre: Tensor, post: Tensor, traces: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Change ``weight`` ``[post, pre]`` in place; return the new traces and thresholds."""
        x = traces[0] * self.decay + pre.to(weight.dtype)
        y = traces[1] * self.decay + post.to(weight.dtype)
        weight.copy_(bcm_step(weight, x, y, traces[2], self.rate))
        return x, y, self.decay_threshold * traces[2] + (1 - self.decay_threshold) * y * y / self.target


def bcm_step(weight: Tensor, x: Tensor, y: Tensor, threshold: Tensor, rate: float) -> Tensor:
    r"""New weights ``[post, pre]`` after a step with the rates ``x`` ``[pre]`` and ``y`` ``[post]``, in any unit.

    Units above their ``threshold`` ``[post]`` gain from every active input, those below it lose.

    See Also
    --------
    BCM : on traces of spikes, with thresholds that slide
    oja_step : another rule of rates

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import bcm_step
    >>> x, y, threshold = torch.tensor([1.0]), torch.tensor([2.0, 1.0]), torch.tensor([1.0, 2.0])
    >>> bcm_step(torch.zeros(2, 1), x, y, threshold, rate=0.5)
    tensor([[ 1.0000],
            [-0.5000]])
    """
    return weight + rate * torch.outer(y * (y - threshold), x)
