"""ONNX's fully connected layers, and sums and products with constants."""

from __future__ import annotations

from torch import Tensor, nn

from neurosleep.errors import ExchangeError
from neurosleep.exchange.onnx.node import Activation, Build, Node, Operator, checked_shape, listed

__all__ = ["DENSE", "bias_vector"]


def _linear(build: Build, node: Node, x: Activation, weight: Tensor, bias: Tensor | None) -> Activation:
    units, inputs = weight.shape
    if not x.shape or x.shape[-1] != inputs:
        raise node.refuse(
            f"gets a value of shape [batch, {listed(x.shape)}]", expected=f"{inputs} values, which its weight needs"
        )
    layer = nn.Linear(inputs, units, bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias)
    return build.layer(node, layer, x, checked_shape(node, (*x.shape[:-1], units)))


def bias_vector(node: Node, constant: Tensor, size: int, after: int = 0) -> Tensor:
    """A bias ``[size]`` from a constant that broadcasts along an axis with ``after`` further ones behind it."""
    shape = tuple(constant.shape)
    while len(shape) > 1 + after and shape[0] == 1:
        shape = shape[1:]
    if constant.numel() == 1 and len(shape) <= 1 + after:
        return constant.reshape(1).expand(size)
    if shape != (size, *[1] * after):
        raise node.refuse(
            f"adds a constant of shape {tuple(constant.shape)}", expected=f"one value for each of {size} units"
        )
    return constant.reshape(size)


def _gemm(build: Build, node: Node) -> Activation:
    node.count(2, 3)
    node.exactly("transA", 0)
    x, matrix = node.activation(0, 1), node.weight(1, 2)
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    weight = build.own(matrix if node.integer("transB", 0) else matrix.T)
    bias = None
    if node.optional(2) is not None and beta != 0:
        bias = build.own(bias_vector(node, node.weight(2), len(weight)))
        bias = bias if beta == 1 else bias * beta
    weight = weight if alpha == 1 else weight * alpha
    return _linear(build, node, x, weight, bias)


def _matmul(build: Build, node: Node) -> Activation:
    node.count(2, 2)
    return _linear(build, node, node.activation(0), build.own(node.weight(1, 2).T), None)


def _add(build: Build, node: Node) -> Activation:
    node.count(2, 2)
    a, b = node.inputs
    if isinstance(a, Activation) and isinstance(b, Activation):
        if a.shape != b.shape:
            raise node.refuse(
                "adds values of different shapes", found=f"[{listed(a.shape)}] and [{listed(b.shape)}] for each image"
            )
        return build.add(node, a, b)
    number = 0 if isinstance(a, Activation) else 1
    x, constant = node.activation(number), node.weight(1 - number)
    try:
        return build.give_bias(node, x, constant)
    except ExchangeError:
        if not constant.any() and _spreads(constant, x):
            return x
        raise


def _mul(build: Build, node: Node) -> Activation:
    node.count(2, 2)
    if all(isinstance(value, Activation) for value in node.inputs):
        raise node.refuse("multiplies two values of the network", expected="one of them a single number")
    number = 0 if isinstance(node.inputs[0], Activation) else 1
    x, factor = node.activation(number), node.weight(1 - number)
    if not _spreads(factor, x) or not (factor.numel() and (factor == factor.reshape(-1)[0]).all()):
        raise node.refuse("multiplies by a tensor", found=f"{tuple(factor.shape)}", expected="a single number")
    return build.scale(node, x, float(factor.reshape(-1)[0]))


def _spreads(constant: Tensor, x: Activation) -> bool:
    """Whether a constant broadcasts to the values of an image, the same for each image."""
    shape = (1, *x.shape)
    sizes = zip(reversed(constant.shape), reversed(shape), strict=False)
    return constant.ndim <= len(shape) and all(size in (1, whole) for size, whole in sizes)


DENSE = {
    "Add": Operator(_add),
    "Gemm": Operator(_gemm, "alpha beta transA transB"),
    "MatMul": Operator(_matmul),
    "Mul": Operator(_mul),
}
