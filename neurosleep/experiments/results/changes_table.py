"""What single changes move, each against the experiment as it is on equal seeds: a table of results."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

import numpy as np

from neurosleep.analysis import paired_test
from neurosleep.experiments.metrics import Metrics
from neurosleep.experiments.published_figures import published_figures
from neurosleep.experiments.results.intervals import interval_text
from neurosleep.experiments.results.layout import Table
from neurosleep.experiments.results.tables import markdown_table

__all__ = ["changes_lines"]

_STRATEGY = "src"
_COLUMNS = (
    "change",
    "what it is",
    "n",
    "as released (%)",
    "changed (%)",
    "difference (points), 95 % interval",
    "p",
    "p, corrected",
)


def changes_lines(table: Table, runs: Iterable[Metrics]) -> list[str]:
    """The table's text and a row for each of its changes that was run, the largest gain first; none without runs."""
    every = [run for run in runs if run["strategy"] == _STRATEGY]
    before = _by_seed(run for run in every if (run["experiment"], run["variant"]) == (table.against, "default"))
    found = []
    for variant, text in table.changes.items():
        after = _by_seed(run for run in every if run["experiment"] in table.experiments and run["variant"] == variant)
        if seeds := sorted(after.keys() & before.keys()):
            pairs = np.array([[before[seed], after[seed]] for seed in seeds])
            found.append((variant, text, pairs))
    if not found:
        return []
    found.sort(key=lambda change: -float((change[2][:, 1] - change[2][:, 0]).mean()))
    rows = []
    for variant, text, pairs in found:
        p = paired_test(pairs[:, 1], pairs[:, 0]).p
        interval = interval_text([float(after - before) for before, after in pairs])
        corrected = p if math.isnan(p) else min(1.0, p * len(found))
        cells = (str(len(pairs)), _mean(pairs[:, 0]), _mean(pairs[:, 1]), interval, _told(p), _told(corrected))
        rows.append([variant, text, *cells])
    own = ", ".join(table.experiments)
    count = max(len(pairs) for *_, pairs in found)
    return [
        table.text,
        "",
        _summary(table, before),
        "*p*: Student's paired test on equal seeds, two-sided; corrected after Bonferroni for all rows.",
        "",
        *markdown_table(_COLUMNS, rows),
        "",
        f"    neurosleep run {own} --strategy {_STRATEGY} --seeds {count} --data DIR --out OUT",
    ]


def _by_seed(runs: Iterable[Metrics]) -> dict[int, float]:
    """Accuracy in percent by seed, of those that did not diverge."""
    return {run["seed"]: 100 * value for run in runs if (value := run["results"].get("accuracy_all")) is not None}


def _summary(table: Table, before: dict[int, float]) -> str:
    figure = published_figures(table.against, "default").get(_STRATEGY)
    told = f"As released: {_mean(np.array(list(before.values())))} % (n {len(before)})"
    return f"{told}; published: {figure.mean:.2f} ± {figure.sd:.2f} %." if figure and figure.sd else f"{told}."


def _mean(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    spread = f" ± {statistics.stdev(values.tolist()):.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{spread}"


def _told(p: float) -> str:
    return "-" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"
