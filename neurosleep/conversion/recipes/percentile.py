"""Robust normalisation: a high percentile of the activities in place of the largest, which a single outlier sets.

Rueckauer et al. (2017, doi:10.3389/fnins.2017.00682), section 2.2.2. Units above it saturate; all others fire more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

__all__ = ["percentiles"]

#: So many positive activities of a population are kept in a batch; of more, an evenly spaced part.
_KEPT = 200_000


def percentiles(activities: Iterable[Mapping[str, Tensor]], percentile: float = 99.9) -> dict[str, float]:
    """The given percentile, 0 to 100, of the positive values of each population (0 where there are none)."""
    kept: dict[str, list[Tensor]] = {}
    for batch in activities:
        for name, values in batch.items():
            positive = values[values > 0]
            kept.setdefault(name, []).append(positive[:: max(1, -(-len(positive) // _KEPT))])
    found = {}
    for name, parts in kept.items():
        together = torch.cat(parts)
        rank = min(len(together), max(1, round(percentile / 100 * len(together))))
        found[name] = float(together.kthvalue(rank).values) if len(together) else 0.0
    return found
