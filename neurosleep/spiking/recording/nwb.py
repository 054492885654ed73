"""Recordings as Neurodata Without Borders (NWB) files, which tools of neurophysiology read (extra ``nwb``).

Format: Rübel et al. (2022), doi:10.7554/eLife.78362.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosleep._files import write_whole
from neurosleep.errors import DataError, SettingsError, UnsupportedError, missing_extra
from neurosleep.spiking.recording.rate_monitor import RateMonitor
from neurosleep.spiking.recording.recorded import Recorded
from neurosleep.spiking.recording.samples import STATISTICS
from neurosleep.spiking.recording.spike_monitor import SpikeMonitor
from neurosleep.spiking.recording.state_monitor import StateMonitor
from neurosleep.spiking.recording.weight_monitor import WeightMonitor

__all__ = ["write_nwb"]

_MODULE = "neurosleep"
_RATE = "mean rate of a neuron from each time to the next"


def write_nwb(recording: Recorded, path: str | os.PathLike[str], description: str, start: datetime | None) -> Path:
    """Write a recording of one train; see :meth:`Recording.to_nwb`."""
    batch = next((counts for counts in recording.counts.values() if counts.ndim != 1), None)
    if batch is not None:
        raise UnsupportedError(
            f"The recording is of a batch of {len(batch)} samples.",
            expected="a recording of one train",
            hint="simulate one sample at a time",
        )
    if not isinstance(description, str) or not description:
        raise SettingsError(f"The description is {description!r:.60}.", expected="a sentence on what was recorded")
    if start is not None and (not isinstance(start, datetime) or start.tzinfo is None):
        raise SettingsError(
            f"The start of the session is {start!r:.60}.",
            expected="a datetime with a time zone",
            hint="datetime(2026, 1, 31, 9, 30, tzinfo=UTC)",
        )
    try:
        import h5py
        import pynwb
    except ImportError as error:
        raise missing_extra("pynwb", "nwb", "Writing NWB files") from error
    content = _content(recording, description, datetime.now(UTC) if start is None else start)

    def write(temporary: Path) -> None:
        with h5py.File(temporary, "w") as file, pynwb.NWBHDF5IO(file=file, mode="w") as writer:
            writer.write(content)

    return write_whole(path, write, error=DataError)


def _content(recording: Recorded, description: str, start: datetime) -> Any:
    """The ``pynwb.NWBFile``."""
    import pynwb

    about = {key: getattr(recording, key) for key in ("steps", "dt", "window", "engine", "coding", "last")}
    content = pynwb.NWBFile(
        session_description=description,
        identifier=str(uuid.uuid4()),
        session_start_time=start,
        experiment_description="simulation of a spiking network with neurosleep",
        notes=json.dumps(about),
    )
    if recording.spikes:
        content.units = _units(recording)
    if recording.hypnogram:
        content.add_time_intervals(_hypnogram(recording))
    module = content.create_processing_module(_MODULE, "counts, rates, potentials and weights of the simulation")
    module.add(_counts(recording))
    for one in _rates(recording):
        module.add(one)
    for name in recording.states:
        states = StateMonitor(recording, name)
        words = "in units of the threshold; columns: see the table"
        module.add(_series("potentials", name, words, states.values(), states.t))
        module.add(_table("neurons of the potentials", name, {"neuron": states.record}))
    for name, values in recording.potentials.items():
        module.add(_table("last potentials", name, {"potential": values}))
    for name in recording.weights:
        for one in _weights(WeightMonitor(recording, name)):
            module.add(one)
    return content


def _rates(recording: Recorded) -> Iterator[Any]:
    """Of every population, and of every group that was recorded."""
    for name in recording.windows:
        monitor = RateMonitor(recording, name)
        yield _series("rate", name, _RATE, monitor.rate, monitor.t, "Hz")
    for name, groups in recording.group_windows.items():
        for group in groups:
            monitor = RateMonitor(recording, name, group=group)
            yield _series(f"rate of group {group}", name, _RATE, monitor.rate, monitor.t, "Hz")


def _weights(monitor: WeightMonitor) -> Iterator[Any]:
    name, values = monitor.projection, monitor.values()
    if monitor.channels == list(STATISTICS):
        yield _series("weights", name, "statistics of all; columns: " + ", ".join(STATISTICS), values, monitor.t)
        return
    yield _series("weights", name, "of single synapses; columns: see the table", values, monitor.t)
    yield _table("synapses of the weights", name, {"post": monitor.post, "pre": monitor.pre})


def _units(recording: Recorded) -> Any:
    """The table of units: one row for each neuron whose spikes were recorded, silent ones too."""
    from hdmf.common import VectorData, VectorIndex
    from pynwb.misc import Units

    populations: list[str] = []
    neurons: list[int] = []
    trains: list[NDArray[np.float64]] = []
    for name in recording.spikes:
        by_neuron = SpikeMonitor(recording, name).spike_trains()
        populations += [name] * len(by_neuron)
        neurons += by_neuron
        trains += by_neuron.values()
    n, duration = len(trains), recording.steps * recording.dt
    times = VectorData(
        name="spike_times",
        description="times of the spikes in seconds: the starts of their steps",
        data=np.concatenate(trains) if n else np.zeros(0),
    )
    observed = VectorData(
        name="obs_intervals",
        description="from the start to the end of the recording, in seconds",
        data=np.tile([0.0, duration], (n, 1)),
    )
    ends = np.cumsum([len(train) for train in trains], dtype=np.uint64)
    columns = [
        VectorData(name="population", description="the layer that the neuron belongs to", data=populations),
        VectorData(name="neuron", description="its number in the layer, from 0", data=np.array(neurons, np.int64)),
        times,
        VectorIndex(name="spike_times_index", target=times, data=ends),
        observed,
        VectorIndex(name="obs_intervals_index", target=observed, data=np.arange(1, n + 1, dtype=np.uint64)),
    ]
    return Units(
        name="units",
        description="model neurons whose spikes were recorded one by one",
        columns=columns,
        colnames=["population", "neuron", "spike_times", "obs_intervals"],
        resolution=recording.dt,
    )


def _hypnogram(recording: Recorded) -> Any:
    from pynwb.epoch import TimeIntervals

    spans = TimeIntervals(name="hypnogram", description="stages of the sleep and their states")
    for name in ("stage", "state", "cycle"):
        spans.add_column(name=name, description=f"{name} of the sleep")
    for span in recording.hypnogram:
        first, last = span.start * recording.dt, span.stop * recording.dt
        spans.add_interval(start_time=first, stop_time=last, stage=span.stage, state=span.state, cycle=span.cycle)
    return spans


def _counts(recording: Recorded) -> Any:
    """How often each neuron of every population fired; of graded inputs, the sum of what they sent."""
    from hdmf.common import DynamicTable, VectorData

    names = np.repeat(list(recording.counts), [len(counts) for counts in recording.counts.values()]).tolist()
    columns = {
        "population": ("the layer", names),
        "neuron": ("its number in the layer", np.concatenate([np.arange(len(c)) for c in recording.counts.values()])),
        "count": ("number of spikes, or sum of what was sent", np.concatenate(list(recording.counts.values()))),
    }
    return DynamicTable(
        name="counts",
        description="how often every neuron fired",
        columns=[VectorData(name=name, description=words, data=data) for name, (words, data) in columns.items()],
    )


def _series(
    kind: str, name: str, words: str, values: NDArray[Any], times: NDArray[np.float64], unit: str = "n.a."
) -> Any:
    from pynwb import TimeSeries

    title, what = _named(kind, name)
    return TimeSeries(name=title, description=f"{what}: {words}", data=values, timestamps=times, unit=unit)


def _table(kind: str, name: str, columns: Mapping[str, NDArray[Any]]) -> Any:
    """One row for each neuron or synapse."""
    from hdmf.common import DynamicTable, VectorData

    title, what = _named(kind, name)
    return DynamicTable(
        name=title,
        description=what,
        columns=[VectorData(name=key, description=f"{key} of the row", data=data) for key, data in columns.items()],
    )


def _named(kind: str, name: str) -> tuple[str, str]:
    """The name of an object, in which NWB takes neither of two characters, and what it is."""
    return f"{kind} of {name}".replace("%", "%25").replace("/", "%2F").replace(":", "%3A"), f"{kind} of {name!r}"
