"""Networks on chips: how accurate they are there, and how many cores they take."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from neurosleep.plot._style import GREY, MARKERS, Row, axes, field, guides, lines_down, plain, say, task_colours

__all__ = ["chip_accuracy", "chip_cores"]


def _chips(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(str(row["profile"]) for row in rows))


def chip_accuracy(rows: Sequence[Row], *, bounds: Sequence[Row] = (), ax: Axes | None = None) -> Axes:
    """A line of marks for each chip: accuracy in % of the network on it, a mark for each way it sleeps.

    Parameters
    ----------
    rows:
        Each with ``profile``, ``slept`` and ``mapped`` (``mean`` and ``sd``, fractions; None where undefined). A chip
        without any number says that the network does not fit.
    bounds:
        Vertical lines, each with ``label`` and ``value`` (a fraction): what the same network does in floating point.
    ax:
        Where to draw; by default on a new figure.

    See Also
    --------
    chip_cores : the cores that it takes

    Examples
    --------
    >>> from neurosleep.plot import chip_accuracy
    >>> row = {"profile": "loihi1", "slept": "before mapping", "mapped": {"mean": 0.87, "sd": 0.02}}
    >>> ax = chip_accuracy([row], bounds=[{"label": "floating point", "value": 0.88}])
    """
    chips, ways = _chips(rows), list(dict.fromkeys(str(row["slept"]) for row in rows))
    ax = axes(ax, 6.4, 1.6 + 0.36 * max(len(chips), 2))
    colours = dict(zip(ways, task_colours(max(len(ways), 1)), strict=False))
    known = set()
    for row in rows:
        mean, sd = 100 * field(row["mapped"], "mean"), 100 * field(row["mapped"], "sd")
        if not math.isfinite(mean):
            continue
        chip, way = chips.index(str(row["profile"])), ways.index(str(row["slept"]))
        known.add(chip)
        # Beside each other, so that equal ones stay visible.
        place = chip + 0.5 * ((way + 0.5) / len(ways) - 0.5)
        ax.errorbar(
            mean,
            place,
            xerr=sd if math.isfinite(sd) else None,
            color=colours[ways[way]],
            marker=MARKERS[way % len(MARKERS)],
            markersize=6,
            capsize=3,
            linewidth=1.2,
            zorder=3,
        )
    for chip in range(len(chips)):
        if chip not in known:
            ax.text(1, chip, "does not fit", va="center", color=GREY, fontsize=9)
    for k, name in enumerate(ways):
        ax.plot([], [], linestyle="none", marker=MARKERS[k % len(MARKERS)], color=colours[name], label=plain(name))
    for bound in bounds:
        value = 100 * field(bound, "value")
        if math.isfinite(value):
            ax.axvline(value, color=GREY, linestyle="--", linewidth=1, zorder=1)
            ax.text(value, -0.5, f" {plain(str(bound['label']))}", rotation=90, va="top", color=GREY, fontsize=8)
    if not rows:
        say(ax, "no network was put on a chip")
    else:
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(2, len(ways)), frameon=False, fontsize=9)
    lines_down(ax, chips)
    guides(ax, "y")
    ax.set_xlim(0, 100)
    ax.set_xlabel("accuracy on the chip (%)")
    return ax


def chip_cores(rows: Sequence[Row], *, ax: Axes | None = None) -> Axes:
    """A bar for each chip: the cores that the network takes, on a logarithmic axis.

    Parameters
    ----------
    rows:
        Each with ``profile`` and ``cores`` (None: not known, or the network does not fit) and ``fits``.
    ax:
        Where to draw; by default on a new figure.

    See Also
    --------
    chip_accuracy : the accuracy on it

    Examples
    --------
    >>> from neurosleep.plot import chip_cores
    >>> rows = [{"profile": "loihi1", "cores": 12, "fits": True}, {"profile": "odin", "cores": None, "fits": False}]
    >>> ax = chip_cores(rows)
    >>> ax.get_xscale()
    'log'
    """
    chips = _chips(rows)
    ax = axes(ax, 4.0, 1.6 + 0.36 * max(len(chips), 2))
    most = 1.0
    for k, chip in enumerate(chips):
        of_chip = [row for row in rows if str(row["profile"]) == chip]
        cores = [value for row in of_chip if math.isfinite(value := field(row, "cores"))]
        if cores:
            most = max(most, *cores)
            ax.barh(k, max(cores), height=0.6, color=task_colours(1)[0], alpha=0.8, zorder=2)
            ax.annotate(f"{max(cores):g}", (max(cores), k), (5, 0), textcoords="offset points", va="center", fontsize=9)
        else:
            fits = any(row.get("fits") in (True, "True") for row in of_chip)
            text = "cores not known" if fits else "does not fit"
            ax.text(0.02, k, text, transform=ax.get_yaxis_transform(), va="center", color=GREY, fontsize=9)
    if not rows:
        say(ax, "no network was put on a chip")
    ax.set_xscale("log")
    ax.set_xlim(0.8, most * 4)
    lines_down(ax, chips)
    ax.set_xlabel("cores")
    return ax
