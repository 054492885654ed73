"""Recordings as event data of NIR (``nir`` 1.0.8 or newer): what the nodes of a graph sent."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosleep._checks import check_number
from neurosleep._files import write_whole
from neurosleep._guards.files import check_regular
from neurosleep._guards.hdf5 import read_hdf5
from neurosleep.errors import DataError, ExchangeError, UnsupportedError
from neurosleep.exchange.nir.write import import_nir
from neurosleep.functional import SpikeEvents
from neurosleep.spiking import Record, Recorder, Recording

__all__ = ["from_nir_data", "read_nir_data", "to_nir_data", "write_nir_data"]

# Steps and neurons that a file may declare: more than any recording that fits in memory.
_MOST = 2**28


def _import(purpose: str) -> Any:
    nir = import_nir(purpose)
    if not hasattr(nir, "NIRGraphData"):
        raise UnsupportedError(
            f"{purpose} needs event data, which this version of the package nir does not have.",
            found=f"nir {getattr(nir, 'version', '?')}",
            expected="nir 1.0.8 or newer",
            hint='pip install "nir>=1.0.8"',
        )
    return nir


def to_nir_data(recording: Recording) -> Any:
    """The recorded spikes, and potentials of whole populations, as ``nir.NIRGraphData``.

    Each population becomes a node of that name, as in :func:`~neurosleep.exchange.to_nir`, with the observable
    ``spikes`` (events in seconds, a spike of step k at ``k * dt``, or by the least bit later where rounding would put
    it into the step before) and, where they were recorded of all of its neurons, ``v``.

    Raises
    ------
    DataError
        If neither spikes nor such potentials were recorded.
    UnsupportedError
        If the installed ``nir`` has no event data, or only some neurons' spikes were recorded, which NIR has no place
        for.

    See Also
    --------
    from_nir_data : the way back
    write_nir_data : into a file

    Examples
    --------
    >>> import torch
    >>> from neurosleep import Recording, SpikeEvents
    >>> from neurosleep.exchange import to_nir_data
    >>> events = SpikeEvents.from_dense(torch.eye(3, dtype=torch.bool))
    >>> recording = Recording(3, 0.001, {"hidden1": events.counts()}, spikes={"hidden1": events})
    >>> list(to_nir_data(recording).nodes)
    ['hidden1']
    """
    nir = _import("Writing NIR data")
    observables: dict[str, dict[str, Any]] = {}
    for name, events in recording.spikes.items():
        if name in recording.kept:
            raise UnsupportedError(
                f"The spikes of only {len(recording.kept[name])} of {events.n} neurons of {name!r} were recorded, and "
                "NIR would call the others silent.",
                expected="Record(spikes=...) of whole populations",
            )
        first, last = int(events.offsets[0]), int(events.offsets[-1])
        observables.setdefault(name, {})["spikes"] = nir.EventData(
            idx=events.indices[first:last].astype(np.int64)[None],
            time=_within(events.times, recording.dt)[None],
            n_neurons=events.n,
            t_max=float(_within(np.array([events.steps]), recording.dt)[0]),
        )
    for name, states in recording.states.items():
        if np.array_equal(states.neurons, np.arange(len(recording.counts[name]))) and len(states.steps):
            every = int(states.steps[1] - states.steps[0]) if len(states.steps) > 1 else 1
            observables.setdefault(name, {})["v"] = nir.TimeGriddedData(
                np.array(states.values)[None], every * recording.dt
            )
    if not observables:
        raise DataError(
            "The recording holds nothing that NIR has a place for.",
            hint='record=Record(spikes="all"), or potentials={"hidden1": "all"}',
        )
    return nir.NIRGraphData({name: nir.NIRNodeData(found) for name, found in observables.items()})


def _within(steps: NDArray[np.int64], dt: float) -> NDArray[np.float64]:
    """Times of steps, of which ``floor(time / dt)``, which NIR's own functions take, is the step again."""
    times = np.multiply(steps, dt, dtype=np.float64)
    for _ in range(4):
        early = np.floor(times / dt) < steps
        times[early] = np.nextafter(times[early], np.inf)
    return times


def write_nir_data(recording: Recording, path: str | Path) -> Path:
    """Write :func:`to_nir_data` to a file (HDF5), whole or not at all.

    Raises
    ------
    ExchangeError
        If it cannot be written, or a population's name cannot be one of a group in HDF5.

    See Also
    --------
    read_nir_data : the way back
    to_nir_data : without a file

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> from neurosleep import Recording, SpikeEvents
    >>> from neurosleep.exchange import write_nir_data
    >>> events = SpikeEvents.from_dense(torch.eye(3, dtype=torch.bool))
    >>> recording = Recording(3, 0.001, {"hidden1": events.counts()}, spikes={"hidden1": events})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_nir_data(recording, f"{folder}/spikes.nir")
    >>> path.name
    'spikes.nir'
    """
    nir, buffer = _import("Writing NIR data"), io.BytesIO()
    data = to_nir_data(recording)
    for name in data.nodes:
        if "/" in name or name in ("", "."):
            raise ExchangeError(f"HDF5 has no place for a population named {name!r}.", expected="a name without '/'")
    nir.write_data(buffer, data)
    return write_whole(path, buffer.getvalue(), folders=False, error=ExchangeError)


def from_nir_data(data: Any, dt: float, *, sample: int = 0) -> Recording:
    """The spikes in ``nir.NIRGraphData`` as a recording.

    Parameters
    ----------
    data:
        Its nodes hold an observable ``spikes``, or only one: events, or booleans over time.
    dt:
        Length of a step in seconds. An event belongs to the step in which its time lies.
    sample:
        Which of several samples.

    Raises
    ------
    ExchangeError
        If there are no spikes, or what stands there cannot be: neurons or times outside, two spikes of one neuron in
        one step.

    See Also
    --------
    to_nir_data : the way back
    read_nir_data : of a file

    Examples
    --------
    >>> import torch
    >>> from neurosleep import Recording, SpikeEvents
    >>> from neurosleep.exchange import from_nir_data, to_nir_data
    >>> events = SpikeEvents.from_dense(torch.eye(3, dtype=torch.bool))
    >>> recording = Recording(3, 0.001, {"hidden1": events.counts()}, spikes={"hidden1": events})
    >>> from_nir_data(to_nir_data(recording), dt=0.001).counts
    {'hidden1': array([1, 1, 1])}
    """
    _check_dt(dt)
    events = {}
    for name, node in data.nodes.items():
        known = getattr(node, "observables", {})
        spikes = known.get("spikes", next(iter(known.values()), None) if len(known) == 1 else None)
        if spikes is None:
            continue
        if hasattr(spikes, "idx"):
            events[name] = (spikes.idx, spikes.time, spikes.n_neurons, spikes.t_max)
        elif spikes.data.dtype == np.bool_:
            events[name] = _as_events(spikes.data, spikes.dt)
    return _recording(events, dt, sample)


def _as_events(data: NDArray[np.bool_], dt: float) -> tuple[Any, Any, int, float]:
    """Booleans ``[samples, steps, neurons]`` as events, each in the middle of its step."""
    most = int(data.sum(axis=(1, 2)).max(initial=0))
    idx, time = np.full((len(data), most), -1), np.full((len(data), most), np.inf)
    for k, sample in enumerate(data):
        steps, neurons = np.nonzero(sample)
        idx[k, : len(steps)], time[k, : len(steps)] = neurons, (steps + 0.5) * dt
    return idx, time, data.shape[2], data.shape[1] * dt


def read_nir_data(path: str | Path, dt: float, *, sample: int = 0) -> Recording:
    """Read the spikes in a file of NIR data, of neurosleep or of another tool, as :func:`from_nir_data` does.

    The file is examined before anything is believed: nothing outside it is opened, and memory is bounded by its size.

    Raises
    ------
    ExchangeError
        If the file is damaged or hostile, or holds no spikes.

    See Also
    --------
    write_nir_data : the way there
    from_nir_data : of data in memory

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> from neurosleep import Recording, SpikeEvents
    >>> from neurosleep.exchange import read_nir_data, write_nir_data
    >>> events = SpikeEvents.from_dense(torch.eye(3, dtype=torch.bool))
    >>> recording = Recording(3, 0.001, {"hidden1": events.counts()}, spikes={"hidden1": events})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = read_nir_data(write_nir_data(recording, f"{folder}/spikes.nir"), dt=0.001)
    >>> again.spikes["hidden1"]
    <SpikeEvents: 3 spikes of 3 neurons in 3 steps>
    """
    import_nir("Reading NIR data")
    _check_dt(dt)
    path = Path(path)
    check_regular(path, ExchangeError)
    tree = read_hdf5(path, "nodes")
    events: dict[str, tuple[Any, Any, int, float]] = {}
    for name, node in tree.items():
        known = node.get("observables") if isinstance(node, dict) else None
        if not isinstance(known, dict):
            continue
        key = "spikes" if "spikes" in known else next(iter(known), "") if len(known) == 1 else ""
        entry = known.get(key)
        if not isinstance(entry, dict):
            continue
        where = ("nodes", name, "observables", key)
        if isinstance(entry.get("idx"), np.ndarray) and isinstance(entry.get("time"), np.ndarray):
            numbers = _attributes(path, where, ("n_neurons", "t_max"))
            events[name] = (entry["idx"], entry["time"], int(numbers["n_neurons"]), numbers["t_max"])
        elif isinstance(entry.get("data"), np.ndarray) and entry["data"].dtype == np.bool_ and entry["data"].ndim == 3:
            events[name] = _as_events(entry["data"], _attributes(path, where, ("dt",))["dt"])
    return _recording(events, dt, sample)


def _attributes(path: Path, where: tuple[str, ...], names: tuple[str, ...]) -> dict[str, float]:
    """Numbers among the attributes of a group that :func:`read_hdf5` has seen; text is not touched."""
    import h5py

    attributes = {}
    try:
        with h5py.File(path, "r") as file:
            group = file
            for part in where:
                group = group[part]
            for name in names:
                attribute = group.attrs.get_id(name)
                if attribute.dtype.kind not in "iuf" or attribute.shape not in ((), (1,)):
                    raise TypeError("it is no number")
                attributes[name] = float(np.asarray(group.attrs[name]).reshape(-1)[0])
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise ExchangeError(
            f"{path.name!r} does not say {' and '.join(names)} of {where[1]!r}.",
            found=str(error).splitlines()[0][:200] if str(error) else None,
            expected="numbers among the attributes",
        ) from error
    for name, value in attributes.items():
        if not math.isfinite(value) or value < 0:
            raise ExchangeError(
                f"{path.name!r}: {name!r} of {where[1]!r} is {value!r}.", expected="a finite number >= 0"
            )
    return attributes


def _check_dt(dt: float) -> None:
    check_number("dt, the length of a step in seconds,", dt, above=0)


def _recording(found: dict[str, tuple[Any, Any, int, float]], dt: float, sample: int) -> Recording:
    if not found:
        raise ExchangeError("The NIR data holds no spikes.", expected="event data, or booleans over time")
    spikes: dict[str, tuple[NDArray[np.int64], NDArray[np.int64], int]] = {}
    longest = 0
    for name, (idx, time, n, t_max) in found.items():
        idx, time = np.asarray(idx), np.asarray(time)
        if idx.shape != time.shape or idx.ndim != 2 or not np.issubdtype(idx.dtype, np.integer):
            raise ExchangeError(
                f"The events of {name!r} cannot be read.",
                found=f"neurons {list(idx.shape)}, times {list(time.shape)}",
                expected="two arrays [samples, events]",
            )
        if not 0 <= sample < len(idx):
            raise ExchangeError(f"There is no sample {sample} of {name!r}.", expected=f"from 0 to {len(idx) - 1}")
        real = idx[sample] != -1
        neurons, times = idx[sample][real].astype(np.int64), time[sample][real].astype(np.float64)
        steps = t_max / dt
        if not 0 < n <= _MOST or not 0 <= steps <= _MOST:
            raise ExchangeError(
                f"The events of {name!r} are of {n} neurons over {steps:.3g} steps.", expected=f"1 to {_MOST} of each"
            )
        if len(times) and not (np.isfinite(times).all() and times.min() >= 0 and times.max() <= t_max):
            raise ExchangeError(f"Events of {name!r} lie outside the recording.", expected=f"0 to {t_max:g} s")
        if len(neurons) and not (neurons.min() >= 0 and neurons.max() < n):
            raise ExchangeError(f"Events of {name!r} are of neurons that it does not have.", expected=f"0 to {n - 1}")
        # Times are products of a step and its length, which rounding may have put just below the step.
        when = np.floor(times / dt + 1e-8).astype(np.int64)
        longest = max(longest, math.ceil(steps - 1e-8), int(when.max(initial=-1)) + 1)
        if len(np.unique(when * n + neurons)) < len(when):
            raise ExchangeError(
                f"A neuron of {name!r} spikes twice in a step of {dt:g} s.", hint="read with a shorter dt"
            )
        spikes[name] = (when, neurons, n)
    events = {
        name: SpikeEvents.from_times(when, neurons, steps=longest, n=n) for name, (when, neurons, n) in spikes.items()
    }
    recorder = Recorder(Record(spikes="all"), {name: e.n for name, e in events.items()}, float(dt))
    recorder.add(events)
    return recorder.recording()
