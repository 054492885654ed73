r"""Spike-timing-dependent plasticity of triplets of spikes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from neurosleep.functional.rule_checks import check_amplitudes, check_bounds, check_decays

__all__ = ["TripletSTDP"]


@dataclass(frozen=True)
class TripletSTDP:
    r"""Specification of triplet STDP, all spikes with all: pairs, and how often either side fired of late.

    Each step, in this order: all traces decay; :math:`r_1` takes up this step's presynaptic spikes; weights change; the
    others take up this step's spikes. So :math:`r_2` and :math:`o_2` are those before the spike, as in the paper, and a
    pair within one step potentiates, as with :class:`PairSTDP`, which it is without the amplitudes of triplets.

    .. math::
        \Delta w_{ji} = s_j\, r_{1,i} \left(A_2^+ + A_3^+\, o_{2,j}\right)
        - s_i\, o_{1,j} \left(A_2^- + A_3^-\, r_{2,i}\right)

    Parameters
    ----------
    a2_plus, a2_minus, a3_plus, a3_minus:
        Amplitudes of pairs and of triplets, in units of the weight, not negative.
    decay_plus, decay_minus, decay_x, decay_y:
        Factors per step of the traces r1, o1, r2 and o2, ``exp(-dt/tau)``, from 0 to below 1. By default tau is 16.8,
        33.7, 101 and 125 ms, the paper's for visual cortex, at 1 ms a step.
    w_min, w_max:
        Bounds of the weight.

    See Also
    --------
    PairSTDP : of pairs only
    plasticity_step : one step as a pure function
    neurosleep.sleep : which takes any rule

    References
    ----------
    Pfister, Gerstner (2006), Journal of Neuroscience 26:9673, doi:10.1523/JNEUROSCI.1425-06.2006.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import TripletSTDP, plasticity_step
    >>> rule = TripletSTDP(a2_plus=0.25, a2_minus=0.25, a3_plus=0.5, a3_minus=0.0, decay_y=0.5)
    >>> weight, fired = torch.zeros(1, 1), torch.tensor([True])
    >>> traces = rule.initial_traces(weight)
    >>> weight, traces = plasticity_step(weight, ~fired, fired, traces, rule)
    >>> plasticity_step(weight, fired, fired, traces, rule)[0] > 0.25  # the unit had fired before
    tensor([[True]])
    """

    a2_plus: float
    a2_minus: float
    a3_plus: float
    a3_minus: float
    decay_plus: float = math.exp(-1 / 16.8)
    decay_minus: float = math.exp(-1 / 33.7)
    decay_x: float = math.exp(-1 / 101)
    decay_y: float = math.exp(-1 / 125)
    w_min: float = -math.inf
    w_max: float = math.inf
    name: ClassVar[str] = "stdp-triplet"

    def __post_init__(self) -> None:
        check_amplitudes(self, "a2_plus", "a2_minus", "a3_plus", "a3_minus")
        check_decays(self, "decay_plus", "decay_minus", "decay_x", "decay_y")
        check_bounds(self)

    def initial_traces(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Traces r1 ``[pre]``, o1 ``[post]``, r2 ``[pre]`` and o2 ``[post]``, zero."""
        pre, post = weight.new_zeros(weight.shape[1]), weight.new_zeros(weight.shape[0])
        return pre, post, pre, post

    def step_(self, weight: Tensor, pre: Tensor, post: Tensor, traces: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Change ``weight`` ``[post, pre]`` in place; return the new traces."""
        r1, o1, r2, o2 = traces
        r1 = r1 * self.decay_plus + pre.to(r1.dtype)
        o1, r2, o2 = o1 * self.decay_minus, r2 * self.decay_x, o2 * self.decay_y
        rows, columns = post.nonzero().squeeze(1), pre.nonzero().squeeze(1)
        # A weight whose both sides fired takes depression and potentiation before it meets its bounds.
        if len(columns):
            weight[:, columns] -= (self.a2_minus + self.a3_minus * r2[columns]) * o1[:, None]
        if len(rows):
            gain = self.a2_plus + self.a3_plus * o2[rows, None]
            weight[rows] = (weight[rows] + gain * r1).clamp(self.w_min, self.w_max)
        if len(columns):
            weight[:, columns] = weight[:, columns].clamp(self.w_min, self.w_max)
        return r1, o1 + post.to(o1.dtype), r2 + pre.to(r2.dtype), o2 + post.to(o2.dtype)
