"""Two folders of runs beside each other: in which settings they differ, and whether their accuracies do."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from neurosleep import plot
from neurosleep.analysis import paired_test
from neurosleep.experiments.divergence import told_divergence
from neurosleep.experiments.plain import flatten
from neurosleep.experiments.report.group import Group
from neurosleep.experiments.report.head import head_facts
from neurosleep.experiments.report.images import Budget, Image, drawing
from neurosleep.experiments.report.numbers import DASH, counted, mean, minus, points, sd, show, spread
from neurosleep.experiments.report.paired import by_seed, told_p
from neurosleep.experiments.report.read import Run
from neurosleep.experiments.report.sections import Section, render, terms
from neurosleep.experiments.report.table import Cell, Table, accuracies, words

__all__ = ["Compared", "compared_sections"]


@dataclass(frozen=True)
class Compared:
    """Two folders by name, and the groups of each."""

    names: tuple[str, str]
    groups: tuple[Sequence[Group], Sequence[Group]]

    @property
    def name(self) -> str:
        """Both."""
        return " and ".join(self.names)

    @property
    def runs(self) -> list[Run]:
        """All runs."""
        return [run for groups in self.groups for group in groups for run in group.runs]

    @property
    def counts(self) -> str:
        """How many runs each has."""
        counts = [sum(len(group.runs) for group in groups) for groups in self.groups]
        return "; ".join(f"{name}: {counted(n, 'run')}" for name, n in zip(self.names, counts, strict=True)) + "."

    @property
    def head(self) -> str:
        """When, with what, where and how long."""
        return "; ".join(head_facts(self.runs))

    def pairs(self) -> Iterator[tuple[Group, Group]]:
        """The groups that belong together: of equal experiment, split and variant, or the only variants of these."""
        first, second = (list(groups) for groups in self.groups)
        for one in first:
            same = [two for two in second if (two.experiment, two.split) == (one.experiment, one.split)]
            alike = [two for two in same if two.variant == one.variant]
            only = sum((other.experiment, other.split) == (one.experiment, one.split) for other in first) == 1
            if alike or (only and len(same) == 1):
                yield one, (alike or same)[0]


def compared_sections(compared: Compared, budget: Budget) -> list[Section]:
    """What there is to say of both: results first, then the settings that differ."""
    pairs = list(compared.pairs())
    if not pairs:
        text = "The folders have no experiment and evaluation split in common, so that nothing can be compared."
        return [Section("verdict", "Results", render("compared", sentences=[text], tables=[], images=[]))]
    sentences, rows, images = [], [], []
    for one, two in pairs:
        told, of_pair = _accuracies(compared.names, one, two)
        sentences += told
        rows += of_pair
        images += [made for made in [_drawn(compared.names, one, two, budget)] if made is not None]
    columns = ["Experiment", "Strategy", *compared.names, "Equal seeds", "Difference (points)", "p (paired)"]
    caption = "Accuracy over all classes after the last task; differences are the second less the first, on equal seeds"
    results = render("compared", sentences=sentences, tables=[Table(caption, columns, rows)], images=images)
    settings = [_settings(compared.names, one, two) for one, two in pairs]
    changed = render("compared", sentences=[], tables=settings, images=[])
    parts = [Section("verdict", "Results", results), Section("settings", "Settings that differ", changed)]
    strategies = [name for pair in pairs for group in pair for name in group.by_strategy]
    return [*parts, *terms(parts, strategies)]


def _accuracies(names: tuple[str, str], one: Group, two: Group) -> tuple[list[str], list[list[Cell]]]:
    """A sentence and a row for each strategy."""
    sentences, rows = [], []
    for strategy in dict.fromkeys([*one.by_strategy, *two.by_strategy]):
        a, b = (by_seed(group.ended(strategy)) if strategy in group.by_strategy else {} for group in (one, two))
        seeds = [seed for seed in a if seed in b]
        cells = [words(one.experiment), words(strategy), accuracies(a.values()), accuracies(b.values())]
        cells.append(Cell(str(len(seeds)), len(seeds), True))
        text = f"{one.experiment}, {strategy}: {_side(a)} in {names[0]}, {_side(b)} in {names[1]}"
        if seeds:
            first, second = (np.array([scores[seed] for seed in seeds]) for scores in (a, b))
            gap, p = 100 * statistics.fmean(second - first), paired_test(second, first).p
            rows.append([*cells, Cell(minus(gap, "+.1f"), gap, True), Cell(told_p(p), None if p != p else p, True)])
            if abs(gap) < 0.05:
                text += f", level on {counted(len(seeds), 'equal seed')}"
            else:
                text += f", {points(gap)} {'more' if gap > 0 else 'less'} on {counted(len(seeds), 'equal seed')}"
            text += f" (p = {told_p(p)}, paired)" if p == p else ""
        else:
            rows.append([*cells, Cell(DASH, None, True), Cell(DASH, None, True)])
            text += "; no seed in common"
        diverged = [told_divergence(run.metrics) for group in (one, two) for run in group.by_strategy.get(strategy, ())]
        sentences.append(" ".join([text.replace("p = <", "p <") + ".", *dict.fromkeys(filter(None, diverged))]))
    return sentences, rows


def _side(scores: dict[str, float]) -> str:
    return spread(scores.values()) if scores else "no result"


def _drawn(names: tuple[str, str], one: Group, two: Group, budget: Budget) -> Image | None:
    """Each strategy in one folder and below it in the other."""
    summary, colours = [], {}
    own = plot.strategy_colours([*one.by_strategy, *two.by_strategy])
    for strategy in dict.fromkeys([*one.by_strategy, *two.by_strategy]):
        for name, group in zip(names, (one, two), strict=True):
            values = group.scores.get(strategy, [])
            row = f"{strategy}, {name}"
            colours[row] = own[strategy]
            spread_of = {"mean": mean(values), "sd": sd(values), "n": len(values)}
            summary.append({"strategy": row, "accuracy_all": spread_of, "values": values})
    if not budget.room or not any(row["values"] for row in summary):
        return None
    fig = plot.figure(4.8, 1.1 + 0.42 * max(len(summary), 3))
    plot.comparison(summary, colours=colours, ax=fig.add_subplot())
    told = f"{one.experiment}: accuracy of each strategy in {names[0]} and in {names[1]}"
    rows = [{"strategy": row["strategy"], "values": row["values"]} for row in summary]
    return drawing(fig, f"Bar chart. {told}.", f"{told}.", budget, name="compared", rows=rows)


def _settings(names: tuple[str, str], one: Group, two: Group) -> Table:
    """The settings of the two that are not the same."""
    first, second = (flatten(next((run.settings for run in group.runs if run.settings), {})) for group in (one, two))
    keys = [key for key in dict.fromkeys([*first, *second]) if first.get(key) != second.get(key)]
    rows = [[words(key), words(show(first.get(key))), words(show(second.get(key)))] for key in keys]
    titles = [f"{name} ({group.variant})" for name, group in zip(names, (one, two), strict=True)]
    told = counted(len(rows), "setting that differs", "settings that differ") if rows else "no setting differs"
    caption = f"{one.experiment}: {told}"
    return Table(caption, ["Setting", *titles], rows)
