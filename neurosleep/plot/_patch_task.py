"""The toy task of binary patches: what drives the right output, and what a wrong one."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes

from neurosleep.errors import unknown_name
from neurosleep.plot._style import PALETTE, axes, field
from neurosleep.plot._tables import Data, chosen, distinct, legend_above, needs, numbers, read, text, zero_line

__all__ = ["patch_drive", "patch_weights"]

_KINDS = {"own": PALETTE[0], "sibling": PALETTE[4], "overlap": PALETTE[5], "other task": PALETTE[1]}


@needs("own", "other")
def patch_drive(data: Data, *, ax: Axes | None = None) -> Axes:
    """Drive of each patch to its own output and at most to one of another task, before (hollow) and after sleep (full).

    Parameters
    ----------
    data:
        The table of :func:`neurosleep.analysis.patch_drive`.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If a column is missing.

    See Also
    --------
    neurosleep.analysis.patch_drive : the numbers
    patch_weights : the synapses

    Examples
    --------
    >>> from neurosleep import MLP, analysis, plot
    >>> from neurosleep.data import patches, to_float
    >>> toy, before, after = patches(), MLP([100, 4]), MLP([100, 4])
    >>> table = analysis.patch_drive(before, after, to_float(toy.images), toy.labels, tasks=[(0, 1), (2, 3)])
    >>> ax = plot.patch_drive(table)
    """
    rows = read(data)
    classes = distinct(rows, "class")
    ax = axes(ax, max(4.6, 1.6 + 0.8 * len(classes)), 3.4)
    sides = (
        ("own", "own output", -0.15, PALETTE[0], "o"),
        ("other", "best of another task", 0.15, PALETTE[1], "s"),
    )
    for column, label, side, colour, marker in sides:
        for k, name in enumerate(classes):
            own = {text(row, "moment"): row for row in rows if text(row, "class") == name}
            pair = [field(own[moment], column) if moment in own else float("nan") for moment in ("before", "after")]
            ax.plot([k + side] * 2, pair, color=colour, linewidth=1.2, zorder=1)
            ax.plot(k + side, pair[0], marker=marker, markersize=7, color="white", markeredgecolor=colour)
            ax.plot(k + side, pair[1], marker=marker, markersize=7, color=colour, label=label)
    ax.plot([], [], marker="o", linestyle="none", color="white", markeredgecolor="black", label="before sleep")
    ax.plot([], [], marker="o", linestyle="none", color="black", label="after sleep")
    tasks = {text(row, "class"): text(row, "task") for row in rows}
    ax.set_xticks(range(len(classes)), [f"{name}\ntask {tasks[name]}" for name in classes])
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-0.5, len(classes) - 0.5)
    zero_line(ax, [*numbers(rows, "own"), *numbers(rows, "other")])
    ax.set_xlabel("patch")
    ax.set_ylabel("summed weights of its pixels")
    legend_above(ax)
    return ax


@needs("before", "after")
def patch_weights(data: Data, *, task: int, moment: str = "after", bins: int = 30, ax: Axes | None = None) -> Axes:
    """Histogram of the weights to one task's outputs, by the kind of their pixel.

    Parameters
    ----------
    data:
        The table of :func:`neurosleep.analysis.patch_weights`.
    task, moment:
        Task of the outputs (from 1); ``before`` or ``after`` sleep. Both moments have the same bins.
    bins:
        Their number.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If the task or the moment does not exist, or a column is missing.

    See Also
    --------
    neurosleep.analysis.patch_weights : the numbers
    patch_drive : what they add up to

    Examples
    --------
    >>> from neurosleep import MLP, analysis, plot
    >>> from neurosleep.data import patches, to_float
    >>> toy, before, after = patches(), MLP([100, 4]), MLP([100, 4])
    >>> table = analysis.patch_weights(before, after, to_float(toy.images), toy.labels, tasks=[(0, 1), (2, 3)])
    >>> ax = plot.patch_weights(table, task=1, moment="after")
    """
    if moment not in ("before", "after"):
        raise unknown_name("moment", moment, ("before", "after"))
    rows = chosen(data, "task", task)
    ax = axes(ax, 5.6, 3.2)
    both = np.array([numbers(rows, "before"), numbers(rows, "after")])
    low, high = float(np.nanmin(both)), float(np.nanmax(both))
    edges = np.linspace(low, high if high > low else low + 1e-3, bins + 1).tolist()
    for kind, colour in _KINDS.items():
        weights = numbers([row for row in rows if text(row, "kind") == kind], moment)
        finite = [weight for weight in weights if math.isfinite(weight)]
        if finite:
            mean = float(np.mean(finite))
            ax.hist(finite, edges, histtype="stepfilled", alpha=0.25, color=colour)
            ax.hist(finite, edges, histtype="step", linewidth=1.5, color=colour, label=f"{kind}, mean {mean:+.3f}")
    zero_line(ax, [low, high], vertical=True)
    ax.set_title(f"outputs of task {task}, {moment} sleep", fontsize="medium")
    ax.set_xlabel("weight")
    ax.set_ylabel("synapses")
    ax.legend(
        title="from pixels", frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0
    )
    return ax
