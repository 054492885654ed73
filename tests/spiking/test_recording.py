from __future__ import annotations

import numpy as np
import pytest

from neurosleep.errors import SettingsError, UnknownNameError
from neurosleep.functional import SpikeEvents
from neurosleep.spiking import Record, Recorder

SIZES = {"in": 4, "out": 3}
STEPS = 23


@pytest.fixture
def rasters():
    rng = np.random.default_rng(0)
    return {name: rng.random((STEPS, n)) < 0.4 for name, n in SIZES.items()}


def record(rasters, chunks, **choices):
    recorder = Recorder(Record(**choices), SIZES, dt=0.001)
    events = {name: SpikeEvents.from_dense(dense) for name, dense in rasters.items()}
    start = 0
    for length in chunks:
        recorder.add({name: e.slice(start, start + length) for name, e in events.items()})
        start += length
    assert start == STEPS
    return recorder.recording()


CHUNKS = [[23], [1] * 23, [7, 7, 7, 2], [5, 0, 18], [10, 13]]


@pytest.mark.parametrize("chunks", CHUNKS)
def test_counts_are_the_spikes_of_each_neuron(rasters, chunks):
    recording = record(rasters, chunks)
    for name, dense in rasters.items():
        np.testing.assert_array_equal(recording.counts[name], dense.sum(axis=0))
        assert recording.counts[name].dtype == np.int64
    assert recording.steps == STEPS


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("every", [1, 5, 10, 23, 500])
def test_windows_run_across_chunks(rasters, chunks, every):
    recording = record(rasters, chunks, rates_every=every)
    assert recording.window == every
    for name, dense in rasters.items():
        expected = [dense[k : k + every].sum() for k in range(0, STEPS, every)]
        assert recording.windows[name].tolist() == expected


@pytest.mark.parametrize("chunks", CHUNKS)
def test_kept_spikes_are_the_chunks_one_after_another(rasters, chunks):
    recording = record(rasters, chunks, spikes="all")
    assert set(recording.spikes) == set(SIZES)
    for name, dense in rasters.items():
        assert recording.spikes[name].equals(SpikeEvents.from_dense(dense))


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("every", [1, 5, 23])
def test_groups_and_subsets_run_across_chunks(rasters, chunks, every):
    groups = {"in": {"even": [0, 2], "one": [3]}, "out": {"none": []}}
    recording = record(rasters, chunks, spikes={"in": [3, 0]}, groups=groups, rates_every=every)
    for name, of in groups.items():
        for group, neurons in of.items():
            parts = [rasters[name][k : k + every, neurons].sum() for k in range(0, STEPS, every)]
            assert recording.group_windows[name][group].tolist() == parts
            assert recording.group_neurons[name][group].tolist() == neurons
    kept = rasters["in"] & np.array([True, False, False, True])
    assert recording.spikes["in"].equals(SpikeEvents.from_dense(kept))
    assert recording.kept["in"].tolist() == [0, 3] and set(recording.spikes) == {"in"}


def test_only_the_asked_spikes_are_kept(rasters):
    assert record(rasters, [23]).spikes == {}
    assert set(record(rasters, [23], spikes=("out",)).spikes) == {"out"}


def test_rates(rasters):
    recording = record(rasters, [23])
    assert recording.spikes_per_step("in") == pytest.approx(rasters["in"].sum() / 23)
    np.testing.assert_allclose(recording.rate("in"), rasters["in"].mean(axis=0) * 1000)


def test_a_recording_of_nothing_is_empty():
    recording = Recorder(Record(spikes="all"), SIZES, dt=0.001).recording()
    assert recording.steps == 0
    assert recording.spikes_per_step("out") == 0.0
    assert recording.counts["out"].tolist() == [0, 0, 0]
    assert recording.windows["out"].tolist() == []
    assert recording.spikes["out"].equals(SpikeEvents.empty(3))


def test_a_recording_does_not_change_when_more_is_added():
    recorder = Recorder(Record(spikes="all", rates_every=2), SIZES, dt=0.001)
    chunk = {name: SpikeEvents.from_dense(np.ones((2, n))) for name, n in SIZES.items()}
    recorder.add(chunk)
    first = recorder.recording()
    recorder.add(chunk)
    assert first.steps == 2
    assert first.counts["out"].tolist() == [2, 2, 2]
    assert first.windows["out"].tolist() == [6]
    assert first.spikes["out"].steps == 2
    assert recorder.recording().counts["out"].tolist() == [4, 4, 4]


def test_unknown_kinds_of_recording_are_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'counts'"):
        Record(spikes="count")
    # A name that is no kind is often that of a population.
    with pytest.raises(UnknownNameError, match=r"spikes=\('hidden1',\)"):
        Record(spikes="hidden1")


@pytest.mark.parametrize("every", [0, -5])
def test_empty_windows_are_refused(every):
    with pytest.raises(SettingsError, match=f"rates_every cannot be {every}"):
        Record(rates_every=every)


def test_unknown_populations_are_refused():
    with pytest.raises(UnknownNameError, match="no population named 'ou'"):
        Recorder(Record(spikes=("ou",)), SIZES, dt=0.001)


def test_populations_stand_in_the_order_of_the_network():
    sizes = {"input": 2, "hidden1": 3, "output": 2}
    asked = (("output", "hidden1"), {"output": "all", "hidden1": [2, 0]})
    for spikes in asked:
        assert list(Recorder(Record(spikes=spikes), sizes, 0.001).recording().spikes) == ["hidden1", "output"]
