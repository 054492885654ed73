"""A blurred stream has every image once; its classes come and go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurosleep.data import Dataset, blurred_stream, limit_images, load_dataset, permuted
from neurosleep.errors import SettingsError

MINI = load_dataset("mnist-mini")


def test_every_image_is_in_one_part_and_parts_are_alike_in_length() -> None:
    parts = blurred_stream(MINI, blur=0.4, parts=12, seed=3)
    assert {len(part.train_labels) for part in parts} == {833, 834}
    for key, all_labels in (("train", MINI.labels), ("test", MINI.test_labels)):
        labels = np.concatenate([getattr(part, f"{key}_labels") for part in parts])
        assert np.array_equal(np.bincount(labels), np.bincount(all_labels))
    images = np.concatenate([part.train_images for part in parts]).reshape(len(MINI.images), -1)
    assert np.array_equal(images.sum(0), MINI.images.reshape(len(MINI.images), -1).sum(0, dtype=np.uint64))
    again = blurred_stream(MINI, blur=0.4, parts=12, seed=3)
    other = blurred_stream(MINI, blur=0.4, parts=12, seed=4)
    assert np.array_equal(parts[5].train_images, again[5].train_images)
    assert not np.array_equal(parts[5].train_labels, other[5].train_labels)


def test_without_blur_the_tasks_have_ends_and_with_it_none() -> None:
    sharp, smooth = (blurred_stream(MINI, blur=blur, parts=5, seed=0) for blur in (0.0, 0.5))
    assert [set(part.classes) for part in sharp] == [{0, 1}, {2, 3}, {4, 5}, {6, 7}, {8, 9}]
    assert all(set(part.classes) > set(own.classes) for part, own in zip(smooth, sharp, strict=True))
    share = np.isin(smooth[2].train_labels, (4, 5)).mean()
    assert 0.4 < share < 0.9
    # Test images lie along the stream as training images do.
    assert abs(np.isin(smooth[2].test_labels, (4, 5)).mean() - share) < 0.05


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"blur": -0.1}, "data.blur cannot be -0.1"),
        ({"parts": 0}, "data.parts cannot be 0"),
        ({"parts": 10**6}, "at most the 10000 training images"),
        ({"parts": 5000}, "no test images"),
        ({"seed": -1}, "seed"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        blurred_stream(MINI, **{"blur": 0.3, "parts": 10, "seed": 0, **wrong})


def test_fewer_test_images_are_from_all_over_them() -> None:
    (task,) = limit_images(permuted(MINI, 1, seed=0), tests=300)
    assert len(task.test_labels) == 286 and set(task.test_labels) == set(range(10))
    assert len(task.train_labels) == len(MINI.labels)
    assert isinstance(MINI, Dataset) and np.array_equal(task.test_labels, MINI.test_labels[::7])
