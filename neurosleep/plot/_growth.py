"""What grows as tasks come: accuracy falls, and seconds and memory may rise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from neurosleep.plot._style import MARKERS, Figure, Row, axes, field, figure, guides, palette_of, plain, say
from neurosleep.plot._tables import legend_above

__all__ = ["growth"]

# Column, factor and label, from top to bottom.
_PARTS = (
    ("accuracy", 100.0, "accuracy on tasks\nso far (%)"),
    ("seconds", 1.0, "seconds a task"),
    ("memory", 1e-9, "peak memory (GB)"),
)


def growth(rows: Sequence[Row], *, colours: Mapping[str, str] | None = None, fig: Figure | None = None) -> Figure:
    """Accuracy, seconds and memory against the tasks learnt, one above the other, a line per strategy.

    Parameters
    ----------
    rows:
        With the columns ``strategy``, ``after_task`` (from 1), ``accuracy`` (a fraction, on the tasks so far),
        ``seconds`` (of the task, wake and sleep), ``sleep_seconds`` (those of sleep alone, dotted) and ``memory`` (the
        most that the process took meanwhile, in bytes); None where not known.
    colours:
        Of the strategies; :func:`strategy_colours` of these if not given.
    fig:
        An empty figure to draw on; by default a new one.

    Raises
    ------
    SettingsError
        If a number is missing or is none.

    See Also
    --------
    progress : the accuracy alone, with its spread over seeds
    strategy_colours : the colours

    Examples
    --------
    >>> from neurosleep.plot import growth
    >>> row = {"strategy": "sleep", "accuracy": 0.9, "seconds": 2.0, "sleep_seconds": 0.3, "memory": 6e8}
    >>> fig = growth([{**row, "after_task": task} for task in (1, 2, 3)])
    >>> len(fig.axes)
    3
    """
    fig = figure(6.0, 6.6) if fig is None else fig
    panels = fig.subplots(3, 1, sharex=True)
    names = list(dict.fromkeys(str(row["strategy"]) for row in rows))
    palette = palette_of(names, colours)
    last = max((field(row, "after_task") for row in rows), default=1.0)
    # Of many tasks a mark at some of them tells the lines apart.
    every = math.ceil(last / 10)
    for ax, (column, factor, label) in zip(panels, _PARTS, strict=True):
        axes(ax)
        top = max((v for row in rows if math.isfinite(v := factor * field(row, column))), default=0.0)
        for k, name in enumerate(names):
            look = {"color": palette[name], "marker": MARKERS[k % len(MARKERS)], "markevery": (k % every, every)}
            own = [row for row in rows if str(row["strategy"]) == name]
            _line(ax, own, column, factor, plain(name), linewidth=1.6, markersize=5, **look)
            if column == "seconds":
                _line(ax, own, "sleep_seconds", factor, "", linewidth=1.3, linestyle=":", color=palette[name])
        if not top:
            say(ax, "not measured")
        ax.set_ylabel(label)
        guides(ax, "y")
        ax.set_ylim(0, 103 if column == "accuracy" else 1.12 * top or 1)
    panels[-1].set_xticks(np.arange(1, last + 1, math.ceil(last / 20)))
    panels[-1].set_xlim(0.5, last + 0.5)
    panels[-1].set_xlabel("after task (dotted: sleep alone)")
    fig.align_ylabels(panels)
    if names:
        legend_above(panels[0], 4)
    return fig


def _line(ax: Axes, rows: Sequence[Row], column: str, factor: float, label: str, **look: object) -> None:
    """Draw what is known of one column against the tasks."""
    points = sorted((field(row, "after_task"), factor * field(row, column)) for row in rows)
    known = [(task, value) for task, value in points if math.isfinite(value)]
    # Sleep that there never is would be a line at 0.
    if not known or (column == "sleep_seconds" and not any(value > 0 for _, value in known)):
        return
    ax.plot(*zip(*known, strict=True), label=label or "_", **look)  # type: ignore[arg-type]
