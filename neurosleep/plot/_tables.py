"""What the figures of :mod:`neurosleep.analysis` share: reading a table or its file's rows, colours, zero lines."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, cast

from matplotlib.axes import Axes

from neurosleep.errors import SettingsError, unknown_name
from neurosleep.plot._room import columns_for
from neurosleep.plot._style import PALETTE, Row, axes, field, say

__all__ = [
    "BEFORE_AFTER",
    "Data",
    "Tabular",
    "chosen",
    "distinct",
    "legend_above",
    "needs",
    "numbers",
    "read",
    "text",
    "zero_line",
]

BEFORE_AFTER = {"before": PALETTE[5], "after": PALETTE[0]}
"""The colours of the two moments in every figure that shows both: before sleep orange, after sleep blue."""


class Tabular(Protocol):
    """A table, such as :class:`~neurosleep.analysis.Table`."""

    def rows(self) -> list[dict[str, Any]]:
        """Its rows."""


Data = Tabular | Sequence[Row]
"""A table of an analysis, or the rows of its CSV file."""


def read(data: Data) -> list[Row]:
    """The rows, each a mapping from column to value.

    Raises
    ------
    SettingsError
        If there is none.
    """
    rows: list[Row] = list(data) if isinstance(data, Sequence) else list(data.rows())
    if not rows:
        raise SettingsError("The table is empty.", expected="at least one row")
    return rows


_Draw = TypeVar("_Draw", bound=Callable[..., Axes])


def needs(*columns: str) -> Callable[[_Draw], _Draw]:
    """Let a function that draws a table say so where the table is empty, or where none of these numbers is defined.

    A column may depend on an option: ``"{value}_before"``. Only rows of the layer, task or run asked for are looked at.
    """

    def decorate(function: _Draw) -> _Draw:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def draw(data: Data, *given: Any, **options: Any) -> Axes:
            bound = signature.bind(data, *given, **options)
            bound.apply_defaults()
            rows = list(data) if isinstance(data, Sequence) else list(data.rows())
            what = "" if rows else "no data"
            if rows and columns:
                chosen = {
                    key: str(bound.arguments[key]) for key in ("layer", "task", "run") if bound.arguments.get(key)
                }
                own = [row for row in rows if all(str(row.get(key, value)) == value for key, value in chosen.items())]
                names = [column.format(**bound.arguments) for column in columns]
                # The function raises an error that names a missing argument.
                if own and all(name in row for row in own for name in names):
                    known = (not math.isnan(field(row, name)) for row in own for name in names)
                    what = "" if any(known) else "no number is defined"
            if not what:
                return function(rows, *given, **options)
            ax = axes(bound.arguments["ax"], 5.0, 3.0)
            say(ax, what)
            return ax

        return cast(_Draw, draw)

    return decorate


def text(row: Row, column: str) -> str:
    """One field of a row as text; refuses a row without that column."""
    if column not in row:
        raise SettingsError(
            f"A row has no column {column!r}.", found="the columns " + ", ".join(map(str, row)), expected=column
        )
    return str(row[column])


def distinct(rows: Sequence[Row], column: str) -> list[str]:
    """The values of a column as text, each once, in the order of the rows."""
    return list(dict.fromkeys(text(row, column) for row in rows))


def chosen(data: Data, column: str, value: str | int) -> list[Row]:
    """The rows whose column has the value; refuses a value that none has."""
    rows = read(data)
    choices = distinct(rows, column)
    if str(value) not in choices:
        raise unknown_name(column, str(value), choices)
    return [row for row in rows if text(row, column) == str(value)]


def zero_line(ax: Axes, values: Sequence[float], *, vertical: bool = False) -> None:
    """A thin line at 0 where the values lie on both sides of it."""
    finite = [value for value in values if math.isfinite(value)]
    if finite and min(finite) < 0 < max(finite):
        (ax.axvline if vertical else ax.axhline)(0, color="#b0b0b0", linewidth=0.8, zorder=0)


def numbers(rows: Sequence[Row], column: str) -> list[float]:
    """A column as numbers; empty fields are NaN."""
    return [field(row, column) for row in rows]


def legend_above(ax: Axes, columns: int = 2, *, titled: bool = False) -> None:
    """The legend above the axes, and above their title if they have one, each label once.

    In so many columns, or fewer where there is no room for them.
    """
    handles, labels = ax.get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))
    columns, labels = columns_for(ax, list(entries), columns)
    ax.legend(
        list(entries.values()),
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1.1 if titled else 1.0),
        ncols=columns,
        borderaxespad=0,
        frameon=False,
        fontsize=9,
    )
