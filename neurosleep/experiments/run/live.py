"""A run while it goes on: what happened, as plain values that can be shown, written as lines of JSON, or plotted."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurosleep._files import check_folder
from neurosleep.continual import Learner
from neurosleep.conversion import wake
from neurosleep.data import Task, to_float
from neurosleep.errors import NeurosleepError, RunFolderError, missing_extra
from neurosleep.experiments.metrics import Metrics, RunName
from neurosleep.experiments.plain import number
from neurosleep.experiments.run.curves import points
from neurosleep.experiments.run.events import Event, Listener, Look, Told, end_event
from neurosleep.learning import accuracy
from neurosleep.replay import Moment
from neurosleep.spiking import SpikingNetwork

__all__ = ["Follow", "Listeners", "TensorBoard", "Watcher"]

# So often, at most, the accuracy is looked at in a sleep phase: each time, the network wakes and sees images.
_LOOKS = 20
_IMAGES = 500


class Watcher:
    """Makes events (:mod:`~neurosleep.experiments.run.events`) of a run and hands them to a listener.

    Numbers that are not finite are None in them.
    """

    def __init__(self, listener: Listener, name: RunName, tests: Sequence[Task]) -> None:
        self._listener, self._name = listener, name
        self._counts = [len(task.test_labels) for task in tests]
        images, labels = [], []
        for task in tests:
            # As many of each task, and at even distances, so that no class is left out where a file is sorted by them.
            n = len(task.test_labels)
            part = np.linspace(0, n - 1, min(n, max(1, _IMAGES // len(tests)))).round().astype(np.int64)
            images.append(torch.from_numpy(to_float(task.test_images[part])))
            labels.append(torch.from_numpy(task.test_labels[part]))
        self._images, self._labels = torch.cat(images), torch.cat(labels)
        # Of the present sleep phase its task and steps, and the steps of those before it.
        self._task, self._step, self.slept = -1, 0, 0
        self._sizes: dict[str, int] = {}
        listener({"event": "start", **self._told(), "tasks": len(tests)})

    def _told(self) -> Told:
        return {**self._name, "time": time.time()}

    def epoch(self, task: int, number: int) -> None:
        """An epoch of a task (from 0) is over."""
        self._listener({"event": "epoch", **self._told(), "task": task + 1, "epoch": number})

    def phase(self, phase: str, task: int, accuracies: Sequence[float]) -> None:
        """A phase of a task (from 0) is over."""
        total = sum(a * n for a, n in zip(accuracies, self._counts, strict=True)) / sum(self._counts)
        self._listener(
            {
                "event": "phase",
                **self._told(),
                "task": task + 1,
                "phase": phase,
                "accuracy": [number(value) for value in accuracies],
                "accuracy_all": number(total),
            }
        )

    def sleep(self, learner: Learner, moment: Moment) -> None:
        """A piece of a sleep phase is over."""
        pieces = -(-moment.steps // moment.window) if moment.window else 1
        piece = moment.step // max(moment.window, 1)
        if learner.task != self._task:
            self.slept += self._step
        self._task, self._step = learner.task, moment.step
        every = max(1, pieces // _LOOKS)
        first = moment.step == moment.window
        look: Look = {}
        if first or piece % every == 0 or moment.step == moment.steps:
            network = moment.network()
            self._sizes = {p.name: p.size for p in network.populations}
            look = {"weight_change": self._change(learner, network), "accuracy_all": None}
            with contextlib.suppress(NeurosleepError):
                look["accuracy_all"] = accuracy(wake(network, learner.network), self._images, self._labels)
        seconds = moment.window * moment.dt
        self._listener(
            {
                "event": "sleep",
                **self._told(),
                "task": learner.task + 1,
                "step": moment.step,
                "steps": moment.steps,
                "asleep": self.slept + moment.step,
                "rates": {name: number(moment.spikes[name] / seconds / size) for name, size in self._sizes.items()},
                **look,
            }
        )

    @staticmethod
    def _change(learner: Learner, network: SpikingNetwork) -> dict[str, float | None]:
        """By projection, the change of its weights since the start of the sleep, from the awake ones."""
        changes: dict[str, float | None] = {}
        for q, awake in zip(network.weighted, learner.network.weights, strict=True):
            then = awake.detach()
            norm = float(then.norm())
            moved = float((q.weight.to(then) - then).norm())
            changes[f"{q.source} -> {q.target}"] = number(moved / norm) if norm else None
        return changes

    def end(self, folder: Path, outcome: Metrics | BaseException) -> None:
        """The run is over, by its last task or by an error."""
        if isinstance(outcome, BaseException):
            status = "failed" if isinstance(outcome, Exception) else "stopped"
            # It may be the listener's own, and this is said only for order's sake.
            with contextlib.suppress(Exception):
                self._listener(end_event(self._name, str(folder), status))
        else:
            self._listener(end_event(self._name, str(folder), outcome["status"], outcome["accuracy_all"]))


class Listeners:
    """Hands each event to several listeners.

    See Also
    --------
    Follow, TensorBoard : listeners
    run_one, run_experiment : which take one

    Examples
    --------
    >>> from neurosleep.experiments import Listeners
    >>> both = Listeners(print, lambda event: print(event["event"]))
    >>> both({"event": "end"})
    {'event': 'end'}
    end
    """

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def __call__(self, event: Event) -> None:
        """Hand on one event."""
        for listener in self._listeners:
            listener(event)


class Follow:
    """Writes each event as a line of JSON at the end of a file; several processes may share it.

    Raises
    ------
    RunFolderError
        If the file cannot be written.

    See Also
    --------
    TensorBoard : the same as curves
    Listeners : several at once

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from neurosleep.experiments import Follow
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     follow = Follow(f"{folder}/events.jsonl")
    ...     follow({"event": "epoch", "task": 0, "epoch": 1})
    ...     print(Path(folder, "events.jsonl").read_text(), end="")
    {"event": "epoch", "task": 0, "epoch": 1}
    """

    def __init__(self, path: str | Path) -> None:
        self._path = str(path)
        self._write(b"")

    def __call__(self, event: Event) -> None:
        """Write one event."""
        self._write(json.dumps(event, allow_nan=False).encode() + b"\n")

    def _write(self, line: bytes) -> None:
        try:
            # One write at the end of the file: lines of several processes do not mix.
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, line)
            finally:
                os.close(handle)
        except OSError as error:
            raise RunFolderError(
                f"The file {self._path!r} cannot be written.",
                found=error.strerror or str(error),
                hint="--follow takes the name of a file in a folder that exists",
            ) from error


class TensorBoard:
    """Writes the numbers of each event for TensorBoard (extra ``tensorboard``), a run of it for each of ours.

    Raises
    ------
    MissingExtraError
        If the package is not installed.
    RunFolderError
        If the folder cannot be made or written, also when its disk is full.

    See Also
    --------
    Follow : lines of JSON
    Listeners : several at once

    Examples
    --------
    >>> from neurosleep.experiments import TensorBoard, run_one
    >>> metrics = run_one(request, listener=TensorBoard("out/tensorboard"))  # doctest: +SKIP
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            import tensorboard  # noqa: F401
        except ImportError as error:
            raise missing_extra("tensorboard", "tensorboard", "Writing for TensorBoard") from error
        self._folder = Path(folder)
        check_folder(self._folder, "--tensorboard takes the name of a folder")
        with self._named_errors():
            self._folder.mkdir(parents=True, exist_ok=True)
        self._files: dict[str, Path] = {}

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunFolderError(
                f"The folder {str(self._folder)!r} cannot be written.",
                found=error.strerror or str(error),
                hint="--tensorboard takes the name of a folder; free some space, and --resume goes on",
            ) from error

    def __call__(self, event: Event) -> None:
        """Write one event."""
        with self._named_errors():
            self._write(event)

    def _write(self, event: Event) -> None:
        # Not with torch's SummaryWriter: what goes wrong in its thread is seen minutes later, if ever.
        from tensorboard.compat.proto.event_pb2 import Event as Entry
        from tensorboard.summary.writer.record_writer import RecordWriter
        from torch.utils.tensorboard import summary

        added = list(points(event))
        if not added:
            return
        scalar: Any = summary.scalar
        run = "/".join((event["experiment"], event["variant"], event["strategy"], f"seed{event['seed']}"))
        entries = [Entry(wall_time=event["time"], step=at, summary=scalar(name, value)) for name, value, at in added]
        if run not in self._files:
            (self._folder / run).mkdir(parents=True, exist_ok=True)
            name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
            self._files[run] = self._folder / run / name
            entries.insert(0, Entry(wall_time=event["time"], file_version="brain.Event:2"))
        # Opened each time, so that all of it is there however a run ends.
        with self._files[run].open("ab") as file:
            writer = RecordWriter(file)
            for entry in entries:
                writer.write(entry.SerializeToString())
