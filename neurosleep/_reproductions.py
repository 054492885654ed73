"""The tables and figures of the papers as they stand in ``experiments/published/reproduce``: what each one is made of.

Read without torch, so that a list of them comes at once; :mod:`neurosleep.experiments.reproduction` makes them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Literal

from neurosleep.errors import unknown_name

__all__ = ["Kind", "Measure", "Part", "Quick", "Relation", "Reproduction", "load_reproduction", "reproduction_names"]

Kind = Literal["table", "sweep", "phases", "changes", "epochs-saved"]
"""How a reproduction is drawn: rows beside what is published, lines over what is varied, accuracy from task to task,
what sleep changed in each run, or training epochs that sleep saves."""


@dataclass(frozen=True)
class Measure:
    """One number of a run: of ``metrics.json``, or the mean over rows of one of its analyses.

    Parameters
    ----------
    label:
        What it is called; empty where there is only one.
    result:
        ``accuracy_all`` or another key of the results; ``task 2`` (accuracy on it at the end), ``task 2 before sleep``
        (before the last one), ``task 2 after task 3``; ``failed`` (diverged, or no better than a guess).
    table, where, value:
        Else the analysis, the rows of it that count, and the column; of two columns the second less the first.
    unit:
        ``%`` for fractions, which are shown in percent, else what stands behind the number.
    expected:
        What is published of it where that is no number: ``rises``, ``falls``, ``holds or rises``.
    """

    label: str = ""
    result: str = "accuracy_all"
    table: str = ""
    where: Mapping[str, str] = field(default_factory=dict)
    value: tuple[str, ...] = ()
    unit: str = "%"
    expected: str = ""


@dataclass(frozen=True)
class Part:
    """The runs of one experiment that a table or figure takes, and what is published of them.

    Parameters
    ----------
    label:
        Name of the group of rows, such as a data set.
    experiment, strategies, variants, changes, tuned:
        What is run: with every variant, and the settings in ``changes``; ``tuned``: those that a search has found.
    data:
        The data sets that it needs.
    seconds:
        Processor time of a run, measured or (where none was run) estimated.
    points:
        Of a sweep, what each variant stands for.
    ours:
        Whether it is no part of the paper.
    results:
        What is read of its runs, where it is not what the whole table reads (as :class:`Measure`, ``result``).
    published:
        Figures that the experiment's own file does not state: each with ``strategy`` (and ``variant``, ``result``),
        ``mean``, ``sd``, ``n``.
    comparable:
        Whether a published figure says something about ours: not where data are others.
    stated:
        Whether the figures that the experiment's own file states are of these runs too: not where settings in
        ``changes`` make them others.
    saved:
        Training epochs that sleep is published to save.
    quick:
        What the quick version changes here beside what it changes everywhere; ``experiment``, ``variants``,
        ``strategies`` and ``results`` in it replace those here. None: it leaves this part out.
    """

    label: str
    experiment: str
    strategies: tuple[str, ...]
    variants: tuple[str, ...] = ("default",)
    changes: Mapping[str, Any] = field(default_factory=dict)
    tuned: bool = False
    data: tuple[str, ...] = ()
    seconds: float = 0.0
    points: tuple[float, ...] = ()
    ours: bool = False
    results: tuple[str, ...] = ()
    published: tuple[Mapping[str, Any], ...] = ()
    comparable: bool = True
    stated: bool = True
    saved: float | None = None
    note: str = ""
    quick: Mapping[str, Any] | None = field(default_factory=dict)

    @property
    def tells_variants(self) -> bool:
        """Whether rows are told apart by their variant: there are several, or one point of a sweep."""
        return len(self.variants) > 1 or bool(self.points)


@dataclass(frozen=True)
class Relation:
    """A published statement that one row lies above another.

    Both are named by label of part, variant (if several), strategy and measure (if it has a label), commas between;
    several names are rows whose runs count together. ``by`` is by how many points it has to; ``source`` says where it
    stands, empty: in the paper itself.
    """

    text: str
    above: tuple[str, ...]
    below: tuple[str, ...]
    by: float = 0.0
    source: str = ""


@dataclass(frozen=True)
class Quick:
    """The small version: seeds, what is changed in every run, minutes of one processor, and what is said of it."""

    seeds: int
    minutes: float
    note: str
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reproduction:
    """One table or figure of a paper: its runs, its numbers, and how it is drawn.

    Parameters
    ----------
    name:
        Of its file.
    title, paper, source, place:
        What it shows; the paper in short and in full; where it stands there.
    kind:
        How it is drawn.
    seeds:
        How many, from 0.
    parts, measures, relations:
        What it is made of.
    quick:
        The small version.
    axis:
        What a sweep varies.
    draws:
        Analyses whose tables are drawn too, as means over the seeds.
    note:
        What is to be said of all of it.
    """

    name: str
    title: str
    paper: str
    source: str
    place: str
    kind: Kind
    seeds: int
    parts: tuple[Part, ...]
    quick: Quick
    measures: tuple[Measure, ...] = (Measure(),)
    relations: tuple[Relation, ...] = ()
    axis: str = ""
    draws: tuple[str, ...] = ()
    note: str = ""

    @property
    def runs(self) -> int:
        """How many runs there are in all."""
        return self.seeds * sum(len(part.variants) * len(part.strategies) for part in self.parts)

    @property
    def minutes(self) -> float:
        """Minutes of one processor for all of them."""
        return self.seeds * sum(len(part.variants) * len(part.strategies) * part.seconds for part in self.parts) / 60

    @property
    def data(self) -> tuple[str, ...]:
        """The data sets that it needs."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.data))


def _files(folder: Traversable, before: str = "") -> dict[str, Traversable]:
    files: dict[str, Traversable] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            files |= _files(entry, f"{before}{entry.name}/")
        elif entry.name.endswith(".toml"):
            files[before + entry.name.removesuffix(".toml")] = entry
    return files


@cache
def _all_files() -> dict[str, Traversable]:
    root = resources.files("neurosleep") / "experiments" / "published" / "reproduce"
    return dict(sorted(_files(root).items()))


def reproduction_names() -> tuple[str, ...]:
    """The tables and figures there are, in alphabetical order."""
    return tuple(_all_files())


def load_reproduction(name: str) -> Reproduction:
    """One of them.

    Raises
    ------
    UnknownNameError
        If there is none of that name.
    """
    if name not in _all_files():
        raise unknown_name("table or figure", name, _all_files())
    table = tomllib.loads(_all_files()[name].read_text(encoding="utf-8"))
    quick = table.pop("quick")
    made: dict[str, Any] = {
        "parts": tuple(_part(entry) for entry in table.pop("parts")),
        "quick": Quick(changes=quick.pop("set", {}), **quick),
        "relations": tuple(_relation(entry) for entry in table.pop("relations", ())),
        "draws": tuple(table.pop("draws", ())),
    }
    if "measures" in table:
        made["measures"] = tuple(_measure(entry) for entry in table.pop("measures"))
    return Reproduction(name=name, **made, **table)


def _part(entry: dict[str, Any]) -> Part:
    quick = entry.pop("quick", {})
    lists: Sequence[str] = ("strategies", "variants", "data", "points", "results", "published")
    given: dict[str, Any] = {key: tuple(entry.pop(key)) for key in lists if key in entry}
    return Part(changes=entry.pop("set", {}), quick=None if quick is False else quick, **given, **entry)


def _relation(entry: dict[str, Any]) -> Relation:
    above, below = (
        (names,) if isinstance(names, str) else tuple(names) for names in (entry.pop("above"), entry.pop("below"))
    )
    return Relation(above=above, below=below, **entry)


def _measure(entry: dict[str, Any]) -> Measure:
    value = entry.pop("value", ())
    return Measure(value=(value,) if isinstance(value, str) else tuple(value), **entry)
