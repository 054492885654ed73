"""``SHA256SUMS`` of a run folder: what each file held when the run ended (``sha256sum -c`` reads it too)."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from neurosleep.errors import RunFolderError
from neurosleep.experiments.inside import is_there, read_bytes, read_text

__all__ = ["SUMS", "check_sum", "sums_of"]

SUMS = "SHA256SUMS"
# What is read again; figures are drawn anew from these.
_COUNTED = ("*.csv", "*.json", "*.toml", "analysis/*.csv", "spikes/*.npz")


def sums_of(folder: Path, metrics: bytes) -> str:
    """The sums of all files of a run, and of its ``metrics``, which are yet to be written."""
    files = {path.relative_to(folder).as_posix(): path for kind in _COUNTED for path in folder.glob(kind)}
    sums = {name: hashlib.sha256(read_bytes(path)).hexdigest() for name, path in files.items()}
    sums["metrics.json"] = hashlib.sha256(metrics).hexdigest()
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))


def check_sum(folder: Path, name: str, content: bytes) -> None:
    """Refuse what a file of a finished run holds, if it is not what the run wrote.

    A folder without sums, as earlier versions left them, is not checked, nor is one whose run has not ended.

    Raises
    ------
    RunFolderError
        If the file's sum is another one or missing, or the sums cannot be read.
    """
    path = folder / SUMS
    if not is_there(path) or not is_there(folder / "metrics.json"):
        return
    lines = [re.fullmatch(r"([0-9a-f]{64})  (\S.*)", line) for line in read_text(path).splitlines()]
    if not all(lines):
        raise RunFolderError(
            f"{str(path)!r} is damaged.",
            expected="lines of a SHA-256 sum and a name",
            hint="without it, the files of the run are taken as they are",
        )
    sums = {line[2]: line[1] for line in lines if line}
    if sums.get(name) != hashlib.sha256(content).hexdigest():
        raise RunFolderError(
            f"{str(folder / name)!r} is not what the run wrote.",
            found=f"another content than {SUMS} says" if name in sums else f"no line of it in {SUMS}",
            hint="bring the file back; without metrics.json, --resume makes it anew from the stored state",
        )
