"""The compiled steps of the engine ``fixed``: whole numbers throughout, and only what fired is touched.

All populations stand one after another in flat arrays, and so do the weights, ``[pre, post]``, so that one function
steps any network of dense projections. What it does is written out plainly in ``_fixed_engine`` and ``_chip_rule``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosleep._compiled import compiled
from neurosleep.hardware.emulation.counter_random import GOLDEN, MIX_1, MIX_2, UNIT

__all__ = ["DECAY_INTEGER", "DECAY_NONE", "DECAY_SHIFT", "run_steps"]

DECAY_NONE, DECAY_INTEGER, DECAY_SHIFT = 0, 1, 2


@compiled(inline="always")
def _mixed(z: Any) -> Any:
    z = z + GOLDEN
    z = (z ^ (z >> np.uint64(30))) * MIX_1
    z = (z ^ (z >> np.uint64(27))) * MIX_2
    return z ^ (z >> np.uint64(31))


@compiled(inline="always")
def _uniform(key: Any, number: int) -> float:
    return float(_mixed(key + np.uint64(number) * GOLDEN) >> np.uint64(11)) * UNIT


@compiled(inline="always")
def _decayed(x: Any, by: Any, kind: int, bits: int, floors: bool) -> Any:
    """``x`` one step on; ``by`` is a numerator over 2^bits, or a shift (-1: none)."""
    if kind == 1:
        product = x * by
        if floors or product >= 0:
            return product >> bits
        return -((-product) >> bits)
    if kind == 2 and by >= 0:
        moved = x - (x >> by)
        return x - 1 if moved == x and x > 0 else moved
    return x


@compiled(inline="always")
def _held(x: Any, register: Any, counts: Any, place: int) -> Any:
    """``x`` as the register (low, high, whether it wraps, whether there is one) holds it."""
    if register[3] == 0 or (register[0] <= x <= register[1]):
        return x
    counts[place] += 1
    if register[2]:
        return (x - register[0]) % (register[1] - register[0] + 1) + register[0]
    return min(max(x, register[0]), register[1])


@compiled()
def run_steps(
    steps: int,
    begin: int,  # steps done before
    first: Any,  # int64 [populations + 1]: where each population begins
    kinds: Any,  # int64 [populations]: 0 input, 1 fires, 2 integrates
    strict: Any,  # int64 [populations]
    subtract: Any,
    refractory: Any,
    holds: Any,
    order: Any,  # int64: populations that compute, in order
    input_first: Any,  # int64 [populations, steps + 1]: into input_indices, of inputs
    input_indices: Any,  # int32
    incoming_first: Any,  # int64 [populations + 1] into incoming
    incoming: Any,  # int64: projections
    source: Any,  # int64 [projections]
    target: Any,
    delay: Any,
    weight_first: Any,  # int64 [projections] into weights
    weights: Any,  # int32, [pre, post] each
    numbers: Any,  # int64 [6, neurons]: threshold, decay, synaptic decay, reset value, amount, bias
    decay_kind: int,
    decay_bits: int,
    floors: bool,
    synaptic: bool,  # whether there is a synaptic current
    registers: Any,  # int64 [3, 4]: accumulator, current, membrane
    v: Any,  # int64 [neurons]
    u: Any,
    wait: Any,
    overflows: Any,  # int64 [populations, 3]
    past: Any,  # int32 [longest + 1, neurons]: what fired, in a ring
    past_counts: Any,  # int64 [longest + 1, populations]
    plastic: Any,  # int64: projections with a rule
    table_first: Any,  # int64 [projections]: into low and part
    levels: Any,  # int64 [projections]: levels of the grid
    low: Any,  # int64: level after a step
    part: Any,  # float64: chance of one more
    grid: Any,  # int64 [projections, 3]: lowest mantissa, step, unit
    traces: Any,  # int64 [pre of all projections]
    trace_first: Any,  # int64 [projections]
    trace_numbers: Any,  # float64 [projections, 3]: what a step leaves, impulse, most
    keys: Any,  # uint64 [projections, 2]
) -> Any:
    """Run so many steps; what fired: neurons of all populations (int32), by step and population (int64 offsets)."""
    populations, longest = len(kinds), len(past) - 1
    fired = np.empty(1024, dtype=np.int32)
    offsets = np.zeros(steps * populations + 1, dtype=np.int64)
    count = 0
    widest = 0
    for p in range(populations):
        widest = max(widest, first[p + 1] - first[p])
    arriving = np.empty(widest, dtype=np.int64)
    for t in range(steps):
        now = (begin + t) % (longest + 1)
        for p in range(populations):
            past_counts[now, p] = 0
            if kinds[p] == 0:
                for k in range(input_first[p, t], input_first[p, t + 1]):
                    past[now, first[p] + past_counts[now, p]] = input_indices[k]
                    past_counts[now, p] += 1
        for p in order:
            at, n = first[p], first[p + 1] - first[p]
            for j in range(n):
                arriving[j] = 0
            for q in incoming[incoming_first[p] : incoming_first[p + 1]]:
                s = source[q]
                then = (begin + t - delay[q]) % (longest + 1)
                for k in range(past_counts[then, s]):
                    row = weight_first[q] + past[then, first[s] + k] * n
                    for j in range(n):
                        arriving[j] += weights[row + j]
            found = 0
            for j in range(n):
                i = at + j
                a = _held(arriving[j], registers[0], overflows[p], 0)
                if synaptic:
                    a = _held(
                        _decayed(u[i], numbers[2, i], decay_kind, decay_bits, floors) + a, registers[1], overflows[p], 1
                    )
                u[i] = a
                new = _held(
                    _decayed(v[i], numbers[1, i], decay_kind, decay_bits, floors) + a + numbers[5, i],
                    registers[2],
                    overflows[p],
                    2,
                )
                if kinds[p] == 2:
                    v[i] = new
                    continue
                ready = wait[i] <= 0
                if not ready and holds[p]:
                    new = v[i]
                beyond = new > numbers[0, i] if strict[p] else new >= numbers[0, i]
                if beyond and ready:
                    past[now, at + found] = j
                    found += 1
                    v[i] = new - numbers[4, i] if subtract[p] else numbers[3, i]
                    wait[i] = refractory[p]
                else:
                    v[i] = new
                    wait[i] = max(wait[i] - 1, 0)
            past_counts[now, p] = found
        for q in plastic:
            s, p = source[q], target[q]
            before, n = first[s + 1] - first[s], first[p + 1] - first[p]
            then = (begin + t - delay[q]) % (longest + 1)
            left, impulse, most = trace_numbers[q, 0], int(trace_numbers[q, 1]), int(trace_numbers[q, 2])
            x = traces[trace_first[q] : trace_first[q] + before]
            step = _mixed(np.uint64(begin + t))
            if left > 0:
                key = _mixed(keys[q, 1] ^ step)
                for i in range(before):
                    if x[i] > 0:
                        kept = x[i] * left
                        x[i] = int(np.floor(kept))
                        if _uniform(key, i) < kept - x[i]:
                            x[i] += 1
                for k in range(past_counts[then, s]):
                    i = past[then, first[s] + k]
                    x[i] = min(x[i] + impulse, most)
            elif past_counts[now, p]:
                for i in range(before):
                    x[i] = 0
                for k in range(past_counts[then, s]):
                    x[past[then, first[s] + k]] = impulse
            if past_counts[now, p] == 0:
                continue
            key = _mixed(keys[q, 0] ^ step)
            lowest, width, unit = grid[q, 0], grid[q, 1], grid[q, 2]
            scale = width * unit
            offset = lowest * unit
            for k in range(past_counts[now, p]):
                j = past[now, first[p] + k]
                for i in range(before):
                    place = weight_first[q] + i * n + j
                    level = (weights[place] - offset) // scale
                    entry = table_first[q] + x[i] * levels[q] + level
                    new = low[entry]
                    if part[entry] > 0 and _uniform(key, j * before + i) < part[entry]:
                        new += 1
                    if new != level:
                        weights[place] = new * scale + offset
        for p in range(populations):
            n = past_counts[now, p]
            while count + n > len(fired):
                larger = np.empty(2 * len(fired), dtype=np.int32)
                larger[:count] = fired[:count]
                fired = larger
            for k in range(n):
                fired[count + k] = past[now, first[p] + k]
            count += n
            offsets[t * populations + p + 1] = count
    return fired[:count], offsets
