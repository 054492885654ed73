"""Integers of Speck and DYNAP-CNN: one scale per layer for 8-bit weights and biases and 16-bit membranes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neurosleep.errors import SettingsError
from oracles.layer import Neurons, Step, Whole, reset


class SpeckIntegers(NamedTuple):
    """Integers of one layer, and the factor ``scale`` that made them."""

    weights: Tensor
    threshold: Tensor
    minimum: Tensor
    bias: Tensor
    scale: float


def _factor(x: Tensor, bits: int) -> float:
    """The largest factor that keeps ``x`` within ``bits`` bits, two's complement."""
    high, low = float(x.max()), float(x.min())
    return min(
        (2 ** (bits - 1) - 1) / high if high > 0 else math.inf, -(2 ** (bits - 1)) / low if low < 0 else math.inf
    )


def quantise_speck(
    weights: Tensor, threshold: Tensor | float, minimum: Tensor | float | None, bias: Tensor | float = 0.0
) -> SpeckIntegers:
    """One layer: everything times the largest factor with which all of it fits.

    Parameters
    ----------
    weights, threshold, bias:
        Real numbers.
    minimum:
        The membrane's lower bound, in units of the threshold's.

    Raises
    ------
    SettingsError
        If there is no lower bound: the chip's tool would then take -32768 for it *before* scaling, and all weights
        would become 0 or 1. Or if there is nothing to scale.
    """
    if minimum is None:
        raise SettingsError(
            "The membrane has no lower bound, which would set the layer's scale to 1.",
            expected="a bound, for example minus the threshold",
        )
    w = weights.to(torch.float64)
    theta, low, b = (torch.as_tensor(value, dtype=torch.float64) for value in (threshold, minimum, bias))
    scale = min(_factor(w, 8), _factor(b, 8), _factor(theta, 16), _factor(low, 16))
    if not math.isfinite(scale):
        raise SettingsError("The layer holds nothing but zeros.", expected="weights or a threshold")
    w, theta, low, b = (torch.round(x * scale) for x in (w, theta, low, b))
    return SpeckIntegers(w, theta, low, b, scale)


def speck(p: Neurons) -> Step:
    """sinabs' integrate and fire: no leak, 16 bits."""
    v = np.zeros(p.n, dtype=np.int64)

    def step(weights: Whole, arriving: Whole) -> Whole:
        v[:] = np.clip(v + weights @ arriving + p.bias, -(2**15), 2**15 - 1)
        fired = v >= p.threshold if p.fires_at else v > p.threshold
        reset(v, fired, p)
        return fired

    return step
