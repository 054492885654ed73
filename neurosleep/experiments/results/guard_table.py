"""What the guard of a homeostatic sleep foretold, beside what came of it: a table of the page of results."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence

from neurosleep.experiments.metrics import Metrics
from neurosleep.experiments.results.intervals import interval_text
from neurosleep.experiments.results.tables import markdown_table

__all__ = ["guard_lines"]

_VERDICT = re.compile(r"after task \d+: (done|declined): ")
_GAIN = re.compile(r"gain score (-?\d+\.\d+)")
_COLUMNS = (
    "variant",
    "strategy",
    "n",
    "sleeps kept",
    "gain score",
    "without (%)",
    "with sleep (%)",
    "difference (points), 95 % interval",
)


def guard_lines(runs: Iterable[Metrics]) -> list[str]:
    """Lines of a table, one row for each variant and strategy whose sleeps a guard judged; none without such runs."""
    every = list(runs)
    judged = [run for run in every if any(_VERDICT.match(note) for note in _notes(run))]
    rows = []
    for variant, strategy in dict.fromkeys((run["variant"], run["strategy"]) for run in judged):
        members = [run for run in judged if (run["variant"], run["strategy"]) == (variant, strategy)]
        alone = "+".join(part for part in strategy.split("+") if part != "sleep") or "sequential"
        others = {run["seed"]: run for run in every if (run["variant"], run["strategy"]) == (variant, alone)}
        rows.append([variant, strategy, *_cells(members, others)])
    if not rows:
        return []
    return [
        "",
        "What the guard foretold and what came of it: sleeps that it kept, of all; the mean gain score that it gave;",
        "accuracy without and with them, of the seeds that have both.",
        "",
        *markdown_table(_COLUMNS, rows),
    ]


def _notes(run: Metrics) -> list[str]:
    sleep = run.get("sleep")
    return sleep.get("notes", []) if sleep else []


def _cells(members: Sequence[Metrics], others: dict[int, Metrics]) -> list[str]:
    notes = [note for run in members for note in _notes(run)]
    verdicts = [match[1] for note in notes if (match := _VERDICT.match(note))]
    gains = [float(match[1]) for note in notes if (match := _GAIN.search(note))]
    pairs = []
    for run in members:
        other = others.get(run["seed"])
        after = run["results"].get("accuracy_all")
        before = None if other is None else other["results"].get("accuracy_all")
        if before is not None and after is not None:
            pairs.append((100 * before, 100 * after))
    kept = f"{verdicts.count('done')} of {len(verdicts)}"
    gain = f"{statistics.fmean(gains):.1f}" if gains else "-"
    if not pairs:
        return [str(len(members)), kept, gain, "-", "-", "-"]
    without, with_sleep = (statistics.fmean(column) for column in zip(*pairs, strict=True))
    differences = [after - before for before, after in pairs]
    return [str(len(pairs)), kept, gain, f"{without:.2f}", f"{with_sleep:.2f}", interval_text(differences)]
