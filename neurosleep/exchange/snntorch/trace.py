"""How a module wires snnTorch neurons: one step of it, followed by torch.fx with the neurons as leaves."""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, fx, nn

from neurosleep.conversion._memory import Shapes
from neurosleep.conversion._tracer import Tracer
from neurosleep.conversion.plan import PlannedPopulation, Sum, Value
from neurosleep.errors import ExchangeError, NeurosleepError
from neurosleep.exchange.neuron_leaves import Leaves, NeuronLeaf, first_shape
from neurosleep.exchange.snntorch.loops import StepCounting, one_step

__all__ = ["CALLS", "LAYERS", "Wiring", "snntorch_wiring"]

#: What a neuron takes beside its input, and what it gives, by class.
CALLS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Leaky": (("mem",), ("spk", "mem")),
    "Lapicque": (("mem",), ("spk", "mem")),
    "Synaptic": (("syn", "mem"), ("spk", "syn", "mem")),
    "RLeaky": (("spk", "mem"), ("spk", "mem")),
    "RSynaptic": (("spk", "syn", "mem"), ("spk", "syn", "mem")),
}

_WITHOUT = {
    "Alpha": "has an exciting and an inhibiting current of other decays, of which its potential is the difference",
    **{name: "is gated: its states are products" for name in ("SLSTM", "SConv2dLSTM")},
    "LeakyParallel": "computes all steps at once, without a reset",
}

#: Layers that may stand between neurons.
LAYERS = (
    *("Linear", "Conv1d", "Conv2d", "AvgPool1d", "AvgPool2d", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d"),
    *("BatchNorm1d", "BatchNorm2d", "Flatten", "Dropout", "Dropout1d", "Dropout2d", "Identity"),
)

_EXPECTED = (
    f"the neurons {', '.join(CALLS)} of snntorch; between them {', '.join(LAYERS)}, flatten, reshape, sums and "
    "products with a number"
)
_HINT = (
    "pass nn.Sequential of the layers in order, or a module whose forward makes one step: forward(x, mem1, mem2, ...)"
)


class _Leaf(NeuronLeaf):
    """The same, with the states of snnTorch's neurons."""

    def rest(self) -> Any:
        """In the place of states that are 0: none are given."""
        count = len(CALLS.get(self.kind, (("mem",), ()))[0])
        return None if count == 1 else (None,) * count

    def __getattr__(self, name: str) -> Any:
        if name in ("reset_mem", f"init_{self.kind.lower()}"):
            return self.rest
        return super().__getattr__(name)


class _Steps(StepCounting, Leaves):
    """A tracer of a loop over the steps."""


class _Shapes(Shapes):
    """The same, where a neuron gives tensors of the shape that it is given."""

    def run_node(self, n: fx.Node) -> Any:
        if n.op == "call_module" and isinstance(self.module.get_submodule(str(n.target)), _Leaf):
            x = self.fetch_args_kwargs_from_env(n)[0][0]
            self.note(n, x.clone())
            several = any(user.target is operator.getitem for user in n.users)
            return tuple(x.clone() for _ in range(3)) if several else x.clone()
        return super().run_node(n)


@dataclass(frozen=True, eq=False)
class Wiring:
    """Populations and terms of a module.

    ``neurons`` holds the neuron of every population that has one, ``amounts`` what a line of ``forward`` takes off the
    potential of one that fired. A term whose source is a key of ``feedback`` starts at the population named there, so
    many steps ago.
    """

    input_shape: tuple[int, ...]
    populations: tuple[PlannedPopulation, ...]
    neurons: Mapping[str, nn.Module]
    places: Mapping[str, str]
    amounts: Mapping[str, Tensor]
    factors: Mapping[str, float]
    feedback: Mapping[str, tuple[str, int]]
    names: Mapping[str, str]


def snntorch_wiring(module: nn.Module, input_shape: tuple[int, ...] | None) -> Wiring:
    """The wiring of ``module``, which stays as it is.

    Raises
    ------
    ExchangeError
        If torch.fx cannot follow it, or it computes what has no counterpart: by name and place.
    """
    from snntorch import SpikingNeuron

    # Neurons may hold potentials that belong to a graph of gradients, which cannot be copied.
    leaves: dict[int, Any] = {
        id(m): _Leaf(m)
        for m in module.modules()
        if isinstance(m, SpikingNeuron) or type(m).__module__.startswith("snntorch.")
    }
    if not leaves:
        raise ExchangeError(f"A {type(module).__name__} without any neuron of snnTorch was given.", expected=_EXPECTED)
    if id(module) in leaves:
        module = nn.Sequential(module)
    copied = copy.deepcopy(module, leaves).eval()
    traced, known = _followed(module, copied)
    shape = input_shape or first_shape(module)
    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
    inputs = [n for n in traced.graph.nodes if n.op == "placeholder"]
    states = _rest(module, len(inputs) - 1, dtype)
    states = tuple(
        state if shape is None else torch.zeros(2, *shape, dtype=dtype) for state, shape in zip_longest(states, known)
    )
    runner = _Shapes(traced)
    try:
        with torch.no_grad():
            runner.run(torch.zeros(2, *shape, dtype=dtype), *states)
    except Exception as error:  # shapes that do not fit the module's own layers
        raise ExchangeError(
            f"The module does not accept inputs of shape {shape}, without the batch.",
            found=(str(error).splitlines() or [type(error).__name__])[0][:300],
            expected="input_shape=(...) that the module takes",
        ) from error
    tracer = _NeuronTracer(traced, runner)
    tracer.run()
    return tracer.wiring(shape, getattr(module, "populations", None))


def _followed(module: nn.Module, copied: nn.Module) -> tuple[fx.GraphModule, list[tuple[int, ...] | None]]:
    """One step of ``copied``, of its forward or of the loop within it, and the shapes of states that are known."""
    try:
        single = Leaves().trace(copied)
    except Exception:  # whatever the module's own code raises when a proxy goes through it
        single = None
    if single is not None:
        calls = _neurons(copied, single)
        twice = next((node for node in calls if sum(node.target == other.target for other in calls) > 1), None)
        if twice is not None and sum(map(_is_input, single.nodes)) > 1:
            raise ExchangeError(
                f"Layer {str(twice.target)!r} is called more than once, and forward is given states.",
                expected="one step in forward, or all steps from states that are 0",
                hint=_HINT,
            )
        given = {given for node in calls for given in (*node.args[1:], *node.kwargs.values())}
        if len({node.target for node in calls}) == len(calls) and all(_is_input(value) for value in given):
            return fx.GraphModule(copied, single), []
    try:
        graph = _Steps().trace(copied)
    except Exception as error:
        raise ExchangeError(
            f"A {type(module).__name__} cannot be followed through its forward.",
            found=(str(error).splitlines() or [type(error).__name__])[0][:300],
            expected="one step, or a loop over the steps of its input, without control flow that depends on values",
            hint=_HINT,
        ) from error
    leaves = {str(node.target): copied.get_submodule(str(node.target)) for node in _neurons(copied, graph)}
    kinds = {name: str(leaf.kind) for name, leaf in leaves.items()}
    places = {name: f"Layer {name!r} ({kind})" for name, kind in kinds.items()}
    return one_step(copied, graph, {name: CALLS[kind][1] for name, kind in kinds.items()}, places)


def _is_input(value: Any) -> bool:
    return isinstance(value, fx.Node) and value.op == "placeholder"


def _neurons(module: nn.Module, graph: fx.Graph) -> list[fx.Node]:
    """The calls of neurons, all of which have a counterpart."""
    calls = []
    for node in graph.nodes:
        leaf = module.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(leaf, _Leaf):
            calls.append(node)
            if leaf.kind not in CALLS or not type(leaf.held[0]).__module__.startswith("snntorch."):
                why = _WITHOUT.get(leaf.kind, "is a neuron that has no counterpart")
                raise ExchangeError(f"Layer {str(node.target)!r} ({leaf.kind}) {why}.", expected=_EXPECTED)
    return calls


def _rest(module: nn.Module, count: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Tensors of the shapes of the states; modules that neurosleep wrote say them."""
    rest = getattr(module, "rest", None)
    state = rest() if callable(rest) else ()
    if isinstance(state, tuple) and len(state) == count:
        return state
    return (torch.zeros(0, dtype=dtype),) * count


class _NeuronTracer(Tracer):
    def __init__(self, module: fx.GraphModule, memory: Shapes) -> None:
        super().__init__(module, memory, "exact")
        self._neuron: dict[str, fx.Node] = {}
        self._fires: dict[fx.Node, str] = {}
        self._factors: dict[str, float] = {}
        self._states: dict[fx.Node, tuple[fx.Node, str]] = {}  # what a neuron gives -> the neuron, and which it is
        self._given: dict[fx.Node, tuple[fx.Node, str]] = {}  # what it is given
        self._amounts: dict[fx.Node, Tensor] = {}
        self._within: set[fx.Node] = set()  # nodes of lines that reset
        self._feedback: dict[str, fx.Node] = {}
        self._back: dict[fx.Node, fx.Node] = {}
        self._placeholders = [n for n in module.graph.nodes if n.op == "placeholder"]
        self._result: Any = next(n for n in module.graph.nodes if n.op == "output").args[0]
        for node in module.graph.nodes:
            if self._leaf(node) is not None:
                self._study(node)

    # --- neurons and their states ---

    def _leaf(self, node: fx.Node) -> _Leaf | None:
        layer = self._modules[str(node.target)] if node.op == "call_module" else None
        return layer if isinstance(layer, _Leaf) else None

    def _study(self, node: fx.Node) -> None:
        leaf = self._leaf(node)
        assert leaf is not None
        if any(n is not node and n.target == node.target and n.op == "call_module" for n in self._module.graph.nodes):
            raise self._refuse(node, "is called more than once.", "one step in forward", _HINT)
        takes, gives = CALLS[leaf.kind]
        given = dict(zip(takes, node.args[1:], strict=False)) | {k: v for k, v in node.kwargs.items() if k in takes}
        for name, value in given.items():
            if value is None:
                continue
            if not isinstance(value, fx.Node) or value not in self._placeholders[1:] or value in self._given:
                raise self._refuse(
                    node,
                    f"is given {name!r}, which is no argument of forward of its own.",
                    "the state that it gave in the step before",
                    _HINT,
                )
            self._given[value] = (node, name)
        for user in node.users:
            if user.target is operator.getitem:
                place: Any = user.args[1]
                name = gives[place]
                if name != "spk":
                    self._states[user] = (node, name)
        for state, (neuron, name) in list(self._states.items()):
            if neuron is node:
                self._follow(state, node, name)

    def _follow(self, state: fx.Node, node: fx.Node, name: str) -> None:
        """Refuse a state that goes anywhere but to the result; find the line that takes an amount off it."""
        for user in state.users:
            if user.op == "output":
                continue
            amount = self._reset_line(user, state, node) if name == "mem" else None
            if amount is None:
                raise self._refuse(
                    node,
                    f"has its {name!r} read by {user.name!r}.",
                    "states that are only given back to the neuron, or returned",
                )
            if any(other.op == "output" for other in state.users):
                raise self._refuse(node, "has two potentials returned, before and after a reset.", "one of them")
            self._amounts[node] = amount
            self._states[user] = (node, name)

    def _reset_line(self, user: fx.Node, state: fx.Node, node: fx.Node) -> Tensor | None:
        """The amount in ``mem - spk * amount``."""
        if user.target not in (operator.sub, operator.isub) or user.args[0] is not state:
            return None
        product = user.args[1]
        if not isinstance(product, fx.Node) or product.target is not operator.mul or len(product.users) != 1:
            return None
        spk: Any = product.args[0]
        amount = product.args[1]
        if not isinstance(amount, fx.Node) or amount.op != "get_attr" or not isinstance(spk, fx.Node):
            return None
        if spk.op == "call_method" and spk.target in ("double", "float"):
            spk = spk.args[0]
        if spk.target is not operator.getitem or spk.args != (node, 0):
            return None
        self._within |= {user, product}
        return self._attribute(amount)

    def _attribute(self, node: fx.Node) -> Tensor:
        found: Any = self._module
        for part in str(node.target).split("."):
            found = getattr(found, part)
        return torch.as_tensor(found).detach()

    # --- what differs from a network without neurons ---

    def _place(self, node: fx.Node) -> str:
        leaf = self._leaf(node)
        return super()._place(node) if leaf is None else f"Layer {str(node.target)!r} ({leaf.kind})"

    def _refuse(self, node: fx.Node, why: str, expected: str = _EXPECTED, hint: str | None = None) -> NeurosleepError:
        return ExchangeError(f"{self._place(node)} {why}", expected=expected, hint=hint)

    def _no_tensor(self, node: fx.Node) -> bool:
        return super()._no_tensor(node) or node in self._states or node in self._within

    def _input(self, node: fx.Node) -> None:
        if node is self._placeholders[0]:
            super()._input(node)
            return
        others = [user for user in node.users if user.op != "output" and self._leaf(user) is None]
        if others:
            # The spikes of steps ago: what they are is known when the result is.
            name = f"@{node.name}"
            self._feedback[name] = node
            self._values[node] = Value(name)
            self._shape_of[name] = self._shapes[node.name][1:]

    def _operation(self, node: fx.Node) -> Value | Sum:
        x = node.args[0] if node.args else None
        if node.target is operator.getitem and x in self._fires:
            return self._get(x, node)
        if node.op == "call_method" and node.target in ("double", "float") and isinstance(self._get(x, node), Value):
            return self._get(x, node)
        return super()._operation(node)

    def _layer(self, node: fx.Node, layer: nn.Module) -> Value | Sum:
        if not isinstance(layer, _Leaf):
            return super()._layer(node, layer)
        total = self._as_sum(node.args[0], node)
        value = self._add("lif", Sum(total.shape, node.name, total.terms, total.bias), node)
        self._neuron[value.population] = node
        self._fires[node] = value.population
        factor = torch.as_tensor(getattr(layer.held[0], "graded_spikes_factor", 1.0)).detach().double()
        if (factor != factor.reshape(-1)[0]).any() or not torch.isfinite(factor).all() or (factor == 0).any():
            raise self._refuse(
                node, f"has the graded_spikes_factor {factor.tolist()}.", "one finite number that is not 0"
            )
        value.factor = self._factors[value.population] = float(factor.reshape(-1)[0])
        return value

    def _sum(self, node: fx.Node) -> Sum:
        constant = [a for a in node.args if isinstance(a, fx.Node) and a.op == "get_attr"]
        if len(constant) != 1 or len(node.args) != 2:
            return super()._sum(node)
        (other,) = [a for a in node.args if a is not constant[0]]
        part = self._as_sum(other, node)
        try:
            bias = self._attribute(constant[0]).expand(part.shape).reshape(-1)
        except RuntimeError as error:
            raise self._refuse(node, f"adds a constant that does not fit {part.shape}.", str(part.shape)) from error
        return Sum(part.shape, node.name, part.terms, bias if part.bias is None else bias + part.bias)

    def _batch_norm(self, node: fx.Node, x: Any, layer: nn.Module) -> Sum:
        found = self._get(x, node)
        first = found.terms[0] if isinstance(found, Sum) and len(found.terms) == 1 else None
        if first is None or first.weight is None or first.fold is not None:
            raise self._refuse(
                node, "does not follow a Linear or Conv layer directly.", "BatchNorm after a layer that it folds into"
            )
        return super()._batch_norm(node, x, layer)

    def _relu(self, node: fx.Node, x: Any, most: float = math.inf) -> Value:
        raise self._refuse(node, "rectifies, which a network of neurons does not.")

    def _maximum(self, node: fx.Node, x: Any, given: dict[str, Any]) -> Sum:
        raise self._refuse(node, "takes a maximum, which has no counterpart.", _EXPECTED, "train with AvgPool")

    # --- the result ---

    def _finish(self, node: fx.Node) -> None:
        for found in node.all_input_nodes:
            if found in self._values and isinstance(self._values[found], Sum):
                self._values[found] = self._add("relay", self._as_sum(found, node), found)
        self._back = back = self._pairs()
        for placeholder, (neuron, name) in self._given.items():
            given_back = back.get(placeholder)
            if given_back is None:
                continue
            fits = (neuron, name) == (
                self._states.get(given_back) if name != "spk" else (self._origin(given_back), "spk")
            )
            if not fits:
                raise self._refuse(neuron, f"is given {name!r} of another one in the next step.", "its own")

    def _pairs(self) -> dict[fx.Node, fx.Node]:
        """Which state of the next step is which of this one, where the result is (what is sent, states)."""
        result, states = self._result, self._placeholders[1:]
        if not (isinstance(result, tuple | list) and len(result) == 2 and isinstance(result[1], tuple | list)):
            return {}
        if len(result[1]) != len(states) or not all(isinstance(n, fx.Node) for n in result[1]):
            return {}
        return dict(zip(states, result[1], strict=True))

    def _origin(self, node: fx.Node) -> fx.Node | None:
        """The neuron whose spikes ``node`` is."""
        value = self._values.get(node)
        return self._neuron.get(value.population) if isinstance(value, Value) else None

    def _ago(self, placeholder: fx.Node) -> tuple[str, int]:
        """The population whose value ``placeholder`` is, and how many steps ago."""
        origin, steps = placeholder, 0
        while origin in self._placeholders[1:] and steps <= len(self._placeholders):
            origin, steps = self._back.get(origin, placeholder), steps + 1
            if origin is placeholder:
                break
        value = self._values.get(origin)
        if not isinstance(value, Value) or value.population.startswith("@"):
            raise ExchangeError(
                f"The module takes a second input, {placeholder.name!r}.",
                expected="one input, states of neurons, and spikes of the step before that forward gives back as "
                "(what is sent, states)",
                hint=_HINT,
            )
        return value.population, steps

    def wiring(self, input_shape: tuple[int, ...], names: Any) -> Wiring:
        """What was found; ``names`` are the module's own for what it sends, if it has any."""
        feedback = {key: self._ago(node) for key, node in self._feedback.items()}
        called: dict[str, str] = {}
        sent = self._result[0] if isinstance(self._result, tuple | list) and self._result else ()
        if isinstance(names, tuple) and isinstance(sent, tuple | list) and len(names) == len(sent):
            for name, node in zip(names, sent, strict=True):
                neuron = self._states.get(node, (node, ""))[0]
                value = self._values.get(neuron)
                if isinstance(value, Value) and isinstance(name, str) and not value.population.startswith("@"):
                    called.setdefault(value.population, name)
        if len(set(called.values())) < len(called):
            called = {}
        return Wiring(
            input_shape,
            tuple(self.populations),
            {name: self._leaf(node).held[0] for name, node in self._neuron.items()},  # type: ignore[union-attr]
            {name: self._place(node) for name, node in self._neuron.items()},
            {name: self._amounts[node] for name, node in self._neuron.items() if node in self._amounts},
            self._factors,
            feedback,
            called,
        )
