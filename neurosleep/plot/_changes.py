"""What changed from run to run, measure by measure."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes

from neurosleep.plot._style import GREY, PALETTE, Row, axes, field, lines_down

__all__ = ["LABEL_WIDTH", "changes"]

# Letters of a line: longer names would leave the dots no room.
LABEL_WIDTH = 42


def changes(rows: Sequence[Row], *, ax: Axes | None = None) -> Axes:
    """How far each measure moved in each run: a dot per seed in units of their deviation, the mean as a bar.

    Measures of different units stand in one picture so; a star says that the mean differs from 0.

    Parameters
    ----------
    rows:
        From top to bottom, each with ``label``, ``values`` (of each seed; None where undefined), ``p`` (of a difference
        from 0, None where not tested) and ``published`` (what is said of its direction).
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If a number is missing or is none.

    See Also
    --------
    dot_whisker : numbers beside published ones
    neurosleep.analysis.welch_test : the test

    Examples
    --------
    >>> from neurosleep.plot import changes
    >>> ax = changes([{"label": "sparseness", "values": [0.1, 0.2, 0.15], "p": 0.04, "published": "rises"}])
    """
    labels = [f"{fill(row['label'], LABEL_WIDTH)}\n(published: {row['published']})" for row in rows]
    ax = axes(ax, 6.4, 0.9 + 0.17 * sum(1 + label.count("\n") for label in labels))
    for k, row in enumerate(rows):
        values = np.array([float(value) for value in row["values"] if value is not None])
        scale = float(np.abs(values).max()) if values.size else 0.0
        if not scale:
            ax.text(0, k, " no change" if values.size else " no number", color=GREY, fontsize=8, va="center")
            continue
        colour = PALETTE[0] if values.mean() > 0 else PALETTE[1]
        ax.barh(k, values.mean() / scale, height=0.55, color=colour, alpha=0.35)
        ax.plot(values / scale, [k] * len(values), linestyle="none", marker="o", markersize=4, color=colour)
        p = field(row, "p")
        star = " *" if p < 0.05 else ""
        ax.text(1.06, k, f"{values.mean():+.3g}{star}", fontsize=8, va="center")
    lines_down(ax, labels)
    ax.tick_params(axis="y", labelsize=8)
    ax.set_xlim(-1.1, 1.35)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_xticks([-1, 0, 1], ["falls", "0", "rises"])
    ax.set_xlabel(
        "change with sleep in each run, of the largest\n(mean beside it; * p < 0.05 after Bonferroni)", fontsize=8
    )
    return ax
