"""Event-driven, compiled: touches only what fired, and keeps each block of neurons in the cache over a whole chunk.

A unit's future depends on the spikes of its sources and on its own weights only. So the steps of a chunk may be run
block of units by block of units instead of step by step: the weights of a block then stay in the processor's cache.
With feedback, a unit's sources depend on the unit itself, and all populations are stepped together, one step at a time.
A shared weight that is used transposed is read where it lies: for every unit that fired, one column of its block is
walked, which is the walk that the plasticity of the same spike makes, without its exponentials.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurosleep._compiled import compiled
from neurosleep.errors import UnsupportedError
from neurosleep.functional import FACTORS, PairSTDP, PlasticityRule, SpikeEvents, SRCRule
from neurosleep.spiking.engines.base import Engine, Session, check_inputs, register_engine
from neurosleep.spiking.engines.batch import BatchSession
from neurosleep.spiking.network import SpikingNetwork

__all__ = ["BLOCK", "EventEngine"]

# Units that are stepped together, at most: half a layer of 1200. Rows must be long enough for the loops over them to be
# little dearer than the memory they read, and no power of two, or the columns that plasticity walks share cache sets.
BLOCK = 608

_NONE, _SRC, _STDP = 0, 1, 2


# exp(r) for |r| <= ln(2)/2 as a Taylor polynomial: the first term left out is below 1e-17 (float64) or 2e-9 (float32).
_TAYLOR = np.array([1 / math.factorial(k) for k in range(13, -1, -1)])
_TAYLOR32 = np.array([1 / math.factorial(k) for k in range(7, -1, -1)], dtype=np.float32)
_LOG2E, _LN2_HIGH, _LN2_LOW = 1.4426950408889634, 0.693147180369123816490, 1.90821492927058770002e-10
# 355/512 has 9 bits, so that its product with a whole number below 2^7 is exact in float32.
_LN2_HIGH32, _LN2_LOW32 = np.float32(355 / 512), np.float32(-2.12194440054690583e-4)


@compiled()
def _factors(x: Any, factor: int, width: float, g: Any, bits: Any) -> None:
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
def _gather(w: Any, indices: Any, first: int, last: int, acc: Any) -> None:
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
def _run_population(
    n: int,
    steps: int,
    weights: Any,  # [blocks, rows, width], rows = inputs of all projections one after another
    pointers: Any,  # int64 [projections, steps + 1] into indices
    indices: Any,  # int32: rows
    first_row: Any,  # int64 [projections + 1]
    scale: Any,  # [projections]
    plastic: Any,  # bool [projections]
    params: Any,  # [6, blocks * width]: threshold, decay, leak, reset value, amount, bias
    strict: bool,
    subtract: bool,
    refractory: int,
    hold: bool,
    quiet: bool,  # whether units without input only decay: no leak value, bias, wait or soft reset; thresholds above 0
    v: Any,  # [blocks * width]
    wait: Any,  # int64 [blocks * width]
    rule: int,
    numbers: Any,  # parameters of the rule
    factor: int,
    trace_pre: Any,  # [rows]: presynaptic traces at the chunk's begin
    trace_post: Any,  # [projections, blocks * width]
    bits: Any,  # int32 or int64 [rows], as wide as the weights
    fed_back: bool,  # whether ``extra`` holds anything
    extra: Any,  # [blocks * width]: input through transposed weights, the same in every step
) -> Any:
    """Step one population through a chunk; returns its spikes as (times, neurons), block by block."""
    blocks = weights.shape[0]
    rows = weights.shape[1]
    width = weights.shape[2]
    projections = pointers.shape[0]
    capacity = 1024
    times = np.empty(capacity, dtype=np.int64)
    neurons = np.empty(capacity, dtype=np.int64)
    found = 0
    acc = np.empty(width, dtype=weights.dtype)
    total = np.empty(width, dtype=weights.dtype)
    change = np.empty(rows, dtype=weights.dtype)  # inc where the source fired in this step, -dec elsewhere
    if rule == _SRC:
        change[:] = -numbers[1]
    x = np.empty(rows, dtype=trace_pre.dtype)
    column = np.empty(rows, dtype=weights.dtype)
    g = np.empty(rows, dtype=weights.dtype)
    for b in range(blocks):
        low = b * width
        w = weights[b]
        threshold = params[0, low : low + width]
        decay = params[1, low : low + width]
        leak = params[2, low : low + width]
        reset_value = params[3, low : low + width]
        amount = params[4, low : low + width]
        bias = params[5, low : low + width]
        vb = v[low : low + width]
        real = min(width, n - low)
        if rule == _STDP:
            x[:] = trace_pre
        for t in range(steps):
            silent = quiet and not fed_back
            for q in range(projections):
                if pointers[q, t] != pointers[q, t + 1]:
                    silent = False
            if silent and rule != _STDP:
                for j in range(width):
                    vb[j] *= decay[j]
                continue
            any_spike = False
            one_pass = quiet and projections == 1 and not fed_back
            if one_pass:
                # The common case in one pass; the same sums, the terms that are 0 left out.
                alpha = scale[0]
                if pointers[0, t] == pointers[0, t + 1]:
                    acc[:] = 0
                else:
                    _gather(w, indices, pointers[0, t], pointers[0, t + 1], acc)
                if strict:
                    for j in range(width):
                        vb[j] = decay[j] * vb[j] + alpha * acc[j]
                        any_spike |= vb[j] > threshold[j]
                else:
                    for j in range(width):
                        vb[j] = decay[j] * vb[j] + alpha * acc[j]
                        any_spike |= vb[j] >= threshold[j]
            else:
                for j in range(width):
                    total[j] = bias[j]
                for q in range(projections):
                    if pointers[q, t] == pointers[q, t + 1]:
                        continue
                    _gather(w, indices, pointers[q, t], pointers[q, t + 1], acc)
                    for j in range(width):
                        total[j] += scale[q] * acc[j]
                if fed_back:
                    for j in range(width):
                        total[j] += extra[low + j]
            if refractory == 0 and not one_pass:
                for j in range(width):
                    vb[j] = leak[j] + decay[j] * (vb[j] - leak[j]) + total[j]
                if strict:
                    for j in range(width):
                        any_spike |= vb[j] > threshold[j]
                else:
                    for j in range(width):
                        any_spike |= vb[j] >= threshold[j]
            elif refractory > 0:
                for j in range(real):
                    if wait[low + j] <= 0 or not hold:
                        vb[j] = leak[j] + decay[j] * (vb[j] - leak[j]) + total[j]
                    over = vb[j] > threshold[j] if strict else vb[j] >= threshold[j]
                    if wait[low + j] > 0:
                        over = False
                        wait[low + j] -= 1
                    elif over:
                        wait[low + j] = refractory
                    # A mark that no potential can reach tells the loop below which units fired.
                    if over:
                        any_spike = True
                        total[j] = np.inf
                    else:
                        total[j] = 0
            if rule == _STDP:
                # Traces decay and take up this step's inputs before weights change; the own spikes come last.
                for r in range(rows):
                    x[r] *= numbers[2]
                for q in range(projections):
                    for j in range(width):
                        trace_post[q, low + j] *= numbers[3]
                    for k in range(pointers[q, t], pointers[q, t + 1]):
                        x[indices[k]] += 1
                        if plastic[q]:
                            for j in range(width):
                                w[indices[k], j] -= numbers[1] * trace_post[q, low + j]
            if any_spike:
                if rule == _SRC:
                    for q in range(projections):
                        for k in range(pointers[q, t], pointers[q, t + 1]):
                            change[indices[k]] = numbers[0]
                for j in range(real):
                    if refractory == 0:
                        over = vb[j] > threshold[j] if strict else vb[j] >= threshold[j]
                    else:
                        over = total[j] == np.inf
                    if not over:
                        continue
                    if found == capacity:
                        capacity *= 2
                        more_times = np.empty(capacity, dtype=np.int64)
                        more_neurons = np.empty(capacity, dtype=np.int64)
                        more_times[:found] = times[:found]
                        more_neurons[:found] = neurons[:found]
                        times, neurons = more_times, more_neurons
                    times[found] = t
                    neurons[found] = low + j
                    found += 1
                    for q in range(projections):
                        if rule == _NONE or not plastic[q]:
                            continue
                        start, stop = first_row[q], first_row[q + 1]
                        if rule == _SRC:
                            for r in range(start, stop):
                                column[r] = w[r, j]
                            _factors(column[start:stop], factor, numbers[2], g[start:stop], bits[start:stop])
                            for r in range(start, stop):
                                w[r, j] = column[r] + change[r] * g[r]
                        else:
                            for r in range(start, stop):
                                w[r, j] = min(max(w[r, j] + numbers[0] * x[r], numbers[4]), numbers[5])
                    if subtract:
                        vb[j] -= amount[j]
                    else:
                        vb[j] = reset_value[j]
                if rule == _SRC:
                    for q in range(projections):
                        for k in range(pointers[q, t], pointers[q, t + 1]):
                            change[indices[k]] = -numbers[1]
            if rule == _STDP:
                for q in range(projections):
                    if plastic[q]:
                        for k in range(pointers[q, t], pointers[q, t + 1]):
                            for j in range(width):
                                value = w[indices[k], j]
                                w[indices[k], j] = min(max(value, numbers[4]), numbers[5])
                last_spike = found - 1
                while last_spike >= 0 and times[last_spike] == t and neurons[last_spike] >= low:
                    for q in range(projections):
                        trace_post[q, neurons[last_spike]] += 1
                    last_spike -= 1
    if rule == _STDP:
        trace_pre[:] = x
    return times[:found], neurons[:found]


# What the compiled loop over steps knows of each population and of each use of a transposed weight: numbers, by column.
_N, _BLOCKS, _ROWS, _WIDTH, _PROJECTIONS, _REFRACTORY = 0, 1, 2, 3, 4, 5
_STRICT, _SUBTRACT, _HOLD, _QUIET = 6, 7, 8, 9
# Where its part begins in the arrays that hold those of all: weights, units, rows, projections, first rows, and the
# traces of units, one for each projection.
_W0, _U0, _R0, _Q0, _F0, _T0 = 10, 11, 12, 13, 14, 15
_POPULATION_COLUMNS = 16
_SOURCE, _TARGET, _OWNER, _OWNER_Q, _DELAY, _SYMMETRIC = 0, 1, 2, 3, 4, 5
_TRANSPOSE_COLUMNS = 6


@compiled(boundscheck=False)
def _gather_transposed(w: Any, first: int, real: int, fired: Any, scale: Any, acc: Any, extra: Any) -> None:
    """Add ``scale`` times the transposed weight's sum over ``fired`` to ``extra``, one entry per row of the projection.

    ``w`` is ``[blocks, rows, width]``, ``first`` the projection's first row, ``real`` its number of rows, ``fired`` the
    units that fired, ascending, and ``acc`` room for ``real`` numbers.
    """
    width = w.shape[2]
    acc[:real] = 0
    k = 0
    while k < len(fired):
        b = fired[k] // width
        last = k
        while last < len(fired) and fired[last] // width == b:
            last += 1
        block = w[b]
        # Several columns of a block in one walk: its rows lie far apart, and several columns share a page of memory.
        while k < last:
            c0 = fired[k] - b * width
            if k + 3 < last:
                c1, c2, c3 = fired[k + 1] - b * width, fired[k + 2] - b * width, fired[k + 3] - b * width
                for i in range(real):
                    r = first + i
                    acc[i] = acc[i] + block[r, c0] + block[r, c1] + block[r, c2] + block[r, c3]
                k += 4
            else:
                for i in range(real):
                    acc[i] += block[first + i, c0]
                k += 1
    for i in range(real):
        extra[i] += scale * acc[i]


@compiled(boundscheck=False)
def _update_transposed(
    w: Any, n: int, first: int, post: Any, pre: Any, numbers: Any, factor: int, change: Any, g: Any, bits: Any
) -> None:
    """The symmetric rule: rows ``first + post`` of ``w`` ``[blocks, rows, width]`` after a step where ``post`` fired.

    ``pre`` are the units, of the ``n`` whose weights these are, that had fired; the last three are room, ``[n]`` each.
    """
    width = w.shape[2]
    change[:n] = -numbers[1]
    for k in range(len(pre)):
        change[pre[k]] = numbers[0]
    for k in range(len(post)):
        r = first + post[k]
        for b in range(w.shape[0]):
            low = b * width
            real = min(width, n - low)
            row = w[b, r, :real]
            _factors(row, factor, numbers[2], g[:real], bits[:real])
            for j in range(real):
                row[j] += change[low + j] * g[j]


@compiled(boundscheck=False)
def _run_network(
    memory: int,  # steps of the past that delays can reach
    steps: int,
    given_offsets: Any,  # int64 [populations, memory + steps + 1] into given: the past of all, the present of inputs
    given: Any,  # int32: neurons
    is_input: Any,  # bool [populations], in topological order
    table: Any,  # int64 [populations, columns]
    source: Any,  # int64 [all projections]: number of the source population
    delay: Any,  # int64 [all projections]
    transposes: Any,  # int64 [transposes, columns]
    transpose_scale: Any,  # [transposes]
    weights: Any,
    first_row: Any,
    scale: Any,
    plastic: Any,
    params: Any,
    v: Any,
    wait: Any,
    rule: int,
    numbers: Any,
    factor: int,
    trace_pre: Any,
    trace_post: Any,
    bits: Any,
) -> Any:
    """Step all populations together; returns the spikes of the present steps as (offsets, neurons), by population."""
    populations = len(is_input)
    total = memory + steps
    begin = np.zeros((populations, total), dtype=np.int64)  # of each population and step, in the log
    end = np.zeros((populations, total), dtype=np.int64)
    log = np.empty(4096 + len(given), dtype=np.int32)
    used = 0
    units = len(v)
    extra = np.zeros(units, dtype=weights.dtype)
    fed_back = np.zeros(populations, dtype=np.bool_)
    rows_of = np.empty(len(trace_pre) + 1, dtype=np.int32)
    longest = max(units, len(trace_pre)) + 1
    acc = np.empty(longest, dtype=weights.dtype)
    g = np.empty(longest, dtype=weights.dtype)
    room = np.empty(longest, dtype=bits.dtype)
    for t in range(total):
        if t >= memory:
            # Weights as the last step left them: before any population of this step changes its own.
            for p in range(populations):
                if fed_back[p]:
                    extra[table[p, _U0] : table[p, _U0] + table[p, _BLOCKS] * table[p, _WIDTH]] = 0
                    fed_back[p] = False
            for z in range(len(transposes)):
                s, then = transposes[z, _SOURCE], t - transposes[z, _DELAY]
                if begin[s, then] == end[s, then]:
                    continue
                p, o = transposes[z, _TARGET], transposes[z, _OWNER]
                w0, size = table[o, _W0], table[o, _BLOCKS] * table[o, _ROWS] * table[o, _WIDTH]
                w = weights[w0 : w0 + size].reshape(table[o, _BLOCKS], table[o, _ROWS], table[o, _WIDTH])
                first = first_row[table[o, _F0] + transposes[z, _OWNER_Q]]
                u0 = table[p, _U0]
                fired = log[begin[s, then] : end[s, then]]
                _gather_transposed(w, first, table[p, _N], fired, transpose_scale[z], acc, extra[u0:])
                fed_back[p] = True
        for p in range(populations):
            if t < memory or is_input[p]:
                count = given_offsets[p, t + 1] - given_offsets[p, t]
                if used + count > len(log):
                    more = np.empty(2 * (used + count), dtype=np.int32)
                    more[:used] = log[:used]
                    log = more
                log[used : used + count] = given[given_offsets[p, t] : given_offsets[p, t + 1]]
                begin[p, t], end[p, t] = used, used + count
                used += count
                continue
            projections, blocks, rows, width = (
                table[p, _PROJECTIONS],
                table[p, _BLOCKS],
                table[p, _ROWS],
                table[p, _WIDTH],
            )
            w0, u0, r0, q0, f0, t0 = (
                table[p, _W0],
                table[p, _U0],
                table[p, _R0],
                table[p, _Q0],
                table[p, _F0],
                table[p, _T0],
            )
            pointers = np.zeros((projections, 2), dtype=np.int64)
            here = 0
            for q in range(projections):
                s, then = source[q0 + q], t - delay[q0 + q]
                pointers[q, 0] = here
                for k in range(begin[s, then], end[s, then]):
                    rows_of[here] = log[k] + first_row[f0 + q]
                    here += 1
                pointers[q, 1] = here
            n_units = blocks * width
            _, neurons = _run_population(
                table[p, _N],
                1,
                weights[w0 : w0 + rows * n_units].reshape(blocks, rows, width),
                pointers,
                rows_of[:here],
                first_row[f0 : f0 + projections + 1],
                scale[q0 : q0 + projections],
                plastic[q0 : q0 + projections],
                params[6 * u0 : 6 * (u0 + n_units)].reshape(6, n_units),
                table[p, _STRICT] == 1,
                table[p, _SUBTRACT] == 1,
                table[p, _REFRACTORY],
                table[p, _HOLD] == 1,
                table[p, _QUIET] == 1,
                v[u0 : u0 + n_units],
                wait[u0 : u0 + n_units],
                rule,
                numbers,
                factor,
                trace_pre[r0 : r0 + rows],
                trace_post[t0 : t0 + projections * n_units].reshape(projections, n_units),
                bits[r0 : r0 + rows],
                fed_back[p],
                extra[u0 : u0 + n_units],
            )
            count = len(neurons)
            if used + count > len(log):
                more = np.empty(2 * (used + count), dtype=np.int32)
                more[:used] = log[:used]
                log = more
            for k in range(count):
                log[used + k] = neurons[k]
            begin[p, t], end[p, t] = used, used + count
            used += count
        if t >= memory and rule == _SRC:
            for z in range(len(transposes)):
                if transposes[z, _SYMMETRIC] == 0:
                    continue
                p, o, s = transposes[z, _TARGET], transposes[z, _OWNER], transposes[z, _SOURCE]
                if begin[p, t] == end[p, t]:
                    continue
                then = t - transposes[z, _DELAY]
                w0, size = table[o, _W0], table[o, _BLOCKS] * table[o, _ROWS] * table[o, _WIDTH]
                w = weights[w0 : w0 + size].reshape(table[o, _BLOCKS], table[o, _ROWS], table[o, _WIDTH])
                first = first_row[table[o, _F0] + transposes[z, _OWNER_Q]]
                post, pre = log[begin[p, t] : end[p, t]], log[begin[s, then] : end[s, then]]
                _update_transposed(w, table[o, _N], first, post, pre, numbers, factor, acc, g, room)
    offsets = np.zeros((populations, steps + 1), dtype=np.int64)
    fired = np.empty(used, dtype=np.int32)
    here = 0
    for p in range(populations):
        offsets[p, 0] = here
        for t in range(steps):
            for k in range(begin[p, memory + t], end[p, memory + t]):
                fired[here] = log[k]
                here += 1
            offsets[p, t + 1] = here
    return offsets, fired


@compiled()
def _outside(w: Any, first: int, last: int, limit: Any) -> bool:
    """Whether some rows of ``w`` ``[blocks, rows, width]`` hold NaN, or a value beyond ``limit``."""
    found = False
    for b in range(w.shape[0]):
        block = w[b]
        for r in range(first, last):
            for j in range(w.shape[2]):
                found |= not abs(block[r, j]) <= limit
        if found:
            return True
    return False


class _Population:
    """The compiled kernel's view of one population: blocked weights, parameters, state."""

    def __init__(self, network: SpikingNetwork, name: str, rule: PlasticityRule | None) -> None:
        population = network.population(name)
        dtype = torch.empty(0, dtype=network.dtype).numpy().dtype
        self.name, self.n = name, population.size
        # Through transposed weights comes what the loop over steps adds; they have no rows here.
        self.numbers = [k for k in network.incoming(name) if network.projections[k].transpose_of is None]
        incoming = [network.projections[k] for k in self.numbers]
        self.projections = incoming
        block_width = min(BLOCK, -(-self.n // 16) * 16)
        blocks = -(-self.n // block_width)
        width = blocks * block_width
        sizes = [network.population(p.source).size for p in incoming]
        self.first_row = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.weights = np.zeros((blocks, int(self.first_row[-1]), block_width), dtype=dtype)
        for q, projection in enumerate(incoming):
            assert projection.weight is not None  # the network checks it for every kind supported here
            padded = np.zeros((width, sizes[q]), dtype=dtype)
            padded[: self.n] = projection.weight.detach().cpu().numpy()
            block = padded.reshape(blocks, block_width, sizes[q]).transpose(0, 2, 1)
            self.weights[:, self.first_row[q] : self.first_row[q + 1]] = block
        p = population.lif_params(network.dtype)
        bias = torch.as_tensor(population.bias, dtype=network.dtype)
        self.params = np.zeros((6, width), dtype=dtype)
        for k, value in enumerate((p.threshold, p.decay, p.leak, p.reset_value, p.amount, bias)):
            self.params[k, : self.n] = value.numpy()
        # Leaky integrators never fire, nor do units that only fill the last block.
        self.params[0, 0 if population.kind == "li" else self.n :] = np.inf
        self.v = self.params[2].copy()
        self.wait = np.zeros(width, dtype=np.int64)
        self.scale = np.array([q.scale for q in incoming], dtype=dtype)
        self.plastic = np.array([q.plastic and rule is not None for q in incoming], dtype=np.bool_)
        self.strict, self.subtract = p.compare == ">", p.reset == "subtract"
        self.refractory, self.hold = population.refractory, p.while_refractory == "hold"
        real = self.params[:, : self.n]
        self.quiet = (
            self.refractory == 0
            and not self.subtract
            and bool((real[0] > 0).all())
            and bool((real[3] < real[0]).all())
            and not real[2].any()
            and not real[5].any()
            and not (self.v >= self.params[0]).any()
        )
        self.trace_pre = np.zeros(int(self.first_row[-1]), dtype=dtype)
        self.trace_post = np.zeros((len(incoming), width), dtype=dtype)
        self.bits = np.zeros(int(self.first_row[-1]), dtype=np.int32 if dtype.itemsize == 4 else np.int64)
        self.rule, self.factor = _NONE, 0
        parameters: tuple[float, ...] = (0.0,)
        if isinstance(rule, SRCRule):
            self.rule, self.factor = _SRC, FACTORS.index(rule.factor)
            parameters = (rule.inc, rule.dec, rule.width)
        elif isinstance(rule, PairSTDP):
            self.rule = _STDP
            parameters = (rule.a_plus, rule.a_minus, rule.decay_plus, rule.decay_minus, rule.w_min, rule.w_max)
        self.rule_numbers = np.array(parameters, dtype=dtype)

    def run(self, pointers: npt.NDArray[np.int64], indices: npt.NDArray[np.int32], steps: int) -> SpikeEvents:
        times, neurons = _run_population(
            self.n,
            steps,
            self.weights,
            pointers,
            indices,
            self.first_row,
            self.scale,
            self.plastic,
            self.params,
            self.strict,
            self.subtract,
            self.refractory,
            self.hold,
            self.quiet,
            self.v,
            self.wait,
            self.rule,
            self.rule_numbers,
            self.factor,
            self.trace_pre,
            self.trace_post,
            self.bits,
            False,
            self.v,
        )
        return SpikeEvents._trusted_times(times, neurons, steps=steps, n=self.n)

    def weight(self, q: int) -> Tensor:
        rows = self.weights[:, self.first_row[q] : self.first_row[q + 1]]
        dense = rows.transpose(0, 2, 1).reshape(-1, rows.shape[1])[: self.n]
        return torch.from_numpy(np.ascontiguousarray(dense))


class _Loop:
    """The compiled loop over steps: everything of all populations in one array each, of which theirs become views."""

    def __init__(self, network: SpikingNetwork, populations: Mapping[str, _Population], memory: int) -> None:
        self._names, self._memory = list(network.order), memory
        number = {name: k for k, name in enumerate(self._names)}
        self._is_input = np.array([name not in populations for name in self._names], dtype=np.bool_)
        self._table = np.zeros((len(self._names), _POPULATION_COLUMNS), dtype=np.int64)
        own = [populations[name] for name in self._names if name in populations]
        for p in own:
            blocks, rows, width = p.weights.shape
            row = self._table[number[p.name]]
            row[[_N, _BLOCKS, _ROWS, _WIDTH]] = p.n, blocks, rows, width
            row[[_PROJECTIONS, _REFRACTORY]] = len(p.projections), p.refractory
            row[[_STRICT, _SUBTRACT, _HOLD, _QUIET]] = p.strict, p.subtract, p.hold, p.quiet

        dtype = torch.empty(0, dtype=network.dtype).numpy().dtype

        def joined(key: str, column: int | None, kind: Any, *, share: bool = True) -> npt.NDArray[Any]:
            """One array of all populations' ``key``; says in ``column`` where each one's part begins."""
            parts = [getattr(p, key) for p in own]
            whole = np.concatenate([part.reshape(-1) for part in parts] or [np.zeros(0)]).astype(kind)
            begin = 0
            for p, part in zip(own, parts, strict=True):
                if column is not None:
                    self._table[number[p.name], column] = begin
                if share:
                    setattr(p, key, whole[begin : begin + part.size].reshape(part.shape))
                begin += part.size
            return whole

        bits = np.int32 if dtype.itemsize == 4 else np.int64
        self._weights = joined("weights", _W0, dtype)
        self._v = joined("v", _U0, dtype)
        self._wait = joined("wait", None, np.int64)
        self._params = joined("params", None, dtype)
        self._trace_pre = joined("trace_pre", _R0, dtype)
        self._trace_post = joined("trace_post", _T0, dtype)
        self._bits = joined("bits", None, bits)
        self._first_row = joined("first_row", _F0, np.int64, share=False)
        self._scale = joined("scale", _Q0, dtype)
        self._plastic = joined("plastic", None, np.bool_)
        self._source = np.array([number[q.source] for p in own for q in p.projections], dtype=np.int64)
        self._delay = np.array([q.delay for p in own for q in p.projections], dtype=np.int64)
        shared = [(k, q) for k, q in enumerate(network.projections) if q.transpose_of is not None]
        self._transposes = np.zeros((len(shared), _TRANSPOSE_COLUMNS), dtype=np.int64)
        for z, (k, q) in enumerate(shared):
            owner = network.owner(k)
            whose = populations[network.projections[owner].target]
            self._transposes[z] = (
                number[q.source],
                number[q.target],
                number[whose.name],
                whose.numbers.index(owner),
                q.delay,
                q.symmetric_rule,
            )
        self._transpose_scale = np.array([q.scale for _, q in shared], dtype=dtype)
        first = own[0] if own else None
        self._rule = _NONE if first is None else first.rule
        self._factor = 0 if first is None else first.factor
        self._numbers = np.zeros(1, dtype=dtype) if first is None else first.rule_numbers

    def run(self, past: Mapping[str, SpikeEvents], inputs: Mapping[str, SpikeEvents], steps: int) -> dict[str, Any]:
        """Advance by ``steps``; spikes of every population, ``past`` and present of all of them taken together."""
        total = self._memory + steps
        offsets = np.zeros((len(self._names), total + 1), dtype=np.int64)
        parts, base = [], 0
        for k, name in enumerate(self._names):
            present = inputs.get(name, SpikeEvents.empty(past[name].n, steps))
            seen = SpikeEvents.concatenate((past[name], present), present.n)
            offsets[k] = seen.offsets + base
            base += seen.count
            parts.append(seen.indices)
        found, neurons = _run_network(
            self._memory,
            steps,
            offsets,
            np.concatenate(parts),
            self._is_input,
            self._table,
            self._source,
            self._delay,
            self._transposes,
            self._transpose_scale,
            self._weights,
            self._first_row,
            self._scale,
            self._plastic,
            self._params,
            self._v,
            self._wait,
            self._rule,
            self._numbers,
            self._factor,
            self._trace_pre,
            self._trace_post,
            self._bits,
        )
        return {
            name: inputs[name]
            if name in inputs
            else SpikeEvents._trusted(past[name].n, found[k] - found[k, 0], neurons[found[k, 0] : found[k, -1]])
            for k, name in enumerate(self._names)
        }


class _EventSession(Session):
    def __init__(self, network: SpikingNetwork, rule: PlasticityRule | None) -> None:
        self._network = network
        self._populations = {p.name: _Population(network, p.name, rule) for p in network.layers}
        self._memory = max([p.delay for p in network.projections], default=0)
        self._past = {p.name: SpikeEvents.empty(p.size, self._memory) for p in network.populations}
        place = {name: k for k, name in enumerate(network.order)}
        loops = any(p.transpose_of is not None or place[p.source] >= place[p.target] for p in network.projections)
        self._loop = _Loop(network, self._populations, self._memory) if loops else None
        self._weighted = [k for k, p in enumerate(network.projections) if p.weight is not None]
        # Which weights may have changed since they were last looked at, and the bound that they were held against.
        self._unseen, self._bound = set(self._weighted), math.nan
        # With traces a unit's weights change after its spike too; the rule of sleep changes those of units that fire.
        self._gated = rule is None or isinstance(rule, SRCRule)

    def run(self, inputs: Mapping[str, SpikeEvents]) -> dict[str, SpikeEvents]:
        steps = check_inputs(self._network, inputs)
        if self._loop is None:
            fired = self._advance(inputs, steps)
        else:
            fired = self._loop.run(self._past, inputs, steps)
            if self._memory:
                seen = {n: SpikeEvents.concatenate((self._past[n], e), e.n) for n, e in fired.items()}
                self._past = {n: e.slice(e.steps - self._memory, e.steps) for n, e in seen.items()}
        for k, projection in enumerate(self._network.projections):
            if projection.plastic and (not self._gated or fired[projection.target].count):
                self._unseen.add(self._network.owner(k))
        return fired

    def _advance(self, inputs: Mapping[str, SpikeEvents], steps: int) -> dict[str, SpikeEvents]:
        # Past and present of every population, those in topological order that have been stepped.
        seen = {n: SpikeEvents.concatenate((self._past[n], e), e.n) for n, e in inputs.items()}
        fired: dict[str, SpikeEvents] = dict(inputs)
        for name in self._network.order:
            if name in inputs:
                continue
            population = self._populations[name]
            pointers = np.zeros((len(population.projections), steps + 1), dtype=np.int64)
            rows: list[npt.NDArray[np.int32]] = []
            base = 0
            for q, projection in enumerate(population.projections):
                begin = self._memory - projection.delay
                window = seen[projection.source].slice(begin, begin + steps)
                pointers[q] = window.offsets + base
                base += window.count
                rows.append(window.indices + np.int32(population.first_row[q]))
            indices = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int32)
            fired[name] = population.run(pointers, indices, steps)
            seen[name] = SpikeEvents.concatenate((self._past[name], fired[name]), population.n)
        if self._memory:
            self._past = {n: e.slice(e.steps - self._memory, e.steps) for n, e in seen.items()}
        return fired

    def weights(self) -> list[Tensor]:
        found: dict[int, Tensor] = {}
        for population in self._populations.values():
            for q, number in enumerate(population.numbers):
                found[number] = population.weight(q)
        return [found[number] for number in sorted(found)]

    def weights_at(self, number: int, post: npt.NDArray[np.int64], pre: npt.NDArray[np.int64]) -> Tensor:
        wanted = self._weighted[number]
        population = next(p for p in self._populations.values() if wanted in p.numbers)
        first, width = population.first_row[population.numbers.index(wanted)], population.weights.shape[2]
        return torch.from_numpy(population.weights[post // width, first + pre, post % width])

    def outliers(self, bound: float) -> list[int]:
        if bound != self._bound:
            self._unseen, self._bound = set(self._weighted), bound
        found = set()
        for population in self._populations.values():
            real = population.weights.dtype.type
            # The largest number of the weights' type within the bound: finite, whatever the bound.
            limit = real(min(bound, np.finfo(real).max))
            if limit > bound:
                limit = np.nextafter(limit, real(-np.inf))
            for q, number in enumerate(population.numbers):
                first, last = population.first_row[q], population.first_row[q + 1]
                if number in self._unseen and _outside(population.weights, first, last, limit):
                    found.add(number)
        self._unseen = found
        return [k for k, number in enumerate(self._weighted) if number in found]

    def membranes(self) -> dict[str, Tensor]:
        return {name: torch.from_numpy(p.v[: p.n].copy()) for name, p in self._populations.items()}


@register_engine
class EventEngine(Engine):
    """Compiled and event-driven; the default for sleep. CPU only, float32 or float64 after the network's weights."""

    name: ClassVar[str] = "event"
    population_kinds: ClassVar[frozenset[str]] = frozenset({"input", "lif", "li"})
    projection_kinds: ClassVar[frozenset[str]] = frozenset({"dense", "recurrent"})
    rules: ClassVar[frozenset[str]] = frozenset({SRCRule.name, PairSTDP.name})
    transposes: ClassVar[bool] = True
    symmetric_rules: ClassVar[frozenset[str]] = frozenset({SRCRule.name})
    batches: ClassVar[bool] = True
    spike_counts: ClassVar[bool] = True

    def _start(self, network: SpikingNetwork, rule: PlasticityRule | None, device: str) -> Session:
        return _EventSession(network, rule)

    def _check_batch(self, network: SpikingNetwork, device: str) -> None:
        super()._check_batch(network, device)
        if torch.device(device).type != "cpu":
            raise UnsupportedError(
                f"The engine 'event' steps no batches on the device {device!r}.",
                expected="device='cpu'",
                hint="engine='reference'",
            )
        if len(network.inputs) != 1:
            raise UnsupportedError(
                f"The engine 'event' steps no batches of a network with {len(network.inputs)} input populations.",
                expected="one input population",
                hint="ns.simulate takes spikes of several by name",
            )

    def _start_batch(self, network: SpikingNetwork, batch: int, device: str) -> BatchSession:
        # It builds on what is compiled in this file.
        from neurosleep.spiking.engines.event.batch import EventBatchSession

        return EventBatchSession(network, batch)
