"""Options that several commands have, and what they print."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["Data", "Json", "Out", "Seed", "as_percent", "emit", "or_dash", "print_table"]

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")]


Out = Annotated[Path, typer.Option(help="Output folder.")]


Data = Annotated[str | None, typer.Option(help="Folder of the data sets (else NEUROSLEEP_DATA, else a download).")]


Seed = Annotated[int, typer.Option(help="First seed.")]


def emit(result: dict[str, Any], as_json: bool, show: Callable[[dict[str, Any]], None]) -> None:
    """Print what a command found, for a program or for a person."""
    if as_json:
        print(json.dumps(result, allow_nan=False))
    else:
        show(result)


def print_table(title: str, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows under a title."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # As texts, since names and citations from files may hold what rich takes for markup.
    table = Table(title=Text(title), title_justify="left")
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def as_percent(entry: dict[str, Any]) -> str:
    """A mean accuracy with its standard deviation."""
    if entry["mean"] is None:
        return "-"
    return f"{100 * entry['mean']:.2f}" + ("" if entry["sd"] is None else f" ± {100 * entry['sd']:.2f}") + " %"


def or_dash(value: Any) -> str:
    """The value as text; a dash for none."""
    return "-" if value is None else str(value)
