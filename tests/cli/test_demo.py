"""The demo as a visitor runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from neurosleep.cli.app import app
from neurosleep.cli.demo import brought_back
from neurosleep.cli.options import RunOptions
from neurosleep.cli.requests import make_requests

# Not the function of that name, which its package exports too.
demo = sys.modules["neurosleep.cli.demo"]


@pytest.mark.full
def test_the_demo_gains_at_least_15_points_in_the_mean_of_its_seeds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "neurosleep", "demo", "--out", str(tmp_path), "--jobs", "1", "--json"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    accuracy = {name: entry["accuracy_all"] for name, entry in found["strategies"].items()}
    print(accuracy)
    assert list(accuracy) == ["sequential", "sleep", "src"]
    assert accuracy["sleep"]["n"] == accuracy["src"]["n"] == accuracy["sequential"]["n"] == 3
    assert accuracy["sleep"]["mean"] - accuracy["sequential"]["mean"] >= 0.4
    assert accuracy["src"]["mean"] - accuracy["sequential"]["mean"] >= 0.15
    # What it prints is what it measured.
    for name in accuracy:
        runs = [json.loads(path.read_text()) for path in tmp_path.glob(f"demo/*/default/{name}/*/metrics.json")]
        assert accuracy[name]["mean"] == pytest.approx(sum(run["accuracy_all"] for run in runs) / 3)
    assert Path(found["report"]).is_file()
    assert len(list(tmp_path.rglob("raster.png"))) == 3


@pytest.mark.usefixtures("no_run_figures")
def test_side_by_side_it_is_the_same_to_the_last_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many runs at once as there are cores; in which order they start changes no number and no row."""
    smaller = RunOptions(["data.images_per_task=60", "wake.epochs=1"])
    monkeypatch.setattr(demo, "make_requests", lambda *given: make_requests(*given[:3], smaller, *given[4:]))
    monkeypatch.setattr("neurosleep._surroundings.cores", lambda: 2)
    shown, numbers = [], []
    for name, jobs in (("one", ["--jobs", "1"]), ("all", [])):
        result = CliRunner().invoke(app, ["demo", "--seeds", "1", "--out", str(tmp_path / name), "--json", *jobs])
        assert result.exit_code == 0, result.output
        shown.append(json.loads(result.stdout)["strategies"])
        runs = [json.loads(path.read_text()) for path in sorted((tmp_path / name).rglob("metrics.json"))]
        # What the clock and the memory of the process say.
        numbers.append([{key: run[key] for key in run if key not in ("seconds", "growth")} for run in runs])
    assert len(numbers[0]) == 3 and numbers[0] == numbers[1]
    assert shown[0] == shown[1] and list(shown[0]) == ["sequential", "sleep", "src"]


def test_what_sleep_brings_back_is_a_sentence() -> None:
    run: Any = {"accuracy_before_sleep": [[0.9], [0.0, 0.9, 0.98]], "accuracy_matrix": [[0.9], [0.42, 0.95, 0.9]]}
    assert brought_back(run) == "After task 3, sleep brings digits 0 and 1 back from 0 % to 42 %."
    run = {"accuracy_before_sleep": [[0.9], [0.5, 0.98]], "accuracy_matrix": [[0.9], [0.4, 0.9]]}
    assert brought_back(run) == "After task 2, sleep brings no digits back."
