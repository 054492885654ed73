"""A stream whose classes come and go smoothly, so that no task ends anywhere."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from neurosleep._checks import check_count, check_number
from neurosleep.data.dataset import Dataset
from neurosleep.data.splits import Task, class_incremental
from neurosleep.errors import SettingsError

__all__ = ["blurred_stream"]


def blurred_stream(
    dataset: Dataset,
    tasks: Iterable[Iterable[int]] | None = None,
    *,
    blur: float,
    parts: int,
    seed: int,
    split: str = "test",
) -> list[Task]:
    """The stream of class-incremental tasks, with each image moved along it at random: classes come and go smoothly.

    An image of task k lies at k + u + ``blur`` z, u uniform from 0 to 1 and z standard normal; the stream has all
    images once, by their places. So its distribution changes all the time, as in the gradual streams of Shanahan et al.
    (2021, arXiv:2105.13327). The ``parts``, of equal numbers of training images, are where accuracy is measured, and no
    tasks: test images lie along the stream likewise, each in one part.

    Parameters
    ----------
    dataset, tasks, split:
        As in :func:`class_incremental`.
    blur:
        Standard deviation of the moves, in lengths of a task; 0: none, hard boundaries.
    parts:
        Into how many the stream is cut.
    seed:
        Seed of the run, an integer >= 0.

    Returns
    -------
    The parts in turn; within one, order is for the training to draw.

    Raises
    ------
    SettingsError
        If a setting makes no sense, or a part would be left without images.

    See Also
    --------
    class_incremental : with boundaries

    Examples
    --------
    >>> from neurosleep.data import blurred_stream, load_dataset
    >>> parts = blurred_stream(load_dataset("mnist-mini"), blur=0.3, parts=10, seed=0)
    >>> len(parts), parts[0].classes, len(parts[0].train_labels)
    (10, (0, 1, 2, 3), 1000)
    """
    # The generators live beside torch ones, and torch is not needed to read data.
    from neurosleep.functional.random import check_seed, numpy_generator

    check_seed(seed)
    moves, count = check_number("data.blur", blur, 0), check_count("data.parts", parts)
    sharp = class_incremental(dataset, tasks, split=split)

    def places(labels: list[NDArray[np.int64]], stream: str) -> NDArray[np.float64]:
        generator = numpy_generator(seed, stream)
        starts = np.repeat(np.arange(len(labels)), [len(of_task) for of_task in labels])
        return starts + generator.random(len(starts)) + moves * generator.standard_normal(len(starts))

    train = places([task.train_labels for task in sharp], "blur")
    test = places([task.test_labels for task in sharp], "blur of tests")
    order, order_test = np.argsort(train, kind="stable"), np.argsort(test, kind="stable")
    if count > len(order):
        raise SettingsError(f"data.parts is {count}.", expected=f"at most the {len(order)} training images")
    cuts = [k * len(order) // count for k in range(1, count)]
    # Between the last image of a part and the first of the next.
    limits = [(train[order[cut - 1]] + train[order[cut]]) / 2 for cut in cuts]
    cuts_test = np.searchsorted(test[order_test], limits)
    images, labels = (np.concatenate([getattr(t, f"train_{key}") for t in sharp]) for key in ("images", "labels"))
    images_test, labels_test = (
        np.concatenate([getattr(t, f"test_{key}") for t in sharp]) for key in ("images", "labels")
    )
    result = []
    for k, (rows, rows_test) in enumerate(zip(np.split(order, cuts), np.split(order_test, cuts_test), strict=True)):
        if not len(rows_test):
            raise SettingsError(
                f"Part {k} of the stream has no test images (data.parts is {count}).", expected="fewer parts"
            )
        pool = images[rows], labels[rows]
        classes = tuple(int(c) for c in np.unique(pool[1]))
        result.append(Task(f"part {k}", classes, *pool, *pool, images_test[rows_test], labels_test[rows_test]))
    return result
