"""The runs of one experiment, variant and split: compared in a table and figures, and judged in words."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neurosleep import plot
from neurosleep.errors import NeurosleepError
from neurosleep.experiments.divergence import told_divergence
from neurosleep.experiments.published_figures import REPORTED, published_figures
from neurosleep.experiments.reading import Published
from neurosleep.experiments.report.growth import growth_image
from neurosleep.experiments.report.images import Budget, Image, drawing
from neurosleep.experiments.report.numbers import (
    DASH,
    counted,
    mean,
    minus,
    percent,
    plain_spread,
    points,
    sd,
    spread,
)
from neurosleep.experiments.report.read import Rows, Run, matrix_of
from neurosleep.experiments.report.sleep_firing import sleep_sentences
from neurosleep.experiments.report.table import Cell, Table, accuracies, durations, numbers, words
from neurosleep.functional import make_rule

__all__ = ["Group", "groups_of", "is_accuracy"]

# What the others are measured against, and which takes no part in the contest.
BOUNDS = ("sequential", "joint", "joint-matched")
BEFORE_SLEEP = "accuracy_all_before_last_sleep"


@dataclass
class Group:
    """The runs of one experiment, variant and split, the best strategy first."""

    experiment: str
    variant: str
    split: str
    anchor: str
    runs: list[Run]
    by_strategy: dict[str, list[Run]]
    # Accuracies of the reported seeds, and apart from them those of any further ones.
    scores: dict[str, list[float]]
    further: dict[str, list[float]]
    published: dict[str, Published]
    images: list[Image] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Its name in one line."""
        return " · ".join(
            [self.experiment, self.variant] + ([f"{self.split} split"] if self.split not in ("", "test") else [])
        )

    @property
    def verdict(self) -> list[str]:
        """The outcome, computed from the numbers: what there is to say of each strategy, and of all."""
        return _verdict(self) + _states(self.runs)

    def ended(self, strategy: str) -> list[Run]:
        """The runs of a strategy that ended without diverging."""
        return [run for run in self.by_strategy[strategy] if run.status == "done"]

    def above_sequential(self, strategy: str) -> Cell:
        """How many points of accuracy a strategy is above learning one task after another."""
        values, baseline = self.scores[strategy], self.scores.get("sequential")
        if not values or not baseline or strategy == "sequential":
            return Cell(DASH, None, True)
        gap = 100 * (statistics.fmean(values) - statistics.fmean(baseline))
        return Cell(minus(gap, "+.1f"), gap, True)

    @property
    def table(self) -> Table:
        """The strategies side by side."""
        columns = ["Strategy", "Seeds", "Accuracy", "Published", "Further seeds", "Before the last sleep"]
        columns += ["Forgetting", "Backward transfer"]
        columns += ["Uses stored examples", "Time", "Runs"]
        rows = []
        for name in self.by_strategy:
            ended = self.ended(name)
            states = Counter(run.status for run in self.by_strategy[name])
            rows.append(
                [
                    words(name),
                    Cell(str(len(self.scores[name])), len(self.scores[name]), True),
                    accuracies(self.scores[name]),
                    _published(self.published.get(name)),
                    accuracies(self.further[name]),
                    accuracies(run.results.get(BEFORE_SLEEP) for run in ended),
                    accuracies(run.metrics.get("forgetting_max_minus_last") for run in ended),
                    accuracies(run.metrics.get("bwt") for run in ended),
                    words(_reads_old_data(ended)),
                    durations(_total(run) for run in ended),
                    words(", ".join(f"{count} {state}" for state, count in sorted(states.items()))),
                ]
            )
        # Forgetting with the other sign, as it mostly is, says nothing more.
        if all(_mirrored(row[7].key, row[6].key) for row in rows) and columns[7] == "Backward transfer":
            rows = [[*row[:7], words(DASH), *row[8:]] for row in rows]
        # A column in which nothing stands says nothing.
        filled = [k for k in range(len(columns)) if k == 0 or any(row[k].text not in ("–", "") for row in rows)]
        caption = "Strategies: mean ± standard deviation over the seeds that ended without diverging"
        return Table(caption, [columns[k] for k in filled], [[row[k] for k in filled] for row in rows])

    @property
    def footnote(self) -> str:
        """What the use of stored examples means where it is the scale of the conversion alone."""
        scaled = [
            name
            for name in self.by_strategy
            if name == "src" and _reads_old_data(self.ended(name)) == "yes" and _scale_data(self.ended(name)) == "seen"
        ]
        if not scaled:
            return ""
        return (
            "src uses stored examples for one thing only: the maxima of activities that scale its conversion are taken "
            "over all images seen (sleep.scale_data = seen, as in the released code); with "
            "--set sleep.scale_data=current it uses none."
        )

    @property
    def results(self) -> Table | None:
        """The named numbers that have no column of their own."""
        names = list(dict.fromkeys(name for run in self.runs for name in run.results if name != BEFORE_SLEEP))
        if not names:
            return None
        rows = [
            [
                words(name.replace("_", " ")),
                *(_result(name, (run.results.get(name) for run in self.ended(s))) for s in self.by_strategy),
            ]
            for name in names
        ]
        return Table("Further results: mean ± standard deviation", ["Result", *self.by_strategy], rows)


def _mirrored(value: float | None, other: float | None) -> bool:
    return (value is None) == (other is None) and (value is None or other is None or abs(value + other) < 5e-4)


def _scale_data(runs: Sequence[Run]) -> object:
    sleep = next((run.settings.get("sleep") for run in runs), None)
    return sleep.get("scale_data") if isinstance(sleep, dict) else None


def is_accuracy(name: str) -> bool:
    """Whether a named number is a fraction that is shown in percent."""
    return "accuracy" in re.split(r"[_.]", name)


def _result(name: str, values: Iterable[float | None]) -> Cell:
    return accuracies(values) if is_accuracy(name) else numbers(values)


def groups_of(runs: Sequence[Run]) -> list[Group]:
    """The runs by experiment, variant and split."""
    parts: dict[tuple[str, str, str], list[Run]] = {}
    for run in sorted(runs, key=_order):
        parts.setdefault((run.experiment, run.variant, _split_of(run, runs)), []).append(run)
    return [_group(f"group-{number}", key, members) for number, (key, members) in enumerate(parts.items(), start=1)]


def _group(anchor: str, key: tuple[str, str, str], runs: list[Run]) -> Group:
    by_strategy: dict[str, list[Run]] = {}
    for run in runs:
        by_strategy.setdefault(run.strategy, []).append(run)
    counted_in = {name: _reported(members) for name, members in by_strategy.items()}
    scores = {name: [run.score for run in members if run.score is not None] for name, members in counted_in.items()}
    further = {
        name: [run.score for run in members if run.score is not None and run not in counted_in[name]]
        for name, members in by_strategy.items()
    }
    # The best first; those without a number last.
    ranked = sorted(by_strategy, key=lambda name: (-statistics.fmean(scores[name]) if scores[name] else math.inf, name))
    return Group(
        *key,
        anchor,
        runs,
        {name: by_strategy[name] for name in ranked},
        {name: scores[name] for name in ranked},
        further,
        published_figures(*key[:2]) if key[2] in ("", "test") else {},
    )


def _reported(runs: list[Run]) -> list[Run]:
    """The runs whose seeds are reported beside what is published; all, where there is none of these."""
    return [run for run in runs if run.seed.isdecimal() and int(run.seed) in REPORTED] or runs


def _published(figure: Published | None) -> Cell:
    """A published figure as those of ours are written."""
    return Cell(DASH, None, True) if figure is None else Cell(_theirs(figure), figure.mean / 100, True)


def _theirs(figure: Published) -> str:
    if figure.sd is None:
        return f"{figure.mean:.1f} %"
    return f"{figure.mean:.1f} ± {figure.sd:.1f} %"


def _order(run: Run) -> tuple[str, str, str, float, str]:
    seed = float(run.seed) if run.seed.isdecimal() else math.inf
    return run.experiment, run.variant, run.strategy, seed, run.seed


def _split_of(run: Run, runs: Sequence[Run]) -> str:
    """The run's split; one that does not say stands with the others of its experiment and variant."""
    if run.split:
        return run.split
    others = sorted(
        other.split
        for other in runs
        if (other.experiment, other.variant) == (run.experiment, run.variant) and other.split
    )
    return others[0] if others else ""


def _total(run: Run) -> object:
    seconds = run.metrics.get("seconds")
    return seconds.get("total") if isinstance(seconds, dict) else None


def _reads_old_data(runs: Sequence[Run]) -> str:
    said = {run.metrics["reads_old_data"] for run in runs if isinstance(run.metrics.get("reads_old_data"), bool)}
    return "yes" if True in said else "no" if said else "–"


# --- figures ----------------------------------------------------------------------------------------------------------


def draw_group(group: Group, colours: Mapping[str, str], budget: Budget) -> None:
    """Give the group the figures that compare its strategies."""
    made = []
    if any(group.scores.values()) and budget.room:
        made.append(_comparison(group, colours, budget))
        rows = progress_rows(group)
        if len({row["after_task"] for row in rows}) > 1:
            made.append(_progress(group, rows, colours, budget))
        if budget.room:
            made.append(growth_image({name: group.ended(name) for name in group.by_strategy}, colours, budget))
    made.append(_rule(group, budget))
    group.images = [picture for picture in made if picture is not None]


def _rule(group: Group, budget: Budget) -> Image | None:
    """What a pair of spikes does to a weight, by the rule of the first run that slept and has a result."""
    for run in (run for name in group.by_strategy for run in group.ended(name)):
        sleep = run.settings.get("sleep")
        given = sleep.get("rule") if isinstance(sleep, dict) and run.metrics.get("accuracy_before_sleep") else None
        if not isinstance(given, dict) or not budget.room:
            continue
        try:
            rule = make_rule(**given)
        except (NeurosleepError, TypeError):
            continue
        fig = plot.figure(3.6, 2.7)
        plot.stdp_window(rule, dt=run.dt, ax=fig.add_subplot())
        caption = f"The plasticity rule {rule.name}: Δw (at w = 0) for a pair of spikes, against t_post - t_pre."
        alone = next(row["change"] for row in plot.stdp_window_rows(rule, steps=1, dt=run.dt) if row["lag_s"] is None)
        both = next(row["change"] for row in plot.stdp_window_rows(rule, steps=1, dt=run.dt) if row["lag_s"] == 0)
        told = f"{both:.3g} in the same step, {alone:.3g} by the unit alone"
        alt = f"Stems: change of a weight by the rule {rule.name}; {told}."
        return drawing(fig, alt, caption, budget, name="rule", rows=plot.stdp_window_rows(rule, dt=run.dt))
    return None


def _comparison(group: Group, colours: Mapping[str, str], budget: Budget) -> Image | None:
    summary: list[dict[str, Any]] = [
        {
            "strategy": name,
            "accuracy_all": {"mean": mean(values), "sd": sd(values), "n": len(values)},
            "values": values,
            "published": _fraction(group.published.get(name)),
            "diverged": sum(run.status == "diverged" for run in group.by_strategy[name]),
        }
        for name, values in group.scores.items()
    ]
    fig = plot.figure(4.8, 1.1 + 0.42 * max(len(summary), 3))
    plot.comparison(summary, colours=colours, ax=fig.add_subplot())
    told = ", ".join(f"{name} {spread(values) if values else 'no result'}" for name, values in group.scores.items())
    sources = dict.fromkeys(figure.source for name, figure in group.published.items() if name in group.scores)
    theirs = f" Black diamonds: published ({'; '.join(sources)})." if sources else ""
    return drawing(
        fig,
        f"Bar chart: accuracy over all classes of {told}.",
        f"Accuracy over all classes after the last task: mean, standard deviation and every seed.{theirs}",
        budget,
        name="comparison",
        rows=[{"strategy": row["strategy"], **row["accuracy_all"], "diverged": row["diverged"]} for row in summary],
    )


def _fraction(figure: Published | None) -> dict[str, float | None] | None:
    if figure is None:
        return None
    return {"mean": figure.mean / 100, "sd": None if figure.sd is None else figure.sd / 100}


def progress_rows(group: Group) -> Rows:
    """Mean accuracy on the tasks learnt so far after each task, over the seeds of each strategy."""
    rows: Rows = []
    for name in group.by_strategy:
        matrices = [matrix for run in group.ended(name) if (matrix := matrix_of(run, "accuracy_matrix"))]
        for after in range(1, max((len(matrix) for matrix in matrices), default=0) + 1):
            # What learns everything at once has one row, which is of all tasks.
            seen = [m[after - 1] if len(m) == 1 else m[after - 1][:after] for m in matrices if len(m) >= after]
            values = [mean(row) for row in seen]
            rows.append({"strategy": name, "after_task": after, "mean": mean(values), "sd": sd(values)})
    return rows


def _progress(group: Group, rows: Rows, colours: Mapping[str, str], budget: Budget) -> Image | None:
    fig = plot.figure(4.8, 3.2 + 0.1 * len(group.by_strategy))
    plot.progress(rows, colours=colours, ax=fig.add_subplot())
    last = {str(row["strategy"]): row for row in rows}
    told = ", ".join(f"{name} ends at {percent(row['mean'])}" for name, row in last.items())
    return drawing(
        fig,
        f"Line chart: mean accuracy on the tasks learnt so far, after each task: {told}.",
        "Accuracy on the tasks learnt so far, after each task (and its sleep): mean and standard deviation over seeds.",
        budget,
        name="progress",
        rows=rows,
    )


# --- in words ---------------------------------------------------------------------------------------------------------


def _verdict(group: Group) -> list[str]:
    scores = group.scores
    lowest, highest = scores.get("sequential") or [], scores.get("joint") or []
    sentences = []
    for name, values in scores.items():
        if not values:
            found = _named_numbers(group.ended(name))
            where = [text for run in group.by_strategy[name] if (text := told_divergence(run.metrics))][:1]
            sentences.append(f"{name} ends with {found}." if found else " ".join([f"{name} has no result.", *where]))
            continue
        text = f"{name} ends at {spread(values)} (n = {len(values)})"
        if lowest and name != "sequential":
            text += f", {_gap(values, lowest)}"
        further = [f"Further seeds: {spread(group.further[name])}."] if group.further[name] else []
        theirs = [f"Published: {_theirs(group.published[name])}."] if name in group.published else []
        ended = group.ended(name)
        more = [*_slept(ended), *sleep_sentences(ended), *_guess(values, ended), *theirs, *further]
        sentences.append(" ".join([text + ".", *more]))
    sentences += _share(scores, lowest, highest)
    numbers_of_seeds = [len(values) for values in scores.values() if values]
    if numbers_of_seeds and max(numbers_of_seeds) == 1:
        sentences.append("One seed each: no statistical conclusion can be drawn.")
    return sentences


def _gap(values: Sequence[float], baseline: Sequence[float]) -> str:
    gap = 100 * (statistics.fmean(values) - statistics.fmean(baseline))
    if abs(gap) < 0.05:
        return "level with sequential"
    text = f"{points(gap)} {'above' if gap > 0 else 'below'} sequential"
    noise = 100 * max(sd(values) or 0.0, sd(baseline) or 0.0)
    return text + (" (less than the spread between seeds)" if abs(gap) < noise else "")


def _slept(runs: Sequence[Run]) -> list[str]:
    """What the last sleep changed in accuracy over all classes."""
    changes = [
        run.score - before
        for run in runs
        if run.score is not None and (before := run.results.get(BEFORE_SLEEP)) is not None
    ]
    middle = mean(changes)
    if middle is None:
        return []
    if abs(100 * middle) < 0.05:
        return ["Its last sleep left the accuracy as it was."]
    return [f"Its last sleep {'raised' if middle > 0 else 'lowered'} the accuracy by {points(100 * middle)}."]


def _guess(values: Sequence[float], runs: Sequence[Run]) -> list[str]:
    """A warning if that is no better than naming the most frequent class every time."""
    guess = mean(run.metrics.get("accuracy_of_a_guess") for run in runs)
    if guess is None or statistics.fmean(values) > guess + 0.01:
        return []
    return [f"That is no better than always naming the most frequent class ({percent(guess)})."]


def _share(scores: Mapping[str, list[float]], lowest: Sequence[float], highest: Sequence[float]) -> list[str]:
    """How much of the way between the bounds the best strategy goes."""
    between = [name for name in scores if name not in BOUNDS and scores[name]]
    if not (lowest and highest and between):
        return []
    low, high = statistics.fmean(lowest), statistics.fmean(highest)
    if high - low < 0.01:
        return []
    share = (statistics.fmean(scores[between[0]]) - low) / (high - low)
    if not 0 <= share <= 1:
        return []
    most = ", the largest share" if len(between) > 1 else ""
    return [f"{between[0]} closes {100 * share:.0f} % of the gap between sequential and joint{most}."]


def _states(runs: Sequence[Run]) -> list[str]:
    """Sentences about the runs that do not count."""
    told = {
        "diverged": "diverged and {} not counted in the means",
        "unfinished": "{} unfinished and not counted",
        "unreadable": "cannot be read and {} not counted",
    }
    sentences = []
    for state, text in told.items():
        count = sum(run.status == state for run in runs)
        if count:
            sentences.append(f"{counted(count, 'run')} {text.format('is' if count == 1 else 'are')}.")
    return sentences


def _named_numbers(runs: Sequence[Run], most: int = 3) -> str:
    names = list(dict.fromkeys(name for run in runs for name in run.results))
    texts = []
    for name in names:
        values = [value for run in runs if (value := run.results.get(name)) is not None]
        if values:
            told = spread(values) if is_accuracy(name) else plain_spread(values)
            texts.append(f"{name} {told} (n = {len(values)})")
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
