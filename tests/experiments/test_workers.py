"""Runs side by side: what ends them, what is said of it, and that no process is left."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from neurosleep.cli.app import app
from neurosleep.errors import DataError, RunFolderError, RunsFailedError, SettingsError
from neurosleep.experiments import RunFolder, RunRequest, apply_changes, load_settings, run_experiment, summarise
from neurosleep.experiments.schedule.executor import side_by_side
from neurosleep.experiments.schedule.workers import Processes
from tests.experiments.small_runs import SMALL, sets

# Seconds to wait for what must come, on however slow a machine.
PATIENCE = 900
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def requests(out: Path, seeds: int, *, resume: bool = False, **more: Any) -> list[RunRequest]:
    changes = SMALL | {key.replace("__", "."): value for key, value in more.items()}
    settings = apply_changes(load_settings("src2022/mnist")[1], list(changes.items()))
    run = RunRequest("src2022/mnist", "small", "sequential", 0, settings, None, str(out), resume, figures=False)
    return [replace(run, seed=seed) for seed in range(seeds)]


def children(process: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


def workers(process: int) -> list[int]:
    """The worker processes of a process; not the one with which Python tracks what is shared."""
    found = []
    for child in children(process):
        with contextlib.suppress(OSError):
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


def gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def until(condition: Any, parent: subprocess.Popen[str] | None = None) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert parent is None or parent.poll() is None, parent.communicate() if parent else None
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@contextlib.contextmanager
def started(*command: str, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


# --- the workers themselves -------------------------------------------------------------------------------------------


def test_each_task_has_its_outcome_whatever_becomes_of_the_others() -> None:
    tasks = ["6 / 2", "1 / 0", "__import__('os')._exit(7)", "lambda: 0", "2 + 2"]
    with contextlib.closing(side_by_side(Processes(eval, 1), [(task,) for task in tasks])) as found:
        outcomes = [outcome for _, outcome in sorted(found)]
    assert [outcome.value for outcome in outcomes] == [3.0, None, None, None, 4]
    assert isinstance(outcomes[1].error, ZeroDivisionError) and "ZeroDivisionError" in outcomes[1].error.__notes__[0]
    assert isinstance(outcomes[2].error, RunFolderError) and outcomes[2].error.found == "exit code 7"
    assert outcomes[3].error is not None and outcomes[4].error is None
    assert not multiprocessing.active_children()


@pytest.mark.full
def test_closed_early_no_further_task_is_taken_and_the_running_ones_are_ended() -> None:
    taken = []

    def tasks() -> Iterator[tuple[str]]:
        for task in ("1", "__import__('time').sleep(1e6)", "2", "3"):
            taken.append(task)
            yield (task,)

    found = side_by_side(Processes(eval, 2), tasks())
    assert next(found)[1].value == 1
    before = multiprocessing.active_children()
    found.close()
    assert len(before) == 2 and not multiprocessing.active_children()
    # The one at work is killed, the one at rest goes by its own way out.
    assert sorted(process.exitcode or 0 for process in before) == [-signal.SIGKILL, 0]
    assert len(taken) == 2


_HOLDS_SEMAPHORES = """
import multiprocessing
from neurosleep.experiments.schedule.executor import side_by_side
from neurosleep.experiments.schedule.workers import Processes

held = []

def hold(number):
    held.append(multiprocessing.get_context("spawn").RLock())
    return number

if __name__ == "__main__":
    print(sorted(outcome.value for _, outcome in side_by_side(Processes(hold, 2), [(0,), (1,), (2,)])))
"""


def test_what_libraries_hold_in_workers_is_tidied_up(tmp_path: Path) -> None:
    """As the semaphore of tqdm's lock, which torch.fx makes when a network is converted."""
    script = tmp_path / "holds.py"
    script.write_text(_HOLDS_SEMAPHORES)
    result = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[0, 1, 2]" and result.stderr == ""


def test_what_cannot_be_sent_to_a_worker_is_refused_before_any_run(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="listener"):
        run_experiment(requests(tmp_path, 2), jobs=2, listener=lambda event: None)
    assert not list(tmp_path.iterdir())


# --- stopped from outside ---------------------------------------------------------------------------------------------

SCRIPT = """
import pickle, sys
from pathlib import Path
from neurosleep.experiments import run_experiment
{guard}
    run_experiment(pickle.loads(Path("requests").read_bytes()), jobs=2)
"""


def script(folder: Path, asked: list[RunRequest], guard: str = 'if __name__ == "__main__":') -> str:
    (folder / "requests").write_bytes(pickle.dumps(asked))
    (folder / "script.py").write_text(SCRIPT.format(guard=guard))
    return str(folder / "script.py")


@linux
@pytest.mark.parametrize(
    ("command", "number"),
    [
        ("run", signal.SIGTERM),
        pytest.param("run", signal.SIGINT, marks=pytest.mark.full),
        pytest.param("tune", signal.SIGTERM, marks=pytest.mark.full),
        pytest.param("tune", signal.SIGINT, marks=pytest.mark.full),
    ],
)
def test_a_command_ends_its_runs_and_says_how_to_go_on(tmp_path: Path, command: str, number: signal.Signals) -> None:
    if command == "tune":
        pytest.importorskip("optuna")
    more = ["--seeds", "3"] if command == "run" else ["--trials", "4"]
    arguments = ["-m", "neurosleep", command, "src2022/mnist", "--strategy", "src", "--jobs", "2", "--json", *more]
    with started(*arguments, *sets(sleep__steps=100_000_000), "--out", str(tmp_path / "o")) as parent:
        # All asleep, for hours, when their first phase is stored.
        until(lambda: len(list(tmp_path.rglob("bundle.safetensors"))) == 2, parent)
        running = workers(parent.pid)
        parent.send_signal(number)
        out, err = parent.communicate()
    assert parent.returncode == 128 + number, err
    error = json.loads(out)["error"]
    assert number.name in error["message"] and "--resume" in error["hint"]
    assert len(running) == 2
    until(lambda: all(map(gone, running)))
    assert len(list(tmp_path.rglob("seed*"))) == 2


@linux
@pytest.mark.full
def test_ctrl_c_in_a_script_ends_its_runs_and_says_how_to_go_on(tmp_path: Path) -> None:
    asked = requests(tmp_path / "o", 3, wake__epochs=10_000_000)
    with started(script(tmp_path, asked), cwd=tmp_path) as parent:
        until(lambda: len(list(tmp_path.rglob("config.toml"))) == 2, parent)
        running = workers(parent.pid)
        os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: to every process
        _, err = parent.communicate()
    assert parent.returncode == -signal.SIGINT or parent.returncode == 130
    assert err.count("Traceback") == 1 and "KeyboardInterrupt" in err and "resume=True" in err
    assert len(running) == 2
    until(lambda: all(map(gone, running)))
    assert len(list(tmp_path.rglob("seed*"))) == 2


@linux
def test_workers_that_are_only_starting_end_with_their_parent(tmp_path: Path) -> None:
    """The kernel's signal comes only to a process that has asked for it, which a worker does after its imports."""
    asked = requests(tmp_path / "o", 2, wake__epochs=10_000_000)
    with started(script(tmp_path, asked), cwd=tmp_path) as parent:
        until(lambda: len(workers(parent.pid)) == 2, parent)
        running = workers(parent.pid)
        parent.kill()
        parent.wait()
        until(lambda: all(map(gone, running)))
    assert not list(tmp_path.rglob("config.toml"))


def test_a_script_without_a_guard_is_told_so(tmp_path: Path) -> None:
    asked = requests(tmp_path / "o", 2)
    with started(script(tmp_path, asked, guard="if True:"), cwd=tmp_path) as process:
        _, err = process.communicate()
    assert process.returncode == 1
    assert err.count("Traceback") == 1
    assert 'if __name__ == "__main__":' in err.splitlines()[-1]
    assert not (tmp_path / "o").exists()


# --- one of several fails ---------------------------------------------------------------------------------------------


def test_one_run_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    asked = requests(tmp_path, 3, resume=True)

    def listen(event: Any) -> None:
        if event["seed"] == 0 and event["event"] == "epoch":
            raise DataError("gone")

    reported = []
    with asked[1].folder.locked(), pytest.raises(RunsFailedError) as caught:
        run_experiment(asked, report=lambda number, text: reported.append((number, text)), listener=listen)
    assert [(number, text) for number, text in reported if text in ("done", "failed")] == [
        (0, "failed"),
        (1, "failed"),
        (2, "done"),
    ]
    assert [run["seed"] for run in caught.value.runs] == [2]
    assert [name["seed"] for name, _ in caught.value.failures] == [0, 1]
    for said in ("2 of 3", "seed 0: DataError: gone", "seed 1: RunFolderError: Another process"):
        assert said in str(caught.value)
    assert caught.value.internal is None
    (row,) = summarise(caught.value.runs, [name for name, _ in caught.value.failures])
    assert (row["accuracy_all"]["n"], row["failed"], row["diverged"]) == (1, 2, 0)
    assert [run["seed"] for run in run_experiment(asked)] == [0, 1, 2]
    # It travels between processes as the others do.
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) and len(again.failures) == 2


def test_a_fault_of_the_package_in_one_run_is_told_from_a_mistake(tmp_path: Path) -> None:
    def listen(event: Any) -> None:
        if event["seed"] == 0:
            raise ZeroDivisionError("ours")

    with pytest.raises(RunsFailedError) as caught:
        run_experiment(requests(tmp_path / "a", 2), listener=listen)
    assert isinstance(caught.value.internal, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        run_experiment(requests(tmp_path / "b", 1), listener=listen)


@pytest.mark.parametrize("as_json", [True, False])
def test_the_command_says_which_run_failed_and_counts_it(tmp_path: Path, as_json: bool) -> None:
    command = ["run", "src2022/mnist", "--strategy", "sequential", "--seeds", "2", "--out", str(tmp_path), *sets()]
    place = tmp_path / "src2022" / "mnist"
    first = CliRunner().invoke(app, [*command, "--seeds", "1", "--json"])
    variant = json.loads(first.stdout)["runs"][0]["variant"]
    with RunFolder(place / variant / "sequential" / "seed1").locked():
        result = CliRunner().invoke(app, [*command, "--resume", *(["--json"] if as_json else [])])
    assert result.exit_code == 2
    if as_json:
        found = json.loads(result.stdout)
        assert found["error"]["type"] == "RunsFailedError"
        assert [run["seed"] for run in found["runs"]] == [0]
        assert [run["seed"] for run in found["failed"]] == [1] and found["failed"][0]["error"]["message"]
        assert found["summary"][0]["failed"] == 1
    else:
        assert "failed" in result.stdout and "seed 1: RunFolderError" in result.stderr
