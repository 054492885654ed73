"""A table as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from neurosleep._reproductions import Reproduction
from neurosleep.experiments.markdown import plain_text, table_of_texts
from neurosleep.experiments.reproduction.requests import Entry, command_of
from neurosleep.experiments.reproduction.rows import RelationRow, Row, short_labels
from neurosleep.experiments.reproduction.sentences import sentences

__all__ = ["as_csv", "as_json", "as_markdown", "commands_of", "csv_text", "note_lines", "relation_lines", "rows_lines"]
__all__ += ["table_of"]

# Columns that a table without a word in them can do without.
_OPTIONAL = {"published", "difference", "verdict"}


def table_of(rows: Sequence[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and cells of a table: units stand in the head where all rows have the same, else with each."""
    units = {"failed" if row.is_share else row.unit for row in rows}
    head = f" ({unit})" if len(units) == 1 and (unit := next(iter(units))) else ""
    columns: dict[str, list[str]] = {name: [] for name in ("result", "published", "ours", "n", "difference", "verdict")}
    for row, label in zip(rows, short_labels(rows), strict=True):
        unit = f" ({row.unit})" if len(units) > 1 and row.unit and not row.is_share else ""
        cells = (row.published_text, row.ours_text, row.n_text, row.difference_text, row.verdict_text)
        name = label + unit + (" (ours)" if row.ours_only else "")
        for column, cell in zip(columns.values(), (name, *cells), strict=True):
            column.append(cell)
    chosen = {name: cells for name, cells in columns.items() if name not in _OPTIONAL or set(cells) != {"-"}}
    header = tuple(name + (head if name in ("published", "ours") else "") for name in chosen)
    return header, list(zip(*chosen.values(), strict=True))


def _parts(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    return [(part, list(members)) for part, members in itertools.groupby(rows, key=lambda row: row.part)]


def as_markdown(
    reproduction: Reproduction, rows: Sequence[Row], relations: Sequence[RelationRow], commands: Sequence[str]
) -> str:
    """The whole page."""
    where = ", ".join(plain_text(text) for text in (reproduction.source, reproduction.place) if text)
    lines = [
        f"# {plain_text(reproduction.name)}",
        "",
        f"{plain_text(reproduction.title)}. {where}. Mean ± sd over seeds.",
    ]
    if reproduction.note:
        lines += ["", plain_text(reproduction.note)]
    lines += ["", *(f"- {plain_text(sentence)}" for sentence in sentences(rows, relations))]
    lines += ["", "![figure](figure.svg)"]
    for part, members in _parts(rows):
        lines += ["", f"## {plain_text(part)}", "", *rows_lines(members)]
    if relations:
        lines += ["", "## What is published without numbers", "", *relation_lines(relations)]
    lines += ["", "## Commands", "", *(f"    {command}" for command in commands)]
    return "\n".join(lines) + "\n"


def note_lines(rows: Sequence[Row]) -> list[str]:
    """What is to be said of a part, before its table."""
    note = rows[0].note
    return [f"{plain_text(note[0].upper() + note[1:])}.", ""] if note else []


def rows_lines(rows: Sequence[Row]) -> list[str]:
    """The rows of one part as a Markdown table, under the part's note."""
    return [*note_lines(rows), *table_of_texts(*table_of(rows))]


def relation_lines(relations: Sequence[RelationRow]) -> list[str]:
    """The published statements as a Markdown table."""
    cells = (
        (
            row.relation.text,
            row.source,
            "-" if row.difference is None else f"{row.difference:+.2f}",
            "-" if row.p is None else f"{row.p:.2g}",
            row.verdict,
        )
        for row in relations
    )
    return table_of_texts(("statement", "source", "difference", "p (Bonferroni)", "ours"), cells)


def commands_of(entries: Sequence[Entry]) -> list[str]:
    """The commands that make all runs, one a part."""
    return [command_of(list(members)) for _, members in itertools.groupby(entries, key=lambda entry: entry.part.label)]


def _plain(row: Row) -> dict[str, Any]:
    figure, ours = row.figure, row.ours
    return {
        "part": row.part,
        "variant": row.variant,
        "strategy": row.strategy,
        "measure": row.measure,
        "unit": row.unit,
        "published": row.published_text,
        "published_mean": None if figure is None else figure.mean,
        "published_sd": None if figure is None else figure.sd,
        "source": None if figure is None else figure.source,
        "mean": ours["mean"],
        "sd": ours["sd"],
        "n": ours["n"],
        "difference": row.difference,
        "p": row.p,
        "verdict": row.verdict,
        "ours_only": row.ours_only,
        "seeds": list(row.seeds),
        "values": list(row.values),
        "diverged": row.diverged,
        "failed": row.diverged + row.at_chance,
        "note": row.note,
    }


def as_json(
    reproduction: Reproduction, rows: Sequence[Row], relations: Sequence[RelationRow], commands: Sequence[str]
) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "name": reproduction.name,
        "title": reproduction.title,
        "source": reproduction.source,
        "place": reproduction.place,
        "note": reproduction.note,
        "rows": [_plain(row) for row in rows],
        "relations": [
            {
                "text": row.relation.text,
                "source": row.source,
                "difference": row.difference,
                "p": row.p,
                "verdict": row.verdict,
            }
            for row in relations
        ],
        "sentences": sentences(rows, relations),
        "commands": list(commands),
    }


def as_csv(rows: Sequence[Row]) -> str:
    """The same rows, a line each; seeds and values with spaces between."""
    return csv_text([_plain(row) for row in rows])


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of the same columns as CSV; what is undefined is an empty field."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow(
            " ".join("-" if one is None else str(one) for one in value)
            if isinstance(value, list)
            else ""
            if value is None
            else value
            for value in row.values()
        )
    return buffer.getvalue()
