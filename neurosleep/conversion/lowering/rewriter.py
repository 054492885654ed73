"""What every rewriting of an operation needs: the graph, its shapes and constants, and how nodes are made."""

from __future__ import annotations

import copy
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from neurosleep.conversion._memory import Shapes
from neurosleep.conversion._refusals import Refusals
from neurosleep.conversion.lowering.calls import as_call
from neurosleep.conversion.lowering.constants import constants_of
from neurosleep.conversion.lowering.fixed import channelwise, diagonal, fixed_conv, fixed_linear, moving
from neurosleep.errors import ConversionError, NeurosleepError

__all__ = ["Rewriter", "made_by"]


def made_by(layer: tuple[tuple[int, ...], nn.Module]) -> tuple[int, ...]:
    """The shape that a layer makes of the one that it reads."""
    shape, made = layer
    with torch.no_grad():
        return tuple(made(torch.zeros(1, *shape).to(next(made.parameters()))).shape[1:])


class Rewriter(Refusals, ABC):
    """A copy of ``module`` (:attr:`module`), of which ``memory`` knows the shapes, and what is done at its nodes.

    What has a counterpart is left as it is, and so is what has none: who goes through the module says so, and raises
    the error that is left in a node (``meta["refused"]``).
    """

    def __init__(self, module: fx.GraphModule, memory: Shapes, average: bool) -> None:
        own = [*module.parameters(), *module.buffers()]
        self.module: fx.GraphModule = copy.deepcopy(module, {id(tensor): tensor for tensor in own})
        type(self.module).__name__ = type(module).__name__  # every GraphModule has a class of its own
        self._graph, self._shapes, self._values = self.module.graph, dict(memory.shapes), memory.values
        super().__init__(self.module)
        self._average, self._count = average, 0
        self._dtype = next((tensor.dtype for tensor in own if tensor.is_floating_point()), torch.float32)
        self._positive: set[str] = set()
        self._spent: set[fx.Node] = set()  # what others stand for, if nobody else reads it
        self._padded: dict[str, tuple[list[int], str]] = {}
        self._node: fx.Node
        nodes = list(self._graph.nodes)
        self._order = {node: k for k, node in enumerate(nodes)}
        self._others = {node: memory.overwritten(node) for node in nodes if memory.writes.get(node.name)}
        # Of one image; and for two, as the nodes make them.
        self.constants, self._full = constants_of(
            nodes, self.module, self._shapes, memory.types, self._call, lambda node: node in self._others
        )
        self.changed = False

    def run(self) -> bool:
        """Rewrite; whether anything was."""
        for node in list(self._graph.nodes):
            if node.name in self._shapes and node.op != "get_attr":
                self._node, last = node, node.prev
                try:
                    with self._graph.inserting_before(node):
                        new = None if node in self.constants else self._lower(node)
                    self._replace(node, new)
                except ConversionError as error:
                    node.meta["refused"], self.changed = error, True
                    while node.prev is not last:
                        self._graph.erase_node(node.prev)
        if self.changed:
            for node in reversed(list(self._graph.nodes)):  # chunks of which all parts were taken, and sizes
                unread = node.name not in self._shapes or node in self._spent
                if node.op not in ("output", "placeholder") and not node.users and unread:
                    self._graph.erase_node(node)
            self._graph.lint()
            self.module.recompile()
        return self.changed

    @abstractmethod
    def _lower(self, node: fx.Node) -> fx.Node | None:
        """What stands for ``node``; None if it stays."""

    # What is there

    def _call(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        if node.op == "call_module":
            return self._modules[str(node.target)](*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        assert callable(node.target)
        return node.target(*args, **kwargs)

    def _shape(self, x: fx.Node) -> tuple[int, ...]:
        return self._shapes[x.name][1:]

    def _note_sign(self, node: fx.Node) -> None:
        """Whether what ``node`` makes is never below 0."""
        call = as_call(node, self._modules)
        sources = [source for source in node.all_input_nodes if source.name in self._shapes]
        keeps = call.name in ("flatten", "dropout", "identity", "average", "adaptive", "maximum", "move", "add")
        if call.name in ("relu", "relu6") or (call.name == "hardtanh" and call.get("min_val", -1.0) >= 0):
            self._positive.add(node.name)
        elif keeps and sources and all(source.name in self._positive for source in sources):
            numbers = [a for a in node.args[1:] if call.name == "add" and not isinstance(a, fx.Node)]
            if all(isinstance(a, int | float) and a >= 0 for a in numbers):
                self._positive.add(node.name)

    # What is made

    def _replace(self, node: fx.Node, new: fx.Node | None) -> None:
        if new is None:
            self._note_sign(node)
            return
        whole, part = self._others.get(node, ([], []))
        if part:
            raise self._refused(
                f"writes into a part of {part[0].name!r}, which is read again.",
                "operations that are not in place",
                "inplace=False",
            )
        sign = {node.name} & self._positive
        self._note_sign(node)
        if node.name in self._positive or sign:
            self._positive.add(new.name)
        for other in whole:
            later = [user for user in other.users if self._order.get(user, -1) > self._order[node]]
            for user in later:
                user.replace_input_with(other, new)
        self._shapes[new.name] = self._shapes[node.name]
        node.replace_all_uses_with(new)
        self._graph.erase_node(node)
        self.changed = True

    def _label(self, suffix: str = "") -> str:
        """The name of what is rewritten, in the model, with what it is a part of."""
        node = self._node
        name = str(node.target) if node.op == "call_module" else str(node.meta.get("label", node.name))
        if name.replace(".", "").isdigit():
            name = f"{as_call(node, self._modules).name}{name}"
        return name + suffix

    def _function(self, target: Callable[..., Any], *args: Any, label: str = "") -> fx.Node:
        return self._told(self._graph.call_function(target, args), label)

    def _layer(self, layer: nn.Module, x: fx.Node, label: str = "") -> fx.Node:
        name = f"_fixed{self._count}"
        self._count += 1
        example = next(iter(self.module.parameters()), None)
        self.module.add_submodule(name, layer if example is None else layer.to(example))
        self._modules[name] = layer
        return self._told(self._graph.call_module(name, (x,)), label)

    def _told(self, node: fx.Node, label: str) -> fx.Node:
        """``node``, with what is known of the place of what it stands for."""
        told = ("stack_trace", "nn_module_stack")
        node.meta |= {key: self._node.meta[key] for key in told if key in self._node.meta}
        node.meta["label"] = label or self._label()
        return node

    def _constant(self, value: Tensor) -> fx.Node:
        """A node of a tensor ``[1, ...]`` that is the same for every image."""
        name = f"_added{self._count}"
        self._count += 1
        self.module.register_buffer(name, value.to(self._dtype))
        node = self._graph.get_attr(name)
        self.constants[node] = getattr(self.module, name)
        self._shapes[node.name] = tuple(value.shape)
        return node

    def _reshaped(self, x: fx.Node, shape: tuple[int, ...]) -> fx.Node:
        node = self._function(torch.reshape, x, (-1, *shape))
        self._shapes[node.name] = (2, *shape)
        return node

    def _moved(self, x: fx.Node, index: Tensor, after: tuple[int, ...]) -> fx.Node:
        """A tensor of shape ``after`` of which value i is value ``index[i]`` of ``x``, or 0 where that is -1."""
        before = self._shape(x)
        try:
            layers = moving(before, after, index)
        except ValueError as error:
            raise self._refused(f"{error}.", "moves of whole channels, or of places within them") from error
        if len(layers) == 1 and isinstance(layers[0][1], nn.Conv1d | nn.Conv2d):
            made = self._layer(layers[0][1], x if layers[0][0] == before else self._reshaped(x, layers[0][0]))
            self._shapes[made.name] = (2, *made_by(layers[0]))
            return made if self._shape(made) == after else self._reshaped(made, after)
        if not layers:
            return x if before == after else self._reshaped(x, after)
        return self._through(x, layers, before, after)

    def _became(self, node: fx.Node, words: str) -> fx.Node:
        """``node``, with what the report says of what it stands for."""
        own = self._node
        node.meta["became"] = (str(own.target) if own.op == "call_module" else own.name, words)
        return node

    def _through(
        self,
        x: fx.Node,
        layers: list[tuple[tuple[int, ...], nn.Module]],
        before: tuple[int, ...],
        after: tuple[int, ...],
    ) -> fx.Node:
        """``x`` through fixed layers, each of which reads a shape of its own."""
        for shape, layer in layers:
            x = self._layer(layer, x if shape == before else self._reshaped(x, shape))
            before = ()
        return self._reshaped(x, after) if before != after else x

    def _refused(self, why: str, expected: str, hint: str | None = None) -> NeurosleepError:
        return self._refuse(self._node, why, expected, hint)

    def _scaled(self, x: fx.Node, factor: Tensor) -> fx.Node | None:
        """``x`` times a tensor that broadcasts to it."""
        shape = self._shape(x)
        if (
            not factor.is_floating_point()
            or factor.ndim > len(shape) + 1
            or (factor.ndim == len(shape) + 1 and len(factor) != 1)
        ):
            return None
        if any(n not in (1, m) for n, m in zip(factor.shape[::-1], shape[::-1], strict=False)):
            return None
        full = factor.expand(1, *shape)[0]
        if factor.numel() == 1:
            return self._function(operator.mul, x, float(factor))
        channels = full.reshape(shape[0], -1)
        if bool((channels == channels[:, :1]).all()) and len(shape) <= 3:
            weight, options = diagonal(channels[:, 0].clone(), len(shape) - 1)
            return self._layer(fixed_conv(weight, **options) if options else fixed_linear(weight), x)
        matrix = torch.diag(channels[0]) if torch.equal(channels, channels[:1].expand_as(channels)) else None
        try:
            layers = channelwise(torch.diag(full.flatten()), 1) if matrix is None else channelwise(matrix, shape[0])
        except ValueError:
            return None
        return self._through(x, layers, shape, shape)
