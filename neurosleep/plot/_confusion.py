"""The confusion matrix: what a network answers to images of each class."""

from __future__ import annotations

import math

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from neurosleep.plot._style import axes, field
from neurosleep.plot._tables import Data, needs, read

__all__ = ["confusion"]

# Of more classes numbers could not be read.
_LEGIBLE = 12


@needs("images")
def confusion(data: Data, *, ax: Axes | None = None) -> Axes:
    """Answers in % of the images of each class (rows), with the accuracy of each class beside its name.

    Parameters
    ----------
    data:
        Rows with ``class``, ``answer`` and ``images`` (their number), such as those of a run's ``confusion.csv``. Pairs
        that do not occur may be left out.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If a column is missing or does not hold a number.

    See Also
    --------
    confusion_change : what sleep changed
    accuracy_matrix : accuracy on each task

    Examples
    --------
    >>> from neurosleep.plot import confusion
    >>> rows = [{"class": 0, "answer": 0, "images": 9}, {"class": 0, "answer": 1, "images": 1}]
    >>> ax = confusion([*rows, {"class": 1, "answer": 0, "images": 5}])
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['0 (90 %)', '1 (0 %)']
    """
    rows = read(data)
    classes, answers, images = (np.array([field(row, name) for row in rows]) for name in ("class", "answer", "images"))
    n = int(max(classes.max(), answers.max())) + 1
    counts = np.zeros((n, n))
    np.add.at(counts, (classes.astype(int), answers.astype(int)), images)
    totals = counts.sum(1, keepdims=True)
    shares = np.where(totals > 0, 100 * counts / np.maximum(totals, 1), math.nan)
    ax = axes(ax, 4.8, 4.0)
    colours = matplotlib.colormaps["Blues"].with_extremes(bad="#d9d9d9")
    image = ax.imshow(shares, cmap=colours, vmin=0, vmax=100, aspect="equal")
    if n <= _LEGIBLE:
        for (k, j), share in np.ndenumerate(shares):
            if share >= 0.5:
                ax.text(
                    j, k, f"{share:.0f}", ha="center", va="center", fontsize=9 if n <= 6 else 7,
                    color="white" if share > 60 else "black",
                )  # fmt: skip
    at = range(0, n, math.ceil(n / 20))
    ax.set_xticks(at, [str(k) for k in at])
    ax.set_yticks(at, [f"{k} ({shares[k, k]:.0f} %)" if totals[k, 0] else str(k) for k in at])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="answer", ylabel="class (accuracy)")
    ax.figure.colorbar(image, ax=ax, label="images of the class (%)", shrink=0.85)
    return ax
