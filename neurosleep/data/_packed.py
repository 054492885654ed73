"""Reading packed JPEG files: one npz that holds the JPEG bytes of many images, where each starts, and their labels."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurosleep._files import write_whole
from neurosleep._guards.arrays import read_npy, save_npy
from neurosleep._guards.files import check_regular
from neurosleep.data._files import open_npz
from neurosleep.data.dataset import Array, check_labels
from neurosleep.errors import DataError

__all__ = ["read_packed"]

_ARRAYS = ("jpeg", "offsets", "labels")


def read_packed(
    path: Path, label: str, *, side: int, classes: tuple[str, ...] | int, decoded: Path
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The images and labels of a packed JPEG file.

    Parameters
    ----------
    path:
        An npz with ``jpeg`` (all files one after another, uint8), ``offsets`` (where each starts, one more than there
        are images), ``labels``, and optionally ``classes`` (names).
    label:
        How the file is called in messages.
    side:
        Height and width that every image must have.
    classes:
        The names of the classes, or how many there are.
    decoded:
        Folder in which the decoded images are kept by the checksum of the file, since decoding takes many seconds.

    Returns
    -------
    Images uint8 ``[n, side, side, 3]`` (grey ones become RGB) and labels int64 ``[n]``.

    Raises
    ------
    DataError
        If the file cannot be read, lacks an array, or an image in it is damaged or of another size.
    """
    check_regular(path, DataError, name=label)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{label} cannot be read.", found=error.strerror or str(error)) from error
    arrays, _ = open_npz(raw, label)
    missing = [name for name in _ARRAYS if name not in arrays]
    if missing:
        raise DataError(
            f"{label} is no packed JPEG file: it lacks {', '.join(missing)}.",
            found="the arrays " + (", ".join(sorted(arrays)) or "none"),
            expected=", ".join(_ARRAYS),
        )
    count = classes if isinstance(classes, int) else len(classes)
    labels = check_labels(arrays["labels"], count, label)
    starts = _check_offsets(arrays["offsets"], arrays["jpeg"], len(labels), label)
    names = tuple(str(name) for name in arrays["classes"].ravel()) if "classes" in arrays else None
    if names is not None and not isinstance(classes, int) and names != classes:
        raise DataError(
            f"{label} holds other classes than its name says.",
            found=", ".join(names[:12]),
            expected=", ".join(classes),
        )
    kept = decoded / f"{hashlib.sha256(raw).hexdigest()[:32]}-{side}.npy"
    images = _read_kept(kept, (len(labels), side, side, 3))
    if images is None:
        images = _decode(arrays["jpeg"].tobytes(), starts, side, label)
        _keep(kept, images)
    return images, labels


def _check_offsets(offsets: Array, jpeg: Array, n: int, label: str) -> list[int]:
    sound = (
        jpeg.ndim == 1
        and jpeg.dtype == np.uint8
        and offsets.ndim == 1
        and np.issubdtype(offsets.dtype, np.integer)
        and len(offsets) > 0
    )
    starts = [int(x) for x in offsets] if sound else []
    if not sound or starts[0] != 0 or starts[-1] != len(jpeg) or any(b <= a for a, b in itertools.pairwise(starts)):
        raise DataError(
            f"{label} does not say properly where its images start.",
            found=f"offsets {offsets.dtype} {list(offsets.shape)}, jpeg {jpeg.dtype} {list(jpeg.shape)}",
            expected="increasing offsets from 0 to the number of bytes of jpeg (uint8)",
        )
    if len(starts) != n + 1:
        raise DataError(
            f"{label} does not have one label for each image.",
            found=f"{len(starts) - 1} images and {n} labels",
            expected="as many labels as images",
        )
    return starts


def _decode(content: bytes, starts: list[int], side: int, label: str) -> NDArray[np.uint8]:
    from PIL import Image

    images = np.empty((len(starts) - 1, side, side, 3), np.uint8)
    for row in range(len(images)):
        try:
            # Naming the format keeps PIL from trying its many other readers on foreign bytes.
            with Image.open(io.BytesIO(content[starts[row] : starts[row + 1]]), formats=("JPEG",)) as image:
                size = image.size
                # Not before its size is known to be right: a header of a few bytes may declare billions of pixels.
                pixels = image.convert("RGB") if size == (side, side) else None
        # PIL raises OSError, SyntaxError and others, depending on which byte is damaged.
        except Exception as error:
            raise DataError(
                f"Image {row} in {label} cannot be decoded.", found=str(error), expected="a whole JPEG file"
            ) from error
        if size != (side, side):
            raise DataError(
                f"Image {row} in {label} has another size.",
                found=f"{size[1]}x{size[0]}",
                expected=f"{side}x{side} pixels",
            )
        images[row] = np.asarray(pixels)
    return images


def _read_kept(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    try:
        check_regular(path, DataError)
        images = read_npy(path)
    # Which exception is raised depends on which byte is damaged; the images are at hand to decode again.
    except Exception:
        return None
    return images if images.shape == shape and images.dtype == np.uint8 else None


def _keep(path: Path, images: NDArray[np.uint8]) -> None:
    """Keep the decoded images; without a cache that can be written they are decoded again next time."""
    with contextlib.suppress(DataError):
        write_whole(path, lambda temporary: save_npy(temporary, images), error=DataError)
