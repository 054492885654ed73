"""One number before and after sleep, for each layer: a thin line per class or task, the mean in black."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from neurosleep.errors import unknown_name
from neurosleep.plot._style import MARKERS, PALETTE, Row, axes, field
from neurosleep.plot._tables import BEFORE_AFTER, Data, distinct, legend_above, needs, numbers, read, text, zero_line

__all__ = ["input_drive", "sparseness", "stable_rank"]

# Colour, marker and label of a task, by whether it is the newest.
_AGES = {False: (PALETTE[0], MARKERS[0], "old tasks"), True: (PALETTE[1], MARKERS[1], "newest task")}


@needs("{value}_before", "{value}_after")
def sparseness(data: Data, *, value: str = "sparseness", ax: Axes | None = None) -> Axes:
    """Sparseness, or the share of active units, before and after sleep: a line per class, the mean of them in black.

    Parameters
    ----------
    data:
        The table of :func:`neurosleep.analysis.sparseness`.
    value:
        ``sparseness`` or ``active``.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If the value does not exist, or a column is missing.

    See Also
    --------
    neurosleep.analysis.sparseness : the numbers

    Examples
    --------
    >>> import torch
    >>> from neurosleep import MLP, analysis, plot
    >>> before, after = MLP([16, 8, 2]), MLP([16, 8, 2])  # a network at two moments
    >>> table = analysis.sparseness(before, after, torch.rand(6, 16), torch.tensor([0, 1, 0, 1, 0, 1]))
    >>> ax = plot.sparseness(table, value="active")
    """
    if value not in ("sparseness", "active"):
        raise unknown_name("value", value, ("sparseness", "active"))
    factor = 1.0 if value == "sparseness" else 100.0
    ax = axes(ax, 5.6, 3.4)
    rows = read(data)
    _lines(ax, rows, f"{value}_before", f"{value}_after", factor)
    ax.set_ylabel("sparseness (Treves-Rolls, 0 to 1)" if value == "sparseness" else "active units (%)")
    ax.plot([], [], color="#9a9a9a", linewidth=1, marker="o", markersize=4, label="one class")
    ax.plot([], [], color="black", linewidth=2.2, marker="o", markersize=5, label="mean of the classes")
    legend_above(ax)
    return ax


def _lines(ax: Axes, rows: Sequence[Row], before: str, after: str, factor: float) -> None:
    layers = distinct(rows, "layer")
    for k, layer in enumerate(layers):
        of_layer = [row for row in rows if text(row, "layer") == layer]
        pairs = factor * np.array([numbers(of_layer, before), numbers(of_layer, after)])
        at = [k - 0.22, k + 0.22]
        ax.plot(at, pairs, color="#9a9a9a", linewidth=0.9, zorder=2)
        for x, moment, values in zip(at, BEFORE_AFTER, pairs, strict=True):
            colour = BEFORE_AFTER[moment]
            ax.plot([x] * len(values), values, linestyle="none", marker="o", markersize=4, color=colour, zorder=3)
        defined = pairs[:, np.isfinite(pairs).all(axis=0)]
        if defined.size:
            ax.plot(at, defined.mean(axis=1), color="black", linewidth=2.2, marker="o", markersize=5, zorder=4)
    _moments(ax, layers)


@needs("before", "after")
def stable_rank(data: Data, *, ax: Axes | None = None) -> Axes:
    """Stable rank of each layer's weights before and after sleep, as bars with their values.

    Parameters
    ----------
    data:
        The table of :func:`neurosleep.analysis.stable_rank`.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If a column is missing.

    See Also
    --------
    neurosleep.analysis.stable_rank : the numbers

    Examples
    --------
    >>> from neurosleep import MLP, analysis, plot
    >>> before, after = MLP([16, 8, 2]), MLP([16, 8, 2])  # a network at two moments
    >>> ax = plot.stable_rank(analysis.stable_rank(before, after))
    """
    rows = read(data)
    ax = axes(ax, 4.8, 3.2)
    for side, (moment, colour) in zip((-0.2, 0.2), BEFORE_AFTER.items(), strict=True):
        values = [0.0 if math.isnan(value) else value for value in numbers(rows, moment)]
        bars = ax.bar([k + side for k in range(len(rows))], values, width=0.38, color=colour, label=f"{moment} sleep")
        ax.bar_label(bars, fmt="%.2g", fontsize=9, padding=2)
    ax.set_xticks(range(len(rows)), [text(row, "layer") for row in rows])
    ax.tick_params(axis="x", length=0)
    ax.margins(y=0.12)
    ax.set_ylabel("stable rank of the weights")
    legend_above(ax)
    return ax


@needs("before", "after")
def input_drive(data: Data, *, ax: Axes | None = None) -> Axes:
    """Input that each task's units get from its images, before and after sleep: old tasks in blue, the newest in red.

    Parameters
    ----------
    data:
        The table of :func:`neurosleep.analysis.input_drive`.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If a column is missing.

    See Also
    --------
    neurosleep.analysis.input_drive : the numbers

    Examples
    --------
    >>> import torch
    >>> from neurosleep import MLP, analysis, plot
    >>> before, after = MLP([16, 8, 2]), MLP([16, 8, 2])  # a network at two moments
    >>> images, labels = torch.rand(6, 16), torch.tensor([0, 1, 0, 1, 0, 1])
    >>> ax = plot.input_drive(analysis.input_drive(before, after, images, labels, tasks=[(0,), (1,)], units=2))
    """
    rows = read(data)
    ax = axes(ax, 5.6, 3.4)
    layers = distinct(rows, "layer")
    values = [*numbers(rows, "before"), *numbers(rows, "after")]
    for k, layer in enumerate(layers):
        of_layer = [row for row in rows if text(row, "layer") == layer]
        for row in of_layer:
            colour, marker, label = _AGES[text(row, "age") == "new"]
            ends = [field(row, "before"), field(row, "after")]
            ax.plot([k - 0.22, k + 0.22], ends, color=colour, marker=marker, markersize=6, linewidth=1.6, label=label)
        gap = 0.05 * (max(values) - min(values))
        for row, y in zip(of_layer, _apart(numbers(of_layer, "after"), gap), strict=True):
            ax.text(k + 0.27, y, text(row, "task"), color=_AGES[text(row, "age") == "new"][0], va="center", fontsize=9)
    _moments(ax, layers)
    zero_line(ax, values)
    ax.set_ylabel("mean input (units of activity)")
    legend_above(ax)
    return ax


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """The heights, moved as far as needed to be at least ``gap`` apart, in the same order and with the same mean."""
    moved = list(heights)
    last = -math.inf
    for k in sorted(range(len(moved)), key=moved.__getitem__):
        moved[k] = last = max(moved[k], last + gap)
    shift = (sum(moved) - sum(heights)) / max(len(moved), 1)
    return [height - shift for height in moved]


def _moments(ax: Axes, layers: Sequence[str]) -> None:
    """The horizontal axis of before and after in each layer."""
    ax.set_xticks(
        [k + d for k in range(len(layers)) for d in (-0.22, 0, 0.22)],
        [name for layer in layers for name in ("before", f"\n{layer}", "after")],
    )
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-0.5, len(layers) - 0.5)
