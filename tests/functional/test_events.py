from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosleep.errors import SettingsError
from neurosleep.functional import SpikeEvents

PROPERTY = settings(max_examples=100, deadline=None, derandomize=True)


@st.composite
def rasters(draw, n=None):
    n = n or draw(st.integers(1, 6))
    steps = draw(st.integers(0, 8))
    bits = draw(st.lists(st.booleans(), min_size=n * steps, max_size=n * steps))
    return np.array(bits, dtype=bool).reshape(steps, n)


def test_a_small_raster_by_hand():
    events = SpikeEvents.from_dense(np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]]))
    assert events.offsets.tolist() == [0, 2, 2, 3]
    assert events.indices.tolist() == [0, 2, 1]
    assert events.times.tolist() == [0, 0, 2]
    assert (events.n, events.steps, events.count) == (3, 3, 3)
    assert events.at(0).tolist() == [0, 2]
    assert events.at(1).tolist() == []
    assert events.counts().tolist() == [1, 1, 1]
    assert events.offsets.dtype == np.int64
    assert events.indices.dtype == np.int32


@PROPERTY
@given(rasters())
def test_dense_round_trip(dense):
    events = SpikeEvents.from_dense(dense)
    np.testing.assert_array_equal(events.to_dense(torch.bool).numpy(), dense)
    assert SpikeEvents.from_dense(events.to_dense()).equals(events)
    np.testing.assert_array_equal(events.counts(), dense.sum(axis=0))
    assert (events.count, events.steps) == (dense.sum(), len(dense))


@PROPERTY
@given(rasters(), st.randoms(use_true_random=False))
def test_times_round_trip_in_any_order(dense, random):
    events = SpikeEvents.from_dense(dense)
    order = list(range(events.count))
    random.shuffle(order)
    order = np.array(order, dtype=int)
    again = SpikeEvents.from_times(events.times[order], events.indices[order], steps=events.steps, n=events.n)
    assert again.equals(events)


@PROPERTY
@given(rasters(), st.data())
def test_slices_put_together_are_the_whole(dense, data):
    events = SpikeEvents.from_dense(dense)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(dense)), max_size=4)))
    edges = [0, *cuts, len(dense)]
    parts = [events.slice(a, b) for a, b in itertools.pairwise(edges)]
    assert SpikeEvents.concatenate(parts, events.n).equals(events)
    for part, a, b in zip(parts, edges[:-1], edges[1:], strict=True):
        np.testing.assert_array_equal(part.to_dense(torch.bool).numpy(), dense[a:b])
        assert part.offsets[0] == 0


@PROPERTY
@given(rasters(n=3), rasters(n=3))
def test_concatenation_is_that_of_the_rasters(a, b):
    both = SpikeEvents.concatenate([SpikeEvents.from_dense(a), SpikeEvents.from_dense(b)], 3)
    assert both.equals(SpikeEvents.from_dense(np.concatenate([a, b])))


def test_nothing_put_together_is_silence():
    assert SpikeEvents.concatenate([], 4).equals(SpikeEvents.empty(4))
    assert SpikeEvents.empty(4, 3).to_dense().shape == (3, 4)
    assert SpikeEvents.empty(4, 3).count == 0


def test_equals_sees_every_difference():
    a = SpikeEvents.from_dense(np.eye(3))
    assert a.equals(SpikeEvents.from_dense(torch.eye(3)))
    assert not a.equals(SpikeEvents.from_dense(np.eye(3)[::-1]))
    assert not a.equals(SpikeEvents.from_dense(np.eye(3, 4)))
    assert not a.equals(SpikeEvents.from_dense(np.eye(4, 3)))


def test_dense_arrays_have_the_asked_type():
    events = SpikeEvents.from_dense(np.eye(2, dtype=bool))
    assert events.to_dense().dtype == torch.float32
    assert events.to_dense(torch.float64).dtype == torch.float64


@pytest.mark.parametrize("bad", [np.zeros(3), np.zeros((1, 2, 3)), torch.tensor(1.0)])
def test_arrays_of_other_dimensions_are_refused(bad):
    with pytest.raises(SettingsError, match="cannot be read"):
        SpikeEvents.from_dense(bad)


@pytest.mark.parametrize("value", [2.0, 0.5, -1.0, np.nan])
def test_values_other_than_0_and_1_are_refused(value):
    with pytest.raises(SettingsError, match="other than 0 and 1"):
        SpikeEvents.from_dense(np.array([[0.0, value]]))


# --- what cannot be spikes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "offsets", "indices", "message"),
    [
        (4, [0, 1], [2**31 - 1], "name a neuron 2147483647, of 4"),
        (4, [0, 1], [-(2**31)], "name a neuron -2147483648, of 4"),
        (4, [0, 1], [2**32 + 1], "name a neuron 4294967297, of 4"),
        (4, [0, 2], [0, 4], "name a neuron 4, of 4"),
        (0, [0, 1], [0], "name a neuron 0, of 0"),
        (4, [0, 1, 10**6], [0, 1, 2], "offsets of spike events"),
        (4, [0, 3, 1, 3], [0, 1, 2], "offsets of spike events"),
        (4, [-5, 1, 2, 3], [0, 1, 2], "offsets of spike events"),
        (4, [], [], "offsets of spike events"),
        (4, [0, 2], [1, 1], "In step 0 of spike events neuron 1 comes after 1"),
        (4, [0, 1, 1, 3], [3, 2, 0], "In step 2 of spike events neuron 0 comes after 2"),
        (4, [0.0, 1.0], [0], "offsets of spike events cannot be read"),
        (4, [0, 1], [0.5], "indices of spike events cannot be read"),
        (4, [0, 1], [True], "indices of spike events cannot be read"),
        (4, [0, 1], [[0]], "indices of spike events cannot be read"),
        (4, [0, 1], ["0"], "indices of spike events cannot be read"),
        (4, [0, 2**64 - 1], [0], "offsets of spike events cannot be read"),
        (4.0, [0, 1], [0], "n, the number of neurons of spike events, cannot be 4.0"),
        (-1, [0], [], "cannot be -1"),
        (2**31, [0], [], "cannot be 2147483648"),
    ],
)
def test_what_is_outside_or_out_of_order_is_refused(n, offsets, indices, message):
    with pytest.raises(SettingsError, match=message):
        SpikeEvents(n, np.array(offsets), np.array(indices))


def test_whole_numbers_of_any_type_become_those_of_compiled_code():
    expected = SpikeEvents.from_times(np.array([0, 2]), np.array([1, 0]), steps=3, n=2)
    for kind in (np.uint8, np.int16, np.int64, np.uint64):
        found = SpikeEvents(2, np.array([0, 1, 1, 2], dtype=kind), np.array([1, 0], dtype=kind))
        assert found.offsets.dtype == np.int64 and found.indices.dtype == np.int32
        assert found.equals(expected)
    assert SpikeEvents(2, [0, 1, 1, 2], torch.tensor([1, 0])).equals(expected)


def test_a_view_of_some_steps_is_those_steps():
    whole = SpikeEvents.from_times(np.array([0, 1, 2, 2]), np.array([2, 0, 1, 2]), steps=4, n=3)
    view = SpikeEvents(3, whole.offsets[1:4], whole.indices)
    assert view.equals(whole.slice(1, 3)) and whole.slice(1, 3).equals(view)
    assert view.counts().tolist() == [1, 1, 1]
    assert torch.equal(view.to_dense(), whole.to_dense()[1:3])
    for start, stop in ((-1, 2), (2, 1), (0, 5)):
        with pytest.raises(SettingsError, match="cannot be cut"):
            whole.slice(start, stop)


@pytest.mark.parametrize(
    ("times", "neurons", "steps", "n", "message"),
    [
        ([0, 1], [2**32 + 1, 1], 3, 4, "name a neuron 4294967297, of 4"),
        ([0, 3], [1, 1], 3, 4, "name a step 3, of 3"),
        ([-1], [0], 3, 4, "name a step -1, of 3"),
        ([0], [0], 0, 4, "name a step 0, of 0"),
        ([0], [0, 1], 3, 4, "1 times and 2 neurons"),
        ([2, 0, 2], [1, 1, 1], 3, 4, "Neuron 1 fires twice in step 2"),
        ([0.5], [0], 3, 4, "times of spike events cannot be read"),
        ([0], [0], 3.0, 4, "number of steps cannot be 3.0"),
        ([0], [0], 3, None, "number of neurons cannot be None"),
    ],
)
def test_times_outside_and_spikes_twice_are_refused(times, neurons, steps, n, message):
    with pytest.raises(SettingsError, match=message):
        SpikeEvents.from_times(np.array(times), np.array(neurons), steps=steps, n=n)


def test_silence_may_be_of_any_type_and_populations_do_not_follow_others():
    assert SpikeEvents.from_times(np.array([]), np.array([]), steps=3, n=2).equals(SpikeEvents.empty(2, 3))
    with pytest.raises(SettingsError, match="different populations"):
        SpikeEvents.concatenate([SpikeEvents.empty(2, 3), SpikeEvents.empty(3, 1)], 2)


@given(st.integers(0, 5), st.lists(st.integers(-1, 8), max_size=6), st.lists(st.integers(-1, 5), max_size=8))
@settings(max_examples=300)
def test_whatever_is_taken_is_a_raster_and_whatever_is_not_is_none(n, offsets, indices):
    sound = bool(offsets) and offsets == sorted(offsets) and offsets[0] >= 0 and offsets[-1] <= len(indices)
    steps = [indices[a:b] for a, b in itertools.pairwise(offsets)] if sound else []
    sound = sound and all(step == sorted(set(step)) and all(0 <= k < n for k in step) for step in steps)
    try:
        events = SpikeEvents(n, np.array(offsets, dtype=np.int64), np.array(indices, dtype=np.int32))
    except SettingsError:
        assert not sound
        return
    assert sound
    assert [row.nonzero().flatten().tolist() for row in events.to_dense()] == steps


def test_the_order_of_many_spikes_is_looked_at_piece_by_piece():
    n, steps = 3000, 1000  # three pieces
    offsets, indices = np.arange(steps + 1) * n, np.tile(np.arange(n, dtype=np.int32), steps)
    assert SpikeEvents(n, offsets, indices).count == n * steps
    for place in (2**20 - 1, 2**20, 2**20 + 1, 2**21, n * steps - 1):
        wrong = indices.copy()
        wrong[place] = (wrong[place] - 1) % n if place % n else n - 1
        with pytest.raises(SettingsError, match=f"In step {place // n} "):
            SpikeEvents(n, offsets, wrong)
