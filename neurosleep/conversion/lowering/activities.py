"""Activities as populations: clipped, leaky and absolute values, and the larger of two."""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from neurosleep.conversion.lowering.calls import Call
from neurosleep.conversion.lowering.rewriter import Rewriter

__all__ = ["Activities"]


class Activities(Rewriter):
    """What is done with one value at a time."""

    def _lower_leaky(self, x: fx.Node, call: Call) -> fx.Node | None:
        slope = call.get("negative_slope", call.get("weight", 0.01))
        slope = self.constants.get(slope, slope)
        if isinstance(slope, fx.Node):
            return None
        positive = self._function(torch.relu, x, label=self._label())
        minus = self._function(operator.mul, x, -1.0)
        negative = self._function(torch.relu, minus, label=self._label("_negative"))
        self._shapes[negative.name] = self._shapes[x.name]
        if isinstance(slope, Tensor) and slope.numel() > 1:
            shape = (1, -1, *(1,) * (len(self._shape(x)) - 1))
            scaled = self._scaled(negative, slope.detach().reshape(shape))
            assert scaled is not None
        else:
            scaled = self._function(operator.mul, negative, float(slope)) if float(slope) else None
        if scaled is None:
            return positive
        return self._became(
            self._function(operator.sub, positive, scaled), "two populations, of what is above 0 and below"
        )

    def _lower_absolute(self, x: fx.Node, call: Call) -> fx.Node:
        positive = self._function(torch.relu, x, label=self._label())
        minus = self._function(operator.mul, x, -1.0)
        negative = self._function(torch.relu, minus, label=self._label("_negative"))
        self._positive.add(self._node.name)
        return self._function(operator.add, positive, negative)

    def _lower_hardtanh(self, x: fx.Node, call: Call) -> fx.Node | None:
        low, high = call.get("min_val", -1.0), call.get("max_val", 1.0)
        if self._node.op == "call_module" and low == 0:
            return None  # a population with a largest rate
        return self._clipped(x, low, high)

    def _lower_clamp(self, x: fx.Node, call: Call) -> fx.Node | None:
        return self._clipped(x, call.get("min", None), call.get("max", None))

    def _lower_hardsigmoid(self, x: fx.Node, call: Call) -> fx.Node | None:
        scaled = self._function(operator.mul, x, 1 / 6)
        self._positive.add(self._node.name)
        return self._clipped(self._function(operator.add, scaled, 0.5), 0.0, 1.0)

    def _clipped(self, x: fx.Node, low: Any, high: Any) -> fx.Node | None:
        """Between two numbers: a population with a largest rate, from one of them on."""
        if any(isinstance(limit, bool) or not isinstance(limit, int | float | None) for limit in (low, high)):
            return None
        low = None if low is not None and low == -math.inf else low
        high = None if high is not None and high == math.inf else high
        if low is None and high is None:
            return None
        if low is None:
            # What lies below the upper limit is what is left of it.
            rest = self._function(torch.relu, self._function(operator.sub, high, x), label=self._label())
            return self._function(operator.sub, high, rest)
        if low >= 0:
            self._positive.add(self._node.name)
        above = x if low == 0 else self._function(operator.sub, x, float(low))
        clipped = (
            self._function(torch.relu, above, label=self._label())
            if high is None
            else self._function(F.hardtanh, above, 0.0, float(high - low), label=self._label())
        )
        return clipped if low == 0 else self._function(operator.add, clipped, float(low))

    def _lower_threshold(self, x: fx.Node, call: Call) -> fx.Node | None:
        low = call.get("threshold", None)
        if isinstance(low, fx.Node) or call.get("value", None) != low:
            raise self._refused(
                "jumps at its threshold.",
                "the threshold as the value below it, which makes no jump",
                "spike rates are piecewise linear in their inputs: train it with ReLU or LeakyReLU in its place",
            )
        return self._clipped(x, low, None)

    def _lower_softshrink(self, x: fx.Node, call: Call) -> fx.Node:
        margin, minus = float(call.get("lambd", 0.5)), self._function(operator.mul, x, -1.0)
        above, below = (
            self._function(torch.relu, self._function(operator.sub, one, margin), label=self._label(suffix))
            for one, suffix in ((x, ""), (minus, "_negative"))
        )
        return self._became(self._function(operator.sub, above, below), "two populations, of what is above and below")

    def _lower_rsub(self, x: fx.Node, call: Call) -> fx.Node | None:
        other, alpha = call.get("other", None), call.get("alpha", 1)
        return self._function(operator.sub, other, x if alpha == 1 else self._function(operator.mul, x, alpha))

    def _lower_larger(self, x: fx.Node, call: Call) -> fx.Node | None:
        other = call.get("other", None)
        if x in self.constants:
            x, other = other, x
        fits = isinstance(other, fx.Node) and self._shapes.get(other.name) == self._shapes.get(x.name)
        if not isinstance(x, fx.Node) or x in self.constants or not (fits or other in self.constants):
            return None
        if self._shape(x) != self._shape(self._node):
            return None
        return self._larger(x, other, smaller=call.get("smaller", False))

    def _larger(self, x: fx.Node, other: fx.Node, smaller: bool) -> fx.Node:
        sign = -1.0 if smaller else 1.0
        difference = self._function(operator.sub, *((x, other) if sign > 0 else (other, x)))
        rest = self._function(torch.relu, difference, label=self._label())
        made = self._function(operator.add if sign > 0 else operator.sub, other, rest)
        self._shapes[made.name] = self._shapes[x.name]
        return made
