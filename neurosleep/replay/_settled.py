"""The homeostatic rule in equilibrium networks: a unit's drive is what arrives from below and above at the fixed point.

The weights between two layers serve both directions, so that a row scaled for the unit above is a column scaled for
what it sends back. Layers change bottom up, the fixed point found anew after each, again and again and half the way
each time: all the way, what they do to each other grows in networks that feed back strongly. A bias, where
there is one, moves the mean: moved by weights, it would also change what the layer below is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurosleep.functional import DriveMoments, Homeostasis, SetPoint, Shift, has_mean, homeostatic_rows
from neurosleep.networks import EquilibriumMLP
from neurosleep.replay._regulated import RegulatedLayer, regulated

__all__ = ["regulate_settled", "regulated_names"]

# Times that all layers change, each half the way to the target: 1/64 of it is left.
_SWEEPS = 6


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
    layers: dict[int, RegulatedLayer] = {}
    points = dict(set_points)
    # So much each time is the damping of the rule over all times.
    rule = replace(rule, damping=1 - (1 - rule.damping * (1 - 0.5**_SWEEPS)) ** (1 / _SWEEPS))
    for _ in range(_SWEEPS):
        for number, name in regulated_names(model, rule).items():
            found = _regulate(model, number, name, frames, rule, points)
            before = layers.get(number)
            layers[number] = found if before is None else _joined(before, found)
            if found.target is not None:
                points[name] = found.target
    return [layers[number] for number in sorted(layers)]


def _regulate(
    model: EquilibriumMLP,
    number: int,
    name: str,
    frames: Tensor,
    rule: Homeostasis,
    set_points: Mapping[str, SetPoint],
) -> RegulatedLayer:
    layer = model.layers[number]
    assert isinstance(layer, nn.Linear)
    below, above = _around(model, number, frames)
    own = F.linear(below, layer.weight, layer.bias)
    bias = layer.bias if layer.bias is not None and layer.bias.requires_grad else None
    shift: Shift = "none" if bias is None else "bias"
    mean_input = along = None
    if bias is None:
        mean = below.double().mean(0, keepdim=True)
        if has_mean(mean.square().mean(1), float(below.double().square().mean()), len(below)):
            mean_input, shift = mean.to(below.dtype), "weights"
            along = below @ mean_input.T
    found, change = regulated(
        name,
        DriveMoments.of(own, along, above),
        shift,
        rule,
        set_points,
        output=number == len(model.layers) - 1,
        fixed=[layer.bias] if layer.bias is not None and bias is None else [],
        mean_input=mean_input,
    )
    layer.weight.copy_(homeostatic_rows(layer.weight, change, mean_input))
    if bias is not None:
        bias.copy_(bias * change.factor + change.offset)
    return found


def _around(model: EquilibriumMLP, number: int, frames: Tensor) -> tuple[Tensor, Tensor | None]:
    """At the fixed point, what the layer receives from below, and what its units are sent from above, if anything."""
    settled = model.settle(model.start(frames), model.zeros(frames), model.free_steps).states
    if model.dynamics == "hopfield":
        settled = [a.value(state) for a, state in zip(model.activations, settled, strict=True)]
    below = frames if number == 0 else settled[number - 1]
    return below, settled[number + 1] @ model.weights[number + 1] if number + 1 < len(settled) else None


def _joined(first: RegulatedLayer, second: RegulatedLayer) -> RegulatedLayer:
    """What a layer did in two sweeps."""
    return replace(
        second,
        mean_before=first.mean_before,
        spread_before=first.spread_before,
        factor=first.factor * second.factor,
        offset=first.offset * second.factor + second.offset,
    )
