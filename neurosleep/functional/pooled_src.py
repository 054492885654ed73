r"""The rule of Sleep Replay Consolidation for weights that synapses share: what it does at all places, pooled.

A weight k of a convolution is that of a synapse at every place of the grid where its tap does not lie in the padding.
In a step :math:`n_+` of these synapses have a spike on both sides, and :math:`n_-` one of the unit only. With the mean,
a weight changes by no more than that of a single synapse would; with the sum, by as much as all of them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from torch import Tensor

from neurosleep.errors import unknown_name
from neurosleep.functional.factors import Factor, weight_factor
from neurosleep.functional.src_rule import SRCRule

__all__ = ["PooledSRC", "Pooling"]

Pooling = Literal["mean", "sum"]


@dataclass(frozen=True)
class PooledSRC:
    r"""Specification of the rule: :class:`SRCRule` that also changes plastic convolutions, which that one does not.

    .. math::
        \Delta k = \frac{inc\, n_+ - dec\, n_-}{n_+ + n_-}\, g(k) \quad (\text{mean}), \qquad
        \Delta k = \left(inc\, n_+ - dec\, n_-\right) g(k) \quad (\text{sum})

    Matrices change as by :class:`SRCRule`, which is the case of a single place.

    Parameters
    ----------
    inc, dec, factor, width:
        As of :class:`SRCRule`.
    pooling:
        Whether a shared weight changes by the ``"mean"`` or the ``"sum"`` of what the rule does to its synapses in a
        step.

    Raises
    ------
    SettingsError
        If a parameter is impossible.
    UnknownNameError
        If there is no such factor or pooling.

    See Also
    --------
    SRCRule : of matrices only, as published
    neurosleep.conversion.plastic_convolutions : makes those of a converted network plastic
    neurosleep.sleep : which takes any rule

    References
    ----------
    Tadros et al. (2022), doi:10.1038/s41467-022-34938-7, whose networks have no convolutions.

    Examples
    --------
    >>> PooledSRC(inc=0.01, dec=0.001).pooling
    'mean'
    """

    inc: float
    dec: float
    factor: Factor = "steep"
    width: float = 0.001
    pooling: Pooling = "mean"
    name: ClassVar[str] = "src-pooled"

    def __post_init__(self) -> None:
        _ = self.of_matrices
        if self.pooling not in get_args(Pooling):
            raise unknown_name("pooling of updates", str(self.pooling), get_args(Pooling))

    @property
    def of_matrices(self) -> SRCRule:
        """The same of weights that are not shared."""
        return SRCRule(self.inc, self.dec, self.factor, self.width)

    def initial_traces(self, weight: Tensor) -> tuple[Tensor, ...]:
        """The rule keeps no traces."""
        return ()

    def step_(self, weight: Tensor, pre: Tensor, post: Tensor, traces: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Change ``weight`` ``[post, pre]`` in place after a step with boolean spikes ``pre`` and ``post``."""
        return self.of_matrices.step_(weight, pre, post, traces)

    def step_pooled_(self, weight: Tensor, both: Tensor, alone: Tensor) -> None:
        """Change a shared ``weight`` in place; in the step its synapses had ``both`` spikes, or the unit's ``alone``.

        ``both`` and ``alone`` are numbers of synapses, of the shape and type of ``weight``.
        """
        change = self.inc * both - self.dec * alone
        if self.pooling == "mean":
            change = change / (both + alone).clamp(min=1)
        weight += change * weight_factor(weight, self.factor, self.width)
