"""NumPy's files, read with a budget: ``.npy`` and ``.npz``.

NumPy's own reader takes the memory that a header declares before it looks whether the bytes are there, and unpacks
archives of any size. Here the size is compared first, the bytes second; only then is there an array.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from neurosleep._guards.files import most_bytes, within

__all__ = ["read_npy", "read_npz", "save_npy"]

_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 10_000
_MAX_MEMBERS = 60_000
_MAX_RANK = 32
_PIECE = 2**20

Array = NDArray[Any]


def read_npy(path: Path) -> Array:
    """The array in a ``.npy`` file, which must be a regular one.

    Raises
    ------
    ValueError
        If the file is no such file, is shorter than its header says, or holds objects. What else is wrong with it
        raises OSError or EOFError.
    """
    with path.open("rb") as stream:
        shape, dtype, order = _header(stream)
        start, end = stream.tell(), stream.seek(0, io.SEEK_END)
        stream.seek(start)
        if _size(shape, dtype) > end - start:
            raise ValueError(f"its header says {_size(shape, dtype)} bytes, and {end - start} are there")
        return _data(stream, shape, dtype, order)


def save_npy(path: Path, array: Array) -> None:
    """Write an array to a file of whatever name: numpy would add an ending to the name."""
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def read_npz(
    source: Path | IO[bytes], size: int, wanted: Callable[[str], bool] = lambda name: True
) -> tuple[dict[str, Array], dict[str, tuple[int, ...]]]:
    """The arrays of an ``.npz`` file that are wanted, and the shapes of all.

    Parameters
    ----------
    source, size:
        The file, and its size in bytes.
    wanted:
        Says of an array's name whether it is read.

    Raises
    ------
    ValueError
        If an array has another size than it declares, they would unpack to more than
        :func:`~neurosleep._guards.files.most_bytes`, or hold objects. A damaged archive raises what zipfile and zlib
        raise.
    """
    arrays: dict[str, Array] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    with zipfile.ZipFile(source) as archive:
        members = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
        if len(members) != len(archive.infolist()) or len(members) > _MAX_MEMBERS:
            raise ValueError("it has two arrays of one name, or too many")
        _check_count(archive, size)
        left = most_bytes(size)
        for name, entry in members.items():
            if not wanted(name):
                continue
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{name!r} is packed by method {entry.compress_type}, not deflated or stored")
            why = within(entry.file_size, entry.compress_size, left)
            if why is not None:
                raise ValueError(f"{name!r}: {why}" if left == most_bytes(size) else f"with {name!r}, {why} in all")
            left -= entry.file_size
        for name, entry in members.items():
            with archive.open(entry) as stream:
                if stream.read(len(_MAGIC)) != _MAGIC:
                    if wanted(name) and entry.filename.endswith(".npy"):
                        raise ValueError(f"{name!r} is no array")
                    continue
            with archive.open(entry) as stream:
                shape, dtype, order = _header(stream)
                shapes[name] = shape
                if not wanted(name):
                    continue
                there = entry.file_size - stream.tell()
                if _size(shape, dtype) != there:
                    raise ValueError(f"{name!r} declares {_size(shape, dtype)} bytes and has {there}")
                arrays[name] = _data(stream, shape, dtype, order)
                if stream.read(1):  # comes to the end, where the checksum is compared
                    raise ValueError(f"{name!r} is longer than it says")
    return arrays, shapes


def _check_count(archive: zipfile.ZipFile, size: int) -> None:
    """Compare the members found with their number at the end: a damaged length hides those behind it from zipfile."""
    assert archive.fp is not None
    archive.fp.seek(size - 22 - len(archive.comment))
    end = archive.fp.read(22)
    if end[:4] != b"PK\x05\x06" or struct.unpack("<HH", end[8:12]) != (len(archive.infolist()),) * 2:
        raise ValueError(f"its end does not say that it has {len(archive.infolist())} arrays")


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """Shape, type, and whether the columns come first."""
    head = stream.read(8)
    if len(head) < 8 or head[:6] != _MAGIC:
        raise ValueError("it does not start as an array of NumPy does")
    kinds: dict[bytes, tuple[str, Callable[..., Any]]] = {
        b"\x01\x00": ("<H", np.lib.format.read_array_header_1_0),
        b"\x02\x00": ("<I", np.lib.format.read_array_header_2_0),
    }
    if head[6:] not in kinds:
        raise ValueError(f"it is of version {head[6]}.{head[7]}, where 1.0 and 2.0 are read")
    form, read = kinds[head[6:]]
    raw = stream.read(struct.calcsize(form))
    (length,) = struct.unpack(form, raw)
    if length > _MAX_HEADER:
        raise ValueError(f"it has a header of {length} bytes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd numbers and types in a made-up header; they are refused below
        shape, order, dtype = read(io.BytesIO(raw + stream.read(length)))
    if dtype.hasobject:
        raise ValueError("it holds objects of Python, which are not read")
    if dtype.itemsize == 0 or dtype.subdtype is not None or len(shape) > _MAX_RANK:
        raise ValueError(f"it declares an array of {dtype!s:.60} with {len(shape)} axes")
    if any(isinstance(side, bool) or side < 0 or side > 2**62 for side in shape):
        raise ValueError(f"it declares the shape {str(shape)[:80]}")
    return tuple(shape), dtype, order


def _size(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    return math.prod(shape) * dtype.itemsize  # integers of Python, which do not overflow


def _data(stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any], order: bool) -> Array:
    raw = np.empty(_size(shape, dtype), np.uint8)
    view, at = memoryview(raw), 0  # type: ignore[arg-type]
    while at < len(raw):
        piece = stream.read(min(_PIECE, len(raw) - at))
        if not piece:
            raise EOFError(f"it ends after {at} of {len(raw)} bytes")
        view[at : at + len(piece)] = piece
        at += len(piece)
    values = raw.view(dtype)
    return values.reshape(shape[::-1]).T if order else values.reshape(shape)
