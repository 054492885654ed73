"""The small sets: scikit-learn's, as it holds them, and the made-up table; limited, unbalanced and noisy data."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from neurosleep.data import (
    Dataset,
    class_incremental,
    covertype_like,
    disturb,
    limit_images,
    load_dataset,
    permuted,
    standardise_by_first,
    to_float,
)
from neurosleep.errors import DataError, MissingExtraError, SettingsError, UnknownNameError

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize(
    ("name", "shape", "classes"), [("digits", (8, 8), 10), ("wine", (13,), 3), ("breast-cancer", (30,), 2)]
)
def test_scikit_learns_sets_are_whole_and_as_they_are_there(name: str, shape: tuple[int, ...], classes: int) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    bunch = getattr(datasets, "load_" + name.replace("-", "_"))()
    found = load_dataset(name)
    assert found.images.shape[1:] == shape and found.n_classes == classes and found.images.dtype == np.float32
    ours = np.concatenate([found.images, found.test_images]).reshape(len(bunch.target), -1)
    theirs = np.asarray(bunch.data, np.float32)
    assert np.array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])
    for c in range(classes):
        n = int((bunch.target == c).sum())
        assert int((found.test_labels == c).sum()) == n // 5
        rows = theirs[bunch.target == c]
        assert np.array_equal(found.test_images[found.test_labels == c].reshape(n // 5, -1), rows[n - n // 5 :])


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtraError, match="scikit-learn") as refused:
        load_dataset("wine")
    assert refused.value.hint == 'pip install "neurosleep[sklearn]"'
    assert load_dataset("covertype-like").n_classes == 7


def test_the_made_up_table_is_that_of_its_seed_and_can_be_learnt() -> None:
    one, again, other = covertype_like(), load_dataset("covertype-like"), covertype_like(seed=1)
    assert np.array_equal(one.images, again.images) and not np.array_equal(one.images, other.images)
    assert one.images.shape == (14_000, 54) and one.test_images.shape == (3500, 54)
    counts = np.bincount(one.labels)
    assert counts.sum() == 14_000
    assert np.allclose(counts / 14_000, np.array([36.5, 48.8, 6.2, 0.5, 1.6, 3.0, 3.5]) / 100.1, atol=0.002)
    ones = one.images[:, 10:]
    assert set(np.unique(ones)) == {0, 1} and (ones.sum(axis=1) == 2).all() and (ones[:, :4].sum(axis=1) == 1).all()
    # The nearest of the classes' means, on the standardised table, is right far more often than the largest class.
    train, test = (one.images - one.images.mean(0)) / one.images.std(0).clip(1e-9), one.test_images
    test = (test - one.images.mean(0)) / one.images.std(0).clip(1e-9)
    means = np.stack([train[one.labels == c].mean(0) for c in range(7)])
    nearest = ((test[:, None] - means) ** 2).sum(-1).argmin(1)
    per_class = [float((nearest[one.test_labels == c] == c).mean()) for c in range(7)]
    assert np.mean(per_class) > 0.4
    with pytest.raises(SettingsError, match="rows"):
        covertype_like(10)
    with pytest.raises(SettingsError, match="seed"):
        covertype_like(seed=-1)


# --- limited and unbalanced -------------------------------------------------------------------------------------------


def small(n: int = 20) -> Dataset:
    labels = np.tile(np.arange(4), n)
    images = np.arange(4 * n * 6, dtype=np.float32).reshape(4 * n, 2, 3)
    return Dataset("small", images, labels, images, labels, 4, "made up")


def test_the_first_images_of_each_class_are_left_and_no_others() -> None:
    tasks = class_incremental(small(), [(0, 1), (2, 3)])
    first, second = limit_images(tasks, shares=[1.0, 0.25, 0.5, 0.001])
    counts = [int((task.train_labels == c).sum()) for task, cs in ((first, (0, 1)), (second, (2, 3))) for c in cs]
    assert counts == [20, 5, 10, 1]
    for task, whole in zip((first, second), tasks, strict=True):
        assert np.array_equal(task.pool_images, task.train_images) and np.array_equal(
            task.test_images, whole.test_images
        )
        for c in task.classes:
            left = task.train_images[task.train_labels == c]
            assert np.array_equal(left, whole.train_images[whole.train_labels == c][: len(left)])
    few = limit_images(tasks, per_class=3, shares=[1.0, 0.1, 1.0, 1.0])
    assert [int((few[0].train_labels == c).sum()) for c in (0, 1)] == [3, 2]
    held = limit_images(class_incremental(small(), [(0, 1)], images_per_task=4), per_class=3)[0]
    assert len(held.train_labels) == 4 and len(held.pool_labels) == 6
    assert np.array_equal(held.pool_images[:4], held.train_images)


@pytest.mark.parametrize(
    "given", [{"per_class": 0}, {"shares": [1.0]}, {"shares": [1, 1, 1, 0]}, {"shares": [1, 1, 1, 2]}]
)
def test_limits_that_make_no_sense(given: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        limit_images(class_incremental(small()), **given)


# --- scale ------------------------------------------------------------------------------------------------------------


def test_inputs_are_standardised_by_the_first_task_alone() -> None:
    table = covertype_like(1400, 700)
    tasks = class_incremental(table, [(0, 1), (2, 3), (4, 5, 6)], images_per_task=5)
    found = standardise_by_first(tasks)
    first = tasks[0].train_images.astype(np.float64)
    sd = np.where(first.std(0) > 0, first.std(0), 1)
    for task, given in zip(found, tasks, strict=True):
        for key in ("train_images", "pool_images", "test_images"):
            ours, expected = getattr(task, key), (getattr(given, key) - first.mean(0)) / sd
            assert ours.dtype == np.float32
            np.testing.assert_allclose(ours, expected, rtol=2e-4, atol=2e-4 * np.abs(expected).max())
    images = standardise_by_first(permuted(load_dataset("mnist-mini"), 2, seed=0))
    assert images[0].train_images.shape[1:] == (28, 28)
    values = images[0].train_images.astype(np.float64)
    assert abs(values.mean()) < 1e-3 and abs(values.std() - 1) < 1e-3
    with pytest.raises(DataError, match="spread"):
        flat = np.ones((4, 3), np.float32)
        standardise_by_first(class_incremental(Dataset("flat", flat, np.arange(4), flat, np.arange(4), 4, "x")))
    with pytest.raises(DataError, match="nothing"):
        standardise_by_first([])


# --- noise ------------------------------------------------------------------------------------------------------------


def grey() -> np.ndarray[Any, Any]:
    return load_dataset("mnist-mini").test_images[:50]


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_gaussian_noise_has_its_strength_and_stays_within_bytes() -> None:
    images = np.full((50, 20, 20), 128, np.uint8)
    found = disturb(images, "gaussian", 0.1, rng())
    assert found.dtype == np.uint8 and abs(float(found.std()) - 25.5) < 0.5 and abs(float(found.mean()) - 128) < 0.5
    assert disturb(grey(), "gaussian", 2.0, rng()).max() == 255
    reals = disturb(to_float(grey()), "gaussian", 0.3, rng())
    assert reals.dtype == np.float32 and abs(float((reals - to_float(grey())).std()) - 0.3) < 0.01


def test_salt_and_pepper_is_half_salt() -> None:
    images = np.full((50, 20, 20), 128, np.uint8)
    found = disturb(images, "salt-and-pepper", 0.4, rng())
    assert [round(float((found == value).mean()), 1) for value in (0, 128, 255)] == [0.2, 0.6, 0.2]


@pytest.mark.parametrize("sd", [0.5, 1.7])
def test_blur_is_scipys(sd: float) -> None:
    images = to_float(grey()).reshape(-1, 28, 28).astype(np.float64)
    expected = ndimage.gaussian_filter(images, (0, sd, sd), mode="nearest", radius=(0, *(int(np.ceil(3 * sd)),) * 2))
    np.testing.assert_allclose(disturb(images, "blur", sd, rng()), expected, atol=1e-12)
    colour = np.repeat(images[..., None], 3, axis=3)
    np.testing.assert_allclose(disturb(colour, "blur", sd, rng())[..., 1], expected, atol=1e-12)


def test_no_strength_is_no_noise_and_nonsense_is_refused() -> None:
    images = grey()
    for noise in ("gaussian", "salt-and-pepper", "blur"):
        found = disturb(images, noise, 0, rng())  # type: ignore[arg-type]
        assert np.array_equal(found, images) and found is not images
    with pytest.raises(UnknownNameError, match="speckle"):
        disturb(images, "speckle", 1, rng())  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="strength"):
        disturb(images, "salt-and-pepper", 1.5, rng())
    with pytest.raises(DataError, match="pixels"):
        disturb(images.reshape(50, -1), "blur", 1, rng())
