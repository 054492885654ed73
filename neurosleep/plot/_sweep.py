"""Accuracy over the points of a sweep."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from neurosleep.plot._room import fitted, room_of
from neurosleep.plot._style import Row, axes, field, guides, palette_of, plain, say
from neurosleep.plot._tables import legend_above

__all__ = ["sweep"]


def sweep(
    points: Sequence[Row],
    *,
    label: str,
    colours: Mapping[str, str] | None = None,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """A line per strategy: accuracy in % against what a sweep varies, mean and standard deviation over seeds.

    What is published is a diamond in the colour of its line, with a black edge.

    Parameters
    ----------
    points:
        Each with ``line`` (what the line stands for, such as a strategy), ``value`` (of what is varied), ``mean`` and
        ``sd`` (fractions, None where undefined), and ``kind`` ``"published"`` where it is none of ours.
    label:
        What is varied, for the axis.
    colours:
        Of the lines by name, of all of a figure with several axes; :func:`strategy_colours` of these if not given.
    legend:
        Whether the lines are named above the axes.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If a number is missing or is none.

    See Also
    --------
    comparison : at one value
    strategy_colours : the colours

    Examples
    --------
    >>> from neurosleep.plot import sweep
    >>> points = [{"line": "src", "value": steps, "mean": 0.4 + steps / 1e5, "sd": 0.02} for steps in (5000, 15000)]
    >>> ax = sweep(points, label="steps of a sleep")
    >>> ax.get_xlabel()
    'steps of a sleep'
    """
    ax = axes(ax, 6.0, 3.6)
    lines: dict[str, list[tuple[float, float, float]]] = {}
    published: list[tuple[str, float, float, float]] = []
    for point in points:
        name, value = str(point["line"]), field(point, "value")
        mean, sd = 100 * field(point, "mean"), 100 * field(point, "sd")
        if not math.isfinite(mean):
            continue
        if point.get("kind") == "published":
            published.append((name, value, mean, sd))
        else:
            lines.setdefault(name, []).append((value, mean, sd))
    values = sorted({value for line in lines.values() for value, _, _ in line} | {entry[1] for entry in published})
    # Points such as 0.01, 0.1, 1 lie apart as ranks only; those of even steps keep their distances.
    steps = [b - a for a, b in itertools.pairwise(values)]
    even = not steps or max(steps) < 4 * min(steps)
    place = {value: value if even else float(k) for k, value in enumerate(values)}
    names = list(dict.fromkeys([*(colours or {}), *lines, *(name for name, *_ in published)]))
    palette = palette_of(names, colours)
    for name, line in lines.items():
        k = names.index(name)
        line.sort()
        ax.errorbar(
            [place[value] for value, _, _ in line],
            [mean for _, mean, _ in line],
            yerr=[sd if math.isfinite(sd) else 0.0 for _, _, sd in line],
            color=palette[name],
            marker="osDv^<>"[k % 7],
            linestyle=("-", "--", ":", "-.")[k % 4],
            markersize=4.5,
            capsize=2.5,
            label=plain(name),
        )
    for k, (name, value, mean, sd) in enumerate(published):
        ax.errorbar(
            place[value],
            mean,
            yerr=sd if math.isfinite(sd) else None,
            color="black",
            marker="D",
            markersize=6.5,
            markerfacecolor=palette[name],
            linestyle="none",
            linewidth=1.2,
            zorder=4,
            label=None if k else "published",
        )
    if not lines:
        say(ax, "no result in this sweep")
    if lines and (not even or len(values) <= 8):
        ax.set_xticks([place[value] for value in values], [f"{value:g}" for value in values])
    ax.set_xlabel(plain(fitted(label, room_of(ax))))
    ax.set_ylabel("accuracy (%)")
    ax.set_ylim(-3, 103)
    guides(ax, "y")
    if lines and legend:
        legend_above(ax, 4)
    return ax
