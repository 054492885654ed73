"""Bursts of single neurons, and up states of a population."""

from __future__ import annotations

import math

import numpy as np

from neurosleep._checks import check_count, check_number
from neurosleep.analysis._trains import (
    Spikes,
    bin_count,
    bin_of,
    spike_trains,
)
from neurosleep.analysis.table import Table

__all__ = ["bursts", "up_states"]


def bursts(spikes: Spikes, population: str | None = None, *, max_interval: float = 0.01, min_spikes: int = 3) -> Table:
    """Runs of spikes of one neuron, none further from the next than a limit.

    Parameters
    ----------
    spikes, population:
        As in :func:`~neurosleep.analysis.spike_trains`.
    max_interval:
        Longest interval within a burst, in seconds.
    min_spikes:
        Fewest spikes of a burst, at least two.

    Returns
    -------
    A row per burst, by neuron, then by time: ``neuron``, ``start`` and ``stop`` (times of its first and last spike, in
    seconds), ``spikes`` and ``rate_hz`` (intervals per second; NaN if all its spikes have one time). Possibly no row.

    See Also
    --------
    isi : the intervals
    up_states, avalanches : stretches of activity of the population

    Examples
    --------
    >>> from neurosleep.analysis import bursts
    >>> print(bursts([[0.010, 0.014, 0.018, 0.200]]))
    neuron  start   stop  spikes  rate_hz
         0   0.01  0.018       3      250
    """
    trains = spike_trains(spikes, population)
    check_number("max_interval, in seconds,", max_interval, above=0)
    check_count("min_spikes", min_spikes, 2)
    neurons, times = trains.neurons, trains.times
    # Times are products of steps: rounding must not break a burst whose intervals are all at the limit.
    near = (np.diff(times) <= max_interval * (1 + 1e-8)) & (neurons[1:] == neurons[:-1])
    starts = np.concatenate([[True], ~near])[: len(times)]
    first = np.flatnonzero(starts)
    last = np.append(first[1:], len(times))[: len(first)] - 1
    long_enough = last - first + 1 >= min_spikes
    first, last = first[long_enough], last[long_enough]
    length = times[last] - times[first]
    rate = np.where(length > 0, (last - first) / np.where(length > 0, length, 1.0), math.nan)
    return Table(
        {
            "neuron": neurons[first],
            "start": times[first],
            "stop": times[last],
            "spikes": last - first + 1,
            "rate_hz": rate,
        }
    )


def up_states(
    spikes: Spikes,
    population: str | None = None,
    *,
    width: float = 0.01,
    threshold_hz: float | None = None,
    min_duration: float = 0.02,
    max_gap: float = 0.0,
) -> Table:
    """Stretches in which the population fires above a threshold, as in the up states of slow-wave sleep.

    Parameters
    ----------
    spikes, population:
        As in :func:`~neurosleep.analysis.spike_trains`.
    width:
        Of the bins in which the rate is measured, in seconds.
    threshold_hz:
        Rate per neuron that a bin must exceed; if not given, the mean rate over all bins.
    min_duration, max_gap:
        Shorter up states are left out, after those that are no further apart than ``max_gap`` have been joined; both in
        seconds.

    Returns
    -------
    A row per up state: ``start``, ``stop`` and ``duration`` in seconds, ``spikes``, ``rate_hz`` (per neuron) and
    ``active`` (share of the neurons that fire in it). No row where all bins fire alike, silence included.

    See Also
    --------
    bursts, avalanches : other stretches of activity
    psth : around their starts

    Examples
    --------
    >>> from neurosleep.analysis import spike_trains, up_states
    >>> trains = spike_trains([[0.111, 0.121, 0.131], [0.112, 0.122, 0.132]], stop=0.5)
    >>> up_states(trains)["spikes"]
    array([6])
    """
    trains = spike_trains(spikes, population)
    bins = bin_count(trains, check_number("width, in seconds,", width, above=0))
    for name, value in (("threshold_hz", threshold_hz), ("min_duration", min_duration), ("max_gap", max_gap)):
        if value is not None:
            check_number(name, value, 0)
    number, neurons = bin_of(trains, width), trains.neurons
    inside = number < bins
    number, neurons = number[inside], neurons[inside]
    counts = np.bincount(number, minlength=bins)
    # In spikes per bin, so that a bin at the threshold is not lost or won by rounding.
    limit = counts.mean() if threshold_hz is None and bins else (threshold_hz or 0.0) * width * trains.n * (1 + 1e-8)
    edges = np.diff((counts > limit).astype(np.int8), prepend=0, append=0)
    first, last = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    apart = (first[1:] - last[:-1]) * width > max_gap * (1 + 1e-8)
    first = first[np.concatenate([[True], apart])[: len(first)]]
    last = last[np.concatenate([apart, [True]])[: len(last)]]
    long_enough = (last - first) * width >= min_duration * (1 - 1e-8)
    first, last = first[long_enough], last[long_enough]
    total = np.concatenate([[0], np.cumsum(counts)])
    spikes_in = total[last] - total[first]
    # Each neuron once per up state.
    place = np.searchsorted(first, number, side="right") - 1
    within = place >= 0
    within[within] = number[within] < last[place[within]]
    pairs = np.unique(place[within] * max(trains.n, 1) + neurons[within])
    active = np.bincount(pairs // max(trains.n, 1), minlength=len(first))
    return Table(
        {
            "start": trains.start + width * first,
            "stop": trains.start + width * last,
            "duration": width * (last - first),
            "spikes": spikes_in,
            "rate_hz": spikes_in / (width * (last - first) * max(trains.n, 1)),
            "active": active / max(trains.n, 1),
        }
    )
