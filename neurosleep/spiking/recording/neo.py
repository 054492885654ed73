"""Objects of Neo, which Elephant and other tools of electrophysiology read (extra ``neo``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosleep.errors import missing_extra

__all__ = ["block", "rate_signal", "sampled_signal", "spike_trains"]


def _import() -> tuple[Any, Any]:
    try:
        import neo
        import quantities
    except ImportError as error:
        raise missing_extra("neo", "neo", "Writing Neo objects") from error
    return neo, quantities


def spike_trains(times: Mapping[int, NDArray[np.float64]], population: str, dt: float, duration: float) -> list[Any]:
    """One ``neo.SpikeTrain`` for each neuron, in seconds, from 0 to the end of the recording."""
    neo, pq = _import()
    period = dt * pq.s
    return [
        neo.SpikeTrain(
            train,
            units="s",
            t_stop=duration,
            sampling_rate=(1 / period).rescale("Hz"),
            name=f"{population} {neuron}",
            population=population,
            neuron=neuron,
        )
        for neuron, train in times.items()
    ]


def rate_signal(rate: NDArray[np.float64], period: float, name: str) -> Any:
    """A ``neo.AnalogSignal`` in Hz, a value for each ``period`` in seconds."""
    neo, pq = _import()
    return neo.AnalogSignal(rate[:, None], units="Hz", sampling_period=period * pq.s, name=name)


def sampled_signal(
    values: NDArray[Any], steps: NDArray[np.int64], dt: float, name: str, channels: Mapping[str, NDArray[Any]]
) -> Any:
    """A ``neo.AnalogSignal`` without a unit (potentials are in units of the threshold), a channel for each column."""
    neo, pq = _import()
    every = int(steps[1] - steps[0]) if len(steps) > 1 else 1
    return neo.AnalogSignal(
        np.array(values),
        units="dimensionless",
        sampling_period=every * dt * pq.s,
        name=name,
        array_annotations=dict(channels),
    )


def block(trains: Iterable[Any], signals: Iterable[Any], dt: float, steps: int) -> Any:
    """A ``neo.Block`` of one segment with these spike trains and signals."""
    neo, _ = _import()
    segment = neo.Segment(name="recording")
    segment.spiketrains.extend(trains)
    segment.analogsignals.extend(signals)
    whole = neo.Block(name="neurosleep", dt=dt, steps=steps)
    whole.segments.append(segment)
    return whole
