"""Training epochs that sleep saves, from the rows of a sweep over epochs."""

from __future__ import annotations

from collections.abc import Sequence

from neurosleep._reproductions import Part, Reproduction
from neurosleep.analysis import Table, epochs_saved
from neurosleep.errors import DataError
from neurosleep.experiments.reading import Published
from neurosleep.experiments.reproduction.rows import Row

__all__ = ["saved_rows", "savings_of"]


def saved_rows(reproduction: Reproduction, rows: Sequence[Row]) -> list[Row]:
    """A row for each part: what sleep saves over the range of accuracies that a seed reaches with and without it."""
    made = []
    for part in reproduction.parts:
        of_part = [row for row in rows if row.part == part.label]
        seeds = sorted({seed for row in of_part for seed in row.seeds})
        tables = [savings_of(part, of_part, seed) for seed in seeds]
        values = tuple(None if table is None else float(table["saved"].mean()) for table in tables)
        source = f"{reproduction.source}, {reproduction.place}"
        made.append(
            Row(
                part=part.label,
                variant="",
                strategy=part.strategies[1],
                measure="epochs saved",
                result="",
                unit="epochs",
                published=None if part.saved is None else Published(part.saved, None, None, source),
                values=values,
                seeds=tuple(seeds),
                diverged=0,
                at_chance=0,
                ours_only=part.ours,
                comparable=part.comparable,
                missing=next((row.missing for row in of_part if row.missing), "") if not seeds else "",
                note=part.note,
            )
        )
    return made


def savings_of(part: Part, rows: Sequence[Row], seed: int | None = None) -> Table | None:
    """Curves without and with sleep of a part, of one seed or of the means; None where they do not compare."""
    curves: list[tuple[float, ...]] = []
    for point in part.points:
        pair = [
            _value(row, seed)
            for strategy in part.strategies
            for row in rows
            if (row.part, row.strategy, row.point) == (part.label, strategy, point)
        ]
        if len(pair) == len(part.strategies) and None not in pair:
            curves.append((point, *(value / 100 for value in pair if value is not None)))
    if len(curves) < 2:
        return None
    epochs, without, with_sleep = zip(*curves, strict=True)
    try:
        return epochs_saved(epochs, without, with_sleep)
    except DataError:
        return None


def _value(row: Row, seed: int | None) -> float | None:
    if seed is None:
        return row.ours["mean"]
    return dict(zip(row.seeds, row.values, strict=True)).get(seed)
