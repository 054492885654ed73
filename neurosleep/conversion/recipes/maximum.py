"""Data-based normalisation: a spike stands for the largest activity over the calibration images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from neurosleep.conversion._build import Neurons
from neurosleep.conversion.plan import Plan
from neurosleep.conversion.recipes.base import ActivityRecipe, spiking_activities

__all__ = ["Maximum"]


@dataclass(frozen=True)
class Maximum(ActivityRecipe):
    """Data-based normalisation: a spike stands for the layer's largest activity over the calibration images.

    No unit saturates on these images; a single outlier sets the scale of all (:class:`Percentile` is robust to it).

    See Also
    --------
    Percentile : a high percentile in its place
    neurosleep.convert : what reads it

    References
    ----------
    Diehl et al. (2015), doi:10.1109/IJCNN.2015.7280696, section on data-based normalisation.

    Examples
    --------
    >>> Maximum()
    Maximum()
    """

    name: ClassVar[str] = "max"

    def largest(self, plan: Plan, images: Tensor, neurons: Neurons, dt: float) -> dict[str, float]:
        """What one spike of each population stands for, by name; 0 for one that is silent over all images."""
        largest: dict[str, float] = {}
        for batch in spiking_activities(plan, images, neurons):
            for name, values in batch.items():
                largest[name] = max(largest.get(name, 0.0), float(values.max()))
        return largest
