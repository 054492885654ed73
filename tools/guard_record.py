"""What the guard foretold of every sleep of homeostatic/ten-users, beside what a sleep without it does to the network.

Usage: python tools/guard_record.py DATA [VARIANT,...] [SEED,...]    writes rows into results/homeostatic/guard.csv

Rows of the same variant and seed are replaced. After each task the network sleeps twice from the same state: without a
guard, on a copy, and then as the experiment does. A second run has no guard at all.
"""

from __future__ import annotations

import copy
import csv
import io
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from neurosleep.continual import STRATEGIES, HomeostaticSleep, Learner
from neurosleep.data import to_float
from neurosleep.errors import NeurosleepWarning
from neurosleep.experiments import RunRequest, load_settings, run_one, variant_names, write_whole
from neurosleep.learning import accuracy

EXPERIMENT = "homeostatic/ten-users"
FILE = Path(__file__).parents[1] / "results" / "homeostatic" / "guard.csv"
# What every run changes: rates are quick, and what the guard judges by.
CHANGES: tuple[tuple[str, Any], ...] = (("nrem.form", "rates"),)
COLUMNS = (
    *("variant", "strategy", "seed", "task", "tasks", "status", "reason"),
    *("gain", "moved", "likeness", "recall", "damping"),
    *("before", "after", "unguarded", "never_guarded"),
)
SCORES = ("gain", "moved", "likeness", "recall", "damping")

Row = dict[str, Any]


def accuracy_so_far(network: torch.nn.Module, learner: Learner) -> float:
    """Share of the test images of all tasks learnt so far that are recognised, among all outputs."""
    tasks = learner.tasks[: learner.task + 1]
    images = torch.cat([torch.from_numpy(to_float(task.test_images)) for task in tasks])
    return accuracy(network, images, torch.cat([torch.from_numpy(task.test_labels) for task in tasks]))


class Watched(HomeostaticSleep):
    """The strategy ``sleep``, which also finds out what a sleep without a guard would do."""

    rows: ClassVar[list[Row]] = []

    def after_training_exp(self, learner: Learner) -> None:
        """Sleep without a guard on a copy, then as usual, and keep both accuracies."""
        task = learner.tasks[learner.task]
        row: Row = {"task": learner.task + 1, "tasks": len(learner.tasks)}
        row["before"] = accuracy_so_far(learner.network, learner)
        if self.guard:
            keeper = copy.deepcopy(self.keeper)
            keeper.observe(torch.from_numpy(to_float(task.train_images)), torch.from_numpy(task.train_labels))
            free = keeper.consolidate(learner.network, sleep=self.settings, guard=False, seed=learner.seed)
            row["unguarded"] = accuracy_so_far(free.model, learner)
        super().after_training_exp(learner)
        row["after"] = accuracy_so_far(learner.network, learner)
        slept = learner.consolidation
        verdict = getattr(slept, "verdict", None)
        if slept is not None and verdict is not None:
            row |= {"status": slept.status, "reason": verdict.reason}
            row |= {name: getattr(verdict, name) for name in SCORES}
        self.rows.append(row)


@dataclass(frozen=True)
class Case:
    """A variant and a seed of an experiment, and where its data lies."""

    variant: str
    seed: int
    data: str | None
    experiment: str = EXPERIMENT
    changes: tuple[tuple[str, Any], ...] = CHANGES

    @property
    def strategy(self) -> str:
        """The one with sleep of those that the variant has."""
        return "rehearsal+sleep" if self.variant == "control-replay-200" else "sleep"

    def watched(self, guard: bool) -> list[Row]:
        """The rows of a run."""
        changes = [*self.changes, ("nrem.guard", guard)]
        name, settings = load_settings(self.experiment, strategy=self.strategy, variant=self.variant, changes=changes)
        usual = STRATEGIES["sleep"]
        Watched.rows.clear()
        STRATEGIES["sleep"] = Watched
        try:
            with tempfile.TemporaryDirectory() as out, warnings.catch_warnings():
                warnings.simplefilter("ignore", NeurosleepWarning)
                run_one(RunRequest(name, self.variant, self.strategy, self.seed, settings, self.data, out))
        finally:
            STRATEGIES["sleep"] = usual
        return list(Watched.rows)

    def rows(self) -> Iterator[Row]:
        """One of each sleep, what became of a run without any guard beside it."""
        for row, free in zip(self.watched(True), self.watched(False), strict=True):
            row |= {"variant": self.variant, "strategy": self.strategy, "seed": self.seed}
            yield row | {"never_guarded": free["after"]}


def read(path: Path = FILE) -> list[Row]:
    """The record, numbers as numbers."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows: list[Row] = [dict(row) for row in csv.DictReader(lines)]
    for row in rows:
        row |= {name: int(row[name]) for name in ("seed", "task", "tasks")}
        row |= {name: float(row[name]) for name in (*SCORES, "before", "after", "unguarded", "never_guarded")}
    return rows


def write(rows: Sequence[Row], path: Path = FILE) -> None:
    """The record, in the order of the experiment's variants."""
    order = variant_names(EXPERIMENT)
    lines = io.StringIO()
    table = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
    table.writeheader()
    for row in sorted(rows, key=lambda row: (order.index(row["variant"]), row["seed"], row["task"])):
        table.writerow({name: f"{row[name]:.4f}" if isinstance(row[name], float) else row[name] for name in COLUMNS})
    write_whole(path, lines.getvalue())


def main(data: str, variants: str = "", seeds: str = "0,1") -> None:
    """Measure, and write what is there after each case."""
    chosen = variants.split(",") if variants else [name for name in variant_names(EXPERIMENT) if name != "default"]
    for seed in map(int, seeds.split(",")):
        for variant in chosen:
            new = list(Case(variant, seed, data).rows())
            others = read() if FILE.is_file() else []
            write([row for row in others if (row["variant"], row["seed"]) != (variant, seed)] + new)
            print(variant, seed, *(f"{row['status']} {100 * row['after']:.1f}" for row in new), sep="  ", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
