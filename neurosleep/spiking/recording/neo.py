"""Recordings as objects of Neo, which Elephant and other tools of electrophysiology read (extra ``neo``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neurosleep.errors import missing_extra

if TYPE_CHECKING:
    from neurosleep.spiking.recording.rate_monitor import RateMonitor
    from neurosleep.spiking.recording.recording import Recording
    from neurosleep.spiking.recording.spike_monitor import SpikeMonitor
    from neurosleep.spiking.recording.state_monitor import StateMonitor
    from neurosleep.spiking.recording.weight_monitor import WeightMonitor

__all__ = ["rate_to_neo", "recording_to_neo", "spike_trains_to_neo", "states_to_neo", "weights_to_neo"]


def _import() -> tuple[Any, Any]:
    try:
        import neo
        import quantities
    except ImportError as error:
        raise missing_extra("neo", "neo", "Writing Neo objects") from error
    return neo, quantities


def spike_trains_to_neo(monitor: SpikeMonitor) -> list[Any]:
    """One ``neo.SpikeTrain`` for each neuron, in seconds, from 0 to the end of the recording."""
    neo, pq = _import()
    period = monitor.dt * pq.s
    return [
        neo.SpikeTrain(
            times,
            units="s",
            t_stop=monitor.duration,
            sampling_rate=(1 / period).rescale("Hz"),
            name=f"{monitor.population} {neuron}",
            population=monitor.population,
            neuron=neuron,
        )
        for neuron, times in monitor.spike_trains().items()
    ]


def rate_to_neo(monitor: RateMonitor) -> Any:
    """A ``neo.AnalogSignal`` in Hz; a last window that is shorter than the others is left out."""
    neo, pq = _import()
    whole = int((monitor.lengths == monitor.window).sum())
    return neo.AnalogSignal(
        monitor.rate[:whole, None],
        units="Hz",
        sampling_period=monitor.window * monitor.dt * pq.s,
        name=f"rate of {monitor.population}" + ("" if monitor.group is None else f", {monitor.group}"),
    )


def states_to_neo(monitor: StateMonitor) -> Any:
    """A ``neo.AnalogSignal`` without a unit (potentials are in units of the threshold), a channel for each neuron."""
    return _samples(monitor, f"potentials of {monitor.population}", {"neuron": monitor.record})


def weights_to_neo(monitor: WeightMonitor) -> Any:
    """A ``neo.AnalogSignal`` without a unit, a channel for each synapse or statistic."""
    return _samples(monitor, f"weights of {monitor.projection}", {"channel": np.array(monitor.channels)})


def _samples(monitor: StateMonitor | WeightMonitor, name: str, channels: dict[str, Any]) -> Any:
    neo, pq = _import()
    every = int(monitor.steps[1] - monitor.steps[0]) if len(monitor.steps) > 1 else 1
    return neo.AnalogSignal(
        np.array(monitor.values()),
        units="dimensionless",
        sampling_period=every * monitor.dt * pq.s,
        name=name,
        array_annotations=channels,
    )


def recording_to_neo(recording: Recording) -> Any:
    """A ``neo.Block`` of one segment with the spike trains, potentials and weights that were recorded."""
    neo, _ = _import()
    segment = neo.Segment(name="recording")
    for name in recording.spikes:
        segment.spiketrains.extend(recording.monitor(name).to_neo())
    for name in recording.states:
        segment.analogsignals.append(recording.state_monitor(name).to_neo())
    for name in recording.weights:
        segment.analogsignals.append(recording.weight_monitor(name).to_neo())
    block = neo.Block(name="neurosleep", dt=recording.dt, steps=recording.steps)
    block.segments.append(segment)
    return block
