"""Which data sets are at hand, by their files alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurosleep.data import at_hand
from neurosleep.errors import DataError

FILES = {
    "mnist": [
        f"MNIST/raw/{part}-{kind}.gz"
        for part in ("train", "t10k")
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    ],
    "kmnist-resplit": ["KMNIST/kmnist-test-imgs.npz", "KMNIST/kmnist-test-labels.npz"],
    "cifar10-vgg": ["cifar10/cifar10-train-jpeg.npz", "cifar10/cifar10-test-jpeg.npz"],
    "features:birds_*.mat": ["birds_train.mat"],
}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NEUROSLEEP_DATA", raising=False)


@pytest.mark.parametrize("name", FILES)
def test_it_is_there_when_all_its_files_are(name: str, tmp_path: Path) -> None:
    for file in FILES[name]:
        assert not at_hand(name, tmp_path)
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert at_hand(name, tmp_path)


def test_files_of_one_set_are_not_taken_for_those_of_another(tmp_path: Path) -> None:
    for file in FILES["mnist"]:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert not at_hand("fashion-mnist", tmp_path)
    assert not at_hand("fashion-mnist", tmp_path / "MNIST")
    assert at_hand("mnist", tmp_path / "MNIST")


def test_what_comes_with_the_package_is_always_there() -> None:
    assert at_hand("mnist-mini") and at_hand("covertype-like") and at_hand("patches")
    assert not at_hand("mnist")


def test_a_folder_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(DataError, match="does not exist"):
        at_hand("mnist", "nowhere")
