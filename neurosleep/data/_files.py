"""Reading the files of one published set: idx (plain or gzipped) and npz, with every way they can be broken named.

All functions take ``label``, the name of the file in messages: relative to the folder it was looked for in, so that
no private path ends up in a log or a shared result.
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from neurosleep._guards.arrays import read_npz
from neurosleep._guards.files import check_regular, most_bytes, within
from neurosleep.data._published import SOURCES, Member, md5, owner, sha256
from neurosleep.data.dataset import Array, check_images, check_labels
from neurosleep.errors import DataError

__all__ = ["ForeignFileError", "open_npz", "pair", "parse_idx", "read_member", "read_single_npz"]

N_CLASSES = 10


class ForeignFileError(DataError):
    """A file is, by its checksum, the published file of something else."""


def read_member(name: str, member: Member, path: Path, label: str) -> Array:
    """One member of the set ``name``: uint8 images ``[n, height, width]`` or integer labels ``[n]``.

    Warns (UserWarning) where the file reads well but is not the published one.

    Raises
    ------
    DataError
        If the file cannot be read, is broken, or belongs to another set.
    """
    checks = SOURCES[name].checks(member)
    raw = _read_bytes(path, label) if path.suffix in (".npz", ".gz") else _read_idx(path, member.magic, label)
    if path.suffix == ".npz":
        _check(name, member, label, "MD5", md5(raw), checks.npz_md5)
        arrays, _ = open_npz(raw, label)
        if len(arrays) != 1:
            raise DataError(
                f"{label} does not hold one array.", found=_listing(arrays), expected="a single array (arr_0)"
            )
        return _check_array(member, next(iter(arrays.values())), label)
    if path.suffix == ".gz":
        digest = md5(raw)
        content = _inflate(raw, member.magic, label)
        array = parse_idx(content, member.magic, label)
        if digest != checks.gz_md5:
            # A file packed anew may still have the published content, which is worth telling apart.
            inner = sha256(content)
            _check_owner(name, member, label, inner if owner(digest) is None else digest)
            same = checks.idx_sha256 is not None and inner == checks.idx_sha256
            _warn(label, "MD5", digest, checks.gz_md5, "; its content, unpacked, is the published one" if same else "")
    else:
        array = parse_idx(raw, member.magic, label)
        _check(name, member, label, "SHA-256", sha256(raw), checks.idx_sha256)
    return _check_array(member, array, label)


def read_single_npz(name: str, members: tuple[Member, ...], path: Path, label: str) -> list[Array]:
    """The given members out of one npz file with ``x_train, y_train, x_test, y_test``.

    Raises
    ------
    DataError
        If the file cannot be read, is broken, lacks an array, or belongs to another set.
    """
    arrays, _ = open_npz(_read_bytes(path, label), label)
    missing = [m.npz_array for m in members if m.npz_array not in arrays]
    if missing:
        raise DataError(
            f"{label} does not hold all arrays of a data set.",
            found=_listing(arrays),
            expected=", ".join(m.npz_array for m in members),
        )
    result = []
    for member in members:
        inner = f"{label}: {member.npz_array}"
        array = _check_array(member, arrays[member.npz_array], inner)
        # The idx form of the same array is what the known checksum is of.
        header = struct.pack(f">I{array.ndim}I", member.magic, *array.shape)
        content = header + array.astype(np.uint8).tobytes()
        _check(name, member, inner, "SHA-256", sha256(content), SOURCES[name].checks(member).idx_sha256)
        result.append(array)
    return result


def pair(name: str, part: str, images: Array, labels: Array, images_label: str, labels_label: str) -> None:
    """Refuse images and labels of one part that do not belong together; warn where the count is not the published one.

    Raises
    ------
    DataError
        If the counts disagree.
    """
    if len(images) != len(labels):
        raise DataError(
            f"{images_label} and {labels_label} do not belong together.",
            found=f"{len(images)} images and {len(labels)} labels",
            expected="as many labels as images",
        )
    published = SOURCES[name].count(part)
    if len(images) != published:
        warnings.warn(
            f"{images_label}: {len(images)} images, where the published {SOURCES[name].title} has {published} in its "
            f"{'training' if part == 'train' else 'test'} part; results are not comparable with published ones.",
            stacklevel=2,
        )


def parse_idx(content: bytes, magic: int, label: str) -> Array:
    """The array in the bytes of an unpacked idx file of unsigned bytes; ``magic`` is what it must start with.

    Raises
    ------
    DataError
        If the magic number is another, or there are fewer or more bytes than the header says.
    """
    header = 4 + 4 * (magic & 0xFF)
    _idx_size(content[:header], magic, label)
    _check_length(content, magic, len(content) - header, label)
    # A copy, since an array on top of bytes is read-only and torch warns about such arrays.
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(_idx_shape(content, magic)).copy()


def _idx_shape(head: bytes, magic: int) -> tuple[int, ...]:
    rank = magic & 0xFF
    return struct.unpack(f">{rank}I", head[4 : 4 + 4 * rank])


def _idx_size(head: bytes, magic: int, label: str) -> int:
    """How many bytes of data the header of an idx file declares."""
    header = 4 + 4 * (magic & 0xFF)
    if len(head) < header:
        raise DataError(
            f"{label} is too short for an idx file.",
            found=f"{len(head)} bytes",
            expected=f"a header of {header} bytes and then the data",
        )
    found = int.from_bytes(head[:4], "big")
    if found != magic:
        what = "images" if magic & 0xFF == 3 else "labels"
        raise DataError(
            f"{label} has the wrong magic number for an idx file of {what}.", found=str(found), expected=str(magic)
        )
    # Python integers: the product of three 32-bit sizes overflows a 64-bit one.
    return math.prod(_idx_shape(head, magic))


def _check_length(head: bytes, magic: int, there: int, label: str) -> None:
    """Refuse fewer or more bytes of data than the header declares."""
    shape = _idx_shape(head, magic)
    size = math.prod(shape)
    if there != size:
        raise DataError(
            f"{label} is {'truncated' if there < size else 'longer than its header says'}.",
            found=f"{there} bytes of data",
            expected=f"{size} bytes ({' x '.join(str(side) for side in shape)}, as its header says)",
        )


def open_npz(
    source: bytes | Path, label: str, wanted: Callable[[str], bool] = lambda name: True
) -> tuple[dict[str, Array], dict[str, tuple[int, ...]]]:
    """The wanted arrays of an npz file, and the shapes of all; pickled objects are refused.

    Raises
    ------
    DataError
        If it is no npz file, an array in it cannot be read, or it would unpack to far more than its own size.
    """
    try:
        with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as stream:
            if stream.read(6) != b"\x93NUMPY":
                return read_npz(stream, stream.seek(0, 2), wanted)
    # Which exception numpy, zipfile and zlib raise depends on which byte is damaged.
    except Exception as error:
        raise DataError(
            f"{label} cannot be read as an npz file.",
            found=f"{type(error).__name__}: {error}"[:300],
            expected="a whole npz file of plain arrays",
        ) from error
    raise DataError(f"{label} is no npz file.", found="a single array", expected="an npz archive")


def _read_bytes(path: Path, label: str) -> bytes:
    check_regular(path, DataError, name=label)
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{label} cannot be read.", found=error.strerror or type(error).__name__, expected="a readable file"
        ) from error


def _read_idx(path: Path, magic: int, label: str) -> bytes:
    """The bytes of a plain idx file, whose size is compared with its header first."""
    size = check_regular(path, DataError, name=label)
    try:
        with path.open("rb") as file:
            head = file.read(4 + 4 * (magic & 0xFF))
            _idx_size(head, magic, label)
            _check_length(head, magic, size - len(head), label)
            file.seek(0)
            return file.read()
    except OSError as error:
        raise DataError(
            f"{label} cannot be read.", found=error.strerror or type(error).__name__, expected="a readable file"
        ) from error


def _inflate(raw: bytes, magic: int, label: str) -> bytes:
    """The idx file in a gzip file: its header first, then no more than that declares."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
            head = stream.read(4 + 4 * (magic & 0xFF))
            declared = _idx_size(head, magic, label)
            why = within(declared, len(raw), most_bytes(len(raw)))
            if why is not None:
                shape = " x ".join(str(side) for side in _idx_shape(head, magic))
                raise DataError(
                    f"{label} is truncated, or no file of images or labels.",
                    found=why,
                    expected=f"{declared} bytes ({shape}, as its header says)",
                )
            # One byte more, so that a longer file is noticed; reading to the end compares the checksum.
            data = stream.read(declared + 1)
            _check_length(head, magic, len(data), label)
            return head + data
    except EOFError as error:
        raise DataError(
            f"{label} is truncated.", found=f"a gzip file that ends after {len(raw)} bytes", expected="a whole file"
        ) from error
    except (OSError, zlib.error) as error:
        raise DataError(f"{label} cannot be unpacked.", found=str(error), expected="a whole gzip file") from error


def _check_array(member: Member, array: Array, label: str) -> Array:
    if member.kind == "labels":
        return check_labels(array, N_CLASSES, label)
    check_images(array, label)
    if array.dtype != np.uint8 or array.ndim != 3:
        # These sets are published as bytes. Floats may be scaled in any way, so guessing would be wrong silently.
        raise DataError(
            f"{label} does not hold grey images as they are published.",
            found=f"{array.dtype} of shape {list(array.shape)}",
            expected="uint8 [n, height, width]",
        )
    return array


def _check(name: str, member: Member, label: str, kind: str, digest: str, expected: str | None) -> None:
    if digest == expected:
        return
    _check_owner(name, member, label, digest)
    if expected is not None:
        _warn(label, kind, digest, expected)


def _check_owner(name: str, member: Member, label: str, digest: str) -> None:
    """Refuse a file that is known to be something else: a name never stands for another set."""
    known = owner(digest)
    if known is not None and known != (name, member):
        other, other_member = known
        raise ForeignFileError(
            f"{label} is not what its name says.",
            found=f"the published {other_member.part} {other_member.kind} of {SOURCES[other].title}",
            expected=f"the {member.part} {member.kind} of {SOURCES[name].title}",
        )


def _warn(label: str, kind: str, found: str, expected: str, remark: str = "") -> None:
    warnings.warn(f"{label} is not the published file: its {kind} is {found}, not {expected}{remark}.", stacklevel=2)


def _listing(arrays: dict[str, Array]) -> str:
    return "the arrays " + ", ".join(sorted(arrays)) if arrays else "no array"
