"""Correlation between neurons, against Elephant."""

from __future__ import annotations

import math

import neo
import numpy as np
import pytest
import quantities as pq
from elephant.conversion import BinnedSpikeTrain
from elephant.spike_train_correlation import correlation_coefficient

from neurosleep.analysis import _pairwise, mean_pairwise_correlation, pairwise_correlation, spike_trains
from neurosleep.errors import SettingsError

SEEDS = range(200)


# What Elephant warns of is its own use of matrices.
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_correlations_equal_elephants(random_trains):
    for seed in SEEDS:
        times, stop = random_trains(seed)
        width, binary = (0.005, 0.02, 0.1)[seed % 3], seed % 4 > 1
        found = pairwise_correlation(spike_trains(times, stop=stop), width=width, binary=binary)
        neos = [neo.SpikeTrain(train * pq.s, t_stop=stop * pq.s) for train in times]
        binned = BinnedSpikeTrain(neos, bin_size=width * pq.s)
        with np.errstate(invalid="ignore"):  # of a neuron that fires in every bin
            expected = correlation_coefficient(binned, binary=binary, fast=bool(seed % 2))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("batch", [1, 3, 4096])
def test_batches_of_bins_change_nothing(random_trains, batch, monkeypatch):
    times, stop = random_trains(1, n=8)
    trains = spike_trains(times, stop=stop)
    whole = pairwise_correlation(trains)
    monkeypatch.setattr(_pairwise, "_BATCH", batch)
    np.testing.assert_array_equal(pairwise_correlation(trains), whole)


def test_equal_trains_correlate_fully_and_exclusive_ones_negatively():
    a, b = np.arange(50) * 0.02 + 0.001, np.arange(50) * 0.02 + 0.011
    found = pairwise_correlation(spike_trains([a, a, b], stop=1.0), width=0.01)
    np.testing.assert_allclose(found, [[1, 1, -1], [1, 1, -1], [-1, -1, 1]], atol=1e-12)
    assert mean_pairwise_correlation(spike_trains([a, a, b], stop=1.0), width=0.01) == pytest.approx(-1 / 3)


def test_neurons_that_never_change_have_none():
    always = np.arange(100) * 0.01 + 0.005
    some = always[::3]
    found = pairwise_correlation(spike_trains([always, [], some], stop=1.0), width=0.01)
    assert np.isnan(found[:2]).all() and np.isnan(found[:, :2]).all() and found[2, 2] == 1
    assert math.isnan(mean_pairwise_correlation(spike_trains([always, [], some], stop=1.0), width=0.01))


@pytest.mark.parametrize("trains", [[], [[]], [[], []], [[0.5]], [[0.5], []]])
def test_next_to_nothing_is_no_error(trains):
    found = pairwise_correlation(spike_trains(trains, stop=1.0))
    assert found.shape == (len(trains), len(trains))
    assert math.isnan(mean_pairwise_correlation(spike_trains(trains, stop=1.0)))
    assert np.isnan(pairwise_correlation(spike_trains(trains, stop=1.0), width=5.0)).all()


def test_bins_without_a_width_are_refused():
    with pytest.raises(SettingsError, match="width, in seconds, cannot be -1"):
        pairwise_correlation(spike_trains([[0.5]], stop=1.0), width=-1)
