"""Names and other plain text within Markdown, so that it means nothing but itself there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["plain_text", "shown", "table_of_texts", "table_row"]

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Within a word an underscore is none of emphasis.
_MEANING = re.compile(r"[\\`*|\[\]~#]|(?<!\w)_|_(?!\w)")


def shown(text: object) -> str:
    r"""``text`` with what cannot be seen, such as NUL or a new line, as its escape.

    >>> shown("a\x00b")
    'a\\x00b'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def plain_text(text: object) -> str:
    r"""``text`` as Markdown that shows it as it is, in a line or a cell of a table.

    >>> print(plain_text("a|<b>"))
    a\|&lt;b&gt;
    """
    escaped = _MEANING.sub(lambda found: "\\" + found[0], shown(text))
    return "".join(_ENTITIES.get(c, c) for c in escaped)


def table_row(cells: Sequence[str]) -> str:
    """One row of a table of plain texts."""
    return f"| {' | '.join(map(plain_text, cells))} |"


def table_of_texts(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table: a head, which is Markdown, and rows of plain texts."""
    return [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}", *map(table_row, rows)]
