"""How far a network is, in the space of its weights, from those that solve each task (analysis F.8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from neurosleep.analysis._trajectory import check_points, products
from neurosleep.analysis.table import Table
from neurosleep.errors import DataError

__all__ = ["solution_distance"]

Points = Sequence[Sequence[Tensor]]


def solution_distance(
    weights: Points, solutions: Mapping[str, Points], *, runs: Sequence[str], moments: Sequence[str]
) -> Table:
    r"""Distance of every point of a trajectory to samples of the weights that solve each task.

    The manifold of a task's solutions is known by samples only, such as networks trained on it alone from several
    seeds. Two distances bracket the one to the manifold: to the nearest sample, and to the flat through all samples,
    :math:`\min_a \lVert w - \mu - \sum_k a_k (s_k - \mu) \rVert`, which is never larger.

    Parameters
    ----------
    weights, runs, moments:
        The points, as in :func:`~neurosleep.analysis.weight_trajectory`.
    solutions:
        For each task its samples, at least one, with weights of the same shapes.

    Returns
    -------
    A row per point and task: ``run``, ``moment``, ``task``, ``nearest`` and ``flat`` (distances in units of the
    weights).

    Raises
    ------
    DataError
        If there are no points or no samples, shapes differ, or weights are not finite.

    See Also
    --------
    weight_trajectory : the points in two dimensions
    neurosleep.plot.solution_distance : a picture of it

    References
    ----------
    Golden et al. (2022), doi:10.1371/journal.pcbi.1010628.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.analysis import solution_distance
    >>> points = [[torch.tensor([0.0, 0.0])], [torch.tensor([0.0, 1.0])]]
    >>> solutions = {"task 1": [[torch.tensor([3.0, 2.0])], [torch.tensor([5.0, 2.0])]]}
    >>> table = solution_distance(points, solutions, runs=["src", "src"], moments=["wake 1", "sleep 1"])
    >>> table["flat"].round(3)
    array([2., 1.])
    """
    n = len(weights)
    if len(runs) != n or len(moments) != n or n < 1:
        raise DataError(
            "Runs and moments do not fit the weights.",
            found=f"{n} points, {len(runs)} runs, {len(moments)} moments",
            expected="a run and a moment for each of at least one point",
        )
    empty = [task for task, samples in solutions.items() if not samples]
    if not solutions or empty:
        raise DataError(
            "There are no solutions to measure the distance to.",
            found=f"none of {', '.join(empty)}" if empty else "no task",
            expected="at least one sample of each task",
        )
    everything = [*weights, *(sample for samples in solutions.values() for sample in samples)]
    check_points(everything)
    gram = products(everything)
    rows: dict[str, list[object]] = {key: [] for key in ("run", "moment", "task", "nearest", "flat")}
    start = n
    for task, samples in solutions.items():
        of_task = np.arange(start, start + len(samples))
        start += len(samples)
        for k in range(n):
            nearest, flat = _distances(gram, k, of_task)
            for key, value in zip(rows, (str(runs[k]), str(moments[k]), task, nearest, flat), strict=True):
                rows[key].append(value)
    return Table({key: np.array(values) for key, values in rows.items()})


def _distances(gram: NDArray[np.float64], point: int, samples: NDArray[np.int64]) -> tuple[float, float]:
    """Of a point to the nearest of ``samples`` and to the flat through them, from the products of all."""
    m = len(samples)
    square = gram[point, point] + np.diag(gram)[samples] - 2 * gram[point, samples]
    # Coordinates that add up to zero: the point, the samples' mean, and the samples seen from their mean.
    away = np.zeros(len(gram))
    away[point] = 1.0
    away[samples] -= 1 / m
    span = np.zeros((m, len(gram)))
    span[np.arange(m), samples] = 1.0
    span[:, samples] -= 1 / m
    inner, along = span @ gram @ span.T, span @ gram @ away
    left = float(away @ gram @ away - along @ np.linalg.pinv(inner, rcond=1e-10, hermitian=True) @ along)
    return float(np.sqrt(max(float(square.min()), 0.0))), float(np.sqrt(max(left, 0.0)))
