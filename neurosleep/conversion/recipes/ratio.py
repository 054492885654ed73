"""Weight normalisation layer by layer, as published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from neurosleep.conversion.recipes.base import LayerRecipe

__all__ = ["Ratio"]


@dataclass(frozen=True)
class Ratio(LayerRecipe):
    r"""Weight normalisation: each layer's largest value over that of the layer before.

    .. math::  f_l = \lambda_l / \lambda_{l-1},\; \lambda_0 = 1,\; \alpha_l = s / f_l

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
    Recursive : what the released code of Sleep Replay Consolidation computes
    neurosleep.convert : what reads it

    References
    ----------
    Diehl et al. (2015), doi:10.1109/IJCNN.2015.7280696; Rueckauer et al. (2017), doi:10.3389/fnins.2017.00682.

    Examples
    --------
    >>> Ratio().scales([2.0, 4.0])
    [0.5, 0.5]
    """

    name: ClassVar[str] = "ratio"

    def factors(self, largest: Sequence[float]) -> list[float]:
        r""":math:`f_l` of every layer from its :math:`\lambda_l`, all of which are positive."""
        return [value / before for value, before in zip(largest, (1.0, *largest[:-1]), strict=True)]
