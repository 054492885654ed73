"""How often neurons fire: over a whole recording, and over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neurosleep._checks import check_number
from neurosleep.analysis._trains import Spikes, bin_count, bin_of, check_population, spike_trains
from neurosleep.analysis.table import Table
from neurosleep.errors import DataError, unknown_name
from neurosleep.spiking import Recording

__all__ = ["firing_rate", "psth"]


def firing_rate(spikes: Spikes, population: str | None = None) -> NDArray[np.float64]:
    """Mean firing rate of each neuron in Hz.

    Parameters
    ----------
    spikes, population:
        As in :func:`~neurosleep.analysis.spike_trains`; of a recording with a named population the counts are enough.

    Returns
    -------
    ``[n]``; 0 for a silent neuron, NaN if no time was recorded.

    See Also
    --------
    psth : over time
    firing_statistics : a row per population

    Examples
    --------
    >>> from neurosleep.analysis import firing_rate, spike_trains
    >>> firing_rate(spike_trains([[0.1, 0.2, 0.3], []], stop=2.0))
    array([1.5, 0. ])
    """
    check_population(spikes, population)
    if isinstance(spikes, Recording) and population is not None:
        if population not in spikes.counts:
            raise unknown_name("population", population, spikes.counts)
        counts, duration = spikes.counts[population], spikes.steps * spikes.dt
    else:
        trains = spike_trains(spikes, population)
        counts, duration = trains.counts, trains.duration
    return counts / duration if duration > 0 else np.full(counts.shape, np.nan)


def psth(
    spikes: Spikes,
    population: str | None = None,
    *,
    width: float = 0.01,
    events: Sequence[float] | NDArray[np.float64] | None = None,
    before: float = 0.0,
    after: float | None = None,
) -> Table:
    """Peri-stimulus time histogram: spikes of a population in bins around events, averaged over the events.

    Without ``events`` it is the histogram over the whole stretch.

    Parameters
    ----------
    spikes, population:
        As in :func:`~neurosleep.analysis.spike_trains`.
    width:
        Of a bin, in seconds.
    events:
        Times in seconds: onsets of stimuli, up states, … Those whose window does not lie wholly inside the stretch are
        left out.
    before, after:
        How far a window reaches before and after its event, in seconds, in whole bins: what is left over at the end is
        not used. ``after`` is needed with ``events``.

    Returns
    -------
    A row per bin: ``time`` (of its start, in seconds, from the event or in the stretch), ``spikes`` (of all neurons,
    summed over the events), ``events`` (how many were averaged) and ``rate_hz`` (per neuron; NaN without neurons or
    events). Possibly no row: when the stretch is shorter than a bin.

    Raises
    ------
    SettingsError
        If a length is not positive.
    DataError
        If an event is no finite time.

    See Also
    --------
    firing_rate : over the whole stretch
    up_states : whose starts may be the events

    Examples
    --------
    >>> from neurosleep.analysis import psth, spike_trains
    >>> print(psth(spike_trains([[0.1, 0.3, 0.35], [0.3]], stop=0.5), width=0.25))
    time  spikes  events  rate_hz
       0       1       1        2
    0.25       3       1        6
    """
    trains = spike_trains(spikes, population)
    check_number("width, in seconds,", width, above=0)
    if events is None:
        bins, used = bin_count(trains, width), 1
        number = bin_of(trains, width)
        counts = np.bincount(number[number < bins], minlength=bins)
        start = trains.start
    else:
        onsets = np.asarray(events, dtype=np.float64)
        if onsets.ndim != 1 or not np.isfinite(onsets).all():
            raise DataError("The events cannot be read.", expected="one dimension of finite times in seconds")
        if before:
            check_number("before, in seconds,", before, above=0)
        length = before + check_number("after, in seconds,", 0.0 if after is None else after, above=0)
        bins = int(np.floor(length / width + 1e-8))
        _ = trains.duration  # says what is missing, if the stretch is not known
        # Rounding of a sum must not cost an event that ends with the stretch.
        slack = 1e-8 * width
        onsets = onsets[(onsets - before >= trains.start - slack) & (onsets - before + length <= trains.stop + slack)]
        used, start = len(onsets), -before
        times, counts = np.sort(trains.times), np.zeros(bins, dtype=np.int64)
        for onset in onsets.tolist():
            first, last = np.searchsorted(times, [onset - before - slack, onset - before + length])
            number = np.floor((times[first:last] - (onset - before)) / width + 1e-8).astype(np.int64)
            counts += np.bincount(number[number < bins], minlength=bins)
    observed = trains.n * used * width
    return Table(
        {
            "time": start + width * np.arange(bins),
            "spikes": counts,
            "events": np.full(bins, used),
            "rate_hz": counts / observed if observed else np.full(bins, np.nan),
        }
    )
