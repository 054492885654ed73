"""What validation has to say about a profile file: one finding for each error, with file, key and code."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, time
from typing import Any, Literal

from neurosleep._shown import brief

__all__ = ["Finding", "kind_of", "printable", "shown"]

# Longer values are cut in messages.
_LONGEST = 60


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (``error``) or should be known (``warning``) about a profile.

    Parameters
    ----------
    code:
        ``HP001`` to ``HP030``.
    file:
        The file as it was named.
    key:
        Dotted key; empty for the file as a whole.
    message:
        What is wrong.
    got, expected:
        The value that was found and what would have been right, where there is such a thing.
    level:
        Errors refuse the file, warnings do not.

    See Also
    --------
    HardwareProfile : whose ``findings`` they are
    neurosleep.HardwareProfileError : which holds those that refuse a file

    Examples
    --------
    >>> from neurosleep import load_profile
    >>> {finding.level for finding in load_profile("loihi1").findings} <= {"warning"}
    True
    """

    code: str
    file: str
    key: str
    message: str
    got: str | None = None
    expected: str | None = None
    level: Literal["error", "warning"] = "error"

    __repr__ = brief

    def __str__(self) -> str:
        place = f"{self.file}:{self.key}" if self.key else self.file
        text = f"{place}: {self.code} {self.message}"
        if self.message.startswith("expected "):  # says it already
            return text
        parts = [f"{label} {value}" for label, value in (("got", self.got), ("expected", self.expected)) if value]
        return text + (f" ({', '.join(parts)})" if parts else "")

    def as_json(self) -> dict[str, str | None]:
        """The finding as a JSON object, with its whole sentence as ``text``."""
        return {**asdict(self), "text": str(self)}


def kind_of(value: Any) -> str:
    """The TOML type of a value, as messages name it; NaN and infinities by name, since no figure may be one."""
    if isinstance(value, float):
        return "nan" if value != value else "float" if abs(value) != float("inf") else "inf"
    names: dict[type, str] = {bool: "bool", int: "int", str: "str", list: "array", dict: "table"}
    if isinstance(value, (date, time)):
        return "date or time"
    return names.get(type(value), type(value).__name__)


def printable(text: str) -> str:
    """Text from a file as one short line that a terminal shows as it is."""
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def shown(value: Any) -> str:
    """A value as messages show it, cut where it is long."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 128:  # Python refuses to write very long integers in decimal
        return f"an int of {value.bit_length()} bits"
    if isinstance(value, str):
        return repr(printable(value))
    if isinstance(value, list):
        members = ", ".join(shown(member) for member in value[:8])
        return printable(f"[{members}{', …' if len(value) > 8 else ''}]")
    return "a table" if isinstance(value, dict) else printable(str(value))
