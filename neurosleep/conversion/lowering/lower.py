"""The rewriting of a traced module, operation by operation."""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from neurosleep.conversion._memory import Shapes
from neurosleep.conversion._source import line_of
from neurosleep.conversion.lowering.calls import Call, as_call, reduced_axes
from neurosleep.conversion.lowering.fixed import channelwise, diagonal, fixed_conv, fixed_linear, moving
from neurosleep.conversion.lowering.maximum import Window, tournament
from neurosleep.conversion.lowering.moves import places_of
from neurosleep.errors import ConversionError

__all__ = ["Lowering"]


def _per_axis(value: Any, axes: int) -> tuple[int, ...]:
    return tuple(int(v) for v in value) if isinstance(value, tuple | list) else (int(value),) * axes


class Lowering:
    """Rewrites a copy of ``module`` (:attr:`module`), of which ``memory`` knows the shapes.

    What has a counterpart is left as it is, and so is what has none: who goes through the module says so, and raises
    the error that is left in a node (``meta["refused"]``).
    """

    def __init__(self, module: fx.GraphModule, memory: Shapes, average: bool) -> None:
        own = [*module.parameters(), *module.buffers()]
        self.module: fx.GraphModule = copy.deepcopy(module, {id(tensor): tensor for tensor in own})
        self._graph, self._shapes, self._values = self.module.graph, dict(memory.shapes), memory.values
        self._modules, self._average, self._place = dict(self.module.named_modules()), average, 0
        self._positive: set[str] = set()
        self._padded: dict[str, tuple[list[int], str]] = {}
        self._node: fx.Node
        nodes = list(self._graph.nodes)
        self._order = {node: k for k, node in enumerate(nodes)}
        self._others = {node: memory.overwritten(node) for node in nodes if memory.writes.get(node.name)}
        self.constants = self._constants(nodes)
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
                if node.op not in ("output", "placeholder") and not node.users and node.name not in self._shapes:
                    self._graph.erase_node(node)
            self._graph.lint()
            self.module.recompile()
        return self.changed

    # What is there

    def _constants(self, nodes: list[fx.Node]) -> dict[fx.Node, Tensor]:
        """Tensors that no input changes."""
        constant: dict[fx.Node, Any] = {}
        for node in nodes:
            if node.op == "get_attr":
                constant[node] = operator.attrgetter(str(node.target))(self.module)
            elif (
                node.op in ("call_function", "call_method")
                and node.all_input_nodes
                and node not in self._others
                and all(source in constant for source in node.all_input_nodes)
            ):
                made = self._call(node, *fx.map_arg((node.args, node.kwargs), constant.__getitem__))
                constant[node] = made
        return {node: value for node, value in constant.items() if isinstance(value, Tensor)}

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
            raise self._refuse(
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
        name = str(node.target) if node.op == "call_module" else node.name
        if name.replace(".", "").isdigit():
            name = f"{as_call(node, self._modules).name}{name}"
        return name + suffix

    def _function(self, target: Callable[..., Any], *args: Any, label: str = "") -> fx.Node:
        node = self._graph.call_function(target, args)
        node.meta["label"] = label or self._label()
        return node

    def _layer(self, layer: nn.Module, x: fx.Node, label: str = "") -> fx.Node:
        name = f"_fixed{self._place}"
        self._place += 1
        example = next(iter(self.module.parameters()), None)
        self.module.add_submodule(name, layer if example is None else layer.to(example))
        node = self._graph.call_module(name, (x,))
        node.meta["label"] = label or self._label()
        return node

    def _reshaped(self, x: fx.Node, shape: tuple[int, ...]) -> fx.Node:
        node = self._function(torch.reshape, x, (-1, *shape))
        self._shapes[node.name] = (2, *shape)
        return node

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

    def _refuse(self, why: str, expected: str, hint: str | None = None) -> ConversionError:
        place = as_call(self._node, self._modules).place
        return ConversionError(f"{place} {why}", found=line_of(self._node), expected=expected, hint=hint)

    # Operation by operation

    def _lower(self, node: fx.Node) -> fx.Node | None:
        call = as_call(node, self._modules)
        if call.name == "move":
            return self._move(node)
        lowered: Callable[[fx.Node, Call], fx.Node | None] | None = getattr(self, f"_lower_{call.name}", None)
        x = call.x
        if lowered is None or not isinstance(x, fx.Node) or x.name not in self._shapes:
            return None
        if x in self.constants and call.name not in ("add", "multiply"):
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
                raise self._refuse(f"{error}.", "moves of whole channels, or of places within them") from error
            before = self._shape(source)
            if len(layers) == 1 and isinstance(layers[0][1], nn.Conv1d | nn.Conv2d):
                made = self._layer(
                    layers[0][1], source if layers[0][0] == before else self._reshaped(source, layers[0][0])
                )
                made_shape = self._made(layers[0], after)
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

    @staticmethod
    def _made(layer: tuple[tuple[int, ...], nn.Module], after: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that a layer makes."""
        with torch.no_grad():
            return tuple(layer[1](torch.zeros(1, *layer[0])).shape[1:])

    def _lower_maximum(self, x: fx.Node, call: Call) -> fx.Node | None:
        before, after = self._shape(x), self._shape(self._node)
        axes = len(before) - 1
        if self._average or axes not in (1, 2) or call.get("return_indices", False):
            return None
        if call.get("adaptive", False):
            if any(b % a for b, a in zip(before[1:], after[1:], strict=True)):
                return None
            kernel = stride = tuple(b // a for b, a in zip(before[1:], after[1:], strict=True))
            padding: tuple[int, ...] = (0,) * axes
        else:
            kernel = _per_axis(call.args["kernel_size"], axes)
            given = call.get("stride", None)
            stride = kernel if given is None or given == [] else _per_axis(given, axes)
            padding = _per_axis(call.get("padding", 0), axes)
        dilation = _per_axis(call.get("dilation", 1), axes)
        return self._pooled(x, Window(before, after, kernel, stride, padding, dilation))

    def _pooled(self, x: fx.Node, window: Window) -> fx.Node:
        if window.reaches_out and x.name not in self._positive:
            users = [as_call(user, self._modules).name for user in self._node.users]
            if not users or set(users) - {"relu", "relu6"}:
                raise self._refuse(
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
        if axes == {0}:
            size = before[0]
            if len(before) == 1:
                made = self._layer(fixed_linear(torch.full((1, size), share)), x)
            elif len(before) in (2, 3):
                made = self._layer(fixed_conv(torch.full((1, size, *(1,) * (len(before) - 1)), share)), x)
            else:
                return None
        elif 0 not in axes and len(before) in (2, 3):
            kernel = tuple(n if axis in axes else 1 for axis, n in enumerate(before) if axis)
            average = F.avg_pool1d if len(kernel) == 1 else F.avg_pool2d
            made = self._function(average, x, kernel)
            self._shapes[made.name] = (2, before[0], *(1 if a in axes else n for a, n in enumerate(before) if a))
            if call.name == "sum":
                made = self._function(operator.mul, made, float(count))
        else:
            return None
        if all(source.name in self._positive for source in (x,)):
            self._positive.add(self._node.name)
        return self._reshaped(made, after)

    _lower_sum = _lower_mean

    def _lower_leaky(self, x: fx.Node, call: Call) -> fx.Node | None:
        slope = call.get("negative_slope", 0.01)
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

    def _lower_larger(self, x: fx.Node, call: Call) -> fx.Node | None:
        other = call.get("other", None)
        if not isinstance(other, fx.Node) or self._shapes.get(other.name) != self._shapes[x.name]:
            return None
        sign = -1.0 if call.get("smaller", False) else 1.0
        difference = self._function(operator.sub, *((x, other) if sign > 0 else (other, x)))
        rest = self._function(torch.relu, difference, label=self._label())
        return self._function(operator.add if sign > 0 else operator.sub, other, rest)

    def _lower_multiply(self, x: fx.Node, call: Call) -> fx.Node | None:
        other, divides = call.get("other", None), call.get("divides", False)
        if x in self.constants and not divides and isinstance(other, fx.Node):
            x, other = other, x
        if not isinstance(other, fx.Node) or other not in self.constants or x in self.constants:
            return None
        if call.get("rounding_mode", None) is not None:
            return None
        factor = self.constants[other].detach()
        return self._scaled(x, 1 / factor if divides else factor)

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

    def _lower_average(self, x: fx.Node, call: Call) -> fx.Node | None:
        """Windows that differ at the edge: those that do not count the zeros they pad, or round sizes up."""
        if not (call.get("ceil_mode", False) or not call.get("count_include_pad", True)):
            return None
        if not call.get("ceil_mode", False) and not any(_per_axis(call.get("padding", 0), len(self._shape(x)) - 1)):
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

        basis = torch.eye(places).reshape(1, places, *before[1:])
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
            if len(layers) == 1 and self._made(layers[0], after) == after:
                return self._layer(layers[0][1], x)
        try:
            layers = channelwise(matrix, before[0])
        except ValueError as error:
            raise self._refuse(f"{error}.", "fewer places") from error
        if x.name in self._positive and bool((matrix >= 0).all()):
            self._positive.add(node.name)
        return self._became(self._through(x, layers, before, after), "fixed weights, the same for every channel")

    def _lower_convolution(self, x: fx.Node, call: Call) -> fx.Node | None:
        """A layer that pads more on one side, or with other values than zeros: these are made before it."""
        target = str(self._node.target)
        layer = self._modules[target]
        if target not in self._padded:
            if not isinstance(layer, nn.Conv1d | nn.Conv2d):
                return None
            pads = [int(n) for n in layer._reversed_padding_repeated_twice]
            if layer.padding_mode == "zeros" and pads[::2] == pads[1::2]:
                return None
            self._padded[target] = (
                pads,
                layer.padding_mode.replace("zeros", "constant").replace("reflection", "reflect"),
            )
            layer.padding, layer.padding_mode = (0,) * len(layer.kernel_size), "zeros"
        pads, mode = self._padded[target]
        before = self._shape(x)
        places = math.prod(before[1:])
        numbers = torch.arange(1.0, places + 1).reshape(1, 1, *before[1:])
        rows = F.pad(numbers, pads, mode=mode).flatten().long() - 1
        after = (before[0], *(n + a + b for n, a, b in zip(before[1:], pads[::-1][1::2], pads[::-1][::2], strict=True)))
        shifts = torch.arange(before[0])[:, None] * places
        layers = moving(before, after, torch.where(rows >= 0, rows + shifts, -1))
        single = len(layers) == 1 and self._made(layers[0], after) == after
        padded = (
            self._layer(layers[0][1], x, self._label("_padded")) if single else self._through(x, layers, before, after)
        )
        self._shapes[padded.name] = (2, *after)
        return self._graph.call_module(target, (padded,))
