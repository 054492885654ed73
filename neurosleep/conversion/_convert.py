"""Awake network to spiking network, and back."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args, overload

import torch
from torch import Tensor, nn

from neurosleep.conversion.scale import Recipe, batches, largest_activities, layer_scales
from neurosleep.errors import ConversionError, DataError, SettingsError, unknown_name
from neurosleep.functional import Compare
from neurosleep.networks import MLP, EquilibriumMLP, EquilibriumNetwork
from neurosleep.spiking import Population, Projection, SpikingNetwork

__all__ = ["FEEDBACKS", "ConversionReport", "Feedback", "convert", "wake"]

Feedback = Literal["none", "delayed"]
FEEDBACKS: tuple[str, ...] = get_args(Feedback)

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion found: largest value lambda and scale alpha of each layer, and how many images it read."""

    largest: tuple[float, ...]
    scales: tuple[float, ...]
    images: int


def _linear_layers(model: nn.Module) -> list[nn.Linear]:
    """The Linear layers in order; refuses networks that cannot sleep."""
    if isinstance(model, MLP | EquilibriumMLP):
        return [layer for layer in model.layers if isinstance(layer, nn.Linear)]
    if isinstance(model, EquilibriumNetwork):
        raise ConversionError(
            f"A network of type {type(model).__name__} cannot be converted: only fully connected networks of point "
            "neurons sleep here.",
            expected="an EquilibriumMLP, in which one weight [post, pre] joins each pair of units",
            hint="train an EquilibriumMLP instead; for images, on features that a fixed network extracts from them",
        )
    if not isinstance(model, nn.Sequential):
        raise ConversionError(
            f"A network of type {type(model).__name__} cannot be converted.",
            expected="neurosleep's MLP or EquilibriumMLP, or torch.nn.Sequential of Linear(bias=False) and ReLU",
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
    return found


def _relu_activities(
    layers: Sequence[nn.Linear], factor: float, read_out: Callable[[Tensor], Tensor], images: Tensor
) -> Iterator[list[Tensor]]:
    """Activities of a ReLU network, part by part; each part is good until the next is asked for.

    ``factor`` multiplies hidden activities. Room is taken once and used again: to get it costs as much as to fill it.
    """
    room: list[Tensor] = []
    for x in batches(images):
        found = []
        for k, layer in enumerate(layers):
            if k == len(room):
                room.append(x.new_empty(len(x), layer.out_features))
            x = torch.mm(x, layer.weight.T, out=room[k][: len(x)])
            if k < len(layers) - 1:
                x.relu_()
                if factor != 1:
                    x.mul_(factor)
            else:
                x = read_out(x)
            found.append(x)
        yield found


def _settled_activities(model: EquilibriumMLP, images: Tensor) -> Iterator[list[Tensor]]:
    """Activities in the free phase's equilibrium; after them, where it has one, those of the soft-max read-out."""
    for x in batches(images):
        states = found = model.activities(x)
        if model.dynamics == "hopfield":
            # There a state is a potential, and its activity what others get of it.
            found = [activation.value(u) for activation, u in zip(model.activations, states, strict=True)]
        if model.read_out_kind == "softmax-read-out":
            found = [*found, model.read_out(states[-1])]
        yield found


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
    feedback: Feedback = ...,
    gamma: float = ...,
    symmetric_rule: bool = ...,
    bias_drive: bool = ...,
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
    feedback: Feedback = ...,
    gamma: float = ...,
    symmetric_rule: bool = ...,
    bias_drive: bool = ...,
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
    feedback: Feedback = "none",
    gamma: float = 1.0,
    symmetric_rule: bool = False,
    bias_drive: bool = False,
    report: bool = False,
) -> SpikingNetwork | tuple[SpikingNetwork, ConversionReport]:
    r"""Turn a network into LIF populations with the same weights, one unit for each of its own; ``model`` stays as is.

    The input of layer l is :math:`\alpha_l W_l s_{l-1}(t)`; with ``feedback="delayed"``

    .. math::  I_l(t) = \alpha_l \left( W_l s_{l-1}(t) + \gamma W_{l+1}^T s_{l+1}(t-1) \right)

    Parameters
    ----------
    model:
        :class:`~neurosleep.networks.MLP`, a ``Sequential`` of bias-free ``Linear`` and ``ReLU``, or
        :class:`~neurosleep.networks.EquilibriumMLP`. The biases of the last stay with it: sleep neither changes nor, if
        not asked to, uses them.
    calibration:
        Images ``[n, inputs]`` over which the largest activities are taken; of an equilibrium network those after its
        free phase.
    recipe, alpha_scale:
        Recipe of the scale alpha and the factor on all of them (see :mod:`neurosleep.conversion.scale`).
    thresholds:
        One threshold per layer after the input, not negative; 1 where not given.
    decay, compare, dt:
        Factor of the potential per step, comparison at the threshold, length of a step in seconds.
    feedback, gamma:
        Of equilibrium networks: whether a layer also gets the spikes that the layer above had one step before, through
        the transposed weight and times gamma, 0 to 1. A soft-max read-out, which is outside the dynamics, gives none.
    symmetric_rule:
        With feedback: whether sleep's rule is also applied to the shared weight from its other side
        (:class:`~neurosleep.spiking.Projection` says how).
    bias_drive:
        Of equilibrium networks: whether :math:`\alpha_l b_l` is added to a layer's input in every step.
    report:
        Whether to return a :class:`ConversionReport` too.

    Raises
    ------
    ConversionError
        If a layer has no spiking counterpart or cannot be scaled.

    Notes
    -----
    The published account of how equilibrium networks sleep (arXiv:2508.14081) leaves feedback, biases and scale open:
    these options and their defaults are ours.
    """
    layers = _linear_layers(model)
    _check_feedback(model, feedback, gamma, symmetric_rule, bias_drive)
    images = calibration.reshape(len(calibration), calibration.shape[1:].numel())
    if len(images) == 0 or images.shape[1] != layers[0].in_features or not _finite(images):
        raise DataError(
            f"Calibration images of shape {tuple(calibration.shape)} cannot be used.",
            expected=f"at least one image of {layers[0].in_features} finite values",
        )
    if thresholds is None:
        thresholds = [1.0] * len(layers)
    if len(thresholds) != len(layers):
        raise SettingsError(f"{len(thresholds)} thresholds were given.", expected=f"{len(layers)}, one per layer")
    if isinstance(model, EquilibriumMLP):
        activities = _settled_activities(model, images)
    elif isinstance(model, MLP):
        activities = _relu_activities(layers, 1 - model.dropout, model.read_out, images)
    else:
        activities = _relu_activities(layers, 1.0, torch.relu, images)
    largest = largest_activities(activities, [layer.weight for layer in layers])
    scales = layer_scales(largest, recipe=recipe, alpha_scale=alpha_scale)
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
    projections = [
        Projection(source, target, weight=layer.weight.detach().clone(), scale=alpha)
        for source, target, layer, alpha in zip(names[:-1], names[1:], layers, scales, strict=True)
    ]
    if feedback == "delayed" and isinstance(model, EquilibriumMLP):
        with_states = names[1 : 1 + len(model.state_sizes)]
        projections += [
            Projection(
                above,
                below,
                scale=alpha * gamma,
                delay=1,
                transpose_of=(below, above),
                symmetric_rule=symmetric_rule,
            )
            for (below, above), alpha in zip(itertools.pairwise(with_states), scales, strict=False)
        ]
    network = SpikingNetwork(tuple(populations), tuple(projections), dt=dt)
    return (network, ConversionReport(tuple(largest), tuple(scales), len(images))) if report else network


def _finite(images: Tensor) -> bool:
    """Whether all values are finite, in one pass that makes no tensor as large as the images."""
    low, high = torch.aminmax(images)
    return math.isfinite(float(low)) and math.isfinite(float(high))


def _check_feedback(model: nn.Module, feedback: Feedback, gamma: float, symmetric_rule: bool, bias_drive: bool) -> None:
    if feedback not in FEEDBACKS:
        raise unknown_name("feedback", str(feedback), FEEDBACKS)
    if not 0 <= gamma <= 1:
        raise SettingsError(f"The feedback's gamma is {gamma!r}.", expected="0 to 1")
    if symmetric_rule and feedback == "none":
        raise SettingsError(
            "symmetric_rule=True needs feedback, and feedback is 'none'.", expected="feedback='delayed' with it"
        )
    if not isinstance(model, EquilibriumMLP) and (feedback != "none" or bias_drive):
        given = f"feedback={feedback!r}" if feedback != "none" else "bias_drive=True"
        raise SettingsError(
            f"{given} was given for a network of type {type(model).__name__}, which has no feedback and no biases.",
            expected="feedback='none' and bias_drive=False, or an EquilibriumMLP",
        )


@torch.no_grad()
def wake(network: SpikingNetwork, model: Module) -> Module:
    """A copy of ``model`` with the weights of the slept ``network``; ``model`` itself is untouched.

    Biases are those of ``model``.

    Raises
    ------
    ConversionError
        If the two do not have the same layers.
    """
    woken = copy.deepcopy(model)
    layers = _linear_layers(woken)
    found = [tuple(weight.shape) for weight in network.weights]
    expected = [tuple(layer.weight.shape) for layer in layers]
    if found != expected:
        raise ConversionError(
            "The slept network has other layers than the model.", found=f"{found}", expected=f"{expected}"
        )
    for layer, weight in zip(layers, network.weights, strict=True):
        layer.weight.copy_(weight)
    return woken
