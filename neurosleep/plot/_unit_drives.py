"""Drive of every unit before and after homeostatic sleep, as points of mean against spread."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes

from neurosleep.plot._style import GREY, PALETTE, Row, axes, field
from neurosleep.plot._tables import BEFORE_AFTER, Data, chosen, legend_above, needs, numbers

__all__ = ["unit_drives"]

# Units of one colour that can be told apart.
_FEW = 20


@needs("mean_before", "spread_before", "mean_after", "spread_after")
def unit_drives(
    data: Data,
    *,
    layer: str,
    classes: Iterable[int] | None = None,
    new_classes: Iterable[int] = (),
    ax: Axes | None = None,
) -> Axes:
    """Mean and spread of the drive of each unit under noise: an open circle before sleep, a full one after it.

    Parameters
    ----------
    data:
        What an NREM stage did, ``result.stages[0].regulated`` of :func:`~neurosleep.consolidate`, or its rows.
    layer:
        Which layer, by its name in the model.
    classes:
        Of the output layer: the classes seen. Units of old classes are blue then, those of new ones orange, and those
        of classes not seen grey; each is numbered where it was before. None: before sleep yellow, after it blue.
    new_classes:
        Which of them came with the newest task.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If the layer does not exist, or a column is missing.

    See Also
    --------
    neurosleep.consolidate : whose stages hold the numbers

    Examples
    --------
    >>> import torch
    >>> import neurosleep as ns
    >>> from neurosleep import plot
    >>> model = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4))
    >>> result = ns.consolidate(model, torch.full((16,), 0.5), guard=False)
    >>> ax = plot.unit_drives(result.stages[0].regulated, layer="2", classes=[0, 1, 2], new_classes=[2])
    """
    rows = chosen(data, "layer", layer)
    ax = axes(ax, 4.6, 3.6)
    if classes is None:
        _points(ax, rows, BEFORE_AFTER["before"], BEFORE_AFTER["after"], "units")
    else:
        new = set(new_classes)
        old, known = set(classes) - new, set(classes) | new
        ages = (
            ("old classes", PALETTE[0], [row for row in rows if field(row, "unit") in old]),
            ("new classes", PALETTE[1], [row for row in rows if field(row, "unit") in new]),
            ("classes not seen", GREY, [row for row in rows if field(row, "unit") not in known]),
        )
        for label, colour, units in ages:
            if units:
                _points(ax, units, colour, colour, label)
                _number(ax, units, colour)
    ax.set_xlabel("mean drive under noise")
    ax.set_ylabel("spread of the drive")
    ax.margins(0.08)
    ax.set_title(f"layer {layer}", fontsize="medium")
    legend_above(ax, titled=True)
    return ax


def _number(ax: Axes, rows: list[Row], colour: str) -> None:
    """The class of each unit beside its place before sleep, as long as they can be told apart."""
    if len(rows) > _FEW:
        return
    for row in rows:
        mean, spread, unit = (field(row, key) for key in ("mean_before", "spread_before", "unit"))
        if math.isfinite(mean) and math.isfinite(spread):
            ax.annotate(
                f"{unit:.0f}", (mean, spread), xytext=(5, 3), textcoords="offset points", fontsize=8, color=colour
            )


def _points(ax: Axes, rows: list[Row], before: str, after: str, label: str) -> None:
    means, spreads = ([numbers(rows, f"{value}_{moment}") for moment in BEFORE_AFTER] for value in ("mean", "spread"))
    size = 6 if len(rows) <= _FEW else 3
    # The way of each unit, as long as single ways can be told apart.
    if len(rows) <= _FEW:
        ax.plot(means, spreads, color="#c8c8c8", linewidth=0.8, zorder=1)
    style: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": size}
    ax.plot(means[0], spreads[0], **style, markerfacecolor="none", color=before, label=f"{label}, before")
    # They end close to each other: larger, so that their place is seen.
    style["markersize"] = 7
    ax.plot(means[1], spreads[1], **style, color=after, label=f"{label}, after")
