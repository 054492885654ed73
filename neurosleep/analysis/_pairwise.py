"""Correlation of spike counts between the neurons of a population."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from neurosleep._checks import check_number
from neurosleep.analysis._trains import Spikes, bin_count, bin_of, spike_trains

__all__ = ["mean_pairwise_correlation", "pairwise_correlation"]

# Bins that are held as a dense array at once.
_BATCH = 4096


def pairwise_correlation(
    spikes: Spikes, population: str | None = None, *, width: float = 0.01, binary: bool = False
) -> NDArray[np.float64]:
    r"""Pearson correlation between the binned spike counts of every two neurons.

    Parameters
    ----------
    spikes, population:
        As in :func:`~neurosleep.analysis.spike_trains`.
    width:
        Of a bin, in seconds; what is left over after the last whole one is not used.
    binary:
        Whether several spikes of a neuron in one bin count as one.

    Returns
    -------
    ``[n, n]``, symmetric. Rows and columns of neurons whose count is the same in all bins, silent ones included, are
    NaN.

    See Also
    --------
    mean_pairwise_correlation : one number

    Notes
    -----
    With counts c over L bins the covariance is :math:`\sum c_i c_j - N_i N_j / L`, of integers. Only bins in
    which anything fires are ever written out, some at a time, so that memory grows with :math:`n^2` and not with time.

    Examples
    --------
    >>> from neurosleep.analysis import pairwise_correlation, spike_trains
    >>> pairwise_correlation(spike_trains([[0.1, 0.5], [0.3, 0.7]], stop=0.8), width=0.2)
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    trains = spike_trains(spikes, population)
    bins = bin_count(trains, check_number("width, in seconds,", width, above=0))
    number, neurons = bin_of(trains, width), trains.neurons
    inside = number < bins
    # By bin, then by neuron; equal ones stand together.
    keys, counts = np.unique(number[inside] * max(trains.n, 1) + neurons[inside], return_counts=True)
    counts = np.ones_like(counts) if binary else counts
    bin_, neuron = keys // max(trains.n, 1), keys % max(trains.n, 1)
    _, row = np.unique(bin_, return_inverse=True)
    together = np.zeros((trains.n, trains.n))
    rows = int(row[-1]) + 1 if len(row) else 0
    for low in range(0, rows, _BATCH):
        first, last = np.searchsorted(row, [low, low + _BATCH])
        dense = np.zeros((min(_BATCH, rows - low), trains.n))
        dense[row[first:last] - low, neuron[first:last]] = counts[first:last]
        together += dense.T @ dense
    total = np.bincount(neuron, counts, trains.n)
    covariance = together - np.outer(total, total) / max(bins, 1)
    # Exact integers: a variance of 0 is told from a small one.
    varies = bins * np.diagonal(together) - total**2 > 0
    spread = np.where(varies, np.sqrt(np.where(varies, np.diagonal(covariance), 1.0)), np.nan)
    correlation: NDArray[np.float64] = covariance / np.outer(spread, spread)
    np.fill_diagonal(correlation, np.where(varies, 1.0, np.nan))
    return correlation


def mean_pairwise_correlation(
    spikes: Spikes, population: str | None = None, *, width: float = 0.01, binary: bool = False
) -> float:
    """Mean of :func:`pairwise_correlation` over pairs of different neurons; NaN if no pair has one.

    See Also
    --------
    pairwise_correlation : of each pair
    chi_synchrony, spike_contrast : other measures of synchrony

    Examples
    --------
    >>> from neurosleep.analysis import mean_pairwise_correlation, spike_trains
    >>> trains = spike_trains([[0.1, 0.5], [0.1, 0.5], [0.1, 0.9]], stop=1.0)
    >>> round(mean_pairwise_correlation(trains, width=0.2), 3)
    0.444
    """
    correlations = pairwise_correlation(spikes, population, width=width, binary=binary)
    upper = correlations[np.triu_indices(len(correlations), 1)]
    upper = upper[~np.isnan(upper)]
    return float(upper.mean()) if len(upper) else math.nan
