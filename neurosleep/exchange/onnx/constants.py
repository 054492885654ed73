"""Constants of an ONNX graph, and what is computed from constants alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from neurosleep.exchange.onnx.node import Build, Node
from neurosleep.exchange.onnx.tensors import External, read_tensor

if TYPE_CHECKING:
    from onnx import AttributeProto

__all__ = ["CONSTANT_ATTRIBUTES", "constant", "folded"]

CONSTANT_ATTRIBUTES = frozenset({"value", "value_float", "value_floats", "value_int", "value_ints"})

# What exporters leave to be computed from stored tensors.
_FOLDED: dict[str, Callable[..., Tensor]] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": torch.div,
    "Neg": torch.neg,
    "Sqrt": torch.sqrt,
    "Reciprocal": torch.reciprocal,
}


def constant(node: Node, external: External) -> Tensor:
    """The value of a Constant."""
    if len(node.attributes) != 1:
        raise node.refuse("has no value, or several", expected="one of value, value_float(s), value_int(s)")
    name, attribute = next(iter(node.attributes.items()))
    if name == "value":
        if attribute.type != attribute.TENSOR:
            raise node.refuse("has a value that is no tensor")
        return read_tensor(attribute.t, external)
    return _plain(node, name, attribute)


def folded(build: Build, node: Node) -> Tensor | None:
    """The result of a node all whose inputs are stored floats; None for any other."""
    inputs = node.inputs
    if node.op == "Reshape" and len(inputs) == 2 and isinstance(inputs[0], Tensor):
        return _reshaped(node, inputs[0])
    tensors = [value for value in inputs if isinstance(value, Tensor) and value.is_floating_point()]
    if node.op not in _FOLDED or len(tensors) != len(inputs) or not 1 <= len(inputs) <= 2:
        return None
    try:
        shape = np.broadcast_shapes(*(tuple(tensor.shape) for tensor in tensors))
    except ValueError as error:
        shapes = " and ".join(str(tuple(tensor.shape)) for tensor in tensors)
        raise node.refuse("joins constants whose shapes do not fit", found=shapes) from error
    if math.prod(shape) > max(tensor.numel() for tensor in tensors):
        raise node.refuse("makes more values of constants than the file holds", found=str(tuple(shape)))
    operation: Any = _FOLDED[node.op]
    result: Tensor = operation(*(build.own(tensor) for tensor in tensors))
    if not torch.isfinite(result).all():
        raise node.refuse("makes NaN or infinite values of constants", expected="finite numbers")
    return result


def _reshaped(node: Node, tensor: Tensor) -> Tensor:
    target = list(node.fixed(1))
    if node.integer("allowzero", 0) == 0:
        target = [tensor.shape[k] if size == 0 and k < tensor.ndim else size for k, size in enumerate(target)]
    known = math.prod(size for size in target if size != -1)
    rest = target.count(-1)
    fits = all(size >= -1 for size in target) and rest <= 1 and known > 0
    if not fits or (tensor.numel() % known if rest else tensor.numel() != known):
        raise node.refuse(f"makes {list(node.fixed(1))} of a constant of shape {tuple(tensor.shape)}")
    return tensor.reshape(target)


def _plain(node: Node, name: str, attribute: AttributeProto) -> Tensor:
    if name == "value_float":
        value = torch.tensor(node.number(name, 0.0), dtype=torch.float32)
    elif name == "value_int":
        value = torch.tensor(node.integer(name, 0), dtype=torch.int64)
    elif name == "value_ints" and attribute.type == attribute.INTS:
        value = torch.tensor(list(attribute.ints), dtype=torch.int64)
    elif name == "value_floats" and attribute.type == attribute.FLOATS:
        value = torch.tensor(list(attribute.floats), dtype=torch.float32)
    else:
        raise node.refuse(f"has the attribute {name!r} with a wrong type")
    if value.is_floating_point() and not torch.isfinite(value).all():
        raise node.refuse("has NaN or infinite values", expected="finite numbers")
    return value
