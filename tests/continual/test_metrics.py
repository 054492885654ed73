"""Metrics of continual learning, by hand, and the lengths of the sleeps."""

from __future__ import annotations

import pytest

from neurosleep.continual import (
    backward_transfer,
    forgetting_first_minus_last,
    forgetting_max_minus_last,
    matrix_metrics,
)
from neurosleep.errors import SettingsError
from neurosleep.functional import SRCRule
from neurosleep.replay import Sleep

R = [[0.8, 0.0, 0.1], [0.9, 0.7, 0.0], [0.5, 0.6, 1.0]]
RULE = SRCRule(inc=0.1, dec=0.1)


def test_metrics_by_hand() -> None:
    # Task 1: best 0.9, first 0.8, last 0.5; task 2: best and first 0.7, last 0.6.
    assert forgetting_max_minus_last(R) == pytest.approx((0.4 + 0.1) / 2)
    assert forgetting_first_minus_last(R) == pytest.approx((0.3 + 0.1) / 2)
    assert backward_transfer(R) == pytest.approx(-0.2)
    assert matrix_metrics(R) == {
        "forgetting_max_minus_last": forgetting_max_minus_last(R),
        "forgetting_first_minus_last": forgetting_first_minus_last(R),
        "bwt": backward_transfer(R),
    }


def test_what_came_before_a_task_was_learnt_does_not_count() -> None:
    lucky = [[0.8, 1.0], [0.6, 0.5]]
    assert forgetting_max_minus_last(lucky) == pytest.approx(0.2)


def test_getting_better_is_negative_forgetting() -> None:
    better = [[0.4, 0.0], [0.6, 0.9]]
    assert forgetting_max_minus_last(better) == pytest.approx(-0.2)
    assert backward_transfer(better) == pytest.approx(0.2)


@pytest.mark.parametrize("matrix", [[], [[0.9]]])
def test_one_task_cannot_be_forgotten(matrix: list[list[float]]) -> None:
    assert set(matrix_metrics(matrix).values()) == {None}


def test_the_sleeps_grow_by_a_third() -> None:
    sleeping = Sleep.src2022(rule=RULE, thresholds=[1.0], max_rate=1.0)
    assert [sleeping.rem.steps_after(task) for task in range(5)] == [15000, 20000, 25000, 30000, 35000]
    assert Sleep.src2022(rule=RULE, thresholds=[1.0], max_rate=1.0, growth=0.0).rem.steps_after(4) == 15000


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": True},
        {"growth": -0.1},
        {"growth": float("nan")},
        {"thresholds": [float("nan")]},
        {"thresholds": [-1.0]},
        {"max_rate": -1.0},
        {"scale_data": "all"},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    given: dict[str, object] = {"rule": RULE, "thresholds": [1.0], "max_rate": 1.0}
    with pytest.raises(SettingsError):
        Sleep.src2022(**(given | wrong))  # type: ignore[arg-type]
