"""The page of what the guard foretold is made from its record, and the record from sleeps."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from neurosleep.experiments import RunRequest, load_settings, run_one, variant_names
from neurosleep.replay import Guard

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import docs_guard
import guard_record

ROWS = guard_record.read()


def test_what_the_guard_did_is_what_the_record_says_of_it() -> None:
    for row in ROWS:
        if row["status"] == "declined":
            assert row["after"] == row["before"]
        elif row["damping"] == 1:
            assert row["after"] == row["unguarded"]
        if row["gain"] == row["gain"] and row["status"] == "done":
            assert row["gain"] > Guard().gain
    for variant, seed in {(row["variant"], row["seed"]) for row in ROWS}:
        run = [row for row in ROWS if (row["variant"], row["seed"]) == (variant, seed)]
        assert [row["task"] for row in run] == list(range(1, run[0]["tasks"] + 1))
    measured, every = {row["variant"] for row in ROWS}, set(variant_names("homeostatic/ten-users"))
    assert measured <= every and len(measured) > 20
    assert all((name in docs_guard.sums(ROWS)) for name in every - measured)


def test_the_guard_declined_no_sleep_that_would_have_gained_five_points() -> None:
    missed, _ = docs_guard.mistakes(ROWS)
    assert not missed


def row(task: int, status: str, before: float, after: float, unguarded: float, **more: Any) -> dict[str, Any]:
    nan = float("nan")
    scores = dict.fromkeys(guard_record.SCORES, nan) | {"gain": 2.0}
    named = {"variant": "3-digits", "strategy": "sleep", "seed": 0, "task": task, "tasks": 2, "reason": "so"}
    of_sleep = {"status": status, "before": before, "after": after, "unguarded": unguarded, "never_guarded": 0.9}
    return {**named, **scores, **of_sleep, **more}


def test_mistakes_are_named_with_what_they_cost() -> None:
    rows = [row(1, "declined", 0.5, 0.5, 0.56), row(2, "done", 0.5, 0.48, 0.48)]
    missed, losses = docs_guard.mistakes(rows)
    assert (missed, losses) == (rows[:1], rows[1:])
    said = docs_guard.sums(rows)
    assert "kept 1 and declined 1" in said
    assert "5 points or more: 1 (3-digits, seed 0, after task 1 of 2 (+6.0))" in said
    assert "more than 1 point: 1, 1 of them not after the first task" in said
    assert "Of 1 whole runs without any guard 0 ended 5 points or more lower than with one" in said
    assert "and 3-digits, seed 0 (+42.0) so much higher." in said


def test_questions_are_told_apart() -> None:
    nan = float("nan")
    reasons = {
        "gain score": {},
        "overwritten": {"reason": "they were overwritten"},
        "all classes": {"gain": nan, "reason": "the newest samples are of all classes, and"},
        "no class added": {"gain": nan, "reason": "no class was added, and outputs"},
        "first task": {"gain": nan, "reason": "one class is no task"},
    }
    for name, more in reasons.items():
        assert docs_guard.question(row(1, "done", 0.5, 0.5, 0.5, **more)) == name


def test_page_figure_and_record_are_made_together() -> None:
    made = dict(docs_guard.files())
    page = made["concepts/guard.md"]
    assert isinstance(page, str) and docs_guard.sums(ROWS) in page
    assert page.count("\n| ") > len({row["variant"] for row in ROWS})
    figure = made["concepts/guard.png"]
    assert isinstance(figure, bytes) and figure[1:4] == b"PNG"


def test_a_run_is_measured_as_it_is_and_written_as_it_was_read(tmp_path: Path) -> None:
    small = (("nrem.form", "rates"), ("network.sizes", [784, 40, 10]), ("wake.epochs", 2), ("network.dropout", 0.0))
    case = guard_record.Case("home-page", 3, None, changes=small)
    rows = list(case.rows())
    assert [row["task"] for row in rows] == [1, 2, 3, 4, 5]
    assert any(row["status"] == "done" for row in rows)
    for one in rows:
        expected = one["before"] if one["status"] == "declined" else one["unguarded"]
        assert one["after"] == expected or one["damping"] < 1
    for guard, name in ((True, "after"), (False, "never_guarded")):
        _, settings = load_settings(
            "homeostatic/ten-users", strategy="sleep", variant="home-page", changes=[*small, ("nrem.guard", guard)]
        )
        out = str(tmp_path / name)
        plain = run_one(RunRequest("homeostatic/ten-users", "home-page", "sleep", 3, settings, None, out))
        assert plain["accuracy_all"] == pytest.approx(rows[-1][name])
    guard_record.write(rows, tmp_path / "guard.csv")
    again = guard_record.read(tmp_path / "guard.csv")
    assert [one["after"] for one in again] == pytest.approx([one["after"] for one in rows], abs=1e-4)
