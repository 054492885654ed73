"""The commands that make the runs of a row, with their seeds and settings."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from neurosleep.errors import NeurosleepError, SettingsError
from neurosleep.experiments.changes import Change, change_text, changes_between, parse_change, variant_name
from neurosleep.experiments.files import experiment_names
from neurosleep.experiments.metrics import Metrics
from neurosleep.experiments.reading import load_settings
from neurosleep.experiments.tuning.tuned import load_tuned
from neurosleep.experiments.variant_parts import VariantName
from neurosleep.experiments.variants import variants_in

__all__ = ["Command", "commands_of", "together"]

_UNKNOWN = "  # and --set as the name of the variant says"


@dataclass(frozen=True)
class Command:
    """``neurosleep run`` of one experiment; ``seeds`` and ``changes`` are the options as they are written."""

    experiment: str
    strategies: tuple[str, ...]
    seeds: str
    tuned: bool
    variants: tuple[str, ...]
    changes: str

    def __str__(self) -> str:
        file = self.experiment if self.experiment in experiment_names() else f"{self.experiment}.toml"
        options = " --tuned" if self.tuned else ""
        options += f" --variant {','.join(self.variants)}" if self.variants else ""
        start = f"neurosleep run {file} --strategy {','.join(self.strategies)} {self.seeds} --data DIR --out OUT"
        return start + options + self.changes


def _command(run: Path, experiment: str, variant: str, strategy: str) -> Command:
    """What a run was made with: from its settings where they lie beside its metrics, else from its variant."""
    name = VariantName.of(experiment, variant)
    in_file = None if name.named == "default" else name.named
    command = Command(experiment, (strategy,), "", name.tuned, (in_file,) if in_file else (), _UNKNOWN)
    if not (run / "config.toml").is_file():
        changes = _from_name(name.changes, run.parents[2]) if name.changes else []
    else:
        try:
            before = load_tuned(experiment, strategy, name.named) if name.tuned else None
            if before is None:
                _, before = load_settings(experiment, strategy=strategy, variant=in_file)
            changes = changes_between(before, load_settings(str(run / "config.toml"))[1])
        except SettingsError:
            changes = None
    if changes is None:
        return command
    return replace(command, changes="".join(f" --set {shlex.quote(change_text(key, value))}" for key, value in changes))


def _from_name(text: str, folder: Path) -> list[Change] | None:
    """The changes of a variant: those behind a short name in the experiment's ``folder``, else those it is named after.

    None if the name does not say them all: odd characters are replaced in names.
    """
    try:
        if (short := variants_in(folder).get(text)) is not None:
            return [parse_change(change) for change in short]
        changes = [parse_change(part) for part in text.split(",")]
    except NeurosleepError:
        return None
    whole = variant_name(changes) == text and not any("_" in str(value) for _, value in changes)
    return changes if whole else None


def _seeds(numbers: Iterable[int]) -> tuple[str, ...]:
    """The options that name these seeds, one for each row of successive ones."""
    blocks: list[list[int]] = []
    for number in sorted(set(numbers)):
        if blocks and number == blocks[-1][-1] + 1:
            blocks[-1].append(number)
        else:
            blocks.append([number])
    return tuple((f"--seed {block[0]} " if block[0] else "") + f"--seeds {len(block)}" for block in blocks)


def commands_of(runs: Mapping[Path, Metrics]) -> tuple[Command, ...]:
    """The commands that make these runs, which are of one strategy in one variant."""
    seeds: dict[Command, list[int]] = {}
    for path, run in runs.items():
        command = _command(path, run["experiment"], run["variant"], run["strategy"])
        seeds.setdefault(command, []).append(run["seed"])
    return tuple(replace(command, seeds=option) for command, numbers in seeds.items() for option in _seeds(numbers))


def together(commands: Iterable[Command]) -> list[Command]:
    """The commands, with those that differ in their strategy or in their variant alone as one."""
    by_strategy: dict[Command, dict[str, None]] = {}
    for command in commands:
        by_strategy.setdefault(replace(command, strategies=()), {}).update(dict.fromkeys(command.strategies))
    # The experiment as it is has no variant to name beside others.
    by_variant: dict[tuple[Command, bool], dict[str, None]] = {}
    for command, names in by_strategy.items():
        alike = replace(command, strategies=tuple(names), variants=())
        by_variant.setdefault((alike, not command.variants), {}).update(dict.fromkeys(command.variants))
    return [replace(command, variants=tuple(names)) for (command, _), names in by_variant.items()]
