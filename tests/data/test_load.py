"""Where ``load_dataset`` looks, in which order, and what it says when there is nothing."""

from __future__ import annotations

import gzip
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosleep.data import Dataset, _download, class_incremental, dataset_names, load_dataset
from neurosleep.errors import DataError, UnknownNameError

Write = Callable[..., None]
TRAIN = "train-images-idx3-ubyte"
REAL = os.environ.get("NEUROSLEEP_DATA", "")
real = pytest.mark.skipif(not REAL, reason="NEUROSLEEP_DATA is not set")
unpublished = pytest.mark.filterwarnings(
    "ignore:.*(not the published file|not comparable with published ones):UserWarning"
)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Downloads fail as they do without a network; what was asked for is listed."""
    asked: list[str] = []

    def fail(kind: str, cache: Path) -> None:
        asked.append(kind)
        raise OSError("no route\nto host")

    monkeypatch.setattr(_download, "download", fail)
    return asked


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size if path.is_file() else -1)
        for path in [folder, *folder.rglob("*")]
    }


def test_names() -> None:
    assert dataset_names() == (
        "breast-cancer",
        "cifar10",
        "cifar10-efficientnet",
        "cifar10-efficientnet-128",
        "cifar10-resnet50",
        "cifar10-vgg",
        "covertype-like",
        "digits",
        "fashion-mnist",
        "kmnist",
        "kmnist-resplit",
        "mnist",
        "mnist-mini",
        "tiny-imagenet-100",
        "tiny-imagenet-100-efficientnet",
        "tiny-imagenet-100-efficientnet-128",
        "tiny-imagenet-100-resnet50",
        "wine",
    )


@pytest.mark.parametrize("name", ["minst", "MNIST", "", "kmnist-mini"])
def test_an_unknown_name_is_met_with_the_nearest_one(name: str) -> None:
    with pytest.raises(
        UnknownNameError,
        match=f"no data set named '{name}'(.|\n)*one of: breast-cancer, cifar10, .*, fashion-mnist, kmnist",
    ):
        load_dataset(name)


@unpublished
@pytest.mark.parametrize("place", [".", "raw", "MNIST", "MNIST/raw", "mnist", "mnist/raw"])
def test_finds_the_set_in_the_obvious_places(tmp_path: Path, write_tiny: Write, place: str) -> None:
    write_tiny(tmp_path / place)
    data = load_dataset("mnist", tmp_path, download=False)
    assert data.name == "mnist"
    assert data.origin == ("DATA" if place == "." else f"DATA/{place}")


@unpublished
@pytest.mark.parametrize("place", ["FashionMNIST/raw", "fashion-mnist", "fashion_mnist"])
def test_finds_fashion(tmp_path: Path, write_tiny: Write, place: str) -> None:
    write_tiny(tmp_path / place, packed=False)
    assert load_dataset("fashion-mnist", str(tmp_path), download=False).origin == f"DATA/{place}"


@unpublished
def test_finds_files_with_the_other_spelling(tmp_path: Path, tiny: dict[str, Any], idx: Any) -> None:
    for name, array in tiny.items():
        (tmp_path / name.replace("-idx", ".idx")).write_bytes(idx(array))
    assert len(load_dataset("mnist", tmp_path, download=False).labels) == 30


@unpublished
def test_finds_kmnist_as_npz(tmp_path: Path, tiny: dict[str, Any]) -> None:
    for name, array in zip(("train-imgs", "train-labels", "test-imgs", "test-labels"), tiny.values(), strict=True):
        np.savez(tmp_path / f"kmnist-{name}.npz", array)
    data = load_dataset("kmnist", tmp_path, download=False)
    assert np.array_equal(data.images, tiny[TRAIN]) and data.origin == "DATA"


@unpublished
def test_the_folder_may_come_from_the_environment(
    tmp_path: Path, write_tiny: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny(tmp_path / "env" / "MNIST")
    write_tiny(tmp_path / "arg" / "MNIST" / "raw")
    monkeypatch.setenv("NEUROSLEEP_DATA", str(tmp_path / "env"))
    assert load_dataset("mnist", download=False).origin == "DATA/MNIST"
    assert load_dataset("mnist", tmp_path / "arg", download=False).origin == "DATA/MNIST/raw"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_dataset("mnist", "~/arg", download=False).origin == "DATA/MNIST/raw"


def test_a_folder_that_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: list[str]) -> None:
    with pytest.raises(DataError, match=r"given data folder does not exist.*\n.*nowhere"):
        load_dataset("mnist", tmp_path / "nowhere")
    monkeypatch.setenv("NEUROSLEEP_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="data folder in NEUROSLEEP_DATA does not exist"):
        load_dataset("mnist")
    assert no_network == []


@unpublished
def test_the_given_folder_comes_before_the_cache_and_the_cache_before_the_network(
    tmp_path: Path, write_tiny: Write, no_network: list[str]
) -> None:
    root, cache = tmp_path / "root", tmp_path / "cache"
    root.mkdir()
    write_tiny(cache / "MNIST" / "raw")
    assert load_dataset("mnist", root, cache=cache).origin == "CACHE/MNIST/raw"
    assert load_dataset("mnist", cache=cache).origin == "CACHE/MNIST/raw"
    write_tiny(root / "MNIST" / "raw")
    assert load_dataset("mnist", root, cache=cache).origin == "DATA/MNIST/raw"
    assert no_network == []


@unpublished
def test_the_default_cache_is_in_the_users_cache_folder(
    tmp_path: Path, write_tiny: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    write_tiny(tmp_path / "xdg" / "neurosleep" / "data" / "MNIST" / "raw")
    assert load_dataset("mnist", download=False).origin == "CACHE/MNIST/raw"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert _download.default_cache() == tmp_path / "home" / ".cache" / "neurosleep" / "data"


@unpublished
@pytest.mark.parametrize("packed", [True, False])
def test_nothing_is_written_beside_the_source(tmp_path: Path, write_tiny: Write, packed: bool) -> None:
    root = tmp_path / "root"
    write_tiny(root / "MNIST" / "raw", packed=packed)
    write_tiny(root / "KMNIST" / "raw", leave_out=(TRAIN,))
    before = snapshot(root)
    folders = [path for path in (root, *root.rglob("*")) if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    try:
        load_dataset("mnist", root, cache=tmp_path / "cache")
        for name in ("kmnist", "fashion-mnist"):
            with pytest.raises(DataError):
                load_dataset(name, root, cache=tmp_path / "cache")
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert snapshot(root) == before


def test_says_what_was_looked_for_and_where_and_names_both_ways(tmp_path: Path, no_network: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset("mnist", tmp_path, cache=tmp_path / "cache")
    text = str(caught.value)
    assert "'mnist' (MNIST, 60000 training and 10000 test images) is not at hand" in text
    assert "the download failed (OSError: no route to host)" in text
    assert f"DATA = {tmp_path} and CACHE = {tmp_path / 'cache'}" in text
    for word in ("train-images-idx3-ubyte[.gz]", "MNIST/raw", "mnist.npz", "root=", "NEUROSLEEP_DATA", "torchvision"):
        assert word in text
    assert "'mnist-mini' is a part of it" in text
    assert no_network == ["MNIST"]


def test_says_so_when_downloading_is_switched_off(tmp_path: Path, no_network: list[str]) -> None:
    with pytest.raises(DataError, match=r"is not at hand.*\n.*download=False") as caught:
        load_dataset("fashion-mnist", download=False)
    assert "DATA =" not in str(caught.value) and "CACHE = " in str(caught.value)
    assert no_network == []


def test_says_which_file_is_missing(tmp_path: Path, write_tiny: Write) -> None:
    write_tiny(tmp_path / "MNIST", leave_out=(TRAIN,))
    with pytest.raises(DataError, match=f"DATA/MNIST holds .*t10k-images.* but lacks {TRAIN}"):
        load_dataset("mnist", tmp_path)


def test_a_broken_file_in_the_cache_is_named_with_the_remedy(tmp_path: Path, write_tiny: Write) -> None:
    write_tiny(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST" / "raw" / f"{TRAIN}.gz").write_bytes(b"")
    with pytest.raises(DataError, match=f"CACHE/MNIST/raw/{TRAIN}.gz.*\n(.*\n)*.*delete the file"):
        load_dataset("mnist", cache=tmp_path)


# --- files that are not the published ones ---------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False])
def test_warns_of_files_and_counts_that_are_not_the_published_ones(
    tmp_path: Path, write_tiny: Write, packed: bool
) -> None:
    write_tiny(tmp_path / "MNIST", packed=packed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_dataset("mnist", tmp_path, download=False)
    texts = [str(w.message) for w in caught]
    kind, ending = ("MD5", ".gz") if packed else ("SHA-256", "")
    files = [text for text in texts if f"is not the published file: its {kind} is" in text]
    assert len(files) == 4 and all(text.startswith("DATA/MNIST/") and f"ubyte{ending} " in text for text in files)
    counts = [text for text in texts if "not comparable" in text]
    assert len(counts) == 2 and "30 images, where the published MNIST has 60000 in its training part" in counts[0]


def test_a_folder_with_the_name_of_another_set_is_not_searched(tmp_path: Path, write_tiny: Write) -> None:
    write_tiny(tmp_path / "FashionMNIST" / "raw")
    for root in (tmp_path / "FashionMNIST", tmp_path / "FashionMNIST" / "raw"):
        with pytest.raises(DataError, match="is not at hand"):
            load_dataset("mnist", root)


# --- kmnist and kmnist-resplit ---------------------------------------------------------------------------------------


def write_test_part(folder: Path, per_class: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(10), per_class)).astype(np.uint8)
    images = np.zeros((len(labels), 1, 2), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.arange(len(labels)) // 256, np.arange(len(labels)) % 256
    folder.mkdir(parents=True)
    np.savez_compressed(folder / "kmnist-test-imgs.npz", images)
    np.savez_compressed(folder / "kmnist-test-labels.npz", labels)
    return images, labels


@unpublished
def test_resplit_takes_the_first_800_and_the_last_200_of_each_class(tmp_path: Path) -> None:
    images, labels = write_test_part(tmp_path / "KMNIST", 1000)
    data = load_dataset("kmnist-resplit", tmp_path, download=False)
    assert data.name == "kmnist-resplit" and data.origin.startswith("DATA/KMNIST; official test part")
    for c in range(10):
        own = images[labels == c]
        assert np.array_equal(data.images[data.labels == c], own[:800])
        assert np.array_equal(data.test_images[data.test_labels == c], own[-200:])
    # File order over all classes, not class by class.
    order = data.images[:, 0, 0].astype(int) * 256 + data.images[:, 0, 1]
    assert (np.diff(order) > 0).all() and len(order) == 8000


@unpublished
def test_resplit_needs_a_thousand_of_each_class(tmp_path: Path) -> None:
    write_test_part(tmp_path / "KMNIST", 999)
    with pytest.raises(DataError, match=r"too small for 'kmnist-resplit'.*\n.*999 images of class 0\n.*1000 of each"):
        load_dataset("kmnist-resplit", tmp_path, download=False)


def test_kmnist_never_falls_back_to_its_test_part(tmp_path: Path, no_network: list[str]) -> None:
    write_test_part(tmp_path / "KMNIST", 1000)
    with pytest.raises(DataError) as caught:
        load_dataset("kmnist", tmp_path)
    text = str(caught.value)
    assert "DATA/KMNIST holds only the test part (kmnist-test-imgs.npz, kmnist-test-labels.npz)" in text
    assert "'kmnist-resplit' is made of the official test part alone" in text
    assert "60000 training" in text and no_network == ["KMNIST"]


def test_resplit_never_falls_back_to_another_set(tmp_path: Path, write_tiny: Write, no_network: list[str]) -> None:
    write_tiny(tmp_path / "MNIST" / "raw")
    with pytest.raises(DataError, match=r"'kmnist-resplit' .*10000 test images.* is not at hand"):
        load_dataset("kmnist-resplit", tmp_path)
    assert no_network == ["KMNIST"]


# --- the real files --------------------------------------------------------------------------------------------------


@real
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "n_train", "n_test", "origin"),
    [
        ("mnist", 60_000, 10_000, "DATA/MNIST/raw"),
        ("fashion-mnist", 60_000, 10_000, "DATA/FashionMNIST/raw"),
        ("kmnist-resplit", 8_000, 2_000, "DATA/KMNIST"),
    ],
)
def test_reads_the_published_files_without_a_warning_and_in_place(
    name: str, n_train: int, n_test: int, origin: str, no_network: list[str]
) -> None:
    before = snapshot(Path(REAL))
    data = load_dataset(name, REAL)
    assert snapshot(Path(REAL)) == before and no_network == []
    assert data.images.shape == (n_train, 28, 28) and data.test_images.shape == (n_test, 28, 28)
    assert data.images.dtype == np.uint8 and set(data.labels.tolist()) == set(range(10))
    assert data.origin.startswith(origin) and REAL not in data.origin


@real
def test_the_published_class_counts_and_tasks() -> None:
    data = load_dataset("mnist", REAL)
    assert np.bincount(data.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(data.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    tasks = class_incremental(data, images_per_task=5000)
    # The pools of the first four tasks add up to the numbers known from the published rehearsal counts.
    assert np.cumsum([len(t.pool_labels) for t in tasks])[:4].tolist() == [12665, 24754, 36017, 48200]
    assert all(len(t.train_labels) == 5000 for t in tasks)


@real
def test_the_real_folder_has_only_the_test_part_of_kmnist() -> None:
    with pytest.raises(DataError, match="holds only the test part"):
        load_dataset("kmnist", REAL)


@real
def test_a_repacked_file_with_the_published_content_is_told_apart(tmp_path: Path) -> None:
    source, target = Path(REAL, "MNIST", "raw"), tmp_path / "MNIST"
    target.mkdir()
    for path in source.glob("*.gz"):
        (target / path.name).write_bytes(path.read_bytes())
    name = "t10k-labels-idx1-ubyte.gz"
    (target / name).write_bytes(gzip.compress(gzip.decompress((source / name).read_bytes()), 1, mtime=1))
    with pytest.warns(
        UserWarning, match=f"DATA/MNIST/{name} is not the published file.*unpacked, is the published one"
    ):
        data = load_dataset("mnist", tmp_path)
    assert len(data.test_labels) == 10_000


def real_mnist() -> Dataset:
    return load_dataset("mnist", REAL)


@real
@pytest.mark.filterwarnings("error")
def test_unpacked_and_npz_copies_are_recognised_without_a_warning(tmp_path: Path) -> None:
    data = real_mnist()
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    for path in Path(REAL, "MNIST", "raw").glob("*.gz"):
        (unpacked / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    one_file = tmp_path / "npz"
    one_file.mkdir()
    np.savez(
        one_file / "mnist.npz",
        x_train=data.images,
        y_train=data.labels.astype(np.uint8),
        x_test=data.test_images,
        y_test=data.test_labels.astype(np.uint8),
    )
    for folder, origin in ((unpacked, "DATA"), (one_file, "DATA/mnist.npz")):
        copy = load_dataset("mnist", folder, download=False)
        assert copy.origin == origin
        assert np.array_equal(copy.images, data.images) and np.array_equal(copy.test_labels, data.test_labels)


@real
@pytest.mark.parametrize("packed", [True, False])
def test_the_files_of_one_set_are_not_taken_for_another(tmp_path: Path, packed: bool, no_network: list[str]) -> None:
    def copy(target: Path) -> None:
        target.mkdir()
        for path in Path(REAL, "MNIST", "raw").glob("*.gz"):
            raw = path.read_bytes()
            (target / (path.name if packed else path.stem)).write_bytes(raw if packed else gzip.decompress(raw))

    # Loose files bear the same names in every set: they are known by their content and passed over.
    copy(tmp_path / "loose")
    with pytest.raises(DataError, match=r"is not at hand.*\n.*is the published train images of MNIST; the download"):
        load_dataset("fashion-mnist", tmp_path / "loose")
    assert no_network == ["FashionMNIST"]
    # In the folder of the other set they are a mistake.
    copy(tmp_path / "FashionMNIST")
    with pytest.raises(
        DataError, match=r"DATA/FashionMNIST/train-images.* is not what its name says.*\n.*MNIST\n.*Fashion"
    ):
        load_dataset("fashion-mnist", tmp_path)
    assert no_network == ["FashionMNIST"]


@real
def test_swapped_files_of_one_set_are_noticed(tmp_path: Path) -> None:
    for path in Path(REAL, "MNIST", "raw").glob("*.gz"):
        (tmp_path / path.name.replace("t10k", "x").replace("train", "t10k").replace("x-", "train-")).write_bytes(
            path.read_bytes()
        )
    (tmp_path / "MNIST").mkdir()
    for path in list(tmp_path.glob("*.gz")):
        path.rename(tmp_path / "MNIST" / path.name)
    with pytest.raises(DataError, match=r"is not what its name says.*\n.*published test images of MNIST"):
        load_dataset("mnist", tmp_path)
