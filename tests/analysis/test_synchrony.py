"""Synchrony, against Elephant's spike-contrast and its binned trains."""

from __future__ import annotations

import math

import neo
import numpy as np
import pytest
import quantities as pq
from elephant.conversion import BinnedSpikeTrain
from elephant.spike_train_synchrony import spike_contrast as elephants

from neurosleep.analysis import chi_synchrony, spike_contrast, spike_trains
from neurosleep.errors import SettingsError

SEEDS = range(200)


def as_neo(times, stop):
    return [neo.SpikeTrain(train * pq.s, t_stop=stop * pq.s) for train in times]


def test_spike_contrast_equals_elephants(random_trains):
    for seed in SEEDS:
        times, stop = random_trains(seed, n=4)
        if seed % 3 == 0:  # synchronous trains too
            times = [np.sort(np.concatenate([train, times[0]])) for train in times]
            times = [np.unique(np.round(train, 5)) for train in times]
        found = spike_contrast(spike_trains(times, stop=stop), min_width=0.02)
        expected = elephants(as_neo(times, stop), min_bin=20 * pq.ms)
        assert found == pytest.approx(expected, abs=1e-9)


def test_chi_is_the_quotient_of_the_variances_of_elephants_bins(random_trains):
    for seed in SEEDS:
        times, stop = random_trains(seed)
        counts = BinnedSpikeTrain(as_neo(times, stop), bin_size=0.02 * pq.s).to_array()
        expected = math.sqrt(counts.mean(axis=0).var() / counts.var(axis=1).mean())
        assert chi_synchrony(spike_trains(times, stop=stop), width=0.02) == pytest.approx(expected, abs=1e-9)


def test_the_same_train_everywhere_is_fully_synchronous():
    train = np.flatnonzero(np.random.default_rng(0).random(3000) < 0.01) * 0.001
    trains = spike_trains([train] * 5, stop=3.0)
    assert chi_synchrony(trains) == pytest.approx(1)
    assert spike_contrast(trains, min_width=0.001) > 0.9
    independent = np.random.default_rng(1).random((20_000, 100)) < 0.02
    times = [np.flatnonzero(column) * 0.001 for column in independent.T]
    assert chi_synchrony(spike_trains(times, stop=20.0)) == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("trains", [[], [[]], [[], []], [[0.5]], [[0.5], []], [[0.5], [0.5]]])
def test_next_to_nothing_is_no_error(trains):
    given = spike_trains(trains, stop=1.0)
    assert math.isnan(spike_contrast(given))
    if not any(trains):
        assert math.isnan(chi_synchrony(given))
    else:
        assert 0 <= chi_synchrony(given) <= 1
    assert math.isnan(chi_synchrony(given, width=3.0))
    assert math.isnan(chi_synchrony(spike_trains(trains[:0], stop=0.0)))


def test_too_short_a_stretch_has_no_scale():
    assert math.isnan(spike_contrast(spike_trains([[0.001, 0.002], [0.001]], stop=0.01)))


def test_nonsense_is_refused():
    trains = spike_trains([[0.1, 0.2], [0.1]], stop=1.0)
    for shrink in (0, 1, 1.5, math.nan):
        with pytest.raises(SettingsError, match="shrink is"):
            spike_contrast(trains, shrink=shrink)
    with pytest.raises(SettingsError, match="min_width, in seconds, cannot be 0"):
        spike_contrast(trains, min_width=0)
    with pytest.raises(SettingsError, match="width, in seconds, cannot be nan"):
        chi_synchrony(trains, width=math.nan)
