"""ONNX's operators as torch layers: one function per operator, with the checks that its attributes need."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from neurosleep.errors import ExchangeError
from neurosleep.exchange.onnx.tensors import element_name, short, type_name

if TYPE_CHECKING:
    from onnx import AttributeProto, NodeProto

__all__ = ["OPERATORS", "Activation", "Build", "Node", "Sizes", "Value", "bias_vector"]

# A network's values for one image, at most: 1 GiB of float32.
MAX_VALUES = 2**28
MAX_PADDING = 2**16
# Attributes' types in ONNX's numbering.
_FLOAT, _INT, _STRING, _TENSOR, _FLOATS, _INTS = 1, 2, 3, 4, 6, 7


@dataclass(frozen=True)
class Activation:
    """A value that depends on the network's input: its name, and its shape without the batch."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Sizes:
    """A list of sizes that a graph computes from the shape of a value; None stands for the number of images."""

    values: tuple[int | None, ...]
    scalar: bool = False


Value = Activation | Sizes | Tensor


class Build(Protocol):
    """What an operator may do to the network under construction."""

    opset: int
    batch: int | None
    dtype: torch.dtype

    def layer(self, node: Node, layer: nn.Module, x: Activation, shape: tuple[int, ...]) -> Activation:
        """Put a layer behind ``x``."""
        ...

    def add(self, node: Node, a: Activation, b: Activation) -> Activation:
        """Add two values."""
        ...

    def scale(self, node: Node, x: Activation, factor: float) -> Activation:
        """Multiply a value by a number."""
        ...

    def give_bias(self, node: Node, x: Activation, constant: Tensor) -> Activation:
        """Give a constant as bias to the layer that made ``x``."""
        ...

    def own(self, tensor: Tensor) -> Tensor:
        """A copy for one layer: exporters store equal tensors once, and layers must not share what they learn."""
        ...


class Node:
    """A node of the graph: its inputs as values, its attributes with their types checked."""

    def __init__(self, proto: NodeProto, inputs: list[Value | None], known: Set[str]) -> None:
        self.op, self.inputs, self.known = proto.op_type, inputs, known
        self.name = proto.name or (proto.output[0] if proto.output else "")
        self.where = f"The node {short(self.name)} ({self.op})"
        self.used_outputs = [name for name in proto.output if name]
        self.attributes: dict[str, AttributeProto] = {}
        for attribute in proto.attribute:
            if attribute.ref_attr_name:
                raise self.refuse("has an attribute that refers to a function's", short(attribute.name))
            if attribute.name not in known:
                raise self.refuse(
                    "has an attribute that is not known",
                    short(attribute.name),
                    ", ".join(sorted(known)) if known else "no attributes",
                )
            if attribute.name in self.attributes:
                raise self.refuse("has an attribute twice", short(attribute.name))
            self.attributes[attribute.name] = attribute

    def refuse(
        self, what: str, found: str | None = None, expected: str | None = None, hint: str | None = None
    ) -> ExchangeError:
        """The error that says that this node ``what``."""
        return ExchangeError(f"{self.where} {what}.", found=found, expected=expected, hint=hint)

    def _attribute(self, name: str, kind: int) -> AttributeProto | None:
        attribute = self.attributes.get(name)
        if attribute is not None and attribute.type != kind:
            raise self.refuse(f"has the attribute {name!r} with a wrong type")
        return attribute

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        attribute = self._attribute(name, _INT)
        return default if attribute is None else int(attribute.i)

    def number(self, name: str, default: float) -> float:
        """A number attribute."""
        attribute = self._attribute(name, _FLOAT)
        value = default if attribute is None else float(attribute.f)
        if not math.isfinite(value):
            raise self.refuse(f"has {name} = {value!r}", expected="a finite number")
        return value

    def text(self, name: str, default: str) -> str:
        """A text attribute."""
        attribute = self._attribute(name, _STRING)
        return default if attribute is None else attribute.s.decode("ascii", "replace")

    def integer_list(self, name: str) -> tuple[int, ...] | None:
        """A list of integers, or None if it is not there."""
        attribute = self._attribute(name, _INTS)
        return None if attribute is None else tuple(int(i) for i in attribute.ints[: 4 * MAX_DIMS])

    def exactly(self, name: str, value: int) -> None:
        """Refuse another value of an integer attribute than this one."""
        if self.integer(name, value) != value:
            raise self.refuse(f"has {name} = {self.integer(name, value)}", expected=f"{name} = {value}")

    def count(self, least: int, most: int) -> None:
        """Refuse another number of inputs, or a missing one among the first ``least``."""
        if not least <= len(self.inputs) <= most:
            raise self.refuse(
                f"has {len(self.inputs)} inputs", expected=str(least) if least == most else f"{least} to {most}"
            )
        missing = [number for number, value in enumerate(self.inputs[:least]) if value is None]
        if missing:
            raise self.refuse(f"has no input {missing[0]}", expected="a value: only the later inputs may be left out")

    def activation(self, number: int, rank: int | None = None) -> Activation:
        """An input that depends on the network's input."""
        value = self.inputs[number]
        if not isinstance(value, Activation):
            what = "a list of sizes" if isinstance(value, Sizes) else "a constant"
            raise self.refuse(
                f"has {what} as input {number}", expected="a value that is computed from the network's input"
            )
        if rank is not None and len(value.shape) != rank:
            raise self.refuse(f"gets a value of shape [batch, {_text(value.shape)}]", expected=f"{rank + 1} axes")
        return value

    def constant(self, number: int, rank: int | None = None) -> Tensor:
        """An input that is an initialiser or computed from such."""
        value = self.inputs[number]
        if not isinstance(value, Tensor):
            why = "sizes of a value" if isinstance(value, Sizes) else "values computed from the network's input"
            raise self.refuse(f"has an input {number} that is no constant", why, "a tensor stored in the file")
        if rank is not None and value.ndim != rank:
            raise self.refuse(f"has an input {number} of shape {tuple(value.shape)}", expected=f"{rank} axes")
        return value

    def weight(self, number: int, rank: int | None = None) -> Tensor:
        """A constant of floating-point numbers."""
        value = self.constant(number, rank)
        if not value.is_floating_point():
            raise self.refuse(f"has an input {number} of type {type_name(value.dtype)}", expected="float32 or float64")
        return value

    def optional(self, number: int) -> Value | None:
        """An input that may be left out."""
        return self.inputs[number] if number < len(self.inputs) else None

    def integers(self, number: int) -> Sizes:
        """An input that is a short list of integers, stored or computed from a shape."""
        value = self.inputs[number]
        if isinstance(value, Tensor) and value.dtype in (torch.int32, torch.int64) and value.ndim <= 1:
            if value.numel() <= 4 * MAX_DIMS:
                return Sizes(tuple(int(i) for i in value.reshape(-1)), scalar=value.ndim == 0)
        elif isinstance(value, Sizes):
            return value
        raise self.refuse(
            f"has an input {number} that is no list of integers",
            expected=f"up to {4 * MAX_DIMS} integers, stored in the file or computed from a shape",
        )

    def fixed(self, number: int) -> tuple[int, ...]:
        """Such a list, none of it the number of images."""
        values = self.integers(number).values
        if any(value is None for value in values):
            raise self.refuse("depends on the number of images", expected="fixed integers")
        return tuple(value for value in values if value is not None)


MAX_DIMS = 8


def _text(shape: Sequence[int | None]) -> str:
    return ", ".join("batch" if size is None else str(size) for size in shape)


def _checked(node: Node, shape: tuple[int, ...]) -> tuple[int, ...]:
    if any(size < 1 for size in shape) or math.prod(shape) > MAX_VALUES:
        raise node.refuse(
            f"makes a value of shape [batch, {_text(shape[:8])}]",
            expected=f"sizes of at least 1 and no more than {MAX_VALUES} values an image",
        )
    return shape


# --- fully connected layers -------------------------------------------------------------------------------------------


def _linear(build: Build, node: Node, x: Activation, weight: Tensor, bias: Tensor | None) -> Activation:
    units, inputs = weight.shape
    if not x.shape or x.shape[-1] != inputs:
        raise node.refuse(
            f"gets a value of shape [batch, {_text(x.shape)}]", expected=f"{inputs} values, which its weight needs"
        )
    layer = nn.Linear(inputs, units, bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias)
    return build.layer(node, layer, x, _checked(node, (*x.shape[:-1], units)))


def bias_vector(node: Node, constant: Tensor, size: int, after: int = 0) -> Tensor:
    """A bias ``[size]`` from a constant that broadcasts along an axis with ``after`` further ones behind it."""
    shape = tuple(constant.shape)
    while len(shape) > 1 + after and shape[0] == 1:
        shape = shape[1:]
    if constant.numel() == 1 and len(shape) <= 1 + after:
        return constant.reshape(1).expand(size)
    if shape != (size, *[1] * after):
        raise node.refuse(
            f"adds a constant of shape {tuple(constant.shape)}", expected=f"one value for each of {size} units"
        )
    return constant.reshape(size)


def _gemm(build: Build, node: Node) -> Activation:
    node.count(2, 3)
    node.exactly("transA", 0)
    x, matrix = node.activation(0, 1), node.weight(1, 2)
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    weight = build.own(matrix if node.integer("transB", 0) else matrix.T)
    bias = None
    if node.optional(2) is not None and beta != 0:
        bias = build.own(bias_vector(node, node.weight(2), len(weight)))
        bias = bias if beta == 1 else bias * beta
    weight = weight if alpha == 1 else weight * alpha
    return _linear(build, node, x, weight, bias)


def _matmul(build: Build, node: Node) -> Activation:
    node.count(2, 2)
    return _linear(build, node, node.activation(0), build.own(node.weight(1, 2).T), None)


def _add(build: Build, node: Node) -> Activation:
    node.count(2, 2)
    a, b = node.inputs
    if isinstance(a, Activation) and isinstance(b, Activation):
        if a.shape != b.shape:
            raise node.refuse(
                "adds values of different shapes", found=f"[{_text(a.shape)}] and [{_text(b.shape)}] for each image"
            )
        return build.add(node, a, b)
    number = 0 if isinstance(a, Activation) else 1
    x, constant = node.activation(number), node.weight(1 - number)
    try:
        return build.give_bias(node, x, constant)
    except ExchangeError:
        if not constant.any() and _spreads(constant, x):
            return x
        raise


def _mul(build: Build, node: Node) -> Activation:
    node.count(2, 2)
    if all(isinstance(value, Activation) for value in node.inputs):
        raise node.refuse("multiplies two values of the network", expected="one of them a single number")
    number = 0 if isinstance(node.inputs[0], Activation) else 1
    x, factor = node.activation(number), node.weight(1 - number)
    if not _spreads(factor, x) or not (factor.numel() and (factor == factor.reshape(-1)[0]).all()):
        raise node.refuse("multiplies by a tensor", found=f"{tuple(factor.shape)}", expected="a single number")
    return build.scale(node, x, float(factor.reshape(-1)[0]))


def _spreads(constant: Tensor, x: Activation) -> bool:
    """Whether a constant broadcasts to the values of an image, the same for each image."""
    shape = (1, *x.shape)
    sizes = zip(reversed(constant.shape), reversed(shape), strict=False)
    return constant.ndim <= len(shape) and all(size in (1, whole) for size, whole in sizes)


# --- convolution and pooling ------------------------------------------------------------------------------------------


def _per_axis(node: Node, name: str, axes: int, low: int, default: int = 1) -> tuple[int, ...]:
    values = node.integer_list(name)
    if values is None:
        return (default,) * axes
    if len(values) != axes or any(not low <= value <= MAX_PADDING for value in values):
        raise node.refuse(
            f"has {name} = {list(values[:8])}", expected=f"{axes} integers from {low} to {MAX_PADDING}, one per axis"
        )
    return values


def _padding(
    node: Node, sizes: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Zeros before and after each axis, with ``auto_pad`` worked out."""
    axes = len(sizes)
    mode = node.text("auto_pad", "NOTSET")
    if mode == "NOTSET":
        values = node.integer_list("pads")
        if values is None:
            return (0,) * axes, (0,) * axes
        if len(values) != 2 * axes or any(not 0 <= value <= MAX_PADDING for value in values):
            raise node.refuse(f"has pads = {list(values[:8])}", expected=f"{2 * axes} integers from 0 to {MAX_PADDING}")
        return values[:axes], values[axes:]
    if mode == "VALID":
        return (0,) * axes, (0,) * axes
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise node.refuse(f"has auto_pad = {short(mode)}", expected="NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    totals = [
        max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size)
        for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True)
    ]
    small, large = tuple(total // 2 for total in totals), tuple(total - total // 2 for total in totals)
    return (small, large) if mode == "SAME_UPPER" else (large, small)


def _padded(
    build: Build, node: Node, x: Activation, before: tuple[int, ...], after: tuple[int, ...]
) -> tuple[Activation, tuple[int, ...]]:
    """What is padded alike on both sides stays with the layer; other zeros come from a layer of their own."""
    if before == after:
        return x, before
    return _zeros(build, node, x, before, after), (0,) * len(before)


def _zeros(build: Build, node: Node, x: Activation, before: tuple[int, ...], after: tuple[int, ...]) -> Activation:
    """A layer that puts zeros around the axes behind the channels."""
    shape = (x.shape[0], *(size + b + a for size, b, a in zip(x.shape[1:], before, after, strict=True)))
    sides = [n for pair in zip(reversed(before), reversed(after), strict=True) for n in pair]
    layer: nn.Module = nn.ConstantPad1d((sides[0], sides[1]), 0.0) if len(before) == 1 else nn.ZeroPad2d(tuple(sides))  # type: ignore[arg-type]
    return build.layer(node, layer, x, _checked(node, shape))


def _windows(
    node: Node,
    x: Activation,
    padding: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[int, ...]:
    spans = [
        size + 2 * p - d * (k - 1) - 1 for size, p, k, d in zip(x.shape[1:], padding, kernel, dilation, strict=True)
    ]
    if any(span < 0 for span in spans):
        raise node.refuse(
            f"has a window of {list(kernel)}, larger than its input",
            found=f"[{_text(x.shape[1:])}] with padding {list(padding)} on each side and dilations {list(dilation)}",
        )
    return tuple(span // s + 1 for span, s in zip(spans, stride, strict=True))


def _spatial(node: Node) -> tuple[Activation, int]:
    x = node.activation(0)
    axes = len(x.shape) - 1
    if axes not in (1, 2):
        raise node.refuse(
            f"gets a value of shape [batch, {_text(x.shape)}]", expected="[batch, channels] and one or two more axes"
        )
    return x, axes


def _conv(build: Build, node: Node) -> Activation:
    node.count(2, 3)
    x, axes = _spatial(node)
    weight = build.own(node.weight(1, axes + 2))
    kernel, groups = tuple(weight.shape[2:]), node.integer("group", 1)
    if node.integer_list("kernel_shape") not in (None, kernel):
        raise node.refuse(
            f"has kernel_shape = {node.integer_list('kernel_shape')}", expected=f"that of its weight, {kernel}"
        )
    fits = groups >= 1 and x.shape[0] == weight.shape[1] * groups and len(weight) % groups == 0
    if not fits or any(size < 1 for size in weight.shape):
        raise node.refuse(
            f"has a weight of shape {tuple(weight.shape)} in {groups} groups",
            expected=f"[out, {x.shape[0]} / groups, ...], out a multiple of groups",
        )
    stride, dilation = _per_axis(node, "strides", axes, 1), _per_axis(node, "dilations", axes, 1)
    x, padding = _padded(build, node, x, *_padding(node, x.shape[1:], kernel, stride, dilation))
    sizes = _windows(node, x, padding, kernel, stride, dilation)
    bias = None
    if node.optional(2) is not None:
        bias = build.own(node.weight(2, 1))
        if len(bias) != len(weight):
            raise node.refuse(f"has a bias of {len(bias)} values", expected=f"{len(weight)}, one per channel")
    kind: Any = nn.Conv1d if axes == 1 else nn.Conv2d
    layer = kind(
        x.shape[0],
        len(weight),
        kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=bias is not None,
        device="meta",
    )
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias)
    return build.layer(node, layer, x, _checked(node, (len(weight), *sizes)))


def _pool_geometry(
    build: Build, node: Node, x: Activation, axes: int, counts_zeros: bool
) -> tuple[Activation, tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The input (padded where a layer of its own must), kernel, stride, padding and the sizes that come out."""
    if node.integer_list("kernel_shape") is None:
        raise node.refuse("has no kernel_shape")
    kernel, stride = _per_axis(node, "kernel_shape", axes, 1), _per_axis(node, "strides", axes, 1)
    ones = (1,) * axes
    if _per_axis(node, "dilations", axes, 1) != ones:
        raise node.refuse(f"has dilations = {node.integer_list('dilations')}", expected="dilations of 1")
    before, after = _padding(node, x.shape[1:], kernel, stride, ones)
    wide = any(2 * p > k for p, k in zip(before, kernel, strict=True))
    if before != after and not counts_zeros:
        raise node.refuse(f"has pads = {[*before, *after]}", expected="as much padding before as behind, on each axis")
    if wide and not counts_zeros:
        raise node.refuse(
            f"has pads = {[*before, *after]} for windows of {list(kernel)}", expected="at most half of a window"
        )
    if before != after or wide:
        x, before = _zeros(build, node, x, before, after), (0,) * axes
    sizes = _windows(node, x, before, kernel, stride, ones)
    if node.integer("ceil_mode", 0):
        spare = [(size + 2 * p - k) % s for size, p, k, s in zip(x.shape[1:], before, kernel, stride, strict=True)]
        if any(spare):
            raise node.refuse("has ceil_mode = 1 where windows do not come out even", expected="ceil_mode = 0")
    return x, kernel, stride, before, sizes


def _average_pool(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    x, axes = _spatial(node)
    include = bool(node.integer("count_include_pad", 0))
    x, kernel, stride, padding, sizes = _pool_geometry(build, node, x, axes, include)
    kind: Any = nn.AvgPool1d if axes == 1 else nn.AvgPool2d
    # Without padding the two ways to count are one; torch's default is then the plainer network.
    layer = kind(kernel, stride=stride, padding=padding, count_include_pad=include or not any(padding))
    return build.layer(node, layer, x, _checked(node, (x.shape[0], *sizes)))


def _max_pool(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    if len(node.used_outputs) > 1:
        raise node.refuse("gives the places of the maxima too", expected="one output")
    node.exactly("storage_order", 0)
    x, axes = _spatial(node)
    x, kernel, stride, padding, sizes = _pool_geometry(build, node, x, axes, False)
    kind: Any = nn.MaxPool1d if axes == 1 else nn.MaxPool2d
    return build.layer(node, kind(kernel, stride=stride, padding=padding), x, _checked(node, (x.shape[0], *sizes)))


def _mean_over_space(build: Build, node: Node, x: Activation, keep: bool) -> Activation:
    axes = len(x.shape) - 1
    kind: Any = nn.AdaptiveAvgPool1d if axes == 1 else nn.AdaptiveAvgPool2d
    found = build.layer(node, kind(1), x, (x.shape[0], *(1,) * axes))
    return found if keep else build.layer(node, nn.Flatten(), found, (x.shape[0],))


def _global_average_pool(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    return _mean_over_space(build, node, _spatial(node)[0], True)


def _reduce_mean(build: Build, node: Node) -> Activation:
    node.count(1, 2)
    x, axes = _spatial(node)
    given = node.integer_list("axes") if node.optional(1) is None else node.fixed(1)
    rank = axes + 2
    if not given and node.integer("noop_with_empty_axes", 0):
        return x
    if not given or sorted(axis % rank for axis in given if -rank <= axis < rank) != list(range(2, rank)):
        over = f"the axes {list(given[:8])}" if given else "all axes, that of the batch too"
        raise node.refuse(f"takes the mean over {over}", expected="over all axes after the channels")
    return _mean_over_space(build, node, x, bool(node.integer("keepdims", 1)))


# --- the rest of the layers -------------------------------------------------------------------------------------------


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
        raise node.refuse(f"gets a value of shape [batch, {_text(x.shape)}]", expected="2 to 4 axes")
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


# --- shapes -----------------------------------------------------------------------------------------------------------


def _reshaped(build: Build, node: Node, x: Activation, shape: tuple[int, ...]) -> Activation:
    if shape == x.shape:
        return x
    if not shape:
        raise node.refuse("leaves no axis beside the batch", expected="[batch, features]")
    if len(x.shape) > 1:
        x = build.layer(node, nn.Flatten(), x, (math.prod(x.shape),))
    if len(shape) > 1:
        x = build.layer(node, nn.Unflatten(1, shape), x, shape)
    return x


def _flatten(build: Build, node: Node) -> Activation:
    node.count(1, 1)
    x = node.activation(0)
    axis = node.integer("axis", 1)
    if axis not in (1, -len(x.shape)):
        raise node.refuse(f"has axis = {axis}", expected="axis = 1, which keeps the batch apart")
    return _reshaped(build, node, x, (math.prod(x.shape),))


def _reshape(build: Build, node: Node) -> Activation:
    node.count(2, 2)
    x = node.activation(0)
    target = list(node.integers(1).values)
    keeps = node.integer("allowzero", 0) == 0
    text = f"[{_text(target)}] from [batch, {_text(x.shape)}]"
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
    return _reshaped(build, node, x, tuple(rest))


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
                f"takes {which} off a value of shape [batch, {_text(value.shape)}]",
                expected="axes that are named, of length 1 and not that of the batch",
            )
        return _reshaped(build, node, value, tuple(n for k, n in enumerate(value.shape, start=1) if k not in axes))
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
        return _reshaped(build, node, value, shape)
    sizes = node.integers(0)
    if not sizes.scalar or _axes(node, 1) != [0]:
        raise node.refuse("puts an axis into a list of sizes", expected="a single size")
    return Sizes(sizes.values)


def _shape(build: Build, node: Node) -> Sizes:
    node.count(1, 1)
    whole: tuple[int | None, ...] = (None, *node.activation(0).shape)
    start, end = node.integer("start", 0), node.integer("end", len(whole))
    return Sizes(whole[start:end])


def _gather(build: Build, node: Node) -> Sizes:
    node.count(2, 2)
    if isinstance(node.inputs[0], Activation):
        raise node.refuse("picks values out", expected="sizes of a shape, the only thing that is picked from")
    node.exactly("axis", 0)
    sizes, places = node.integers(0), node.integers(1)
    length = len(sizes.values)
    if any(place is None or not -length <= place < length for place in places.values):
        raise node.refuse(f"picks the sizes {list(places.values)} out of {length}", expected=f"0 to {length - 1}")
    return Sizes(tuple(sizes.values[place] for place in places.values if place is not None), scalar=places.scalar)


def _concat(build: Build, node: Node) -> Value:
    if len(node.inputs) == 1 and isinstance(node.inputs[0], Activation):
        return node.inputs[0]
    if any(isinstance(value, Activation) for value in node.inputs):
        raise node.refuse(
            "joins values of the network",
            expected="sums of branches (Add); only lists of sizes are joined",
            hint="a layer after it can be split: W [a, b] = W1 a + W2 b",
        )
    node.count(1, MAX_DIMS)
    node.exactly("axis", 0)
    joined = tuple(size for number in range(len(node.inputs)) for size in node.integers(number).values)
    if len(joined) > 4 * MAX_DIMS:
        raise node.refuse(f"joins {len(joined)} sizes", expected=f"up to {4 * MAX_DIMS}")
    return Sizes(joined)


def _slice(build: Build, node: Node) -> Value:
    if node.attributes:  # up to operator set 9
        node.count(1, 1)
        starts, ends, axes = (node.integer_list(name) for name in ("starts", "ends", "axes"))
        steps = None
    else:
        node.count(3, 5)
        starts, ends = node.fixed(1), node.fixed(2)
        axes, steps = (None if node.optional(k) is None else node.fixed(k) for k in (3, 4))
    value = node.inputs[0]
    if starts is None or ends is None:
        raise node.refuse("does not say what it cuts out", expected="starts and ends")
    if isinstance(value, Activation):
        rank = len(value.shape) + 1
        axes = tuple(range(len(starts))) if axes is None else axes
        fits = len(starts) == len(ends) == len(axes) and all(-rank <= axis < rank for axis in axes)
        whole = fits and all(
            start == 0 and (end >= 2**31 - 1 if axis % rank == 0 else end >= value.shape[axis % rank - 1])
            for start, end, axis in zip(starts, ends, axes, strict=True)
        )
        if whole and set(steps or ()) <= {1}:
            return value
        raise node.refuse("cuts values out", expected="all of them, or sizes of a shape")
    sizes = node.integers(0)
    plain = len(starts) == len(ends) == 1
    plain &= axes in (None, (0,)) and steps in (None, (1,))
    if not plain:
        raise node.refuse("cuts a list of sizes in an unusual way", expected="one piece")
    return Sizes(sizes.values[starts[0] : ends[0]])


# --- what leaves values as they are, and constants --------------------------------------------------------------------


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
        if target == build.dtype:
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
    if target is None:
        raise node.refuse(
            f"turns a constant into {element_name(number)}",
            expected=", ".join(sorted(type_name(known) for known in _CAST_TYPES.values())),
        )
    return value if value.dtype == target else build.own(value).to(target)


def _pad(build: Build, node: Node) -> Activation:
    """Zeros around the axes behind the channels, as a layer; none at all are no layer."""
    node.count(1, 4)
    x = node.activation(0)
    rank = len(x.shape) + 1
    if "pads" in node.attributes:  # up to operator set 10
        given, filling = node.integer_list("pads") or (), node.number("value", 0.0)
    else:
        node.count(2, 4)
        given, filling = node.fixed(1), 0.0
        if node.optional(2) is not None:
            constant = node.weight(2)
            if constant.numel() != 1:
                raise node.refuse(f"fills with a constant of shape {tuple(constant.shape)}", expected="a single number")
            filling = float(constant)
    axes = tuple(range(rank)) if node.optional(3) is None else node.fixed(3)
    if len(given) != 2 * len(axes) or any(not -rank <= axis < rank for axis in axes):
        raise node.refuse(f"has pads = {list(given[:16])}", expected=f"two for each of {len(axes)} axes")
    before, after = [0] * rank, [0] * rank
    for k, axis in enumerate(axes):
        before[axis % rank], after[axis % rank] = given[k], given[len(axes) + k]
    if not any(given):
        return x
    mode = node.text("mode", "constant")
    if mode != "constant" or filling != 0:
        raise node.refuse(
            f"pads in mode {short(mode)}" if mode != "constant" else f"pads with {filling:g}", expected="zeros"
        )
    if any(before[:2]) or any(after[:2]) or rank not in (3, 4):
        raise node.refuse(f"has pads = {list(given[:16])}", expected="padding of the axes behind the channels only")
    if any(not 0 <= side <= MAX_PADDING for side in given):
        raise node.refuse(f"has pads = {list(given[:16])}", expected=f"integers from 0 to {MAX_PADDING}")
    return _zeros(build, node, x, tuple(before[2:]), tuple(after[2:]))


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
    # Axes of length 1 may change places freely.
    sizes: tuple[int | None, ...] = (None, *value.shape)
    if perm[0] == 0 and [k for k in perm if sizes[k] != 1] == [k for k in range(rank) if sizes[k] != 1]:
        return _reshaped(build, node, value, tuple(value.shape[k - 1] for k in perm[1:]))
    raise node.refuse(
        "turns the axes of values", found=f"perm = {list(perm)}", expected="channels first all through the network"
    )


@dataclass(frozen=True)
class Operator:
    """What is made of an operator, and the attributes that it may have."""

    make: Callable[[Build, Node], Value]
    attributes: frozenset[str]


def _operator(make: Callable[[Build, Node], Value], attributes: str = "") -> Operator:
    return Operator(make, frozenset(attributes.split()))


# Constant is the reader's own, since its value is a tensor of the file.
OPERATORS: dict[str, Operator] = {
    "Add": _operator(_add),
    "AveragePool": _operator(_average_pool, "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides"),
    "BatchNormalization": _operator(_batch_norm, "epsilon momentum spatial training_mode"),
    "Cast": _operator(_cast, "saturate to"),
    "Clip": _operator(_clip, "max min"),
    "Concat": _operator(_concat, "axis"),
    "Conv": _operator(_conv, "auto_pad dilations group kernel_shape pads strides"),
    "Dropout": _operator(_dropout, "ratio seed"),
    "Flatten": _operator(_flatten, "axis"),
    "Gather": _operator(_gather, "axis"),
    "Gemm": _operator(_gemm, "alpha beta transA transB"),
    "GlobalAveragePool": _operator(_global_average_pool),
    "Identity": _operator(_identity),
    "MatMul": _operator(_matmul),
    "MaxPool": _operator(_max_pool, "auto_pad ceil_mode dilations kernel_shape pads storage_order strides"),
    "Mul": _operator(_mul),
    "Pad": _operator(_pad, "mode pads value"),
    "ReduceMean": _operator(_reduce_mean, "axes keepdims noop_with_empty_axes"),
    "Relu": _operator(_relu),
    "Reshape": _operator(_reshape, "allowzero"),
    "Shape": _operator(_shape, "end start"),
    "Slice": _operator(_slice, "axes ends starts"),
    "Squeeze": _operator(_squeeze, "axes"),
    "Transpose": _operator(_transpose, "perm"),
    "Unsqueeze": _operator(_unsqueeze, "axes"),
}
