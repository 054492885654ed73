from __future__ import annotations

import dataclasses
import doctest
import importlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from neurosleep.data import Dataset, to_float
from neurosleep.errors import DataError

pytestmark = pytest.mark.filterwarnings("error")


def parts(**changes: Any) -> dict[str, Any]:
    good: dict[str, Any] = {
        "name": "toy",
        "images": np.arange(24, dtype=np.uint8).reshape(4, 2, 3),
        "labels": np.array([0, 1, 2, 1]),
        "test_images": np.zeros((2, 2, 3), dtype=np.uint8),
        "test_labels": np.array([2, 0]),
        "n_classes": 3,
        "origin": "here",
    }
    return good | changes


def test_keeps_what_it_was_given() -> None:
    data = Dataset(**parts(labels=np.array([0, 1, 2, 1], dtype=np.uint8)))
    assert data.labels.dtype == np.int64 and data.labels.tolist() == [0, 1, 2, 1]
    assert data.images.dtype == np.uint8 and data.images.tolist() == np.arange(24).reshape(4, 2, 3).tolist()
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.name = "other"  # type: ignore[misc]


def test_prints_without_its_pixels() -> None:
    assert repr(Dataset(**parts())) == "Dataset(name='toy', n_classes=3, origin='here')"


def test_float_images_and_feature_vectors_are_allowed() -> None:
    data = Dataset(**parts(images=np.full((4, 7), 2.5), test_images=np.full((2, 7), -1.0)))
    assert data.images.dtype == np.float64


NAN = np.zeros((4, 2, 3))
NAN[2, 1, 1] = np.nan
INF = np.zeros((4, 2, 3))
INF[3, 0, 0] = np.inf
FLOAT_TEST = np.zeros((2, 2, 3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros(4, np.uint8)}, "training part.*wrong rank.*\n.*shape \\[4\\]"),
        ({"images": np.zeros((4, 2, 3), np.int64)}, "training part.*dtype.*\n.*int64"),
        ({"images": np.zeros((4, 2, 3), bool)}, "training part.*dtype"),
        ({"images": np.zeros((0, 2, 3), np.uint8), "labels": np.zeros(0, int)}, "training part.*is empty"),
        ({"images": np.zeros((4, 0), np.uint8)}, "training part.*is empty"),
        ({"test_images": np.zeros((0, 2, 3), np.uint8), "test_labels": np.zeros(0, int)}, "test part.*is empty"),
        ({"images": NAN, "test_images": FLOAT_TEST}, "training part.*NaN.*\n.*1 such images, the first at row 2"),
        ({"images": INF, "test_images": FLOAT_TEST}, "training part.*infinite.*\n.*row 3"),
        ({"labels": np.array([0, 1, 2])}, "training part.*one label for each image.*\n.*4 images and 3 labels"),
        ({"test_labels": np.array([0])}, "test part.*one label for each image.*\n.*2 images and 1 labels"),
        ({"labels": np.zeros((4, 1), int)}, "training part.*labels of the wrong rank"),
        ({"labels": np.array([0.0, 1, 2, 1])}, "training part.*not integers"),
        ({"labels": np.array([0, 1, 3, 1])}, "training part.*outside.*\n.*label 3 at row 2\n.*0 to 2"),
        ({"test_labels": np.array([0, -1])}, "test part.*outside.*\n.*label -1 at row 1"),
        ({"test_images": np.zeros((2, 3, 2), np.uint8)}, "not of one kind.*\n.*2x3 uint8, test 3x2 uint8"),
        ({"test_images": FLOAT_TEST}, "not of one kind.*\n.*uint8, test 2x3 float64"),
        ({"n_classes": 0}, "number of classes"),
        ({"n_classes": True}, "number of classes"),
        ({"n_classes": 2.0}, "number of classes"),
    ],
)
def test_refuses_what_does_not_fit_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Dataset(**parts(**changes))


def test_to_float_flattens_and_scales_bytes() -> None:
    images = np.array([[[0, 1, 128], [254, 255, 51]]], dtype=np.uint8)
    x = to_float(images)
    assert x.dtype == np.float32 and x.shape == (1, 6)
    assert np.array_equal(x[0], np.array([0, 1, 128, 254, 255, 51], np.float32) / np.float32(255))
    assert x.max() == 1.0


def test_to_float_keeps_floats_and_copies() -> None:
    images = np.array([[0.25, 3.5]], dtype=np.float32)
    x = to_float(images)
    assert x.tolist() == [[0.25, 3.5]]
    x[:] = 0
    assert images[0, 0] == 0.25


def test_to_float_of_no_images() -> None:
    assert to_float(np.zeros((0, 4, 5), np.uint8)).shape == (0, 20)


@pytest.mark.parametrize("images", [np.zeros(3, np.uint8), np.zeros((3, 2), np.int32)])
def test_to_float_refuses_what_is_no_image(images: np.ndarray[Any, Any]) -> None:
    with pytest.raises(DataError, match="not images"):
        to_float(images)


def test_importing_the_room_does_not_import_torch() -> None:
    code = "import sys, neurosleep.data as d; d.load_dataset('mnist-mini'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("module", ["dataset", "running_mean", "_load"])
def test_docstring_examples(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"neurosleep.data.{module}"))
    assert result.attempted > 0 and result.failed == 0
