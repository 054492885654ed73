"""Batches in the event engine: compiled, one sample after another, each over a whole stretch of steps at once.

In a feed-forward network all inputs of a population are known once its sources have been stepped, so that populations
take turns after whole stretches of steps instead of single ones. Within a stretch one sample uses the same few rows of
weights again and again: those whose source fires for it at all. They stay in the processor's cache, and only rows of
sources that fired are read. With feedback a stretch is as long as the shortest delay that closes a loop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurosleep._compiled import compiled
from neurosleep.spiking.engines.batch import BatchInput, BatchSession, ConstantInput, SpikeInput
from neurosleep.spiking.engines.event.engine import _gather, _Population
from neurosleep.spiking.network import SpikingNetwork

__all__ = ["EventBatchSession"]

# Samples between which populations take turns: few, so that their spikes stay in the cache as well.
_GROUP = 32

# Gathers the lowest bits of eight bytes, each 0 or 1, in the highest byte; of a single 1 among them tells where.
_COLLECT = np.uint64(0x0102040810204080)
_TOP, _ONE, _NIL = np.uint64(56), np.uint64(1), np.uint64(0)
_PLACE = np.zeros(256, dtype=np.int64)
_PLACE[[1 << _bit for _bit in range(8)]] = np.arange(8)

# Spikes of a group of samples: offsets int64 [samples * steps + 1], steps of one sample after another, and neurons.
_Events = tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]


@compiled(boundscheck=False)
def _note(words: Any, low: int, row: Any, found: int) -> int:
    """Append to ``row`` which bytes of ``words`` are 1, counted from ``low``; returns how many it holds then."""
    for c in range(len(words)):
        word = words[c]
        while word != _NIL:
            lowest = word & (~word + _ONE)
            row[found] = low + 8 * c + _PLACE[(lowest * _COLLECT) >> _TOP]
            found += 1
            word ^= lowest
    return found


@compiled(boundscheck=False)
def _run_stretch(
    n: int,
    samples: int,
    steps: int,
    memory: int,  # steps of the past in offsets, before the present ones
    weights: Any,  # [blocks, rows, width], rows = inputs of all projections one after another
    offsets: Any,  # int64 [projections, samples * (memory + steps) + 1] into indices
    indices: Any,  # int32: rows
    delay: Any,  # int64 [projections]
    scale: Any,  # [projections]
    params: Any,  # [6, blocks * width]: threshold, decay, leak, reset value, amount, bias
    base: Any,  # [1 or samples, blocks * width]: what arrives in every step, bias included
    strict: bool,
    subtract: bool,
    refractory: int,
    hold: bool,
    v: Any,  # [samples, blocks * width]
    wait: Any,  # int64 [samples, blocks * width]
    tell: bool,  # whether to write potentials into said
    said: Any,  # [steps, batch, n]
    first: int,  # number of the first sample in said
) -> Any:
    """Step one population of every sample through a stretch; returns its spikes as (offsets, neurons)."""
    blocks, _, width = weights.shape
    projections = len(delay)
    acc = np.empty(width, dtype=weights.dtype)
    total = np.empty(width, dtype=weights.dtype)
    marks = np.zeros(width, dtype=np.uint8)
    words = marks.view(np.uint64)
    rows = np.empty((steps, blocks * width), dtype=np.int32)
    count = np.empty(steps, dtype=np.int64)
    out = np.zeros(samples * steps + 1, dtype=np.int64)
    neurons = np.empty(4096, dtype=np.int32)
    used = 0
    for g in range(samples):
        count[:] = 0
        for b in range(blocks):
            low = b * width
            real = min(width, n - low)
            w = weights[b]
            threshold = params[0, low : low + width]
            decay = params[1, low : low + width]
            leak = params[2, low : low + width]
            reset_value = params[3, low : low + width]
            amount = params[4, low : low + width]
            arriving = base[g if len(base) > 1 else 0, low : low + width]
            vb = v[g, low : low + width]
            for t in range(steps):
                for q in range(projections):
                    place = g * (memory + steps) + memory + t - delay[q]
                    begin, end = offsets[q, place], offsets[q, place + 1]
                    if begin == end:
                        acc[:] = 0
                    else:
                        _gather(w, indices, begin, end, acc)
                    alpha = scale[q]
                    if q == 0:
                        for j in range(width):
                            total[j] = arriving[j] + alpha * acc[j]
                    else:
                        for j in range(width):
                            total[j] += alpha * acc[j]
                if projections == 0:
                    total[:] = arriving
                if refractory == 0:
                    if strict:
                        for j in range(width):
                            vb[j] = leak[j] + decay[j] * (vb[j] - leak[j]) + total[j]
                            marks[j] = vb[j] > threshold[j]
                    else:
                        for j in range(width):
                            vb[j] = leak[j] + decay[j] * (vb[j] - leak[j]) + total[j]
                            marks[j] = vb[j] >= threshold[j]
                else:
                    for j in range(real):
                        waiting = wait[g, low + j]
                        if waiting <= 0 or not hold:
                            vb[j] = leak[j] + decay[j] * (vb[j] - leak[j]) + total[j]
                        over = vb[j] > threshold[j] if strict else vb[j] >= threshold[j]
                        marks[j] = over and waiting <= 0
                        if waiting > 0:
                            wait[g, low + j] = waiting - 1
                        elif over:
                            wait[g, low + j] = refractory
                row = rows[t]
                before = count[t]
                count[t] = _note(words, low, row, before)
                for k in range(before, count[t]):
                    j = row[k] - low
                    if subtract:
                        vb[j] -= amount[j]
                    else:
                        vb[j] = reset_value[j]
                if tell:
                    for j in range(real):
                        said[t, first + g, low + j] = vb[j]
        more = count.sum()
        if used + more > len(neurons):
            longer = np.empty(2 * (used + more), dtype=np.int32)
            longer[:used] = neurons[:used]
            neurons = longer
        for t in range(steps):
            for k in range(count[t]):
                neurons[used + k] = rows[t, k]
            used += count[t]
            out[g * steps + t + 1] = used
    return out, neurons[:used]


@compiled(boundscheck=False)
def _listed(fired: Any, neurons: Any, begins: Any) -> Any:
    """Events of input spikes: ``fired`` uint8 ``[steps, entries]``, entries ``begins[g]`` to ``begins[g + 1]`` of g."""
    steps, samples = len(fired), len(begins) - 1
    offsets = np.zeros(samples * steps + 1, dtype=np.int64)
    found = np.empty(steps * (begins[samples] - begins[0]) + 1, dtype=np.int32)
    used = 0
    for g in range(samples):
        for t in range(steps):
            # Written in any case and kept if it fired: whether it did cannot be foretold, a branch would be dearer.
            for e in range(begins[g], begins[g + 1]):
                found[used] = neurons[e]
                used += fired[t, e]
            offsets[g * steps + t + 1] = used
    return offsets, found[:used]


@compiled(boundscheck=False)
def _repeated(counts: Any, neurons: Any, begins: Any) -> Any:
    """The same of several spikes in a step, uint8 ``[steps, entries]``: a neuron is listed as often as it fires."""
    steps, samples = len(counts), len(begins) - 1
    offsets = np.zeros(samples * steps + 1, dtype=np.int64)
    found = np.empty(int(counts.sum()), dtype=np.int32)
    used = 0
    for g in range(samples):
        for t in range(steps):
            for e in range(begins[g], begins[g + 1]):
                for _ in range(counts[t, e]):
                    found[used] = neurons[e]
                    used += 1
            offsets[g * steps + t + 1] = used
    return offsets, found[:used]


@compiled(boundscheck=False)
def _tally(offsets: Any, neurons: Any, samples: int, totals: Any, first: int, tell: bool, said: Any) -> None:
    """Add the spikes of samples ``first`` and following to ``totals``; tells what these come to after every step."""
    steps = (len(offsets) - 1) // samples
    for g in range(samples):
        for t in range(steps):
            for k in range(offsets[g * steps + t], offsets[g * steps + t + 1]):
                totals[first + g, neurons[k]] += 1
            if tell:
                for j in range(totals.shape[1]):
                    said[t, first + g, j] = totals[first + g, j]


@compiled(boundscheck=False)
def _joined(past: Any, old: Any, memory: int, offsets: Any, neurons: Any, steps: int, samples: int) -> Any:
    """Past (``memory`` steps) and present of every sample in one."""
    both = memory + steps
    out = np.zeros(samples * both + 1, dtype=np.int64)
    found = np.empty(len(old) + len(neurons), dtype=np.int32)
    used = 0
    for g in range(samples):
        for t in range(both):
            if t < memory:
                for k in range(past[g * memory + t], past[g * memory + t + 1]):
                    found[used] = old[k]
                    used += 1
            else:
                for k in range(offsets[g * steps + t - memory], offsets[g * steps + t - memory + 1]):
                    found[used] = neurons[k]
                    used += 1
            out[g * both + t + 1] = used
    return out, found


@compiled(boundscheck=False)
def _latest(offsets: Any, neurons: Any, memory: int, samples: int) -> Any:
    """The last ``memory`` steps of every sample."""
    steps = (len(offsets) - 1) // samples
    out = np.zeros(samples * memory + 1, dtype=np.int64)
    found = np.empty(len(neurons), dtype=np.int32)
    used = 0
    for g in range(samples):
        for t in range(memory):
            place = g * steps + steps - memory + t
            for k in range(offsets[place], offsets[place + 1]):
                found[used] = neurons[k]
                used += 1
            out[g * memory + t + 1] = used
    return out, found[:used]


def _aligned(weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy that begins with a line of the cache: rows that begin within one cost a tenth of all time."""
    room = np.zeros(weights.nbytes + 64, dtype=np.uint8)
    start = -room.ctypes.data % 64
    copy: npt.NDArray[Any] = room[start : start + weights.nbytes].view(weights.dtype).reshape(weights.shape)
    copy[:] = weights
    return copy


def _silence(samples: int, steps: int) -> _Events:
    return np.zeros(samples * steps + 1, dtype=np.int64), np.zeros(0, dtype=np.int32)


def _untied(network: SpikingNetwork) -> SpikingNetwork:
    """The same network, shared weights copied: without plasticity they stay what they are."""
    projections = list(network.projections)
    for k, projection in enumerate(projections):
        if projection.transpose_of is not None:
            shared = network.projections[network.owner(k)].weight
            assert shared is not None  # the network checks it
            projections[k] = dataclasses.replace(
                projection, weight=shared.T.contiguous(), transpose_of=None, symmetric_rule=False, plastic=False
            )
    return dataclasses.replace(network, projections=tuple(projections))


class EventBatchSession(BatchSession):
    """A batch of one network with one input population."""

    def __init__(self, network: SpikingNetwork, batch: int) -> None:
        self._network = network = _untied(network)
        self._batch = batch
        (self._source,) = network.inputs
        self._order = [name for name in network.order if name != self._source.name]
        self._last = network.last
        self._layers = {name: _Population(network, name, None) for name in self._order}
        for layer in self._layers.values():
            layer.weights = _aligned(layer.weights)
        self._v = {name: np.tile(p.v, (batch, 1)) for name, p in self._layers.items()}
        # Most populations are never refractory, and have nothing to wait for.
        self._wait = {
            name: np.zeros((batch if p.refractory else 1, len(p.v)), dtype=np.int64) for name, p in self._layers.items()
        }
        self._dtype = torch.empty(0, dtype=network.dtype).numpy().dtype
        self._totals = {p.name: np.zeros((batch, p.size), dtype=self._dtype) for p in network.populations}
        self._memory = max([q.delay for q in network.projections], default=0)
        place = {name: k for k, name in enumerate(network.order)}
        closing = [q.delay for q in network.projections if place[q.source] >= place[q.target]]
        self._longest = min(closing, default=None)
        width = batch if closing else _GROUP
        self._groups = [(low, min(low + width, batch)) for low in range(0, batch, width)]
        self._past = [
            {p.name: _silence(high - low, self._memory) for p in network.populations} for low, high in self._groups
        ]
        self._time = 0
        # Currents of a constant input, by the number of the projection that it arrives through.
        self._constant: dict[int, npt.NDArray[Any]] = {}

    def advance(self, sent: BatchInput) -> Tensor:
        """Advance by the steps of ``sent``; the read-out after each of them, ``[steps, batch, n]``."""
        said = np.empty((sent.steps, self._batch, self._last.size), dtype=self._dtype)
        begin = 0
        while begin < sent.steps:
            end = self._stretch(sent, begin)
            if isinstance(sent, ConstantInput):
                self._hold(sent.values, said[begin:end])
            for number in range(len(self._groups)):
                self._advance_group(number, sent, begin, end, said[begin:end])
            self._time += end - begin
            begin = end
        return torch.from_numpy(said)

    def totals(self) -> Mapping[str, Tensor]:
        """By population, ``[batch, n]``: spikes since the session began, or the sum of graded values."""
        return {name: torch.from_numpy(total.copy()) for name, total in self._totals.items()}

    def _stretch(self, sent: BatchInput, begin: int) -> int:
        """Where the stretch that begins at step ``begin`` of ``sent`` ends."""
        ends = [sent.steps]
        if self._longest is not None:
            ends.append(begin + self._longest)
        if isinstance(sent, ConstantInput):
            # Within a stretch a constant input has arrived through a projection in every step or in none.
            delays = [q.delay for q in self._network.projections if q.source == self._source.name]
            ends += [begin + d - self._time for d in delays if d > self._time]
        return min(ends)

    def _hold(self, values: Tensor, said: npt.NDArray[Any]) -> None:
        sent = self._totals[self._source.name]
        if self._last is self._source:
            said[:] = sent + values.numpy() * np.arange(1, len(said) + 1, dtype=self._dtype)[:, None, None]
        sent += values.numpy() * self._dtype.type(len(said))
        for k, projection in enumerate(self._network.projections):
            if projection.source == self._source.name and k not in self._constant and projection.delay <= self._time:
                assert projection.weight is not None  # every kind that this engine offers has one
                self._constant[k] = projection.scale * (values @ projection.weight.detach().T).numpy()

    def _base(self, name: str, low: int, high: int) -> npt.NDArray[Any]:
        """What arrives at population ``name`` in every step: its bias, and currents of constant inputs."""
        layer = self._layers[name]
        held = [self._constant[k] for k in layer.numbers if k in self._constant]
        if not held:
            return layer.params[5:6]
        base = np.tile(layer.params[5], (high - low, 1))
        for current in held:
            base[:, : layer.n] += current[low:high]
        return base

    def _advance_group(self, number: int, sent: BatchInput, begin: int, end: int, said: npt.NDArray[Any]) -> None:
        low, high = self._groups[number]
        samples, steps, past = high - low, end - begin, self._past[number]
        # Of what has not been stepped yet only the past is known; loops read no more.
        seen = {name: self._seen(past[name], _silence(samples, steps), steps, samples) for name in past}
        if isinstance(sent, SpikeInput):
            begins = np.searchsorted(sent.samples, np.arange(low, high + 1))
            several = sent.fired.dtype == np.uint8
            given = (_repeated if several else _listed)(sent.fired[begin:end].view(np.uint8), sent.neurons, begins)
            _tally(given[0], given[1], samples, self._totals[self._source.name], low, self._last is self._source, said)
            seen[self._source.name] = self._seen(past[self._source.name], given, steps, samples)
        for name in self._order:
            layer, last = self._layers[name], name == self._last.name
            silent = self._last.kind == "li"
            offsets, indices = self._arriving(name, seen)
            wait = self._wait[name]
            found = _run_stretch(
                layer.n,
                samples,
                steps,
                self._memory,
                layer.weights,
                offsets,
                indices,
                np.array([q.delay for q in layer.projections], dtype=np.int64),
                layer.scale,
                layer.params,
                self._base(name, low, high),
                layer.strict,
                layer.subtract,
                layer.refractory,
                layer.hold,
                self._v[name][low:high],
                wait[low:high] if layer.refractory else wait,
                last and silent,
                said,
                low,
            )
            _tally(found[0], found[1], samples, self._totals[name], low, last and not silent, said)
            seen[name] = self._seen(past[name], found, steps, samples)
        if self._memory:
            self._past[number] = {
                name: _latest(events[0], events[1], self._memory, samples) for name, events in seen.items()
            }

    def _seen(self, past: _Events, present: _Events, steps: int, samples: int) -> _Events:
        if not self._memory:
            return present
        joined: _Events = _joined(past[0], past[1], self._memory, present[0], present[1], steps, samples)
        return joined

    def _arriving(self, name: str, seen: Mapping[str, _Events]) -> _Events:
        """Events of all sources of population ``name``, as rows of its weights: offsets by projection, and rows."""
        layer = self._layers[name]
        events = [seen[q.source] for q in layer.projections]
        if len(events) == 1:
            return events[0][0][None], events[0][1]
        offsets, rows, base = [], [], 0
        for (own, neurons), first in zip(events, layer.first_row[:-1], strict=True):
            offsets.append(own + base)
            rows.append(neurons + np.int32(first))
            base += len(neurons)
        empty = np.zeros((0, 1), dtype=np.int64), np.zeros(0, dtype=np.int32)
        return (np.stack(offsets), np.concatenate(rows)) if events else empty
