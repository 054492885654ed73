"""Compiled: populations that convolutions, pooling or graded values reach, over a whole stretch of steps at once.

A spike adds a few runs of weights to a few stretches of the input sums: sums lie position by position, all channels of
a block together, so that a run is as long as a row of the kernel times the channels. What fired at the same position
is added together, which halves the traffic of the sums. A block of channels is stepped through all samples and steps
before the next one, so that its weights stay in the processor's cache.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from neurosleep._compiled import compiled
from neurosleep.spiking.engines.event.batch_kernels import (
    Events,
    block_of,
    note,
    reset_fired,
    step_ready,
    step_refractory,
)
from neurosleep.spiking.engines.event.kernels import longer
from neurosleep.spiking.engines.event.pooled_kernels import learn_pooled

__all__ = ["Given", "Kind", "Synapses", "run_grid"]


class Synapses(NamedTuple):
    """All that ends in a population; rows are the neurons of all sources one after another."""

    place: Any  # int64 [blocks, rows]: which list of runs a row has; the last list is empty
    weight_at: Any  # int64 [rows]: where the weights of a row start
    sum_at: Any  # int64 [blocks, rows]: what is added to where its runs start in the sums
    first: Any  # int64 [lists + 1] into the runs
    run_sum: Any  # int64 [runs]: where a run starts in the sums
    run_weight: Any  # int64 [runs]: and in the weights of a row
    run_length: Any  # int64 [runs]
    weights: Any  # [blocks, weights of all rows]
    scale: Any  # [projections]
    divisor: Any  # [projections]
    delay: Any  # int64 [projections]
    single: (
        Any  # bool [projections]: whether no row has more than one run of one weight, as of poolings without overlap
    )
    sums: Any  # [width]: room for what arrives through a projection in a step, 0 before and after
    neuron_of: Any  # int32 [blocks, width]: numbers of the neurons, -1 of filler


class Given(NamedTuple):
    """What arrives in a stretch."""

    offsets: Any  # int64 [projections, samples * (memory + steps) + 1] into rows
    rows: Any  # int64
    values: Any  # as many; none where all are spikes
    base: Any  # [1 or samples, blocks * width]: what arrives in every step, bias included


class Kind(NamedTuple):
    """What a population does with what arrives."""

    relays: bool  # whether it sends what arrives
    alike: bool  # whether threshold, decay and leak of all units are the same, and filler is silent with them too


@compiled(boundscheck=False)
def _spread(synapses: Any, b: int, given: Any, start: int, end: int, sums: Any) -> None:
    """Add what events ``start`` to ``end`` make arrive to ``sums``."""
    place, weight_at, sum_at = synapses.place[b], synapses.weight_at, synapses.sum_at[b]
    first, run_sum, run_weight, run_length = synapses.first, synapses.run_sum, synapses.run_weight, synapses.run_length
    w, rows, values = synapses.weights[b], given.rows, given.values
    graded = len(values) > 0
    one = w.dtype.type(1)
    k = start
    while k < end:
        r0 = rows[k]
        where, shift = place[r0], sum_at[r0]
        low, high = first[where], first[where + 1]
        if low == high:
            k += 1
            continue
        alike = 1
        while alike < 4 and k + alike < end and place[rows[k + alike]] == where and sum_at[rows[k + alike]] == shift:
            alike += 1
        x0 = values[k] if graded else one
        # Unsigned numbers, which cannot count from an array's end: with signed ones these loops are not vectorised.
        w0 = np.uint64(weight_at[r0])
        if alike == 4:
            w1, w2, w3 = (
                np.uint64(weight_at[rows[k + 1]]),
                np.uint64(weight_at[rows[k + 2]]),
                np.uint64(weight_at[rows[k + 3]]),
            )
            x1 = values[k + 1] if graded else one
            x2 = values[k + 2] if graded else one
            x3 = values[k + 3] if graded else one
            for r in range(low, high):
                a, o = np.uint64(run_sum[r] + shift), np.uint64(run_weight[r])
                o0, o1, o2, o3 = w0 + o, w1 + o, w2 + o, w3 + o
                for j in range(np.uint64(run_length[r])):
                    sums[a + j] += (x0 * w[o0 + j] + x1 * w[o1 + j]) + (x2 * w[o2 + j] + x3 * w[o3 + j])
        elif alike >= 2:
            alike = 2
            w1 = np.uint64(weight_at[rows[k + 1]])
            x1 = values[k + 1] if graded else one
            for r in range(low, high):
                a, o = np.uint64(run_sum[r] + shift), np.uint64(run_weight[r])
                o0, o1 = w0 + o, w1 + o
                for j in range(np.uint64(run_length[r])):
                    sums[a + j] += x0 * w[o0 + j] + x1 * w[o1 + j]
        else:
            for r in range(low, high):
                a, o0 = np.uint64(run_sum[r] + shift), w0 + np.uint64(run_weight[r])
                if run_length[r] == 1:
                    sums[a] += x0 * w[o0]
                    continue
                for j in range(np.uint64(run_length[r])):
                    sums[a + j] += x0 * w[o0 + j]
        k += alike


@compiled(boundscheck=False)
def _spread_single(synapses: Any, b: int, given: Any, start: int, end: int, sums: Any) -> None:
    """The same of rows that reach one unit at most: what starts a loop costs more than one turn of it."""
    place, weight_at, sum_at = synapses.place[b], synapses.weight_at, synapses.sum_at[b]
    first, run_sum, run_weight = synapses.first, synapses.run_sum, synapses.run_weight
    w, rows, values = synapses.weights[b], given.rows, given.values
    graded, one = len(values) > 0, w.dtype.type(1)
    for k in range(start, end):
        row = rows[k]
        r = first[place[row]]
        if r < first[place[row] + 1]:
            x = values[k] if graded else one
            sums[run_sum[r] + sum_at[row]] += x * w[weight_at[row] + run_weight[r]]


@compiled(boundscheck=False)
def _sum(synapses: Any, b: int, given: Any, at: int, base: Any, room: Any) -> Any:
    """All that arrives in a step, whose events are at ``at`` of the offsets but for delays."""
    offsets, delay, sums = given.offsets, synapses.delay, synapses.sums
    total = base
    for q in range(len(delay)):
        start, end = offsets[q, at - delay[q]], offsets[q, at - delay[q] + 1]
        if start == end:
            continue
        if synapses.single[q]:
            _spread_single(synapses, b, given, start, end, sums)
        else:
            _spread(synapses, b, given, start, end, sums)
        alpha, divisor = synapses.scale[q], synapses.divisor[q]
        if divisor == 1:
            for j in range(len(room)):
                room[j] = total[j] + alpha * sums[j]
                sums[j] = 0
        else:
            for j in range(len(room)):
                room[j] = total[j] + alpha * (sums[j] / divisor)
                sums[j] = 0
        total = room
    return total


@compiled(boundscheck=False)
def _step_alike(block: Any, strict: bool, total: Any, marks: Any) -> None:
    """The same as :func:`step_ready` for units that are all alike: their parameters need not be read."""
    v, decay, leak, threshold = block.v, block.decay[0], block.leak[0], block.threshold[0]
    if strict:
        for j in range(len(total)):
            v[j] = leak + decay * (v[j] - leak) + total[j]
            marks[j] = v[j] > threshold
    else:
        for j in range(len(total)):
            v[j] = leak + decay * (v[j] - leak) + total[j]
            marks[j] = v[j] >= threshold


@compiled(boundscheck=False)
def run_grid(
    neurons: Any, synapses: Any, given: Any, span: Any, v: Any, wait: Any, read_out: Any, kind: Any, learning: Any
) -> Any:
    """Step one population of every sample through a stretch; returns what it sends.

    ``v`` is ``[samples, blocks * width]``, ``wait`` int64 of the same shape, or ``[1, ...]`` where no unit ever waits.
    What a relay sends has values; spikes have none. Where weights change there is one sample.
    """
    blocks, width = synapses.neuron_of.shape
    steps, samples = span.steps, span.samples
    room = np.empty(width, dtype=v.dtype)
    marks = np.zeros(width, dtype=np.uint8)
    words = marks.view(np.uint64)
    fired = np.empty(width, dtype=np.int32)
    ends = np.zeros((blocks, samples * steps + 1), dtype=np.int64)
    sent = np.empty(4096, dtype=np.int32)
    values = np.empty(4096 if kind.relays else 0, dtype=v.dtype)
    used = 0
    learns = len(learning.geometry.number) > 0
    for b in range(blocks):
        neuron_of = synapses.neuron_of[b]
        ends[b, 0] = used
        for g in range(samples):
            block = block_of(neurons, given.base, v, wait, g, b, width, width)
            for t in range(steps):
                at = g * (span.memory + steps) + span.memory + t
                total = _sum(synapses, b, given, at, block.base, room)
                if kind.relays:
                    for j in range(width):
                        marks[j] = total[j] != 0
                elif neurons.refractory == 0 and kind.alike:
                    _step_alike(block, neurons.strict, total, marks)
                elif neurons.refractory == 0:
                    step_ready(block, neurons.strict, total, marks)
                else:
                    step_refractory(block, neurons, total, marks)
                count = note(words, 0, fired, 0)
                sent = longer(sent, used, count)
                for k in range(count):
                    sent[used + k] = neuron_of[fired[k]]
                if kind.relays:
                    values = longer(values, used, count)
                    for k in range(count):
                        values[used + k] = total[fired[k]]
                else:
                    reset_fired(block, neurons.subtract, fired[:count], 0)
                    if learns and count:
                        learn_pooled(learning, synapses, given, at, b, fired[:count])
                used += count
                ends[b, g * steps + t + 1] = used
                if read_out.tell:
                    for j in range(width):
                        if neuron_of[j] >= 0:
                            read_out.said[t, read_out.first + g, neuron_of[j]] = block.v[j]
    if blocks == 1:
        return Events(ends[0], sent[:used], values[: used if kind.relays else 0])
    return _in_order(ends, sent[:used], values[: used if kind.relays else 0])


@compiled(boundscheck=False)
def _in_order(ends: Any, sent: Any, values: Any) -> Any:
    """The events of all blocks by sample and step; block by block they came."""
    blocks, places = ends.shape
    offsets = np.zeros(places, dtype=np.int64)
    neurons, graded = np.empty_like(sent), np.empty_like(values)
    used = 0
    for k in range(places - 1):
        for b in range(blocks):
            for e in range(ends[b, k], ends[b, k + 1]):
                neurons[used] = sent[e]
                if len(values):
                    graded[used] = values[e]
                used += 1
        offsets[k + 1] = used
    return Events(offsets, neurons, graded)
