"""Strategies side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from neurosleep.plot._style import GREY, PALETTE, Row, axes, field, plain, say

__all__ = ["comparison"]


def comparison(summary: Sequence[Row], *, ax: Axes | None = None) -> Axes:
    """A bar per strategy: accuracy over all classes in %, mean and standard deviation, and a dot per seed.

    Parameters
    ----------
    summary:
        In the order of the bars, each with ``strategy``, ``accuracy_all`` (``mean``, ``sd`` and ``n``; fractions, the
        first two None where undefined) and, where known, ``values`` (the fraction of each seed) and ``diverged``
        (number of runs that did).
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If a number is missing or is none.
    """
    ax = axes(ax, max(4.0, 1.6 + 0.9 * len(summary)), 3.6)
    names = []
    for k, entry in enumerate(summary):
        mean = 100 * field(entry["accuracy_all"], "mean")
        sd = 100 * field(entry["accuracy_all"], "sd")
        if math.isfinite(mean):
            ax.bar(k, mean, width=0.65, color=PALETTE[k % len(PALETTE)], alpha=0.75, zorder=2)
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
    ax.grid(axis="y", color="#e4e4e4", zorder=0)
    ax.set_axisbelow(True)
    return ax
