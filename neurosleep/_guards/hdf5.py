"""HDF5 files as nested dictionaries of plain values, read with a budget: files come from strangers.

Nothing outside the file is opened: external and soft links, external storage and virtual data sets are refused before
any data is read, and so is every filter that HDF5 would load a plugin for. What a file declares is checked against its
size before memory is asked for.
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosleep._guards.files import most_bytes
from neurosleep.errors import ExchangeError, NeurosleepError, missing_extra

__all__ = ["read_hdf5", "read_numbers"]

#: Groups and data sets that a file may hold.
_MAX_OBJECTS = 50_000
#: Groups within groups.
_MAX_DEPTH = 40
#: Entries of an array of strings, and the characters of all strings of a file.
_MAX_STRINGS, _MAX_CHARACTERS = 100_000, 2**26
#: Bytes that a small file's data may unpack to; a larger one: a multiple of its size.
_FREE, _RATIO = 2**28, 8
#: deflate, shuffle, fletcher32, szip, nbit, scaleoffset, lzf: what HDF5 and h5py bring along.
_FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})


def read_hdf5(path: Path, group: str) -> dict[str, Any]:
    """The group named ``group`` of an HDF5 file: dictionaries for groups, arrays, numbers and strings for data sets.

    Raises
    ------
    ExchangeError
        If the file is damaged or refers to anything outside itself, or holds more than it may.
    """
    h5py = _h5py("nir", "Reading HDF5 files")
    tree: dict[str, Any]
    tree = _guarded(h5py, path, ExchangeError, lambda file: _Walk(h5py, path, ExchangeError).start(file, group))
    return tree


def read_numbers(
    path: Path, wanted: Callable[[str], bool], *, extra: str, error: type[NeurosleepError]
) -> tuple[dict[str, NDArray[Any]], dict[str, tuple[int, ...]]]:
    """Arrays of numbers at the root of an HDF5 file that are wanted, and the shapes of all that are there.

    Groups and data sets that hold no numbers are passed over, and what is not wanted is not read. Of MATLAB's files
    texts and empty arrays, which look like numbers, are passed over too; shapes are as stored, the last axis first.

    Raises
    ------
    NeurosleepError
        Of the class ``error``: if the file is damaged, or a wanted array refers to anything outside the file, or holds
        more than it may.
    """
    h5py = _h5py(extra, f"Reading {path.name}")
    numbers: tuple[dict[str, NDArray[Any]], dict[str, tuple[int, ...]]]
    numbers = _guarded(h5py, path, error, lambda file: _Walk(h5py, path, error, most_bytes).root(file, wanted))
    return numbers


def _h5py(extra: str, purpose: str) -> Any:
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        raise missing_extra("h5py", extra, purpose) from error


def _guarded(h5py: Any, path: Path, error: type[NeurosleepError], read: Callable[[Any], Any]) -> Any:
    try:
        _check_superblock(path)
        with h5py.File(path, "r") as file:
            return read(file)
    except NeurosleepError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError, OverflowError, IndexError) as problem:
        text = str(problem).splitlines()
        raise error(
            f"{path.name!r} is no HDF5 file, or a damaged one.", found=text[0] if text else type(problem).__name__
        ) from problem


def _check_superblock(path: Path) -> None:
    """Refuse a file whose first block says that it is longer than it is, or lies in several files.

    HDF5 reads zeros, and takes memory for them, wherever the file should be and is not (HDF5 file format specification,
    section II.A; versions 0 to 3).
    """
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        while True:
            file.seek(at)
            head = file.read(96)
            if head[:8] == b"\x89HDF\r\n\x1a\n":
                break
            at = 2 * at or 512  # where HDF5 looks for it
            if len(head) < 8:
                raise OSError("file signature not found")
    version = head[8] if len(head) == 96 else 255
    if version > 3:
        raise OSError(f"its first block is truncated, or of version {version}")
    old = version < 2
    if (head[13], head[14]) != (8, 8) if old else (head[9], head[10]) != (8, 8):
        raise OSError("its addresses are not of 8 bytes")
    start = 24 + 4 * version if old else 12
    base, _, end, driver = struct.unpack_from("<4Q", head, start)
    if base not in (0, at) or not 0 < end <= size or (old and driver != 2**64 - 1):
        raise OSError(f"its first block says that it ends at byte {end} of {size}, or lies in several files")


class _Walk:
    def __init__(
        self,
        h5py: Any,
        path: Path,
        error: type[NeurosleepError],
        most: Callable[[int], int] = lambda size: max(_FREE, _RATIO * size),
    ) -> None:
        self.h5py, self.path, self.error = h5py, path, error
        self.objects = self.characters = 0
        self.seen: set[Any] = set()
        self.size = path.stat().st_size
        self.most = self.bytes_left = most(self.size)
        self.heaps: dict[int, dict[int, bytes]] = {}
        self.heap_bytes = 0

    def _refuse(self, where: str, what: str, expected: str | None = None) -> NeurosleepError:
        return self.error(f"{self.path.name!r} {what} at {where!r}.", expected=expected)

    def start(self, file: Any, group: str) -> dict[str, Any]:
        if group not in file or not isinstance(self._open(file, group, group), self.h5py.Group):
            raise self.error(f"{self.path.name!r} has no group {group!r}.", expected="a file of NIR")
        self.seen.clear()
        self.objects = 0
        tree: dict[str, Any] = self._read(file, group, group, 0)
        return tree

    def root(
        self, file: Any, wanted: Callable[[str], bool]
    ) -> tuple[dict[str, NDArray[Any]], dict[str, tuple[int, ...]]]:
        arrays: dict[str, NDArray[Any]] = {}
        shapes: dict[str, tuple[int, ...]] = {}
        if len(file) > _MAX_OBJECTS:
            raise self._refuse("/", f"holds more than {_MAX_OBJECTS} groups and data sets")
        for key in file.keys():  # noqa: SIM118
            name = str(key)
            if not wanted(name) and not isinstance(file.get(key, getlink=True), self.h5py.HardLink):
                continue
            item = self._open(file, key, name)
            if not isinstance(item, self.h5py.Dataset) or item.dtype.kind not in "fiub" or item.shape is None:
                continue
            if "MATLAB_empty" in item.attrs or self._short_text(item, "MATLAB_class") == b"char":
                continue
            shapes[name] = item.shape
            if wanted(name):
                arrays[name] = np.asarray(self._value(item, name))
        return arrays, shapes

    @staticmethod
    def _short_text(item: Any, name: str) -> bytes:
        """An attribute that is one text of a fixed length; HDF5's reader of others is not trusted."""
        if name not in item.attrs:
            return b""
        attribute = item.attrs.get_id(name)
        fixed = attribute.dtype.kind == "S" and attribute.shape in ((), (1,)) and attribute.dtype.itemsize <= 64
        return bytes(np.asarray(item.attrs[name]).reshape(-1)[0]).rstrip(b"\0") if fixed else b""

    def _open(self, parent: Any, key: str, where: str) -> Any:
        """A member of a group, if it lies in this file and was not met before."""
        if not isinstance(parent.get(key, getlink=True), self.h5py.HardLink):
            raise self._refuse(where, "has a link", "groups and data sets in the file itself")
        self.objects += 1
        if self.objects > _MAX_OBJECTS:
            raise self._refuse(where, f"holds more than {_MAX_OBJECTS} groups and data sets")
        info = self.h5py.h5o.get_info(parent.id, key.encode())
        identity = (info.fileno, info.addr)
        if identity in self.seen:
            raise self._refuse(where, "has the same group or data set twice", "a tree")
        self.seen.add(identity)
        return parent[key]

    def _read(self, parent: Any, key: str, where: str, depth: int) -> Any:
        item = self._open(parent, key, where)
        if isinstance(item, self.h5py.Dataset):
            return self._value(item, where)
        if not isinstance(item, self.h5py.Group):
            raise self._refuse(where, "has something that is neither a group nor data")
        if depth > _MAX_DEPTH:
            raise self._refuse(where, f"has more than {_MAX_DEPTH} groups within groups")
        if len(item) + self.objects > _MAX_OBJECTS:
            raise self._refuse(where, f"holds more than {_MAX_OBJECTS} groups and data sets")
        return {str(name): self._read(item, name, f"{where}/{name}", depth + 1) for name in item.keys()}  # noqa: SIM118

    def _value(self, data: Any, where: str) -> Any:
        h5py, plan = self.h5py, data.id.get_create_plist()
        if plan.get_external_count() > 0:
            raise self._refuse(where, "keeps its data in another file", "data in the file itself")
        if data.is_virtual:
            raise self._refuse(where, "has a virtual data set", "data in the file itself")
        for k in range(plan.get_nfilters()):
            if plan.get_filter(k)[0] not in _FILTERS:
                raise self._refuse(where, f"needs the filter {plan.get_filter(k)[0]}", "gzip, lzf or no compression")
        if data.shape is None:
            raise self._refuse(where, "has empty data")
        if h5py.check_string_dtype(data.dtype) is not None:
            return self._strings(data, where)
        if data.dtype.kind not in "fiub" or data.dtype.subdtype is not None or data.dtype.itemsize > 16:
            raise self._refuse(where, f"has data of type {data.dtype}", "numbers or text")
        self._budget(data, where, data.dtype.itemsize)
        return data[()]

    def _budget(self, data: Any, where: str, itemsize: int) -> None:
        size = itemsize
        for length in data.shape:
            size *= int(length)
        stored = data.id.get_storage_size()
        # A chunk is unpacked whole, whatever of it belongs to the data.
        chunk = itemsize
        for length in data.chunks or ():
            chunk *= int(length)
        if data.chunks is not None and chunk > max(2 * size, 2**22):
            raise self._refuse(where, f"has chunks of {chunk} bytes for data of {size} bytes")
        # deflate packs at best 1032 to 1, and bytes that are nowhere in the file are none that anybody wrote.
        if size > 1100 * stored + 4096 and size > 2**16:
            raise self._refuse(where, f"declares {size} bytes and holds {stored}", "data that is in the file")
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise self._refuse(where, "unpacks to too many bytes", f"at most {self.most} bytes")

    def _strings(self, data: Any, where: str) -> Any:
        count = 1
        for length in data.shape:
            count *= int(length)
        if count > _MAX_STRINGS or len(data.shape) > 2:
            raise self._refuse(where, f"has {count} strings", f"at most {_MAX_STRINGS}")
        if data.dtype.kind == "S":
            self._budget(data, where, data.dtype.itemsize)
            values = [self._text(bytes(value), where) for value in np.asarray(data[()]).reshape(-1)]
        else:
            values = self._variable(data, count, where)
        if not data.shape:
            return values[0]
        if len(data.shape) == 1:
            return values
        width = int(data.shape[1])
        return [values[k : k + width] for k in range(0, count, width)] if width else []

    def _variable(self, data: Any, count: int, where: str) -> list[str]:
        """Texts of any length. HDF5's own reader of them can be sent into an endless loop, so they are read here.

        Each element is a length, the address of a global heap collection, and the number of an object in it (HDF5 file
        format specification, sections III.E and IV.A.2.d, version 3).
        """
        if count == 0:
            return []
        offset, sizes = data.id.get_offset(), data.file.id.get_create_plist().get_sizes()
        if offset is None or sizes[0] != 8 or sizes[1] != 8 or data.id.get_storage_size() < 16 * count:
            raise self._refuse(where, "keeps text in a layout that is not read", "contiguous text")
        elements = self._bytes(offset, 16 * count, where)
        texts = []
        for k in range(count):
            length, address, index = struct.unpack_from("<IQI", elements, 16 * k)
            texts.append(self._text(self._heap_object(address, index, where)[:length] if length else b"", where))
        return texts

    def _bytes(self, offset: int, length: int, where: str) -> bytes:
        if offset < 0 or offset + length > self.size:
            raise self._refuse(where, "refers to bytes beyond its end")
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def _heap_object(self, address: int, index: int, where: str) -> bytes:
        if address not in self.heaps:
            signature, version, size = struct.unpack("<4sB3xQ", self._bytes(address, 16, where))
            if signature != b"GCOL" or version != 1 or not 16 <= size <= self.size:
                raise self._refuse(where, "has a damaged heap")
            self.heap_bytes += size
            if self.heap_bytes > 2 * self.size:
                raise self._refuse(where, "has heaps that overlap")
            content, objects, at = self._bytes(address, size, where), {}, 16
            while at + 16 <= size:
                number, length = struct.unpack_from("<H6xQ", content, at)
                if number == 0:
                    break
                if length > size - at - 16:
                    raise self._refuse(where, "has a damaged heap")
                objects[number] = content[at + 16 : at + 16 + length]
                at += 16 + (length + 7) // 8 * 8
            self.heaps[address] = objects
        if index not in self.heaps[address]:
            raise self._refuse(where, "has a damaged heap")
        return self.heaps[address][index]

    def _text(self, raw: bytes, where: str) -> str:
        self.characters += len(raw)
        if self.characters > _MAX_CHARACTERS:
            raise self._refuse(where, f"has more than {_MAX_CHARACTERS} characters of text")
        try:
            return raw.rstrip(b"\0").decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._refuse(where, "has text that is not UTF-8") from error
