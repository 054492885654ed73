"""ONNX's normalisations by the image at hand, and its other reductions over axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from neurosleep.exchange.layer_functions import Reduced
from neurosleep.exchange.onnx.node import Activation, Build, Node, Operator, checked_shape, listed
from neurosleep.exchange.onnx.pointwise import as_written

__all__ = ["NORMALISE", "reduced"]


def _epsilon(node: Node) -> float:
    epsilon = as_written(node.number("epsilon", 1e-5))
    if epsilon < 0:
        raise node.refuse(f"has epsilon = {epsilon:g}", expected="at least 0")
    return epsilon


def _with(build: Build, layer: Any, weight: Tensor, bias: Tensor | None) -> nn.Module:
    """``layer`` with its weight and bias; what it has and the file does not is left out."""
    layer.weight = nn.Parameter(build.own(weight))
    layer.bias = None if bias is None else nn.Parameter(build.own(bias))
    made: nn.Module = layer
    return made


def _instance_norm(build: Build, node: Node) -> Activation:
    node.count(3, 3)
    x, weight, bias = node.activation(0), node.weight(1, 1), node.weight(2, 1)
    if len(x.shape) not in (2, 3) or not len(weight) == len(bias) == x.shape[0]:
        raise node.refuse(
            f"has {len(weight)} factors for a value of shape [batch, {listed(x.shape)}]",
            expected="[batch, channels] and one or two more axes, a factor for each channel",
        )
    kind: Any = nn.InstanceNorm1d if len(x.shape) == 2 else nn.InstanceNorm2d
    layer = kind(x.shape[0], eps=_epsilon(node), affine=True, device="meta")
    return build.layer(node, _with(build, layer, weight, bias), x, x.shape)


def _group_norm(build: Build, node: Node) -> Activation:
    node.count(3, 3)
    x, weight, bias = node.activation(0), node.weight(1, 1), node.weight(2, 1)
    groups, channels = node.integer("num_groups", 0), x.shape[0] if x.shape else 0
    if groups < 1 or channels % groups or len(weight) != len(bias) or len(weight) not in (groups, channels):
        raise node.refuse(
            f"has {groups} groups and {len(weight)} factors for {channels} channels",
            expected="groups of equal size, a factor for each channel or group",
        )
    if len(weight) != channels:  # up to operator set 20
        weight, bias = (part.repeat_interleave(channels // groups) for part in (weight, bias))
    layer = nn.GroupNorm(groups, channels, eps=_epsilon(node), device="meta")
    return build.layer(node, _with(build, layer, weight, bias), x, x.shape)


def _layer_norm(build: Build, node: Node) -> Activation:
    node.count(2, 3)
    if len(node.used_outputs) > 1:
        raise node.refuse("gives its statistics too", expected="one output")
    x, rank = node.activation(0), len(node.activation(0).shape) + 1
    axis = node.integer("axis", -1)
    over = x.shape[axis % rank - 1 :] if -rank <= axis < rank and axis % rank else ()
    weight, bias = node.weight(1), None if node.optional(2) is None else node.weight(2)
    if not over or any(part is not None and tuple(part.shape) != over for part in (weight, bias)):
        raise node.refuse(
            f"has factors of shape {tuple(weight.shape)}, axis {axis}, for [batch, {listed(x.shape)}]",
            expected="axes behind the batch, a factor for each of their values",
        )
    layer = nn.LayerNorm(over, eps=_epsilon(node), device="meta")
    return build.layer(node, _with(build, layer, weight, bias), x, x.shape)


def reduced(build: Build, node: Node, x: Activation, name: str) -> Activation:
    """The mean, sum, largest or smallest value over the axes that the node names, none of them the batch."""
    node.count(1, 2)
    rank = len(x.shape) + 1
    given = node.integer_list("axes") if node.optional(1) is None else node.fixed(1)
    if not given and node.integer("noop_with_empty_axes", 0):
        return x
    axes = sorted({axis % rank for axis in given or () if -rank <= axis < rank})
    if not given or len(axes) != len(given) or 0 in axes:
        named = f"the axes {list(given[:8])}" if given else "all axes, that of the batch too"
        what = {"mean": "mean", "sum": "sum", "amax": "largest value", "amin": "smallest value"}[name]
        raise node.refuse(f"takes the {what} over {named}", expected="over axes behind the batch")
    keep = bool(node.integer("keepdims", 1))
    left = (1 if k in axes else size for k, size in enumerate(x.shape, start=1) if keep or k not in axes)
    shape = checked_shape(node, tuple(left))
    if not shape:
        raise node.refuse("leaves no axis beside the batch", expected="[batch, features]")
    assert math.prod(shape) <= math.prod(x.shape)
    return build.layer(node, Reduced(name, axes, keep), x, shape)


def _over(name: str) -> Callable[[Build, Node], Activation]:
    return lambda build, node: reduced(build, node, node.activation(0), name)


_AXES = "axes keepdims noop_with_empty_axes"
NORMALISE = {
    "GroupNormalization": Operator(_group_norm, "epsilon num_groups stash_type"),
    "InstanceNormalization": Operator(_instance_norm, "epsilon"),
    "LayerNormalization": Operator(_layer_norm, "axis epsilon stash_type"),
    "ReduceMax": Operator(_over("amax"), _AXES),
    "ReduceMin": Operator(_over("amin"), _AXES),
    "ReduceSum": Operator(_over("sum"), _AXES),
}
