"""What recipes have in common: those that scale a chain layer by layer, and those that normalise activities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from neurosleep._checks import check_number
from neurosleep.conversion._build import Neurons, spiking
from neurosleep.conversion.plan import Plan, activations
from neurosleep.errors import ConversionError

__all__ = ["ActivityRecipe", "LayerRecipe", "spiking_activities"]


@dataclass(frozen=True)
class LayerRecipe(ABC):
    r"""Scales the layers of a bias-free chain or an equilibrium network, made for sleep.

    :math:`\lambda_l` is the largest of the layer's weights (if positive) and of its activities over the calibration
    images.

    Parameters
    ----------
    alpha_scale:
        Factor s on the scales of all layers, above 0.
    """

    alpha_scale: float = 1.0
    name: ClassVar[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha_scale", check_number("alpha_scale", self.alpha_scale, above=0))

    def scales(self, largest: Sequence[float]) -> list[float]:
        r""":math:`\alpha_l = s / f_l` of every layer from its :math:`\lambda_l`.

        Raises
        ------
        ConversionError
            If a layer's :math:`\lambda_l` is not a positive finite number (the layer is silent, or has diverged).
        """
        for number, value in enumerate(largest, start=1):
            if not 0 < value < float("inf"):
                raise ConversionError(
                    f"Layer {number} cannot be scaled: its largest weight and activity is {value!r}.",
                    expected="a positive finite number",
                    hint="train the network first, or check it for NaN weights",
                )
        return [self.alpha_scale / factor for factor in self.factors(largest)]

    @abstractmethod
    def factors(self, largest: Sequence[float]) -> list[float]:
        r""":math:`f_l` of every layer from its :math:`\lambda_l`, all of which are positive."""


class ActivityRecipe(ABC):
    """Normalises activities of any model that torch.fx traces, so that spike rates stand for them."""

    name: ClassVar[str]

    @abstractmethod
    def largest(self, plan: Plan, images: Tensor, neurons: Neurons, dt: float) -> dict[str, float]:
        """What one spike of each population stands for, by name; 0 for one that is silent over all images."""


def spiking_activities(plan: Plan, images: Tensor, neurons: Neurons) -> Iterator[Mapping[str, Tensor]]:
    """Activities of the populations that will fire, by name, part by part of the images."""
    names = [population.name for population in plan.populations if spiking(population, neurons)]
    return ({name: batch[name] for name in names} for batch in activations(plan, images))
