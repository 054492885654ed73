"""Figures of what methods reach beside what is published."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.colors import to_rgb

from neurosleep import plot
from neurosleep.errors import NeurosleepError


def row(method: str, kind: str, mean: float | None, sd: float | None = None, strategy: str = "") -> dict[str, Any]:
    return {"label": method, "strategy": strategy or method, "kind": kind, "mean": mean, "sd": sd}


ROWS = [
    row("src", "published", 48.0, 5.0),
    row("src", "default", 40.0, 7.0),
    row("src", "tuned", 68.0, 3.0),
    row("owm (ff)", "default", 75.0, None, "owm"),
]


def markers(ax: Any) -> list[tuple[str, float, float, str]]:
    """Marker, place and filling of each mean."""
    return [
        (line.get_marker(), float(line.get_xdata()[0]), float(line.get_ydata()[0]), line.get_markerfacecolor())
        for line in (container[0] for container in ax.containers)
    ]


def test_a_line_per_method_with_what_is_published_and_ours() -> None:
    ax = plot.dot_whisker(ROWS)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["src", "owm (ff)"]
    blue = plot.strategy_colours(["src"])["src"]
    assert markers(ax) == [
        ("D", 48.0, -0.22, "black"),
        ("o", 40.0, 0.0, "white"),
        ("o", 68.0, 0.22, blue),
        ("o", 75.0, 1.0, "white"),
    ]
    # Whiskers where a spread is known.
    assert [len(container[2]) for container in ax.containers] == [1, 1, 1, 0]
    ends = ax.containers[0][2][0].get_segments()[0][:, 0]
    assert list(ends) == [43.0, 53.0]
    assert ax.get_ylim()[0] > ax.get_ylim()[1] and ax.get_xlim() == (0, 100)


def test_bounds_are_a_band_with_lines() -> None:
    ax = plot.dot_whisker(ROWS, bounds=(20.0, 98.0))
    dotted = [line.get_xdata()[0] for line in ax.get_lines() if line.get_linestyle() == ":"]
    assert dotted == [20.0, 98.0] and len(ax.patches) == 1
    half = plot.dot_whisker(ROWS, bounds=(20.0, None))
    assert [line.get_xdata()[0] for line in half.get_lines() if line.get_linestyle() == ":"] == [20.0]
    assert len(half.patches) == 0


def test_colours_and_legend() -> None:
    ax = plot.dot_whisker(ROWS, colours={"src": "#123456"}, legend=True)
    assert to_rgb(markers(ax)[2][3]) == to_rgb("#123456")
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["published", "ours", "ours, searched settings"]
    assert plot.dot_whisker(ROWS).get_legend() is None


def test_what_is_not_known_is_left_out_and_nothing_says_so() -> None:
    ax = plot.dot_whisker([row("src", "default", None)])
    assert len(ax.containers) == 0 and [label.get_text() for label in ax.get_yticklabels()] == ["src"]
    assert "nothing to compare" in [text.get_text() for text in plot.dot_whisker([]).texts]
    axes = plot.figure().add_subplot()
    assert plot.dot_whisker(ROWS, ax=axes) is axes


def test_seeds_are_ticks_and_what_is_missing_says_why() -> None:
    rows = [
        row("src", "published", 48.0, 5.0),
        row("src", "default", 46.0, 4.0) | {"values": [42.0, None, 50.0], "missing": ""},
        row("owm", "published", 77.0),
        row("owm", "default", None) | {"values": [], "missing": "costs $5"},
    ]
    ax = plot.dot_whisker(rows)
    ticks = [(list(line.get_xdata()), list(line.get_ydata())) for line in ax.get_lines() if line.get_marker() == "|"]
    assert ([42.0, 50.0], [0.0, 0.0]) in ticks
    assert [(text.get_text(), text.get_position()[1]) for text in ax.texts] == [(r"costs \$5", 1.0)]
    assert [mark[:2] for mark in markers(ax)] == [("D", 48.0), ("o", 46.0), ("D", 77.0)]


def test_the_axis_is_of_percent_only_where_the_numbers_are() -> None:
    ax = plot.dot_whisker([row("src", "default", 3.7, 0.2)], label="epochs saved (epochs)")
    assert ax.get_xlabel() == "epochs saved (epochs)" and ax.get_xlim()[1] < 5
    assert plot.dot_whisker([row("src", "default", 3.7)]).get_xlim() == (0, 100)


def test_a_kind_that_there_is_not_and_a_missing_number_are_refused() -> None:
    with pytest.raises(NeurosleepError, match="guessed"):
        plot.dot_whisker([row("src", "guessed", 1.0)])
    with pytest.raises(NeurosleepError, match="sd"):
        plot.dot_whisker([{"label": "src", "strategy": "src", "kind": "default", "mean": 1.0}])


def test_the_same_bytes_each_time() -> None:
    drawn = [plot.to_svg_bytes(plot.dot_whisker(ROWS, bounds=(20.0, 98.0)).figure) for _ in range(2)]  # type: ignore[arg-type]
    assert drawn[0] == drawn[1] and b"<dc:date>" not in drawn[0]
