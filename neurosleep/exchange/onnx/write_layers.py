"""Layers of torch that are several nodes of ONNX, or one with tensors of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from neurosleep.exchange.onnx.writing import Writing

__all__ = ["MORE_LAYERS"]


def _number(file: Writing, node: fx.Node, value: float) -> str:
    return file.store(node.name, torch.tensor(float(value)), "number")


def _gelu(file: Writing, node: fx.Node, layer: nn.GELU, x: fx.Node) -> None:
    """Half of x times (1 + erf(x / sqrt 2)), or tanh for erf: the operator Gelu came with operator set 20."""
    name = file.name_of(x)
    if layer.approximate == "tanh":
        cube = file.part(node, "Mul", [file.part(node, "Mul", [name, name]), name])
        inner = file.part(node, "Add", [name, file.part(node, "Mul", [cube, _number(file, node, 0.044715)])])
        inner = file.part(node, "Mul", [inner, _number(file, node, math.sqrt(2 / math.pi))])
        bent = file.part(node, "Tanh", [inner])
    else:
        bent = file.part(node, "Erf", [file.part(node, "Mul", [name, _number(file, node, math.sqrt(0.5))])])
    above = file.part(node, "Add", [bent, _number(file, node, 1.0)])
    file.put(node, "Mul", [file.part(node, "Mul", [name, _number(file, node, 0.5)]), above])


def _silu(file: Writing, node: fx.Node, layer: nn.SiLU, x: fx.Node) -> None:
    file.put(node, "Mul", [file.name_of(x), file.part(node, "Sigmoid", [file.name_of(x)])])


def _mish(file: Writing, node: fx.Node, layer: nn.Mish, x: fx.Node) -> None:
    bent = file.part(node, "Tanh", [file.part(node, "Softplus", [file.name_of(x)])])
    file.put(node, "Mul", [file.name_of(x), bent])


def _log_sigmoid(file: Writing, node: fx.Node, layer: nn.LogSigmoid, x: fx.Node) -> None:
    file.put(node, "Neg", [file.part(node, "Softplus", [file.part(node, "Neg", [file.name_of(x)])])])


def _factors(file: Writing, node: fx.Node, layer: Any, like: Tensor) -> list[str]:
    weight = torch.ones_like(like) if layer.weight is None else layer.weight
    bias = torch.zeros_like(like) if layer.bias is None else layer.bias
    return [file.store(str(node.target), weight, "weight"), file.store(str(node.target), bias, "bias")]


def _instance_norm(file: Writing, node: fx.Node, layer: nn.InstanceNorm2d, x: fx.Node) -> None:
    if layer.track_running_stats:
        raise file.refuse(node, "instance normalisation with running statistics")
    names = _factors(file, node, layer, torch.zeros(layer.num_features))
    file.put(node, "InstanceNormalization", [file.name_of(x), *names], epsilon=float(layer.eps))


def _group_norm(file: Writing, node: fx.Node, layer: nn.GroupNorm, x: fx.Node) -> None:
    """Instance normalisation of groups as channels: an operator of its own came with operator set 18."""
    shape, groups = file.shape_of(x), layer.num_groups
    grouped = file.store(node.name, torch.tensor([-1, groups, math.prod(shape) // groups]), "shape")
    plain = [file.store(node.name, part, "factor") for part in (torch.ones(groups), torch.zeros(groups))]
    flat = file.part(node, "Reshape", [file.name_of(x), grouped])
    made = file.part(node, "InstanceNormalization", [flat, *plain], epsilon=float(layer.eps))
    whole = file.part(node, "Reshape", [made, file.store(node.name, torch.tensor([-1, *shape]), "shape")])
    if layer.weight is None:
        file.put(node, "Identity", [whole])
        return
    beside = (-1, *(1,) * (len(shape) - 1))
    weight = file.store(str(node.target), layer.weight.reshape(beside), "weight")
    bias = file.store(str(node.target), layer.bias.reshape(beside), "bias")
    file.put(node, "Add", [file.part(node, "Mul", [whole, weight]), bias])


def _layer_norm(file: Writing, node: fx.Node, layer: nn.LayerNorm, x: fx.Node) -> None:
    names = _factors(file, node, layer, torch.zeros(layer.normalized_shape))
    axis = -len(layer.normalized_shape)
    file.put(node, "LayerNormalization", [file.name_of(x), *names], axis=axis, epsilon=float(layer.eps))


def _upsample(file: Writing, node: fx.Node, layer: nn.Upsample, x: fx.Node) -> None:
    before, after = file.shape_of(x), file.shape_of(node)
    given = layer.scale_factor
    even = all(large % small == 0 for small, large in zip(before[1:], after[1:], strict=True))
    if layer.mode == "nearest":
        where, mode = "asymmetric", {"mode": "nearest", "nearest_mode": "floor"}
    elif layer.mode in ("linear", "bilinear") and (given is None or even or layer.recompute_scale_factor):
        where, mode = "align_corners" if layer.align_corners else "half_pixel", {"mode": "linear"}
    else:
        raise file.refuse(node, f"{layer} with these options")
    scales = [large / small for small, large in zip(before[1:], after[1:], strict=True)]
    if given is not None and not layer.recompute_scale_factor:
        scales = [float(factor) for factor in (given if isinstance(given, tuple) else (given,) * len(scales))]
    name = file.store(node.name, torch.tensor([1.0, 1.0, *scales], dtype=torch.float32), "scales")
    file.put(node, "Resize", [file.name_of(x), "", name], coordinate_transformation_mode=where, **mode)


def _transposed(file: Writing, node: fx.Node, layer: nn.ConvTranspose2d, x: fx.Node) -> None:
    where = str(node.target)
    names = [file.name_of(x), file.store(where, layer.weight, "weight")]
    names += [] if layer.bias is None else [file.store(where, layer.bias, "bias")]
    padding = [int(side) for side in layer.padding]
    file.put(
        node,
        "ConvTranspose",
        names,
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.stride),
        pads=padding * 2,
        output_padding=list(layer.output_padding),
        dilations=list(layer.dilation),
        group=layer.groups,
    )


def _pixel_shuffle(file: Writing, node: fx.Node, layer: nn.PixelShuffle, x: fx.Node) -> None:
    file.put(node, "DepthToSpace", [file.name_of(x)], blocksize=layer.upscale_factor, mode="CRD")


MORE_LAYERS: tuple[tuple[Any, Callable[..., None]], ...] = (
    (nn.GELU, _gelu),
    (nn.SiLU, _silu),
    (nn.Mish, _mish),
    (nn.LogSigmoid, _log_sigmoid),
    ((nn.InstanceNorm1d, nn.InstanceNorm2d), _instance_norm),
    (nn.GroupNorm, _group_norm),
    (nn.LayerNorm, _layer_norm),
    (nn.Upsample, _upsample),
    ((nn.ConvTranspose1d, nn.ConvTranspose2d), _transposed),
    (nn.PixelShuffle, _pixel_shuffle),
)
