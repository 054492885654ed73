"""What sleep changed in the confusion matrix."""

from __future__ import annotations

import math
from typing import Literal, get_args

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from neurosleep.errors import unknown_name
from neurosleep.plot._style import Row, axes, field
from neurosleep.plot._tables import Data, needs, read

__all__ = ["confusion_change"]

Shown = Literal["before", "after", "change", "moved"]
_SHOWN = get_args(Shown)
# What is counted, along which axes; of a change: of the answer after less that before.
_LABELS = {
    "before": ("class", "answer before sleep", "images"),
    "after": ("class", "answer after sleep", "images"),
    "change": ("class", "answer", "images, after - before"),
    "moved": ("answer before sleep", "answer after sleep", "images that moved"),
}
# Of more classes numbers could not be read.
_LEGIBLE = 12


@needs("images")
def confusion_change(data: Data, *, value: Shown = "change", ax: Axes | None = None) -> Axes:
    """A confusion matrix before or after sleep, their difference, or which answers moved to which.

    Parameters
    ----------
    data:
        The table of :func:`neurosleep.analysis.confusion_change`, or the rows of its file; for ``moved`` and, where
        labels are known, ``change`` also ``moved.rows()`` of a :class:`~neurosleep.replay.Consolidation`.
    value:
        ``before``, ``after``: images of each class (rows) by answer (columns); ``change``: after less before, purple
        where answers were gained and orange where they were lost; ``moved``: images whose answer changed, by the answer
        before (rows) and after (columns), whatever their class.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If the value does not exist, or a column is missing.

    See Also
    --------
    neurosleep.analysis.confusion_change : the numbers
    accuracy_matrix : accuracy on each task

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from neurosleep import analysis, plot
    >>> before, after = nn.Linear(4, 3), nn.Linear(4, 3)  # a network at two moments
    >>> table = analysis.confusion_change(before, after, torch.rand(9, 4), torch.arange(9) % 3)
    >>> plot.confusion_change(table, value="moved").get_ylabel()
    'answer before sleep'
    """
    if value not in _SHOWN:
        raise unknown_name("value", str(value), _SHOWN)
    counts = _counts(read(data), value)
    ax = axes(ax, 4.6, 3.9)
    largest = max(1.0, float(np.abs(counts).max()))
    signed = value == "change"
    colours = matplotlib.colormaps["PuOr" if signed else "Blues"]
    image = ax.imshow(counts, cmap=colours, vmin=-largest if signed else 0, vmax=largest, aspect="equal")
    n = len(counts)
    if n <= _LEGIBLE:
        size = 9 if n <= 6 else 7
        for (k, j), count in np.ndenumerate(counts):
            if count:
                dark = abs(count) > 0.6 * largest
                label = f"{count:+.0f}" if signed else f"{count:.0f}"
                ax.text(j, k, label, ha="center", va="center", fontsize=size, color="white" if dark else "black")
    at = range(0, n, math.ceil(n / 20))
    ax.set_xticks(at, [str(k) for k in at])
    ax.set_yticks(at, [str(k) for k in at])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    down, across, label = _LABELS[value]
    ax.set(xlabel=across, ylabel=down)
    ax.figure.colorbar(image, ax=ax, label=label, shrink=0.85)
    return ax


def _counts(rows: list[Row], value: Shown) -> NDArray[np.float64]:
    # What moved is counted whatever the class, which need not be known then.
    names = ("answer_before" if value == "moved" else "class", "answer_before", "answer_after")
    triples = np.array([[field(row, name) for name in names] for row in rows], dtype=np.int64)
    images = np.array([field(row, "images") for row in rows])
    counts = np.zeros((triples.max() + 1,) * 2)
    if value == "moved":
        other = triples[:, 1] != triples[:, 2]
        np.add.at(counts, (triples[other, 1], triples[other, 2]), images[other])
    if value in ("after", "change"):
        np.add.at(counts, (triples[:, 0], triples[:, 2]), images)
    if value in ("before", "change"):
        np.add.at(counts, (triples[:, 0], triples[:, 1]), -images if value == "change" else images)
    return counts
