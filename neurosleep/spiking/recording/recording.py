"""A recording: what happened in a simulation, with its monitors and its files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurosleep._shown import html_table, named, short_line
from neurosleep.spiking.recording.files import read_recording, write_npz, write_spikes_csv
from neurosleep.spiking.recording.neo import block
from neurosleep.spiking.recording.rate_monitor import RateMonitor
from neurosleep.spiking.recording.record import Neurons
from neurosleep.spiking.recording.recorded import Recorded
from neurosleep.spiking.recording.spike_monitor import SpikeMonitor
from neurosleep.spiking.recording.state_monitor import StateMonitor
from neurosleep.spiking.recording.weight_monitor import WeightMonitor

__all__ = ["Recording"]


@dataclass(frozen=True, eq=False)
class Recording(Recorded):
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
        The spikes themselves, by population, in the order of the network, where they were recorded.
    potentials:
        Membrane potentials after the last step, ``[n]`` (``[batch, n]``), of the populations that never fire (kind
        ``li``): what a network says whose last layer is read and not counted.
    kept:
        By population, the neurons whose spikes were recorded, int64, ascending; left out where all of them were.
    group_windows, group_neurons:
        By population and group: spikes in the windows, int64 ``[windows]``, and its neurons, int64.
    states, weights:
        Samples of potentials by population, and of weights by projection.

    See Also
    --------
    Record : what to keep
    SpikeMonitor, RateMonitor, StateMonitor, WeightMonitor : views of it

    Examples
    --------
    >>> import torch
    >>> from neurosleep import Recording, SpikeEvents
    >>> events = SpikeEvents.from_dense(torch.eye(3, dtype=torch.bool))
    >>> recording = Recording(3, 0.001, {"hidden1": events.counts()}, spikes={"hidden1": events})
    >>> recording.monitor("hidden1").t
    array([0.   , 0.001, 0.002])
    """

    def __repr__(self) -> str:
        shapes = [f"{name} {'x'.join(map(str, counts.shape))}" for name, counts in self.counts.items()]
        parts = ("spikes", "potentials", "groups", "states", "weights")
        held = [part for part in parts if getattr(self, "group_windows" if part == "groups" else part)]
        also = f"; {', '.join(held)} of some" if held else ""
        time = f"{self.steps} steps of {self.dt:g} s"
        return short_line(f"<Recording: {time}; counts of {named(shapes)}{also}>")

    def _repr_html_(self) -> str:
        """One row per population: neurons, spikes and mean rate."""
        rows = [
            {"population": name, "shape": list(counts.shape), "spikes": int(counts.sum()), "rate (Hz)": rate}
            for name, counts in self.counts.items()
            for rate in [float(self.rate(name).mean())]
        ]
        return html_table(rows, f"Recording: {self.steps} steps of {self.dt:g} s")

    def monitor(self, population: str, neurons: Neurons | None = None) -> SpikeMonitor:
        """The spikes of a population, or of some of its neurons, in the vocabulary of Brian 2."""
        return SpikeMonitor(self, population, neurons)

    def rate_monitor(
        self,
        population: str,
        *,
        group: str | None = None,
        neurons: Neurons | None = None,
        window: int | None = None,
    ) -> RateMonitor:
        """The firing rate over time of a population, of a recorded group, or of some neurons."""
        return RateMonitor(self, population, group=group, neurons=neurons, window=window)

    def state_monitor(self, population: str) -> StateMonitor:
        """The membrane potentials of a population that were kept."""
        return StateMonitor(self, population)

    def weight_monitor(self, projection: str) -> WeightMonitor:
        """The weights of a projection (``"hidden1 -> output"``) that were kept."""
        return WeightMonitor(self, projection)

    def to_npz(self, path: str | os.PathLike[str]) -> Path:
        """Write all of it to one compressed ``.npz`` file; :meth:`open` gives it back."""
        return write_npz(self, path)

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write the recorded spikes as a table: ``population``, ``neuron``, ``step``, ``time`` in seconds."""
        return write_spikes_csv(self, path)

    def to_neo(self) -> Any:
        """A ``neo.Block`` of one segment: spike trains, potentials and weights (extra ``neo``)."""
        trains = [train for name in self.spikes for train in self.monitor(name).to_neo()]
        signals = [self.state_monitor(name).to_neo() for name in self.states]
        signals += [self.weight_monitor(name).to_neo() for name in self.weights]
        return block(trains, signals, self.dt, self.steps)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Recording:
        """Read what :meth:`to_npz` wrote, or a folder that was recorded into, also by a process that was killed.

        A run's folder holds one of each sleep that was recorded (``spikes/task1.npz``).

        Raises
        ------
        DataError
            If there is no recording, or a damaged one.
        """
        return cls(**vars(read_recording(path)))
