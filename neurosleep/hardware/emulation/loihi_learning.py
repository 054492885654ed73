"""Loihi's learning engine: sums of products in 15 bits and a sign, and stochastic rounding.

A weight is shifted left by seven bits into the accumulator, where 128 stands for one unit of weight. Of the products
with two traces the engine loses three bits (Lava; nengo-loihi has it lose two; no chip was at hand to decide).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from neurosleep.errors import SettingsError

__all__ = ["ACCUMULATOR_MAX", "accumulate", "learning_product"]

ACCUMULATOR_MAX = 2**15 - 1
_FRACTION_BITS = 7
_MANTISSA_BITS = 4


def learning_product(factors: Sequence[int], widths: Sequence[int], mantissa: int, exponent: int) -> int:
    """One product in units of the accumulator: ``mantissa 2^exponent`` times the factors, saturated.

    Parameters
    ----------
    factors, widths:
        Values of traces (7 bits), weight, constant, …, and the bits of each; none at all is a constant 1.
    mantissa, exponent:
        The scale of the rule's term: a mantissa of four bits with sign, -8 to 7.
    """
    if len(factors) != len(widths):
        raise SettingsError(f"{len(factors)} factors with {len(widths)} widths.", expected="a width for each factor")
    if not -8 <= mantissa <= 7:
        raise SettingsError(f"The mantissa of a learning rule's term is {mantissa!r}.", expected="-8 to 7")
    value = mantissa * math.prod(factors)
    shift = exponent + _FRACTION_BITS - max(0, sum(widths) + _MANTISSA_BITS - 15)
    shifted = value << shift if shift >= 0 else value >> -shift
    return min(max(shifted, -ACCUMULATOR_MAX), ACCUMULATOR_MAX)


def accumulate(weight: Tensor, products: Sequence[int]) -> Tensor:
    """The accumulator after all products: the integers ``weight`` and each product, saturated."""
    total: Tensor = weight * 2**_FRACTION_BITS
    for product in products:
        total = (total + product).clamp(-ACCUMULATOR_MAX, ACCUMULATOR_MAX)
    return total
