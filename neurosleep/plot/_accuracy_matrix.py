"""Accuracy on every task after every task."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from neurosleep.errors import SettingsError
from neurosleep.plot._style import axes, say

__all__ = ["accuracy_matrix"]

# Up to so many rows and columns the numbers fit into the squares.
_LEGIBLE = 12


def accuracy_matrix(matrix: Sequence[Sequence[float | None]], *, ax: Axes | None = None) -> Axes:
    """The matrix as squares, the darker the higher: in % after each task (downwards) on each task (to the right).

    Parameters
    ----------
    matrix:
        Fractions, ``[after_task, on_task]``; None, NaN or an absent end of a row is drawn in grey.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If a value is no fraction from 0 to 1.

    See Also
    --------
    neurosleep.continual.matrix_metrics : what is usually computed from it
    accuracy : the same over time

    Examples
    --------
    >>> from neurosleep.plot import accuracy_matrix
    >>> ax = accuracy_matrix([[0.98, None], [0.61, 0.97]])
    >>> ax.get_ylabel()
    'after task'
    """
    ax = axes(ax, 4.6, 3.8)
    columns = max((len(row) for row in matrix), default=0)
    values = np.full((len(matrix), columns), math.nan)
    for k, row in enumerate(matrix):
        values[k, : len(row)] = [math.nan if value is None else float(value) for value in row]
    defined = values[~np.isnan(values)]
    if len(defined) and not ((defined >= 0) & (defined <= 1)).all():
        wrong = defined[~((defined >= 0) & (defined <= 1))][0]
        raise SettingsError(f"The matrix holds the accuracy {wrong:g}.", expected="fractions from 0 to 1")
    ax.set_xlabel("on task")
    ax.set_ylabel("after task")
    if not values.size:
        say(ax, "no accuracy was measured")
        return ax
    colours = matplotlib.colormaps["Blues"].with_extremes(bad="#d9d9d9")
    image = ax.imshow(100 * values, cmap=colours, vmin=0, vmax=100, aspect="equal")
    if max(values.shape) <= _LEGIBLE:
        size = 9 if max(values.shape) <= 6 else 6.5
        for (k, j), value in np.ndenumerate(values):
            label = "-" if math.isnan(value) else f"{100 * value:.0f}"
            ax.text(j, k, label, ha="center", va="center", fontsize=size, color="white" if value > 0.6 else "black")
    for length, place in ((values.shape[1], ax.set_xticks), (values.shape[0], ax.set_yticks)):
        at = range(0, length, math.ceil(length / 20))
        place(at, [str(k + 1) for k in at])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.figure.colorbar(image, ax=ax, label="accuracy (%)", shrink=0.85)
    return ax
