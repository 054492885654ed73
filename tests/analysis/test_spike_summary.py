from __future__ import annotations

import math
import re
import time
from pathlib import Path

import numpy as np
import pytest

from neurosleep import analysis
from neurosleep.analysis import (
    cv,
    fano_factor,
    firing_statistics,
    isi,
    mean_pairwise_correlation,
    neuron_statistics,
)
from neurosleep.errors import DataError, SettingsError
from neurosleep.functional import SpikeEvents
from neurosleep.spiking import Recording


def test_a_row_per_neuron(sleep_phase):
    recording = sleep_phase(3, steps=2000)
    table = neuron_statistics(recording, "hidden1")
    np.testing.assert_array_equal(table["spikes"], recording.counts["hidden1"])
    np.testing.assert_allclose(table["rate_hz"], recording.rate("hidden1"))
    np.testing.assert_array_equal(table["cv"], cv(recording, "hidden1"))
    means = [gaps.mean() if len(gaps) else np.nan for gaps in isi(recording, "hidden1")]
    np.testing.assert_allclose(table["mean_isi"], means, rtol=1e-9)
    np.testing.assert_array_equal(table["fano"], fano_factor(recording, "hidden1"))


def test_a_row_per_population(sleep_phase):
    recording = sleep_phase(4, steps=2000)
    table = firing_statistics(recording)
    assert table["population"].tolist() == ["input", "hidden1", "hidden2", "output"]
    row = table.where(population="hidden1").rows()[0]
    assert row["rate_hz"] == pytest.approx(recording.rate("hidden1").mean())
    assert row["correlation"] == pytest.approx(mean_pairwise_correlation(recording, "hidden1"), abs=1e-12)
    assert 0 < row["up_share"] < 1 and row["avalanches"] > 0 and row["mean_avalanche"] >= 1
    assert firing_statistics(recording, max_neurons=4)["correlation"][1] != row["correlation"]


def test_counts_alone_have_rates_and_nothing_else(sleep_phase):
    recording = sleep_phase(5)
    row = firing_statistics(Recording(400, 0.001, recording.counts)).rows()[1]
    assert row["spikes"] == recording.counts["hidden1"].sum() and math.isnan(row["cv"])


@pytest.mark.parametrize("steps", [0, 1, 400])
@pytest.mark.parametrize("spikes", [0, 1])
def test_empty_recordings_and_single_spikes_are_no_error(steps, spikes):
    dense = np.zeros((steps, 3), dtype=bool)
    dense[:1, 0] = bool(spikes)
    events = SpikeEvents.from_dense(dense)
    recording = Recording(steps, 0.001, {"a": events.counts()}, spikes={"a": events})
    row = firing_statistics(recording).rows()[0]
    assert math.isnan(row["cv"]) and row["spikes"] == dense.sum()
    assert math.isnan(row["rate_hz"]) == (steps == 0)
    assert len(neuron_statistics(recording)) == 3
    assert "NaN" not in firing_statistics(recording).to_json() and "null" in firing_statistics(recording).to_json()


def test_batches_are_refused():
    with pytest.raises(DataError, match="one of a batch"):
        firing_statistics(Recording(5, 0.001, {"a": np.zeros((2, 3), np.int64)}))
    with pytest.raises(DataError, match=r"not an object of type SpikeEvents(.|\n)*neuron_statistics"):
        firing_statistics(SpikeEvents.empty(2))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no population"):
        firing_statistics(Recording(5, 0.001, {}))
    with pytest.raises(SettingsError, match="max_neurons cannot be 1"):
        firing_statistics(Recording(5, 0.001, {"a": np.zeros(3, np.int64)}), max_neurons=1)


PATTERNS = {c: np.random.default_rng(c).random(1200) for c in range(10)}
EVERY = {
    "firing_statistics": firing_statistics,
    "neuron_statistics": lambda r: analysis.neuron_statistics(r, "a"),
    "isi": lambda r: analysis.isi(r, "a"),
    "pairwise_correlation": lambda r: analysis.pairwise_correlation(r, "a"),
    "psth": lambda r: analysis.psth(r, "a", events=np.arange(1, 120, 0.5), before=0.1, after=0.3),
    "replay_similarity": lambda r: analysis.replay_similarity(r, PATTERNS, "a"),
    "spike_contrast": lambda r: analysis.spike_contrast(r, "a"),
}


@pytest.mark.full
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads the peak from /proc")
def test_ten_million_spikes():
    """Seconds are printed, memory is bounded: nothing dense of 125,000 steps times 1200 neurons is ever made."""

    def resident(key):
        return 1024 * int(re.search(rf"^{key}:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)[1])

    rng = np.random.default_rng(0)
    steps, n, per_step = 125_000, 1200, 80
    neurons = (np.arange(per_step) * 15 + rng.integers(0, 15, (steps, per_step))).astype(np.int32)
    events = SpikeEvents(n, np.arange(steps + 1, dtype=np.int64) * per_step, neurons.ravel())
    assert events.count == 10_000_000
    recording = Recording(steps, 0.001, {"a": events.counts()}, spikes={"a": events})
    found = {}
    for name, statistic in EVERY.items():
        Path("/proc/self/clear_refs").write_text("5")
        before, start = resident("VmRSS"), time.process_time()
        found[name] = statistic(recording)
        grown = resident("VmHWM") - before
        print(f"{name}: {time.process_time() - start:.1f} s, {grown / 2**20:.0f} MiB")
        assert grown < 2**30, name
    table = found["firing_statistics"]
    assert table["spikes"][0] == 10_000_000 and abs(table["cv"][0] - 1) < 0.1
    assert 0 < found["spike_contrast"] < 1 and len(found["neuron_statistics"]) == n
