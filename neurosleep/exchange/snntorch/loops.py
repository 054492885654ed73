"""The one step of a ``forward`` that goes over all steps itself, as snnTorch's tutorials write it.

torch.fx follows the loop, of three steps where its length is that of the input; what the second step computes, of the
input and of what the first one left, is the network. All later steps must compute the same.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from neurosleep.errors import ExchangeError

__all__ = ["StepCounting", "one_step"]

# Enough to see a step, what it leaves, and that the next one does the same.
_STEPS = 3
_JOINS = {torch.stack, torch.cat, torch.concat, torch.vstack, torch.hstack}
_ADDS = {operator.add, operator.iadd, torch.add}
_GATHERS = {"sum", "mean", "squeeze", "unsqueeze", "transpose", "permute", "float"}


class _Size(int):
    """A size of the input that is not known: as a number of steps it counts as few."""

    def __new__(cls, axis: int) -> _Size:
        size = super().__new__(cls, _STEPS)
        size.axis = axis
        return size

    axis: int


class _Sizes:
    """The shape of the input, whose number of axes is not known."""

    def __getitem__(self, axis: int) -> _Size:
        return _Size(axis)


class _Sequence(fx.Proxy):
    """The input while a loop is followed: its length is a number."""

    def __init__(self, node: fx.Node, tracer: fx.Tracer) -> None:
        super().__init__(node, tracer)
        self.sizes = _Sizes()

    def size(self, axis: int | None = None) -> _Size | _Sizes:
        return self.sizes if axis is None else _Size(axis)

    @property
    def shape(self) -> _Sizes:
        return self.sizes

    def __len__(self) -> int:
        return _STEPS

    def __iter__(self) -> Iterator[Any]:
        steps: Any = self
        return iter([steps[k] for k in range(_STEPS)])


class StepCounting(fx.Tracer):
    """A tracer to whom the first input is a sequence; mixed into one that knows its leaves."""

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """The input's tells its length."""
        first = node.op == "placeholder" and not any(n.op == "placeholder" for n in node.graph.nodes if n is not node)
        return _Sequence(node, self) if first else super().proxy(node)


def one_step(
    root: nn.Module, graph: fx.Graph, gives: Mapping[str, tuple[str, ...]], names: Mapping[str, str]
) -> tuple[fx.GraphModule, list[tuple[int, ...] | None]]:
    """The graph of one step, ``forward(x, states) -> (what is sent, states)``, and the shapes of states that are known.

    Parameters
    ----------
    root, graph:
        The module and its graph over all steps.
    gives:
        What the neurons give, by the names of their calls.
    names:
        What the neurons are called in messages.

    Raises
    ------
    ExchangeError
        If the steps differ, or what is outside of the loop is more than collecting results.
    """
    folding = _Folding(root, graph, gives, names)
    module = folding.module()
    return module, [folding.shapes.get(key) for key in folding.before]


class _Folding:
    def __init__(
        self, root: nn.Module, graph: fx.Graph, gives: Mapping[str, tuple[str, ...]], names: Mapping[str, str]
    ) -> None:
        self.root, self.graph, self.gives = root, graph, gives
        self.x = next(node for node in graph.nodes if node.op == "placeholder")
        self.calls: dict[fx.Node, int] = {}
        counts: dict[str, int] = {}
        for node in graph.nodes:
            if node.op == "call_module" and node.target in gives:
                self.calls[node] = counts.get(str(node.target), 0)
                counts[str(node.target)] = self.calls[node] + 1
        if len(set(counts.values())) > 1:
            raise self._refuse(f"calls its neurons {sorted(set(counts.values()))} times.", "each once in each step")
        self.steps = next(iter(counts.values()), 0)
        if self.steps < 2:
            raise ExchangeError(
                f"{', '.join(names.values())}: starts anew whenever forward is called.",
                expected="a state that is an argument of forward, or a loop over the steps within it",
            )
        self.at = 1
        self.new, self.made = fx.Graph(), dict[fx.Node, fx.Node]()
        self.alike: set[tuple[fx.Node, fx.Node]] = set()
        self.before: dict[tuple[str, int], fx.Node] = {}
        self.shapes: dict[tuple[str, int], tuple[int, ...]] = {}

    def _refuse(self, why: str, expected: str) -> ExchangeError:
        return ExchangeError(
            f"A {type(self.root).__name__} whose forward goes over the steps {why}",
            expected=expected,
            hint="in each step of the loop the same: layers and neurons, of x or x[step]",
        )

    def module(self) -> fx.GraphModule:
        """The module of one step."""
        sent = self._collected()
        for step in range(self.at + 1, self.steps):
            if [self._form(node, step) for node in self._of(sent, step)] != [
                self._form(node, self.at) for node in self._of(sent, self.at)
            ]:
                raise self._refuse("does not do the same in each.", "steps that are alike")
        mine = self._of(sent, self.at)
        if not mine:
            raise self._refuse("gives nothing that a step sends.", "spikes or potentials of each step, stacked")
        self.made[self.x] = self.new.placeholder("x")
        results = tuple(self._build(node) for node in mine)
        first = self._of(sent, 0)
        if len(first) != len(mine) or not all(map(self._starts_alike, first, mine)):
            raise self._refuse(
                "starts at states of its own, or changes them between steps.",
                "init_leaky(), reset_mem() or zeros before the loop",
            )
        states: list[fx.Node] = []
        while len(states) < len(self.before):  # a state may need another one
            states.append(self._after(*list(self.before)[len(states)]))
        self.new.output((results, tuple(states)))
        self._inputs_first()
        return fx.GraphModule(self.root, self.new)

    def _inputs_first(self) -> None:
        """All inputs before what reads them, in the order in which the states are given back."""
        last = next(iter(self.new.nodes))
        for node in self.before.values():
            last.append(node)
            last = node

    # What the graph over all steps is

    def _source(self, node: fx.Node) -> tuple[fx.Node, int] | None:
        """The call of a neuron that ``node`` is an output of, and which output."""
        if node in self.calls:
            return node, 0
        inner = node.args[0] if node.target is operator.getitem else None
        if isinstance(inner, fx.Node) and inner in self.calls and isinstance(node.args[1], int):
            return inner, node.args[1]
        return None

    def _step_of_input(self, node: fx.Node) -> int | None:
        """Which step of the input ``node`` is."""
        if node.target is not operator.getitem or node.args[0] is not self.x:
            return None
        index = node.args[1] if isinstance(node.args[1], tuple) else (node.args[1],)
        numbers = [part for part in index if isinstance(part, int)]
        plain = all(part in (slice(None), Ellipsis) for part in index if not isinstance(part, int))
        if len(numbers) != 1 or not plain:
            raise self._refuse("cuts its input in another way than by steps.", "x[step] or x[:, step]")
        return numbers[0] % _STEPS if numbers[0] < 0 else numbers[0]

    def _step(self, node: fx.Node) -> int | None:
        """The latest step that ``node`` needs something of."""
        found: list[int] = []
        open_nodes, seen = [node], set()
        while open_nodes:
            one = open_nodes.pop()
            source, own = self._source(one), self._step_of_input(one)
            if source is not None:
                found.append(self.calls[source[0]])
            elif own is not None:
                found.append(own)
            else:
                open_nodes += [n for n in one.all_input_nodes if n not in seen]
                seen.update(one.all_input_nodes)
        return max(found, default=None)

    def _collected(self) -> list[fx.Node]:
        """What the steps give to the result: found behind stacks and sums over steps."""
        output = next(node for node in self.graph.nodes if node.op == "output")
        found: dict[fx.Node, None] = {}
        open_nodes, seen = list(output.all_input_nodes), set[fx.Node]()
        while open_nodes:
            node = open_nodes.pop(0)
            if node in seen:
                continue
            seen.add(node)
            steps = {self._step(source) for source in node.all_input_nodes}
            collects = node.target in _JOINS or (node.op == "call_method" and node.target in _GATHERS)
            adds = node.target in _ADDS and (len(steps) > 1 or 0 in node.args)
            if self._source(node) is None and (collects or adds):
                open_nodes += node.all_input_nodes
            elif self._step(node) is not None:
                found[node] = None
        return list(found)

    def _of(self, nodes: list[fx.Node], step: int) -> list[fx.Node]:
        return [node for node in nodes if self._step(node) == step]

    def _form(self, node: fx.Node, step: int) -> Any:
        """What ``node`` computes, said relative to ``step``."""
        forms: dict[fx.Node, Any] = {self.x: "x"}

        def form(one: fx.Node) -> Any:
            own, source = self._step_of_input(one), self._source(one)
            if own is not None:
                return "x", own - step
            if source is not None and self.calls[source[0]] != step:
                return str(source[0].target), source[1], self.calls[source[0]] - step
            if one not in forms:
                said: Any = fx.map_arg((one.args, one.kwargs), lambda n: cast("Any", _Said(form(n))))
                forms[one] = (one.op, str(one.target), str(said))
            return forms[one]

        return form(node)

    def _starts_alike(self, first: Any, second: Any) -> bool:
        """Whether the first step computes what the second does, with zeros in the place of what is left of a step."""
        if not isinstance(second, fx.Node):
            return first is None or bool(first == second)
        source, own = self._source(second), self._step_of_input(second)
        if source is not None and self.calls[source[0]] == 0:
            return first is None or self._zero(first, (str(source[0].target), source[1]))
        if first is second or not isinstance(first, fx.Node):
            return first is second
        if own is not None:
            return self._step_of_input(first) == 0
        if (first, second) in self.alike:
            return True
        self.alike.add((first, second))
        keywords = {*first.kwargs, *second.kwargs}
        return (first.op, first.target) == (second.op, second.target) and all(
            self._starts_alike(a, b)
            for a, b in [
                *zip_longest(first.args, second.args),
                *((first.kwargs.get(key), second.kwargs.get(key)) for key in keywords),
            ]
        )

    def _zero(self, given: Any, key: tuple[str, int]) -> bool:
        """Whether a value is zeros, whose shape is that of what ``key`` names."""
        if not isinstance(given, fx.Node):
            return False
        if given.op == "get_attr":
            value: Any = operator.attrgetter(str(given.target))(self.root)
            if isinstance(value, Tensor) and value.ndim > 1:
                self.shapes[key] = tuple(value.shape[1:])
            return isinstance(value, Tensor) and not bool(value.any())
        return given.target in (torch.zeros, torch.zeros_like)

    # The graph of one step

    def _after(self, target: str, place: int) -> fx.Node:
        """The output ``place`` of a neuron in the step that is taken, though the loop may never read it."""
        call = next(n for n, step in self.calls.items() if n.target == target and step == self.at)
        output = next((user for user in call.users if self._source(user) == (call, place)), None)
        if output is not None:
            return self._build(output)
        made = self._build(call)
        return made if place == 0 else self.new.call_function(operator.getitem, (made, place))

    def _build(self, node: fx.Node) -> fx.Node:
        if node in self.made:
            return self.made[node]
        source, own = self._source(node), self._step_of_input(node)
        if own is not None:
            if own != self.at:
                raise self._refuse("reads another step of its input than its own.", "x[step]")
            return self.made[self.x]
        if source is not None and self.calls[source[0]] != self.at:
            return self._left(node, source)
        if node.op == "placeholder":
            raise self._refuse("takes more than one input.", "one input")
        args, kwargs = self._arguments(node)
        made = self.new.create_node(node.op, node.target, args, kwargs)
        self.made[node] = made
        return made

    def _left(self, node: fx.Node, source: tuple[fx.Node, int]) -> fx.Node:
        """What the step before has left."""
        call, place = source
        if self.calls[call] != self.at - 1:
            raise self._refuse(f"reads {node.name!r} of more than one step ago.", "what the step before has left")
        key = (str(call.target), place)
        if key not in self.before:
            name = self.gives[key[0]][place] if place < len(self.gives[key[0]]) else "state"
            self.before[key] = self.new.placeholder(f"{name}_{key[0].replace('.', '_')}")
        return self.before[key]

    def _arguments(self, node: fx.Node) -> tuple[Any, Any]:
        def sized(value: Any) -> Any:
            if isinstance(value, _Size):
                return self.new.call_method("size", (self.made[self.x], 0))
            if isinstance(value, tuple | list):
                return type(value)(sized(part) for part in value)
            return value

        args, kwargs = fx.map_arg((node.args, node.kwargs), self._build)
        return sized(tuple(args)), {key: sized(value) for key, value in dict(kwargs).items()}


class _Said:
    """A text in the place of a node."""

    def __init__(self, form: Any) -> None:
        self.form = form

    def __repr__(self) -> str:
        return repr(self.form)
