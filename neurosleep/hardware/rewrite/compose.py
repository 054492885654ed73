"""Two projections, one after the other, as one: what a relay between them would pass on, without the relay."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from neurosleep.spiking import Population, Projection
from neurosleep.spiking.geometry import output_shape, propagate

__all__ = ["LARGEST", "compose", "dense_weight", "pool_divisor"]

#: Numbers of a matrix that is still made of a projection with a geometry (1 GiB of float64).
LARGEST = 2**27
# Rows of the unit matrix that go through a projection at once.
_CHUNK = 256


def pool_divisor(q: Projection, axes: int) -> int:
    """What an average pooling divides by; 1 for everything else."""
    options = dict(q.options)
    if q.kind != "pool" or options.get("mode", "average") != "average":
        return 1
    kernel = options["kernel"]
    return int(math.prod(kernel) if isinstance(kernel, tuple | list) else kernel**axes)


def _summing(q: Projection, axes: int) -> Projection:
    """The same projection; an average is a sum with a smaller scale."""
    divisor = pool_divisor(q, axes)
    if divisor == 1:
        return q
    options = (*((key, value) for key, value in q.options if key != "mode"), ("mode", "sum"))
    return dataclasses.replace(q, scale=q.scale / divisor, options=options)


def _through(q: Projection, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """``x`` ``[rows, pre]`` through a projection, its scale left out."""
    if q.kind in ("dense", "recurrent"):
        assert q.weight is not None  # the network checks it
        return x @ q.weight.T
    return propagate(q, q.weight, x, shape)


def dense_weight(source: Population, *steps: tuple[Projection, tuple[int, ...]], size: int) -> Tensor:
    """The matrix ``[post, pre]`` of projections in a row, their scales left out, each with the shape it starts from."""
    weight = torch.empty(size, source.size, dtype=torch.float64)
    for start in range(0, source.size, _CHUNK):
        rows = min(_CHUNK, source.size - start)
        x = torch.zeros(rows, source.size, dtype=torch.float64)
        x[torch.arange(rows), start + torch.arange(rows)] = 1
        for q, shape in steps:
            x = _through(q, x, shape)
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


def _window(q: Projection, axes: int) -> _Window:
    options = dict(q.options)

    def each(key: str, default: object) -> tuple[int, ...]:
        value = options.get(key)
        value = default if value is None else value
        return tuple(value) if isinstance(value, tuple | list) else (value,) * axes  # type: ignore[return-value]

    if q.kind == "conv":
        assert q.weight is not None  # the network checks it
        groups = options.get("groups", 1)
        return _Window(q.weight, each("stride", 1), each("padding", 0), each("dilation", 1), groups, False)
    kernel = each("kernel", None)
    ones = torch.ones(1, 1, *kernel, dtype=torch.float64)
    return _Window(ones, each("stride", kernel), each("padding", 0), (1,) * axes, 1, True)


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
    places = (("stride", window.stride), ("padding", window.padding))
    if window.pool:
        value = float(window.kernel.reshape(-1)[0])
        even = bool((window.kernel == value).all())
        if even and all(2 * p <= k for p, k in zip(window.padding, window.size, strict=True)):
            options = (("mode", "sum"), ("kernel", window.size), *places)
            return Projection(source, target, "pool", scale=value, plastic=False, options=options)
    return Projection(
        source, target, "conv", window.kernel, plastic=False, options=(*places, ("groups", window.groups))
    )


def compose(
    first: Projection, second: Projection, source: Population, relay: Population, target: Population
) -> tuple[Projection | None, bool]:
    """One projection from ``source`` to ``target`` with the effect of both, and whether it lost its geometry by that.

    Convolutions and poolings stay convolutions (or poolings) where that is exact at the edges; what else has a geometry
    becomes a matrix. None if that would be too large (:data:`LARGEST`).
    """
    axes = (len(source.shape) - 1, len(relay.shape) - 1)
    first, second = _summing(first, axes[0]), _summing(second, axes[1])
    common = {
        "source": source.name,
        "target": target.name,
        "scale": first.scale * second.scale,
        "delay": first.delay + second.delay,
    }
    plain = ("flatten", "identity")
    # What only reshapes is left out, where the other one does not go by the shape that it makes.
    if first.kind in plain and (second.kind not in ("conv", "pool") or source.shape == relay.shape):
        return dataclasses.replace(second, **common), False  # type: ignore[arg-type]
    if second.kind in plain and (first.kind not in ("conv", "pool") or target.shape == relay.shape):
        return dataclasses.replace(first, **common), False  # type: ignore[arg-type]
    windows = first.kind in ("conv", "pool") and second.kind in ("conv", "pool")
    if windows:
        one, two = _window(first, axes[0]), _window(second, axes[1])
        joined = one.pool or two.pool or one.groups == two.groups == 1
        if joined and _edges_agree(one, two, source.shape[1:], output_shape(first, source.shape)[1:]):
            found = _as_projection(_one_window(one, two, source.shape[0]), source.name, target.name)
            scale = found.scale * first.scale * second.scale
            return dataclasses.replace(found, scale=scale, delay=first.delay + second.delay), False
    if source.size * target.size > LARGEST:
        return None, True
    weight = dense_weight(source, (first, source.shape), (second, relay.shape), size=target.size)
    recurrent = source.name == target.name
    made = Projection(
        kind="recurrent" if recurrent else "dense",
        weight=weight,
        plastic=False,
        **common,  # type: ignore[arg-type]
    )
    return made, windows
