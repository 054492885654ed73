"""Which answers sleep changed, from which class to which."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neurosleep._checks import as_images
from neurosleep.analysis._inputs import Array
from neurosleep.analysis.table import Table
from neurosleep.errors import DataError
from neurosleep.replay import answers
from neurosleep.replay.moved_answers import answer_counts

__all__ = ["confusion_change"]


def confusion_change(before: nn.Module, after: nn.Module, images: Tensor | Array, labels: Tensor | Array) -> Table:
    """How many images of each class were given which answer before sleep, and which after it.

    Both confusion matrices follow from it, and so does what moved from which answer to which.

    Parameters
    ----------
    before, after:
        A classifier at two moments; any module that returns scores ``[n, classes]``, or one score, whose sign answers.
    images, labels:
        ``[n, ...]`` as the classifier takes them, and their classes ``[n]``, integers from 0.

    Returns
    -------
    One row for each class, answer before and answer after that occur, with the number of ``images``; rows are sorted.

    Raises
    ------
    DataError
        If there is no image, or labels are no ``[n]`` class numbers.

    See Also
    --------
    neurosleep.plot.confusion_change : a picture of it

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from neurosleep.analysis import confusion_change
    >>> before, after = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.constant_(before.weight, 0.0), nn.init.eye_(after.weight)
    >>> table = confusion_change(before, after, torch.eye(2), torch.tensor([0, 1]))
    >>> [list(row.values()) for row in table.rows()]
    [[0, 0, 0, 1], [1, 0, 1, 1]]
    """
    x, y = as_images("images", images), torch.as_tensor(labels).detach().cpu()
    if y.shape != (len(x),) or y.is_floating_point() or y.is_complex() or bool((y < 0).any()) or not len(x):
        raise DataError(
            f"The labels have shape {list(y.shape)} and type {y.dtype}, the images shape {list(x.shape)}.",
            expected="images [n, ...] and n class numbers, at least one",
        )
    return Table.from_rows(answer_counts(answers(before, x), answers(after, x), y))
