"""A recording: what happened in a simulation, with its monitors and its files."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosleep._shown import html_table, named, short_line, to_frame
from neurosleep.errors import DataError, SettingsError
from neurosleep.functional import SpikeEvents
from neurosleep.spiking.recording.files import read_recording, spike_columns, write_npz, write_spikes_csv
from neurosleep.spiking.recording.neo import block
from neurosleep.spiking.recording.nwb import write_nwb
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
        By population, ``[n]``, of a batch ``[batch, n]``: spikes, int64; of a graded input, and of relays in a batch,
        the sum of what they sent, float64.
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
    engine, coding:
        What stepped it, and how images were shown; None where it is not known, or there were none.
    last, outputs:
        The population that :attr:`read_out` is of, and the read-out where it was kept.
    hypnogram:
        Of a sleep: its stages and their states, one :class:`SleepSpan` after another.

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
        time += "".join(f", {key} {value!r}" for key in ("engine", "coding") if (value := getattr(self, key)))
        return short_line(f"<Recording: {time}; counts of {named(shapes)}{also}>")

    def _repr_html_(self) -> str:
        """One row per population: neurons, spikes and mean rate."""
        rows = [
            {"population": name, "shape": list(counts.shape), "spikes": counts.sum().item(), "rate (Hz)": rate}
            for name, counts in self.counts.items()
            for rate in [float(self.rate(name).mean())]
        ]
        return html_table(rows, f"Recording: {self.steps} steps of {self.dt:g} s")

    @property
    def read_out(self) -> NDArray[np.floating]:
        """What the network says after every step, ``[steps, n]`` or ``[steps, batch, n]``.

        Of its last population (:attr:`SpikingNetwork.last`) the spikes so far, or the membrane potential where it never
        fires (kind ``li``). Kept of images and batches; of single spikes, or all potentials, it is made when asked for.

        Raises
        ------
        DataError
            If neither was recorded.
        """
        if self.outputs is not None:
            return self.outputs
        name = self.last or ""
        states, events = self.states.get(name), self.spikes.get(name)
        if name in self.potentials:
            neurons = np.arange(len(self.potentials[name]))
            if states is not None and np.array_equal(states.neurons, neurons) and len(states.steps) > self.steps:
                return np.asarray(states.values[1:])
            hint = f'Record(potentials={{"{name}": "all"}})'
        else:
            if events is not None and name not in self.kept:
                return np.cumsum(events.to_dense().numpy(), axis=0, dtype=np.float64)
            hint = f'Record(spikes=("{name}",))'
        raise DataError(
            f"What {name or 'the last population'!r} said after every step was not recorded.",
            hint=f"record={hint}, or a batch: spikes [time, 1, n]",
        )

    def accuracy(self, labels: ArrayLike) -> NDArray[np.float64]:
        """The fraction of images whose label has the largest read-out, after every step: ``[steps]``.

        ``labels`` ``[batch]`` are integers, of one image a single one.
        """
        said, expected = self.read_out, np.asarray(labels)
        if expected.shape != said.shape[1:-1]:
            raise SettingsError(
                f"{expected.shape} labels were given.", expected=f"of shape {said.shape[1:-1]}, one for each image"
            )
        right = said.argmax(-1) == expected
        return np.asarray(right.reshape(len(right), -1).mean(1), dtype=np.float64)

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

    def then(self, later: Recording) -> Recording:
        """One recording of this one and a ``later`` one of the same network: counts, spikes and hypnogram.

        Populations that fire in one alone, as an output does that is read in the other, are silent there. Of samples
        of weights, those of the first that has them of a projection.

        Raises
        ------
        DataError
            If populations of one name differ in size, or steps in length, or spikes were recorded of some neurons only.
        """
        shared = self.counts.keys() & later.counts.keys()
        fits = shared and all(self.counts[name].shape == later.counts[name].shape for name in shared)
        if not fits or self.dt != later.dt or self.kept or later.kept:
            raise DataError(
                "These recordings do not follow one another.",
                found=f"populations {named(list(self.counts))} and {named(list(later.counts))}, "
                f"steps of {self.dt:g} and {later.dt:g} s",
                expected="the same populations, all neurons of each, and steps of one length",
            )
        counts, spikes = dict(self.counts), dict(self.spikes)
        for name, more in later.counts.items():
            counts[name] = counts[name] + more if name in counts else more
        for name in self.spikes.keys() | later.spikes.keys():
            n = len(counts[name])
            silent = (SpikeEvents.empty(n, one.steps) for one in (self, later))
            pair = [one.spikes.get(name, none) for one, none in zip((self, later), silent, strict=True)]
            spikes[name] = SpikeEvents.concatenate(pair, n)
        moved = {name: replace(kept, steps=kept.steps + self.steps) for name, kept in later.weights.items()}
        return Recording(
            self.steps + later.steps,
            self.dt,
            counts,
            spikes={name: spikes[name] for name in counts if name in spikes},
            weights={**moved, **self.weights},
            engine=self.engine if self.engine == later.engine else None,
            hypnogram=(*self.hypnogram, *(replace(s, start=s.start + self.steps) for s in later.hypnogram)),
        )

    def to_npz(self, path: str | os.PathLike[str]) -> Path:
        """Write all of it to one compressed ``.npz`` file; :meth:`open` gives it back."""
        return write_npz(self, path)

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write the recorded spikes as a table: ``population``, ``neuron``, ``step``, ``time`` in seconds."""
        return write_spikes_csv(self, path)

    def to_pandas(self) -> Any:
        """The recorded spikes as a ``pandas.DataFrame`` of the columns of :meth:`to_csv` (extra ``pandas``).

        Monitors have tables of theirs, such as ``recording.rate_monitor("hidden1").to_pandas()``.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        DataError
            If no single spikes were recorded.

        Examples
        --------
        >>> import numpy as np
        >>> from neurosleep import Recording, SpikeEvents
        >>> events = SpikeEvents.from_dense(np.array([[1, 0], [0, 0], [1, 1]]))
        >>> recording = Recording(3, 0.001, {"hidden1": events.counts()}, spikes={"hidden1": events})
        >>> recording.to_pandas().groupby("neuron").size().tolist()
        [2, 1]
        """
        return to_frame(spike_columns(self))

    def to_neo(self) -> Any:
        """A ``neo.Block`` of one segment: spike trains, potentials and weights (extra ``neo``)."""
        trains = [train for name in self.spikes for train in self.monitor(name).to_neo()]
        signals = [self.state_monitor(name).to_neo() for name in self.states]
        signals += [self.weight_monitor(name).to_neo() for name in self.weights]
        return block(trains, signals, self.dt, self.steps)

    def to_nwb(
        self,
        path: str | os.PathLike[str],
        *,
        description: str = "spikes of a simulated network",
        start: datetime | None = None,
    ) -> Path:
        """Write a file of Neurodata Without Borders (extra ``nwb``), which tools of neurophysiology read.

        Neurons whose spikes were recorded are units, each with its ``population`` and its number there (``neuron``);
        ``processing["neurosleep"]`` holds the counts of all neurons, firing rates, potentials and weights over time,
        and a sleep's stages are the intervals ``hypnogram``. Times are seconds since the start. A ``/`` or ``:`` in a
        name is written as ``%2F``, ``%3A``.

        Parameters
        ----------
        path:
            The file, which is there whole or not at all.
        description:
            What was recorded, in a sentence.
        start:
            When the session started, with its time zone; None: now.

        Raises
        ------
        UnsupportedError
            If the recording is of a batch.
        MissingExtraError, SettingsError, DataError
            If pynwb is not there, an option makes no sense, or the file cannot be written.

        References
        ----------
        Rübel et al. (2022). The Neurodata Without Borders ecosystem for neurophysiological data science. eLife 11,
        doi:10.7554/eLife.78362.
        """
        return write_nwb(self, path, description, start)

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
