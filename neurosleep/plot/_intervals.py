"""Inter-spike intervals (ISI)."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from neurosleep._checks import check_number
from neurosleep.analysis import isi, spike_trains
from neurosleep.functional import SpikeEvents
from neurosleep.plot._spikes import Spikes
from neurosleep.plot._spikes import populations as of_populations
from neurosleep.plot._style import PALETTE, axes, plain, say
from neurosleep.plot._tables import legend_above

__all__ = ["interval_counts", "intervals"]


def intervals(spikes: Spikes, *, dt: float | None = None, bins: int = 40, ax: Axes | None = None) -> Axes:
    """Inter-spike interval (ISI) distribution of single neurons, in seconds on a logarithmic axis.

    Parameters
    ----------
    spikes:
        The events of one population, or of several by name, a recording or a spike monitor. A population that has no
        interval is named all the same.
    dt:
        Length of a step in seconds; if not given, that of the recording, or 0.001.
    bins:
        Number of bins, equally wide on the logarithmic axis.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If ``dt`` or ``bins`` is not positive.
    DataError
        If a recording holds no single spikes.

    See Also
    --------
    interval_counts : the numbers
    neurosleep.analysis.cv, neurosleep.analysis.cv2 : how regular they are

    Examples
    --------
    >>> import torch
    >>> from neurosleep import SpikeEvents
    >>> from neurosleep.plot import intervals
    >>> ax = intervals({"output": SpikeEvents.from_dense(torch.rand(200, 3) < 0.1)}, dt=0.001)
    """
    populations, dt = of_populations(spikes, dt)
    rows = interval_counts(populations, dt=dt, bins=bins)
    ax = axes(ax, 5.6, 3.2)
    ax.set_xlabel("inter-spike interval (s)")
    ax.set_ylabel("fraction of ISIs (%)")
    if not rows:
        say(ax, "no neuron fired twice" if any(part.count for part in populations.values()) else "no spike")
        return ax
    for k, name in enumerate(populations):
        of_population = [row for row in rows if row["population"] == name]
        counts = np.array([row["intervals"] for row in of_population], dtype=float)
        colour = PALETTE[k % len(PALETTE)]
        if not of_population:
            ax.plot([], [], color=colour, label=plain(f"{name}: no interval"))
            continue
        edges = [row["low_s"] for row in of_population] + [of_population[-1]["high_s"]]
        share = 100 * counts / counts.sum()
        label = plain(f"{name} ({int(counts.sum()):,})")
        ax.stairs(share, edges, color=colour, linewidth=1.5, label=label)
        ax.stairs(share, edges, color=colour, fill=True, alpha=0.15)
    ax.set_xscale("log")
    ax.set_ylim(bottom=0)
    legend_above(ax)
    return ax


def interval_counts(spikes: Spikes, *, dt: float | None = None, bins: int = 40) -> list[dict[str, Any]]:
    """The numbers that :func:`intervals` draws.

    Returns
    -------
    A row per population and bin: ``population``, ``low_s``, ``high_s`` (edges in seconds, the same for all), and
    ``intervals`` (their number). A population whose neurons never fire twice has none.

    See Also
    --------
    intervals : a picture of them
    neurosleep.analysis.isi : the intervals themselves

    Examples
    --------
    >>> import torch
    >>> from neurosleep import SpikeEvents
    >>> from neurosleep.plot import interval_counts
    >>> spikes = SpikeEvents.from_dense(torch.ones(5, 1, dtype=torch.bool))
    >>> interval_counts({"output": spikes}, dt=0.001, bins=1)[0]["intervals"]
    4
    """
    check_number("The number of bins", bins, above=0)
    populations, dt = of_populations(spikes, dt)
    steps_between = {name: _steps_between(events) for name, events in populations.items()}
    longest = max((int(steps.max()) for steps in steps_between.values() if len(steps)), default=0)
    if not longest:
        return []
    # Edges between whole steps, so that no bin is empty merely because no number of steps falls into it.
    edges = np.unique(np.round(np.geomspace(1, longest + 1, int(bins) + 1))) - 0.5
    return [
        {"population": name, "low_s": float(low), "high_s": float(high), "intervals": int(count)}
        for name, steps in steps_between.items()
        if len(steps)
        for low, high, count in zip(edges[:-1] * dt, edges[1:] * dt, np.histogram(steps, edges)[0], strict=True)
    ]


def _steps_between(events: SpikeEvents) -> NDArray[np.int64]:
    """Steps from each spike of a neuron to its next."""
    # Integers, as long as a step lasts one second.
    return np.concatenate([np.zeros(0), *isi(spike_trains(events, dt=1.0))]).astype(np.int64)
