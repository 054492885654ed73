"""What methods reach beside what is published of them: a line each, dots with whiskers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from neurosleep.errors import unknown_name
from neurosleep.plot._style import GREY, Row, axes, field, guides, lines_down, palette_of, plain, say

__all__ = ["dot_whisker"]

# Marker and filling of each kind of figure, in the order in which they stand on a line, from the top.
_KINDS = {"published": ("D", True), "default": ("o", False), "tuned": ("o", True)}
_LABELS = {"published": "published", "default": "ours", "tuned": "ours, searched settings"}
_STEP = 0.22


def dot_whisker(
    rows: Sequence[Row],
    *,
    label: str = "accuracy (%)",
    bounds: tuple[float | None, float | None] = (None, None),
    colours: Mapping[str, str] | None = None,
    legend: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """A line per method: what is published of it and what ours reach, means with one standard deviation.

    Published means are black diamonds; ours are dots in the colour of the strategy, open with the settings of the
    experiment and filled with those of a search. A band goes from the lower bound to the upper.

    Parameters
    ----------
    rows:
        In the order of the lines from the top, each with ``label`` (what the line is called), ``strategy`` (what its
        colour goes by), ``kind`` (``published``, ``default`` or ``tuned``), ``mean`` and ``sd`` (None where not known)
        and, where known, ``values`` (of each seed, as ticks) and ``missing`` (why there is no mean).
    label:
        Of the numbers, for the axis, which goes from 0 to 100 where it ends in ``(%)``.
    bounds:
        Numbers of sequential and of joint training; None where it is not known.
    colours:
        Of the strategies; :func:`strategy_colours` of these if not given.
    legend:
        Whether the kinds are explained below the axes.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If a number is missing or is none, or there is no such kind.

    See Also
    --------
    comparison : a bar per strategy
    changes : differences, measure by measure
    strategy_colours : the colours

    Examples
    --------
    >>> from neurosleep.plot import dot_whisker
    >>> rows = [
    ...     {"label": "src", "strategy": "src", "kind": "published", "mean": 48.47, "sd": 5.03},
    ...     {"label": "src", "strategy": "src", "kind": "default", "mean": 40.41, "sd": 6.86},
    ... ]
    >>> ax = dot_whisker(rows, bounds=(19.4, 97.9))
    >>> [text.get_text() for text in ax.get_yticklabels()]
    ['src']
    """
    names = list(dict.fromkeys(str(row["label"]) for row in rows))
    ax = axes(ax, 6.4, 1.2 + 0.32 * max(len(names), 1))
    palette = palette_of((str(row["strategy"]) for row in rows), colours)
    _band(ax, bounds)
    kinds: dict[str, None] = {}
    for row in rows:
        kind = str(row["kind"])
        if kind not in _KINDS:
            raise unknown_name("kind of figure", kind, tuple(_KINDS))
        colour = "black" if kind == "published" else palette[str(row["strategy"])]
        place = names.index(str(row["label"])) + _STEP * (list(_KINDS).index(kind) - 1)
        if _dot(ax, row, place, kind, colour):
            kinds[kind] = None
    for kind in kinds:
        # In black, since a colour is that of one strategy.
        marker, filled = _KINDS[kind]
        look: dict[str, Any] = {"color": "black", "markerfacecolor": "black" if filled else "white"}
        ax.plot([], [], linestyle="none", marker=marker, markersize=5.5, label=_LABELS[kind], **look)
    if not rows:
        say(ax, "nothing to compare")
    lines_down(ax, names)
    if label.endswith("(%)"):
        ax.set_xlim(0, 100)
    ax.set_xlabel(label)
    guides(ax, "x")
    if legend and kinds:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=len(kinds), frameon=False, fontsize="small")
    return ax


def _band(ax: Axes, bounds: tuple[float | None, float | None]) -> None:
    lower, upper = (None if bound is None else float(bound) for bound in bounds)
    if lower is not None and upper is not None:
        ax.axvspan(lower, upper, color="#f0f0f0", zorder=0)
    for bound in (lower, upper):
        if bound is not None:
            ax.axvline(bound, color=GREY, linestyle=":", linewidth=1.0, zorder=1)


def _dot(ax: Axes, row: Row, place: float, kind: str, colour: str) -> bool:
    """Draw one mean, or why there is none; whether there is one."""
    mean, sd = field(row, "mean"), field(row, "sd")
    if not math.isfinite(mean):
        if row.get("missing"):
            text = plain(str(row["missing"]))
            ax.text(0.01, place, text, transform=ax.get_yaxis_transform(), color=GREY, fontsize=7.5, va="center")
        return False
    marker, filled = _KINDS[kind]
    values = [float(value) for value in row.get("values") or () if value is not None]
    if values:
        ax.plot(values, [place] * len(values), linestyle="none", marker="|", markersize=7, color=colour, alpha=0.55)
    ax.errorbar(
        mean,
        place,
        xerr=sd if math.isfinite(sd) else None,
        color=colour,
        marker=marker,
        markersize=4.5 if kind == "published" else 5.5,
        markerfacecolor=colour if filled else "white",
        linewidth=1.3,
        zorder=3,
    )
    return True
