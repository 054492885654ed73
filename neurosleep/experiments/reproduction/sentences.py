"""What a table comes to, in sentences: where ours agrees with what is published, where not, and what is left open."""

from __future__ import annotations

from collections.abc import Sequence

from neurosleep.experiments.reproduction.rows import NOTHING_TO_TEST, RelationRow, Row
from neurosleep.experiments.results.compared import ABOVE, SHORT, WITHIN

__all__ = ["sentences"]

# Names that a sentence holds, at most.
_NAMED = 6
# How a verdict starts that is none of agreement, and how the sentence goes on.
_OTHERWISE = {
    "does not agree": "do not agree with",
    "undecided": "leave undecided",
    "not tested": "are too few seeds to test",
    "no number": "have no number for",
}


def sentences(rows: Sequence[Row], relations: Sequence[RelationRow]) -> list[str]:
    """A sentence for each kind of thing that is published, as far as there is any, and one for what is missing."""
    said = [*_figures(rows), *_directions(rows), *_relations(relations)]
    unknown = [row for row in rows if row.published is None and not row.ours_only]
    if unknown:
        said.append(f"Of {_rows(len(unknown))} no published value is at hand.")
    left_out = {row.part: row.missing for row in rows if row.missing}
    said += [f"{part} is left out: {reason}." for part, reason in left_out.items()]
    return said


def _rows(n: int) -> str:
    return f"{n} row" if n == 1 else f"{n} rows"


def _list(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return "; ".join(names[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _figures(rows: Sequence[Row]) -> list[str]:
    compared = [row for row in rows if row.difference is not None]
    if not compared:
        return []
    agreeing = sum(row.agrees for row in compared)
    said = [f"{agreeing} of {_rows(len(compared))} with a published figure agree with it ({WITHIN})."]
    for verdict, words in ((SHORT, "Short of it"), (ABOVE, "Above it")):
        names = [f"{row.name} by {abs(row.difference or 0):.1f}" for row in compared if row.verdict == verdict]
        said += [f"{words}: {_list(names)}."] if names else []
    return said


def _directions(rows: Sequence[Row]) -> list[str]:
    said = []
    for part in dict.fromkeys(row.part for row in rows):
        published = [row for row in rows if row.part == part and isinstance(row.published, str)]
        published = [row for row in published if row.comparable and not row.missing and not row.ours_only]
        if published:
            names = [(row.measure, row.verdict) for row in published]
            said.append(f"{part}: " + _sorted_out(names, "published directions") + ".")
    return said


def _relations(relations: Sequence[RelationRow]) -> list[str]:
    made = [
        (row.relation.text.rstrip("."), row.verdict)
        for row in relations
        if row.difference is not None and row.comparable and row.verdict != NOTHING_TO_TEST
    ]
    if not made:
        return []
    text = _sorted_out(made, "published statements")
    return [f"{text[0].upper()}{text[1:]}."]


def _sorted_out(verdicts: Sequence[tuple[str, str]], what: str) -> str:
    """How many agree, and by name those that do not and those that are open."""

    def of(start: str) -> list[str]:
        return [name for name, verdict in verdicts if verdict.startswith(start)]

    words = [f"ours agree with {len(of('agrees'))} of {len(verdicts)} {what}"]
    for start, before in _OTHERWISE.items():
        words += [f"{before}: {_list(of(start))}"] if of(start) else []
    return "; ".join(words)
