"""The scale of the released code of Sleep Replay Consolidation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from neurosleep.conversion.recipes.base import LayerRecipe

__all__ = ["Recursive"]


@dataclass(frozen=True)
class Recursive(LayerRecipe):
    r"""The scale of the released code, in which each layer's factor divides by that of the layer before.

    .. math::  f_1 = \lambda_1,\; f_l = \lambda_l / f_{l-1},\; \alpha_l = s / f_l

    with :math:`\lambda_l` the largest of the layer's weights (if positive) and of its activities.

    Parameters
    ----------
    alpha_scale:
        Factor s on the scales of all layers, above 0.

    Raises
    ------
    SettingsError
        If ``alpha_scale`` is no finite number above 0.

    See Also
    --------
    Ratio : the published formula
    neurosleep.convert : what reads it

    References
    ----------
    Tadros et al. (2022), doi:10.1038/s41467-022-34938-7, and its released code.

    Examples
    --------
    >>> Recursive(alpha_scale=2.0).scales([2.0, 4.0])
    [1.0, 1.0]
    """

    name: ClassVar[str] = "recursive"

    def factors(self, largest: Sequence[float]) -> list[float]:
        r""":math:`f_l` of every layer from its :math:`\lambda_l`, all of which are positive."""
        factors: list[float] = []
        for value in largest:
            factors.append(value / (factors[-1] if factors else 1.0))
        return factors
