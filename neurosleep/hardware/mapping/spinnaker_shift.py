"""Weights of SpiNNaker: 16-bit fixed point, whose point is where the largest expected input still fits."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neurosleep.errors import SettingsError
from neurosleep.hardware.arithmetic.rounding import Rounding, round_values

__all__ = ["WEIGHT_MAX", "quantise_spinnaker", "ring_buffer_shift"]

WEIGHT_MAX = 32767


def _scale(shift: int) -> float:
    if not 0 <= shift <= 15:
        raise SettingsError(f"The ring buffer's shift is {shift!r}.", expected="0 to 15")
    return 2.0 ** (16 - (shift + 1))


def quantise_spinnaker(
    weights: Tensor, shift: int, rounding: Rounding = "nearest_even", generator: torch.Generator | None = None
) -> Tensor:
    """Weights as integers, ``round(w 2^(16 - (shift + 1)))``, at most 32767 in size."""
    whole = round_values(weights.to(torch.float64) * _scale(shift), rounding, generator)
    return whole.clamp(-WEIGHT_MAX, WEIGHT_MAX)


def ring_buffer_shift(largest_input: float, *, signed_plastic: bool = False) -> int:
    """The shift for an expected largest input: its power of two, one more, and one again for signed plastic weights.

    The first extra bit is meant for exact powers of two; in the public tool a comparison adds it always.
    """
    if not largest_input >= 0 or not math.isfinite(largest_input):
        raise SettingsError(f"The largest input is {largest_input!r}.", expected="a finite number >= 0")
    power = max(0, math.ceil(math.log2(largest_input))) if largest_input > 0 else 0
    return power + 1 + signed_plastic
