"""Small images side by side: what sleep shows to the network, and what its units look for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from neurosleep._checks import check_number
from neurosleep.errors import SettingsError
from neurosleep.functional import SpikeEvents
from neurosleep.plot._spikes import Spikes, one_population
from neurosleep.plot._style import axes, plain, say

__all__ = ["chosen_units", "image_shape", "receptive_fields", "sleep_images", "window_rates"]

Shape = tuple[int, ...]


def sleep_images(
    spikes: Spikes,
    *,
    shape: Shape | None = None,
    windows: int = 8,
    length: int | None = None,
    dt: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The inputs' mean rate in parts of a sleep, as images: what the network saw while it slept.

    Parameters
    ----------
    spikes:
        Of the input population: its events or a spike monitor of it.
    shape:
        Of the images: ``(height, width)`` or ``(height, width, colours)``; a square if not given.
    windows:
        Equal parts of the sleep, each an image.
    length:
        Steps at the start of each part over which the rate is taken; else over all of it.
    dt:
        Length of a step in seconds; if not given, that of the recording, or 0.001.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If the inputs do not fill the shape, a number is not positive, or the spikes are not of one population.

    See Also
    --------
    receptive_fields : the weights as images

    Examples
    --------
    >>> import torch
    >>> from neurosleep import SpikeEvents
    >>> from neurosleep.plot import sleep_images
    >>> spikes = SpikeEvents.from_dense(torch.rand(200, 64) < 0.1)
    >>> ax = sleep_images(spikes, windows=4, dt=0.001)
    """
    events, dt = one_population(spikes, dt)
    shape = image_shape(events.n, shape)
    spans, rates = window_rates(events, windows=windows, length=length, dt=dt)
    ax = axes(ax, 6.0, 3.6)
    if not len(rates):
        say(ax, "nothing was recorded")
        ax.set_axis_off()
        return ax
    label = "mean rate of a pixel (Hz)"
    if length is None:
        digits = max(0, 1 - math.floor(math.log10(spans[0][1] - spans[0][0])))
        names = [f"{start:.{digits}f} to {stop:.{digits}f} s" for start, stop in spans]
    else:
        digits = max(0, 1 - math.floor(math.log10(events.steps * dt / len(spans))))
        names = [f"{start:.{digits}f} s" for start, _ in spans]
        label = f"mean rate in {spans[0][1] - spans[0][0]:g} s (Hz)"
    # Colours would need three scales: their mean shows as well where the input is.
    flat = rates.reshape(len(rates), *shape)
    images = flat.mean(axis=-1) if len(shape) == 3 else flat
    high = float(images.max())
    _mosaic(ax, images, names, "magma", (0.0, high or 1.0), label)
    if not high:
        say(ax, "no spike of an input")
    return ax


def receptive_fields(
    weights: ArrayLike,
    *,
    shape: Shape | None = None,
    units: Sequence[int] | int = 16,
    limit: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Weights from the inputs to single units, as images: blue below 0, white at 0, red above.

    Parameters
    ----------
    weights:
        ``[units, inputs]``.
    shape:
        Of the images: ``(height, width)`` or ``(height, width, colours)``; a square if not given.
    units:
        Which units, or how many: those whose weights differ most from 0.
    limit:
        Where the colours end: at this weight, and its negative. The same for several figures makes them comparable;
        by default where 0.5 % of the weights lie beyond.
    ax:
        Where to draw; by default on a new figure.

    Raises
    ------
    SettingsError
        If the weights are no matrix, the inputs do not fill the shape, there is no such unit, or ``limit`` is not
        positive.

    See Also
    --------
    chosen_units : which units it takes
    sleep_images : what the inputs did in sleep

    Examples
    --------
    >>> import torch
    >>> from neurosleep import MLP
    >>> from neurosleep.plot import receptive_fields
    >>> ax = receptive_fields(MLP([784, 30, 10]).weights[0].detach(), units=6)
    """
    matrix = np.asarray(weights, dtype=float)
    if matrix.ndim != 2:
        raise SettingsError(f"The weights have the shape {matrix.shape}.", expected="[units, inputs]")
    shape = image_shape(matrix.shape[1], shape)
    chosen = chosen_units(matrix, units) if isinstance(units, int) else [int(unit) for unit in units]
    if any(not 0 <= unit < len(matrix) for unit in chosen):
        raise SettingsError(f"The units are {chosen}.", expected=f"numbers from 0 to {len(matrix) - 1}")
    if limit is not None:
        check_number("The limit of the colours", limit, above=0)
    ax = axes(ax, 6.0, 4.0)
    if not chosen:
        say(ax, "no unit")
        ax.set_axis_off()
        return ax
    fields = matrix[chosen].reshape(len(chosen), *shape)
    fields = fields.mean(axis=-1) if len(shape) == 3 else fields
    # A few extreme weights would leave the rest white.
    sizes = np.abs(fields[np.isfinite(fields)])
    end = limit or (float(np.quantile(sizes, 0.995)) if sizes.size else 0.0) or 1.0
    _mosaic(ax, fields, [f"unit {unit}" for unit in chosen], "RdBu_r", (-end, end), "weight")
    if not sizes.size:
        say(ax, "no weight is finite")
    return ax


def window_rates(
    spikes: SpikeEvents, *, windows: int, length: int | None = None, dt: float
) -> tuple[list[tuple[float, float]], NDArray[np.float64]]:
    """Start and end in seconds, and mean rates in Hz ``[windows, n]``, of what :func:`sleep_images` shows.

    No more windows than steps; none of an empty recording.

    See Also
    --------
    sleep_images : a picture of them

    Examples
    --------
    >>> import torch
    >>> from neurosleep import SpikeEvents
    >>> from neurosleep.plot import window_rates
    >>> spikes = SpikeEvents.from_dense(torch.ones(10, 1, dtype=torch.bool))
    >>> edges, rates = window_rates(spikes, windows=2, dt=0.001)
    >>> edges, rates.tolist()
    ([(0.0, 0.005), (0.005, 0.01)], [[1000.0], [1000.0]])
    """
    check_number("The number of windows", windows, above=0)
    check_number("The step length dt", dt, above=0)
    edges = np.linspace(0, spikes.steps, min(int(windows), spikes.steps) + 1).round().astype(np.int64).tolist()
    longest = spikes.steps if length is None else int(check_number("The length of a window", length, above=0))
    spans = [(start, min(stop, start + longest)) for start, stop in itertools.pairwise(edges)]
    rates = np.zeros((len(spans), spikes.n))
    for k, (start, stop) in enumerate(spans):
        own = spikes.indices[spikes.offsets[start] : spikes.offsets[stop]]
        rates[k] = np.bincount(own, minlength=spikes.n) / ((stop - start) * dt)
    return [(start * dt, stop * dt) for start, stop in spans], rates


def chosen_units(weights: NDArray[Any], number: int) -> list[int]:
    """So many units whose weights differ most from 0, in their order.

    See Also
    --------
    receptive_fields : which draws them

    Examples
    --------
    >>> import numpy as np
    >>> from neurosleep.plot import chosen_units
    >>> chosen_units(np.array([[0.0, 0.1], [0.0, -2.0], [1.0, 0.0]]), 2)
    [1, 2]
    """
    check_number("The number of units", number, above=0)
    size = np.linalg.norm(np.nan_to_num(weights, posinf=0.0, neginf=0.0), axis=1)
    return sorted(int(unit) for unit in np.argsort(-size, kind="stable")[:number])


def image_shape(inputs: int, shape: Shape | None = None) -> Shape:
    """The shape of images of so many inputs: the given one, a square, or a square of three colours.

    Raises
    ------
    SettingsError
        If the inputs do not fill it, or are no square.

    See Also
    --------
    receptive_fields, sleep_images : which call it

    Examples
    --------
    >>> from neurosleep.plot import image_shape
    >>> image_shape(784), image_shape(3072)
    ((28, 28), (32, 32, 3))
    """
    if shape is None:
        side, coloured = math.isqrt(inputs), math.isqrt(inputs // 3)
        if inputs and side * side == inputs:
            return side, side
        if inputs and 3 * coloured * coloured == inputs:
            return coloured, coloured, 3
    elif len(shape) in (2, 3) and math.prod(shape) == inputs:
        return tuple(shape)
    raise SettingsError(
        f"{inputs} inputs make no image of shape {shape}." if shape else f"{inputs} inputs make no square image.",
        expected="shape=(height, width) or (height, width, colours) with as many pixels as inputs",
    )


def _mosaic(
    ax: Axes, images: NDArray[np.float64], names: Sequence[str], colours: str, limits: tuple[float, float], label: str
) -> None:
    """Images ``[k, height, width]`` in rows with a name above each, and one scale for all."""
    count, height, width = images.shape
    columns = math.ceil(math.sqrt(count * 1.4 * height / width))
    rows = math.ceil(count / columns)
    gap = max(1, round(0.06 * width))
    above = max(2, round(0.22 * height))
    canvas = np.full((rows * (height + above), columns * (width + gap) - gap), math.nan)
    for k, image in enumerate(images):
        top, left = (k // columns) * (height + above) + above, (k % columns) * (width + gap)
        canvas[top : top + height, left : left + width] = image
    scale = matplotlib.colormaps[colours].with_extremes(bad=(1, 1, 1, 0))
    shown = ax.imshow(canvas, cmap=scale, vmin=limits[0], vmax=limits[1], interpolation="nearest")
    for k, name in enumerate(names):
        top, left = (k // columns) * (height + above) + above, (k % columns) * (width + gap)
        ax.text(left + width / 2 - 0.5, top - 1, plain(name), ha="center", va="bottom", fontsize=7)
        frame = [left - 0.5, left + width - 0.5], [top - 0.5, top + height - 0.5]
        xs, ys = [frame[0][i] for i in (0, 1, 1, 0, 0)], [frame[1][i] for i in (0, 0, 1, 1, 0)]
        ax.plot(xs, ys, color="#b0b0b0", linewidth=0.6)
    ax.set_axis_off()
    ax.figure.colorbar(shown, ax=ax, label=label, shrink=0.8)
