"""ONNX's functions of every value by itself, beyond the common activations."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from neurosleep.exchange.layer_functions import Function
from neurosleep.exchange.onnx.node import Activation, Build, Node, Operator
from neurosleep.exchange.onnx.pointwise import alike, as_written

__all__ = ["ELEMENTWISE"]

# ONNX's operator -> torch's function, of no attributes.
_FUNCTIONS = {
    **{name: name.lower() for name in ("Abs", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor", "Round", "Sign", "Sin")},
    **{name: name.lower() for name in ("Sinh", "Sqrt", "Tan", "Reciprocal", "Asinh", "Acosh", "Atanh")},
    **{name: name.lower() for name in ("Acos", "Asin", "Atan")},
}


def _number(node: Node, name: str, default: float) -> float:
    return as_written(node.number(name, default))


def _selu(node: Node) -> nn.Module:
    # torch knows the function with the numbers of the paper alone.
    numbers = _number(node, "alpha", 1.6732632), _number(node, "gamma", 1.0507010)
    if any(abs(number - known) > 1e-5 for number, known in zip(numbers, (1.6732632, 1.0507010), strict=True)):
        raise node.refuse(f"has alpha = {numbers[0]:g}, gamma = {numbers[1]:g}", expected="1.67326 and 1.0507")
    return nn.SELU()


def _gelu(node: Node) -> nn.Module:
    kind = node.text("approximate", "none")
    if kind not in ("none", "tanh"):
        raise node.refuse(f"has approximate = {kind[:20]!r}", expected="none or tanh")
    return nn.GELU(approximate=kind)


def _shrink(node: Node) -> nn.Module:
    bias, least = _number(node, "bias", 0.0), _number(node, "lambd", 0.5)
    if least < 0 or bias not in (0.0, least):
        raise node.refuse(f"has lambd = {least:g}, bias = {bias:g}", expected="lambd of at least 0, bias 0 or lambd")
    return nn.Softshrink(least) if bias else nn.Hardshrink(least)


def _swish(node: Node) -> nn.Module:
    if _number(node, "alpha", 1.0) != 1:
        raise node.refuse(f"has alpha = {node.number('alpha', 1.0):g}", expected="alpha = 1")
    return nn.SiLU()


def _power(build: Build, node: Node) -> Activation:
    node.count(2, 2)
    exponent = node.constant(1)
    if exponent.numel() != 1:
        raise node.refuse(f"has exponents of shape {tuple(exponent.shape)}", expected="a single number")
    return alike(lambda _: Function("pow", float(exponent)), inputs=2)(build, node)


_LAYERS: dict[str, tuple[Callable[[Node], nn.Module], str]] = {
    "Celu": (lambda node: nn.CELU(_number(node, "alpha", 1.0)), "alpha"),
    "Gelu": (_gelu, "approximate"),
    "Mish": (lambda node: nn.Mish(), ""),
    "Selu": (_selu, "alpha gamma"),
    "Shrink": (_shrink, "bias lambd"),
    "Swish": (_swish, "alpha"),
    "ThresholdedRelu": (lambda node: nn.Threshold(_number(node, "alpha", 1.0), 0.0), "alpha"),
}


def _function(name: str) -> Callable[[Node], nn.Module]:
    return lambda node: Function(name)


ELEMENTWISE = {
    **{op: Operator(alike(_function(name)), turned=True) for op, name in _FUNCTIONS.items()},
    **{op: Operator(alike(make), attributes, turned=True) for op, (make, attributes) in _LAYERS.items()},
    "Pow": Operator(_power, turned=True),
}
