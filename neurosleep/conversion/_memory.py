"""Which tensors of a traced module share memory, and which operation writes into it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from neurosleep.conversion._obstacles import Unread

__all__ = ["InPlaceTracer", "Place", "Shapes", "is_transform"]


class _Proxy(fx.Proxy):
    """Follows ``h += x`` as what it is; torch.fx itself takes it for ``h = h + x``, which leaves other names alone."""


def _in_place(target: Callable[..., Any]) -> Any:
    def method(self: fx.Proxy, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", target, (self, other), {})

    return method


for _name in ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "iand", "ior", "ixor"):
    setattr(_Proxy, f"__{_name}__", _in_place(getattr(operator, _name)))


def is_transform(module: nn.Module) -> bool:
    """Whether it is one of torchvision that draws nothing, whose code asks for the types of tensors."""
    kind = type(module)
    known = kind.__name__ in ("Normalize", "Resize", "CenterCrop", "Pad")
    return known and kind.__module__.startswith("torchvision.transforms.")


class InPlaceTracer(fx.Tracer):
    """A tracer of torch.fx that tells ``h += x`` from ``h = h + x``, and notes the line of code of each operation."""

    record_stack_traces = True

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether ``m`` is one operation."""
        return isinstance(m, Unread) or is_transform(m) or super().is_leaf_module(m, module_qualified_name)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """The proxy of ``node``."""
        return _Proxy(node, self)


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: its memory, and what it is a view of."""

    memory: int
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    contiguous: bool

    def holds_the_same_as(self, other: Place) -> bool:
        """Whether both are all of the same values, in the same order."""
        if (self.memory, self.offset) != (other.memory, other.offset):
            return False
        if self.contiguous and other.contiguous:
            return torch.Size(self.shape).numel() == torch.Size(other.shape).numel()
        return (self.shape, self.stride) == (other.shape, other.stride)


class Shapes(fx.Interpreter):
    """Runs the traced module and notes of every tensor its shape and where it lies, and what is written into.

    Torch itself counts how often memory is written to, so that no list of operations is needed.

    Attributes
    ----------
    shapes, places:
        By the name of the node.
    types:
        The number types of tensors, in the same way.
    writes:
        By the name of the node, the memories that it writes into.
    values:
        What holds no tensor, such as sizes, by the name of the node.
    fixed:
        Memories of the module's own parameters and buffers.
    """

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.places: dict[str, Place] = {}
        self.types: dict[str, torch.dtype] = {}
        self.writes: dict[str, set[int]] = {}
        self.values: dict[str, Any] = {}
        # A memory that is given back may be used again, and would then be taken for the first.
        self._held: dict[int, Any] = {}
        self._number: dict[fx.Node, int] = {}
        own: list[Tensor] = [*module.parameters(), *module.buffers()]
        self.fixed = {self._memory(tensor) for tensor in own}

    def _memory(self, tensor: Tensor) -> int:
        storage = tensor.untyped_storage()
        self._held[storage._cdata] = storage
        return int(storage._cdata)

    def run_node(self, n: fx.Node) -> Any:
        """Run one node."""
        read: list[Tensor] = []
        if n.op not in ("placeholder", "get_attr", "output"):
            read = list(_tensors(self.fetch_args_kwargs_from_env(n)))
        versions = [tensor._version for tensor in read]
        value = super().run_node(n)
        written = {self._memory(t) for t, v in zip(read, versions, strict=True) if t._version != v}
        if written:
            self.writes[n.name] = written
        self.note(n, value)
        return value

    def hidden_write(self, n: fx.Node) -> bool:
        """Whether ``n`` writes into a parameter, a buffer or a tensor beside its result."""
        written = self.writes.get(n.name, set())
        place = self.places.get(n.name)
        return bool(written) and (place is None or written != {place.memory} or bool(written & self.fixed))

    def overwritten(self, n: fx.Node) -> tuple[list[fx.Node], list[fx.Node]]:
        """What shares the memory that ``n`` writes into and is read after it: whole, or in another order or in part.

        The first hold the same as the result of ``n`` from then on.
        """
        whole: list[fx.Node] = []
        part: list[fx.Node] = []
        if self.writes.get(n.name):
            if n not in self._number:  # of another copy of the graph
                self._number = {node: k for k, node in enumerate(n.graph.nodes)}
            place, own = self.places[n.name], self._number[n]
            for other in self._number:
                if other is n:
                    break
                theirs = self.places.get(other.name)
                shared = theirs is not None and theirs.memory == place.memory
                if theirs is not None and shared and any(self._number[user] > own for user in other.users):
                    (whole if theirs.holds_the_same_as(place) else part).append(other)
        return whole, part

    def note(self, n: fx.Node, found: Any) -> None:
        """Keep where ``found``, the result of ``n``, lies."""
        if not any(True for _ in _tensors(found)):
            self.values[n.name] = found
        if isinstance(found, Tensor):
            self.shapes[n.name], self.types[n.name] = tuple(found.shape), found.dtype
            self.places[n.name] = Place(
                self._memory(found),
                int(found.storage_offset()),
                tuple(found.shape),
                tuple(found.stride()),
                found.is_contiguous(),
            )


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, dict):
        yield from _tensors(tuple(values.values()))
    elif isinstance(values, tuple | list):
        for value in values:
            yield from _tensors(value)
