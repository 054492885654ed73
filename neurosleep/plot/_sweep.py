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
    points: Sequence[Row], *, label: str, colours: Mapping[str, str] | None = None, ax: Axes | None = None
) -> Axes:
    """A line per strategy: accuracy in % against what a sweep varies, mean and standard deviation over seeds.

    Parameters
    ----------
    points:
        Each with ``line`` (what the line stands for, such as a strategy), ``value`` (of what is varied), ``mean`` and
        ``sd`` (fractions, None where undefined).
    label:
        What is varied, for the axis.
    colours:
        Of the lines by name; :func:`strategy_colours` of these if not given.
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
    for point in points:
        mean, sd = 100 * field(point, "mean"), 100 * field(point, "sd")
        if math.isfinite(mean):
            lines.setdefault(str(point["line"]), []).append((field(point, "value"), mean, sd))
    values = sorted({value for line in lines.values() for value, _, _ in line})
    # Points such as 0.01, 0.1, 1 lie apart as ranks only; those of even steps keep their distances.
    steps = [b - a for a, b in itertools.pairwise(values)]
    even = not steps or max(steps) < 4 * min(steps)
    place = {value: value if even else float(k) for k, value in enumerate(values)}
    palette = palette_of(lines, colours)
    for k, (name, found) in enumerate(lines.items()):
        found.sort()
        spread = [sd if math.isfinite(sd) else 0.0 for _, _, sd in found]
        ax.errorbar(
            [place[value] for value, _, _ in found],
            [mean for _, mean, _ in found],
            yerr=spread,
            color=palette[name],
            marker="osDv^<>"[k % 7],
            linestyle=("-", "--", ":", "-.")[k % 4],
            markersize=4.5,
            capsize=2.5,
            label=plain(name),
        )
    if not lines:
        say(ax, "no result in this sweep")
    if lines and (not even or len(values) <= 8):
        ax.set_xticks([place[value] for value in values], [f"{value:g}" for value in values])
    ax.set_xlabel(plain(fitted(label, room_of(ax))))
    ax.set_ylabel("accuracy (%)")
    ax.set_ylim(0, 103)
    guides(ax, "y")
    if lines:
        legend_above(ax, 4)
    return ax
