"""A node of an ONNX graph, with its inputs and attributes checked, and what it may do to the network."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from neurosleep.errors import ExchangeError
from neurosleep.exchange.layer_graph import Kind
from neurosleep.exchange.onnx.tensors import short, type_name

if TYPE_CHECKING:
    from onnx import AttributeProto, NodeProto


__all__ = ["MAX_DIMS", "Activation", "Build", "Node", "Operator", "Sizes", "Value", "checked_shape", "listed"]

# A network's values for one image, at most: 1 GiB of float32.
MAX_VALUES = 2**28


# Attributes' types in ONNX's numbering.
_FLOAT, _INT, _STRING, _TENSOR, _FLOATS, _INTS = 1, 2, 3, 4, 6, 7


@dataclass(frozen=True)
class Activation:
    """A value that depends on the network's input.

    Transposes are not computed where what follows can do without them: such a value is what the layer ``name`` makes,
    of the shape ``stored``, with its axes in the order ``order`` and reshaped to ``shape``.

    Parameters
    ----------
    name, shape:
        The name of the step that makes it, and its shape without the batch.
    stored, order:
        Of a value that is not computed yet: the shape of what is, and its axes in the value's order; else None.
    """

    name: str
    shape: tuple[int, ...]
    stored: tuple[int, ...] | None = None
    order: tuple[int, ...] = ()

    @property
    def turned(self) -> tuple[int, ...]:
        """The shape before it is reshaped."""
        return self.shape if self.stored is None else tuple(self.stored[axis] for axis in self.order)


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

    def join(
        self, node: Node, kind: Kind, values: Sequence[Activation], shape: tuple[int, ...], axis: int = 1
    ) -> Activation:
        """Put a step of several inputs behind ``values``."""
        ...

    def scale(self, node: Node, x: Activation, factor: float) -> Activation:
        """Multiply a value by a number."""
        ...

    def give_bias(self, node: Node, x: Activation, constant: Tensor) -> Activation | None:
        """Give a constant as bias to the layer that made ``x``; None where no bias belongs there."""
        ...

    def maker(self, x: Activation) -> nn.Module | None:
        """The layer that made ``x``; None for the input and for sums."""
        ...

    def before(self, x: Activation) -> Activation:
        """What the layer that made ``x`` reads, which has the same shape."""
        ...

    def settled(self, node: Node, x: Activation) -> Activation:
        """``x`` with its axes as they should be."""
        ...

    def note(self, text: str) -> None:
        """Remember what the reader of the file should know."""
        ...

    def own(self, tensor: Tensor) -> Tensor:
        """A copy for one layer: exporters store equal tensors once, and layers must not share what they learn."""
        ...

    def count(self, size: int) -> None:
        """Refuse a file whose constants make more bytes than it may cost."""
        ...


MAX_DIMS = 8


class Node:
    """A node of the graph: its inputs as values, its attributes with their types checked."""

    def __init__(self, proto: NodeProto, inputs: list[Value | None], known: Set[str], used: Container[str]) -> None:
        self.op, self.inputs, self.known, self.proto = proto.op_type, inputs, known, proto
        self.name = proto.name or (proto.output[0] if proto.output else "")
        self.where = f"The node {short(self.name)} ({self.op})"
        self.outputs = list(proto.output)
        self.used_outputs = [name for name in proto.output if name in used]
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
        if expected is None and hint is None:
            hint = f"the node breaks ONNX's definition of {self.op}: onnx.checker says more; export the network again"
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

    def number_list(self, name: str) -> tuple[float, ...] | None:
        """A list of finite numbers, or None if it is not there."""
        attribute = self._attribute(name, _FLOATS)
        values = None if attribute is None else tuple(attribute.floats)
        if values is not None and not all(map(math.isfinite, values)):
            raise self.refuse(f"has NaN or infinite values in {name}", expected="finite numbers")
        return values

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
            raise self.refuse(f"gets a value of shape [batch, {listed(value.shape)}]", expected=f"{rank + 1} axes")
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


def listed(shape: Sequence[int | None]) -> str:
    """A shape in words, as messages say it."""
    return ", ".join("batch" if size is None else str(size) for size in shape)


def checked_shape(node: Node, shape: tuple[int, ...]) -> tuple[int, ...]:
    """``shape``, which must be one of a value of bounded size."""
    if any(size < 1 for size in shape) or math.prod(shape) > MAX_VALUES:
        raise node.refuse(
            f"makes a value of shape [batch, {listed(shape[:8])}]",
            expected=f"sizes of at least 1 and no more than {MAX_VALUES} values an image",
        )
    return shape


@dataclass(frozen=True)
class Operator:
    """What is made of an operator, and how.

    Parameters
    ----------
    make, attributes:
        The function, which makes a value or, of Split, one for each output; and the attributes that the operator may
        have, with blanks between.
    turned:
        Whether it takes values that are not computed yet (see :class:`Activation`).
    output:
        Which of the operator's outputs is made.
    """

    make: Callable[[Build, Node], Value | tuple[Activation, ...] | None]
    attributes: str = ""
    turned: bool = False
    output: int = 0

    @property
    def known(self) -> frozenset[str]:
        """The names of the attributes."""
        return frozenset(self.attributes.split())
