"""How values show themselves: in one short line, as a table of HTML, as a pandas DataFrame."""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from neurosleep.errors import missing_extra

__all__ = ["brief", "html_table", "named", "short_line", "to_frame"]

# No line that stands for a value in an interpreter is longer, whatever names and texts are in it.
_LONGEST = 240
_LONGEST_PART = 40
# Rows of a table that are shown.
_ROWS = 40


def short_line(line: str, longest: int = _LONGEST) -> str:
    """``line``, cut where it is too long for one.

    >>> short_line("<Network: hidden1, hidden2, hidden3>", 20)
    '<Network: hidden1, …'
    """
    return line if len(line) <= longest else line[: longest - 1] + "…"


def named(names: Sequence[str], joint: str = ", ") -> str:
    """The names, or the first and the last where there are many.

    >>> named(["a", "b", "c", "d", "e", "f"])
    'a, b, …, f'
    """
    few = [short_line(str(name), _LONGEST_PART) for name in (names if len(names) <= 5 else [*names[:2], names[-1]])]
    return joint.join(few if len(names) <= 5 else [*few[:2], "…", few[2]])


def brief(value: Any) -> str:
    """A dataclass as its name and the fields that differ from their defaults; arrays as type and shape.

    >>> import numpy as np
    >>> @dataclasses.dataclass
    ... class Samples:
    ...     values: object
    ...     every: int = 1
    >>> brief(Samples(np.zeros((2, 3))))
    'Samples(values=float64[2, 3])'
    """
    parts = []
    for field in dataclasses.fields(value):
        one = getattr(value, field.name)
        if field.default is not dataclasses.MISSING and type(one) is type(field.default) and one == field.default:
            continue
        parts.append(f"{field.name}={_part(one)}")
    return short_line(f"{type(value).__name__}({', '.join(parts)})")


def _part(value: Any) -> str:
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        kind, shape = str(value.dtype).removeprefix("torch."), tuple(value.shape)
        return f"{kind}{list(shape)}" if shape else f"{value.item():g}"
    if isinstance(value, Mapping) and value:
        return f"<{len(value)} entries>"
    if isinstance(value, list | tuple) and (len(value) > 6 or any(hasattr(one, "dtype") for one in value)):
        return f"<{len(value)} entries>"
    return short_line(f"{value:g}" if isinstance(value, float) else repr(value), _LONGEST_PART)


def html_table(rows: Sequence[Mapping[str, Any]], title: str = "") -> str:
    """Rows as a table of HTML, with everything in it escaped; the first rows of many.

    >>> html_table([{"name": "<a>", "rate": 0.25}])
    '<table><thead><tr><th>name</th><th>rate</th></tr></thead><tbody><tr><td>&lt;a&gt;</td><td>0.25</td></tr></tbody></table>'
    """
    caption = f"<caption>{html.escape(title)}</caption>" if title else ""
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in (rows[0] if rows else ()))
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(value))}</td>" for value in row.values()) + "</tr>"
        for row in rows[:_ROWS]
    )
    more = f"<p>… and {len(rows) - _ROWS} more rows</p>" if len(rows) > _ROWS else ""
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.4g}"
    return "–" if value is None else short_line(str(value), 200)


def to_frame(columns: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Any:
    """Columns, or rows, as a ``pandas.DataFrame``.

    Raises
    ------
    MissingExtraError
        If pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise missing_extra("pandas", "pandas", "A table as a DataFrame") from error
    return pandas.DataFrame(dict(columns) if isinstance(columns, Mapping) else list(columns))
