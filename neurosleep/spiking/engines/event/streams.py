"""A feed-forward network of which the event engine steps several streams that share the weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from neurosleep.functional import PlasticityRule, SpikeEvents, StreamUpdates
from neurosleep.spiking.engines.base import check_inputs
from neurosleep.spiking.engines.event.batch_kernels import Sources, Span
from neurosleep.spiking.engines.event.population import Population
from neurosleep.spiking.engines.event.session import EventSession
from neurosleep.spiking.engines.event.stream_kernels import Learning, by_stream, run_streams
from neurosleep.spiking.network import SpikingNetwork

__all__ = ["StreamSession"]


class StreamSession(EventSession):
    """All populations, each over a whole chunk of steps of all streams at once; nothing feeds back."""

    def __init__(
        self, network: SpikingNetwork, rule: PlasticityRule | None, streams: int, updates: StreamUpdates
    ) -> None:
        self._streams, self._mean = streams, updates == "mean"
        super().__init__(network, rule)
        self._v = {name: np.tile(p.v, (streams, 1)) for name, p in self._populations.items()}
        # Most populations are never refractory, and have nothing to wait for.
        self._wait = {
            name: np.zeros((streams if p.neurons.refractory else 1, len(p.v)), dtype=np.int64)
            for name, p in self._populations.items()
        }
        self._past = {p.name: SpikeEvents.empty(streams * p.size, self._memory) for p in network.populations}

    def _check(self, inputs: Mapping[str, SpikeEvents]) -> int:
        return check_inputs(self._network, inputs, self._streams)

    def _step(self, population: Population, windows: list[SpikeEvents], steps: int) -> SpikeEvents:
        """Step ``population`` of all streams, to whose projections the ``windows`` of spikes come."""
        streams, name = self._streams, population.name
        offsets = np.zeros((len(windows), steps * streams + 1), dtype=np.int64)
        rows, base = [np.zeros(0, dtype=np.int32)], 0
        for q, events in enumerate(windows):
            places, sources = by_stream(events.offsets, events.indices, events.n // streams, streams)
            offsets[q] = places + base
            base += len(sources)
            rows.append(sources + np.int32(population.first_row[q]))
        arriving = Sources(
            population.weights,
            population.scale,
            np.zeros(len(windows), dtype=np.int64),
            offsets,
            np.concatenate(rows),
            population.params[5:6],
        )
        learning = Learning(population.rule, self._mean, population.plastic, population.first_row, population.bits)
        span = Span(streams, steps, 0)
        times, streams_fired, units = run_streams(
            population.neurons, arriving, learning, span, self._v[name], self._wait[name]
        )
        neurons = streams_fired * population.n + units
        return SpikeEvents._trusted_times(times, neurons, steps=steps, n=streams * population.n)

    def membranes(self) -> dict[str, Tensor]:
        """The present potentials, by population, of all streams one after another."""
        return {p.name: torch.from_numpy(self._v[p.name][:, : p.size].reshape(-1).copy()) for p in self._network.layers}
