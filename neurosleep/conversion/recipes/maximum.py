"""Data-based normalisation: a spike stands for the largest activity over the calibration images.

Diehl et al. (2015, doi:10.1109/IJCNN.2015.7280696), section on data-based normalisation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

__all__ = ["maxima"]


def maxima(activities: Iterable[Mapping[str, Tensor]]) -> dict[str, float]:
    """The largest value of each population over all batches ``[batch, n]``."""
    found: dict[str, float] = {}
    for batch in activities:
        for name, values in batch.items():
            found[name] = max(found.get(name, 0.0), float(values.max()))
    return found
