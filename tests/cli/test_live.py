"""What run shows while it goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from neurosleep.cli._live import LiveView, sparkline

SMALL = (
    "network.sizes=[784, 30, 10]",
    "data.images_per_task=100",
    "data.tasks=[[0, 1], [2, 3]]",
    "wake.epochs=1",
    "sleep.steps=1200",
    "sleep.growth=0.0",
    "sleep.thresholds=[0.5, 0.5]",
    "sleep.alpha_scale=1.0",
    "record=counts",
)


def command(out: Path, *more: str) -> list[str]:
    changes = [part for change in SMALL for part in ("--set", change)]
    return [sys.executable, "-m", "neurosleep", "run", "demo/mnist-mini", *changes, "--out", str(out), *more]


def test_lines_in_a_pipe_and_one_object_on_standard_output(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    done = subprocess.run(
        command(tmp_path / "out", "--live", "--follow", str(file), "--json"), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["runs"][0]["status"] == "done"
    told = done.stderr.splitlines()
    assert told[0].endswith("starts") and any("sleep phase, step 1000 of 1200" in line for line in told)
    line = next(line for line in told if "sleep phase, step 1000 of 1200" in line).split(" | ")
    assert line[2].startswith("input ") and line[2].endswith(" Hz")
    assert line[3].startswith("hidden1 ") and "weights changed by" in line[3]
    assert told[-1].split(" | ")[1].startswith("done; accuracy")
    assert len(told) == len(file.read_text().splitlines())


def test_on_a_terminal_rates_and_weights_of_each_layer(on_terminal: Callable[..., str], tmp_path: Path) -> None:
    text = on_terminal(command(tmp_path / "out", "--live"))
    assert "hidden1" in text and " Hz" in text and "weights changed by" in text and "sleep phase, step" in text


def test_several_jobs_cannot_be_shown_together(tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path / "out", "--live", "--jobs", "2", "--json"), capture_output=True, text=True)
    assert done.returncode == 2 and "--follow FILE" in json.loads(done.stdout)["error"]["message"] + done.stdout
    assert not (tmp_path / "out").exists()


def test_a_view_keeps_what_events_say() -> None:
    name = {"experiment": "e", "variant": "v" * 60, "strategy": "src", "seed": 1, "time": 0.0}
    view = LiveView()
    assert view.lines() == []
    view({"event": "start", **name, "tasks": 2})
    assert view.lines() == [f"e ({'v' * 39}…), src, seed 1", "starts"]
    event = {"event": "sleep", **name, "task": 1, "step": 1, "steps": 2, "rates": {"input": 5.0, "out": None}}
    view({**event, "weight_change": {"input -> out": 0.5}, "accuracy_all": 0.5})
    view(event)
    lines = view.lines()
    assert "task 1 of 2, sleep phase, step 1 of 2; accuracy 50.0 %" in lines[1]
    assert "5.00 Hz" in lines[2] and lines[3].split()[1] == "-" and "50.0 %" in lines[3]
    view({"event": "phase", **name, "task": 1, "phase": "sleep", "accuracy": [None], "accuracy_all": None})
    assert len(view.lines()) == 2


def test_sparklines() -> None:
    assert sparkline([0.0, 0.5, 1.0, None, 2.0, -1.0]) == "▁▅█ █▁"
    assert sparkline([3.0], low=1.0, high=1.0) == "▁" and sparkline([]) == ""
    assert len(sparkline([0.1] * 100, width=10)) == 10
