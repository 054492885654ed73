"""Compiled: weights that synapses share over places change by what the rule of sleep does to all of these in a step."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from neurosleep._compiled import compiled
from neurosleep.spiking.engines.event.kernels import factors

__all__ = ["Geometry", "Learning", "learn_pooled"]


class Geometry(NamedTuple):
    """Of each convolution that changes, int64 ``[convolutions]``; grids of one axis have a height of 1."""

    number: Any  # among the projections of the population
    first_row: Any
    first_index: Any  # where its part of ``index`` starts
    group_in: Any  # channels of a group
    group_out: Any
    height: Any  # of the source
    width: Any
    kernel_y: Any
    kernel_x: Any
    stride_y: Any
    stride_x: Any
    padding_y: Any
    padding_x: Any
    dilation_y: Any
    dilation_x: Any


class Learning(NamedTuple):
    """What changes of a population, and how."""

    geometry: Geometry
    index: Any  # int64: where each weight [out, in / groups, height, width] lies in the weights of all blocks
    out_width: int  # of the population's grid
    channels: int  # of a block
    numbers: Any  # of the rule
    factor: int
    mean: bool
    marks: Any  # uint8 [rows]: room, 0 before and after
    both: Any  # int32 [channels, weights of a channel]: room, 0 before and after
    alone: Any  # the same
    touched: Any  # uint8 [channels]: room, 0 before and after
    column: Any  # [weights of a channel]: room
    g: Any
    bits: Any


@compiled(boundscheck=False)
def _count(learning: Any, p: int, b: int, unit: int) -> None:
    """Count the synapses of ``unit`` of block ``b``, which fired, through convolution ``p`` by what they brought."""
    geometry, marks = learning.geometry, learning.marks
    channel, place = unit % learning.channels, unit // learning.channels
    y, x = place // learning.out_width, place % learning.out_width
    height, width, inputs = geometry.height[p], geometry.width[p], geometry.group_in[p]
    first_channel = (b * learning.channels + channel) // geometry.group_out[p] * inputs
    both, alone = learning.both[channel], learning.alone[channel]
    learning.touched[channel] = 1
    tap = 0
    for c in range(inputs):
        row = geometry.first_row[p] + (first_channel + c) * height * width
        for ky in range(geometry.kernel_y[p]):
            at_y = y * geometry.stride_y[p] - geometry.padding_y[p] + ky * geometry.dilation_y[p]
            if not 0 <= at_y < height:
                tap += geometry.kernel_x[p]
                continue
            for kx in range(geometry.kernel_x[p]):
                at_x = x * geometry.stride_x[p] - geometry.padding_x[p] + kx * geometry.dilation_x[p]
                if 0 <= at_x < width:
                    fired = np.int32(marks[row + at_y * width + at_x])
                    both[tap] += fired
                    alone[tap] += 1 - fired
                tap += 1


@compiled(boundscheck=False)
def _change(learning: Any, p: int, b: int, channel: int, weights: Any) -> None:
    """Change the weights of a channel by what was counted, and forget the counts."""
    geometry, numbers, column, g = learning.geometry, learning.numbers, learning.column, learning.g
    both, alone, real = learning.both[channel], learning.alone[channel], weights.dtype.type
    taps = geometry.group_in[p] * geometry.kernel_y[p] * geometry.kernel_x[p]
    start = geometry.first_index[p] + (b * learning.channels + channel) * taps
    index = learning.index[start : start + taps]
    for k in range(taps):
        column[k] = weights[index[k]]
    factors(column[:taps], learning.factor, numbers[2], g[:taps], learning.bits[:taps])
    for k in range(taps):
        change = numbers[0] * real(both[k]) - numbers[1] * real(alone[k])
        if learning.mean:
            change /= real(max(both[k] + alone[k], 1))
        weights[index[k]] = column[k] + change * g[k]
        both[k] = 0
        alone[k] = 0


@compiled(boundscheck=False)
def learn_pooled(learning: Any, synapses: Any, given: Any, at: int, b: int, fired: Any) -> None:
    """Change the convolutions of block ``b`` after a step in which its units ``fired``, as they lie in it.

    The step's events are at ``at`` of the offsets but for delays.
    """
    weights, number = synapses.weights.reshape(-1), learning.geometry.number
    for p in range(len(number)):
        q = number[p]
        start, end = given.offsets[q, at - synapses.delay[q]], given.offsets[q, at - synapses.delay[q] + 1]
        for k in range(start, end):
            learning.marks[given.rows[k]] = 1
        for unit in fired:
            _count(learning, p, b, unit)
        for channel in range(learning.channels):
            if learning.touched[channel]:
                _change(learning, p, b, channel, weights)
                learning.touched[channel] = 0
        for k in range(start, end):
            learning.marks[given.rows[k]] = 0
