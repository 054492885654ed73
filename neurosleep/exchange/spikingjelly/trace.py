"""How a network of SpikingJelly's modules is wired: one step of it, followed by torch.fx with the neurons as leaves."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from neurosleep.conversion._memory import Shapes
from neurosleep.conversion._operations import ADD
from neurosleep.conversion._tracer import Tracer
from neurosleep.conversion._windows import pair
from neurosleep.conversion.plan import Sum, Value
from neurosleep.errors import ExchangeError, NeurosleepError
from neurosleep.exchange.neuron_leaves import Leaves, NeuronLeaf, first_shape
from neurosleep.exchange.spikingjelly.modules import EXPECTED, NEURONS, check, is_theirs, plain_copy, step_mode

__all__ = ["NeuronTracer", "followed"]

_HINT = "pass the part of the network whose forward is of layers, neurons and sums, e.g. its nn.Sequential"


def followed(module: nn.Module, input_shape: tuple[int, ...] | None) -> NeuronTracer:
    """The tracer that has gone through one step of ``module``, which stays as it is.

    Raises
    ------
    ExchangeError
        If torch.fx cannot follow it, or it computes what has no counterpart: by name and place.
    """
    if not any(is_theirs(part) and type(part).__name__ in NEURONS for part in module.modules()):
        check(module, step_mode(module))
        raise ExchangeError(
            f"A {type(module).__name__} without any neuron of SpikingJelly was given.", expected=EXPECTED
        )
    mode = step_mode(module)
    check(module, mode)
    copied = plain_copy(module)
    try:
        graph = Leaves().trace(copied)
    except Exception as error:  # whatever the module's own code raises when a proxy goes through it
        raise ExchangeError(
            f"A {type(module).__name__} cannot be followed through its forward.",
            found=(str(error).splitlines() or [type(error).__name__])[0][:300],
            expected="one step, or all steps in step mode 'm', without control flow that depends on values",
            hint=_HINT,
        ) from error
    if mode == "m":
        _check_sums(module, graph)
    shape = input_shape or first_shape(module)
    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
    traced = fx.GraphModule(copied, graph)
    runner = Shapes(traced)
    try:
        with torch.no_grad():
            runner.run(torch.zeros(2, *shape, dtype=dtype))
    except Exception as error:  # shapes that do not fit the module's own layers
        raise ExchangeError(
            f"The module does not accept inputs of shape {shape}, without steps and batch.",
            found=(str(error).splitlines() or [type(error).__name__])[0][:300],
            expected="input_shape=(...) that the module takes",
        ) from error
    tracer = NeuronTracer(traced, runner, shape)
    tracer.run()
    return tracer


def _check_sums(module: nn.Module, graph: fx.Graph) -> None:
    """Refuse operations that would see the axis of the steps."""
    for node in graph.nodes:
        sum_of_two = node.op == "call_function" and node.target in ADD and len(node.all_input_nodes) == 2
        if node.op in ("call_function", "call_method") and not sum_of_two:
            raise ExchangeError(
                f"The operation {node.name!r} in the forward of {type(module).__name__} sees all steps at once.",
                expected="layers, neurons and sums of branches in step mode 'm', or a network in step mode 's'",
                hint=_HINT,
            )


class NeuronTracer(Tracer):
    """Makes populations and terms; ``neurons`` and ``maxima`` say what those of them are that fire."""

    def __init__(self, module: fx.GraphModule, memory: Shapes, input_shape: tuple[int, ...]) -> None:
        constants = {node.name: self._stored(module, node) for node in module.graph.nodes if node.op == "get_attr"}
        super().__init__(module, memory, "exact", constants=constants)
        self.input_shape = input_shape
        self.neurons: dict[str, nn.Module] = {}
        self.paths: dict[str, str] = {}
        self.maxima: set[str] = set()

    @staticmethod
    def _stored(module: fx.GraphModule, node: fx.Node) -> torch.Tensor:
        found: Any = module
        for part in str(node.target).split("."):
            found = getattr(found, part)
        return torch.as_tensor(found).detach()

    def _refuse(self, node: fx.Node, why: str, expected: str = EXPECTED, hint: str | None = None) -> NeurosleepError:
        return ExchangeError(f"{self._place(node)} {why}", expected=expected, hint=hint)

    def _layer(self, node: fx.Node, layer: nn.Module) -> Value | Sum:
        if not isinstance(layer, NeuronLeaf):
            return super()._layer(node, layer)
        held: Any = layer.held[0]
        if layer.kind == "VoltageScaler":
            return self._scaled(self._get(node.args[0], node), float(held.scale), node)
        path = str(node.target)
        if path in self.paths.values():
            raise self._refuse(node, "is called more than once.", "one step in forward, each neuron once", _HINT)
        value = self._add("lif", self._as_sum(node.args[0], node), node)
        self.neurons[value.population], self.paths[value.population] = held, path
        return value

    def _relu(self, node: fx.Node, x: Any, most: float = float("inf")) -> Value:
        raise self._refuse(node, "rectifies, which a network of neurons does not.")

    def _maximum(self, node: fx.Node, x: Any, given: dict[str, Any]) -> Value:
        """Of spikes: whether any unit of the window fires."""
        found, axes = self._get(x, node), len(self._shapes[node.name]) - 2
        fires = isinstance(found, Value) and found.population in {*self.neurons, *self.maxima} and found.factor == 1
        if not fires or any(d != 1 for d in pair(given.get("dilation", 1), axes)):
            raise self._refuse(
                node,
                "takes a maximum of other values than spikes, or with gaps.",
                "MaxPool right behind neurons, dilation=1",
                "train with AvgPool",
            )
        total = self._pool(node, x, given["kernel_size"], given.get("stride"), given.get("padding", 0), mode="sum")
        value = self._add("lif", total, node)
        self.maxima.add(value.population)
        return value

    def _finish(self, node: fx.Node) -> None:
        result = node.args[0]
        if not isinstance(result, fx.Node):
            raise ExchangeError(
                "The module returns something other than one tensor.",
                found=type(result).__name__,
                expected="what its last layer or its last neurons give",
                hint=_HINT,
            )
        found = self._get(result, node)
        if isinstance(found, Sum) or found.factor != 1:
            self._add("relay", self._as_sum(result, node), result)
