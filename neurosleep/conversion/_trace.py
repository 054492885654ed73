"""What a PyTorch module computes, as populations and linear terms between them: the plan of a conversion."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from neurosleep.conversion._memory import InPlaceTracer, Shapes
from neurosleep.conversion._model import check_model, evaluation_copy, number_type, unwrapped
from neurosleep.conversion._verify import check_plan, check_trace
from neurosleep.errors import ConversionError, NeurosleepError, unknown_name
from neurosleep.networks import MLP
from neurosleep.spiking import Projection
from neurosleep.spiking.geometry import output_shape

__all__ = [
    "MAXPOOLS",
    "MaxPool",
    "Plan",
    "PlannedPopulation",
    "Sum",
    "Term",
    "Tracer",
    "Value",
    "activations",
    "trace",
]

MaxPool = Literal["refuse", "approximate"]
MAXPOOLS: tuple[str, ...] = get_args(MaxPool)


@dataclass(frozen=True, eq=False)
class Term:
    """One linear term of a population's input.

    ``factor`` is a number that the model multiplies by; ``module`` the layer whose weight this is, ``fold`` what
    BatchNorm multiplies its output channels by (it is in ``weight`` already).
    """

    source: str
    kind: Literal["dense", "conv", "pool", "flatten", "identity"]
    factor: float = 1.0
    weight: Tensor | None = None
    options: tuple[tuple[str, Any], ...] = ()
    module: str | None = None
    fold: Tensor | None = None


@dataclass(frozen=True, eq=False)
class PlannedPopulation:
    """A population to be: ``lif`` where the model rectifies, ``relay`` or ``output`` elsewhere (place: ``node``)."""

    name: str
    kind: Literal["lif", "relay", "output"]
    shape: tuple[int, ...]
    terms: tuple[Term, ...]
    bias: Tensor | None
    node: str


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that a model computes, in order, and the traced module with what was put in the place of max-pools."""

    module: fx.GraphModule
    input_shape: tuple[int, ...]
    populations: tuple[PlannedPopulation, ...]
    output: str
    became: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def weighted(self) -> list[Term]:
        """The terms with a weight, in the order in which the spiking network lists its weights."""
        return [term for p in self.populations for term in p.terms if term.weight is not None]


@dataclass
class Value:
    """A tensor of the model: ``factor`` times what ``population`` sends."""

    population: str
    factor: float = 1.0


@dataclass
class Sum:
    """A tensor of the model that no population sends yet."""

    shape: tuple[int, ...]
    name: str
    terms: list[Term] = field(default_factory=list)
    bias: Tensor | None = None


# Operations by what they are called with: functions, and names of methods. In place or not, they compute the same.
_ADD = (operator.add, operator.iadd, torch.add, "add", "add_")
_SUBTRACT = (operator.sub, operator.isub, torch.sub, torch.subtract, "sub", "sub_")
_MULTIPLY = (operator.mul, operator.imul, torch.mul, torch.multiply, "mul", "mul_")
_DIVIDE = (operator.truediv, operator.itruediv, torch.div, torch.true_divide, torch.divide, "div", "div_")
_NEGATE = (operator.neg, torch.neg, torch.negative, "neg", "neg_")
_FLATTEN = (torch.flatten, torch.reshape, "flatten", "reshape", "view")
_RELU = (F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_")
_DROPOUT = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d)
_AVERAGE: tuple[Any, ...] = (F.avg_pool1d, F.avg_pool2d)
_ADAPTIVE: tuple[Any, ...] = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d)
# So many operations of a model, and different terms of one sum, are taken; more are no network that somebody trained.
_MAX_NODES, _MAX_TERMS = 20_000, 4096
_MAX_OPTIONS = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
_DROPOUT_MODULES = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.Identity)
_MAX_MODULES = (nn.MaxPool1d, nn.MaxPool2d)
# What to do about layers that people often have.
_HINTS: tuple[tuple[tuple[type[nn.Module], ...], str], ...] = (
    ((nn.Softmax, nn.LogSoftmax, nn.Softmax2d), "convert the model without it: the largest output stays the largest"),
    (
        (nn.Sigmoid, nn.Tanh, nn.GELU, nn.SiLU, nn.ELU, nn.LeakyReLU, nn.PReLU, nn.ReLU6, nn.Hardtanh),
        "spike rates stand for activities of 0 and above without a bound: train it with ReLU in its place",
    ),
    ((nn.ZeroPad1d, nn.ZeroPad2d, nn.ConstantPad1d, nn.ConstantPad2d), "zeros may be padded by the Conv layer itself"),
    (
        (nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d),
        "BatchNorm can be folded into the layer before",
    ),
)
_EXPECTED = (
    "Linear, Conv1d, Conv2d, ReLU, AvgPool, AdaptiveAvgPool, BatchNorm after Linear or Conv, Flatten, reshape, view, "
    "Dropout, Identity, sums of two branches, products with a number"
)


def _is_maximum(target: Any) -> bool:
    return getattr(target, "__name__", "") in ("max_pool1d", "max_pool2d")


class _Chain(nn.Module):
    """An :class:`~neurosleep.MLP` in evaluation, layer by layer: its own forward works on bare weights."""

    def __init__(self, network: MLP) -> None:
        super().__init__()
        self.layers, self._kept = network.layers, 1 - network.dropout

    def forward(self, x: Tensor) -> Tensor:
        for k, layer in enumerate(self.layers):
            x = layer(x if k == 0 else torch.relu(x) * self._kept)
        return x


class _Activations(fx.Interpreter):
    """Runs the traced module and keeps the tensors of some nodes."""

    def __init__(self, module: fx.GraphModule, names: set[str]) -> None:
        super().__init__(module)
        self._names = names
        self.found: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        found = super().run_node(n)
        if n.name in self._names:
            self.found[n.name] = found.clone()  # something later may work in place
        return found


def activations(plan: Plan, images: Tensor, size: int = 250) -> Iterator[dict[str, Tensor]]:
    """What the model computes at each population of ``plan``, ``[batch, n]`` by its name, part by part."""
    wanted = {p.name: p.node for p in plan.populations}
    for start in range(0, len(images), size):
        interpreter = _Activations(plan.module, set(wanted.values()))
        interpreter.run(images[start : start + size].clone())  # the model may write into what it is given
        yield {name: interpreter.found[node].flatten(1) for name, node in wanted.items()}


def _is_number(path: str) -> bool:
    """Whether a place in a model says nothing but numbers, as in a Sequential."""
    return path.replace(".", "").isdigit()


def _pair(value: Any, axes: int) -> tuple[int, ...]:
    return tuple(int(v) for v in value) if isinstance(value, tuple | list) else (int(value),) * axes


def _padding(layer: nn.Conv1d | nn.Conv2d) -> tuple[int, ...] | None:
    """Zeros on either side of each axis; None where the two sides differ."""
    if not isinstance(layer.padding, str):
        return tuple(layer.padding)
    if layer.padding == "valid":
        return (0,) * len(layer.kernel_size)
    both = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    return None if any(n % 2 for n in both) else tuple(n // 2 for n in both)


class Tracer:
    """Goes through a traced module and makes populations and terms of it."""

    def __init__(
        self,
        module: fx.GraphModule,
        memory: Shapes,
        maxpool: MaxPool,
        prefix: str = "",
        single: bool = False,
        chain: bool = False,
    ) -> None:
        self._module, self._memory, self._shapes, self._maxpool = module, memory, memory.shapes, maxpool
        # Of names in the model; whether that is a single layer, or one of our chains.
        self._prefix, self._single, self._chain = prefix, single, chain
        self._written: dict[fx.Node, fx.Node] = {}  # a tensor, and what wrote into it last
        self._modules = dict(module.named_modules())
        self._values: dict[fx.Node, Value | Sum] = {}
        self._names = {"input", "output"}
        self._numbered: Counter[str] = Counter()
        self.populations: list[PlannedPopulation] = []
        self.became: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self._shape_of: dict[str, tuple[int, ...]] = {}
        self.output = ""

    def _place(self, node: fx.Node) -> str:
        if node.op == "call_module":
            return f"Layer {str(node.target)!r} ({type(self._modules[str(node.target)]).__name__})"
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
        return f"The operation {name!r} at {node.name!r}"

    def _refuse(self, node: fx.Node, why: str, expected: str = _EXPECTED, hint: str | None = None) -> NeurosleepError:
        return ConversionError(f"{self._place(node)} {why}", expected=expected, hint=hint)

    def _label(self, node: fx.Node) -> str:
        """The place in the model of what ``node`` calls, or its own name if that is a function."""
        # Those of our chains are in the results of published experiments, and key the devices of analogue chips.
        return str(node.target) if node.op == "call_module" and not self._chain else node.name

    def _name(self, kind: Literal["lif", "relay", "output"], total: Sum) -> str:
        """That of the layer; layers that have a number only are counted, as the recipes of sleep do."""
        if kind == "output":
            return "output"
        if not _is_number(total.name):
            return self._unique(total.name)
        pools = any(term.kind == "pool" for term in total.terms)
        stem = "hidden" if kind == "lif" else "pool" if pools else "relay"
        self._numbered[stem] += 1
        return self._unique(f"{stem}{self._numbered[stem]}")

    def _unique(self, name: str) -> str:
        found, number = name, 2
        while found in self._names:
            found, number = f"{name}_{number}", number + 1
        self._names.add(found)
        return found

    def _add(self, kind: Literal["lif", "relay", "output"], total: Sum, node: fx.Node) -> Value:
        name = self._name(kind, total)
        self.populations.append(PlannedPopulation(name, kind, total.shape, tuple(total.terms), total.bias, node.name))
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
        name = label if _is_number(label) else f"{label}_grid"
        total = Sum(shape, name, [Term(found.population, "flatten", found.factor)])
        return self._add("relay", total, node)

    def _as_sum(self, node: Any, user: fx.Node) -> Sum:
        found = self._get(node, user)
        if isinstance(found, Value):
            shape = self._shapes[node.name][1:]
            kind: Literal["flatten", "identity"] = (
                "identity" if shape == self._shape_of[found.population] else "flatten"
            )
            return Sum(shape, self._label(user), [Term(found.population, kind, found.factor)])
        return found

    def run(self) -> None:
        for node in self._module.graph.nodes:
            if node.op == "placeholder":
                self._input(node)
            elif node.op == "output":
                self._finish(node)
            elif self._no_tensor(node):
                if self._memory.writes.get(node.name):
                    raise self._refuse(node, "writes into a tensor.")
                continue  # who uses it as a tensor is refused
            else:
                found = self._operation(node)
                others = self._overwritten(node)
                if isinstance(found, Sum) and (len(node.users) > 1 or others):
                    found = self._add("relay", found, node)
                for other in others:
                    self._values[other], self._written[other] = found, node
                self._values[node] = found

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
        return node.op == "get_attr" or node.name not in self._shapes

    def _input(self, node: fx.Node) -> None:
        if self._values:
            raise ConversionError(f"The model takes a second input, {node.name!r}.", expected="a model of one input")
        self._values[node] = Value("input")
        self._shape_of["input"] = self._shapes[node.name][1:]

    def _finish(self, node: fx.Node) -> None:
        result = node.args[0]
        if not isinstance(result, fx.Node):
            raise ConversionError("The model returns more than one tensor.", expected="one tensor [batch, ...]")
        found = self._get(result, node)
        spiking = {p.name for p in self.populations if p.kind == "lif"}
        if isinstance(found, Value) and found.population in spiking and found.factor == 1:
            self.output = self._as_output(found.population)
            return
        self._add("output", self._as_sum(result, node), self._written.get(result, result))
        self.output = "output"

    def _as_output(self, name: str) -> str:
        """The last population, which fires; one that was counted is named as what it is."""
        if name != f"hidden{self._numbered['hidden']}":
            return name
        self.populations = [
            replace(
                p,
                name="output" if p.name == name else p.name,
                terms=tuple(replace(term, source="output") if term.source == name else term for term in p.terms),
            )
            for p in self.populations
        ]
        told = f"spiking population {name!r}"
        self.became = [(layer, "spiking population 'output'" if what == told else what) for layer, what in self.became]
        return "output"

    def _operation(self, node: fx.Node) -> Value | Sum:
        if node.op == "call_module":
            return self._layer(node, self._modules[str(node.target)])
        target, x = node.target, node.args[0] if node.args else node.kwargs.get("input")
        if target in _RELU:
            return self._relu(node, x)
        if target in _ADD or target in _SUBTRACT:
            return self._sum(node)
        if target in _MULTIPLY or target in _DIVIDE:
            return self._product(node)
        if target in _NEGATE:
            return self._scaled(self._get(x, node), -1.0, node)
        if target in _DROPOUT:
            # torch.nn.functional drops while training, and takes that for the usual case.
            if node.args[2] if len(node.args) > 2 else node.kwargs.get("training", True):
                raise self._refuse(node, "drops at random, in evaluation too.", "nn.Dropout, or training=self.training")
            return self._get(x, node)
        if target in _FLATTEN:
            return self._reshape(node, x)
        if target == "contiguous":
            return self._get(x, node)
        names: tuple[str, ...] = (
            "kernel_size",
            "stride",
            "padding",
            "ceil_mode",
            "count_include_pad",
            "divisor_override",
        )
        if target in _AVERAGE:
            return self._average(node, x, dict(zip(names, node.args[1:], strict=False)) | dict(node.kwargs))
        if target in _ADAPTIVE:
            return self._adaptive(node, x)
        if _is_maximum(target):
            return self._maximum(node, x, dict(zip(_MAX_OPTIONS, node.args[1:], strict=False)) | dict(node.kwargs))
        raise self._refuse(node, "has no spiking counterpart.")

    def _layer(self, node: fx.Node, layer: nn.Module) -> Value | Sum:
        x = node.args[0]
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d) and type(layer).__module__.startswith("torch.nn"):
            return self._weighted(node, x, layer)
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            return self._batch_norm(node, x, layer)
        if type(layer) is nn.ReLU:
            return self._relu(node, x)
        if isinstance(layer, _DROPOUT_MODULES):
            self.became.append((str(node.target), "nothing: while a network is evaluated, it has no effect"))
            return self._get(x, node)
        if isinstance(layer, nn.Flatten | nn.Unflatten):
            return self._reshape(node, x)
        if isinstance(layer, nn.AvgPool1d | nn.AvgPool2d):
            keys = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
            return self._average(node, x, {key: getattr(layer, key) for key in keys if hasattr(layer, key)})
        if isinstance(layer, nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d):
            return self._adaptive(node, x)
        if isinstance(layer, _MAX_MODULES):
            return self._maximum(node, x, {key: getattr(layer, key) for key in _MAX_OPTIONS})
        hint = next((hint for kinds, hint in _HINTS if isinstance(layer, kinds)), None)
        raise self._refuse(node, "has no spiking counterpart.", hint=hint)

    def _weighted(self, node: fx.Node, x: Any, layer: nn.Linear | nn.Conv1d | nn.Conv2d) -> Sum:
        weight, shape = layer.weight.detach(), self._shapes[node.name][1:]
        options: tuple[tuple[str, Any], ...] = ()
        if isinstance(layer, nn.Linear):
            if len(shape) != 1:
                raise self._refuse(node, f"makes tensors of shape [batch, {', '.join(map(str, shape))}].", "[batch, n]")
            source, kind = self._value(x, node), "dense"
        else:
            padding = _padding(layer)
            if layer.padding_mode != "zeros" or padding is None:
                raise self._refuse(
                    node,
                    f"pads with {layer.padding_mode!r} and padding={layer.padding!r}.",
                    "padding_mode='zeros', and as much before as after",
                )
            source, kind = self._grid(x, node), "conv"
            options = (
                ("stride", tuple(layer.stride)),
                ("padding", padding),
                ("dilation", tuple(layer.dilation)),
                ("groups", layer.groups),
            )
        name = self._prefix.rstrip(".") if self._single else self._prefix + str(node.target)
        term = Term(source.population, kind, source.factor, weight, options, name)  # type: ignore[arg-type]
        self.became.append((str(node.target), f"projection of kind {kind}"))
        bias = None if layer.bias is None else self._spread(layer.bias.detach(), shape)
        return Sum(shape, self._label(node), [term], bias)

    @staticmethod
    def _spread(values: Tensor, shape: tuple[int, ...]) -> Tensor:
        """One value per channel to one per neuron, in C order."""
        return values.repeat_interleave(math.prod(shape[1:]))

    def _batch_norm(self, node: fx.Node, x: Any, layer: nn.BatchNorm1d | nn.BatchNorm2d) -> Sum:
        found = self._get(x, node)
        if not isinstance(found, Sum) or len(found.terms) != 1 or found.terms[0].module is None:
            raise self._refuse(
                node, "does not follow a Linear or Conv layer directly.", "BatchNorm after a layer that it folds into"
            )
        if layer.running_mean is None or layer.running_var is None:
            raise self._refuse(node, "keeps no running statistics.", "track_running_stats=True")
        (term,) = found.terms
        if term.fold is not None:
            raise self._refuse(node, "follows another BatchNorm.", "one BatchNorm after a layer")
        assert term.weight is not None
        fold, shift = batch_norm(layer)
        weight = folded(term.weight, fold)
        spread = self._spread(fold, found.shape)
        bias = self._spread(shift, found.shape)
        if found.bias is not None:
            bias = bias + found.bias * spread
        self.became.append((str(node.target), f"folded into {term.module}"))
        new = Term(term.source, term.kind, term.factor, weight, term.options, term.module, fold)
        return Sum(found.shape, found.name, [new], bias)

    def _relu(self, node: fx.Node, x: Any) -> Value:
        found = self._get(x, node)
        spiking = {p.name for p in self.populations if p.kind == "lif"}
        if isinstance(found, Value) and found.population in spiking and found.factor >= 0:
            return found
        value = self._add("lif", self._as_sum(x, node), node)
        what = str(node.target) if node.op == "call_module" else node.name
        self.became.append((what, f"spiking population {value.population!r}"))
        return value

    def _sum(self, node: fx.Node) -> Sum:
        arguments = [*node.args, *(node.kwargs[key] for key in ("input", "other") if key in node.kwargs)]
        alpha = node.kwargs.get("alpha", 1)
        if len(arguments) != 2 or isinstance(alpha, bool) or not isinstance(alpha, int | float):
            raise self._refuse(node, "is not the sum of two tensors.")
        first, second = (self._as_sum(a, node) for a in arguments)
        factor = float(-alpha if node.target in _SUBTRACT else alpha)
        if factor != 1:
            second = self._scaled_sum(second, factor, node)
        if first.shape != second.shape:
            raise self._refuse(node, f"adds tensors of shapes {first.shape} and {second.shape}.", "equal shapes")
        biases = [p.bias for p in (first, second) if p.bias is not None]
        bias = None if not biases else sum(biases[1:], biases[0])
        return Sum(first.shape, node.name, self._merged([*first.terms, *second.terms], node), bias)

    def _merged(self, terms: list[Term], node: fx.Node) -> list[Term]:
        """Equal terms as one, with the sum of their factors: what is added to itself n times has not 2^n terms."""
        found: dict[tuple[Any, ...], Term] = {}
        for term in terms:
            # Of one layer every call makes a tensor of its own of the same weight.
            weight = None if term.module is not None and term.fold is None else id(term.weight)
            key = (term.source, term.kind, term.options, term.module, weight)
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
        divides = node.target in _DIVIDE
        if isinstance(factor, fx.Node) and not divides:
            x, factor = factor, x
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not math.isfinite(factor) or factor == 0:
            raise self._refuse(node, "is not a product with a fixed number.")
        if node.kwargs.get("rounding_mode") is not None:
            raise self._refuse(node, "rounds.", "rounding_mode=None")
        return self._scaled(self._get(x, node), 1 / factor if divides else float(factor), node)

    def _reshape(self, node: fx.Node, x: Any) -> Value | Sum:
        before, after = self._shapes[x.name], self._shapes[node.name]
        if before[0] != after[0]:
            raise self._refuse(node, f"mixes images: {before} becomes {after}.", "a first axis, the batch, that stays")
        if node.op == "call_module":
            self.became.append((str(node.target), "nothing: neurons are numbered in the same order"))
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
        options = (
            ("mode", mode),
            ("kernel", _pair(kernel, axes)),
            ("stride", _pair(kernel if stride is None or stride == [] else stride, axes)),
            ("padding", _pair(padding, axes)),
        )
        term = Term(source.population, "pool", source.factor * factor, options=options)
        try:
            made = output_shape(
                Projection(source.population, "pool", "pool", options=options), self._shape_of[source.population]
            )
        except NeurosleepError as error:
            raise self._refuse(node, f"cannot be computed: {error}") from error
        if made != shape:
            raise self._refuse(node, f"rounds sizes up: {shape}.", f"ceil_mode=False, which makes {made}")
        self.became.append((str(node.target) if node.op == "call_module" else node.name, "projection of kind pool"))
        return Sum(shape, self._label(node), [term])

    def _average(self, node: fx.Node, x: Any, given: dict[str, Any]) -> Sum:
        axes = len(self._shapes[node.name]) - 2
        kernel, padding = _pair(given["kernel_size"], axes), _pair(given.get("padding", 0), axes)
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

    def _maximum(self, node: fx.Node, x: Any, given: dict[str, Any]) -> Sum:
        if self._maxpool == "refuse":
            raise self._refuse(
                node,
                "takes a maximum, which spikes of one step do not tell.",
                "average pooling",
                "train with AvgPool, or convert(..., maxpool='approximate') averages in its place",
            )
        axes = len(self._shapes[node.name]) - 2
        if any(d != 1 for d in _pair(given.get("dilation", 1), axes)):
            raise self._refuse(node, "has a dilation.", "dilation=1")
        found = self._pool(node, x, given["kernel_size"], given.get("stride"), given.get("padding", 0))
        what = str(node.target) if node.op == "call_module" else node.name
        self.became[-1] = (what, "projection of kind pool: the average in place of the maximum")
        self.notes.append(f"{what}: max-pooling became average pooling (maxpool='approximate'), which changes results")
        return found


def batch_norm(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """What a BatchNorm layer in evaluation multiplies each channel by, and what it then adds."""
    assert isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
    mean, var = layer.running_mean, layer.running_var
    assert mean is not None and var is not None
    fold = torch.rsqrt(var.detach() + layer.eps)
    if layer.affine:
        fold = fold * layer.weight.detach()
    shift = -mean.detach() * fold
    return fold, shift + layer.bias.detach() if layer.affine else shift


def folded(weight: Tensor, fold: Tensor) -> Tensor:
    """``weight`` with its output channels multiplied by ``fold``."""
    return weight * fold.reshape(-1, *(1,) * (weight.ndim - 1))


def _average_in_place(module: fx.GraphModule) -> None:
    """Max-pools of the traced copy become averages of the same geometry, so that activations are those converted."""
    for node in module.graph.nodes:
        if node.op == "call_module":
            layer = module.get_submodule(str(node.target))
            if isinstance(layer, nn.MaxPool1d | nn.MaxPool2d):
                kind: Any = nn.AvgPool1d if isinstance(layer, nn.MaxPool1d) else nn.AvgPool2d
                parent, _, name = str(node.target).rpartition(".")
                average = kind(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
                setattr(module.get_submodule(parent), name, average)
        elif node.op == "call_function" and _is_maximum(node.target):
            given = dict(zip(("input", *_MAX_OPTIONS), node.args, strict=False)) | dict(node.kwargs)
            node.target = F.avg_pool1d if "1d" in node.target.__name__ else F.avg_pool2d
            node.args = (given["input"], given["kernel_size"], given.get("stride"), given.get("padding", 0))
            node.kwargs = {}
    module.recompile()


def trace(model: nn.Module, example: Tensor, maxpool: MaxPool = "refuse", *, check: bool = True) -> Plan:
    """The plan of ``model``, which stays as it is; ``example`` is a batch of its inputs ``[n, ...]``.

    The plan computes in float32 or float64, whatever the model does. With ``check`` it is computed on a few images
    and random ones, and compared with the model.

    Raises
    ------
    ConversionError
        If the model cannot be traced, or computes what has no spiking counterpart: by name and place; or if the plan
        computes other numbers.
    """
    if maxpool not in MAXPOOLS:
        raise unknown_name("maxpool", str(maxpool), MAXPOOLS)
    # Tensors of inference mode do not tell what writes into them; to leave it turns gradients on.
    with torch.inference_mode(False), torch.no_grad():
        return _trace(model, example, maxpool, check)


def _trace(model: nn.Module, example: Tensor, maxpool: MaxPool, check: bool) -> Plan:
    inner, prefix = unwrapped(check_model(model))
    own = evaluation_copy(inner)
    # Two images: with one, other tensors may be views of each other.
    given, example = tuple(example.shape), torch.cat([example[:2], example[:1]])[:2].to(number_type(own))
    root: nn.Module = _Chain(own) if isinstance(own, MLP) else own
    single = InPlaceTracer().is_leaf_module(root, "")
    if single:  # torch.fx would look into a single layer of torch
        root = nn.Sequential(root)
    try:
        module = fx.GraphModule(root, InPlaceTracer().trace(root), type(inner).__name__)
    except Exception as error:  # whatever the model's own code raises when a proxy goes through it
        raise ConversionError(
            f"A network of type {type(model).__name__} cannot be traced: {error}",
            expected="a module that torch.fx.symbolic_trace follows: no control flow that depends on values",
        ) from error
    _check_graph(module)
    runner = Shapes(module)
    try:
        runner.run(example.clone())
    except NeurosleepError:
        raise
    except Exception as error:  # shapes that do not fit the model's own layers
        said = str(error).split("\n\nWhile executing")[0]  # torch.fx adds its own trace
        raise ConversionError(
            f"The model does not accept calibration images of shape {given}: {said}",
            expected="images [n, ...] of the shape that the model takes",
        ) from error
    tracer = Tracer(module, runner, maxpool, prefix, single, isinstance(own, MLP))
    tracer.run()
    if not any(term.weight is not None for p in tracer.populations for term in p.terms):
        raise ConversionError("The network has no layer with weights.", expected="at least one Linear or Conv layer")
    if check:
        check_trace(root, module, example)
    if maxpool == "approximate":
        _average_in_place(module)
    plan = Plan(
        module,
        tuple(example.shape[1:]),
        tuple(tracer.populations),
        tracer.output,
        tuple(tracer.became),
        tuple(tracer.notes),
    )
    if check:
        check_plan(plan, example)
    return plan


def _check_graph(module: fx.GraphModule) -> None:
    nodes = list(module.graph.nodes)
    if len(nodes) > _MAX_NODES:
        raise ConversionError(f"The model does {len(nodes)} operations.", expected=f"up to {_MAX_NODES}")
    inputs = [node for node in nodes if node.op == "placeholder"]
    if len(inputs) > 1 and not inputs[1].args:
        raise ConversionError(
            f"The model takes {len(inputs)} inputs: {', '.join(str(node.target) for node in inputs)}.",
            expected="a model of one input",
        )
