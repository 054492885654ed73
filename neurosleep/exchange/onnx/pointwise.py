"""ONNX's activations, batch normalisation and dropout."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from neurosleep.exchange.layer_functions import Function
from neurosleep.exchange.layer_graph import Affine
from neurosleep.exchange.onnx.dense import bias_vector
from neurosleep.exchange.onnx.node import Activation, Build, Node, Operator, listed

__all__ = ["POINTWISE", "alike", "as_written", "pointwise"]


def pointwise(build: Build, node: Node, layer: nn.Module, x: Activation) -> Activation:
    """A layer that treats every value alike, so that it may come before a Transpose as well as after."""
    if x.stored is None:
        return build.layer(node, layer, x, x.shape)
    return replace(x, name=build.layer(node, layer, Activation(x.name, x.stored), x.stored).name)


def alike(make: Callable[[Node], nn.Module], inputs: int = 1) -> Callable[[Build, Node], Activation]:
    """Such an operator, of what comes first among its inputs."""

    def operator(build: Build, node: Node) -> Activation:
        node.count(inputs, inputs)
        return pointwise(build, node, make(node), node.activation(0))

    return operator


def _leaky(node: Node) -> nn.Module:
    return nn.LeakyReLU(as_written(node.number("alpha", 0.01)))


def _hard_sigmoid(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    x = node.activation(0)
    slope, middle = as_written(node.number("alpha", 0.2)), as_written(node.number("beta", 0.5))
    line = Affine(torch.tensor(slope, dtype=build.dtype), torch.tensor(middle, dtype=build.dtype))
    return pointwise(build, node, nn.Hardtanh(0.0, 1.0), pointwise(build, node, line, x))


def _prelu(build: Build, node: Node) -> Activation:
    node.count(2, 2)
    x, slope = node.activation(0), node.weight(1)
    channels = x.shape[0] if x.shape else 0
    values = bias_vector(slope, channels, len(x.shape) - 1)
    if values is None:
        raise node.refuse(
            f"has slopes of shape {tuple(slope.shape)}", expected=f"one, or one for each of {channels} channels"
        )
    layer = nn.PReLU(1 if slope.numel() == 1 else channels, device="meta")
    layer.weight = nn.Parameter(build.own(slope.reshape(1) if slope.numel() == 1 else values))
    return build.layer(node, layer, x, x.shape)


def _softmax(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    x = node.activation(0)
    rank = len(x.shape) + 1
    axis = node.integer("axis", 1 if build.opset < 13 else -1)
    axis += rank if axis < 0 else 0
    # Up to operator set 12 all axes from this one on were one.
    if not 1 <= axis < rank or (build.opset < 13 and math.prod(x.shape[axis:]) != 1):
        raise node.refuse(
            f"has axis = {node.integer('axis', 1)} for a value of shape [batch, {listed(x.shape)}]",
            expected="a single axis behind the batch",
        )
    kind = nn.Softmax if node.op == "Softmax" else nn.LogSoftmax
    return build.layer(node, kind(axis), x, x.shape)


def _log(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    x = node.activation(0)
    before = build.maker(x)
    if not isinstance(before, nn.Softmax):
        return pointwise(build, node, Function("log"), x)
    return build.layer(node, nn.LogSoftmax(before.dim), build.before(x), x.shape)


def _bound(build: Build, node: Node) -> Activation:
    """The larger (Max) or smaller (Min) of a value and a number."""
    node.count(2, 2)
    number = 0 if isinstance(node.inputs[0], Activation) else 1
    x, limit = node.activation(number), node.weight(1 - number)
    if limit.numel() != 1:
        raise node.refuse(f"compares with a constant of shape {tuple(limit.shape)}", expected="a single number")
    bounds = (float(limit), math.inf) if node.op == "Max" else (-math.inf, float(limit))
    return pointwise(build, node, nn.ReLU() if bounds[0] == 0 else nn.Hardtanh(*bounds), x)


def _local_norm(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    x, size = node.activation(0), node.integer("size", 0)
    if not 1 <= size <= 2**16 or len(x.shape) < 2:
        raise node.refuse(f"has size = {size}", expected="a size of at least 1, and axes behind the channels")
    if size % 2 == 0:
        raise node.refuse(f"has size = {size}", expected="an odd size, which lies alike on both sides")
    numbers = [
        as_written(node.number(name, default)) for name, default in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))
    ]
    return build.layer(node, nn.LocalResponseNorm(size, numbers[0], numbers[1], numbers[2]), x, x.shape)


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
    return pointwise(build, node, layer, x)


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
    layer = kind(channels, eps=as_written(epsilon), momentum=as_written(1 - as_written(momentum)), device="meta")
    layer.weight, layer.bias = (nn.Parameter(build.own(tensor)) for tensor in tensors[:2])
    layer.running_mean, layer.running_var = build.own(tensors[2]), build.own(tensors[3])
    layer.num_batches_tracked = torch.tensor(0)
    return build.layer(node, layer, x, x.shape)


def as_written(value: float) -> float:
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
    return pointwise(build, node, nn.Dropout(as_written(ratio)), x)


POINTWISE = {
    "BatchNormalization": Operator(_batch_norm, "epsilon momentum spatial training_mode"),
    "Clip": Operator(_clip, "max min", turned=True),
    "Dropout": Operator(_dropout, "ratio seed", turned=True),
    "Elu": Operator(alike(lambda node: nn.ELU(as_written(node.number("alpha", 1.0)))), "alpha", turned=True),
    "HardSigmoid": Operator(_hard_sigmoid, "alpha beta", turned=True),
    "HardSwish": Operator(alike(lambda node: nn.Hardswish()), turned=True),
    "LRN": Operator(_local_norm, "alpha beta bias size"),
    "LeakyRelu": Operator(alike(_leaky), "alpha", turned=True),
    "Log": Operator(_log),
    "LogSoftmax": Operator(_softmax, "axis"),
    "Max": Operator(_bound, turned=True),
    "Min": Operator(_bound, turned=True),
    "PRelu": Operator(_prelu),
    "Relu": Operator(alike(lambda node: nn.ReLU()), turned=True),
    "Sigmoid": Operator(alike(lambda node: nn.Sigmoid()), turned=True),
    "Softmax": Operator(_softmax, "axis"),
    "Softplus": Operator(alike(lambda node: nn.Softplus()), turned=True),
    "Softsign": Operator(alike(lambda node: nn.Softsign()), turned=True),
    "Tanh": Operator(alike(lambda node: nn.Tanh()), turned=True),
}
