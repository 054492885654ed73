"""The toy images of Tadros et al. (2022): four binary patches that share some pixels."""

from __future__ import annotations

import numpy as np

from neurosleep._checks import check_count
from neurosleep.data.dataset import Dataset
from neurosleep.errors import SettingsError

__all__ = ["patches"]


def patches(*, width: int = 10, overlap: int = 12, seed: int = 0) -> Dataset:
    """Four binary images of ``width * width`` pixels, one per class, for training and testing alike.

    ``overlap`` pixels are on in all of them; each has ``width * width // 6 - overlap`` further pixels of its own (none,
    if that is negative, so that the four are equal). The released script does not round the number of pixels, which is
    no integer for the published widths; rounding down is our reading.

    Raises
    ------
    SettingsError
        If the sizes are not positive, or the images have too few pixels.

    See Also
    --------
    class_incremental : two tasks of two patches each
    neurosleep.analysis.patch_drive : what the network makes of them

    Examples
    --------
    >>> from neurosleep.data import patches
    >>> toy = patches()
    >>> toy.images.shape, toy.labels
    ((4, 10, 10), array([0, 1, 2, 3]))
    """
    for key, value, low in (("width", width, 2), ("overlap", overlap, 0)):
        check_count(f"data.{key}", value, low)
    unique = max(width * width // 6 - overlap, 0)
    if overlap + 4 * unique > width * width:
        raise SettingsError(
            f"Patches of width {width} with an overlap of {overlap} do not fit.",
            expected=f"overlap + 4 * {unique} <= {width * width} pixels",
        )
    # The generators live beside torch ones, and torch is not needed to read data.
    from neurosleep.functional import numpy_generator

    order = numpy_generator(seed, "patches").permutation(width * width)
    images = np.zeros((4, width * width), dtype=np.uint8)
    images[:, order[:overlap]] = 255
    for c in range(4):
        images[c, order[overlap + c * unique : overlap + (c + 1) * unique]] = 255
    labels = np.arange(4, dtype=np.int64)
    return Dataset(
        name="patches",
        images=images.reshape(4, width, width),
        labels=labels,
        test_images=images.reshape(4, width, width).copy(),
        test_labels=labels.copy(),
        n_classes=4,
        origin=f"made here: width {width}, overlap {overlap}, seed {seed}",
    )
