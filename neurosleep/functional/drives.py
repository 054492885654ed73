r"""The noise that drives a sleeping network: independent random spikes at rates given by a mean image.

With a mean image :math:`m`, an input fires in a step with probability :math:`\min(1, 2\,dt\,r_{max}\,m_i)` (Bernoulli;
the factor 2 is in the released code of Tadros et al. 2022) or :math:`1 - e^{-2\,dt\,r_{max}\,m_i}` (Poisson: at least
one event within the step). For images, only a square window is visible in each step, at a place drawn anew every step.
The step length :math:`dt` is that of the network which is driven.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch

from neurosleep._checks import as_images, as_reals, check_count, check_number
from neurosleep._shown import brief
from neurosleep.errors import NeurosleepWarning, SettingsError, unknown_name
from neurosleep.functional.drawn_spikes import drawn_spikes
from neurosleep.functional.events import SpikeEvents

__all__ = ["PROCESSES", "MeanDrive", "Process"]

Process = Literal["bernoulli", "poisson"]
PROCESSES: tuple[str, ...] = get_args(Process)


@dataclass(frozen=True, eq=False)
class MeanDrive:
    """Random spikes around a mean image.

    Parameters
    ----------
    mean:
        Mean input ``[n]``, not negative; 1 is full intensity (of ``uint8`` 255), and more than that is warned of.
    max_rate:
        Rate of an input of intensity 1 in Hz, before the factor 2 (see above); not negative.
    window:
        Side of the visible square in pixels, or None to see the whole image in every step.
    image_shape:
        Height and width of the image; needed with a window.
    process:
        ``"bernoulli"`` or ``"poisson"``.

    See Also
    --------
    neurosleep.sleep : which takes it

    Examples
    --------
    >>> MeanDrive(np.array([0.0, 0.5, 1.0]), max_rate=100.0).probability(dt=0.001)
    array([0. , 0.1, 0.2])
    """

    mean: npt.NDArray[np.float64]
    max_rate: float
    window: int | None = None
    image_shape: tuple[int, int] | None = None
    process: Process = "bernoulli"

    __repr__ = brief

    def __post_init__(self) -> None:
        given = self.mean
        if str(getattr(given, "dtype", "")).removeprefix("torch.") == "uint8" and np.size(given):
            given = as_images("The mean input of the drive", given, SettingsError).numpy()
        mean = as_reals("The mean input of the drive", given).cpu().to(torch.float64).numpy().reshape(-1)
        object.__setattr__(self, "mean", mean)
        if mean.size == 0 or not np.isfinite(mean).all() or (mean < 0).any():
            raise SettingsError(
                "The mean input of the drive has negative, infinite or NaN entries, or none at all.",
                expected="one finite number >= 0 for every input",
            )
        object.__setattr__(self, "max_rate", check_number("The drive's max_rate, in Hz,", self.max_rate, 0))
        if self.process not in PROCESSES:
            raise unknown_name("spike process", self.process, PROCESSES)
        self._warn_of_loudness()
        if self.window is None:
            return
        shape = self.image_shape
        if not isinstance(shape, tuple | list) or len(shape) != 2 or shape[0] * shape[1] != mean.size:
            raise SettingsError(
                f"A drive with a window needs the image's shape; it is {shape!r:.60} for {mean.size} inputs.",
                expected="image_shape = (height, width) with height * width inputs",
                hint="window=None shows the whole input in every step",
            )
        object.__setattr__(self, "image_shape", tuple(check_count("A side of the drive's image", s) for s in shape))
        object.__setattr__(self, "window", check_count("The drive's window, in pixels,", self.window, 1, min(shape)))

    def _warn_of_loudness(self) -> None:
        # A rate that is too high for all of them may be meant, and says what it is; data that are not scaled do not.
        loudest, louder = float(self.mean.max()), int((self.mean > 1).sum())
        if not louder:
            return
        warnings.warn(
            f"The drive is louder than full intensity: of {self.n} inputs {louder} are above 1, which is full; the "
            f"largest, {loudest:.4g}, stands for {2 * self.max_rate * loudest:.4g} Hz (max_rate {self.max_rate:g} Hz). "
            "Scale the data to 0..1 (divide by 255, or by their largest value), or lower max_rate.",
            NeurosleepWarning,
            stacklevel=4,
        )

    @property
    def n(self) -> int:
        """Number of inputs."""
        return self.mean.size

    def probability(self, dt: float) -> npt.NDArray[np.float64]:
        """Firing probability ``[n]`` of each input in a step of ``dt`` seconds in which it is visible."""
        expected = 2 * dt * self.max_rate * self.mean
        return np.minimum(expected, 1.0) if self.process == "bernoulli" else -np.expm1(-expected)

    def draw(self, generator: np.random.Generator, steps: int, dt: float) -> SpikeEvents:
        """The input spikes of ``steps`` steps of ``dt`` seconds; the same generator state gives the same spikes."""
        height, width = (1, self.n) if self.window is None or self.image_shape is None else self.image_shape
        side = (height, width) if self.window is None else (self.window, self.window)
        p = self.probability(dt).astype(np.float32).reshape(height, width)
        row = column = np.zeros(steps, dtype=np.int64)
        if self.window is not None:
            row = generator.integers(0, height - self.window + 1, size=steps)
            column = generator.integers(0, width - self.window + 1, size=steps)
        drawn = generator.random((steps, side[0] * side[1]), dtype=np.float32)
        offsets, neurons = drawn_spikes(drawn, p, row, column, side)
        return SpikeEvents._trusted(self.n, offsets, neurons)

    def draw_streams(self, generator: np.random.Generator, streams: int, steps: int, dt: float) -> SpikeEvents:
        """The input spikes of several streams side by side, each of ``steps`` steps: neuron k of stream s is s * n + k.

        All streams of a step are drawn one after another, before the next step.
        """
        drawn = self.draw(generator, streams * steps, dt)
        widths = np.diff(drawn.offsets)
        first = np.tile(np.arange(streams, dtype=np.int32) * np.int32(self.n), steps)
        return SpikeEvents._trusted(self.n * streams, drawn.offsets[::streams], drawn.indices + first.repeat(widths))
