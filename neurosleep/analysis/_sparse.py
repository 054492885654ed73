"""How few units answer to an image (analysis F.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from neurosleep.analysis._inputs import Array, Layered, activity_batches, check_images, check_pair, layer_names
from neurosleep.analysis.table import Table
from neurosleep.errors import DataError

__all__ = ["sparseness", "treves_rolls"]


def treves_rolls(activities: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""Sparseness of each row: 0 where all units are equally active, 1 where a single one is.

    .. math::  S = \frac{1 - \langle a \rangle^2 / \langle a^2 \rangle}{1 - 1/n}

    Parameters
    ----------
    activities:
        ``[images, n]``, not negative.

    Returns
    -------
    ``[images]``; NaN for a silent row, and where there is one unit only.

    Raises
    ------
    DataError
        If the array has another rank, or a value is negative or not finite.

    See Also
    --------
    sparseness : of a network before and after sleep

    References
    ----------
    Rolls and Tovee (1995), doi:10.1152/jn.1995.73.2.713; scaled as by Vinje and Gallant (2000),
    doi:10.1126/science.287.5456.1273.

    Examples
    --------
    >>> import numpy as np
    >>> from neurosleep.analysis import treves_rolls
    >>> treves_rolls(np.array([[1.0, 1.0, 1.0], [0.0, 2.0, 0.0]]))
    array([0., 1.])
    """
    a = np.asarray(activities, dtype=np.float64)
    if a.ndim != 2 or not np.isfinite(a).all() or (a.size and a.min() < 0):
        raise DataError(
            f"The sparseness of activities of shape {list(a.shape)} is not defined.",
            expected="finite values that are not negative, [images, units]",
        )
    n = a.shape[1]
    peak = a.max(axis=1, initial=0.0)
    if n < 2:
        return np.full(len(a), np.nan)
    # In units of the largest activity, whose square might otherwise leave the range of the numbers.
    a = a / np.where(peak > 0, peak, np.nan)[:, None]
    return np.asarray((1 - a.mean(axis=1) ** 2 / (a**2).mean(axis=1)) / (1 - 1 / n))


def sparseness(before: Layered, after: Layered, images: Tensor | Array, labels: Tensor | Array) -> Table:
    """Sparseness of the activities and share of active units, before and after sleep.

    Parameters
    ----------
    before, after, images, labels:
        As in :func:`~neurosleep.analysis.class_correlation`.

    Returns
    -------
    A row per layer and class: ``layer``, ``class``, ``images``, ``sparseness_before``, ``sparseness_after`` (mean
    :func:`treves_rolls` of the images to which the layer is not silent), ``active_before``, ``active_after`` (mean
    share of units above 0, images to which the layer is silent included). Published: sparseness rises with sleep.

    See Also
    --------
    treves_rolls : the measure
    neurosleep.plot.sparseness : a picture of it

    Examples
    --------
    >>> import torch
    >>> from neurosleep.analysis import sparseness
    >>> from neurosleep.networks import MLP
    >>> before, after = MLP([16, 8, 2]), MLP([16, 8, 2])  # a network at two moments
    >>> table = sparseness(before, after, torch.rand(6, 16), torch.tensor([0, 1, 0, 1, 0, 1]))
    >>> table.where(layer="hidden1")["images"].tolist()
    [3, 3]
    """
    check_pair(before, after)
    x, y = check_images(before, images, labels)
    names, classes = layer_names(before), np.unique(y)
    moments = [_per_image(network, x) for network in (before, after)]
    rows = []
    for k, layer in enumerate(names):
        for c in classes.tolist():
            of_class = y == c
            row = {"layer": layer, "class": c, "images": int(of_class.sum())}
            for part, key in enumerate(("sparseness", "active")):
                for moment, values in zip(("before", "after"), moments, strict=True):
                    row[f"{key}_{moment}"] = _mean(values[k, part, of_class])
            rows.append(row)
    return Table.from_rows(rows)


def _per_image(network: Layered, x: Tensor) -> NDArray[np.float64]:
    """Sparseness and share of active units, ``[layers, 2, images]``."""
    values = np.empty((len(network.weights), 2, len(x)))
    for place, layers in activity_batches(network, x):
        for k, layer in enumerate(layers):
            values[k, 0, place] = treves_rolls(layer)
            values[k, 1, place] = (layer > 0).mean(axis=1)
    return values


def _mean(values: NDArray[np.float64]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
