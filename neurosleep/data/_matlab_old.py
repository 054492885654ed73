"""MATLAB files before version 7.3, read here byte by byte: a damaged one crashes readers that are written in C.

Only full arrays of real numbers are read; everything else a file may hold is stepped over by its length.

References
----------
MathWorks, MAT-File Format (R2024a): levels 5 and 4.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from neurosleep._guards.files import most_bytes, within
from neurosleep.data.dataset import Array

__all__ = ["read_old"]

# Types of elements, level 5.
_MATRIX, _COMPRESSED, _INT32, _UINT32 = 14, 15, 5, 6
_NUMBERS = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
# Classes of arrays whose values are numbers, level 5: double, single and the integers.
_DOUBLE, _SINGLE, _LAST = 6, 7, 15
_COMPLEX = 0x0800
# Precisions, level 4.
_OLD_NUMBERS = ("f8", "f4", "i4", "i2", "u2", "u1")
# What stands before the numbers of an array: flags, sizes and name.
_MAX_HEAD, _MAX_RANK, _MAX_VARIABLES = 4096, 32, 10_000

Found = tuple[dict[str, Array], dict[str, tuple[int, ...]]]


def read_old(path: Path, wanted: Callable[[str], bool]) -> Found:
    """The arrays of a file of level 5 or 4 that are wanted, and the shapes of all arrays of numbers.

    Numbers keep the type in which they are stored, which may be a shorter one than MATLAB shows.

    Raises
    ------
    ValueError
        If the file is damaged, or declares more than is there or than
        :func:`~neurosleep._guards.files.most_bytes`.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        start = file.read(128)
        # Level 4 starts with a number below 5000, level 5 with text.
        if len(start) >= 4 and 0 in start[:4]:
            return _level4(file, size, wanted)
        if len(start) < 128 or start[126:] not in (b"IM", b"MI"):
            raise ValueError("it does not start as a MATLAB file does")
        order = "<" if start[126:] == b"IM" else ">"
        (version,) = struct.unpack(f"{order}H", start[124:126])
        if version >> 8 != 1:
            raise ValueError(f"it is of version {version >> 8}.{version & 255}")
        return _level5(file, size, order, wanted)


class _Collected:
    """What was found, with a check of names and sizes."""

    def __init__(self, size: int) -> None:
        self.arrays: dict[str, Array] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.left, self.count = most_bytes(size), 0

    def next(self) -> None:
        self.count += 1
        if self.count > _MAX_VARIABLES:
            raise ValueError(f"it holds more than {_MAX_VARIABLES} variables")

    def named(self, name: str, shape: tuple[int, ...]) -> None:
        if name in self.shapes:
            raise ValueError(f"it holds two variables named {name!r:.60}")
        self.shapes[name] = shape

    def room(self, name: str, declared: int, packed: int) -> None:
        why = within(declared, packed, self.left)
        if why is not None:
            raise ValueError(f"{name!r:.60}: {why}")
        self.left -= declared


# --- level 5 ----------------------------------------------------------------------------------------------------------


def _level5(file: IO[bytes], size: int, order: str, wanted: Callable[[str], bool]) -> Found:
    variables, at = _Collected(size), 128
    while at < size:
        variables.next()
        file.seek(at)
        tag = file.read(8)
        if len(tag) < 8:
            raise ValueError("it is truncated")
        kind, length = struct.unpack(f"{order}II", tag)
        at += 8 + length
        if kind not in (_MATRIX, _COMPRESSED) or length == 0 or at > size:
            raise ValueError(f"at byte {at - 8 - length} stands no whole variable (type {kind}, {length} bytes)")
        if kind == _MATRIX:
            whole, head = None, file.read(min(length, _MAX_HEAD))
        else:
            packed = file.read(length)
            unpack = zlib.decompressobj()
            whole, head = packed, unpack.decompress(packed, _MAX_HEAD + 8)
            kind, inner = struct.unpack(f"{order}II", head[:8])
            if kind != _MATRIX:
                raise ValueError(f"a packed variable is of type {kind}")
            length, head = inner, head[8:]
        _variable(file, variables, order, wanted, at, length, head, whole)
    return variables.arrays, variables.shapes


def _variable(
    file: IO[bytes],
    found: _Collected,
    order: str,
    wanted: Callable[[str], bool],
    end: int,
    length: int,
    head: bytes,
    packed: bytes | None,
) -> None:
    """One array: ``head`` is its start, ``packed`` all of it where it is compressed, with its tag."""
    flags_type, flags, at = _element(head, 0, order)
    if flags_type != _UINT32 or len(flags) != 8:
        raise ValueError("a variable has no flags")
    bits, _ = struct.unpack(f"{order}II", flags)
    sizes_type, sizes, at = _element(head, at, order)
    rank = len(sizes) // 4
    if sizes_type != _INT32 or len(sizes) % 4 or not 2 <= rank <= _MAX_RANK:
        raise ValueError("a variable has no sizes")
    shape = struct.unpack(f"{order}{rank}i", sizes)
    name_type, raw_name, at = _element(head, at, order)
    name = raw_name.rstrip(b"\0").decode("latin-1")
    if name_type not in (1, 2, 16) or min(shape) < 0:
        raise ValueError("a variable has no name, or negative sizes")
    kind = bits & 0xFF
    if not _DOUBLE <= kind <= _LAST or bits & _COMPLEX or name.startswith("__"):
        return
    found.named(name, shape)
    if not wanted(name):
        return
    stored, count, start, small = _tag(head, at, order)
    number = np.dtype(order + _NUMBERS[stored]) if stored in _NUMBERS else None
    if number is None or (kind > _SINGLE and number.kind == "f"):
        raise ValueError(f"{name!r:.60} stores its numbers as type {stored}")
    if count != math.prod(shape) * number.itemsize or start + count > length:
        raise ValueError(f"{name!r:.60} has {count} bytes for the shape {list(shape)} of {number}")
    if small:
        raw = head[start : start + count]
        if packed is not None:
            _unpacked(packed, length, name)
    elif packed is None:
        found.room(name, count, count)
        file.seek(end - length + start)
        raw = file.read(count)
    else:
        found.room(name, length, len(packed))
        raw = bytes(_unpacked(packed, length, name)[8 + start : 8 + start + count])
    if len(raw) != count:
        raise ValueError(f"{name!r:.60} is truncated")
    found.arrays[name] = np.frombuffer(raw, number).reshape(shape, order="F")


def _unpacked(packed: bytes, length: int, name: str) -> memoryview:
    """A whole element with its tag; the checksum at its end is compared."""
    unpack = zlib.decompressobj()
    whole = unpack.decompress(packed, length + 9)
    if len(whole) != length + 8 or not unpack.eof:
        raise ValueError(f"{name!r:.60} unpacks to another number of bytes than {length}")
    return memoryview(whole)


def _tag(content: bytes, at: int, order: str) -> tuple[int, int, int, bool]:
    """Type and length of an element, where its data starts, and whether they stand in its tag."""
    if at + 8 > len(content):
        raise ValueError("a variable is truncated")
    kind, length = struct.unpack_from(f"{order}II", content, at)
    if kind >> 16:
        if kind >> 16 > 4:
            raise ValueError(f"an element of {kind >> 16} bytes stands in a tag of 4")
        return kind & 0xFFFF, kind >> 16, at + 4, True
    return kind, length, at + 8, False


def _element(content: bytes, at: int, order: str) -> tuple[int, bytes, int]:
    """Type and data of an element, and where the next one starts."""
    kind, length, start, small = _tag(content, at, order)
    if start + length > len(content):
        raise ValueError("a variable is truncated, or its name is too long")
    return kind, content[start : start + length], at + 8 if small else start + (length + 7) // 8 * 8


# --- level 4 ----------------------------------------------------------------------------------------------------------


def _level4(file: IO[bytes], size: int, wanted: Callable[[str], bool]) -> Found:
    variables = _Collected(size)
    for start in _headers4(file, size, variables):
        order, number, text, shape, complex_, name, end = start
        if text != 0 or complex_:
            continue
        variables.named(name, shape)
        if not wanted(name):
            continue
        count = math.prod(shape) * number.itemsize
        variables.room(name, count, count)
        file.seek(end - count)
        raw = file.read(count)
        variables.arrays[name] = np.frombuffer(raw, number.newbyteorder(order)).reshape(shape, order="F")  # type: ignore[arg-type]
    return variables.arrays, variables.shapes


def _headers4(
    file: IO[bytes], size: int, found: _Collected
) -> Iterator[tuple[str, np.dtype[np.generic], int, tuple[int, int], bool, str, int]]:
    """Byte order, type, 0 for numbers, shape, whether complex, name and end of every matrix."""
    at = 0
    while at < size:
        found.next()
        file.seek(at)
        raw = file.read(20)
        if len(raw) < 20:
            raise ValueError("it is truncated")
        order = "<" if 0 <= struct.unpack("<i", raw[:4])[0] <= 5000 else ">"
        about, rows, columns, imaginary, name_length = struct.unpack(f"{order}5i", raw)
        machine, rest = divmod(about, 1000)
        zero, precision, text = rest // 100, rest // 10 % 10, rest % 10
        sound = machine in (0, 1) and zero == 0 and precision < len(_OLD_NUMBERS) and text in (0, 1, 2)
        if not sound or min(rows, columns) < 0 or imaginary not in (0, 1) or not 0 < name_length <= 256:
            raise ValueError(f"at byte {at} stands no matrix of MATLAB 4")
        number = np.dtype(_OLD_NUMBERS[precision])
        name = file.read(name_length).split(b"\0")[0].decode("latin-1")
        count = rows * columns * number.itemsize
        at += 20 + name_length + count * (1 + imaginary)
        if at > size:
            raise ValueError(f"{name!r:.60} declares {rows} x {columns} numbers, which are not there")
        yield order, number, text, (rows, columns), bool(imaginary), name, at
