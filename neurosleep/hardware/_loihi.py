"""Integers of Loihi: weights, thresholds and biases as mantissas with exponents, as its public tools make them.

Weights have up to eight bits and a shared exponent; what reaches a neuron is ``mantissa 2^(6 + exponent)``. A group of
synapses is ``mixed`` in sign, which costs it one bit (mantissas are then even), or all of one sign.

Sources: nengo-loihi 1.1 (builder/discretize.py), brian2-loihi 0.5, lava-dl slayer, whose numbers the tests hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from neurosleep.errors import SettingsError
from neurosleep.hardware.arithmetic.decay import decay_integer, decay_magnitude
from neurosleep.hardware.arithmetic.rounding import Rounding, drop_bits, round_values

__all__ = [
    "BIAS_MAX",
    "THRESHOLD_MAX",
    "WEIGHT_SHIFT",
    "LoihiBlock",
    "bias_mantissa",
    "discretise_block",
    "effective_weights",
    "fit_exponent",
    "quantise_weights",
    "slayer_weights",
    "threshold_mantissa",
    "truncate_weights",
]

#: Weights, thresholds and biases are shifted left by these bits.
WEIGHT_SHIFT = 6
THRESHOLD_MAX = 131071
BIAS_MAX = 4095
_BIAS_EXPONENT_MAX = 7
_EXPONENT_MIN = -7
_EFFECTIVE_MAX = 2**21 - 2**6


def dropped_bits(bits: int, mixed: bool) -> int:
    """Lowest bits that a mantissa of ``bits`` stored bits does not have."""
    if bits not in (1, 2, 3, 4, 5, 6, 8):
        raise SettingsError(f"Loihi stores no weights of {bits!r} bits.", expected="1, 2, 3, 4, 5, 6 or 8")
    return 8 - bits + int(mixed)


def quantise_weights(
    scaled: Tensor,
    *,
    bits: int = 8,
    mixed: bool = True,
    exponent: int = 0,
    rounding: Rounding = "nearest_even",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mantissas of weights that are already scaled to -255 … 255.

    With an exponent so low that the chip would shift further bits out, values are first rounded to what is left. The
    shift itself floors: at the very end of the range, where rounding was clipped, a negative mantissa keeps one unit
    more than a positive one. That is how nengo-loihi does it.
    """
    s = dropped_bits(bits, mixed)
    limit = 2.0 ** (8 - s) - 1
    m = round_values(scaled.to(torch.float64) / 2.0**s, rounding, generator).clamp(-limit, limit)
    lost = -(s + exponent)
    if lost > 0:
        m = drop_bits(drop_bits(m, lost, "nearest_even").clamp(-limit, limit), lost, "floor")
    return m * 2.0**s


def truncate_weights(values: Tensor, *, bits: int = 8, mixed: bool = True, truncation: Rounding = "floor") -> Tensor:
    """Whole numbers as mantissas of ``bits`` bits, by ``floor`` (Lava), ``toward_zero`` (brian2-loihi) or the nearest.

    A mixed group holds -256 to 255 less the bits that are not stored, one of a single sign -255 to 255.
    """
    s = dropped_bits(bits, mixed)
    low, high = (-256.0, 256.0 - 2.0**s) if mixed else (-255.0, 255.0)
    return drop_bits(values, s, truncation).clamp(low, high)


def slayer_weights(weights: Tensor, scale: float = 64.0) -> Tensor:
    """Mantissas as lava-dl's slayer makes them of real weights: even numbers from -256 to 254."""
    return (torch.round(weights.to(torch.float64) * scale / 2) * 2).clamp(-256, 254)


def effective_weights(mantissas: Tensor, exponent: int = 0) -> Tensor:
    """What a spike adds: ``mantissa 2^(6 + exponent)``, its six lowest bits zero, at most 2^21 - 2^6 in size."""
    shifted = drop_bits(mantissas.to(torch.float64) * 2.0 ** (WEIGHT_SHIFT + exponent), WEIGHT_SHIFT, "toward_zero")
    return shifted.clamp(-_EFFECTIVE_MAX, _EFFECTIVE_MAX)


def threshold_mantissa(threshold: float) -> int:
    """The threshold's mantissa, of which the chip takes 64 times; refuses more than 17 bits."""
    mantissa = round(threshold / (1 << WEIGHT_SHIFT))
    if not 0 <= mantissa <= THRESHOLD_MAX:
        raise SettingsError(
            f"The threshold {threshold!r} has the mantissa {mantissa}.",
            expected=f"a mantissa from 0 to {THRESHOLD_MAX}",
        )
    return mantissa


def bias_mantissa(bias: float) -> tuple[int, int]:
    """Mantissa and exponent of a bias: the smallest exponent, 0 to 7, with a mantissa of at most 4095 in size."""
    for exponent in range(_BIAS_EXPONENT_MAX + 1):
        if abs(bias) / (1 << exponent) <= BIAS_MAX:
            return round(bias / (1 << exponent)), exponent
    raise SettingsError(
        f"The bias {bias!r} is too large.", expected=f"at most {BIAS_MAX << _BIAS_EXPONENT_MAX} in size"
    )


def fit_exponent(threshold: float, bias: float, *, mantissa_max: int = THRESHOLD_MAX) -> int:
    """The largest exponent from 0 down to -7 at which threshold and bias, given for exponent 0, fit their registers.

    Raises
    ------
    SettingsError
        If they do not fit at -7 either.
    """
    for exponent in range(0, _EXPONENT_MIN - 1, -1):
        factor = 2.0**exponent
        small = round(abs(bias) * factor) <= BIAS_MAX << _BIAS_EXPONENT_MAX
        if round(threshold * factor) <= mantissa_max << WEIGHT_SHIFT and small:
            return exponent
    raise SettingsError(
        f"A threshold of {threshold!r} and a bias of {bias!r} do not fit the chip at any exponent.",
        expected=f"at most {mantissa_max << WEIGHT_SHIFT} and {BIAS_MAX << _BIAS_EXPONENT_MAX} after 2^{_EXPONENT_MIN}",
        hint="weights larger in relation to the threshold",
    )


@dataclass(frozen=True, eq=False)
class LoihiBlock:
    """One block of neurons in Loihi's integers.

    Attributes
    ----------
    decay_current, decay_membrane, refractory:
        Registers d_u, d_v and the refractory counter, which counts the spike's own step.
    weight_scale, state_scale:
        What a unit of weight, and a unit of the membrane, became.
    weight_exponent:
        Shared by all synapses of the block.
    threshold, bias:
        As the chip compares and adds them: ``mantissa * 64`` and ``mantissa * 2^exponent``.
    mantissas, effective:
        Weights ``[post, pre]``, and what a spike adds to a current.
    """

    decay_current: int
    decay_membrane: int
    refractory: int
    weight_scale: float
    state_scale: float
    weight_exponent: int
    threshold: int
    bias: int
    mantissas: Tensor
    effective: Tensor


def discretise_block(
    weights: Tensor,
    *,
    tau_synapse: float,
    tau_membrane: float,
    dt: float,
    threshold: float = 1.0,
    bias: float = 0.0,
    tau_refractory: float = 0.0,
    bits: int = 8,
) -> LoihiBlock:
    r"""A block of neurons with mixed weights ``[post, pre]``, by the rules of nengo-loihi.

    There synapse and membrane are filters of gain 1; an integer decay has the gain M
    (:func:`~neurosleep.hardware.arithmetic.decay.decay_magnitude`) instead, which thresholds and biases take in.
    Time constants in seconds; ``tau_membrane`` infinity is a neuron without leak, ``tau_synapse`` 0 none with a
    synaptic current.

    Raises
    ------
    SettingsError
        If all weights are zero, or threshold or bias do not fit the chip.
    """
    largest = float(weights.abs().max()) if weights.numel() else 0.0
    if not largest > 0 or not math.isfinite(largest):
        raise SettingsError(f"The largest weight is {largest!r}.", expected="a finite number above 0")
    d_u = decay_integer(tau_synapse, dt, offset=1)
    d_v = decay_integer(tau_membrane, dt)
    gain_u, gain_v = decay_magnitude(d_u, offset=1), decay_magnitude(d_v)
    weight_scale = 255 / largest
    scale = weight_scale * 2**WEIGHT_SHIFT * gain_u * gain_v
    exponent = fit_exponent(threshold * scale, bias * scale / gain_v)
    scale *= 2.0**exponent
    bias_at, bias_exponent = bias_mantissa(round(bias * scale / gain_v))
    mantissas = quantise_weights(weights.to(torch.float64) * weight_scale, bits=bits, exponent=exponent)
    return LoihiBlock(
        d_u,
        d_v,
        round(tau_refractory / dt) + 1,
        weight_scale,
        scale,
        exponent,
        threshold_mantissa(round(threshold * scale)) << WEIGHT_SHIFT,
        bias_at << bias_exponent,
        mantissas,
        effective_weights(mantissas, exponent),
    )
