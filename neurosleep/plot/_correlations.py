"""How alike the images of two classes are to the network."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from neurosleep.errors import unknown_name
from neurosleep.plot._style import PALETTE, axes, field, say
from neurosleep.plot._tables import Data, chosen, distinct, legend_above, needs, numbers, text, zero_line

__all__ = ["class_correlation", "correlation_change"]


@needs("{value}")
def class_correlation(data: Data, *, layer: str, value: str = "after", ax: Axes | None = None) -> Axes:
    """The matrix of correlations between classes in one layer: blue below 0, white at 0, red above.

    Parameters
    ----------
    data:
        The table of :func:`neurosleep.analysis.class_correlation`.
    layer, value:
        Which layer; ``before``, ``after`` or their difference ``change``.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If the layer or the value does not exist, or a column is missing.

    See Also
    --------
    neurosleep.analysis.class_correlation : the numbers
    correlation_change : a histogram of the differences

    Examples
    --------
    >>> import torch
    >>> from neurosleep import MLP, analysis, plot
    >>> before, after = MLP([16, 8, 2]), MLP([16, 8, 2])  # a network at two moments
    >>> table = analysis.class_correlation(before, after, torch.rand(6, 16), torch.tensor([0, 1, 0, 1, 0, 1]))
    >>> ax = plot.class_correlation(table, layer="hidden1", value="change")
    """
    if value not in ("before", "after", "change"):
        raise unknown_name("value", value, ("before", "after", "change"))
    rows = chosen(data, "layer", layer)
    ax = axes(ax, 4.6, 3.9)
    classes = distinct(rows, "class_a")
    place = {name: k for k, name in enumerate(classes)}
    matrix = np.full((len(classes), len(classes)), np.nan)
    for row in rows:
        matrix[place[text(row, "class_a")], place.get(text(row, "class_b"), 0)] = field(row, value)
    colours = matplotlib.colormaps["RdBu_r"].with_extremes(bad="#d9d9d9")
    image = ax.imshow(matrix, cmap=colours, vmin=-1, vmax=1)
    if len(classes) <= 10:
        size = 7 if len(classes) <= 6 else 6
        for (a, b), r in np.ndenumerate(matrix):
            shade = "white" if abs(r) > 0.6 else "black"
            ax.text(b, a, "-" if np.isnan(r) else f"{r:.2f}", ha="center", va="center", fontsize=size, color=shade)
    stride = -(-len(classes) // 20)
    ticks = range(0, len(classes), stride)
    ax.set_xticks(ticks, classes[::stride])
    ax.set_yticks(ticks, classes[::stride])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("class")
    ax.set_ylabel("class")
    what = "change of correlation" if value == "change" else f"correlation {value} sleep"
    ax.set_title(layer, fontsize="medium")
    ax.figure.colorbar(image, ax=ax, label=what, shrink=0.85)
    return ax


@needs()
def correlation_change(data: Data, *, layer: str, ax: Axes | None = None) -> Axes:
    """Histogram of the change of correlation with sleep in one layer: within a class, and between classes.

    Parameters
    ----------
    data:
        The table of :func:`neurosleep.analysis.class_correlation`.
    layer:
        Which layer.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If the layer does not exist, or a column is missing.

    See Also
    --------
    neurosleep.analysis.class_correlation : the numbers
    class_correlation : pair by pair

    Examples
    --------
    >>> import torch
    >>> from neurosleep import MLP, analysis, plot
    >>> before, after = MLP([16, 8, 2]), MLP([16, 8, 2])  # a network at two moments
    >>> table = analysis.class_correlation(before, after, torch.rand(6, 16), torch.tensor([0, 1, 0, 1, 0, 1]))
    >>> ax = plot.correlation_change(table, layer="hidden1")
    """
    rows = chosen(data, "layer", layer)
    ax = axes(ax, 5.6, 3.2)
    place = {name: k for k, name in enumerate(distinct(rows, "class_a"))}
    apart = [place.get(text(row, "class_b"), 0) - place[text(row, "class_a")] for row in rows]
    changes = np.array(numbers(rows, "change"))
    kinds = {
        # Each pair of different classes stands in the table twice.
        "between classes": changes[[d > 0 for d in apart]],
        "within a class": changes[[d == 0 for d in apart]],
    }
    kinds = {name: values[np.isfinite(values)] for name, values in kinds.items()}
    everything = np.concatenate(list(kinds.values()))
    ax.set_title(layer, fontsize="medium")
    ax.set_xlabel("change of correlation with sleep")
    ax.set_ylabel("share of the pairs (%)")
    if not len(everything):
        say(ax, "no correlation is defined")
        return ax
    span = max(float(np.ptp(everything)), 0.02)
    middle = (everything.max() + everything.min()) / 2
    edges = np.linspace(middle - 0.55 * span, middle + 0.55 * span, 22).tolist()
    for (name, values), colour in zip(kinds.items(), PALETTE, strict=False):
        if not len(values):
            continue
        share = np.full(len(values), 100 / len(values))
        label = f"{name} ({len(values)}), mean {values.mean():+.2f}"
        ax.hist(values, edges, weights=share, histtype="stepfilled", alpha=0.35, color=colour)
        ax.hist(values, edges, weights=share, histtype="step", linewidth=1.4, color=colour, label=label)
        ax.axvline(float(values.mean()), color=colour, linestyle="--", linewidth=1.4)
    zero_line(ax, everything.tolist(), vertical=True)
    legend_above(ax, 1, titled=True)
    return ax
