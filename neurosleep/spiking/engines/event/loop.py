"""Networks with feedback: all populations together, one step at a time, compiled.

A shared weight that is used transposed is read where it lies: for every unit that fired, one column of its block is
walked, which is the walk that the plasticity of the same spike makes, without its exponentials.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from neurosleep._compiled import compiled
from neurosleep.functional import SpikeEvents
from neurosleep.spiking.engines.event.kernels import Arriving, Neurons, Units, factors, longer, run_population
from neurosleep.spiking.engines.event.population import Population, rule_numbers
from neurosleep.spiking.engines.event.rule_kernels import SRC
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.projections import Transposed

__all__ = ["Loop"]


class _Layout(NamedTuple):
    """Of each population, int64 ``[populations]``: what it is, and where its part starts in the arrays of all."""

    n: Any
    blocks: Any
    rows: Any
    width: Any
    projections: Any
    refractory: Any
    strict: Any
    subtract: Any
    hold: Any
    quiet: Any
    is_input: Any
    first_weight: Any
    first_unit: Any
    first_input: Any  # of rows of weights, twice as many as there are: each has two traces
    first_projection: Any
    first_pointer: Any  # in first_row
    first_trace: Any  # of units, for each projection, twice as many as there are


class _Arrays(NamedTuple):
    """What :class:`Neurons` and :class:`Units` hold, of all populations one after another in one dimension."""

    params: Any
    weights: Any
    first_row: Any
    scale: Any
    plastic: Any
    v: Any
    wait: Any
    trace_pre: Any
    trace_post: Any
    bits: Any
    source: Any  # int64 [all projections]: number of the source population
    delay: Any  # int64 [all projections]


class _Transposes(NamedTuple):
    """Uses of transposed weights, ``[uses]``."""

    source: Any
    target: Any
    owner: Any  # the population whose weights they are
    owner_projection: Any  # which of its projections
    delay: Any
    symmetric: Any  # whether the rule changes them for this use too
    scale: Any


class _Past(NamedTuple):
    """Spikes that are known before: the past of all populations, the present of inputs."""

    memory: int  # steps of the past that delays can reach
    offsets: Any  # int64 [populations, memory + steps + 1] into neurons
    neurons: Any  # int32


class _Room(NamedTuple):
    """Room for what one step computes."""

    extra: Any  # [units]: input through transposed weights
    fed_back: Any  # bool [populations]: whether there is any
    acc: Any
    g: Any
    bits: Any
    rows: Any  # int32: rows that arrive at a population


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
            factors(row, factor, numbers[2], g[:real], bits[:real])
            for j in range(real):
                row[j] += change[low + j] * g[j]


@compiled(boundscheck=False)
def _owner(layout: Any, arrays: Any, transposes: Any, z: int) -> Any:
    """The weights that use ``z`` reads, and their first row."""
    o = transposes.owner[z]
    blocks, rows, width, first = layout.blocks[o], layout.rows[o], layout.width[o], layout.first_weight[o]
    w = arrays.weights[first : first + blocks * rows * width].reshape(blocks, rows, width)
    return w, arrays.first_row[layout.first_pointer[o] + transposes.owner_projection[z]]


@compiled(boundscheck=False)
def _feed_back(layout: Any, arrays: Any, transposes: Any, log: Any, start: Any, end: Any, t: int, room: Any) -> None:
    """What arrives through transposed weights as the last step left them: before any population changes its own."""
    for p in range(len(layout.n)):
        if room.fed_back[p]:
            first = layout.first_unit[p]
            room.extra[first : first + layout.blocks[p] * layout.width[p]] = 0
            room.fed_back[p] = False
    for z in range(len(transposes.source)):
        s, then = transposes.source[z], t - transposes.delay[z]
        if start[s, then] == end[s, then]:
            continue
        p = transposes.target[z]
        w, first = _owner(layout, arrays, transposes, z)
        fired, extra = log[start[s, then] : end[s, then]], room.extra[layout.first_unit[p] :]
        _gather_transposed(w, first, layout.n[p], fired, transposes.scale[z], room.acc, extra)
        room.fed_back[p] = True


@compiled(boundscheck=False)
def _learn_transposed(
    layout: Any, arrays: Any, transposes: Any, rule: Any, log: Any, start: Any, end: Any, t: int, room: Any
) -> None:
    for z in range(len(transposes.source)):
        p, s, then = transposes.target[z], transposes.source[z], t - transposes.delay[z]
        if transposes.symmetric[z] == 0 or start[p, t] == end[p, t]:
            continue
        w, first = _owner(layout, arrays, transposes, z)
        post, pre = log[start[p, t] : end[p, t]], log[start[s, then] : end[s, then]]
        n = layout.n[transposes.owner[z]]
        _update_transposed(w, n, first, post, pre, rule.numbers, rule.factor, room.acc, room.g, room.bits)


@compiled(boundscheck=False)
def _units(layout: Any, arrays: Any, p: int) -> Any:
    """The part of population ``p``."""
    blocks, rows, width, projections = layout.blocks[p], layout.rows[p], layout.width[p], layout.projections[p]
    n = blocks * width
    w0, u0, r0 = layout.first_weight[p], layout.first_unit[p], layout.first_input[p]
    q0, f0, t0 = layout.first_projection[p], layout.first_pointer[p], layout.first_trace[p]
    return Units(
        Neurons(
            layout.n[p],
            arrays.params[6 * u0 : 6 * (u0 + n)].reshape(6, n),
            layout.strict[p] == 1,
            layout.subtract[p] == 1,
            layout.refractory[p],
            layout.hold[p] == 1,
            layout.quiet[p] == 1,
        ),
        arrays.weights[w0 : w0 + rows * n].reshape(blocks, rows, width),
        arrays.first_row[f0 : f0 + projections + 1],
        arrays.scale[q0 : q0 + projections],
        arrays.plastic[q0 : q0 + projections],
        arrays.v[u0 : u0 + n],
        arrays.wait[u0 : u0 + n],
        arrays.trace_pre[r0 : r0 + 2 * rows].reshape(2, rows),
        arrays.trace_post[t0 : t0 + 2 * projections * n].reshape(2, projections, n),
        arrays.bits[r0 // 2 : r0 // 2 + rows],
    )


@compiled(boundscheck=False)
def _arriving(layout: Any, arrays: Any, p: int, log: Any, start: Any, end: Any, t: int, room: Any) -> Any:
    projections, first = layout.projections[p], layout.first_projection[p]
    pointers = np.zeros((projections, 2), dtype=np.int64)
    here = 0
    for q in range(projections):
        s, then = arrays.source[first + q], t - arrays.delay[first + q]
        pointers[q, 0] = here
        for k in range(start[s, then], end[s, then]):
            room.rows[here] = log[k] + arrays.first_row[layout.first_pointer[p] + q]
            here += 1
        pointers[q, 1] = here
    low = layout.first_unit[p]
    extra = room.extra[low : low + layout.blocks[p] * layout.width[p]]
    return Arriving(pointers, room.rows[:here], room.acc[:0], room.fed_back[p], extra.reshape(1, len(extra)))


@compiled(boundscheck=False)
def _room(layout: Any, arrays: Any) -> Any:
    dtype, units, inputs = arrays.weights.dtype, len(arrays.v), len(arrays.bits)
    longest = max(units, inputs) + 1
    return _Room(
        np.zeros(units, dtype=dtype),
        np.zeros(len(layout.n), dtype=np.bool_),
        np.empty(longest, dtype=dtype),
        np.empty(longest, dtype=dtype),
        np.empty(longest, dtype=arrays.bits.dtype),
        np.empty(inputs + 1, dtype=np.int32),
    )


@compiled(boundscheck=False)
def _present(log: Any, start: Any, end: Any, memory: int) -> Any:
    """Spikes of the steps after ``memory`` as (offsets, neurons), by population."""
    populations, steps = start.shape[0], start.shape[1] - memory
    offsets = np.zeros((populations, steps + 1), dtype=np.int64)
    neurons = np.empty((end[:, memory:] - start[:, memory:]).sum(), dtype=np.int32)
    here = 0
    for p in range(populations):
        offsets[p, 0] = here
        for t in range(steps):
            for k in range(start[p, memory + t], end[p, memory + t]):
                neurons[here] = log[k]
                here += 1
            offsets[p, t + 1] = here
    return offsets, neurons


@compiled(boundscheck=False)
def _run_network(past: Any, steps: int, layout: Any, arrays: Any, transposes: Any, rule: Any) -> Any:
    """Step all populations together; returns the spikes of the present steps as (offsets, neurons), by population."""
    memory = past.memory
    # Of each population and step, where its spikes lie in the log.
    start = np.zeros((len(layout.n), memory + steps), dtype=np.int64)
    end = np.zeros((len(layout.n), memory + steps), dtype=np.int64)
    log = np.empty(4096 + len(past.neurons), dtype=np.int32)
    used = 0
    room = _room(layout, arrays)
    for t in range(memory + steps):
        if t >= memory:
            _feed_back(layout, arrays, transposes, log, start, end, t, room)
        for p in range(len(layout.n)):
            start[p, t] = used
            if t < memory or layout.is_input[p]:
                for neuron in past.neurons[past.offsets[p, t] : past.offsets[p, t + 1]]:
                    log[used] = neuron
                    used += 1
            else:
                arriving = _arriving(layout, arrays, p, log, start, end, t, room)
                _, fired = run_population(_units(layout, arrays, p), rule, arriving, 1)
                # Room is left for all of what is known.
                log = longer(log, used, len(fired) + len(past.neurons))
                for neuron in fired:
                    log[used] = neuron
                    used += 1
            end[p, t] = used
        if t >= memory and rule.kind == SRC:
            _learn_transposed(layout, arrays, transposes, rule, log, start, end, t, room)
    return _present(log, start, end, memory)


class Loop:
    """The compiled loop over steps: everything of all populations in one array each, of which theirs become views."""

    def __init__(self, network: SpikingNetwork, populations: Mapping[str, Population], memory: int) -> None:
        self._names, self._memory = list(network.order), memory
        number = {name: k for k, name in enumerate(self._names)}
        layers = [populations[name] for name in self._names if name in populations]
        self._layout = _Layout(*(np.zeros(len(self._names), dtype=np.int64) for _ in _Layout._fields))
        self._layout.is_input[:] = [name not in populations for name in self._names]
        for p in layers:
            blocks, rows, width = p.weights.shape
            neurons = p.neurons
            own = (p.n, blocks, rows, width, len(p.projections), neurons.refractory, neurons.strict, neurons.subtract)
            for column, value in zip(self._layout, (*own, neurons.hold, neurons.quiet), strict=False):
                column[number[p.name]] = value
        dtype = torch.empty(0, dtype=network.dtype).numpy().dtype

        def joined(key: str, firsts: npt.NDArray[np.int64] | None, kind: npt.DTypeLike) -> npt.NDArray[Any]:
            """One array of all populations' ``key``; says in ``firsts`` where each one's part starts."""
            parts = [getattr(p, key) for p in layers]
            whole = np.concatenate([part.reshape(-1) for part in parts] or [np.zeros(0)]).astype(kind)
            start = 0
            for p, part in zip(layers, parts, strict=True):
                if firsts is not None:
                    firsts[number[p.name]] = start
                setattr(p, key, whole[start : start + part.size].reshape(part.shape))
                start += part.size
            return whole

        self._arrays = _Arrays(
            params=joined("params", None, dtype),
            weights=joined("weights", self._layout.first_weight, dtype),
            first_row=joined("first_row", self._layout.first_pointer, np.int64),
            scale=joined("scale", self._layout.first_projection, dtype),
            plastic=joined("plastic", None, np.bool_),
            v=joined("v", self._layout.first_unit, dtype),
            wait=joined("wait", None, np.int64),
            trace_pre=joined("trace_pre", self._layout.first_input, dtype),
            trace_post=joined("trace_post", self._layout.first_trace, dtype),
            bits=joined("bits", None, np.int32 if dtype.itemsize == 4 else np.int64),
            source=np.array([number[q.source] for p in layers for q in p.projections], dtype=np.int64),
            delay=np.array([q.delay for p in layers for q in p.projections], dtype=np.int64),
        )
        uses = []
        for k, q in enumerate(network.projections):
            if isinstance(q, Transposed):
                shared = network.owner(k)
                owner = populations[network.projections[shared].target]
                which = number[owner.name], owner.numbers.index(shared)
                uses.append((number[q.source], number[q.target], *which, q.delay, q.symmetric_rule))
        scales = [q.scale for q in network.projections if isinstance(q, Transposed)]
        columns = [np.array([use[c] for use in uses], dtype=np.int64) for c in range(6)]
        self._transposes = _Transposes(*columns, *[np.array(scales, dtype=dtype)])
        self._rule = layers[0].rule if layers else rule_numbers(None, dtype)

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
        known = _Past(self._memory, offsets, np.concatenate(parts))
        firsts, neurons = _run_network(known, steps, self._layout, self._arrays, self._transposes, self._rule)
        return {
            name: inputs[name]
            if name in inputs
            else SpikeEvents._trusted(past[name].n, firsts[k] - firsts[k, 0], neurons[firsts[k, 0] : firsts[k, -1]])
            for k, name in enumerate(self._names)
        }
