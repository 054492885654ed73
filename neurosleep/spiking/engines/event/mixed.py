"""Networks with convolutions, pooling or relays, one train at a time: every population over a stretch of steps.

Where something feeds back, a stretch is as long as the shortest delay that closes a loop.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurosleep.functional import PlasticityRule, SpikeEvents
from neurosleep.spiking.engines.event.batch_kernels import Events, ReadOut, Span, joined, latest
from neurosleep.spiking.engines.event.grid import GridPopulation, arriving, values_of
from neurosleep.spiking.engines.event.grid_kernels import Given, run_grid
from neurosleep.spiking.engines.event.kernels import Arriving
from neurosleep.spiking.engines.event.population import Population
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.projections import Dense

__all__ = ["Mixed"]


class _Grid:
    """The state of a population that lies position by position."""

    def __init__(self, population: GridPopulation) -> None:
        self.population = population
        self.v = population.v[None].copy()
        self._wait = np.zeros_like(self.v, dtype=np.int64)
        self._unread = ReadOut(False, np.zeros((1, 1, 1), dtype=self.v.dtype), 0)

    def run(self, seen: Mapping[str, Events], span: Span) -> Events:
        """What it sends in a stretch."""
        p = self.population
        events = [seen[q.source] for q in p.projections]
        given = Given(*arriving(p.first_row, events), values_of(events, self.v.dtype), p.params[5:6])
        state = (self.v, self._wait, self._unread, p.kind, p.pooled.learning)
        sent: Events = run_grid(p.neurons, p.synapses, given, span, *state)
        return sent


class Mixed:
    """The populations of a network: those in ``populations`` as they are, the others position by position.

    What reaches one of the former by other ways than a matrix is added up beside it.
    """

    def __init__(
        self, network: SpikingNetwork, populations: Mapping[str, Population], rule: PlasticityRule | None
    ) -> None:
        self._network, self._populations = network, populations
        self._order = [p.name for p in network.layers]
        self._grids = {
            name: _Grid(GridPopulation(network, name, rule=rule)) for name in self._order if name not in populations
        }
        self._beside = dict[str, _Grid]()
        for name in populations:
            others = [k for k in network.incoming(name) if not isinstance(network.projections[k], Dense)]
            if others:
                self._beside[name] = _Grid(GridPopulation(network, name, others, sums=True))
        self._memory = max([q.delay for q in network.projections], default=0)
        place = {name: k for k, name in enumerate(network.order)}
        closing = [q.delay for q in network.projections if place[q.source] >= place[q.target]]
        self._longest = min(closing, default=None)
        self._dtype = torch.empty(0, dtype=network.dtype).numpy().dtype
        spikes = np.zeros(0, dtype=self._dtype)
        self._past = {
            p.name: Events(np.zeros(self._memory + 1, dtype=np.int64), np.zeros(0, dtype=np.int32), spikes)
            for p in network.populations
        }

    def run(self, inputs: Mapping[str, SpikeEvents], steps: int) -> dict[str, SpikeEvents]:
        """Advance by ``steps``; the spikes of every population, and where relays send anything."""
        parts = [
            self._stretch({name: events.slice(start, min(start + length, steps)) for name, events in inputs.items()})
            for length in [self._longest or max(steps, 1)]
            for start in range(0, max(steps, 1), length)
        ]
        sizes = {p.name: p.size for p in self._network.populations}
        return {name: SpikeEvents.concatenate([part[name] for part in parts], n) for name, n in sizes.items()}

    def membranes(self) -> dict[str, npt.NDArray[np.floating]]:
        """The present potentials of the populations that lie position by position, by name."""
        return {n: g.population.of_units(g.v)[0] for n, g in self._grids.items() if not g.population.relays}

    def pooled_weights(self) -> dict[int, Tensor]:
        """The present weights of convolutions that may change, by number of the projection."""
        populations = [g.population for g in self._grids.values()]
        return {p.numbers[k]: p.pooled.weight(k) for p in populations for k in p.pooled.numbers}

    def _stretch(self, inputs: Mapping[str, SpikeEvents]) -> dict[str, SpikeEvents]:
        steps = next(iter(inputs.values())).steps
        span, fired = Span(1, steps, self._memory), dict(inputs)
        # Of what has not been stepped yet only the past is known; loops read no more.
        silence = Events(np.zeros(steps + 1, dtype=np.int64), np.zeros(0, dtype=np.int32), self._values(0))
        seen = {name: joined(past, silence, span) for name, past in self._past.items()}
        for name, events in inputs.items():
            seen[name] = self._seen(name, Events(events.offsets, events.indices, self._values(0)), span)
        for name in self._order:
            if name in self._grids:
                sent = self._grids[name].run(seen, span)
                times = np.repeat(np.arange(steps), np.diff(sent.offsets))
                size = self._network.population(name).size
                fired[name] = SpikeEvents._trusted_times(times, sent.neurons, steps=steps, n=size)
            else:
                fired[name] = self._learn(name, seen, span)
                sent = Events(fired[name].offsets, fired[name].indices, self._values(0))
            seen[name] = self._seen(name, sent, span)
        self._past = {name: latest(events, self._memory, 1) for name, events in seen.items()}
        return fired

    def _values(self, count: int) -> npt.NDArray[np.floating]:
        return np.ones(count, dtype=self._dtype)

    def _seen(self, name: str, present: Events, span: Span) -> Events:
        both: Events = joined(self._past[name], present, span)
        return both

    def _learn(self, name: str, seen: Mapping[str, Events], span: Span) -> SpikeEvents:
        """Step a population whose weights a rule may change."""
        population, steps = self._populations[name], span.steps
        windows = []
        for projection in population.projections:
            start, events = self._memory - projection.delay, seen[projection.source]
            offsets = events.offsets[start : start + steps + 1]
            used = slice(offsets[0], offsets[-1])
            values = events.values[used] if len(events.values) else events.values
            windows.append(Events(offsets - offsets[0], events.neurons[used], values))
        extra, beside = population.params[5:6], self._beside.get(name)
        if beside is not None:
            sent = beside.run(seen, span)
            extra = np.zeros((steps, population.params.shape[1]), dtype=self._dtype)
            extra[np.repeat(np.arange(steps), np.diff(sent.offsets)), sent.neurons] = sent.values
        pointers, rows = arriving(population.first_row, windows)
        given = Arriving(pointers, rows, values_of(windows, self._dtype), beside is not None, extra)
        return population.run(given, steps)
