"""The table of what the guard foretold and what came of it."""

from __future__ import annotations

from typing import Any

import pytest

from neurosleep.experiments.results.guard_table import guard_lines


def run(strategy: str, seed: int, accuracy: float | None, notes: tuple[str, ...] = (), variant: str = "user") -> Any:
    results = {"accuracy_all": accuracy}
    return {"variant": variant, "strategy": strategy, "seed": seed, "results": results, "sleep": {"notes": list(notes)}}


NOTES = (
    "after task 1: declined: the guard declined: one class",
    "after task 2: done: 9 units: gain score 4.00, and 90%",
)


def test_rows_are_paired_by_seed() -> None:
    runs = [run("sequential", seed, 0.2) for seed in range(4)]
    runs += [run("sleep", 0, 0.6, NOTES), run("sleep", 1, 0.7, (NOTES[0], NOTES[1].replace("4.00", "-2.00")))]
    # Without a counterpart, or diverged.
    runs += [run("sleep", 7, 0.9, NOTES), run("sleep", 2, None, NOTES)]
    (row,) = guard_lines(runs)[8:-2]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:7] == ["user", "sleep", "2", "4 of 8", "2.5", "20.00", "65.00"]
    # Two differences of 40 and 50: half the interval is 12.706 times their standard error of 5.
    assert cells[7] == "+45.00 (-18.53 to +108.53)"


@pytest.mark.parametrize(("strategy", "alone"), [("rehearsal+sleep", "rehearsal"), ("sleep+ewc", "ewc")])
def test_a_combination_is_compared_with_itself_without_sleep(strategy: str, alone: str) -> None:
    (row,) = guard_lines([run("sequential", 0, 0.1), run(alone, 0, 0.5), run(strategy, 0, 0.75, NOTES)])[8:-2]
    assert row.strip("| ").endswith("+25.00")


def test_runs_without_a_guard_have_no_table() -> None:
    assert guard_lines([run("sequential", 0, 0.1), run("sleep", 0, 0.5), run("src", 0, 0.3, ("of old images",))]) == []
