"""Threshold balancing: layer by layer, a threshold is the largest input that the spiking layers before it cause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from neurosleep._checks import check_count
from neurosleep.conversion._build import Neurons, build, spiking
from neurosleep.conversion.plan import Plan
from neurosleep.conversion.recipes.base import ActivityRecipe
from neurosleep.spiking.engines import ReferenceEngine

__all__ = ["Balance"]


@dataclass(frozen=True)
class Balance(ActivityRecipe):
    """Threshold balancing ("Spike-Norm"): a spike stands for the largest input that the spiking layers before cause.

    Layer by layer the network converted so far is simulated, with the calibration images as constant currents.
    Thresholds stay what they are here; that a spike stands for so much more comes to the same.

    Parameters
    ----------
    steps:
        Steps of each simulation, at least 1.

    Raises
    ------
    SettingsError
        If ``steps`` is no such number.

    See Also
    --------
    Maximum : the largest activity of the model, without a simulation
    neurosleep.convert : what reads it

    References
    ----------
    Diehl et al. (2015), doi:10.1109/IJCNN.2015.7280696; Sengupta et al. (2019), doi:10.3389/fnins.2019.00095.

    Examples
    --------
    >>> Balance(steps=20)
    Balance(steps=20)
    """

    steps: int = 50
    name: ClassVar[str] = "balance"

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", check_count("steps", self.steps))

    @torch.no_grad()
    def largest(self, plan: Plan, images: Tensor, neurons: Neurons, dt: float) -> dict[str, float]:
        """What one spike of each population stands for, by name; 0 for one that gets no input above 0."""
        largest: dict[str, float] = {}
        for planned in plan.populations:
            if not spiking(planned, neurons):
                continue
            scaled = {name: value or 1.0 for name, value in largest.items()}  # what is silent needs no scale
            session = ReferenceEngine().start_batch(build(plan, scaled, neurons, dt, until=planned.name), len(images))
            inputs = (session.step({"input": images.flatten(1)})[planned.name] for _ in range(self.steps))
            largest[planned.name] = min(planned.most, max(0.0, *(float(currents.max()) for currents in inputs)))
        return largest
