"""The Fano factor, against Elephant."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from elephant import statistics as elephant

from neurosleep.analysis import fano_factor, fano_factor_of_trials, spike_trains
from neurosleep.errors import SettingsError

SEEDS = range(200)


def test_windows_equal_elephants_trials(random_trains):
    for seed in SEEDS:
        times, stop = random_trains(seed)
        width = (0.1, 0.25, 0.5)[seed % 3]
        found = fano_factor(spike_trains(times, stop=stop), width=width)
        edges = np.arange(round(stop / width) + 1) * width - 1e-9
        for k, train in enumerate(times):
            windows = [train[(train >= a) & (train < b)] for a, b in itertools.pairwise(edges)]
            assert found[k] == pytest.approx(elephant.fanofactor(windows), abs=1e-9)


def test_trials_equal_elephants(random_trains):
    for seed in SEEDS:
        times, stop = random_trains(seed, n=12)
        found = fano_factor_of_trials(spike_trains(times, stop=stop))
        assert found == pytest.approx(elephant.fanofactor(times), abs=1e-9)


def test_known_values():
    poisson = np.cumsum(np.random.default_rng(0).exponential(0.01, 100_000))
    trains = spike_trains([poisson, np.arange(1, 90_000) * 0.01], stop=1100.0)
    noisy, regular = fano_factor(trains, width=1.0)
    assert noisy == pytest.approx(1, rel=0.15) or noisy > 1  # the train ends before the stretch does
    clock = spike_trains([np.arange(1000) * 0.01 + 0.005], stop=10.0)
    assert fano_factor(clock, width=1.0)[0] == 0 and regular > 1


def test_what_has_no_fano_factor_is_nan():
    trains = spike_trains([[], [0.35]], stop=0.4)
    silent, single = fano_factor(trains, width=0.1)
    assert math.isnan(silent) and single == pytest.approx(0.75)  # counts 0, 0, 0, 1
    assert np.isnan(fano_factor(trains, width=0.3)).all()  # one window only
    assert np.isnan(fano_factor(trains, width=1.0)).all()
    assert fano_factor(spike_trains([], stop=1.0)).shape == (0,)
    assert math.isnan(fano_factor_of_trials([])) and math.isnan(fano_factor_of_trials([[], []]))
    assert fano_factor_of_trials([[0.1]]) == 0
    with pytest.raises(SettingsError, match="width, in seconds, cannot be 0"):
        fano_factor(trains, width=0)
