"""Sweeps on a Dask cluster: a real scheduler and two worker processes, and what may become of them."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from neurosleep.cli.app import app
from neurosleep.errors import DataError, NeurosleepError, RunFolderError, SettingsError
from neurosleep.experiments import (
    RunRequest,
    TuneRequest,
    apply_changes,
    load_settings,
    run_experiment,
    run_one,
    search_space,
    tune,
)
from neurosleep.experiments.metrics import spread_of
from neurosleep.experiments.run import on_cluster
from neurosleep.experiments.run.message import own_side
from neurosleep.experiments.schedule import cluster as cluster_module
from neurosleep.experiments.schedule.cluster import Cluster
from neurosleep.experiments.schedule.on_worker import TOPIC
from tests.experiments.small_runs import SMALL, sets

distributed = pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

# Seconds to wait for what must come, on however slow a machine.
PATIENCE = 1800
# A sleep of minutes, within which whatever a test does happens.
LONG = {"sleep.steps": 3_000_000}


class Workplace:
    """A scheduler and the workers "one" and "two" in processes of their own; a worker that is gone can be replaced."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.environment = {**os.environ, "NEUROSLEEP_DATA": str(folder / "data"), **environment}
        (folder / "data").mkdir()
        (folder / "scheduler.json").unlink(missing_ok=True)
        where = ["--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"]
        where += ["--protocol", "tls"] if environment else []
        self.processes = {"": self._started("dask_scheduler", *where)}

    def _started(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-W", "ignore", "-m", f"distributed.cli.{program}", "--no-dashboard", *options]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*command, "--scheduler-file", str(self.folder / "scheduler.json")],
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    @property
    def address(self) -> str:
        def written() -> str | None:
            assert self.processes[""].poll() is None, (self.folder / "log").read_text()
            with contextlib.suppress(OSError, ValueError):
                return str(json.loads((self.folder / "scheduler.json").read_text())["address"])
            return None

        return str(until(written))

    def complete(self, *names: str, look: bool = True) -> str:
        """The address of the scheduler, when exactly these workers are there (unless nobody shall look)."""
        address = self.address
        for name in names:
            if name not in self.processes or self.processes[name].poll() is not None:
                options = ("--nthreads", "1", "--no-nanny", "--name", name)
                self.processes[name] = self._started("dask_worker", *options)
        if not look:
            return address
        with distributed.Client(address, set_as_default=False) as client:
            until(lambda: sorted(w["name"] for w in client.scheduler_info()["workers"].values()) == [*names])
        return address

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


def until(answer: Callable[[], Any]) -> Any:
    """Ask again and again, until the answer is true, and return it."""
    end = time.monotonic() + PATIENCE
    while not (found := answer()):
        assert time.monotonic() < end, "what the test waits for does not come"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    workplace = Workplace(tmp_path_factory.mktemp("dask"))
    yield workplace
    workplace.close()


@pytest.fixture
def address(place: Workplace) -> str:
    return place.complete("one", "two")


@pytest.fixture
def client(address: str) -> Iterator[Any]:
    with distributed.Client(address, set_as_default=False) as client:
        yield client


def requests(out: Path, *strategies: str, seeds: int = 1, resume: bool = False, **more: Any) -> list[RunRequest]:
    name, settings = load_settings("src2022/mnist")
    changes = SMALL | more.pop("changes", {})
    settings = apply_changes(settings, list(changes.items()))
    return [
        RunRequest(name, "small", strategy, seed, settings, None, str(out), resume, **more)
        for strategy in strategies or ("src", "sequential", "sleep")
        for seed in range(seeds)
    ]


def without_times(metrics: Any) -> dict[str, Any]:
    return {key: value for key, value in metrics.items() if key not in ("seconds", "growth")}


def content(out: Path) -> dict[str, bytes]:
    """The files of runs that hold no times and no commands."""
    kinds = ("*.csv", "config.toml", "*.npz", "*.png")
    paths = [path for kind in kinds for path in out.rglob(kind) if path.name != "hardware.csv"]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


# --- what comes back --------------------------------------------------------------------------------------------------


@pytest.mark.full
def test_the_numbers_are_those_of_one_process(address: str, tmp_path: Path) -> None:
    said: list[tuple[int, str]] = []
    events: dict[str, list[tuple[Any, ...]]] = {"there": [], "here": []}

    def listener(where: str) -> Any:
        return lambda event: events[where].append((event["strategy"], event["seed"], event["event"]))

    there = run_experiment(
        requests(tmp_path / "there"),
        scheduler=address,
        report=lambda *text: said.append(text),
        listener=listener("there"),
    )
    here = run_experiment(requests(tmp_path / "here"), listener=listener("here"))
    assert list(map(without_times, there)) == list(map(without_times, here))
    assert content(tmp_path / "there") == content(tmp_path / "here") and len(content(tmp_path / "here")) > 8
    for number in range(3):
        texts = [text for place, text in said if place == number]
        assert texts[0] == "started" and texts[-1] == "done"
    # Those of each run in their order; the runs were side by side.
    assert sorted(events["there"], key=lambda e: e[:2]) == sorted(events["here"], key=lambda e: e[:2])


def test_a_worker_that_is_killed_costs_its_run_only(place: Workplace, client: Any, tmp_path: Path) -> None:
    killed: list[str] = []

    def report(number: int, text: str) -> None:
        # Whichever worker is in the middle of a run.
        started = {event[1]["key"] for event in client.get_events(TOPIC) if event[1].get("text") == "started"}
        busy = [address for address, keys in client.processing().items() if started & set(keys)]
        if busy and not killed:
            names = {address: worker["name"] for address, worker in client.scheduler_info()["workers"].items()}
            place.processes[names[busy[0]]].kill()
            killed.append(text)

    changes = {"sleep.steps": 40_000}
    there = run_experiment(requests(tmp_path, "src", seeds=3, changes=changes), scheduler=place.address, report=report)
    assert killed
    started = [e[1]["key"] for e in client.get_events(TOPIC) if e[1].get("text") == "started"][-4:]
    assert len(started) == 4 and len(set(started)) == 3  # one of them twice
    here = run_experiment(requests(tmp_path / "here", "src", seeds=3, changes=changes))
    assert list(map(without_times, there)) == list(map(without_times, here))


def test_finished_runs_stay_and_a_stopped_one_goes_on_where_it_stopped(address: str, tmp_path: Path) -> None:
    asked = requests(tmp_path / "o", "sequential", seeds=3)
    run_one(asked[0])
    before = content(tmp_path / "o"), asked[0].folder.metrics()["seconds"]

    def stop(event: Any) -> None:
        if event["event"] == "phase":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_one(asked[1], listener=stop)
    with pytest.raises(RunFolderError, match="exists already"):
        run_experiment(asked, scheduler=address)
    epochs: list[tuple[int, int]] = []

    def listen(event: Any) -> None:
        if event["event"] == "epoch":
            epochs.append((event["seed"], event["task"]))

    resumed = [replace(request, resume=True) for request in asked]
    there = run_experiment(resumed, scheduler=address, listener=listen)
    assert sorted(epochs) == [(1, 2), (2, 1), (2, 2)]
    assert there[0]["seconds"] == before[1] and before[0].items() <= content(tmp_path / "o").items()
    here = run_experiment(requests(tmp_path / "here", "sequential", seeds=3))
    assert list(map(without_times, there)) == list(map(without_times, here))
    # Now all are finished, and no scheduler is asked.
    assert run_experiment(resumed, scheduler="tcp://127.0.0.1:1") == there


def test_two_clients_that_want_the_same_folders_share_the_runs(address: str, client: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "neurosleep", "run", "src2022/mnist", "--strategy", "src", "--seeds", "2"]
    command += [*sets(sleep__steps=60_000), "--out", str(tmp_path / "o"), "--scheduler", address, "--json"]
    before = len(client.get_events(TOPIC))
    clients = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate() for process in clients]
    assert [process.returncode for process in clients] == [0, 0], told
    first, second = (json.loads(out)["runs"] for out, _ in told)
    started = [event[1] for event in client.get_events(TOPIC)[before:] if event[1].get("text") == "started"]
    # A client that came when the other had gone has runs of its own: then it was told so, by exit code 2.
    assert first == second and len(started) == 2


def test_a_run_that_fails_there_is_named_as_here(address: str, tmp_path: Path) -> None:
    # Silent after training: no spiking network can be made of it.
    changes = {"wake.lr": 1e-30, "sleep.thresholds": None, "network.init": 0.0}
    asked = requests(tmp_path / "o", "src", seeds=1, changes=changes)
    errors = []
    for scheduler in (address, None):
        with pytest.raises(NeurosleepError) as caught:
            run_experiment([replace(asked[0], out=str(tmp_path / str(scheduler is None)))], scheduler=scheduler)
        errors.append(caught.value)
    assert type(errors[0]) is type(errors[1]) and str(errors[0]) == str(errors[1])
    assert not (tmp_path / "False").exists()


# --- as fast as a process of its own ----------------------------------------------------------------------------------


def test_no_profiler_looks_at_a_run(client: Any) -> None:
    def at_work() -> tuple[bool, bool, bool]:
        """Whether the worker's profiler runs: before, in and after a long task, once its event loop has come to it."""
        import threading

        from distributed import get_worker

        from neurosleep.experiments.schedule.full_speed import full_speed

        worker = get_worker()

        def runs() -> bool:
            seen = threading.Event()
            worker.loop.add_callback(seen.set)
            assert seen.wait(600)
            return bool(worker.periodic_callbacks["profile"].is_running())

        before = runs()
        with full_speed(worker):
            during = runs()
        return before, during, runs()

    assert client.submit(at_work, pure=False).result() == (True, False, True)


FAULTS = """
import resource, sys, types
import numpy as np
from neurosleep.experiments.schedule.full_speed import full_speed
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(200):
        np.ones(100_000).sum()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
before = faults()
with full_speed(types.SimpleNamespace(periodic_callbacks={})):
    faults()
    during = faults()
print(before, during, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the thresholds are glibc's")
def test_arrays_come_from_memory_that_the_worker_has() -> None:
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}
    child = subprocess.run([sys.executable, "-c", FAULTS], env=environment, capture_output=True, text=True, check=True)
    before, during, after = map(int, child.stdout.split())
    # 200 arrays of 196 pages.
    assert before > 20_000 and after > 20_000 and during < 2000


# --- what is refused before any work ----------------------------------------------------------------------------------


def test_workers_of_other_versions_are_named(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    side = own_side()
    side["versions"] |= {"torch": "1.0.0"}
    monkeypatch.setattr(on_cluster, "own_side", lambda: side)
    with pytest.raises(SettingsError, match="2 of 2 workers are not set up") as caught:
        run_experiment(requests(tmp_path / "o"), scheduler=address)
    installed = own_side()["versions"]["torch"]
    assert caught.value.found is not None and caught.value.found.count(f"torch {installed}, not 1.0.0") == 2
    assert "one (tcp://" in caught.value.found and "two (tcp://" in caught.value.found
    assert not (tmp_path / "o").exists()


def feature_requests(folder: Path, out: Path, shift: float = 0.0) -> list[RunRequest]:
    folder.mkdir(exist_ok=True)
    x = np.linspace(0, 1, 40 * 6, dtype=np.float32).reshape(40, 6) + np.float32(shift)
    y = np.arange(40) % 4
    np.savez(folder / "mine.npz", train_x=x, train_y=y, test_x=x, test_y=y)
    changes = {"data.name": "features:mine.npz", "data.images_per_task": None, "network.sizes": [6, 10, 4]}
    return [replace(r, data=str(folder)) for r in requests(out, "sequential", seeds=1, changes=changes)]


def test_workers_without_the_data_and_with_other_data_are_named(place: Workplace, address: str, tmp_path: Path) -> None:
    asked = feature_requests(tmp_path / "data", tmp_path / "o")
    with pytest.raises(DataError, match="2 of 2 workers have not the data of 'features:mine") as caught:
        run_experiment(asked, scheduler=address)
    assert "one (tcp://" in str(caught.value) and "NEUROSLEEP_DATA" in str(caught.value.hint)
    feature_requests(place.folder / "data", tmp_path / "o", shift=0.5)
    with pytest.raises(DataError, match="are not those of the client"):
        run_experiment(asked, scheduler=address)
    assert not (tmp_path / "o").exists()
    shutil.copy(tmp_path / "data" / "mine.npz", place.folder / "data")
    (there,) = run_experiment(asked, scheduler=address)
    assert without_times(there) == without_times(run_experiment([replace(asked[0], out=str(tmp_path / "here"))])[0])
    (environment,) = (tmp_path / "o").rglob("environment.json")
    assert str(tmp_path / "data") not in environment.read_text()


@pytest.mark.parametrize("as_json", [True, False])
def test_no_scheduler_is_one_message_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    monkeypatch.setattr(cluster_module, "PATIENCE", 0.5)
    command = ["run", "src2022/mnist", *sets(), "--out", str(tmp_path / "o"), "--scheduler", "tcp://127.0.0.1:9"]
    result = CliRunner().invoke(app, [*command, *(["--json"] if as_json else [])])
    assert result.exit_code == 2
    if as_json:
        assert "There is no Dask scheduler at tcp://127.0.0.1:9" in json.loads(result.stdout)["error"]["message"]
    else:
        assert "There is no Dask scheduler" in result.stderr and "Traceback" not in result.stderr
        assert "src" not in result.stdout
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("address", ["here", "tcp://host", "inproc://1", "tcp://a b:1", "http://host:80", "", None])
def test_what_is_no_address_is_refused(tmp_path: Path, address: Any) -> None:
    if address is None:
        with pytest.raises(SettingsError, match="--jobs is 2, beside --scheduler"):
            run_experiment(requests(tmp_path / "o"), jobs=2, scheduler="tcp://127.0.0.1:9")
    else:
        with pytest.raises(SettingsError, match="no address of a Dask scheduler"):
            run_experiment(requests(tmp_path / "o"), scheduler=address)


# --- searches, encryption ---------------------------------------------------------------------------------------------


def test_a_search_counts_what_the_workers_found(address: str, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    (run,) = requests(tmp_path, "src")
    space = search_space("src2022/mnist", "src", run.settings, list(SMALL))
    said: list[tuple[int, str]] = []
    asked = TuneRequest(run, space, trials=3, seeds=2)
    found = tune(asked, scheduler=address, report=lambda *text: said.append(text))
    assert found["trials"] == 3 and {number for number, text in said if text == "done"} == {0, 1, 2}
    assert (0, "started") in said and not list(tmp_path.rglob("*.safetensors"))
    best = apply_changes(load_settings(found["file"])[1], [("data.split", "validation")])
    again = [
        run_one(RunRequest("again", "v", "src", seed, best, None, str(tmp_path / "again")))["accuracy_all"]
        for seed in asked.tuning_seeds
    ]
    assert found["validation"]["mean"] == spread_of(again)["mean"]
    with pytest.raises(SettingsError, match="beside --scheduler"):
        tune(replace(asked, run=replace(run, resume=True)), jobs=2, scheduler=address)


@pytest.mark.full
def test_tls_by_the_configuration_of_dask(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl, which makes a certificate")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=neurosleep"]
    subprocess.run([*make, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    tls = "DASK_DISTRIBUTED__COMM__TLS__"
    environment = {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True", f"{tls}CA_FILE": str(cert)}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        environment |= {f"{tls}{role}__CERT": str(cert), f"{tls}{role}__KEY": str(key)}
    (tmp_path / "place").mkdir()
    workplace = Workplace(tmp_path / "place", **environment)
    command = [sys.executable, "-m", "neurosleep", "run", "src2022/mnist", "--strategy", "sequential", *sets()]
    try:
        workplace.complete("one", look=False)
        command += ["--scheduler", workplace.address, "--json", "--out"]
        assert workplace.address.startswith("tls://")
        refused = subprocess.run([*command, str(tmp_path / "a")], capture_output=True, text=True)
        assert refused.returncode == 2 and "There is no Dask scheduler at tls://" in refused.stdout, refused.stderr
        assert not (tmp_path / "a").exists()

        def taken() -> str | None:
            child = subprocess.run(
                [*command, str(tmp_path / "b")], capture_output=True, text=True, env={**os.environ, **environment}
            )
            assert child.returncode == 0 or "has no workers" in child.stdout, child.stdout + child.stderr
            return child.stdout if child.returncode == 0 else None

        (there,) = json.loads(until(taken))["runs"]
    finally:
        workplace.close()
    (here,) = run_experiment([replace(requests(tmp_path / "here", "sequential")[0], variant=there["variant"])])
    assert without_times(there) == without_times(here)


# --- stopped ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process")
def test_ctrl_c_cancels_what_is_left_and_says_how_much(address: str, client: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "neurosleep", "run", "src2022/mnist", "--strategy", "src", "--seeds", "3"]
    command += [*sets(sleep__steps=LONG["sleep.steps"]), "--out", str(tmp_path / "o"), "--scheduler", address, "--json"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    until(lambda: process.poll() is not None or sum(map(len, client.processing().values())) >= 2)
    until(lambda: process.poll() is not None or len(client.get_events(TOPIC)) >= 2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130, err
    error = json.loads(out)["error"]
    assert "0 of 3 runs are done" in error["message"] and "--resume" in error["hint"]
    # The workers leave their runs, too, rather than sleep on for minutes.
    until(lambda: not any(client.processing().values()))
    until(lambda: not any(client.run(lambda dask_worker: len(dask_worker.active_threads)).values()))
    assert not list(tmp_path.rglob("config.toml"))


def test_a_scheduler_without_workers_and_one_that_goes_away_are_told(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    workplace = Workplace(tmp_path / "place")
    try:
        with pytest.raises(SettingsError, match="has no workers"):
            Cluster(workplace.address, bytes, patience=0.5)
        address = workplace.complete("one")

        def report(number: int, text: str) -> None:
            if ", sleep, step" in text:
                workplace.processes[""].kill()

        with pytest.raises(RunFolderError, match="is gone") as caught:
            run_experiment(requests(tmp_path / "o", "src", seeds=2, changes=LONG), scheduler=address, report=report)
        assert "2 runs" in str(caught.value.found) and "--resume" in str(caught.value.hint)
    finally:
        workplace.close()
