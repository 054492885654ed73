"""Our results beside what is published, and what changed from run to run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from neurosleep.plot._style import GREY, PALETTE, Row, axes, field, plain, say, strategy_colours

__all__ = ["changes", "published_and_ours"]


def published_and_ours(
    rows: Sequence[Row],
    *,
    label: str = "accuracy (%)",
    colours: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A line of dots per row: what is published as an open diamond, ours as a filled dot, each with its deviation.

    Parameters
    ----------
    rows:
        From top to bottom, each with ``label``, ``strategy`` (which has the colour), ``published_mean``,
        ``published_sd``, ``mean`` and ``sd`` (None where undefined) and, where known, ``values`` (of each seed) and
        ``missing`` (why there is nothing of ours).
    label:
        Of the numbers, for the axis.
    colours:
        Of the strategies; :func:`strategy_colours` of these if not given.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If a number is missing or is none.

    See Also
    --------
    dot_whisker : default and searched settings on one line, between bounds
    comparison : bars, without what is published
    changes : differences

    Examples
    --------
    >>> from neurosleep.plot import published_and_ours
    >>> row = {"label": "src", "strategy": "src", "published_mean": 48.5, "published_sd": 5.0, "mean": 46.0, "sd": 4.1}
    >>> ax = published_and_ours([row])
    >>> [text.get_text() for text in ax.get_yticklabels()]
    ['src']
    """
    ax = axes(ax, 5.6, 0.9 + 0.3 * len(rows))
    palette = strategy_colours(str(row["strategy"]) for row in rows) | dict(colours or {})
    for k, row in enumerate(rows):
        mean, sd = field(row, "mean"), field(row, "sd")
        theirs, their_sd = field(row, "published_mean"), field(row, "published_sd")
        colour = palette[str(row["strategy"])]
        if math.isfinite(theirs):
            spread = their_sd if math.isfinite(their_sd) else None
            ax.errorbar(
                theirs,
                k - 0.16,
                xerr=spread,
                color=GREY,
                marker="D",
                markersize=5.5,
                markerfacecolor="white",
                capsize=2.5,
                linestyle="none",
            )
        values = [float(value) for value in row.get("values") or () if value is not None]
        ax.plot(values, [k + 0.16] * len(values), linestyle="none", marker="|", markersize=7, color=colour, alpha=0.55)
        if math.isfinite(mean):
            spread = sd if math.isfinite(sd) else None
            ax.errorbar(mean, k + 0.16, xerr=spread, color=colour, marker="o", markersize=6, capsize=2.5)
        else:
            why = plain(str(row.get("missing") or "not run"))
            ax.text(0.01, k + 0.16, why, transform=ax.get_yaxis_transform(), color=GREY, fontsize=7.5, va="center")
    if not rows:
        say(ax, "nothing to compare")
    ax.set_yticks(range(len(rows)), [plain(str(row["label"])) for row in rows])
    ax.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    ax.grid(axis="x", color="#e4e4e4")
    ax.set_axisbelow(True)
    ax.set_xlabel(label)
    ax.plot([], [], linestyle="none", marker="D", color=GREY, markerfacecolor="white", label="published")
    ax.plot([], [], linestyle="none", marker="o", color="black", label="ours")
    return ax


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
    published_and_ours : numbers beside published ones
    neurosleep.analysis.welch_test : the test

    Examples
    --------
    >>> from neurosleep.plot import changes
    >>> ax = changes([{"label": "sparseness", "values": [0.1, 0.2, 0.15], "p": 0.04, "published": "rises"}])
    """
    ax = axes(ax, 6.4, 0.9 + 0.34 * len(rows))
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
    ax.set_yticks(
        range(len(rows)), [plain(f"{row['label']}\n(published: {row['published']})") for row in rows], fontsize=8
    )
    ax.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    ax.set_xlim(-1.1, 1.35)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_xticks([-1, 0, 1], ["falls", "0", "rises"])
    ax.set_xlabel(
        "change with sleep in each run, of the largest (mean beside it; * p < 0.05 after Bonferroni)", fontsize=8
    )
    return ax
