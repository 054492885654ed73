"""Compiled: one population over a chunk of steps, block of units by block of units.

A unit's future depends on the spikes of its sources and on its own weights only. So the steps of a chunk may be run
block by block instead of step by step: the weights of a block then stay in the processor's cache, and only rows of
sources that fired are read.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from neurosleep._compiled import compiled
from neurosleep.spiking.engines.event.rule_kernels import (
    MULTIPLICATIVE,
    SIGN,
    SRC,
    STDP,
    TRIPLET,
    age,
    depress,
    end_step,
    learn_sign,
    note_times,
    potentiate,
)

__all__ = [
    "Arriving",
    "Neurons",
    "Units",
    "factors",
    "gather",
    "learn_column",
    "longer",
    "outside",
    "run_population",
    "step_quiet",
]


class Neurons(NamedTuple):
    """What the units of a population do with their input."""

    n: int
    params: Any  # [6, blocks * width]: threshold, decay, leak, reset value, amount, bias
    strict: bool
    subtract: bool
    refractory: int
    hold: bool
    quiet: bool  # whether units without input only decay: no leak value, bias, wait or soft reset; thresholds above 0


class Units(NamedTuple):
    """A population: weights ``[blocks, rows, width]``, rows = inputs of all projections one after another; state."""

    neurons: Neurons
    weights: Any
    first_row: Any  # int64 [projections + 1]
    scale: Any  # [projections]
    plastic: Any  # bool [projections]
    v: Any  # [blocks * width]
    wait: Any  # int64 [blocks * width]
    trace_pre: Any  # [2, rows]: presynaptic traces at the chunk's start; of rules of the sign, times of last spikes
    trace_post: Any  # [2, projections, blocks * width]
    bits: Any  # room for factors: int32 or int64 [rows], as wide as the weights


class Arriving(NamedTuple):
    """What arrives at a population in a chunk."""

    pointers: Any  # int64 [projections, steps + 1] into rows
    rows: Any  # int32
    values: Any  # of graded inputs as many as rows, of spikes none
    fed_back: bool  # whether ``extra`` holds anything
    extra: Any  # [1 or steps, blocks * width]: input by other ways than these rows, in every step


class _Block(NamedTuple):
    """Views of one block of units."""

    w: Any
    threshold: Any
    decay: Any
    leak: Any
    reset_value: Any
    amount: Any
    bias: Any
    v: Any
    wait: Any
    low: int  # number of its first unit
    real: int  # units that are no filler


class _Room(NamedTuple):
    """Room for what one step of a block computes."""

    acc: Any  # [width]
    total: Any  # [width]: what arrives; of units that can be refractory then whether they fired, as a mark
    fired: Any  # int64 [width]
    change: Any  # [rows]: inc where the source fired in this step, -dec elsewhere
    x: Any  # [2, rows]: presynaptic traces
    column: Any  # [rows]
    g: Any  # [rows]


# exp(r) for |r| <= ln(2)/2 as a Taylor polynomial: the first term left out is below 1e-17 (float64) or 2e-9 (float32).
_TAYLOR = np.array([1 / math.factorial(k) for k in range(13, -1, -1)])
_TAYLOR32 = np.array([1 / math.factorial(k) for k in range(7, -1, -1)], dtype=np.float32)
_LOG2E, _LN2_HIGH, _LN2_LOW = 1.4426950408889634, 0.693147180369123816490, 1.90821492927058770002e-10
# 355/512 has 9 bits, so that its product with an integer below 2^7 is exact in float32.
_LN2_HIGH32, _LN2_LOW32 = np.float32(355 / 512), np.float32(-2.12194440054690583e-4)


@compiled()
def factors(x: Any, factor: int, width: float, g: Any, bits: Any) -> None:
    """Weight factor g of the weights ``x`` (float32 or float64), written so that the compiler can do several at a time.

    A call of exp() per weight would be most of the cost of a plastic step. Here e^x is 2^k e^r, a polynomial gives e^r,
    and the power of two is put together in the bits of a floating point number. ``g`` (like ``x``) and ``bits`` (int32
    or int64, as wide as ``x``) are room for the result.
    """
    n = len(x)
    if factor == 2:
        for i in range(n):
            g[i] = 1
        return
    real = x.dtype.type
    inverse = real(1 / width) if factor == 0 else real(-1)
    numerator = real(2) if factor == 0 else real(1)
    low, high, half, one = real(-60), real(60), real(0.5), real(1)
    if x.itemsize == 4:
        log2e = np.float32(_LOG2E)
        for i in range(n):
            scaled = min(max(x[i] * inverse, low), high)
            k = np.floor(scaled * log2e + half)
            r = (scaled - k * _LN2_HIGH32) - k * _LN2_LOW32
            value = _TAYLOR32[0]
            for c in range(1, 8):
                value = value * r + _TAYLOR32[c]
            g[i] = value
            bits[i] = (np.int32(k) + np.int32(127)) << np.int32(23)
        power32 = bits.view(np.float32)
        for i in range(n):
            g[i] = numerator / (one + g[i] * power32[i])
    else:
        for i in range(n):
            scaled = min(max(x[i] * inverse, low), high)
            k = np.floor(scaled * _LOG2E + half)
            r = (scaled - k * _LN2_HIGH) - k * _LN2_LOW
            value = _TAYLOR[0]
            for c in range(1, 14):
                value = value * r + _TAYLOR[c]
            g[i] = value
            # By way of int32, which every vector unit can make of a float64.
            bits[i] = np.int64(np.int32(k) + np.int32(1023)) << 52
        power64 = bits.view(np.float64)
        for i in range(n):
            g[i] = numerator / (one + g[i] * power64[i])


@compiled()
def gather(w: Any, indices: Any, first: int, last: int, acc: Any) -> None:
    """Sum of the rows of ``w`` that fired, into ``acc``; several rows at a time, for fewer passes over ``acc``."""
    # Rows by number, not as views of their own: making a view costs as much as summing a good part of a row.
    width = len(acc)
    r0 = indices[first]
    for j in range(width):
        acc[j] = w[r0, j]
    k = first + 1
    while k + 7 < last:
        r0, r1, r2, r3 = indices[k], indices[k + 1], indices[k + 2], indices[k + 3]
        r4, r5, r6, r7 = indices[k + 4], indices[k + 5], indices[k + 6], indices[k + 7]
        for j in range(width):
            acc[j] = acc[j] + w[r0, j] + w[r1, j] + w[r2, j] + w[r3, j] + w[r4, j] + w[r5, j] + w[r6, j] + w[r7, j]
        k += 8
    while k + 1 < last:
        r0, r1 = indices[k], indices[k + 1]
        for j in range(width):
            acc[j] = acc[j] + w[r0, j] + w[r1, j]
        k += 2
    if k < last:
        r0 = indices[k]
        for j in range(width):
            acc[j] += w[r0, j]


@compiled(boundscheck=False)
def _gather_graded(w: Any, indices: Any, values: Any, first: int, last: int, acc: Any) -> None:
    """The same of rows that count their values."""
    acc[:] = 0
    for k in range(first, last):
        r, x = indices[k], values[k]
        for j in range(len(acc)):
            acc[j] += x * w[r, j]


@compiled(boundscheck=False, forceinline=True)
def _block(units: Any, b: int) -> Any:
    width = units.weights.shape[2]
    low, high = b * width, (b + 1) * width
    params = units.neurons.params
    return _Block(
        units.weights[b],
        params[0, low:high],
        params[1, low:high],
        params[2, low:high],
        params[3, low:high],
        params[4, low:high],
        params[5, low:high],
        units.v[low:high],
        units.wait[low:high],
        low,
        min(width, units.neurons.n - low),
    )


@compiled(boundscheck=False, forceinline=True)
def _room(weights: Any, rule: Any) -> Any:
    _, rows, width = weights.shape
    change = np.empty(rows, dtype=weights.dtype)
    if rule.kind == SRC:
        change[:] = -rule.numbers[1]
    return _Room(
        np.empty(width, dtype=weights.dtype),
        np.empty(width, dtype=weights.dtype),
        np.empty(width, dtype=np.int64),
        change,
        np.empty((2, rows), dtype=weights.dtype),
        np.empty(rows, dtype=weights.dtype),
        np.empty(rows, dtype=weights.dtype),
    )


@compiled(boundscheck=False, forceinline=True)
def step_quiet(v: Any, decay: Any, threshold: Any, strict: bool, alpha: Any, acc: Any) -> bool:
    """The common case in one pass, the terms that are 0 left out; whether any unit is above its threshold."""
    any_spike = False
    if strict:
        for j in range(len(acc)):
            v[j] = decay[j] * v[j] + alpha * acc[j]
            any_spike |= v[j] > threshold[j]
    else:
        for j in range(len(acc)):
            v[j] = decay[j] * v[j] + alpha * acc[j]
            any_spike |= v[j] >= threshold[j]
    return any_spike


@compiled(boundscheck=False, forceinline=True)
def _sum(w: Any, bias: Any, scale: Any, arriving: Any, t: int, acc: Any, total: Any) -> None:
    """What arrives in a step through the projections, and the bias."""
    pointers, rows, values = arriving.pointers, arriving.rows, arriving.values
    for j in range(len(total)):
        total[j] = bias[j]
    for q in range(len(scale)):
        if pointers[q, t] == pointers[q, t + 1]:
            continue
        if len(values):
            _gather_graded(w, rows, values, pointers[q, t], pointers[q, t + 1], acc)
        else:
            gather(w, rows, pointers[q, t], pointers[q, t + 1], acc)
        for j in range(len(total)):
            total[j] += scale[q] * acc[j]


@compiled(boundscheck=False, forceinline=True)
def _step(v: Any, decay: Any, leak: Any, threshold: Any, strict: bool, total: Any) -> bool:
    any_spike = False
    for j in range(len(total)):
        v[j] = leak[j] + decay[j] * (v[j] - leak[j]) + total[j]
    if strict:
        for j in range(len(total)):
            any_spike |= v[j] > threshold[j]
    else:
        for j in range(len(total)):
            any_spike |= v[j] >= threshold[j]
    return any_spike


@compiled(boundscheck=False, forceinline=True)
def _step_refractory(block: Any, neurons: Any, total: Any) -> bool:
    v, decay, leak, threshold, wait = block.v, block.decay, block.leak, block.threshold, block.wait
    any_spike = False
    for j in range(block.real):
        if wait[j] <= 0 or not neurons.hold:
            v[j] = leak[j] + decay[j] * (v[j] - leak[j]) + total[j]
        over = v[j] > threshold[j] if neurons.strict else v[j] >= threshold[j]
        if wait[j] > 0:
            over = False
            wait[j] -= 1
        elif over:
            wait[j] = neurons.refractory
        # A mark that no potential can reach tells which units fired.
        if over:
            any_spike = True
            total[j] = np.inf
        else:
            total[j] = 0
    return any_spike


@compiled(boundscheck=False, forceinline=True)
def _spikes(block: Any, neurons: Any, total: Any, fired: Any) -> int:
    """Which units fired, into ``fired``; how many."""
    v, threshold = block.v, block.threshold
    count = 0
    for j in range(block.real):
        if neurons.refractory == 0:
            over = v[j] > threshold[j] if neurons.strict else v[j] >= threshold[j]
        else:
            over = total[j] == np.inf
        if over:
            fired[count] = j
            count += 1
    return count


@compiled(boundscheck=False, forceinline=True)
def _reset(block: Any, subtract: bool, fired: Any) -> None:
    v, amount, reset_value = block.v, block.amount, block.reset_value
    for j in fired:
        if subtract:
            v[j] -= amount[j]
        else:
            v[j] = reset_value[j]


@compiled(boundscheck=False, forceinline=True)
def _mark(change: Any, arriving: Any, t: int, value: Any) -> None:
    pointers, rows = arriving.pointers, arriving.rows
    for q in range(len(pointers)):
        for k in range(pointers[q, t], pointers[q, t + 1]):
            change[rows[k]] = value


@compiled(boundscheck=False)
def learn_column(w: Any, change: Any, rule: Any, column: Any, g: Any, bits: Any) -> None:
    """The rule of sleep on the weights of one unit; inlined into the loop over units it is a tenth slower."""
    n = len(w)
    for r in range(n):
        column[r] = w[r]
    factors(column[:n], rule.factor, rule.numbers[2], g[:n], bits[:n])
    for r in range(n):
        w[r] = column[r] + change[r] * g[r]


@compiled(boundscheck=False)
def _learn_src(w: Any, units: Any, rule: Any, arriving: Any, t: int, fired: Any, room: Any) -> None:
    change, column, g, bits = room.change, room.column, room.g, units.bits
    _mark(change, arriving, t, rule.numbers[0])
    for j in fired:
        for q in range(len(units.plastic)):
            if not units.plastic[q]:
                continue
            start, stop = units.first_row[q], units.first_row[q + 1]
            learn_column(w[start:stop, j], change[start:stop], rule, column, g, bits)
    _mark(change, arriving, t, -rule.numbers[1])


@compiled(boundscheck=False, forceinline=True)
def _is_silent(pointers: Any, t: int) -> bool:
    silent = True
    for q in range(len(pointers)):
        if pointers[q, t] != pointers[q, t + 1]:
            silent = False
    return silent


@compiled()
def longer(values: Any, used: int, more: int) -> Any:
    """``values``, of which ``used`` are in use, with room for ``more``."""
    if used + more <= len(values):
        return values
    larger = np.empty(2 * (used + more), dtype=values.dtype)
    larger[:used] = values[:used]
    return larger


@compiled(boundscheck=False)
def run_population(units: Any, rule: Any, arriving: Any, steps: int) -> Any:
    """Step one population through a chunk; returns its spikes as (times, neurons), block by block."""
    neurons, plastic = units.neurons, units.plastic
    may_rest, graded = neurons.quiet and not arriving.fed_back, len(arriving.values) > 0
    width = units.weights.shape[2]
    times, spiking = np.empty(1024, dtype=np.int64), np.empty(1024, dtype=np.int64)
    found = 0
    room = _room(units.weights, rule)
    traced = rule.kind == STDP or rule.kind == MULTIPLICATIVE or rule.kind == TRIPLET
    # Arrays that every step reads are taken out of their tuples once: each time costs a count of references.
    pointers, rows, acc, total, scale = arriving.pointers, arriving.rows, room.acc, room.total, units.scale
    for b in range(len(units.weights)):
        block = _block(units, b)
        w, v, decay, threshold, leak, bias = block.w, block.v, block.decay, block.threshold, block.leak, block.bias
        if traced or rule.kind == SIGN:
            room.x[:] = units.trace_pre
        for t in range(steps):
            if may_rest and not traced and _is_silent(pointers, t):
                for j in range(width):
                    v[j] *= decay[j]
                continue
            if may_rest and len(plastic) == 1 and not graded:
                if pointers[0, t] == pointers[0, t + 1]:
                    acc[:] = 0
                else:
                    gather(w, rows, pointers[0, t], pointers[0, t + 1], acc)
                any_spike = step_quiet(v, decay, threshold, neurons.strict, scale[0], acc)
            else:
                _sum(w, bias, scale, arriving, t, acc, total)
                if arriving.fed_back:
                    extra = arriving.extra[t if len(arriving.extra) > 1 else 0, block.low : block.low + width]
                    for j in range(width):
                        total[j] += extra[j]
                if neurons.refractory == 0:
                    any_spike = _step(v, decay, leak, threshold, neurons.strict, total)
                else:
                    any_spike = _step_refractory(block, neurons, total)
            if traced:
                depress(block, units, rule, arriving, t, room.x)
            elif rule.kind == SIGN:
                note_times(arriving, t, room.x)
            count = 0
            if any_spike:
                count = _spikes(block, neurons, total, room.fired)
                fired = room.fired[:count]
                times, spiking = longer(times, found, len(fired)), longer(spiking, found, len(fired))
                for j in fired:
                    times[found] = t
                    spiking[found] = block.low + j
                    found += 1
                if rule.kind == SRC:
                    _learn_src(block.w, units, rule, arriving, t, fired, room)
                elif traced:
                    potentiate(block, units, rule, fired, room.x)
                elif rule.kind == SIGN:
                    learn_sign(block, units, rule, t, fired, room.x)
                _reset(block, neurons.subtract, fired)
            if traced:
                end_step(block, units, rule, arriving, t, room.fired[:count], room.x)
    if traced or rule.kind == SIGN:
        units.trace_pre[:] = room.x
    if rule.kind == SIGN:
        age(units.trace_pre, steps)
    return times[:found], spiking[:found]


@compiled()
def outside(w: Any, first: int, last: int, limit: Any) -> bool:
    """Whether some rows of ``w`` ``[blocks, rows, width]`` hold NaN, or a value beyond ``limit``."""
    one, none = w.dtype.type(1), w.dtype.type(0)
    for b in range(w.shape[0]):
        block = w[b]
        for r in range(first, last):
            # A larger number instead of a truth value: of these the compiler does several at a time.
            beyond = none
            for j in range(w.shape[2]):
                beyond = max(beyond, none if abs(block[r, j]) <= limit else one)
            if beyond > 0:
                return True
    return False
