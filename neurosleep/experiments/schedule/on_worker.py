"""What a task that runs on a worker of a cluster tells its client, and how it learns that nobody waits for it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from neurosleep.experiments.schedule.full_speed import full_speed

__all__ = ["TOPIC", "Desk", "NobodyWaitsError", "desk"]

#: Under which a worker sends what is told of tasks while they go on.
TOPIC = "neurosleep"
# Seconds between two texts of progress of one task, at least.
_EVERY = 0.5
# Seconds after which a task that waits for its turn looks whether anybody still waits for it.
_LOOK = 1.0
# What runs in one process has its threads and generators to itself.
_turn = threading.Lock()


class NobodyWaitsError(Exception):
    """The task was cancelled."""


class Desk:
    """Where a task works: what it says here, its client hears; a task outside a cluster is heard by nobody."""

    def __init__(self) -> None:
        from distributed import get_worker

        self._worker: Any = None
        self._key, self._said = "", 0.0
        with contextlib.suppress(ValueError):  # a call outside a cluster
            self._worker = get_worker()
            self._key = str(self._worker.get_current_task())

    @property
    def name(self) -> str:
        """The worker's name, and where it is."""
        return "this machine" if self._worker is None else worker_name(self._worker.address, self._worker.name)

    @property
    def folder(self) -> str | None:
        """The worker's own folder for what is temporary, which Dask empties also after a worker that was killed."""
        return None if self._worker is None else str(self._worker.local_directory)

    def at_full_speed(self) -> AbstractContextManager[None]:
        """The worker without what slows a long task."""
        return contextlib.nullcontext() if self._worker is None else full_speed(self._worker)

    def say(self, text: str) -> None:
        """Tell how far the task is, not too often; it ends here if it was cancelled."""
        self.check()
        if time.monotonic() - self._said >= _EVERY:
            self._said = time.monotonic()
            self.tell({"text": text})

    def tell(self, message: Mapping[str, object]) -> None:
        """Tell plain values."""
        if self._worker is not None:
            self._worker.log_event(TOPIC, {"key": self._key, **message})

    def check(self) -> None:
        """End the task if nobody waits for it any more."""
        if self._worker is None:
            return
        task = self._worker.state.tasks.get(self._key)
        if task is None or task.state == "cancelled":
            raise NobodyWaitsError


def worker_name(address: str, name: object) -> str:
    """How a worker is called in messages."""
    return address if str(name) == address else f"{name} ({address})"


@contextmanager
def desk() -> Iterator[Desk]:
    """The place of the present task, which has the process to itself meanwhile: tasks of other threads wait."""
    place = Desk()
    while not _turn.acquire(timeout=_LOOK):
        place.check()
    try:
        with place.at_full_speed():
            yield place
    finally:
        _turn.release()
