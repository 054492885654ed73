"""How far the weights have moved since a sleep started."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from neurosleep.plot._spikes import change_rows
from neurosleep.plot._style import MARKERS, PALETTE, Row, axes, plain, say
from neurosleep.plot._tables import distinct, legend_above, numbers, text
from neurosleep.spiking import Recording, WeightMonitor

__all__ = ["weight_change"]


def weight_change(rows: Sequence[Row] | Recording | WeightMonitor, *, ax: Axes | None = None) -> Axes:
    """Root mean square of the change of the weights of each projection over the sleep time in seconds.

    Parameters
    ----------
    rows:
        With the columns ``projection``, ``time_s`` and ``change`` (in units of the weight); or a recording or weight
        monitor with the statistics of the weights.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If a column is missing or does not hold a number.

    See Also
    --------
    weight_histogram, weight_trajectory : other views of the weights

    Examples
    --------
    >>> from neurosleep.plot import weight_change
    >>> rows = [{"projection": "input_hidden1", "time_s": time, "change": 0.01 * time} for time in (0.0, 1.0, 2.0)]
    >>> ax = weight_change(rows)
    """
    rows = change_rows(rows)
    ax = axes(ax, 5.6, 3.2)
    for k, name in enumerate(distinct(rows, "projection")):
        of_projection = [row for row in rows if text(row, "projection") == name]
        ax.plot(
            numbers(of_projection, "time_s"),
            numbers(of_projection, "change"),
            color=PALETTE[k % len(PALETTE)],
            marker=MARKERS[k % len(MARKERS)] if len(of_projection) <= 30 else "none",
            markersize=4,
            linewidth=1.5,
            label=plain(name),
        )
    if not rows:
        say(ax, "no weight was recorded")
    ax.set_ylim(bottom=0)
    ax.set_xlabel("sleep time (s)")
    ax.set_ylabel("change of the weights (rms)")
    if rows:
        legend_above(ax)
    return ax
