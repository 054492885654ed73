"""Plain values: what counts as a number, dotted keys, and values read as a type."""

from __future__ import annotations

import math
from typing import Any

import pytest

from neurosleep.errors import SettingsError
from neurosleep.experiments.metrics import spread_of
from neurosleep.experiments.plain import flatten, number
from neurosleep.experiments.typed import as_typed


@pytest.mark.parametrize("value", [True, "1", None, [1], math.nan, math.inf, 10**400])
def test_what_is_no_finite_number(value: object) -> None:
    assert number(value) is None


def test_tables_are_flattened_to_dotted_keys() -> None:
    table = {"a": 1, "b": {"c": {"d": 2}, "e": {}}}
    assert flatten(table) == {"a": 1, "b.c.d": 2}
    assert flatten(table, is_value=lambda inner: not inner) == {"a": 1, "b.c.d": 2, "b.e": {}}


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (int, True, "x is True"),
        (int, 2.0, "x is 2.0"),
        (float, "1", "x is '1'"),
        (tuple[int | float, ...], [1, True], "x holds True"),
        (dict[str, int], {"a": "b"}, "x.a is 'b'"),
    ],
)
def test_nothing_is_converted(kind: Any, value: object, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        as_typed("x", kind, value)


def test_integers_stay_integers_in_lists_of_numbers() -> None:
    made = as_typed("x", tuple[int | float, ...], [1, 2.5])
    assert made == (1, 2.5) and isinstance(made[0], int)


def test_mean_and_spread_of_what_is_defined() -> None:
    assert spread_of([]) == {"mean": None, "sd": None, "n": 0}
    assert spread_of([0.5, None]) == {"mean": 0.5, "sd": None, "n": 1}
