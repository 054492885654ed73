"""Which answers to the newest samples a sleep moved, and where to."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurosleep._shown import html_table, short_line, to_frame

__all__ = ["MovedAnswers", "answer_counts"]

# Rows of the table that a notebook shows.
_SHOWN = 8


def answer_counts(before: Tensor, after: Tensor, labels: Tensor | None = None) -> list[dict[str, int]]:
    """How many samples have which class (if ``labels`` are given), answer before and answer after; all ``[n]``.

    One row for each combination that occurs, sorted by class and answers.
    """
    columns = {"answer_before": before, "answer_after": after}
    if labels is not None:
        columns = {"class": labels} | columns
    stacked = torch.stack([column.long().cpu() for column in columns.values()], 1).numpy()
    combinations, counts = np.unique(stacked, axis=0, return_counts=True)
    return [
        dict(zip(columns, row, strict=True)) | {"images": count}
        for row, count in zip(combinations.tolist(), counts.tolist(), strict=True)
    ]


@dataclass(frozen=True, eq=False, repr=False)
class MovedAnswers:
    """The answers of a model to the newest samples before and after sleep, and a table of those that are others.

    Attributes
    ----------
    before, after:
        Class answered to each sample, integers ``[n]``; of one output, 1 where it is positive.
    labels:
        Class of each sample ``[n]``, or None where it is not known.

    See Also
    --------
    Consolidation : whose ``moved`` it is
    neurosleep.plot.confusion_change : a picture of it, with ``value="moved"``

    Examples
    --------
    >>> import torch
    >>> from neurosleep.replay import MovedAnswers
    >>> moved = MovedAnswers(torch.tensor([2, 2, 2, 2]), torch.tensor([0, 0, 1, 2]), labels=torch.tensor([0, 0, 2, 2]))
    >>> moved
    <MovedAnswers: 3 of 4 (75.0 %), 2 are right now and 1 wrong>
    >>> moved.rows()[0]
    {'class': 0, 'answer_before': 2, 'answer_after': 0, 'images': 2}
    """

    before: Tensor
    after: Tensor
    labels: Tensor | None = None

    @property
    def images(self) -> int:
        """Number of samples."""
        return len(self.before)

    @property
    def share(self) -> float:
        """Which part of the answers is another, 0 to 1; NaN of no sample."""
        return float((self.before != self.after).double().mean()) if self.images else nan

    def rows(self) -> list[dict[str, int]]:
        """One row per class (where labels are known), answer before and answer after that differ; the most first."""
        moved = self.before != self.after
        if not bool(moved.any()):
            return []
        labels = None if self.labels is None else self.labels[moved]
        counts = answer_counts(self.before[moved], self.after[moved], labels)
        return sorted(counts, key=lambda row: -row["images"])

    def to_pandas(self) -> Any:
        """:meth:`rows` as a ``pandas.DataFrame`` (extra ``pandas``)."""
        known = [] if self.labels is None else ["class"]
        rows = self.rows()
        return to_frame(
            {name: [row[name] for row in rows] for name in (*known, "answer_before", "answer_after", "images")}
        )

    @property
    def _said(self) -> str:
        moved = self.before != self.after
        said = f"{int(moved.sum())} of {self.images} ({100 * self.share:.1f} %)"
        if self.labels is None:
            return said
        right, wrong = (int((moved & (answers == self.labels)).sum()) for answers in (self.after, self.before))
        return f"{said}, {right} are right now and {wrong} wrong"

    def __repr__(self) -> str:
        return short_line(f"<MovedAnswers: {self._said}>")

    def _repr_html_(self) -> str:
        """How many moved, and the commonest moves."""
        rows = self.rows()
        more = f"; the commonest of {len(rows)} kinds of moves" if len(rows) > _SHOWN else ""
        return html_table(rows[:_SHOWN], f"Answers to the newest samples that moved: {self._said}{more}")
