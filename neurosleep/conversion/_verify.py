"""Whether a plan computes what the model does: on images of it, and on random ones that reach other parts of it."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn

from neurosleep.conversion._model import scores_of
from neurosleep.conversion.plan import Plan
from neurosleep.errors import ConversionError
from neurosleep.spiking.geometry import propagate

__all__ = ["check_plan", "check_trace", "computed", "same_weights"]

# Relative to the largest value: rounding of float32 stays below; what differs by more is computed again in float64.
_CLOSE, _EXACT = 1e-4, 1e-6


def check_trace(model: nn.Module, module: fx.GraphModule, images: Tensor) -> None:
    """Refuse a model whose trace computes other numbers: randomness, or what torch.fx cannot see.

    Raises
    ------
    ConversionError
        If it does.
    """
    _compare(
        same_weights(model),
        module,
        images,
        "The model computes other numbers than torch.fx sees in it: it draws at random, keeps values from one call to "
        "the next, or changes tensors in a hidden way.",
    )


def same_weights(model: nn.Module) -> nn.Module:
    """A copy with the very weights of ``model``, which may keep values from one call to the next."""
    if isinstance(model, torch.jit.ScriptModule):
        return copy.deepcopy(model)
    weights = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): tensor for tensor in weights})


def check_plan(plan: Plan, module: fx.GraphModule, images: Tensor) -> None:
    """Refuse to convert where the populations and their terms come to other numbers than the traced model.

    Raises
    ------
    ConversionError
        If they do.
    """
    _compare(
        module,
        lambda x: computed(plan, x),
        images,
        "The spiking network would compute other numbers than the model.",
    )


def computed(plan: Plan, images: Tensor) -> Tensor:
    """What the plan's output comes to, ``[batch, n]``, with activities in the place of spike rates."""
    sent, shapes = {"input": images.flatten(1)}, {"input": plan.input_shape}
    for planned in plan.populations:
        total = images.new_zeros(len(images), torch.Size(planned.shape).numel())
        for term in planned.terms:
            weight = None if term.weight is None else term.weight.to(images.dtype)
            arriving = propagate(term.projection(planned.name), sent[term.source], shapes[term.source], weight)
            total += term.factor * arriving
        if planned.bias is not None:
            total += planned.bias.to(images.dtype)
        sent[planned.name], shapes[planned.name] = planned.value(total), planned.shape
    return sent[plan.output]


def _compare(model: nn.Module, other: fx.GraphModule | Callable[[Tensor], Tensor], images: Tensor, said: str) -> None:
    generator = torch.Generator().manual_seed(0)
    spread = float(images.abs().max()) or 1.0
    noise = spread * torch.randn(images.shape, generator=generator, dtype=images.dtype)
    probes = torch.cat([images, noise.to(images.device)])
    apart = _apart(model, other, probes)
    if apart > _CLOSE:
        apart = _apart(model, other, probes, double=True)
        if apart > _EXACT:
            raise ConversionError(
                said,
                found=f"a difference of {apart:.2g} of the largest value",
                expected="a model of which torch.fx sees all, and operations that are not in place",
                layer=type(model).__name__,
                operation="forward",
                hint="in forward: h = h + x in the place of h += x, inplace=False, self.training for Dropout",
            )


def _apart(
    model: nn.Module, other: fx.GraphModule | Callable[[Tensor], Tensor], probes: Tensor, double: bool = False
) -> float:
    """The largest difference, relative to the largest value that any step computes where that is rounded."""
    if double:
        probes = probes.double()
        model = copy.deepcopy(model).double()
        other = copy.deepcopy(other).double() if isinstance(other, nn.Module) else other
    expected = _run(model, probes).flatten(1)
    answers = (_run(other, probes) if isinstance(other, nn.Module) else other(probes)).flatten(1)
    if expected.shape != answers.shape:
        return float("inf")
    if not torch.isfinite(expected).all():
        return 0.0  # the scale of the layers says which one it is
    largest = float(expected.abs().max())
    difference = float((expected - answers).abs().max())
    return difference / largest if largest > 0 else difference


def _run(module: nn.Module, images: Tensor) -> Tensor:
    answers = (
        fx.Interpreter(module).run(images.clone()) if isinstance(module, fx.GraphModule) else module(images.clone())
    )
    answers = scores_of(answers)
    return answers if isinstance(answers, Tensor) else images.new_full((len(images), 1), torch.nan)
