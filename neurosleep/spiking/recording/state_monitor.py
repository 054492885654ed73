"""Membrane potentials over time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosleep._shown import brief, html_table, to_frame
from neurosleep.errors import DataError, SettingsError, unknown_name
from neurosleep.spiking.recording.neo import sampled_signal
from neurosleep.spiking.recording.recorded import Recorded
from neurosleep.spiking.recording.table_files import write_arrays, write_csv

__all__ = ["NeuronState", "StateMonitor"]


@dataclass(frozen=True, eq=False)
class NeuronState:
    """The membrane potential of one neuron over time, as a monitor's ``[neuron]`` gives it.

    Attributes
    ----------
    t:
        Times in seconds, ``[samples]``.
    v:
        Potentials in units of the threshold, ``[samples]``.

    See Also
    --------
    StateMonitor : which gives it

    Examples
    --------
    >>> import numpy as np
    >>> from neurosleep.spiking import NeuronState
    >>> state = NeuronState(t=np.array([0.0, 0.001]), v=np.array([0.0, 0.4]))
    >>> state.v.tolist()
    [0.0, 0.4]
    """

    t: NDArray[np.float64]
    v: NDArray[Any]

    __repr__ = brief


class StateMonitor:
    """Membrane potentials of the neurons that were chosen: a view of a :class:`~neurosleep.Recording`.

    Parameters
    ----------
    recording:
        Made with ``Record(potentials={population: neurons}, potentials_every=n)``.
    population:
        Its name.

    Attributes
    ----------
    record:
        int64 ``[k]``: the neurons, in the order in which they were asked for.
    t:
        Times in seconds, ``[samples]``: 0, n dt, 2 n dt, …, each before the step that starts there.
    v:
        Potentials in units of the threshold, ``[k, samples]`` as in Brian 2; after a reset, as the step contract says.

    Raises
    ------
    UnknownNameError
        If there is no such population.
    DataError
        If its potentials were not recorded.

    See Also
    --------
    Record : chooses the neurons
    NeuronState : one of them

    Examples
    --------
    >>> import numpy as np
    >>> from neurosleep import Recording
    >>> from neurosleep.spiking import States
    >>> states = States(np.array([0, 1]), neurons=np.array([7]), values=np.array([[0.0], [0.5]]))
    >>> recording = Recording(2, 0.001, {"hidden1": np.zeros(10, dtype=np.int64)}, states={"hidden1": states})
    >>> recording.state_monitor("hidden1").v
    array([[0. , 0.5]])
    """

    def __init__(self, recording: Recorded, population: str) -> None:
        if population not in recording.counts:
            raise unknown_name("population", population, recording.counts)
        if population not in recording.states:
            names = ", ".join(recording.states)
            raise DataError(
                f"The recording holds no potentials of {population!r}.",
                found=f"potentials of {names}" if names else "no potentials",
                hint=f'Record(potentials={{"{population}": [0, 1]}}) keeps them',
            )
        states = recording.states[population]
        self.population, self.dt = population, recording.dt
        self.steps, self.record, self._values = states.steps, states.neurons, states.values

    @property
    def t(self) -> NDArray[np.float64]:
        """Times in seconds, ``[samples]``."""
        return np.multiply(self.steps, self.dt, dtype=np.float64)

    @property
    def v(self) -> NDArray[Any]:
        """Potentials, ``[neurons, samples]``."""
        return self._values.T

    def values(self) -> NDArray[Any]:
        """Potentials, time first: ``[samples, neurons]``."""
        return self._values

    def __getitem__(self, neuron: int) -> NeuronState:
        """The potential of one neuron, by its number in the population: ``monitor[3].v``, ``monitor[3].t``."""
        place = np.flatnonzero(self.record == neuron) if np.ndim(neuron) == 0 else np.zeros(0, np.int64)
        if not len(place):
            known = ", ".join(map(str, self.record[:20].tolist())) + ", …" * (len(self.record) > 20)
            raise SettingsError(
                f"The potential of neuron {neuron} of {self.population!r} was not recorded.",
                expected=f"one of: {known}",
            )
        return NeuronState(self.t, np.asarray(self._values[:, place[0]]))

    def _columns(self) -> dict[str, NDArray[Any]]:
        return {"time": self.t} | {f"neuron {k}": self[k].v for k in self.record.tolist()}

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write a table: ``time`` in seconds, and a column for each neuron."""
        return write_csv(path, self._columns())

    def to_pandas(self) -> Any:
        """The table of :meth:`to_csv` as a ``pandas.DataFrame`` (extra ``pandas``)."""
        return to_frame(self._columns())

    def to_npz(self, path: str | os.PathLike[str]) -> Path:
        """Write ``t``, ``v`` ``[neurons, samples]`` and ``record`` as arrays."""
        return write_arrays(path, {"t": self.t, "v": self.v, "record": self.record})

    def to_neo(self) -> Any:
        """A ``neo.AnalogSignal`` of dimensionless potentials, a channel for each neuron (extra ``neo``)."""
        name = f"potentials of {self.population}"
        return sampled_signal(self.values(), self.steps, self.dt, name, {"neuron": self.record})

    def _repr_html_(self) -> str:
        """One row per neuron: what its potential was in the mean, at least, at most and at last."""
        if not len(self._values):
            return html_table([], repr(self))
        columns = (self.v.mean(1), self.v.min(1), self.v.max(1), self.v[:, -1])
        rows = [
            dict(zip(("neuron", "mean", "smallest", "largest", "last"), (int(k), *map(float, values)), strict=True))
            for k, *values in zip(self.record, *columns, strict=True)
        ]
        return html_table(rows, repr(self))

    def __repr__(self) -> str:
        return f"<StateMonitor of {self.population!r}: {len(self.record)} neurons, {len(self.steps)} samples>"
