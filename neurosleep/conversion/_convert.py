"""From an awake network to a spiking network."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args, overload

import torch
from torch import Tensor, nn

from neurosleep._checks import as_images, check_number, check_unread
from neurosleep.conversion._activities import relu_activities, settled_activities
from neurosleep.conversion._build import READ_OUTS, Neurons, ReadOut, build, spiking
from neurosleep.conversion._copied import copied
from neurosleep.conversion._layers import chain_layers
from neurosleep.conversion._model import check_model, number_type, unwrapped
from neurosleep.conversion._trace import trace
from neurosleep.conversion.plan import MaxPool, activations
from neurosleep.conversion.recipes import balanced, maxima, percentiles
from neurosleep.conversion.report import ConversionReport
from neurosleep.conversion.scale import RECIPES, Recipe, largest_activities, layer_scales
from neurosleep.errors import ConversionError, DataError, SettingsError, unknown_name
from neurosleep.functional import Compare, Reset
from neurosleep.networks import MLP, EquilibriumMLP
from neurosleep.spiking import Population, Projection, SpikingNetwork

__all__ = ["FEEDBACKS", "Feedback", "convert"]

Feedback = Literal["none", "delayed"]
FEEDBACKS: tuple[str, ...] = get_args(Feedback)


@overload
def convert(
    model: nn.Module,
    calibration: Tensor,
    *,
    recipe: Recipe = ...,
    alpha_scale: float = ...,
    thresholds: Sequence[float] | None = ...,
    decay: float | None = ...,
    compare: Compare = ...,
    dt: float = ...,
    feedback: Feedback = ...,
    gamma: float = ...,
    symmetric_rule: bool = ...,
    bias_drive: bool = ...,
    reset: Reset | None = ...,
    percentile: float = ...,
    maxpool: MaxPool = ...,
    read_out: ReadOut = ...,
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
    decay: float | None = ...,
    compare: Compare = ...,
    dt: float = ...,
    feedback: Feedback = ...,
    gamma: float = ...,
    symmetric_rule: bool = ...,
    bias_drive: bool = ...,
    reset: Reset | None = ...,
    percentile: float = ...,
    maxpool: MaxPool = ...,
    read_out: ReadOut = ...,
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
    decay: float | None = None,
    compare: Compare = ">=",
    dt: float = 0.001,
    feedback: Feedback = "none",
    gamma: float = 1.0,
    symmetric_rule: bool = False,
    bias_drive: bool = False,
    reset: Reset | None = None,
    percentile: float = 99.9,
    maxpool: MaxPool = "refuse",
    read_out: ReadOut = "membrane",
    report: bool = False,
) -> SpikingNetwork | tuple[SpikingNetwork, ConversionReport]:
    r"""Turn a network into LIF populations with the same weights, one unit for each of its own; ``model`` stays as is.

    With the recipes ``max``, ``percentile`` and ``balance`` the model is any module that torch.fx traces: Linear,
    Conv1d and Conv2d, ReLU, average and adaptive average pooling, BatchNorm after a layer, reshaping, Dropout, sums of
    branches; as modules, functions or methods. Its biases are carried, and spike rates stand for its activities
    (Rueckauer et al. 2017, doi:10.3389/fnins.2017.00682). With ``recursive`` and ``ratio``, made for sleep, it is a
    chain of bias-free layers or an equilibrium network, and the input of layer l is
    :math:`\alpha_l W_l s_{l-1}(t)`; with ``feedback="delayed"``

    .. math::  I_l(t) = \alpha_l \left( W_l s_{l-1}(t) + \gamma W_{l+1}^T s_{l+1}(t-1) \right)

    Parameters
    ----------
    model:
        :class:`~neurosleep.networks.MLP`, a ``Sequential`` of bias-free ``Linear`` and ``ReLU``, or
        :class:`~neurosleep.networks.EquilibriumMLP`; for the other recipes any traceable module. The biases
        of an equilibrium network stay with it: sleep neither changes nor, if not asked to, uses them.
    calibration:
        Images ``[n, inputs]`` over which the largest activities are taken; of an equilibrium network those after its
        free phase. Bytes are scaled from 0..255 to 0..1, and the report says so.
    recipe, alpha_scale:
        Recipe of the scale alpha and the factor on all of them (see :mod:`neurosleep.conversion.scale`); or ``max``,
        ``percentile`` or ``balance`` (see :mod:`neurosleep.conversion.recipes`), which have no such factor.
    thresholds:
        One threshold per layer after the input, not negative; 1 where not given. The other recipes keep 1: there a
        threshold and the scale of the layer's input are one and the same freedom.
    decay, compare, dt:
        Factor of the potential per step (None: 0.999 with ``recursive`` and ``ratio``, else 1), comparison at the
        threshold, length of a step in seconds.
    feedback, gamma:
        Of equilibrium networks: whether a layer also gets the spikes that the layer above had one step before, through
        the transposed weight and times gamma, 0 to 1. A soft-max read-out, which is outside the dynamics, gives none.
    symmetric_rule:
        With feedback: whether sleep's rule is also applied to the shared weight from its other side
        (:class:`~neurosleep.spiking.Projection` says how).
    bias_drive:
        Of equilibrium networks: whether :math:`\alpha_l b_l` is added to a layer's input in every step.
    reset:
        Of spiking units: ``to_value`` (None with ``recursive`` and ``ratio``, which know no other) or ``subtract``
        (None with the other recipes), which keeps what exceeds the threshold.
    percentile:
        Of the positive activities of a layer, 0 to 100 (99.9, and not 0.999): what one spike stands for with the recipe
        ``percentile``.
    maxpool:
        ``refuse``, or ``approximate``: average pooling takes the place of max-pooling, and the report says so.
    read_out:
        Of a last layer without ReLU, with ``max``, ``percentile`` and ``balance``: ``membrane`` makes it sum its input
        without firing (kind ``li``, decay 1: its potential over the steps is the model's output), ``spikes`` makes it
        fire, which leaves out negative outputs.
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

    See Also
    --------
    wake : the way back
    neurosleep.conversion.compare : how well a conversion does

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> network = convert(model, torch.rand(20, 4), recipe="percentile")
    >>> [population.name for population in network.populations]
    ['input', 'hidden1', 'output']
    """
    if recipe not in RECIPES:
        raise unknown_name("recipe", str(recipe), RECIPES)
    model = check_model(model)
    whole = str(getattr(calibration, "dtype", "")).removeprefix("torch.") == "uint8"
    said = ("calibration: bytes were scaled from 0..255 to 0..1",) if whole else ()
    calibration = as_images("calibration", calibration)
    if recipe in ("max", "percentile", "balance"):
        unread = {
            "alpha_scale": (alpha_scale, 1.0),
            "thresholds": (thresholds, None),
            "feedback": (feedback, "none"),
            "gamma": (gamma, 1.0),
            "symmetric_rule": (symmetric_rule, False),
            "bias_drive": (bias_drive, False),
        }
        check_unread(f"The recipe {recipe!r}", unread, "recipe='recursive' has them")
        if recipe != "percentile":
            check_unread(f"The recipe {recipe!r}", {"percentile": (percentile, 99.9)}, "recipe='percentile' has it")
        percentile = check_number("percentile", percentile, most=100, above=0)
        if percentile <= 1:
            raise SettingsError(
                f"A percentile of {percentile:g} counts from 0 to 100: nearly all activities would lie above it.",
                expected="above 1, at most 100",
                hint=f"percentile={100 * percentile:g}, if it was meant as a fraction",
            )
        if read_out not in READ_OUTS:
            raise unknown_name("read_out", str(read_out), READ_OUTS)
        neurons = Neurons(1.0, 1.0 if decay is None else decay, compare, reset or "subtract", read_out)
        made = _normalised(model, calibration, recipe, neurons, dt, percentile, maxpool)
        return (made[0], replace(made[1], notes=(*said, *made[1].notes))) if report else made[0]
    normalising = {"percentile": (percentile, 99.9), "maxpool": (maxpool, "refuse"), "read_out": (read_out, "membrane")}
    check_unread(f"The recipe {recipe!r}", normalising, "the recipes 'percentile', 'max' and 'balance'")
    if reset not in (None, "to_value"):
        raise SettingsError(
            f"The recipe {recipe!r} resets to a value, and reset is {reset!r}.",
            expected="reset='to_value', or a recipe max, percentile or balance",
        )
    decay = 0.999 if decay is None else decay
    model = _precise(unwrapped(model)[0])
    layers = chain_layers(model)
    _check_feedback(model, feedback, gamma, symmetric_rule, bias_drive)
    given = calibration.to(layers[0].weight)
    images = given.reshape(len(given), -1)
    if images.shape[1] != layers[0].in_features or not _finite(images):
        raise DataError(
            f"Calibration images of shape {tuple(given.shape)} cannot be used.",
            expected=f"at least one image of {layers[0].in_features} finite values",
        )
    if thresholds is None:
        thresholds = [1.0] * len(layers)
    if len(thresholds) != len(layers):
        raise SettingsError(f"{len(thresholds)} thresholds were given.", expected=f"{len(layers)}, one per layer")
    if isinstance(model, EquilibriumMLP):
        activities = settled_activities(model, images)
    elif isinstance(model, MLP):
        activities = relu_activities(layers, 1 - model.dropout, model.read_out, images)
    else:
        activities = relu_activities(layers, 1.0, torch.relu, images)
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
    found = ConversionReport(tuple(largest), tuple(scales), len(images), recipe, tuple(names[1:]), notes=said)
    return (network, found) if report else network


def _precise(model: nn.Module) -> nn.Module:
    """``model``, or a copy in one type of at least single precision where its own is half, or are several."""
    own = {value.dtype for value in model.parameters() if value.is_floating_point()}
    wanted = functools.reduce(torch.promote_types, own, torch.float32)
    return model if own <= {wanted} else copied(model).to(wanted)


def _normalised(
    model: nn.Module,
    images: Tensor,
    recipe: Recipe,
    neurons: Neurons,
    dt: float,
    percentile: float,
    maxpool: MaxPool,
) -> tuple[SpikingNetwork, ConversionReport]:
    """Conversion of any traced model by a recipe that normalises activities."""
    place = next(iter(model.parameters()), images)
    images = images.to(device=place.device, dtype=number_type(model))
    if images.ndim < 2 or not _finite(images):
        raise DataError(
            f"Calibration images of shape {tuple(images.shape)} cannot be used.",
            expected="at least one image, [n, ...], of finite values",
        )
    plan = trace(model, images, maxpool)
    names = [p.name for p in plan.populations if spiking(p, neurons)]
    if recipe == "balance":
        largest = balanced(plan, images, neurons, dt)
    else:
        wanted = ({name: batch[name] for name in names} for batch in activations(plan, images))
        largest = maxima(wanted) if recipe == "max" else percentiles(wanted, percentile)
    notes = list(plan.notes)
    for name in names:
        if not math.isfinite(largest[name]):
            raise ConversionError(
                f"Layer {name!r} cannot be scaled: its largest activity is {largest[name]!r}.",
                expected="a finite number",
                hint="check the model for NaN weights",
            )
        if largest[name] <= 0:
            largest[name] = 1.0
            notes.append(f"{name}: silent over all calibration images, its scale is 1")
    network = build(plan, largest, neurons, dt)
    values = tuple(largest[name] for name in names)
    return network, ConversionReport(
        values, tuple(1 / v for v in values), len(images), recipe, tuple(names), plan.became, tuple(notes)
    )


def _finite(images: Tensor) -> bool:
    """Whether all values are finite, in one pass that makes no tensor as large as the images."""
    low, high = torch.aminmax(images)
    return math.isfinite(float(low)) and math.isfinite(float(high))


def _check_feedback(model: nn.Module, feedback: Feedback, gamma: float, symmetric_rule: bool, bias_drive: bool) -> None:
    if feedback not in FEEDBACKS:
        raise unknown_name("feedback", str(feedback), FEEDBACKS)
    if not 0 <= gamma <= 1:
        raise SettingsError(f"The feedback's gamma is {gamma!r}.", expected="0 to 1")
    if feedback == "none":
        check_unread("feedback='none'", {"gamma": (gamma, 1.0)}, "feedback='delayed' has it")
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
