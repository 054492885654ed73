"""Loss and accuracy while awake, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from neurosleep.plot._style import GREY, PALETTE, Figure, Row, axes, field, figure, guides, say

__all__ = ["training"]

_PARTS = (("accuracy", 100.0, "accuracy in\ntraining (%)", PALETTE[0]), ("loss", 1.0, "loss in\ntraining", PALETTE[1]))


def training(rows: Sequence[Row], *, fig: Figure | None = None) -> Figure:
    """Accuracy in % and mean loss on the training batches of each epoch, one task after another.

    Parameters
    ----------
    rows:
        With the columns ``task`` and ``epoch`` (from 1), ``accuracy`` (a fraction) and ``loss``; numbers or the text of
        a CSV file. A panel for each of the last two that is known.
    fig:
        An empty figure; by default a new one.

    Raises
    ------
    SettingsError
        If a column is missing or does not hold a number.

    See Also
    --------
    accuracy : on test images after each phase

    Examples
    --------
    >>> from neurosleep.plot import training
    >>> row = {"task": 1, "accuracy": 0.8, "loss": 0.3}
    >>> len(training([{**row, "epoch": epoch} for epoch in (1, 2)]).axes)
    2
    """
    columns = {name: [factor * field(row, name) for row in rows] for name, factor, _, _ in _PARTS}
    known = [part for part in _PARTS if any(map(math.isfinite, columns[part[0]]))] or list(_PARTS[:1])
    fig = figure(6.0, 1.0 + 1.5 * len(known)) if fig is None else fig
    panels = fig.subplots(len(known), 1, sharex=True, squeeze=False)[:, 0]
    order = sorted(range(len(rows)), key=lambda k: (field(rows[k], "task"), field(rows[k], "epoch")))
    tasks = [int(field(rows[k], "task")) for k in order]
    starts = [k for k, task in enumerate(tasks) if not k or task != tasks[k - 1]]
    for ax, (name, _, label, colour) in zip(panels, known, strict=True):
        axes(ax)
        values = np.array([columns[name][k] for k in order])
        for start, stop in zip(starts, [*starts[1:], len(order)][: len(starts)], strict=True):
            at = np.arange(start, stop) + 1
            ax.plot(at, values[start:stop], color=colour, marker="o", markersize=3.5, label=f"task {tasks[start]}")
            if start:
                ax.axvline(start + 0.5, color="#c8c8c8", linewidth=0.8, zorder=0)
        ax.set_ylabel(label)
        guides(ax, "y")
        if name == "accuracy":
            ax.set_ylim(-3, 103)
        if not rows:
            say(ax, "no epoch was recorded")
    # Of very many tasks, every other one is named, every third, …
    for k in range(0, len(starts), math.ceil(len(starts) / 12) or 1):
        place = panels[0].get_xaxis_transform()
        panels[0].text(
            starts[k] + 0.6, 1.01, f"task {tasks[starts[k]]}" if not k else f"{tasks[starts[k]]}",
            transform=place, ha="left", va="bottom", color=GREY, fontsize=8,
        )  # fmt: skip
    panels[-1].set_xlabel("epoch, counted through all tasks")
    panels[-1].set_xlim(0.5, max(len(order), 1) + 0.5)
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    fig.align_ylabels(panels)
    return fig
