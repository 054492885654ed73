"""Whether two strategies differ on equal seeds: Student's paired test, corrected for how many there are."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from neurosleep.analysis import paired_test
from neurosleep.experiments.report.numbers import DASH, minus
from neurosleep.experiments.report.read import Run
from neurosleep.experiments.report.table import Cell, Table, words

__all__ = ["by_seed", "paired_table", "told_p"]

# Of more pairs, only those with the best strategy are shown.
MOST_PAIRS = 15


def by_seed(runs: Sequence[Run]) -> dict[str, float]:
    """The accuracy of each seed that has one."""
    return {run.seed: run.score for run in runs if run.score is not None}


def told_p(p: float) -> str:
    """A p-value."""
    if math.isnan(p):
        return DASH
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def paired_table(runs: Mapping[str, Sequence[Run]], *, apart: str = "Strategies") -> Table | None:
    """The differences of each two, ``runs`` by name and the best first; None where no two share two seeds."""
    scores = {name: by_seed(members) for name, members in runs.items()}
    pairs = list(itertools.combinations(scores, 2))
    if len(pairs) > MOST_PAIRS:
        pairs = [pair for pair in pairs if pair[0] == next(iter(scores))]
    found = []
    for one, other in pairs:
        seeds = [seed for seed in scores[one] if seed in scores[other]]
        if len(seeds) >= 2:
            a, b = (np.array([scores[name][seed] for seed in seeds]) for name in (one, other))
            found.append((f"{one} - {other}", len(seeds), 100 * statistics.fmean(a - b), paired_test(a, b).p))
    if not found:
        return None
    corrected = _holm([p for *_, p in found])
    rows = [
        [
            words(name),
            Cell(str(n), n, True),
            Cell(minus(gap, "+.1f"), gap, True),
            Cell(told_p(p), None if math.isnan(p) else p, True),
            Cell(told_p(q), None if math.isnan(q) else q, True),
        ]
        for (name, n, gap, p), q in zip(found, corrected, strict=True)
    ]
    caption = "Differences on equal seeds: Student's paired test, two-sided; the last column after Holm's correction"
    return Table(caption, [apart, "Equal seeds", "Points", "p", "p, corrected"], rows)


def _holm(values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of those that are defined."""
    order = sorted((k for k, p in enumerate(values) if not math.isnan(p)), key=values.__getitem__)
    corrected, largest = [math.nan] * len(values), 0.0
    for rank, k in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * values[k]))
        corrected[k] = largest
    return corrected
