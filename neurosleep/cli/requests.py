"""The runs that a command asks for."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from neurosleep.cli.options import RunOptions

if TYPE_CHECKING:
    from neurosleep.experiments import RunRequest
    from neurosleep.experiments.changes import Change
    from neurosleep.experiments.experiment import Experiment

__all__ = ["Label", "labelled", "make_requests", "seed_range"]

# Each is a run.
_MOST_SEEDS = 10_000


@dataclass(frozen=True)
class Label:
    """What changed settings are called in an output folder: the short name, and whether somebody gave it."""

    short: str | None = None
    given: bool = False


@contextmanager
def labelled(experiment: str, options: RunOptions, out: Path, name: str | None) -> Iterator[tuple[Label, list[str]]]:
    """The label of what a command changes, and these changes as ``--set`` takes them."""
    from neurosleep.experiments.changes import change_text
    from neurosleep.experiments.reading import load_settings, variant_names
    from neurosleep.experiments.variants import named_changes

    stem, settings = load_settings(experiment)
    changes = _changes(options, settings)
    with named_changes(out, stem, changes, name=name, in_file=variant_names(experiment)) as short:
        yield Label(short, name is not None), [change_text(key, value) for key, value in changes]


def _changes(options: RunOptions, settings: Experiment) -> list[Change]:
    """What the options change of an experiment: ``--set``, and an engine and device that are not its own."""
    from neurosleep.experiments import parse_change

    changes: list[Change] = [parse_change(text) for text in options.changes or []]
    return changes + [(key, value) for key, value in _steppers(options) if value != getattr(settings, key)]


def _steppers(options: RunOptions) -> list[Change]:
    given: dict[str, str | None] = {"engine": options.engine, "device": options.device}
    return [(key, value) for key, value in given.items() if value is not None]


def make_requests(
    experiment: str,
    strategies: str | None,
    seeds: range,
    options: RunOptions,
    out: Path,
    *,
    variants: list[str] | None = None,
    tuned: bool = False,
    label: Label | None = None,
) -> list[RunRequest]:
    """A run for each variant, seed and strategy; ``label`` is what its changes are called."""
    import os

    from neurosleep.experiments import RunRequest, load_settings, parse_change, with_tuned
    from neurosleep.experiments.reading import default_strategy, default_variants
    from neurosleep.experiments.variants import variant_with

    label = label or Label()
    name, settings = load_settings(experiment)
    changes = _changes(options, settings)
    command = shlex.join(["neurosleep", *sys.argv[1:]])
    folder = options.data or os.environ.get("NEUROSLEEP_DATA")
    requests = [
        RunRequest(
            name,
            variant_with(Path(out, name), label.short, changes, variant, named=label.given),
            strategy,
            seed,
            load_settings(experiment, strategy=strategy, variant=variant, changes=changes)[1],
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
    if not tuned:
        return requests
    given = [*map(parse_change, options.changes or []), *_steppers(options)]
    return [with_tuned(request, experiment, given) for request in requests]


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
