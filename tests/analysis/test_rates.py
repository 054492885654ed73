"""Rates and histograms over time, against Elephant."""

from __future__ import annotations

import math

import neo
import numpy as np
import pytest
import quantities as pq
from elephant import statistics as elephant

from neurosleep.analysis import firing_rate, psth, spike_trains
from neurosleep.errors import DataError, SettingsError, UnknownNameError
from neurosleep.functional import SpikeEvents
from neurosleep.spiking import Recording

SEEDS = range(200)


def as_neo(times, stop):
    return [neo.SpikeTrain(train * pq.s, t_stop=stop * pq.s) for train in times]


def test_rates_equal_elephants(random_trains):
    for seed in SEEDS:
        times, stop = random_trains(seed)
        expected = [elephant.mean_firing_rate(train).rescale(pq.Hz).item() for train in as_neo(times, stop)]
        np.testing.assert_allclose(firing_rate(spike_trains(times, stop=stop)), expected, rtol=0, atol=1e-9)


def test_histograms_over_time_equal_elephants(random_trains):
    for seed in SEEDS:
        times, stop = random_trains(seed)
        width = (0.01, 0.025, 0.1)[seed % 3]
        table = psth(spike_trains(times, stop=stop), width=width)
        neos, bin_size = as_neo(times, stop), width * pq.s
        counts = elephant.time_histogram(neos, bin_size)
        rates = elephant.time_histogram(neos, bin_size, output="rate").rescale(pq.Hz)
        np.testing.assert_array_equal(table["spikes"], counts.magnitude[:, 0])
        np.testing.assert_allclose(table["rate_hz"], rates.magnitude[:, 0], rtol=0, atol=1e-9)
        np.testing.assert_allclose(table["time"], counts.times.rescale("s").magnitude, rtol=0, atol=1e-9)


def test_histograms_around_events_equal_elephants_mean_over_trials(random_trains):
    for seed in SEEDS:
        if seed % 2:
            continue  # spikes on the edges of slices belong to both neighbours there
        times, stop = random_trains(seed)
        onsets = np.random.default_rng(seed).random(8) * (stop - 0.6) + 0.2
        table = psth(spike_trains(times, stop=stop), width=0.05, events=onsets, before=0.2, after=0.4)
        total = np.zeros(12)
        for onset in onsets.tolist():
            first, last = onset - 0.2, onset + 0.4
            parts = [t[(t >= first) & (t < last)] - first for t in times]
            total += elephant.time_histogram(as_neo(parts, 0.6), 0.05 * pq.s).magnitude[:, 0]
        np.testing.assert_array_equal(table["spikes"], total)
        np.testing.assert_allclose(table["rate_hz"], total / (8 * len(times) * 0.05), rtol=0, atol=1e-9)
        np.testing.assert_allclose(table["time"], -0.2 + 0.05 * np.arange(12), atol=1e-12)


def test_events_at_steps_and_at_the_edges_are_counted():
    dense = np.zeros((100, 2), dtype=bool)
    dense[[10, 30, 50, 70], 0] = True
    trains = spike_trains(SpikeEvents.from_dense(dense), dt=0.001)
    table = psth(trains, width=0.01, events=[0.01, 0.03, 0.05, 0.07, 0.1, -1.0], before=0.01, after=0.02)
    assert table["events"].tolist() == [4, 4, 4]  # the last two do not fit in
    assert table["spikes"].tolist() == [0, 4, 0]
    assert table["rate_hz"][1] == pytest.approx(4 / (4 * 2 * 0.01))


def test_what_was_not_observed_has_no_rate():
    assert np.isnan(firing_rate(Recording(0, 0.001, {"a": np.zeros(2, np.int64)}), "a")).all()
    assert np.isnan(firing_rate(spike_trains([[]], stop=0.0))).all()
    assert firing_rate(spike_trains([], stop=1.0)).shape == (0,)
    assert len(psth(spike_trains([[]], stop=0.0))) == 0
    assert np.isnan(psth(spike_trains([], stop=0.05))["rate_hz"]).all()
    silent = psth(spike_trains([[], []], stop=0.05))
    assert silent["rate_hz"].tolist() == [0] * 5
    none = psth(spike_trains([[0.1]], stop=1.0), events=[], after=0.1)
    assert np.isnan(none["rate_hz"]).all() and none["events"].tolist() == [0] * 10


def test_nonsense_is_refused(sleep_phase):
    trains = spike_trains([[0.1]], stop=1.0)
    for width in (0, -1, math.nan, math.inf):
        with pytest.raises(SettingsError, match="width, in seconds, cannot be"):
            psth(trains, width=width)
    with pytest.raises(SettingsError, match="after, in seconds, cannot be"):
        psth(trains, events=[0.1])
    with pytest.raises(SettingsError, match="before, in seconds, cannot be"):
        psth(trains, events=[0.1], before=-1, after=1)
    with pytest.raises(DataError, match="events cannot be read"):
        psth(trains, events=[math.nan], after=0.1)
    with pytest.raises(UnknownNameError, match="hidden2"):
        firing_rate(sleep_phase(0), "hidden3")
