"""What a model computes, as data: populations, and the linear terms between them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, fx, nn

from neurosleep.spiking import Projection

__all__ = [
    "MAXPOOLS",
    "MaxPool",
    "Plan",
    "PlannedPopulation",
    "Sum",
    "Term",
    "Value",
    "activations",
    "batch_norm",
    "folded",
    "renamed",
]

MaxPool = Literal["exact", "approximate"]


MAXPOOLS: tuple[str, ...] = get_args(MaxPool)


@dataclass(frozen=True, eq=False)
class Term:
    """One linear term of a population's input.

    ``factor`` is a number that the model multiplies by; ``parameter`` the place in the model of the weight (empty: one
    that the model computes of others; None: one of fixed numbers, no part of the model), ``fold`` what BatchNorm
    multiplies its output channels by (it is in ``weight`` already); ``turned`` whether the parameter is the weight's
    transpose; ``options`` what else the class of projections takes.
    """

    source: str
    kind: type[Projection]
    factor: float = 1.0
    weight: Tensor | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    parameter: str | None = None
    fold: Tensor | None = None
    turned: bool = False

    @property
    def module(self) -> str | None:
        """The layer whose weight this is; empty for one of the model itself."""
        return None if self.parameter is None else self.parameter.rpartition(".")[0]

    def projection(self, target: str, **more: Any) -> Projection:
        """The term as a projection to ``target``; ``more``: its scale and delay, or another weight."""
        weight = {} if self.weight is None else {"weight": self.weight}
        return self.kind(self.source, target, **{**weight, **self.options, **more})


@dataclass(frozen=True, eq=False)
class PlannedPopulation:
    """A population to be: ``lif`` where the model rectifies, ``relay`` or ``output`` elsewhere (place: ``node``).

    ``most`` is the largest value that the model lets it have.
    """

    name: str
    kind: Literal["lif", "relay", "output"]
    shape: tuple[int, ...]
    terms: tuple[Term, ...]
    bias: Tensor | None
    node: str
    most: float = math.inf

    def value(self, total: Tensor) -> Tensor:
        """What the population sends in the model, of its summed input."""
        return total.clamp(0, self.most) if self.kind == "lif" else total


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


class _Activations(fx.Interpreter):
    """Runs the traced module and keeps the tensors of some nodes."""

    def __init__(self, module: fx.GraphModule, names: set[str]) -> None:
        super().__init__(module)
        self._names = names
        self.found: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n.name in self._names:
            self.found[n.name] = value.clone()  # something later may work in place
        return value


def activations(plan: Plan, images: Tensor, size: int = 250) -> Iterator[dict[str, Tensor]]:
    """What the model computes at each population of ``plan``, ``[batch, n]`` by its name, part by part."""
    wanted = {p.name: p.node for p in plan.populations}
    for start in range(0, len(images), size):
        interpreter = _Activations(plan.module, set(wanted.values()))
        interpreter.run(images[start : start + size].clone())  # the model may write into what it is given
        yield {name: (value := interpreter.found[node]).reshape(len(value), -1) for name, node in wanted.items()}


def batch_norm(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """What a BatchNorm layer in evaluation multiplies each channel by, and what it then adds."""
    assert isinstance(layer, nn.modules.batchnorm._NormBase)
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


def renamed(populations: Iterable[PlannedPopulation], name: str, new: str) -> list[PlannedPopulation]:
    """``populations`` with ``new`` in the place of ``name``."""

    def terms(population: PlannedPopulation) -> tuple[Term, ...]:
        return tuple(replace(term, source=new) if term.source == name else term for term in population.terms)

    return [replace(p, name=new if p.name == name else p.name, terms=terms(p)) for p in populations]
