"""What stands under a path, and what its content may unpack to."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from neurosleep.errors import NeurosleepError

__all__ = ["check_regular", "most_bytes", "within"]

#: Bytes that any file may unpack to; a larger one: a multiple of its size.
FREE, RATIO = 2**30, 32

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_regular(
    path: Path, error: type[NeurosleepError], *, name: str | None = None, expected: str | None = None
) -> int:
    """The size in bytes of the file at ``path``, a link to one included; anything else is refused before it is opened.

    A pipe would never end, and a device may do anything when it is read.

    Parameters
    ----------
    path:
        Where the file should be.
    error:
        The class of error to raise.
    name:
        How errors call it (the path where it is not there, else the file's name).
    expected:
        What should have been there.
    """
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a path that holds NUL
        raise error(f"There is no file {name or str(path)!r}.", expected=expected) from None
    except OSError as problem:
        raise error(f"{name or path.name!r} cannot be read.", found=problem.strerror or str(problem)) from problem
    if not stat.S_ISREG(status.st_mode):
        kind = next((words for test, words in _KINDS if test(status.st_mode)), "something else")
        raise error(f"{name or path.name!r} is {kind}, no file.", expected=expected or "a regular file")
    return status.st_size


def most_bytes(size: int) -> int:
    """What a file of ``size`` bytes may unpack to."""
    return max(FREE, RATIO * size)


def within(declared: int, packed: int, most: int) -> str | None:
    """Why ``declared`` bytes cannot come of ``packed`` ones that were deflated, or are too many; None where neither.

    Deflate packs at best 1032 to 1, so that bytes beyond that are bytes that nobody wrote.
    """
    if declared > 1100 * packed + 4096:
        return f"{declared} bytes are declared, and {packed} packed ones are there"
    if declared > most:
        return f"it would unpack to {declared} bytes, more than {most}"
    return None
