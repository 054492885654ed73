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

from neurosleep.spiking.engines.batch import BatchInput, BatchSession, ConstantInput, SpikeInput
from neurosleep.spiking.engines.event.batch_kernels import (
    ReadOut,
    Sources,
    Span,
    joined,
    latest,
    listed,
    repeated,
    run_stretch,
    tally,
)
from neurosleep.spiking.engines.event.population import Population
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.projections import Dense, Transposed

__all__ = ["EventBatchSession"]

# Samples between which populations take turns: few, so that their spikes stay in the cache as well.
_GROUP = 32

# Spikes of a group of samples: offsets int64 [samples * steps + 1], steps of one sample after another, and neurons.
_Events = tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]


def _aligned(weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy that starts with a line of the cache: rows that start within one cost a tenth of all time."""
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
        if isinstance(projection, Transposed):
            weight, ends = network.matrix(projection).contiguous(), (projection.source, projection.target)
            projections[k] = Dense(*ends, weight, scale=projection.scale, delay=projection.delay, plastic=False)
    return dataclasses.replace(network, projections=tuple(projections))


class EventBatchSession(BatchSession):
    """A batch of one network with one input population."""

    def __init__(self, network: SpikingNetwork, batch: int) -> None:
        self._network = network = _untied(network)
        self._batch = batch
        (self._source,) = network.inputs
        self._order = [name for name in network.order if name != self._source.name]
        self._last = network.last
        self._layers = {name: Population(network, name, None) for name in self._order}
        for layer in self._layers.values():
            layer.weights = _aligned(layer.weights)
        self._v = {name: np.tile(p.v, (batch, 1)) for name, p in self._layers.items()}
        # Most populations are never refractory, and have nothing to wait for.
        self._wait = {
            name: np.zeros((batch if p.neurons.refractory else 1, len(p.v)), dtype=np.int64)
            for name, p in self._layers.items()
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
        start = 0
        while start < sent.steps:
            end = self._stretch(sent, start)
            if isinstance(sent, ConstantInput):
                self._hold(sent.values, said[start:end])
            for number in range(len(self._groups)):
                self._advance_group(number, sent, start, end, said[start:end])
            self._time += end - start
            start = end
        return torch.from_numpy(said)

    def totals(self) -> Mapping[str, Tensor]:
        """By population, ``[batch, n]``: spikes since the session started, or the sum of graded values."""
        return {name: torch.from_numpy(total.copy()) for name, total in self._totals.items()}

    def batch_membranes(self) -> dict[str, Tensor]:
        """The present membrane potentials ``[batch, n]``, by population."""
        return {name: torch.from_numpy(self._v[name][:, : p.n].copy()) for name, p in self._layers.items()}

    def _stretch(self, sent: BatchInput, start: int) -> int:
        """Where the stretch that starts at step ``start`` of ``sent`` ends."""
        ends = [sent.steps]
        if self._longest is not None:
            ends.append(start + self._longest)
        if isinstance(sent, ConstantInput):
            # Within a stretch a constant input has arrived through a projection in every step or in none.
            delays = [q.delay for q in self._network.projections if q.source == self._source.name]
            ends += [start + d - self._time for d in delays if d > self._time]
        return min(ends)

    def _hold(self, values: Tensor, said: npt.NDArray[Any]) -> None:
        sent = self._totals[self._source.name]
        if self._last is self._source:
            said[:] = sent + values.numpy() * np.arange(1, len(said) + 1, dtype=self._dtype)[:, None, None]
        sent += values.numpy() * self._dtype.type(len(said))
        for k, projection in enumerate(self._network.projections):
            arrived = projection.source == self._source.name and projection.delay <= self._time
            if arrived and k not in self._constant and isinstance(projection, Dense):
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

    def _advance_group(self, number: int, sent: BatchInput, start: int, end: int, said: npt.NDArray[Any]) -> None:
        low, high = self._groups[number]
        span, past = Span(high - low, end - start, self._memory), self._past[number]
        # Of what has not been stepped yet only the past is known; loops read no more.
        seen = {name: self._seen(past[name], _silence(span.samples, span.steps), span) for name in past}
        if isinstance(sent, SpikeInput):
            starts = np.searchsorted(sent.samples, np.arange(low, high + 1))
            several = sent.fired.dtype == np.uint8
            given = (repeated if several else listed)(sent.fired[start:end].view(np.uint8), sent.neurons, starts)
            read_out = ReadOut(self._last is self._source, said, low)
            tally(given, span.samples, self._totals[self._source.name], read_out)
            seen[self._source.name] = self._seen(past[self._source.name], given, span)
        silent = self._last.kind == "li"
        for name in self._order:
            layer, last = self._layers[name], name == self._last.name
            offsets, rows = self._arriving(name, seen)
            delays = np.array([q.delay for q in layer.projections], dtype=np.int64)
            sources = Sources(layer.weights, layer.scale, delays, offsets, rows, self._base(name, low, high))
            wait = self._wait[name]
            fired = run_stretch(
                layer.neurons,
                sources,
                span,
                self._v[name][low:high],
                wait[low:high] if layer.neurons.refractory else wait,
                ReadOut(last and silent, said, low),
            )
            tally(fired, span.samples, self._totals[name], ReadOut(last and not silent, said, low))
            seen[name] = self._seen(past[name], fired, span)
        if self._memory:
            self._past[number] = {name: latest(*events, self._memory, span.samples) for name, events in seen.items()}

    def _seen(self, past: _Events, present: _Events, span: Span) -> _Events:
        if not self._memory:
            return present
        both: _Events = joined(*past, *present, span)
        return both

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
