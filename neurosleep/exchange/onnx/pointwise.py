"""ONNX's activations, batch normalisation and dropout."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from neurosleep.exchange.onnx.node import Activation, Build, Node, Operator, listed

__all__ = ["POINTWISE"]


def _relu(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    x = node.activation(0)
    return build.layer(node, nn.ReLU(), x, x.shape)


def _clip(build: Build, node: Node) -> Activation:
    node.count(1, 3)
    x = node.activation(0)

    def bound(number: int, name: str, default: float) -> float:
        if node.optional(number) is None:
            value = node.number(name, default) if name in node.attributes else default
        else:
            given = node.weight(number)
            if given.numel() != 1:
                raise node.refuse(f"has a bound of shape {tuple(given.shape)}", expected="a single number")
            value = float(given)
        # The ends of float32 stand for no bound at all in older files.
        return default if abs(value) >= torch.finfo(torch.float32).max else value

    low, high = bound(1, "min", -math.inf), bound(2, "max", math.inf)
    if not low < high:
        raise node.refuse(f"keeps values from {low!r} to {high!r}", expected="a lower bound below the upper one")
    if low == -math.inf and high == math.inf:
        return x
    layer: nn.Module
    if (low, high) == (0.0, math.inf):
        layer = nn.ReLU()
    elif (low, high) == (0.0, 6.0):
        layer = nn.ReLU6()
    else:
        layer = nn.Hardtanh(low, high)
    return build.layer(node, layer, x, x.shape)


def _batch_norm(build: Build, node: Node) -> Activation:
    node.count(5, 5)
    node.exactly("training_mode", 0)
    node.exactly("spatial", 1)
    if len(node.used_outputs) > 1:
        raise node.refuse("gives its statistics too", expected="one output; export in evaluation mode")
    x = node.activation(0)
    channels = x.shape[0] if x.shape else 0
    if len(x.shape) not in (1, 2, 3):
        raise node.refuse(f"gets a value of shape [batch, {listed(x.shape)}]", expected="2 to 4 axes")
    tensors = [node.weight(number, 1) for number in range(1, 5)]
    if any(len(tensor) != channels for tensor in tensors):
        raise node.refuse(
            f"has parameters of {[len(tensor) for tensor in tensors]} values", expected=f"{channels}, one per channel"
        )
    epsilon, momentum = node.number("epsilon", 1e-5), node.number("momentum", 0.9)
    if epsilon < 0 or bool((tensors[3] < 0).any()) or bool((tensors[3] + epsilon <= 0).any()):
        raise node.refuse(
            "divides by a variance that cannot be",
            found=f"a least variance of {float(tensors[3].min()):g}, epsilon {epsilon:g}",
            expected="variances and epsilon of at least 0, their sum above 0",
        )
    kind: Any = nn.BatchNorm2d if len(x.shape) == 3 else nn.BatchNorm1d
    # What torch calls momentum is the share of the new value; float32's 0.9 stands for 0.9.
    layer = kind(channels, eps=_plain(epsilon), momentum=_plain(1 - _plain(momentum)), device="meta")
    layer.weight, layer.bias = (nn.Parameter(build.own(tensor)) for tensor in tensors[:2])
    layer.running_mean, layer.running_var = build.own(tensors[2]), build.own(tensors[3])
    layer.num_batches_tracked = torch.tensor(0)
    return build.layer(node, layer, x, x.shape)


def _plain(value: float) -> float:
    """The shortest decimal number with the same float32 value: attributes are stored with that precision."""
    return float(f"{value:.7g}")


def _dropout(build: Build, node: Node) -> Activation:
    node.count(1, 3)
    if len(node.used_outputs) > 1:
        raise node.refuse("gives its mask too", expected="one output")
    if node.optional(2) is not None and bool(node.constant(2).any()):
        raise node.refuse("is in training mode", hint="export the network in evaluation mode")
    given = node.optional(1)
    ratio = node.number("ratio", 0.5) if given is None else float(node.weight(1, 0))
    if not 0 <= ratio < 1:
        raise node.refuse(f"has the ratio {ratio!r}", expected="0 to below 1")
    x = node.activation(0)
    return build.layer(node, nn.Dropout(_plain(ratio)), x, x.shape)


POINTWISE = {
    "BatchNormalization": Operator(_batch_norm, "epsilon momentum spatial training_mode"),
    "Clip": Operator(_clip, "max min"),
    "Dropout": Operator(_dropout, "ratio seed"),
    "Relu": Operator(_relu),
}
