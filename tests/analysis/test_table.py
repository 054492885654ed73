"""A table keeps, prints and writes what it was given."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from neurosleep.analysis import Table
from neurosleep.errors import DataError, SettingsError, UnknownNameError


def table(rows: int = 3) -> Table:
    return Table(
        {
            "layer": np.array([f"hidden{k}" for k in range(rows)]),
            "n": np.arange(rows),
            "value": np.array([0.1, np.nan, 1 / 3] * rows)[:rows],
        }
    )


def test_columns_rows_and_selection() -> None:
    t = table()
    assert len(t) == 3 and t["n"].tolist() == [0, 1, 2]
    assert t.rows()[2] == {"layer": "hidden2", "n": 2, "value": 1 / 3}
    assert [type(value) for value in t.rows()[0].values()] == [str, int, float]
    assert t.where(layer="hidden2", n=2)["value"].tolist() == [1 / 3]
    assert len(t.where(layer="hidden7")) == 0
    assert Table.from_rows(t.rows()[:1]).rows() == t.rows()[:1]


def test_it_cannot_be_changed() -> None:
    given = np.arange(3.0)
    t = Table({"x": given})
    given[0] = 7
    assert t["x"][0] == 0
    with pytest.raises(ValueError, match="read-only"):
        t["x"][0] = 1


def test_it_prints_aligned_and_says_how_much_more_there_is() -> None:
    lines = str(table()).splitlines()
    assert lines[0] == "layer    n   value" and lines[2] == "hidden1  1       -" and lines[3] == "hidden2  2  0.3333"
    assert str(table(45)).splitlines()[-1] == "… and 5 more rows"
    assert str(table().where(n=9)).splitlines() == ["layer  n  value"]


def test_csv_comes_back_exactly_with_empty_fields_for_undefined(tmp_path: Path) -> None:
    path = table().to_csv(tmp_path / "new" / "table.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["value"] for row in rows] == ["0.1", "", repr(1 / 3)]
    assert [row["layer"] for row in rows] == ["hidden0", "hidden1", "hidden2"]
    assert [file.name for file in path.parent.iterdir()] == ["table.csv"]


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    for columns in ({}, {"a": np.zeros(2), "b": np.zeros(3)}, {"a": np.zeros((2, 2))}):
        with pytest.raises(DataError, match="no table"):
            Table(columns)
    for rows in ([], [{"a": 1}, {"b": 1}]):
        with pytest.raises(DataError, match="no table"):
            Table.from_rows(rows)
    with pytest.raises(UnknownNameError, match="did you mean 'layer'"):
        table()["lair"]
    with pytest.raises(SettingsError, match=r"ends in \.csv"):
        table().to_csv(tmp_path / "table.txt")


def test_json_has_null_where_a_number_is_undefined():
    table = Table({"a": [1, 2], "b": [0.5, math.nan], "c": [math.inf, -math.inf], "d": ["x", 'y"'], "e": [True, False]})
    assert json.loads(table.to_json()) == [
        {"a": 1, "b": 0.5, "c": None, "d": "x", "e": True},
        {"a": 2, "b": None, "c": None, "d": 'y"', "e": False},
    ]
    assert Table({"a": np.zeros(0)}).to_json() == "[]"
