"""The convolutions into a population whose weights a rule changes, as the compiled code takes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurosleep.functional import PlasticityRule, PooledSRC
from neurosleep.spiking.engines.event.grid_kernels import Synapses
from neurosleep.spiking.engines.event.pooled_kernels import Geometry, Learning
from neurosleep.spiking.engines.event.population import rule_numbers
from neurosleep.spiking.engines.event.synapses import Layout, grid_of, tap_order
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.plastic import changes
from neurosleep.spiking.projections import Conv, Projection

__all__ = ["PooledWeights"]


class PooledWeights:
    """Where the weights that change lie among those of ``synapses``, and what the compiled rule needs to know."""

    def __init__(
        self,
        network: SpikingNetwork,
        incoming: Sequence[Projection],
        layout: Layout,
        synapses: Synapses,
        first_row: npt.NDArray[np.int64],
        rule: PlasticityRule | None,
    ) -> None:
        changing = {k: q for k, q in enumerate(incoming) if isinstance(q, Conv) and changes(rule, q)}
        self.numbers, self._weights = list(changing), synapses.weights
        self._index = {k: _places(q, layout, synapses, int(first_row[k])) for k, q in changing.items()}
        columns, first = [], 0
        for k, q in changing.items():
            source, index = network.population(q.source), self._index[k]
            _, height, width = grid_of(source.shape)
            axes = ((1, *values)[-2:] for values in (q.kernel, q.stride, q.dilation))
            kernel, stride, dilation = axes
            padding = (0, *q.padding)[-2:]
            groups = (index.shape[1], len(q.weight) // q.groups)
            columns.append((k, int(first_row[k]), first, *groups, height, width, *kernel, *stride, *padding, *dilation))
            first += index.size
        table = np.array(columns, dtype=np.int64).reshape(-1, len(Geometry._fields))
        dtype, channels = synapses.weights.dtype, layout.channels if changing else 0
        taps = max([index[0].size for index in self._index.values()], default=0)
        none = np.zeros(0, dtype=np.int64)
        self.learning = Learning(
            Geometry(*(np.ascontiguousarray(column) for column in table.T)),
            np.concatenate([none, *(index.reshape(-1) for index in self._index.values())]),
            layout.grid[2],
            channels,
            *rule_numbers(rule, dtype)[1:],
            isinstance(rule, PooledSRC) and rule.pooling == "mean",
            np.zeros(int(first_row[-1]) if changing else 0, dtype=np.uint8),
            np.zeros((channels, taps), dtype=np.int32),
            np.zeros((channels, taps), dtype=np.int32),
            np.zeros(channels, dtype=np.uint8),
            np.zeros(taps, dtype=dtype),
            np.zeros(taps, dtype=dtype),
            np.zeros(taps, dtype=np.int32 if dtype.itemsize == 4 else np.int64),
        )

    def weight(self, k: int) -> Tensor:
        """The present weight of the population's projection ``k``."""
        return torch.from_numpy(self._weights.reshape(-1)[self._index[k]])


def _places(q: Conv, layout: Layout, synapses: Synapses, first_row: int) -> npt.NDArray[np.int64]:
    """Where each weight of ``q`` lies in the weights of all blocks, in the weight's shape."""
    start, size = int(synapses.weight_at[first_row]), synapses.weights.shape[1]
    shape = tuple(q.weight.shape) if q.weight.ndim == 4 else (*q.weight.shape[:2], 1, q.weight.shape[2])
    out, inputs, height, width = np.indices(shape)
    slot_of = np.argsort(tap_order(shape[3], q.stride[-1]))
    unit = layout.channels if q.groups == 1 else len(q.weight) // q.groups
    group = 0 if q.groups == 1 else out // unit
    tap = ((group * shape[1] + inputs) * shape[2] + height) * shape[3] + slot_of[width]
    place = out // layout.channels * size + start + tap * unit + out % unit
    return np.asarray(place.reshape(q.weight.shape), dtype=np.int64)
