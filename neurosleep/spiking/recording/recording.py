"""What is kept of a simulation: spike counts always; spikes, rates, potentials and weights as asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from neurosleep.errors import SettingsError, UnknownNameError, unknown_name
from neurosleep.functional import SpikeEvents
from neurosleep.spiking.recording.samples import States, WeightSamples

if TYPE_CHECKING:
    from neurosleep.spiking.recording.rate_monitor import RateMonitor
    from neurosleep.spiking.recording.spike_monitor import SpikeMonitor
    from neurosleep.spiking.recording.state_monitor import StateMonitor
    from neurosleep.spiking.recording.weight_monitor import WeightMonitor

__all__ = ["Record", "Recording"]

Neurons = Sequence[int] | npt.NDArray[np.integer[Any]]
Synapses = Sequence[tuple[int, int]] | npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Record:
    """What to record.

    Neurons are numbered from 0 in their population. Which populations and neurons there are is checked when a
    simulation or a sleep begins.

    Parameters
    ----------
    spikes:
        ``"all"`` keeps every spike, ``"counts"`` only the number per neuron, a tuple of population names keeps the
        spikes of those; a mapping says for each population ``"all"`` or the neurons whose spikes are kept.
    rates_every:
        Length in steps of the windows in which the spikes of each population are counted.
    groups:
        By population, named groups of neurons whose spikes are counted in these windows too, such as those that prefer
        one class: ``{"hidden1": {"class 0": [3, 17], "class 1": [5]}}``.
    potentials, potentials_every:
        By population ``"all"`` or the neurons whose membrane potentials are kept, after every so many steps.
    weights, weights_every:
        ``"statistics"`` keeps mean, standard deviation, range and change of every weight matrix after every so many
        steps; a mapping from projection (``"hidden1 -> output"``) to pairs (post, pre) keeps the weights of these
        synapses.
    folder:
        Where recorded spikes, potentials and weights are written while the simulation runs, as ``.npy`` files which
        are then read as needed, so that memory stays small however many there are; the folder must hold no other
        recording. :meth:`Recording.open` reads it again. Not given: they are kept in memory.

    Notes
    -----
    Potentials and weights can be seen only between stretches that an engine runs in one go, which are then as short as
    the steps between two looks: the numbers stay the same, to the bit, but the ``event`` engine loses speed when it is
    stopped every few steps, and each look at the statistics of the weights reads all of them.
    """

    spikes: Literal["all", "counts"] | tuple[str, ...] | Mapping[str, Literal["all"] | Neurons] = "counts"
    rates_every: int = 500
    groups: Mapping[str, Mapping[str, Neurons]] = field(default_factory=dict)
    potentials: Mapping[str, Literal["all"] | Neurons] = field(default_factory=dict)
    potentials_every: int = 1
    weights: Literal["none", "statistics"] | Mapping[str, Synapses] = "none"
    weights_every: int = 1000
    folder: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.spikes, str) and self.spikes not in ("all", "counts"):
            raise UnknownNameError(
                f"There is no recording named {self.spikes!r}.",
                expected="one of: all, counts",
                hint=f"did you mean 'counts', or the spikes of a population of this name, spikes=({self.spikes!r},)?",
            )
        if isinstance(self.weights, str) and self.weights not in ("none", "statistics"):
            raise unknown_name("recording of weights", self.weights, ("none", "statistics"))
        if not isinstance(self.spikes, str | Mapping) and not (
            isinstance(self.spikes, Sequence) and all(isinstance(name, str) for name in self.spikes)
        ):
            raise SettingsError(
                f"spikes is {self.spikes!r}.",
                expected="'all', 'counts', names of populations, or neurons by population",
            )
        for key, inner in (("groups", "neurons by group, by population"), ("potentials", "neurons by population")):
            if not isinstance(getattr(self, key), Mapping):
                raise SettingsError(f"{key} is {getattr(self, key)!r}.", expected=f"a mapping: {inner}")
        if not all(isinstance(groups, Mapping) for groups in self.groups.values()):
            raise SettingsError(f"groups is {self.groups!r}.", expected="a mapping: neurons by group, by population")
        if not isinstance(self.weights, str | Mapping):
            raise SettingsError(
                f"weights is {self.weights!r}.", expected="'none', 'statistics', or pairs (post, pre) by projection"
            )
        for key in ("rates_every", "potentials_every", "weights_every"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise SettingsError(f"{key} is {value!r}.", expected="a number of steps >= 1")

    @property
    def samples(self) -> bool:
        """Whether anything is to be looked at between steps: potentials or weights."""
        return bool(self.potentials) or self.weights != "none"


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
    """

    steps: int
    dt: float
    counts: dict[str, npt.NDArray[np.int64]]
    window: int = 500
    windows: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    spikes: dict[str, SpikeEvents] = field(default_factory=dict)
    potentials: dict[str, npt.NDArray[np.floating]] = field(default_factory=dict)
    kept: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    group_windows: dict[str, dict[str, npt.NDArray[np.int64]]] = field(default_factory=dict)
    group_neurons: dict[str, dict[str, npt.NDArray[np.int64]]] = field(default_factory=dict)
    states: dict[str, States] = field(default_factory=dict)
    weights: dict[str, WeightSamples] = field(default_factory=dict)

    def spikes_per_step(self, population: str) -> float:
        """Mean number of spikes of the whole population in a step."""
        return float(self._of(population).sum()) / self.steps if self.steps else 0.0

    def rate(self, population: str) -> npt.NDArray[np.float64]:
        """Mean firing rate of each neuron in Hz, in the shape of its counts; NaN if there was no step."""
        counts = self._of(population)
        return counts / (self.steps * self.dt) if self.steps else np.full(counts.shape, np.nan)

    def _of(self, population: str) -> npt.NDArray[np.int64]:
        if population not in self.counts:
            raise unknown_name("population", population, self.counts)
        return self.counts[population]

    def monitor(self, population: str, neurons: Neurons | None = None) -> SpikeMonitor:
        """The spikes of a population, or of some of its neurons, in the vocabulary of Brian 2."""
        from neurosleep.spiking.recording.spike_monitor import SpikeMonitor

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
        from neurosleep.spiking.recording.rate_monitor import RateMonitor

        return RateMonitor(self, population, group=group, neurons=neurons, window=window)

    def state_monitor(self, population: str) -> StateMonitor:
        """The membrane potentials of a population that were kept."""
        from neurosleep.spiking.recording.state_monitor import StateMonitor

        return StateMonitor(self, population)

    def weight_monitor(self, projection: str) -> WeightMonitor:
        """The weights of a projection (``"hidden1 -> output"``) that were kept."""
        from neurosleep.spiking.recording.weight_monitor import WeightMonitor

        return WeightMonitor(self, projection)

    def to_npz(self, path: str | os.PathLike[str]) -> Path:
        """Write all of it to one compressed ``.npz`` file; :meth:`open` gives it back."""
        from neurosleep.spiking.recording.files import write_npz

        return write_npz(self, path)

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write the recorded spikes as a table: ``population``, ``neuron``, ``step``, ``time`` in seconds."""
        from neurosleep.spiking.recording.files import write_spikes_csv

        return write_spikes_csv(self, path)

    def to_neo(self) -> Any:
        """A ``neo.Block`` of one segment: spike trains, potentials and weights (extra ``neo``)."""
        from neurosleep.spiking.recording.neo import recording_to_neo

        return recording_to_neo(self)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Recording:
        """Read what :meth:`to_npz` wrote, or a folder that was recorded into, also by a process that was killed.

        The spikes of one sleep in a run's folder (``spikes/task1.npz``) can be read too.

        Raises
        ------
        DataError
            If there is no recording, or a damaged one.
        """
        from neurosleep.spiking.recording.files import read_recording

        return read_recording(path)
