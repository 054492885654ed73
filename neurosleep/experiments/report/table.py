"""Tables that the page shows and that its script can sort."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from neurosleep.experiments.report.numbers import mean, percent, plain, plain_spread, seconds, spread

__all__ = ["Cell", "Table", "accuracies", "durations", "numbers", "one_number", "one_percent", "words"]


@dataclass(frozen=True)
class Cell:
    """What a cell says, and what it is sorted by: a number, or without one its text."""

    text: str
    key: float | None = None
    number: bool = False
    # The section of the page that it leads to.
    anchor: str = ""


@dataclass(frozen=True)
class Table:
    """A table; the first cell of each row is its heading."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    @property
    def sortable(self) -> bool:
        """Whether there is anything to sort."""
        return len(self.rows) > 1

    def is_text(self, column: int) -> bool:
        """Whether a column holds words, which stand to the left."""
        return any(not row[column].number for row in self.rows)


def words(text: object, anchor: str = "") -> Cell:
    """A cell of text, which may lead to a section of the page."""
    return Cell(str(text), anchor=anchor)


def accuracies(values: Iterable[object]) -> Cell:
    """Mean and standard deviation of fractions in %."""
    values = list(values)
    return Cell(spread(values), mean(values), True)


def numbers(values: Iterable[object]) -> Cell:
    """Mean and standard deviation of any numbers."""
    values = list(values)
    return Cell(plain_spread(values), mean(values), True)


def durations(values: Iterable[object]) -> Cell:
    """Mean of durations in seconds."""
    middle = mean(values)
    return Cell(seconds(middle), middle, True)


def one_number(value: float | None) -> Cell:
    """A single number."""
    return Cell(plain(value), value, True)


def one_percent(value: float | None) -> Cell:
    """A single fraction in %."""
    return Cell(percent(value), value, True)
