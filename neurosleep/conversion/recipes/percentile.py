"""Robust normalisation: a high percentile of the activities in place of the largest, which a single outlier sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from neurosleep._checks import check_number
from neurosleep.conversion._build import Neurons
from neurosleep.conversion.plan import Plan
from neurosleep.conversion.recipes.base import ActivityRecipe, spiking_activities
from neurosleep.errors import SettingsError

__all__ = ["Percentile"]

#: So many positive activities of a population are kept in a batch; of more, an evenly spaced part.
_KEPT = 200_000


@dataclass(frozen=True)
class Percentile(ActivityRecipe):
    """Robust normalisation: a spike stands for a high percentile of the layer's positive activities.

    Units above it saturate; all others fire more than with :class:`Maximum`, and need fewer steps.

    Parameters
    ----------
    percentile:
        Above 1, at most 100: 99.9, and not 0.999.

    Raises
    ------
    SettingsError
        If it is no such number.

    See Also
    --------
    Maximum : the largest activity
    neurosleep.convert : what reads it

    References
    ----------
    Rueckauer et al. (2017), doi:10.3389/fnins.2017.00682, section 2.2.2.

    Examples
    --------
    >>> Percentile(99.0)
    Percentile(percentile=99.0)
    """

    percentile: float = 99.9
    name: ClassVar[str] = "percentile"

    def __post_init__(self) -> None:
        percentile = check_number("percentile", self.percentile, most=100, above=0)
        if percentile <= 1:
            raise SettingsError(
                f"A percentile of {percentile:g} counts from 0 to 100: nearly all activities would lie above it.",
                expected="above 1, at most 100",
                hint=f"Percentile({100 * percentile:g}), if it was meant as a fraction",
            )
        object.__setattr__(self, "percentile", percentile)

    def largest(self, plan: Plan, images: Tensor, neurons: Neurons, dt: float) -> dict[str, float]:
        """What one spike of each population stands for, by name; 0 for one that is silent over all images."""
        positive: dict[str, list[Tensor]] = {}
        for batch in spiking_activities(plan, images, neurons):
            for name, values in batch.items():
                above = values[values > 0]
                positive.setdefault(name, []).append(above[:: max(1, -(-len(above) // _KEPT))])
        largest = {}
        for name, parts in positive.items():
            together = torch.cat(parts)
            rank = min(len(together), max(1, round(self.percentile / 100 * len(together))))
            largest[name] = float(together.kthvalue(rank).values) if len(together) else 0.0
        return largest
