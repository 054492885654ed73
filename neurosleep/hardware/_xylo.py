"""Integers of Xylo: one scale for all weights, 8 bits; thresholds of 16 bits; as rockpool's global quantiser does."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from neurosleep.errors import SettingsError

__all__ = ["XyloIntegers", "quantise_xylo"]

_WEIGHT_MAX = 127
_THRESHOLD_MAX = 32767


class XyloIntegers(NamedTuple):
    """Weights, threshold and bias as whole numbers, and the factor ``scale`` that made them."""

    weights: Tensor
    threshold: Tensor
    bias: Tensor
    scale: float


def quantise_xylo(weights: Tensor, threshold: Tensor | float, bias: Tensor | float = 0.0) -> XyloIntegers:
    """The largest of |weights| and |bias| becomes 127; a threshold beyond 16 bits shrinks all of them again.

    In that second step the rounded weights are rounded once more, as the public tool does it.

    Raises
    ------
    SettingsError
        If weights and bias are all zero.
    """
    w = weights.to(torch.float64)
    theta, b = (torch.as_tensor(value, dtype=torch.float64) for value in (threshold, bias))
    largest = max(float(w.abs().max()), float(b.abs().max()))
    if not largest > 0:
        raise SettingsError("All weights and biases are zero.", expected="at least one that is not")
    scale = _WEIGHT_MAX / largest
    w, theta, b = (torch.round(x * scale) for x in (w, theta, b))
    highest = float(theta.max())
    if highest > _THRESHOLD_MAX:
        again = _THRESHOLD_MAX / highest
        w, theta, b = (torch.round(x * again) for x in (w, theta, b))
        scale *= again
    return XyloIntegers(w, theta, b, scale)
