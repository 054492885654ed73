"""Disturbed test images: Gaussian noise, salt and pepper, blur."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neurosleep._checks import check_number
from neurosleep.data.dataset import Array, check_images
from neurosleep.errors import DataError, unknown_name

__all__ = ["Noise", "disturb"]

Noise = Literal["gaussian", "salt-and-pepper", "blur"]


def disturb(images: Array, noise: Noise, strength: float, generator: np.random.Generator) -> Array:
    """The images with noise of one kind, in the same dtype: what generalisation is tested with (arXiv:1908.02240).

    Parameters
    ----------
    images:
        ``[n, *shape]``, uint8 or floating point; blur needs ``[n, height, width]`` or ``[n, height, width, channels]``.
    noise:
        ``"gaussian"``: normal noise is added to every value, with the standard deviation ``strength`` (of bytes in
        parts of 255, and limited to 0 to 255). ``"salt-and-pepper"``: the share ``strength`` of the values becomes the
        smallest or the largest of all. ``"blur"``: smoothed by a Gaussian of standard deviation ``strength`` in pixels.
    strength:
        At least 0; a share of at most 1. With 0 the images stay as they are.
    generator:
        Source of what is drawn; blur draws nothing.

    Raises
    ------
    DataError
        If these are no images, or have no pixels to blur.
    SettingsError
        If the strength makes no sense.

    See Also
    --------
    Task : whose test images it may change

    Examples
    --------
    >>> import numpy as np
    >>> from neurosleep.data import disturb
    >>> grey = np.full((2, 5, 5), 100, dtype=np.uint8)
    >>> sorted(np.unique(disturb(grey, "salt-and-pepper", 0.5, np.random.default_rng(0))).tolist())
    [0, 100, 255]
    """
    if noise not in get_args(Noise):
        raise unknown_name("noise", str(noise), get_args(Noise))
    check_images(images, "The array given to disturb")
    strength = check_number(f"The strength of the noise {noise!r}", strength, 0, 1 if noise[0] == "s" else 1e6)
    if strength == 0:
        return images.copy()
    values = images.astype(np.float64)
    byte = images.dtype == np.uint8
    if noise == "gaussian":
        values += generator.normal(0, strength * (255 if byte else 1), images.shape)
    elif noise == "salt-and-pepper":
        low, high = (0, 255) if byte else (values.min(), values.max())
        chance = generator.random(images.shape)
        values[chance < strength / 2] = low
        values[(chance >= strength / 2) & (chance < strength)] = high
    else:
        values = _blurred(values, strength)
    return (values.round().clip(0, 255) if byte else values).astype(images.dtype)


def _blurred(images: NDArray[np.float64], sd: float) -> NDArray[np.float64]:
    """Smoothed along height and width; at the border the outermost pixels go on."""
    if images.ndim not in (3, 4):
        raise DataError(
            "There are no pixels to blur.",
            found=f"an array of shape {list(images.shape)}",
            expected="[n, height, width] or [n, height, width, channels]",
        )
    radius = min(math.ceil(3 * sd), max(images.shape[1:3]))
    weights = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sd**2))
    weights /= weights.sum()
    for axis in (1, 2):
        width = [(0, 0)] * images.ndim
        width[axis] = (radius, radius)
        padded, length = np.pad(images, width, mode="edge"), images.shape[axis]
        shifts = (np.take(padded, range(k, k + length), axis=axis) for k in range(2 * radius + 1))
        images = np.sum([w * part for w, part in zip(weights, shifts, strict=True)], axis=0)
    return images
