"""Functions called in processes of their own, none of which outlives the one that started them."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

import torch

from neurosleep.errors import NeurosleepError, RunFolderError, SettingsError, shorten_warnings
from neurosleep.experiments.schedule.executor import Outcome

__all__ = ["Processes", "check_main_guard"]

_NAME = "neurosleep-worker"
# Seconds between two texts of progress of one worker, at least.
_EVERY = 0.2
# Seconds that a worker at rest may take to end by itself.
_LONGEST_WAY_OUT = 60
# Exit code of a worker in which the user's script, imported by it, came to start workers again.
_UNGUARDED = 78


T = TypeVar("T")


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    task: int | None = None
    started: bool = False


def check_main_guard() -> None:
    """End a worker that imports the user's script, as spawned processes do, and finds itself starting the work anew."""
    process = multiprocessing.current_process()
    if process.name == _NAME and getattr(process, "_inheriting", False):
        # Past every handler of the script; the parent says what is wrong with it.
        os._exit(_UNGUARDED)


class Processes(Generic[T]):
    """Calls ``function`` with the arguments that a task is, in up to ``jobs`` processes of their own.

    A process that is ended from outside is an outcome of its task alone; the next task has a new one. With ``report``
    the function has an argument of that name too, which takes texts; here they are heard with the number of the task.
    """

    def __init__(self, function: Callable[..., T], jobs: int, report: Callable[[int, str], None] | None = None) -> None:
        self._function, self.slots, self._report = function, jobs, report
        self._workers: list[_Worker] = []

    def start(self, number: int, *task: object) -> None:
        """Call the function, in a process that is free or else a new one."""
        worker = next((worker for worker in self._workers if worker.task is None), None)
        if worker is None:
            worker = _start(self._function, self._report is not None)
            self._workers.append(worker)
        worker.task = number
        with contextlib.suppress(BrokenPipeError, ConnectionError):  # it has died, which is seen when it has ended
            worker.connection.send_bytes(pickle.dumps(task))

    def ended(self) -> Iterator[tuple[int, Outcome[T]]]:
        """Wait until a call has ended; number and outcome of each that has.

        Raises
        ------
        SettingsError
            If no process can start, since the script that started them is one that they cannot import.
        """
        busy = {worker.connection: worker for worker in self._workers if worker.task is not None}
        for connection in wait(list(busy)):
            worker = busy[connection]  # type: ignore[index]
            message = _received(worker)
            if message is None:
                self._workers.remove(worker)
                outcome: Outcome[T] = Outcome(error=_death(worker))
            elif not worker.started:
                worker.started = True
                continue
            elif isinstance(told := pickle.loads(message), str):
                if self._report is not None and worker.task is not None:
                    self._report(worker.task, told)
                continue
            else:
                outcome = told
            number, worker.task = worker.task, None
            assert number is not None
            yield number, outcome

    def close(self) -> None:
        """End every process: one that is at work at once, one at rest by its own way out.

        What libraries made in a process, such as the semaphore of tqdm, which torch.fx uses, is tidied up on that way
        alone; Python's resource tracker complains of it otherwise when the program ends.
        """
        with _uninterrupted():
            for worker in self._workers:
                if worker.task is None:
                    worker.connection.close()  # which it reads as the end
                else:
                    worker.process.kill()
            for worker in self._workers:
                worker.process.join(_LONGEST_WAY_OUT)
                worker.process.kill()
                worker.process.join()
                worker.connection.close()
        self._workers = []


def _start(function: Callable[..., object], tells: bool) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, function, tells), name=_NAME)
    with _uninterrupted():
        process.start()
    theirs.close()
    return _Worker(process, ours)


def _received(worker: _Worker) -> bytes | None:
    """The next message of a worker, or None if it has ended."""
    try:
        return worker.connection.recv_bytes()
    except (EOFError, OSError):
        return None


def _death(worker: _Worker) -> NeurosleepError:
    """Why a worker has ended that should not have; raises what holds for every other one as well."""
    worker.process.join()
    worker.connection.close()
    code = worker.process.exitcode or 0
    if not worker.started and code >= 0:
        raise SettingsError(
            "The worker processes cannot start: each of them imports the script that started them.",
            found="a script that starts them again when it is imported"
            if code == _UNGUARDED
            else f"one that ended with exit code {code}",
            expected="a script in a file whose work stands below such a line",
            hint='put the work of the script below the line  if __name__ == "__main__":  (or take jobs=1)',
        )
    reason = signal.Signals(-code).name if -code in set(signal.Signals) else f"exit code {code}"
    return RunFolderError(
        "A worker process was ended from outside.",
        found=reason,
        hint="--resume continues where it stopped; if the memory was too small, with fewer --jobs",
    )


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until this is over; a process that is started meanwhile starts with them blocked."""
    signals = (signal.SIGINT, signal.SIGTERM)
    late: list[int] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        # A handler that is None is not Python's, and cannot be put back by it.
        handlers = {number: signal.getsignal(number) for number in signals if signal.getsignal(number) is not None}
    for number in handlers:
        signal.signal(number, lambda number, frame: late.append(number))
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signals) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        if blocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for missed in late:
            signal.raise_signal(missed)


def _serve(connection: Connection, function: Callable[..., object], tells: bool) -> None:
    """What a worker does: one call after another, until there are no more."""
    _end_with_parent()
    # Ctrl-C goes to every process of a terminal; the parent is the one to answer it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    shorten_warnings()
    torch.set_num_threads(1)
    connection.send_bytes(b"started")
    if tells:
        function = partial(function, report=_Teller(connection))
    while True:
        try:
            message = connection.recv_bytes()
        except EOFError:
            return
        try:
            outcome = Outcome(function(*pickle.loads(message)))
        except Exception as error:
            outcome = Outcome(error=_portable(error))
        connection.send_bytes(pickle.dumps(outcome))


class _Teller:
    """Sends texts to the parent, not too often."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._told = connection, 0.0

    def __call__(self, text: str) -> None:
        if time.monotonic() - self._told >= _EVERY:
            self._told = time.monotonic()
            self._connection.send_bytes(pickle.dumps(text))


def _end_with_parent() -> None:
    """See to it that this process ends when its parent does, however that happens, and if it has happened already."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        # The end of a pipe whose other end only the parent holds.
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
    if sys.platform == "linux":
        # PR_SET_PDEATHSIG: at once, also while compiled code lets no other thread run.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _portable(error: Exception) -> Exception:
    """``error`` if it survives the way to another process, else its text; an internal error says where it was."""
    text = "".join(traceback.format_exception(error))
    if not isinstance(error, NeurosleepError):
        error.add_note(text)
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(text)
    return error
