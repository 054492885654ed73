"""Accuracy on the test images after each epoch, where a run is asked for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from neurosleep.cli.app import app
from neurosleep.experiments.results.epochs_table import epochs_lines
from tests.experiments.small_runs import sets


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    found = []
    for tested in (False, True):
        out = tmp_path_factory.mktemp("out")
        changed = sets(data__test_each_epoch=tested, wake__epochs=3, network__sizes=[784, 20, 10])
        run = ["run", "src2022/mnist", "--strategy", "src", *changed, "--name", "small", "--out", str(out)]
        assert CliRunner().invoke(app, run).exit_code == 0
        (path,) = Path(out).rglob("metrics.json")
        found.append(json.loads(path.read_text(encoding="utf-8")))
    return found


def test_each_epoch_of_each_task_is_tested(metrics: list[dict[str, Any]]) -> None:
    _, tested = metrics
    epochs = tested["epochs"]
    assert [(row["task"], row["epoch"]) for row in epochs] == [(t, e) for t in (1, 2) for e in range(1, 4)]
    # After the last epoch of a task it is what is evaluated before the task's sleep.
    ends = [row["accuracy_all"] for row in epochs if row["epoch"] == 3]
    before = [sum(row) / 2 for row in tested["accuracy_before_sleep"]]
    assert ends == pytest.approx(before, abs=0.02)
    assert len({row["accuracy_all"] for row in epochs}) > 3


def test_testing_changes_nothing_else(metrics: list[dict[str, Any]]) -> None:
    without, tested = metrics
    assert "epochs" not in without
    for key in ("accuracy_matrix", "accuracy_before_sleep", "accuracy_all"):
        assert without[key] == tested[key]


def test_the_table_has_a_column_an_epoch() -> None:
    def run(variant: str, *accuracies: float) -> dict[str, Any]:
        rows = [{"task": 1, "epoch": k + 1, "accuracy_all": value} for k, value in enumerate(accuracies)]
        return {"variant": variant, "epochs": rows}

    lines = epochs_lines([run("long", 0.1, 0.2, 0.4), run("long", 0.3, 0.2, 0.6), run("short", 0.5), {"variant": "no"}])
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert rows[0] == ["variant", "n", "1", "2", "3"]
    assert rows[2:] == [["long", "2", "20.00", "20.00", "50.00"], ["short", "1", "50.00", "-", "-"]]
    assert epochs_lines([{"variant": "no"}]) == []
