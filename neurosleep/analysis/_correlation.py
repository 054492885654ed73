"""How alike the network sees the images of two classes (analysis F.1)."""

from __future__ import annotations

from math import nan

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from neurosleep.analysis._inputs import (
    Array,
    Layered,
    activity_batches,
    check_images,
    check_pair,
    class_means,
    layer_names,
)
from neurosleep.analysis.table import Table

__all__ = ["class_correlation", "correlation_summary", "pearson_rows"]


def pearson_rows(activities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows ``[images, n]`` centred and of length 1, so that products of two are Pearson correlations; constant: NaN."""
    constant = activities.max(axis=1) == activities.min(axis=1)
    centred = activities - activities.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1)
    length[constant] = np.nan
    return np.asarray(centred / length[:, None])


def class_correlation(
    before: Layered, after: Layered, images: Tensor | Array, labels: Tensor | Array, *, centred: bool = False
) -> Table:
    r"""Mean Pearson correlation between the activities of the images of two classes, before and after sleep.

    Parameters
    ----------
    before, after:
        The network at two moments.
    images, labels:
        Floating point ``[n, inputs]`` and classes ``[n]``.
    centred:
        Whether each unit's mean activity over all images is taken away first: what is left tells images apart, and what
        all images have in common, such as the newest task's units after it was learnt, no longer makes them alike.

    Returns
    -------
    A row per layer and ordered pair of classes: ``layer``, ``class_a``, ``class_b``, ``before``, ``after``, ``change``.
    As in the released code the pair of a class with itself includes each image's correlation of 1 with itself. Images
    whose activity is the same in all units have no correlation and are left out; without others the entry is NaN.

    See Also
    --------
    correlation_summary : the same in two rows per layer
    neurosleep.plot.class_correlation, neurosleep.plot.correlation_change : pictures of it
    with_mean_change : a network between the two, which parts what the change does

    Notes
    -----
    With :math:`z_i` the centred activity vector of image i, scaled to length 1, the mean over the block of classes a
    and b is :math:`\bar z_a \cdot \bar z_b`, the product of the class means: the images x images matrix is never built.

    References
    ----------
    Tadros et al. (2022), doi:10.1038/s41467-022-34938-7, analysis of representations.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.analysis import class_correlation
    >>> from neurosleep.networks import MLP
    >>> before, after = MLP([16, 8, 2]), MLP([16, 8, 2])  # a network at two moments
    >>> table = class_correlation(before, after, torch.rand(6, 16), torch.tensor([0, 1, 0, 1, 0, 1]))
    >>> list(table.columns), len(table)
    (['layer', 'class_a', 'class_b', 'before', 'after', 'change'], 8)
    """
    check_pair(before, after)
    x, y = check_images(before, images, labels)
    classes = np.unique(y)
    blocks = [_blocks(network, x, y, classes, centred) for network in (before, after)]
    a, b = np.meshgrid(classes, classes, indexing="ij")
    names = layer_names(before)
    return Table(
        {
            "layer": np.repeat(names, a.size),
            "class_a": np.tile(a.ravel(), len(names)),
            "class_b": np.tile(b.ravel(), len(names)),
            "before": np.concatenate([block.ravel() for block in blocks[0]]),
            "after": np.concatenate([block.ravel() for block in blocks[1]]),
            "change": np.concatenate([(late - early).ravel() for early, late in zip(*blocks, strict=True)]),
        }
    )


def _blocks(
    network: Layered, x: Tensor, y: NDArray[np.int64], classes: NDArray[np.int64], centred: bool
) -> list[NDArray[np.float64]]:
    """Mean correlations ``[classes, classes]`` of each layer."""
    common = [mean[0] if centred else 0.0 for mean in class_means(network, x, y, [classes.tolist()])[1:]]
    sums = [np.zeros((len(classes), len(weight))) for weight in network.weights]
    counts = [np.zeros(len(classes)) for _ in sums]
    for place, layers in activity_batches(network, x):
        member = (y[place] == classes[:, None]).astype(np.float64)
        for total, count, layer, mean in zip(sums, counts, layers, common, strict=True):
            z = pearson_rows(layer - mean)
            defined = ~np.isnan(z[:, 0])
            total += member[:, defined] @ z[defined]
            count += member @ defined
    means = [
        np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], nan)
        for total, count in zip(sums, counts, strict=True)
    ]
    return [mean @ mean.T for mean in means]


def correlation_summary(correlation: Table) -> Table:
    """The table of :func:`class_correlation` in two rows per layer: the same class, and different classes.

    Returns
    -------
    ``layer``, ``pair`` (``same class`` or ``different classes``), ``pairs`` (number of defined entries), ``before``,
    ``after``, ``change`` (means over them) and ``fell`` (share of the entries that became smaller). Published:
    correlations between different classes fall, those within a class hold or rise.

    See Also
    --------
    class_correlation : makes the table

    Examples
    --------
    >>> import torch
    >>> from neurosleep.analysis import class_correlation, correlation_summary
    >>> from neurosleep.networks import MLP
    >>> before, after = MLP([16, 8, 2]), MLP([16, 8, 2])
    >>> table = class_correlation(before, after, torch.rand(6, 16), torch.tensor([0, 1, 0, 1, 0, 1]))
    >>> correlation_summary(table)["pair"].tolist()
    ['same class', 'different classes', 'same class', 'different classes']
    """
    rows = []
    defined = ~np.isnan(correlation["change"])
    # A pair of different classes stands twice in the table, in both orders, with one value.
    kinds = {
        "same class": correlation["class_a"] == correlation["class_b"],
        "different classes": correlation["class_a"] < correlation["class_b"],
    }
    for layer in dict.fromkeys(correlation["layer"].tolist()):
        for pair, of_kind in kinds.items():
            chosen = of_kind & defined & (correlation["layer"] == layer)
            n = int(chosen.sum())
            row = {"layer": layer, "pair": pair, "pairs": n}
            row |= {key: float(correlation[key][chosen].mean()) if n else nan for key in ("before", "after", "change")}
            rows.append(row | {"fell": float((correlation["change"][chosen] < 0).mean()) if n else nan})
    return Table.from_rows(rows)
