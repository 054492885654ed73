"""How accuracy grows from epoch to epoch, of runs that tested each: a table of results."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from neurosleep.experiments.metrics import Metrics
from neurosleep.experiments.results.compared import figure_text
from neurosleep.experiments.results.tables import markdown_table

__all__ = ["epochs_lines"]


def epochs_lines(runs: Iterable[Metrics]) -> list[str]:
    """A caption and a row for each variant and task, a column an epoch; none where no run tested its epochs."""
    found: dict[tuple[str, int], dict[int, list[float]]] = {}
    for run in runs:
        for epoch in run.get("epochs", ()):
            row = found.setdefault((run["variant"], epoch["task"]), {})
            row.setdefault(epoch["epoch"], []).append(100 * epoch["accuracy_all"])
    if not found:
        return []
    last = max(epoch for row in found.values() for epoch in row)
    several = len({task for _, task in found}) > 1
    header = ("variant", *(("task",) if several else ()), "n", *map(str, range(1, last + 1)))
    rows = []
    for (variant, task), row in found.items():
        cells = [figure_text(statistics.fmean(row[epoch])) if epoch in row else "-" for epoch in range(1, last + 1)]
        count = str(max(map(len, row.values())))
        rows.append([variant, *([str(task)] if several else []), count, *cells])
    return ["", "Accuracy on the test images after each epoch (%), mean:", "", *markdown_table(header, rows)]
