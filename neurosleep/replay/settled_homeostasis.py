"""The homeostatic rule in equilibrium networks: a unit's drive is what arrives from below and above at the fixed point.

The weights between two layers serve both directions, so that a row scaled for the unit above is a column scaled for
what it sends back. Layers change bottom up, the fixed point found anew after each, again and again and half the way
each time: all the way, what they do to each other grows in networks that feed back strongly. Where even that brings
the drives no nearer to their targets, it is undone, and smaller steps are taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurosleep._progress import tell_progress
from neurosleep.errors import UnsupportedError
from neurosleep.functional import (
    DriveMoments,
    Homeostasis,
    HomeostaticChange,
    SetPoint,
    Shift,
    has_mean,
    homeostatic_rows,
)
from neurosleep.networks import EquilibriumMLP
from neurosleep.replay.regulated_layers import RegulatedLayer, regulated

__all__ = ["check_settled_rule", "regulate_settled", "regulated_names"]

# Times that all layers change, each half the way to the target: 1/64 of it is left.
_SWEEPS = 6


@dataclass(frozen=True, eq=False)
class _Plan:
    """What a layer is to do, its drives being what they are."""

    layer: RegulatedLayer
    change: HomeostaticChange
    shift: Shift
    mean_input: Tensor | None
    bias: nn.Parameter | None

    @property
    def away(self) -> float:
        """How far mean and spread of the units are from their targets, in units of the spread, squared and averaged."""
        layer, target = self.layer, self.layer.target
        if target is None:
            return 0.0
        means, spreads = (values[layer.changed] for values in (layer.mean_before, layer.spread_before))
        both = (means - target.mean).square() + (spreads - target.spread).square()
        return float(both.mean()) / max(target.spread, 1e-12) ** 2


def check_settled_rule(rule: Homeostasis) -> None:
    """Refuse what the rule cannot do where units also drive those below them."""
    if rule.downscale != 1:
        raise UnsupportedError(
            f"The downscale of homeostasis is {rule.downscale:g}, and units of an equilibrium network drive each "
            "other.",
            expected="downscale 1: smaller weights there move the fixed point, and what the network answers",
        )


def regulated_names(model: EquilibriumMLP, rule: Homeostasis) -> dict[int, str]:
    """By number, the names of the layers that change."""
    names = {number: f"layers.{number}" for number in range(len(model.layers))}
    return {
        number: name
        for number, name in names.items()
        if (rule.layers is None or name in rule.layers) and model.weights[number].requires_grad
    }


@torch.no_grad()
def regulate_settled(
    model: EquilibriumMLP, frames: Tensor, rule: Homeostasis, set_points: Mapping[str, SetPoint]
) -> list[RegulatedLayer]:
    """Change ``model`` in place by ``frames`` of noise ``[draws, inputs]``."""
    names = regulated_names(model, rule)
    # The outputs of the first task would stay high, and outputs at 1, where they are clipped, tell no classes apart.
    output = f"layers.{len(model.layers) - 1}"
    points, undone = {name: point for name, point in set_points.items() if name != output}, 0
    # So much each time is the damping of the rule over all times.
    step = replace(rule, damping=1 - (1 - rule.damping * (1 - 0.5**_SWEEPS)) ** (1 / _SWEEPS))

    def planned(sent: list[Tensor], *numbers: int) -> dict[int, _Plan]:
        return {k: _planned(model, k, names[k], _around(model, k, frames, sent), step, points) for k in numbers}

    sent = _settled(model, frames)
    plans = planned(sent, *names)
    points |= {one.layer.name: one.layer.target for one in plans.values() if one.layer.target is not None}
    layers = {number: _untouched(one.layer) for number, one in plans.items()}
    for sweep in range(_SWEEPS):
        tell_progress("homeostasis at the fixed point, sweeps", sweep, _SWEEPS)
        before, done = [parameter.clone() for parameter in model.parameters()], dict(layers)
        for number in names:
            # The first layer's plan is of the fixed point as it still is.
            present = plans if number == min(names) else planned(_settled(model, frames), number)
            _change(model, number, present[number])
            done[number] = _joined(layers[number], present[number].layer)
        settled = _settled(model, frames)
        later = planned(settled, *names) if all(bool(torch.isfinite(one).all()) for one in settled) else {}
        if later and sum(one.away for one in later.values()) < sum(one.away for one in plans.values()):
            sent, plans, layers = settled, later, done
            continue
        undone += 1
        step = replace(step, damping=step.damping / 2)
        for parameter, value in zip(model.parameters(), before, strict=True):
            parameter.copy_(value)
        plans = planned(sent, *names)
    return [_ended(layers[number], plans[number].layer, undone) for number in sorted(names)]


def _planned(
    model: EquilibriumMLP,
    number: int,
    name: str,
    around: tuple[Tensor, Tensor | None],
    rule: Homeostasis,
    set_points: Mapping[str, SetPoint],
) -> _Plan:
    layer = model.layers[number]
    assert isinstance(layer, nn.Linear)
    below, above = around
    own = F.linear(below, layer.weight, layer.bias)
    bias = layer.bias if layer.bias is not None and layer.bias.requires_grad else None
    shift: Shift = "none" if bias is None else "bias"
    mean_input = along = None
    if bias is None or rule.mean_by == "weights":
        mean = below.double().mean(0, keepdim=True)
        if has_mean(mean.square().mean(1), float(below.double().square().mean()), len(below)):
            mean_input, shift = mean.to(below.dtype), "weights"
            along = below @ mean_input.T
    regulated_layer, change = regulated(
        name,
        DriveMoments.of(own, along, above),
        shift,
        rule,
        set_points,
        output=number == len(model.layers) - 1,
        fixed=[layer.bias] if layer.bias is not None and bias is None else [],
        mean_input=mean_input,
    )
    return _Plan(regulated_layer, change, shift, mean_input, bias)


def _change(model: EquilibriumMLP, number: int, plan: _Plan) -> None:
    weight = model.weights[number]
    weight.copy_(homeostatic_rows(weight, plan.change, plan.mean_input))
    if plan.bias is not None:
        plan.bias.mul_(plan.change.factor)
        if plan.shift == "bias":
            plan.bias.add_(plan.change.offset)


def _settled(model: EquilibriumMLP, frames: Tensor) -> list[Tensor]:
    """What the layers send at the fixed point."""
    settled = model.settle(model.start(frames), model.zeros(frames), model.free_steps).states
    if model.dynamics == "hopfield":
        return [a.value(state) for a, state in zip(model.activations, settled, strict=True)]
    return settled


def _around(model: EquilibriumMLP, number: int, frames: Tensor, sent: list[Tensor]) -> tuple[Tensor, Tensor | None]:
    """What the layer receives from below, and what its units are sent from above, if anything."""
    below = frames if number == 0 else sent[number - 1]
    return below, sent[number + 1] @ model.weights[number + 1] if number + 1 < len(sent) else None


def _untouched(layer: RegulatedLayer) -> RegulatedLayer:
    return replace(layer, factor=torch.ones_like(layer.factor), offset=torch.zeros_like(layer.offset))


def _joined(first: RegulatedLayer, second: RegulatedLayer) -> RegulatedLayer:
    """What a layer did in two sweeps."""
    return replace(first, factor=first.factor * second.factor, offset=first.offset * second.factor + second.offset)


def _ended(layer: RegulatedLayer, now: RegulatedLayer, undone: int) -> RegulatedLayer:
    """What a layer did in all sweeps, its drives being what they are ``now``."""
    notes = layer.notes
    if undone:
        notes += (f"{undone} of {_SWEEPS} steps brought the drives of the network no nearer, and were undone",)
    return replace(
        layer, mean_after=now.mean_before, spread_after=now.spread_before, mean_input=now.mean_input, notes=notes
    )
