"""Estimates of energy, which differ by orders of magnitude between conventions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from neurosleep.errors import SettingsError
from neurosleep.plot._style import GREY, PALETTE, Row, axes, field, lines_down, say

__all__ = ["energy"]


def energy(rows: Sequence[Row], *, label: str = "energy", ax: Axes | None = None) -> Axes:
    """A bar from the lowest to the highest estimate of each row, in joules on a logarithmic axis.

    Parameters
    ----------
    rows:
        From top to bottom, with ``label``, ``low`` and ``high`` in joules; one of them alone is a point; with neither
        (None), the row says that it was not estimated.
    label:
        What is estimated, for the axis, such as ``"energy per image"``.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If an energy is negative or infinite, or the low one above the high one.

    See Also
    --------
    neurosleep.hardware.energy_of : the numbers

    Examples
    --------
    >>> from neurosleep.plot import energy
    >>> rows = [{"label": "loihi1", "low": 2e-6, "high": 9e-6}, {"label": "odin", "low": None, "high": None}]
    >>> ax = energy(rows, label="energy per image")
    """
    ax = axes(ax, 6.0, 1.2 + 0.34 * max(len(rows), 2))
    names, drawn = [], []
    for k, row in enumerate(rows):
        names.append(str(row.get("label", "")))
        ends = [value for value in (field(row, "low"), field(row, "high")) if not math.isnan(value)]
        if any(value < 0 or math.isinf(value) for value in ends) or ends != sorted(ends):
            raise SettingsError(f"The energies of {names[-1]!r} are {ends}.", expected="0 <= low <= high, in joules")
        # Nothing is 0 on a logarithmic axis.
        seen = [value for value in ends if value > 0]
        if not seen:
            text = "0 J" if ends else "not estimated"
            ax.text(0.02, k, text, transform=ax.get_yaxis_transform(), va="center", color=GREY, fontsize=9)
            continue
        drawn += seen
        ax.plot([seen[0], seen[-1]], [k, k], color=PALETTE[0], linewidth=7, solid_capstyle="butt", alpha=0.7)
        ax.plot(seen, [k] * len(seen), linestyle="none", marker="|", markersize=11, color="black")
        told = _told(seen[0]) if seen[0] == seen[-1] else " to ".join(map(_told, (seen[0], seen[-1])))
        ax.annotate(told, (seen[-1], k), (7, 0), textcoords="offset points", va="center", fontsize=9, color="#333333")
    if not rows:
        say(ax, "no energy to show")
    if drawn:
        ax.set_xscale("log")
        # Room for the numbers at the right.
        ax.set_xlim(min(drawn) / 3, max(drawn) * (max(drawn) / min(drawn)) ** 0.35 * 8)
        ax.xaxis.set_major_locator(LogLocator(numticks=5))
        ax.xaxis.set_major_formatter(EngFormatter(unit="J", places=0))
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_xticks([])
    lines_down(ax, names)
    ax.set_xlabel(f"{label} (J)")
    return ax


def _told(joules: float) -> str:
    """Three digits, so that no more is said than is known."""
    return str(EngFormatter(unit="J").format_data(float(f"{joules:.3g}")))
