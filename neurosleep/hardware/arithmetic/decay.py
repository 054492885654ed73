"""Decays of chips: times an integer over a power of two, or less the number's own high bits."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neurosleep.errors import SettingsError
from neurosleep.hardware.arithmetic.rounding import Rounding, round_values

__all__ = ["decay_by_integer", "decay_by_shift", "decay_integer", "decay_magnitude", "shift_of_time_constant"]

# Mean loss in a step to rounding toward zero: a half if the lost part were uniform, which it is not quite. Fitted by
# the authors of nengo-loihi (its builder/discretize.py), whose thresholds depend on it.
_LOSS = 0.494


def decay_integer(tau: float, dt: float, *, maximum: int = 4095, offset: int = 0) -> int:
    r"""The integer d of a decay with time constant ``tau`` (s) over a step ``dt`` (s), as nengo-loihi makes it.

    .. math::  d = clip(round(m (1 - e^{-dt/\tau}) - o), 0, m)

    with maximum m and offset o (what the chip adds itself); ``tau`` 0 is a decay at once, infinity none.
    """
    if tau < 0 or not dt > 0:
        raise SettingsError(f"tau is {tau!r} and dt {dt!r}.", expected="tau >= 0 and dt > 0, both in seconds")
    part = 1.0 if tau == 0 else -math.expm1(-dt / tau)
    return min(max(round(maximum * part - offset), 0), maximum)


def decay_by_integer(
    x: Tensor, decay: int | Tensor, *, offset: int = 0, denominator: int = 4096, rounding: Rounding = "toward_zero"
) -> Tensor:
    """One step of a decay: ``x (denominator - decay - offset) / denominator``, rounded to a whole number."""
    kept = denominator - torch.as_tensor(decay, dtype=torch.float64) - offset
    return round_values(x.to(torch.float64) * kept / denominator, rounding)


def decay_magnitude(decay: int, *, start: float = 2.0**21, denominator: int = 4096, offset: int = 0) -> float:
    r"""Sum of a decaying series that is rounded toward zero in every step, over its first value ``start``.

    With :math:`r = (N - o - d) / N` and a mean loss q a step, :math:`y_n = x_0 r^n - q (1 - r^n) / (1 - r)`, summed
    until it reaches 0. Without a decay the series has no end; the gain is then 1, as nengo-loihi has it.
    """
    r = (denominator - offset - decay) / denominator
    if not 0 < r < 1:
        return 1.0
    last = -math.log1p(start * (1 - r) / _LOSS) / math.log(r)
    principal = (1 - r ** (last + 1)) / (1 - r)
    lost = _LOSS / ((1 - r) * start) * (last + 1 - principal)
    return float(principal - lost)


def shift_of_time_constant(tau: float, dt: float) -> int:
    r"""The shift of a decay by powers of two: :math:`round(\log_2(\tau / dt))`.

    Raises
    ------
    SettingsError
        If ``tau`` does not exceed ``dt``: such a decay does not exist there.
    """
    if not tau > dt > 0:
        raise SettingsError(
            f"The time constant is {tau!r} s with steps of {dt!r} s.",
            expected="a time constant longer than a step",
            hint="a shorter dt, or a longer time constant",
        )
    return round(math.log2(tau / dt))


def decay_by_shift(x: Tensor, shift: int | Tensor) -> Tensor:
    """One step of ``x - (x >> shift)``, and one less where that would leave a positive number as it is.

    The shift floors, so that a negative number moves toward zero by itself. A zero stays.
    """
    x = x.to(torch.float64)
    moved = x - torch.floor(x / 2.0 ** torch.as_tensor(shift, dtype=torch.float64))
    return torch.where((moved == x) & (x > 0), x - 1, moved)
