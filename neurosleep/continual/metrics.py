r"""Metrics of continual learning, from the accuracy matrix :math:`R_{ij}`: after task i, on task j (fractions)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

__all__ = ["MatrixMetrics", "backward_transfer", "matrix_metrics"]
__all__ += ["forgetting_first_minus_last", "forgetting_max_minus_last"]

Matrix = Sequence[Sequence[float]]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def forgetting_max_minus_last(matrix: Matrix) -> float | None:
    """Mean over all tasks but the last of the best earlier accuracy minus the final one (Chaudhry 2018).

    See Also
    --------
    forgetting_first_minus_last : the other definition in use
    matrix_metrics : all of them

    Examples
    --------
    >>> from neurosleep.continual import forgetting_max_minus_last
    >>> forgetting_max_minus_last([[0.75], [1.0, 0.5], [0.5, 0.5, 1.0]])
    0.25
    """
    last = len(matrix) - 1
    return _mean([max(matrix[i][j] for i in range(j, last)) - matrix[last][j] for j in range(last)])


def forgetting_first_minus_last(matrix: Matrix) -> float | None:
    """Mean over all tasks but the last of the accuracy right after learning minus the final one (as in Avalanche).

    See Also
    --------
    forgetting_max_minus_last : the other definition in use
    matrix_metrics : all of them

    Examples
    --------
    >>> from neurosleep.continual import forgetting_first_minus_last
    >>> forgetting_first_minus_last([[0.75], [0.5, 1.0]])
    0.25
    """
    last = len(matrix) - 1
    return _mean([matrix[j][j] - matrix[last][j] for j in range(last)])


def backward_transfer(matrix: Matrix) -> float | None:
    """BWT of Lopez-Paz and Ranzato (2017): the negative of the forgetting first minus last.

    See Also
    --------
    forgetting_first_minus_last : its negative
    matrix_metrics : all of them

    Examples
    --------
    >>> from neurosleep.continual import backward_transfer
    >>> backward_transfer([[0.75], [0.5, 1.0]])
    -0.25
    """
    forgetting = forgetting_first_minus_last(matrix)
    return None if forgetting is None else -forgetting


class MatrixMetrics(TypedDict):
    """What an accuracy matrix comes to; None where there is only one task."""

    forgetting_max_minus_last: float | None
    forgetting_first_minus_last: float | None
    bwt: float | None


def matrix_metrics(matrix: Matrix) -> MatrixMetrics:
    """All of them, by the names used in metrics.json; None where there is only one task.

    See Also
    --------
    neurosleep.plot.accuracy_matrix : a picture of the matrix

    Examples
    --------
    >>> from neurosleep.continual import matrix_metrics
    >>> matrix_metrics([[0.75], [0.5, 1.0]])
    {'forgetting_max_minus_last': 0.25, 'forgetting_first_minus_last': 0.25, 'bwt': -0.25}
    """
    return {
        "forgetting_max_minus_last": forgetting_max_minus_last(matrix),
        "forgetting_first_minus_last": forgetting_first_minus_last(matrix),
        "bwt": backward_transfer(matrix),
    }
