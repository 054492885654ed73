"""TrueNorth: a crossbar of single bits, four weights per neuron chosen by the axon's type, and a leak that is added."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from neurosleep.errors import unknown_name
from neurosleep.hardware.arithmetic.registers import Register
from oracles.layer import Neurons, Step, Whole

_MEMBRANE = Register(20)


def truenorth_tick(
    v: Tensor,
    axons: Tensor,
    *,
    crossbar: Tensor,
    types: Tensor,
    weights: Tensor,
    leak: int,
    threshold: int,
    reset: Literal["to_value", "subtract"] = "to_value",
    reset_value: int = 0,
    floor: int = 0,
    negative: Literal["reset", "saturate"] | None = None,
) -> tuple[Tensor, Tensor]:
    """Membranes ``[n]`` and boolean spikes ``[n]`` after one tick.

    Parameters
    ----------
    v:
        Membranes before it, integers of 20 bits with sign.
    axons:
        Which of the core's axons got a spike, ``[axons]``.
    crossbar:
        Which axon reaches which neuron, 0 or 1, ``[n, axons]``.
    types, weights:
        Type 0 to 3 of each axon, ``[axons]``, and what an axon of each type adds, ``[n, 4]``.
    leak, threshold, reset, reset_value:
        Added in every tick; a spike at the threshold or above; then back to a value, or less the threshold.
    floor, negative:
        Below ``-floor`` a membrane is put back to minus the reset value, or held there; None: neither.
    """
    per_axon = weights.to(torch.float64)[:, types.long()] * crossbar
    v = _MEMBRANE.hold(v.to(torch.float64) + per_axon @ axons.to(torch.float64) + leak)
    spiked = v >= threshold
    if reset == "to_value":
        after = torch.full_like(v, reset_value)
    elif reset == "subtract":
        after = v - threshold
    else:
        raise unknown_name("reset", str(reset), ("to_value", "subtract"))
    v = torch.where(spiked, after, v)
    if negative is not None:
        v = torch.where(v < -floor, torch.full_like(v, -reset_value if negative == "reset" else -floor), v)
    return v, spiked


def truenorth(p: Neurons) -> Step:
    """Neurons that are reset to 0, or subtract; each has a value for inputs that excite and one for those that do not.

    A type for every axon, though a core has four: what a type adds is then the weight itself.
    """
    v = torch.zeros(p.n, dtype=torch.float64)

    def step(weights: Whole, arriving: Whole) -> Whole:
        after, fired = truenorth_tick(
            v,
            torch.from_numpy(arriving),
            crossbar=torch.ones(weights.shape),
            types=torch.arange(weights.shape[1]),
            weights=torch.from_numpy(weights),
            leak=p.bias,
            threshold=p.threshold,
            reset="subtract" if p.subtract else "to_value",
        )
        v.copy_(after)
        return np.asarray(fired.numpy(), dtype=np.int64)

    return step
