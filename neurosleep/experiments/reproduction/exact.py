"""Fisher's exact test of two shares."""

from __future__ import annotations

import math

__all__ = ["fisher_exact"]


def fisher_exact(a: int, n: int, b: int, m: int) -> float:
    """Two-sided p-value that ``a`` of ``n`` and ``b`` of ``m`` have one share: of all tables no likelier than this.

    Fisher (1922), doi:10.2307/2340521.

    >>> round(fisher_exact(8, 10, 1, 10), 4)
    0.0055
    """
    total = a + b
    ways = [math.comb(n, k) * math.comb(m, total - k) for k in range(max(0, total - m), min(n, total) + 1)]
    this = math.comb(n, a) * math.comb(m, b)
    return sum(way for way in ways if way <= this) / sum(ways)
