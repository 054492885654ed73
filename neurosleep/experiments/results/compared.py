"""A number of ours, over seeds, beside what is published of it: what the rows of all tables have in common."""

from __future__ import annotations

from dataclasses import dataclass

from neurosleep.experiments.metrics import Spread, spread_of
from neurosleep.experiments.reading import Published

__all__ = ["ABOVE", "NOT_AT_HAND", "OURS", "SHORT", "WITHIN", "ComparedRow", "figure_text"]

OURS = "ours, not the paper's"
NOT_AT_HAND = "not at hand"
SHORT, ABOVE = "short", "above"
# What it takes to agree with a published figure.
WITHIN = "within one published sd; where none is stated, within 1"


def figure_text(mean: float | None, sd: float | None = None, unit: str = "%") -> str:
    """A mean with its standard deviation; a dash for none.

    >>> figure_text(48.47, 5.03)
    '48.47 ± 5.03'
    """

    def number(value: float) -> str:
        return f"{value:.2f}" if unit == "%" else f"{value:.3g}"

    if mean is None:
        return "-"
    return number(mean) + ("" if sd is None else f" ± {number(sd)}")


@dataclass(frozen=True, kw_only=True)
class ComparedRow:
    """One number of one strategy over seeds, and what is published of it.

    ``values`` are in ``unit``, one for each of ``seeds``, None where a run has none. ``published`` is a figure, what is
    said of its direction, or None where it is not at hand. ``comparable``: whether it is of the same data and settings;
    ``ours_only``: whether the row is none of the paper's. ``at_chance`` runs ended no better than a guess.
    """

    variant: str
    strategy: str
    published: Published | str | None
    values: tuple[float | None, ...]
    seeds: tuple[int, ...]
    diverged: int
    at_chance: int
    unit: str = "%"
    comparable: bool = True
    ours_only: bool = False
    note: str = ""

    @property
    def ours(self) -> Spread:
        """Mean and deviation of the values there are."""
        return spread_of(self.values)

    @property
    def figure(self) -> Published | None:
        """What is published, if it is a number."""
        return self.published if isinstance(self.published, Published) else None

    @property
    def difference(self) -> float | None:
        """Ours less the published figure, where the two can be compared."""
        mean = self.ours["mean"]
        if mean is None or self.figure is None or not self.comparable:
            return None
        return mean - self.figure.mean

    @property
    def agrees(self) -> bool:
        """Whether ours lies within one published sd of the published figure; without an sd, within 1 of it."""
        if self.difference is None or self.figure is None:
            return False
        return abs(self.difference) <= (1.0 if self.figure.sd is None else self.figure.sd)

    @property
    def verdict(self) -> str:
        """How ours stands to what is published, in words; a dash where nothing is."""
        if self.ours["mean"] is None:
            return "no number: all diverged" if self.diverged else "no number"
        if self.ours_only:
            return OURS
        if self.published is None:
            return "-"
        if self.difference is None or self.figure is None:
            return "not comparable"
        if self.agrees:
            one = "point" if self.unit == "%" else self.unit.removesuffix("s")
            return f"within 1 {one if self.figure.sd is None else 'sd'}"
        return SHORT if self.difference < 0 else ABOVE

    @property
    def published_text(self) -> str:
        """What is published, as a cell of a table."""
        if self.ours_only:
            return "-"
        if self.figure is None:
            return str(self.published or NOT_AT_HAND)
        n = f" (n {self.figure.n})" if self.figure.n else ""
        return figure_text(self.figure.mean, self.figure.sd, self.unit) + n

    @property
    def ours_text(self) -> str:
        """Ours, as a cell of a table."""
        return figure_text(self.ours["mean"], self.ours["sd"], self.unit)

    @property
    def n_text(self) -> str:
        """How many runs have a number, and how many failed, as a cell of a table."""
        failures = [f"{self.diverged} diverged"] if self.diverged else []
        failures += [f"{self.at_chance} at chance"] if self.at_chance else []
        return "; ".join([str(self.ours["n"]), *failures])

    @property
    def difference_text(self) -> str:
        """The difference, as a cell of a table."""
        return "-" if self.difference is None else f"{self.difference:+.2f}"
