"""Awake network to spiking network, and back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, overload

import torch
from torch import Tensor, nn

from neurosleep.conversion.scale import Recipe, batches, largest_activities, layer_scales
from neurosleep.errors import ConversionError, DataError, SettingsError
from neurosleep.functional import Compare
from neurosleep.networks import MLP
from neurosleep.spiking import Population, Projection, SpikingNetwork

__all__ = ["ConversionReport", "convert", "wake"]

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion found: largest value lambda and scale alpha of each layer, and how many images it read."""

    largest: tuple[float, ...]
    scales: tuple[float, ...]
    images: int


def _linear_layers(model: nn.Module) -> tuple[list[nn.Linear], list[float]]:
    """The Linear layers in order, and the factor on each layer's activity while evaluating."""
    if isinstance(model, MLP):
        layers = [layer for layer in model.layers if isinstance(layer, nn.Linear)]
        return layers, [1 - model.dropout] * (len(layers) - 1) + [1.0]
    if not isinstance(model, nn.Sequential):
        raise ConversionError(
            f"A network of type {type(model).__name__} cannot be converted.",
            expected="neurosleep's MLP, or torch.nn.Sequential of Linear(bias=False) and ReLU",
        )
    found: list[nn.Linear] = []
    for name, layer in model.named_children():
        if isinstance(layer, nn.Linear):
            if layer.bias is not None:
                raise ConversionError(
                    f"Layer {name!r} has a bias, which this sleep does not know.",
                    expected="Linear(..., bias=False)",
                    hint="train the network without biases",
                )
            found.append(layer)
        elif not isinstance(layer, (nn.ReLU, nn.Dropout, nn.Flatten, nn.Identity)):
            raise ConversionError(
                f"Layer {name!r} is {type(layer).__name__}, which has no spiking counterpart here.",
                expected="Linear(bias=False), ReLU, Dropout, Flatten",
            )
    if not found:
        raise ConversionError("The network has no Linear layer.", expected="at least one")
    return found, [1.0] * len(found)


def _activities(
    layers: Sequence[nn.Linear], factors: Sequence[float], read_out: Callable[[Tensor], Tensor], x: Tensor
) -> list[Tensor]:
    found = []
    for k, (layer, factor) in enumerate(zip(layers, factors, strict=True), start=1):
        sums = x @ layer.weight.T
        x = (torch.relu(sums) if k < len(layers) else read_out(sums)) * factor
        found.append(x)
    return found


@overload
def convert(
    model: nn.Module,
    calibration: Tensor,
    *,
    recipe: Recipe = ...,
    alpha_scale: float = ...,
    thresholds: Sequence[float] | None = ...,
    decay: float = ...,
    compare: Compare = ...,
    dt: float = ...,
    report: Literal[False] = ...,
) -> SpikingNetwork: ...


@overload
def convert(
    model: nn.Module,
    calibration: Tensor,
    *,
    recipe: Recipe = ...,
    alpha_scale: float = ...,
    thresholds: Sequence[float] | None = ...,
    decay: float = ...,
    compare: Compare = ...,
    dt: float = ...,
    report: Literal[True],
) -> tuple[SpikingNetwork, ConversionReport]: ...


@torch.no_grad()
def convert(
    model: nn.Module,
    calibration: Tensor,
    *,
    recipe: Recipe = "recursive",
    alpha_scale: float = 1.0,
    thresholds: Sequence[float] | None = None,
    decay: float = 0.999,
    compare: Compare = ">=",
    dt: float = 0.001,
    report: bool = False,
) -> SpikingNetwork | tuple[SpikingNetwork, ConversionReport]:
    """Turn a bias-free ReLU network into LIF populations with the same weights; ``model`` is not changed.

    Parameters
    ----------
    model:
        :class:`~neurosleep.networks.MLP` or a ``Sequential`` of bias-free ``Linear`` and ``ReLU``.
    calibration:
        Images ``[n, inputs]`` over which the largest activities are taken.
    recipe, alpha_scale:
        Recipe of the scale alpha and the factor on all of them (see :mod:`neurosleep.conversion.scale`).
    thresholds:
        One threshold per layer after the input, not negative; 1 where not given.
    decay, compare, dt:
        Factor of the potential per step, comparison at the threshold, length of a step in seconds.
    report:
        Whether to return a :class:`ConversionReport` too.

    Raises
    ------
    ConversionError
        If a layer has no spiking counterpart or cannot be scaled.
    """
    layers, factors = _linear_layers(model)
    images = calibration.reshape(len(calibration), calibration.shape[1:].numel())
    if len(images) == 0 or images.shape[1] != layers[0].in_features or not torch.isfinite(images).all():
        raise DataError(
            f"Calibration images of shape {tuple(calibration.shape)} cannot be used.",
            expected=f"at least one image of {layers[0].in_features} finite values",
        )
    if thresholds is None:
        thresholds = [1.0] * len(layers)
    if len(thresholds) != len(layers):
        raise SettingsError(f"{len(thresholds)} thresholds were given.", expected=f"{len(layers)}, one per layer")
    read_out = model.read_out if isinstance(model, MLP) else torch.relu
    largest = largest_activities(
        (_activities(layers, factors, read_out, part) for part in batches(images)), [layer.weight for layer in layers]
    )
    scales = layer_scales(largest, recipe=recipe, alpha_scale=alpha_scale)
    names = ["input", *(f"hidden{k}" for k in range(1, len(layers))), "output"]
    populations = [Population("input", "input", (layers[0].in_features,))]
    populations += [
        Population(name, "lif", (layer.out_features,), threshold=threshold, decay=decay, compare=compare)
        for name, layer, threshold in zip(names[1:], layers, thresholds, strict=True)
    ]
    projections = [
        Projection(source, target, weight=layer.weight.detach().clone(), scale=alpha)
        for source, target, layer, alpha in zip(names[:-1], names[1:], layers, scales, strict=True)
    ]
    network = SpikingNetwork(tuple(populations), tuple(projections), dt=dt)
    return (network, ConversionReport(tuple(largest), tuple(scales), len(images))) if report else network


@torch.no_grad()
def wake(network: SpikingNetwork, model: Module) -> Module:
    """A copy of ``model`` with the weights of the slept ``network``; ``model`` itself is untouched.

    Raises
    ------
    ConversionError
        If the two do not have the same layers.
    """
    woken = copy.deepcopy(model)
    layers, _ = _linear_layers(woken)
    found = [tuple(weight.shape) for weight in network.weights]
    expected = [tuple(layer.weight.shape) for layer in layers]
    if found != expected:
        raise ConversionError(
            "The slept network has other layers than the model.", found=f"{found}", expected=f"{expected}"
        )
    for layer, weight in zip(layers, network.weights, strict=True):
        layer.weight.copy_(weight)
    return woken
