"""ONNX's fully connected layers, and sums and products with constants."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neurosleep.exchange.layer_graph import Affine, Kind
from neurosleep.exchange.onnx.node import Activation, Build, Node, Operator, checked_shape, listed
from neurosleep.exchange.onnx.shapes import reshaped

__all__ = ["DENSE", "bias_vector", "linear"]


def linear(build: Build, node: Node, x: Activation, weight: Tensor, bias: Tensor | None) -> Activation:
    """A Linear layer behind ``x``; where the axes of ``x`` were to be turned, the columns of the weight are instead."""
    units, inputs = weight.shape
    if not x.shape or x.shape[-1] != inputs:
        raise node.refuse(
            f"gets a value of shape [batch, {listed(x.shape)}]", expected=f"{inputs} values, which its weight needs"
        )
    if x.stored is not None and len(x.shape) == 1:
        back = [1 + x.order.index(axis) for axis in range(len(x.order))]
        weight = weight.reshape(units, *x.turned).permute(0, *back).reshape(units, inputs)
        x = reshaped(build, node, Activation(x.name, x.stored), (inputs,))
    x = build.settled(node, x)
    layer = nn.Linear(inputs, units, bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias)
    return build.layer(node, layer, x, checked_shape(node, (*x.shape[:-1], units)))


def bias_vector(constant: Tensor, size: int, after: int = 0) -> Tensor | None:
    """A bias ``[size]`` from a constant that broadcasts along an axis with ``after`` further ones behind it.

    None where it does not.
    """
    shape = tuple(constant.shape)
    while len(shape) > 1 + after and shape[0] == 1:
        shape = shape[1:]
    if constant.numel() == 1 and len(shape) <= 1 + after:
        return constant.reshape(1).expand(size)
    return constant.reshape(size) if shape == (size, *[1] * after) else None


def _gemm(build: Build, node: Node) -> Activation:
    node.count(2, 3)
    node.exactly("transA", 0)
    x, matrix = node.activation(0, 1), node.weight(1, 2)
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    weight = build.own(matrix if node.integer("transB", 0) else matrix.T)
    bias = None
    if node.optional(2) is not None and beta != 0:
        values = bias_vector(node.weight(2), len(weight))
        if values is None:
            raise node.refuse(
                f"adds a constant of shape {tuple(node.weight(2).shape)}",
                expected=f"one value for each of {len(weight)} units",
            )
        bias = build.own(values) if beta == 1 else build.own(values) * beta
    weight = weight if alpha == 1 else weight * alpha
    return linear(build, node, x, weight, bias)


def _matmul(build: Build, node: Node) -> Activation:
    node.count(2, 2)
    return linear(build, node, node.activation(0), build.own(node.weight(1, 2).T), None)


def _of_constant(build: Build, node: Node, x: Activation, constant: Tensor) -> tuple[Activation, Tensor]:
    """What is computed of ``x``, and the constant without the batch, with its axes in that order."""
    rank = len(x.shape)
    if x.stored is not None and x.shape != x.turned:
        x = build.settled(node, x)
    if not _spreads(constant, x):
        raise node.refuse(
            f"joins a constant of shape {tuple(constant.shape)} and a value of shape [batch, {listed(x.shape)}]",
            expected="a constant that is the same for all images and has as many values as the image, or 1, per axis",
        )
    constant = constant[0] if constant.ndim > rank else constant
    if x.stored is None:
        return x, constant
    whole = constant.reshape(*[1] * (rank - constant.ndim), *constant.shape)
    return Activation(x.name, x.stored), whole.permute([x.order.index(axis) for axis in range(rank)])


def _affine(
    build: Build, node: Node, x: Activation, scale: Tensor | float = 1.0, shift: Tensor | float = 0.0
) -> Activation:
    """``x * scale + shift``; a single factor alone is a step of its own."""
    inner = x
    parts: list[Tensor | None] = []
    for number, nothing in ((scale, 1.0), (shift, 0.0)):
        values = torch.tensor(number, dtype=build.dtype) if isinstance(number, float) else number
        inner, values = _of_constant(build, node, x, values)
        plain = bool((values == values.reshape(-1)[:1]).all())
        values = values.reshape(-1)[0].reshape(()) if plain else values
        parts.append(None if plain and float(values) == nothing else build.own(values))
    factor, added = parts
    if factor is None and added is None:
        return x
    if added is None and factor is not None and factor.ndim == 0:
        made = build.scale(node, inner, float(factor))
    else:
        made = build.layer(node, Affine(factor, added), inner, inner.shape)
    return _as_before(x, inner, made)


def _as_before(x: Activation, inner: Activation, made: Activation) -> Activation:
    """``made`` of ``inner``, seen as ``x`` was seen."""
    if x.stored is None or inner.shape != x.stored or x.shape != x.turned:
        return made
    return Activation(made.name, x.shape, x.stored, x.order)


def _pair(node: Node) -> tuple[Activation, Tensor, bool] | None:
    """The value and the constant of a node, and whether the constant comes first; None for two values."""
    node.count(2, 2)
    first, second = node.inputs
    if isinstance(first, Activation) and isinstance(second, Activation):
        return None
    number = 0 if isinstance(first, Activation) else 1
    return node.activation(number), node.weight(1 - number), number == 1


def _joined(build: Build, node: Node, kind: Kind) -> Activation:
    """A sum, difference, product or quotient of two values."""
    a, b = (value for value in node.inputs if isinstance(value, Activation))
    same = a.stored is not None and (a.stored, a.order, a.shape) == (b.stored, b.order, b.shape)
    if same and a.shape == a.turned:
        made = build.join(node, kind, [Activation(x.name, x.stored or ()) for x in (a, b)], a.stored or ())
        return Activation(made.name, a.shape, a.stored, a.order)
    a, b = build.settled(node, a), build.settled(node, b)
    fits = len(a.shape) == len(b.shape) and all(m == n or 1 in (m, n) for m, n in zip(a.shape, b.shape, strict=True))
    if not fits:
        raise node.refuse(
            "joins values of different shapes", found=f"[{listed(a.shape)}] and [{listed(b.shape)}] for each image"
        )
    shape = tuple(max(m, n) for m, n in zip(a.shape, b.shape, strict=True))
    return build.join(node, kind, [a, b], checked_shape(node, shape))


def _add(build: Build, node: Node) -> Activation:
    pair = _pair(node)
    if pair is None:
        return _joined(build, node, "add")
    x, constant, _ = pair
    return _shifted(build, node, x, constant)


def _shifted(build: Build, node: Node, x: Activation, constant: Tensor) -> Activation:
    inner, values = _of_constant(build, node, x, constant)
    given = build.give_bias(node, inner, values)
    return _affine(build, node, x, shift=constant) if given is None else _as_before(x, inner, given)


def _sub(build: Build, node: Node) -> Activation:
    pair = _pair(node)
    if pair is None:
        return _joined(build, node, "sub")
    x, constant, first = pair
    return _affine(build, node, x, -1.0, constant) if first else _shifted(build, node, x, -constant)


def _mul(build: Build, node: Node) -> Activation:
    pair = _pair(node)
    if pair is None:
        return _joined(build, node, "mul")
    x, constant, _ = pair
    return _affine(build, node, x, scale=constant)


def _div(build: Build, node: Node) -> Activation:
    pair = _pair(node)
    if pair is None:
        return _joined(build, node, "div")
    x, constant, first = pair
    if first:
        raise node.refuse("divides a constant by a value", expected="a value divided by a constant")
    if not (constant != 0).all():
        raise node.refuse("divides by 0", expected="numbers other than 0")
    return _affine(build, node, x, scale=(1 / constant.double()).to(constant.dtype))


def _neg(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    return _affine(build, node, node.activation(0), -1.0)


def _sum(build: Build, node: Node) -> Activation:
    values = [build.settled(node, node.activation(number)) for number in range(len(node.inputs))]
    node.count(1, 64)
    total = values[0]
    for value in values[1:]:
        if value.shape != total.shape:
            raise node.refuse("adds values of different shapes", found=f"{total.shape} and {value.shape}")
        total = build.join(node, "add", [total, value], total.shape)
    return total


def _spreads(constant: Tensor, x: Activation) -> bool:
    """Whether a constant broadcasts to the values of an image, the same for each image."""
    shape = (1, *x.shape)
    sizes = zip(reversed(constant.shape), reversed(shape), strict=False)
    return constant.ndim <= len(shape) and all(size in (1, whole) for size, whole in sizes)


DENSE = {
    "Add": Operator(_add, turned=True),
    "Div": Operator(_div, turned=True),
    "Gemm": Operator(_gemm, "alpha beta transA transB", turned=True),
    "MatMul": Operator(_matmul, turned=True),
    "Mul": Operator(_mul, turned=True),
    "Neg": Operator(_neg, turned=True),
    "Sub": Operator(_sub, turned=True),
    "Sum": Operator(_sum),
}
