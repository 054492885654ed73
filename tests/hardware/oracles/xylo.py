"""Integers of Xylo: one scale for all weights, 8 bits; thresholds of 16 bits; as rockpool's global quantiser does."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neurosleep.errors import SettingsError
from oracles.layer import Neurons, Step, Whole, reset

_WEIGHT_MAX = 127
_THRESHOLD_MAX = 32767


class XyloIntegers(NamedTuple):
    """Weights, threshold and bias as integers, and the factor ``scale`` that made them."""

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


def shift_of_time_constant(tau: float, dt: float) -> int:
    r"""The shift of a decay by powers of two: :math:`round(\log_2(\tau / dt))`.

    Raises
    ------
    SettingsError
        If ``tau`` does not exceed ``dt``: such a decay does not exist there.
    """
    if not tau > dt > 0:
        raise SettingsError(
            f"The time constant is {tau!r} s with steps of {dt!r} s.",
            expected="a time constant longer than a step",
            hint="a shorter dt, or a longer time constant",
        )
    return round(math.log2(tau / dt))


def xylo(p: Neurons) -> Step:
    """rockpool's simulator: a state loses its own high bits, and 1 where that is nothing."""
    i, v = np.zeros((2, p.n), dtype=np.int64)

    def decayed(x: Whole, dash: int) -> Whole:
        kept = x - (x >> dash)
        return np.where((kept == x) & (x > 0), x - 1, kept)

    def step(weights: Whole, arriving: Whole) -> Whole:
        i[:] = np.clip(decayed(i, p.current) + weights @ arriving, -(2**15), 2**15 - 1)
        v[:] = np.clip(decayed(v, p.decay) + i + p.bias, -(2**15), 2**15 - 1)
        fired = v >= p.threshold if p.fires_at else v > p.threshold
        reset(v, fired, p)
        return fired

    return step
