"""Mean and covariance of what makes the drives of a layer of units, over draws of noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from neurosleep._shown import brief

__all__ = ["DriveMoments", "Parts"]

# So many draws are summed in their own precision.
_FEW = 5000

#: Draws of u ``[draws, n]``, of g ``[draws, n]`` or ``[draws, 1]``, and of q ``[draws, n]``; None for what is zero.
Parts: TypeAlias = tuple[Tensor, Tensor | None, Tensor | None]


def _total(values: Tensor) -> Tensor:
    """Sums over the draws, float64 ``[n]``; of few draws those of single precision are exact enough, and faster."""
    return values.sum(0).double() if len(values) <= _FEW else values.sum(0, dtype=torch.float64)


def _deviations(parts: Parts) -> tuple[Tensor, dict[int, Tensor]]:
    """Means ``[3, n]``, and of the parts that there are the deviations from them."""
    n = parts[0].shape[1]
    mean = torch.zeros(3, n, dtype=torch.float64, device=parts[0].device)
    deviations: dict[int, Tensor] = {}
    for k, part in enumerate(parts):
        if part is not None:
            mean[k] = _total(part) / len(part)
            deviations[k] = part - mean[k, : part.shape[1]].to(part.dtype)
    return mean, deviations


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
        """Of draws ``[draws, n]``; ``along`` may be ``[draws, 1]`` where it is the same for all units."""
        mean, deviations = _deviations((drive, along, rest))
        return cls(len(drive), mean, _products(deviations, deviations, mean))

    @classmethod
    def of_halves(cls, first: Parts, second: Parts) -> DriveMoments:
        """Of noisy draws that were measured twice: (drive, along, rest) of the one and the other half of each.

        What differs between the halves is noise of the measurement, and no part of the covariance across the draws.
        """
        (mean, one), (mean_again, other) = _deviations(first), _deviations(second)
        products = _products(one, other, mean)
        return cls(len(first[0]), (mean + mean_again) / 2, (products + products.transpose(0, 1)) / 2)

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
