"""The download path with torchvision itself; only the transfer over the network is replaced."""

from __future__ import annotations

import gzip
import socket
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosleep.data import _download, load_dataset
from neurosleep.errors import DataError

pytestmark = [
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore:.*(not the published file|not comparable with published ones):UserWarning"),
]

torchvision_mnist = pytest.importorskip("torchvision.datasets.mnist")


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, tiny: dict[str, Any], idx: Any) -> list[str]:
    """Answers torchvision's requests with the tiny files; lists the addresses asked for."""
    asked: list[str] = []

    def answer(url: str, download_root: str, filename: str, md5: str) -> None:
        asked.append(url)
        name = filename.removesuffix(".gz")
        print("noise on stdout, as some versions make")
        Path(download_root, filename).write_bytes(gzip.compress(idx(tiny[name])))
        Path(download_root, name).write_bytes(idx(tiny[name]))

    monkeypatch.setattr(torchvision_mnist, "download_and_extract_archive", answer)
    return asked


@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST"), ("kmnist", "KMNIST")]
)
def test_downloads_once_into_the_cache(
    tmp_path: Path,
    network: list[str],
    tiny: dict[str, Any],
    name: str,
    folder: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, cache = tmp_path / "root", tmp_path / "deep" / "cache"
    root.mkdir()
    data = load_dataset(name, root, cache=cache)
    assert data.origin == f"CACHE/{folder}/raw" and data.name == name
    assert np.array_equal(data.images, tiny["train-images-idx3-ubyte"])
    assert len(network) == 4
    again = load_dataset(name, root, cache=cache)
    assert len(network) == 4 and np.array_equal(again.test_images, data.test_images)
    # Only the packed files stay, nothing unfinished is left, and the given folder is as it was.
    assert sorted(p.relative_to(cache).as_posix() for p in cache.rglob("*") if p.is_file()) == sorted(
        f"{folder}/raw/{file}.gz" for file in tiny
    )
    assert sorted(p.name for p in cache.iterdir()) == [folder] and list(root.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_uses_the_default_cache(tmp_path: Path, network: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    load_dataset("mnist")
    assert (tmp_path / "neurosleep" / "data" / "MNIST" / "raw").is_dir()


@pytest.mark.parametrize(
    "failure",
    [
        urllib.error.URLError("Name or service not known"),
        TimeoutError("timed out"),
        RuntimeError("File not found or corrupted."),
        ConnectionResetError("reset"),
        ValueError("unexpected"),
    ],
)
def test_every_failure_is_one_message_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    limits = []

    def fail(url: str, download_root: str, filename: str, md5: str) -> None:
        limits.append(socket.getdefaulttimeout())
        Path(download_root, filename).write_bytes(b"half of it")
        raise failure

    monkeypatch.setattr(torchvision_mnist, "download_and_extract_archive", fail)
    before = socket.getdefaulttimeout()
    with pytest.raises(DataError, match=r"is not at hand.*\n.*the download failed"):
        load_dataset("mnist", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert socket.getdefaulttimeout() == before and set(limits) == {_download.TIMEOUT}


def test_an_interrupt_is_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(torchvision_mnist, "download_and_extract_archive", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load_dataset("mnist", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_made_is_one_message(tmp_path: Path, network: list[str]) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"the download failed \((NotADirectory|FileExists)Error"):
        load_dataset("mnist", cache=tmp_path / "file" / "cache")
    assert network == []


def test_a_download_that_brings_nothing_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_download, "download", lambda kind, cache: None)
    with pytest.raises(DataError, match="the download brought none of the files"):
        load_dataset("mnist", cache=tmp_path)


def test_a_download_completes_what_is_there(
    tmp_path: Path, network: list[str], write_tiny: Callable[..., None]
) -> None:
    write_tiny(tmp_path / "MNIST" / "raw", leave_out=("train-images-idx3-ubyte",))
    assert load_dataset("mnist", cache=tmp_path).origin == "CACHE/MNIST/raw"
    assert len(network) == 4
