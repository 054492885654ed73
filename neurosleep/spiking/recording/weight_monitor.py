"""Weights over time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosleep._shown import html_table, to_frame
from neurosleep.errors import DataError, unknown_name
from neurosleep.spiking.recording.neo import sampled_signal
from neurosleep.spiking.recording.recorded import Recorded
from neurosleep.spiking.recording.samples import STATISTICS
from neurosleep.spiking.recording.table_files import write_arrays, write_csv

__all__ = ["WeightMonitor"]


class WeightMonitor:
    """Weights of the synapses that were chosen, or statistics of all of them: a view of a recording.

    Parameters
    ----------
    recording:
        Made with ``Record(weights={projection: synapses}, weights_every=n)``, or with ``weights="statistics"``.
    projection:
        Its name, ``"source -> target"``.

    Attributes
    ----------
    t:
        Times in seconds, ``[samples]``: 0, n dt, 2 n dt, …
    post, pre:
        int64 ``[k]``: the neurons that each synapse leads to and comes from (Brian 2: j and i).
    w:
        Weights, ``[k, samples]`` as in Brian 2.
    mean, sd, smallest, largest, change:
        Statistics, ``[samples]``; ``change`` is the root mean square of the change since the start.

    Raises
    ------
    UnknownNameError
        If nothing of this projection was recorded.
    DataError
        From ``post``, ``pre``, ``w`` where statistics were kept, and the other way round.

    See Also
    --------
    Record : chooses the synapses
    neurosleep.plot.weight_change : a picture of it

    Examples
    --------
    >>> import numpy as np
    >>> from neurosleep import Recording
    >>> from neurosleep.spiking import WeightSamples
    >>> samples = WeightSamples(np.array([0, 1000]), synapses=np.array([[3, 1]]), values=np.array([[0.5], [0.75]]))
    >>> counts = {"input": np.zeros(4, dtype=np.int64), "output": np.zeros(4, dtype=np.int64)}
    >>> recording = Recording(1000, 0.001, counts, weights={"input -> output": samples})
    >>> recording.weight_monitor("input -> output").w
    array([[0.5 , 0.75]])
    """

    def __init__(self, recording: Recorded, projection: str) -> None:
        if not recording.weights:
            raise DataError(
                "The recording holds no weights.", hint='Record(weights="statistics"), or synapses by projection'
            )
        if projection not in recording.weights:
            raise unknown_name("recorded projection", projection, recording.weights)
        samples = recording.weights[projection]
        self.projection, self.dt = projection, recording.dt
        self.steps, self._synapses, self._values = samples.steps, samples.synapses, samples.values

    @property
    def t(self) -> NDArray[np.float64]:
        """Times in seconds, ``[samples]``."""
        return np.multiply(self.steps, self.dt, dtype=np.float64)

    @property
    def post(self) -> NDArray[np.int64]:
        """The neuron that each synapse leads to, int64 ``[k]``."""
        return self._pairs()[:, 0]

    @property
    def pre(self) -> NDArray[np.int64]:
        """The neuron that each synapse comes from, int64 ``[k]``."""
        return self._pairs()[:, 1]

    @property
    def w(self) -> NDArray[Any]:
        """Weights, ``[synapses, samples]``."""
        self._pairs()
        return self._values.T

    @property
    def channels(self) -> list[str]:
        """What each column of :meth:`values` is: ``post <- pre``, or the name of the statistic."""
        if self._synapses is None:
            return list(STATISTICS)
        return [f"{post} <- {pre}" for post, pre in self._synapses.tolist()]

    def values(self) -> NDArray[Any]:
        """Weights ``[samples, synapses]``, or statistics ``[samples, 5]`` in the order above: time first."""
        return self._values

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of all weights, ``[samples]``."""
        return self._statistic("mean")

    @property
    def sd(self) -> NDArray[np.float64]:
        """Their standard deviation, which divides by their number, ``[samples]``."""
        return self._statistic("sd")

    @property
    def smallest(self) -> NDArray[np.float64]:
        """The smallest weight, ``[samples]``."""
        return self._statistic("smallest")

    @property
    def largest(self) -> NDArray[np.float64]:
        """The largest weight, ``[samples]``."""
        return self._statistic("largest")

    @property
    def change(self) -> NDArray[np.float64]:
        """Root mean square of the change of the weights since the start, ``[samples]``."""
        return self._statistic("change")

    def _pairs(self) -> NDArray[np.int64]:
        if self._synapses is None:
            raise DataError(
                f"Statistics of the weights of {self.projection!r} were recorded, and no single synapses.",
                hint=f'Record(weights={{"{self.projection}": [(post, pre), ...]}})',
            )
        return self._synapses

    def _statistic(self, name: str) -> NDArray[np.float64]:
        if self._synapses is not None:
            raise DataError(
                f"Single synapses of {self.projection!r} were recorded, and no statistics.",
                hint='Record(weights="statistics")',
            )
        return np.asarray(self._values[:, STATISTICS.index(name)])

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write a table: ``time`` in seconds, and a column for each synapse (``post <- pre``) or statistic."""
        return write_csv(path, self._columns())

    def to_pandas(self) -> Any:
        """The table of :meth:`to_csv` as a ``pandas.DataFrame`` (extra ``pandas``)."""
        return to_frame(self._columns())

    def _columns(self) -> dict[str, NDArray[Any]]:
        return {"time": self.t} | {name: self._values[:, k] for k, name in enumerate(self.channels)}

    def to_npz(self, path: str | os.PathLike[str]) -> Path:
        """Write ``t``, and ``w``, ``post``, ``pre``, or each statistic, as arrays."""
        if self._synapses is None:
            return write_arrays(path, {"t": self.t} | {name: self._statistic(name) for name in STATISTICS})
        return write_arrays(path, {"t": self.t, "w": self.w, "post": self.post, "pre": self.pre})

    def to_neo(self) -> Any:
        """A ``neo.AnalogSignal`` without a unit, a channel for each synapse or statistic (extra ``neo``)."""
        channels = {"channel": np.array(self.channels)}
        return sampled_signal(self.values(), self.steps, self.dt, f"weights of {self.projection}", channels)

    def _repr_html_(self) -> str:
        """One row per sample of statistics; of single synapses one row each, with its first and its last weight."""
        rows: list[dict[str, object]] = []
        if self._synapses is None:
            names = ("time (s)", *STATISTICS)
            for time, values in zip(self.t.tolist(), self._values.tolist(), strict=True):
                rows.append(dict(zip(names, (time, *values), strict=True)))
        elif len(self._values):
            first, last = self._values[0].tolist(), self._values[-1].tolist()
            for name, then, now in zip(self.channels, first, last, strict=True):
                rows.append({"post <- pre": name, "first": then, "last": now})
        return html_table(rows, repr(self))

    def __repr__(self) -> str:
        what = "statistics" if self._synapses is None else f"{len(self._synapses)} synapses"
        return f"<WeightMonitor of {self.projection!r}: {what}, {len(self.steps)} samples>"
