"""What a key of a profile's file may be: its type, range, choices and conditions, stated where a table declares it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

__all__ = [
    "EXACT_BITS",
    "FAR",
    "MOST_COUNT",
    "UNLIMITED",
    "Key",
    "When",
    "choice",
    "positive",
    "stated",
    "whole",
    "width",
]

UNLIMITED: Final = "unlimited"
# Every number has bounds: no chip comes near these, and what is computed with them stays exact, and bounded in time.
FAR = 2**30
MOST_COUNT = 10**15
_LEAST_FLOAT, _MOST_FLOAT = 1e-15, 1e15
#: What float64, in which integers are kept, holds exactly.
EXACT_BITS = 53


@dataclass(frozen=True)
class When:
    """A condition on another key: it has one of ``values``, or any value at all where none are named."""

    key: str
    values: tuple[Any, ...] = ()

    def __str__(self) -> str:
        if not self.values:
            return f"{self.key} is given"
        words = [str(value).lower() if isinstance(value, bool) else repr(value) for value in self.values]
        return f"{self.key} = {' or '.join(words)}"


@dataclass(frozen=True)
class Key:
    """One key of the schema.

    Parameters
    ----------
    name:
        Dotted key.
    type:
        ``int``, ``float`` (an integer will do), ``str``, ``bool``, ``ints`` or ``strs`` (arrays, not empty).
    meaning:
        What it says, with the unit where the name does not carry it.
    low, high:
        Range of a number, or of each member of an array, ends included.
    above_zero:
        The number is greater than 0 (HP017).
    choices:
        Legal strings; empty for any.
    pattern:
        Regular expression of the whole string.
    unlimited:
        The string ``"unlimited"`` is legal as well.
    required, when, unless:
        Required always, or if all of ``when`` hold; never if one of ``unless`` holds.
    only:
        May be given only if this holds (HP013).
    absent_if:
        May not be given if this holds (HP013).
    """

    name: str
    type: str
    meaning: str
    low: float | None = None
    high: float | None = None
    above_zero: bool = False
    choices: tuple[str, ...] = ()
    pattern: str | None = None
    unlimited: bool = False
    required: bool = False
    when: tuple[When, ...] = ()
    unless: tuple[When, ...] = ()
    only: When | None = None
    absent_if: When | None = None

    @property
    def table(self) -> str:
        """The table that the key stands in, dotted; empty for the file itself."""
        return self.name.rpartition(".")[0]

    @property
    def leaf(self) -> str:
        """The key's name within its table."""
        return self.name.rpartition(".")[2]

    @property
    def numeric(self) -> bool:
        """Whether the value is a figure: a number, or several."""
        return self.type in ("int", "float", "ints")

    @property
    def fact(self) -> bool:
        """Whether the value is a fact that has a source, rather than a name, a note or how to read a limit."""
        return self.table not in ("", "profile", "capacity.limit_kind") and self.leaf not in ("source", "note")

    @property
    def range(self) -> str:
        """The range as messages write it, without bounds that no chip comes near; empty if none is left."""
        if self.above_zero:
            return "> 0"
        near = [None if x is None or abs(x) >= FAR else x for x in (self.low, self.high)]
        return _between(near[0], near[1])

    @property
    def bounds(self) -> str:
        """Least and greatest value."""
        return _between(self.low, self.high)


def _between(low: float | None, high: float | None) -> str:
    least, most = ("" if x is None else str(x) if isinstance(x, int) else f"{x:g}" for x in (low, high))
    return f"{least}..{most}" if least and most else f">= {least}" if least else f"<= {most}" if most else ""


def stated(
    meaning: str, low: float | None = None, high: float | None = None, *, default: Any = None, **more: Any
) -> Any:
    """A field of a table; its annotation names the type. ``more`` are further fields of its :class:`Key`."""
    return field(default=default, metadata={"key": Key("", "", meaning, low, high, **more)})


def whole(meaning: str, low: int = 0, high: int = MOST_COUNT, **more: Any) -> Any:
    """An integer."""
    return stated(meaning, low, high, **more)


def width(meaning: str, low: int = 1, high: int = 64, **more: Any) -> Any:
    """A number of bits."""
    return stated(meaning, low, high, **more)


def positive(meaning: str, **more: Any) -> Any:
    """A real number above 0."""
    return stated(meaning, _LEAST_FLOAT, _MOST_FLOAT, above_zero=True, **more)


def choice(meaning: str, *choices: str, **more: Any) -> Any:
    """One of ``choices``."""
    return stated(meaning, choices=choices, **more)
