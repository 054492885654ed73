"""The journal of a search, each line of which says whether it and all before it are what was written."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Protocol

from optuna.storages.journal import BaseJournalBackend

from neurosleep.errors import RunFolderError
from neurosleep.experiments.inside import is_there
from neurosleep.experiments.plain import Plain, PlainTable

__all__ = ["Journal"]

_CHECK = "check"
# No line is anywhere near so long.
_LONGEST = 1 << 20


class _Lock(Protocol):
    def acquire(self) -> bool: ...

    def release(self) -> None: ...


class Journal(BaseJournalBackend):
    """Optuna's log in the file ``path``: a line of JSON each, with a checksum of the line and of all before it.

    ``lock`` keeps other processes out while lines are added. A last line without its end is one that a killed process
    was about to write; it is truncated before the next is added, and until then not read.
    """

    def __init__(self, path: Path, lock: _Lock) -> None:
        self._path, self._lock = path, lock
        if not is_there(path):
            path.touch()
        # Where each line that was read ends, and its checksum.
        self._ends: list[tuple[int, str]] = [(0, "")]

    def read_logs(self, log_number_from: int) -> Generator[PlainTable, None, None]:
        """The lines from this number on; raises RunFolderError at the first that is damaged."""
        with self._path.open("rb") as file:
            number = min(log_number_from, len(self._ends) - 1)
            end, check = self._ends[number]
            file.seek(end)
            while (line := file.readline(_LONGEST)).endswith(b"\n"):
                log, check = self._read(line, number + 1, check)
                end += len(line)
                number += 1
                if number == len(self._ends):
                    self._ends.append((end, check))
                if number > log_number_from:
                    yield log
            if len(line) == _LONGEST:
                raise self._damaged(number + 1, "it is too long")

    def append_logs(self, logs: list[PlainTable]) -> None:
        """Add lines, as one."""
        self._lock.acquire()
        try:
            for _ in self.read_logs(len(self._ends) - 1):
                pass
            end, check = self._ends[-1]
            lines = []
            for log in logs:
                text = _text(log)
                check = _checksum(check, text)
                lines.append(_text(log | {_CHECK: check}) + "\n")
            with self._path.open("r+b") as file:
                file.truncate(end)
                file.seek(end)
                file.write("".join(lines).encode())
                file.flush()
                os.fsync(file.fileno())
        finally:
            self._lock.release()

    def _read(self, line: bytes, number: int, before: str) -> tuple[PlainTable, str]:
        try:
            log = json.loads(line.decode("utf-8"))
            check = log.pop(_CHECK) if isinstance(log, dict) else None
            text = _text(log)
        except KeyError:
            raise self._damaged(number, "it has no checksum, as none had in earlier versions") from None
        except (ValueError, RecursionError) as error:
            raise self._damaged(number, f"{error}"[:200]) from error
        if check is None or check != _checksum(before, text):
            raise self._damaged(number, "its checksum is not that of it and the lines before it")
        return log, check

    def _damaged(self, number: int, found: str) -> RunFolderError:
        return RunFolderError(
            f"The trials in {str(self._path)!r} cannot be read: line {number} is not as it was written.",
            found=found,
            hint="bring the file back, or start the search anew",
        )


def _text(log: Plain) -> str:
    return json.dumps(log, separators=(",", ":"))


def _checksum(before: str, text: str) -> str:
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()[:32]
