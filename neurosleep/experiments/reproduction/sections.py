"""A table or figure of a paper as a section of a page of results, from the runs that there are."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from neurosleep import plot
from neurosleep._reproductions import Reproduction, load_reproduction
from neurosleep.experiments.markdown import plain_text
from neurosleep.experiments.metrics import Metrics
from neurosleep.experiments.published_figures import REPORTED
from neurosleep.experiments.reproduction.figures import draw
from neurosleep.experiments.reproduction.matrix import matrix_lines
from neurosleep.experiments.reproduction.page import relation_lines, rows_lines
from neurosleep.experiments.reproduction.requests import Asked, Entry, entries_of
from neurosleep.experiments.reproduction.rows import RelationRow, Row, RunKey, key_of, relation_rows, rows_of
from neurosleep.experiments.reproduction.savings import saved_rows
from neurosleep.experiments.reproduction.sentences import sentences
from neurosleep.experiments.results.tables import wide

__all__ = ["Section"]


@dataclass(frozen=True)
class Section:
    """One table or figure over the runs below a folder, none of which is made for it.

    Parameters
    ----------
    name:
        Of the table or figure.
    folder:
        Where the runs lie, with the analyses that it reads.
    runs:
        Their metrics.
    """

    name: str
    folder: Path
    runs: Mapping[RunKey, Metrics]

    @cached_property
    def reproduction(self) -> Reproduction:
        """What it shows: the experiments that were run, every reported seed, and no drawings of whole analyses.

        Those make a picture large, and settings of experiments take long to read.
        """
        whole = load_reproduction(self.name)
        run = {key[0] for key in self.runs}
        parts = tuple(part for part in whole.parts if part.experiment in run)
        return replace(whole, parts=parts, seeds=max(whole.seeds, len(REPORTED)), draws=())

    @cached_property
    def entries(self) -> list[Entry]:
        """Its rows with the runs of each, made or not."""
        return entries_of(self.reproduction, Asked(None, str(self.folder)))

    @cached_property
    def read(self) -> set[RunKey]:
        """The runs that it shows."""
        return {key for entry in self.entries for request in entry.requests if (key := key_of(request)) in self.runs}

    @cached_property
    def rows(self) -> list[Row]:
        """The numbers; of parts that were never run, none or empty ones."""
        rows = rows_of(self.reproduction, self.entries, self.runs, {}, {})
        if self.reproduction.kind == "epochs-saved":
            rows += saved_rows(self.reproduction, rows)
        return rows

    @cached_property
    def relations(self) -> list[RelationRow]:
        """What is published without numbers."""
        return [replace(row, left_out=False) for row in relation_rows(self.reproduction, self.rows)]

    @property
    def is_made(self) -> bool:
        """Whether there are runs of what it is about: of a paper's table, not of our additions to it alone."""
        of_paper = [row for row in self.rows if not row.ours_only]
        return any(row.ours["n"] for row in of_paper or self.rows)

    @property
    def picture_name(self) -> str:
        """The file of its picture."""
        return f"{self.name.replace('/', '-')}.svg"

    def picture(self) -> bytes:
        """SVG, without the parts that were never run."""
        made = {row.part for row in self.rows if row.seeds}
        parts = tuple(part for part in self.reproduction.parts if part.label in made)
        entries = [entry for entry in self.entries if entry.part.label in made]
        rows = [row for row in self.rows if row.part in made]
        figure, _ = draw(replace(self.reproduction, parts=parts), entries, rows, self.runs)
        return plot.to_svg_bytes(figure)

    def lines(self) -> list[str]:
        """Markdown: heading, what it comes to, the picture, and folded its tables, its note and its command."""
        reproduction = self.reproduction
        made = [row for row in self.rows if row.seeds]
        said = sentences(made, self.relations)
        parts = {row.part for row in made}
        if absent := [part.label for part in load_reproduction(self.name).parts if part.label not in parts]:
            said.append(f"Not run: {'; '.join(absent)}.")
        where = ", ".join(plain_text(text) for text in (reproduction.paper, reproduction.place) if text)
        title, picture = plain_text(reproduction.title), self.picture_name
        lines = ["", f"## {title}", "", f"{where}.", "", *(f"- {plain_text(sentence)}" for sentence in said)]
        lines += ["", f"[![{title}]({picture}){{ .ns-figure }}]({picture})"]
        lines += ["", '<details markdown="1">', "<summary>Tables, note and command</summary>"]
        if reproduction.note:
            lines += ["", plain_text(reproduction.note)]
        for part, members in itertools.groupby(made, key=lambda row: row.part):
            lines += ["", f"**{plain_text(part)}**", "", *wide(self._table(list(members)))]
        if self.relations:
            lines += ["", "**What is published without numbers**", "", *wide(relation_lines(self.relations))]
        lines += ["", f"    neurosleep reproduce {self.name} --data DIR --out OUT", "", "</details>"]
        return lines

    def _table(self, rows: list[Row]) -> list[str]:
        # Changes have directions, verdicts and units of their own.
        return rows_lines(rows) if self.reproduction.kind == "changes" else matrix_lines(rows, self.reproduction.axis)
