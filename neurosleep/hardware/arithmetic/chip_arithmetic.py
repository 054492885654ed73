"""A profile's numbers as the arithmetic of the engine, and what of a network's dynamics a chip has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from neurosleep.hardware.arithmetic.arithmetic import Arithmetic, DecayKind
from neurosleep.hardware.arithmetic.registers import Overflow, Register
from neurosleep.hardware.arithmetic.rounding import Rounding
from neurosleep.hardware.profiles.profile import HardwareProfile

__all__ = [
    "DECAYS",
    "FIXED_POINT",
    "arithmetic_of",
    "chip_decay",
    "float64",
    "largest_bias",
    "largest_threshold",
    "whole_bias",
]

#: Kinds of decay in a profile, and those of the engine.
DECAYS: dict[str, DecayKind] = {
    "multiplicative_integer": "integer",
    "power_of_two": "shift",
    "subtractive": "subtract",
    "none": "none",
}
#: Of a decay that is a fixed-point number of unpublished width: 15 bits after the point, as in s16.15.
FIXED_POINT = 1 << 15


def float64(value: float | Sequence[float] | Tensor) -> Tensor:
    """A parameter of a population, one number or one for each neuron, as a tensor of float64."""
    return torch.as_tensor(value, dtype=torch.float64)


def arithmetic_of(profile: HardwareProfile) -> Arithmetic:
    """Registers and decays of a profile; a register that overflows in an unpublished way saturates."""
    membrane, current, decay = profile.membrane, profile.current, profile.decay
    assert membrane.bits is not None and decay.kind is not None
    saturates = membrane.overflow in (None, "saturate")
    return Arithmetic(
        membrane=Register(
            membrane.bits,
            membrane.signed is not False,
            cast(Overflow, membrane.overflow or "saturate"),
            membrane.clamp_min if saturates else None,
            membrane.clamp_max if saturates else None,
        ),
        current=None
        if current is None or current.bits is None
        else Register(current.bits, overflow=cast(Overflow, current.overflow or "saturate")),
        accumulator=None
        if current is None or current.accumulator_bits is None
        else Register(current.accumulator_bits, overflow=cast(Overflow, current.overflow or "saturate")),
        decay=DECAYS[decay.kind],
        denominator=_denominator(profile),
        rounding=cast(Rounding, decay.rounding or "toward_zero"),
        payload_bits=profile.spike.payload_bits or 0,
        by_event=decay.constant and profile.time.kind == "event",
    )


def _denominator(profile: HardwareProfile) -> int:
    if profile.decay.kind != "multiplicative_integer":
        return 1
    return profile.decay.denominator or FIXED_POINT


def chip_decay(profile: HardwareProfile, factor: Tensor, *, current: bool) -> Tensor:
    """The factors per step nearest to ``factor`` that the chip has; NaN where it has none near."""
    decay = profile.decay
    factor = factor.to(torch.float64)
    if decay.kind == "multiplicative_integer":
        denominator = _denominator(profile)
        offset = (decay.current_offset if current else decay.voltage_offset) or 0
        register = torch.round((1 - factor) * denominator - offset)
        register = register.clamp(decay.min or 0, denominator if decay.max is None else decay.max)
        return 1 - (register + offset) / denominator
    if decay.kind == "power_of_two":
        # A shift by nothing keeps nothing; with the longest one only the last bit is lost.
        longest = profile.membrane.bits - 1 if profile.membrane.bits is not None else 52
        lost = (1 - factor).clamp(2.0**-longest, 1.0)
        shorter = torch.floor(-torch.log2(lost))
        shift = torch.where(lost > 0.75 * 2.0**-shorter, shorter, shorter + 1).clamp_max(longest)
        return 1 - 2.0**-shift
    if decay.kind == "none":
        return torch.where(factor == 1, factor, torch.full_like(factor, math.nan))
    # Circuits and programs have any; where a constant is taken away, this is what it stands for.
    return factor


def largest_threshold(profile: HardwareProfile) -> int:
    """The largest threshold, which the membrane must reach too."""
    t, m = profile.threshold, profile.membrane
    assert m.bits is not None
    in_membrane = (1 << (m.bits - (m.signed is not False))) - 1
    if t.mantissa_bits is None:
        return in_membrane
    return min(((1 << (t.mantissa_bits - bool(t.signed))) - 1) << (t.shift_bits or 0), in_membrane)


def largest_bias(profile: HardwareProfile) -> int:
    """The largest bias, of either sign."""
    b = profile.bias
    if b.mantissa_bits is None:
        return largest_threshold(profile)
    largest = ((1 << (b.mantissa_bits - 1)) - 1) << ((1 << (b.exponent_bits or 0)) - 1)
    return min(largest, arithmetic_of(profile).membrane.high)


def whole_bias(profile: HardwareProfile, bias: Tensor) -> Tensor:
    """Mantissas with the smallest exponents at which they fit, shifted left by those."""
    b = profile.bias
    if b.mantissa_bits is None:
        return torch.round(bias)
    most = (1 << (b.mantissa_bits - 1)) - 1
    largest = (1 << (b.exponent_bits or 0)) - 1
    exponent = torch.ceil(torch.log2(bias.abs().clamp_min(1) / most)).clamp(0, largest)
    return torch.round(bias / 2**exponent) * 2**exponent
