"""A run with ``analyse`` leaves analyses of its last sleep, or of how its network settles: tables and pictures."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neurosleep.cli.app import app
from neurosleep.spiking import Recording


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


@pytest.mark.parametrize("form", ["rates", "spikes"])
def test_analyses_of_homeostatic_sleep(tmp_path: Path, form: str) -> None:
    """The same tables as of sleep under a rule; those of firing only where it had spikes."""
    sets = ["wake.epochs=1", "data.images_per_task=200", "network.sizes=[784,40,30,10]", f"nrem.form={form}"]
    sets += ["nrem.draws=64" if form == "rates" else "nrem.frames=64"]
    folder = _run(tmp_path, "demo/mnist-mini", *(x for s in sets for x in ("--set", s)), strategy="sleep")
    tables = {path.stem: _rows(path) for path in (folder / "analysis").glob("*.csv")}
    firing = {"task_specific_firing", "sleep_wake_similarity"}
    assert {"correlation_summary", "input_drive", "sparseness", "weight_histogram", "unit_drives"} <= set(tables)
    assert firing & set(tables) == (firing if form == "spikes" else set())
    assert {row["layer"] for row in tables["input_drive"]} == {"hidden1", "hidden2"}
    assert any(float(row["change"]) != 0 for row in tables["input_drive"])
    assert (folder / "figures" / "input_drive.png").stat().st_size > 2000


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


@pytest.mark.parametrize("strategy", ["sleep", "sleep+src"])
def test_homeostatic_sleep_leaves_units_and_answers_also_without_being_asked(tmp_path: Path, strategy: str) -> None:
    sets = [
        "wake.epochs=1",
        "data.images_per_task=200",
        "network.sizes=[784,40,10]",
        "nrem.frames=20",
        "nrem.draws=200",
    ]
    sets += ["sleep.steps=100", "network.bias=false"] if "src" in strategy else []
    settings = [x for s in sets for x in ("--set", s)]
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["run", "demo/classifier", "--strategy", strategy, *settings, "--out", str(out)])
    assert result.exit_code == 0, result.output
    (folder,) = (path.parent for path in out.rglob("metrics.json"))
    units = _rows(folder / "analysis" / "unit_drives.csv")
    assert [row["layer"] for row in units] == ["hidden1"] * 40 + ["output"] * 10
    means = [[float(row[key]) for row in units if row["layer"] == "output"] for key in ("mean_before", "mean_after")]
    assert max(means[0]) - min(means[0]) > 10 * (max(means[1]) - min(means[1]))
    answers = _rows(folder / "analysis" / "confusion_change.csv")
    metrics = json.loads((folder / "metrics.json").read_text())
    images = sum(int(row["images"]) for row in answers)
    for moment, accuracy in (("before", "accuracy_before_sleep"), ("after", "accuracy_all")):
        right = sum(int(row["images"]) for row in answers if row["class"] == row[f"answer_{moment}"])
        assert right / images == pytest.approx(_last(metrics[accuracy]), abs=1e-9)
    figures = {path.stem for path in (folder / "figures").glob("*.png")}
    assert {"unit_drives_hidden1", "unit_drives_output", "confusion_change", "confusion_change_moved"} <= figures
    result = CliRunner().invoke(app, ["report", str(out)])
    assert result.exit_code == 0, result.output
    page = (out / "report.html").read_text()
    assert "Answers that the last sleep changed" in page and "drive under noise, before and after" in page


def test_a_recorded_homeostatic_sleep_has_its_hypnogram_in_the_report(tmp_path: Path) -> None:
    sets = ["wake.epochs=1", "data.images_per_task=100", "network.sizes=[784,20,10]", "nrem.frames=6", "record=all"]
    settings = [x for s in sets for x in ("--set", s)]
    arguments = ["run", "demo/classifier", "--strategy", "sleep", *settings, "--out", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    (folder,) = (path.parent for path in tmp_path.rglob("metrics.json"))
    recording = max((folder / "spikes").glob("task*.npz"))
    spans = Recording.open(recording).hypnogram
    rows = _rows(folder / "figures" / "hypnogram.csv")
    assert len(rows) == len(spans) == 2 * 2 * 6
    assert {row["state"] for row in rows} == {"up", "down"} and (folder / "figures" / "hypnogram.png").is_file()
    assert _rows(folder / "firing.csv")
    result = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "Stages and states of the sleep" in (tmp_path / "report.html").read_text()


def test_nrem_and_rem_of_a_combination_are_both_in_spikes_and_in_one_recording(tmp_path: Path) -> None:
    sets = ["data.images_per_task=100", "network.sizes=[784,20,20,10]", "nrem.frames=6", "sleep.steps=300"]
    settings = [x for s in [*sets, "nrem.form=spikes", "wake.epochs=1"] for x in ("--set", s)]
    arguments = ["run", "demo/mnist-mini", "--strategy", "sleep+src", *settings, "--out", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    (folder,) = (path.parent for path in tmp_path.rglob("metrics.json"))
    recording = Recording.open(folder / "spikes" / "task1.npz")
    nrem = 6 * 100 * 3
    assert recording.steps == nrem + 300
    assert [span.stage for span in recording.hypnogram] == ["NREM"] * 36 + ["REM"]
    assert (recording.hypnogram[-1].start, recording.hypnogram[-1].length) == (nrem, 300)
    for start, stop in ((0, nrem), (nrem, nrem + 300)):
        assert recording.spikes["input"].slice(start, stop).count > 0
    assert recording.spikes["hidden1"].slice(0, nrem).count > 0
    result = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert result.exit_code == 0, result.output
    page = (tmp_path / "report.html").read_text()
    assert "up in NREM, down in NREM, tonic in REM" in page and "steps from step " in page


def _last(value: object) -> float:
    """Of a number itself, of a list of lists the mean of the last row."""
    if isinstance(value, list):
        row = value[-1] if isinstance(value[-1], list) else value
        return sum(row) / len(row)
    assert isinstance(value, float)
    return value
