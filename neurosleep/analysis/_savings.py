"""How many epochs of training sleep saves (analysis F.9)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neurosleep._checks import check_count
from neurosleep.analysis.table import Table
from neurosleep.errors import DataError

__all__ = ["epochs_saved"]


def epochs_saved(
    epochs: Sequence[float], without_sleep: Sequence[float], with_sleep: Sequence[float], *, levels: int = 101
) -> Table:
    """How much earlier the curve with sleep reaches each accuracy: the horizontal distance between two curves.

    Parameters
    ----------
    epochs:
        Epochs per task ``[points]``, increasing, at least two.
    without_sleep, with_sleep:
        Accuracy (a fraction) after that many epochs, ``[points]`` each: of a run, or the mean of several.
    levels:
        How many accuracies, at even distances over the range that both curves reach, at least two.

    Returns
    -------
    A row per level: ``accuracy``, ``epochs_without``, ``epochs_with`` (where each curve, drawn straight between its
    points, first reaches that accuracy) and ``saved`` (their difference; negative where sleep comes later). The mean of
    ``saved`` is the published saving.

    Raises
    ------
    DataError
        If the curves have no range of accuracies in common.

    See Also
    --------
    neurosleep.plot.epochs_saved : a picture of it

    Examples
    --------
    >>> from neurosleep.analysis import epochs_saved
    >>> table = epochs_saved([1, 2, 4], without_sleep=[0.5, 0.75, 0.875], with_sleep=[0.75, 0.875, 0.875], levels=3)
    >>> print(table)
    accuracy  epochs_without  epochs_with  saved
        0.75               2            1      1
      0.8125               3          1.5    1.5
       0.875               4            2      2
    """
    e, a, b = (np.asarray(values, dtype=np.float64) for values in (epochs, without_sleep, with_sleep))
    if e.ndim != 1 or len(e) < 2 or a.shape != e.shape or b.shape != e.shape:
        raise DataError(
            "These are not two curves.",
            found=f"epochs {list(e.shape)}, accuracies {list(a.shape)} and {list(b.shape)}",
            expected="one accuracy of each curve for each of at least two numbers of epochs",
        )
    if not all(np.isfinite(values).all() for values in (e, a, b)) or (np.diff(e) <= 0).any():
        raise DataError("These are not two curves.", expected="finite numbers, and epochs that increase")
    check_count("The number of levels", levels, 2)
    low, high = max(a[0], b[0]), min(a.max(), b.max())
    if not low < high:
        raise DataError(
            "The two curves have no range of accuracies in common, so that no epochs can be compared.",
            found=f"without sleep {a[0]:.3g} to {a.max():.3g}, with sleep {b[0]:.3g} to {b.max():.3g}",
            hint="start from fewer epochs, or add more",
        )
    accuracy = np.linspace(low, high, levels)
    first, second = _first_reached(e, a, accuracy), _first_reached(e, b, accuracy)
    return Table({"accuracy": accuracy, "epochs_without": first, "epochs_with": second, "saved": first - second})


def _first_reached(
    epochs: NDArray[np.float64], curve: NDArray[np.float64], accuracy: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where the curve first reaches each accuracy, all from its first to its largest value."""
    k = np.searchsorted(np.maximum.accumulate(curve), accuracy)
    before = np.maximum(k - 1, 0)
    rise = np.where(k > before, curve[k] - curve[before], 1.0)
    return epochs[before] + (accuracy - curve[before]) / rise * (epochs[k] - epochs[before])
