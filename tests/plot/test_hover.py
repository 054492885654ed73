"""What a figure says on hover is what was given, where it is drawn."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from neurosleep import plot
from neurosleep.plot._hover import drawn_points


def texts(points: list[tuple[float, float, str]]) -> list[str]:
    return [text for _, _, text in points]


def test_bars_and_lines_say_their_values() -> None:
    rows: list[dict[str, Any]] = [
        {"strategy": name, "accuracy_all": {"mean": mean, "sd": 0.1, "n": 2}, "values": [mean]}
        for name, mean in (("src", 0.5), ("cost $5", 0.25))
    ]
    said = ["src: accuracy, all classes 50 %", "cost $5: accuracy, all classes 25 %"]
    points = plot.hover_points(plot.comparison(rows).figure)  # type: ignore[arg-type]
    assert texts(points) == said
    # The first bar lies above the second, and is longer.
    assert points[0][1] < points[1][1] and points[0][0] > points[1][0]
    ax = plot.sweep([{"line": "src", "value": v, "mean": 0.5, "sd": 0.1} for v in (0.01, 0.1, 1)], label="k")
    assert texts(plot.hover_points(ax.figure))[0] == "src, k 0.01: accuracy 50 %"  # type: ignore[arg-type]
    steps = [{"after_task": 1, "phase": p, "on_task": o, "accuracy": 0.5} for p in ("wake", "sleep") for o in (1, 2)]
    found = texts(plot.hover_points(plot.accuracy(steps).figure))  # type: ignore[arg-type]
    assert "task 2, sleep 1: accuracy 50 %" in found and "mean of all tasks, wake 1: accuracy 50 %" in found


def test_places_are_parts_of_the_figure_at_any_resolution() -> None:
    fig = plot.figure(4, 3)
    ax = fig.add_subplot()
    ax.plot([0, 1], [0, 1], label="a")
    ax.plot([0, 1], [1, 0])
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="x (s)")
    (low, high) = plot.hover_points(fig)
    box = ax.get_position()
    assert low[:2] == pytest.approx((box.x0, 1 - box.y0), abs=1e-3)
    assert high[:2] == pytest.approx((box.x1, 1 - box.y1), abs=1e-3) and high[2] == "a, x (s) 1: 1"
    fig.set_dpi(300)
    # But for the rounding of places to whole dots.
    again = plot.hover_points(fig)
    assert [point[:2] for point in again] == [pytest.approx(point[:2], abs=4e-3) for point in (low, high)]


def test_too_many_points_and_none_are_left_out() -> None:
    fig = plot.figure(4, 3)
    fig.add_subplot().plot(range(700), label="a")
    assert plot.hover_points(fig) == [] and len(plot.hover_points(fig, most=700)) == 700
    assert plot.hover_points(plot.figure()) == []


def test_of_a_figure_that_was_saved_they_are_where_the_picture_has_them() -> None:
    """The report's way: not drawn again, and so at the places of the picture itself."""
    fig = plot.figure(4.8, 3.0, title="Where values lie")
    ax = fig.subplots()
    ax.plot([0.0, 2.0, 3.0], [1.0, 5.0, 2.0], label="line")[0].set_gid("values")
    ax.set_ylabel("accuracy (%)")
    picture = plot.to_svg_bytes(fig).decode()
    width, height = (float(part) for part in re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', picture)[0])
    path = re.findall(r'<g id="values">\s*<path d="([^"]+)"', picture)[0]
    drawn = [(float(x) / width, float(y) / height) for x, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", path)]
    places = [(x, y) for x, y, _ in drawn_points(fig)]
    assert len(drawn) == 3 and np.allclose(places, drawn, rtol=0, atol=1e-3)
