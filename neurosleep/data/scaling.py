"""Scales of inputs: features divided by their maximum, as Sleep Replay Consolidation has them, or standardised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from neurosleep.data.dataset import Array, Dataset, to_float
from neurosleep.data.splits import Task
from neurosleep.errors import DataError

__all__ = ["scale_by_maximum", "standardise_by_first"]


def scale_by_maximum(dataset: Dataset, *, faithful: bool = False) -> Dataset:
    """The data set with its features divided by the largest training feature, so that training features end at 1.

    Parameters
    ----------
    dataset:
        Floating point features ``[n, d]``.
    faithful:
        Divide the test features by the largest TEST feature, as the released code of Tadros et al. (2022) does: test
        and training data then have different scales, which is evidently not meant. Otherwise one divisor serves both.

    Returns
    -------
    The same data set with float32 features; its origin tells the divisors.

    Raises
    ------
    DataError
        If the features are bytes (whose scale is known), or none of them is positive.

    See Also
    --------
    to_float : the same for uint8 images
    extract_features, load_feature_file : where features come from

    Examples
    --------
    >>> import numpy as np
    >>> from neurosleep.data import Dataset, scale_by_maximum
    >>> x, y = np.array([[0.0, 4.0], [1.0, 2.0]]), np.array([0, 1])
    >>> scale_by_maximum(Dataset("mine", x, y, x, y, n_classes=2, origin="made by hand")).images
    array([[0.  , 1.  ],
           [0.25, 0.5 ]], dtype=float32)
    """
    if dataset.images.dtype == np.uint8:
        raise DataError(
            f"Data set {dataset.name!r} holds images, not features; uint8 is scaled by 255.",
            found="uint8",
            expected="floating point features",
            hint="leave the scaling by the maximum out for this data set",
        )
    largest = float(dataset.images.max())
    largest_test = float(dataset.test_images.max()) if faithful else largest
    if min(largest, largest_test) <= 0:
        raise DataError(
            f"The features of data set {dataset.name!r} cannot be divided by their maximum.",
            found=f"a maximum of {min(largest, largest_test):g}",
            expected="at least one positive feature in each part",
        )
    note = f"divided by {largest:.6g}" + (f", the test part by {largest_test:.6g}" if faithful else "")
    return replace(
        dataset,
        images=np.divide(dataset.images, largest, dtype=np.float32),
        test_images=np.divide(dataset.test_images, largest_test, dtype=np.float32),
        origin=f"{dataset.origin}; {note}",
    )


def standardise_by_first(tasks: Sequence[Task]) -> list[Task]:
    """The tasks with inputs less a mean and divided by a standard deviation: those of the FIRST task's training inputs.

    So a person has them who meets the tasks one after another: what comes later is not known when the scale is fixed.
    Features ``[n, d]`` have a mean and a deviation each, images one of each channel (``[n, height, width, channels]``)
    or of all pixels; a feature that does not vary in the first task is left undivided.

    Parameters
    ----------
    tasks:
        At least one.

    Returns
    -------
    list[Task]
        With float32 images in the shape they had.

    Raises
    ------
    DataError
        If there is no task, or its images are all alike.

    See Also
    --------
    scale_by_maximum : a scale that leaves nothing negative

    Examples
    --------
    >>> from neurosleep.data import class_incremental, covertype_like, standardise_by_first
    >>> first, *_ = standardise_by_first(class_incremental(covertype_like()))
    >>> abs(float(first.train_images.mean())) < 1e-4
    True
    """
    if not tasks:
        raise DataError("There is nothing to standardise.", found="no task", expected="at least one task")
    given = tasks[0].train_images
    parts = given.shape[-1] if given.ndim in (2, 4) else 1
    first = to_float(given).reshape(-1, parts)
    mean = first.mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = first.std(axis=0, dtype=np.float64).astype(np.float32)
    if not deviation.any():
        raise DataError(
            f"The training images of the first task, {tasks[0].name!r}, have no spread.", expected="inputs that differ"
        )
    deviation[deviation == 0] = 1

    def scaled(images: Array) -> Array:
        values: Array = (to_float(images).reshape(-1, parts) - mean) / deviation
        return values.reshape(images.shape)

    result = []
    for task in tasks:
        pool = scaled(task.pool_images)
        test = scaled(task.test_images)
        result.append(replace(task, train_images=pool[: len(task.train_labels)], pool_images=pool, test_images=test))
    return result
