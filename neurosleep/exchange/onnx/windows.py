"""ONNX's convolutions, pooling and padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from neurosleep.exchange.layer_graph import Affine
from neurosleep.exchange.onnx.node import Activation, Build, Node, Operator, checked_shape, listed
from neurosleep.exchange.onnx.normalise import reduced
from neurosleep.exchange.onnx.shapes import reshaped, turned
from neurosleep.exchange.onnx.tensors import short

__all__ = ["MAX_PADDING", "WINDOWS", "convolved", "per_axis", "spatial"]

MAX_PADDING = 2**16


def per_axis(node: Node, name: str, axes: int, low: int, default: int = 1) -> tuple[int, ...]:
    """An attribute with one integer for each of the axes behind the channels."""
    values = node.integer_list(name)
    if values is None:
        return (default,) * axes
    if len(values) != axes or any(not low <= value <= MAX_PADDING for value in values):
        raise node.refuse(
            f"has {name} = {list(values[:8])}", expected=f"{axes} integers from {low} to {MAX_PADDING}, one per axis"
        )
    return values


def _padding(
    node: Node, sizes: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Zeros before and after each axis, with ``auto_pad`` worked out."""
    axes = len(sizes)
    mode = node.text("auto_pad", "NOTSET")
    if mode == "NOTSET":
        values = node.integer_list("pads")
        if values is None:
            return (0,) * axes, (0,) * axes
        if len(values) != 2 * axes or any(not 0 <= value <= MAX_PADDING for value in values):
            raise node.refuse(f"has pads = {list(values[:8])}", expected=f"{2 * axes} integers from 0 to {MAX_PADDING}")
        return values[:axes], values[axes:]
    if mode == "VALID":
        return (0,) * axes, (0,) * axes
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise node.refuse(f"has auto_pad = {short(mode)}", expected="NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    totals = [
        max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size)
        for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True)
    ]
    small, large = tuple(total // 2 for total in totals), tuple(total - total // 2 for total in totals)
    return (small, large) if mode == "SAME_UPPER" else (large, small)


def _padded(
    build: Build, node: Node, x: Activation, before: tuple[int, ...], after: tuple[int, ...]
) -> tuple[Activation, tuple[int, ...]]:
    """What is padded alike on both sides stays with the layer; other zeros come from a layer of their own."""
    if before == after:
        return x, before
    return _zeros(build, node, x, before, after), (0,) * len(before)


def _zeros(build: Build, node: Node, x: Activation, before: tuple[int, ...], after: tuple[int, ...]) -> Activation:
    return _padding_layer(build, node, x, before, after, 0.0)


def _padding_layer(
    build: Build, node: Node, x: Activation, before: tuple[int, ...], after: tuple[int, ...], filling: float
) -> Activation:
    """A layer that puts ``filling`` around the axes behind the channels."""
    shape = (x.shape[0], *(size + b + a for size, b, a in zip(x.shape[1:], before, after, strict=True)))
    sides = tuple(n for pair in zip(reversed(before), reversed(after), strict=True) for n in pair)
    layer: nn.Module
    if len(before) == 1:
        layer = nn.ConstantPad1d((sides[0], sides[1]), filling)
    elif filling == 0:
        layer = nn.ZeroPad2d(sides)  # type: ignore[arg-type]
    else:
        layer = nn.ConstantPad2d(sides, filling)  # type: ignore[arg-type]
    return build.layer(node, layer, x, checked_shape(node, shape))


def _windows(
    node: Node,
    x: Activation,
    padding: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[int, ...]:
    spans = [
        size + 2 * p - d * (k - 1) - 1 for size, p, k, d in zip(x.shape[1:], padding, kernel, dilation, strict=True)
    ]
    if any(span < 0 for span in spans):
        raise node.refuse(
            f"has a window of {list(kernel)}, larger than its input",
            found=f"[{listed(x.shape[1:])}] with padding {list(padding)} on each side and dilations {list(dilation)}",
        )
    return tuple(span // s + 1 for span, s in zip(spans, stride, strict=True))


def spatial(node: Node) -> tuple[Activation, int]:
    """The first input, which has one or two axes behind the channels, and how many."""
    x = node.activation(0)
    axes = len(x.shape) - 1
    if axes not in (1, 2):
        raise node.refuse(
            f"gets a value of shape [batch, {listed(x.shape)}]", expected="[batch, channels] and one or two more axes"
        )
    return x, axes


def _conv(build: Build, node: Node) -> Activation:
    node.count(2, 3)
    bias = None if node.optional(2) is None else build.own(node.weight(2, 1))
    return convolved(build, node, build.own(node.weight(1)), bias)


def convolved(build: Build, node: Node, weight: Tensor, bias: Tensor | None) -> Activation:
    """A convolution behind the node's first input."""
    x, axes = spatial(node)
    if weight.ndim != axes + 2:
        raise node.refuse(f"has a weight of shape {tuple(weight.shape)}", expected=f"{axes + 2} axes")
    kernel, groups = tuple(weight.shape[2:]), node.integer("group", 1)
    if node.integer_list("kernel_shape") not in (None, kernel):
        raise node.refuse(
            f"has kernel_shape = {node.integer_list('kernel_shape')}", expected=f"that of its weight, {kernel}"
        )
    fits = groups >= 1 and x.shape[0] == weight.shape[1] * groups and len(weight) % groups == 0
    if not fits or any(size < 1 for size in weight.shape):
        raise node.refuse(
            f"has a weight of shape {tuple(weight.shape)} in {groups} groups",
            expected=f"[out, {x.shape[0]} / groups, ...], out a multiple of groups",
        )
    stride, dilation = per_axis(node, "strides", axes, 1), per_axis(node, "dilations", axes, 1)
    x, padding = _padded(build, node, x, *_padding(node, x.shape[1:], kernel, stride, dilation))
    sizes = _windows(node, x, padding, kernel, stride, dilation)
    if bias is not None and len(bias) != len(weight):
        raise node.refuse(f"has a bias of {len(bias)} values", expected=f"{len(weight)}, one per channel")
    kind: Any = nn.Conv1d if axes == 1 else nn.Conv2d
    layer = kind(
        x.shape[0],
        len(weight),
        kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=bias is not None,
        device="meta",
    )
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias)
    return build.layer(node, layer, x, checked_shape(node, (len(weight), *sizes)))


def _pool_geometry(
    build: Build, node: Node, x: Activation, axes: int, filling: float
) -> tuple[Activation, dict[str, Any], tuple[int, ...]]:
    """The input (padded with ``filling`` where a layer of its own must), the layer's options, and the sizes made."""
    if node.integer_list("kernel_shape") is None:
        raise node.refuse("has no kernel_shape")
    kernel, stride = per_axis(node, "kernel_shape", axes, 1), per_axis(node, "strides", axes, 1)
    dilation = per_axis(node, "dilations", axes, 1)
    before, after = _padding(node, x.shape[1:], kernel, stride, dilation)
    wide = any(2 * p > k for p, k in zip(before, kernel, strict=True))
    if wide and filling != 0.0:
        raise node.refuse(
            f"has pads = {[*before, *after]} for windows of {list(kernel)}", expected="at most half of a window"
        )
    ceil = bool(node.integer("ceil_mode", 0))
    if before != after or wide:
        x, before = _padding_layer(build, node, x, before, after, filling), (0,) * axes
    sizes = _windows(node, x, before, kernel, stride, dilation)
    options: dict[str, Any] = {"kernel_size": kernel, "stride": stride, "padding": before}
    spare = [
        (size + 2 * p - d * (k - 1) - 1) % s
        for size, p, k, s, d in zip(x.shape[1:], before, kernel, stride, dilation, strict=True)
    ]
    if ceil and any(spare):
        # A last window that would lie in the padding alone is left out, in torch as in onnxruntime.
        options["ceil_mode"] = True
        sizes = tuple(
            made + (1 if rest and made * s < size + p else 0)
            for made, rest, s, size, p in zip(sizes, spare, stride, x.shape[1:], before, strict=True)
        )
    if dilation != (1,) * axes:
        options["dilation"] = dilation
    return x, options, sizes


def _average_pool(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    x, axes = spatial(node)
    include, given = bool(node.integer("count_include_pad", 0)), x
    x, options, sizes = _pool_geometry(build, node, x, axes, 0.0)
    padded = x.name != given.name and not include  # by a layer of its own, whose zeros do not count
    if "dilation" in options:
        raise node.refuse(f"has dilations = {list(options['dilation'])}", expected="dilations of 1")
    if "ceil_mode" in options and (include or padded or any(options["padding"])):
        raise node.refuse("has ceil_mode = 1 where padded windows do not come out even", expected="ceil_mode = 0")
    kind: Any = nn.AvgPool1d if axes == 1 else nn.AvgPool2d
    # Without padding the two ways to count are one; torch's default is then the plainer network.
    layer = kind(**options, count_include_pad=include or not any(options["padding"]))
    made = build.layer(node, layer, x, checked_shape(node, (x.shape[0], *sizes)))
    if not padded:
        return made
    around = build.maker(x)
    assert around is not None
    share = layer(around(torch.ones(1, 1, *given.shape[1:], dtype=build.dtype)))[0]
    return build.layer(node, Affine(1 / share), made, made.shape)


def _max_pool(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    if len(node.used_outputs) > 1:
        raise node.refuse("gives the places of the maxima too", expected="one output")
    node.exactly("storage_order", 0)
    x, axes = spatial(node)
    # What is not below 0 has the same maxima with zeros around it as with nothing.
    filling = 0.0 if isinstance(build.maker(x), nn.ReLU | nn.ReLU6) else -math.inf
    x, options, sizes = _pool_geometry(build, node, x, axes, filling)
    kind: Any = nn.MaxPool1d if axes == 1 else nn.MaxPool2d
    return build.layer(node, kind(**options), x, checked_shape(node, (x.shape[0], *sizes)))


def _over_space(build: Build, node: Node, kinds: Sequence[Any], x: Activation, keep: bool) -> Activation:
    axes = len(x.shape) - 1
    one = build.layer(node, kinds[axes - 1](1), x, (x.shape[0], *(1,) * axes))
    return one if keep else build.layer(node, nn.Flatten(), one, (x.shape[0],))


_MEANS, _MAXIMA = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d), (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)


def _global_average_pool(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    return _over_space(build, node, _MEANS, spatial(node)[0], True)


def _global_max_pool(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    return _over_space(build, node, _MAXIMA, spatial(node)[0], True)


def _reduce_mean(build: Build, node: Node) -> Activation:
    node.count(1, 2)
    x = node.activation(0)
    axes = len(x.shape) - 1
    if axes not in (1, 2):
        return reduced(build, node, build.settled(node, x), "mean")
    if x.shape != x.turned or (x.order and x.order[-1] != 0):  # channels last only
        x = build.settled(node, x)
    given = node.integer_list("axes") if node.optional(1) is None else node.fixed(1)
    rank = axes + 2
    if not given and node.integer("noop_with_empty_axes", 0):
        return x
    order = x.order or tuple(range(rank - 1))
    over = [] if given is None else sorted(axis % rank for axis in given if -rank <= axis < rank)
    if not given or 0 in over or sorted(order[axis - 1] for axis in over) != list(range(1, rank - 1)):
        return reduced(build, node, build.settled(node, x), "mean")
    keep = bool(node.integer("keepdims", 1))
    inner = x if x.stored is None else Activation(x.name, x.stored)
    mean = _over_space(build, node, _MEANS, inner, keep and x.stored is None)
    if keep and x.stored is not None:
        return reshaped(
            build, node, mean, tuple(size if axis == 0 else 1 for size, axis in zip(x.shape, x.order, strict=True))
        )
    return mean


def _pad(build: Build, node: Node) -> Activation:
    """Zeros around the axes behind the channels, as a layer; none at all are no layer."""
    node.count(1, 4)
    x = node.activation(0)
    rank = len(x.shape) + 1
    if "pads" in node.attributes:  # up to operator set 10
        given, filling = node.integer_list("pads") or (), node.number("value", 0.0)
    else:
        node.count(2, 4)
        given, filling = node.fixed(1), 0.0
        if node.optional(2) is not None:
            constant = node.weight(2)
            if constant.numel() != 1:
                raise node.refuse(f"fills with a constant of shape {tuple(constant.shape)}", expected="a single number")
            filling = float(constant)
    axes = tuple(range(rank)) if node.optional(3) is None else node.fixed(3)
    if len(given) != 2 * len(axes) or any(not -rank <= axis < rank for axis in axes):
        raise node.refuse(f"has pads = {list(given[:16])}", expected=f"two for each of {len(axes)} axes")
    before, after = [0] * rank, [0] * rank
    for k, axis in enumerate(axes):
        before[axis % rank], after[axis % rank] = given[k], given[len(axes) + k]
    if not any(given):
        return x
    mode = node.text("mode", "constant")
    if mode != "constant" or filling != 0:
        raise node.refuse(
            f"pads in mode {short(mode)}" if mode != "constant" else f"pads with {filling:g}", expected="zeros"
        )
    if x.stored is not None and (x.shape != x.turned or before[1 + x.order.index(0)] or after[1 + x.order.index(0)]):
        x = build.settled(node, x)
    if x.stored is not None:  # the same of what is computed
        places = [0, *(1 + x.order.index(axis) for axis in range(rank - 1))]
        before, after = [before[k] for k in places], [after[k] for k in places]
    if rank > 2 and x.stored is None and (before[1] or after[1]) and not before[-1] and not after[-1]:
        # Channels last: turned first, so that a Transpose behind it has nothing left to do.
        first = build.settled(node, turned(build, node, x, (rank - 2, *range(rank - 2))))
        x = Activation(first.name, x.shape, first.shape, (*range(1, rank - 1), 0))
        before, after = [0, 0, *before[1:-1]], [0, 0, *after[1:-1]]
    if any(before[:2]) or any(after[:2]) or rank not in (3, 4):
        raise node.refuse(f"has pads = {list(given[:16])}", expected="padding of the axes behind the channels only")
    if any(not 0 <= side <= MAX_PADDING for side in given):
        raise node.refuse(f"has pads = {list(given[:16])}", expected=f"integers from 0 to {MAX_PADDING}")
    if x.stored is None:
        return _zeros(build, node, x, tuple(before[2:]), tuple(after[2:]))
    made = _zeros(build, node, Activation(x.name, x.stored), tuple(before[2:]), tuple(after[2:]))
    return Activation(made.name, tuple(made.shape[axis] for axis in x.order), made.shape, x.order)


WINDOWS = {
    "AveragePool": Operator(_average_pool, "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides"),
    "Conv": Operator(_conv, "auto_pad dilations group kernel_shape pads strides"),
    "GlobalAveragePool": Operator(_global_average_pool),
    "GlobalMaxPool": Operator(_global_max_pool),
    "MaxPool": Operator(_max_pool, "auto_pad ceil_mode dilations kernel_shape pads storage_order strides"),
    "Pad": Operator(_pad, "mode pads value", turned=True),
    "ReduceMean": Operator(_reduce_mean, "axes keepdims noop_with_empty_axes", turned=True),
}
