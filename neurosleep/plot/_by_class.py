"""One number for each class: firing of its neurons in sleep, likeness of sleep and wake, turning of its activity."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes

from neurosleep.errors import unknown_name
from neurosleep.plot._style import GREY, MARKERS, PALETTE, axes
from neurosleep.plot._tables import Data, chosen, distinct, legend_above, needs, numbers, read, text, zero_line

__all__ = ["representation_change", "sleep_wake_similarity", "task_specific_firing"]


@needs("specific_hz", "random_hz")
def task_specific_firing(data: Data, *, layer: str, level: float = 0.05, ax: Axes | None = None) -> Axes:
    """Rate in sleep of the units that a class excites most, against random ones, with a star where they differ.

    Parameters
    ----------
    data:
        The table of :func:`neurosleep.analysis.task_specific_firing`.
    layer:
        Which layer.
    level:
        A star stands where the p-value, corrected after Bonferroni, is below this.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If the layer does not exist, or a column is missing.

    See Also
    --------
    neurosleep.analysis.task_specific_firing : the numbers

    Examples
    --------
    >>> import torch
    >>> from neurosleep import MLP, Recording, SpikeEvents, analysis, plot
    >>> events = SpikeEvents.from_dense(torch.rand(500, 8) < 0.05)  # of a sleep phase, usually
    >>> recording = Recording(500, 0.001, {"hidden1": events.counts()})
    >>> images, labels = torch.rand(6, 16), torch.tensor([0, 1, 0, 1, 0, 1])
    >>> table = analysis.task_specific_firing(MLP([16, 8, 2]), recording, images, labels, units=2)
    >>> ax = plot.task_specific_firing(table, layer="hidden1")
    """
    rows = chosen(data, "layer", layer)
    ax = axes(ax, max(4.0, 1.5 + 0.45 * len(rows)), 3.2)
    at = np.arange(len(rows))
    specific, random = np.array(numbers(rows, "specific_hz")), np.array(numbers(rows, "random_hz"))
    units = distinct(rows, "units")[0]
    ax.vlines(at, random, specific, color="#c8c8c8", linewidth=2, zorder=1)
    ax.plot(at, specific, linestyle="none", marker="o", markersize=8, color=PALETTE[0], label=f"its {units} best units")
    ax.plot(
        at,
        random,
        linestyle="none",
        marker="s",
        markersize=6,
        color="white",
        markeredgecolor=GREY,
        label=f"{units} random units",
    )
    top = max([value for value in (*specific, *random) if math.isfinite(value)], default=0.0)
    for x, p, a, b in zip(at, numbers(rows, "p_bonferroni"), specific, random, strict=True):
        if p < level:
            ax.annotate("*", (x, max(a, b)), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=12)
    ax.set_xticks(at, [text(row, "class") for row in rows])
    ax.set_xlim(-0.6, len(rows) - 0.4)
    ax.set_ylim(-0.04 * (top or 1), 1.15 * (top or 1))
    ax.set_xlabel(f"class (* p < {level:g} after Bonferroni)")
    ax.set_ylabel("mean rate in sleep (Hz)")
    ax.set_title(layer, fontsize="medium")
    legend_above(ax, titled=True)
    return ax


@needs("{value}")
def sleep_wake_similarity(data: Data, *, value: str = "per_window", ax: Axes | None = None) -> Axes:
    """Correlation of the activity of each class awake with firing in sleep; a marker per layer.

    Parameters
    ----------
    data:
        The table of :func:`neurosleep.analysis.sleep_wake_similarity`.
    value:
        ``per_window`` (with the standard deviation over windows), ``per_image`` or ``normalised``.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If the value does not exist, or a column is missing.

    See Also
    --------
    neurosleep.analysis.sleep_wake_similarity : the numbers

    Examples
    --------
    >>> import torch
    >>> from neurosleep import MLP, Recording, SpikeEvents, analysis, plot
    >>> events = SpikeEvents.from_dense(torch.rand(500, 8) < 0.05)  # of a sleep phase, usually
    >>> recording = Recording(500, 0.001, {"hidden1": events.counts()}, spikes={"hidden1": events})
    >>> images, labels = torch.rand(6, 16), torch.tensor([0, 1, 0, 1, 0, 1])
    >>> table = analysis.sleep_wake_similarity(MLP([16, 8, 2]), recording, images, labels, window=100, windows=20)
    >>> ax = plot.sleep_wake_similarity(table)
    """
    labels = {
        "per_window": "correlation with windows of sleep",
        "per_image": "correlation with the whole sleep",
        "normalised": "similarity / mean unit correlation",
    }
    if value not in labels:
        raise unknown_name("value", value, labels)
    return _markers(data, value, "per_window_sd" if value == "per_window" else None, labels[value], ax)


@needs("distance")
def representation_change(data: Data, *, ax: Axes | None = None) -> Axes:
    """How far sleep turned the activity that a class evokes (1 - cosine), with the standard deviation over its images.

    Parameters
    ----------
    data:
        The table of :func:`neurosleep.analysis.representation_change`.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If a column is missing.

    See Also
    --------
    neurosleep.analysis.representation_change : the numbers

    Examples
    --------
    >>> import torch
    >>> from neurosleep import MLP, analysis, plot
    >>> before, after = MLP([16, 8, 2]), MLP([16, 8, 2])  # a network at two moments
    >>> table = analysis.representation_change(before, after, torch.rand(6, 16), torch.tensor([0, 1, 0, 1, 0, 1]))
    >>> ax = plot.representation_change(table)
    """
    return _markers(data, "distance", "distance_sd", "1 - cosine similarity, before to after", ax)


def _markers(data: Data, value: str, sd: str | None, label: str, ax: Axes | None) -> Axes:
    rows = read(data)
    layers, classes = distinct(rows, "layer"), distinct(rows, "class")
    ax = axes(ax, max(4.4, 1.6 + 0.5 * len(classes)), 3.2)
    for k, layer in enumerate(layers):
        of_layer = [row for row in rows if text(row, "layer") == layer]
        # Side by side, so that no layer hides another.
        at = np.array([classes.index(text(row, "class")) for row in of_layer]) + 0.18 * (k - (len(layers) - 1) / 2)
        ax.errorbar(
            at,
            numbers(of_layer, value),
            yerr=None if sd is None else np.nan_to_num(numbers(of_layer, sd)),
            linestyle="none",
            marker=MARKERS[k % len(MARKERS)],
            markersize=6,
            color=PALETTE[k % len(PALETTE)],
            elinewidth=1,
            label=layer,
        )
    for k in range(1, len(classes)):
        ax.axvline(k - 0.5, color="#ececec", linewidth=0.8, zorder=0)
    ax.set_xticks(range(len(classes)), classes)
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-0.5, len(classes) - 0.5)
    zero_line(ax, numbers(rows, value))
    ax.set_xlabel("class")
    ax.set_ylabel(label)
    legend_above(ax, 4)
    return ax
