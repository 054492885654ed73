"""Reading the arrays of numbers in a MATLAB file, of version 7.3 (HDF5) or before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from neurosleep._guards.files import check_regular
from neurosleep._guards.hdf5 import read_numbers
from neurosleep.data._matlab_old import read_old
from neurosleep.data.dataset import Array
from neurosleep.errors import DataError, MissingExtraError

__all__ = ["read_mat"]

_EXPECTED = "a MATLAB file as `save` writes it, of any version"


def read_mat(path: Path, wanted: Callable[[str], bool]) -> tuple[dict[str, Array], dict[str, tuple[int, ...]]]:
    """The wanted variables of a ``.mat`` file that are full arrays of numbers, and the shapes of all such variables.

    Shapes are as MATLAB would show them. Structs, cells, texts and sparse arrays are passed over. Nothing outside the
    file is opened, and memory is bounded by its size.

    Raises
    ------
    MissingExtraError
        If the reader of version 7.3 (h5py) is not installed.
    DataError
        If the file cannot be read.
    """
    check_regular(path, DataError, name=path.name, expected=_EXPECTED)
    try:
        with path.open("rb") as file:
            start = file.read(520)
    except OSError as error:
        raise DataError(f"{path.name} cannot be read.", found=error.strerror or str(error)) from error
    # A file of version 7.3 is an HDF5 file behind a header of 512 bytes (or without one, as other tools write it).
    new = b"\x89HDF\r\n\x1a\n" in (start[:8], start[512:520])
    try:
        if not new:
            return read_old(path, wanted)
        arrays, shapes = read_numbers(path, wanted, extra="features", error=DataError)
    except MissingExtraError:
        raise
    # Which exception is raised depends on which byte is damaged.
    except Exception as error:
        words = str(error) if not isinstance(error, DataError) else " ".join([error.message, error.found or ""])
        raise DataError(
            f"{path.name} cannot be read as a MATLAB file.",
            found=f"{type(error).__name__}: {' '.join(words.split())[:200]}",
            expected=_EXPECTED,
        ) from error
    # MATLAB stores columns first, so its axes come out in reverse.
    return {name: array.T for name, array in arrays.items()}, {name: shape[::-1] for name, shape in shapes.items()}
