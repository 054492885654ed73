"""The mean of each input over all that was seen so far, and its spread where the mean does not tell it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from neurosleep.data.dataset import Array, check_images
from neurosleep.errors import DataError

__all__ = ["RunningMean"]

_KEYS = ("sum", "count", "scale")
# Beside them for floating point inputs; states of earlier versions lack them.
_SPREAD_KEYS = ("squares", "outside")


class RunningMean:
    """Pixel-wise mean over any number of images, fed in chunks of any size.

    It holds one float64 sum of the raw values for each pixel and a count, however many images or tasks went in. For
    uint8 images the sum is exact (up to 2**53 / 255 images), so the mean does not depend on the chunking in a single
    bit; for floating point images it agrees to rounding. Of floating point inputs it also holds one sum of squared
    deviations each: where an input was outside 0..1 (standardised data, features), its spread is needed too.

    See Also
    --------
    neurosleep.MeanDrive : what a sleep makes of the mean
    to_float : images as network inputs

    Examples
    --------
    >>> import numpy as np
    >>> m = RunningMean()
    >>> m.update(np.array([[0, 255]], dtype=np.uint8))
    >>> m.update(np.array([[255, 255], [255, 255], [0, 255]], dtype=np.uint8))
    >>> m.count, m.mean.tolist(), m.spread
    (4, [0.5, 1.0], None)
    >>> features = RunningMean()
    >>> features.update(np.array([[0.0, 4.0], [2.0, 4.0]]))
    >>> features.spread.tolist()
    [1.0, 0.0]
    """

    def __init__(self) -> None:
        self._sum: NDArray[np.float64] = np.zeros(0)
        self._count = 0
        # What the sums are divided by: 255 for uint8, 1 for floating point, 0 while nothing has been seen.
        self._scale = 0.0
        # Of floating point inputs: squared deviations from the mean (None: an earlier version did not keep them), and
        # whether one was outside 0..1.
        self._squares: NDArray[np.float64] | None = np.zeros(0)
        self._outside = False

    @property
    def count(self) -> int:
        """Number of images seen."""
        return self._count

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean intensity of each pixel, float64 ``[d]``; 0..1 where the images were uint8. A new array each time.

        Raises
        ------
        DataError
            If no image has been seen.
        """
        if self._count == 0:
            raise DataError(
                "The running mean has seen no image yet.", found="0 images", hint="call update(images) first"
            )
        return self._sum / (self._count * self._scale)

    @property
    def spread(self) -> NDArray[np.float64] | None:
        """Standard deviation of each input, float64 ``[d]``; None where all inputs lay within 0..1, as images do.

        Raises
        ------
        DataError
            If no input has been seen, or the state it came from was stored by a version that did not keep the spread.
        """
        if self._count == 0:
            raise DataError(
                "The running mean has seen no image yet.", found="0 images", hint="call update(images) first"
            )
        if self._scale == 255.0 or not (self._outside or self._squares is None):
            return None
        if self._squares is None:
            raise DataError(
                "The spread of the inputs is not known.",
                found="a state that an earlier version stored",
                hint="start the run anew",
            )
        return np.sqrt(self._squares / self._count)

    def update(self, images: Array) -> None:
        """Add images to the mean.

        Parameters
        ----------
        images:
            ``[n, *shape]``, uint8 or floating point, of the kind and number of pixels seen before. No image (``n`` = 0)
            changes nothing.

        Raises
        ------
        DataError
            If the images cannot be images, or differ from the earlier ones in pixels or kind (uint8 or float). The
            mean stays as it was.
        """
        images = np.asarray(images)
        if images.ndim >= 2 and len(images) == 0:
            return
        check_images(images, "The array given to the running mean")
        flat = images.reshape(len(images), -1)
        scale = 255.0 if flat.dtype == np.uint8 else 1.0
        if self._count and flat.shape[1] != self._sum.size:
            raise DataError(
                "The running mean was given images of another size.",
                found=f"{flat.shape[1]} pixels",
                expected=f"{self._sum.size} pixels, as before",
            )
        if self._count and scale != self._scale:
            raise DataError(
                "The running mean was given images of another kind: their intensities have another scale.",
                found=str(flat.dtype),
                expected="uint8, as before" if self._scale == 255.0 else "floating point, as before",
            )
        chunk = flat.sum(axis=0, dtype=np.float64)
        if scale == 1.0:
            self._spread(flat, chunk / len(flat))
        self._sum = self._sum + chunk if self._count else chunk
        self._scale = scale
        self._count += len(flat)

    def _spread(self, flat: Array, mean: NDArray[np.float64]) -> None:
        """Add rows ``[n, d]``, of that mean, to the squared deviations (Chan et al. 1983, pairwise)."""
        self._outside = self._outside or bool(flat.min() < 0 or flat.max() > 1)
        if self._squares is None:
            return
        squares = np.square(flat - mean, dtype=np.float64).sum(axis=0)
        if self._count:
            apart = mean - self._sum / self._count
            squares = self._squares + squares + apart**2 * (self._count * len(flat) / (self._count + len(flat)))
        self._squares = squares

    def state_dict(self) -> dict[str, Array]:
        """Everything as plain arrays: ``sum`` float64 ``[d]``, ``count`` int64 ``[]``, ``scale`` float64 ``[]``.

        Of floating point inputs also ``squares`` float64 ``[d]`` and ``outside`` uint8 ``[]``.
        """
        state = {"sum": self._sum.copy(), "count": np.array(self._count, np.int64), "scale": np.array(self._scale)}
        if self._scale != 1.0 or self._squares is None:
            return state
        return state | {"squares": self._squares.copy(), "outside": np.array(self._outside, np.uint8)}

    @classmethod
    def from_state(cls, state: Mapping[str, Array]) -> RunningMean:
        """The running mean that :meth:`state_dict` was taken from, bit for bit.

        Raises
        ------
        DataError
            If a key is missing or a value cannot have come from :meth:`state_dict`.
        """
        missing = [key for key in _KEYS if key not in state]
        if missing:
            raise DataError(
                "This is not the state of a running mean.",
                found="no " + ", ".join(missing),
                expected="the keys " + ", ".join(_KEYS),
            )
        total, count, scale = (np.asarray(state[key]) for key in _KEYS)
        sound = (
            total.ndim == 1
            and np.issubdtype(total.dtype, np.floating)
            and bool(np.isfinite(total).all())
            and count.size == 1
            and np.issubdtype(count.dtype, np.integer)
            and int(count.item()) >= 0
            and scale.size == 1
            # An empty one has neither pixels nor a scale; a filled one has both.
            and ((int(count.item()) > 0) == (total.size > 0) == (scale.item() in (1.0, 255.0)))
        )
        if not sound:
            raise DataError(
                "This is not the state of a running mean.",
                found=f"sum {total.dtype} {list(total.shape)}, count {count}, scale {scale}",
                expected="a finite sum [d], a count that is not negative, a scale of 1 or 255",
            )
        result = cls()
        if scale.item() == 1.0:
            result._squares, result._outside = _spread_of(state, total)
        result._sum = total.astype(np.float64)
        result._count = int(count.item())
        result._scale = float(scale.item())
        return result


def _spread_of(state: Mapping[str, Array], total: Array) -> tuple[NDArray[np.float64] | None, bool]:
    """Squared deviations and whether an input was outside 0..1, as a state of floating point inputs has them."""
    if not any(key in state for key in _SPREAD_KEYS):
        return None, False
    squares, outside = (np.asarray(state.get(key, ())) for key in _SPREAD_KEYS)
    sound = (
        squares.shape == total.shape
        and np.issubdtype(squares.dtype, np.floating)
        and bool((np.isfinite(squares) & (squares >= 0)).all())
        and outside.size == 1
        and outside.item() in (0, 1)
    )
    if not sound:
        raise DataError(
            "This is not the state of a running mean.",
            found=f"squares {squares.dtype} {list(squares.shape)}, outside {outside}",
            expected="squares of at least 0 like the sum, and outside 0 or 1",
        )
    return squares.astype(np.float64), bool(outside.item())
