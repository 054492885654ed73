r"""Pair-based spike-timing-dependent plasticity with exponential traces."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from neurosleep.functional.rule_checks import TAU_20, check_amplitudes, check_bounds, check_decays

__all__ = ["PairSTDP", "pair_stdp_step"]


@dataclass(frozen=True)
class PairSTDP:
    r"""Specification of pair-based STDP.

    Each step, in this order: both traces decay; the presynaptic trace takes up this step's presynaptic spikes; weights
    change; the postsynaptic trace takes up this step's postsynaptic spikes. A pair within one step is therefore causal
    (the input made the unit fire) and potentiates.

    .. math::
        \Delta w_{ji} = A_+\, s_j\, x_i - A_-\, s_i\, y_j

    Parameters
    ----------
    a_plus, a_minus:
        Amplitudes, in units of the weight, not negative.
    decay_plus, decay_minus:
        Factors of the traces per step, ``exp(-dt/tau)``, from 0 to below 1 (0.951 is 20 ms at 1 ms a step).
    w_min, w_max:
        Bounds of the weight.

    See Also
    --------
    MultiplicativeSTDP, TripletSTDP : with steps that depend on the weight, and of triplets of spikes
    pair_stdp_step : one step as a pure function
    neurosleep.sleep : which takes any rule

    References
    ----------
    Song, Miller, Abbott (2000), Nature Neuroscience 3:919, doi:10.1038/78829.

    Examples
    --------
    >>> from neurosleep.functional import PairSTDP
    >>> rule = PairSTDP(a_plus=0.01, a_minus=0.012, w_min=0.0, w_max=1.0)
    >>> rule.name, round(rule.decay_plus, 3)
    ('stdp', 0.951)
    """

    a_plus: float
    a_minus: float
    decay_plus: float = TAU_20
    decay_minus: float = TAU_20
    w_min: float = -math.inf
    w_max: float = math.inf
    name: ClassVar[str] = "stdp"

    def __post_init__(self) -> None:
        check_amplitudes(self, "a_plus", "a_minus")
        check_decays(self, "decay_plus", "decay_minus")
        check_bounds(self)

    def initial_traces(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Presynaptic ``[pre]`` and postsynaptic ``[post]`` trace, zero."""
        return weight.new_zeros(weight.shape[1]), weight.new_zeros(weight.shape[0])

    def step_(self, weight: Tensor, pre: Tensor, post: Tensor, traces: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Change ``weight`` ``[post, pre]`` in place; return the new traces."""
        x, y = traces
        x = x * self.decay_plus + pre.to(x.dtype)
        y = y * self.decay_minus
        rows, columns = post.nonzero().squeeze(1), pre.nonzero().squeeze(1)
        # A weight whose both sides fired takes depression and potentiation before it meets its bounds.
        if len(columns):
            weight[:, columns] -= self.a_minus * y[:, None]
        if len(rows):
            weight[rows] = (weight[rows] + self.a_plus * x).clamp(self.w_min, self.w_max)
        if len(columns):
            weight[:, columns] = weight[:, columns].clamp(self.w_min, self.w_max)
        return x, y + post.to(y.dtype)


def pair_stdp_step(
    weight: Tensor, pre: Tensor, post: Tensor, traces: tuple[Tensor, Tensor], rule: PairSTDP
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """The rule as a pure function: new weight ``[post, pre]`` and new traces ``([pre], [post])``.

    See Also
    --------
    PairSTDP : its parameters
    src_step : the rule of Sleep Replay Consolidation

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import PairSTDP, pair_stdp_step
    >>> rule = PairSTDP(a_plus=0.25, a_minus=0.25, decay_plus=0.5, decay_minus=0.5)
    >>> weight, traces = torch.zeros(1, 2), (torch.zeros(2), torch.zeros(1))
    >>> pre, post = torch.tensor([True, False]), torch.tensor([True])
    >>> weight, traces = pair_stdp_step(weight, pre, post, traces, rule)
    >>> weight  # the input that fired with the unit grew
    tensor([[0.2500, 0.0000]])
    """
    updated = weight.clone()
    x, y = rule.step_(updated, pre, post, traces)
    return updated, (x, y)
