"""What a node of a traced module does, by one name and its arguments, called as a layer, a function or a method."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from neurosleep.conversion._memory import is_transform
from neurosleep.conversion._operations import (
    ADAPTIVE,
    ADD,
    AVERAGE,
    AVERAGE_OPTIONS,
    CAST,
    DIVIDE,
    DROPOUT,
    DROPOUT_MODULES,
    FLATTEN,
    MAX_OPTIONS,
    MULTIPLY,
    RELU,
    SAME,
    is_maximum,
)
from neurosleep.conversion.lowering.moves import is_move

__all__ = ["Call", "as_call", "reduced_axes", "spoken_of", "with_values"]

# Layers by class: the name of what they do, and the attributes that say how.
_LAYERS: tuple[tuple[Any, str, tuple[str, ...]], ...] = (
    (nn.ReLU6, "relu6", ("min_val", "max_val")),
    (nn.Hardtanh, "hardtanh", ("min_val", "max_val")),
    (nn.Hardsigmoid, "hardsigmoid", ()),
    (nn.LeakyReLU, "leaky", ("negative_slope",)),
    (nn.PReLU, "leaky", ("weight",)),
    (nn.RReLU, "leaky", ("lower", "upper")),
    (nn.Threshold, "threshold", ("threshold", "value")),
    (nn.Softshrink, "softshrink", ("lambd",)),
    (nn.Linear, "dense", ()),
    (nn.ReLU, "relu", ()),
    ((nn.MaxPool1d, nn.MaxPool2d), "maximum", (*MAX_OPTIONS, "return_indices")),
    ((nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d), "maximum", ("output_size", "return_indices")),
    ((nn.AvgPool1d, nn.AvgPool2d), "average", AVERAGE_OPTIONS),
    ((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d), "adaptive", ("output_size",)),
    ((nn.Flatten, nn.Unflatten), "flatten", ()),
    (DROPOUT_MODULES, "dropout", ()),
    ((nn.Conv1d, nn.Conv2d), "convolution", ()),
    ((nn.Upsample, nn.UpsamplingBilinear2d, nn.UpsamplingNearest2d), "resize", ()),
    ((nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReplicationPad1d, nn.ReplicationPad2d), "resize", ()),
    ((nn.CircularPad1d, nn.CircularPad2d), "resize", ()),
)
# Functions and methods: the name of what they do, and those of their arguments after the first.
_FUNCTIONS: tuple[tuple[tuple[Any, ...], str, tuple[str, ...]], ...] = (
    (RELU, "relu", ()),
    ((F.relu6,), "clamp", ()),
    ((F.hardtanh, F.hardtanh_), "hardtanh", ("min_val", "max_val")),
    ((torch.clamp, torch.clip, torch.clamp_, "clamp", "clamp_", "clip", "clip_"), "clamp", ("min", "max")),
    ((torch.clamp_min, "clamp_min", "clamp_min_"), "clamp", ("min",)),
    ((torch.clamp_max, "clamp_max", "clamp_max_"), "clamp", ("max",)),
    ((F.hardsigmoid,), "hardsigmoid", ()),
    ((F.leaky_relu, F.leaky_relu_), "leaky", ("negative_slope",)),
    ((torch.abs, "abs", "abs_", abs), "absolute", ()),
    ((torch.maximum, "maximum", torch.max, "max"), "larger", ("other",)),
    ((torch.minimum, "minimum", torch.min, "min"), "larger", ("other",)),
    ((F.threshold, torch.threshold), "threshold", ("threshold", "value")),
    ((F.softshrink,), "softshrink", ("lambd",)),
    ((torch.rsub, "rsub"), "rsub", ("other", "alpha")),
    (AVERAGE, "average", AVERAGE_OPTIONS),
    (ADAPTIVE, "adaptive", ("output_size",)),
    ((F.interpolate,), "resize", ()),
    ((torch.mean, "mean"), "mean", ("dim", "keepdim")),
    ((torch.sum, "sum"), "sum", ("dim", "keepdim")),
    ((torch.amax, "amax"), "amax", ("dim", "keepdim")),
    (FLATTEN, "flatten", ()),
    (DROPOUT, "dropout", ()),
    ((*SAME, *CAST), "identity", ()),
    ((F.linear,), "linear", ("weight", "bias")),
    ((F.conv1d,), "conv1d", ("weight", "bias", "stride", "padding", "dilation", "groups")),
    ((F.conv2d,), "conv2d", ("weight", "bias", "stride", "padding", "dilation", "groups")),
    ((F.batch_norm,), "batch_norm", ("running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")),
    (
        (torch.batch_norm,),
        "batch_norm",
        ("weight", "bias", "running_mean", "running_var", "training", "momentum", "eps"),
    ),
    ((F.prelu, "prelu"), "leaky", ("weight",)),
    ((torch.matmul, torch.mm, operator.matmul, "matmul", "mm"), "matmul", ("weight",)),
    ((torch.addmm, "addmm"), "addmm", ("x", "weight")),
    (ADD, "add", ("other",)),
    (MULTIPLY, "multiply", ("other",)),
)


@dataclass(frozen=True)
class Call:
    """``name`` is what is done, ``x`` to what, ``args`` how."""

    name: str
    x: Any
    args: Mapping[str, Any]

    def get(self, key: str, default: Any) -> Any:
        """An argument, or the value that it has where it is not given."""
        return self.args.get(key, default)

    def with_values(self, values: Mapping[str, Any]) -> Call:
        """The same with the sizes that nodes among its arguments have (``values``, by name), as ``x.shape[2:]``."""
        return replace(self, args={key: with_values(argument, values) for key, argument in self.args.items()})


def spoken_of(target: Any) -> str:
    """The name of a function or a method."""
    return target if isinstance(target, str) else str(getattr(target, "__name__", target))


def with_values(argument: Any, values: Mapping[str, Any]) -> Any:
    """An argument in which nodes that make sizes or numbers are these."""
    return fx.map_arg(argument, lambda node: values.get(node.name, node))


def as_call(node: fx.Node, modules: Mapping[str, nn.Module]) -> Call:
    """What ``node`` does; the name is empty where that is not known here."""
    x = node.args[0] if node.args else node.kwargs.get("input")
    if node.op == "call_module":
        layer = modules[str(node.target)]
        if is_transform(layer):
            return Call({"Normalize": "normalise", "Resize": "resize"}.get(type(layer).__name__, "move"), x, {})
        if is_move(node, modules):
            return Call("move", x, {})
        for kinds, name, keys in _LAYERS:
            if isinstance(layer, kinds):
                args = {key: getattr(layer, key) for key in keys if hasattr(layer, key)}
                if isinstance(layer, nn.PReLU):
                    args = {"negative_slope": layer.weight}
                if isinstance(layer, nn.RReLU):  # in evaluation
                    args = {"negative_slope": (layer.lower + layer.upper) / 2}
                if isinstance(layer, nn.AdaptiveMaxPool1d | nn.AdaptiveMaxPool2d):
                    args["adaptive"] = True
                return Call(name, x, args)
        return Call("", x, {})
    target = node.target
    spoken = spoken_of(target)
    if is_maximum(target):
        return Call("maximum", x, dict(zip(MAX_OPTIONS, node.args[1:], strict=False)) | dict(node.kwargs))
    if spoken in ("adaptive_max_pool1d", "adaptive_max_pool2d"):
        args = dict(zip(("output_size", "return_indices"), node.args[1:], strict=False)) | dict(node.kwargs)
        return Call("maximum", x, args | {"adaptive": True})
    if is_move(node, modules):
        return Call("move", x, {})
    for targets, name, keys in _FUNCTIONS:
        if target in targets:
            args = dict(zip(keys, node.args[1:], strict=False)) | dict(node.kwargs)
            if target is F.relu6:
                args = {"min": 0, "max": 6}
            args |= {"smaller": True} if spoken in ("minimum", "min") else {}
            return Call(name, x, args)
    if target in DIVIDE:
        args = dict(zip(("other",), node.args[1:], strict=False)) | dict(node.kwargs)
        return Call("multiply", x, args | {"divides": True})
    return Call("", x, {})


def reduced_axes(call: Call, ndim: int) -> set[int]:
    """The axes of a reduction, without the batch; empty where that is reduced too."""
    dim = call.get("dim", call.get("axis", None))
    if dim is None:
        return set()
    axes = {int(d) % (ndim + 1) for d in (dim if isinstance(dim, tuple | list) else [dim])}
    return set() if 0 in axes else {d - 1 for d in axes}
