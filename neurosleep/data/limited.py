"""Fewer training images than there are, or fewer of some classes: limited and unbalanced data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from neurosleep._checks import check_count, check_number
from neurosleep.data.splits import Task
from neurosleep.errors import SettingsError

__all__ = ["limit_images"]


def limit_images(
    tasks: Sequence[Task],
    *,
    per_class: int | None = None,
    shares: Sequence[float] | None = None,
    tests: int | None = None,
) -> list[Task]:
    """The tasks with the first training images of each class only, as if there were no others (also in their pools).

    Parameters
    ----------
    tasks:
        The tasks, with all their training images.
    per_class:
        At most so many images of a class in a task.
    shares:
        For each class, from 0, the share of its images that there is, above 0 to 1 (unbalanced data: arXiv:2402.10956,
        arXiv:2410.16154); at least one image.
    tests:
        At most so many test images of each task, evenly from all over them.

    Raises
    ------
    SettingsError
        If a number makes no sense, or there is not one share for each class.

    See Also
    --------
    class_incremental : whose ``images_per_task`` counts the images of all classes together

    Examples
    --------
    >>> from neurosleep.data import class_incremental, limit_images, load_dataset
    >>> tasks = class_incremental(load_dataset("mnist-mini"), [(0, 1)])
    >>> (first,) = limit_images(tasks, shares=[1.0, 0.05])
    >>> [int((first.train_labels == c).sum()) for c in (0, 1)]
    [1000, 50]
    """
    if per_class is not None:
        per_class = check_count("data.images_per_class", per_class)
    highest = max(max(task.classes) for task in tasks)
    if shares is not None:
        for share in shares:
            if check_number("data.class_shares", share, 0, 1) == 0:
                raise SettingsError("data.class_shares holds 0.", expected="numbers above 0, up to 1")
        if len(shares) <= highest:
            raise SettingsError(
                f"data.class_shares has {len(shares)} numbers.", expected=f"one for each of the classes 0 to {highest}"
            )
    if tests is not None:
        tasks = [_fewer_tests(task, check_count("data.tests_per_task", tests)) for task in tasks]
    if per_class is None and shares is None:
        return [*tasks]
    return [_limited(task, per_class, shares) for task in tasks]


def _fewer_tests(task: Task, most: int) -> Task:
    step = -(-len(task.test_labels) // most)
    return replace(task, test_images=task.test_images[::step], test_labels=task.test_labels[::step])


def _limited(task: Task, per_class: int | None, shares: Sequence[float] | None) -> Task:
    chosen = np.zeros(len(task.pool_labels), dtype=bool)
    for c in task.classes:
        rows = np.flatnonzero(task.pool_labels == c)
        count = len(rows) if shares is None else max(math.floor(shares[c] * len(rows) + 0.5), 1)
        chosen[rows[: count if per_class is None else min(count, per_class)]] = True
    # The training images are the first of the pool.
    training = np.flatnonzero(chosen)
    training = training[training < len(task.train_labels)]
    return replace(
        task,
        train_images=task.pool_images[training],
        train_labels=task.pool_labels[training],
        pool_images=task.pool_images[chosen],
        pool_labels=task.pool_labels[chosen],
    )
