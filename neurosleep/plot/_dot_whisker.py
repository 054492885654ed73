"""What methods reach beside what is published of them: a line each, dots with whiskers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from neurosleep.errors import unknown_name
from neurosleep.plot._style import GREY, Row, axes, field, plain, say, strategy_colours

__all__ = ["dot_whisker"]

# Marker and filling of each kind of figure, in the order in which they stand on a line, from the top.
_KINDS = {"published": ("D", True), "default": ("o", False), "tuned": ("o", True)}
_LABELS = {"published": "published", "default": "ours", "tuned": "ours, searched settings"}
_STEP = 0.22


def dot_whisker(
    rows: Sequence[Row],
    *,
    bounds: tuple[float | None, float | None] = (None, None),
    colours: Mapping[str, str] | None = None,
    legend: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """A line per method: what is published of it and what ours reach, means with one standard deviation, in percent.

    Published means are black diamonds; ours are dots in the colour of the strategy, open with the settings of the
    experiment and filled with those of a search. A band goes from the lower bound to the upper.

    Parameters
    ----------
    rows:
        In the order of the lines from the top, each with ``method`` (what the line is called), ``strategy`` (what its
        colour goes by), ``kind`` (``published``, ``default`` or ``tuned``), ``mean`` and ``sd`` (percent, None where
        not known).
    bounds:
        Accuracy of sequential and of joint training in percent; None where it is not known.
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
    published_and_ours : one figure of ours on each line
    comparison : a bar per strategy
    strategy_colours : the colours

    Examples
    --------
    >>> from neurosleep.plot import dot_whisker
    >>> rows = [
    ...     {"method": "src", "strategy": "src", "kind": "published", "mean": 48.47, "sd": 5.03},
    ...     {"method": "src", "strategy": "src", "kind": "default", "mean": 40.41, "sd": 6.86},
    ... ]
    >>> ax = dot_whisker(rows, bounds=(19.4, 97.9))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['src']
    """
    methods = list(dict.fromkeys(str(row["method"]) for row in rows))
    ax = axes(ax, 6.4, 1.2 + 0.32 * max(len(methods), 1))
    palette = strategy_colours(str(row["strategy"]) for row in rows) | dict(colours or {})
    lower, upper = (None if bound is None else float(bound) for bound in bounds)
    if lower is not None and upper is not None:
        ax.axvspan(lower, upper, color="#f0f0f0", zorder=0)
    for bound in (lower, upper):
        if bound is not None:
            ax.axvline(bound, color=GREY, linestyle=":", linewidth=1.0, zorder=1)
    kinds: dict[str, None] = {}
    for row in rows:
        kind = str(row["kind"])
        if kind not in _KINDS:
            raise unknown_name("kind of figure", kind, tuple(_KINDS))
        mean, sd = field(row, "mean"), field(row, "sd")
        if not math.isfinite(mean):
            continue
        marker, filled = _KINDS[kind]
        colour = "black" if kind == "published" else palette[str(row["strategy"])]
        ax.errorbar(
            mean,
            methods.index(str(row["method"])) + _STEP * (list(_KINDS).index(kind) - 1),
            xerr=sd if math.isfinite(sd) else None,
            color=colour,
            marker=marker,
            markersize=4.5 if kind == "published" else 5.5,
            markerfacecolor=colour if filled else "white",
            linewidth=1.3,
            label=None if kind in kinds else _LABELS[kind],
            zorder=3,
        )
        kinds[kind] = None
    if not rows:
        say(ax, "nothing to compare")
    ax.set_yticks(range(len(methods)), [plain(name) for name in methods])
    ax.set_ylim(max(len(methods), 1) - 0.45, -0.55)
    ax.set_xlim(0, 100)
    ax.set_xlabel("accuracy (%)")
    ax.grid(axis="x", color="#e4e4e4", zorder=0)
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    if legend and kinds:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=len(kinds), frameon=False, fontsize="small")
    return ax
