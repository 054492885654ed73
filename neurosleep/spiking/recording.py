"""What is kept of a simulation: spike counts always, spikes and rates as asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from neurosleep.errors import SettingsError, unknown_name
from neurosleep.functional import SpikeEvents

__all__ = ["Record", "Recorder", "Recording"]


@dataclass(frozen=True)
class Record:
    """What to record.

    Parameters
    ----------
    spikes:
        ``"all"`` keeps every spike, ``"counts"`` only the number per neuron, a tuple of population names keeps the
        spikes of those.
    rates_every:
        Length in steps of the windows in which the spikes of each population are counted.
    """

    spikes: Literal["all", "counts"] | tuple[str, ...] = "counts"
    rates_every: int = 500

    def __post_init__(self) -> None:
        if isinstance(self.spikes, str) and self.spikes not in ("all", "counts"):
            raise unknown_name("recording", self.spikes, ("all", "counts"))
        if self.rates_every < 1:
            raise SettingsError(f"rates_every is {self.rates_every!r}.", expected="a number of steps >= 1")


@dataclass(frozen=True, eq=False)
class Recording:
    """What happened in a simulation.

    Attributes
    ----------
    steps, dt:
        Number of steps and their length in seconds.
    counts:
        Spikes per neuron, int64 ``[n]`` (``[batch, n]`` after a batched ``simulate``), by population.
    windows:
        Spikes of the whole population in consecutive windows of ``window`` steps, int64 ``[windows]``, by population.
    spikes:
        The spikes themselves, by population, where they were recorded.
    potentials:
        Membrane potentials after the last step, ``[n]`` (``[batch, n]``), of the populations that never fire (kind
        ``li``): what a network says whose last layer is read and not counted.
    """

    steps: int
    dt: float
    counts: dict[str, npt.NDArray[np.int64]]
    window: int = 500
    windows: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    spikes: dict[str, SpikeEvents] = field(default_factory=dict)
    potentials: dict[str, npt.NDArray[np.floating]] = field(default_factory=dict)

    def spikes_per_step(self, population: str) -> float:
        """Mean number of spikes of the whole population in a step."""
        return float(self.counts[population].sum()) / self.steps if self.steps else 0.0

    def rate(self, population: str) -> npt.NDArray[np.float64]:
        """Mean firing rate of each neuron in Hz, in the shape of its counts."""
        return self.counts[population] / (self.steps * self.dt)


class Recorder:
    """Collects a :class:`Recording` chunk by chunk; memory grows only with what is recorded."""

    def __init__(self, record: Record, sizes: Mapping[str, int], dt: float) -> None:
        if not isinstance(record.spikes, str):
            for name in record.spikes:
                if name not in sizes:
                    raise unknown_name("population", name, sizes)
        self._record, self._sizes, self._dt = record, dict(sizes), dt
        everything = set(sizes) if record.spikes == "all" else set()
        self._keep = everything if isinstance(record.spikes, str) else set(record.spikes)
        self._steps = 0
        self._counts = {name: np.zeros(n, dtype=np.int64) for name, n in sizes.items()}
        self._windows: dict[str, list[int]] = {name: [] for name in sizes}
        self._chunks: dict[str, list[SpikeEvents]] = {name: [] for name in self._keep}

    def add(self, chunk: Mapping[str, SpikeEvents]) -> None:
        """Take in the spikes of the next steps, by population."""
        every, start = self._record.rates_every, self._steps
        steps = next(iter(chunk.values())).steps
        for name, events in chunk.items():
            self._counts[name] += events.counts()
            windows = self._windows[name]
            windows += [0] * (-(-(start + steps) // every) - len(windows))
            edge = start
            while edge < start + steps:
                stop = min((edge // every + 1) * every, start + steps)
                windows[edge // every] += int(events.offsets[stop - start] - events.offsets[edge - start])
                edge = stop
            if name in self._keep:
                self._chunks[name].append(events)
        self._steps += steps

    def recording(self) -> Recording:
        """Everything collected so far."""
        return Recording(
            steps=self._steps,
            dt=self._dt,
            counts={name: counts.copy() for name, counts in self._counts.items()},
            window=self._record.rates_every,
            windows={name: np.array(values, dtype=np.int64) for name, values in self._windows.items()},
            spikes={name: SpikeEvents.concatenate(parts, self._sizes[name]) for name, parts in self._chunks.items()},
        )
