"""Layers of fixed weights: what moves, copies, adds or scales values, as convolutions and matrices."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["FIXED", "diagonal", "fixed_conv", "fixed_linear", "moving", "taps"]

#: More weights of a fixed matrix are no longer made: 64 MB.
_MOST_WEIGHTS = 2**24


class FixedConv1d(nn.Conv1d):
    """A convolution whose weights are no part of the model."""


class FixedConv2d(nn.Conv2d):
    """A convolution whose weights are no part of the model."""


class FixedLinear(nn.Linear):
    """A matrix whose weights are no part of the model."""


FIXED = (FixedConv1d, FixedConv2d, FixedLinear)


def fixed_conv(
    weight: Tensor, stride: tuple[int, ...] | int = 1, padding: tuple[int, ...] | int = 0, groups: int = 1
) -> nn.Module:
    """A convolution of ``weight`` ``[out, in / groups, ...]``, without a bias."""
    kind = FixedConv1d if weight.ndim == 3 else FixedConv2d
    kernel, inputs = tuple(weight.shape[2:]), weight.shape[1] * groups
    with torch.device("meta"):  # its initial weights are not needed, and no random number is drawn
        layer = kind(inputs, len(weight), kernel, stride, padding, groups=groups, bias=False)  # type: ignore[arg-type]
    layer.weight = nn.Parameter(weight, requires_grad=False)
    return layer


def fixed_linear(weight: Tensor) -> nn.Module:
    """A matrix ``[post, pre]`` without a bias."""
    with torch.device("meta"):
        layer = FixedLinear(weight.shape[1], len(weight), bias=False)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    return layer


def diagonal(values: Tensor, axes: int) -> tuple[Tensor, dict[str, int]]:
    """The weight that multiplies channels by ``values``, and its options: a matrix, or a convolution over ``axes``."""
    if axes == 0:
        return torch.diag(values), {}
    return values.reshape(-1, *(1,) * (axes + 1)), {"groups": len(values)}


def taps(n: int, m: int, stride: int, first: int, step: int, count: int) -> tuple[int, int, list[int]]:
    """Padding, kernel size and places in it of ``count`` taps, for m outputs that read n inputs along one axis.

    Output i reads, at tap j, input ``i * stride + first + j * step``; zeros beyond the ends. A convolution pads as
    much before as after: what would be more on one side is made up by a longer kernel of zeros.
    """
    last = first + (count - 1) * step
    padding = max(0, -first, (m - 1) * stride + last - (n - 1))
    places = [first + padding + j * step for j in range(count)]
    longest = n + 2 * padding - (m - 1) * stride
    return padding, max(places[-1] + 1, longest - (stride - 1)), places


def moving(before: tuple[int, ...], after: tuple[int, ...], index: Tensor) -> list[tuple[tuple[int, ...], nn.Module]]:
    """Layers, each with the shape that it reads, that make value ``index[i]`` of ``before`` value i of ``after``.

    -1 stands for 0. The last one's values are those of ``after`` in C order. None where nothing moves.
    """
    size = math.prod(before)
    index = index.reshape(-1)
    if len(index) == size and torch.equal(index, torch.arange(size)):
        return []
    for axes in (2, 1):
        if len(before) > axes:
            layer = _of_channels(before, index, axes) or _of_places(before, after, index, axes)
            if layer is not None:
                return [((math.prod(before[:-axes]), *before[-axes:]), layer)]
    turned = _turned(size, index)
    if turned is not None:
        return [((1, size), turned)]
    if len(index) * size > _MOST_WEIGHTS:
        return _of_each_channel(before, after, index)
    weight = torch.zeros(len(index), size)
    used = index >= 0
    weight[used.nonzero().flatten(), index[used]] = 1.0
    return [((size,), fixed_linear(weight))]


def _of_channels(before: tuple[int, ...], index: Tensor, axes: int) -> nn.Module | None:
    """Where whole channels move: a convolution of kernel 1."""
    places = math.prod(before[-axes:])
    channels = math.prod(before[:-axes])
    if len(index) % places:
        return None
    rows = index.reshape(-1, places)
    used = rows[:, 0] >= 0
    expected = torch.where(used[:, None], rows[:, :1] + torch.arange(places), -1)
    if not torch.equal(rows, expected) or bool((rows[used, 0] % places).any()):
        return None
    if len(rows) * channels > _MOST_WEIGHTS:
        return None
    weight = torch.zeros(len(rows), channels)
    weight[used.nonzero().flatten(), rows[used, 0] // places] = 1.0
    return fixed_conv(weight.reshape(*weight.shape, *(1,) * axes))


def _line(rows: Tensor, n: int) -> tuple[int, int] | None:
    """First and stride of places ``i * stride + first``, where those within 0 to n-1 are read and others are -1."""
    used = (rows >= 0).nonzero().flatten()
    if not len(used):
        return None
    stride = int(rows[used[1]] - rows[used[0]]) if len(used) > 1 and used[1] - used[0] == 1 else 1
    first = int(rows[used[0]]) - int(used[0]) * stride
    lines = torch.arange(len(rows)) * stride + first
    if stride < 1 or not torch.equal(torch.where((lines >= 0) & (lines < n), lines, -1), rows):
        return None
    return first, stride


def _of_places(before: tuple[int, ...], after: tuple[int, ...], index: Tensor, axes: int) -> nn.Module | None:
    """Where every channel is padded, cut or thinned in the same way: a convolution that reads one place each."""
    channels, places = math.prod(before[:-axes]), before[-axes:]
    if len(after) <= axes or math.prod(after[:-axes]) != channels:
        return None
    rows, size = index.reshape(channels, *after[-axes:]), math.prod(places)
    shifts = torch.arange(channels).reshape(-1, *(1,) * axes) * size
    if not torch.equal(rows, torch.where(rows[:1] >= 0, rows[:1] + shifts, -1)):
        return None
    grid = rows[0].reshape(-1, after[-1])
    used = grid >= 0
    if not used.any():
        return None
    lines = [torch.where(used, grid % places[-1], -1).amax(0)]
    if axes == 2:
        lines.insert(0, torch.where(used, grid // places[-1], -1).amax(1))
    found = [_line(line, n) for line, n in zip(lines, places, strict=True)]
    kernel: list[tuple[int, int, int, int]] = []
    for line, n, m in zip(found, places, after[-axes:], strict=True):
        if line is None:
            return None
        padding, size_of, (place,) = taps(n, m, line[1], line[0], 1, 1)
        kernel.append((padding, size_of, place, line[1]))
    remade = torch.where((lines[0] >= 0)[:, None] & (lines[-1] >= 0), lines[0][:, None] * places[-1] + lines[-1], -1)
    if not torch.equal(remade if axes == 2 else lines[0][None], grid):
        return None
    weight = torch.zeros(channels, 1, *(k[1] for k in kernel))
    weight[:, 0][(slice(None), *[k[2] for k in kernel])] = 1.0  # type: ignore[index]
    return fixed_conv(weight, tuple(k[3] for k in kernel), tuple(k[0] for k in kernel), channels)


def _turned(size: int, index: Tensor) -> nn.Module | None:
    """Where [a, b] becomes [b, a]: a convolution over all values in one line, which reads every b-th."""
    if len(index) != size or size < 2 or int(index[0]) != 0:
        return None
    b = int(index[1])
    if b < 2 or size % b or b * b > _MOST_WEIGHTS:
        return None
    if not torch.equal(index, torch.arange(size).reshape(-1, b).T.flatten()):
        return None
    return fixed_conv(torch.eye(b).reshape(b, 1, b), b)


def _of_each_channel(
    before: tuple[int, ...], after: tuple[int, ...], index: Tensor
) -> list[tuple[tuple[int, ...], nn.Module]]:
    channels, places = before[0], math.prod(before[1:])
    rows = index.reshape(channels, -1) if after[0] == channels else index.new_empty(0, 0)
    shifts = torch.arange(channels)[:, None] * places
    if not len(rows) or not torch.equal(rows, torch.where(rows[:1] >= 0, rows[:1] + shifts, -1)):
        raise ValueError(
            f"moves values of shape {before} in an order that takes {len(index) * math.prod(before)} weights"
        )
    matrix = torch.zeros(rows.shape[1], places)
    used = rows[0] >= 0
    matrix[used.nonzero().flatten(), rows[0][used]] = 1.0
    return channelwise(matrix, channels)


def channelwise(matrix: Tensor, channels: int) -> list[tuple[tuple[int, ...], nn.Module]]:
    """Layers that make ``matrix @ x`` of the places x of every channel."""
    m, n = matrix.shape
    if m * n > _MOST_WEIGHTS:
        raise ValueError(f"works on {n} places at once, which takes {m * n} weights")
    turned = (
        []
        if channels == 1
        else [((1, m * channels), fixed_conv(torch.eye(channels).reshape(channels, 1, -1), channels))]
    )
    return [((1, channels * n), fixed_conv(matrix.reshape(m, 1, n), n)), *turned]
