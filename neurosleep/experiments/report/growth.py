"""What grew as tasks came, of the runs of a group; and the sleeps of streams without tasks: when, why, what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neurosleep import plot
from neurosleep.experiments.plain import number
from neurosleep.experiments.report.images import Budget, Image, drawing
from neurosleep.experiments.report.numbers import DASH, counted, mean, percent, seconds
from neurosleep.experiments.report.read import Rows, Run, matrix_of
from neurosleep.experiments.report.table import Cell, Table, words

__all__ = ["growth_image", "growth_rows", "stream_table"]

# Fewer tasks tell nothing of growth.
_FEWEST = 3
_COLUMNS = ("train_s", "sleep_s", "memory_bytes")


def growth_rows(by_strategy: Mapping[str, Sequence[Run]]) -> Rows:
    """Accuracy on the tasks so far, seconds and memory of each task: means over the seeds of each strategy."""
    rows: Rows = []
    for name, runs in by_strategy.items():
        measured = [(run, grown) for run in runs if (grown := _growth(run))]
        for task in range(max((len(grown["train_s"]) for _, grown in measured), default=0)):
            there = [(run, grown) for run, grown in measured if len(grown["train_s"]) > task]
            awake, sleep, memory = (mean(grown[column][task] for _, grown in there) for column in _COLUMNS)
            matrices = [matrix for run, _ in there if len(matrix := matrix_of(run, "accuracy_matrix")) > task]
            rows.append(
                {
                    "strategy": name,
                    "after_task": task + 1,
                    "accuracy": mean(mean(matrix[task][: task + 1]) for matrix in matrices),
                    "seconds": None if awake is None else awake + (sleep or 0.0),
                    "sleep_seconds": sleep,
                    "memory": memory,
                }
            )
    return rows


def _growth(run: Run) -> dict[str, list[float | None]]:
    """What was measured with each task, in columns of one length; empty where it was not, or all was learnt at once."""
    given = run.metrics.get("growth")
    columns = {key: given.get(key) for key in _COLUMNS} if isinstance(given, dict) else {}
    lists = {key: [number(value) for value in column] for key, column in columns.items() if isinstance(column, list)}
    lengths = {len(column) for column in lists.values()}
    return lists if len(lists) == len(_COLUMNS) and len(lengths) == 1 and lengths.pop() >= _FEWEST else {}


def growth_image(by_strategy: Mapping[str, Sequence[Run]], colours: Mapping[str, str], budget: Budget) -> Image | None:
    """The figure of it, if it was measured."""
    rows = growth_rows(by_strategy)
    if not rows:
        return None
    fig = plot.figure(4.8, 6.0)
    plot.growth(rows, colours=colours, fig=fig)
    firsts = {str(row["strategy"]): row for row in reversed(rows)}
    lasts = {str(row["strategy"]): row for row in rows}
    told = "; ".join(
        f"{name}: accuracy {percent(firsts[name]['accuracy'])} to {percent(row['accuracy'])}, "
        f"{seconds(firsts[name]['seconds'])} to {seconds(row['seconds'])} a task"
        for name, row in lasts.items()
    )
    return drawing(
        fig,
        f"Three line charts over the tasks: accuracy on the tasks so far, seconds of each task, peak memory. {told}.",
        "As tasks come: accuracy on those so far, seconds of each (wake and sleep), and the most memory that the "
        "process took meanwhile, the data included; means over seeds.",
        budget,
        name="growth",
        rows=rows,
    )


def stream_table(run: Run) -> Table | None:
    """The sleeps of a stream without tasks."""
    given = run.metrics.get("stream")
    sleeps = [sleep for sleep in given if isinstance(sleep, dict)] if isinstance(given, list) else []
    if not sleeps:
        return None
    rows = []
    for sleep in sleeps:
        samples, spent = number(sleep.get("samples")), number(sleep.get("seconds"))
        rows.append(
            [
                Cell(DASH if samples is None else f"{samples:,.0f}", samples, True),
                *(words(str(sleep.get(key) or DASH)) for key in ("trigger", "status", "reason")),
                Cell(seconds(spent), spent, True),
            ]
        )
    columns = ["After samples", "Why then", "Status", "What came of it", "Time"]
    return Table(f"{run.name}: {counted(len(rows), 'sleep')} in a stream without tasks", columns, rows)
