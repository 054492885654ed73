"""The firing rate of a population, or of a group of its neurons, over time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosleep._checks import check_count, check_number
from neurosleep._shown import html_table, to_frame
from neurosleep.errors import DataError, SettingsError, UnsupportedError, unknown_name
from neurosleep.spiking.recording.chosen import check_neurons
from neurosleep.spiking.recording.neo import rate_signal
from neurosleep.spiking.recording.record import Neurons
from neurosleep.spiking.recording.recorded import Recorded
from neurosleep.spiking.recording.spike_monitor import SpikeMonitor
from neurosleep.spiking.recording.table_files import write_arrays, write_csv

__all__ = ["RateMonitor"]


class RateMonitor:
    """Mean firing rate per neuron in consecutive windows: a view of a :class:`~neurosleep.Recording`.

    Parameters
    ----------
    recording, population:
        As for :class:`SpikeMonitor`; spike counts are enough.
    group:
        A group of its neurons that was recorded (``Record(groups=...)``).
    neurons:
        Or some neurons, whose spikes must have been recorded.
    window:
        Length in steps; that of the recording, if not given. Another one needs recorded spikes, unless it is a
        multiple.

    Attributes
    ----------
    window:
        Length of a window in steps; the last one may be shorter.
    spikes:
        int64 ``[windows]``: spikes in each.
    t:
        Start of each window in seconds, ``[windows]``.
    rate:
        Spikes per neuron and second, ``[windows]``; NaN of a group without neurons.

    Raises
    ------
    UnknownNameError
        If there is no such population or group.
    SettingsError
        If there is no such neuron, or the window is not positive.
    DataError
        If it takes spikes that were not recorded.

    See Also
    --------
    SpikeMonitor : the single spikes
    neurosleep.plot.rates : a picture of it

    Examples
    --------
    >>> import torch
    >>> from neurosleep import Recording, SpikeEvents
    >>> events = SpikeEvents.from_dense(torch.tensor([[1, 0], [0, 0], [1, 1], [0, 0]], dtype=torch.bool))
    >>> recording = Recording(4, 0.001, {"hidden1": events.counts()}, spikes={"hidden1": events})
    >>> recording.rate_monitor("hidden1", window=2).rate
    array([250., 500.])
    """

    def __init__(
        self,
        recording: Recorded,
        population: str,
        *,
        group: str | None = None,
        neurons: Neurons | None = None,
        window: int | None = None,
    ) -> None:
        if population not in recording.counts:
            raise unknown_name("population", population, recording.counts)
        if recording.counts[population].ndim != 1:
            raise UnsupportedError("Rates over time are not recorded of a batch.", expected="a recording of one train")
        if group is not None and neurons is not None:
            raise SettingsError("A group and neurons are given.", expected="one of the two")
        self.population, self.group, self.dt, self.steps = population, group, recording.dt, recording.steps
        self.window = recording.window if window is None else check_count("The window", window)
        n = len(recording.counts[population])
        counted = recording.windows.get(population)
        if group is not None:
            groups = recording.group_neurons.get(population, {})
            if group not in groups:
                raise _unknown_group(population, group, list(groups))
            chosen = groups[group]
            counted = recording.group_windows[population][group]
        else:
            chosen = np.arange(n) if neurons is None else check_neurons(population, neurons, n, "rates")
            counted = counted if neurons is None else None
        self.neurons = chosen
        if counted is not None and self.window % recording.window == 0:
            edges = np.arange(0, len(counted), self.window // recording.window)
            self.spikes = np.add.reduceat(counted, edges) if len(edges) else np.zeros(0, np.int64)
        else:
            everyone = group is None and neurons is None
            events = SpikeMonitor(recording, population, None if everyone else chosen).events
            if everyone and population in recording.kept:
                raise DataError(
                    f"Only some neurons of {population!r} were recorded one spike at a time.",
                    hint=f"a window that is a multiple of {recording.window} steps, or neurons=...",
                )
            edges = np.minimum(np.arange(0, self.steps + self.window, self.window), self.steps)
            self.spikes = np.diff(events.offsets[edges]) if self.steps else np.zeros(0, np.int64)

    @property
    def t(self) -> NDArray[np.float64]:
        """Start of each window in seconds, ``[windows]``."""
        return np.multiply(np.arange(len(self.spikes)), self.window * self.dt, dtype=np.float64)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps in each window, ``[windows]``."""
        starts = np.arange(len(self.spikes), dtype=np.int64) * self.window
        return np.minimum(self.window, self.steps - starts)

    @property
    def rate(self) -> NDArray[np.float64]:
        """Mean firing rate of a neuron in each window in Hz, ``[windows]``."""
        if not len(self.neurons):
            return np.full(len(self.spikes), np.nan)
        return np.asarray(self.spikes / (len(self.neurons) * self.lengths * self.dt))

    def smooth_rate(self, window: str = "gaussian", *, width: float) -> NDArray[np.float64]:
        """The rate averaged over its neighbours in time, in Hz, ``[windows]``.

        Parameters
        ----------
        window:
            As in Brian 2: ``"gaussian"``, of which ``width`` is the standard deviation and which is truncated at two of
            them, or ``"flat"``, whose whole ``width`` is rounded to an odd number of windows. Other than in Brian 2, at
            the edges only what was recorded is averaged.
        width:
            In seconds.
        """
        if window not in ("gaussian", "flat"):
            raise unknown_name("window to smooth with", str(window), ("gaussian", "flat"))
        width = check_number("The width, in seconds,", width, above=0)
        n, widths = len(self.spikes), width / (self.window * self.dt)
        if not n or not len(self.neurons):
            return np.full(n, np.nan)
        half = min(int(widths / 2 + 1e-8) if window == "flat" else round(2 * widths), n)
        at = np.arange(-half, half + 1)
        weight = np.ones(len(at)) if window == "flat" else np.exp(-0.5 * (at / widths) ** 2)
        spikes, steps = (np.convolve(values, weight)[half : half + n] for values in (self.spikes, self.lengths))
        return np.asarray(spikes / (len(self.neurons) * steps * self.dt))

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write a table: ``time`` in seconds, ``spikes``, ``rate_hz``."""
        return write_csv(path, self._columns())

    def to_pandas(self) -> Any:
        """The table of :meth:`to_csv` as a ``pandas.DataFrame`` (extra ``pandas``)."""
        return to_frame(self._columns())

    def _columns(self) -> dict[str, NDArray[Any]]:
        return {"time": self.t, "spikes": self.spikes, "rate_hz": self.rate}

    def to_npz(self, path: str | os.PathLike[str]) -> Path:
        """Write ``t``, ``spikes``, ``rate``, ``neurons`` and ``window`` (steps) as arrays."""
        arrays: dict[str, NDArray[Any]] = {"t": self.t, "spikes": self.spikes, "rate": self.rate}
        return write_arrays(path, {**arrays, "neurons": self.neurons, "window": np.array(self.window)})

    def to_neo(self) -> Any:
        """A ``neo.AnalogSignal`` in Hz, one sample for each whole window (extra ``neo``)."""
        whole = int((self.lengths == self.window).sum())  # without a last window that is shorter than the others
        name = f"rate of {self.population}" + ("" if self.group is None else f", {self.group}")
        return rate_signal(self.rate[:whole], self.window * self.dt, name)

    def _repr_html_(self) -> str:
        """One row per window."""
        rows = [
            {"time (s)": time, "spikes": int(spikes), "rate (Hz)": rate}
            for time, spikes, rate in zip(self.t.tolist(), self.spikes, self.rate.tolist(), strict=True)
        ]
        return html_table(rows, repr(self))

    def __repr__(self) -> str:
        what = self.population if self.group is None else f"{self.population}, {self.group}"
        return f"<RateMonitor of {what!r}: {len(self.spikes)} windows of {self.window} steps>"


def _unknown_group(population: str, group: str, known: list[str]) -> Exception:
    if known:
        return unknown_name(f"group of {population!r}", group, known)
    return DataError(
        f"No groups of {population!r} were recorded.", hint="Record(groups={...}), or neurons=... of recorded spikes"
    )
