"""What ends in a population that lies position by position, as runs of weights that compiled code adds to its sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosleep.spiking.engines.event.grid_kernels import Synapses
from neurosleep.spiking.engines.event.population import BLOCK, aligned
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.parts import Population
from neurosleep.spiking.projections import Conv, Dense, Pool, Projection

__all__ = ["Layout", "grid_of", "synapses_of", "tap_order"]

_Integers = npt.NDArray[np.int64]
_Reals = npt.NDArray[np.floating]

# What the weights, and what the sums and potentials of a block take at most, in bytes, so that both stay in a cache.
_WEIGHTS, _STATE = 2**19, 3 * 2**17
# Channels of a block, unless there are fewer, are a multiple of this.
_LEAST = 16


def grid_of(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height and width; units without a grid are channels of one position."""
    if len(shape) not in (2, 3):
        return math.prod(shape), 1, 1
    return shape[0], shape[1] if len(shape) == 3 else 1, shape[-1]


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the units of a population lie: blocks of channels, in each of them position by position.

    Attributes
    ----------
    grid:
        Channels, height, width.
    channels:
        Of a block.
    neuron_of:
        int32 ``[blocks, length]``: numbers of the units, -1 of filler.
    block_of, at:
        int64 ``[n]``: of each unit its block, and where it lies there.
    """

    grid: tuple[int, int, int]
    channels: int
    neuron_of: npt.NDArray[np.int32]
    block_of: _Integers
    at: _Integers

    @classmethod
    def of(cls, population: Population, incoming: Sequence[Projection], item: int) -> Layout:
        """That of ``population``, whose numbers take ``item`` bytes each."""
        total, height, width = grid_of(population.shape)
        positions = height * width
        channels = min(total, _channels(positions, incoming, item))
        blocks = -(-total // channels)
        numbers = np.full((blocks * channels, positions), -1, dtype=np.int32)
        numbers[:total] = np.arange(population.size, dtype=np.int32).reshape(total, positions)
        # Marks of units that fired are read eight at a time.
        neuron_of = np.full((blocks, -(-positions * channels // 8) * 8), -1, dtype=np.int32)
        by_block = numbers.reshape(blocks, channels, positions).transpose(0, 2, 1)
        neuron_of[:, : positions * channels] = by_block.reshape(blocks, -1)
        block, place = np.nonzero(neuron_of >= 0)
        order = np.argsort(neuron_of[block, place])
        return cls((total, height, width), channels, neuron_of, block[order], place[order])

    def placed(self, values: npt.NDArray[np.generic], filler: float = 0) -> npt.NDArray[np.generic]:
        """``values`` ``[..., n]`` where the units lie: ``[..., blocks * length]``."""
        blocks, length = self.neuron_of.shape
        there = np.full((*values.shape[:-1], blocks * length), filler, dtype=values.dtype)
        there[..., self.block_of * length + self.at] = values
        return there


def _channels(positions: int, incoming: Sequence[Projection], item: int) -> int:
    """How many channels a block may have."""
    # Channels of one group are not parted.
    if any(isinstance(q, Conv) and q.groups > 1 and _LEAST % (len(q.weight) // q.groups) for q in incoming):
        return 2**31
    weights = sum(item * q.weight[0].numel() for q in incoming if isinstance(q, Conv) and q.groups == 1)
    most = min(_WEIGHTS // max(weights, 1), _STATE // (3 * item * positions), BLOCK)
    return max(_LEAST, most // _LEAST * _LEAST)


class _Part(NamedTuple):
    """One projection of a population, as :class:`Synapses` has all of them; numbers count from its own start."""

    place: _Integers  # [blocks, n]
    weight_at: _Integers  # [n]
    sum_at: _Integers  # [blocks, n]
    first: _Integers  # [lists + 1]
    runs: _Integers  # [runs, 3]: where in the sums, where in the weights, how long
    weights: _Reals  # [blocks, size]


def _reached(n: int, out: int, kernel: int, stride: int, padding: int, dilation: int) -> list[list[tuple[int, int]]]:
    """By place along an axis of ``n``: which places of the ``out`` it reaches, and by which tap."""
    found: list[list[tuple[int, int]]] = [[] for _ in range(n)]
    for o in range(out):
        for k in range(kernel):
            if 0 <= (i := o * stride - padding + k * dilation) < n:
                found[i].append((o, k))
    return found


def tap_order(kernel: int, stride: int) -> list[int]:
    """Taps of one row of a kernel in the order of their weights: to the next place leads the tap a stride before."""
    return sorted(range(kernel), key=lambda k: (k % stride, -k))


def _runs(
    q: Conv | Pool, source: tuple[int, int, int], layout: Layout, unit: int, weight: int
) -> tuple[_Integers, _Integers]:
    """Runs by position of the source: the ends of their lists, the last of which is empty, and the runs.

    ``unit`` channels of a position are reached, by ``weight`` weights a tap.
    """
    kernel, stride, padding = q.kernel, q.stride, q.padding
    dilation = q.dilation if isinstance(q, Conv) else (1,) * len(kernel)
    if len(kernel) == 1:
        kernel, stride, padding, dilation = (1, *kernel), (1, *stride), (0, *padding), (1, *dilation)
    (_, height, width), (_, out_height, out_width) = source, layout.grid
    down = _reached(height, out_height, kernel[0], stride[0], padding[0], dilation[0])
    across = _reached(width, out_width, kernel[1], stride[1], padding[1], dilation[1])
    slot_of = {k: slot for slot, k in enumerate(tap_order(kernel[1], stride[1]))}
    line: list[list[tuple[int, int, int]]] = []
    for pairs in across:
        joined: list[tuple[int, int, int]] = []
        for o, k in pairs:
            last = joined[-1] if joined else (-1, -1, 0)
            if unit == weight == layout.channels and (o, slot_of[k]) == (last[0] + last[2], last[1] + last[2]):
                joined[-1] = (*last[:2], last[2] + 1)
            else:
                joined.append((o, slot_of[k], 1))
        line.append(joined)
    counts, runs = [], []
    for rows in down:
        for pieces in line:
            counts.append(len(rows) * len(pieces))
            runs += [
                ((y * out_width + x) * layout.channels, (k * kernel[1] + slot) * weight, length * unit)
                for y, k in rows
                for x, slot, length in pieces
            ]
    return np.cumsum([0, *counts, 0]), np.array(runs, dtype=np.int64).reshape(-1, 3)


def _of_groups(q: Conv | Pool, source: tuple[int, int, int], layout: Layout) -> _Part:
    """A grouped convolution, or a pooling, of which every channel is a group: each reaches channels of its own."""
    channels, height, width = source
    groups = q.groups if isinstance(q, Conv) else channels
    unit = layout.grid[0] // groups
    first, runs = _runs(q, source, layout, unit, unit if isinstance(q, Conv) else 0)
    own = np.arange(channels) // (channels // groups) * unit
    position, blocks = np.arange(height * width), np.arange(layout.neuron_of.shape[0])[:, None]
    place = np.where((own // layout.channels == blocks)[..., None], position, len(position))
    weights: _Reals = np.ones((1, 1))
    weight_at = np.zeros(channels, dtype=np.int64)
    if isinstance(q, Conv):
        grouped = _taps(q).reshape(groups, unit, *_taps(q).shape[1:]).transpose(0, 2, 3, 4, 1)
        weights = np.ascontiguousarray(grouped).reshape(1, -1)
        weight_at = np.arange(channels) * (weights.size // channels)
    return _Part(
        place.reshape(len(blocks), -1),
        weight_at.repeat(len(position)),
        (own - blocks * layout.channels).repeat(len(position), 1),
        first,
        runs,
        weights.repeat(len(blocks), 0),
    )


def _taps(q: Conv) -> _Reals:
    """The weight ``[out, in / groups, height, width]``, taps of a row in their order."""
    weight: _Reals = q.weight.detach().cpu().numpy()
    weight = weight[:, :, None] if weight.ndim == 3 else weight
    return weight[..., tap_order(weight.shape[3], q.stride[-1])]


def _convolution(q: Conv, source: tuple[int, int, int], layout: Layout) -> _Part:
    """A convolution without groups: every channel reaches all channels of a block."""
    channels, height, width = source
    first, runs = _runs(q, source, layout, layout.channels, layout.channels)
    blocks = len(layout.neuron_of)
    taps = _taps(q)
    padded = np.zeros((blocks * layout.channels, *taps.shape[1:]), dtype=taps.dtype)
    padded[: len(taps)] = taps
    weights = padded.reshape(blocks, layout.channels, -1).transpose(0, 2, 1).reshape(blocks, -1)
    position = np.tile(np.arange(height * width), (blocks, channels))
    each = weights.shape[1] // channels
    return _Part(
        position,
        (np.arange(channels) * each).repeat(height * width),
        np.zeros_like(position),
        first,
        runs,
        np.ascontiguousarray(weights),
    )


def _part(network: SpikingNetwork, q: Projection, layout: Layout, dtype: npt.DTypeLike) -> _Part:
    source = network.population(q.source)
    blocks, length = layout.neuron_of.shape
    match q:
        case Conv() if q.groups == 1:
            return _convolution(q, grid_of(source.shape), layout)
        case Conv() | Pool():
            return _of_groups(q, grid_of(source.shape), layout)
        case Dense():
            placed = layout.placed(q.weight.detach().cpu().numpy().T).reshape(source.size, blocks, length)
            return _Part(
                np.zeros((blocks, source.size), dtype=np.int64),
                np.arange(source.size) * length,
                np.zeros((blocks, source.size), dtype=np.int64),
                np.array([0, 1]),
                np.array([[0, 0, length]]),
                np.ascontiguousarray(placed.transpose(1, 0, 2)).reshape(blocks, -1),
            )
    # From each unit to that of the same number.
    own = layout.block_of == np.arange(blocks)[:, None]
    number = np.arange(source.size)
    return _Part(
        np.where(own, number, source.size),
        np.zeros_like(number),
        np.zeros((blocks, source.size), dtype=np.int64),
        np.concatenate([np.arange(source.size + 1), [source.size]]),
        np.stack([layout.at, np.zeros_like(number), np.ones_like(number)], 1),
        np.ones((blocks, 1), dtype=dtype),
    )


def synapses_of(
    network: SpikingNetwork, incoming: Sequence[Projection], layout: Layout, dtype: npt.DTypeLike
) -> Synapses:
    """All ``incoming`` projections of one population together."""
    blocks = len(layout.neuron_of)
    none = np.zeros((blocks, 0), dtype=np.int64)
    place, weight_at, sum_at, first, runs = [none], [none[0]], [none], [np.zeros(1, dtype=np.int64)], []
    weights, lists, count, size = [np.zeros((blocks, 0), dtype=dtype)], 0, 0, 0
    single: list[bool] = []
    for q in incoming:
        part = _part(network, q, layout, dtype)
        place.append(part.place + lists)
        weight_at.append(part.weight_at + size)
        sum_at.append(part.sum_at)
        first.append(part.first[1:] + count)
        runs.append(part.runs)
        single.append(bool((np.diff(part.first) <= 1).all() and (part.runs[:, 2] == 1).all()))
        weights.append(part.weights.astype(dtype))
        lists, count, size = lists + len(part.first) - 1, count + len(part.runs), size + part.weights.shape[1]
    every = np.concatenate([np.zeros((0, 3), dtype=np.int64), *runs])
    divisors = [math.prod(q.kernel) if isinstance(q, Pool) and q.mode == "average" else 1 for q in incoming]
    return Synapses(
        np.concatenate(place, 1),
        np.concatenate(weight_at),
        np.concatenate(sum_at, 1),
        np.concatenate(first),
        np.ascontiguousarray(every[:, 0]),
        np.ascontiguousarray(every[:, 1]),
        np.ascontiguousarray(every[:, 2]),
        aligned(np.concatenate(weights, 1)),
        np.array([q.scale for q in incoming], dtype=dtype),
        np.array(divisors, dtype=dtype),
        np.array([q.delay for q in incoming], dtype=np.int64),
        np.array(single, dtype=np.bool_),
        aligned(np.zeros(layout.neuron_of.shape[1], dtype=dtype)),
        layout.neuron_of,
    )
