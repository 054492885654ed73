r"""Noise around the mean input, of which a homeostatic sleep keeps no more than such statistics.

Inputs within 0..1: each is 1 with a probability of its mean. Others (standardised data, features of another network):
normal, with the mean and the spread of each.

Inputs that are images may be drawn in blobs: a field of normal numbers is smoothed, scaled back to a spread of 1, and
each input is 1 where the field is low enough for its mean (or the mean plus the spread times the field). Each input by
itself is as before; neighbours go together, as those of pictures do.

Or they go together as the data do, by the loadings :math:`a` of a few factors, their leading principal components: the
field is :math:`u_i = \sum_k a_{ki} z_k + \sqrt{1 - \sum_k a_{ki}^2}\, \epsilon_i` with independent normal
:math:`z` and :math:`\epsilon`. Of inputs that are 0 or 1 this is the dichotomised Gaussian of Emrich & Piedmonte (1991,
doi:10.1080/00031305.1991.10475828) and Macke et al. (2009, doi:10.1162/neco.2008.02-08-713). Spontaneous activity of
cortex has the correlations of what it has seen too (Berkes et al. 2011, doi:10.1126/science.1195870).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from neurosleep._checks import as_reals, check_count, check_number
from neurosleep._shown import brief
from neurosleep.errors import DataError
from neurosleep.functional.random import torch_generator

__all__ = ["InputNoise"]

# Frames drawn from one generator: a fixed number, so that frames are the same whatever the size of the blocks.
_CHUNK = 100


@dataclass(frozen=True, eq=False)
class InputNoise:
    """Random inputs around a mean input: independent, in blobs, or going together as the data do.

    Parameters
    ----------
    mean:
        Mean of each input, of the shape of one input (without a batch dimension); array, tensor or nested list.
    spread:
        Standard deviation of each input, of the same shape. None: the inputs are within 0..1, and each is 1 with the
        probability ``mean``, else 0.
    blobs:
        Size of the blobs, the standard deviation in inputs (pixels) of the Gaussian that smooths; the last two axes
        of ``mean`` are height and width, and others, such as colours, are independent. 0: all inputs are.
    loadings:
        By how much of its standard deviation each input goes with each of k factors, ``[k, *shape]``; squares of an
        input add up to 1 at most. None: inputs are independent, or in blobs.

    Raises
    ------
    DataError
        If ``mean`` is empty or not finite, lies outside 0..1 while no spread is given, if ``spread`` has another shape
        or a negative value, or if no input varies; if ``blobs`` is negative, or inputs have no height and width; if
        ``loadings`` have another shape, add up to more than 1, or are given beside blobs.

    See Also
    --------
    MeanDrive : the same as a stream of spikes

    Examples
    --------
    >>> noise = InputNoise([[0.0, 0.5], [0.5, 1.0]])
    >>> noise.frames(1000, seed=0).mean(0).round(decimals=1)
    tensor([[0.0000, 0.5000],
            [0.5000, 1.0000]])
    """

    mean: Tensor
    spread: Tensor | None = None
    blobs: float = 0.0
    loadings: Tensor | None = None

    __repr__ = brief

    def __post_init__(self) -> None:
        mean = _finite("The mean input", self.mean)
        object.__setattr__(self, "mean", mean)
        if self.spread is None:
            if mean.min() < 0 or mean.max() > 1:
                raise DataError(
                    f"The mean input reaches from {float(mean.min()):.4g} to {float(mean.max()):.4g}.",
                    expected="within 0..1, or the spread of each input beside its mean",
                    hint="divide images by 255; of standardised data and features give the standard deviation too",
                )
            varies = (mean > 0) & (mean < 1)
        else:
            spread = _finite("The spread of the inputs", self.spread)
            object.__setattr__(self, "spread", spread)
            if spread.shape != mean.shape or spread.min() < 0:
                raise DataError(
                    f"The spread of the inputs has shape {tuple(spread.shape)} and a least value of "
                    f"{float(spread.min()):.4g}, their mean has shape {tuple(mean.shape)}.",
                    expected="a standard deviation >= 0 for every input",
                )
            varies = spread > 0
        object.__setattr__(self, "blobs", check_number("The size of the blobs of noise", self.blobs, 0))
        if self.blobs and mean.ndim < 2:
            raise DataError(
                f"Noise in blobs needs inputs with height and width, and the mean has shape {tuple(mean.shape)}.",
                expected="blobs=0, or a mean of shape [..., height, width]",
            )
        self._check_loadings()
        if not varies.any():
            raise DataError(
                f"Not one of {mean.numel()} inputs varies: noise around this mean is always the same.",
                expected="inputs that differ from one sample to the next",
            )

    def _check_loadings(self) -> None:
        if self.loadings is None:
            return
        loadings = _finite("The loadings of the inputs", self.loadings)
        object.__setattr__(self, "loadings", loadings)
        if loadings.shape[1:] != self.mean.shape:
            raise DataError(
                f"The loadings have shape {tuple(loadings.shape)}, the mean has shape {tuple(self.mean.shape)}.",
                expected="[k, ...], k numbers for every input",
            )
        most = float(loadings.double().square().sum(0).max())
        if most > 1 + 1e-5:
            raise DataError(
                f"The squares of the loadings of an input add up to {most:.4g}.",
                expected="at most 1: the share of its variance that the factors explain",
            )
        if self.blobs:
            raise DataError("Both blobs and loadings are given.", expected="one of them")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.mean.shape)

    def frames(self, frames: int, *, seed: int, task: int = 0, start: int = 0) -> Tensor:
        """Frames ``start`` to ``start + frames``, float32 ``[frames, *shape]``, of the stream of ``(seed, task)``."""
        check_count("The number of frames", frames)
        first, last = start // _CHUNK, (start + frames - 1) // _CHUNK
        drawn = torch.empty((last + 1 - first) * _CHUNK, *self.shape)
        for chunk, part in enumerate(torch.split(drawn, _CHUNK), first):
            generator = torch_generator(seed, "input noise", task, chunk)
            if self.blobs:
                part.copy_(self._field(len(part), generator))
            elif self.loadings is not None:
                _fill_with_factors(part, self.loadings.float(), generator)
            elif self.spread is None:
                part.uniform_(generator=generator)
            else:
                part.normal_(generator=generator)
        if self.spread is None:
            uniform = not self.blobs and self.loadings is None
            limit = self.mean if uniform else torch.special.ndtri(self.mean)
            torch.lt(drawn, limit.float(), out=drawn)
        else:
            drawn.mul_(self.spread.float()).add_(self.mean.float())
        return drawn[start - first * _CHUNK :][:frames]

    def _field(self, frames: int, generator: torch.Generator) -> Tensor:
        """Smooth fields of normal numbers, mean 0 and spread 1, ``[frames, *shape]``; borders are like the middle."""
        reach = math.ceil(4 * self.blobs)
        kernel = torch.exp(-(torch.arange(-reach, reach + 1) ** 2) / (2 * self.blobs**2))
        kernel = kernel / kernel.norm()
        height, width = self.shape[-2:]
        white = torch.randn(
            frames * math.prod(self.shape[:-2]), 1, height + 2 * reach, width + 2 * reach, generator=generator
        )
        smooth = F.conv2d(F.conv2d(white, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
        return smooth.view(frames, *self.shape)


def _fill_with_factors(part: Tensor, loadings: Tensor, generator: torch.Generator) -> None:
    """Set ``part`` ``[frames, *shape]`` to normal numbers that go together by their loadings, mean 0 and spread 1."""
    part.normal_(generator=generator).mul_((1 - loadings.square().sum(0)).clamp(min=0).sqrt())
    factors = torch.randn(len(part), len(loadings), generator=generator)
    part.add_((factors @ loadings.flatten(1)).view_as(part))


def _finite(name: str, value: Any) -> Tensor:
    tensor = as_reals(name, value, DataError).cpu()
    if tensor.numel() == 0 or not torch.isfinite(tensor).all():
        raise DataError(
            f"{name} has shape {tuple(tensor.shape)} and infinite or NaN entries, or none at all.",
            expected="one finite number for every input",
        )
    return tensor
