"""ONNX's operators that change shapes and types, or compute sizes."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from neurosleep.exchange.onnx.node import (
    MAX_DIMS,
    Activation,
    Build,
    Node,
    Operator,
    Sizes,
    Value,
    checked_shape,
    listed,
)
from neurosleep.exchange.onnx.tensors import element_name, type_name

__all__ = ["SHAPES", "reshaped", "turned"]


def reshaped(build: Build, node: Node, x: Activation, shape: tuple[int, ...]) -> Activation:
    """``x`` in another shape; one that is not computed yet stays so."""
    if x.stored is not None:
        return replace(x, shape=shape)
    if shape == x.shape:
        return x
    if not shape:
        raise node.refuse("leaves no axis beside the batch", expected="[batch, features]")
    if len(x.shape) > 1:
        x = build.layer(node, nn.Flatten(), x, (math.prod(x.shape),))
    if len(shape) > 1:
        x = build.layer(node, nn.Unflatten(1, shape), x, shape)
    return x


def turned(build: Build, node: Node, x: Activation, order: tuple[int, ...]) -> Activation:
    """``x`` with its axes (without the batch) in another order: not computed, but remembered."""
    if x.stored is not None and x.shape != x.turned:
        x = build.settled(node, x)
    shape = tuple(x.shape[axis] for axis in order)
    stored, whole = x.stored or x.shape, tuple(x.order[axis] for axis in order) if x.stored else order
    # Axes of length 1 may change places freely.
    if sorted(long := [axis for axis in whole if stored[axis] != 1]) == long:
        return reshaped(build, node, Activation(x.name, stored), shape)
    return Activation(x.name, shape, stored, whole)


def _flatten(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    x = node.activation(0)
    axis = node.integer("axis", 1)
    if axis not in (1, -len(x.shape)):
        raise node.refuse(f"has axis = {axis}", expected="axis = 1, which keeps the batch apart")
    return reshaped(build, node, x, (math.prod(x.shape),))


def _reshape(build: Build, node: Node) -> Activation:
    node.count(2, 2)
    x = node.activation(0)
    target = list(node.integers(1).values)
    keeps = node.integer("allowzero", 0) == 0
    text = f"[{listed(target)}] from [batch, {listed(x.shape)}]"
    wrong = node.refuse(f"makes the shape {text}", expected="the batch as first axis, the values of an image behind it")
    if not 1 <= len(target) <= MAX_DIMS:
        raise wrong
    total = math.prod(x.shape)
    rest: list[int] = []
    for number, size in enumerate(target[1:], start=1):
        if size == 0 and keeps and number <= len(x.shape):
            size = x.shape[number - 1]
        if size is None or size == 0 or size < -1:
            raise wrong
        rest.append(size)
    first = target[0]
    if first is None or (first == 0 and keeps) or (first is not None and first > 0 and first == build.batch):
        known = math.prod(size for size in rest if size != -1)
        if rest.count(-1) > 1 or total % known:
            raise wrong
        rest = [total // known if size == -1 else size for size in rest]
    elif first != -1 or -1 in rest:
        raise wrong
    if math.prod(rest) != total:
        raise wrong
    return reshaped(build, node, x, tuple(rest))


def _axes(node: Node, rank: int) -> list[int] | None:
    given = node.integer_list("axes") if node.optional(1) is None else node.fixed(1)
    if given is None:
        return None
    if len(set(given)) != len(given) or any(not -rank <= axis < rank for axis in given):
        raise node.refuse(f"has the axes {list(given[:8])}", expected=f"different ones of {rank}")
    return sorted(axis % rank for axis in given)


def _squeeze(build: Build, node: Node) -> Value:
    node.count(1, 2)
    value = node.inputs[0]
    if isinstance(value, Activation):
        axes = _axes(node, len(value.shape) + 1)
        if axes is None or any(axis == 0 or value.shape[axis - 1] != 1 for axis in axes):
            which = "all axes of length 1" if axes is None else f"the axes {axes}"
            raise node.refuse(
                f"takes {which} off a value of shape [batch, {listed(value.shape)}]",
                expected="axes that are named, of length 1 and not that of the batch",
            )
        return reshaped(build, node, value, tuple(n for k, n in enumerate(value.shape, start=1) if k not in axes))
    sizes = node.integers(0)
    if len(sizes.values) != 1:
        raise node.refuse("takes an axis off a list of sizes", expected="a list of one")
    return Sizes(sizes.values, scalar=True)


def _unsqueeze(build: Build, node: Node) -> Value:
    node.count(1, 2)
    value = node.inputs[0]
    if isinstance(value, Activation):
        count = len(node.integer_list("axes") or ()) if node.optional(1) is None else len(node.fixed(1))
        axes = _axes(node, len(value.shape) + 1 + count)
        if axes is None:
            raise node.refuse("does not say which axes it puts in", expected="axes")
        if 0 in axes or len(value.shape) + count > MAX_DIMS:
            raise node.refuse(
                f"puts in the axes {axes}", expected=f"axes behind the batch, no more than {MAX_DIMS} with those there"
            )
        left = list(value.shape)
        shape = tuple(1 if k in axes else left.pop(0) for k in range(1, len(value.shape) + 1 + count))
        return reshaped(build, node, value, shape)
    sizes = node.integers(0)
    if not sizes.scalar or _axes(node, 1) != [0]:
        raise node.refuse("puts an axis into a list of sizes", expected="a single size")
    return Sizes(sizes.values)


def _shape(build: Build, node: Node) -> Sizes:
    node.count(1, 1)
    whole: tuple[int | None, ...] = (None, *node.activation(0).shape)
    start, end = node.integer("start", 0), node.integer("end", len(whole))
    return Sizes(whole[start:end])


def _concat(build: Build, node: Node) -> Value:
    parts = [value for value in node.inputs if isinstance(value, Activation)]
    if not parts:
        node.count(1, MAX_DIMS)
        node.exactly("axis", 0)
        joined = tuple(size for number in range(len(node.inputs)) for size in node.integers(number).values)
        if len(joined) > 4 * MAX_DIMS:
            raise node.refuse(f"joins {len(joined)} sizes", expected=f"up to {4 * MAX_DIMS}")
        return Sizes(joined)
    if len(parts) != len(node.inputs):
        raise node.refuse("joins values of the network and constants", expected="values of the network only")
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    if first.stored is None or first.shape != first.turned or any(p.order != first.order for p in parts):
        parts = [build.settled(node, part) for part in parts]
        first = parts[0]
    rank = len(first.shape) + 1
    axis = node.integer("axis", 1)
    axis += rank if axis < 0 else 0
    others = {(*part.shape[: axis - 1], *part.shape[axis:]) for part in parts}
    if not 1 <= axis < rank or len(others) != 1 or any(len(part.shape) != rank - 1 for part in parts):
        raise node.refuse(
            f"joins values along axis {axis}",
            found=", ".join(f"[batch, {listed(part.shape)}]" for part in parts[:4]),
            expected="an axis behind the batch, and equal sizes along the others",
        )
    whole = sum(part.shape[axis - 1] for part in parts)
    shape = checked_shape(node, (*first.shape[: axis - 1], whole, *first.shape[axis:]))
    if first.stored is None:
        return build.join(node, "cat", parts, shape, axis)
    at = first.order[axis - 1]
    stored = (*first.stored[:at], whole, *first.stored[at + 1 :])
    inner = [Activation(part.name, part.stored or ()) for part in parts]
    made = build.join(node, "cat", inner, stored, at + 1)
    return Activation(made.name, shape, stored, first.order)


_HALF = (10, 16)
# What a Cast may turn a constant into, by ONNX's number of the type.
_CAST_TYPES = {1: torch.float32, 11: torch.float64, 6: torch.int32, 7: torch.int64}


def _identity(build: Build, node: Node) -> Value:
    node.count(1, 1)
    value = node.inputs[0]
    assert value is not None
    return value


def _cast(build: Build, node: Node) -> Value:
    node.count(1, 1)
    number = node.integer("to", 0)
    target = _CAST_TYPES.get(number)
    value = node.inputs[0]
    if isinstance(value, Activation):
        # A half of 16 bits is read as the type that the network computes in.
        if target == build.dtype or number in _HALF:
            return value
        raise node.refuse(
            f"turns {type_name(build.dtype)} values into {element_name(number)}",
            expected=f"{type_name(build.dtype)}, the type of the network's input, all through the network",
        )
    if isinstance(value, Sizes):
        if target in (torch.int32, torch.int64):
            return value
        raise node.refuse(f"turns sizes of a shape into {element_name(number)}", expected="int32 or int64")
    assert value is not None
    if number in _HALF and value.is_floating_point():
        return build.own(value).to(torch.float16 if number == 10 else torch.bfloat16).to(build.dtype)
    if target is None:
        raise node.refuse(
            f"turns a constant into {element_name(number)}",
            expected=", ".join(sorted(type_name(known) for known in _CAST_TYPES.values())),
        )
    return value if value.dtype == target else build.own(value).to(target)


def _transpose(build: Build, node: Node) -> Value:
    node.count(1, 1)
    value = node.inputs[0]
    perm = node.integer_list("perm")
    if isinstance(value, Sizes) or value is None:
        raise node.refuse("turns a list of sizes")
    rank = value.ndim if isinstance(value, Tensor) else len(value.shape) + 1
    perm = tuple(reversed(range(rank))) if perm is None else perm
    if sorted(perm) != list(range(rank)):
        raise node.refuse(f"has perm = {list(perm[:8])}", expected=f"the axes 0 to {rank - 1} in some order")
    if isinstance(value, Tensor):
        return value.permute(perm)
    if perm == tuple(range(rank)):
        return value
    if perm[0] != 0:
        raise node.refuse(
            "moves the axis of the batch", found=f"perm = {list(perm)}", expected="the batch as first axis"
        )
    return turned(build, node, value, tuple(axis - 1 for axis in perm[1:]))


SHAPES = {
    "Cast": Operator(_cast, "saturate to", turned=True),
    "Concat": Operator(_concat, "axis", turned=True),
    "Flatten": Operator(_flatten, "axis", turned=True),
    "Identity": Operator(_identity, turned=True),
    "Reshape": Operator(_reshape, "allowzero", turned=True),
    "Shape": Operator(_shape, "end start", turned=True),
    "Squeeze": Operator(_squeeze, "axes", turned=True),
    "Transpose": Operator(_transpose, "perm", turned=True),
    "Unsqueeze": Operator(_unsqueeze, "axes", turned=True),
}
