"""The colour data sets: packed JPEG files and the original batches, where they are looked for, and how they break."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision

from neurosleep.data import _download, load_dataset
from neurosleep.errors import DataError

Array = np.ndarray[Any, Any]
Make = Callable[..., Array]
TRAIN, TEST = "cifar10-train-jpeg.npz", "cifar10-test-jpeg.npz"
REAL = os.environ.get("NEUROSLEEP_DATA", "")
real = pytest.mark.skipif(not REAL, reason="NEUROSLEEP_DATA is not set")
few = pytest.mark.filterwarnings("ignore:.*not comparable with published ones:UserWarning")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(cache: Path) -> None:
        raise OSError("no route\nto host")

    monkeypatch.setattr(_download, "download_cifar10", fail)


@pytest.fixture
def cifar(tmp_path: Path, write_pack: Make, smooth: Make) -> Path:
    """A data folder with 30 training and 20 test images."""
    write_pack(tmp_path / "data" / "cifar10" / TRAIN, smooth(30))
    write_pack(tmp_path / "data" / "cifar10" / TEST, smooth(20, seed=1))
    return tmp_path / "data"


@few
@pytest.mark.parametrize("place", [".", "cifar10", "CIFAR10"])
def test_a_packed_set_is_read_in_file_order(tmp_path: Path, write_pack: Make, smooth: Make, place: str) -> None:
    images, test_images = smooth(30), smooth(20, seed=1)
    labels = write_pack(tmp_path / place / TRAIN, images)
    write_pack(tmp_path / place / TEST, test_images)
    dataset = load_dataset("cifar10", tmp_path)
    assert dataset.name == "cifar10" and dataset.n_classes == 10
    assert dataset.images.shape == (30, 32, 32, 3) and dataset.images.dtype == np.uint8
    assert dataset.test_images.shape == (20, 32, 32, 3)
    # JPEG is lossy, but smooth images differ from each other far more than by that.
    assert np.abs(dataset.images.astype(int) - images).mean() < 8
    assert np.abs(dataset.test_images.astype(int) - test_images).mean() < 8
    assert np.array_equal(dataset.labels, labels)
    assert dataset.origin.startswith("DATA") and "JPEG" in dataset.origin and str(tmp_path) not in dataset.origin


@few
def test_grey_images_become_colour_ones(tmp_path: Path, write_pack: Make, smooth: Make) -> None:
    grey = smooth(12, 64)[..., 0]
    for file in ("tiny-imagenet-100-train-jpeg.npz", "tiny-imagenet-100-val-jpeg.npz"):
        write_pack(tmp_path / "tiny-imagenet-100" / file, grey)
    dataset = load_dataset("tiny-imagenet-100", tmp_path)
    assert dataset.images.shape == (12, 64, 64, 3) and dataset.n_classes == 100
    assert np.array_equal(dataset.images[..., 0], dataset.images[..., 2])


def test_another_number_of_images_is_warned_of(cifar: Path) -> None:
    with pytest.warns(UserWarning) as caught:
        load_dataset("cifar10", cifar)
    texts = [str(warning.message) for warning in caught]
    assert any("30 training images, where CIFAR-10 has 50000" in text for text in texts)
    assert any("20 test images, where CIFAR-10 has 10000" in text for text in texts)


@few
def test_decoded_images_are_kept_by_the_content_of_the_file(
    cifar: Path, tmp_path: Path, write_pack: Make, smooth: Make
) -> None:
    before = load_dataset("cifar10", cifar, cache=tmp_path / "cache")
    kept = sorted((tmp_path / "cache" / "decoded").iterdir())
    assert len(kept) == 2
    again = load_dataset("cifar10", cifar, cache=tmp_path / "cache")
    assert np.array_equal(before.images, again.images)
    write_pack(cifar / "cifar10" / TRAIN, smooth(30, seed=5))
    changed = load_dataset("cifar10", cifar, cache=tmp_path / "cache")
    assert not np.array_equal(before.images, changed.images)
    # A damaged or unwritable cache costs time only.
    for path in kept:
        path.write_bytes(b"")
    assert np.array_equal(load_dataset("cifar10", cifar, cache=tmp_path / "cache").test_images, before.test_images)
    (tmp_path / "file").write_bytes(b"")
    assert np.array_equal(load_dataset("cifar10", cifar, cache=tmp_path / "file").images, changed.images)


@few
def test_nothing_is_written_into_the_given_folder(cifar: Path) -> None:
    before = sorted(str(path) for path in cifar.rglob("*"))
    load_dataset("cifar10", cifar)
    assert sorted(str(path) for path in cifar.rglob("*")) == before


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "no jpeg": ({"jpeg": None}, "lacks jpeg.*\n.*arrays labels, offsets"),
    "no labels": ({"labels": None}, "lacks labels"),
    "a label too few": ({"labels": np.zeros(29, np.uint8)}, "one label for each image.*\n.*30 images and 29 labels"),
    "a label too large": ({"labels": np.full(30, 10, np.uint8)}, "label 10 at row 0.*\n.*0 to 9"),
    "offsets of another kind": ({"offsets": np.zeros(31)}, "where its images start"),
    "offsets that fall": ({"offsets": np.arange(30, -1, -1)}, "where its images start"),
    "no offset": ({"offsets": np.zeros(0, np.int64)}, "where its images start"),
    "bytes of another kind": ({"jpeg": np.zeros(100)}, "where its images start"),
    "other classes": ({"classes": np.array(["apple", "bear"])}, "other classes.*\n.*apple, bear\n.*airplane"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_pack_is_an_error_that_names_the_file(cifar: Path, write_pack: Make, smooth: Make, case: str) -> None:
    changes, message = BROKEN[case]
    write_pack(cifar / "cifar10" / TRAIN, smooth(30), **changes)
    with pytest.raises(DataError, match=message) as caught:
        load_dataset("cifar10", cifar)
    assert f"DATA/cifar10/{TRAIN}" in str(caught.value) and "replace the file" in str(caught.value)


def test_an_image_that_cannot_be_decoded_is_named(cifar: Path) -> None:
    path = cifar / "cifar10" / TRAIN
    with np.load(path) as archive:
        arrays = dict(archive)
    start = arrays["offsets"][7]
    arrays["jpeg"] = arrays["jpeg"].copy()
    arrays["jpeg"][start : start + 20] = 0
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=f"Image 7 in DATA/cifar10/{TRAIN} cannot be decoded"):
        load_dataset("cifar10", cifar)


def test_an_image_of_another_size_is_named(cifar: Path, write_pack: Make, smooth: Make) -> None:
    write_pack(cifar / "cifar10" / TRAIN, smooth(30, side=33))
    with pytest.raises(DataError, match=r"Image 0 in .* has another size.*\n.*33x33.*\n.*32x32"):
        load_dataset("cifar10", cifar)


def test_no_npz_at_all(cifar: Path) -> None:
    (cifar / "cifar10" / TEST).write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(DataError, match=f"DATA/cifar10/{TEST} cannot be read as an npz file"):
        load_dataset("cifar10", cifar)


def test_a_set_that_is_nowhere_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'cifar10'.*not at hand") as caught:
        load_dataset("cifar10", tmp_path, cache=tmp_path / "cache")
    text = str(caught.value)
    assert TRAIN in text and "cifar-10-batches-py" in text and f"DATA = {tmp_path}" in text
    assert "the download failed (OSError: no route to host)" in text and "--data DIR" in text
    with pytest.raises(DataError, match="downloading is switched off"):
        load_dataset("cifar10", tmp_path, download=False)
    with pytest.raises(DataError, match=r"'tiny-imagenet-100'.*not at hand") as caught:
        load_dataset("tiny-imagenet-100", tmp_path)
    assert "torchvision" not in str(caught.value)


def test_half_a_set_is_named(cifar: Path) -> None:
    (cifar / "cifar10" / TEST).unlink()
    with pytest.raises(DataError, match=f"DATA/cifar10 holds {TRAIN} but lacks {TEST}"):
        load_dataset("cifar10", cifar)


def write_batches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Array:
    """Original batches of 3 images each under ``folder``, whose checksums torchvision takes for the published ones."""
    kind = torchvision.datasets.CIFAR10
    rng = np.random.default_rng(0)
    place = folder / "cifar-10-batches-py"
    place.mkdir(parents=True)
    rows: list[Array] = []
    lists: dict[str, list[list[str]]] = {"train_list": [], "test_list": []}
    for attribute in lists:
        for name, _ in getattr(kind, attribute):
            pixels = rng.integers(0, 256, (3, 3072), dtype=np.uint8)
            content = pickle.dumps({"data": pixels, "labels": [0, 1, 9]})
            (place / name).write_bytes(content)
            lists[attribute].append([name, hashlib.md5(content).hexdigest()])
            rows.append(pixels)
        monkeypatch.setattr(kind, attribute, lists[attribute])
    meta = pickle.dumps({"label_names": [str(c) for c in range(10)]})
    (place / "batches.meta").write_bytes(meta)
    monkeypatch.setattr(
        kind, "meta", {"filename": "batches.meta", "key": "label_names", "md5": hashlib.md5(meta).hexdigest()}
    )
    return np.concatenate(rows)


@few
def test_the_original_pixels_are_preferred(cifar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = write_batches(cifar / "cifar10", monkeypatch)
    dataset = load_dataset("cifar10", cifar)
    images = np.concatenate([dataset.images, dataset.test_images])
    assert np.array_equal(images.transpose(0, 3, 1, 2).reshape(len(images), -1), pixels)
    assert dataset.test_labels.tolist() == [0, 1, 9]
    assert dataset.origin == "DATA/cifar10/cifar-10-batches-py (original pixels)"


def test_changed_batches_are_refused_before_anything_is_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_batches(tmp_path, monkeypatch)

    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "harm",))

    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(DataError, match="DATA/cifar-10-batches-py is not the published CIFAR-10"):
        load_dataset("cifar10", tmp_path)
    assert not (tmp_path / "harm").exists()


@few
def test_a_download_lands_in_the_cache_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(cache: Path) -> None:
        write_batches(cache / "CIFAR10", monkeypatch)

    monkeypatch.setattr(_download, "download_cifar10", fetch)
    dataset = load_dataset("cifar10", cache=tmp_path)
    assert dataset.origin == "CACHE/CIFAR10/cifar-10-batches-py (original pixels)" and len(dataset.images) == 15


def test_download_cifar10_moves_the_finished_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    class Fake:
        def __init__(self, root: str, *, download: bool) -> None:
            assert download
            (Path(root) / "cifar-10-batches-py").mkdir()
            (Path(root) / "cifar-10-python.tar.gz").write_bytes(b"large")

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", Fake)
    _download.download_cifar10(tmp_path)
    _download.download_cifar10(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["CIFAR10"]
    assert [path.name for path in (tmp_path / "CIFAR10").iterdir()] == ["cifar-10-batches-py"]


@real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape", "per_class"),
    [("cifar10", (50_000, 32, 32, 3), 5000), ("tiny-imagenet-100", (10_000, 64, 64, 3), 100)],
)
def test_the_given_folder(name: str, shape: tuple[int, ...], per_class: int) -> None:
    dataset = load_dataset(name, REAL)
    assert dataset.images.shape == shape
    assert set(np.bincount(dataset.labels).tolist()) == {per_class}
    assert len(np.unique(dataset.images.reshape(len(dataset.images), -1)[:, :64], axis=0)) > 0.9 * len(dataset.images)
