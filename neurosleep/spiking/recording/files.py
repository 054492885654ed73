"""Recordings in files: a folder that is recorded into, one .npz file, spikes as a table."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
from numpy.typing import NDArray

from neurosleep._files import write_whole
from neurosleep._guards.arrays import read_npz
from neurosleep._guards.files import check_regular
from neurosleep.errors import DataError, RunFolderError, SettingsError
from neurosleep.functional import SpikeEvents
from neurosleep.spiking.recording.recorded import Recorded
from neurosleep.spiking.recording.samples import States, WeightSamples
from neurosleep.spiking.recording.sleep_span import SleepSpan
from neurosleep.spiking.recording.store import read_array
from neurosleep.spiking.recording.table_files import checked_name, write_arrays

__all__ = ["array_file", "check_free", "read_recording", "spike_columns", "write_note", "write_npz", "write_spikes_csv"]

_NOTE = "recording.npz"
# What says where a recording comes from, if it is known.
_ORIGIN = ("engine", "coding", "last")


def array_file(folder: Path | None, name: str, what: str) -> Path | None:
    """Where an array of a recording lies; None in memory."""
    return None if folder is None else folder / f"{quote(name, safe=' ')}.{what}.npy"


def _small(recording: Recorded) -> dict[str, NDArray[Any]]:
    """Everything but the large arrays, under names of the form ``what:population:group``."""
    r = recording
    origin: dict[str, Any] = {key: value for key in _ORIGIN if (value := getattr(r, key)) is not None}
    if r.hypnogram:
        origin["hypnogram"] = [list(astuple(span)) for span in r.hypnogram]
    found: dict[str, NDArray[Any]] = {
        "about": np.array(json.dumps({"format": 1, "steps": r.steps, "dt": r.dt, "window": r.window} | origin)),
    }
    if r.outputs is not None:
        found["outputs"] = r.outputs

    def put(*name: str, value: NDArray[Any]) -> None:
        # Names may hold anything, colons too.
        found[":".join(quote(part, safe=" ") for part in name)] = value

    for what, arrays in (("counts", r.counts), ("windows", r.windows), ("last", r.potentials), ("kept", r.kept)):
        for name, values in arrays.items():
            put(what, name, value=values)
    for what, groups in (("group", r.group_windows), ("members", r.group_neurons)):
        for name, by_group in groups.items():
            for group, values in by_group.items():
                put(what, name, group, value=values)
    for name, events in r.spikes.items():
        put("spikes", name, value=np.array(events.n))
    for name, state in r.states.items():
        put("state", name, value=state.neurons)
    for name, weight in r.weights.items():
        put("synapses", name, value=np.zeros((0, 0), np.int64) if weight.synapses is None else weight.synapses)
    return found


def _large(recording: Recorded) -> dict[tuple[str, str], NDArray[Any]]:
    """The arrays that grow with time, by name and what they are."""
    arrays: dict[tuple[str, str], NDArray[Any]] = {}
    for name, events in recording.spikes.items():
        first, last = int(events.offsets[0]), int(events.offsets[-1])
        arrays[name, "neurons"] = events.indices[first:last]
        arrays[name, "offsets"] = events.offsets - first
    for name, state in recording.states.items():
        arrays[name, "potentials"], arrays["states", "steps"] = state.values, state.steps
    for name, weight in recording.weights.items():
        arrays[name, "weights"], arrays["weights", "steps"] = weight.values, weight.steps
    return arrays


def check_free(folder: Path) -> None:
    """Refuse a folder that holds a recording already."""
    if os.path.exists(folder / _NOTE):
        raise RunFolderError(
            f"The folder {str(folder)!r} holds a recording already.",
            found=_NOTE,
            hint="record into another folder, or remove it",
        )


def write_note(folder: Path, recording: Recorded) -> None:
    """Write what says how to read the arrays in ``folder``, whole or not at all."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **_small(recording))
    write_whole(folder / _NOTE, buffer.getvalue())


def write_npz(recording: Recorded, path: str | os.PathLike[str]) -> Path:
    """Write a whole recording to one compressed file, one array after another."""
    large = {f"{what}@{quote(name, safe=' ')}": values for (name, what), values in _large(recording).items()}
    return write_arrays(path, _small(recording) | large)


def read_recording(path: str | os.PathLike[str]) -> Recorded:
    """Read a file of :func:`write_npz`, or a folder that was recorded into."""
    source = Path(path)
    note = source / _NOTE if os.path.isdir(source) else source
    expected = f"a .npz file, or a folder with {_NOTE}"
    if not os.path.exists(note):
        raise DataError(f"There is no recording in {str(source)!r}.", expected=expected)
    size = check_regular(note, DataError, expected=expected)
    try:
        arrays, _ = read_npz(note, size)
        small = {key: array for key, array in arrays.items() if "@" not in key}
        large = {key: array for key, array in arrays.items() if "@" in key} if not source.is_dir() else None

        def get(name: str, what: str) -> NDArray[Any]:
            if large is not None:
                return np.asarray(large[f"{what}@{quote(name, safe=' ')}"])
            place = array_file(source, name, what)
            assert place is not None
            return read_array(place)

        return _recording(small, get)
    except DataError:
        raise
    except Exception as error:  # what a damaged archive leads to in zipfile, zlib, NumPy and here
        raise DataError(
            f"{str(note)!r} is no recording, or a damaged one.", found=f"{type(error).__name__}: {error}"[:200]
        ) from error


def _recording(small: Mapping[str, NDArray[Any]], get: Callable[[str, str], NDArray[Any]]) -> Recorded:
    about = json.loads(str(small["about"]))
    steps = int(about["steps"])
    if about["format"] != 1 or steps < 0:
        raise ValueError("another format")
    found: dict[str, dict[str, Any]] = {
        key: {} for key in ("counts", "windows", "last", "kept", "group", "members", "spikes", "state", "synapses")
    }
    for key, values in small.items():
        if key in ("about", "outputs"):
            continue
        what, *names = [unquote(part) for part in key.split(":")]
        place = found[what]
        for name in names[:-1]:
            place = place.setdefault(name, {})
        place[names[-1]] = values
    spikes = {
        name: _events(name, int(n), steps, get(name, "offsets"), get(name, "neurons"))
        for name, n in found["spikes"].items()
    }
    states, weights = {}, {}
    for name, neurons in found["state"].items():
        sampled = get("states", "steps")
        seen = int((sampled <= steps).sum())
        states[name] = States(sampled[:seen], neurons, _rows(get(name, "potentials"), seen, len(neurons)))
    for name, synapses in found["synapses"].items():
        sampled = get("weights", "steps")
        seen = int((sampled <= steps).sum())
        chosen = None if synapses.shape == (0, 0) else synapses
        weights[name] = WeightSamples(sampled[:seen], chosen, _rows(get(name, "weights"), seen, None))
    return Recorded(
        steps=steps,
        dt=float(about["dt"]),
        counts=found["counts"],
        window=int(about["window"]),
        windows=found["windows"],
        spikes=spikes,
        potentials=found["last"],
        kept=found["kept"],
        group_windows=found["group"],
        group_neurons=found["members"],
        states=states,
        weights=weights,
        outputs=small.get("outputs"),
        hypnogram=tuple(SleepSpan(*span) for span in about.get("hypnogram", ())),
        **{key: about.get(key) for key in _ORIGIN},
    )


def _events(name: str, n: int, steps: int, offsets: NDArray[Any], neurons: NDArray[Any]) -> SpikeEvents:
    """The spikes of ``steps`` steps; a process that was killed may have written more than its note counts."""
    offsets = offsets[: steps + 1]
    if len(offsets) != steps + 1 or offsets[0] != 0:
        raise ValueError(f"the spikes of {name!r} do not cover {steps} steps")
    try:
        return SpikeEvents(n, offsets, neurons[: max(int(offsets[-1]), 0)])
    except SettingsError as error:
        raise ValueError(f"the spikes of {name!r} are none: {error.message}") from error


def _rows(values: NDArray[Any], rows: int, width: int | None) -> NDArray[Any]:
    if values.ndim != 2 or len(values) < rows or (width is not None and values.shape[1] != width):
        raise ValueError(f"samples of shape {values.shape}, of which {rows} are needed")
    return values[:rows]


def _check_single_spikes(recording: Recorded) -> None:
    if not recording.spikes:
        raise DataError("The recording holds no single spikes.", hint='record=Record(spikes="all") keeps them')


def spike_columns(recording: Recorded) -> dict[str, NDArray[Any]]:
    """The columns of :func:`write_spikes_csv`, one population after another."""
    _check_single_spikes(recording)
    inside = {name: slice(*events.offsets[[0, -1]]) for name, events in recording.spikes.items()}
    step = np.concatenate([events.times for events in recording.spikes.values()])
    return {
        "population": np.repeat(
            np.array([*inside], dtype=object), [part.stop - part.start for part in inside.values()]
        ),
        "neuron": np.concatenate([recording.spikes[name].indices[part] for name, part in inside.items()]),
        "step": step,
        "time": step * recording.dt,
    }


def write_spikes_csv(recording: Recorded, path: str | os.PathLike[str]) -> Path:
    """Write the spikes as a table, a stretch of steps at a time, so that memory stays small."""
    target = checked_name(path, ".csv")
    _check_single_spikes(recording)

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.write("population,neuron,step,time\n")
            for name, events in recording.spikes.items():
                quoted = '"' + name.replace('"', '""') + '"' if set(name) & set(',"\n\r') else name
                for start in range(0, events.steps, 10_000):
                    part = events.slice(start, min(start + 10_000, events.steps))
                    steps = part.times + start
                    rows = zip(part.indices.tolist(), steps.tolist(), (steps * recording.dt).tolist(), strict=True)
                    file.writelines(f"{quoted},{neuron},{step},{time:.9g}\n" for neuron, step, time in rows)

    return write_whole(target, write)
