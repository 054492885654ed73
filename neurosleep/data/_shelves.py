"""The folders that are searched for a data set, and how paths below them are written in messages."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from neurosleep.data import _download
from neurosleep.errors import DataError

__all__ = ["ENVIRONMENT", "Shelf", "cache_folder", "expand", "given_shelf", "mended", "one_line"]

ENVIRONMENT = "NEUROSLEEP_DATA"


@dataclass(frozen=True)
class Shelf:
    """A folder that is searched. ``label`` stands for its path in messages, ``hint`` tells how to mend a file in it."""

    label: str
    folder: Path
    hint: str

    def name_of(self, path: Path) -> str:
        """How ``path`` is written in messages and origins: below the label, never absolute."""
        return (Path(self.label) / path.relative_to(self.folder)).as_posix()


def expand(path: str | os.PathLike[str]) -> Path:
    """The path with ``~`` filled in, where it is known whose home that is."""
    return Path(os.path.expanduser(path))


def given_shelf(root: str | os.PathLike[str] | None) -> Shelf | None:
    """The folder that the user gave, or that ``NEUROSLEEP_DATA`` names; None if there is neither.

    Raises
    ------
    DataError
        If it does not exist.
    """
    given = root if root is not None else os.environ.get(ENVIRONMENT) or None
    if given is None:
        return None
    folder = expand(given)
    if not os.path.isdir(folder):
        raise DataError(
            f"The {'given data folder' if root is not None else 'data folder in ' + ENVIRONMENT} does not exist.",
            found=str(given),
            expected="an existing folder",
        )
    return Shelf("DATA", folder, f"replace the file; DATA is the given folder {given}")


def cache_folder(cache: str | os.PathLike[str] | None) -> Path:
    """The folder for downloads, decoded images and features."""
    return expand(cache) if cache is not None else _download.default_cache()


def mended(error: DataError, shelf: Shelf) -> DataError:
    """The same error with a hint that tells where the file lies."""
    return DataError(error.message, found=error.found, expected=error.expected, hint=error.hint or shelf.hint)


def one_line(text: str, limit: int = 300) -> str:
    """The text without line breaks, cut at ``limit`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
