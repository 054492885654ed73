"""How strongly the units of old and of new tasks are driven by their tasks' images (analysis F.5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from neurosleep.analysis._inputs import Array, Layered, check_images, check_pair, class_means, layer_names
from neurosleep.analysis.table import Table
from neurosleep.errors import DataError, SettingsError

__all__ = ["check_tasks", "input_drive"]


def check_tasks(tasks: Sequence[Sequence[int]], labels: NDArray[np.int64]) -> list[list[int]]:
    """The classes of each task as plain integers; every task must have images, and no class two tasks."""
    groups = [[int(c) for c in task] for task in tasks]
    flat = [c for group in groups for c in group]
    if not flat or len(set(flat)) != len(flat):
        raise SettingsError(f"The tasks are {groups!r}.", expected="lists of classes, each class in one task only")
    for number, group in enumerate(groups, start=1):
        if not np.isin(labels, group).any():
            raise DataError(f"There is no image of task {number}.", expected=f"images of a class among {group!r}")
    return groups


def input_drive(
    before: Layered,
    after: Layered,
    images: Tensor | Array,
    labels: Tensor | Array,
    tasks: Sequence[Sequence[int]],
    *,
    units: int | None = None,
    share: bool = False,
) -> Table:
    r"""Mean total input of each task's units for that task's images, before and after sleep.

    Parameters
    ----------
    before, after:
        The network at two moments.
    images, labels:
        Floating point ``[n, inputs]`` and classes ``[n]``; those of classes outside ``tasks`` are not used.
    tasks:
        The classes of each task learnt so far, at least two, the newest last.
    units:
        How many hidden units stand for a task; a tenth of each layer if not given.
    share:
        Whether ``before``, ``after`` and ``change`` are, in place of the input, the part of the layer's activity on the
        task's images that these units have, from 0 to 1: where sleep lowers the input of the whole layer, it tells
        whose units remain (NaN where a layer is silent). ``all_before`` and ``all_after`` are then the units' part of
        the layer.

    Returns
    -------
    A row per hidden layer and task: ``layer``, ``task`` (from 1), ``age`` (``new`` for the last task, else ``old``),
    ``units``, ``before``, ``after``, ``change``: the mean over these units and the task's images of the summed input
    :math:`W_l h_{l-1}` (in units of the activities; :math:`h_{l-1}` of the same network); ``all_before`` and
    ``all_after``, the same over all units of the layer. Published: drive to old-task units rises with sleep, drive to
    new-task units falls.

    See Also
    --------
    class_correlation, representation_change : what else sleep changes
    neurosleep.plot.input_drive : a picture of it

    Notes
    -----
    A task's units are those whose mean activity before sleep on its images exceeds most their mean over the images of
    the other tasks. The mean input is :math:`W_l \bar h_{l-1}`, with the mean activity of the layer below.

    References
    ----------
    Tadros et al. (2022), doi:10.1038/s41467-022-34938-7, input to task-specific neurons.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.analysis import input_drive
    >>> from neurosleep.networks import MLP
    >>> before, after = MLP([16, 8, 2]), MLP([16, 8, 2])  # a network at two moments
    >>> labels = torch.tensor([0, 1, 0, 1, 0, 1])
    >>> table = input_drive(before, after, torch.rand(6, 16), labels, tasks=[(0,), (1,)], units=2)
    >>> table["age"].tolist(), table["units"].tolist()
    (['old', 'new'], [2, 2])
    """
    check_pair(before, after)
    x, y = check_images(before, images, labels)
    groups = check_tasks(tasks, y)
    if len(groups) < 2:
        raise SettingsError("One task has no other to be compared with.", expected="at least two tasks")
    sizes = [len(weight) for weight in before.weights[:-1]]
    if not sizes:
        raise DataError("The network has no hidden layer.", expected="at least one between input and output")
    if units is not None and not (isinstance(units, int) and 1 <= units <= min(sizes)):
        raise SettingsError(f"The number of units is {units!r}.", expected=f"an integer from 1 to {min(sizes)}")
    counts = np.array([np.isin(y, group).sum() for group in groups])
    means = [class_means(network, x, y, groups) for network in (before, after)]
    rows = []
    for k, (layer, size) in enumerate(zip(layer_names(before), sizes, strict=False)):
        n = max(1, size // 10) if units is None else units
        drives = [
            mean[k] @ network.weights[k].detach().double().cpu().numpy().T
            for mean, network in zip(means, (before, after), strict=True)
        ]
        for task in range(len(groups)):
            others = np.arange(len(groups)) != task
            rest = counts[others] @ means[0][k + 1][others] / counts[others].sum()
            chosen = np.argsort(rest - means[0][k + 1][task], kind="stable")[:n]
            if share:
                active = [mean[k + 1][task] for mean in means]
                early, late = (float(a[chosen].sum() / a.sum()) if a.sum() > 0 else float("nan") for a in active)
                layer_wide = {"all_before": n / size, "all_after": n / size}
            else:
                early, late = (float(drive[task, chosen].mean()) for drive in drives)
                layer_wide = {"all_before": float(drives[0][task].mean()), "all_after": float(drives[1][task].mean())}
            age = "new" if task == len(groups) - 1 else "old"
            rows.append(
                {"layer": layer, "task": task + 1, "age": age, "units": n}
                | {"before": early, "after": late, "change": late - early}
                | layer_wide
            )
    return Table.from_rows(rows)
