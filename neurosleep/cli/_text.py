"""Text for people: lines that fit, of whole words; verdicts in colour, on a terminal and without NO_COLOR."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from neurosleep.errors import shorten_warnings

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Verdict", "console", "lines_of", "print_table", "say", "say_error", "show_warnings"]

#: How what is said is meant.
Verdict: TypeAlias = Literal["ok", "warning", "error", "note", "title"]

_STYLES: dict[str, str] = {
    "ok": "green",
    "warning": "yellow",
    "error": "bold red",
    "note": "dim",
    "title": "bold",
}
# Lines of a terminal of the usual width; text in longer ones reads badly.
_WIDTH, _WIDEST = 80, 100
# A word up to here stays whole in a table, unless the other columns leave no room.
_LONGEST_WORD = 30
# What stands before the text of a line: spaces, and the label of an error's rows.
_HEAD = re.compile(r"\s*(?:(?:Found|Expected|Try): +)?")
# What stands to the right in a table: numbers, with or without a unit, and what there is none of.
_NUMBER = re.compile(r"-$|[-+]?[\d.,]+(e[-+]?\d+)?( ?[^\d\W]{0,3}%?)?( ± [\d.]+( %)?)?$")


def console(*, error: bool = False) -> Console:
    """Standard output or standard error as rich writes it, without guesses at what is a number or a path."""
    from rich.console import Console

    return Console(stderr=error, highlight=False, markup=False, emoji=False)


def lines_of(text: str, label: str = "", indent: int = 0) -> str:
    """``text`` behind ``label``, in lines that fit, of whole words; names and paths stay whole too."""
    width = min(_WIDEST, shutil.get_terminal_size((_WIDTH, 24)).columns)
    rows = []
    for number, row in enumerate((" " * indent + label + text).splitlines()):
        # Later lines may have a label of their own, as those of an error do.
        head = _HEAD.match(row) if number else None
        after = len(head.group()) if head else indent + len(label)
        whole = textwrap.TextWrapper(
            width,
            initial_indent=row[:after],
            subsequent_indent=" " * after,
            break_long_words=False,
            break_on_hyphens=False,
        )
        rows.append(whole.fill(row[after:]))
    return "\n".join(rows)


def say(text: str, label: str = "", indent: int = 0, *, verdict: Verdict | None = None) -> None:
    """Print ``text`` behind ``label``, coloured by ``verdict``: the label if there is one, else all of it."""
    from rich.text import Text

    line = Text(lines_of(text, label, indent))
    if verdict is not None:
        line.stylize(_STYLES[verdict], 0, indent + len(label) if label and verdict != "note" else None)
    console().print(line, soft_wrap=True)


def say_error(kind: str, text: str, verdict: Verdict = "error") -> None:
    """Print ``text`` on standard error behind its ``kind``, which is coloured; all of it where that is empty."""
    from rich.text import Text

    out = console(error=True)
    whole = f"{kind}: {text}" if kind else text
    # In a file or a pipe a message stays as it is, so that it is found by its words.
    line = Text(lines_of(whole) if out.is_terminal else whole)
    line.stylize(_STYLES[verdict], 0, len(kind) + 1 if kind else None)
    out.print(line, soft_wrap=True)


def show_warnings() -> None:
    """From here on, a warning to the user of a terminal is in colour and of whole words; elsewhere it is one line."""
    shorten_warnings()
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, UserWarning) and sys.stderr.isatty():
            say_error("Warning", str(message), "warning")
        else:
            usual(message, category, *where, **more)

    warnings.showwarning = show


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a title; columns of numbers stand to the right."""
    from rich.table import Table
    from rich.text import Text

    # As texts, since names and citations from files may hold what rich takes for markup.
    if title:
        say(title, verdict="title")
    table = Table()
    out = console()
    columns = [[name, *(row[number] for row in rows)] for number, name in enumerate(header)]
    # Of each column: two spaces and a line.
    for width, (name, *cells) in zip(_widths(columns, out.width - 3 * len(header) - 1), columns, strict=True):
        numbers = bool(cells) and all(_NUMBER.match(cell) for cell in cells)
        table.add_column(Text(name), overflow="fold", width=width, justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    out.print(table)


def _widths(columns: Sequence[Sequence[str]], room: int) -> list[int]:
    """Of each column, so that all fit: as wide as its longest cell if there is room, else words stay whole first."""
    whole = [max(map(len, cells)) for cells in columns]
    words = [_longest_word(cells) for cells in columns]
    cap = next((cap for cap in range(_LONGEST_WORD, 5, -1) if sum(min(cap, word) for word in words) <= room), 5)
    widths = [min(cap, word) for word in words]
    while sum(widths) < room and widths != whole:
        _, number = max((wanted - width, -k) for k, (wanted, width) in enumerate(zip(whole, widths, strict=True)))
        widths[-number] += 1
    return widths


def _longest_word(cells: Sequence[str]) -> int:
    """Letters of the longest word, with the spaces that a cell starts with."""
    words = ((k, len(cell) - len(cell.lstrip()), word) for cell in cells for k, word in enumerate(cell.split()))
    return max((len(word) + (0 if k else indent) for k, indent, word in words), default=1)
