r"""Pair-based spike-timing-dependent plasticity whose steps depend on the weight."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from neurosleep.errors import SettingsError
from neurosleep.functional.rule_checks import TAU_20, check_amplitudes, check_bounds, check_decays

__all__ = ["MultiplicativeSTDP"]


@dataclass(frozen=True)
class MultiplicativeSTDP:
    r"""Specification of pair-based STDP with soft bounds: steps shrink as a weight nears the bound that they lead to.

    Traces x and y are those of :class:`PairSTDP`, and so is the order within a step; a weight whose both sides fired
    is depressed first, and potentiated from there.

    .. math::
        \Delta w_{ji} = A_+ \left(\frac{w_{max} - w_{ji}}{w_{max} - w_{min}}\right)^{\mu_+} s_j\, x_i
        - A_- \left(\frac{w_{ji} - w_{min}}{w_{max} - w_{min}}\right)^{\mu_-} s_i\, y_j

    Exponents of 0 make it additive (:class:`PairSTDP` with bounds), of 1 multiplicative; ``mu_plus=0, mu_minus=1`` is
    the rule of van Rossum et al., in between lie those of Gütig et al. With exponents of at least 1 and steps
    ``a_plus * x`` and ``a_minus * y`` of at most ``w_max - w_min``, weights within the bounds stay there by themselves;
    whatever else would leave them is clipped.

    Parameters
    ----------
    a_plus, a_minus:
        Amplitudes at the opposite bound, in units of the weight, not negative.
    mu_plus, mu_minus:
        Exponents of the dependence on the weight, not negative.
    decay_plus, decay_minus:
        Factors of the traces per step, ``exp(-dt/tau)``, from 0 to below 1 (0.951 is 20 ms at 1 ms a step).
    w_min, w_max:
        Bounds of the weight, finite.

    See Also
    --------
    PairSTDP : with steps that are the same for every weight
    plasticity_step : one step as a pure function
    neurosleep.sleep : which takes any rule

    References
    ----------
    van Rossum, Bi, Turrigiano (2000), Journal of Neuroscience 20:8812, doi:10.1523/JNEUROSCI.20-23-08812.2000.
    Gütig, Aharonov, Rotter, Sompolinsky (2003), Journal of Neuroscience 23:3697,
    doi:10.1523/JNEUROSCI.23-09-03697.2003.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import MultiplicativeSTDP, plasticity_step
    >>> rule = MultiplicativeSTDP(a_plus=0.5, a_minus=0.5)
    >>> fired = torch.tensor([True])
    >>> weights = torch.tensor([[0.5]]), torch.tensor([[0.75]])
    >>> [plasticity_step(w, fired, fired, rule.initial_traces(w), rule)[0].item() for w in weights]
    [0.75, 0.875]
    """

    a_plus: float
    a_minus: float
    mu_plus: float = 1.0
    mu_minus: float = 1.0
    decay_plus: float = TAU_20
    decay_minus: float = TAU_20
    w_min: float = 0.0
    w_max: float = 1.0
    name: ClassVar[str] = "stdp-multiplicative"

    def __post_init__(self) -> None:
        check_amplitudes(self, "a_plus", "a_minus", "mu_plus", "mu_minus")
        check_decays(self, "decay_plus", "decay_minus")
        check_bounds(self)
        if not math.isfinite(self.w_max - self.w_min):
            raise SettingsError(
                f"The rule's bounds are {self.w_min!r} to {self.w_max!r}.",
                expected="finite bounds, which the steps depend on",
                hint="PairSTDP, the rule 'stdp', needs none",
            )

    def initial_traces(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Presynaptic ``[pre]`` and postsynaptic ``[post]`` trace, zero."""
        return weight.new_zeros(weight.shape[1]), weight.new_zeros(weight.shape[0])

    def step_(self, weight: Tensor, pre: Tensor, post: Tensor, traces: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Change ``weight`` ``[post, pre]`` in place; return the new traces."""
        x, y = traces
        x = x * self.decay_plus + pre.to(x.dtype)
        y = y * self.decay_minus
        rows, columns, span = post.nonzero().squeeze(1), pre.nonzero().squeeze(1), self.w_max - self.w_min
        if len(columns):
            before = weight[:, columns]
            room = ((before - self.w_min) / span).clamp(min=0)
            weight[:, columns] = before - self.a_minus * y[:, None] * room**self.mu_minus
        if len(rows):
            before = weight[rows]
            room = ((self.w_max - before) / span).clamp(min=0)
            weight[rows] = (before + self.a_plus * x * room**self.mu_plus).clamp(self.w_min, self.w_max)
        if len(columns):
            weight[:, columns] = weight[:, columns].clamp(self.w_min, self.w_max)
        return x, y + post.to(y.dtype)
