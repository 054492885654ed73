"""Inter-spike intervals (ISI), and how irregular they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurosleep.analysis._trains import Spikes, SpikeTrains, spike_trains

__all__ = ["cv", "cv2", "isi"]


def isi(spikes: Spikes, population: str | None = None) -> list[NDArray[np.float64]]:
    """Inter-spike intervals (ISI) of each neuron, in seconds.

    Parameters
    ----------
    spikes, population:
        As in :func:`~neurosleep.analysis.spike_trains`.

    Returns
    -------
    One array per neuron, of one interval less than it has spikes; empty with one spike or none.

    See Also
    --------
    cv, cv2

    Examples
    --------
    >>> from neurosleep.analysis import isi
    >>> isi([[0.0, 0.125, 0.5], [0.25]])
    [array([0.125, 0.375]), array([], dtype=float64)]
    """
    return [np.diff(times) for times in spike_trains(spikes, population)]


def cv(spikes: Spikes, population: str | None = None) -> NDArray[np.float64]:
    r"""Coefficient of variation of the intervals: 0 for a clock, about 1 for a Poisson process.

    .. math::  CV = \sigma_I / \langle I \rangle

    Parameters
    ----------
    spikes, population:
        As in :func:`~neurosleep.analysis.spike_trains`.

    Returns
    -------
    ``[n]``; NaN with fewer than three spikes, since one interval has no spread. The standard deviation divides by the
    number of intervals, as Elephant's does.

    See Also
    --------
    cv2 : which slow changes of the rate leave alone
    isi : the intervals

    Examples
    --------
    >>> from neurosleep.analysis import cv
    >>> cv([[0.0, 0.125, 0.25, 0.375], [0.0, 0.125, 0.5]])
    array([0. , 0.5])
    """
    trains = spike_trains(spikes, population)
    intervals, neuron = _intervals(trains)
    count = np.bincount(neuron, minlength=trains.n)
    defined = count > 1
    mean = np.bincount(neuron, intervals, trains.n) / np.maximum(count, 1)
    spread = np.sqrt(np.bincount(neuron, (intervals - mean[neuron]) ** 2, trains.n) / np.maximum(count, 1))
    defined &= mean > 0
    return np.where(defined, spread / np.where(defined, mean, 1.0), np.nan)


def cv2(spikes: Spikes, population: str | None = None) -> NDArray[np.float64]:
    r"""Local variation of the intervals, which slow changes of the rate leave alone; about 1 for a Poisson process.

    .. math::  CV_2 = \left\langle \frac{2\,|I_{k+1} - I_k|}{I_{k+1} + I_k} \right\rangle_k

    Parameters
    ----------
    spikes, population:
        As in :func:`~neurosleep.analysis.spike_trains`.

    Returns
    -------
    ``[n]``; NaN with fewer than three spikes. Two intervals that are both 0 say nothing and are left out.

    See Also
    --------
    cv : over all intervals at once
    isi : the intervals

    References
    ----------
    Holt et al. (1996), doi:10.1152/jn.1996.75.5.1806.

    Examples
    --------
    >>> from neurosleep.analysis import cv2
    >>> cv2([[0.0, 0.125, 0.25, 0.375], [0.0, 0.125, 0.5]])
    array([0., 1.])
    """
    trains = spike_trains(spikes, population)
    intervals, neuron = _intervals(trains)
    early, late = intervals[:-1], intervals[1:]
    both = (neuron[1:] == neuron[:-1]) & (early + late > 0)
    ratio = 2 * np.abs(late - early)[both] / (late + early)[both]
    owner = neuron[1:][both]
    count = np.bincount(owner, minlength=trains.n)
    return np.where(count > 0, np.bincount(owner, ratio, trains.n) / np.maximum(count, 1), np.nan)


def _intervals(trains: SpikeTrains) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """All intervals, neuron after neuron, and the neuron of each."""
    gaps, neurons = np.diff(trains.times), trains.neurons
    same = neurons[1:] == neurons[:-1]
    return gaps[same], neurons[1:][same]
