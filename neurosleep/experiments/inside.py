"""What lies in a run folder: plain files and folders that nothing leads out of, read whole or refused."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from neurosleep.errors import RunFolderError

__all__ = ["check_inside", "check_tree", "is_there", "read_bytes", "read_text"]

# No file of a run that is read whole is anywhere near so large.
_LARGEST = 1 << 28


def check_inside(path: Path, root: Path) -> None:
    """Refuse ``path`` if links on the way to it lead out of ``root``.

    Raises
    ------
    RunFolderError
        If they do, or go round in a circle.
    """
    try:
        outside = not path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # RuntimeError: a circle of links
        outside = True
    if outside:
        raise RunFolderError(
            f"{str(path)!r} leads out of {str(root)!r}.",
            found="a symbolic link",
            expected="files and folders of its own",
            hint="remove the link, or copy what it names",
        )


def check_tree(folder: Path, root: Path | None = None) -> None:
    """Refuse a folder that holds anything but files, folders and links to such within ``root`` (else ``folder``).

    Raises
    ------
    RunFolderError
        If a link leads out, or there is a device, a pipe or a socket, which reading could wait for without end.
    """
    root = folder if root is None else root
    check_inside(folder, root)
    for entry in _entries(folder):
        if entry.is_symlink():
            check_inside(Path(entry.path), root)
            if not entry.is_dir() and os.path.exists(entry.path) and not entry.is_file():
                raise _special(Path(entry.path))
        elif not entry.is_dir(follow_symlinks=False) and not entry.is_file(follow_symlinks=False):
            raise _special(Path(entry.path))


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            listed = list(entries)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunFolderError(f"The folder {str(folder)!r} cannot be read.", found=error.strerror) from error
    for entry in listed:
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(Path(entry.path))


def is_there(path: Path) -> bool:
    """Whether the file is there; a folder, device or pipe in its place is refused, and a link to nothing too."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise RunFolderError(f"{str(path)!r} is a link to nothing.", hint="remove it") from None
        return False
    except NotADirectoryError:
        return False
    except OSError as error:
        raise RunFolderError(f"{str(path)!r} cannot be read.", found=error.strerror or str(error)) from error
    if not stat.S_ISREG(mode):
        raise _special(path)
    return True


def _special(path: Path) -> RunFolderError:
    what = "a folder" if path.is_dir() else "a special file, such as a device or a pipe"
    return RunFolderError(f"{str(path)!r} is no plain file.", found=what, hint="remove it, or choose another folder")


def read_bytes(path: Path) -> bytes:
    """The content of a plain file.

    Raises
    ------
    RunFolderError
        If it cannot be read, is none, or is far larger than anything that a run writes.
    """
    try:
        if not is_there(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        size = path.stat().st_size
        if size > _LARGEST:
            raise RunFolderError(f"{str(path)!r} is no file of a run.", found=f"{size} bytes")
        return path.read_bytes()
    except OSError as error:
        raise RunFolderError(f"{str(path)!r} cannot be read.", found=error.strerror or str(error)) from error


def read_text(path: Path) -> str:
    """The text of a plain file in UTF-8; raises as :func:`read_bytes`, and if it is none."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise RunFolderError(f"{str(path)!r} is damaged.", found=str(error), expected="text in UTF-8") from error
