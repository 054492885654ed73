from __future__ import annotations

import math

import neo
import numpy as np
import pytest
import quantities as pq

from neurosleep import analysis
from neurosleep.analysis import SpikeTrains, firing_rate, isi, spike_trains
from neurosleep.errors import DataError, SettingsError, UnknownNameError
from neurosleep.functional import SpikeEvents
from neurosleep.spiking import Record, Recorder, Recording


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


def test_a_recording_is_asked_for_a_population(sleep_phase):
    recording = sleep_phase(0)
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
        with pytest.raises(SettingsError, match="dt, in seconds, cannot be"):
            spike_trains(events, dt=dt)
    for start, stop, message in (
        (0.0, -1.0, "stretch goes from"),
        (math.nan, 1.0, "start, in seconds, cannot be nan"),
        (0.0, math.inf, "stop, in seconds, cannot be inf"),
    ):
        with pytest.raises(SettingsError, match=message):
            spike_trains([[]], start=start, stop=stop)


def test_a_neuron_that_is_not_there():
    trains = spike_trains([[], []], stop=1.0)
    with pytest.raises(IndexError, match="there are 2 neurons"):
        trains[2]
    assert isinstance(trains, SpikeTrains) and [len(t) for t in trains] == [0, 0]


STATISTICS = [
    analysis.firing_rate,
    analysis.isi,
    analysis.cv,
    analysis.cv2,
    analysis.fano_factor,
    analysis.fano_factor_of_trials,
    analysis.bursts,
    analysis.up_states,
    analysis.avalanches,
    analysis.pairwise_correlation,
    analysis.mean_pairwise_correlation,
    analysis.psth,
    analysis.chi_synchrony,
    analysis.spike_contrast,
    analysis.neuron_statistics,
    analysis.spike_trains,
]


@pytest.mark.parametrize("statistic", STATISTICS, ids=lambda statistic: statistic.__name__)
def test_a_second_argument_is_the_name_of_a_population_and_nothing_else(statistic):
    trains = spike_trains([np.array([0.01, 0.2, 0.25]), np.array([0.3, 0.4, 0.45])], stop=1.0)
    for given in (0.05, 2, np.array([1.0]), [0.01]):
        with pytest.raises(SettingsError, match=r"population is(.|\n)*given by its name"):
            statistic(trains, given)
    with pytest.raises(SettingsError, match="population is 'hidden1', and the spikes are SpikeTrains"):
        statistic(trains, "hidden1")
    # As a keyword it counts.
    statistic(trains, population=None)


def test_what_is_known_of_spikes_already_is_not_said_again():
    events = SpikeEvents.from_times(np.array([0, 3]), np.array([0, 1]), steps=5, n=2)
    trains = spike_trains(events, dt=0.001)
    for given in ({"dt": 0.002}, {"stop": 3.0}, {"start": 1.0}):
        with pytest.raises(SettingsError, match=f"{next(iter(given))} is .*, and the spikes are SpikeTrains"):
            spike_trains(trains, **given)
    with pytest.raises(SettingsError, match=r"stop is 3\.0, and the spikes are SpikeEvents"):
        spike_trains(events, dt=0.001, stop=3.0)
    with pytest.raises(SettingsError, match="dt is 1, and the spikes are spike times"):
        spike_trains([np.array([0.1])], dt=1)
    with pytest.raises(SettingsError, match="start, in seconds, cannot be 'now'"):
        spike_trains([np.array([0.1])], start="now")


def test_a_raster_of_booleans_is_no_array_of_spike_times():
    with pytest.raises(DataError, match=r"True and False(.|\n)*from_dense"):
        spike_trains(np.eye(3, dtype=bool), stop=5.0)


def test_a_monitor_may_be_given_its_own_population():
    recorder = Recorder(Record(spikes="all"), {"a": 2}, 0.001)
    recorder.add({"a": SpikeEvents.from_times(np.array([0, 3]), np.array([0, 1]), steps=5, n=2)})
    monitor = recorder.recording().monitor("a")
    assert len(spike_trains(monitor, "a")) == 2
    with pytest.raises(SettingsError, match="population is 'b', and the spikes are SpikeMonitor"):
        spike_trains(monitor, "b")
