"""The rewriting of a traced module, operation by operation."""

from __future__ import annotations

import operator
from collections.abc import Callable

from torch import fx, nn

from neurosleep.conversion.lowering.activities import Activities
from neurosleep.conversion.lowering.calls import Call, as_call
from neurosleep.conversion.lowering.fixed import moving
from neurosleep.conversion.lowering.moves import places_of
from neurosleep.conversion.lowering.rewriter import made_by
from neurosleep.conversion.lowering.weights import Weights
from neurosleep.conversion.lowering.windows import Windows

__all__ = ["Lowering"]


class Lowering(Activities, Windows, Weights):
    """Everything that is rewritten."""

    def _lower(self, node: fx.Node) -> fx.Node | None:
        call = as_call(node, self._modules)
        if call.name == "move":
            return self._move(node)
        lowered: Callable[[fx.Node, Call], fx.Node | None] | None = getattr(self, f"_lower_{call.name}", None)
        x = call.x
        if lowered is None or not isinstance(x, fx.Node) or x.name not in self._shapes:
            return None
        if x in self.constants and call.name not in ("add", "multiply", "addmm"):
            return None
        return lowered(x, call)

    def _move(self, node: fx.Node) -> fx.Node | None:
        moved = places_of(node, self._shapes, self._values, self._call)
        if moved is None or any(source in self.constants for source in moved):
            return None
        after, total = self._shape(node), None
        for source, index in moved.items():
            if bool((index < 0).all()):
                continue
            try:
                layers = moving(self._shape(source), after, index)
            except ValueError as error:
                raise self._refused(f"{error}.", "moves of whole channels, or of places within them") from error
            before = self._shape(source)
            if len(layers) == 1 and isinstance(layers[0][1], nn.Conv1d | nn.Conv2d):
                made = self._layer(
                    layers[0][1], source if layers[0][0] == before else self._reshaped(source, layers[0][0])
                )
                made_shape = made_by(layers[0])
                part = made if made_shape == after else self._reshaped(made, after)
            elif not layers:
                part = source if before == after else self._reshaped(source, after)
            else:
                part = self._through(source, layers, before, after)
            total = part if total is None else self._function(operator.add, total, part)
        if total is None:
            return None
        if all(source.name in self._positive for source in moved):
            self._positive.add(node.name)
        return total if total in moved else self._became(total, "neurons in another order, by fixed weights of 0 and 1")
