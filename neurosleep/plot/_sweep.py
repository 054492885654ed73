"""Accuracy over the points of a sweep."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from neurosleep.plot._style import GREY, PALETTE, Row, axes, field, guides, plain, say

__all__ = ["sweep"]


def sweep(points: Sequence[Row], *, label: str, ax: Axes | None = None) -> Axes:
    """A line per strategy: accuracy in % against what a sweep varies, mean and standard deviation over seeds.

    Parameters
    ----------
    points:
        Each with ``line`` (what the line stands for, such as a strategy), ``value`` (of what is varied), ``mean`` and
        ``sd`` (fractions, None where undefined).
    label:
        What is varied, for the axis.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If a number is missing or is none.

    See Also
    --------
    comparison : at one value

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
    for k, (name, found) in enumerate(lines.items()):
        found.sort()
        spread = [sd if math.isfinite(sd) else 0.0 for _, _, sd in found]
        ax.errorbar(
            [place[value] for value, _, _ in found],
            [mean for _, mean, _ in found],
            yerr=spread,
            color=PALETTE[k % len(PALETTE)],
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
    ax.set_xlabel(plain(label))
    ax.set_ylabel("accuracy (%)")
    ax.set_ylim(0, 103)
    guides(ax, "y")
    if lines:
        ax.legend(frameon=False, fontsize=9, labelcolor=GREY if len(lines) == 1 else None)
    return ax
