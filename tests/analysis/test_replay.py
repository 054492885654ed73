"""Replay: correlations against numpy's of Elephant's bins, controls that find nothing where there is nothing."""

from __future__ import annotations

import math

import neo
import numpy as np
import pytest
import quantities as pq
from elephant.conversion import BinnedSpikeTrain

from neurosleep.analysis import class_patterns, replay_similarity, replay_windows, spike_trains
from neurosleep.errors import DataError, SettingsError
from neurosleep.functional import SpikeEvents

SEEDS = range(200)


def test_correlations_equal_numpys_of_elephants_bins(random_trains):
    for seed in SEEDS:
        times, stop = random_trains(seed, n=9)
        patterns = dict(enumerate(np.random.default_rng(seed).random((3, 9))))
        table = replay_windows(spike_trains(times, stop=stop), patterns, width=0.2)
        neos = [neo.SpikeTrain(train * pq.s, t_stop=stop * pq.s) for train in times]
        counts = BinnedSpikeTrain(neos, bin_size=0.2 * pq.s).to_array()
        expected = np.array([[np.corrcoef(window, p)[0, 1] for p in patterns.values()] for window in counts.T])
        np.testing.assert_allclose(table["correlation"], expected.ravel(), rtol=0, atol=1e-9)
        np.testing.assert_array_equal(table["spikes"], np.repeat(counts.sum(axis=0), 3))
        summary = replay_similarity(spike_trains(times, stop=stop), patterns, width=0.2, shuffles=5)
        np.testing.assert_allclose(summary["similarity"], expected.mean(axis=0), rtol=0, atol=1e-9)
        np.testing.assert_array_equal(
            summary["best"], np.bincount(expected.argmax(axis=1), minlength=3) / len(expected)
        )


def sleep_that_replays(seed, strength):
    """Spikes of 60 neurons over 5 s; those of class 0 (the first 20) fire more."""
    rng = np.random.default_rng(seed)
    rate = np.full(60, 0.01)
    rate[:20] *= 1 + strength
    return spike_trains(SpikeEvents.from_dense(rng.random((5000, 60)) < rate), dt=0.001)


PATTERNS = {"a": np.repeat([1.0, 0, 0], 20), "b": np.repeat([0, 1.0, 0], 20)}


def test_a_replayed_class_stands_out_and_the_others_do_not():
    found = replay_similarity(sleep_that_replays(0, 3.0), PATTERNS)
    a, b = found.where(**{"class": "a"}).rows()[0], found.where(**{"class": "b"}).rows()[0]
    assert a["similarity"] > 0.5 and a["z"] > 5 and a["p"] == pytest.approx(1 / 1001) and a["best"] > 0.95
    assert b["similarity"] < 0 and b["p"] > 0.5
    assert abs(a["control"]) < 0.05 and a["windows"] == 50


def test_without_replay_the_controls_reach_as_much():
    p = [replay_similarity(sleep_that_replays(k, 0.0), PATTERNS, shuffles=99)["p"][0] for k in range(40)]
    assert 0.25 < np.mean(p) < 0.75 and np.mean(np.array(p) < 0.05) < 0.2


def test_the_same_seed_gives_the_same_controls():
    trains = sleep_that_replays(1, 1.0)
    first, again = (replay_similarity(trains, PATTERNS, seed=3).rows() for _ in range(2))
    assert first == again
    assert replay_similarity(trains, PATTERNS, seed=4)["control"][0] != first[0]["control"]


def test_awake_patterns_are_mean_activities(pair):
    before, _, images, labels = pair(0)
    found = class_patterns(before, images, labels)
    assert list(found) == ["hidden1", "hidden2", "output"] and list(found["hidden1"]) == [0, 1, 2]
    before.eval()
    hidden = before.activities(images)[0].detach().double().numpy()
    np.testing.assert_allclose(found["hidden1"][1], hidden[labels.numpy() == 1].mean(axis=0), rtol=1e-6)


def test_awake_patterns_fit_a_recorded_sleep(pair, sleep_phase):
    before, _, images, labels = pair(1)
    patterns = class_patterns(before, images, labels)
    found = replay_similarity(sleep_phase(1), patterns["hidden1"], "hidden1", shuffles=20)
    assert found["class"].tolist() == [0, 1, 2] and found["windows"].tolist() == [4, 4, 4]


@pytest.mark.parametrize("trains", [[[], []], [[0.05], [0.05]], []])
def test_silent_and_uniform_windows_have_no_correlation(trains):
    patterns = {0: np.arange(float(len(trains)))}
    given = spike_trains(trains, stop=0.3)
    assert np.isnan(replay_windows(given, patterns)["correlation"]).all()
    row = replay_similarity(given, patterns, shuffles=3).rows()[0]
    assert row["windows"] == 0 and all(math.isnan(row[key]) for key in ("similarity", "control", "z", "p", "best"))


def test_one_spike_is_a_pattern():
    row = replay_similarity(spike_trains([[0.05], []], stop=0.3), {0: np.array([1.0, 0.0])}, shuffles=9).rows()[0]
    assert row["windows"] == 1 and row["similarity"] == pytest.approx(1)


def test_constant_patterns_have_no_correlation():
    found = replay_similarity(sleep_that_replays(0, 1.0), {"flat": np.ones(60), **PATTERNS}, shuffles=3)
    assert math.isnan(found["similarity"][0]) and found["windows"][0] == 0 and found["best"][1:].sum() == 1
    assert replay_similarity(sleep_that_replays(0, 1.0), {"flat": np.ones(60)}, shuffles=1)["windows"][0] == 0


def test_nonsense_is_refused():
    trains = sleep_that_replays(0, 0.0)
    with pytest.raises(DataError, match="no pattern"):
        replay_similarity(trains, {})
    with pytest.raises(DataError, match=r"class 7(.|\n)*60 neurons"):
        replay_similarity(trains, {7: np.zeros(59)})
    with pytest.raises(DataError, match="NaN"):
        replay_windows(trains, {7: np.full(60, np.nan)})
    with pytest.raises(SettingsError, match="shuffles cannot be 0"):
        replay_similarity(trains, PATTERNS, shuffles=0)
    with pytest.raises(SettingsError, match="width, in seconds, cannot be 0"):
        replay_windows(trains, PATTERNS, width=0)
