"""Our results beside what is published: the rows of a table, with difference, verdict and command."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from neurosleep._reproductions import Measure, Part, Relation, Reproduction
from neurosleep.analysis import welch_test
from neurosleep.experiments.metrics import Metrics, at_chance
from neurosleep.experiments.published_figures import published_figures
from neurosleep.experiments.reading import Published
from neurosleep.experiments.reproduction.exact import fisher_exact
from neurosleep.experiments.reproduction.measures import measured
from neurosleep.experiments.reproduction.requests import Entry, data_of
from neurosleep.experiments.results.compared import NOT_AT_HAND, ComparedRow
from neurosleep.experiments.run.request import RunRequest

__all__ = ["NOTHING_TO_TEST", "RelationRow", "Row", "RunKey", "key_of", "relation_rows", "rows_of", "short_labels"]

RunKey: TypeAlias = tuple[str, str, str, int]
Values: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

NOTHING_TO_TEST = "nothing to test: all runs are alike"

# Below this, after Bonferroni, a difference counts.
_LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Row(ComparedRow):
    """One number of a table or figure, of one strategy over seeds.

    ``p`` (after Bonferroni) is that of a difference from 0 where a direction is published. ``missing`` says why there
    is no run; ``point`` is what its variant stands for in a sweep; ``tuned``: whether its settings are of a search.
    """

    part: str
    measure: str
    result: str
    missing: str = ""
    tuned: bool = False
    point: float | None = None
    p: float | None = None

    @property
    def name(self) -> str:
        """What relations call it."""
        return ", ".join(text for text in (self.part, self.variant, self.strategy, self.measure) if text)

    @property
    def label(self) -> str:
        """Its name in tables."""
        return ", ".join(text for text in (self.strategy, self.variant, self.measure) if text)

    @property
    def is_share(self) -> bool:
        """Whether it counts runs: each value is none or all of 100 %."""
        return self.result == "failed"

    @property
    def ours_text(self) -> str:
        """Ours, as a cell of a table; of a share the counts, which say more than its deviation."""
        n = self.ours["n"]
        return f"{sum(bool(value) for value in self.values)} of {n}" if self.is_share and n else super().ours_text

    @property
    def verdict(self) -> str:
        """How ours stands to what is published, in words."""
        if self.missing:
            return self.missing
        mean = self.ours["mean"]
        if mean is None or not isinstance(self.published, str) or self.ours_only or not self.comparable:
            return super().verdict
        return _direction(self.published, mean, self.p, len(self.seeds))

    @property
    def verdict_text(self) -> str:
        """The verdict as a cell of a table, with the p-value that it goes by."""
        return self.verdict + (f" (p = {self.p:.2g})" if self.p is not None and self.comparable else "")


def _direction(expected: str, mean: float, p: float | None, n: int) -> str:
    """Whether a change goes where it is published to go."""
    if p is None or not math.isfinite(p):
        return f"not tested: {n} seed{'' if n == 1 else 's'}"
    moves = "rises" if mean > 0 else "falls"
    if p >= _LEVEL:
        return "agrees: no fall" if expected == "holds or rises" else f"undecided: {moves}, not significantly"
    return f"agrees: {moves}" if moves in expected else f"does not agree: {moves}"


def rows_of(
    reproduction: Reproduction,
    entries: Sequence[Entry],
    runs: Mapping[RunKey, Metrics],
    missing: Mapping[str, str],
    errors: Mapping[RunKey, str],
) -> list[Row]:
    """The rows of all entries, a row a measure.

    ``runs`` are those that are done, ``missing`` the data sets that are not to be had with the reason, ``errors`` what
    stopped the other runs.
    """
    rows: list[Row] = []
    for entry in entries:
        done = {r.seed: (runs[key_of(r)], r.folder.path) for r in entry.requests if key_of(r) in runs}
        for measure in _measures(reproduction, entry.part):
            rows.append(
                Row(
                    part=entry.part.label,
                    variant=entry.variant if entry.part.tells_variants else "",
                    strategy=entry.strategy,
                    measure=measure.label,
                    result="" if measure.table else measure.result,
                    unit=measure.unit,
                    published=measure.expected or _published(entry, measure, reproduction),
                    values=tuple(measured(measure, metrics, folder) for metrics, folder in done.values()),
                    seeds=tuple(done),
                    diverged=sum(metrics["status"] == "diverged" for metrics, _ in done.values()),
                    at_chance=sum(m["status"] != "diverged" and at_chance(m) for m, _ in done.values()),
                    ours_only=entry.part.ours,
                    comparable=_is_comparable(entry.part, measure),
                    missing=_why_missing(entry, done, missing, errors)
                    or _off_chip(measure, [m for m, _ in done.values()]),
                    note=entry.part.note,
                    tuned=entry.part.tuned,
                    point=entry.point,
                )
            )
    return _tested(rows)


def key_of(run: RunRequest) -> RunKey:
    """What a run is found by."""
    return run.experiment, run.variant, run.strategy, run.seed


def short_labels(rows: Sequence[Row]) -> list[str]:
    """A label for each row without what is the same in all rows of its part."""
    labels = []
    for row in rows:
        alike = [one for one in rows if one.part == row.part]
        keys = [key for key in ("strategy", "variant", "measure") if len({getattr(one, key) for one in alike}) > 1]
        # A lone point of a sweep is told all the same.
        keys += ["variant"] if row.point is not None and "variant" not in keys else []
        label = ", ".join(name for key in keys if (name := getattr(row, key)))
        labels.append(label or ("all tasks" if keys else row.label))
    return labels


def _measures(reproduction: Reproduction, part: Part) -> tuple[Measure, ...]:
    if not part.results:
        return reproduction.measures
    return tuple(Measure("" if result == "accuracy_all" else _named(result), result) for result in part.results)


def _named(result: str) -> str:
    if result.endswith(".accuracy"):
        return f"on {result.removesuffix('.accuracy')}"
    return result.removeprefix("accuracy_all_").replace("_", " ")


def _published(entry: Entry, measure: Measure, reproduction: Reproduction) -> Published | None:
    """The figure of the part, else that of the experiment's own file, of accuracy over all classes."""
    part = entry.part
    if part.ours:
        return None
    for figure in part.published:
        places = figure.get("variant", entry.variant), figure.get("result", "accuracy_all")
        if figure["strategy"] == entry.strategy and places == (entry.variant, measure.result):
            source = figure.get("source", f"{reproduction.source}, {reproduction.place}")
            return Published(figure["mean"], figure.get("sd"), figure.get("n"), source, entry.variant)
    if not part.stated or not measure.result.startswith("accuracy_all"):
        return None
    read_out = measure.result.removeprefix("accuracy_all").strip("_").replace("_", " ")
    figures = published_figures(part.experiment, entry.variant)
    return figures.get(entry.strategy + (f", {read_out}" if read_out else ""))


def _is_comparable(part: Part, measure: Measure) -> bool:
    # On other data, or fewer images or tasks of it, a published figure says nothing about ours; a direction does.
    same_data = not any(key.startswith("data.") for key in part.changes)
    return part.comparable and (same_data or bool(measure.expected))


def _why_missing(
    entry: Entry,
    done: Mapping[int, object],
    missing: Mapping[str, str],
    errors: Mapping[RunKey, str],
) -> str:
    if done:
        return ""
    names = [name for name in data_of(entry.requests[0]) if name in missing]
    if names:
        return "data " + NOT_AT_HAND + ": " + ", ".join(names)
    return next((errors[key_of(request)] for request in entry.requests if key_of(request) in errors), "not run")


def _off_chip(measure: Measure, runs: Sequence[Metrics]) -> str:
    """Why no run has an accuracy on a chip, if the network is on none."""
    chip, dot, what = measure.result.rpartition(".")
    tried = [row for run in runs for row in run.get("hardware") or () if row["profile"] == chip]
    return "does not fit" if dot and what == "accuracy" and tried and not any(row["fits"] for row in tried) else ""


def _tested(rows: list[Row]) -> list[Row]:
    """The rows with the p-value of a difference from 0 where a direction is published, after Bonferroni over them."""
    ps: dict[int, float] = {}
    for number, row in enumerate(rows):
        values = np.array([value for value in row.values if value is not None])
        if isinstance(row.published, str) and len(values) > 1:
            # Against the constant 0, Welch's test is Student's of one sample.
            p = welch_test(values, np.zeros(len(values))).p
            if math.isfinite(p):
                ps[number] = p
    return [replace(row, p=min(1.0, ps[number] * len(ps))) if number in ps else row for number, row in enumerate(rows)]


@dataclass(frozen=True)
class RelationRow:
    """A published statement that one row lies above another, and our result; ``p`` is after Bonferroni.

    ``left_out`` says that the version asked for has not both rows, which the quick one may leave out.
    """

    relation: Relation
    source: str
    difference: float | None
    p: float | None
    comparable: bool = True
    left_out: bool = False

    @property
    def verdict(self) -> str:
        """In words."""
        if self.left_out:
            return "not in the quick version"
        if self.difference is None:
            return "not run"
        if not self.comparable:
            return "not comparable"
        if self.p is None and self.difference == 0:
            return NOTHING_TO_TEST
        if self.p is None:
            return f"{'agrees' if self.difference > self.relation.by else 'does not agree'} (not tested: too few seeds)"
        if self.difference > self.relation.by and self.p < _LEVEL:
            return "agrees"
        if self.difference < 0 and self.p < _LEVEL:
            return "does not agree: the other way round"
        if self.p < _LEVEL:
            return f"agrees in direction, by less than {self.relation.by:g}"
        return "undecided: no significant difference"


def relation_rows(reproduction: Reproduction, rows: Sequence[Row]) -> list[RelationRow]:
    """Our results for the published relations."""
    by_name = {row.name: row for row in rows}
    results = [
        (relation, *_compared(*([by_name.get(name) for name in side] for side in (relation.above, relation.below))))
        for relation in reproduction.relations
    ]
    tests = sum(p is not None for *_, p in results)
    return [
        RelationRow(
            relation,
            relation.source or reproduction.source,
            difference,
            None if p is None else min(1.0, p * tests),
            all(by_name[name].comparable for name in (*relation.above, *relation.below) if name in by_name),
            # Each names rows of the full version.
            left_out=not {*relation.above, *relation.below} <= by_name.keys(),
        )
        for relation, difference, p in results
    ]


def _compared(above: Sequence[Row | None], below: Sequence[Row | None]) -> tuple[float | None, float | None]:
    """Difference of the means, and the p-value of it: of shares of failed runs by Fisher's exact test."""
    a, b = _together(above), _together(below)
    if a is None or b is None:
        return None, None
    difference = float(a.mean() - b.mean())
    outcomes = set(np.unique(np.concatenate([a, b])))
    if outcomes <= {0.0, 100.0}:
        if len(outcomes) == 1:
            # No share can be told from another where all runs end alike: such a test counts for nothing (Tarone 1990).
            return difference, None
        return difference, fisher_exact(int((a > 0).sum()), len(a), int((b > 0).sum()), len(b))
    p = welch_test(a, b).p
    return difference, p if math.isfinite(p) else None


def _together(rows: Sequence[Row | None]) -> Values | None:
    """The numbers of all runs of the rows; None where one of the rows has none."""
    if any(row is None or row.ours["mean"] is None for row in rows):
        return None
    return np.array([value for row in rows if row is not None for value in row.values if value is not None])
