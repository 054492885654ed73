"""Bursts by walking over the spikes; up states by Elephant's histogram and its detection of thresholds."""

from __future__ import annotations

import math

import neo
import numpy as np
import pytest
import quantities as pq
from elephant.spike_train_generation import threshold_detection
from elephant.statistics import isi, time_histogram

from neurosleep.analysis import bursts, spike_trains, up_states
from neurosleep.errors import SettingsError

SEEDS = range(200)


def test_bursts_are_runs_of_elephants_short_intervals(random_trains):
    for seed in SEEDS:
        times, stop = random_trains(seed, rate=60.0)
        found = bursts(spike_trains(times, stop=stop), max_interval=0.0105, min_spikes=3)
        expected = []
        for k, train in enumerate(times):
            run = 1
            for j, gap in enumerate([*isi(train).tolist(), math.inf]):
                if gap <= 0.0105:
                    run += 1
                    continue
                if run >= 3:
                    expected.append((k, train[j - run + 1], train[j], run))
                run = 1
        assert len(found) == len(expected)
        for row, (k, start, end, spikes) in zip(found.rows(), expected, strict=True):
            assert (row["neuron"], row["spikes"]) == (k, spikes)
            assert row["start"] == pytest.approx(start, abs=1e-9) and row["stop"] == pytest.approx(end, abs=1e-9)
            assert row["rate_hz"] == pytest.approx((spikes - 1) / (end - start), rel=1e-9)


def test_intervals_at_the_limit_belong_to_a_burst():
    steps = np.array([3, 13, 23, 33, 44])
    found = bursts(spike_trains([steps * 0.001], stop=1.0), max_interval=0.01)
    assert found["spikes"].tolist() == [4] and found["rate_hz"][0] == pytest.approx(100)


def test_up_states_begin_where_elephant_finds_the_threshold_crossed(random_trains):
    for seed in SEEDS:
        times, stop = random_trains(seed)
        waves = [train[np.sin(4 * math.pi * train) > -0.3] for train in times]
        neos = [neo.SpikeTrain(train * pq.s, t_stop=stop * pq.s) for train in waves]
        counts = time_histogram(neos, 0.05 * pq.s)
        limit = float(counts.magnitude.mean())
        found = up_states(spike_trains(waves, stop=stop), width=0.05, min_duration=0.0)
        signal = neo.AnalogSignal(
            np.concatenate([[0], counts.magnitude[:, 0]]).astype(float), units="mV", sampling_period=0.05 * pq.s
        )
        crossed = threshold_detection(signal, threshold=limit * pq.mV, sign="above").rescale("s").magnitude - 0.05
        np.testing.assert_allclose(found["start"], crossed, rtol=0, atol=1e-9)
        above = counts.magnitude[:, 0] > limit
        assert found["spikes"].sum() == counts.magnitude[above].sum()
        assert found["duration"].sum() == pytest.approx(0.05 * above.sum(), abs=1e-9)


def test_a_known_case():
    trains = spike_trains([[0.015, 0.021, 0.055], [0.022, 0.052, 0.095]], stop=0.1)
    found = up_states(trains, width=0.01, threshold_hz=20.0, min_duration=0.0)
    np.testing.assert_allclose(found["start"], [0.01, 0.05, 0.09])
    np.testing.assert_allclose(found["stop"], [0.03, 0.06, 0.1])
    assert found["spikes"].tolist() == [3, 2, 1] and found["active"].tolist() == [1.0, 1.0, 0.5]
    np.testing.assert_allclose(found["rate_hz"], [75, 100, 50])
    assert up_states(trains, width=0.01, threshold_hz=20.0, min_duration=0.02)["spikes"].tolist() == [3]
    joined = up_states(trains, width=0.01, threshold_hz=20.0, min_duration=0.02, max_gap=0.02)
    np.testing.assert_allclose(joined["stop"], [0.06])
    assert joined["spikes"].tolist() == [5] and joined["active"].tolist() == [1.0]


@pytest.mark.parametrize("trains", [[], [[]], [[], []], [[0.5]], [[0.5], []]])
def test_next_to_nothing_is_no_error(trains):
    given = spike_trains(trains, stop=1.0)
    assert len(bursts(given)) == 0
    assert len(up_states(given, min_duration=0.0)) == sum(map(len, trains))
    assert len(up_states(given, min_duration=0.0, width=9.0)) == 0


def test_bursts_of_one_moment_have_no_rate():
    assert math.isnan(bursts([[0.5, 0.5, 0.5]])["rate_hz"][0])


def test_nonsense_is_refused():
    trains = spike_trains([[0.5]], stop=1.0)
    with pytest.raises(SettingsError, match="max_interval, in seconds, cannot be 0"):
        bursts(trains, max_interval=0)
    with pytest.raises(SettingsError, match="min_spikes cannot be 1"):
        bursts(trains, min_spikes=1)
    for key in ("threshold_hz", "min_duration", "max_gap"):
        with pytest.raises(SettingsError, match=f"{key} cannot be -1"):
            up_states(trains, **{key: -1})
