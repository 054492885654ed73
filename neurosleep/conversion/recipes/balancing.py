"""Threshold balancing: layer by layer, a threshold is the largest input that the spiking layers before it cause.

Diehl et al. (2015) and Sengupta et al. (2019, doi:10.3389/fnins.2019.00095), "Spike-Norm". Thresholds stay what they
are here; that a spike stands for so much more comes to the same.
"""

from __future__ import annotations

import torch
from torch import Tensor

from neurosleep.conversion._build import Neurons, build, spiking
from neurosleep.conversion.plan import Plan
from neurosleep.spiking.engines import ReferenceEngine

__all__ = ["balanced"]


@torch.no_grad()
def balanced(plan: Plan, images: Tensor, neurons: Neurons, dt: float, steps: int = 50) -> dict[str, float]:
    """The largest input of each spiking population over ``steps`` steps, 0 for one that gets none above 0.

    ``images`` are given as constant currents.
    """
    found: dict[str, float] = {}
    for planned in plan.populations:
        if not spiking(planned, neurons):
            continue
        known = {name: value or 1.0 for name, value in found.items()}  # what is silent needs no scale
        session = ReferenceEngine().start_batch(build(plan, known, neurons, dt, until=planned.name), len(images))
        largest = 0.0
        for _ in range(steps):
            largest = max(largest, float(session.step({"input": images.flatten(1)})[planned.name].max()))
        found[planned.name] = largest
    return found
