"""The operators of classical learning (ai.onnx.ml) that are layers: linear models and scalers, as skl2onnx writes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neurosleep.exchange.layer_graph import Affine
from neurosleep.exchange.onnx.dense import linear
from neurosleep.exchange.onnx.graph import ML
from neurosleep.exchange.onnx.node import Activation, Build, Node, Operator

__all__ = ["SCORES"]


def _numbers(build: Build, node: Node, name: str) -> Tensor:
    values = node.number_list(name)
    if not values:
        raise node.refuse(f"has no {name}")
    return torch.tensor(values, dtype=build.dtype)


def _scaler(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    x = node.activation(0, 1)
    scale, offset = _numbers(build, node, "scale"), _numbers(build, node, "offset")
    if not {len(scale), len(offset)} <= {1, x.shape[0]}:
        raise node.refuse(f"has {len(scale)} scales and {len(offset)} offsets", expected=f"1 or {x.shape[0]}")
    return build.layer(node, Affine(scale, -offset * scale), x, x.shape)


def _linear(build: Build, node: Node, units: int) -> Activation:
    x = node.activation(0, 1)
    weight = _numbers(build, node, "coefficients")
    if units < 1 or len(weight) != units * x.shape[0]:
        raise node.refuse(
            f"has {len(weight)} coefficients", expected=f"{max(units, 1)} x {x.shape[0]}, one per output and value"
        )
    bias = _numbers(build, node, "intercepts") if "intercepts" in node.attributes else None
    if bias is not None and len(bias) != units:
        raise node.refuse(f"has {len(bias)} intercepts", expected=f"{units}, one per output")
    return linear(build, node, x, weight.reshape(units, -1), bias)


def _after(build: Build, node: Node, x: Activation) -> Activation:
    """What ``post_transform`` makes of the scores."""
    kind = node.text("post_transform", "NONE")
    if kind == "NONE":
        return x
    layers = {"SOFTMAX": nn.Softmax(1), "LOGISTIC": nn.Sigmoid()}
    if kind not in layers:
        raise node.refuse(f"has post_transform = {kind[:20]!r}", expected="NONE, SOFTMAX or LOGISTIC")
    return build.layer(node, layers[kind], x, x.shape)


def _regressor(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    return _after(build, node, _linear(build, node, node.integer("targets", 1)))


def _classifier(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    weight, x = _numbers(build, node, "coefficients"), node.activation(0, 1)
    units = len(weight) // x.shape[0]
    if units < 2:
        raise node.refuse("has one score for two classes", expected="a score for each class")
    return _after(build, node, _linear(build, node, units))


def _normalizer(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    x = node.activation(0)
    if node.text("norm", "MAX") != "L1" or not isinstance(build.maker(x), nn.Softmax):
        raise node.refuse("divides by a sum of values", expected="probabilities of a soft-max, whose sum is 1")
    return x


SCORES: dict[str, Operator] = {
    f"{ML}.LinearClassifier": Operator(
        _classifier, "classlabels_ints classlabels_strings coefficients intercepts multi_class post_transform", output=1
    ),
    f"{ML}.LinearRegressor": Operator(_regressor, "coefficients intercepts post_transform targets"),
    f"{ML}.Normalizer": Operator(_normalizer, "norm"),
    f"{ML}.Scaler": Operator(_scaler, "offset scale"),
}
