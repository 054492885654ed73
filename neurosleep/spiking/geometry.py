"""What projections make of spikes: whether they fit their populations, and what arrives through them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from neurosleep.errors import SettingsError
from neurosleep.spiking.parts import Population
from neurosleep.spiking.projections import Conv, Dense, Identity, Pool, Projection, Reshape, Transposed

__all__ = ["check_geometry", "output_shape", "propagate", "synapses_with"]


def output_shape(projection: Conv | Pool, source: tuple[int, ...]) -> tuple[int, ...]:
    r"""The shape that a convolution or a pooling makes of a population of shape ``source``.

    Along each axis :math:`\lfloor (n + 2p - d(k - 1) - 1) / s \rfloor + 1` with padding p, dilation d, kernel k and
    stride s, as in ``torch.nn.Conv2d``.

    Raises
    ------
    SettingsError
        If the projection does not fit ``source``.
    """
    where = f"Projection {projection.source!r} -> {projection.target!r}"
    kernel, axes = projection.kernel, len(projection.kernel)
    if len(source) != axes + 1:
        raise SettingsError(
            f"{where}: a {projection.kind} projection of kernel {kernel} starts at a population of shape {source}.",
            expected="(channels, length)" if axes == 1 else "(channels, height, width)",
            hint="a kernel with a number per axis",
        )
    channels, dilation = source[0], (1,) * axes
    if isinstance(projection, Conv):
        weight, groups = tuple(projection.weight.shape), projection.groups
        if source[0] % groups or weight[0] % groups or weight[1] != source[0] // groups:
            raise SettingsError(
                f"{where}: a weight of shape {weight} with {groups} groups does not fit {source[0]} input channels.",
                expected="[out, in / groups, ...], with in and out multiples of groups",
            )
        channels, dilation = weight[0], projection.dilation
    lengths = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(source[1:], projection.padding, dilation, kernel, projection.stride, strict=True)
    )
    if any(length < 1 for length in lengths):
        raise SettingsError(
            f"{where}: the kernel {kernel} is larger than the population of shape {source} with its padding.",
            expected="a smaller kernel, or more padding",
        )
    return (channels, *lengths)


def check_geometry(projection: Projection, source: Population, target: Population) -> None:
    """Refuse a projection that does not fit its populations; of a transposed one the network knows the weight."""
    where = f"Projection {projection.source!r} -> {projection.target!r}"
    match projection:
        case Dense():
            shape, expected = tuple(projection.weight.shape), (target.size, source.size)
            if shape != expected:
                raise SettingsError(f"{where}: the weight has shape {shape}.", expected=f"[post, pre] = {expected}")
        case Conv() | Pool():
            shape = output_shape(projection, source.shape)
            if target.shape != shape:
                raise SettingsError(
                    f"{where}: it makes the shape {shape} of {source.shape}, and {target.name!r} has shape "
                    f"{target.shape}.",
                    expected=f"a target of shape {shape}",
                )
        case Reshape() | Identity():
            if source.size != target.size:
                raise SettingsError(
                    f"{where}: it joins {source.size} neurons to {target.size}.",
                    expected=f"as many neurons on both sides of a {projection.kind} projection",
                )


def propagate(projection: Projection, source: Tensor, shape: tuple[int, ...], weight: Tensor | None = None) -> Tensor:
    """What arrives of ``source`` ``[batch, n]`` through the projection, its scale left out: ``[batch, m]``.

    ``shape`` is the shape of the source population; both sides are flattened in C order. ``weight`` is in the place of
    the projection's own; a transposed one has none.
    """
    match projection:
        case Dense():
            return source @ (projection.weight if weight is None else weight).T
        case Transposed() if weight is not None:
            return source @ weight.T
        case Conv():
            convolve = F.conv2d if len(projection.kernel) == 2 else F.conv1d
            y = convolve(
                source.reshape(len(source), *shape),
                projection.weight if weight is None else weight,
                None,
                projection.stride,
                projection.padding,
                projection.dilation,
                projection.groups,
            )
            return y.reshape(len(source), -1)
        case Pool():
            x = source.reshape(len(source), *shape)
            kernel, stride, padding = projection.kernel, projection.stride, projection.padding
            if len(kernel) == 1:
                x, kernel, stride, padding = x.unsqueeze(2), (1, *kernel), (1, *stride), (0, *padding)
            divisor = 1 if projection.mode == "sum" else math.prod(kernel)
            return F.avg_pool2d(x, kernel, stride, padding, divisor_override=divisor).reshape(len(source), -1)
        case Reshape() | Identity():
            return source
    raise TypeError(f"no way to compute a {type(projection).__name__} without its weight")


def synapses_with(
    projection: Conv, pre: Tensor, post: Tensor, source: tuple[int, ...], target: tuple[int, ...]
) -> Tensor:
    """How many synapses of each weight of a convolution have a 1 on both sides, in the weight's shape and type.

    ``pre`` and ``post`` are boolean, of populations of shape ``source`` and ``target``. Padding has no synapses.
    """
    weight = projection.weight
    axes = {key: list(getattr(projection, key)) for key in ("stride", "padding", "dilation")}
    sides = [
        side.to(weight.dtype).reshape(1, *shape).to(weight.device) for side, shape in ((post, target), (pre, source))
    ]
    counts = torch.ops.aten.convolution_backward(
        *sides, weight, None, *axes.values(), False, [0], projection.groups, [False, True, False]
    )[1]
    assert isinstance(counts, Tensor)
    return counts
