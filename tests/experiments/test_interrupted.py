"""Killed runs: the published settings give the same twice, and after a kill in the third sleep; no worker is left."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurosleep.errors import RunFolderError
from neurosleep.experiments import RunFolder, RunRequest, apply_changes, load_settings, parse_change

CHANGES = ("data.name=mnist-mini", "data.images_per_task=1000")
NAME = "small"

# The run kills itself where it is sure to be asleep: a signal from outside would have to hit a fraction of a second.
KILLED = """
import os, pickle, signal, sys
from neurosleep.experiments import run_one

def report(text):
    if text == "task 3 of 5, sleep, step 12000 of 25000":
        os.kill(os.getpid(), signal.SIGKILL)

run_one(pickle.load(sys.stdin.buffer), report)
"""


def command(out: Path, *more: str) -> dict[str, Any]:
    """Metrics of the one run of ``neurosleep run``, in a process of its own."""
    changes = [part for change in CHANGES for part in ("--set", change)]
    program = [sys.executable, "-m", "neurosleep", "run", "src2022/mnist", *changes, "--name", NAME]
    program += ["--out", str(out), "--json", *more]
    result = subprocess.run(program, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)["runs"][0]
    return found


def metrics(out: Path) -> dict[str, Any]:
    """metrics.json without the times."""
    (path,) = out.rglob("metrics.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    del found["seconds"], found["growth"]
    return found


@pytest.mark.full
def test_the_same_seed_twice_and_killed_in_its_third_sleep_gives_the_same_metrics(tmp_path: Path) -> None:
    once, again, killed = (tmp_path / name for name in ("once", "again", "killed"))
    command(once)
    command(again)
    assert metrics(again) == metrics(once)
    assert metrics(once)["sleep"]["steps"] == [15000, 20000, 25000, 30000, 35000]
    assert metrics(once)["status"] == "done"

    name, settings = load_settings("src2022/mnist")
    parsed = [parse_change(change) for change in CHANGES]
    request = RunRequest(name, NAME, "src", 0, apply_changes(settings, parsed), None, str(killed))
    result = subprocess.run([sys.executable, "-c", KILLED], input=pickle.dumps(request), capture_output=True)
    assert result.returncode == -9, result.stderr
    assert not list(killed.rglob("metrics.json"))
    _, stored = request.folder.load_bundle((request.folder.path / "config.toml").read_text(encoding="utf-8"))
    assert (stored.task, stored.phase) == (2, "sleep")
    command(killed, "--resume")
    assert metrics(killed) == metrics(once)
    for table in ("accuracy.csv", "firing.csv"):
        first, resumed = (next(out.rglob(table)).read_bytes() for out in (once, killed))
        assert resumed == first


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends the workers on Linux only")
def test_workers_die_with_their_parent(tmp_path: Path, wait_until: Callable[..., Any]) -> None:
    changes = ["data.name=mnist-mini", "data.images_per_task=100", "network.sizes=[784, 20, 10]", "wake.epochs=1"]
    changes += ["sleep.thresholds=[5.0, 5.0]", "sleep.steps=100000000"]
    sets = [part for change in changes for part in ("--set", change)]
    program = [sys.executable, "-m", "neurosleep", "run", "src2022/mnist", *sets, "--seeds", "2", "--jobs", "2"]
    with subprocess.Popen([*program, "--out", str(tmp_path)], stdout=subprocess.DEVNULL) as parent:
        try:
            # Both are asleep, for hours, when their first phase is stored.
            wait_until(lambda: parent.poll() is not None or len(list(tmp_path.rglob("bundle.safetensors"))) == 2)
            assert parent.poll() is None
            folders = [RunFolder(path.parents[1]) for path in tmp_path.rglob("bundle.safetensors")]
            for folder in folders:
                with pytest.raises(RunFolderError, match="Another process"), folder.locked():
                    pass
        finally:
            parent.kill()

    def free(folder: RunFolder) -> bool:
        try:
            with folder.locked():
                return True
        except RunFolderError:
            return False

    # Neither worker goes on without its parent.
    for folder in folders:
        wait_until(lambda folder=folder: free(folder))
