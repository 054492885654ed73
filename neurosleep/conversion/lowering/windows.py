"""What works on windows and axes: maxima, averages, means, sizes made larger and smaller, and padding."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from neurosleep.conversion._source import place_of
from neurosleep.conversion._windows import pair
from neurosleep.conversion.lowering.activities import Activities
from neurosleep.conversion.lowering.calls import Call, as_call, reduced_axes, spoken_of
from neurosleep.conversion.lowering.fixed import channelwise, fixed_conv, fixed_linear, moving
from neurosleep.conversion.lowering.maximum import Window, tournament
from neurosleep.conversion.lowering.rewriter import made_by

__all__ = ["Windows"]


class Windows(Activities):
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
        parts = self._stacked(x, call)
        if parts:
            return functools.reduce(lambda a, b: self._larger(a, b, call.get("smaller", False)), parts)
        before = self._shape(x)
        axes = reduced_axes(call, len(before))
        if not axes or self._average or call.get("smaller", False):
            return None
        one = (1,) * (len(before) - 1)
        if axes == set(range(1, len(before))) and len(before) in (2, 3):
            window = Window(before, (before[0], *one), before[1:], one, (0,) * len(one), one)
        else:  # one line for every value that stays
            order = [axis for axis in range(len(before)) if axis not in axes] + sorted(axes)
            index = torch.arange(math.prod(before)).reshape(before).permute(order).flatten()
            count = math.prod(before[axis] for axis in axes)
            lines = (len(index) // count, count)
            x = self._moved(x, index, lines)
            self._shapes[x.name] = (2, *lines)
            window = Window(lines, (lines[0], 1), (count,), (1,), (0,), (1,))
        made = self._pooled(x, window)
        return self._reshaped(made, self._shape(self._node))

    def _taken(self, node: fx.Node) -> fx.Node | None:
        """The values of a maximum along an axis, which torch gives together with their places."""
        several = node.args[0] if node.args else None
        takes = (node.target is operator.getitem and node.args[1] == 0) or (
            node.target is getattr and node.args[1] == "values"
        )
        if not takes or not isinstance(several, fx.Node) or several.name in self._shapes:
            return None
        if spoken_of(several.target) not in ("max", "min") or not several.args:
            return None
        given = dict(zip(("dim", "keepdim"), several.args[1:], strict=False)) | dict(several.kwargs)
        x = several.args[0]
        if not isinstance(x, fx.Node) or x.name not in self._shapes or x in self.constants or "dim" not in given:
            return None
        return self._lower_amax(x, Call("amax", x, given | {"smaller": spoken_of(several.target) == "min"}))

    def _stacked(self, x: fx.Node, call: Call) -> list[fx.Node]:
        """Tensors that are stacked along the very axis that is reduced."""
        if x.target is not torch.stack or call.get("keepdim", False):
            return []
        parts, axes = x.args[0], len(self._shapes[x.name])
        dim = call.get("dim", call.get("axis", None))
        dim = dim[0] if isinstance(dim, tuple | list) and len(dim) == 1 else dim
        along = x.kwargs.get("dim", x.args[1] if len(x.args) > 1 else 0)
        if not isinstance(dim, int) or not isinstance(along, int) or not isinstance(parts, tuple | list):
            return []
        alike = dim % axes == along % axes and not any(part in self.constants for part in parts)
        if not alike:
            return []
        self._spent.add(x)
        return list(parts)

    def _lower_mean(self, x: fx.Node, call: Call) -> fx.Node | None:
        before, after = self._shape(x), self._shape(self._node)
        axes = reduced_axes(call, len(before))
        parts = self._stacked(x, call)
        if parts:
            total = functools.reduce(lambda a, b: self._function(operator.add, a, b), parts)
            return total if call.name == "sum" else self._function(operator.mul, total, 1 / len(parts))
        if not axes:
            raise self._refused("reduces the batch too, and mixes images.", "axes behind the first, dim=(1, 2, 3) say")
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
