"""Division by the maximum: by one divisor as evidently meant, by two as released."""

from __future__ import annotations

import numpy as np
import pytest

from neurosleep.data import Dataset, scale_by_maximum
from neurosleep.errors import DataError


def features(train: list[list[float]], test: list[list[float]]) -> Dataset:
    arrays = [np.array(part, np.float32) for part in (train, test)]
    labels = [np.zeros(len(part), np.int64) for part in (train, test)]
    return Dataset("features", arrays[0], labels[0], arrays[1], labels[1], 1, "test")


def test_one_divisor_for_both_parts() -> None:
    given = features([[0, 2], [4, 1]], [[8, 2]])
    scaled = scale_by_maximum(given)
    assert scaled.images.tolist() == [[0, 0.5], [1, 0.25]] and scaled.test_images.tolist() == [[2, 0.5]]
    assert scaled.images.dtype == scaled.test_images.dtype == np.float32
    assert given.images.max() == 4
    assert scaled.origin == "test; divided by 4"


def test_faithful_divides_the_test_part_by_its_own_maximum() -> None:
    scaled = scale_by_maximum(features([[0, 2], [4, 1]], [[8, 2]]), faithful=True)
    assert scaled.images.tolist() == [[0, 0.5], [1, 0.25]] and scaled.test_images.tolist() == [[1, 0.25]]
    assert scaled.origin == "test; divided by 4, the test part by 8"


def test_nothing_positive_to_divide_by() -> None:
    with pytest.raises(DataError, match=r"divided by their maximum.*\n.*-1"):
        scale_by_maximum(features([[-1, -2]], [[1, 1]]))
    scale_by_maximum(features([[1, 2]], [[-1, 0]]))
    with pytest.raises(DataError, match="maximum of 0"):
        scale_by_maximum(features([[1, 2]], [[-1, 0]]), faithful=True)


def test_bytes_are_refused() -> None:
    images = np.ones((2, 3), np.uint8)
    labels = np.zeros(2, np.int64)
    with pytest.raises(DataError, match="images, not features"):
        scale_by_maximum(Dataset("bytes", images, labels, images, labels, 1, "test"))
