"""Strategies side by side: after the last task, and from task to task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from neurosleep.plot._room import fitted, room_of
from neurosleep.plot._style import GREY, MARKERS, Row, axes, field, guides, lines_down, palette_of, plain, say
from neurosleep.plot._tables import legend_above

__all__ = ["comparison", "progress"]

# What a strategy is measured against: learning one task after another, and all of them at once.
_BOUNDS = ("sequential", "joint")


def comparison(summary: Sequence[Row], *, colours: Mapping[str, str] | None = None, ax: Axes | None = None) -> Axes:
    """A bar per strategy: accuracy over all classes in %, mean and standard deviation in numbers, and a dot per seed.

    The bounds ``sequential`` and ``joint`` go on as dashed lines behind the bars of the others; a black diamond below a
    bar is what is published of the strategy.

    Parameters
    ----------
    summary:
        In the order of the bars from the top, each with ``strategy``, ``accuracy_all`` (``mean``, ``sd`` and ``n``;
        fractions, the first two None where undefined) and, where known, ``values`` (the fraction of each seed),
        ``published`` (``mean`` and ``sd``, fractions) and ``diverged`` (number of runs that did).
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
    dot_whisker : of several settings
    strategy_colours : the colours

    Examples
    --------
    >>> from neurosleep.plot import comparison
    >>> rows = [
    ...     {"strategy": "sequential", "accuracy_all": {"mean": 0.19, "sd": 0.01, "n": 2}, "values": [0.18, 0.2]},
    ...     {"strategy": "src", "accuracy_all": {"mean": 0.58, "sd": 0.03, "n": 2}, "values": [0.55, 0.61]},
    ... ]
    >>> ax = comparison(rows)
    >>> ax.get_xlabel()
    'accuracy, all classes (%)'
    """
    ax = axes(ax, 6.4, 1.1 + 0.42 * max(len(summary), 2))
    palette = palette_of((str(entry["strategy"]) for entry in summary), colours)
    room = 0.4 * room_of(ax)
    names, bounds = [], []
    for k, entry in enumerate(summary):
        name, mean, sd = str(entry["strategy"]), 100 * field(entry["accuracy_all"], "mean"), 0.0
        if math.isfinite(mean):
            sd = 100 * field(entry["accuracy_all"], "sd")
            ax.barh(k, mean, height=0.58, color=palette[name], alpha=0.8, zorder=2)
            if name in _BOUNDS and len(summary) > 1:
                bounds.append((mean, name))
                ax.axvline(mean, color=palette[name], linestyle="--", linewidth=1.1, zorder=1)
            if math.isfinite(sd):
                ax.errorbar(mean, k, xerr=sd, color="black", capsize=4, linewidth=1.2, zorder=3)
            _at_end(ax, k, f"{mean:.1f} ± {sd:.1f}" if math.isfinite(sd) else f"{mean:.1f}")
        else:
            _at_end(ax, k, "no result")
        _seeds(ax, k, [100 * float(value) for value in entry.get("values") or () if value is not None])
        published = entry.get("published")
        if published:
            theirs, spread = 100 * field(published, "mean"), 100 * field(published, "sd")
            ax.errorbar(
                theirs,
                k + 0.39,
                xerr=spread if math.isfinite(spread) else None,
                color="black",
                marker="D",
                markersize=4.5,
                linewidth=1.1,
                zorder=5,
            )
        diverged = int(entry.get("diverged") or 0)
        names.append(fitted(name, room) + (f"\n({diverged} diverged)" if diverged else ""))
    _name_bounds(ax, sorted(bounds))
    if not summary:
        say(ax, "nothing to compare")
    lines_down(ax, names)
    ax.set_xlim(0, 103)
    published = any(entry.get("published") for entry in summary)
    ax.set_xlabel("accuracy, all classes (%)" + ("   ◆ published" if published else ""))
    guides(ax, "x")
    return ax


def _at_end(ax: Axes, k: int, text: str) -> None:
    """What a line says, beside the axes."""
    place = ax.get_yaxis_transform()
    ax.annotate(text, (1, k), (5, 0), xycoords=place, textcoords="offset points", va="center", color=GREY, fontsize=9)


def _seeds(ax: Axes, k: int, values: Sequence[float]) -> None:
    """A dot for each seed, one below the other, so that equal ones stay visible."""
    beside = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(len(values))
    if values:
        look = {"markersize": 4.5, "color": "white", "markeredgecolor": "black", "zorder": 4}
        ax.plot(values, k + beside, linestyle="none", marker="o", **look)  # type: ignore[arg-type]


def _name_bounds(ax: Axes, bounds: Sequence[tuple[float, str]]) -> None:
    """Names above the dashed lines, away from each other where these are close."""
    close = len(bounds) > 1 and bounds[1][0] - bounds[0][0] < 30
    for (mean, name), side in zip(bounds, ("right", "left") if close else ("center", "center"), strict=False):
        place = ax.get_xaxis_transform()
        # Where both lines fall together, the names would be one word.
        text = {"right": f"{name} ", "left": f" {name}"}.get(side, name)
        ax.text(mean, 1.01, text, transform=place, ha=side, va="bottom", color=GREY, fontsize=8)


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
