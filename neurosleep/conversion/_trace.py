"""The plan of a conversion: a PyTorch module is traced, gone through, and the plan compared with it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from neurosleep.conversion._exported import exported
from neurosleep.conversion._followed import UnfollowedError, accepts, followed
from neurosleep.conversion._memory import InPlaceTracer, Shapes
from neurosleep.conversion._model import check_model, evaluation_copy, number_type, unwrapped
from neurosleep.conversion._obstacles import Obstacle
from neurosleep.conversion._operations import MAX_OPTIONS, is_maximum
from neurosleep.conversion._tracer import Tracer
from neurosleep.conversion._verify import check_plan, check_trace
from neurosleep.conversion.lowering import Lowering, without_soft_max
from neurosleep.conversion.plan import MAXPOOLS, MaxPool, Plan, PlannedPopulation
from neurosleep.errors import ConversionError, NeurosleepError, unknown_name
from neurosleep.networks import MLP

__all__ = ["matching", "trace"]


# So many operations of a model are taken; more are no network that somebody trained.
_MAX_NODES = 20_000


class _Chain(nn.Module):
    """An :class:`~neurosleep.MLP` in evaluation, layer by layer: its own forward works on bare weights."""

    def __init__(self, network: MLP) -> None:
        super().__init__()
        self.layers, self._kept = network.layers, 1 - network.dropout

    def forward(self, x: Tensor) -> Tensor:
        for k, layer in enumerate(self.layers):
            x = layer(x if k == 0 else torch.relu(x) * self._kept)
        return x


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
        elif node.op == "call_function" and is_maximum(node.target):
            given = dict(zip(("input", *MAX_OPTIONS), node.args, strict=False)) | dict(node.kwargs)
            node.target = F.avg_pool1d if "1d" in node.target.__name__ else F.avg_pool2d
            node.args = (given["input"], given["kernel_size"], given.get("stride"), given.get("padding", 0))
            node.kwargs = {}
    module.recompile()


def trace(
    model: nn.Module,
    example: Tensor,
    maxpool: MaxPool = "exact",
    *,
    check: bool = True,
    obstacles: list[Obstacle] | None = None,
) -> Plan:
    """The plan of ``model``, which stays as it is; ``example`` is a batch of its inputs ``[n, ...]``.

    The plan computes in float32 or float64, whatever the model does. With ``check`` it is computed on a few images
    and random ones, and compared with the model. With a list of ``obstacles``, layers without a counterpart end up
    there, and the plan is that of the others, not to be computed.

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
        return _trace(model, example, maxpool, check, obstacles)


def matching(model: nn.Module, example: Tensor, shapes: Sequence[tuple[int, ...]]) -> Plan:
    """The plan of ``model`` whose weights have ``shapes``: its max-pools may have become averages, or not."""
    plan = trace(model, example, check=False)
    if [tuple(term.weight.shape) for term in plan.weighted() if term.weight is not None] != list(shapes):
        return trace(model, example, "approximate", check=False)
    return plan


def _trace(model: nn.Module, example: Tensor, maxpool: MaxPool, check: bool, obstacles: list[Obstacle] | None) -> Plan:
    inner, prefix = unwrapped(check_model(model))
    own = evaluation_copy(inner)
    # Two images: with one, other tensors may be views of each other.
    given, example = tuple(example.shape), torch.cat([example[:2], example[:1]])[:2].to(number_type(own))
    root: nn.Module = _Chain(own) if isinstance(own, MLP) else own
    single = InPlaceTracer().is_leaf_module(root, "")
    if single:  # torch.fx would look into a single layer of torch
        root = nn.Sequential(root)
    options = _Options(maxpool, check, prefix, single, isinstance(own, MLP), obstacles)
    try:
        return _planned(root, followed(root, type(inner).__name__), example, options)
    except UnfollowedError as error:
        accepts(root, example, given)
        if obstacles:
            obstacles.clear()
        try:
            return _planned(root, exported(root, example, type(inner).__name__), example, options)
        except ConversionError:
            raise
        except Exception:  # torch raises errors of many kinds for what it cannot follow
            raise error.reason from error.__cause__


@dataclass(frozen=True)
class _Options:
    """How a graph is gone through: names start with ``prefix``; whether it is a ``single`` layer, or one of ours."""

    maxpool: MaxPool
    check: bool
    prefix: str
    single: bool
    chain: bool
    obstacles: list[Obstacle] | None


def _planned(root: nn.Module, module: fx.GraphModule, example: Tensor, options: _Options) -> Plan:
    _check_graph(module)
    runner, maxpool, obstacles = Shapes(module), options.maxpool, options.obstacles
    try:
        runner.run(example.clone())
    except NeurosleepError:
        raise
    except Exception as error:  # shapes that do not fit the model's own layers, or that torch.fx sees as others
        raise UnfollowedError(ConversionError(str(error), layer=type(root).__name__)) from error
    traced = fx.GraphModule(module, copy.deepcopy(module.graph))
    dropped, notes = without_soft_max(module, runner.shapes)
    lowering, lowered = Lowering(module, runner, maxpool == "approximate"), module
    changed = lowering.run()
    constants = {node.name: value for node, value in lowering.constants.items()}
    if changed:
        lowered, runner = lowering.module, Shapes(lowering.module)
        runner.run(example.clone())
    tracer = Tracer(lowered, runner, maxpool, options.prefix, options.single, options.chain, constants, obstacles)
    tracer.run()
    populations = _reaching(tracer.populations, tracer.output)
    check = options.check and not obstacles
    if not obstacles and not any(term.parameter is not None for p in populations for term in p.terms):
        raise ConversionError(
            "The network has no layer with weights.",
            expected="at least one Linear or Conv layer",
            layer=type(module).__name__,
            operation="forward",
        )
    if check:
        try:
            check_trace(root, traced, example)
        except ConversionError as error:
            raise UnfollowedError(error) from error
        except Exception as error:  # a shape that is that of the example only
            raise UnfollowedError(ConversionError(str(error), layer=type(root).__name__)) from error
    if maxpool == "approximate":
        _average_in_place(lowered)
    plan = Plan(
        lowered,
        tuple(example.shape[1:]),
        populations,
        tracer.output,
        (*tracer.became, *((name, "nothing: the largest output stays the largest") for name in dropped)),
        (*tracer.notes, *notes),
    )
    if check:
        check_plan(plan, module, example)
    return plan


def _reaching(populations: Sequence[PlannedPopulation], output: str) -> tuple[PlannedPopulation, ...]:
    """Those that the output depends on: a branch that the model drops, or takes 0 times, would be another output."""
    needed = {output}
    for population in reversed(populations):
        if population.name in needed:
            needed.update(term.source for term in population.terms)
    return tuple(population for population in populations if population.name in needed)


def _check_graph(module: fx.GraphModule) -> None:
    nodes, place = list(module.graph.nodes), {"layer": type(module).__name__, "operation": "forward"}
    if len(nodes) > _MAX_NODES:
        raise ConversionError(f"The model does {len(nodes)} operations.", expected=f"up to {_MAX_NODES}", **place)
    inputs = [node for node in nodes if node.op == "placeholder"]
    for node in [one for one in inputs if str(one.target).startswith("*") and not one.users]:
        module.graph.erase_node(node)  # *args, **kwargs
        inputs.remove(node)
        module.recompile()
    if len(inputs) > 1 and not inputs[1].args:
        raise ConversionError(
            f"The model takes {len(inputs)} inputs: {', '.join(str(node.target) for node in inputs)}.",
            expected="a model of one input",
            **place,
        )
