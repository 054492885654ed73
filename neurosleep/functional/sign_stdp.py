r"""Plasticity of one size: whether an input fired of late decides the sign of its step, and nothing else does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from neurosleep._checks import check_count
from neurosleep.functional.rule_checks import check_amplitudes, check_bounds

__all__ = ["SignSTDP"]

# Ages are kept in the type of the weights; float32 counts that far.
_LONGEST = 1 << 20


@dataclass(frozen=True)
class SignSTDP:
    r"""Specification of sign-only STDP, gated by the postsynaptic spike.

    When unit j fires, every input whose last spike is fewer than ``window`` steps ago (0 in the same step) gains ``a``,
    and every other loses ``a``. Rows of silent units do not change.

    .. math::
        \Delta w_{ji} = a\, s_j\, \mathrm{sign}\left(T - \tfrac12 - t_i\right)

    with :math:`t_i` the steps since the input's last spike, infinite before the first, and :math:`T` the window. It is
    the simplified STDP of Querlioz et al. with steps that do not depend on the weight.

    Parameters
    ----------
    a:
        The step, in units of the weight, not negative.
    window:
        Steps, at least 1, which counts inputs of the same step only.
    w_min, w_max:
        Bounds of the weight.

    See Also
    --------
    SRCRule : the same for a window of 1 step, with two sizes of steps and a factor of the weight
    plasticity_step : one step as a pure function
    neurosleep.sleep : which takes any rule

    References
    ----------
    Querlioz, Bichler, Dollfus, Gamrat (2013), IEEE Transactions on Nanotechnology 12:288,
    doi:10.1109/TNANO.2013.2250995.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import SignSTDP, plasticity_step
    >>> rule, weight = SignSTDP(a=0.25), torch.zeros(1, 2)
    >>> pre, post = torch.tensor([True, False]), torch.tensor([True])
    >>> plasticity_step(weight, pre, post, rule.initial_traces(weight), rule)[0]
    tensor([[ 0.2500, -0.2500]])
    """

    a: float
    window: int = 20
    w_min: float = -math.inf
    w_max: float = math.inf
    name: ClassVar[str] = "stdp-sign"

    def __post_init__(self) -> None:
        check_amplitudes(self, "a")
        check_count("The rule's window, in steps,", self.window, most=_LONGEST)
        check_bounds(self)

    def initial_traces(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Steps since each input's last spike ``[pre]``, infinite."""
        return (weight.new_full((weight.shape[1],), math.inf),)

    def step_(self, weight: Tensor, pre: Tensor, post: Tensor, traces: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Change ``weight`` ``[post, pre]`` in place; return the new ages."""
        age = torch.where(pre, 0, traces[0] + 1)
        rows = post.nonzero().squeeze(1)
        if len(rows):
            signs = torch.where(age < self.window, 1, -1).to(weight.dtype)
            weight[rows] = (weight[rows] + self.a * signs).clamp(self.w_min, self.w_max)
        return (age,)
