"""NumPy's files as NumPy reads them, and nothing that they only declare."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from neurosleep._guards import files
from neurosleep._guards.arrays import read_npy, read_npz
from neurosleep._guards.files import FREE, most_bytes, within

KINDS = st.one_of(
    arrays.floating_dtypes(),
    arrays.integer_dtypes(),
    arrays.unsigned_integer_dtypes(),
    arrays.boolean_dtypes(),
    arrays.complex_number_dtypes(),
    arrays.unicode_string_dtypes(min_len=1, max_len=5),
)


@given(arrays.arrays(KINDS, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)), st.booleans())
def test_arrays_come_back(values: np.ndarray[Any, Any], columns: bool) -> None:
    values = np.asfortranarray(values) if columns else values
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, a=values, b=values[None])
    found, shapes = read_npz(io.BytesIO(stream.getvalue()), len(stream.getvalue()), lambda name: name == "a")
    assert found.keys() == {"a"} and shapes == {"a": values.shape, "b": (1, *values.shape)}
    assert found["a"].dtype == values.dtype and found["a"].shape == values.shape
    assert found["a"].tobytes() == values.tobytes()


def header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    "content",
    [
        header("(1099511627776,)"),
        header("(2, 4611686018427387904, 4611686018427387904)"),
        header("(-1,)"),
        header("(3,)") + bytes(16),
        header("(True,)") + bytes(8),
        header("(1000000000000,)", "'|V0'"),
        header("(3,)", "'|O'"),
        header("(3,)", "[('a', '|O')]"),
        header("(3,)", "__import__('os').system('true')"),
        header("(" + "1," * 40 + ")") + bytes(8),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        b"\x93NUMPY\x09\x00" + bytes(50),
        b"\x93NUMPY",
        b"",
    ],
)
def test_what_is_only_declared_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises((ValueError, EOFError, struct.error)):
        read_npy(tmp_path / "x.npy")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x.npy", content)
    with pytest.raises((ValueError, EOFError, struct.error)):
        read_npz(stream, len(stream.getvalue()))


def test_archives_that_unpack_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FREE", 2**26)

    def archive(names: int, total: int, method: int = zipfile.ZIP_DEFLATED) -> Path:
        path = tmp_path / "x.npz"
        with zipfile.ZipFile(path, "w", method, compresslevel=1) as file:
            for k in range(names):
                with file.open(f"a{k}.npy", "w", force_zip64=True) as member:
                    member.write(header(f"({total},)", "'|u1'"))
                    for _ in range(total >> 24):
                        member.write(bytes(2**24))
        return path

    path = archive(3, files.FREE // 2)  # three halves of what a small file may unpack to
    with pytest.raises(ValueError, match=r"with 'a1', it would unpack"):
        read_npz(path, path.stat().st_size)
    found, shapes = read_npz(path, path.stat().st_size, lambda name: False)
    assert found == {} and shapes["a2"] == (files.FREE // 2,)
    path = archive(1, 2**24, zipfile.ZIP_LZMA)  # whose dictionary may be of any size
    with pytest.raises(ValueError, match="packed by method"):
        read_npz(path, path.stat().st_size)


def test_two_arrays_of_one_name() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for _ in range(2):
            archive.writestr("x.npy", header("(1,)") + bytes(8))
    with pytest.raises(ValueError, match="two arrays of one name"):
        read_npz(stream, 1000)


def test_what_a_file_may_unpack_to() -> None:
    assert within(10**6, 10**3, 10**9) is None and within(2 * 10**6, 10**3, 10**9) is not None
    assert within(10**9 + 1, 10**7, 10**9) is not None
    assert most_bytes(0) == FREE and most_bytes(FREE) == 32 * FREE
