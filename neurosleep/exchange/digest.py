"""A checksum in a safetensors file of our own: a flipped bit anywhere in it is found, and never another number read.

It is the SHA-256 of the whole file with zeros in the checksum's own place. Files without one, of older versions, stay
readable; that a file must have one also stands in the description of its network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from neurosleep.errors import ExchangeError

__all__ = ["DIGEST", "UNSET", "check_digest", "signed"]

#: The key of the checksum among the file's metadata, and what stands there while it is computed.
DIGEST, UNSET = "neurosleep_sha256", "0" * 64

_PIECE = 2**24


def _place(head: bytes, digest: str) -> int:
    """Where the checksum starts in the file's header; -1 if it is not there once."""
    entry = f'"{DIGEST}":"{digest}"'.encode()
    return head.index(entry) + len(entry) - 1 - len(digest) if head.count(entry) == 1 else -1


def signed(content: bytes) -> bytes:
    """The content of a file with its checksum in the place of :data:`UNSET`."""
    at = _place(content[: 8 + int.from_bytes(content[:8], "little")], UNSET)
    digest = hashlib.sha256(content).hexdigest().encode()
    return content[:at] + digest + content[at + len(digest) :]


def check_digest(path: Path, metadata: Mapping[str, str]) -> None:
    """Refuse a file whose content is not that of its checksum, or that lost it.

    Raises
    ------
    ExchangeError
        As said.
    """
    digest = metadata.get(DIGEST)
    if digest is None:
        try:
            checked = bool(json.loads(metadata["neurosleep"]).get("checked"))
        except (KeyError, ValueError, AttributeError, RecursionError):
            checked = False
        if not checked:
            return
        found = "no checksum"
    else:
        with path.open("rb") as file:
            start = file.read(8)
            head = file.read(int.from_bytes(start, "little"))
            at = _place(head, digest)
            total = hashlib.sha256(start + head[: max(at, 0)] + UNSET.encode() + head[max(at, 0) + len(digest) :])
            while piece := file.read(_PIECE):
                total.update(piece)
        if at >= 0 and total.hexdigest() == digest:
            return
        found = f"SHA-256 {total.hexdigest()}"
    raise ExchangeError(
        f"{path.name!r} is damaged, or was changed after it was written.",
        found=found,
        expected="the checksum in it" if digest is None else f"SHA-256 {digest[:64]}, as it says",
        hint="copy the file again, or save the network again",
    )
