"""The compiled steps of the engine ``fixed``: integers throughout, and only what fired is touched.

All populations stand one after another in flat arrays, and so do the weights, ``[pre, post]``, so that one function
steps any network of dense projections. What it does is written out plainly in ``fixed_engine`` and ``chip_rule``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from neurosleep._compiled import compiled
from neurosleep.hardware.emulation.counter_random import GOLDEN, MIX_1, MIX_2, UNIT

__all__ = ["DECAY_INTEGER", "DECAY_NONE", "DECAY_SHIFT", "Cells", "Numerics", "Rules", "State", "Wiring", "run_steps"]

DECAY_NONE, DECAY_INTEGER, DECAY_SHIFT = 0, 1, 2


class Wiring(NamedTuple):
    """Populations and projections, integers of 64 bits."""

    first: Any  # [populations + 1]: where each population's neurons stand
    order: Any  # populations that compute, in order
    incoming_first: Any  # [populations + 1] into incoming
    incoming: Any  # projections
    source: Any  # [projections]
    target: Any
    delay: Any
    weight_first: Any  # [projections] into weights


class Cells(NamedTuple):
    """What neurons are, int64 ``[populations]``."""

    kinds: Any  # 0 input, 1 fires, 2 integrates
    strict: Any
    subtract: Any
    refractory: Any
    holds: Any
    numbers: Any  # int64 [6, neurons]: threshold, decay, synaptic decay, reset value, amount, bias


class Numerics(NamedTuple):
    """The chip's arithmetic."""

    decay_kind: int
    decay_bits: int
    floors: bool
    synaptic: bool  # whether there is a synaptic current
    registers: Any  # int64 [3, 4]: accumulator, current, membrane


class State(NamedTuple):
    """What changes."""

    weights: Any  # int32, [pre, post] each
    v: Any  # int64 [neurons]
    u: Any
    wait: Any
    overflows: Any  # int64 [populations, 3]
    past: Any  # int32 [longest + 1, neurons]: what fired, in a ring
    past_counts: Any  # int64 [longest + 1, populations]
    traces: Any  # int64 [pre of all projections]


class Rules(NamedTuple):
    """How weights change."""

    plastic: Any  # int64: projections with a rule
    table_first: Any  # int64 [projections]: into low and part
    levels: Any  # int64 [projections]: levels of the grid
    low: Any  # int64: level after a step
    part: Any  # float64: chance of one more
    grid: Any  # int64 [projections, 3]: lowest mantissa, step, unit
    trace_first: Any  # int64 [projections]
    trace_numbers: Any  # float64 [projections, 3]: what a step leaves, impulse, most
    keys: Any  # uint64 [projections, 2]


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


@compiled(forceinline=True)
def _sum(wiring: Any, state: Any, p: int, t: int, arriving: Any) -> None:
    first, past, past_counts, weights = wiring.first, state.past, state.past_counts, state.weights
    n = first[p + 1] - first[p]
    for j in range(n):
        arriving[j] = 0
    for q in wiring.incoming[wiring.incoming_first[p] : wiring.incoming_first[p + 1]]:
        s = wiring.source[q]
        then = (t - wiring.delay[q]) % len(past)
        for k in range(past_counts[then, s]):
            row = wiring.weight_first[q] + past[then, first[s] + k] * n
            for j in range(n):
                arriving[j] += weights[row + j]


@compiled(forceinline=True)
def _step_neurons(cells: Any, numerics: Any, state: Any, p: int, now: int, at: int, arriving: Any) -> None:
    numbers, registers, overflows = cells.numbers, numerics.registers, state.overflows
    kind, bits, floors = numerics.decay_kind, numerics.decay_bits, numerics.floors
    v, u, wait, past = state.v, state.u, state.wait, state.past
    count = 0
    for j in range(len(arriving)):
        i = at + j
        a = _held(arriving[j], registers[0], overflows[p], 0)
        if numerics.synaptic:
            a = _held(_decayed(u[i], numbers[2, i], kind, bits, floors) + a, registers[1], overflows[p], 1)
        u[i] = a
        new = _decayed(v[i], numbers[1, i], kind, bits, floors) + a + numbers[5, i]
        new = _held(new, registers[2], overflows[p], 2)
        if cells.kinds[p] == 2:
            v[i] = new
            continue
        ready = wait[i] <= 0
        if not ready and cells.holds[p]:
            new = v[i]
        beyond = new > numbers[0, i] if cells.strict[p] else new >= numbers[0, i]
        if beyond and ready:
            past[now, at + count] = j
            count += 1
            v[i] = new - numbers[4, i] if cells.subtract[p] else numbers[3, i]
            wait[i] = cells.refractory[p]
        else:
            v[i] = new
            wait[i] = max(wait[i] - 1, 0)
    state.past_counts[now, p] = count


@compiled(forceinline=True)
def _step_traces(x: Any, numbers: Any, key: Any, fired: Any, any_spike: bool) -> None:
    left, impulse, most = numbers[0], int(numbers[1]), int(numbers[2])
    if left > 0:
        for i in range(len(x)):
            if x[i] > 0:
                remaining = x[i] * left
                x[i] = int(np.floor(remaining))
                if _uniform(key, i) < remaining - x[i]:
                    x[i] += 1
        for i in fired:
            x[i] = min(x[i] + impulse, most)
    elif any_spike:
        for i in range(len(x)):
            x[i] = 0
        for i in fired:
            x[i] = impulse


@compiled(forceinline=True)
def _step_weights(rules: Any, q: int, weights: Any, n: int, x: Any, key: Any, fired: Any) -> None:
    """``weights`` are those of projection ``q``, ``[pre * n]``."""
    low, part, before = rules.low, rules.part, len(x)
    scale = rules.grid[q, 1] * rules.grid[q, 2]
    offset = rules.grid[q, 0] * rules.grid[q, 2]
    first, levels = rules.table_first[q], rules.levels[q]
    for j in fired:
        for i in range(before):
            place = i * n + j
            level = (weights[place] - offset) // scale
            entry = first + x[i] * levels + level
            new = low[entry]
            if part[entry] > 0 and _uniform(key, j * before + i) < part[entry]:
                new += 1
            if new != level:
                weights[place] = new * scale + offset


@compiled(forceinline=True)
def _learn(wiring: Any, state: Any, rules: Any, t: int, now: int) -> None:
    first, past, past_counts = wiring.first, state.past, state.past_counts
    step = _mixed(np.uint64(t))
    for q in rules.plastic:
        s, p = wiring.source[q], wiring.target[q]
        before, n = first[s + 1] - first[s], first[p + 1] - first[p]
        then = (t - wiring.delay[q]) % len(past)
        x = state.traces[rules.trace_first[q] : rules.trace_first[q] + before]
        pre = past[then, first[s] : first[s] + past_counts[then, s]]
        post = past[now, first[p] : first[p] + past_counts[now, p]]
        _step_traces(x, rules.trace_numbers[q], _mixed(rules.keys[q, 1] ^ step), pre, len(post) > 0)
        if len(post):
            weights = state.weights[wiring.weight_first[q] : wiring.weight_first[q] + before * n]
            _step_weights(rules, q, weights, n, x, _mixed(rules.keys[q, 0] ^ step), post)


@compiled()
def run_steps(
    steps: int,
    start: int,  # steps done before
    input_first: Any,  # int64 [populations, steps + 1]: into input_indices, of inputs
    input_indices: Any,  # int32
    wiring: Any,
    cells: Any,
    numerics: Any,
    state: Any,
    rules: Any,
) -> Any:
    """Run so many steps; what fired: neurons of all populations (int32), by step and population (int64 offsets)."""
    first, past, past_counts = wiring.first, state.past, state.past_counts
    populations = len(cells.kinds)
    fired = np.empty(1024, dtype=np.int32)
    offsets = np.zeros(steps * populations + 1, dtype=np.int64)
    count = 0
    widest = 0
    for p in range(populations):
        widest = max(widest, first[p + 1] - first[p])
    arriving = np.empty(widest, dtype=np.int64)
    for t in range(steps):
        now = (start + t) % len(past)
        for p in range(populations):
            past_counts[now, p] = 0
            if cells.kinds[p] == 0:
                for k in range(input_first[p, t], input_first[p, t + 1]):
                    past[now, first[p] + past_counts[now, p]] = input_indices[k]
                    past_counts[now, p] += 1
        for p in wiring.order:
            _sum(wiring, state, p, start + t, arriving)
            _step_neurons(cells, numerics, state, p, now, first[p], arriving[: first[p + 1] - first[p]])
        _learn(wiring, state, rules, start + t, now)
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
