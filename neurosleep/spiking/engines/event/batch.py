"""Batches in the event engine: compiled, one sample after another, each over a whole stretch of steps at once.

In a feed-forward network all inputs of a population are known once its sources have been stepped, so that populations
take turns after whole stretches of steps instead of single ones. Within a stretch one sample uses the same few rows of
weights again and again: those whose source fires for it at all. They stay in the processor's cache, and only rows of
sources that fired are read. With feedback a stretch is as long as the shortest delay that closes a loop. What a
constant input makes arrive is computed once, through relays too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurosleep.spiking.engines.batch import BatchInput, BatchSession, ConstantInput, SpikeInput
from neurosleep.spiking.engines.event.batch_kernels import (
    Events,
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
from neurosleep.spiking.engines.event.grid import GridPopulation, arriving, is_dense, untied, values_of
from neurosleep.spiking.engines.event.grid_kernels import Given, run_grid
from neurosleep.spiking.engines.event.population import Population
from neurosleep.spiking.geometry import propagate
from neurosleep.spiking.network import SpikingNetwork

__all__ = ["EventBatchSession"]

# Samples between which populations take turns: few, so that their spikes stay in the cache as well.
_GROUP = 32
# Units of the widest population times samples times steps of a stretch, where it lies position by position: what fired
# is remembered that long, and steps that a stretch has in any case.
_ROOM, _LEAST_STEPS = 2**22, 16


class EventBatchSession(BatchSession):
    """A batch of one network with one input population."""

    def __init__(self, network: SpikingNetwork, batch: int) -> None:
        self._network = network = untied(network)
        self._batch = batch
        (self._source,) = network.inputs
        self._order = [name for name in network.order if name != self._source.name]
        self._last = network.last
        self._dense, self._grids = dict[str, Population](), dict[str, GridPopulation]()
        for name in self._order:
            if is_dense(network, name):
                self._dense[name] = Population(network, name, None)
            else:
                self._grids[name] = GridPopulation(network, name)
        layers = self._layers = {name: self._dense.get(name) or self._grids[name] for name in self._order}
        self._v = {name: np.tile(p.v, (batch, 1)) for name, p in layers.items()}
        # Most populations are never refractory, and have nothing to wait for.
        self._wait = {
            name: np.zeros((batch if p.neurons.refractory else 1, len(p.v)), dtype=np.int64)
            for name, p in layers.items()
        }
        self._dtype = torch.empty(0, dtype=network.dtype).numpy().dtype
        self._totals = {p.name: np.zeros((batch, p.size), dtype=self._dtype) for p in network.populations}
        self._memory = max([q.delay for q in network.projections], default=0)
        place = {name: k for k, name in enumerate(network.order)}
        closing = [q.delay for q in network.projections if place[q.source] >= place[q.target]]
        self._longest = min(closing, default=None)
        width = batch
        if not closing:
            widest = max([network.population(name).size for name in self._grids], default=1)
            width = max(1, min(_GROUP, _ROOM // (widest * _LEAST_STEPS)))
            if self._grids:
                self._longest = max(_LEAST_STEPS, _ROOM // (widest * width))
        self._groups = [(low, min(low + width, batch)) for low in range(0, batch, width)]
        self._past = [
            {p.name: self._silence(high - low, self._memory) for p in network.populations} for low, high in self._groups
        ]
        self._time = 0
        # What a constant input, and relays that it alone reaches, send; the projections through which that has arrived;
        # and by population what arrives in every step, bias included, [1 or batch, n].
        self._held: dict[str, Tensor] = {}
        self._arrived = set[int]()
        self._bases = {name: p.params[5:6] for name, p in layers.items()}

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
        found = {name: self._v[name][:, : p.n].copy() for name, p in self._dense.items()}
        found |= {name: p.of_units(self._v[name]) for name, p in self._grids.items() if not p.relays}
        return {name: torch.from_numpy(found[name]) for name in self._order if name in found}

    def _silence(self, samples: int, steps: int) -> Events:
        return Events(np.zeros(samples * steps + 1, dtype=np.int64), np.zeros(0, dtype=np.int32), self._spikes)

    @property
    def _spikes(self) -> npt.NDArray[Any]:
        """The values of spikes, which have none."""
        return np.zeros(0, dtype=self._dtype)

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
        network = self._network
        if not self._held:
            self._held[self._source.name] = values
            for name in self._order:
                incoming = [network.projections[k] for k in network.incoming(name)]
                leaving = [q for q in network.projections if q.source == name]
                still = all(q.source in self._held for q in incoming) and not any(q.delay for q in incoming + leaving)
                if network.population(name).kind == "relay" and still:
                    bias = torch.as_tensor(network.population(name).bias, dtype=network.dtype)
                    arriving = [self._arriving_held(k) for k in network.incoming(name)]
                    self._held[name] = sum(arriving, bias.expand(self._batch, network.population(name).size))
        for name, held in self._held.items():
            if name == self._last.name:
                ramp = np.arange(1, len(said) + 1, dtype=self._dtype)[:, None, None]
                said[:] = self._totals[name] + held.numpy() * ramp
            self._totals[name] += held.numpy() * self._dtype.type(len(said))
        for k, projection in enumerate(network.projections):
            if projection.source in self._held and projection.delay <= self._time and k not in self._arrived:
                self._arrived.add(k)
                layer, current = self._layers[projection.target], self._arriving_held(k).numpy()
                base = np.tile(self._bases[layer.name], (self._batch // len(self._bases[layer.name]), 1))
                if isinstance(layer, GridPopulation):
                    base += layer.layout.placed(current)
                else:
                    base[:, : layer.n] += current
                self._bases[layer.name] = base

    def _arriving_held(self, k: int) -> Tensor:
        """What a constant source makes arrive through projection ``k`` in a step."""
        projection = self._network.projections[k]
        shape = self._network.population(projection.source).shape
        return projection.scale * propagate(projection, self._held[projection.source], shape)

    def _base(self, name: str, low: int, high: int) -> npt.NDArray[Any]:
        """What arrives at population ``name`` in every step: its bias, and currents of constant inputs."""
        base = self._bases[name]
        return base[low:high] if len(base) > 1 else base

    def _advance_group(self, number: int, sent: BatchInput, start: int, end: int, said: npt.NDArray[Any]) -> None:
        low, high = self._groups[number]
        span, past = Span(high - low, end - start, self._memory), self._past[number]
        # Of what has not been stepped yet only the past is known; loops read no more.
        seen = {name: self._seen(past[name], self._silence(span.samples, span.steps), span) for name in past}
        if isinstance(sent, SpikeInput):
            starts = np.searchsorted(sent.samples, np.arange(low, high + 1))
            several = sent.fired.dtype == np.uint8
            offsets, neurons = (repeated if several else listed)(
                sent.fired[start:end].view(np.uint8), sent.neurons, starts
            )
            given = Events(offsets, neurons, self._spikes)
            read_out = ReadOut(self._last is self._source, said, low)
            tally(given, span.samples, self._totals[self._source.name], read_out)
            seen[self._source.name] = self._seen(past[self._source.name], given, span)
        silent = self._last.kind == "li"
        for name in self._order:
            if name in self._held:
                continue
            last = name == self._last.name
            fired = self._step(name, seen, span, low, high, ReadOut(last and silent, said, low))
            tally(fired, span.samples, self._totals[name], ReadOut(last and not silent, said, low))
            seen[name] = self._seen(past[name], fired, span)
        if self._memory:
            self._past[number] = {name: latest(events, self._memory, span.samples) for name, events in seen.items()}

    def _step(
        self, name: str, seen: Mapping[str, Events], span: Span, low: int, high: int, read_out: ReadOut
    ) -> Events:
        """Step population ``name`` of samples ``low`` to ``high`` through a stretch."""
        layer, base, v, wait = self._layers[name], self._base(name, low, high), self._v[name], self._wait[name]
        events = [seen[q.source] for q in layer.projections]
        offsets, rows = arriving(layer.first_row, events)
        waiting = wait[low:high] if layer.neurons.refractory else wait
        if isinstance(layer, GridPopulation):
            given = Given(offsets, rows, values_of(events, self._dtype), base)
            sent: Events = run_grid(
                *(layer.neurons, layer.synapses, given, span, v[low:high], waiting, read_out, layer.kind),
                layer.pooled.learning,
            )
            return sent
        delays = np.array([q.delay for q in layer.projections], dtype=np.int64)
        sources = Sources(layer.weights, layer.scale, delays, offsets, rows, base)
        offsets, neurons = run_stretch(layer.neurons, sources, span, v[low:high], waiting, read_out)
        return Events(offsets, neurons, self._spikes)

    def _seen(self, past: Events, present: Events, span: Span) -> Events:
        return joined(past, present, span) if self._memory else present
