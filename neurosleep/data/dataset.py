"""The one object every data set is read into, and how its images become network inputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosleep._checks import check_count
from neurosleep.errors import DataError

__all__ = ["Dataset", "check_images", "to_float"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A labelled set of images (or feature vectors) with a training and a test part.

    Parameters
    ----------
    name:
        The name it is known by, as in :func:`~neurosleep.data.dataset_names` for the registered ones.
    images:
        Training images, ``[n, *shape]``, uint8 (0 to 255) or floating point (intensities or features, as they are).
    labels:
        Class of each training image, integers ``[n]`` in ``0 .. n_classes - 1``; kept as int64.
    test_images, test_labels:
        The same for the test part, with images of the same shape and dtype.
    n_classes:
        Number of classes, at least 1.
    origin:
        A short text telling where it was read from. A folder that the user gave is written ``DATA/...`` in it.

    Raises
    ------
    DataError
        If ranks, row counts, shapes, dtypes or labels do not fit together, a part is empty, or a value is NaN or
        infinite.

    See Also
    --------
    load_dataset : a published set by name
    class_incremental, permuted, cross_modal : tasks from it

    Examples
    --------
    >>> import numpy as np
    >>> from neurosleep.data import Dataset
    >>> images, labels = np.zeros((6, 8, 8), dtype=np.uint8), np.array([0, 1, 2, 0, 1, 2])
    >>> mine = Dataset("mine", images, labels, images, labels, n_classes=3, origin="made by hand")
    >>> mine.images.shape, mine.labels.dtype
    ((6, 8, 8), dtype('int64'))
    """

    name: str
    images: Array = field(repr=False)
    labels: Array = field(repr=False)
    test_images: Array = field(repr=False)
    test_labels: Array = field(repr=False)
    n_classes: int
    origin: str

    def __post_init__(self) -> None:
        n_classes = check_count(f"The number of classes of data set {self.name!r}", self.n_classes, error=DataError)
        object.__setattr__(self, "n_classes", n_classes)
        for part, images_key, labels_key in (
            ("training", "images", "labels"),
            ("test", "test_images", "test_labels"),
        ):
            what = f"The {part} part of data set {self.name!r}"
            images = np.asarray(getattr(self, images_key))
            check_images(images, what)
            labels = check_labels(np.asarray(getattr(self, labels_key)), self.n_classes, what)
            if len(images) != len(labels):
                raise DataError(
                    f"{what} does not have one label for each image.",
                    found=f"{len(images)} images and {len(labels)} labels",
                    expected="as many labels as images",
                )
            object.__setattr__(self, images_key, images)
            object.__setattr__(self, labels_key, labels)
        if self.images.shape[1:] != self.test_images.shape[1:] or self.images.dtype != self.test_images.dtype:
            raise DataError(
                f"The training and test images of data set {self.name!r} are not of one kind.",
                found=f"training {describe(self.images)}, test {describe(self.test_images)}",
                expected="the same image shape and dtype in both parts",
            )


def describe(images: Array) -> str:
    """Shape and dtype of one image in words, for messages."""
    return f"{'x'.join(str(side) for side in images.shape[1:])} {images.dtype}"


def check_images(images: Array, what: str) -> None:
    """Refuse an array that cannot be a stack of images.

    Parameters
    ----------
    images:
        ``[n, *shape]``, uint8 or floating point.
    what:
        Opens the message: which array is meant.

    Raises
    ------
    DataError
        If the rank, the dtype or a value is not usable, or there is no image or no pixel.
    """
    if images.ndim < 2:
        raise DataError(
            f"{what} has images of the wrong rank.",
            found=f"an array of shape {list(images.shape)}",
            expected="[n, *shape]: one row for each image",
        )
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise DataError(
            f"{what} has images of a dtype that cannot be read as intensities.",
            found=str(images.dtype),
            expected="uint8 (0 to 255) or floating point",
        )
    if images.size == 0:
        raise DataError(
            f"{what} is empty.",
            found=f"images of shape {list(images.shape)}",
            expected="at least one image of at least one pixel",
        )
    if images.dtype != np.uint8:
        finite = np.isfinite(images).reshape(len(images), -1).all(axis=1)
        if not finite.all():
            bad = np.flatnonzero(~finite)
            raise DataError(
                f"{what} has images with values that are NaN or infinite.",
                found=f"{len(bad)} such images, the first at row {bad[0]}",
                expected="finite values only",
            )


def check_labels(labels: Array, n_classes: int, what: str) -> NDArray[np.int64]:
    """The labels as int64, after refusing any that are not classes; ``what`` opens the message.

    Raises
    ------
    DataError
        If the labels are not a vector of integers in ``0 .. n_classes - 1``.
    """
    if labels.ndim != 1:
        raise DataError(
            f"{what} has labels of the wrong rank.",
            found=f"an array of shape {list(labels.shape)}",
            expected="[n]: one class number for each image",
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"{what} has labels that are not integers.", found=str(labels.dtype), expected="integer class numbers"
        )
    if labels.size and (labels.min() < 0 or labels.max() >= n_classes):
        bad = int(np.flatnonzero((labels < 0) | (labels >= n_classes))[0])
        raise DataError(
            f"{what} has labels outside its classes.",
            found=f"label {labels[bad]} at row {bad}",
            expected=f"0 to {n_classes - 1}",
        )
    return labels.astype(np.int64)


def to_float(images: Array) -> NDArray[np.float32]:
    """Images as network inputs: flattened, float32, uint8 scaled to 0..1.

    Parameters
    ----------
    images:
        ``[n, *shape]``; uint8 is divided by 255, floating point keeps its values. ``n`` may be 0.

    Returns
    -------
    ``[n, d]`` float32, a new array.

    Raises
    ------
    DataError
        If the rank or the dtype is not that of images.

    See Also
    --------
    RunningMean : the mean of images in chunks

    Examples
    --------
    >>> import numpy as np
    >>> to_float(np.array([[[0, 51], [102, 255]]], dtype=np.uint8)).tolist()
    [[0.0, 0.20000000298023224, 0.4000000059604645, 1.0]]
    """
    if len(images.shape) < 2 or (images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating)):
        raise DataError(
            "These are not images.",
            found=f"{images.dtype} of shape {list(images.shape)}",
            expected="uint8 or floating point, [n, *shape]",
        )
    flat = images.reshape(len(images), int(np.prod(images.shape[1:])))
    if flat.dtype == np.uint8:
        # One pass, one allocation: 60,000 MNIST images already take 188 MB as float32.
        return np.divide(flat, np.float32(255), dtype=np.float32)
    return flat.astype(np.float32)
