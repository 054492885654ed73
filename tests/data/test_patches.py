"""The toy images: how many pixels are on, which are shared, and sizes that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurosleep.data import patches
from neurosleep.errors import NeurosleepError, SettingsError


def on(**settings: Any) -> np.ndarray:
    """Which pixels are on, bool ``[4, pixels]``."""
    dataset = patches(**settings)
    assert set(np.unique(dataset.images)) <= {0, 255}
    found: np.ndarray = dataset.images.reshape(4, -1) == 255
    return found


@pytest.mark.parametrize("overlap", range(26))
@pytest.mark.parametrize(("width", "total"), [(10, 16), (11, 20)])
def test_each_image_has_a_sixth_of_the_pixels_and_shares_the_overlap(width: int, total: int, overlap: int) -> None:
    pixels = on(width=width, overlap=overlap, seed=overlap)
    assert pixels.shape == (4, width * width)
    assert pixels.sum(1).tolist() == [max(total, overlap)] * 4
    times = pixels.sum(0)
    # Shared by all or by none but one: what is private is disjoint.
    assert (times == 4).sum() == overlap
    assert (times == 1).sum() == 4 * max(total - overlap, 0)
    assert set(times.tolist()) <= {0, 1, 4}


@pytest.mark.parametrize("overlap", [16, 17, 25, 100])
def test_from_an_overlap_of_all_pixels_on_the_images_are_one(overlap: int) -> None:
    pixels = on(width=10, overlap=overlap)
    assert all(np.array_equal(pixels[0], other) for other in pixels[1:])
    assert not np.array_equal(*on(width=10, overlap=15)[:2])


def test_the_data_set_is_tested_on_what_it_trains_on() -> None:
    dataset = patches(width=6, overlap=2, seed=3)
    assert dataset.images.shape == (4, 6, 6)
    assert np.array_equal(dataset.images, dataset.test_images)
    assert dataset.images is not dataset.test_images
    assert dataset.labels.tolist() == dataset.test_labels.tolist() == [0, 1, 2, 3]
    assert dataset.n_classes == 4
    assert dataset.origin == "made here: width 6, overlap 2, seed 3"


def test_the_seed_decides_where_the_pixels_are() -> None:
    assert np.array_equal(on(seed=1), on(seed=1))
    assert not np.array_equal(on(seed=1), on(seed=2))
    # Anywhere in the image, over many seeds, and the overlap is a prefix of a longer one.
    drawn = np.any([on(seed=seed).any(0) for seed in range(20)], axis=0)
    assert drawn.all()
    few, many = on(overlap=3, seed=5).all(0), on(overlap=9, seed=5).all(0)
    assert bool((many | ~few).all())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"width": 1}, r"data\.width cannot be 1"),
        ({"width": 0}, r"data\.width cannot be 0"),
        ({"width": 10.0}, r"data\.width cannot be 10\.0"),
        ({"width": True}, r"data\.width cannot be True"),
        ({"overlap": -1}, r"data\.overlap cannot be -1"),
        ({"overlap": 2.5}, r"data\.overlap cannot be 2\.5"),
        ({"width": 5, "overlap": 26}, "do not fit"),
        ({"width": 10, "overlap": 101}, "do not fit"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        patches(**wrong)


@pytest.mark.parametrize("seed", [-1, 1.5])
def test_a_wrong_seed_is_refused(seed: Any) -> None:
    with pytest.raises(NeurosleepError, match="seed"):
        patches(seed=seed)
