"""Mean and covariance of what makes the drives of a layer of units, over draws of noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from neurosleep._shown import brief

__all__ = ["DriveMoments", "Parts"]

# So many draws are summed in their own precision.
_FEW = 5000
# So many values of a part are worked on at a time, which a processor's cache holds.
_AT_ONCE = 2**18
# Of at least so many columns, and of multiples of it, torch rounds each sum as it does among any others.
_ALIKE = 64

#: Draws of u ``[draws, n]``, of g ``[draws, n]`` or ``[draws, 1]``, and of q ``[draws, n]``; None for what is zero. Of
#: channels each has its positions behind them, ``[draws, n, positions]``.
Parts: TypeAlias = tuple[Tensor, Tensor | None, Tensor | None]


def _total(values: Tensor) -> Tensor:
    """Sums over draws and positions, float64 ``[n]``; few numbers in their own precision, which is faster."""
    if values.ndim > 2:
        return values.sum(2).sum(0, dtype=torch.float64)
    return values.sum(0).double() if len(values) <= _FEW else values.sum(0, dtype=torch.float64)


def _means(parts: Parts) -> Tensor:
    """Means ``[3, n]``."""
    draws, n, *positions = parts[0].shape
    mean = torch.zeros(3, n, dtype=torch.float64, device=parts[0].device)
    for k, part in enumerate(parts):
        if part is not None:
            mean[k] = _total(part) / (draws * math.prod(positions))
    return mean


def _deviations(parts: Parts, mean: Tensor) -> dict[int, Tensor]:
    """Of the parts that there are the deviations from their means ``[3, n]``."""
    deviations: dict[int, Tensor] = {}
    for k, part in enumerate(parts):
        if part is not None:
            middle = mean[k, : part.shape[1]].to(part.dtype)
            deviations[k] = part - (middle if part.ndim == 2 else middle[:, None])
    return deviations


def _of_units(parts: Parts) -> Iterator[Parts]:
    """The same for a few units at a time, so many that every sum over draws is rounded as among all units."""
    u, g, q = parts
    size = max(1, _AT_ONCE // _ALIKE // max(1, len(u))) * _ALIKE
    starts = [first for first in range(0, u.shape[1], size) if first == 0 or first + _ALIKE <= u.shape[1]]
    for first, last in zip(starts, [*starts[1:], u.shape[1]], strict=True):
        units = slice(first, last)
        along = g if g is None or g.shape[1] == 1 else g[:, units]
        yield u[:, units], along, None if q is None else q[:, units]


def _of_draws(parts: Parts, size: int) -> Iterator[Parts]:
    """The same for ``size`` draws at a time."""
    u, g, q = parts
    for first in range(0, len(u), size):
        draws = slice(first, first + size)
        yield u[draws], None if g is None else g[draws], None if q is None else q[draws]


def _products(one: dict[int, Tensor], other: dict[int, Tensor], like: Tensor) -> Tensor:
    """Sums of products of deviations, ``[3, 3, n]``."""
    products = torch.zeros(3, *like.shape, dtype=torch.float64, device=like.device)
    for j, first in one.items():
        for k, second in other.items():
            if one is other and j > k:
                products[j, k] = products[k, j]
            else:
                products[j, k] = _total(first * second)
    return products


@dataclass(frozen=True, eq=False)
class DriveMoments:
    """Mean and covariance of what makes the drive of each unit.

    The three parts are, in this order: u, what arrives through the weights; g, what would arrive through weights equal
    to the mean input (it moves the mean where there is no bias); q, the rest of the drive. What there is not is zero.

    Attributes
    ----------
    count:
        Number of draws (times positions).
    mean:
        float64 ``[3, n]``.
    products:
        Sums of the products of the deviations from the mean, float64 ``[3, 3, n]``.

    See Also
    --------
    homeostatic_change : what a unit of such a drive becomes

    Examples
    --------
    >>> moments = DriveMoments.of(torch.tensor([[1.0], [3.0]])).merged(DriveMoments.of(torch.tensor([[5.0]])))
    >>> moments.count, moments.now[0]
    (3, tensor([3.], dtype=torch.float64))
    """

    count: int
    mean: Tensor
    products: Tensor

    __repr__ = brief

    @classmethod
    def of(cls, drive: Tensor, along: Tensor | None = None, rest: Tensor | None = None) -> DriveMoments:
        """Of draws ``[draws, n]``, of channels ``[draws, n, positions]``, every position a draw of its own.

        ``along`` may be ``[draws, 1]`` or ``[draws, 1, positions]``, where it is the same for all units.
        """
        parts = drive, along, rest
        if drive.ndim > 2:
            mean = _means(parts)
            size = max(1, _AT_ONCE // drive[0].numel())
            each = (_deviations(some, mean) for some in _of_draws(parts, size))
            products = torch.stack([_products(few, few, mean) for few in each]).sum(0)
            return cls(len(drive) * drive[0, 0].numel(), mean, products)
        several = []
        for some in _of_units(parts):
            mean = _means(some)
            deviations = _deviations(some, mean)
            several.append(cls(len(drive), mean, _products(deviations, deviations, mean)))
        return cls.joined(several)

    @classmethod
    def of_halves(cls, first: Parts, second: Parts) -> DriveMoments:
        """Of noisy draws that were measured twice: (drive, along, rest) of the one and the other half of each.

        What differs between the halves is noise of the measurement, and no part of the covariance across the draws.
        """
        several = []
        for some, again in zip(_of_units(first), _of_units(second), strict=True):
            mean, mean_again = _means(some), _means(again)
            products = _products(_deviations(some, mean), _deviations(again, mean_again), mean)
            products = (products + products.transpose(0, 1)) / 2
            several.append(cls(len(some[0]), (mean + mean_again) / 2, products))
        return cls.joined(several)

    @classmethod
    def joined(cls, several: Sequence[DriveMoments]) -> DriveMoments:
        """Of units side by side, over the same draws."""
        means, products = [one.mean for one in several], [one.products for one in several]
        return cls(several[0].count, torch.cat(means, 1), torch.cat(products, 2))

    def merged(self, other: DriveMoments) -> DriveMoments:
        """Of these draws and those of ``other`` together (Chan, Golub & LeVeque 1979)."""
        count = self.count + other.count
        apart = other.mean - self.mean
        between = apart[:, None] * apart[None] * (self.count * other.count / count)
        mean = self.mean + apart * (other.count / count)
        return DriveMoments(count, mean, self.products + other.products + between)

    def fixed(self, bias: Tensor) -> DriveMoments:
        """The same, where the bias ``[n]`` in u does not change with the weights: it is part of the rest."""
        moved = torch.stack([-bias, torch.zeros_like(bias), bias]).to(self.mean)
        return replace(self, mean=self.mean + moved)

    def combined(self, factor: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and spread ``[n]`` of ``factor * u + along * g + q``."""
        weights = torch.stack([factor, along, torch.ones_like(factor)])
        variance = (weights[:, None] * weights[None] * self.products).sum((0, 1)) / self.count
        return (weights * self.mean).sum(0), variance.clamp(min=0).sqrt()

    @property
    def now(self) -> tuple[Tensor, Tensor]:
        """Mean and spread ``[n]`` of the drive as it is."""
        ones = torch.ones_like(self.mean[0])
        return self.combined(ones, torch.zeros_like(ones))
