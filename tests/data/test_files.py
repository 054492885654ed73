"""Every way in which a file can be broken, met through ``load_dataset`` as a user meets it."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosleep.data import Dataset, load_dataset
from neurosleep.data._files import open_npz, parse_idx
from neurosleep.errors import DataError

# The tiny files are not the published ones, which test_load.py looks at; anything else that warns is a fault.
pytestmark = [
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore:.*(not the published file|not comparable with published ones):UserWarning"),
]

Array = np.ndarray[Any, Any]
Tiny = dict[str, Array]
TRAIN, LABELS, TEST = "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"


def load(root: Path) -> Dataset:
    return load_dataset("mnist", root, download=False)


def refused(root: Path, *words: str) -> str:
    """The message of the refusal; it names the file below DATA and never tells an absolute path in its first lines."""
    with pytest.raises(DataError) as caught:
        load(root)
    text = str(caught.value)
    for word in words:
        assert word in text
    assert str(root) not in text.split("Try:")[0]
    assert "DATA is the given folder" in text
    return text


@pytest.mark.parametrize("packed", [True, False])
def test_reads_what_was_written(tmp_path: Path, tiny: Tiny, write_tiny: Callable[..., None], packed: bool) -> None:
    write_tiny(tmp_path / "MNIST" / "raw", packed=packed)
    data = load(tmp_path)
    assert np.array_equal(data.images, tiny[TRAIN]) and data.labels.tolist() == tiny[LABELS].tolist()
    assert np.array_equal(data.test_images, tiny[TEST])
    # torch warns about arrays that it cannot write to.
    assert data.images.flags.writeable and data.test_images.flags.writeable


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (TRAIN, b"", ["is too short", "0 bytes"]),
        (TRAIN, b"\x00\x00\x08\x03\x00\x00", ["is too short", "6 bytes", "16 bytes"]),
        (TRAIN, struct.pack(">I3I", 2049, 1, 1, 1) + b"\x00", ["wrong magic number", "2049", "2051"]),
        (TRAIN, struct.pack(">I3I", 0x00000D03, 1, 1, 1) + b"\x00" * 4, ["wrong magic number", "3331", "2051"]),
        (LABELS, struct.pack(">I3I", 2051, 1, 1, 1) + b"\x00", ["wrong magic number", "2051", "2049"]),
        (TRAIN, struct.pack(">I3I", 2051, 30, 4, 5) + b"\x07" * 599, ["is truncated", "599", "600", "30 x 4 x 5"]),
        (TRAIN, struct.pack(">I3I", 2051, 30, 4, 5) + b"\x07" * 601, ["is longer than", "601", "600"]),
        (TRAIN, struct.pack(">I3I", 2051, *[2**32 - 1] * 3) + b"\x07", ["is truncated", str((2**32 - 1) ** 3)]),
        (TRAIN, struct.pack(">I3I", 2051, 0, 4, 5), ["is empty"]),
        (
            TRAIN,
            struct.pack(">I3I", 2051, 29, 4, 5) + b"\x07" * 580,
            ["do not belong together", "29 images", "30 labels"],
        ),
        (LABELS, struct.pack(">II", 2049, 30) + b"\x00" * 29 + b"\x0a", ["outside", "label 10 at row 29", "0 to 9"]),
    ],
)
def test_names_what_is_wrong_with_an_idx_file(
    tmp_path: Path, write_tiny: Callable[..., None], packed: bool, name: str, content: bytes, words: list[str]
) -> None:
    folder = tmp_path / "MNIST" / "raw"
    write_tiny(folder, packed=packed)
    if packed:
        name += ".gz"
        content = gzip.compress(content)
    (folder / name).write_bytes(content)
    refused(tmp_path, f"DATA/MNIST/raw/{name}", *words)


def test_names_a_truncated_gzip_file(tmp_path: Path, write_tiny: Callable[..., None]) -> None:
    write_tiny(tmp_path / "MNIST" / "raw")
    path = tmp_path / "MNIST" / "raw" / f"{TEST}.gz"
    path.write_bytes(path.read_bytes()[:-20])
    refused(tmp_path, f"DATA/MNIST/raw/{TEST}.gz is truncated", "ends after")


@pytest.mark.parametrize("content", [b"plainly not gzip", b"\x1f\x8b\x08\x00" + b"\x00" * 6 + b"\xff" * 30])
def test_names_a_broken_gzip_file(tmp_path: Path, write_tiny: Callable[..., None], content: bytes) -> None:
    write_tiny(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST" / "raw" / f"{TEST}.gz").write_bytes(content)
    refused(tmp_path, f"DATA/MNIST/raw/{TEST}.gz cannot be unpacked", "gzip")


def test_names_a_damaged_gzip_file(tmp_path: Path, write_tiny: Callable[..., None]) -> None:
    write_tiny(tmp_path / "MNIST" / "raw")
    path = tmp_path / "MNIST" / "raw" / f"{TEST}.gz"
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 0xFF  # in the checksum at the end
    path.write_bytes(raw)
    refused(tmp_path, f"DATA/MNIST/raw/{TEST}.gz cannot be unpacked", "CRC")


def test_names_a_file_that_cannot_be_read(
    tmp_path: Path, write_tiny: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny(tmp_path / "MNIST" / "raw")
    read = Path.read_bytes

    # Stands for missing permissions, which do not stop a test that runs as root.
    def deny(self: Path) -> bytes:
        if self.name == f"{LABELS}.gz":
            raise PermissionError(13, "Permission denied", str(self))
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", deny)
    refused(tmp_path, f"DATA/MNIST/raw/{LABELS}.gz cannot be read", "Permission denied")


def test_names_parts_of_different_size(tmp_path: Path, write_tiny: Callable[..., None], idx: Any) -> None:
    write_tiny(tmp_path)
    (tmp_path / f"{TEST}.gz").write_bytes(gzip.compress(idx(np.zeros((20, 5, 4)))))
    refused(tmp_path, f"DATA/{TRAIN}.gz and DATA/{TEST}.gz do not belong together", "4x5 uint8 and of 5x4 uint8")


NAN = np.zeros((30, 4, 5))
NAN[7, 1, 1] = np.nan


def keras(**changes: Any) -> dict[str, Any]:
    arrays = {
        "x_train": np.zeros((30, 4, 5), np.uint8),
        "y_train": np.zeros(30, np.int64),
        "x_test": np.zeros((20, 4, 5), np.uint8),
        "y_test": np.zeros(20, np.uint8),
    } | changes
    return {key: value for key, value in arrays.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x_train": NAN}, ["mnist.npz: x_train", "NaN or infinite", "row 7"]),
        ({"x_train": np.zeros((30, 4, 5))}, ["mnist.npz: x_train", "float64 of shape [30, 4, 5]", "uint8"]),
        ({"x_train": np.zeros((30, 4), np.uint8)}, ["mnist.npz: x_train", "[n, height, width]"]),
        ({"x_test": np.zeros((19, 4, 5), np.uint8)}, ["mnist.npz: x_test", "19 images and 20 labels"]),
        ({"x_test": np.zeros((20, 4, 4), np.uint8)}, ["x_train and DATA/mnist.npz: x_test", "4x5 uint8 and of 4x4"]),
        ({"y_test": None}, ["does not hold all arrays", "x_test, x_train, y_train"]),
        ({"y_test": np.full(20, -1)}, ["mnist.npz: y_test", "label -1 at row 0"]),
        ({"y_test": np.full(20, 1.0)}, ["mnist.npz: y_test", "not integers"]),
        ({"y_test": np.zeros((20, 10), int)}, ["mnist.npz: y_test", "wrong rank"]),
        ({"y_test": np.array([object()] * 20)}, ["DATA/mnist.npz cannot be read", "objects of Python"]),
    ],
)
def test_names_what_is_wrong_in_a_single_npz_file(tmp_path: Path, changes: dict[str, Any], words: list[str]) -> None:
    np.savez(tmp_path / "mnist.npz", **keras(**changes))
    refused(tmp_path, *words)


def test_reads_a_single_npz_file(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "mnist.npz", **keras())
    data = load(tmp_path)
    assert data.origin == "DATA/mnist.npz" and data.images.shape == (30, 4, 5) and data.labels.dtype == np.int64


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": np.zeros(3), "b": np.zeros(3)}, ["does not hold one array", "the arrays a, b"]),
        ({}, ["does not hold one array", "no array"]),
        ({"arr_0": NAN}, ["NaN"]),
    ],
)
def test_names_what_is_wrong_in_the_npz_file_of_a_member(
    tmp_path: Path, arrays: dict[str, Array], words: list[str]
) -> None:
    np.savez(tmp_path / "kmnist-test-imgs.npz", **arrays)  # type: ignore[arg-type]
    np.savez(tmp_path / "kmnist-test-labels.npz", np.zeros(20, np.uint8))
    with pytest.raises(DataError) as caught:
        load_dataset("kmnist-resplit", tmp_path, download=False)
    for word in ["DATA/kmnist-test-imgs.npz", *words]:
        assert word in str(caught.value)


def test_an_npy_file_under_the_name_of_an_npz_file(tmp_path: Path) -> None:
    with (tmp_path / "mnist.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    refused(tmp_path, "DATA/mnist.npz is no npz file")


def npz_bytes() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, arr_0=np.arange(600, dtype=np.uint8).reshape(30, 4, 5))
    return buffer.getvalue()


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=4), st.integers(0, 10_000))
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_npz_file_is_refused_or_read_and_nothing_else(flips: list[tuple[int, int]], end: int) -> None:
    raw = bytearray(npz_bytes())
    for position, bits in flips:
        raw[position % len(raw)] ^= bits
    for damaged in (bytes(raw), npz_bytes()[: end % len(raw)]):
        try:
            arrays, _ = open_npz(damaged, "x.npz")
        except DataError as error:
            assert error.message.startswith("x.npz ")
        else:
            assert all(isinstance(array, np.ndarray) for array in arrays.values())


def test_an_npz_file_that_promises_too_much_is_refused() -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**60,)})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("arr_0.npy", header.getvalue() + b"abc")
    with pytest.raises(DataError, match=r"x\.npz cannot be read"):
        open_npz(buffer.getvalue(), "x.npz")


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60))
def test_any_bytes_are_an_idx_file_or_refused(content: bytes) -> None:
    header = struct.pack(">I3I", 2051, 2, 3, 4)
    for candidate in (content, header + content, header[:4] + content):
        try:
            array = parse_idx(candidate, 2051, "x")
        except DataError as error:
            assert error.message.startswith("x ")
        else:
            assert array.dtype == np.uint8 and array.ndim == 3 and array.size == len(candidate) - 16
