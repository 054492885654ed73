"""What changed from run to run, measure by measure."""

from __future__ import annotations

import math

import pytest

from neurosleep import plot
from neurosleep.errors import SettingsError


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


def test_a_row_without_a_p_value_is_an_error() -> None:
    with pytest.raises(SettingsError, match="no column 'p'"):
        plot.changes([{"label": "drive", "values": [1.0], "published": "rises"}])
