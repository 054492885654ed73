"""The runs that a table or figure is made of."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from neurosleep._reproductions import Part, Reproduction
from neurosleep.data import at_hand, load_dataset
from neurosleep.errors import NeurosleepError, SettingsError
from neurosleep.experiments.changes import Change, change_text, variant_name
from neurosleep.experiments.reading import load_settings
from neurosleep.experiments.results.commands import Command
from neurosleep.experiments.run.request import RunRequest
from neurosleep.experiments.tuning.tuned import with_tuned

__all__ = ["Asked", "Entry", "as_asked", "command_of", "data_of", "entries_of", "missing_data"]


@dataclass(frozen=True)
class Asked:
    """How a table or figure is to be made.

    Parameters
    ----------
    data, out:
        Folder of the data sets, or None; output folder.
    seeds:
        How many, from 0; None: as many as it says.
    quick:
        Whether the small version is made.
    command:
        The command line, for the record.
    """

    data: str | None
    out: str
    seeds: int | None = None
    quick: bool = False
    command: str = ""


@dataclass(frozen=True)
class Entry:
    """One strategy in one variant of a part, with its runs, a seed each."""

    part: Part
    variant: str
    strategy: str
    requests: tuple[RunRequest, ...]

    @property
    def label(self) -> str:
        """Its name in pictures."""
        return ", ".join([self.part.label, *([self.variant] if self.part.tells_variants else []), self.strategy])

    @property
    def point(self) -> float | None:
        """What the variant stands for in a sweep."""
        return self.part.points[self.part.variants.index(self.variant)] if self.part.points else None


def as_asked(reproduction: Reproduction, asked: Asked) -> Reproduction:
    """The table or figure with the seeds, and in the version, that is asked for.

    Raises
    ------
    SettingsError
        If the number of seeds is none, or is given for the small version, which has its own.
    """
    if asked.quick:
        if asked.seeds is not None:
            raise SettingsError(
                f"--quick has {reproduction.quick.seeds} seed(s), and --seeds {asked.seeds} is given.",
                expected="one of them: --seeds N is for the full version",
            )
        parts = [_quickly(part, reproduction.quick.changes) for part in reproduction.parts if part.quick is not None]
        note = f"The quick version, not compared with what is published: {reproduction.quick.note}."
        return replace(
            reproduction,
            parts=tuple(parts),
            seeds=reproduction.quick.seeds,
            note=" ".join(text for text in (note, reproduction.note) if text),
        )
    if asked.seeds is None:
        return reproduction
    if not 1 <= asked.seeds <= _MOST_SEEDS:
        raise SettingsError(f"--seeds is {asked.seeds}.", expected=f"1 to {_MOST_SEEDS}")
    return replace(reproduction, seeds=asked.seeds)


# Each is a run of every row.
_MOST_SEEDS = 1000

# What the quick version of a part may replace; everything else in it is a setting.
_REPLACED = ("experiment", "variants", "strategies", "points", "tuned", "results")


def _quickly(part: Part, changes: Mapping[str, Any]) -> Part:
    own = dict(part.quick or {})
    replaced: dict[str, Any] = {key: own.pop(key) for key in _REPLACED if key in own}
    replaced |= {key: tuple(value) for key, value in replaced.items() if isinstance(value, list)}
    # What is changed everywhere may be left as it is in a part.
    settings = {key: value for key, value in {**part.changes, **changes, **own}.items() if value != "as it is"}
    return replace(part, changes=settings, comparable=False, **replaced)


def entries_of(reproduction: Reproduction, asked: Asked) -> list[Entry]:
    """Every strategy of every part, with its runs; all of them resume what is there."""
    seeds = range(reproduction.seeds)
    return [
        Entry(part, variant, strategy, tuple(replace(first, seed=seed) for seed in seeds))
        for part in reproduction.parts
        for variant in part.variants
        for strategy in part.strategies
        # The settings, which take long to read, are those of every seed.
        for first in [_request(part, variant, strategy, 0, asked)]
    ]


def _request(part: Part, variant: str, strategy: str, seed: int, asked: Asked) -> RunRequest:
    changes: Sequence[Change] = list(part.changes.items())
    name, settings = load_settings(part.experiment, strategy=strategy, variant=variant, changes=changes)
    place = variant_name(changes, variant)
    request = RunRequest(name, place, strategy, seed, settings, asked.data, asked.out, True, asked.command)
    return with_tuned(request, part.experiment, changes) if part.tuned else request


def command_of(entries: Sequence[Entry]) -> str:
    """The command that makes the runs of entries of one part, which differ in variant and strategy alone."""
    part = entries[0].part
    variants = tuple(dict.fromkeys(entry.variant for entry in entries))
    changes = "".join(f" --set {shlex.quote(change_text(key, value))}" for key, value in part.changes.items())
    command = Command(
        experiment=part.experiment,
        strategies=tuple(dict.fromkeys(entry.strategy for entry in entries)),
        seeds=f"--seeds {len(entries[0].requests)}",
        tuned=part.tuned,
        variants=() if variants == ("default",) else variants,
        changes=changes,
    )
    return str(command)


def missing_data(entries: Sequence[Entry], folder: str | None) -> dict[str, str]:
    """The data sets that runs still need and that are not to be had, and why.

    Raises
    ------
    DataError
        If the data folder does not exist.
    """
    # A folder that does not exist is an error, whatever is needed of it.
    at_hand("mnist-mini", folder)
    names = {
        name
        for entry in entries
        for request in entry.requests
        if not request.folder.finished
        for name in data_of(request)
    }
    reasons = {}
    for name in sorted(names):
        if not at_hand(name, folder):
            try:
                load_dataset(name, folder)
            except NeurosleepError as error:
                reasons[name] = error.message
    return reasons


def data_of(request: RunRequest) -> tuple[str, ...]:
    """The data sets that a run reads; toy tasks are made up."""
    data = request.settings.data
    names = data.sequence or (data.name,)
    return tuple(name for name in names if name != "patches")
