"""What the nodes of a traced module that were gone through have made: populations, and sums on the way to one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from torch import fx

from neurosleep.conversion._names import Names
from neurosleep.conversion._refusals import Refusals
from neurosleep.conversion._windows import is_number
from neurosleep.conversion.plan import PlannedPopulation, Sum, Term, Value
from neurosleep.spiking import Identity, Reshape

__all__ = ["Made"]


class Made(Refusals):
    """By node: what it makes, as something that a population sends, or as a sum of terms."""

    def __init__(self, module: fx.GraphModule, shapes: Mapping[str, tuple[int, ...]], chain: bool) -> None:
        super().__init__(module)
        self._shapes, self._chain = shapes, chain
        self._values: dict[fx.Node, Value | Sum] = {}
        self._names = Names()
        self.populations: list[PlannedPopulation] = []
        self._shape_of: dict[str, tuple[int, ...]] = {}

    def _label(self, node: fx.Node) -> str:
        """The place in the model of what ``node`` calls, or its own name if that is a function."""
        # Those of our chains are in the results of published experiments, and key the devices of analogue chips.
        own = str(node.target) if node.op == "call_module" and not self._chain else node.name
        return str(node.meta.get("label", own))

    def _told(self, node: fx.Node) -> str:
        """How the report calls it: the layer of the model, or what was called."""
        own = str(node.target) if node.op == "call_module" else node.name
        return str(node.meta.get("label", own))

    def _add(self, kind: Literal["lif", "relay", "output"], total: Sum, node: fx.Node, most: float = math.inf) -> Value:
        name = self._names.of(kind, total)
        planned = PlannedPopulation(name, kind, total.shape, tuple(total.terms), total.bias, node.name, most)
        self.populations.append(planned)
        self._shape_of[name] = total.shape
        return Value(name)

    def _get(self, node: Any, user: fx.Node) -> Value | Sum:
        if not isinstance(node, fx.Node) or node not in self._values:
            raise self._refuse(user, "works on something other than what the layers before it compute.")
        return self._values[node]

    def _value(self, node: Any, user: fx.Node) -> Value:
        """The tensor of ``node`` as something that a population sends; a relay is made where none does."""
        found = self._get(node, user)
        if isinstance(found, Sum):
            found = self._values[node] = self._add("relay", found, node)
        return found

    def _grid(self, node: Any, user: fx.Node) -> Value:
        """The same, from a population whose shape is that of the tensor."""
        found, shape = self._value(node, user), self._shapes[node.name][1:]
        if self._shape_of[found.population] == shape:
            return found
        label = self._label(user)
        name = label if is_number(label) else f"{label}_grid"
        total = Sum(shape, name, [Term(found.population, Reshape, found.factor)])
        return self._add("relay", total, node)

    def _as_sum(self, node: Any, user: fx.Node) -> Sum:
        found = self._get(node, user)
        if isinstance(found, Value):
            shape = self._shapes[node.name][1:]
            kind = Identity if shape == self._shape_of[found.population] else Reshape
            return Sum(shape, self._label(user), [Term(found.population, kind, found.factor)])
        return found
