"""What every spike statistic reads: spike trains in seconds, neuron after neuron."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosleep._checks import check_number
from neurosleep._shown import brief
from neurosleep.errors import DataError, SettingsError
from neurosleep.functional import SpikeEvents
from neurosleep.spiking import Recording, SpikeMonitor

__all__ = [
    "SpikeTrains",
    "Spikes",
    "bin_count",
    "bin_of",
    "check_population",
    "spike_trains",
]

# A spike nearer than this part of a bin to the bin's end counts for the next: times are products of a step and its
# length, and those of two lengths differ by rounding. Elephant does the same.
_TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class SpikeTrains:
    """The spike times of several neurons over one stretch of time.

    Attributes
    ----------
    times:
        float64 ``[spikes]``, in seconds: neuron after neuron, ascending within each.
    first:
        int64 ``[n + 1]``; the times of neuron k are ``times[first[k]:first[k + 1]]``.
    start, stop:
        Of the stretch, in seconds; ``stop`` is NaN where nobody said how long it was.

    See Also
    --------
    spike_trains : makes them of a recording, of events or of times

    Examples
    --------
    >>> from neurosleep.analysis import spike_trains
    >>> trains = spike_trains([[0.1, 0.3], [0.2]], stop=1.0)
    >>> trains.n, trains.counts, trains.duration
    (2, array([2, 1]), 1.0)
    """

    times: NDArray[np.float64]
    first: NDArray[np.int64]
    start: float = 0.0
    stop: float = math.nan

    __repr__ = brief

    @property
    def n(self) -> int:
        """Number of neurons."""
        return len(self.first) - 1

    @property
    def counts(self) -> NDArray[np.int64]:
        """int64 ``[n]``: spikes per neuron."""
        return np.diff(self.first)

    @property
    def neurons(self) -> NDArray[np.int64]:
        """int64 ``[spikes]``: the neuron of each spike."""
        return np.repeat(np.arange(self.n), self.counts)

    @property
    def duration(self) -> float:
        """Length of the stretch in seconds.

        Raises
        ------
        SettingsError
            If nobody said how long it was.
        """
        if math.isnan(self.stop):
            raise SettingsError(
                "Spike times alone do not say for how long spikes were looked for.",
                hint="spike_trains(times, stop=...), in seconds",
            )
        return self.stop - self.start

    def __len__(self) -> int:
        """Number of neurons."""
        return self.n

    def __getitem__(self, neuron: int) -> NDArray[np.float64]:
        """The spike times of one neuron."""
        if not -self.n <= neuron < self.n:
            raise IndexError(f"there are {self.n} neurons")
        neuron %= self.n
        return self.times[self.first[neuron] : self.first[neuron + 1]]

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        """The spike times of one neuron after another."""
        return (self[k] for k in range(self.n))


# What statistics take: see spike_trains.
Spikes = SpikeTrains | Recording | SpikeMonitor | SpikeEvents | Sequence[Any] | NDArray[Any]


def spike_trains(
    spikes: Spikes,
    population: str | None = None,
    *,
    dt: float | None = None,
    start: float = 0.0,
    stop: float | None = None,
) -> SpikeTrains:
    """Spike trains in seconds, of a recording, of events, or of arrays of spike times.

    Every spike statistic calls this on what it is given; call it yourself for events, and for times whose stretch
    should be known.

    Parameters
    ----------
    spikes:
        A :class:`~neurosleep.Recording` that holds single spikes, or a spike monitor of one;
        :class:`~neurosleep.SpikeEvents`, of which step t becomes the time ``t * dt``; or one array of spike times in
        seconds per neuron, in any order (those of Neo with a unit are turned into seconds). Of a recording or monitor
        of some neurons only, these are neuron 0, 1, … of what comes back. Spike trains come back as they are.
    population:
        Of a recording: which one, by name; not needed if the spikes of a single one were recorded. Anything else has
        no populations, and none is taken.
    dt:
        Of events: the length of a step in seconds.
    start, stop:
        Of arrays: the stretch of time in seconds, both ends included. Without ``stop`` intervals can be had of them,
        but no rates.

    Raises
    ------
    UnknownNameError
        If there is no such population.
    DataError
        If the recording holds no spikes of it, or arrays hold anything but times within the stretch.
    SettingsError
        If events come without a step length, ``start`` and ``stop`` are no stretch, or an argument is given that these
        spikes do not have.

    See Also
    --------
    firing_rate, isi, psth : statistics that take what it takes

    Examples
    --------
    >>> import torch
    >>> from neurosleep import SpikeEvents
    >>> from neurosleep.analysis import spike_trains
    >>> events = SpikeEvents.from_dense(torch.eye(3, dtype=torch.bool))
    >>> spike_trains(events, dt=0.001).times
    array([0.   , 0.001, 0.002])
    """
    check_population(spikes, population)
    if not isinstance(spikes, SpikeEvents):
        _refuse(spikes, dt=dt)
    if isinstance(spikes, SpikeTrains | Recording | SpikeMonitor | SpikeEvents):
        _refuse(spikes, start=start or None, stop=stop)
    if isinstance(spikes, SpikeTrains):
        return spikes
    if isinstance(spikes, Recording):
        spikes = spikes.monitor(_recorded(spikes, population))
    if isinstance(spikes, SpikeMonitor):
        return _of_monitor(spikes)
    if isinstance(spikes, SpikeEvents):
        if dt is None:
            raise SettingsError(
                "Spike events count steps and do not say how long one is.",
                expected="spike_trains(events, dt=...), in seconds",
            )
        return _of_events(spikes, check_number("dt, in seconds,", dt, above=0))
    return _of_arrays(spikes, start, stop)


def check_population(spikes: Spikes, population: str | None) -> None:
    """Refuse a ``population`` that is no name, or that these spikes cannot have, so that none is silently ignored.

    Raises
    ------
    SettingsError
        Also where a number or an array was given in its place.
    """
    if population is None:
        return
    if not isinstance(population, str):
        raise SettingsError(
            f"population is {population!r:.60}.",
            expected="the name of a population of a recording",
            hint="every other argument is given by its name, such as width=0.05",
        )
    if isinstance(spikes, SpikeMonitor) and population == spikes.population:
        return
    if not isinstance(spikes, Recording):
        raise SettingsError(
            f"population is {population!r}, and the spikes are {_kind(spikes)}.",
            expected="a name with a recording, which holds several populations, and with nothing else",
        )


def _refuse(spikes: Spikes, **given: float | None) -> None:
    """Refuse arguments that these spikes do not have."""
    for name, value in given.items():
        if value is not None:
            raise SettingsError(
                f"{name} is {value!r:.60}, and the spikes are {_kind(spikes)}.",
                expected="dt with spike events, start and stop with arrays of spike times; the others know theirs",
            )


def _kind(spikes: Spikes) -> str:
    named = isinstance(spikes, SpikeTrains | Recording | SpikeMonitor | SpikeEvents)
    return f"{type(spikes).__name__}" if named else "spike times"


def _recorded(recording: Recording, population: str | None) -> str:
    """The population that is meant."""
    names = list(recording.spikes)
    if population is not None:
        return population
    if len(names) > 1:
        raise SettingsError(
            "The recording holds spikes of several populations.", expected="one of: " + ", ".join(sorted(names))
        )
    if not names:
        raise DataError(
            "The recording holds no single spikes.",
            found="spike counts only",
            hint='record=Record(spikes="all") keeps them',
        )
    return names[0]


def _of_monitor(monitor: SpikeMonitor) -> SpikeTrains:
    trains, neurons = _of_events(monitor.events, monitor.dt), monitor.recorded
    if len(neurons) == trains.n:
        return trains
    # The others have no spikes here, so that the times stay as they are.
    first = np.zeros(len(neurons) + 1, dtype=np.int64)
    np.cumsum(trains.counts[neurons], out=first[1:])
    return SpikeTrains(trains.times, first, trains.start, trains.stop)


def _of_events(events: SpikeEvents, dt: float) -> SpikeTrains:
    indices = events.indices[events.offsets[0] : events.offsets[-1]]
    # Stable: the steps of one neuron stay in their order.
    order = np.argsort(indices, kind="stable")
    first = np.zeros(events.n + 1, dtype=np.int64)
    np.cumsum(np.bincount(indices, minlength=events.n), out=first[1:])
    return SpikeTrains(np.multiply(events.times[order], dt, dtype=np.float64), first, 0.0, events.steps * dt)


def _of_arrays(trains: Sequence[Any] | NDArray[Any], start: float, stop: float | None) -> SpikeTrains:
    earliest = check_number("start, in seconds,", start)
    end = math.nan if stop is None else check_number("stop, in seconds,", stop)
    if end < earliest:
        raise SettingsError(f"The stretch goes from {start!r} s to {stop!r} s.", expected="finite times, start <= stop")
    if not isinstance(trains, (list, tuple)) and np.ndim(trains) != 2:
        raise DataError(
            f"Spike times of type {type(trains).__name__} and {np.ndim(trains)} dimensions cannot be read.",
            expected="a list with one array of times per neuron",
            hint="[times] for a single neuron",
        )
    read: list[NDArray[np.float64]] = []
    for k, train in enumerate(trains):
        # Neo's and Quantities' arrays carry a unit, which asarray would drop.
        plain = train.rescale("s").magnitude if hasattr(train, "rescale") else train
        try:
            times: NDArray[np.float64] = np.asarray(plain, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"The spike times of neuron {k} are no numbers.", expected="seconds") from error
        if np.asarray(plain).dtype == np.bool_:
            raise DataError(
                f"The spike times of neuron {k} are True and False.",
                expected="seconds",
                hint="SpikeEvents.from_dense reads an array [steps, neurons] of spikes",
            )
        if times.ndim != 1 or not np.isfinite(times).all():
            raise DataError(
                f"The spike times of neuron {k} cannot be read.",
                found=f"{list(times.shape)}" if times.ndim != 1 else "values that are NaN or infinite",
                expected="one dimension of finite times in seconds",
            )
        times = np.sort(times)
        if len(times) and (times[0] < earliest or times[-1] > end):
            raise DataError(
                f"Neuron {k} has spikes outside the stretch from {earliest:g} to {end:g} s.",
                found=f"times from {times[0]:g} to {times[-1]:g} s",
            )
        read.append(times)
    first = np.zeros(len(read) + 1, dtype=np.int64)
    np.cumsum([len(times) for times in read], out=first[1:])
    joined = np.concatenate(read) if read else np.zeros(0)
    return SpikeTrains(joined, first, earliest, end)


def bin_count(trains: SpikeTrains, width: float) -> int:
    """How many whole bins of ``width`` seconds the stretch holds."""
    return int(np.floor(trains.duration / width + _TOLERANCE))


def bin_of(trains: SpikeTrains, width: float) -> NDArray[np.int64]:
    """int64 ``[spikes]``: the bin of each spike; those after the last whole bin get numbers that do not exist."""
    return np.floor((trains.times - trains.start) / width + _TOLERANCE).astype(np.int64)
