"""Avalanches: unbroken stretches of activity of a population."""

from __future__ import annotations

import numpy as np

from neurosleep._checks import check_count, check_number
from neurosleep.analysis._trains import (
    Spikes,
    bin_count,
    bin_of,
    spike_trains,
)
from neurosleep.analysis.table import Table

__all__ = ["avalanches"]


def avalanches(
    spikes: Spikes, population: str | None = None, *, width: float | None = None, empty_bins: int = 1
) -> Table:
    """Stretches of bins in which the population fires, each ended by silence.

    Parameters
    ----------
    spikes, population:
        As in :func:`~neurosleep.analysis.spike_trains`.
    width:
        Of a bin, in seconds; what is left over after the last whole one is not used, as in Elephant. If not given, the
        mean interval between consecutive spikes of the whole population (or of distinct moments, where several fire at
        once), which is the usual choice; every spike is then in a bin, and the last may go on beyond the stretch.
    empty_bins:
        How many empty bins in a row end an avalanche.

    Returns
    -------
    A row per avalanche, in order: ``start`` and ``duration`` in seconds, ``bins``, ``size`` (its spikes) and
    ``neurons`` (how many took part). No row without spikes. The avalanche that the end of the stretch cuts off counts
    too.

    See Also
    --------
    up_states, bursts : other stretches of activity

    References
    ----------
    Beggs and Plenz (2003), doi:10.1523/JNEUROSCI.23-35-11167.2003.

    Examples
    --------
    >>> from neurosleep.analysis import avalanches, spike_trains
    >>> trains = spike_trains([[0.011, 0.031], [0.012, 0.071]], stop=0.1)
    >>> print(avalanches(trains, width=0.01))
    start  duration  bins  size  neurons
     0.01      0.01     1     2        2
     0.03      0.01     1     1        1
     0.07      0.01     1     1        1
    """
    trains = spike_trains(spikes, population)
    check_count("empty_bins", empty_bins, 1)
    all_of_it = width is None
    if width is None:
        moments = np.unique(trains.times)
        width = float(np.diff(moments).mean()) if len(moments) > 1 else (trains.duration or 1.0)
    bins = bin_count(trains, check_number("width, in seconds,", width, above=0))
    number, neurons = bin_of(trains, width), trains.neurons
    if all_of_it and len(number):
        bins = max(bins, int(number.max()) + 1)
    inside = number < bins
    number, neurons = number[inside], neurons[inside]
    filled, counts = np.unique(number, return_counts=True)
    starts = np.concatenate([[True], np.diff(filled) > empty_bins])[: len(filled)]
    which = np.cumsum(starts) - 1
    total = int(starts.sum())
    first = filled[starts]
    last = filled[np.concatenate([starts[1:], [True]])[: len(filled)]]
    # Each neuron once per avalanche.
    pairs = np.unique(which[np.searchsorted(filled, number)] * max(trains.n, 1) + neurons)
    return Table(
        {
            "start": trains.start + width * first,
            "duration": width * (last - first + 1),
            "bins": last - first + 1,
            "size": np.bincount(which, counts, total).astype(np.int64),
            "neurons": np.bincount(pairs // max(trains.n, 1), minlength=total),
        }
    )
