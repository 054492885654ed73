"""Variants that are the points of a sweep: one picture and a few sentences in place of many of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from neurosleep import plot
from neurosleep.experiments.plain import flatten, number
from neurosleep.experiments.report.group import Group
from neurosleep.experiments.report.images import Budget, Image, drawing
from neurosleep.experiments.report.numbers import defined, mean, percent, sd
from neurosleep.experiments.report.read import Rows, Run, matrix_of
from neurosleep.experiments.report.table import Cell, Table, accuracies

__all__ = ["Sweep", "sweeps_of"]

# A variant that is one point of a sweep, and what was changed beside it: fraction-0.01, k-100, overlap-12,analyse=true.
SWEEP = re.compile(r"(?P<label>[A-Za-z][A-Za-z_-]*)-(?P<value>\d+(\.\d+)?)(?P<rest>,.*)?")
# Differences below this many points are called level.
LEVEL = 0.005


@dataclass
class Sweep:
    """At least three points of an experiment that differ in one number."""

    experiment: str
    label: str
    rest: str
    groups: dict[float, list[Group]]
    images: list[Image] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Its name in one line."""
        return f"{self.experiment}: sweep over {self.label}" + (f" ({self.rest})" if self.rest else "")

    @property
    def runs(self) -> dict[float, list[Run]]:
        """The runs that ended, by the value of their point."""
        return {
            value: [run for group in groups for run in group.runs if run.status == "done"]
            for value, groups in sorted(self.groups.items())
        }

    @property
    def span(self) -> str:
        """What it goes through."""
        return f"{self.label} from {min(self.groups):g} to {max(self.groups):g} ({len(self.groups)} points)"

    @property
    def table(self) -> Table:
        """All its points, a line each, the strategies side by side."""
        points = [(value, group) for value, groups in sorted(self.groups.items()) for group in groups]
        names = list(dict.fromkeys(name for _, group in points for name in group.scores))
        rows = [
            [
                Cell(f"{value:g}", value, True, anchor=group.anchor),
                Cell(str(seeds := max(map(len, group.scores.values()), default=0)), seeds, True),
                *(accuracies(group.scores.get(name, [])) for name in names),
            ]
            for value, group in points
        ]
        caption = "Accuracy over all classes after the last task: mean ± standard deviation over seeds"
        return Table(caption, [self.label, "Seeds", *names], rows)

    @property
    def verdict(self) -> list[str]:
        """The outcome over all points in a sentence for each strategy."""
        return _verdict(self.label.replace("-", " "), self.runs) or ["No point of it has a result."]


def sweeps_of(groups: Sequence[Group], budget: Budget) -> list[Sweep]:
    """The sweeps among the groups, with their figures."""
    found: dict[tuple[str, str, str], Sweep] = {}
    for group in groups:
        match = SWEEP.fullmatch(group.variant)
        if match:
            key = (group.experiment, match["label"], (match["rest"] or "").strip(","))
            found.setdefault(key, Sweep(*key, {})).groups.setdefault(float(match["value"]), []).append(group)
    sweeps = [sweep for _, sweep in sorted(found.items()) if sum(map(bool, sweep.runs.values())) >= 3]
    named = {id(group) for sweep in sweeps for members in sweep.groups.values() for group in members}
    sweeps += _of_one_setting([group for group in groups if id(group) not in named])
    for sweep in sweeps:
        _draw(sweep, budget)
    return sweeps


def _of_one_setting(groups: Sequence[Group]) -> list[Sweep]:
    """Sweeps whose variants differ in one setting, a number, whatever they are called."""
    parts: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        parts.setdefault((group.experiment, group.split), []).append(group)
    sweeps = []
    for (experiment, _), members in parts.items():
        tables = [flatten(next((run.settings for run in group.runs if run.settings), {})) for group in members]
        keys = {key for table in tables for key in table}
        differing = [key for key in sorted(keys) if len({repr(table.get(key)) for table in tables}) > 1]
        values = [number(table.get(differing[0])) for table in tables] if len(differing) == 1 else []
        points = {value: [group] for value, group in zip(values, members, strict=False) if value is not None}
        if len(points) == len(members) >= 3:
            sweep = Sweep(experiment, differing[0], "", points)
            sweeps += [sweep] if sum(map(bool, sweep.runs.values())) >= 3 else []
    return sweeps


def _draw(sweep: Sweep, budget: Budget) -> None:
    for what, lines in _lines(sweep.runs).items() if budget.room else ():
        fig = plot.figure(4.8, 3.2 + 0.1 * len({row["line"] for row in lines}))
        plot.sweep(lines, label=sweep.label.replace("-", " "), ax=fig.add_subplot())
        names = ", ".join(dict.fromkeys(str(row["line"]) for row in lines))
        reach = f"from {min(sweep.groups):g} to {max(sweep.groups):g}"
        alt = f"Line chart: {what} against {sweep.label} {reach}: {names}."
        caption = f"{what[0].upper()}{what[1:]} against {sweep.label}."
        made = drawing(fig, alt, caption, budget, name="sweep", rows=lines)
        if made is not None:
            sweep.images.append(made)


def _lines(points: dict[float, list[Run]]) -> dict[str, Rows]:
    """The lines of each figure of a sweep: all classes by strategy; with two tasks, also each task around the sleep."""
    rows: dict[str, Rows] = {"accuracy, all classes": []}

    def add(what: str, line: str, value: float, accuracies: Iterable[object]) -> None:
        numbers = defined(accuracies)
        if numbers:
            point = {"line": line, "value": value, "mean": mean(numbers), "sd": sd(numbers)}
            rows.setdefault(what, []).append(point)

    for value, members in points.items():
        for strategy in dict.fromkeys(run.strategy for run in members):
            of_strategy = [run for run in members if run.strategy == strategy]
            add("accuracy, all classes", strategy, value, (run.score for run in of_strategy))
            before = [matrix[-1] for run in of_strategy if (matrix := matrix_of(run, "accuracy_before_sleep"))]
            after = [matrix[-1] for run in of_strategy if (matrix := matrix_of(run, "accuracy_matrix"))]
            if not before or any(len(row) != 2 for row in before + after):
                continue
            for task in (0, 1):
                what = f"{strategy}: each task before and after the last sleep"
                add(what, f"task {task + 1} before", value, (row[task] for row in before))
                add(what, f"task {task + 1} after", value, (row[task] for row in after))
    return rows


def _verdict(label: str, points: dict[float, list[Run]]) -> list[str]:
    means: dict[str, dict[float, float]] = {}
    for value, members in points.items():
        for strategy in dict.fromkeys(run.strategy for run in members):
            middle = mean(run.score for run in members if run.strategy == strategy)
            if middle is not None:
                means.setdefault(strategy, {})[value] = middle
    sentences = []
    for strategy, values in sorted(means.items(), key=lambda item: -(mean(item[1].values()) or 0.0)):
        low, high = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
        text = (
            f"Over {len(values)} points of {label} ({min(values):g} to {max(values):g}), {strategy} ends between "
            f"{percent(values[low])} (at {low:g}) and {percent(values[high])} (at {high:g}), "
            f"in the mean at {percent(mean(values.values()))}"
        )
        if strategy != "sequential" and "sequential" in means:
            text += _against([values[v] - means["sequential"][v] for v in values if v in means["sequential"]])
        sentences.append(text + ".")
    return sentences


def _against(gaps: Sequence[float]) -> str:
    counts = {
        "above": sum(gap >= LEVEL for gap in gaps),
        "level with": sum(abs(gap) < LEVEL for gap in gaps),
        "below": sum(gap <= -LEVEL for gap in gaps),
    }
    told = [f"{how} sequential at {count}" for how, count in counts.items() if count]
    return "; " + ", ".join(told) + " of them" if told else ""
