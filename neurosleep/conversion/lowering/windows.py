"""What works on windows and axes: maxima, averages, means, sizes made larger and smaller, and padding."""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from neurosleep.conversion._source import place_of
from neurosleep.conversion._windows import pair
from neurosleep.conversion.lowering.calls import Call, as_call, reduced_axes
from neurosleep.conversion.lowering.fixed import channelwise, fixed_conv, fixed_linear, moving
from neurosleep.conversion.lowering.maximum import Window, tournament
from neurosleep.conversion.lowering.rewriter import Rewriter, made_by

__all__ = ["Windows"]


class Windows(Rewriter):
    """What reads several places at once."""

    def _lower_maximum(self, x: fx.Node, call: Call) -> fx.Node | None:
        before, after = self._shape(x), self._shape(self._node)
        axes = len(before) - 1
        _, operation = place_of(self._node, self._modules)
        if self._average or f"{axes}d" not in operation or call.get("return_indices", False):
            return None  # one of two axes works on the batch of images without channels
        if call.get("adaptive", False):
            if any(b % a for b, a in zip(before[1:], after[1:], strict=True)):
                return None
            kernel = stride = tuple(b // a for b, a in zip(before[1:], after[1:], strict=True))
            padding: tuple[int, ...] = (0,) * axes
        else:
            kernel = pair(call.args["kernel_size"], axes)
            given = call.get("stride", None)
            stride = kernel if given is None or given == [] else pair(given, axes)
            padding = pair(call.get("padding", 0), axes)
        dilation = pair(call.get("dilation", 1), axes)
        return self._pooled(x, Window(before, after, kernel, stride, padding, dilation))

    def _pooled(self, x: fx.Node, window: Window) -> fx.Node:
        if window.reaches_out and x.name not in self._positive:
            users = [as_call(user, self._modules).name for user in self._node.users]
            if not users or set(users) - {"relu", "relu6"}:
                raise self._refused(
                    "takes the maximum of values that may be negative, and pads them.",
                    "ReLU before it, or no padding",
                    "the maximum of what is rectified is the rectified maximum: place ReLU before the pooling",
                )
            x = self._function(torch.relu, x, label=self._label("_rectified"))
        node, rounds = tournament(
            x,
            window,
            lambda layer, source: self._layer(layer, source),
            (
                lambda a, b: self._function(operator.add, a, b),
                lambda a, k: self._function(torch.relu, a, label=self._label(f"_round{k}")),
            ),
        )
        words = f"{rounds} population{'s' * (rounds != 1)} of differences, max(a, b) = b + relu(a - b)"
        return self._became(node, f"{words}: each lags one step behind" if rounds else words)

    def _lower_amax(self, x: fx.Node, call: Call) -> fx.Node | None:
        before = self._shape(x)
        axes = reduced_axes(call, len(before))
        if axes != set(range(1, len(before))) or len(before) not in (2, 3):
            return None
        one = (1,) * (len(before) - 1)
        window = Window(before, (before[0], *one), before[1:], one, (0,) * len(one), one)
        made = self._pooled(x, window)
        return self._reshaped(made, self._shape(self._node))

    def _lower_mean(self, x: fx.Node, call: Call) -> fx.Node | None:
        before, after = self._shape(x), self._shape(self._node)
        axes = reduced_axes(call, len(before))
        if not axes:
            return None
        count = math.prod(before[axis] for axis in axes)
        share = 1.0 if call.name == "sum" else 1.0 / count
        if axes == set(range(len(axes))):
            rows, places = math.prod(before[: len(axes)]), math.prod(before[len(axes) :])
            shares = torch.full((1, rows), share, dtype=self._dtype)
            if len(axes) == len(before):
                made = self._layer(fixed_linear(shares), x if len(before) == 1 else self._reshaped(x, (rows,)))
            elif len(axes) == 1 and len(before) == 3:
                made = self._layer(fixed_conv(shares[..., None, None]), x)
            else:
                x = x if before == (rows, places) else self._reshaped(x, (rows, places))
                made = self._layer(fixed_conv(shares[..., None]), x)
        elif 0 not in axes and len(before) in (2, 3):
            kernel = tuple(n if axis in axes else 1 for axis, n in enumerate(before) if axis)
            average = F.avg_pool1d if len(kernel) == 1 else F.avg_pool2d
            made = self._function(average, x, kernel)
            self._shapes[made.name] = (2, before[0], *(1 if a in axes else n for a, n in enumerate(before) if a))
            if call.name == "sum":
                made = self._function(operator.mul, made, float(count))
        else:
            return None
        if x.name in self._positive:
            self._positive.add(self._node.name)
        return self._reshaped(made, after)

    _lower_sum = _lower_mean

    def _lower_average(self, x: fx.Node, call: Call) -> fx.Node | None:
        """Windows that differ at the edge: those that do not count the zeros they pad, or round sizes up."""
        if not (call.get("ceil_mode", False) or not call.get("count_include_pad", True)):
            return None
        if not call.get("ceil_mode", False) and not any(pair(call.get("padding", 0), len(self._shape(x)) - 1)):
            return None
        return self._by_channel(x)

    def _lower_adaptive(self, x: fx.Node, call: Call) -> fx.Node | None:
        before, after = self._shape(x)[1:], self._shape(self._node)[1:]
        return self._by_channel(x) if any(b % a for b, a in zip(before, after, strict=True)) else None

    def _lower_resize(self, x: fx.Node, call: Call) -> fx.Node | None:
        return self._by_channel(x)

    def _by_channel(self, x: fx.Node) -> fx.Node | None:
        """What is linear and the same in every channel, from what it does to each place by itself."""
        node, before, after = self._node, self._shape(x), self._shape(self._node)
        if len(before) not in (2, 3) or before[0] != after[0]:
            return None
        places = math.prod(before[1:])

        def given(source: fx.Node) -> Any:
            return basis if source is x else self._values.get(source.name)

        basis = torch.eye(places, dtype=self._dtype).reshape(1, places, *before[1:])
        made = self._call(node, *fx.map_arg((node.args, node.kwargs), given))
        if not isinstance(made, Tensor) or tuple(made.shape) != (1, places, *after[1:]):
            return None
        matrix = made.reshape(places, -1).T.contiguous()
        alone = (matrix != 0).sum(1) <= 1
        if bool(alone.all()) and bool(((matrix == 0) | (matrix == 1)).all()):
            rows = torch.where(matrix.any(1), matrix.argmax(1), -1)
            shifts = torch.arange(before[0])[:, None] * places
            index = torch.where(rows >= 0, rows + shifts, -1)
            layers = moving(before, after, index)
            if len(layers) == 1 and made_by(layers[0]) == after:
                return self._layer(layers[0][1], x)
        try:
            layers = channelwise(matrix, before[0])
        except ValueError as error:
            raise self._refused(f"{error}.", "fewer places") from error
        if x.name in self._positive and bool((matrix >= 0).all()):
            self._positive.add(node.name)
        return self._became(self._through(x, layers, before, after), "fixed weights, the same for every channel")
