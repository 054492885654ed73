"""Quantised networks in ONNX, read as the floats that their integers stand for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neurosleep.exchange.onnx.dense import linear
from neurosleep.exchange.onnx.node import Activation, Build, Node, Operator, Value
from neurosleep.exchange.onnx.pointwise import pointwise
from neurosleep.exchange.onnx.windows import convolved

__all__ = ["QUANTISED"]

_NOTE = "the quantised network is read as its floats: activities are neither rounded nor limited"


def _floats(node: Node, build: Build, at: int, axis: int) -> Tensor:
    """The floats of a stored tensor of integers: input ``at``, with its scale and zero point behind it."""
    stored, scale = node.constant(at), node.weight(at + 1)
    zero = node.optional(at + 2)
    offset = torch.zeros(()) if zero is None else node.constant(at + 2).double()
    if node.integer("block_size", 0):
        raise node.refuse("has a scale for each block", expected="one scale, or one per channel")
    shape = [1] * stored.ndim
    if scale.numel() != 1:
        if not -stored.ndim <= axis < stored.ndim or scale.shape != (stored.shape[axis],):
            raise node.refuse(f"has a scale of shape {tuple(scale.shape)} for {tuple(stored.shape)}, axis {axis}")
        shape[axis] = len(scale)
    if offset.numel() not in (1, scale.numel()):
        raise node.refuse(f"has a zero point of shape {tuple(offset.shape)}", expected="that of its scale")
    build.own(stored)  # counts them
    offset = offset.reshape(shape if offset.numel() != 1 else [1] * stored.ndim)
    return ((stored.double() - offset) * scale.double().reshape(shape)).to(build.dtype)


def _rectified(build: Build, node: Node, x: Activation, zero: Value | None) -> Activation:
    """``x`` without what is below 0, where the integers stand for no such numbers.

    Tools leave a ReLU out where the integers saturate as it does. Of the network's input they tell the range.
    """
    # Without a zero point the integers are of type uint8, whose least value is 0.
    lowest = zero is None or (isinstance(zero, Tensor) and bool((zero == torch.iinfo(zero.dtype).min).all()))
    made = x.name == "input" or isinstance(build.maker(x), nn.ReLU | nn.ReLU6 | nn.Flatten | nn.MaxPool2d)
    return pointwise(build, node, nn.ReLU(), x) if lowest and not made else x


def _quantize(build: Build, node: Node) -> Value:
    node.count(2, 3)
    build.note(_NOTE)
    value = node.inputs[0]
    if isinstance(value, Activation):
        return _rectified(build, node, value, node.optional(2))
    return node.weight(0)


def _dequantize(build: Build, node: Node) -> Value:
    node.count(2, 3)
    build.note(_NOTE)
    value = node.inputs[0]
    if isinstance(value, Activation) or (isinstance(value, Tensor) and value.is_floating_point()):
        return value
    return _floats(node, build, 0, node.integer("axis", 1))


def _conv(build: Build, node: Node) -> Activation:
    node.count(8, 9)
    build.note(_NOTE)
    weight = _floats(node, build, 3, 0)
    return _rectified(build, node, convolved(build, node, weight, _bias(build, node, 8)), node.optional(7))


def _bias(build: Build, node: Node, at: int) -> Tensor | None:
    """Integers in units of the input's scale times the weight's."""
    if node.optional(at) is None:
        return None
    unit = node.weight(1).double().reshape(-1) * node.weight(4).double().reshape(-1)
    return (node.constant(at, 1).double() * unit).to(build.dtype)


def _matmul(build: Build, node: Node) -> Activation:
    node.count(8, 8)
    build.note(_NOTE)
    made = linear(build, node, node.activation(0), _floats(node, build, 3, 1).T.contiguous(), None)
    return _rectified(build, node, made, node.optional(7))


QUANTISED: dict[str, Operator] = {
    "DequantizeLinear": Operator(_dequantize, "axis block_size output_dtype", turned=True),
    "QLinearConv": Operator(_conv, "auto_pad dilations group kernel_shape pads strides"),
    "QLinearMatMul": Operator(_matmul),
    "QuantizeLinear": Operator(_quantize, "axis block_size output_dtype precision saturate", turned=True),
}
