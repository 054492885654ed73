"""How far sleep turns the activity that an image evokes (analysis F.10)."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from neurosleep.analysis._inputs import Array, Layered, activity_batches, check_images, check_pair, layer_names
from neurosleep.analysis.table import Table

__all__ = ["representation_change"]


def representation_change(before: Layered, after: Layered, images: Tensor | Array, labels: Tensor | Array) -> Table:
    """One minus the cosine similarity of each image's activity before and after sleep, by class.

    Parameters
    ----------
    before, after, images, labels:
        As in :func:`~neurosleep.analysis.class_correlation`.

    Returns
    -------
    A row per layer and class: ``layer``, ``class``, ``images`` (those that excite the layer at both moments),
    ``distance`` (mean of 1 - cosine: 0 the same direction, 1 no unit in common), ``distance_sd``. NaN where undefined.

    See Also
    --------
    class_correlation, sparseness : what else sleep changes
    neurosleep.plot.representation_change : a picture of it

    Examples
    --------
    >>> import torch
    >>> from neurosleep.analysis import representation_change
    >>> from neurosleep.networks import MLP
    >>> network = MLP([16, 8, 2])
    >>> table = representation_change(network, network, torch.rand(6, 16), torch.tensor([0, 1, 0, 1, 0, 1]))
    >>> table["layer"].tolist()
    ['hidden1', 'hidden1', 'output', 'output']
    """
    check_pair(before, after)
    x, y = check_images(before, images, labels)
    distance = np.empty((len(before.weights), len(x)))
    for (place, early), (_, late) in zip(activity_batches(before, x), activity_batches(after, x), strict=True):
        for k, (a, b) in enumerate(zip(early, late, strict=True)):
            lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
            distance[k, place] = 1 - (a * b).sum(axis=1) / np.where(lengths > 0, lengths, np.nan)
    rows = []
    for k, layer in enumerate(layer_names(before)):
        for c in np.unique(y).tolist():
            distances = distance[k, (y == c) & ~np.isnan(distance[k])]
            rows.append(
                {
                    "layer": layer,
                    "class": c,
                    "images": len(distances),
                    "distance": float(distances.mean()) if len(distances) else math.nan,
                    "distance_sd": float(distances.std(ddof=1)) if len(distances) > 1 else math.nan,
                }
            )
    return Table.from_rows(rows)
