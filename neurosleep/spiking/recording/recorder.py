"""Collects a Recording while a network is stepped."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from neurosleep.errors import SettingsError, unknown_name
from neurosleep.functional import SpikeEvents
from neurosleep.spiking.engines import Session
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.recording.chosen import check_neurons
from neurosleep.spiking.recording.files import array_file, check_free, write_note
from neurosleep.spiking.recording.record import Record
from neurosleep.spiking.recording.recording import Recording
from neurosleep.spiking.recording.store import Store
from neurosleep.spiking.recording.watched import WatchedPotentials, WatchedWeights

__all__ = ["Recorder"]

# Seconds between two notes of how far a recording in a folder has come: a note costs more than a chunk of steps.
_NOTE_EVERY = 1.0


class Recorder:
    """Collects a :class:`Recording` chunk by chunk; memory grows only with what is recorded.

    Parameters
    ----------
    record:
        What to keep.
    sizes:
        Neurons of each population.
    dt:
        Length of a step in seconds.
    network:
        Needed where potentials or weights are to be kept.

    Raises
    ------
    UnknownNameError
        If ``record`` names a population or projection that is not there.
    SettingsError
        If it names a neuron or synapse that is not there.

    See Also
    --------
    Recording : what it collects
    neurosleep.spiking.Session : what it runs

    Examples
    --------
    >>> import torch
    >>> from neurosleep import Record, SpikeEvents
    >>> from neurosleep.spiking import Recorder
    >>> recorder = Recorder(Record(spikes="all"), {"hidden1": 3}, dt=0.001)
    >>> recorder.add({"hidden1": SpikeEvents.from_dense(torch.eye(3, dtype=torch.bool))})
    >>> recorder.recording().counts
    {'hidden1': array([1, 1, 1])}
    """

    def __init__(
        self, record: Record, sizes: Mapping[str, int], dt: float, network: SpikingNetwork | None = None
    ) -> None:
        self._record, self._sizes, self._dt = record, dict(sizes), dt
        self._steps = 0
        self._counts = {name: np.zeros(n, dtype=np.int64) for name, n in sizes.items()}
        self._windows: dict[str, list[int]] = {name: [] for name in sizes}
        self._kept = self._chosen_spikes(record)
        for name in record.groups:
            self._size(name)
        self._groups = {
            name: {
                group: check_neurons(name, neurons, self._size(name), f"group {group!r}")
                for group, neurons in groups.items()
            }
            for name, groups in record.groups.items()
        }
        self._members = {
            name: np.stack([np.isin(np.arange(self._sizes[name]), found) for found in groups.values()]).astype(np.int64)
            for name, groups in self._groups.items()
            if groups
        }
        self._group_windows: dict[str, list[NDArray[np.int64]]] = {name: [] for name in self._members}
        potentials = {
            name: check_neurons(name, neurons, self._size(name), "potentials")
            for name, neurons in record.potentials.items()
        }
        if record.samples and network is None:
            raise SettingsError("Potentials and weights can be kept only of a network that is known.")
        self._watched: list[WatchedPotentials | WatchedWeights] = []
        if network is not None:
            self._watched = [WatchedPotentials(potentials, record, network), WatchedWeights(record, network)]
        # Files are made last: what is refused leaves none behind.
        folder = None if record.folder is None else Path(record.folder)
        if folder is not None:
            check_free(folder)
        self._indices: dict[str, Store] = {}
        self._offsets: dict[str, Store] = {}
        self._totals = dict.fromkeys(self._kept, 0)
        for name in self._kept:
            self._indices[name] = Store(np.int32, path=array_file(folder, name, "neurons"))
            self._offsets[name] = Store(np.int64, path=array_file(folder, name, "offsets"))
            self._offsets[name].append(np.zeros(1, dtype=np.int64))
        for watched in self._watched:
            watched.open(folder)
        self._folder, self._noted = folder, -math.inf

    def _size(self, name: str) -> int:
        if name not in self._sizes:
            raise unknown_name("population", name, self._sizes)
        return self._sizes[name]

    def _chosen_spikes(self, record: Record) -> dict[str, NDArray[np.int64] | None]:
        """The populations whose spikes are kept, in the network's order, and their neurons where not all of them."""
        if isinstance(record.spikes, str):
            return dict.fromkeys(self._sizes if record.spikes == "all" else (), None)
        if not isinstance(record.spikes, Mapping):
            for name in record.spikes:
                self._size(name)
            return {name: None for name in self._sizes if name in record.spikes}
        chosen: dict[str, NDArray[np.int64] | None] = {}
        for name, neurons in record.spikes.items():
            listed = np.unique(check_neurons(name, neurons, self._size(name), "spikes"))
            chosen[name] = None if len(listed) == self._sizes[name] else listed
        return {name: chosen[name] for name in self._sizes if name in chosen}

    def run(self, session: Session, inputs: Mapping[str, SpikeEvents]) -> dict[str, int]:
        """Let ``session`` advance by the steps of ``inputs`` and record it; its spikes are counted by population.

        The steps are done in one go, or in several where potentials or weights are looked at in between.
        """
        start = self._steps
        stop = start + next(iter(inputs.values())).steps
        totals = dict.fromkeys(self._sizes, 0)
        if start == 0:
            self._look(session)
        for a, b in itertools.pairwise(self._stops(start, stop)):
            part = {name: events.slice(a - start, b - start) for name, events in inputs.items()}
            chunk = session.run(part if (a, b) != (start, stop) else inputs)
            self.add(chunk)
            self._look(session)
            for name, events in chunk.items():
                totals[name] += events.count
        if self._folder is not None and perf_counter() > self._noted + _NOTE_EVERY:
            self.recording()
        return totals

    def _stops(self, start: int, stop: int) -> list[int]:
        stops = {start, stop}
        for watched in self._watched:
            if watched:
                stops.update(range((start // watched.every + 1) * watched.every, stop, watched.every))
        return sorted(stops)

    def _look(self, session: Session) -> None:
        for watched in self._watched:
            if watched and self._steps % watched.every == 0:
                watched.look(session, self._steps)

    def add(self, chunk: Mapping[str, SpikeEvents]) -> None:
        """Take in the spikes of the next steps, by population."""
        every, start = self._record.rates_every, self._steps
        steps = next(iter(chunk.values())).steps
        for name, events in chunk.items():
            self._counts[name] += events.counts()
            windows = self._windows[name]
            windows += [0] * (-(-(start + steps) // every) - len(windows))
            members = self._members.get(name)
            edge = start
            while edge < start + steps:
                stop = min((edge // every + 1) * every, start + steps)
                first, last = int(events.offsets[edge - start]), int(events.offsets[stop - start])
                windows[edge // every] += last - first
                if members is not None:
                    of_groups = self._group_windows[name]
                    if len(of_groups) <= edge // every:
                        of_groups.append(np.zeros(len(members), dtype=np.int64))
                    of_groups[-1] += members @ np.bincount(events.indices[first:last], minlength=events.n)
                edge = stop
            if name in self._kept:
                self._keep(name, events)
        self._steps += steps

    def _keep(self, name: str, events: SpikeEvents) -> None:
        first = int(events.offsets[0])
        indices, offsets = events.indices[first : int(events.offsets[-1])], events.offsets - first
        chosen = self._kept[name]
        if chosen is not None:
            wanted = np.zeros(events.n, dtype=np.bool_)
            wanted[chosen] = True
            inside = wanted[indices]
            offsets = np.concatenate([[0], np.cumsum(inside)])[offsets]
            indices = indices[inside]
        self._indices[name].append(indices)
        self._offsets[name].append(offsets[1:] + self._totals[name])
        self._totals[name] += len(indices)

    def recording(self, potentials: Mapping[str, NDArray[np.floating]] | None = None) -> Recording:
        """Everything collected so far; a folder that is recorded into then says so too.

        ``potentials`` are those after the last step, of populations that are read and not counted.
        """
        groups = {
            name: dict(
                zip(self._groups[name], np.array(found, dtype=np.int64).reshape(-1, len(members)).T, strict=True)
            )
            for (name, found), members in zip(self._group_windows.items(), self._members.values(), strict=True)
        }
        found = Recording(
            steps=self._steps,
            dt=self._dt,
            counts={name: counts.copy() for name, counts in self._counts.items()},
            window=self._record.rates_every,
            potentials=dict(potentials or {}),
            windows={name: np.array(values, dtype=np.int64) for name, values in self._windows.items()},
            spikes={
                name: SpikeEvents._trusted(self._sizes[name], self._offsets[name].array(), self._indices[name].array())
                for name in self._kept
            },
            kept={name: neurons for name, neurons in self._kept.items() if neurons is not None},
            group_windows=groups,
            group_neurons={name: dict(found) for name, found in self._groups.items() if found},
            states={name: found for watched in self._watched for name, found in watched.states().items()},
            weights={name: found for watched in self._watched for name, found in watched.weights().items()},
        )
        if self._folder is not None:
            write_note(self._folder, found)
            self._noted = perf_counter()
        return found
