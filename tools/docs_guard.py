"""The page of what the guard foretold of sleeps and what came of them, from the record that guard_record.py writes."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from neurosleep.experiments import variant_names
from neurosleep.plot import PALETTE, figure, to_png_bytes

sys.path.insert(0, str(Path(__file__).parent))
import guard_record

# Points that a sleep would have to gain for declining it to be a mistake, and to lose for keeping it to be one.
GAINED, LOST = 5.0, 1.0

Row = dict[str, Any]

_PAGE = """# What the guard foretold

The [guard](homeostasis.md#the-guard) judges a sleep before it is kept, without old data. This page compares its answers
with what came of them, over the protocols of `homeostatic/ten-users` ([experiments](../api/runs.md)): after each task
the network sleeps twice from the same state, on a copy without a guard, and with it as a user does by default.
Accuracies are those on the test images of all tasks learnt so far, among all outputs; sleep is in rates
(`nrem.form=rates`). The page is made from [the record](guard.csv){{ download }}, which `tools/guard_record.py` writes.

{sums}

![What sleep without a guard changes, by its gain score and by the other questions of the guard](guard.png)

Each point is a sleep: what it changes when it is not judged. Blue ones the guard kept, orange ones it declined.

## Variant by variant

Change by sleep in points: of sleeps that were kept, as they were kept; of those declined, what they would have changed.
"At the end" is the accuracy after the last task, with the guard, and of runs without any.

{table}

## Sleeps that were declined

{declined}

## Sleeps that were kept and cost more than {lost:g} point

{losses}
"""


def question(row: Row) -> str:
    """By which question of the guard a sleep was judged."""
    if not math.isnan(row["gain"]):
        return "overwritten" if "overwritten" in row["reason"] else "gain score"
    if "newest samples are of all classes" in row["reason"]:
        return "all classes"
    return "no class added" if "no class was added" in row["reason"] else "first task"


def points(row: Row, name: str) -> float:
    """By how many points the accuracy ``name`` is above that before sleep."""
    return 100 * float(row[name] - row["before"])


def declined(rows: Sequence[Row]) -> list[Row]:
    """The sleeps that were declined."""
    return [row for row in rows if row["status"] == "declined"]


def kept(rows: Sequence[Row]) -> list[Row]:
    """Those that were not."""
    return [row for row in rows if row["status"] != "declined"]


def mistakes(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Sleeps that were declined and would have gained 5 points, and those that were kept and lost more than 1."""
    missed = [row for row in declined(rows) if points(row, "unguarded") >= GAINED]
    return missed, [row for row in kept(rows) if points(row, "after") < -LOST]


def _named(row: Row) -> str:
    return f"{row['variant']}, seed {row['seed']}, after task {row['task']} of {row['tasks']}"


def sums(rows: Sequence[Row]) -> str:
    """The figures in sentences."""
    missed, losses = mistakes(rows)
    names = "; ".join(f"{_named(row)} ({points(row, 'unguarded'):+.1f})" for row in missed)
    later = [row for row in losses if row["task"] > 1]
    seeds = sorted({row["seed"] for row in rows})
    gains = [points(row, "after") for row in kept(rows) if row["task"] > 1]
    last = [row for row in rows if row["task"] == row["tasks"]]
    ends = [(row, 100 * (row["never_guarded"] - row["after"])) for row in last]
    better = "; ".join(f"{row['variant']}, seed {row['seed']} ({by:+.1f})" for row, by in ends if by >= GAINED)
    worse = sum(by <= -GAINED for _, by in ends)
    measured = {row["variant"] for row in rows}
    missing = ", ".join(name for name in variant_names(guard_record.EXPERIMENT) if name not in measured)
    return (
        f"Of {len(rows)} sleeps of {len(measured)} variants "
        f"(seeds {', '.join(map(str, seeds))}) the guard kept {len(kept(rows))} and declined {len(declined(rows))}. "
        f"Declined, but would have gained {GAINED:g} points or more: {len(missed)}{f' ({names})' if names else ''}. "
        f"Kept, but cost more than {LOST:g} point: {len(losses)}, {len(later)} of them not after the first task. "
        f"Those that were kept after a later task gained {statistics.fmean(gains):.1f} points on average. "
        f"Of {len(ends)} whole runs without any guard {worse} ended {GAINED:g} points or more lower than with one, and "
        f"{better or 'none'} so much higher.{f' Not measured: {missing}.' if missing else ''}"
    )


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _table(columns: Sequence[str], rows: Iterator[Sequence[object]]) -> str:
    lines = [_row(cells) for cells in rows]
    return "\n".join([_row(columns), _row(["---"] * len(columns)), *lines]) if lines else "None."


def _mean(values: Sequence[float], sign: str = "+") -> str:
    values = [value for value in values if not math.isnan(value)]
    return f"{statistics.fmean(values):{sign}.1f}" if values else "-"


def variants(rows: Sequence[Row]) -> Iterator[Sequence[object]]:
    """One row for each variant."""
    for variant in dict.fromkeys(row["variant"] for row in rows):
        some = [row for row in rows if row["variant"] == variant]
        last = [row for row in some if row["task"] == row["tasks"]]
        yield (
            variant,
            f"{len(kept(some))} of {len(some)}",
            _mean([row["gain"] for row in some], ""),
            _mean([points(row, "after") for row in kept(some)]),
            _mean([points(row, "unguarded") for row in declined(some)]),
            *(_mean([100 * row[name] for row in last], "") for name in ("after", "never_guarded")),
        )


def single(rows: Sequence[Row], name: str) -> Iterator[Sequence[object]]:
    """One row for each sleep, with the accuracy ``name`` beside that before it."""
    for row in rows:
        accuracies = (f"{100 * row[key]:.1f}" for key in ("before", name))
        yield row["variant"], row["seed"], f"{row['task']} of {row['tasks']}", *accuracies, row["reason"]


def picture(rows: Sequence[Row]) -> bytes:
    """Gain score against change, and change by the other questions, as PNG."""
    fig = figure(9.0, 3.8)
    left, right = fig.subplots(1, 2, width_ratios=(3, 2), sharey=True)
    scored = [row for row in rows if not math.isnan(row["gain"])]
    others = [row for row in rows if math.isnan(row["gain"])]
    questions = [
        name for name in ("first task", "no class added", "all classes") if any(question(r) == name for r in others)
    ]
    groups: tuple[tuple[str, str, str, Callable[[Sequence[Row]], list[Row]]], ...] = (
        ("kept", PALETTE[0], "o", kept),
        ("declined", PALETTE[1], "s", declined),
    )
    for label, colour, marker, chosen in groups:
        style: dict[str, Any] = {"s": 22, "color": colour, "marker": marker, "alpha": 0.7, "linewidths": 0}
        some = chosen(scored)
        left.scatter([row["gain"] for row in some], [points(row, "unguarded") for row in some], label=label, **style)
        some = chosen(others)
        # Side by side, so that points of one height can be told apart.
        places = [questions.index(question(row)) + 0.5 * ((7 * k) % 20 / 19 - 0.5) for k, row in enumerate(some)]
        right.scatter(places, [points(row, "unguarded") for row in some], **style)
    left.axvline(0.7, color="#6b6b6b", linewidth=0.8, linestyle=":")
    left.set_xlabel("gain score (kept above 0.7, the dotted line)")
    left.set_ylabel("change without a guard, points")
    left.legend(frameon=False)
    right.set_xticks(range(len(questions)), questions)
    right.set_xlabel("judged by another question")
    for ax in (left, right):
        ax.axhline(0, color="#6b6b6b", linewidth=0.8)
    return to_png_bytes(fig, dpi=110)


def files() -> Iterator[tuple[str, str | bytes]]:
    """The page, its figure and the record."""
    rows = guard_record.read()
    _, losses = mistakes(rows)
    of_each = ("variant", "seed", "task", "before", "without a guard", "why")
    of_losses = ("variant", "seed", "task", "before", "after", "why")
    columns = (
        "variant",
        "kept",
        "gain score",
        "kept: change",
        "declined: change",
        "at the end",
        "at the end, no guard",
    )
    yield (
        "concepts/guard.md",
        _PAGE.format(
            sums=sums(rows),
            table=_table(columns, variants(rows)),
            declined=_table(of_each, single(declined(rows), "unguarded")),
            losses=_table(of_losses, single(losses, "after")),
            lost=LOST,
        ),
    )
    yield "concepts/guard.png", picture(rows)
    yield "concepts/guard.csv", guard_record.FILE.read_text(encoding="utf-8")
