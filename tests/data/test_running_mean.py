from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurosleep.data import RunningMean, load_dataset
from neurosleep.errors import DataError

pytestmark = pytest.mark.filterwarnings("error")

Array = np.ndarray[Any, Any]


def chunks(images: Array, cuts: list[int]) -> list[Array]:
    return np.split(images, sorted(cut % (len(images) + 1) for cut in cuts))


@settings(deadline=None, max_examples=200)
@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 3), st.integers(1, 4))),
    st.lists(st.integers(0, 30), max_size=6),
)
def test_of_bytes_is_the_plain_mean_bit_for_bit_whatever_the_chunking(images: Array, cuts: list[int]) -> None:
    mean = RunningMean()
    for chunk in chunks(images, cuts):
        mean.update(chunk)
    flat = images.reshape(len(images), -1)
    assert mean.count == len(images)
    assert np.array_equal(mean.mean, flat.sum(axis=0, dtype=np.int64) / (len(images) * 255.0))
    assert mean.mean.dtype == np.float64 and 0 <= mean.mean.min() <= mean.mean.max() <= 1


@settings(deadline=None, max_examples=200)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 30), st.integers(1, 5)), elements=st.floats(-8, 8, width=32)),
    st.lists(st.integers(0, 30), max_size=6),
)
def test_of_floats_is_the_plain_mean_to_rounding(images: Array, cuts: list[int]) -> None:
    mean = RunningMean()
    for chunk in chunks(images, cuts):
        mean.update(chunk)
    assert np.allclose(mean.mean, images.mean(axis=0, dtype=np.float64), rtol=1e-12, atol=1e-14)


def test_does_not_grow_with_what_it_has_seen() -> None:
    images = np.ones((50, 4, 4), np.uint8)
    mean = RunningMean()
    sizes = []
    for _ in range(5):
        mean.update(images)
        sizes.append(sum(array.nbytes for array in mean.state_dict().values()))
    assert sizes == [16 * 8 + 8 + 8] * 5


@settings(deadline=None, max_examples=100)
@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(2, 20), st.integers(1, 6))),
    st.integers(0, 20),
)
def test_goes_on_from_its_state_as_if_it_had_never_stopped(images: Array, cut: int) -> None:
    cut = cut % (len(images) + 1)
    whole, first = RunningMean(), RunningMean()
    whole.update(images)
    first.update(images[:cut])
    second = RunningMean.from_state(first.state_dict())
    second.update(images[cut:])
    assert second.count == whole.count and np.array_equal(second.mean, whole.mean)


def test_its_state_is_plain_arrays_and_shares_no_memory() -> None:
    mean = RunningMean()
    mean.update(np.full((2, 3), 51, np.uint8))
    state = mean.state_dict()
    assert {key: type(value) for key, value in state.items()} == dict.fromkeys(("sum", "count", "scale"), np.ndarray)
    copy = RunningMean.from_state(state)
    state["sum"][:] = 0
    assert mean.mean.tolist() == copy.mean.tolist() == [0.2, 0.2, 0.2]


def test_an_empty_one_has_no_mean_and_a_state() -> None:
    mean = RunningMean.from_state(RunningMean().state_dict())
    assert mean.count == 0
    with pytest.raises(DataError, match="seen no image"):
        _ = mean.mean


def test_no_images_change_nothing() -> None:
    mean = RunningMean()
    mean.update(np.zeros((0, 9), np.uint8))
    mean.update(np.full((1, 2), 255, np.uint8))
    mean.update(np.zeros((0, 2), np.uint8))
    assert mean.count == 1 and mean.mean.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 3), np.uint8), "another size.*\n.*3 pixels\n.*2 pixels"),
        (np.zeros((1, 2)), "another kind.*\n.*float64\n.*uint8"),
        (np.zeros(2, np.uint8), "wrong rank"),
        (np.zeros((1, 2), np.int64), "dtype"),
    ],
)
def test_refuses_other_images_and_stays_as_it_was(images: Array, message: str) -> None:
    mean = RunningMean()
    mean.update(np.array([[0, 255]], np.uint8))
    with pytest.raises(DataError, match=message):
        mean.update(images)
    assert mean.count == 1 and mean.mean.tolist() == [0.0, 1.0]


def test_refuses_nan_and_bytes_after_floats() -> None:
    mean = RunningMean()
    mean.update(np.ones((1, 2)))
    with pytest.raises(DataError, match="NaN"):
        mean.update(np.array([[0, np.nan]]))
    with pytest.raises(DataError, match=r"another kind.*\n.*uint8\n.*floating point"):
        mean.update(np.zeros((1, 2), np.uint8))
    assert mean.mean.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "changes",
    [
        {"sum": np.zeros((2, 2))},
        {"sum": np.array([np.nan, 0])},
        {"sum": np.zeros(0)},
        {"sum": np.array(["a", "b"])},
        {"count": np.array(-1)},
        {"count": np.array(0)},
        {"count": np.array(1.5)},
        {"count": np.array([1, 2])},
        {"scale": np.array(2.0)},
        {"scale": np.array([1.0, 1.0])},
    ],
)
def test_refuses_a_state_that_is_none(changes: dict[str, Array]) -> None:
    state = {"sum": np.ones(2), "count": np.array(3), "scale": np.array(255.0)} | changes
    with pytest.raises(DataError, match="not the state"):
        RunningMean.from_state(state)


def test_refuses_a_state_without_its_keys() -> None:
    with pytest.raises(DataError, match=r"no count, scale"):
        RunningMean.from_state({"sum": np.zeros(2)})


def test_of_real_images() -> None:
    data = load_dataset("mnist-mini")
    mean = RunningMean()
    for start in range(0, len(data.images), 777):
        mean.update(data.images[start : start + 777])
    assert np.allclose(mean.mean, (data.images / 255.0).mean(axis=0).ravel(), rtol=1e-12)
    # The mean grey value of MNIST is known to be about 0.13.
    assert 0.12 < mean.mean.mean() < 0.14


# --- the spread -------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=200)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 30), st.integers(1, 5)), elements=st.floats(-8, 8, width=32)),
    st.lists(st.integers(0, 30), max_size=6),
    st.sampled_from([0.0, 1e5]),
)
def test_the_spread_is_the_plain_one_to_rounding(images: Array, cuts: list[int], offset: float) -> None:
    images = images.astype(np.float64) + offset
    mean = RunningMean()
    for chunk in chunks(images, cuts):
        mean.update(chunk)
        mean = RunningMean.from_state(mean.state_dict())
    if images.min() >= 0 and images.max() <= 1:
        assert mean.spread is None
    else:
        assert mean.spread is not None
        # Far from 0 a sum of squares would have lost it.
        assert np.allclose(mean.spread, images.std(axis=0), rtol=1e-7, atol=1e-9 * max(offset, 1))


def test_inputs_within_0_and_1_need_no_spread_and_bytes_keep_none() -> None:
    mean = RunningMean()
    with pytest.raises(DataError, match="no image"):
        _ = mean.spread
    mean.update(np.array([[0, 255]], np.uint8))
    assert mean.spread is None and set(mean.state_dict()) == {"sum", "count", "scale"}
    reals = RunningMean()
    reals.update(np.array([[0.0, 1.0], [0.5, 0.5]]))
    assert reals.spread is None
    reals.update(np.array([[0.0, -1.0]]))
    assert reals.spread is not None and np.allclose(reals.spread, np.std([[0, 1], [0.5, 0.5], [0, -1]], axis=0))


def test_a_state_of_an_earlier_version_has_a_mean_and_says_that_it_has_no_spread() -> None:
    whole = RunningMean()
    whole.update(np.array([[0.0, 3.0], [0.5, 0.5]]))
    old = {key: value for key, value in whole.state_dict().items() if key in ("sum", "count", "scale")}
    mean = RunningMean.from_state(old)
    mean.update(np.array([[0.0, 3.0]]))
    assert mean.count == 3 and set(mean.state_dict()) == {"sum", "count", "scale"}
    with pytest.raises(DataError, match="earlier version"):
        _ = mean.spread
    for wrong in (
        {"squares": np.array([1.0])},
        {"squares": np.array([1.0, -1.0])},
        {"squares": np.array([1.0, np.nan])},
        {"outside": np.array(2)},
        {"outside": np.zeros(0)},
    ):
        with pytest.raises(DataError, match="not the state"):
            RunningMean.from_state(whole.state_dict() | wrong)
