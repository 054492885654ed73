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
