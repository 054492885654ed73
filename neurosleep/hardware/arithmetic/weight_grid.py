"""The integers that weights may be on a chip, the scale that brings weights onto them, and what is lost."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from neurosleep.hardware.arithmetic.exact_scale import settled
from neurosleep.hardware.arithmetic.rounding import Rounding, round_values
from neurosleep.hardware.profiles.profile import Weights

__all__ = ["OnGrid", "WeightGrid", "weight_grid"]


@dataclass(frozen=True)
class WeightGrid:
    """Multiples of ``step`` from ``low`` to ``high``, shifted left by ``shift`` bits where they reach a neuron."""

    low: int
    high: int
    step: int
    shift: int
    bits: int

    def largest_scale(self, weights: Tensor) -> float:
        """The largest factor that keeps ``weights`` within the grid; infinity if all are zero.

        A sign that the grid does not have at all is left out: no factor would bring it there.
        """
        if weights.numel() == 0:
            return math.inf
        high, low = float(weights.max()), float(weights.min())
        above = math.inf if high <= 0 or self.high == 0 else self.high / high
        below = math.inf if low >= 0 or self.low == 0 else self.low / low
        return min(above, below)

    def place(self, weights: Tensor, scale: float, rounding: Rounding, generator: torch.Generator | None) -> OnGrid:
        """Weights times ``scale``, rounded to the grid and saturated at its ends."""
        whole = round_values(settled(weights * scale / self.step), rounding, generator) * self.step
        placed = whole.clamp(self.low, self.high)
        return OnGrid.of(placed, weights, scale, int((whole != placed).sum()))


@dataclass(frozen=True, eq=False)
class OnGrid:
    """Mantissas, how many saturated, how many underflowed to zero, and the relative error of the whole."""

    mantissas: Tensor
    saturated: int
    zeroed: int
    error: float | None

    @classmethod
    def of(cls, placed: Tensor, weights: Tensor, scale: float | Tensor, saturated: int = 0) -> OnGrid:
        """``placed`` numbers, which over ``scale`` stand for ``weights``, with what is lost."""
        norm = float(weights.norm())
        error = float((placed / scale - weights).norm()) / norm if norm > 0 else None
        return cls(placed, saturated, int(((placed == 0) & (weights != 0)).sum()), error)


def weight_grid(stated: Weights, weights: Tensor) -> WeightGrid:
    """The grid for one group of synapses.

    With ``group_mode`` a group of one sign needs no bit for it: it has the integers of ``bits`` bits on one side.
    """
    assert stated.bits is not None and stated.mantissa_step is not None
    low, high, step = stated.signed_min, stated.signed_max, stated.mantissa_step
    assert low is not None and high is not None
    if stated.groups_of_a_sign:
        most = (1 << stated.bits) - 1
        if not (weights < 0).any():
            low, high, step = 0, most, 1
        elif not (weights > 0).any():
            low, high, step = -most, 0, 1
    return WeightGrid(low, high, step, stated.base_shift_bits or 0, stated.bits)
