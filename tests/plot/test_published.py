"""Our results beside what is published, and what changed from run to run."""

from __future__ import annotations

import math
from typing import Any

import pytest

from neurosleep import plot
from neurosleep.errors import SettingsError

ROW: dict[str, Any] = {
    "label": "src",
    "strategy": "src",
    "published_mean": 48.0,
    "published_sd": 5.0,
    "mean": 46.0,
    "sd": 4.0,
    "values": [42.0, None, 50.0],
}
LEFT_OUT = ROW | {"label": "owm", "strategy": "owm", "mean": None, "sd": None, "values": [], "missing": "no data"}


def test_published_and_ours_stand_in_one_line() -> None:
    ax = plot.published_and_ours([ROW, LEFT_OUT], label="accuracy (%)")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["src", "owm"]
    assert [text.get_text() for text in ax.texts] == ["no data"]
    drawn = [(line.get_marker(), [float(x) for x in line.get_xdata()]) for line in ax.get_lines()]
    assert ("o", [46.0]) in drawn
    assert ("|", [42.0, 50.0]) in drawn
    # Without numbers of ours, what is published stands alone.
    assert drawn.count(("D", [48.0])) == 2
    # From top to bottom.
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_nothing_to_compare_is_said() -> None:
    assert [text.get_text() for text in plot.published_and_ours([]).texts] == ["nothing to compare"]


def test_changes_have_a_dot_for_each_run_and_a_star_where_they_differ_from_none() -> None:
    rows = [
        {"label": "drive", "values": [1.0, 2.0, None, 3.0], "p": 0.01, "published": "rises"},
        {"label": "weights", "values": [-2.0, -1.0], "p": None, "published": "falls"},
        {"label": "spikes", "values": [0.0, 0.0], "p": None, "published": "rises"},
        {"label": "nothing", "values": [], "p": None, "published": "rises"},
    ]
    ax = plot.changes(rows)
    assert [text.get_text() for text in ax.texts] == ["+2 *", "-1.5", " no change", " no number"]
    dots = [list(line.get_xdata()) for line in ax.get_lines() if line.get_marker() == "o"]
    assert dots == [[1 / 3, 2 / 3, 1.0], [-1.0, -0.5]]
    assert "published: rises" in ax.get_yticklabels()[0].get_text()
    assert math.isclose(ax.patches[0].get_width(), 2 / 3)


def test_a_row_without_numbers_is_an_error() -> None:
    with pytest.raises(SettingsError, match="no column 'mean'"):
        plot.published_and_ours([{"label": "src", "strategy": "src"}])
