"""Files that are whole or not there, and locks that a killed process cannot leave behind; the same on every system."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from neurosleep.errors import NeurosleepError, RunFolderError

__all__ = ["check_folder", "discard", "hold_lock", "remove_leftovers", "take_lock", "temporary_beside", "write_whole"]

# Bytes that a file system takes as the name of a file, nearly everywhere.
_NAME = 255

_TEMPORARY = re.compile(r"\..+\.(\d+)\.tmp", re.DOTALL)


def temporary_beside(path: Path, ending: str = "tmp") -> Path:
    """The name under which ``path`` is written at first, in the same folder: ``.NAME.PID.tmp``.

    A name that leaves no room for that is shortened, so that every name that a file may have can be written.
    """
    end = f".{os.getpid()}.{ending}"
    name = path.name.encode(errors="surrogateescape")[: _NAME - 1 - len(end)].decode(errors="ignore")
    return path.with_name(f".{name}{end}")


def write_whole(
    path: str | os.PathLike[str],
    content: bytes | str | Callable[[Path], object],
    *,
    folders: bool = True,
    what: str | None = None,
    error: type[NeurosleepError] = RunFolderError,
    expected: str | None = None,
    hint: str | None = None,
) -> Path:
    """Write a file under a temporary name, bring it to the disk, then give it its name: it is never half there.

    Parameters
    ----------
    path:
        Where to.
    content:
        Bytes, text (UTF-8), or a function that fills the file whose path it is given.
    folders:
        Whether missing folders are made.
    what, error, expected, hint:
        What the file is called in the error if it cannot be written (its path if None), the error's class and advice.

    Raises
    ------
    NeurosleepError
        Of the class ``error``: a file in the way, no permission, a full disk. No temporary file stays.
    """
    target = Path(path)
    if "\0" in str(target):
        raise error(f"{str(target)!r:.80} is no name of a file.", expected="a path without null characters")
    temporary = temporary_beside(target)
    try:
        if folders:
            target.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(temporary)
        else:
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException as problem:
        discard(temporary)
        if not isinstance(problem, OSError):
            raise
        raise error(
            f"{what or repr(str(target))} cannot be written.",
            found=problem.strerror or str(problem),
            expected=expected,
            hint=hint,
        ) from problem
    return target


def take_lock(path: str | os.PathLike[str], *, wait: float = 0.0) -> FileLock | None:
    """The lock of the operating system on a file, or None if another holds it for more than ``wait`` seconds.

    It ends with ``release()``, or with the process that holds it, however that ends.

    Raises
    ------
    OSError
        If the file cannot be made.
    """
    lock = FileLock(path, timeout=-1 if math.isinf(wait) else wait, thread_local=False)
    try:
        lock.acquire(poll_interval=0.01)
    except Timeout:
        return None
    return lock


@contextmanager
def hold_lock(path: str | os.PathLike[str]) -> Iterator[None]:
    """Wait for the lock on a file, and hold it meanwhile."""
    lock = take_lock(path, wait=math.inf)
    assert lock is not None
    try:
        yield
    finally:
        lock.release()


def discard(temporary: Path) -> None:
    """Remove what was written under the temporary name, if there is anything.

    It raises nothing: on a disk that cannot be written, removing what could not be made fails in its turn.
    """
    with contextlib.suppress(OSError):
        if temporary.is_dir() and not temporary.is_symlink():
            shutil.rmtree(temporary)
        else:
            temporary.unlink()


def remove_leftovers(folder: Path, *, of_the_dead: bool = False) -> None:
    """Remove the temporary files of processes that were killed while they wrote, in ``folder`` and below it.

    The caller holds what keeps other processes from writing there. Where nothing does, ``of_the_dead`` spares the
    files of processes that this machine still has, and looks into ``folder`` itself only.
    """
    for place, _, names in os.walk(folder):
        for name in names:
            match = _TEMPORARY.fullmatch(name)
            if match and not (of_the_dead and _alive(int(match[1]))):
                discard(Path(place, name))
        if of_the_dead:
            break


def _alive(process: int) -> bool:
    if os.name == "nt":  # where os.kill would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return True


def check_folder(folder: Path, hint: str) -> None:
    """Find that a folder cannot be made or cannot be written, before anything is; ``hint`` says what to do then.

    Raises
    ------
    RunFolderError
        If there is a file in the way, no permission, a disk that cannot be written, or too long a name.
    """
    missing: list[str] = []
    for place in (folder, *folder.parents):
        try:
            os.stat(place)
        except (FileNotFoundError, NotADirectoryError):
            missing.append(place.name)
            continue
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise RunFolderError(f"There can be no folder {str(place)!r:.80}.", found=reason, hint=hint) from error
        if not os.path.isdir(place):
            raise RunFolderError(f"{str(place)!r:.80} is a file, where a folder is needed.", hint=hint)
        if not os.access(place, os.W_OK | os.X_OK):
            raise RunFolderError(f"The folder {str(place)!r:.80} cannot be written.", hint=hint)
        break
    if longest := max((name for name in missing if len(os.fsencode(name)) > _NAME), key=len, default=None):
        found = f"a name of {len(os.fsencode(longest))} bytes"
        raise RunFolderError(
            f"There can be no folder {longest!r:.80}.", found=found, expected=f"at most {_NAME}", hint=hint
        )
