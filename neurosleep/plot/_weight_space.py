"""The way of a network through the space of its weights."""

from __future__ import annotations

import itertools
import math

from matplotlib.axes import Axes

from neurosleep.errors import SettingsError
from neurosleep.plot._style import MARKERS, PALETTE, axes, field, plain
from neurosleep.plot._tables import Data, distinct, needs, numbers, read, text

__all__ = ["solution_distance", "weight_trajectory"]


@needs("pc{components[0]}", "pc{components[1]}")
def weight_trajectory(data: Data, *, components: tuple[int, int] = (1, 2), ax: Axes | None = None) -> Axes:
    """The runs as paths through two principal components of their weights, with the moments named along the first run.

    Parameters
    ----------
    data:
        The table of :func:`neurosleep.analysis.weight_trajectory`.
    components:
        Which two, from 1.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If a component is no column of the table, or a column is missing.

    See Also
    --------
    neurosleep.analysis.weight_trajectory : the numbers
    solution_distance : how far the points are from solutions

    Examples
    --------
    >>> import torch
    >>> from neurosleep import analysis, plot
    >>> points = [[torch.tensor([0.0, 0.0])], [torch.tensor([1.0, 0.0])], [torch.tensor([1.0, 2.0])]]
    >>> table = analysis.weight_trajectory(points, runs=["src"] * 3, moments=["start", "wake 1", "sleep 1"])
    >>> ax = plot.weight_trajectory(table)
    """
    rows = read(data)
    first, second = components
    for k in components:
        if f"pc{k}" not in rows[0]:
            raise SettingsError(f"The table has no component {k}.", expected="a column pc1, pc2, …")
    ax = axes(ax, 5.6, 4.2)
    runs = distinct(rows, "run")
    for number, run in enumerate(runs):
        of_run = [row for row in rows if text(row, "run") == run]
        x, y = numbers(of_run, f"pc{first}"), numbers(of_run, f"pc{second}")
        colour = PALETTE[number % len(PALETTE)]
        arrow = {"arrowstyle": "->", "color": colour, "linewidth": 1.3, "shrinkA": 4, "shrinkB": 4}
        for start, end in itertools.pairwise(zip(x, y, strict=True)):
            ax.annotate("", end, start, arrowprops=arrow)
        marker = MARKERS[number % len(MARKERS)]
        ax.plot(x, y, linestyle="none", marker=marker, markersize=6, color=colour, label=plain(run))
        if number == 0:
            _name_moments(ax, [text(row, "moment") for row in of_run], list(zip(x, y, strict=True)))
    for k, name in ((first, ax.set_xlabel), (second, ax.set_ylabel)):
        name(f"component {k} ({100 * field(rows[0], f'share{k}'):.0f} % of the variance)")
    ax.margins(0.12)
    if len(runs) > 1:
        ax.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    return ax


@needs("nearest", "flat")
def solution_distance(data: Data, *, run: str | None = None, ax: Axes | None = None) -> Axes:
    """Distance of a network to the solutions of each task through wake and sleep: to the nearest (full line) and flat.

    Parameters
    ----------
    data:
        The table of :func:`neurosleep.analysis.solution_distance`.
    run:
        Which run; the first if not given.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If a column is missing.

    See Also
    --------
    neurosleep.analysis.solution_distance : the numbers
    weight_trajectory : the points in two dimensions

    Examples
    --------
    >>> import torch
    >>> from neurosleep import analysis, plot
    >>> points = [[torch.tensor([0.0, 0.0])], [torch.tensor([0.0, 1.0])]]
    >>> solutions = {"task 1": [[torch.tensor([3.0, 1.0])], [torch.tensor([5.0, 1.0])]]}
    >>> table = analysis.solution_distance(points, solutions, runs=["src", "src"], moments=["wake 1", "sleep 1"])
    >>> ax = plot.solution_distance(table)
    """
    rows = read(data)
    ax = axes(ax, 5.6, 3.6)
    chosen = distinct(rows, "run")[0] if run is None else run
    of_run = [row for row in rows if text(row, "run") == chosen]
    moments = distinct(of_run, "moment")
    for number, task in enumerate(distinct(of_run, "task")):
        points = [row for row in of_run if text(row, "task") == task]
        colour = PALETTE[number % len(PALETTE)]
        marker = MARKERS[number % len(MARKERS)]
        ax.plot(numbers(points, "nearest"), color=colour, marker=marker, label=f"{plain(task)}: nearest solution")
        ax.plot(numbers(points, "flat"), color=colour, marker=marker, linestyle=":", label=f"{plain(task)}: flat")
    ax.set_xticks(range(len(moments)), [plain(moment) for moment in moments])
    ax.set_ylim(bottom=0)
    ax.set_ylabel("distance (units of the weights)")
    ax.legend(frameon=False, fontsize=9)
    return ax


def _name_moments(ax: Axes, moments: list[str], points: list[tuple[float, float]]) -> None:
    """The name of each moment beside its point; points that all but coincide share a label."""
    span = [max(values) - min(values) or 1.0 for values in zip(*points, strict=True)]
    labels: list[tuple[tuple[float, float], str]] = []
    for moment, point in zip(moments, points, strict=True):
        near = [k for k, (at, _) in enumerate(labels) if math.hypot(*map(_relative, at, point, span)) < 0.05]
        if near:
            at, names = labels[near[0]]
            labels[near[0]] = (at, f"{names}, {moment}")
        else:
            labels.append((point, moment))
    for at, names in labels:
        ax.annotate(plain(names), at, xytext=(6, 5), textcoords="offset points", fontsize=8)


def _relative(a: float, b: float, span: float) -> float:
    return (a - b) / span
