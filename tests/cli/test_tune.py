"""The tune command: one JSON object, a settings file that runs, and exit code 2 for what the user can mend."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from neurosleep.cli._board import Board
from neurosleep.cli.app import app
from neurosleep.experiments.tuning.trials import BEST

SMALL = [
    "data.name=mnist-mini",
    "data.images_per_task=100",
    "data.tasks=[[0, 1], [2, 3]]",
    "network.sizes=[784, 20, 10]",
    "sleep.thresholds=[5.0, 5.0]",
    "wake.epochs=1",
    "sleep.steps=100",
]
CHANGES = [part for change in SMALL for part in ("--set", change)]


def call(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and the one JSON object on standard output; nothing on standard error."""
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 2 or result.exception is None, result.exception
    assert result.stderr == ""
    (line,) = result.stdout.splitlines()
    found = json.loads(line, parse_constant=lambda name: pytest.fail(name))
    assert isinstance(found, dict)
    return result.exit_code, found


def test_the_settings_that_are_found_run(tmp_path: Path) -> None:
    tuned = tmp_path / "tuned"
    code, found = call("tune", "src2022/mnist", "--trials", "3", "--seeds", "2", *CHANGES, "--out", str(tuned))
    assert code == 0
    assert set(found) == {"out", "file", "best", "validation", "trials", "table", "importances"}
    assert found["out"] == str(tuned)
    assert found["trials"] == 3
    assert found["validation"].keys() == {"mean", "sd", "n"}
    assert found["validation"]["n"] == 2
    assert found["best"]["sleep.alpha_scale"] == 1.0
    assert "sleep.steps" not in found["best"]
    file = tuned / "src2022" / "mnist" / "src.toml"
    assert found["file"] == str(file)
    code, runs = call("run", str(file), "--out", str(tmp_path / "runs"))
    assert code == 0
    assert runs["runs"][0]["split"] == "test"
    assert runs["runs"][0]["status"] == "done"
    code, again = call(
        "tune", "src2022/mnist", "--trials", "3", "--seeds", "2", *CHANGES, "--out", str(tuned), "--resume"
    )
    assert (code, again) == (0, found)


def test_run_takes_the_tuned_settings_beside_the_experiment(tmp_path: Path) -> None:
    (tmp_path / "tuned").mkdir()
    own, found = tmp_path / "own.toml", tmp_path / "tuned" / "own.src.toml"
    settings = "\n".join(change.replace("=", " = ", 1) for change in SMALL).replace("mnist-mini", '"mnist-mini"')
    settings += "\nsleep.rule = { name = 'src', inc = 0.03, dec = 0.003 }\nsleep.window = 11"
    own.write_text(settings)
    found.write_text(settings.replace("steps = 100", "steps = 50") + '\n[tuned]\nstrategy = "src"\n')
    code, plain = call("run", str(own), "--out", str(tmp_path / "runs"))
    code, tuned = call("run", str(own), "--tuned", "--set", "wake.batch=50", "--out", str(tmp_path / "runs"))
    assert code == 0
    assert [run["variant"] for run in (plain["runs"][0], tuned["runs"][0])] == ["default", "tuned,v1"]
    assert plain["runs"][0]["sleep"]["steps"][0] == 100
    assert tuned["runs"][0]["sleep"]["steps"][0] == 50
    code, error = call("run", str(own), "--tuned", "--strategy", "src,sequential", "--out", str(tmp_path / "more"))
    assert code == 2
    assert "no tuned settings for 'sequential'" in error["error"]["message"]
    assert not (tmp_path / "more").exists()


def test_for_people_it_is_a_table(tmp_path: Path) -> None:
    options = ["--trials", "1", "--seeds", "1", "--strategy", "sequential", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, ["tune", "src2022/mnist", *options, *CHANGES])
    assert result.exit_code == 0, result.stderr
    assert "wake.lr" in result.stdout
    assert "Validation:" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (["src2022/mnits"], "UnknownNameError", "src2022/mnits"),
        (["src2022/mnist", "--strategy", "scr"], "UnknownNameError", "'scr'"),
        (["src2022/mnist", "--strategy", "joint"], "SettingsError", "no search space"),
        (["src2022/mnist", "--sampler", "random"], "UnknownNameError", "'random'"),
        (["src2022/mnist", "--trials", "0"], "SettingsError", "--trials"),
        (["src2022/mnist", "--seeds", "21"], "SettingsError", "--seeds"),
        (["src2022/mnist", "--seed", "-1"], "SettingsError", "-1"),
        (["src2022/mnist", "--jobs", "0"], "SettingsError", "--jobs"),
        (["src2022/mnist", "--set", "data.split=test"], "SettingsError", "data.split"),
        (["src2022/mnist", "--set", "sleep.stpes=3"], "UnknownNameError", "sleep.stpes"),
        (["src2022/mnist", "--set", "network.sizes=[3, 20, 10]"], "SettingsError", "network.sizes"),
        (["src2022/mnist", "--trials", "many"], "UsageError", "--trials"),
        (["OWN"], "UnknownNameError", "sleep.stpes"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_error_object_and_nothing_is_written(
    tmp_path: Path, arguments: list[str], kind: str, said: str
) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[tune.src]\n"sleep.stpes" = { low = 1, high = 2 }\n')
    given = [str(own) if argument == "OWN" else argument for argument in arguments]
    code, found = call("tune", given[0], *CHANGES, *given[1:], "--out", str(tmp_path / "out"))
    assert code == 2
    assert list(found) == ["error"]
    assert found["error"]["type"] == kind
    assert said in found["error"]["message"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("package", "sampler"), [("optuna", "tpe"), ("cmaes", "cma-es")])
def test_a_missing_extra_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, sampler: str
) -> None:
    # What an import of a package that is not installed meets.
    monkeypatch.setitem(sys.modules, package, None)
    code, found = call("tune", "src2022/mnist", "--sampler", sampler, *CHANGES, "--out", str(tmp_path / "out"))
    assert code == 2
    assert found["error"]["type"] == "MissingExtraError"
    assert package in found["error"]["message"]
    assert found["error"]["hint"] == 'pip install "neurosleep[tune]"'
    assert not (tmp_path / "out").exists()


def test_trials_and_importances_are_told(tmp_path: Path) -> None:
    """The best first, each with what it varied; which settings matter is Optuna's word, once there are some trials."""
    command = ["tune", "demo/mnist-mini", "--strategy", "sequential", "--trials", "8", "--seeds", "1", *CHANGES]
    code, found = call(*command, "--out", str(tmp_path))
    assert code == 0
    values = {row["number"]: row["accuracy"] for row in found["table"]}
    assert sorted(values) == list(range(8)) and max(values.values()) == found["validation"]["mean"]
    if len(set(values.values())) > 1:
        assert sum(found["importances"].values()) == pytest.approx(1.0)
        assert set(found["importances"]) == set(found["table"][0]["values"])
    shown = CliRunner().invoke(app, [*command, "--out", str(tmp_path), "--resume"], env={"COLUMNS": "120"}).stdout
    rows = [line for line in shown.splitlines() if line.startswith("│")]
    first = [cell.strip() for cell in rows[0].split("│")[1:4]]
    assert first[1] == f"{100 * max(values.values()):.2f} %" and values[int(first[0])] == max(values.values())
    assert ("PED-ANOVA" in shown) == bool(found["importances"])


def test_the_best_so_far_is_on_the_board() -> None:
    board = Board([("trial 0", ""), ("trial 1", "")], lambda: 0.0)
    board.told(0, "seed 100, task 1 of 5, wake, epoch 1")
    board.told(0, f"{BEST}: trial 0 with 57.80 %")
    board.told(0, "done")
    assert board.lines(80) == ["1 of 2 done; 0:00 so far, about 0:00 left; best so far: trial 0 with 57.80 %"]
