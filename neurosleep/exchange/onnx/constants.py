"""Constants of an ONNX graph, and what is computed from constants alone."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from neurosleep.exchange.onnx.node import MAX_DIMS, Activation, Build, Node, Operator, Sizes, Value
from neurosleep.exchange.onnx.tensors import External, read_tensor

if TYPE_CHECKING:
    from onnx import AttributeProto

__all__ = ["CONSTANTS", "CONSTANT_ATTRIBUTES", "constant", "folded"]

CONSTANT_ATTRIBUTES = frozenset({"value", "value_float", "value_floats", "value_int", "value_ints"})

_ARITHMETIC: dict[str, Callable[[Any, Any], int]] = {
    "Add": operator.add,
    "Div": operator.floordiv,
    "Mul": operator.mul,
    "Sub": operator.sub,
}
# Operators that exporters leave to be computed from stored tensors, none of which makes more values than it is given …
_FOLDED = {
    *("Abs", "Ceil", "Concat", "Cos", "Erf", "Exp", "Flatten", "Floor", "Identity", "Log", "Neg", "Not", "Reciprocal"),
    *("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Relu", "Round", "Sigmoid", "Sign", "Sin"),
    *("Slice", "Sqrt", "Squeeze", "Tanh", "Transpose", "Unsqueeze"),
}
# … or only by spreading them over one another.
_SPREAD = {"Add", "Div", "Equal", "Greater", "Less", "Max", "Min", "Mul", "Pow", "Sub", "Where"}


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


def folded(build: Build, node: Node) -> Value | None:
    """The result of a node all whose inputs are stored, or sizes of a shape; None for any other."""
    inputs = node.inputs
    if node.op == "Reshape" and len(inputs) == 2 and isinstance(inputs[0], Tensor):
        return _reshaped(node, inputs[0])
    if not inputs or any(isinstance(value, Activation) for value in inputs):
        return None
    if any(isinstance(value, Sizes) for value in inputs):
        return _of_sizes(node)
    if node.op in ("Gather", "Expand", "ConstantOfShape"):
        return _larger(build, node)
    if node.op not in _FOLDED | _SPREAD:
        return None
    tensors = [value for value in inputs if isinstance(value, Tensor)]
    if node.op in _SPREAD:
        _check_spread(node, tensors)
    for tensor in tensors:
        build.own(tensor)  # counts them
    return _evaluated(build, node)


def _check_spread(node: Node, tensors: list[Tensor]) -> None:
    try:
        shape = np.broadcast_shapes(*(tuple(tensor.shape) for tensor in tensors))
    except ValueError as error:
        shapes = " and ".join(str(tuple(tensor.shape)) for tensor in tensors)
        raise node.refuse("joins constants whose shapes do not fit", found=shapes) from error
    if math.prod(shape) > max(tensor.numel() for tensor in tensors):
        raise node.refuse("makes more values of constants than the file holds", found=str(tuple(shape)))


def _larger(build: Build, node: Node) -> Tensor:
    """What may make more values than it is given, as far as the size of the file allows."""
    if node.op == "Gather":
        node.count(2, 2)
        data, places = node.constant(0), node.constant(1)
        axis = node.integer("axis", 0)
        if not -data.ndim <= axis < data.ndim:
            raise node.refuse(f"has axis = {axis} for a constant of {data.ndim} axes")
        whole = data.numel() // max(data.shape[axis], 1) * places.numel()
    else:
        shape = node.fixed(len(node.inputs) - 1)
        if len(shape) > MAX_DIMS or any(size < 0 for size in shape):
            raise node.refuse(f"makes a constant of shape {list(shape[:9])}", expected=f"up to {MAX_DIMS} sizes >= 0")
        spread = node.constant(0).numel() if node.op == "Expand" else 1
        whole = math.prod(max(size, 1) for size in shape) * spread
    build.count(whole * 8)
    return _evaluated(build, node)


def _of_sizes(node: Node) -> Value | None:
    """Sums, products and quotients of sizes."""
    if node.op not in _ARITHMETIC:
        return None
    node.count(2, 2)
    parts = [node.integers(number) for number in range(2)]
    length = max(len(part.values) for part in parts)
    if any(None in part.values or len(part.values) not in (1, length) for part in parts):
        raise node.refuse("computes with the number of images", expected="sizes that all images have alike")
    pairs = zip(*(part.values * (length // len(part.values)) for part in parts), strict=True)
    try:
        values = tuple(_ARITHMETIC[node.op](a, b) for a, b in pairs)
    except ZeroDivisionError as error:
        raise node.refuse("divides by 0") from error
    return Sizes(values, scalar=all(part.scalar for part in parts))


def _evaluated(build: Build, node: Node) -> Tensor:
    """The node's output, as onnx's own reference computes it."""
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    proto = node.proto
    given = {
        name: value.numpy() for name, value in zip(proto.input, node.inputs, strict=True) if isinstance(value, Tensor)
    }
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(given[name].dtype), None) for name in given
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in proto.output]
    graph = helper.make_graph([proto], "constants", inputs, outputs)
    sets = [helper.make_opsetid("", build.opset)]
    try:
        with np.errstate(all="ignore"):
            made: Any = ReferenceEvaluator(helper.make_model(graph, opset_imports=sets)).run(None, given)
    except Exception as error:  # whatever the reference raises
        raise node.refuse("cannot be computed of its constants", found=str(error)[:200]) from error
    result = torch.from_numpy(np.array(made[0]))
    if result.is_floating_point() and not torch.isfinite(result).all():
        raise node.refuse("makes NaN or infinite values of constants", expected="finite numbers")
    return result


def _constants_only(build: Build, node: Node) -> Value:
    raise node.refuse("is computed of the network's input", expected="constants only")


CONSTANTS = {
    **{op: Operator(_constants_only) for op in ("Equal", "Expand", "Greater", "Less", "Not", "Where")},
    "ConstantOfShape": Operator(_constants_only, "value"),
    "ReduceProd": Operator(_constants_only, "axes keepdims noop_with_empty_axes"),
}


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
