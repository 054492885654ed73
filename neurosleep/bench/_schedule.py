"""What a Dask cluster costs: a sweep on two workers, beside two processes that know nothing of each other."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from neurosleep.errors import NeurosleepError, RunFolderError
from neurosleep.experiments.schedule.cluster import check_scheduler

__all__ = ["bench_schedule"]

# The sweep, and how often it is run in each way.
_SEEDS, _TURNS = 4, 3
_COMMAND = ("run", "homeostatic/mnist", "--strategy", "sleep")
# Without the full data: epochs that take as long.
_EMBEDDED = ("--set", "data.name=mnist-mini", "--set", "wake.epochs=20")
_WORKERS = 2
# What metrics say of seconds and memory, which are never the same twice.
_SPENT = ("seconds", "growth")
# Seconds for scheduler and workers to start in.
_PATIENCE = 120.0


def _started(*command: str, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen([sys.executable, "-W", "ignore", "-m", *command], stdout=file, stderr=file)


def _ended(processes: list[subprocess.Popen[bytes]], log: Path) -> None:
    if any([process.wait() for process in processes]):
        raise RunFolderError("A command of the benchmark failed.", found=log.read_text(errors="replace")[-2000:])


@contextlib.contextmanager
def _cluster(folder: Path) -> Iterator[str]:
    """The address of a scheduler of our own, whose two workers have just started."""
    log, where = folder / "log", folder / "scheduler.json"
    where.unlink(missing_ok=True)
    options = ("--scheduler-file", str(where), "--no-dashboard")
    host = ("--host", "127.0.0.1", "--port", "0")
    processes = [_started("distributed.cli.dask_scheduler", *options, *host, log=log)]
    workers = ("--nworkers", str(_WORKERS), "--nthreads", "1", "--local-directory", str(folder))
    try:
        processes.append(_started("distributed.cli.dask_worker", *options, *workers, log=log))
        yield _address(where, log)
    finally:
        for process in reversed(processes):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
            process.kill()
            process.wait()


def _address(where: Path, log: Path) -> str:
    """Of the scheduler that writes it into the file, once the workers are there."""
    from distributed import Client

    client: Any = Client
    end = time.monotonic() + _PATIENCE
    while not where.exists() and time.monotonic() < end:
        time.sleep(0.1)
    try:
        address = str(json.loads(where.read_text())["address"])
        with client(address, timeout=_PATIENCE, set_as_default=False) as connected:
            connected.wait_for_workers(_WORKERS, timeout=_PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        found = f"{error}\n{log.read_text(errors='replace')[-1000:]}"
        raise RunFolderError("No scheduler with two workers starts here.", found=found) from error
    return address


class _Sweep:
    """The sweep in a folder, in one way or the other; each gives wall and processor seconds of its commands."""

    def __init__(self, folder: Path, data: str | None, seed: int) -> None:
        self._folder, self._seed = folder, seed
        self._options = _EMBEDDED if data is None else ("--data", data)

    def _run(self, out: Path, seeds: range, *options: str) -> subprocess.Popen[bytes]:
        command = (*_COMMAND, *self._options, "--seed", str(seeds[0]), "--seeds", str(len(seeds)), "--out", str(out))
        return _started("neurosleep", *command, *options, "--json", log=self._folder / "log")

    def processes(self, out: Path) -> tuple[float, float]:
        """Two commands started together, with half of the seeds each."""
        since, spent = time.perf_counter(), _processor()
        each = _SEEDS // _WORKERS
        halves = [range(self._seed + k * each, self._seed + (k + 1) * each) for k in range(_WORKERS)]
        _ended([self._run(out, half) for half in halves], self._folder / "log")
        return time.perf_counter() - since, _processor() - spent

    def scheduler(self, out: Path) -> tuple[float, float]:
        """One command for all seeds; scheduler and workers, which have imported nothing yet, wait for it."""
        spent = _processor()
        with _cluster(self._folder) as address:
            since = time.perf_counter()
            seeds = range(self._seed, self._seed + _SEEDS)
            _ended([self._run(out, seeds, "--scheduler", address)], self._folder / "log")
            seconds = time.perf_counter() - since
        return seconds, _processor() - spent


def _processor() -> float:
    """Processor seconds of all children that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _numbers(out: Path) -> dict[str, dict[str, Any]]:
    """The metrics of all runs without what they took, by folder."""
    metrics = {path: json.loads(path.read_bytes()) for path in sorted(out.rglob("metrics.json"))}
    return {
        path.parent.relative_to(out).as_posix(): {key: value for key, value in entries.items() if key not in _SPENT}
        for path, entries in metrics.items()
    }


def bench_schedule(data: str | None = None, seed: int = 0) -> dict[str, Any]:
    """A sweep of four runs on two workers of a Dask scheduler, and in two processes started together.

    Both are commands of ``neurosleep run``, from their start to their end, imports included; ``processes`` runs half of
    the seeds in each process, one after another, as ``--jobs 1`` does. Scheduler and workers are started for each turn
    and know nothing yet. Every turn must give the same metrics bit for bit, or there are no times. ``seconds`` are of
    the clock, for one run of the sweep, the best of turns in alternate order; ``processor_seconds`` those of all
    processes together, the scheduler's and its workers' start included; ``noise`` holds lowest and highest ratio
    of one turn. ``data`` is the folder of the full MNIST; without it the embedded part is learnt, with more epochs.

    Raises
    ------
    MissingExtraError
        If Dask is not installed (extra ``cluster``).
    NeurosleepError
        If a command fails, or the numbers differ.

    See Also
    --------
    neurosleep.bench.BENCHMARKS : all by name
    neurosleep.experiments.run_experiment : what is timed

    Examples
    --------
    >>> from neurosleep.bench import bench_schedule
    >>> bench_schedule()["ratios"]  # doctest: +SKIP
    """
    check_scheduler("tcp://127.0.0.1:8786")
    times: dict[str, list[tuple[float, float]]] = {"processes": [], "scheduler": []}
    numbers: dict[str, dict[str, Any]] | None = None
    with tempfile.TemporaryDirectory(prefix="neurosleep-bench-") as place:
        sweep = _Sweep(Path(place), data, seed)
        ways: list[tuple[str, Callable[[Path], tuple[float, float]]]]
        ways = [("processes", sweep.processes), ("scheduler", sweep.scheduler)]
        for turn in range(_TURNS):
            for name, run in ways if turn % 2 == 0 else reversed(ways):
                out = Path(place, f"{name}{turn}")
                times[name].append(run(out))
                numbers = _same(numbers, _numbers(out), name)
    key = "processes_over_scheduler"
    each = [a / b for (a, _), (b, _) in zip(times["processes"], times["scheduler"], strict=True)]
    best = {name: [min(values) / _SEEDS for values in zip(*turns, strict=True)] for name, turns in times.items()}
    return {
        "name": "schedule",
        "threads": 1,
        "seconds": {name: seconds for name, (seconds, _) in best.items()},
        "unit": "run",
        "ratios": {key: best["processes"][0] / best["scheduler"][0]},
        "noise": {key: [min(each), max(each)]},
        "processor_ratio": best["processes"][1] / best["scheduler"][1],
        "processor_seconds": {name: seconds for name, (_, seconds) in best.items()},
        "workers": _WORKERS,
        "runs": _SEEDS,
        "turns": [{name: times[name][turn][0] for name in times} for turn in range(_TURNS)],
    }


def _same(before: dict[str, Any] | None, now: dict[str, Any], name: str) -> dict[str, Any]:
    if len(now) != _SEEDS or (before is not None and now != before):
        raise NeurosleepError(
            "A sweep on a scheduler and in processes gave other numbers.",
            found=f"{name}: {sorted(now)}",
            expected="the same metrics bit for bit",
        )
    return now
