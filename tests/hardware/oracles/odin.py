"""ODIN: weights of three bits, membranes of eight without a sign, and its plasticity (SDSP), event by event."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from neurosleep.errors import SettingsError
from oracles.layer import Neurons, Step, Whole

_WEIGHT_MAX = 7
_MEMBRANE_MAX = 255


def quantise_odin(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Magnitudes 0 to 7 of weights ``[post, pre]``, and the sign of each presynaptic neuron ``[pre]`` (1 or -1).

    Raises
    ------
    SettingsError
        If a neuron has outgoing weights of both signs: the chip keeps one sign for each neuron.
    """
    w = weights.to(torch.float64)
    mixed = ((w > 0).any(0) & (w < 0).any(0)).nonzero().flatten().tolist()
    if mixed:
        raise SettingsError(
            f"{len(mixed)} presynaptic neurons have weights of both signs, the first is number {mixed[0]}.",
            expected="one sign for all outgoing weights of a neuron",
            hint="split such a neuron in two that fire together",
        )
    largest = float(w.abs().max())
    if not largest > 0:
        raise SettingsError("All weights are zero.", expected="at least one that is not")
    return torch.round(_WEIGHT_MAX * w.abs() / largest), torch.where((w < 0).any(0), -1.0, 1.0)


def odin_event(v: int, weight: int, threshold: int) -> tuple[int, bool]:
    """Membrane and spike after one synaptic event: 0 to 255, a spike at the threshold or above, then 0."""
    v = min(max(v + weight, 0), _MEMBRANE_MAX)
    return (0, True) if v >= threshold else (v, False)


def odin_leak(v: int, leak: int) -> int:
    """Membrane after an event of the time reference, which takes a constant away."""
    return max(v - leak, 0)


def sdsp_update(weight: int, v: int, calcium: int, *, membrane: int, calcium_levels: tuple[int, int, int]) -> int:
    """A weight (0 to 7) after a presynaptic spike, by spike-driven synaptic plasticity.

    One up where the membrane ``v`` is at ``membrane`` or above and the calcium count in [th1, th3), one down where it
    is below and calcium in [th1, th2).
    """
    low, middle, high = calcium_levels
    if v >= membrane and low <= calcium < high:
        return min(weight + 1, _WEIGHT_MAX)
    if v < membrane and low <= calcium < middle:
        return max(weight - 1, 0)
    return weight


def odin(p: Neurons) -> Step:
    """8 bits without a sign; every event adds its weight and may fire the neuron."""
    v = [0] * p.n

    def step(weights: Whole, arriving: Whole) -> Whole:
        fired = np.zeros(p.n, dtype=bool)
        for j in np.flatnonzero(arriving):
            for i in range(p.n):
                v[i], spiked = odin_event(v[i], int(weights[i, j]), p.threshold)
                fired[i] |= spiked
        return fired

    return step
