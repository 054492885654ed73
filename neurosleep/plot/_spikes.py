"""What the figures of a sleep phase take: spikes of populations, or a recording or monitor, which knows its dt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neurosleep._checks import check_number
from neurosleep.errors import DataError, SettingsError
from neurosleep.functional import SpikeEvents
from neurosleep.plot._style import Row
from neurosleep.spiking import Recording, SpikeMonitor, WeightMonitor

__all__ = ["Spikes", "change_rows", "one_population", "populations", "window_rows"]

Spikes = Mapping[str, SpikeEvents] | SpikeEvents | Recording | SpikeMonitor
"""Events of one population, or of several by name; a recording, or a spike monitor of one."""

# Of events, which count steps and do not know how long one is.
_DT = 0.001


def populations(spikes: Spikes, dt: float | None) -> tuple[dict[str, SpikeEvents], float]:
    """The events by population, and the length of a step in seconds: ``dt``, or that of the recording, or 0.001.

    Of a recording or monitor of some neurons only, these are neuron 0, 1, … of what comes back, as in
    :func:`neurosleep.analysis.spike_trains`.

    Raises
    ------
    SettingsError
        If ``dt`` is not positive, or ``spikes`` is something else.
    DataError
        If the recording holds no single spikes.
    """
    if dt is not None:
        check_number("The step length dt", dt, above=0)
    if isinstance(spikes, SpikeMonitor):
        return {spikes.population: _of_monitor(spikes)}, spikes.dt if dt is None else dt
    if isinstance(spikes, Recording):
        if not spikes.spikes:
            raise DataError(
                "The recording holds no single spikes.",
                found="spike counts only",
                hint='record=Record(spikes="all") keeps them',
            )
        return {name: _of_monitor(spikes.monitor(name)) for name in spikes.spikes}, spikes.dt if dt is None else dt
    by_name = {"neurons": spikes} if isinstance(spikes, SpikeEvents) else spikes
    if not isinstance(by_name, Mapping) or not all(isinstance(events, SpikeEvents) for events in by_name.values()):
        raise SettingsError(
            f"Spikes of type {type(spikes).__name__} cannot be drawn.",
            expected="a recording, a spike monitor, spike events, or spike events by population",
        )
    return dict(by_name), _DT if dt is None else dt


def _of_monitor(monitor: SpikeMonitor) -> SpikeEvents:
    events, neurons = monitor.events, monitor.recorded
    if len(neurons) == events.n:
        return events
    indices = np.searchsorted(neurons, events.indices).astype(np.int32)
    return SpikeEvents._trusted(len(neurons), events.offsets, indices)


def one_population(spikes: Spikes, dt: float | None) -> tuple[SpikeEvents, float]:
    """The same of a single population.

    Raises
    ------
    SettingsError
        If there are several.
    """
    by_name, dt = populations(spikes, dt)
    if len(by_name) != 1:
        raise SettingsError(
            "The spikes are of several populations." if by_name else "The spikes are of no population.",
            found=", ".join(map(str, by_name)) or None,
            expected='those of one, such as recording.monitor("input")',
        )
    return next(iter(by_name.values())), dt


def change_rows(weights: Sequence[Row] | Recording | WeightMonitor) -> list[Row]:
    """Rows ``projection``, ``time_s``, ``change``; of a recording, of all projections whose statistics were kept."""
    if isinstance(weights, Recording):
        names = [name for name, samples in weights.weights.items() if samples.synapses is None]
        return [row for name in names for row in change_rows(weights.weight_monitor(name))]
    if isinstance(weights, WeightMonitor):
        pairs = zip(weights.t.tolist(), weights.change.tolist(), strict=True)
        return [{"projection": weights.projection, "time_s": time, "change": change} for time, change in pairs]
    return list(weights)


def window_rows(recording: Recording) -> list[dict[str, Any]]:
    """The spikes of each population in the windows of a recording, as rows of ``firing.csv``."""
    rows = []
    for name in recording.windows:
        monitor = recording.rate_monitor(name)
        for k, (spikes, steps) in enumerate(zip(monitor.spikes.tolist(), monitor.lengths.tolist(), strict=True)):
            row = {"after_task": 1, "population": name, "neurons": len(monitor.neurons)}
            rows.append(row | {"start_step": k * monitor.window, "steps": steps, "spikes": spikes})
    return rows
