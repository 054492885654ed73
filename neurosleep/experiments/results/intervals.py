"""The interval of a mean difference, without SciPy, which is no dependency of the core."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import cache

from neurosleep.analysis import incomplete_beta

__all__ = ["interval_text"]


@cache
def _t(df: int) -> float:
    """The 97.5 % point of Student's t, by bisection of its two-sided p-value."""
    low, high = 0.0, 13.0
    for _ in range(60):
        middle = (low + high) / 2
        if incomplete_beta(df / 2, 0.5, df / (df + middle * middle)) > 0.05:
            low = middle
        else:
            high = middle
    return low


def interval_text(differences: Sequence[float]) -> str:
    """Mean of the differences with its 95 % interval, of one difference without.

    >>> interval_text([40.0, 50.0])
    '+45.00 (-18.53 to +108.53)'
    """
    mean, count = statistics.fmean(differences), len(differences)
    if count < 2:
        return f"{mean:+.2f}"
    half = _t(count - 1) * statistics.stdev(differences) / math.sqrt(count)
    return f"{mean:+.2f} ({mean - half:+.2f} to {mean + half:+.2f})"
