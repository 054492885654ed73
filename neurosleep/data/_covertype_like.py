"""A synthetic set of the kind of UCI's Covertype: numbers and ones-of-many, seven unbalanced classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurosleep._checks import check_count
from neurosleep.data.dataset import Dataset

__all__ = ["covertype_like"]

# The share of each class in Covertype (Blackard & Dean 1999), in percent.
_SHARES = (36.5, 48.8, 6.2, 0.5, 1.6, 3.0, 3.5)
# Numbers, and the choices of its two features that are one of many.
_NUMBERS, _CHOICES = 10, (4, 40)


def covertype_like(rows: int = 14_000, test_rows: int = 3_500, *, seed: int = 0) -> Dataset:
    """A made-up table of 54 features and 7 classes with the shares of Covertype: 48.8 % to 0.5 % of the rows.

    Ten features are numbers (normal about centres of the class, three for each, with the scales of heights, angles and
    distances), 4 and 40 say one of many, with probabilities of the class. Nothing in it was measured: it stands for
    tables of that kind where nothing can be downloaded. Values are raw, to be standardised.

    Parameters
    ----------
    rows, test_rows:
        Rows for training and for testing, at least 700.
    seed:
        Of everything that is drawn; the two parts are drawn from the same classes.

    Returns
    -------
    Dataset
        Float32 ``[n, 54]``.

    Raises
    ------
    SettingsError
        If there are too few rows to show every class, or the seed is none.

    See Also
    --------
    load_dataset : ``"covertype-like"``, with the defaults
    class_incremental : tasks from it

    Examples
    --------
    >>> from neurosleep.data import covertype_like
    >>> table = covertype_like()
    >>> table.images.shape, table.n_classes, int((table.labels == 3).sum())
    ((14000, 54), 7, 70)
    """
    for key, value in (("rows", rows), ("test_rows", test_rows)):
        check_count(key, value, 100 * len(_SHARES))
    # The generators live beside torch ones, and torch is not needed to read data.
    from neurosleep.functional.random import check_seed, numpy_generator

    check_seed(seed)
    kinds = numpy_generator(seed, "covertype-like")
    centres = kinds.normal(0, 1, (len(_SHARES), 3, _NUMBERS))
    scales = 10 ** kinds.uniform(0, 3, _NUMBERS)
    offsets = scales * kinds.uniform(0, 10, _NUMBERS)
    chances = [kinds.dirichlet(np.full(n, 0.5), len(_SHARES)) for n in _CHOICES]

    def part(count: int, name: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        draw = numpy_generator(seed, f"covertype-like {name}")
        shares = np.array(_SHARES) / sum(_SHARES)
        counts = np.maximum((shares * count).round().astype(int), 1)
        counts[1] += count - counts.sum()
        labels = draw.permutation(np.repeat(np.arange(len(_SHARES)), counts))
        numbers = centres[labels, draw.integers(0, 3, count)] + draw.normal(0, 0.6, (count, _NUMBERS))
        columns = [offsets + scales * numbers]
        for chance in chances:
            edges = chance.cumsum(axis=1)[labels]
            chosen = (draw.random((count, 1)) > edges).sum(axis=1).clip(max=chance.shape[1] - 1)
            columns.append(np.eye(chance.shape[1])[chosen])
        return np.concatenate(columns, axis=1).astype(np.float32), labels.astype(np.int64)

    images, labels = part(rows, "training")
    test_images, test_labels = part(test_rows, "test")
    origin = f"made here: seed {seed}; a synthetic set of the kind of Covertype, nothing in it was measured"
    return Dataset("covertype-like", images, labels, test_images, test_labels, len(_SHARES), origin)
