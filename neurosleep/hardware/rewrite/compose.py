"""Two projections, one after the other, as one: what a relay between them would pass on, without the relay."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from neurosleep.spiking import Conv, Dense, Identity, Pool, Population, Projection, Reshape
from neurosleep.spiking.geometry import output_shape, propagate

__all__ = ["LARGEST", "compose", "dense_weight", "pool_divisor", "summing"]

#: Numbers of a matrix that is still made of a projection with a geometry (1 GiB of float64).
LARGEST = 2**27
# Rows of the unit matrix that go through a projection at once.
_CHUNK = 256


def pool_divisor(q: Projection) -> int:
    """What an average pooling divides by; 1 for everything else."""
    return math.prod(q.kernel) if isinstance(q, Pool) and q.mode == "average" else 1


def summing(q: Projection) -> Projection:
    """The same projection; an average is a sum with a smaller scale."""
    return dataclasses.replace(q, scale=q.scale / pool_divisor(q), mode="sum") if isinstance(q, Pool) else q


def dense_weight(source: Population, *steps: tuple[Projection, tuple[int, ...]], size: int) -> Tensor:
    """The matrix ``[post, pre]`` of projections in a row, their scales left out, each with the shape it starts from."""
    weight = torch.empty(size, source.size, dtype=torch.float64)
    for start in range(0, source.size, _CHUNK):
        rows = min(_CHUNK, source.size - start)
        x = torch.zeros(rows, source.size, dtype=torch.float64)
        x[torch.arange(rows), start + torch.arange(rows)] = 1
        for q, shape in steps:
            x = propagate(q, x, shape)
        weight[:, start : start + rows] = x.T
    return weight


class _Window(NamedTuple):
    """A convolution or a pooling: kernel ``[out, in / groups, ...]`` (a pooling's ``[1, 1, ...]``) and its places."""

    kernel: Tensor
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    pool: bool

    @property
    def size(self) -> tuple[int, ...]:
        return tuple(self.kernel.shape[2:])


def _window(q: Conv | Pool) -> _Window:
    if isinstance(q, Conv):
        return _Window(q.weight, q.stride, q.padding, q.dilation, q.groups, False)
    ones = torch.ones(1, 1, *q.kernel, dtype=torch.float64)
    return _Window(ones, q.stride, q.padding, (1,) * len(q.kernel), 1, True)


def _edges_agree(first: _Window, second: _Window, length: tuple[int, ...], between: tuple[int, ...]) -> bool:
    """Whether zeros around what lies between are what the first window makes of zeros around its own source."""
    for n, m, k, s, p, d, padding in zip(
        length, between, first.size, first.stride, first.padding, first.dilation, second.padding, strict=True
    ):
        # The windows next to the first and to the last one must not reach into the source.
        if padding and not ((k - 1) * d < s + p and m * s - p >= n):
            return False
    return True


def _one_window(first: _Window, second: _Window, channels: int) -> _Window:
    """The window that has the effect of both; not both are convolutions with groups."""
    s1, d1, k1, s2, d2, k2 = first.stride, first.dilation, first.size, second.stride, second.dilation, second.size
    span = tuple((b - 1) * db * sa + (a - 1) * da + 1 for a, sa, da, b, db in zip(k1, s1, d1, k2, d2, strict=True))
    if first.pool:
        groups, rows = (channels, torch.ones(channels, 1)) if second.pool else (second.groups, second.kernel)
    else:
        groups, rows = (first.groups, first.kernel) if second.pool else (1, second.kernel)
    width = rows.shape[1] if first.pool or second.pool else first.kernel.shape[1]
    kernel = torch.zeros(rows.shape[0], width, *span, dtype=torch.float64)
    at: tuple[int, ...]
    for at in itertools.product(*(range(k) for k in k2)):
        place = tuple(
            slice(i * db * sa, i * db * sa + (a - 1) * da + 1, da)
            for i, db, sa, a, da in zip(at, d2, s1, k1, d1, strict=True)
        )
        index: tuple[slice | int, ...] = (slice(None), slice(None), *at)
        here = second.kernel[index]
        if first.pool or second.pool:
            # One of the two keeps channels apart, so that the product has no sum over them.
            found = here.reshape(*here.shape, *(1,) * len(k1)) * first.kernel
        else:
            found = torch.einsum("om,mc...->oc...", here, first.kernel)
        kernel[:, :, *place] += found
    return _Window(
        kernel,
        tuple(a * b for a, b in zip(s1, s2, strict=True)),
        tuple(b * s + a for a, b, s in zip(first.padding, second.padding, s1, strict=True)),
        (1,) * len(k1),
        groups,
        first.pool and second.pool,
    )


def _as_projection(window: _Window, source: str, target: str) -> Projection:
    places = (window.stride, window.padding)
    if window.pool:
        value = float(window.kernel.reshape(-1)[0])
        even = bool((window.kernel == value).all())
        if even and all(2 * p <= k for p, k in zip(window.padding, window.size, strict=True)):
            return Pool(source, target, window.size, *places, mode="sum", scale=value)
    return Conv(source, target, window.kernel, *places, groups=window.groups)


def compose(
    first: Projection, second: Projection, source: Population, relay: Population, target: Population
) -> tuple[Projection | None, bool]:
    """One projection from ``source`` to ``target`` with the effect of both, and whether it lost its geometry by that.

    Convolutions and poolings stay convolutions (or poolings) where that is exact at the edges; what else has a geometry
    becomes a matrix. None if that would be too large (:data:`LARGEST`).
    """
    first, second = summing(first), summing(second)
    scale, delay = first.scale * second.scale, first.delay + second.delay
    # What only reshapes is left out, where the other one does not go by the shape that it makes.
    if isinstance(first, Reshape | Identity) and (not isinstance(second, Conv | Pool) or source.shape == relay.shape):
        return dataclasses.replace(second, source=source.name, scale=scale, delay=delay), False
    if isinstance(second, Reshape | Identity) and (not isinstance(first, Conv | Pool) or target.shape == relay.shape):
        return dataclasses.replace(first, target=target.name, scale=scale, delay=delay), False
    windows = isinstance(first, Conv | Pool) and isinstance(second, Conv | Pool)
    if isinstance(first, Conv | Pool) and isinstance(second, Conv | Pool):
        one, two = _window(first), _window(second)
        joined = one.pool or two.pool or one.groups == two.groups == 1
        if joined and _edges_agree(one, two, source.shape[1:], output_shape(first, source.shape)[1:]):
            made = _as_projection(_one_window(one, two, source.shape[0]), source.name, target.name)
            return dataclasses.replace(made, scale=made.scale * first.scale * second.scale, delay=delay), False
    if source.size * target.size > LARGEST:
        return None, True
    weight = dense_weight(source, (first, source.shape), (second, relay.shape), size=target.size)
    return Dense(source.name, target.name, weight, scale=scale, delay=delay, plastic=False), windows
