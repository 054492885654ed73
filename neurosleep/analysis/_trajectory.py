"""Where training and sleep lead a network in the space of its weights (analysis F.8)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurosleep._checks import check_count
from neurosleep.analysis.table import Table
from neurosleep.errors import DataError

__all__ = ["check_points", "products", "weight_trajectory"]


def weight_trajectory(
    weights: Sequence[Sequence[Tensor]], *, runs: Sequence[str], moments: Sequence[str], components: int = 2
) -> Table:
    """Coordinates of the weights of several runs and moments along the directions in which they differ most (PCA).

    Parameters
    ----------
    weights:
        For each point the weights of all layers, such as ``network.weights``; all points of one shape, at least two.
    runs, moments:
        For each point the run that it belongs to and the moment (``wake 1``, ``sleep 1``, …), in order of time.
    components:
        How many directions, at most one fewer than there are points.

    Returns
    -------
    A row per point: ``run``, ``moment``, ``pc1``, ``pc2``, … (distance in units of the weights from the mean of all
    points) and ``share1``, ``share2``, … (share of the whole variance that the direction carries, the same in all rows;
    NaN if all points are the same). The sign of a direction is such that its largest coordinate is positive.

    See Also
    --------
    solution_distance : how far the points are from solutions
    neurosleep.plot.weight_trajectory : a picture of it

    Notes
    -----
    The eigenvectors of the points x points matrix of products give the coordinates; the matrix of all weights is never
    built, however many there are.

    References
    ----------
    Golden et al. (2022), doi:10.1371/journal.pcbi.1010628.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.analysis import weight_trajectory
    >>> points = [[torch.tensor([0.0, 0.0])], [torch.tensor([1.0, 0.0])], [torch.tensor([2.0, 0.0])]]
    >>> table = weight_trajectory(points, runs=["src"] * 3, moments=["start", "wake 1", "sleep 1"], components=1)
    >>> abs(table["pc1"]).round(3), table["share1"].round(3)
    (array([1., 0., 1.]), array([1., 1., 1.]))
    """
    n = len(weights)
    if len(runs) != n or len(moments) != n or n < 2:
        raise DataError(
            "Runs and moments do not fit the weights.",
            found=f"{n} points, {len(runs)} runs, {len(moments)} moments",
            expected="a run and a moment for each of at least two points",
        )
    check_points(weights)
    check_count("The number of components", components, 1, n - 1)
    gram = products(weights)
    values, vectors = np.linalg.eigh(gram)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    total = float(np.trace(gram))
    columns: dict[str, NDArray[np.generic]] = {
        "run": np.array([str(run) for run in runs]),
        "moment": np.array([str(moment) for moment in moments]),
    }
    for k in range(components):
        along = vectors[:, k] * np.sqrt(values[k])
        columns[f"pc{k + 1}"] = along * (np.sign(along[np.abs(along).argmax()]) or 1.0)
    for k in range(components):
        columns[f"share{k + 1}"] = np.full(n, values[k] / total if total > 0 else np.nan)
    return Table(columns)


def check_points(weights: Sequence[Sequence[Tensor]]) -> None:
    """Refuse points that are not weights of one network."""
    shapes = [[tuple(weight.shape) for weight in point] for point in weights]
    other = next((found for found in shapes if found != shapes[0] or not found), None)
    if other is not None:
        raise DataError(
            "The points have weights of different shapes.",
            found=f"{shapes[0]} and {other}",
            expected="the same network at all points",
        )


def products(weights: Sequence[Sequence[Tensor]], size: int = 2**17) -> NDArray[np.float64]:
    """Products of every two points as seen from their mean, ``[points, points]``, from ``size`` weights at a time.

    Raises
    ------
    DataError
        If a weight is not finite.
    """
    total = torch.zeros(len(weights), len(weights), dtype=torch.float64)
    for layer in range(len(weights[0])):
        flat = [point[layer].detach().reshape(-1) for point in weights]
        for start in range(0, len(flat[0]), size):
            part = torch.stack([values[start : start + size].double().cpu() for values in flat])
            part -= part.mean(dim=0)
            total += part @ part.T
    gram = np.asarray(total.numpy())
    if not np.isfinite(gram).all():
        raise DataError("The weights are not all finite.", hint="leave out runs that diverged")
    return gram
