"""A network that is being stepped by the event engine."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurosleep.functional import PlasticityRule, PooledSRC, SignSTDP, SpikeEvents, SRCRule
from neurosleep.spiking.engines.base import Session, check_inputs
from neurosleep.spiking.engines.event.grid import is_dense, untied
from neurosleep.spiking.engines.event.kernels import Arriving, outside
from neurosleep.spiking.engines.event.loop import Loop
from neurosleep.spiking.engines.event.mixed import Mixed
from neurosleep.spiking.engines.event.population import Population
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.plastic import changes
from neurosleep.spiking.projections import Conv, Transposed, Weighted

__all__ = ["EventSession"]


class EventSession(Session):
    """All populations, each over a whole chunk of steps at once where nothing feeds back."""

    def __init__(self, network: SpikingNetwork, rule: PlasticityRule | None) -> None:
        self._network = network
        dense = {p.name: is_dense(network, p.name) for p in network.layers}
        learning = {q.target for q in network.projections if changes(rule, q) and not isinstance(q, Conv)}
        plain = all(dense.values())
        stepped = network if plain else untied(network)
        self._populations = {
            p.name: Population(stepped, p.name, rule) for p in network.layers if dense[p.name] or p.name in learning
        }
        self._memory = max([p.delay for p in network.projections], default=0)
        self._past = {p.name: SpikeEvents.empty(p.size, self._memory) for p in network.populations}
        place = {name: k for k, name in enumerate(network.order)}
        loops = any(isinstance(q, Transposed) or place[q.source] >= place[q.target] for q in network.projections)
        self._mixed = None if plain else Mixed(stepped, self._populations, rule)
        self._loop = Loop(network, self._populations, self._memory) if loops and self._mixed is None else None
        self._weighted = [k for k, q in enumerate(network.projections) if isinstance(q, Weighted)]
        changing = {number for p in self._populations.values() for number in p.numbers}
        # Weights that synapses share over places, which lie with the mixed populations.
        self._pooled = frozenset(() if self._mixed is None else self._mixed.pooled_weights())
        changing |= self._pooled
        # Those that stay as they are.
        self._fixed = {k: network.weighted[n].weight for n, k in enumerate(self._weighted) if k not in changing}
        # Which weights may have changed since they were last looked at, and the bound that they were held against.
        self._unseen, self._bound = set(self._weighted), math.nan
        # With traces a unit's weights change after its spike too; others change those of units that fire.
        self._gated = rule is None or isinstance(rule, SRCRule | PooledSRC | SignSTDP)

    def run(self, inputs: Mapping[str, SpikeEvents]) -> dict[str, SpikeEvents]:
        """Advance by the steps of ``inputs``; the spikes of every population."""
        steps = self._check(inputs)
        if self._mixed is not None:
            fired = self._mixed.run(inputs, steps)
        elif self._loop is None:
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

    def _check(self, inputs: Mapping[str, SpikeEvents]) -> int:
        return check_inputs(self._network, inputs)

    def _advance(self, inputs: Mapping[str, SpikeEvents], steps: int) -> dict[str, SpikeEvents]:
        # Past and present of every population, those in topological order that have been stepped.
        seen = {n: SpikeEvents.concatenate((self._past[n], e), e.n) for n, e in inputs.items()}
        fired: dict[str, SpikeEvents] = dict(inputs)
        for name in self._network.order:
            if name in inputs:
                continue
            population = self._populations[name]
            starts = [self._memory - projection.delay for projection in population.projections]
            windows = [
                seen[projection.source].slice(start, start + steps)
                for projection, start in zip(population.projections, starts, strict=True)
            ]
            fired[name] = self._step(population, windows, steps)
            seen[name] = SpikeEvents.concatenate((self._past[name], fired[name]), fired[name].n)
        if self._memory:
            self._past = {n: e.slice(e.steps - self._memory, e.steps) for n, e in seen.items()}
        return fired

    def _step(self, population: Population, windows: list[SpikeEvents], steps: int) -> SpikeEvents:
        """Step ``population``, to whose projections the ``windows`` of spikes come."""
        pointers = np.zeros((len(windows), steps + 1), dtype=np.int64)
        rows: list[npt.NDArray[np.int32]] = []
        base = 0
        for q, window in enumerate(windows):
            pointers[q] = window.offsets + base
            base += window.count
            rows.append(window.indices + np.int32(population.first_row[q]))
        indices = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int32)
        arriving = Arriving(pointers, indices, population.params[0, :0], False, population.params[5:6])
        return population.run(arriving, steps)

    def weights(self) -> list[Tensor]:
        """The present weights, of projections that have any."""
        by_projection = {number: weight.detach().cpu().clone() for number, weight in self._fixed.items()}
        if self._mixed is not None:
            by_projection |= self._mixed.pooled_weights()
        for population in self._populations.values():
            for q, number in enumerate(population.numbers):
                by_projection[number] = population.weight(q)
        return [by_projection[number] for number in self._weighted]

    def weights_at(self, number: int, post: npt.NDArray[np.int64], pre: npt.NDArray[np.int64]) -> Tensor:
        """Some of the present weights, of the projection ``number`` of those that have any."""
        wanted = self._weighted[number]
        if wanted in self._fixed or wanted in self._pooled:
            return super().weights_at(number, post, pre)
        population = next(p for p in self._populations.values() if wanted in p.numbers)
        first, width = population.first_row[population.numbers.index(wanted)], population.weights.shape[2]
        return torch.from_numpy(population.weights[post // width, first + pre, post % width])

    def outliers(self, bound: float) -> list[int]:
        """Numbers of the projections with a weight that is NaN, or beyond ``bound``."""
        if bound != self._bound:
            self._unseen, self._bound = set(self._weighted), bound
        single = dict(self._fixed) | ({} if self._mixed is None else self._mixed.pooled_weights())
        found = {k for k, w in single.items() if k in self._unseen and w.numel() and not w.abs().max() <= bound}
        for population in self._populations.values():
            real = population.weights.dtype.type
            # The largest number of the weights' type within the bound: finite, whatever the bound.
            limit = real(min(bound, np.finfo(real).max))
            if limit > bound:
                limit = np.nextafter(limit, real(-np.inf))
            for q, number in enumerate(population.numbers):
                first, last = population.first_row[q], population.first_row[q + 1]
                if number in self._unseen and outside(population.weights, first, last, limit):
                    found.add(number)
        self._unseen = found
        return [k for k, number in enumerate(self._weighted) if number in found]

    def membranes(self) -> dict[str, Tensor]:
        """The present potentials, by population."""
        found = {name: p.v[: p.n].copy() for name, p in self._populations.items()}
        if self._mixed is not None:
            found |= self._mixed.membranes()
        return {p.name: torch.from_numpy(found[p.name]) for p in self._network.layers if p.name in found}
