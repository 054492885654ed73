"""How well a spiking network stands in for the model that it was converted from."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from neurosleep.conversion import ConversionCheck
from neurosleep.errors import SettingsError
from neurosleep.plot._style import GREY, PALETTE, axes
from neurosleep.plot._tables import legend_above

__all__ = ["conversion"]


def conversion(check: ConversionCheck, *, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Accuracy in % against time steps, with the model's as a line; without labels the error of each layer as bars.

    Parameters
    ----------
    check:
        What :func:`~neurosleep.conversion.compare` found.
    ax, kwargs:
        Axes to draw into, and settings of matplotlib's line or bars.

    See Also
    --------
    neurosleep.conversion.compare : the numbers

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> from neurosleep.conversion import compare
    >>> images, _ = torch.rand(50, 16), torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 4, bias=False))
    >>> check = compare(model, ns.convert(model, images), images, torch.arange(50) % 4, steps=20)
    >>> ax = ns.plot.conversion(check)
    >>> ax.get_xlabel()
    'time steps'
    """
    if not check.layers:
        raise SettingsError("The comparison holds no layer.", expected="what neurosleep.conversion.compare returns")
    ax = axes(ax)
    if check.accuracy and check.accuracy_model is not None:
        steps = range(1, len(check.accuracy) + 1)
        ax.plot(
            steps,
            [100 * value for value in check.accuracy],
            **({"color": PALETTE[0], "label": "spiking network"} | kwargs),
        )
        ax.axhline(100 * check.accuracy_model, color=PALETTE[1], linestyle="--", label="model")
        ax.set(xlabel="time steps", ylabel="accuracy (%)")
        legend_above(ax)
        return ax
    names = [layer.population for layer in check.layers]
    heights = [100 * (layer.error or 0.0) for layer in check.layers]
    bars: dict[str, Any] = {"color": PALETTE[0], "width": 0.5}
    ax.bar(names, heights, **(bars | kwargs))
    for k, layer in enumerate(check.layers):
        if layer.error is None:
            ax.text(k, 0, "not known", rotation=90, ha="center", va="bottom", color=GREY)
    ax.set(xlabel="layer", ylabel="mean error (% of the mean activation)")
    return ax
