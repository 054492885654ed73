"""A parcel of a JSON object and files as bytes: how requests and results travel between machines, without pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurosleep.errors import RunFolderError, SettingsError
from neurosleep.experiments.inside import check_tree
from neurosleep.experiments.names import folder_name

__all__ = ["files_in", "pack", "unpack"]

# What a parcel starts with; the digit is the version of the format.
_MARK = b"neurosleep parcel 1\n"
# Bytes of the length of the JSON text, which follows it; then come the files, one after another.
_LENGTH = 8


def pack(content: Mapping[str, object], files: Mapping[str, bytes]) -> bytes:
    """One parcel of a JSON object, and of files by name (relative, with slashes).

    >>> unpack(pack({"seed": 1}, {"figures/a.png": b"..."}))
    ({'seed': 1}, {'figures/a.png': b'...'})
    """
    sizes = {name: len(file) for name, file in files.items()}
    head = json.dumps({"content": content, "files": sizes}, allow_nan=False).encode()
    return b"".join([_MARK, len(head).to_bytes(_LENGTH, "big"), head, *files.values()])


def unpack(parcel: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What :func:`pack` was given.

    Raises
    ------
    RunFolderError
        If it is no parcel, not a whole one, or a file in it would lie outside the folder that it is for.
    """
    start = len(_MARK) + _LENGTH
    try:
        if not parcel.startswith(_MARK):
            raise ValueError("it starts with something else")
        end = start + int.from_bytes(parcel[len(_MARK) : start], "big")
        head = json.loads(parcel[start:end])
        content, sizes = head["content"], head["files"]
        if not isinstance(content, dict) or not all(type(size) is int and size >= 0 for size in sizes.values()):
            raise ValueError("it holds something else")
        if end + sum(sizes.values()) != len(parcel):
            raise ValueError(f"{len(parcel)} bytes, not {end + sum(sizes.values())}")
        for name in sizes:
            folder_name("file", name, levels=True)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, SettingsError) as error:
        raise RunFolderError("What came back is no parcel of a run.", found=f"{error}"[:200]) from error
    files: dict[str, bytes] = {}
    for name, size in sizes.items():
        files[name] = parcel[end : end + size]
        end += size
    return content, files


def files_in(folder: Path) -> dict[str, bytes]:
    """The files of a run by their names in its folder, without its lock and temporary ones; none if there is none."""
    check_tree(folder)
    paths = sorted(Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in paths
        if path.name != "lock" and not path.name.startswith(".")
    }
