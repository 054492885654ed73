"""Fano factor: how much spike counts vary, compared with a Poisson process."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from neurosleep._checks import check_number
from neurosleep.analysis._trains import Spikes, bin_count, bin_of, spike_trains

__all__ = ["fano_factor", "fano_factor_of_trials"]


def fano_factor(spikes: Spikes, population: str | None = None, *, width: float = 0.1) -> NDArray[np.float64]:
    r"""Fano factor of each neuron's spike counts in consecutive windows: about 1 for a Poisson process.

    .. math::  F = \mathrm{var}(c) / \langle c \rangle

    Parameters
    ----------
    spikes, population:
        As in :func:`~neurosleep.analysis.spike_trains`.
    width:
        Of a window, in seconds; what is left over after the last whole one is not used.

    Returns
    -------
    ``[n]``; NaN for a neuron that is silent in all windows, and with fewer than two windows. The variance divides by
    the number of windows, as Elephant's does.

    See Also
    --------
    fano_factor_of_trials : over trials instead of windows

    Examples
    --------
    >>> from neurosleep.analysis import fano_factor, spike_trains
    >>> trains = spike_trains([[0.125, 0.375, 0.625, 0.875], [0.125, 0.135, 0.145, 0.155]], stop=1.0)
    >>> fano_factor(trains, width=0.25)
    array([0., 3.])
    """
    trains = spike_trains(spikes, population)
    windows = bin_count(trains, check_number("width, in seconds,", width, above=0))
    number, neurons = bin_of(trains, width), trains.neurons
    inside = number < windows
    # One entry per neuron and window in which it fires at all; the others count 0.
    counts = np.unique(neurons[inside] * max(windows, 1) + number[inside], return_counts=True)
    owner = counts[0] // max(windows, 1)
    total = np.bincount(owner, counts[1], trains.n)
    square = np.bincount(owner, counts[1].astype(np.float64) ** 2, trains.n)
    defined = (total > 0) & (windows > 1)
    mean = np.where(defined, total / max(windows, 1), 1.0)
    # Sums of integers are exact, and so is this difference up to its last division.
    variance = (windows * square - total**2) / max(windows, 1) ** 2
    return np.where(defined, variance / mean, np.nan)


def fano_factor_of_trials(trials: Spikes, population: str | None = None) -> float:
    """Fano factor of spike counts over trials of one neuron.

    Parameters
    ----------
    trials, population:
        As in :func:`~neurosleep.analysis.spike_trains`: each train is one trial, all of one length.

    Returns
    -------
    NaN without a trial, or where all are silent.

    See Also
    --------
    fano_factor : over windows of one recording

    Examples
    --------
    >>> from neurosleep.analysis import fano_factor_of_trials, spike_trains
    >>> fano_factor_of_trials(spike_trains([[0.1], [0.1, 0.2, 0.3], [0.1, 0.2]], stop=1.0))
    0.3333333333333333
    """
    counts = spike_trains(trials, population).counts
    return float(counts.var() / counts.mean()) if counts.any() else math.nan
