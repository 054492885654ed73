"""A run while it goes on: what happened, as plain values that can be shown, written as lines of JSON, or plotted."""

from __future__ import annotations

import json
import math
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurosleep._files import check_folder
from neurosleep.continual import Learner
from neurosleep.conversion import wake
from neurosleep.data import Task, to_float
from neurosleep.errors import NeurosleepError, RunFolderError, missing_extra
from neurosleep.learning import accuracy
from neurosleep.replay import Moment
from neurosleep.spiking import SpikingNetwork

__all__ = ["Follow", "Listener", "Listeners", "TensorBoard", "Watcher"]

Listener = Callable[[Mapping[str, Any]], None]
"""Takes one event: a mapping of plain values, of which ``event`` is the kind."""

# So often, at most, the accuracy is looked at in a sleep phase: each time, the network wakes and sees images.
_LOOKS = 20
_IMAGES = 500


class Watcher:
    """Makes events of a run and hands them to a listener.

    Events, beside ``experiment``, ``variant``, ``strategy``, ``seed`` and ``time`` (seconds since the epoch):

    ``start``: ``tasks``. ``epoch``: ``task``, ``epoch``. ``phase``: ``task``, ``phase`` (``wake`` or ``sleep``),
    ``accuracy`` of each task and ``accuracy_all``. ``sleep``: ``task``, ``step``, ``steps``, ``asleep`` (steps in all
    sleep phases so far), ``rates`` (Hz, mean over
    the neurons of each layer in the last piece of the sleep), and from time to time ``weight_change`` (by projection,
    the norm of the change since the sleep began over the norm then) and ``accuracy_all`` (the network woken at that
    step, on a part of the test images of all tasks). ``end``: ``status``, ``accuracy_all``.
    """

    def __init__(self, listener: Listener, name: Mapping[str, Any], tests: Sequence[Task]) -> None:
        self._listener, self._name = listener, dict(name)
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
        self.send("start", tasks=len(tests))

    def send(self, event: str, **values: Any) -> None:
        """Hand on one event; numbers that are not finite become None."""
        self._listener({"event": event, **self._name, "time": time.time(), **{k: _plain(v) for k, v in values.items()}})

    def epoch(self, task: int, number: int) -> None:
        """An epoch of a task (from 0) is over."""
        self.send("epoch", task=task + 1, epoch=number)

    def phase(self, phase: str, task: int, accuracies: Sequence[float]) -> None:
        """A phase of a task (from 0) is over."""
        total = sum(a * n for a, n in zip(accuracies, self._counts, strict=True)) / sum(self._counts)
        self.send("phase", task=task + 1, phase=phase, accuracy=list(accuracies), accuracy_all=total)

    def sleep(self, learner: Learner, moment: Moment) -> None:
        """A piece of a sleep phase is over."""
        sizes = {name: count / (moment.window * moment.dt) for name, count in moment.spikes.items()}
        pieces = -(-moment.steps // moment.window) if moment.window else 1
        number = moment.step // max(moment.window, 1)
        if learner.task != self._task:
            self.slept += self._step
        self._task, self._step = learner.task, moment.step
        values: dict[str, Any] = {"task": learner.task + 1, "step": moment.step, "steps": moment.steps}
        values["asleep"] = self.slept + moment.step
        every = max(1, pieces // _LOOKS)
        first = moment.step == moment.window
        network = moment.network() if first or number % every == 0 or moment.step == moment.steps else None
        if network is not None:
            values["rates"] = {p.name: sizes[p.name] / p.size for p in network.populations}
            values["weight_change"] = self._change(learner, network)
            try:
                woken = wake(network, learner.network)
                values["accuracy_all"] = accuracy(woken, self._images, self._labels)
            except NeurosleepError:
                values["accuracy_all"] = None
            self._populations = {p.name: p.size for p in network.populations}
        else:
            values["rates"] = {name: rate / self._populations[name] for name, rate in sizes.items()}
        self.send("sleep", **values)

    @staticmethod
    def _change(learner: Learner, network: SpikingNetwork) -> dict[str, float | None]:
        """By projection, the change of its weights since the sleep began; the awake ones are those it began with."""
        found: dict[str, float | None] = {}
        for (q, now), awake in zip(network.weighted, learner.network.weights, strict=True):
            then = awake.detach()
            norm = float(then.norm())
            found[f"{q.source} -> {q.target}"] = float((now.to(then) - then).norm()) / norm if norm else None
        return found

    def end(self, metrics: Mapping[str, Any]) -> None:
        """The run is over."""
        self.send("end", status=metrics["status"], accuracy_all=metrics["accuracy_all"])


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


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

    def __call__(self, event: Mapping[str, Any]) -> None:
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

    def __call__(self, event: Mapping[str, Any]) -> None:
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

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunFolderError(
                f"The folder {str(self._folder)!r} cannot be written.",
                found=error.strerror or str(error),
                hint="--tensorboard takes the name of a folder; free some space, and --resume goes on",
            ) from error

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Write one event."""
        with self._named_errors():
            self._write(event)

    def _write(self, event: Mapping[str, Any]) -> None:
        # Not with torch's SummaryWriter: what goes wrong in its thread is seen minutes later, if ever.
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter
        from torch.utils.tensorboard import summary

        scalar: Any = summary.scalar

        points = list(self._points(event))
        if not points:
            return
        run = "/".join(str(event[key]) for key in ("experiment", "variant", "strategy")) + f"/seed{event['seed']}"
        events = [Event(wall_time=event["time"], step=at, summary=scalar(name, value)) for name, value, at in points]
        if run not in self._files:
            (self._folder / run).mkdir(parents=True, exist_ok=True)
            name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
            self._files[run] = self._folder / run / name
            events.insert(0, Event(wall_time=event["time"], file_version="brain.Event:2"))
        # Opened each time, so that all of it is there however a run ends.
        with self._files[run].open("ab") as file:
            writer = RecordWriter(file)
            for one in events:
                writer.write(one.SerializeToString())

    def _points(self, event: Mapping[str, Any]) -> Iterator[tuple[str, float, int]]:
        """Name, value and step of each point that an event adds to the curves."""
        if event["event"] == "sleep":
            # Over the steps of all sleep phases so far, so that the curves go on from sleep phase to sleep phase.
            for name, value in self._scalars(event):
                yield f"asleep/{name}", value, event["asleep"]
        elif event["event"] == "phase":
            at = 2 * event["task"] - (event["phase"] == "wake")
            yield "after each phase/accuracy_all", event["accuracy_all"], at
            for k, value in enumerate(event["accuracy"], start=1):
                yield f"after each phase/task {k}", value, at

    @staticmethod
    def _scalars(event: Mapping[str, Any]) -> list[tuple[str, float]]:
        found = []
        for key, value in event.items():
            if key in ("rates", "weight_change"):
                found += [(f"{key}/{name}", inner) for name, inner in value.items() if inner is not None]
            elif key == "accuracy_all" and value is not None:
                found.append((key, value))
        return found
