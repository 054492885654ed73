"""What sleep saves in training."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from neurosleep.plot._style import GREY, axes
from neurosleep.plot._tables import BEFORE_AFTER, Data, needs, numbers, read

__all__ = ["epochs_saved"]


@needs("epochs_without", "epochs_with")
def epochs_saved(data: Data, *, ax: Axes | None = None) -> Axes:
    """Epochs needed to reach an accuracy with and without sleep, over the range that both reach; the gap is shaded.

    Parameters
    ----------
    data:
        The table of :func:`neurosleep.analysis.epochs_saved`.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If a column is missing.

    See Also
    --------
    neurosleep.analysis.epochs_saved : the numbers

    Examples
    --------
    >>> from neurosleep import analysis, plot
    >>> table = analysis.epochs_saved([1, 2, 4], without_sleep=[0.5, 0.75, 0.875], with_sleep=[0.75, 0.875, 0.875])
    >>> ax = plot.epochs_saved(table)
    """
    rows = read(data)
    ax = axes(ax, 5.6, 3.4)
    columns = ("accuracy", "epochs_without", "epochs_with", "saved")
    accuracy, without, with_sleep, saved = (np.array(numbers(rows, column)) for column in columns)
    ax.fill_betweenx(100 * accuracy, with_sleep, without, color="#eceff4")
    ax.plot(without, 100 * accuracy, color=BEFORE_AFTER["before"], linewidth=2, label="without sleep")
    ax.plot(with_sleep, 100 * accuracy, color=BEFORE_AFTER["after"], linewidth=2, linestyle="--", label="with sleep")
    both = np.flatnonzero(np.isfinite(accuracy + without + with_sleep))
    if len(both):
        middle = both[len(both) // 2]
        ax.annotate(
            "",
            (with_sleep[middle], 100 * accuracy[middle]),
            (without[middle], 100 * accuracy[middle]),
            arrowprops={"arrowstyle": "->", "color": GREY},
        )
    defined = saved[np.isfinite(saved)]
    told = f"{defined.mean():.2g}" if len(defined) else "not defined"
    ax.set_title(f"epochs saved, mean over accuracies: {told}", fontsize="medium")
    ax.set_xlabel("epochs per task")
    ax.set_ylabel("accuracy (%)")
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    return ax
