"""Integers of Loihi: weights, thresholds and biases as mantissas with exponents, as its public tools make them.

Weights have up to eight bits and a shared exponent; what reaches a neuron is ``mantissa 2^(6 + exponent)``. A group of
synapses is ``mixed`` in sign, which costs it one bit (mantissas are then even), or all of one sign.

Sources: nengo-loihi 1.1 (builder/discretize.py), brian2-loihi 0.5, lava-dl slayer, whose numbers the tests hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neurosleep.errors import SettingsError
from neurosleep.hardware.arithmetic.rounding import Rounding, round_values
from neurosleep.hardware.placement.loihi_cores import axon_bits
from oracles.layer import Neurons, Step, Whole, lost

#: Weights, thresholds and biases are shifted left by these bits.
WEIGHT_SHIFT = 6
THRESHOLD_MAX = 131071
BIAS_MAX = 4095
_BIAS_EXPONENT_MAX = 7
_EXPONENT_MIN = -7
_EFFECTIVE_MAX = 2**21 - 2**6
# Mean loss in a step to rounding toward zero: a half if the lost part were uniform, which it is not quite. Fitted by
# the authors of nengo-loihi (its builder/discretize.py), whose thresholds depend on it.
_LOSS = 0.494
_FRACTION_BITS = 7
_TRACE_MAX = 127
_WEIGHT_MAX = 255


def drop_bits(x: Tensor, bits: int, truncation: Rounding, generator: torch.Generator | None = None) -> Tensor:
    """Integers ``x`` with the lowest ``bits`` bits gone: multiples of 2^bits.

    An arithmetic right shift is ``floor``; public emulators of one and the same chip do otherwise, ``toward_zero`` or
    to the nearest.
    """
    return round_values(x.to(torch.float64) / 2.0**bits, truncation, generator) * 2.0**bits


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
    """One step of a decay: ``x (denominator - decay - offset) / denominator``, rounded to an integer."""
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
    """Integers as mantissas of ``bits`` bits, by ``floor`` (Lava), ``toward_zero`` (brian2-loihi) or the nearest.

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
    (:func:`decay_magnitude`) instead, which thresholds and biases take in.
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


@dataclass(frozen=True)
class CorePlan:
    """Neurons on each core, number of cores, and synapse memory in bits of the fullest core."""

    neurons_per_core: int
    cores: int
    bits: int


def plan_dense(
    neurons: int,
    axons: int,
    bits: int,
    *,
    neurons_per_core: int = 1024,
    memory: int = 1_048_576,
    group: int = 64,
    overhead: int = 10,
    word: int = 64,
) -> CorePlan | None:
    """Cores for ``neurons`` neurons that each hear all of ``axons`` axons; None if not even one fits on a core."""

    def needed(n: int) -> int:
        return axons * axon_bits(n, bits, group=group, overhead=overhead, word=word)

    # Memory grows with the neurons, so that the largest number that fits is found by halving.
    low, high = 0, min(neurons, neurons_per_core)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if needed(middle) <= memory else (low, middle - 1)
    if low == 0:
        return None
    return CorePlan(low, -(-neurons // low), needed(low))


def lava(p: Neurons) -> Step:
    """Lava's bit-accurate LIF: input and threshold are shifted by 6 bits alike, the bias is not."""
    u, v = np.zeros((2, p.n), dtype=np.int64)

    def step(weights: Whole, arriving: Whole) -> Whole:
        u[:] = lost(u, p.current, 12) + ((weights @ arriving) << 6)
        u[:] = (u + 2**23) % 2**24 - 2**23
        v[:] = np.clip(lost(v, p.decay, 12) + u + 64 * p.bias, 1 - 2**23, 2**23 - 1)
        fired = v > p.threshold << 6
        # A program of Loihi 2 that subtracts takes the same shifted number.
        v[:] = np.where(fired, v - (p.threshold << 6) if p.subtract else 0, v)
        return fired

    return step
