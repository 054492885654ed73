"""Classes of the images in a file, by which accuracy is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurosleep._guards.arrays import read_npy
from neurosleep._guards.files import check_regular
from neurosleep.errors import DataError, SettingsError

__all__ = ["read_labels"]


def read_labels(path: str | Path, inputs: str | Path | None) -> NDArray[np.integer]:
    """Integers ``[n]`` of a ``.npy`` file: the class of each image in the file ``inputs``; nothing in it is executed.

    Raises
    ------
    SettingsError
        If there is no file of images that they are of.
    DataError
        If it is no such file, or holds other things than one integer for each image.

    See Also
    --------
    read_calibration : the images

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from neurosleep.exchange import read_labels
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/labels.npy", np.array([3, 1]))
    ...     read_labels(f"{folder}/labels.npy", "images.npy")
    array([3, 1])
    """
    if inputs is None:
        raise SettingsError("There are labels, and no images that they are of.", expected="--inputs with their images")
    path = Path(path)
    wrong = "an .npy file of one integer for each image"
    check_regular(path, DataError, expected=wrong)
    try:
        labels = read_npy(path)
    except Exception as error:  # a damaged file fails in many ways
        raise DataError(
            f"The file of labels {path.name!r} cannot be read.", found=str(error)[:200], expected=wrong
        ) from error
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        found = f"{labels.dtype}, shape {labels.shape}"
        raise DataError("The labels are no classes.", found=found, expected="one integer for each image")
    return labels
