"""Avalanches, against Elephant's complexity with a spread."""

from __future__ import annotations

import neo
import numpy as np
import pytest
import quantities as pq
from elephant.statistics import Complexity

from neurosleep.analysis import avalanches, spike_trains
from neurosleep.errors import SettingsError

SEEDS = range(200)


@pytest.mark.filterwarnings("ignore:No sampling rate specified")
def test_sizes_and_durations_equal_elephants(random_trains):
    for seed in SEEDS:
        times, stop = random_trains(seed)
        width, spread = (0.002, 0.005, 0.01)[seed % 3], 1 + seed % 2
        found = avalanches(spike_trains(times, stop=stop), width=width, empty_bins=spread)
        neos = [neo.SpikeTrain(train * pq.s, t_stop=stop * pq.s) for train in times]
        epoch = Complexity(neos, bin_size=width * pq.s, binary=False, spread=spread).epoch
        np.testing.assert_array_equal(found["size"], epoch.array_annotations["complexity"])
        np.testing.assert_allclose(found["start"], epoch.times.rescale("s").magnitude, rtol=0, atol=1e-9)
        np.testing.assert_allclose(found["duration"], epoch.durations.rescale("s").magnitude, rtol=0, atol=1e-9)


def test_a_known_case():
    trains = spike_trains([[0.0, 0.01, 0.05], [0.01, 0.09]], stop=0.1)
    found = avalanches(trains, width=0.01)
    assert found["size"].tolist() == [3, 1, 1]
    assert found["bins"].tolist() == [2, 1, 1]
    assert found["neurons"].tolist() == [2, 1, 1]
    np.testing.assert_allclose(found["start"], [0, 0.05, 0.09])
    joined = avalanches(trains, width=0.01, empty_bins=4)
    assert joined["size"].tolist() == [5] and joined["neurons"].tolist() == [2] and joined["bins"].tolist() == [10]


def test_every_spike_belongs_to_one_avalanche(random_trains):
    for seed in range(20):
        times, stop = random_trains(seed)
        trains = spike_trains(times, stop=stop)
        found = avalanches(trains, width=0.004, empty_bins=1 + seed % 3)
        inside = sum(int((train < 0.004 * (stop // 0.004)).sum()) for train in times)
        assert inside <= found["size"].sum() <= len(trains.times) and (found["size"] >= found["neurons"]).all()
        # Those behind the last whole bin too, where the bins are not given.
        assert avalanches(trains)["size"].sum() == len(trains.times)
        assert (np.diff(found["start"]) >= found["duration"][:-1]).all()


def test_the_width_that_is_not_given_is_the_mean_interval_of_the_population():
    trains = spike_trains([[0.0, 0.02, 0.04], [0.02, 0.1]], stop=0.2)
    given = avalanches(trains, width=0.1 / 3)
    assert avalanches(trains)["duration"].tolist() == given["duration"].tolist()


@pytest.mark.parametrize(("trains", "rows"), [([], 0), ([[]], 0), ([[], []], 0), ([[0.5]], 1), ([[0.5], [0.5]], 1)])
def test_next_to_nothing_is_no_error(trains, rows):
    given = spike_trains(trains, stop=1.0)
    assert len(avalanches(given)) == len(avalanches(given, width=0.01)) == rows
    assert len(avalanches(given, width=7.0)) == 0
    assert len(avalanches(spike_trains([[]], stop=0.0))) == 0


def test_nonsense_is_refused():
    trains = spike_trains([[0.5]], stop=1.0)
    with pytest.raises(SettingsError, match="empty_bins cannot be 0"):
        avalanches(trains, empty_bins=0)
    with pytest.raises(SettingsError, match="width, in seconds, cannot be -1"):
        avalanches(trains, width=-1)
