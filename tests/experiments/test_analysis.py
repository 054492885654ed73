"""A run with ``analyse`` leaves analyses of its last sleep, or of how its network settles: tables and pictures."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neurosleep.cli.app import app


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _run(out: Path, *arguments: str, strategy: str = "src") -> Path:
    result = CliRunner().invoke(
        app, ["run", *arguments, "--strategy", strategy, "--set", "analyse=true", "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    (folder,) = (path.parent for path in out.rglob("metrics.json"))
    return folder


def test_analyses_of_digits(tmp_path: Path) -> None:
    sets = ["sleep.steps=200", "wake.epochs=1", "data.images_per_task=200", "network.sizes=[784,40,10]"]
    sets += ["sleep.thresholds=[5.0, 5.0]"]
    folder = _run(tmp_path, "demo/mnist-mini", *(x for s in sets for x in ("--set", s)))
    tables = {path.stem: _rows(path) for path in (folder / "analysis").glob("*.csv")}
    assert {"class_correlation", "sparseness", "input_drive", "task_specific_firing", "weight_summary"} <= set(tables)
    assert all(tables.values())
    names = ("sparseness", "input_drive", "class_correlation_hidden1", "weight_histogram_output")
    for name in (*names, "class_correlation_before_hidden1"):
        assert (folder / "figures" / f"{name}.png").stat().st_size > 2000
        # The data of a figure lie beside it: the rows of its own layer.
        rows = _rows(folder / "figures" / f"{name}.csv")
        of_one = {name.rsplit("_", 1)[1]} if name.endswith(("hidden1", "output")) else set()
        assert {row["layer"] for row in rows} == (of_one or {row["layer"] for row in tables[name]})
    moved = [
        float(row["after"]) - float(row["before"]) for row in tables["class_correlation"] if row["layer"] == "hidden1"
    ]
    assert any(abs(change) > 1e-6 for change in moved)


@pytest.mark.parametrize("overlap", [12])
def test_analyses_of_patches(tmp_path: Path, overlap: int) -> None:
    folder = _run(tmp_path, "src2022/patches", "--variant", f"overlap-{overlap:02d}", "--set", "sleep.steps=500")
    assert _rows(folder / "analysis" / "patch_drive.csv")
    assert (folder / "figures" / "patch_weights_task1.png").stat().st_size > 2000
    assert {row["task"] for row in _rows(folder / "figures" / "patch_weights_task1.csv")} == {"1"}
    assert {path.stem for path in (folder / "figures").glob("*.png")} == {
        path.stem for path in (folder / "figures").glob("*.csv")
    }


@pytest.mark.parametrize("strategy", ["src", "sequential"])
def test_analyses_of_networks_that_settle(tmp_path: Path, strategy: str) -> None:
    """Its tables are of the network at the end, and where it slept also of the one before."""
    sets = [
        'data.name="mnist-mini"',
        "data.images_per_task=200",
        "network.sizes=[784,40,10]",
        "sleep.steps=200",
        "wake.epochs=1",
    ]
    folder = _run(tmp_path, "ep2025/mnist", *(x for s in sets for x in ("--set", s)), strategy=strategy)
    tables = {path.stem: _rows(path) for path in (folder / "analysis").glob("*.csv")}
    slept = {"settling_before", "activation_spread_before"} if strategy == "src" else set()
    assert set(tables) == {"settling", "state_trajectories", "activation_spread"} | slept
    assert [row["layer"] for row in tables["activation_spread"]] == ["hidden1", "output"]
    steps = [int(row["step"]) for row in tables["settling"] if row["layer"] == "hidden1"]
    assert steps == list(range(1, 31))
    if slept:
        assert tables["activation_spread"] != tables["activation_spread_before"]
    for name in ("settling", "activation_spread", "state_trajectories_hidden1", *slept):
        assert (folder / "figures" / f"{name}.png").stat().st_size > 2000
    page = CliRunner().invoke(app, ["report", str(tmp_path), "--json"])
    assert page.exit_code == 0, page.output
    (report,) = tmp_path.rglob("report.html")
    assert report.read_text(encoding="utf-8").count("the free phase") >= 2
