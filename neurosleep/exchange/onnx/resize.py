"""ONNX's operators that make images larger or move channels into space: Resize, ConvTranspose, DepthToSpace."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from neurosleep.exchange.onnx.node import Activation, Build, Node, Operator, checked_shape, listed
from neurosleep.exchange.onnx.tensors import short
from neurosleep.exchange.onnx.windows import MAX_PADDING, per_axis, spatial

__all__ = ["RESIZE"]


def _sizes(node: Node, x: Activation, scales: int, sizes: int | None) -> tuple[int, ...]:
    """What the axes behind the channels become."""
    if sizes is not None and len(node.inputs) > sizes and node.optional(sizes) is not None:
        whole = [size if size is not None else x.shape[0] for size in node.integers(sizes).values]
        fits = len(whole) == len(x.shape) + 1 and whole[1] == x.shape[0]
        made = tuple(whole[2:])
    else:
        factors = [float(value) for value in node.weight(scales, 1)]
        fits = len(factors) == len(x.shape) + 1 and factors[:2] == [1.0, 1.0] and all(f > 0 for f in factors)
        made = tuple(math.floor(size * factor) for size, factor in zip(x.shape[1:], factors[2:], strict=False))
    if not fits:
        raise node.refuse(
            f"changes a value of shape [batch, {listed(x.shape)}] along other axes",
            expected="those behind the channels",
        )
    return made


def _resize(build: Build, node: Node) -> Activation:
    node.count(1, 4)
    x, axes = spatial(node)
    old = node.op == "Upsample"
    made = _sizes(node, x, 1 if old or len(node.inputs) == 2 else 2, None if old else 3)
    shape = checked_shape(node, (x.shape[0], *made))
    if shape == x.shape:
        return x
    mode = node.text("mode", "nearest")
    # Upsample and the Resize of operator set 10 know this one alone.
    where = node.text("coordinate_transformation_mode", "asymmetric" if old or build.opset < 11 else "half_pixel")
    how = f"mode {short(mode)}, coordinates {short(where)}"
    even = all(larger % size == 0 for larger, size in zip(made, x.shape[1:], strict=True))
    floors = old or build.opset < 11 or node.text("nearest_mode", "round_prefer_floor") == "floor"
    # Where every value is repeated as often, all ways to find the nearest are one.
    if mode == "nearest" and ((even and where != "align_corners") or (where == "asymmetric" and floors)):
        return build.layer(node, nn.Upsample(made, mode="nearest"), x, shape)
    linear = mode == "linear" and where in ("half_pixel", "pytorch_half_pixel", "align_corners")
    if not linear or node.integer("antialias", 0) or (where == "pytorch_half_pixel" and 1 in made):
        raise node.refuse(f"resizes with {how}", expected="nearest (asymmetric, floor), or linear (half_pixel)")
    kind = "linear" if axes == 1 else "bilinear"
    return build.layer(node, nn.Upsample(made, mode=kind, align_corners=where == "align_corners"), x, shape)


def _transposed(build: Build, node: Node) -> Activation:
    node.count(2, 3)
    x, axes = spatial(node)
    weight, groups = node.weight(1, axes + 2), node.integer("group", 1)
    bias = None if node.optional(2) is None else build.own(node.weight(2, 1))
    units, kernel = weight.shape[1] * groups, tuple(weight.shape[2:])
    if groups < 1 or len(weight) != x.shape[0] or len(weight) % groups or min(weight.shape) < 1:
        raise node.refuse(f"has a weight of shape {tuple(weight.shape)} in {groups} groups", expected=f"[{x.shape[0]}")
    if node.integer_list("kernel_shape") not in (None, kernel) or (bias is not None and len(bias) != units):
        raise node.refuse("has a kernel_shape or a bias that does not fit its weight")
    stride, dilation = per_axis(node, "strides", axes, 1), per_axis(node, "dilations", axes, 1)
    more = per_axis(node, "output_padding", axes, 0, 0)
    pads = node.integer_list("pads") or (0,) * 2 * axes
    if node.text("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or "output_shape" in node.attributes:
        raise node.refuse("leaves its padding to be worked out", expected="pads")
    if len(pads) != 2 * axes or any(not 0 <= pad <= MAX_PADDING for pad in pads):
        raise node.refuse(f"has pads = {list(pads[:8])}", expected=f"{2 * axes} integers from 0 to {MAX_PADDING}")
    # What is left out behind more than before is so much less of what torch adds there.
    more = tuple(m + before - after for m, before, after in zip(more, pads[:axes], pads[axes:], strict=True))
    if any(not 0 <= m < max(s, d) for m, s, d in zip(more, stride, dilation, strict=True)):
        raise node.refuse(f"has pads = {list(pads)}, output_padding {list(more)}", expected="as much before as behind")
    sizes = (
        (size - 1) * s - 2 * pad + d * (k - 1) + m + 1
        for size, s, pad, d, k, m in zip(x.shape[1:], stride, pads[:axes], dilation, kernel, more, strict=True)
    )
    shape = checked_shape(node, (units, *sizes))
    kind: Any = nn.ConvTranspose1d if axes == 1 else nn.ConvTranspose2d
    layer = kind(
        x.shape[0],
        units,
        kernel,
        stride=stride,
        padding=pads[:axes],
        output_padding=more,
        dilation=dilation,
        groups=groups,
        bias=bias is not None,
        device="meta",
    )
    layer.weight = nn.Parameter(build.own(weight))
    if bias is not None:
        layer.bias = nn.Parameter(bias)
    return build.layer(node, layer, x, shape)


def _to_space(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    x, block = node.activation(0, 3), node.integer("blocksize", 0)
    if node.text("mode", "DCR") != "CRD" and block > 1 and x.shape[0] != block**2:
        raise node.refuse("moves channels in the order DCR", expected="mode = CRD, which pixel shuffling has")
    if not 1 <= block <= 2**12 or x.shape[0] % block**2:
        raise node.refuse(f"has blocksize = {block} for {x.shape[0]} channels", expected="a square root of a divisor")
    shape = (x.shape[0] // block**2, x.shape[1] * block, x.shape[2] * block)
    return build.layer(node, nn.PixelShuffle(block), x, shape)


RESIZE = {
    "ConvTranspose": Operator(
        _transposed, "auto_pad dilations group kernel_shape output_padding output_shape pads strides"
    ),
    "DepthToSpace": Operator(_to_space, "blocksize mode"),
    "Resize": Operator(
        _resize,
        "antialias coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value "
        "keep_aspect_ratio_policy mode nearest_mode",
    ),
    "Upsample": Operator(_resize, "mode"),
}
