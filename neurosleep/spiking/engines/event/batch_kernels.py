"""Compiled: one population of every sample of a batch over a whole stretch of steps, and lists of spikes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from neurosleep._compiled import compiled
from neurosleep.spiking.engines.event.kernels import gather, longer

__all__ = [
    "Block",
    "Events",
    "ReadOut",
    "Sources",
    "Span",
    "block_of",
    "joined",
    "latest",
    "listed",
    "note",
    "repeated",
    "reset_fired",
    "run_stretch",
    "step_ready",
    "step_refractory",
    "sum_arriving",
    "tally",
]

# Gathers the lowest bits of eight bytes, each 0 or 1, in the highest byte; of a single 1 among them tells where.
_COLLECT = np.uint64(0x0102040810204080)
_TOP, _ONE, _NIL = np.uint64(56), np.uint64(1), np.uint64(0)
_PLACE = np.zeros(256, dtype=np.int64)
_PLACE[[1 << _bit for _bit in range(8)]] = np.arange(8)


class Events(NamedTuple):
    """What a population sends: of one sample after another, in each of them step by step."""

    offsets: Any  # int64 [samples * steps + 1]
    neurons: Any  # int32
    values: Any  # of graded ones as many, of spikes none


class Span(NamedTuple):
    """What is stepped: samples one after another, each with steps of the past before the present ones."""

    samples: int
    steps: int
    memory: int


class Sources(NamedTuple):
    """What arrives at a population."""

    weights: Any  # [blocks, rows, width], rows = inputs of all projections one after another
    scale: Any  # [projections]
    delay: Any  # int64 [projections]
    offsets: Any  # int64 [projections, samples * (memory + steps) + 1] into rows
    rows: Any  # int32
    base: Any  # [1 or samples, blocks * width]: what arrives in every step, bias included


class ReadOut(NamedTuple):
    """Where potentials, or numbers of spikes, are told after every step."""

    tell: bool
    said: Any  # [steps, batch, n]
    first: int  # number of the first sample in it


class Block(NamedTuple):
    """Views of one block of units of one sample."""

    threshold: Any
    decay: Any
    leak: Any
    reset_value: Any
    amount: Any
    base: Any
    v: Any
    wait: Any
    real: int  # units that are no filler


@compiled(boundscheck=False)
def note(words: Any, low: int, row: Any, found: int) -> int:
    """Append to ``row`` which bytes of ``words`` are 1, counted from ``low``; returns how many it holds then."""
    for c in range(len(words)):
        word = words[c]
        while word != _NIL:
            lowest = word & (~word + _ONE)
            row[found] = low + 8 * c + _PLACE[(lowest * _COLLECT) >> _TOP]
            found += 1
            word ^= lowest
    return found


@compiled(boundscheck=False, forceinline=True)
def block_of(neurons: Any, base: Any, v: Any, wait: Any, g: int, b: int, width: int, real: int) -> Any:
    """Views of block ``b`` of sample ``g``, of which ``real`` units count; ``base`` is what arrives in every step."""
    params = neurons.params
    low, high = b * width, (b + 1) * width
    return Block(
        params[0, low:high],
        params[1, low:high],
        params[2, low:high],
        params[3, low:high],
        params[4, low:high],
        base[g if len(base) > 1 else 0, low:high],
        v[g, low:high],
        wait[g if len(wait) > 1 else 0, low:high],
        real,
    )


@compiled(boundscheck=False, forceinline=True)
def sum_arriving(w: Any, base: Any, sources: Any, place: int, acc: Any, total: Any) -> None:
    """All that arrives in a step, whose spikes are at ``place`` of the offsets but for delays."""
    offsets, rows = sources.offsets, sources.rows
    for q in range(len(sources.delay)):
        start, end = offsets[q, place - sources.delay[q]], offsets[q, place - sources.delay[q] + 1]
        if start == end:
            acc[:] = 0
        else:
            gather(w, rows, start, end, acc)
        alpha = sources.scale[q]
        if q == 0:
            for j in range(len(acc)):
                total[j] = base[j] + alpha * acc[j]
        else:
            for j in range(len(acc)):
                total[j] += alpha * acc[j]
    if len(sources.delay) == 0:
        total[:] = base


@compiled(boundscheck=False, forceinline=True)
def step_ready(block: Any, strict: bool, total: Any, marks: Any) -> None:
    """Potentials, and marks of the units that fire."""
    v, decay, leak, threshold = block.v, block.decay, block.leak, block.threshold
    if strict:
        for j in range(len(total)):
            v[j] = leak[j] + decay[j] * (v[j] - leak[j]) + total[j]
            marks[j] = v[j] > threshold[j]
    else:
        for j in range(len(total)):
            v[j] = leak[j] + decay[j] * (v[j] - leak[j]) + total[j]
            marks[j] = v[j] >= threshold[j]


@compiled(boundscheck=False, forceinline=True)
def step_refractory(block: Any, neurons: Any, total: Any, marks: Any) -> None:
    """The same of units that wait after a spike."""
    v, decay, leak, threshold, wait = block.v, block.decay, block.leak, block.threshold, block.wait
    for j in range(block.real):
        waiting = wait[j]
        if waiting <= 0 or not neurons.hold:
            v[j] = leak[j] + decay[j] * (v[j] - leak[j]) + total[j]
        over = v[j] > threshold[j] if neurons.strict else v[j] >= threshold[j]
        marks[j] = over and waiting <= 0
        if waiting > 0:
            wait[j] = waiting - 1
        elif over:
            wait[j] = neurons.refractory
    # The room still holds marks of another block.
    marks[block.real :] = 0


@compiled(boundscheck=False, forceinline=True)
def reset_fired(block: Any, subtract: bool, fired: Any, low: int) -> None:
    """The reset of units that ``fired``, which are counted from ``low``."""
    v, amount, reset_value = block.v, block.amount, block.reset_value
    for neuron in fired:
        j = neuron - low
        if subtract:
            v[j] -= amount[j]
        else:
            v[j] = reset_value[j]


@compiled(boundscheck=False)
def run_stretch(neurons: Any, sources: Any, span: Any, v: Any, wait: Any, read_out: Any) -> Any:
    """Step one population of every sample through a stretch; returns its spikes as (offsets, neurons).

    ``v`` is ``[samples, blocks * width]``, ``wait`` int64 of the same shape, or ``[1, ...]`` where no unit ever waits.
    """
    blocks, _, width = sources.weights.shape
    steps = span.steps
    acc = np.empty(width, dtype=sources.weights.dtype)
    total = np.empty(width, dtype=sources.weights.dtype)
    marks = np.zeros(width, dtype=np.uint8)
    words = marks.view(np.uint64)
    fired = np.empty((steps, blocks * width), dtype=np.int32)
    count = np.empty(steps, dtype=np.int64)
    offsets = np.zeros(span.samples * steps + 1, dtype=np.int64)
    spiking = np.empty(4096, dtype=np.int32)
    used = 0
    for g in range(span.samples):
        count[:] = 0
        for b in range(blocks):
            low = b * width
            real, w = min(width, neurons.n - low), sources.weights[b]
            block = block_of(neurons, sources.base, v, wait, g, b, width, real)
            for t in range(steps):
                sum_arriving(w, block.base, sources, g * (span.memory + steps) + span.memory + t, acc, total)
                if neurons.refractory == 0:
                    step_ready(block, neurons.strict, total, marks)
                else:
                    step_refractory(block, neurons, total, marks)
                before = count[t]
                count[t] = note(words, low, fired[t], before)
                reset_fired(block, neurons.subtract, fired[t, before : count[t]], low)
                if read_out.tell:
                    for j in range(block.real):
                        read_out.said[t, read_out.first + g, low + j] = block.v[j]
        spiking = longer(spiking, used, count.sum())
        for t in range(steps):
            for k in range(count[t]):
                spiking[used + k] = fired[t, k]
            used += count[t]
            offsets[g * steps + t + 1] = used
    return offsets, spiking[:used]


@compiled(boundscheck=False)
def listed(fired: Any, neurons: Any, starts: Any) -> Any:
    """Events of input spikes: ``fired`` uint8 ``[steps, entries]``, entries ``starts[g]`` to ``starts[g + 1]`` of g."""
    steps, samples = len(fired), len(starts) - 1
    offsets = np.zeros(samples * steps + 1, dtype=np.int64)
    events = np.empty(steps * (starts[samples] - starts[0]) + 1, dtype=np.int32)
    used = 0
    for g in range(samples):
        for t in range(steps):
            # Written in any case and kept if it fired: whether it did cannot be foretold, a branch would be dearer.
            for e in range(starts[g], starts[g + 1]):
                events[used] = neurons[e]
                used += fired[t, e]
            offsets[g * steps + t + 1] = used
    return offsets, events[:used]


@compiled(boundscheck=False)
def repeated(counts: Any, neurons: Any, starts: Any) -> Any:
    """The same of several spikes in a step, uint8 ``[steps, entries]``: a neuron is listed as often as it fires."""
    steps, samples = len(counts), len(starts) - 1
    offsets = np.zeros(samples * steps + 1, dtype=np.int64)
    events = np.empty(int(counts.sum()), dtype=np.int32)
    used = 0
    for g in range(samples):
        for t in range(steps):
            for e in range(starts[g], starts[g + 1]):
                for _ in range(counts[t, e]):
                    events[used] = neurons[e]
                    used += 1
            offsets[g * steps + t + 1] = used
    return offsets, events[:used]


@compiled(boundscheck=False)
def tally(events: Any, samples: int, totals: Any, read_out: Any) -> None:
    """Add what samples ``read_out.first`` and following sent to ``totals``; tells them after every step."""
    offsets, neurons, values = events.offsets, events.neurons, events.values
    first, said, graded, one = read_out.first, read_out.said, len(events.values) > 0, totals.dtype.type(1)
    steps = (len(offsets) - 1) // samples
    for g in range(samples):
        for t in range(steps):
            for k in range(offsets[g * steps + t], offsets[g * steps + t + 1]):
                totals[first + g, neurons[k]] += values[k] if graded else one
            if read_out.tell:
                for j in range(totals.shape[1]):
                    said[t, first + g, j] = totals[first + g, j]


@compiled(boundscheck=False, forceinline=True)
def _copy(events: Any, place: int, out: Any, used: int) -> int:
    """Append what was sent at ``place`` to ``out``; returns how many it holds then."""
    for k in range(events.offsets[place], events.offsets[place + 1]):
        out.neurons[used] = events.neurons[k]
        if len(out.values):
            out.values[used] = events.values[k]
        used += 1
    return used


@compiled(boundscheck=False)
def joined(past: Any, present: Any, span: Any) -> Any:
    """Past and present of every sample in one."""
    samples, steps, memory = span.samples, span.steps, span.memory
    both = memory + steps
    room = len(past.neurons) + len(present.neurons)
    graded = len(past.values) + len(present.values) > 0
    out = Events(
        np.zeros(samples * both + 1, dtype=np.int64),
        np.empty(room, dtype=np.int32),
        np.empty(room if graded else 0, dtype=present.values.dtype),
    )
    used = 0
    for g in range(samples):
        for t in range(both):
            if t < memory:
                used = _copy(past, g * memory + t, out, used)
            else:
                used = _copy(present, g * steps + t - memory, out, used)
            out.offsets[g * both + t + 1] = used
    return out


@compiled(boundscheck=False)
def latest(events: Any, memory: int, samples: int) -> Any:
    """The last ``memory`` steps of every sample."""
    steps = (len(events.offsets) - 1) // samples
    out = Events(
        np.zeros(samples * memory + 1, dtype=np.int64), np.empty_like(events.neurons), np.empty_like(events.values)
    )
    used = 0
    for g in range(samples):
        for t in range(memory):
            used = _copy(events, g * steps + steps - memory + t, out, used)
            out.offsets[g * memory + t + 1] = used
    return Events(out.offsets, out.neurons[:used], out.values[: used if len(events.values) else 0])
