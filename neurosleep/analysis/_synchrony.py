"""How synchronous a population fires."""

from __future__ import annotations

import math

import numpy as np

from neurosleep._checks import check_number
from neurosleep.analysis._trains import Spikes, SpikeTrains, bin_count, bin_of, spike_trains
from neurosleep.errors import SettingsError

__all__ = ["chi_synchrony", "spike_contrast"]


def chi_synchrony(spikes: Spikes, population: str | None = None, *, width: float = 0.01) -> float:
    r"""Golomb's measure: 1 if all neurons do the same, about :math:`1/\sqrt n` if they are independent.

    .. math::  \chi = \sqrt{ \mathrm{var}_t(\langle c_i(t) \rangle_i) \,/\, \langle \mathrm{var}_t(c_i(t)) \rangle_i }

    with the spike counts c of neuron i in bin t.

    Parameters
    ----------
    spikes, population:
        As in :func:`~neurosleep.analysis.spike_trains`.
    width:
        Of a bin, in seconds; what is left over after the last whole one is not used.

    Returns
    -------
    From 0 to 1; NaN without neurons, and where no neuron's count ever changes.

    See Also
    --------
    spike_contrast, mean_pairwise_correlation : other measures of synchrony

    References
    ----------
    Golomb (2007), Scholarpedia 2(1):1347, doi:10.4249/scholarpedia.1347 (of potentials; here of counts).

    Examples
    --------
    >>> from neurosleep.analysis import chi_synchrony, spike_trains
    >>> chi_synchrony(spike_trains([[0.1, 0.5], [0.1, 0.5]], stop=1.0), width=0.1)
    1.0
    """
    trains = spike_trains(spikes, population)
    bins = bin_count(trains, check_number("width, in seconds,", width, above=0))
    if not bins or not trains.n:
        return math.nan
    number, neurons = bin_of(trains, width), trains.neurons
    inside = number < bins
    whole = np.bincount(number[inside], minlength=bins)
    _, counts = np.unique(neurons[inside] * bins + number[inside], return_counts=True)
    total = np.bincount(neurons[inside], minlength=trains.n).astype(np.float64)
    # Integers until the last division: n L^2 times the sum of variances, and n^2 L^2 times that of the mean.
    single = float(bins * (counts.astype(np.float64) ** 2).sum() - (total**2).sum())
    joint = float(bins * (whole.astype(np.float64) ** 2).sum() - float(total.sum()) ** 2)
    return math.sqrt(max(joint, 0.0) / (trains.n * single)) if single > 0 else math.nan


def spike_contrast(
    spikes: Spikes, population: str | None = None, *, min_width: float = 0.01, shrink: float = 0.9
) -> float:
    """Spike-contrast: synchrony of all trains on the time scale on which it is highest, so that no bin is chosen.

    Parameters
    ----------
    spikes, population:
        As in :func:`~neurosleep.analysis.spike_trains`.
    min_width:
        The shortest time scale, in seconds. The longest is half the stretch; the time it takes grows with the number
        of scales between them.
    shrink:
        Each scale is this part of the one before.

    Returns
    -------
    From 0 to 1; NaN with fewer than two trains, and where no train has two spikes or no scale fits.

    See Also
    --------
    chi_synchrony, mean_pairwise_correlation : measures with a bin of one width

    References
    ----------
    Ciba et al. (2018), doi:10.1016/j.jneumeth.2017.09.008.

    Examples
    --------
    >>> from neurosleep.analysis import spike_contrast, spike_trains
    >>> round(spike_contrast(spike_trains([[0.2, 0.6], [0.2, 0.6]], stop=1.0)), 3)
    1.0
    """
    trains = spike_trains(spikes, population)
    check_number("min_width, in seconds,", min_width, above=0)
    if not 0 < shrink < 1:
        raise SettingsError(f"shrink is {shrink!r}.", expected="a number between 0 and 1")
    duration, neurons = trains.duration, trains.neurons
    gaps = np.diff(trains.times)[neurons[1:] == neurons[:-1]]
    if trains.n < 2 or not len(gaps):
        return math.nan
    shortest = float(gaps.min())
    width, last, best = duration / 2, max(shortest / 2, min_width), -math.inf
    while width >= last:
        best = max(best, _contrast(trains, neurons, width, shortest))
        width *= shrink
    return best if best > -math.inf else math.nan


def _contrast(trains: SpikeTrains, neurons: np.ndarray, width: float, margin: float) -> float:
    """Contrast times share of active trains, in bins of ``width`` that overlap by half."""
    start, stop, step = trains.start - margin, trains.stop + margin, width / 2
    edges = np.arange(start, stop + step, step)
    halves = len(edges) - 1
    # Edges lie at even distances; where rounding puts a spike beside its half, the edges themselves decide.
    number = np.clip(((trains.times - start) / step).astype(np.int64), 0, halves - 1)
    number -= trains.times < edges[number]
    # The last edge belongs to the last half, as in a histogram.
    number += (trains.times >= edges[number + 1]) & (number < halves - 1)
    spikes = np.bincount(number, minlength=halves)
    keys = neurons * halves + number
    keys = keys[np.concatenate([[True], np.diff(keys) != 0])]
    half = keys % halves
    active = np.bincount(half, minlength=halves)
    # Trains that fire in both halves of a bin count once.
    twice = np.bincount(half[:-1][(np.diff(keys) == 1) & (half[1:] > 0)], minlength=halves)
    in_bin = spikes[:-1] + spikes[1:]
    trains_in_bin = active[:-1] + active[1:] - twice[:-1]
    share = (float((trains_in_bin * in_bin).sum()) / float(in_bin.sum()) - 1) / (trains.n - 1)
    return float(np.abs(np.diff(in_bin)).sum()) / (2 * len(trains.times)) * share
