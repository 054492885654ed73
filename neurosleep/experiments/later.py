"""Settings that came later: a file names them only where they differ from their default, so that it stays as it was."""

from __future__ import annotations

from dataclasses import field, fields
from typing import Any, TypeVar

__all__ = ["later", "later_defaults"]

T = TypeVar("T")


def later(default: T) -> T:
    """A field of a class of settings with that default; in tables and files the default is left out (None)."""
    made: T = field(default=default, metadata={"later": True})
    return made


def later_defaults(kind: type) -> dict[str, Any]:
    """The settings of such a class that came later, and their defaults."""
    return {entry.name: entry.default for entry in fields(kind) if entry.metadata.get("later")}
