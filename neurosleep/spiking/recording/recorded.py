"""What was kept of a simulation, as plain arrays by population; monitors and files read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from neurosleep.errors import unknown_name
from neurosleep.functional import SpikeEvents
from neurosleep.spiking.recording.samples import States, WeightSamples
from neurosleep.spiking.recording.sleep_span import SleepSpan, check_spans

__all__ = ["Counts", "Recorded"]

#: Spikes, or sums of graded values.
Counts: TypeAlias = npt.NDArray[np.int64] | npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Recorded:
    """What a :class:`~neurosleep.spiking.Recording` holds; see there."""

    steps: int
    dt: float
    counts: dict[str, Counts]
    window: int = 500
    windows: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    spikes: dict[str, SpikeEvents] = field(default_factory=dict)
    potentials: dict[str, npt.NDArray[np.floating]] = field(default_factory=dict)
    kept: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    group_windows: dict[str, dict[str, npt.NDArray[np.int64]]] = field(default_factory=dict)
    group_neurons: dict[str, dict[str, npt.NDArray[np.int64]]] = field(default_factory=dict)
    states: dict[str, States] = field(default_factory=dict)
    weights: dict[str, WeightSamples] = field(default_factory=dict)
    engine: str | None = None
    coding: str | None = None
    last: str | None = None
    outputs: npt.NDArray[np.floating] | None = None
    hypnogram: tuple[SleepSpan, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "hypnogram", check_spans(self.hypnogram, self.steps))

    def spikes_per_step(self, population: str) -> float:
        """Mean number of spikes of the whole population in a step."""
        return float(self._of(population).sum()) / self.steps if self.steps else 0.0

    def rate(self, population: str) -> npt.NDArray[np.float64]:
        """Mean firing rate of each neuron in Hz, in the shape of its counts; NaN if there was no step."""
        counts = self._of(population)
        return counts / (self.steps * self.dt) if self.steps else np.full(counts.shape, np.nan)

    def _of(self, population: str) -> Counts:
        if population not in self.counts:
            raise unknown_name("population", population, self.counts)
        return self.counts[population]
