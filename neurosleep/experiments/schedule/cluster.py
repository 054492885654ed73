"""The workers of a Dask scheduler as an executor, and what is asked of all of them before any work.

The scheduler starts each task on a worker, and anew on another one where that worker is lost, up to its setting
``distributed.scheduler.allowed-failures``. Tasks of one key are one task, whichever client asks for them. What is
submitted is a function of this package by its name, with bytes for argument and result.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import re
import warnings
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from neurosleep.errors import NeurosleepError, RunFolderError, SettingsError, missing_extra
from neurosleep.experiments.schedule.executor import Outcome
from neurosleep.experiments.schedule.on_worker import TOPIC, worker_name

__all__ = ["Cluster", "check_scheduler"]

# Seconds to wait for an answer of the scheduler, and for the first worker.
PATIENCE = 15.0
# Seconds between two looks whether the scheduler is still there.
_LOOK = 1.0
_ADDRESS = re.compile(r"(tcp|tls|ws|wss)://[^\s/]+:\d+/?")

Told = Callable[[int, Mapping[str, object]], None]


class Cluster:
    """The workers of the scheduler at ``address``; they call ``function`` with the bytes that a task is.

    Parameters
    ----------
    address:
        Such as ``tcp://10.0.0.1:8786``; how ``tls://`` is secured says Dask's own configuration.
    function:
        A function of a module of this package, which the workers have, too.
    told:
        Takes the number of a task and what its worker tells while it goes on.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    SettingsError
        If there is no scheduler at this address, or it has no worker.
    """

    def __init__(
        self,
        address: str,
        function: Callable[[bytes], bytes],
        told: Told = lambda number, message: None,
        *,
        patience: float | None = None,
    ) -> None:
        check_scheduler(address)
        patience = PATIENCE if patience is None else patience
        self.address, self._function, self._told = address, function, told
        self._futures: dict[int, Any] = {}
        self._news: queue.SimpleQueue[tuple[int | None, Mapping[str, object]]] = queue.SimpleQueue()
        self._quiet = contextlib.ExitStack()
        self._quiet.enter_context(_quiet())
        try:
            self._client = _connected(address, patience)
        except BaseException:
            self._quiet.close()
            raise
        try:
            self._client.subscribe_topic(TOPIC, lambda event: self._news.put((None, event[1])))
            self._wait_for_a_worker(patience)
        except BaseException:
            self.close()
            raise

    def _wait_for_a_worker(self, patience: float) -> None:
        with contextlib.suppress(TimeoutError):
            self._client.wait_for_workers(1, timeout=patience)
        if not self.workers():
            raise SettingsError(
                f"The scheduler at {self.address} has no workers.",
                expected="at least one",
                hint=f"start some: dask worker {self.address} --nthreads 1; a cluster that adapts needs a minimum of 1",
            )

    def workers(self) -> dict[str, str]:
        """The present workers: what they are called in messages, by address."""
        found = self._client.scheduler_info(n_workers=-1)["workers"]
        return {address: worker_name(address, worker["name"]) for address, worker in found.items()}

    @property
    def slots(self) -> int:
        """How many workers there are, at least 1."""
        return max(1, len(self.workers()))

    def ask(self, question: Callable[[bytes], Coroutine[Any, Any, str]], content: bytes) -> dict[str, str | Exception]:
        """What each of the present workers answers at once, whatever it is at, by its name in messages.

        ``question`` is a coroutine function of a module of this package; an answer may be the error that it raised.
        """
        names = self.workers()
        answers = self._client.run(question, content, on_error="return")
        return {names.get(address, address): answer for address, answer in answers.items()}

    def wake(self, question: Callable[[bytes], Coroutine[Any, Any, str]], content: bytes) -> None:
        """Ask all the same, without waiting for what they answer: their imports take seconds."""
        self._client.run(question, content, wait=False, on_error="ignore")

    def start(self, number: int, *task: object) -> None:
        """Start a task: its key, and the bytes."""
        key, content = task
        with warnings.catch_warnings():
            # Of large arguments: they stay with the scheduler, so that no loss of a worker loses them.
            warnings.simplefilter("ignore", UserWarning)
            # Once more where a task ended because nobody waited for it, and was asked for again at that moment.
            future = self._client.submit(self._function, content, key=key, retries=1)
        self._futures[number] = future
        future.add_done_callback(lambda done: self._news.put((number, {})))

    def ended(self) -> Iterator[tuple[int, Outcome[bytes]]]:
        """Wait until a task has ended; number and outcome of each that has.

        Raises
        ------
        RunFolderError
            If the scheduler is gone.
        """
        while True:
            try:
                number, message = self._news.get(timeout=_LOOK)
            except queue.Empty:
                self._check_alive()
                continue
            if number is None:
                for known, future in list(self._futures.items()):
                    if future.key == message.get("key"):
                        self._told(known, message)
            elif number in self._futures:
                outcome = self._outcome(self._futures[number])
                del self._futures[number]
                yield number, outcome
                return

    def _outcome(self, future: Any) -> Outcome[bytes]:
        from distributed import KilledWorker

        try:
            return Outcome(future.result())
        except KilledWorker as error:
            return Outcome(error=_lost(str(error)))
        except Exception as error:
            self._check_alive()
            if future.cancelled():
                return Outcome(
                    error=RunFolderError(
                        "The run was cancelled on the scheduler.", found=str(error)[:200], hint="--resume runs it"
                    )
                )
            return Outcome(error=error)

    def _check_alive(self) -> None:
        stream = getattr(self._client.scheduler_comm, "comm", None)
        if self._client.status != "running" or stream is None or stream.closed():
            raise RunFolderError(
                f"The scheduler at {self.address} is gone.",
                found=f"{len(self._futures)} runs that had not come back",
                hint="start it again; the same command with --resume runs what is left",
            )

    def close(self) -> None:
        """Cancel what is under way, unless another client wants it too, and leave the scheduler."""
        with self._quiet, contextlib.suppress(Exception):
            if self._futures and self._client.status == "running":
                self._client.cancel(list(self._futures.values()))
            self._futures = {}
            self._client.close(timeout=2)


def check_scheduler(address: str, jobs: int = 1) -> None:
    """Refuse what is no address of a scheduler, and a number of processes beside it; find that Dask is missing.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    SettingsError
        If it is none, or ``jobs`` is not 1.
    """
    if jobs != 1:
        raise SettingsError(
            f"--jobs is {jobs}, beside --scheduler.",
            expected="one of them: how many run at a time say the workers of the cluster",
        )
    if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
        raise SettingsError(
            f"--scheduler {address!r:.200} is no address of a Dask scheduler.",
            expected="tcp://HOST:PORT or tls://HOST:PORT, as dask scheduler prints it",
        )
    _client_class()


def _client_class() -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise missing_extra("distributed", "cluster", "--scheduler") from error
    return Client


def _connected(address: str, patience: float) -> Any:
    try:
        return _client_class()(address, timeout=patience, set_as_default=False, name="neurosleep")
    # Whatever it is: no answer, another protocol, certificates that are missing or refused.
    except Exception as error:
        cause = error.__cause__ or error
        raise SettingsError(
            f"There is no Dask scheduler at {address}.",
            found=f"{type(cause).__name__}: {cause}"[:300],
            expected=f"an answer within {patience:g} seconds",
            hint="start one (dask scheduler prints its address), or leave --scheduler out: --jobs runs here"
            if address.startswith("tcp:")
            else "name certificates and key in Dask's configuration: DASK_DISTRIBUTED__COMM__TLS__CA_FILE and others",
        ) from error


def _lost(found: str) -> NeurosleepError:
    return RunFolderError(
        "The run was lost with its worker, and given up after further tries.",
        found=found[:300],
        hint="look into the worker's log (was the memory too small?); --resume runs it again",
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """No messages of Dask's own on standard error: what goes wrong is said in one error."""
    logger = logging.getLogger("distributed")
    loggers = [logger, *(logging.getLogger(name) for name in list(logger.manager.loggerDict) if _ours(name))]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)


def _ours(name: str) -> bool:
    return name == "tornado" or name.startswith(("distributed.", "tornado."))
