"""Histograms of weights."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from neurosleep.errors import unknown_name
from neurosleep.plot._style import PALETTE, axes, say
from neurosleep.plot._tables import BEFORE_AFTER, Data, chosen, legend_above, needs, numbers, text, zero_line

__all__ = ["weight_histogram"]

_PARTS = {"all": "{}", "grown": "grown {}", "shrunk": "shrunk {}"}
_TITLES = {"all": "all synapses", "grown": "synapses that grew", "shrunk": "synapses that shrank", "change": "change"}


@needs()
def weight_histogram(data: Data, *, layer: str, part: str = "all", ax: Axes | None = None) -> Axes:
    """Histogram of the weights into one layer before and after sleep, or of their change; counts on a logarithmic axis.

    Parameters
    ----------
    data:
        The table of :func:`neurosleep.analysis.weight_histogram`.
    layer:
        Which layer.
    part:
        ``all``, ``grown`` or ``shrunk`` synapses, or ``change`` (after - before, of all).
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If the layer or the part does not exist, or a column is missing.

    See Also
    --------
    neurosleep.analysis.weight_histogram : the numbers

    Examples
    --------
    >>> from neurosleep import MLP, analysis, plot
    >>> before, after = MLP([16, 8, 2]), MLP([16, 8, 2])  # a network at two moments
    >>> ax = plot.weight_histogram(analysis.weight_histogram(before, after), layer="hidden1", part="change")
    """
    if part not in _TITLES:
        raise unknown_name("part", part, _TITLES)
    rows = chosen(data, "layer", layer)
    ax = axes(ax, 5.6, 3.2)
    if part == "change":
        drawn = [("change", "after - before", PALETTE[2])]
    else:
        drawn = [(_PARTS[part].format(m), f"{m} sleep", colour) for m, colour in BEFORE_AFTER.items()]
    largest, reached = 0.0, []
    for quantity, label, colour in drawn:
        of_quantity = [row for row in rows if text(row, "quantity") == quantity]
        counts, low, high = (np.array(numbers(of_quantity, column)) for column in ("count", "low", "high"))
        if not counts.sum():
            continue
        edges = np.append(low, high[-1])
        ax.stairs(counts, edges, fill=True, alpha=0.25, color=colour, baseline=0.5)
        ax.stairs(counts, edges, color=colour, linewidth=1.5, label=label, baseline=0.5)
        largest = max(largest, float(counts.max()))
        reached += [float(low[counts > 0].min()), float(high[counts > 0].max())]
    ax.set_title(f"{layer}, {_TITLES[part]}", fontsize="medium")
    ax.set_xlabel("change of weight with sleep" if part == "change" else "weight")
    ax.set_ylabel("synapses")
    if not reached:
        say(ax, "no synapse of this kind")
        return ax
    ax.set_yscale("log")
    ax.set_ylim(0.5, 3 * largest)
    zero_line(ax, reached, vertical=True)
    # Small numbers of many digits touch each other where there are more.
    ax.xaxis.set_major_locator(MaxNLocator(5))
    if len(drawn) > 1:
        legend_above(ax, titled=True)
    return ax
