"""Arrays that grow at their end, in memory or in a file: what a recording is collected in."""

from __future__ import annotations

import math
import os
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosleep._guards.files import check_regular
from neurosleep.errors import DataError, RunFolderError

__all__ = ["Store", "read_array"]

# What a store writes; NumPy's own reader would evaluate anything that stands there.
_HEADER = re.compile(
    rb"\{'descr': '(?P<dtype>[<>|][iuf][1248])', 'fortran_order': False, "
    rb"'shape': \((?P<rows>\d{1,18}),(?: (?P<width>\d{1,18}))?\), \} *\n"
)


class Store:
    """Rows appended one after another.

    Parameters
    ----------
    dtype, width:
        Type of the numbers, and how many a row holds; None: rows are single numbers.
    path:
        A ``.npy`` file to be written, which must not exist; None: memory. The file is whole after every append, so
        that what a killed process has recorded can be read.
    """

    def __init__(self, dtype: Any, width: int | None = None, path: Path | None = None) -> None:
        self._dtype, self._path = np.dtype(dtype), path
        self._shape: tuple[int, ...] = () if width is None else (width,)
        self._rows, self._parts = 0, [np.zeros((0, *self._shape), dtype)]
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.open("xb").close()
            except OSError as error:
                raise _unwritable(path, error) from error
            self._write(b"")

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows at the end."""
        added = np.ascontiguousarray(rows, dtype=self._dtype)
        self._rows += len(added)
        if self._path is None:
            if len(added):
                self._parts.append(added)
        else:
            self._write(added.tobytes())

    def array(self) -> NDArray[Any]:
        """All rows so far; of a file, a view that reads it as needed."""
        if self._path is not None:
            return read_array(self._path)
        if len(self._parts) > 1:
            # Kept joined, so that asking twice costs no second copy.
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0]

    def _write(self, content: bytes) -> None:
        assert self._path is not None
        header = BytesIO()
        described = np.lib.format.dtype_to_descr(self._dtype)
        # NumPy leaves room for the number of rows to grow, so that the header always has the same length.
        np.lib.format.write_array_header_1_0(
            header, {"descr": described, "fortran_order": False, "shape": (self._rows, *self._shape)}
        )
        try:
            # Opened each time, so that nothing is left open however a simulation ends.
            with self._path.open("r+b") as file:
                # The rows before the number that counts them: a process killed between the two leaves a shorter array.
                if file.seek(0, 2) == 0:
                    file.write(header.getvalue())
                file.write(content)
                file.flush()
                file.seek(0)
                file.write(header.getvalue())
        except OSError as error:
            raise _unwritable(self._path, error) from error


def read_array(path: Path) -> NDArray[Any]:
    """The array in a ``.npy`` file that a :class:`Store` wrote, read as needed and never written to.

    Raises
    ------
    DataError
        If the file holds anything else, or less than it says.
    """
    if os.path.exists(path):
        check_regular(path, DataError, expected="an array that was recorded")
    try:
        with path.open("rb") as file:
            start = file.read(10)
            length = int.from_bytes(start[8:], "little")
            header = _HEADER.fullmatch(file.read(length))
            size = file.seek(0, 2)
        if start[:8] != b"\x93NUMPY\x01\x00" or header is None:
            raise ValueError("it does not start as such a file")
        dtype = np.dtype(header["dtype"].decode())
        shape = tuple(int(number) for number in (header["rows"], header["width"]) if number is not None)
        if 10 + length + math.prod(shape) * dtype.itemsize > size:
            raise ValueError(f"it is too short for an array {list(shape)}")
        if 0 in shape:
            return np.zeros(shape, dtype)  # nothing that could be mapped
        return np.memmap(path, dtype, "r", 10 + length, shape)
    except (OSError, ValueError, TypeError, OverflowError) as error:
        raise DataError(f"The recorded array {str(path)!r} cannot be read.", found=str(error)[:200]) from error


def _unwritable(path: Path, error: OSError) -> RunFolderError:
    if isinstance(error, FileExistsError):
        return RunFolderError(
            f"The folder {str(path.parent)!r} holds a recording already.",
            found=path.name,
            hint="record into another folder, or remove it",
        )
    return RunFolderError(f"The recording cannot be written to {str(path)!r}.", found=error.strerror or str(error))
