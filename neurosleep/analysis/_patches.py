"""Which pixels drive which output in the toy task of binary patches (analysis F.6)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from neurosleep.analysis._drive import check_tasks
from neurosleep.analysis._inputs import Array, Layered, check_images, check_pair
from neurosleep.analysis.table import Table
from neurosleep.errors import DataError, SettingsError

__all__ = ["patch_drive", "patch_weights"]


def _setup(
    before: Layered, after: Layered, images: Tensor | Array, labels: Tensor | Array, tasks: Sequence[Sequence[int]]
) -> tuple[NDArray[np.bool_], NDArray[np.int64], list[list[int]], list[NDArray[np.float64]]]:
    """Pixels that are on ``[images, pixels]``, labels, tasks, and the weights before and after."""
    check_pair(before, after)
    x, y = check_images(before, images, labels)
    groups = check_tasks(tasks, y)
    if len(before.weights) != 1:
        raise DataError(
            f"The network has {len(before.weights)} layers of weights.", expected="one, from the pixels to the outputs"
        )
    on = x.cpu().numpy()
    if not np.isin(on, (0, 1)).all():
        raise DataError("The patches hold values other than 0 and 1.", expected="binary images")
    outputs = before.weights[0].shape[0]
    named = [c for group in groups for c in group]
    if len(groups) < 2 or sorted(y.tolist()) != sorted(named) or max(named) >= outputs or min(named) < 0:
        raise SettingsError(
            "The tasks do not fit the patches.",
            found=f"tasks {groups!r}, labels {y.tolist()!r}, {outputs} outputs",
            expected="at least two tasks that share out the images, one image and one output per class",
        )
    weights = [network.weights[0].detach().double().cpu().numpy() for network in (before, after)]
    return on.astype(bool), y, groups, weights


def patch_drive(
    before: Layered, after: Layered, images: Tensor | Array, labels: Tensor | Array, tasks: Sequence[Sequence[int]]
) -> Table:
    r"""What each patch sends to its own output and at most to an output of another task, split by its pixels.

    Parameters
    ----------
    before, after:
        A network with one layer of weights, at two moments.
    images, labels, tasks:
        Binary patches ``[n, pixels]``, one for each class; their classes; the classes of each task.

    Returns
    -------
    A row per image and moment: ``class``, ``task`` (from 1), ``moment`` (``before`` or ``after``), ``own_overlap``,
    ``own_unique``, ``own`` (their sum, the published sum_T1), ``other_overlap``, ``other_unique``, ``other`` (their
    sum, the published sum_T2) and ``margin`` (own - other: above 0 the patch is not taken for one of another task).
    Overlap pixels are on in all patches, unique ones in this patch only. ``other_overlap`` and ``other_unique`` are
    each the largest over the outputs of other tasks, which may be two different outputs, as published.

    See Also
    --------
    patch_weights : the synapses themselves
    neurosleep.plot.patch_drive : a picture of it

    References
    ----------
    Tadros et al. (2022), doi:10.1038/s41467-022-34938-7, toy task of binary patches.

    Examples
    --------
    >>> from neurosleep.analysis import patch_drive
    >>> from neurosleep.data import patches, to_float
    >>> from neurosleep.networks import MLP
    >>> toy = patches()
    >>> before, after = MLP([100, 4]), MLP([100, 4])  # a network at two moments
    >>> table = patch_drive(before, after, to_float(toy.images), toy.labels, tasks=[(0, 1), (2, 3)])
    >>> table.where(moment="after")["class"].tolist()
    [0, 1, 2, 3]
    """
    on, y, groups, weights = _setup(before, after, images, labels, tasks)
    overlap = on.all(axis=0)
    rows = []
    for moment, weight in zip(("before", "after"), weights, strict=True):
        for image, c in zip(on, y.tolist(), strict=True):
            unique = image & (on.sum(axis=0) == 1)
            task = next(k for k, group in enumerate(groups) if c in group)
            others = [d for k, group in enumerate(groups) if k != task for d in group]
            parts = {
                "own_overlap": float(weight[c, overlap].sum()),
                "own_unique": float(weight[c, unique].sum()),
                "other_overlap": float(weight[others][:, overlap].sum(axis=1).max()),
                "other_unique": float(weight[others][:, unique].sum(axis=1).max()),
            }
            to_own = parts["own_overlap"] + parts["own_unique"]
            other = parts["other_overlap"] + parts["other_unique"]
            sums = {"own": to_own, "other": other, "margin": to_own - other}
            rows.append({"class": c, "task": task + 1, "moment": moment} | parts | sums)
    return Table.from_rows(rows)


def patch_weights(
    before: Layered, after: Layered, images: Tensor | Array, labels: Tensor | Array, tasks: Sequence[Sequence[int]]
) -> Table:
    """Every synapse from a pixel that some patch uses, with the kind of its pixel as seen from its output.

    Parameters
    ----------
    before, after, images, labels, tasks:
        As in :func:`~neurosleep.analysis.patch_drive`.

    Returns
    -------
    A row per synapse: ``task`` (of the output, from 1), ``output``, ``pixel``, ``kind``, ``before``, ``after``. The
    kind is ``overlap`` for a pixel that is on in all patches and, for one that is on in a single patch, ``own`` (that
    of this output), ``sibling`` (another one of its task) or ``other task``. Pixels of no kind are left out.

    See Also
    --------
    patch_drive : what they add up to
    neurosleep.plot.patch_weights : a picture of it

    Examples
    --------
    >>> from neurosleep.analysis import patch_weights
    >>> from neurosleep.data import patches, to_float
    >>> from neurosleep.networks import MLP
    >>> toy = patches()
    >>> before, after = MLP([100, 4]), MLP([100, 4])  # a network at two moments
    >>> table = patch_weights(before, after, to_float(toy.images), toy.labels, tasks=[(0, 1), (2, 3)])
    >>> sorted(set(table["kind"].tolist()))
    ['other task', 'overlap', 'own', 'sibling']
    """
    on, y, groups, weights = _setup(before, after, images, labels, tasks)
    task_of = {c: k for k, group in enumerate(groups) for c in group}
    overlap, single = np.flatnonzero(on.all(axis=0)), on & (on.sum(axis=0) == 1)
    rows = []
    for c, task in task_of.items():
        kinds = [("overlap", overlap)]
        for image, d in zip(single, y.tolist(), strict=True):
            kind = "own" if d == c else "sibling" if task_of[d] == task else "other task"
            kinds.append((kind, np.flatnonzero(image)))
        for kind, pixels in kinds:
            for pixel in pixels.tolist():
                values = {"before": float(weights[0][c, pixel]), "after": float(weights[1][c, pixel])}
                rows.append({"task": task + 1, "output": c, "pixel": pixel, "kind": kind} | values)
    if not rows:
        raise DataError("No pixel is on in one patch only or in all.", expected="patches with pixels of their own")
    return Table.from_rows(rows)
