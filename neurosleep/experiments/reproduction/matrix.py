"""Many numbers of one part as a table with a column for each line of a sweep, or for each measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from neurosleep.experiments.markdown import table_of_texts
from neurosleep.experiments.reproduction.page import note_lines, rows_lines
from neurosleep.experiments.reproduction.rows import Row

__all__ = ["matrix_lines"]

_Name: TypeAlias = Callable[[Row], str]


def matrix_lines(rows: Sequence[Row], axis: str) -> list[str]:
    """The rows of one part as Markdown; what is published of a cell stands in it, after ours.

    A point of a sweep, named by ``axis``, or else a strategy in a variant has one row. Numbers that this does not bring
    together stand in a table of the usual kind.
    """
    swept = [row for row in rows if row.point is not None]
    others = [row for row in rows if row.point is None]
    tables = [(swept, axis, _point, _line), (others, "method", _method, _measure)]
    lines: list[str] = []
    for members, head, row_name, column_name in tables:
        if members:
            lines += [*([""] if lines else []), *_table(members, head, row_name, column_name)]
    return lines


def _table(rows: Sequence[Row], head: str, row_name: _Name, column_name: _Name) -> list[str]:
    columns = list(dict.fromkeys(map(column_name, rows)))
    cells: dict[str, dict[str, Row]] = {}
    for row in rows:
        cells.setdefault(row_name(row), {})[column_name(row)] = row
    if len(columns) == 1 or len(cells) == 1:
        return rows_lines(rows)
    counts = {row.n_text for row in rows}
    header = [head, *(f"{name}{_unit(rows, column_name, name)}" for name in columns)]
    header += ["n"] if len(counts) > 1 else []
    table = []
    for name, of_row in cells.items():
        texts = [_cell(of_row[column]) if column in of_row else "-" for column in columns]
        n = [" / ".join(dict.fromkeys(row.n_text for row in of_row.values()))] if len(counts) > 1 else []
        table.append((name, *texts, *n))
    said = [f"Mean ± sd over {next(iter(counts))} seeds.", ""] if len(counts) == 1 else []
    return [*note_lines(rows), *said, *table_of_texts(header, table)]


def _cell(row: Row) -> str:
    return row.ours_text + ("" if row.figure is None else f" (published {row.published_text})")


def _unit(rows: Sequence[Row], column_name: _Name, name: str) -> str:
    units = {"" if row.is_share else row.unit for row in rows if column_name(row) == name}
    return f" ({unit})" if len(units) == 1 and (unit := next(iter(units))) else ""


def _point(row: Row) -> str:
    return f"{row.point:g}"


def _method(row: Row) -> str:
    return ", ".join(text for text in (row.strategy, row.variant) if text)


def _line(row: Row) -> str:
    return ", ".join(text for text in (row.strategy, row.measure) if text)


def _measure(row: Row) -> str:
    return row.measure or "accuracy"
