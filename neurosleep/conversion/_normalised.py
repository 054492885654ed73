"""Conversion of any traced model by a recipe that normalises activities."""

from __future__ import annotations

import math

from torch import Tensor, nn

from neurosleep.conversion._build import Neurons, build, spiking
from neurosleep.conversion._model import finite, number_type, unwrapped
from neurosleep.conversion._trace import trace
from neurosleep.conversion.converted import ConvertedNetwork
from neurosleep.conversion.plan import MaxPool
from neurosleep.conversion.recipes import ActivityRecipe
from neurosleep.conversion.report import ConversionReport
from neurosleep.errors import ConversionError, DataError
from neurosleep.networks import EquilibriumNetwork

__all__ = ["convert_normalised"]


def convert_normalised(
    model: nn.Module, images: Tensor, recipe: ActivityRecipe, neurons: Neurons, dt: float, maxpool: MaxPool
) -> ConvertedNetwork:
    """The network of ``model``, traced; options as those of :func:`~neurosleep.convert`."""
    inside = unwrapped(model)[0]
    if isinstance(inside, EquilibriumNetwork):
        raise ConversionError(
            f"A network of type {type(inside).__name__} has no activities that {recipe!r} can normalise: its units "
            "are driven from both sides.",
            expected="a feed-forward network, or a recipe that scales layer by layer",
            hint="recipe=neurosleep.Recursive() is that of an EquilibriumMLP that is to sleep",
        )
    place = next(iter(model.parameters()), images)
    images = images.to(device=place.device, dtype=number_type(model))
    if images.ndim < 2 or not finite(images):
        raise DataError(
            f"Calibration images of shape {tuple(images.shape)} cannot be used.",
            expected="at least one image, [n, ...], of finite values",
        )
    plan = trace(model, images, maxpool)
    largest = recipe.largest(plan, images, neurons, dt)
    names = [population.name for population in plan.populations if spiking(population, neurons)]
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
    scales = tuple(1 / value for value in values)
    report = ConversionReport(values, scales, len(images), recipe, tuple(names), plan.became, tuple(notes))
    return ConvertedNetwork(network.populations, network.projections, dt=dt, report=report)
