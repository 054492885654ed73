"""Compiled: one population over a chunk of steps of several streams, which share its weights and change them together.

Streams take turns within a step, and at its end the weights of the units that fired in any of them change once. As in
one stream, blocks of units are stepped one after another, each through all steps of the chunk.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from neurosleep._compiled import compiled
from neurosleep.spiking.engines.event.batch_kernels import (
    block_of,
    note,
    reset_fired,
    step_ready,
    step_refractory,
    sum_arriving,
)
from neurosleep.spiking.engines.event.kernels import gather, learn_column, longer, step_quiet
from neurosleep.spiking.engines.event.rule_kernels import SRC

__all__ = ["Learning", "by_stream", "run_streams"]


class Learning(NamedTuple):
    """How weights change."""

    rule: Any
    mean: bool  # whether by the mean of the updates of the streams in which a unit fired, or by their sum
    plastic: Any  # bool [projections]
    first_row: Any  # int64 [projections + 1]
    bits: Any  # room for factors: int32 or int64 [rows], as wide as the weights


class _Room(NamedTuple):
    """Room for what learning in one step of a block computes."""

    together: Any  # [rows]: in how many streams a source fired with the unit
    change: Any  # [rows]
    column: Any  # [rows]
    g: Any  # [rows]
    latest: Any  # int64 [width]: of each unit its latest spike in this step, -1 if there is none left to learn from


@compiled(boundscheck=False)
def by_stream(offsets: Any, neurons: Any, n: int, streams: int) -> Any:
    """Events of all streams side by side as offsets ``[steps * streams + 1]``, streams of a step in turn, and rows."""
    steps = len(offsets) - 1
    places = np.zeros(steps * streams + 1, dtype=np.int64)
    rows = np.empty(offsets[steps] - offsets[0], dtype=np.int32)
    used = 0
    for t in range(steps):
        k = offsets[t]
        for s in range(streams):
            low, high = s * n, (s + 1) * n
            while k < offsets[t + 1] and neurons[k] < high:
                rows[used] = neurons[k] - low
                used += 1
                k += 1
            places[t * streams + s + 1] = used
    return places, rows


@compiled(boundscheck=False)
def _learn(w: Any, learning: Any, sources: Any, place: int, spikes: Any, room: Any) -> None:
    """Change the weights of the units that fired in a step: ``spikes`` int64 ``[2, spikes]`` are streams and units.

    ``place`` is that of the first stream in the offsets of the step.
    """
    rule, offsets, rows, latest = learning.rule, sources.offsets, sources.rows, room.latest
    inc, dec = rule.numbers[0], rule.numbers[1]
    real = w.dtype.type
    before = np.empty(spikes.shape[1], dtype=np.int64)
    for k in range(spikes.shape[1]):
        before[k] = latest[spikes[1, k]]
        latest[spikes[1, k]] = k
    for last in range(spikes.shape[1]):
        j = spikes[1, last]
        if latest[j] < 0:
            continue
        for q in range(len(learning.plastic)):
            if not learning.plastic[q]:
                continue
            start, stop = learning.first_row[q], learning.first_row[q + 1]
            together, change = room.together[start:stop], room.change[start:stop]
            together[:] = 0
            count = 0
            k = latest[j]
            while k >= 0:
                here = place + spikes[0, k]
                for e in range(offsets[q, here], offsets[q, here + 1]):
                    room.together[rows[e]] += 1
                count += 1
                k = before[k]
            fired = real(count)
            for r in range(stop - start):
                change[r] = inc * together[r] - dec * (fired - together[r])
            if learning.mean:
                for r in range(stop - start):
                    change[r] /= fired
            learn_column(w[start:stop, j], change, rule, room.column, room.g, learning.bits)
        latest[j] = -1


@compiled(boundscheck=False)
def _step_single(
    w: Any, rows: Any, start: int, end: int, v: Any, alpha: Any, decay: Any, threshold: Any, strict: bool, acc: Any
) -> bool:
    """One step of a block of quiet units with one projection; whether any of them is above its threshold."""
    width = len(v)
    if start == end:
        for j in range(width):
            v[j] *= decay[j]
        return False
    gather(w, rows, start, end, acc)
    return step_quiet(v, decay, threshold, strict, alpha, acc)


@compiled(boundscheck=False)
def run_streams(neurons: Any, sources: Any, learning: Any, span: Any, v: Any, wait: Any) -> Any:
    """Step one population of every stream through a chunk; its spikes as (times, streams, units), block by block.

    ``v`` is ``[streams, blocks * width]``, ``wait`` int64 of the same shape, or ``[1, ...]`` where no unit ever waits;
    offsets of ``sources`` are as :func:`by_stream` has them, its delays 0.
    """
    blocks, inputs, width = sources.weights.shape
    streams, dtype = span.samples, sources.weights.dtype
    acc, total = np.empty(width, dtype=dtype), np.empty(width, dtype=dtype)
    marks = np.zeros(width, dtype=np.uint8)
    words = marks.view(np.uint64)
    fired = np.empty(width, dtype=np.int64)
    room = _Room(
        np.empty(inputs, dtype=dtype),
        np.empty(inputs, dtype=dtype),
        np.empty(inputs, dtype=dtype),
        np.empty(inputs, dtype=dtype),
        np.full(width, -1, dtype=np.int64),
    )
    times = np.empty(1024, dtype=np.int64)
    # Streams and units of the spikes so far.
    spikes = np.empty((2, 1024), dtype=np.int64)
    used = 0
    offsets, rows = sources.offsets, sources.rows
    single = neurons.quiet and len(sources.scale) == 1
    for b in range(blocks):
        low = b * width
        w = sources.weights[b]
        decay, threshold = neurons.params[1, low : low + width], neurons.params[0, low : low + width]
        # A quiet unit at 0 stays there until something arrives.
        at_rest = np.zeros(streams, dtype=np.bool_)
        for s in range(streams):
            at_rest[s] = single and not v[s, low : low + width].any()
        for t in range(span.steps):
            first = used
            for s in range(streams):
                place = t * streams + s
                if single:
                    if offsets[0, place] == offsets[0, place + 1] and at_rest[s]:
                        continue
                    at_rest[s] = False
                    here = v[s, low : low + width]
                    if not _step_single(
                        w,
                        rows,
                        offsets[0, place],
                        offsets[0, place + 1],
                        here,
                        sources.scale[0],
                        decay,
                        threshold,
                        neurons.strict,
                        acc,
                    ):
                        continue
                    for j in range(width):
                        marks[j] = here[j] > threshold[j] if neurons.strict else here[j] >= threshold[j]
                block = block_of(neurons, sources.base, v, wait, s, b, width, min(width, neurons.n - low))
                if not single:
                    sum_arriving(w, block.base, sources, place, acc, total)
                    if neurons.refractory == 0:
                        step_ready(block, neurons.strict, total, marks)
                    else:
                        step_refractory(block, neurons, total, marks)
                count = note(words, 0, fired, 0)
                if used + count > len(times):
                    times = longer(times, used, count)
                    more = np.empty((2, len(times)), dtype=np.int64)
                    more[:, :used] = spikes[:, :used]
                    spikes = more
                for k in range(count):
                    times[used + k] = t
                    spikes[0, used + k] = s
                    spikes[1, used + k] = fired[k]
                used += count
                reset_fired(block, neurons.subtract, fired[:count], 0)
            if used > first:
                if learning.rule.kind == SRC:
                    _learn(w, learning, sources, t * streams, spikes[:, first:used], room)
                for k in range(first, used):
                    spikes[1, k] += low
    return times[:used], spikes[0, :used], spikes[1, :used]
