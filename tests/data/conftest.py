"""What the tests of the data room share: tiny files in the published formats, and isolation from the real folders."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from neurosleep.data import Dataset

Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True)
def no_real_folders(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither the user's data folder nor the user's cache takes part, unless a test asks for it."""
    monkeypatch.delenv("NEUROSLEEP_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("xdg")))


def _idx(array: Array, magic: int | None = None) -> bytes:
    number = 2048 + array.ndim if magic is None else magic
    return struct.pack(f">I{array.ndim}I", number, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture
def idx() -> Callable[..., bytes]:
    """The idx file of an array as bytes."""
    return _idx


@pytest.fixture
def tiny() -> dict[str, Array]:
    """A tiny set under the names of the published files: 4 x 5 pixels, 30 training and 20 test images."""
    rng = np.random.default_rng(0)
    return {
        "train-images-idx3-ubyte": rng.integers(0, 256, (30, 4, 5), dtype=np.uint8),
        "train-labels-idx1-ubyte": (np.arange(30) % 10).astype(np.uint8),
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (20, 4, 5), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": (np.arange(20) % 10).astype(np.uint8),
    }


@pytest.fixture
def write_tiny(tiny: dict[str, Array]) -> Callable[..., None]:
    """Write the tiny set as idx files into a folder; ``packed`` gzips them."""

    def write(folder: Path, *, packed: bool = True, leave_out: tuple[str, ...] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in tiny.items():
            if name in leave_out:
                continue
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(_idx(array)))
            else:
                (folder / name).write_bytes(_idx(array))

    return write


@pytest.fixture
def numbered() -> Callable[..., Dataset]:
    """A data set whose images are told apart by their pixels: the row number, and 1 in the test part."""

    def make(labels: list[int], test_labels: list[int], n_classes: int, name: str = "numbered") -> Dataset:
        def images(n: int, part: int) -> Array:
            rows = np.zeros((n, 2, 3), dtype=np.uint8)
            rows[:, 0, 0] = np.arange(n) // 256
            rows[:, 0, 1] = np.arange(n) % 256
            rows[:, 1, 2] = part
            return rows

        return Dataset(
            name,
            images(len(labels), 0),
            np.array(labels, dtype=np.int64),
            images(len(test_labels), 1),
            np.array(test_labels, dtype=np.int64),
            n_classes,
            "made by the test",
        )

    return make


def _jpegs(images: Array) -> list[bytes]:
    files = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=95)
        files.append(buffer.getvalue())
    return files


@pytest.fixture
def write_pack() -> Callable[..., Array]:
    """Write images (uint8 ``[n, h, w(, 3)]``) as a packed JPEG file; gives the labels 0, 1, ..., 9, 0, ... it has."""

    def write(path: Path, images: Array, **changes: Any) -> Array:
        path.parent.mkdir(parents=True, exist_ok=True)
        files = _jpegs(images)
        arrays = {
            "jpeg": np.frombuffer(b"".join(files), np.uint8),
            "offsets": np.cumsum([0, *map(len, files)]).astype(np.int64),
            "labels": (np.arange(len(images)) % 10).astype(np.uint8),
            **changes,
        }
        np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
        return np.asarray(arrays["labels"])

    return write


@pytest.fixture
def smooth() -> Callable[..., Array]:
    """Smooth colour images uint8 ``[n, side, side, 3]``, which JPEG keeps almost as they are; no two alike."""

    def make(n: int, side: int = 32, seed: int = 0) -> Array:
        coarse = np.random.default_rng(seed).integers(0, 256, (n, 2, 2, 3), dtype=np.uint8)
        return np.stack(
            [np.asarray(Image.fromarray(c).resize((side, side), Image.Resampling.BILINEAR)) for c in coarse]
        )

    return make
