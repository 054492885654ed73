"""Columns and arrays of a monitor in files, whole or not at all."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosleep._files import write_whole
from neurosleep.errors import SettingsError

__all__ = ["checked_name", "write_arrays", "write_csv"]

# Rows that are turned into Python's own numbers at once.
_ROWS = 100_000


def checked_name(path: str | os.PathLike[str], ending: str) -> Path:
    """``path``, whose name must have this ending."""
    target = Path(path)
    if target.suffix.lower() != ending:
        raise SettingsError(
            f"A file of this kind cannot be named {target.name!r}.", expected=f"a name ending in {ending}"
        )
    return target


def write_csv(path: str | os.PathLike[str], columns: Mapping[str, NDArray[Any]]) -> Path:
    """Write columns of one length as a table; undefined numbers are empty fields."""
    target = checked_name(path, ".csv")
    length = len(next(iter(columns.values())))

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            for start in range(0, length, _ROWS):
                lists = [np.asarray(values[start : start + _ROWS]).tolist() for values in columns.values()]
                for row in zip(*lists, strict=True):
                    writer.writerow("" if value != value else value for value in row)

    return write_whole(target, write)


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]]) -> Path:
    """Write named arrays as one compressed ``.npz`` file."""
    target = checked_name(path, ".npz")

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    return write_whole(target, write)
