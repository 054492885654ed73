r"""Data-based scale of a network's layers: how strongly an input spike pushes a spiking unit.

:math:`\lambda_l` is the largest of the layer's weights (if positive) and of its activities over the calibration images.
``recursive`` (the released code): :math:`f_1 = \lambda_1,\; f_l = \lambda_l / f_{l-1},\; \alpha_l = s / f_l`; ``ratio``
(Diehl et al. 2015, Rueckauer et al. 2017): :math:`f_l = \lambda_l / \lambda_{l-1}` with :math:`\lambda_0 = 1`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from torch import Tensor

from neurosleep.errors import ConversionError, unknown_name

__all__ = ["RECIPES", "Recipe", "largest_activities", "layer_scales"]

Recipe = Literal["recursive", "ratio", "max", "percentile", "balance"]
#: Those that scale layer by layer, as sleep has them; the others normalise activities of any traced model.
_LAYERWISE = ("recursive", "ratio")
RECIPES: tuple[str, ...] = get_args(Recipe)


def largest_activities(activities: Iterable[Sequence[Tensor]], weights: Sequence[Tensor]) -> list[float]:
    r""":math:`\lambda_l` per layer from batches of activities (``[batch, n]`` per layer) and the weights."""
    largest = [max(float(weight.max()), 0.0) for weight in weights]
    for batch in activities:
        largest = [max(found, float(layer.max())) for found, layer in zip(largest, batch, strict=True)]
    return largest


def layer_scales(largest: Sequence[float], *, recipe: Recipe = "recursive", alpha_scale: float = 1.0) -> list[float]:
    r""":math:`\alpha_l` of every layer from its :math:`\lambda_l`.

    Raises
    ------
    ConversionError
        If a layer's :math:`\lambda_l` is not a positive finite number (the layer is silent, or has diverged).
    """
    if recipe not in _LAYERWISE:
        raise unknown_name("recipe", recipe, _LAYERWISE)
    for number, value in enumerate(largest, start=1):
        if not 0 < value < float("inf"):
            raise ConversionError(
                f"Layer {number} cannot be scaled: its largest weight and activity is {value!r}.",
                expected="a positive finite number",
                hint="train the network first, or check it for NaN weights",
            )
    factors: list[float] = []
    for number, value in enumerate(largest):
        before = 1.0 if number == 0 else (factors[-1] if recipe == "recursive" else largest[number - 1])
        factors.append(value / before)
    return [alpha_scale / factor for factor in factors]


def batches(images: Tensor, size: int = 2000) -> Iterable[Tensor]:
    """``images`` in parts, so that the activities of a large set need not be held at once."""
    return (images[start : start + size] for start in range(0, len(images), size))
