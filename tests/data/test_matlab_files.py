"""MATLAB files: what SciPy and h5py read of them, and nothing of other files, whatever they declare."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosleep.data import load_dataset
from neurosleep.data._matlab import read_mat
from neurosleep.errors import DataError

scipy = pytest.importorskip("scipy.io")
h5py = pytest.importorskip("h5py")

DRAW = np.random.default_rng(0)
TYPES = [np.float64, np.float32, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]


def every(name: str) -> bool:
    return True


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("level", ["5", "4"])
def test_old_files_as_scipy_reads_them(level: str, packed: bool, tmp_path: Path) -> None:
    variables: dict[str, Any] = {}
    for k, kind in enumerate(TYPES):
        if level == "4" and kind in (np.int8, np.uint32, np.int64, np.uint64):
            continue
        for shape in [(4, 3), (1, 1), (0, 3), (7,)] + ([(2, 3, 4), (1, 2, 1, 5)] if level == "5" else []):
            values = DRAW.integers(0, 100, shape).astype(kind)
            variables[f"v{k}_{len(variables)}"] = values + (
                DRAW.random(shape).astype(kind) if kind == np.float64 else 0
            )
    if level == "5":
        variables |= {"yes": DRAW.random((3, 2)) > 0.5, "struct": {"a": 1}, "text": "words", "complex": np.ones(2) * 1j}
        variables |= {"cell": np.array([{}], dtype=object), "long_name_" + "x" * 20: np.eye(2)}
        variables["sparse"] = pytest.importorskip("scipy.sparse").csc_array(np.eye(3))
    path = tmp_path / "f.mat"
    scipy.savemat(path, variables, format=level, do_compression=packed and level == "5", oned_as="row")
    expected = {
        name: values
        for name, values in scipy.loadmat(path).items()
        if isinstance(values, np.ndarray) and values.dtype.kind in "fiub" and not name.startswith("__")
    }
    arrays, shapes = read_mat(path, every)
    assert arrays.keys() == expected.keys() == shapes.keys()
    for name, values in expected.items():
        assert arrays[name].shape == values.shape == shapes[name] and arrays[name].dtype == values.dtype
        assert np.array_equal(arrays[name], values)
    # What is not wanted is not read; its shape is known all the same.
    arrays, shapes = read_mat(path, lambda name: name == next(iter(expected)))
    assert list(arrays) == [next(iter(expected))] and shapes.keys() == expected.keys()


def big_endian(values: np.ndarray[Any, Any], name: bytes, packed: bool) -> bytes:
    def element(kind: int, content: bytes) -> bytes:
        return struct.pack(">II", kind, len(content)) + content + bytes(-len(content) % 8)

    body = element(6, struct.pack(">II", 6, 0)) + element(5, struct.pack(f">{values.ndim}i", *values.shape))
    body += element(1, name) + element(9, values.astype(">f8").tobytes("F"))
    whole = struct.pack(">II", 14, len(body)) + body
    if packed:
        content = zlib.compress(whole)
        whole = struct.pack(">II", 15, len(content)) + content
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI" + whole


@pytest.mark.parametrize("packed", [False, True])
def test_files_of_big_machines(packed: bool, tmp_path: Path) -> None:
    values = DRAW.random((3, 5))
    path = tmp_path / "f.mat"
    path.write_bytes(big_endian(values, b"train_x", packed))
    assert np.array_equal(read_mat(path, every)[0]["train_x"], values)
    assert np.array_equal(scipy.loadmat(path)["train_x"], values)


def declares(count: int) -> bytes:
    """A packed variable of a few bytes that says it holds ``count`` numbers."""
    head = struct.pack("<IIII", 6, 8, 6, 0) + struct.pack("<IIii", 5, 8, count, 1)
    head += struct.pack("<II", 1, 7) + b"train_x\0" + struct.pack("<II", 9, 8 * count % 2**32)
    content = zlib.compress(struct.pack("<II", 14, (len(head) + 8 * count) % 2**32) + head)
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 15, len(content)) + content


@pytest.mark.parametrize("count", [2**20, 2**28, 2**31 - 1])
def test_declared_sizes_are_compared_before_memory_is_taken(count: int, tmp_path: Path) -> None:
    path = tmp_path / "f.mat"
    path.write_bytes(declares(count))
    with pytest.raises(DataError, match=r"(?s)f\.mat cannot be read.*(declared|bytes for the shape)"):
        read_mat(path, every)


def test_a_bomb_that_keeps_its_word(tmp_path: Path, run_python: Callable[..., Any]) -> None:
    """2 GB of zeros in 2 MB: no more than the header is unpacked."""
    inner = struct.pack("<IIII", 6, 8, 6, 0) + struct.pack("<IIii", 5, 8, 2**28, 1)
    inner += struct.pack("<II", 1, 7) + b"train_x\0" + struct.pack("<II", 9, 2**31)
    pack = zlib.compressobj(1)
    content = pack.compress(struct.pack("<II", 14, len(inner) + 2**31) + inner)
    content += pack.flush(zlib.Z_FULL_FLUSH)
    # After a full flush the same bytes unpack to the same again; the checksum at the end is never come to.
    content += (pack.compress(bytes(2**24)) + pack.flush(zlib.Z_FULL_FLUSH)) * 2**7
    path = tmp_path / "f.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 15, len(content)) + content)
    program = (
        "import sys\nfrom neurosleep.data import load_dataset\nfrom neurosleep.errors import DataError\n"
        "try: load_dataset('features:' + sys.argv[1])\nexcept DataError as error: print(error)"
    )
    child = run_python(program, path, seconds=10, memory=500, imports=("neurosleep.data",))
    assert child.code == 0 and "f.mat cannot be read" in child.out


# --- version 7.3 ------------------------------------------------------------------------------------------------------


def outside(file: Any, folder: Path) -> None:
    (folder / "secret").write_bytes(bytes(range(48)))
    file.create_dataset("train_x", (2, 3), "u1", external=[(str(folder / "secret"), 0, 6)])


def external(file: Any, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["x"] = np.ones((2, 3))
    file["train_x"] = h5py.ExternalLink(str(folder / "other.h5"), "x")


def soft(file: Any, folder: Path) -> None:
    file["train_x"] = h5py.SoftLink("/test_x")


def virtual(file: Any, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["x"] = np.ones((2, 3))
    layout = h5py.VirtualLayout((2, 3), "f8")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "x", (2, 3))
    file.create_virtual_dataset("train_x", layout)


def declared(file: Any, folder: Path) -> None:
    file.create_dataset("train_x", (2**12, 2**16), "f8", chunks=(1024, 1024), fillvalue=1.0)


def packed(file: Any, folder: Path) -> None:
    data = file.create_dataset("train_x", (2**28,), "f8", chunks=(2**21,), compression="gzip", compression_opts=1)
    raw = zlib.compress(bytes(2**24), 1)
    for k in range(0, 2**28, 2**21):
        data.id.write_direct_chunk((k,), raw)


def wide_chunks(file: Any, folder: Path) -> None:
    file.create_dataset("train_x", (3, 2), "f8", chunks=(2**14, 2**14), compression="gzip", maxshape=(None, None))


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (outside, "keeps its data in another file"),
        (external, "has a link"),
        (soft, "has a link"),
        (virtual, "virtual data set"),
        (declared, "declares 2147483648 bytes and holds 0"),
        (packed, "unpacks to too many bytes"),
        (wide_chunks, "has chunks of"),
    ],
)
def test_hostile_new_files(attack: Callable[[Any, Path], None], words: str, tmp_path: Path) -> None:
    path = tmp_path / "f.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["train_y"], file["test_y"], file["test_x"] = np.array([0.0, 1, 0]), np.array([0.0, 1]), np.ones((2, 2))
        attack(file, tmp_path)
    with pytest.raises(DataError, match=rf"(?s)f\.mat cannot be read as a MATLAB file.*{words}"):
        load_dataset(f"features:{path}")


def test_links_that_are_not_wanted_are_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "f.mat"
    with h5py.File(path, "w") as file:
        file["train_x"], file["test_x"] = np.ones((2, 3)), np.ones((2, 2))
        file["train_y"], file["test_y"] = np.array([0.0, 1, 0]), np.array([0.0, 1])
        file["other"] = h5py.ExternalLink(str(tmp_path / "nowhere.h5"), "x")
        file["refs"] = h5py.SoftLink("/nothing")
    assert load_dataset(f"features:{path}").images.shape == (3, 2)


# --- what is no file --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["mat", "npz"])
@pytest.mark.parametrize("given", ["f_train", "f_*"])
def test_a_pipe_is_not_opened(ending: str, given: str, tmp_path: Path) -> None:
    for part in ("train", "test"):
        os.mkfifo(tmp_path / f"f_{part}.{ending}")
    with pytest.raises(DataError, match=r"'f_train\.\w+' is a named pipe"):
        load_dataset(f"features:{tmp_path / given}.{ending}")
