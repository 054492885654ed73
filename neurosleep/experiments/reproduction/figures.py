"""The picture of a table or figure, one function for each kind, and the rows that it shows."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from neurosleep import plot
from neurosleep._reproductions import Kind, Reproduction
from neurosleep.experiments.metrics import Metrics, spread_of
from neurosleep.experiments.reproduction.measures import read_table
from neurosleep.experiments.reproduction.requests import Entry
from neurosleep.experiments.reproduction.rows import Row, RunKey, key_of, short_labels
from neurosleep.experiments.reproduction.savings import savings_of
from neurosleep.plot._changes import LABEL_WIDTH
from neurosleep.plot._style import Axes, Figure

__all__ = ["draw"]

Runs = Mapping[RunKey, Metrics]
Shown = list[dict[str, Any]]

# Panels side by side, and inches of each.
_ACROSS = 2
_WIDTH = 6.0
# The table that a function draws, where it bears another name.
_TABLES = {"correlation_change": "class_correlation"}


def draw(reproduction: Reproduction, entries: Sequence[Entry], rows: Sequence[Row], runs: Runs) -> tuple[Figure, Shown]:
    """The picture, and its rows."""
    return _DRAWN[reproduction.kind](reproduction, entries, rows, runs)


def _panels(heights: Sequence[float], title: str) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, each as high as it needs to be, row by row."""
    across = min(_ACROSS, len(heights))
    lines = [max(heights[start : start + across]) for start in range(0, len(heights), across)]
    figure = plot.figure(_WIDTH * across, sum(lines) + 0.3, title=title)
    grid = figure.add_gridspec(len(lines), across, height_ratios=lines)
    return figure, [figure.add_subplot(grid[divmod(k, across)]) for k in range(len(heights))]


def _drawn_rows(row: Row, label: str) -> Shown:
    """What is published of a row, if it is a number, and what is ours: a line of the picture."""
    panel, _, settings = row.part.partition(", ")
    line: dict[str, Any] = {"panel": panel, "label": ": ".join(text for text in (settings, label) if text)}
    line |= {"part": row.part, "strategy": row.strategy, "unit": row.unit}
    empty: dict[str, Any] = {"values": [], "missing": ""}
    published = row.figure
    shown: Shown = (
        [] if published is None else [{"kind": "published", "mean": published.mean, "sd": published.sd} | empty]
    )
    ours: dict[str, Any] = {
        "kind": "tuned" if row.tuned else "default",
        "mean": row.ours["mean"],
        # Of a share of runs the deviation says nothing more.
        "sd": None if row.is_share else row.ours["sd"],
        "values": [] if row.is_share else list(row.values),
        "missing": "" if row.ours["n"] else row.verdict.partition(":")[0],
    }
    return [line | one for one in (*shown, ours)]


def _table(
    reproduction: Reproduction, entries: Sequence[Entry], rows: Sequence[Row], runs: Runs
) -> tuple[Figure, Shown]:
    """A panel for the parts of each data set: published and ours."""
    pairs = zip(rows, short_labels(rows), strict=True)
    shown = [line for row, label in pairs for line in _drawn_rows(row, label)]
    names = list(dict.fromkeys(row["panel"] for row in shown))
    panels = [(name, [row for row in shown if row["panel"] == name]) for name in names]
    colours = plot.strategy_colours(str(row["strategy"]) for row in shown)
    heights = [1.1 + 0.27 * len({row["label"] for row in members}) for _, members in panels]
    figure, grid = _panels(heights, reproduction.title)
    for ax, (name, members) in zip(grid, panels, strict=True):
        unit = members[0]["unit"]
        plot.dot_whisker(members, label=_axis(reproduction, unit), colours=colours, ax=ax)
        ax.set_title(name, fontsize="medium")
        ax.tick_params(axis="y", labelsize=8)
        if unit == "%":
            # Marks at 0 and 100 stay whole.
            ax.set_xlim(-3, 103)
    _legend(figure, grid)
    return figure, shown


def _axis(reproduction: Reproduction, unit: str) -> str:
    name = reproduction.axis or reproduction.measures[0].label or "accuracy"
    return f"{name} ({unit})" if unit else name


def _sweep(
    reproduction: Reproduction, entries: Sequence[Entry], rows: Sequence[Row], runs: Runs
) -> tuple[Figure, Shown]:
    """A panel for each part: a line for each strategy and measure over what its variants stand for."""
    shown: Shown = []
    for row in rows:
        line = ", ".join(text for text in (row.strategy, row.measure) if text)
        pairs: list[tuple[str, float | None, float | None, list[float | None]]] = []
        if row.figure is not None:
            pairs.append(("published", row.figure.mean, row.figure.sd, []))
        pairs += [("ours", row.ours["mean"], row.ours["sd"], list(row.values))]
        for kind, mean, sd, values in pairs:
            numbers = {name: None if value is None else value / 100 for name, value in (("mean", mean), ("sd", sd))}
            of_row = {"part": row.part, "strategy": row.strategy, "line": line, "value": row.point, "kind": kind}
            shown.append(of_row | numbers | {"values": values})
    palette = plot.strategy_colours(row["strategy"] for row in shown)
    colours = {row["line"]: palette[row["strategy"]] for row in shown}
    parts = [(name, list(members)) for name, members in itertools.groupby(shown, key=lambda row: row["part"])]
    figure, panels = _panels([3.4] * len(parts), reproduction.title)
    for ax, (name, members) in zip(panels, parts, strict=True):
        plot.sweep(members, label=reproduction.axis, colours=colours, legend=False, ax=ax)
        ax.set_title(name, fontsize="medium")
    _legend(figure, panels)
    return figure, shown


def _legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend for all panels, below them."""
    handles: dict[str, Any] = {}
    for ax in panels:
        drawn, labels = ax.get_legend_handles_labels()
        handles |= dict(zip(labels, drawn, strict=True))
    if len(handles) > 1:
        across = 3 if len(panels) > 1 else 2
        figure.legend(handles.values(), handles, frameon=False, loc="outside lower center", ncols=across)


def _phases(
    reproduction: Reproduction, entries: Sequence[Entry], rows: Sequence[Row], runs: Runs
) -> tuple[Figure, Shown]:
    """A panel for each strategy: accuracy of each task through the phases, the mean over seeds."""
    shown: Shown = []
    for entry in entries:
        done = [runs[key_of(request)] for request in entry.requests if key_of(request) in runs]
        shown += [{"part": entry.label, **row} for row in _phase_rows(done)]
    names = [entry.label for entry in entries]
    figure, panels = _panels([3.4] * len(names), reproduction.title)
    for ax, name in zip(panels, names, strict=True):
        plot.accuracy([row for row in shown if row["part"] == name], ax=ax)
        ax.set_title(name, fontsize="medium")
    return figure, shown


def _phase_rows(done: Sequence[Metrics]) -> Shown:
    """The accuracies of all seeds, as the mean over them."""
    values: dict[tuple[int, str, int], list[float]] = {}
    for metrics in done:
        slept = set(metrics["sleep"]["after_task"])
        before = metrics["accuracy_before_sleep"] or metrics["accuracy_matrix"]
        for k, (early, late) in enumerate(zip(before, metrics["accuracy_matrix"], strict=False), start=1):
            for phase, accuracies in (("wake", early), *([("sleep", late)] if k in slept else [])):
                for task, value in enumerate(accuracies, start=1):
                    values.setdefault((k, phase, task), []).append(value)
    return [
        {"after_task": k, "phase": phase, "on_task": task, "accuracy": spread_of(of)["mean"], "sd": spread_of(of)["sd"]}
        for (k, phase, task), of in values.items()
    ]


def _changes(
    reproduction: Reproduction, entries: Sequence[Entry], rows: Sequence[Row], runs: Runs
) -> tuple[Figure, Shown]:
    """What each run changed in each measure; before it the tables of the analyses themselves, as means over seeds."""
    drawings = _analysis_drawings(reproduction, entries, runs)
    shown: Shown = [
        {
            "part": row.part,
            "label": label + (f" ({row.unit})" if row.unit else ""),
            "values": list(row.values),
            "p": row.p,
            "published": row.published,
            "verdict": row.verdict,
        }
        for row, label in zip(rows, short_labels(rows), strict=True)
    ]
    parts = [(name, list(members)) for name, members in itertools.groupby(shown, key=lambda row: row["part"])]
    # Two lines a row, of which the first may be longer than there is room for.
    heights = [1.2 + sum(0.36 + 0.16 * (len(row["label"]) // LABEL_WIDTH) for row in members) for _, members in parts]
    figure, panels = _panels([*heights, *([3.6] * len(drawings))], reproduction.title)
    for ax, (name, members) in zip(panels, parts, strict=False):
        plot.changes(members, ax=ax)
        ax.set_title(name, fontsize="medium")
    for ax, (name, function) in zip(panels[len(parts) :], drawings, strict=True):
        function(ax)
        # Above the legend, which leaves room for a title only where a figure is that of a layer.
        ax.set_title(name, fontsize="small", pad=6 if " of " in name else 24)
    return figure, shown


def _analysis_drawings(
    reproduction: Reproduction, entries: Sequence[Entry], runs: Runs
) -> list[tuple[str, Callable[[Axes], object]]]:
    """Panels of the mean tables; a table with layers has one for each where its function wants a layer."""
    drawings: list[tuple[str, Callable[[Axes], object]]] = []
    for entry in entries:
        folders = [request.folder.path for request in entry.requests if key_of(request) in runs]
        for name in reproduction.draws:
            function, _, layer = name.partition(" of ")
            rows = _mean_table(folders, _TABLES.get(function, function))
            if layer:
                rows = [row for row in rows if row.get("layer") == layer]
            if rows:
                options = {"layer": layer} if layer else {}
                drawings.append((f"{entry.label}: {name.replace('_', ' ')}", _drawn(function, rows, options)))
    return drawings


def _drawn(function: str, rows: Shown, options: Mapping[str, str]) -> Callable[[Axes], object]:
    return lambda ax: getattr(plot, function)(rows, ax=ax, **options)


def _mean_table(folders: Sequence[Path], name: str) -> Shown:
    """The analysis of several runs as one: texts as they are, numbers as their means, p-values left out."""
    tables = [rows for folder in folders if (rows := read_table(folder, name))]
    tables = [rows for rows in tables if len(rows) == len(tables[0])]
    return [
        {column: _mean_field(column, [row[column] for row in alike]) for column in alike[0]}
        for alike in zip(*tables, strict=True)
    ]


def _mean_field(column: str, texts: Sequence[str]) -> str | float | None:
    if column.startswith("p_") or column == "p":
        return None
    if len(set(texts)) == 1:
        return texts[0]
    numbers = [float(text) for text in texts if text]
    return statistics.fmean(numbers) if numbers else None


def _epochs_saved(
    reproduction: Reproduction, entries: Sequence[Entry], rows: Sequence[Row], runs: Runs
) -> tuple[Figure, Shown]:
    """A panel for each part: epochs that each accuracy takes with and without sleep, of the means over seeds."""
    parts = list({entry.part.label: entry.part for entry in entries}.values())
    figure, panels = _panels([3.8] * len(parts), reproduction.title)
    shown: Shown = []
    for ax, part in zip(panels, parts, strict=True):
        table = savings_of(part, rows)
        title = part.label
        if table is not None:
            title += f": {plot.epochs_saved(table, ax=ax).get_title()}"
            shown += [{"part": part.label, **row} for row in table.rows()]
        else:
            ax.text(0.5, 0.5, "no range of accuracies in common", transform=ax.transAxes, ha="center")
            ax.set_axis_off()
        ax.set_title(title, fontsize="small")
    return figure, shown or [{"part": "", "accuracy": None, "epochs_without": None, "epochs_with": None, "saved": None}]


_DRAWN: dict[Kind, Callable[..., tuple[Figure, Shown]]] = {
    "table": _table,
    "sweep": _sweep,
    "phases": _phases,
    "changes": _changes,
    "epochs-saved": _epochs_saved,
}
