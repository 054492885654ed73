"""The benchmark of a Dask cluster: both ways give the same numbers, or there are no times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neurosleep.bench import _schedule
from neurosleep.cli.app import app
from neurosleep.errors import NeurosleepError
from tests.experiments.small_runs import sets

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")


@pytest.mark.slow
@pytest.mark.full
def test_a_sweep_on_workers_and_in_processes_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_schedule, "_COMMAND", ("run", "src2022/mnist", "--strategy", "sequential"))
    monkeypatch.setattr(_schedule, "_EMBEDDED", tuple(sets()))
    monkeypatch.setattr(_schedule, "_SEEDS", 2)
    monkeypatch.setattr(_schedule, "_TURNS", 1)
    done = CliRunner().invoke(app, ["bench", "schedule", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["name"], found["threads"], found["workers"], found["runs"]) == ("schedule", 1, 2, 2)
    a, b = found["seconds"]["processes"], found["seconds"]["scheduler"]
    assert found["ratios"] == {"processes_over_scheduler": a / b} and a > 0 and b > 0
    assert found["noise"]["processes_over_scheduler"] == [a / b, a / b]
    assert found["processor_seconds"]["scheduler"] > 0


def test_other_numbers_and_commands_that_fail_are_errors(tmp_path: Path) -> None:
    runs = {f"seed{k}": {"accuracy_all": 0.5} for k in range(4)}
    assert _schedule._same(None, runs, "processes") == runs
    with pytest.raises(NeurosleepError, match="other numbers"):
        _schedule._same(runs, runs | {"seed3": {"accuracy_all": 0.25}}, "scheduler")
    with pytest.raises(NeurosleepError, match="other numbers"):
        _schedule._same(None, {}, "processes")
    with pytest.raises(NeurosleepError, match="failed") as caught:
        log = tmp_path / "log"
        _schedule._ended([_schedule._started("neurosleep", "run", "no/such", log=log)], log)
    assert "no/such" in str(caught.value.found)


@pytest.mark.full
def test_two_workers_get_nearly_as_much_done_as_two_processes() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("COV_", "COVERAGE_"))}
    command = [sys.executable, "-m", "neurosleep", "bench", "schedule", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    print(found)
    assert found["processor_ratio"] >= 0.75
