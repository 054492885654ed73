"""The one shape in which every analysis gives its result: named columns of equal length."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosleep._files import write_whole
from neurosleep._shown import html_table, named, short_line, to_frame
from neurosleep.errors import DataError, SettingsError, unknown_name

__all__ = ["Table"]

# Rows that a printed table shows before it says how many more there are.
_PRINTED = 40


@dataclass(frozen=True, eq=False)
class Table:
    """A tidy table: one row per observation, one column per variable; undefined numbers are NaN.

    Parameters
    ----------
    columns:
        Name to values, each ``[rows]``; kept as read-only NumPy arrays in the given order.

    Raises
    ------
    DataError
        If there is no column, or a column is not one-dimensional or longer than another.

    See Also
    --------
    analyse_sleep : all tables of one sleep

    Examples
    --------
    >>> from neurosleep.analysis import Table
    >>> t = Table({"layer": ["hidden1", "output"], "share": [0.25, float("nan")]})
    >>> print(t)
    layer    share
    hidden1   0.25
    output       -
    >>> t["share"][0], t.rows()[0]
    (np.float64(0.25), {'layer': 'hidden1', 'share': 0.25})
    """

    columns: Mapping[str, NDArray[Any]]

    def __post_init__(self) -> None:
        columns = {str(name): np.array(values) for name, values in self.columns.items()}
        lengths = {name: values.shape for name, values in columns.items()}
        if not columns or any(len(shape) != 1 for shape in lengths.values()) or len(set(lengths.values())) != 1:
            raise DataError(
                "These columns make no table.",
                found=", ".join(f"{name} {list(shape)}" for name, shape in lengths.items()) or "no column",
                expected="at least one column, each of one dimension and all of one length",
            )
        for values in columns.values():
            values.flags.writeable = False
        object.__setattr__(self, "columns", columns)

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, Any]]) -> Table:
        """A table of at least one row; every row has the columns of the first."""
        if not rows or any(row.keys() != rows[0].keys() for row in rows):
            raise DataError("These rows make no table.", expected="at least one row, and the same columns in each")
        return cls({name: np.array([row[name] for row in rows]) for name in rows[0]})

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values())))

    def __getitem__(self, column: str) -> NDArray[Any]:
        """One column, ``[rows]``, read-only."""
        if column not in self.columns:
            raise unknown_name("column", column, self.columns)
        return self.columns[column]

    def where(self, **equal: Any) -> Table:
        """The rows in which every named column has the given value; possibly none."""
        chosen = np.ones(len(self), dtype=bool)
        for column, value in equal.items():
            chosen &= self[column] == value
        return Table({name: values[chosen] for name, values in self.columns.items()})

    def rows(self) -> list[dict[str, Any]]:
        """Each row as a dictionary of plain Python values."""
        lists = [values.tolist() for values in self.columns.values()]
        return [dict(zip(self.columns, row, strict=True)) for row in zip(*lists, strict=True)]

    def to_json(self) -> str:
        """JSON: a list with one object per row; undefined numbers, and infinite ones, are null."""
        rows = [
            {
                name: None if isinstance(value, float) and not math.isfinite(value) else value
                for name, value in row.items()
            }
            for row in self.rows()
        ]
        return json.dumps(rows, allow_nan=False)

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write a CSV file, whole or not at all; undefined numbers are empty fields, missing folders are made.

        Raises
        ------
        SettingsError
            If the file name ends in anything but ``.csv``.
        RunFolderError
            If the file cannot be written.
        """
        target = Path(path)
        if target.suffix.lower() != ".csv":
            raise SettingsError(f"The table cannot be written as {target.name!r}.", expected="a name that ends in .csv")
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(self.columns)
        for row in self.rows():
            writer.writerow("" if _undefined(value) else value for value in row.values())
        return write_whole(target, buffer.getvalue(), what=f"The table {str(target)!r}")

    def to_pandas(self) -> Any:
        """The table as a ``pandas.DataFrame`` (extra ``pandas``)."""
        return to_frame(self.columns)

    def __repr__(self) -> str:
        return short_line(f"<Table: {len(self)} rows of {named(list(self.columns))}>")

    def _repr_html_(self) -> str:
        """The first rows."""
        return html_table(self.rows())

    def __str__(self) -> str:
        """Aligned columns of the first rows."""
        cells = [[_short(row[name]) for name in self.columns] for row in self.rows()[:_PRINTED]]
        widths = [max(map(len, column)) for column in zip(self.columns, *cells, strict=True)]
        right = [np.issubdtype(values.dtype, np.number) for values in self.columns.values()]
        lines = [
            "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)).rstrip()
            for line in [list(self.columns), *cells]
        ]
        if len(self) > _PRINTED:
            lines.append(f"… and {len(self) - _PRINTED} more rows")
        return "\n".join(lines)


def _undefined(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.4g}"
    return str(value)
