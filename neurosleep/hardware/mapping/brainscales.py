"""Weights of BrainScaleS-2: 6 bits without a sign, so that every signed input has an exciting and an inhibiting row."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["split_rows"]

_WEIGHT_MAX = 63


def split_rows(weights: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Weights of the exciting and of the inhibiting synapses, 0 to 63, halves rounded up in size.

    ``scale`` is what a weight of 1 becomes. On the chip it is measured; there is no way to compute it.
    """
    scaled = (weights.to(torch.float64) * scale).clamp(-_WEIGHT_MAX, _WEIGHT_MAX)
    return torch.floor(scaled.clamp_min(0) + 0.5), torch.floor((-scaled).clamp_min(0) + 0.5)
