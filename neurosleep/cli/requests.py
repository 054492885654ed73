"""The runs that a command asks for, and their progress."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from neurosleep.cli.options import RunOptions

if TYPE_CHECKING:
    from neurosleep.experiments import RunRequest
    from neurosleep.experiments.changes import Change

__all__ = ["make_requests", "seed_range", "show_progress"]

# Each is a run.
_MOST_SEEDS = 10_000


def make_requests(
    experiment: str,
    strategies: str | None,
    seeds: range,
    options: RunOptions,
    out: Path,
    *,
    variants: list[str] | None = None,
    tuned: bool = False,
) -> list[RunRequest]:
    """A run for each variant, seed and strategy."""
    import os

    from neurosleep.experiments import RunRequest, load_settings, parse_change, variant_name, with_tuned
    from neurosleep.experiments.reading import default_strategy, default_variants

    name, settings = load_settings(experiment)
    changes: list[Change] = [parse_change(text) for text in options.changes or []]
    given: dict[str, str | None] = {"engine": options.engine, "device": options.device}
    steppers: list[Change] = [(key, value) for key, value in given.items() if value is not None]
    named = changes + [(key, value) for key, value in steppers if value != getattr(settings, key)]
    command = shlex.join(["neurosleep", *sys.argv[1:]])
    folder = options.data or os.environ.get("NEUROSLEEP_DATA")
    requests = [
        RunRequest(
            name,
            variant_name(named, variant),
            strategy,
            seed,
            load_settings(experiment, strategy=strategy, variant=variant, changes=named)[1],
            folder,
            str(out),
            options.resume,
            command,
            options.force,
        )
        # A file's variants are the points of one figure or table: without a choice, all that it does not keep back.
        for variant in variants or default_variants(experiment)
        for seed in seeds
        for strategy in _strategies(default_strategy(experiment, variant) if strategies is None else strategies)
    ]
    return [with_tuned(request, experiment, changes + steppers) for request in requests] if tuned else requests


def _strategies(text: str) -> list[str]:
    """Names separated by commas, each known."""
    from neurosleep.experiments.strategy_names import check_strategies

    names = [name.strip() for name in text.split(",") if name.strip()]
    check_strategies(names)
    return names


def seed_range(first: int, number: int) -> range:
    """The seeds that ``--seed`` and ``--seeds`` name."""
    from neurosleep.errors import SettingsError

    if not (0 <= first < 1 << 63 and 1 <= number <= _MOST_SEEDS):
        raise SettingsError(
            f"--seed {first} --seeds {number} names no seeds.",
            expected=f"--seed from 0 to 2^63 - 1, --seeds from 1 to {_MOST_SEEDS}",
        )
    return range(first, first + number)


@contextmanager
def show_progress(labels: list[str]) -> Iterator[Callable[[int, str], None]]:
    """On standard error, on a terminal only: how many runs are over, and of each that is under way where it is."""
    if not sys.stderr.isatty() or not labels:
        yield lambda number, text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    columns = (
        # Names from files may hold what rich takes for markup.
        TextColumn("{task.description:<22}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        whole = progress.add_task("runs", total=len(labels), text="")
        rows: dict[int, TaskID] = {}

        def report(number: int, text: str) -> None:
            if text in ("done", "failed"):
                progress.advance(whole)
                progress.update(whole, text=f"{labels[number]}: {text}")
                if number in rows:
                    progress.remove_task(rows.pop(number))
                return
            if number not in rows:
                rows[number] = progress.add_task(labels[number], total=None, text="")
            progress.update(rows[number], text=text)

        yield report
