"""Reading the arrays of numbers in a MATLAB file, of version 7.3 (HDF5) or before."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from neurosleep.data.dataset import Array
from neurosleep.errors import DataError, missing_extra

__all__ = ["read_mat"]

_EXPECTED = "a MATLAB file as `save` writes it, of any version"


def read_mat(path: Path) -> dict[str, Array]:
    """Every variable of a ``.mat`` file that is a full array of numbers, as MATLAB would show its shape.

    Structs, cells, texts and sparse arrays are passed over.

    Raises
    ------
    MissingExtraError
        If the reader (scipy, for version 7.3 h5py) is not installed.
    DataError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(520)
    except OSError as error:
        raise DataError(f"{path.name} cannot be read.", found=error.strerror or str(error)) from error
    # A file of version 7.3 is an HDF5 file behind a header of 512 bytes (or without one, as other tools write it).
    new = b"\x89HDF\r\n\x1a\n" in (start[:8], start[512:520])
    reader = _module("h5py", path) if new else _module("scipy.io", path)
    try:
        return _read_new(reader, path) if new else _read_old(reader, path)
    # Which exception is raised depends on which byte is damaged.
    except Exception as error:
        raise DataError(
            f"{path.name} cannot be read as a MATLAB file.",
            found=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
            expected=_EXPECTED,
        ) from error


def _module(name: str, path: Path) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise missing_extra(name.split(".")[0], "features", f"Reading {path.name}") from None


def _read_old(scipy_io: Any, path: Path) -> dict[str, Array]:
    variables = scipy_io.loadmat(str(path))
    return {
        name: array
        for name, array in variables.items()
        if isinstance(array, np.ndarray) and array.dtype.kind in "fiub" and not name.startswith("__")
    }


def _read_new(h5py: Any, path: Path) -> dict[str, Array]:
    found: dict[str, Array] = {}
    with h5py.File(path, "r") as file:
        for name, item in file.items():
            if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiub":
                continue
            if "MATLAB_empty" in item.attrs or item.attrs.get("MATLAB_class", b"double") == b"char":
                continue
            # MATLAB stores columns first, so its axes come out in reverse.
            found[name] = np.asarray(item).T
    return found
