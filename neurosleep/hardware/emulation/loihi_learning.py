"""Loihi's learning engine: sums of products in 15 bits and a sign, and stochastic rounding.

A weight is shifted left by seven bits into the accumulator, where 128 stands for one unit of weight. Of the products
with two traces the engine loses three bits (Lava; nengo-loihi has it lose two; no chip was at hand to decide).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from neurosleep.errors import SettingsError
from neurosleep.hardware.arithmetic.rounding import Rounding, round_values

__all__ = ["ACCUMULATOR_MAX", "accumulate", "decay_trace", "learning_product", "round_weight"]

ACCUMULATOR_MAX = 2**15 - 1
_FRACTION_BITS = 7
_TRACE_MAX = 127
_MANTISSA_BITS = 4
_WEIGHT_MAX = 255


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
    """The accumulator after all products: the whole numbers ``weight`` and each product, saturated."""
    total: Tensor = weight * 2**_FRACTION_BITS
    for product in products:
        total = (total + product).clamp(-ACCUMULATOR_MAX, ACCUMULATOR_MAX)
    return total


def round_weight(accumulator: Tensor, generator: torch.Generator | None) -> Tensor:
    """Weights of an accumulator: rounded stochastically, or with generator None to the nearest; -255 to 255."""
    rounding: Rounding = "nearest_even" if generator is None else "stochastic"
    weights = round_values(accumulator.to(torch.float64) / 2**_FRACTION_BITS, rounding, generator)
    return weights.clamp(-_WEIGHT_MAX, _WEIGHT_MAX)


def decay_trace(trace: Tensor, tau: float, generator: torch.Generator, impulse: Tensor | float = 0.0) -> Tensor:
    """A trace one step on: times ``exp(-1/tau)`` (tau in steps), rounded stochastically, plus impulse, at most 127."""
    if not tau > 0:
        raise SettingsError(f"The time constant of a trace is {tau!r}.", expected="a number of steps above 0")
    decayed = round_values(trace.to(torch.float64) * math.exp(-1 / tau), "stochastic", generator)
    return (decayed + impulse).clamp(0, _TRACE_MAX)
