"""Fixed-point numbers of SpiNNaker: 16 bits for a weight, s16.15 for a potential."""

from __future__ import annotations

import numpy as np

from neurosleep.hardware.mapping.spinnaker_shift import WEIGHT_MAX
from oracles.layer import Neurons, Step, Whole, lost, reset


def largest_weight(shift: int) -> float:
    """The largest weight that such a number holds."""
    return WEIGHT_MAX / 2.0 ** (16 - (shift + 1))


def spinnaker(p: Neurons) -> Step:
    """s16.15 with decays of 15 bits; the unit is the power of two at which all that is expected stays below 2^14."""
    v, units = np.zeros(p.n, dtype=np.int64), [0]

    def unit(weights: Whole) -> int:
        most = float(max(p.threshold, abs(p.bias)))
        for sign in (1, -1):  # inputs that fire with a probability of 1/4: mean and 5 standard deviations
            rows = np.maximum(sign * weights, 0)
            expected = rows.sum(1) / 4 + 5 * np.sqrt(3 / 16 * (rows**2).sum(1))
            most = max(most, float(np.minimum(expected, rows.sum(1)).max()))
        return int(2 ** np.floor(np.log2(2**14 / most)) * 2**15)

    def step(weights: Whole, arriving: Whole) -> Whole:
        one = units[0] = units[0] or unit(weights)
        v[:] = np.clip(lost(v, p.decay << 3, 15) + (weights @ arriving + p.bias) * one, -(2**31), 2**31 - 1)
        fired = v >= p.threshold * one if p.fires_at else v > p.threshold * one
        reset(v, fired, p._replace(threshold=p.threshold * one))
        return fired

    return step
