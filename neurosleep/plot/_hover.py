"""Where the values of a figure lie in it, and what they are, for whoever shows them on hover."""

from __future__ import annotations

import math
import re

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

__all__ = ["drawn_points", "hover_points"]


def hover_points(fig: Figure, *, most: int = 600) -> list[tuple[float, float, str]]:
    """The points of all lines and the ends of all bars of a figure: place and value in words.

    Parameters
    ----------
    fig:
        A figure as it is drawn.
    most:
        Of a figure with more points, none is given: they could not be told apart.

    Returns
    -------
    list of tuple
        Distance from the left and from the top as fractions of the figure, and what is there in words.

    See Also
    --------
    to_svg_bytes : the picture

    Examples
    --------
    >>> from neurosleep import plot
    >>> rows = [{"strategy": "src", "after_task": task, "mean": 0.9, "sd": None} for task in (1, 2)]
    >>> ax = plot.progress(rows)
    >>> [text for _, _, text in plot.hover_points(ax.figure)]
    ['src, after task 1: accuracy on tasks so far 90 %', 'src, after task 2: accuracy on tasks so far 90 %']
    """
    fig.draw_without_rendering()
    return drawn_points(fig, most=most)


def drawn_points(fig: Figure, *, most: int = 600) -> list[tuple[float, float, str]]:
    """The same of a figure that was saved already, which lays it out: to draw it again takes as long."""
    points = [point for ax in fig.axes for point in (*_of_lines(ax, fig), *_of_bars(ax, fig))]
    return points if len(points) <= most else []


def _of_lines(ax: Axes, fig: Figure) -> list[tuple[float, float, str]]:
    lines: list[tuple[Line2D, str]] = []
    for container in ax.containers:
        if isinstance(container, ErrorbarContainer) and container.lines[0] is not None:
            lines.append((container.lines[0], str(container.get_label())))
    lines += [(line, str(line.get_label())) for line in ax.get_lines()]
    points = []
    for line, label in lines:
        # Without a name it is an ornament; a level line has no points.
        if label.startswith("_") or line.get_transform() != ax.transData:
            continue
        for x, y in np.column_stack([np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)]):
            if math.isfinite(x) and math.isfinite(y):
                points.append((*_place(ax, fig, x, y), _said(f"{label}, {_at(ax, x)}", y, ax.get_ylabel())))
    return points


def _of_bars(ax: Axes, fig: Figure) -> list[tuple[float, float, str]]:
    points = []
    for container in ax.containers:
        if not isinstance(container, BarContainer):
            continue
        for bar in container.patches:
            lying = bar.get_width() > 1 or container.orientation == "horizontal"
            value = bar.get_width() if lying else bar.get_height()
            across = bar.get_y() + bar.get_height() / 2 if lying else bar.get_x() + bar.get_width() / 2
            if not math.isfinite(value):
                continue
            name = _tick(ax, across, vertical=lying)
            label = "" if str(container.get_label()).startswith("_") else str(container.get_label())
            unit = ax.get_xlabel() if lying else ax.get_ylabel()
            place = (value / 2, across) if lying else (across, value / 2)
            what = ", ".join(part for part in (label, name) if part)
            points.append((*_place(ax, fig, *place), _said(what, value, unit)))
    return points


def _said(what: str, value: float, label: str) -> str:
    """A value in words, its axis' label being a name and a unit in brackets, and perhaps more behind these."""
    label, _, _ = label.partition("   ")
    parts = re.fullmatch(r"(.*) \((.+)\)", label, re.DOTALL)
    name, unit = (parts[1], parts[2]) if parts else (label, "")
    text = f"{what}: {name} {value:.4g} {unit}".replace(r"\$", "$")
    return " ".join(text.split())


def _place(ax: Axes, fig: Figure, x: float, y: float) -> tuple[float, float]:
    left, up = fig.transFigure.inverted().transform(ax.transData.transform((x, y)))
    return round(float(left), 4), round(1 - float(up), 4)


def _at(ax: Axes, x: float) -> str:
    """A place on the x axis in words."""
    name = _tick(ax, x, vertical=False)
    label = ax.get_xlabel()
    if name and not label:
        return name
    return f"{label} {name or format(x, '.4g')}".strip()


def _tick(ax: Axes, at: float, *, vertical: bool) -> str:
    """What an axis with named places calls this one; empty where it has numbers."""
    axis = ax.yaxis if vertical else ax.xaxis
    if not isinstance(axis.get_major_locator(), FixedLocator):
        return ""
    places, labels = np.array(axis.get_majorticklocs(), dtype=np.float64), axis.get_ticklabels()
    near = int(np.abs(places - at).argmin()) if len(places) else -1
    return str(labels[near].get_text()) if 0 <= near < len(labels) and abs(places[near] - at) < 0.3 else ""
