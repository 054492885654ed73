from __future__ import annotations

import math

import neo
import numpy as np
import pytest
import quantities as pq

from neurosleep.analysis import SpikeTrains, firing_rate, isi, spike_trains
from neurosleep.errors import DataError, SettingsError, UnknownNameError
from neurosleep.functional import SpikeEvents
from neurosleep.spiking import Recording


def test_events_become_the_times_of_each_neuron():
    dense = np.random.default_rng(0).random((50, 7)) < 0.2
    trains = spike_trains(SpikeEvents.from_dense(dense), dt=0.002)
    assert len(trains) == trains.n == 7 and trains.stop == pytest.approx(0.1)
    for k, times in enumerate(trains):
        np.testing.assert_array_equal(times, np.flatnonzero(dense[:, k]) * 0.002)
        np.testing.assert_array_equal(times, trains[k])
        np.testing.assert_array_equal(times, trains[k - 7])
    np.testing.assert_array_equal(trains.counts, dense.sum(axis=0))
    np.testing.assert_array_equal(np.bincount(trains.neurons, minlength=7), dense.sum(axis=0))


def test_a_slice_of_events_is_read_from_where_it_begins():
    dense = np.random.default_rng(1).random((60, 5)) < 0.3
    whole = SpikeEvents.from_dense(dense)
    view = SpikeEvents(5, whole.offsets[20:41], whole.indices)
    for a, b in zip(spike_trains(view, dt=0.001), spike_trains(whole.slice(20, 40), dt=0.001), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_recording_is_asked_for_a_population(night):
    recording = night(0)
    assert spike_trains(recording, "hidden1").n == 9
    with pytest.raises(SettingsError, match="several populations"):
        spike_trains(recording)
    with pytest.raises(UnknownNameError, match="did you mean 'hidden1'"):
        spike_trains(recording, "hiden1")
    single = Recording(10, 0.001, {"a": np.zeros(3, np.int64)}, spikes={"a": SpikeEvents.empty(3, 10)})
    assert spike_trains(single).n == 3


def test_a_recording_of_counts_says_what_it_lacks():
    recording = Recording(10, 0.001, {"a": np.arange(3)})
    with pytest.raises(DataError, match="no single spikes of 'a'"):
        spike_trains(recording, "a")
    with pytest.raises(DataError, match="no single spikes"):
        isi(recording)
    np.testing.assert_allclose(firing_rate(recording, "a"), [0, 100, 200])


def test_arrays_are_sorted_and_units_are_read():
    trains = spike_trains([[0.3, 0.1], []], stop=1.0)
    assert trains[0].tolist() == [0.1, 0.3] and trains[1].tolist() == []
    with_units = [neo.SpikeTrain([100, 300] * pq.ms, t_stop=1 * pq.s), [] * pq.us]
    np.testing.assert_allclose(spike_trains(with_units, stop=1.0)[0], [0.1, 0.3])
    assert spike_trains(np.array([[0.1, 0.2], [0.3, 0.4]])).n == 2
    same = spike_trains(trains)
    assert same is trains


def test_times_without_a_stretch_have_intervals_and_no_rate():
    times = [[0.1, 0.4]]
    np.testing.assert_allclose(isi(times)[0], [0.3])
    assert math.isnan(spike_trains(times).stop)
    with pytest.raises(SettingsError, match="do not say for how long"):
        firing_rate(times)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([0.1, 0.2], "neuron 0 cannot be read"),
        (np.zeros(3), "1 dimensions"),
        (3.0, "float"),
        ([[0.1, math.nan]], "NaN or infinite"),
        ([[0.1], ["now"]], "neuron 1 are no numbers"),
        ([[0.5, 2.0]], "outside the stretch"),
        ([[-0.5]], "outside the stretch"),
    ],
)
def test_what_is_no_spike_train_is_refused(given, message):
    with pytest.raises(DataError, match=message):
        spike_trains(given, stop=1.0)


def test_nonsense_lengths_are_refused():
    events = SpikeEvents.empty(2, 5)
    with pytest.raises(SettingsError, match="do not say how long one is"):
        spike_trains(events)
    for dt in (0, -1, math.nan, math.inf, True, "1 ms"):
        with pytest.raises(SettingsError, match="dt is"):
            spike_trains(events, dt=dt)
    for start, stop in ((0.0, -1.0), (math.nan, 1.0), (0.0, math.inf)):
        with pytest.raises(SettingsError, match="stretch goes from"):
            spike_trains([[]], start=start, stop=stop)


def test_a_neuron_that_is_not_there():
    trains = spike_trains([[], []], stop=1.0)
    with pytest.raises(IndexError, match="there are 2 neurons"):
        trains[2]
    assert isinstance(trains, SpikeTrains) and [len(t) for t in trains] == [0, 0]
