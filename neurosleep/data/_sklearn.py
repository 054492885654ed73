"""The small sets that scikit-learn ships, read when they are asked for, as it holds them."""

from __future__ import annotations

import numpy as np

from neurosleep.data.dataset import Dataset
from neurosleep.errors import missing_extra

__all__ = ["SKLEARN", "load_sklearn"]

#: Names here, and the reader of each there.
SKLEARN = {"digits": "load_digits", "wine": "load_wine", "breast-cancer": "load_breast_cancer"}
# The part of each class that is tested on: the last of every so many, in file order.
_TEST_PART = 5


def load_sklearn(name: str) -> Dataset:
    """A data set of ``SKLEARN``, float32 as held there: digits ``[n, 8, 8]`` of 0 to 16, or features ``[n, d]``.

    It has no test part of its own: the last fifth of each class, in file order, is it.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    try:
        from sklearn import __version__, datasets
    except ImportError as error:
        raise missing_extra("scikit-learn", "sklearn", f"The data set {name!r}") from error
    bunch = getattr(datasets, SKLEARN[name])()
    images = np.asarray(bunch.images if name == "digits" else bunch.data, dtype=np.float32)
    labels = np.asarray(bunch.target, dtype=np.int64)
    test = np.zeros(len(labels), dtype=bool)
    for c in np.unique(labels):
        rows = np.flatnonzero(labels == c)
        test[rows[len(rows) - len(rows) // _TEST_PART :]] = True
    return Dataset(
        name,
        images[~test],
        labels[~test],
        images[test],
        labels[test],
        int(labels.max()) + 1,
        f"scikit-learn {__version__}; last fifth of each class for testing",
    )
