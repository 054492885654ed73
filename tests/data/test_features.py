"""Features are computed once: parts, kills, content hashes, and named data sets of features."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosleep.data import Dataset, Extractor, extract_features, load_dataset
from neurosleep.data import _load as load_module
from neurosleep.data.features import content_hash, features_of
from neurosleep.errors import DataError, SettingsError

Array = np.ndarray[Any, Any]


class Counted:
    """A simple extractor function that remembers how many images it was given."""

    def __init__(self) -> None:
        self.given: list[int] = []

    def __call__(self, images: Array) -> Array:
        self.given.append(len(images))
        flat = images.reshape(len(images), -1).astype(np.float32)
        return np.stack([flat.mean(axis=1), flat.max(axis=1)], axis=1)


def extractor(function: Callable[[Array], Array], version: str = "1") -> Extractor:
    return Extractor("mean-and-max", 2, {"weights": version}, function)


@pytest.fixture
def pictures(smooth: Callable[..., Array]) -> Dataset:
    """17 training and 9 test images."""
    return Dataset(
        "pictures",
        smooth(17),
        np.arange(17) % 3,
        smooth(9, seed=1),
        np.arange(9) % 3,
        3,
        "made by the test",
    )


def test_features_take_the_place_of_the_images(pictures: Dataset, tmp_path: Path) -> None:
    function = Counted()
    result = extract_features(pictures, extractor(function), cache_dir=tmp_path, batch=5)
    assert result.name == "pictures-mean-and-max"
    assert result.images.dtype == np.float32 and result.images.shape == (17, 2)
    assert np.array_equal(result.images, Counted()(pictures.images))
    assert np.array_equal(result.test_images, Counted()(pictures.test_images))
    assert np.array_equal(result.labels, pictures.labels) and result.n_classes == 3
    assert "mean-and-max" in result.origin
    # The test part first, then the training part.
    assert function.given == [5, 4, 5, 5, 5, 2]


def test_what_is_in_the_cache_is_not_computed_again(pictures: Dataset, tmp_path: Path) -> None:
    first = extract_features(pictures, extractor(Counted()), cache_dir=tmp_path, batch=5)
    function = Counted()
    second = extract_features(pictures, extractor(function), cache_dir=tmp_path, batch=5)
    assert function.given == []
    assert np.array_equal(first.images, second.images) and np.array_equal(first.test_images, second.test_images)


def test_a_changed_image_costs_its_own_part_only(pictures: Dataset, tmp_path: Path) -> None:
    extract_features(pictures, extractor(Counted()), cache_dir=tmp_path, batch=5)
    images = pictures.images.copy()
    images[6, 0, 0, 0] ^= 1
    assert content_hash(images) != content_hash(pictures.images)
    function = Counted()
    features = features_of(images, extractor(function), cache_dir=tmp_path, batch=5)
    assert function.given == [5]
    assert np.array_equal(features, Counted()(images))


def test_content_means_dtype_and_shape_too() -> None:
    images = np.arange(24, dtype=np.uint8)
    hashes = {content_hash(images.reshape(shape)) for shape in ((2, 3, 4), (2, 4, 3), (24,))}
    assert len(hashes | {content_hash(images.view(np.int8))}) == 4
    assert content_hash(images.reshape(4, 6).T) == content_hash(images.reshape(4, 6).T.copy())


def test_another_identity_is_another_cache(pictures: Dataset, tmp_path: Path) -> None:
    extract_features(pictures, extractor(Counted()), cache_dir=tmp_path)
    function = Counted()
    extract_features(pictures, extractor(function, "2"), cache_dir=tmp_path)
    assert sum(function.given) == 26
    assert len(list(tmp_path.iterdir())) == 2


KILLED = """
import os, signal, sys
import numpy as np
from neurosleep.data import Extractor
from neurosleep.data.features import features_of

calls = 0
def function(images):
    global calls
    calls += 1
    if calls == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    flat = images.reshape(len(images), -1).astype(np.float32)
    return np.stack([flat.mean(axis=1), flat.max(axis=1)], axis=1)

extractor = Extractor("mean-and-max", 2, {"weights": "1"}, function)
features_of(np.load(sys.argv[1]), extractor, cache_dir=sys.argv[2], batch=4)
"""


def test_after_a_kill_the_finished_parts_are_kept(pictures: Dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", pictures.images)
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "images.npy"), str(tmp_path / "cache")])
    assert done.returncode == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")}
    assert len(kept) == 2
    function = Counted()
    features = features_of(pictures.images, extractor(function), cache_dir=tmp_path / "cache", batch=4)
    assert function.given == [4, 4, 1]
    assert np.array_equal(features, Counted()(pictures.images))
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"no array at all"])
def test_a_damaged_part_is_computed_anew(pictures: Dataset, tmp_path: Path, content: bytes) -> None:
    wanted = features_of(pictures.images, extractor(Counted()), cache_dir=tmp_path)
    (part,) = tmp_path.rglob("*.npy")
    part.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged"):
        assert np.array_equal(features_of(pictures.images, extractor(Counted()), cache_dir=tmp_path), wanted)
    assert np.array_equal(np.load(part), wanted)


def test_a_part_of_another_shape_is_computed_anew(pictures: Dataset, tmp_path: Path) -> None:
    wanted = features_of(pictures.images, extractor(Counted()), cache_dir=tmp_path)
    (part,) = tmp_path.rglob("*.npy")
    for wrong in (wanted[:3], wanted.astype(np.float64), np.full_like(wanted, np.nan)):
        np.save(part, wrong)
        with pytest.warns(UserWarning, match="damaged"):
            assert np.array_equal(features_of(pictures.images, extractor(Counted()), cache_dir=tmp_path), wanted)


def test_progress_counts_all_images(pictures: Dataset, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    extract_features(
        pictures, extractor(Counted()), cache_dir=tmp_path, batch=8, progress=lambda *done: seen.append(done)
    )
    assert seen == [(8, 26), (9, 26), (17, 26), (25, 26), (26, 26)]


def test_progress_is_shown_on_a_terminal_only(
    pictures: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    extract_features(pictures, extractor(Counted()), cache_dir=tmp_path / "a")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    extract_features(pictures, extractor(Counted()), cache_dir=tmp_path / "b")
    out, err = capsys.readouterr()
    assert out == "" and "pictures: mean-and-max: 26 of 26 images" in err and err.endswith("\n")


def test_a_plain_function_is_refused(pictures: Dataset, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"plain function.*\n.*\n.*Extractor.*\n.*Extractor\(name"):
        extract_features(pictures, Counted(), cache_dir=tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [0, -1, 2.5, True, None])
def test_batches_that_make_no_sense(pictures: Dataset, tmp_path: Path, batch: Any) -> None:
    with pytest.raises(SettingsError, match="batch cannot be"):
        extract_features(pictures, extractor(Counted()), cache_dir=tmp_path, batch=batch)


def test_a_cache_that_cannot_be_written_is_an_error(pictures: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"cache folder of features .* cannot be written.*\n.*\n.*\n.*XDG_CACHE_HOME"):
        extract_features(pictures, extractor(Counted()), cache_dir=tmp_path / "file")


def test_the_named_sets_are_images_and_an_extractor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: Dataset
) -> None:
    asked: list[Any] = []

    def make(network: str, folder: Path | None) -> Extractor:
        asked.extend([network, folder])
        return extractor(Counted())

    def load(name: str, *_: Any, **__: Any) -> Dataset:
        asked.append(name)
        return pictures

    monkeypatch.setattr(load_module, "make_extractor", make)
    monkeypatch.setattr(load_module, "load_colour", load)
    dataset = load_dataset("cifar10-efficientnet", tmp_path, cache=tmp_path / "cache")
    assert asked == ["efficientnet-lite0", tmp_path, "cifar10"]
    assert dataset.name == "cifar10-efficientnet" and dataset.images.shape == (17, 2)
    assert len(list((tmp_path / "cache" / "features").iterdir())) == 1
