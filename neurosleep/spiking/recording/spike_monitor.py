"""The spikes of one population, in the vocabulary of Brian 2."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosleep._shown import html_table, to_frame
from neurosleep.errors import DataError, UnsupportedError, unknown_name
from neurosleep.functional import SpikeEvents
from neurosleep.spiking.recording.chosen import check_neurons
from neurosleep.spiking.recording.neo import spike_trains
from neurosleep.spiking.recording.record import Neurons
from neurosleep.spiking.recording.recorded import Recorded
from neurosleep.spiking.recording.table_files import write_arrays, write_csv

__all__ = ["SpikeMonitor"]


class SpikeMonitor:
    """The spikes of a population, or of some of its neurons: a view of a :class:`~neurosleep.Recording`.

    Parameters
    ----------
    recording:
        Of a sleep or a simulation of one train.
    population:
        Its name.
    neurons:
        Those to be looked at, or all.

    Attributes
    ----------
    neurons:
        int64 ``[k]``, ascending: the neurons that are looked at.
    count:
        int64 ``[k]``: the spikes of each; known also where single spikes were not recorded.
    num_spikes:
        Their sum.
    i, t:
        Neuron and time in seconds of every spike, ``[spikes]``, in the order of time (a spike of step k has the time
        ``k * dt``).

    Raises
    ------
    UnknownNameError
        If there is no such population.
    SettingsError
        If there is no such neuron.
    UnsupportedError
        If the recording is of a batch.
    DataError
        From ``i``, ``t`` and what is made of them, if the spikes of these neurons were not recorded.

    See Also
    --------
    Recording : whose ``monitor`` makes it
    RateMonitor : rates over time
    neurosleep.plot.raster : a picture of it

    Examples
    --------
    >>> import numpy as np
    >>> from neurosleep.functional import SpikeEvents
    >>> from neurosleep.spiking import Recording
    >>> events = SpikeEvents.from_dense(np.array([[1, 0], [0, 0], [1, 1]]))
    >>> m = Recording(3, 0.001, {"hidden1": events.counts()}, spikes={"hidden1": events}).monitor("hidden1")
    >>> m.num_spikes, m.count.tolist(), m.i.tolist(), m.t.tolist()
    (3, [2, 1], [0, 0, 1], [0.0, 0.002, 0.002])
    >>> m.spike_trains()[0].tolist()
    [0.0, 0.002]
    """

    def __init__(self, recording: Recorded, population: str, neurons: Neurons | None = None) -> None:
        if population not in recording.counts:
            raise unknown_name("population", population, recording.counts)
        counts = recording.counts[population]
        if counts.ndim != 1:
            raise UnsupportedError(
                f"The recording is of a batch of {len(counts)} samples.",
                expected="a recording of one train",
                hint="simulate one sample at a time to monitor it",
            )
        self._recording, self.population, self._n = recording, population, len(counts)
        self._asked = neurons is not None
        chosen: Any = "all" if neurons is None else neurons
        self.neurons = np.sort(check_neurons(population, chosen, len(counts), "monitor"))
        self.count = counts[self.neurons]

    @property
    def num_spikes(self) -> int:
        """Number of spikes of the neurons that are looked at."""
        return int(self.count.sum())

    @property
    def dt(self) -> float:
        """Length of a step in seconds."""
        return self._recording.dt

    @property
    def duration(self) -> float:
        """Length of the recording in seconds."""
        return self._recording.steps * self._recording.dt

    @property
    def recorded(self) -> NDArray[np.int64]:
        """The neurons, of those that are looked at, whose spikes were recorded one by one, int64, ascending."""
        kept = self._recording.kept.get(self.population)
        return self.neurons if self._asked or kept is None else kept

    @property
    def events(self) -> SpikeEvents:
        """The spikes by step, of all neurons of the population that are looked at (the others are silent)."""
        name = self.population
        if name not in self._recording.spikes:
            names = ", ".join(self._recording.spikes)
            raise DataError(
                f"The recording holds no single spikes of {name!r}.",
                found=f"spikes of {names}" if names else "spike counts only",
                hint='record=Record(spikes="all") keeps them',
            )
        spikes, kept = self._recording.spikes[name], self._recording.kept.get(name)
        if kept is not None:
            missing = np.setdiff1d(self.neurons, kept) if self._asked else np.zeros(0, np.int64)
            if len(missing):
                raise DataError(
                    f"The spikes of neuron {missing[0]} of {name!r} were not recorded.",
                    found=f"those of {len(kept)} neurons: {', '.join(map(str, kept[:20]))}{', …' * (len(kept) > 20)}",
                    hint="Record(spikes={...}) says whose spikes are kept",
                )
        if not self._asked:
            return spikes
        wanted = np.zeros(self._n, dtype=np.bool_)
        wanted[self.neurons] = True
        inside = wanted[spikes.indices]
        offsets = np.concatenate([[0], np.cumsum(inside)])[spikes.offsets].astype(np.int64)
        return SpikeEvents._trusted(self._n, offsets - offsets[0], spikes.indices[inside][offsets[0] :])

    @property
    def i(self) -> NDArray[np.int32]:
        """The neuron of each spike, int32 ``[spikes]``."""
        events = self.events
        return np.asarray(events.indices[events.offsets[0] : events.offsets[-1]])

    @property
    def t(self) -> NDArray[np.float64]:
        """The time of each spike in seconds, ``[spikes]``, ascending."""
        return np.multiply(self.events.times, self.dt, dtype=np.float64)

    @property
    def it(self) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """``i`` and ``t``."""
        return self.i, self.t

    def spike_trains(self) -> dict[int, NDArray[np.float64]]:
        """The spike times in seconds of each neuron that is looked at and was recorded; silent ones have none."""
        return self.values("t")

    def values(self, var: str = "t") -> dict[int, NDArray[Any]]:
        """For each neuron the ``"t"`` (times) or ``"i"`` (its own number, repeated) of its spikes."""
        if var not in ("i", "t"):
            raise unknown_name("variable of a spike monitor", var, ("i", "t"))
        i, t = self.it
        order = np.argsort(i, kind="stable")
        edges = np.concatenate([[0], np.cumsum(np.bincount(i, minlength=self._n))])
        sorted_values = (t if var == "t" else i)[order]
        return {k: sorted_values[edges[k] : edges[k + 1]] for k in self.recorded.tolist()}

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write a table of the spikes: ``neuron``, ``time`` in seconds."""
        return write_csv(path, self._columns())

    def to_pandas(self) -> Any:
        """The table of :meth:`to_csv` as a ``pandas.DataFrame`` (extra ``pandas``)."""
        return to_frame(self._columns())

    def _columns(self) -> dict[str, NDArray[Any]]:
        i, t = self.it
        return {"neuron": i, "time": t}

    def to_npz(self, path: str | os.PathLike[str]) -> Path:
        """Write ``i``, ``t``, ``count``, ``neurons``, ``dt`` and ``duration`` as arrays."""
        arrays: dict[str, NDArray[Any]] = {"i": self.i, "t": self.t, "count": self.count, "neurons": self.neurons}
        return write_arrays(path, {**arrays, "dt": np.array(self.dt), "duration": np.array(self.duration)})

    def to_neo(self) -> Any:
        """A list of ``neo.SpikeTrain`` in seconds, one for each neuron (extra ``neo``)."""
        return spike_trains(self.spike_trains(), self.population, self.dt, self.duration)

    def _repr_html_(self) -> str:
        """One row per neuron."""
        rows = [{"neuron": int(i), "spikes": int(n)} for i, n in zip(self.neurons, self.count, strict=True)]
        return html_table(rows, repr(self))

    def __repr__(self) -> str:
        whole = len(self.neurons) == self._n
        size = f"{self._n} neurons" if whole else f"{len(self.neurons)} of {self._n} neurons"
        return f"<SpikeMonitor of {self.population!r}: {self.num_spikes} spikes of {size} in {self.duration:g} s>"
