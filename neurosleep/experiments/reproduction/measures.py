"""One number of a run, as the measures of a table or figure name it."""

from __future__ import annotations

import csv
import math
import re
import statistics
from pathlib import Path

from neurosleep._reproductions import Measure
from neurosleep.errors import SettingsError
from neurosleep.experiments.inside import is_there, read_text
from neurosleep.experiments.metrics import Metrics, at_chance

__all__ = ["failed", "measured", "read_table"]

_TASK = re.compile(r"task (\d+)(?: (before sleep)| after task (\d+))?")


def measured(measure: Measure, metrics: Metrics, folder: Path) -> float | None:
    """The number of a run, in the measure's unit (fractions in percent); None where the run has none.

    ``folder`` is that of the run, whose analyses lie there.

    Raises
    ------
    SettingsError
        If there is no such result or column.
    """
    value = _of_table(measure, folder) if measure.table else _of_metrics(measure.result, metrics)
    if value is None or not math.isfinite(value):
        return None
    return 100 * value if measure.unit == "%" else value


def failed(metrics: Metrics) -> bool:
    """Whether a run diverged, or ended no better than to name the most frequent class every time."""
    return metrics["status"] == "diverged" or at_chance(metrics)


def _of_metrics(result: str, metrics: Metrics) -> float | None:
    if result == "failed":
        return float(failed(metrics))
    task = _TASK.fullmatch(result)
    if task is None:
        return metrics["results"].get(result)
    number = int(task[1]) - 1
    if task[2]:
        rows = metrics["accuracy_before_sleep"] or metrics["accuracy_matrix"]
        row = rows[-1] if rows else []
    elif task[3]:
        row = metrics["accuracy_matrix"][int(task[3]) - 1] if int(task[3]) <= len(metrics["accuracy_matrix"]) else []
    else:
        row = metrics["accuracy_per_task"]
    return row[number] if number < len(row) else None


def read_table(folder: Path, name: str) -> list[dict[str, str]] | None:
    """The rows of an analysis of a run as texts; None where it has none."""
    path = folder / "analysis" / f"{name}.csv"
    return list(csv.DictReader(read_text(path).splitlines())) if is_there(path) else None


def _of_table(measure: Measure, folder: Path) -> float | None:
    rows = read_table(folder, measure.table) or []
    values = []
    for row in rows:
        if any(row.get(key) != value for key, value in measure.where.items()):
            continue
        lacking = [column for column in measure.value if column not in row]
        if lacking:
            raise SettingsError(f"The analysis {measure.table!r} has no column {lacking[0]!r}.", found=", ".join(row))
        numbers = [float(row[column]) if row[column] else math.nan for column in measure.value]
        values.append(numbers[-1] - numbers[0] if len(numbers) == 2 else numbers[0])
    defined = [value for value in values if math.isfinite(value)]
    return statistics.fmean(defined) if defined else None
