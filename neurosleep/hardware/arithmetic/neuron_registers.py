"""The registers of a neuron, its threshold and its bias: what they hold, and numbers rounded to it."""

from __future__ import annotations

import torch
from torch import Tensor

from neurosleep.hardware.arithmetic.chip_arithmetic import arithmetic_of
from neurosleep.hardware.profiles.profile import HardwareProfile

__all__ = ["largest_bias", "largest_threshold", "whole_bias"]


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
