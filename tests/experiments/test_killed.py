"""SIGKILL at random moments: whatever was going on then, the numbers after ``--resume`` are the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="reads times in /proc")

# Imports everything once, then forks a process for each attempt and kills it after a random part of the processor time
# that an unbroken one takes, which other work on the machine does not change. Prints what both gave.
PROGRAM = """
import json, os, random, signal, sys, time, traceback
from pathlib import Path
from neurosleep.experiments import RunRequest, TuneRequest, apply_changes, load_settings, run_one, search_space, tune
from neurosleep.experiments.run import one

what, kills, seed, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
changes = [("data.name", "mnist-mini"), ("data.tasks", [[1, 0], [7, 3], [5, 4]]), ("data.images_per_task", 100),
           ("network.sizes", [784, 30, 20, 10]), ("wake.epochs", 1), ("wake.batch", 20), ("sleep.steps", 300),
           ("sleep.thresholds", [0.5, 0.5, 0.5]), ("icarl.k", 40), ("rehearsal.fraction", 0.05)]
if what == "icarl":
    changes.append(("wake.loss", "cross-entropy"))
if what != "src":  # they take longer than all the rest
    one.write_run_figures = lambda folder: None
settings = apply_changes(load_settings("src2022/mnist")[1], changes)

def work(name, resume=True):
    out = str(folder / name)
    if what != "tune":
        return run_one(RunRequest("killed", "small", what, 3, settings, None, out, resume))
    run = RunRequest("killed", "default", "src", 0, settings, None, out, resume)
    space = search_space("src2022/mnist", "src", settings, ["sleep.steps", "sleep.thresholds"])
    return tune(TuneRequest(run, space, 3, seeds=2))

def forked(name):
    process = os.fork()
    if process == 0:
        try:
            work(name)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return process

def ended(process, most=float("inf")):
    # Exit code and processor time of a process, which is killed when it has used that much.
    while True:
        done, status, used = os.wait4(process, os.WNOHANG)
        if done:
            break
        if int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) > 1e9 * most:
            os.kill(process, signal.SIGKILL)
        time.sleep(0.002)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL), code
    return code, used.ru_utime + used.ru_stime

work("warm")
code, whole = ended(forked("whole"))
assert code == 0
moments, hits, names = random.Random(seed), 0, []
while hits < kills:
    # Often killed in one folder, then ended: what comes late in a run is reached too.
    names.append(f"killed{len(names)}")
    for part in (1, 1, 0.5):
        if hits < kills:
            hits += ended(forked(names[-1]), moments.uniform(0, part * whole))[0] != 0
    assert ended(forked(names[-1]))[0] == 0
print(json.dumps({"hits": hits, "names": names, "whole": work("whole"), "killed": [work(name) for name in names]}))
"""


def same(found: dict[str, Any]) -> dict[str, Any]:
    """Without the times and the place."""
    return {key: value for key, value in found.items() if key not in ("seconds", "growth", "file")}


def check(folder: Path, what: str, kills: int, seed: int = 1) -> None:
    program = [sys.executable, "-W", "ignore", "-c", PROGRAM, what, str(kills), str(seed), str(folder)]
    result = subprocess.run(program, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["hits"] == kills
    for name, killed in zip(found["names"], found["killed"], strict=True):
        assert same(killed) == same(found["whole"]), name
        assert not [path for path in (folder / name).rglob(".*") if path.suffix == ".tmp"]
        for table in ("accuracy.csv", "firing.csv", "config.toml"):
            wholes, others = (sorted((folder / one).rglob(table)) for one in ("whole", name))
            assert [path.read_bytes() for path in wholes] == [path.read_bytes() for path in others], (name, table)


@pytest.mark.parametrize("what", ["src", "tune"])
def test_killed_at_random_moments_and_resumed_gives_the_same_numbers(tmp_path: Path, what: str) -> None:
    if what == "tune":
        pytest.importorskip("optuna")
    check(tmp_path, what, 2 if what == "src" else 1)


@pytest.mark.full
@pytest.mark.parametrize("what", ["sequential", "ewc", "rehearsal", "icarl", "src", "si+src", "tune"])
def test_thirty_and_more_kills_over_six_strategies_and_a_search(tmp_path: Path, what: str) -> None:
    check(tmp_path, what, 5, seed=2)
