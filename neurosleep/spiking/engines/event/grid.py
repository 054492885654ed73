"""One population that convolutions, pooling or graded values reach, as the compiled code takes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurosleep.functional import PlasticityRule
from neurosleep.spiking.engines.event.batch_kernels import Events
from neurosleep.spiking.engines.event.grid_kernels import Kind, Synapses
from neurosleep.spiking.engines.event.kernels import Neurons
from neurosleep.spiking.engines.event.pooled import PooledWeights
from neurosleep.spiking.engines.event.synapses import Layout, synapses_of
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.projections import Dense, Projection, Transposed

__all__ = ["GridPopulation", "arriving", "is_dense", "untied", "values_of"]


def is_dense(network: SpikingNetwork, name: str) -> bool:
    """Whether only rows of matrices add up to the input of population ``name``."""
    incoming = [network.projections[k] for k in network.incoming(name)]
    spikes = all(network.population(q.source).kind != "relay" for q in incoming)
    matrices = all(isinstance(q, Dense | Transposed) for q in incoming)
    return spikes and matrices and network.population(name).kind != "relay"


def untied(network: SpikingNetwork) -> SpikingNetwork:
    """The same network, shared weights copied: without plasticity they stay what they are."""
    projections = list(network.projections)
    for k, projection in enumerate(projections):
        if isinstance(projection, Transposed):
            weight, ends = network.matrix(projection).contiguous(), (projection.source, projection.target)
            projections[k] = Dense(*ends, weight, scale=projection.scale, delay=projection.delay, plastic=False)
    return dataclasses.replace(network, projections=tuple(projections))


class GridPopulation:
    """Parameters and synapses of one population, position by position.

    ``numbers`` are those of the projections that count, all that end in it if not given; with ``sums`` it is a relay of
    what arrives through these, without a bias. ``rule`` may change convolutions, or nothing.
    """

    def __init__(
        self,
        network: SpikingNetwork,
        name: str,
        numbers: Sequence[int] | None = None,
        rule: PlasticityRule | None = None,
        *,
        sums: bool = False,
    ) -> None:
        population = network.population(name)
        dtype = torch.empty(0, dtype=network.dtype).numpy().dtype
        self.name, self.n, self.relays = name, population.size, sums or population.kind == "relay"
        self.numbers = network.incoming(name) if numbers is None else list(numbers)
        self.projections: list[Projection] = [network.projections[k] for k in self.numbers]
        self.layout = Layout.of(population, self.projections, dtype.itemsize)
        self.synapses: Synapses = synapses_of(network, self.projections, self.layout, dtype)
        sizes = [network.population(q.source).size for q in self.projections]
        self.first_row = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.pooled = PooledWeights(network, self.projections, self.layout, self.synapses, self.first_row, rule)
        p = population.lif_params(network.dtype)
        bias = torch.as_tensor(0.0 if sums else population.bias, dtype=network.dtype)
        self.params = np.zeros((6, self.layout.neuron_of.size), dtype=dtype)
        for k, value in enumerate((p.threshold, p.decay, p.leak, p.reset_value, p.amount, bias)):
            self.params[k] = self.layout.placed(value.expand(self.n).numpy())
        filler = self.layout.neuron_of.ravel() < 0
        first, silent = self.params[:3, :1], self.params[0, 0] > 0 and self.params[2, 0] == 0
        alike = population.kind == "lif" and bool((self.params[:3, ~filler] == first).all())
        self.kind = Kind(self.relays, bool(alike and (silent or not filler.any())))
        # Leaky integrators never fire, nor does filler.
        self.params[0, filler | (population.kind == "li")] = np.inf
        strict, subtract, hold = p.compare == ">", p.reset == "subtract", p.while_refractory == "hold"
        self.neurons = Neurons(self.n, self.params, strict, subtract, population.refractory, hold, False)
        self.v = self.params[2].copy()

    def of_units(self, placed: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Of numbers ``[batch, blocks * length]`` those of the units, ``[batch, n]``."""
        return placed[:, self.layout.block_of * self.layout.neuron_of.shape[1] + self.layout.at]


def arriving(
    first_row: npt.NDArray[np.int64], events: Sequence[Events]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Events of all sources of a population, as rows of its weights: offsets by projection, and rows."""
    if len(events) == 1:
        return events[0].offsets[None], events[0].neurons
    offsets, rows, base = [], [], 0
    for one, first in zip(events, first_row[:-1], strict=True):
        offsets.append(one.offsets + base)
        rows.append(one.neurons + np.int32(first))
        base += len(one.neurons)
    empty = np.zeros((0, 1), dtype=np.int64), np.zeros(0, dtype=np.int32)
    return (np.stack(offsets), np.concatenate(rows)) if events else empty


def values_of(events: Sequence[Events], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The values of all events, if any of them are graded."""
    if not any(len(one.values) for one in events):
        return np.zeros(0, dtype=dtype)
    ones = [one.values if len(one.values) else np.ones(len(one.neurons), dtype=dtype) for one in events]
    return np.concatenate(ones)
