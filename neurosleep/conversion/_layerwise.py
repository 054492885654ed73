"""Conversion of a chain or an equilibrium network by a recipe that scales layer by layer, as sleep has it."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from neurosleep.conversion._activities import largest_activities, relu_activities, settled_activities
from neurosleep.conversion._copied import copied
from neurosleep.conversion._layers import chain_layers
from neurosleep.conversion._model import finite, unwrapped
from neurosleep.conversion.converted import ConvertedNetwork
from neurosleep.conversion.feedback import Feedback
from neurosleep.conversion.recipes import LayerRecipe
from neurosleep.conversion.report import ConversionReport
from neurosleep.errors import DataError, SettingsError
from neurosleep.functional import Compare
from neurosleep.networks import MLP, EquilibriumMLP
from neurosleep.spiking import Dense, Population, Projection, Transposed

__all__ = ["convert_layerwise"]


def convert_layerwise(
    model: nn.Module,
    calibration: Tensor,
    recipe: LayerRecipe,
    *,
    thresholds: Sequence[float] | None,
    decay: float,
    compare: Compare,
    dt: float,
    feedback: Feedback | None,
    bias_drive: bool,
) -> ConvertedNetwork:
    """The network of ``model``, layer by layer; options as those of :func:`~neurosleep.convert`."""
    model = _precise(unwrapped(model)[0])
    layers = chain_layers(model)
    if not isinstance(model, EquilibriumMLP) and (feedback is not None or bias_drive):
        given = f"feedback={feedback!r}" if feedback is not None else "bias_drive=True"
        raise SettingsError(
            f"{given} was given for a network of type {type(model).__name__}, which has no feedback and no biases.",
            expected="feedback=None and bias_drive=False, or an EquilibriumMLP",
        )
    calibration = calibration.to(layers[0].weight)
    images = calibration.reshape(len(calibration), -1)
    if images.shape[1] != layers[0].in_features or not finite(images):
        raise DataError(
            f"Calibration images of shape {tuple(calibration.shape)} cannot be used.",
            expected=f"at least one image of {layers[0].in_features} finite values",
        )
    if thresholds is None:
        thresholds = [1.0] * len(layers)
    if len(thresholds) != len(layers):
        raise SettingsError(f"{len(thresholds)} thresholds were given.", expected=f"{len(layers)}, one per layer")
    largest = largest_activities(_activities(model, layers, images), [layer.weight for layer in layers])
    scales = recipe.scales(largest)
    names = ["input", *(f"hidden{k}" for k in range(1, len(layers))), "output"]
    populations = [Population("input", "input", (layers[0].in_features,))]
    populations += [
        Population(
            name,
            "lif",
            (layer.out_features,),
            threshold=threshold,
            decay=decay,
            compare=compare,
            bias=alpha * layer.bias.detach() if bias_drive and layer.bias is not None else 0.0,
        )
        for name, layer, threshold, alpha in zip(names[1:], layers, thresholds, scales, strict=True)
    ]
    projections: list[Projection] = [
        Dense(source, target, layer.weight.detach().clone(), scale=alpha)
        for source, target, layer, alpha in zip(names[:-1], names[1:], layers, scales, strict=True)
    ]
    if feedback is not None and isinstance(model, EquilibriumMLP):
        projections += _feedback(feedback, names[1 : 1 + len(model.state_sizes)], scales)
    report = ConversionReport(tuple(largest), tuple(scales), len(images), recipe, tuple(names[1:]))
    return ConvertedNetwork(tuple(populations), tuple(projections), dt=dt, report=report)


def _activities(model: nn.Module, layers: list[nn.Linear], images: Tensor) -> Iterator[list[Tensor]]:
    if isinstance(model, EquilibriumMLP):
        return settled_activities(model, images)
    if isinstance(model, MLP):
        return relu_activities(layers, 1 - model.dropout, model.read_out, images)
    return relu_activities(layers, 1.0, torch.relu, images)


def _feedback(feedback: Feedback, with_states: Sequence[str], scales: Sequence[float]) -> list[Projection]:
    """From each layer that has states to the one below it."""
    return [
        Transposed(
            above, below, of=(below, above), scale=alpha * feedback.gamma, symmetric_rule=feedback.symmetric_rule
        )
        for (below, above), alpha in zip(itertools.pairwise(with_states), scales, strict=False)
    ]


def _precise(model: nn.Module) -> nn.Module:
    """``model``, or a copy in one type of at least single precision where its own is half, or are several."""
    types = {value.dtype for value in model.parameters() if value.is_floating_point()}
    wanted = functools.reduce(torch.promote_types, types, torch.float32)
    return model if types <= {wanted} else copied(model).to(wanted)
