"""Runs on the workers of a cluster: what is sent, what is asked of the workers before, and what comes back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypedDict, cast

from neurosleep._worker import describe, run_parcel
from neurosleep.errors import DataError, NeurosleepError, RunFolderError, SettingsError
from neurosleep.experiments.changes import dump_toml
from neurosleep.experiments.inside import read_bytes
from neurosleep.experiments.metrics import Metrics
from neurosleep.experiments.run.check import Plan, read_data, source_of
from neurosleep.experiments.run.events import Event, Listener, end_event
from neurosleep.experiments.run.message import Message, message_of, own_side, read_error
from neurosleep.experiments.run.origin import fingerprint
from neurosleep.experiments.run.request import RunRequest
from neurosleep.experiments.run.scenario import tasks_of
from neurosleep.experiments.run_folder import write_whole
from neurosleep.experiments.schedule.cluster import Cluster
from neurosleep.experiments.schedule.executor import Outcome
from neurosleep.experiments.schedule.parcel import files_in, pack, unpack

__all__ = ["ClusterRuns"]

# Seconds to wait for the lock of a folder, which another client of the scheduler holds while it writes the same run.
_PATIENCE = 60.0


class Refusal(TypedDict, total=False):
    """Why a worker cannot run what is asked: other versions, or an error, and the name of the data set."""

    versions: list[str]
    error: Mapping[str, Any]
    data: str


class ClusterRuns:
    """Runs requests on a cluster, and writes their folders here; those that are finished stay as they are.

    Parameters
    ----------
    address:
        Of the scheduler.
    slots:
        How many runs are handed over at a time; None: as many as there are workers.
    report, listener:
        Who is told of them.
    """

    def __init__(
        self,
        address: str,
        slots: int | None = None,
        report: Callable[[int, str], None] = lambda number, text: None,
        listener: Listener | None = None,
    ) -> None:
        self._slots, self._report, self._listener = slots, report, listener
        #: The SHA-256 of data by what they depend on.
        self._sums: dict[tuple[object, ...], str] = {}
        self._requests: dict[int, RunRequest] = {}
        #: Of whose runs the listener has heard, and not yet the end.
        self._heard: set[int] = set()
        self._finished: list[tuple[int, Metrics]] = []
        self._client = own_side()
        self._cluster = Cluster(address, run_parcel, self._told)
        self._cluster.wake(describe, self._question([]))

    @property
    def slots(self) -> int:
        """How many runs are handed over at a time."""
        return self._cluster.slots if self._slots is None else self._slots

    def read(self, plans: Sequence[Plan]) -> None:
        """Read the data of all plans, once where they are the same; refuse a bad file, and one that does not fit."""
        for plan, tasks in zip(plans, read_data(plans), strict=True):
            if (source := source_of(plan.request)) not in self._sums:
                self._sums[source] = fingerprint(tasks)

    def check(self, requests: Sequence[RunRequest]) -> None:
        """Refuse workers that could not run the requests as this machine would, before anything is written.

        Raises
        ------
        NeurosleepError
            Which names every such worker, and what it lacks.
        """
        # Seeds apart, which change nothing here.
        different = {(r.strategy, dump_toml(r.settings)): self._message(r) for r in reversed(requests)}
        refusals: dict[str, Refusal] = {}
        answers = self._cluster.ask(describe, self._question(list(different.values())))
        for worker, answer in answers.items():
            if isinstance(answer, Exception):
                refusals[worker] = {"versions": [f"{type(answer).__name__}: {answer}"]}
            elif refusal := json.loads(answer):
                refusals[worker] = refusal
        if refusals:
            raise _refused(refusals, len(answers))

    def _question(self, messages: Sequence[Message]) -> bytes:
        return json.dumps({"client": self._client, "requests": messages}).encode()

    def start(self, number: int, *task: object) -> None:
        """Hand over a request."""
        (request,) = cast(tuple[RunRequest], task)
        if request.resume and request.folder.finished:
            self._finished.append((number, request.folder.metrics()))
            return
        files = files_in(request.folder.path) if request.resume else {}
        message = self._message(request)
        self._requests[number] = request
        content = pack({"request": message, "client": self._client, "watched": self._listener is not None}, files)
        self._cluster.start(number, self._key(message, files), content)

    def _message(self, request: RunRequest) -> Message:
        source = source_of(request)
        if source not in self._sums:
            self._sums[source] = fingerprint(tasks_of(request.settings, request.data, request.seed))
        return message_of(request, self._sums[source])

    def _key(self, message: Message, files: Mapping[str, bytes]) -> str:
        """What makes a run this one: all of it but from where it was asked for."""
        same = {key: value for key, value in message.items() if key not in ("command", "folder")}
        digest = hashlib.sha256(json.dumps([same, self._client, self._listener is not None]).encode())
        for name, file in files.items():
            digest.update(f"{name} {len(file)}\n".encode() + file)
        return f"neurosleep-{digest.hexdigest()}"

    def _told(self, number: int, message: Mapping[str, object]) -> None:
        if "text" in message:
            self._report(number, str(message["text"]))
        if "event" in message and self._listener is not None:
            event = cast(Event, message["event"])
            # The end is told when the folder is here.
            if event["event"] != "end":
                self._heard.add(number)
                self._listener(event)

    def _tell_end(self, number: int, request: RunRequest, status: str, accuracy_all: float | None = None) -> None:
        if number in self._heard and self._listener is not None:
            self._heard.discard(number)
            self._listener(end_event(request.name, str(request.folder.path), status, accuracy_all))

    def ended(self) -> Iterator[tuple[int, Outcome[Metrics]]]:
        """Wait until a run has come back; number and outcome of each that has.

        Raises
        ------
        NeurosleepError
            If the scheduler is gone, or a worker that came later could not run it as this machine would.
        """
        if self._finished:
            yield (done := self._finished.pop())[0], Outcome(done[1])
            return
        for number, outcome in self._cluster.ended():
            request = self._requests.pop(number)
            if outcome.value is None:
                self._tell_end(number, request, "failed")
                yield number, Outcome(error=outcome.error)
                continue
            content, files = unpack(outcome.value)
            if "refusal" in content:
                raise _refused({content["worker"]: content["refusal"]}, len(self._cluster.workers()))
            try:
                if "error" in content:
                    raise read_error(content["error"])
                metrics = _stored(request, files)
                self._tell_end(number, request, metrics["status"], metrics["accuracy_all"])
                result = Outcome(metrics)
            except Exception as error:
                self._tell_end(number, request, "failed")
                result = Outcome(error=error)
            yield number, result

    def close(self) -> None:
        """Cancel what is under way."""
        self._cluster.close()
        for number, request in self._requests.items():
            self._tell_end(number, request, "stopped")


def _stored(request: RunRequest, files: Mapping[str, bytes]) -> Metrics:
    """Write the files of a run into its folder, the metrics last, and read these."""
    folder = request.folder
    if "metrics.json" not in files:
        raise RunFolderError("What came back is no whole run.", found=", ".join(files) or "no files")
    folder.check()
    with folder.locked(patience=_PATIENCE):
        if folder.finished:
            # By another client that wanted the same folder, and has the same run.
            folder.check_config(dump_toml(request.settings))
            if read_bytes(folder.path / "metrics.json") != files["metrics.json"]:
                raise RunFolderError(
                    f"The run folder {str(folder.path)!r} was written by another process meanwhile.",
                    hint="--resume keeps what is there",
                )
        else:
            for name in sorted(files, key=lambda name: (name == "metrics.json", name)):
                write_whole(folder.path / name, files[name])
        return folder.metrics()


def _refused(refusals: Mapping[str, Refusal], workers: int) -> NeurosleepError:
    """One error for all workers that cannot do what is asked."""
    versions = {worker: refusal["versions"] for worker, refusal in refusals.items() if "versions" in refusal}
    if versions:
        return SettingsError(
            f"{len(versions)} of {workers} workers are not set up as this machine.",
            found="\n            ".join(f"{worker}: {'; '.join(others)}" for worker, others in versions.items()),
            expected="the same versions on all machines, so that a run gives the same numbers everywhere",
            hint="install these versions there, or run where they are",
        )
    names = sorted({refusal["data"] for refusal in refusals.values()})
    errors = {worker: read_error(refusal["error"]) for worker, refusal in refusals.items()}
    lines = "\n            ".join(f"{worker}: {' '.join(str(error).split())}"[:400] for worker, error in errors.items())
    if all(isinstance(error, DataError) for error in errors.values()):
        return DataError(
            f"{len(errors)} of {workers} workers have not the data of {', '.join(names)}.",
            found=lines,
            expected="on every worker the data that this machine has",
            hint="set NEUROSLEEP_DATA where the worker is started, or give a --data folder that all machines see",
        )
    return SettingsError(
        f"{len(errors)} of {workers} workers cannot run what is asked.",
        found=lines,
        hint="install there what is missing; files that settings name must be on every machine",
    )
