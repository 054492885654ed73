"""How equilibrium networks settle, how active their units are, and at which step sizes training fails."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from neurosleep.errors import unknown_name
from neurosleep.plot._style import GREY, MARKERS, axes, plain, say, task_colours
from neurosleep.plot._tables import Data, chosen, distinct, needs, numbers, read, text

__all__ = ["activation_spread", "settling", "stability", "state_trajectories"]


@needs("residual")
def settling(data: Data, *, ax: Axes | None = None) -> Axes:
    """Largest change of a state in each step of the free phase, one line per layer, on a logarithmic scale.

    Parameters
    ----------
    data:
        The table of :func:`neurosleep.analysis.settling`.
    ax:
        Where to draw; by default on a new figure.

    See Also
    --------
    neurosleep.analysis.settling : the numbers

    Examples
    --------
    >>> import torch
    >>> from neurosleep import EquilibriumMLP, analysis, plot
    >>> ax = plot.settling(analysis.settling(EquilibriumMLP([16, 8, 3]), torch.rand(5, 16), steps=30))
    >>> ax.get_yscale()
    'log'
    """
    rows = read(data)
    ax = axes(ax, 5.6, 3.4)
    layers = distinct(rows, "layer")
    for name, colour in zip(layers, task_colours(len(layers)), strict=True):
        of_layer = chosen(rows, "layer", name)
        step, residual = np.array(numbers(of_layer, "step")), np.array(numbers(of_layer, "residual"))
        # A logarithmic scale has no zero. Layers may take turns, every other step without a change: join what is left.
        moves = residual > 0
        ax.plot(step[moves], residual[moves], color=colour, linewidth=1.4, marker="o", markersize=3, label=plain(name))
    ax.set_xlim(0, max(numbers(rows, "step")) + 0.5)
    ax.set_yscale("log")
    ax.set_xlabel("step of the free phase")
    ax.set_ylabel("largest change of a state")
    ax.legend(frameon=False, fontsize=9)
    return ax


@needs("state")
def state_trajectories(data: Data, *, layer: str | None = None, ax: Axes | None = None) -> Axes:
    """States of single units through the free phase, one line per unit.

    Parameters
    ----------
    data:
        The table of :func:`neurosleep.analysis.state_trajectories`.
    layer:
        The layer to draw; the first of the table if not given.
    ax:
        Where to draw; by default on a new figure.

    See Also
    --------
    neurosleep.analysis.state_trajectories : the numbers
    settling : over all units

    Examples
    --------
    >>> import torch
    >>> from neurosleep import EquilibriumMLP, analysis, plot
    >>> table = analysis.state_trajectories(EquilibriumMLP([16, 8, 3]), torch.rand(1, 16), steps=30)
    >>> ax = plot.state_trajectories(table, layer="output")
    """
    rows = read(data)
    ax = axes(ax, 5.6, 3.4)
    name = distinct(rows, "layer")[0] if layer is None else layer
    of_layer = chosen(rows, "layer", name)
    units = distinct(of_layer, "unit")
    for unit, colour in zip(units, task_colours(len(units)), strict=True):
        line = chosen(of_layer, "unit", unit)
        ax.plot(numbers(line, "step"), numbers(line, "state"), color=colour, linewidth=1.2)
    ax.set_title(f"{plain(name)}: {len(units)} units", fontsize="medium")
    ax.set_xlabel("step of the free phase")
    ax.set_ylabel("state")
    return ax


@needs("mean")
def activation_spread(data: Data, *, ax: Axes | None = None) -> Axes:
    """Mean state of each layer, with the spread over its units, and above each bar how evenly the units take part.

    Parameters
    ----------
    data:
        The table of :func:`neurosleep.analysis.activation_spread`.
    ax:
        Where to draw; by default on a new figure.

    See Also
    --------
    neurosleep.analysis.activation_spread : the numbers

    Examples
    --------
    >>> import torch
    >>> from neurosleep import EquilibriumMLP, analysis, plot
    >>> network = EquilibriumMLP([16, 8, 3], free_steps=20)
    >>> ax = plot.activation_spread(analysis.activation_spread(network, torch.rand(5, 16)))
    """
    rows = read(data)
    ax = axes(ax, 4.6, 3.4)
    layers = distinct(rows, "layer")
    mean, spread = np.array(numbers(rows, "mean")), np.array(numbers(rows, "sd_over_units"))
    at = np.arange(len(rows))
    ax.bar(at, mean, yerr=spread, color=task_colours(len(layers)), capsize=4, width=0.6, ecolor=GREY)
    for x, height, share in zip(at, mean + spread, numbers(rows, "participation"), strict=True):
        label = "-" if np.isnan(share) else f"{share:.2f}"
        ax.annotate(label, (x, height), (0, 3), textcoords="offset points", ha="center", fontsize=9, color=GREY)
    ax.set_xticks(at, [plain(text(row, "layer")) for row in rows])
    ax.set_ylabel("mean state ± sd over units")
    ax.set_title("number: participation ratio of the units", fontsize="medium")
    return ax


@needs("diverged", "{value}")
def stability(data: Data, *, value: str = "diverged", ax: Axes | None = None) -> Axes:
    """Share of diverged runs, or accuracy of the others, over the step size, one line per kind.

    Parameters
    ----------
    data:
        The table of :func:`neurosleep.analysis.stability`.
    value:
        ``"diverged"`` or ``"accuracy"`` (with its standard deviation over seeds), in %.
    ax:
        Where to draw; by default on a new figure.

    See Also
    --------
    neurosleep.analysis.stability : the numbers

    Examples
    --------
    >>> from neurosleep import analysis, plot
    >>> runs = [{"kind": "EP", "step_size": size, "accuracy": 0.9 - size} for size in (0.1, 0.3, 0.5)]
    >>> ax = plot.stability(analysis.stability(runs), value="accuracy")
    """
    if value not in ("diverged", "accuracy"):
        raise unknown_name("value", value, ("diverged", "accuracy"))
    rows = read(data)
    ax = axes(ax, 5.6, 3.4)
    kinds = distinct(rows, "kind")
    for k, (kind, colour) in enumerate(zip(kinds, task_colours(len(kinds)), strict=True)):
        of_kind = chosen(rows, "kind", kind)
        size, height = numbers(of_kind, "step_size"), 100 * np.array(numbers(of_kind, value))
        spread = 100 * np.nan_to_num(numbers(of_kind, "sd")) if value == "accuracy" else None
        marker = MARKERS[k % len(MARKERS)]
        ax.errorbar(size, height, yerr=spread, color=colour, marker=marker, linewidth=1.6, capsize=3, label=plain(kind))
    if value == "accuracy" and all(np.isnan(numbers(rows, value))):
        say(ax, "every run diverged")
    ax.set_xlabel("step size")
    ax.set_ylabel("diverged runs (%)" if value == "diverged" else "accuracy (%)")
    ax.legend(frameon=False, fontsize=9)
    return ax
