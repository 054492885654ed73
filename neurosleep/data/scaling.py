"""Features divided by their maximum, as Sleep Replay Consolidation does with those of CIFAR-10."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neurosleep.data.dataset import Dataset
from neurosleep.errors import DataError

__all__ = ["scale_by_maximum"]


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
