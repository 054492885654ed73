"""From the nodes of a traced module to populations and terms: one method an operation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from neurosleep.conversion._made import Made
from neurosleep.conversion._memory import Shapes
from neurosleep.conversion._model import scores_of
from neurosleep.conversion._obstacles import Obstacle, Unread, obstacle_at
from neurosleep.conversion._operations import (
    ADAPTIVE,
    ADD,
    AVERAGE,
    AVERAGE_OPTIONS,
    CAST,
    DIVIDE,
    DROPOUT,
    DROPOUT_MODULES,
    FLATTEN,
    MAX_MODULES,
    MAX_OPTIONS,
    MULTIPLY,
    NEGATE,
    NORMED,
    RELU,
    SAME,
    SUBTRACT,
    is_maximum,
)
from neurosleep.conversion._windows import padding_of, pair, spread
from neurosleep.conversion.lowering.calls import spoken_of, with_values
from neurosleep.conversion.lowering.fixed import FIXED, diagonal
from neurosleep.conversion.plan import MaxPool, Sum, Term, Value, batch_norm, folded, renamed
from neurosleep.errors import ConversionError, NeurosleepError
from neurosleep.spiking import Conv, Dense, Pool, Projection
from neurosleep.spiking.geometry import output_shape

__all__ = ["Tracer"]

# So many different terms of one sum are taken; more are no network that somebody trained.
_MAX_TERMS = 4096


class Tracer(Made):
    """Goes through a traced module and makes populations and terms of it."""

    def __init__(
        self,
        module: fx.GraphModule,
        memory: Shapes,
        maxpool: MaxPool,
        prefix: str = "",
        single: bool = False,
        chain: bool = False,
        constants: Mapping[str, Tensor] | None = None,
        obstacles: list[Obstacle] | None = None,
    ) -> None:
        super().__init__(module, memory.shapes, chain)
        self._module, self._memory, self._maxpool = module, memory, maxpool
        # Of names in the model; whether that is a single layer.
        self._prefix, self._single = prefix, single
        self._written: dict[fx.Node, fx.Node] = {}  # a tensor, and what wrote into it last
        self.became: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self._constants = constants or {}
        self._obstacles = obstacles
        self._unknown: set[fx.Node] = set()  # what is computed from something that stands in the way
        self._dtype = next((p.dtype for p in module.parameters()), torch.float32)
        self.output = ""

    def run(self) -> None:
        for node in self._module.graph.nodes:
            try:
                if "refused" in node.meta:
                    raise node.meta["refused"]
                self._step(node)
            except ConversionError as error:
                if self._obstacles is None:
                    raise
                self._go_round(node, error)

    def _go_round(self, node: fx.Node, error: ConversionError) -> None:
        """Note an obstacle, and go on as if it made something of its shape."""
        assert self._obstacles is not None
        obstacle = obstacle_at(node, self._modules, error)
        if obstacle not in self._obstacles and not any(source in self._unknown for source in node.all_input_nodes):
            self._obstacles.append(obstacle)
        if node.name in self._shapes and node.op not in ("placeholder", "output"):
            self._values[node] = self._stand_in(node)
        else:
            self._unknown.add(node)

    def _stand_in(self, node: fx.Node) -> Value:
        name = self._names.unique(node.name)
        self._shape_of[name] = self._shapes[node.name][1:]
        return Value(name)

    def _step(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            self._input(node)
        elif node.op == "output":
            self._finish(node)
        elif self._no_tensor(node):
            if self._memory.writes.get(node.name):
                raise self._refuse(node, "writes into a tensor.")
            several = node.name not in self._shapes and node.name not in self._memory.values
            if several and node.users and any(source in self._values for source in node.all_input_nodes):
                raise self._refuse(node, "makes several tensors, and has no spiking counterpart.")
            # Who uses a size or a constant as a tensor is refused.
        else:
            found = self._operation(node)
            others = self._overwritten(node)
            if isinstance(found, Sum) and (len(node.users) > 1 or others):
                found = self._add("relay", found, node)
            for other in others:
                self._values[other], self._written[other] = found, node
            self._values[node] = found
            if "became" in node.meta:
                self.became.append(node.meta["became"])

    def _overwritten(self, node: fx.Node) -> list[fx.Node]:
        """What is read after ``node`` though it shares the memory that ``node`` writes into: it holds the same then."""
        if self._memory.hidden_write(node):
            raise self._refuse(
                node, "writes into a parameter, a buffer or a tensor beside its result.", "what it computes as a result"
            )
        whole, part = self._memory.overwritten(node)
        if part:
            raise self._refuse(
                node,
                f"writes into a part of {part[0].name!r}, or into what is turned or cut, which is read again.",
                "operations that are not in place, or work on the whole tensor",
                "inplace=False; h = h + x in the place of h += x",
            )
        return [other for other in whole if other in self._values]

    def _no_tensor(self, node: fx.Node) -> bool:
        """Whether ``node`` is a size or a constant."""
        return node.op == "get_attr" or node.name not in self._shapes or node.name in self._constants

    def _input(self, node: fx.Node) -> None:
        if self._values:
            raise ConversionError(
                f"The model takes a second input, {node.name!r}.",
                expected="a model of one input",
                layer=node.name,
                operation="forward",
            )
        self._values[node] = Value("input")
        self._shape_of["input"] = self._shapes[node.name][1:]

    def _finish(self, node: fx.Node) -> None:
        result = scores_of(node.args[0])
        if not isinstance(result, fx.Node):
            several = f" of {len(result)}" if isinstance(result, tuple | list | dict) else ""
            raise ConversionError(
                "The model returns something other than one tensor.",
                found=type(result).__name__ + several,
                expected="one tensor [batch, ...], alone, as the only one of a tuple or a mapping, or as its 'logits'",
                hint="a module whose forward returns model(x)[0], or another of them, which is then converted",
                layer=type(self._module).__name__,
                operation="forward",
            )
        found = self._get(result, node)
        spiking = {p.name for p in self.populations if p.kind == "lif"}
        if isinstance(found, Value) and found.population in spiking and found.factor == 1:
            self.output = self._as_output(found.population)
            return
        self._add("output", self._as_sum(result, node), self._written.get(result, result))
        self.output = "output"

    def _as_output(self, name: str) -> str:
        """The last population, which fires; one that was counted is named as what it is."""
        if name != f"hidden{self._names.numbered['hidden']}":
            return name
        self.populations = renamed(self.populations, name, "output")
        told = f"spiking population {name!r}"
        self.became = [(layer, "spiking population 'output'" if what == told else what) for layer, what in self.became]
        return "output"

    def _operation(self, node: fx.Node) -> Value | Sum:
        if node.op == "call_module":
            return self._layer(node, self._modules[str(node.target)])
        target, x = node.target, node.args[0] if node.args else node.kwargs.get("input")
        if target in RELU:
            return self._relu(node, x)
        if target is F.hardtanh and node.args[1:2] == (0.0,):
            return self._relu(node, x, float(node.args[2]))  # type: ignore[arg-type]
        if target in ADD or target in SUBTRACT:
            return self._sum(node)
        if target in MULTIPLY or target in DIVIDE:
            return self._product(node)
        if target in NEGATE:
            return self._scaled(self._get(x, node), -1.0, node)
        if target in DROPOUT or spoken_of(target) == "stochastic_depth":  # the latter of torchvision
            # torch.nn.functional drops while training, and takes that for the usual case.
            place = 2 if target in DROPOUT else 3
            if node.args[place] if len(node.args) > place else node.kwargs.get("training", True):
                raise self._refuse(node, "drops at random, in evaluation too.", "nn.Dropout, or training=self.training")
            return self._get(x, node)
        if target in FLATTEN:
            return self._reshape(node, x)
        precise = self._memory.types.get(node.name) in (torch.float32, torch.float64)
        if target in SAME or (target in CAST and precise):
            return self._get(x, node)
        if target in AVERAGE:
            return self._average(node, x, self._options(node, AVERAGE_OPTIONS))
        if target in ADAPTIVE:
            return self._adaptive(node, x)
        if is_maximum(target):
            return self._maximum(node, x, self._options(node, MAX_OPTIONS))
        raise self._refuse(node, "has no spiking counterpart.")

    def _options(self, node: fx.Node, keys: tuple[str, ...]) -> dict[str, Any]:
        """The arguments after the first by their names; those that are sizes of a tensor as numbers."""
        given = dict(zip(keys, node.args[1:], strict=False)) | dict(node.kwargs)
        return {key: with_values(value, self._memory.values) for key, value in given.items()}

    def _layer(self, node: fx.Node, layer: nn.Module) -> Value | Sum:
        x = node.args[0]
        known = isinstance(layer, FIXED) or type(layer).__module__.startswith("torch.nn")
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d) and known:
            return self._weighted(node, x, layer)
        if isinstance(layer, NORMED if getattr(layer, "track_running_stats", False) else NORMED[:2]):
            return self._batch_norm(node, x, layer)
        if type(layer) is nn.ReLU:
            return self._relu(node, x)
        if type(layer) in (nn.ReLU6, nn.Hardtanh) and layer.min_val == 0:
            return self._relu(node, x, float(layer.max_val))  # type: ignore[arg-type]
        if isinstance(layer, DROPOUT_MODULES):
            self.became.append((self._told(node), "nothing: while a network is evaluated, it has no effect"))
            return self._get(x, node)
        if isinstance(layer, nn.Flatten | nn.Unflatten):
            return self._reshape(node, x)
        if isinstance(layer, nn.AvgPool1d | nn.AvgPool2d):
            return self._average(node, x, {key: getattr(layer, key) for key in AVERAGE_OPTIONS if hasattr(layer, key)})
        if isinstance(layer, nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d):
            return self._adaptive(node, x)
        if isinstance(layer, MAX_MODULES):
            return self._maximum(node, x, {key: getattr(layer, key) for key in MAX_OPTIONS})
        if isinstance(layer, Unread):
            if layer.error is None:
                return self._stand_in(node)
            raise ConversionError(layer.error.message, expected=layer.error.expected, hint=layer.error.hint)
        raise self._refuse(node, "has no spiking counterpart.")

    def _weighted(self, node: fx.Node, x: Any, layer: nn.Linear | nn.Conv1d | nn.Conv2d) -> Sum:
        weight, shape = layer.weight.detach(), self._shapes[node.name][1:]
        kind: type[Projection] = Dense
        options: dict[str, Any] = {}
        if isinstance(layer, nn.Linear):
            if len(shape) != 1:
                raise self._refuse(node, f"makes tensors of shape [batch, {', '.join(map(str, shape))}].", "[batch, n]")
            source = self._value(x, node)
        else:
            padding = padding_of(layer)
            if layer.padding_mode != "zeros" or padding is None:
                raise self._refuse(
                    node,
                    f"pads with {layer.padding_mode!r} and padding={layer.padding!r}.",
                    "padding_mode='zeros', and as much before as after",
                )
            source, kind = self._grid(x, node), Conv
            options = {"stride": layer.stride, "padding": padding, "dilation": layer.dilation, "groups": layer.groups}
        name: str | None = "weight" if self._single else f"{node.meta.get('layer', node.target)}.weight"
        name = node.meta.get("weight", name)
        if isinstance(layer, FIXED):
            name, options = None, options or {"plastic": False}
        else:
            self.became.append((self._told(node), f"projection of kind {kind.word}"))
        name = f"{self._prefix}{name}" if name else name
        turned = bool(node.meta.get("turned", False))
        term = Term(source.population, kind, source.factor, weight, options, name, turned=turned)
        bias = None if layer.bias is None else spread(layer.bias.detach(), shape)
        return Sum(shape, self._label(node), [term], bias)

    def _batch_norm(self, node: fx.Node, x: Any, layer: nn.Module) -> Sum:
        found = self._get(x, node)
        weight = found.terms[0].weight if isinstance(found, Sum) and len(found.terms) == 1 else None
        if getattr(layer, "running_mean", None) is None or getattr(layer, "running_var", None) is None:
            raise self._refuse(node, "keeps no running statistics.", "track_running_stats=True")
        fold, shift = batch_norm(layer)
        if (
            not isinstance(found, Sum)
            or weight is None
            or found.terms[0].parameter is None
            or found.terms[0].fold is not None
        ):
            source, shape = self._grid(x, node), self._shapes[node.name][1:]
            scales, options = diagonal(fold, len(shape) - 1)
            kind: type[Projection] = Conv if options else Dense
            extra = {**options, "stride": 1, "padding": 0, "dilation": 1} if options else {"plastic": False}
            self.became.append((self._told(node), f"projection of kind {kind.word}, a number per channel, and a bias"))
            scaled = Term(source.population, kind, source.factor, scales, extra)
            return Sum(shape, self._label(node), [scaled], spread(shift, shape))
        (term,) = found.terms
        factors = spread(fold, found.shape)
        bias = spread(shift, found.shape)
        if found.bias is not None:
            bias = bias + found.bias * factors
        self.became.append((self._told(node), f"folded into {term.module}"))
        return Sum(found.shape, found.name, [replace(term, weight=folded(weight, fold), fold=fold)], bias)

    def _relu(self, node: fx.Node, x: Any, most: float = math.inf) -> Value:
        found = self._get(x, node)
        spiking = {p.name: p.most for p in self.populations if p.kind == "lif"}
        largest = found.factor * spiking.get(found.population, math.inf) if isinstance(found, Value) else 0.0
        if isinstance(found, Value) and found.population in spiking and found.factor >= 0 and largest <= most:
            return found
        value = self._add("lif", self._as_sum(x, node), node, most)
        self.became.append((self._told(node), f"spiking population {value.population!r}"))
        return value

    def _sum(self, node: fx.Node) -> Sum:
        arguments = [*node.args, *(node.kwargs[key] for key in ("input", "other") if key in node.kwargs)]
        alpha = node.kwargs.get("alpha", 1)
        shifts = len(arguments) == 2 and any(self._fixed_value(a) is not None for a in arguments)
        if shifts and isinstance(alpha, int | float):
            return self._shifted(node, arguments, -alpha if node.target in SUBTRACT else alpha)
        if len(arguments) != 2 or isinstance(alpha, bool) or not isinstance(alpha, int | float):
            raise self._refuse(node, "is not the sum of two tensors.")
        first, second = (self._as_sum(a, node) for a in arguments)
        factor = float(-alpha if node.target in SUBTRACT else alpha)
        if factor != 1:
            second = self._scaled_sum(second, factor, node)
        places = [a for a in arguments if isinstance(a, fx.Node)]
        if first.shape != second.shape and self._shapes[places[0].name] == self._shapes[places[1].name]:
            first, second = (self._in_shape(a, node) for a in places)
            second = self._scaled_sum(second, factor, node)
        if first.shape != second.shape:
            raise self._refuse(node, f"adds tensors of shapes {first.shape} and {second.shape}.", "equal shapes")
        biases = [p.bias for p in (first, second) if p.bias is not None]
        bias = None if not biases else sum(biases[1:], biases[0])
        return Sum(first.shape, node.name, self._merged([*first.terms, *second.terms], node), bias)

    def _in_shape(self, argument: fx.Node, node: fx.Node) -> Sum:
        """The tensor of ``argument`` in its own shape, not in that of what was reshaped."""
        total = self._as_sum(argument, node)
        if total.shape != self._shapes[argument.name][1:]:
            self._value(argument, node)
        return self._as_sum(argument, node)

    def _fixed_value(self, argument: Any) -> Tensor | None:
        """A number or a tensor that no input changes."""
        argument = with_values(argument, self._memory.values)
        if isinstance(argument, int | float) and not isinstance(argument, bool):
            return torch.tensor(float(argument), dtype=torch.float64)
        return self._constants.get(argument.name) if isinstance(argument, fx.Node) else None

    def _shifted(self, node: fx.Node, arguments: list[Any], alpha: float) -> Sum:
        """A tensor and what is added to every one of its values, or from which it is taken away."""
        place = next((k for k, a in enumerate(arguments) if self._fixed_value(a) is None), None)
        if place is None:
            raise self._refuse(node, "is not the sum of two tensors.")
        found, shape = self._as_sum(arguments[place], node), self._shapes[node.name][1:]
        shift = self._fixed_value(arguments[1 - place])
        assert shift is not None
        # Flattened and reshaped values keep the shape of what made them: their places are the same.
        given = self._shapes[arguments[place].name][1:]
        if given != shape or shift.ndim > len(shape) + 1 or (shift.ndim == len(shape) + 1 and len(shift) != 1):
            raise self._refuse(node, f"adds tensors of shapes {given} and {tuple(shift.shape)}.", "equal shapes")
        sign = (1.0, float(alpha))
        if sign[place] != 1:
            found = self._scaled_sum(found, sign[place], node)
        bias = sign[1 - place] * shift.expand(1, *shape).flatten().to(self._dtype)
        return Sum(found.shape, found.name, found.terms, bias if found.bias is None else found.bias + bias)

    def _merged(self, terms: list[Term], node: fx.Node) -> list[Term]:
        """Equal terms as one, with the sum of their factors: what is added to itself n times has not 2^n terms."""
        found: dict[tuple[Any, ...], Term] = {}
        for term in terms:
            # Of one layer every call makes a tensor of its own of the same weight.
            weight = None if term.parameter and term.fold is None else id(term.weight)
            key = (term.source, term.kind, tuple(term.options.items()), term.parameter, weight)
            same = found.get(key)
            found[key] = term if same is None else self._with_factor(same, same.factor + term.factor, node)
        if len(found) > _MAX_TERMS:
            raise self._refuse(node, f"is a sum of {len(found)} different terms.", f"up to {_MAX_TERMS}")
        kept = [term for term in found.values() if term.factor != 0]
        return kept or list(found.values())[:1]

    def _with_factor(self, term: Term, factor: float, node: fx.Node) -> Term:
        if not math.isfinite(factor):
            raise self._refuse(node, "multiplies beyond the range of numbers.", "finite factors")
        return replace(term, factor=factor)

    def _scaled_sum(self, found: Sum, c: float, node: fx.Node) -> Sum:
        terms = [self._with_factor(term, term.factor * c, node) for term in found.terms]
        return Sum(found.shape, found.name, terms, None if found.bias is None else found.bias * c)

    def _scaled(self, found: Value | Sum, c: float, node: fx.Node) -> Value | Sum:
        """``found`` times ``c``."""
        if isinstance(found, Sum):
            return self._scaled_sum(found, c, node)
        if not math.isfinite(found.factor * c) or found.factor * c == 0:
            raise self._refuse(node, "multiplies beyond the range of numbers.", "finite factors that are not 0")
        return Value(found.population, found.factor * c)

    def _product(self, node: fx.Node) -> Value | Sum:
        arguments = [*node.args, *(node.kwargs[key] for key in ("input", "other") if key in node.kwargs)]
        x, factor = arguments if len(arguments) == 2 else (None, None)
        divides = node.target in DIVIDE
        if isinstance(factor, fx.Node) and not divides:
            x, factor = factor, x
        factor = with_values(factor, self._memory.values)
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not math.isfinite(factor):
            raise self._refuse(node, "is not a product with a fixed number.")
        if node.kwargs.get("rounding_mode") is not None:
            raise self._refuse(node, "rounds.", "rounding_mode=None")
        if factor == 0:
            if divides:
                raise self._refuse(node, "divides by 0.", "a number that is not 0")
            return self._scaled_sum(self._as_sum(x, node), 0.0, node)
        return self._scaled(self._get(x, node), 1 / factor if divides else float(factor), node)

    def _reshape(self, node: fx.Node, x: Any) -> Value | Sum:
        before, after = self._shapes[x.name], self._shapes[node.name]
        if before[0] != after[0]:
            raise self._refuse(node, f"mixes images: {before} becomes {after}.", "a first axis, the batch, that stays")
        if node.op == "call_module":
            self.became.append((self._told(node), "nothing: neurons are numbered in the same order"))
        return self._get(x, node)

    def _pool(
        self,
        node: fx.Node,
        x: Any,
        kernel: Any,
        stride: Any,
        padding: Any,
        factor: float = 1.0,
        mode: Literal["average", "sum"] = "average",
    ) -> Sum:
        source, shape = self._grid(x, node), self._shapes[node.name][1:]
        axes = len(shape) - 1
        options: dict[str, Any] = {
            "mode": mode,
            "kernel": pair(kernel, axes),
            "stride": pair(kernel if stride is None or stride == [] else stride, axes),
            "padding": pair(padding, axes),
        }
        term = Term(source.population, Pool, source.factor * factor, options=options)
        try:
            made = output_shape(Pool(source.population, "pool", **options), self._shape_of[source.population])
        except NeurosleepError as error:
            raise self._refuse(node, f"cannot be computed: {error}") from error
        if made != shape:
            raise self._refuse(node, f"rounds sizes up: {shape}.", f"ceil_mode=False, which makes {made}")
        self.became.append((self._told(node), "projection of kind pool"))
        return Sum(shape, self._label(node), [term])

    def _average(self, node: fx.Node, x: Any, given: dict[str, Any]) -> Sum:
        axes = len(self._shapes[node.name]) - 2
        kernel, padding = pair(given["kernel_size"], axes), pair(given.get("padding", 0), axes)
        if any(padding) and not given.get("count_include_pad", True):
            raise self._refuse(node, "does not count the zeros it pads.", "count_include_pad=True, or no padding")
        divisor = given.get("divisor_override")
        if divisor == 1:
            return self._pool(node, x, kernel, given.get("stride"), padding, mode="sum")
        return self._pool(
            node, x, kernel, given.get("stride"), padding, 1.0 if divisor is None else math.prod(kernel) / divisor
        )

    def _adaptive(self, node: fx.Node, x: Any) -> Value | Sum:
        before, after = self._shapes[x.name][2:], self._shapes[node.name][2:]
        if any(b % a for b, a in zip(before, after, strict=True)):
            raise self._refuse(node, f"makes {after} of {before}.", "sizes that divide those before")
        if before == after:
            return self._get(x, node)
        kernel = tuple(b // a for b, a in zip(before, after, strict=True))
        return self._pool(node, x, kernel, kernel, 0)

    def _maximum(self, node: fx.Node, x: Any, given: dict[str, Any]) -> Value | Sum:
        if self._maxpool == "exact":
            raise self._refuse(
                node,
                "takes a maximum that is not made of differences here.",
                "MaxPool1d, MaxPool2d without indices, or an adaptive one whose sizes divide those before",
                "convert(..., maxpool='approximate') averages in its place",
            )
        axes = len(self._shapes[node.name]) - 2
        if any(d != 1 for d in pair(given.get("dilation", 1), axes)):
            raise self._refuse(node, "has a dilation.", "dilation=1")
        found = self._pool(node, x, given["kernel_size"], given.get("stride"), given.get("padding", 0))
        what = self._told(node)
        self.became[-1] = (what, "projection of kind pool: the average in place of the maximum")
        self.notes.append(f"{what}: max-pooling became average pooling (maxpool='approximate'), which changes results")
        return found
