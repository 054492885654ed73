"""Strategies side by side: after the last task, and from task to task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from neurosleep.plot._style import GREY, MARKERS, Row, axes, field, guides, palette_of, plain, say
from neurosleep.plot._tables import legend_above

__all__ = ["comparison", "progress"]

# What a strategy is measured against: learning one task after another, and all of them at once.
_BOUNDS = ("sequential", "joint")


def comparison(summary: Sequence[Row], *, colours: Mapping[str, str] | None = None, ax: Axes | None = None) -> Axes:
    """A bar per strategy: accuracy over all classes in %, mean and standard deviation, and a dot per seed.

    The bounds ``sequential`` and ``joint`` go on as dashed lines behind the bars of the others.

    Parameters
    ----------
    summary:
        In the order of the bars, each with ``strategy``, ``accuracy_all`` (``mean``, ``sd`` and ``n``; fractions, the
        first two None where undefined) and, where known, ``values`` (the fraction of each seed) and ``diverged``
        (number of runs that did).
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
    progress : after each task
    strategy_colours : the colours

    Examples
    --------
    >>> from neurosleep.plot import comparison
    >>> rows = [
    ...     {"strategy": "sequential", "accuracy_all": {"mean": 0.19, "sd": 0.01, "n": 2}, "values": [0.18, 0.2]},
    ...     {"strategy": "src", "accuracy_all": {"mean": 0.58, "sd": 0.03, "n": 2}, "values": [0.55, 0.61]},
    ... ]
    >>> ax = comparison(rows)
    >>> ax.get_ylabel()
    'accuracy, all classes (%)'
    """
    ax = axes(ax, max(4.0, 1.6 + 0.9 * len(summary)), 3.6)
    palette = palette_of((str(entry["strategy"]) for entry in summary), colours)
    names = []
    for k, entry in enumerate(summary):
        mean = 100 * field(entry["accuracy_all"], "mean")
        sd = 100 * field(entry["accuracy_all"], "sd")
        if math.isfinite(mean):
            colour = palette[str(entry["strategy"])]
            ax.bar(k, mean, width=0.65, color=colour, alpha=0.8, zorder=2)
            if str(entry["strategy"]) in _BOUNDS and len(summary) > 1:
                ax.axhline(mean, color=colour, linestyle="--", linewidth=1.1, zorder=1)
            if math.isfinite(sd):
                ax.errorbar(k, mean, yerr=sd, color="black", capsize=4, linewidth=1.2, zorder=3)
        else:
            ax.text(k, 2, "no result", rotation=90, ha="center", va="bottom", color=GREY)
        values = [100 * float(value) for value in entry.get("values") or () if value is not None]
        # Side by side, so that equal seeds stay visible.
        beside = np.linspace(-0.18, 0.18, len(values)) if len(values) > 1 else np.zeros(len(values))
        if values:
            ax.plot(
                k + beside,
                values,
                linestyle="none",
                marker="o",
                markersize=4.5,
                color="white",
                markeredgecolor="black",
                zorder=4,
            )
        diverged = int(entry.get("diverged") or 0)
        names.append(plain(str(entry["strategy"])) + (f"\n({diverged} diverged)" if diverged else ""))
    if not summary:
        say(ax, "nothing to compare")
    ax.set_xticks(range(len(names)), names)
    if len(names) > 7 or any(len(line) > 14 for name in names for line in name.split("\n")):
        for label in ax.get_xticklabels():
            label.set(rotation=35, ha="right", rotation_mode="anchor")
    ax.set_xlim(-0.6, max(len(names), 1) - 0.4)
    ax.set_ylim(0, 103)
    ax.set_ylabel("accuracy, all classes (%)")
    guides(ax, "y")
    return ax


def progress(rows: Sequence[Row], *, colours: Mapping[str, str] | None = None, ax: Axes | None = None) -> Axes:
    """A line per strategy: accuracy in % on the tasks learnt so far, after each task; mean and standard deviation.

    A strategy with one point alone, such as ``joint``, which learns everything at once, is a dashed line.

    Parameters
    ----------
    rows:
        With the columns ``strategy``, ``after_task`` (from 1), ``mean`` and ``sd`` (fractions, over seeds; None where
        undefined).
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
    comparison : at the end
    strategy_colours : the colours

    Examples
    --------
    >>> from neurosleep.plot import progress
    >>> rows = [{"strategy": "src", "after_task": task, "mean": 1 - 0.1 * task, "sd": 0.02} for task in (1, 2, 3)]
    >>> ax = progress(rows)
    """
    ax = axes(ax, 5.4, 3.6)
    lines: dict[str, list[tuple[float, float, float]]] = {}
    for row in rows:
        mean, sd = 100 * field(row, "mean"), 100 * field(row, "sd")
        if math.isfinite(mean):
            lines.setdefault(str(row["strategy"]), []).append((field(row, "after_task"), mean, sd))
    palette = palette_of(lines, colours)
    last = max((task for points in lines.values() for task, _, _ in points), default=1.0)
    for k, (name, points) in enumerate(lines.items()):
        task, middle, deviation = (np.array(values) for values in zip(*sorted(points), strict=True))
        if len(points) == 1 and last > 1:
            ax.axhline(middle[0], color=palette[name], linestyle="--", linewidth=1.4, label=plain(name))
            continue
        spread = np.nan_to_num(deviation)
        ax.errorbar(
            # Side by side, so that no error bar hides another.
            task + 0.05 * (k - (len(lines) - 1) / 2),
            middle,
            yerr=spread if spread.any() else None,
            color=palette[name],
            marker=MARKERS[k % len(MARKERS)],
            markersize=5,
            linewidth=1.6,
            capsize=2.5,
            label=plain(name),
        )
    if not lines:
        say(ax, "no accuracy was measured")
    stride = math.ceil(last / 20)
    ax.set_xticks(np.arange(1, last + 1, stride))
    ax.set_xlim(0.5, last + 0.5)
    ax.set_ylim(-3, 103)
    ax.set_xlabel("after task")
    ax.set_ylabel("accuracy on tasks so far (%)")
    guides(ax, "y")
    if lines:
        legend_above(ax, 4)
    return ax
