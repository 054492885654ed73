"""The rewriting of a traced module, operation by operation."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

import torch
from torch import fx

from neurosleep.conversion._operations import ADD, SUBTRACT
from neurosleep.conversion.lowering.calls import Call, as_call
from neurosleep.conversion.lowering.moves import places_of
from neurosleep.conversion.lowering.weights import Weights
from neurosleep.conversion.lowering.windows import Windows

__all__ = ["Lowering"]


class Lowering(Windows, Weights):
    """Everything that is rewritten."""

    def _lower(self, node: fx.Node) -> fx.Node | None:
        call = as_call(node, self._modules).with_values(self._values)
        special = self._taken(node) or self._broadcast(node)
        if special is not None:
            return special
        if call.name == "move":
            return self._move(node)
        lowered: Callable[[fx.Node, Call], fx.Node | None] | None = getattr(self, f"_lower_{call.name}", None)
        x = call.x
        if lowered is None or not isinstance(x, fx.Node) or x.name not in self._shapes:
            return None
        if x in self.constants and call.name not in ("add", "multiply", "addmm", "larger"):
            return None
        return lowered(x, call)

    def _broadcast(self, node: fx.Node) -> fx.Node | None:
        """The sum or difference of two tensors of different shapes, of which the smaller is copied along its axes."""
        after, pair = self._shape(node), list(node.args)
        if node.target not in (*ADD, *SUBTRACT) or len(pair) != 2 or set(node.kwargs) - {"alpha"}:
            return None
        tensors = [one for one in pair if isinstance(one, fx.Node) and one.name in self._shapes]
        shapes = [self._shapes[one.name] for one in tensors if one not in self.constants]
        if len(shapes) != 2 or any(len(shape) != len(after) + 1 or shape[0] != 2 for shape in shapes):
            return None  # others mix images
        if shapes[0] == shapes[1]:
            return None
        first, second = (
            one if before[1:] == after else self._expanded(one, after)
            for one, before in zip(tensors, shapes, strict=True)
        )
        alpha = node.kwargs.get("alpha", 1)
        second = second if alpha == 1 else self._function(operator.mul, second, alpha)
        made = self._function(operator.add if node.target in ADD else operator.sub, first, second)
        return self._became(made, "a sum, of which one part is copied along an axis by fixed weights of 0 and 1")

    def _expanded(self, x: fx.Node, after: tuple[int, ...]) -> fx.Node:
        before = self._shape(x)
        index = torch.arange(math.prod(before)).reshape(before).expand(after).flatten()
        return self._moved(x, index, after)

    def _move(self, node: fx.Node) -> fx.Node | None:
        found = places_of(node, self._shapes, self._values, self._full, self._call)
        if found is None:
            return None
        (moved, added), after, total = found, self._shape(node), None
        for source, index in moved.items():
            if bool((index < 0).all()):
                continue
            part = self._moved(source, index, after)
            total = part if total is None else self._function(operator.add, total, part)
        if total is None:
            return None
        if all(source.name in self._positive for source in moved) and (added is None or bool((added >= 0).all())):
            self._positive.add(node.name)
        if added is not None:
            total = self._function(operator.add, total, self._constant(added))
        return total if total in moved else self._became(total, "neurons in another order, by fixed weights of 0 and 1")
