"""Intervals and their irregularity, against Elephant."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from elephant import statistics as elephant

from neurosleep.analysis import cv, cv2, isi, spike_trains
from neurosleep.functional import SpikeEvents

SEEDS = range(200)


def test_intervals_and_both_variations_equal_elephants(random_trains):
    for seed in SEEDS:
        times, stop = random_trains(seed)
        trains = spike_trains(times, stop=stop)
        intervals, ours, local = isi(trains), cv(trains), cv2(trains)
        for k, train in enumerate(times):
            np.testing.assert_allclose(intervals[k], elephant.isi(train), rtol=0, atol=1e-12)
            assert ours[k] == pytest.approx(scipy.stats.variation(np.diff(train)), abs=1e-9)
            assert ours[k] == pytest.approx(elephant.cv(elephant.isi(train)), abs=1e-9)
            assert local[k] == pytest.approx(elephant.cv2(elephant.isi(train)), abs=1e-9)


def test_known_values():
    clock, alternating = np.arange(10) * 0.1, np.cumsum([1, 1, 3, 1, 3, 1, 3])
    assert cv([clock])[0] == pytest.approx(0, abs=1e-12)
    assert cv2([clock])[0] == pytest.approx(0, abs=1e-12)
    assert cv2([alternating])[0] == pytest.approx((0 * 0 + 5 * 1.0 + 0) / 5)
    poisson = np.cumsum(np.random.default_rng(0).exponential(0.01, 200_000))
    assert cv([poisson])[0] == pytest.approx(1, abs=0.01)
    assert cv2([poisson])[0] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("spikes", [0, 1, 2])
def test_too_few_spikes_have_no_variation(spikes):
    steps = np.zeros((10, 2), dtype=bool)
    steps[:spikes, 0] = True
    trains = spike_trains(SpikeEvents.from_dense(steps), dt=0.001)
    assert [len(i) for i in isi(trains)] == [max(spikes - 1, 0), 0]
    assert np.isnan(cv(trains)).all() and np.isnan(cv2(trains)).all()


def test_no_neurons_and_spikes_at_one_moment():
    assert isi([]) == [] and cv([]).shape == (0,) and cv2([]).shape == (0,)
    assert np.isnan(cv([[0.5, 0.5, 0.5]])).all() and np.isnan(cv2([[0.5, 0.5, 0.5]])).all()


def test_neurons_do_not_mix(random_trains):
    times, stop = random_trains(3, n=6)
    together = cv2(spike_trains(times, stop=stop))
    alone = [cv2(spike_trains([train], stop=stop))[0] for train in times]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
