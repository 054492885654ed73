"""neurosleep tune FILE.py:NAME: a function of the user's own, searched as the settings of an experiment are."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from neurosleep.cli.app import app
from neurosleep.errors import SettingsError
from neurosleep.experiments import tune_function

TRAIN = """
from beside import best

def train(lr, hidden, kind, seed, scale=1.0):
    return scale - (lr - best) ** 2 + (kind == "b") * 0.1 + (seed - 101) / 1000 + 0 * hidden

def fails(lr, hidden, kind, seed, scale=1.0):
    raise KeyError("no such layer")

def diverges(lr, hidden, kind, seed, scale=1.0):
    return float("nan") if lr > 0.5 else train(lr, hidden, kind, seed)

def text(lr, hidden, kind, seed, scale=1.0):
    return "good"

def other(seed):
    return 1.0
"""
SPACE = """
lr = { low = 0.0, high = 1.0, start = 0.9 }
hidden = { low = 1, high = 1000, log = true }
kind = { choices = ["a", "b"] }
scale = { value = 2.0 }
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a function, a module that it imports, and a search space."""
    (tmp_path / "beside.py").write_text("best = 0.3")
    (tmp_path / f"{tmp_path.name}.py").write_text(TRAIN)
    (tmp_path / "space.toml").write_text(SPACE)
    return tmp_path


def call(files: Path, name: str, *more: str, space: str = "space.toml") -> tuple[int, dict[str, Any]]:
    """Exit code and the JSON object."""
    arguments = [f"{files / files.name}.py:{name}", "--space", str(files / space), "--out", str(files / "out")]
    result = CliRunner().invoke(app, ["tune", *arguments, *more, "--json"])
    assert result.exit_code == 2 or result.exception is None, result.exception
    (line,) = result.stdout.splitlines()
    return result.exit_code, json.loads(line, parse_constant=lambda name: pytest.fail(name))


def test_the_best_arguments_are_found_written_and_resumed(files: Path) -> None:
    code, found = call(files, "train", "--trials", "6", "--seeds", "2")
    assert code == 0 and found["trials"] == 6
    for row in found["table"]:
        values = row["values"]
        exact = [
            2 - (values["lr"] - 0.3) ** 2 + (values["kind"] == "b") * 0.1 + (seed - 101) / 1000 for seed in (100, 101)
        ]
        # What is run has six digits.
        assert row["accuracy"] == pytest.approx(np.mean(exact), abs=1e-5)
        assert isinstance(values["hidden"], int) and 1 <= values["hidden"] <= 1000
    assert found["table"][0]["values"]["lr"] == 0.9
    assert found["validation"]["mean"] == max(row["accuracy"] for row in found["table"])
    assert found["best"]["scale"] == 2.0 and found["importances"] == {}
    written = tomllib.loads(Path(found["file"]).read_text())
    record = written.pop("tuned")
    assert written == found["best"] and record["trials"] == 6 and record["value"]["n"] == 2
    assert record["space"] == tomllib.loads(SPACE)
    # Again without --resume, with another space, and on with more trials, side by side.
    assert call(files, "train", "--trials", "6", "--seeds", "2")[0] == 2
    code, more = call(files, "train", "--trials", "9", "--seeds", "2", "--resume", "--jobs", "2")
    assert code == 0 and more["table"][:6] == found["table"] and len(more["table"]) == 9
    (files / "space.toml").write_text(SPACE.replace("1000", "999"))
    code, error = call(files, "train", "--trials", "9", "--seeds", "2", "--resume")
    assert code == 2 and "other settings" in error["error"]["message"]


def test_nan_is_given_up_and_the_others_count(files: Path) -> None:
    code, found = call(files, "diverges", "--trials", "5", "--seeds", "1")
    accuracies = {row["values"]["lr"]: row["accuracy"] for row in found["table"]}
    assert code == 0 and accuracies[0.9] is None
    assert all((accuracy is None) == (lr > 0.5) for lr, accuracy in accuracies.items())
    assert found["best"]["lr"] <= 0.5
    command = ["tune", f"{files / files.name}.py:diverges", "--space", str(files / "space.toml")]
    command += ["--out", str(files / "out"), "--trials", "5", "--seeds", "1", "--resume"]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0 and "given up" in shown.stdout and "Value: " in shown.stdout


@pytest.mark.parametrize(
    ("name", "space", "said"),
    [
        ("fails", SPACE, ("raised KeyError", "line 8 of")),
        ("text", SPACE, ("returned 'good'", "a number")),
        ("missing", SPACE, ("has no function 'missing'", "diverges")),
        ("other", SPACE, ("does not take", "lr")),
        ("train", "", ("search space is empty", "lr = {")),
        ("train", "lr = ", ("is not TOML", "")),
        ("train", "lr = 3", ("'lr' is 3", "low")),
        ("train", "lr = { low = 1, high = 0 }", ("from 1 to 0", "low < high")),
        ("train", "lr = { value = 1 }", ("varies nothing", "")),
        ("train", "seed = { low = 1, high = 2 }", ("varies 'seed'", "itself")),
    ],
)
def test_mistakes_are_told(files: Path, name: str, space: str, said: tuple[str, str]) -> None:
    (files / "space.toml").write_text(space)
    code, found = call(files, name, "--trials", "2", "--seeds", "1")
    error = found["error"]
    assert code == 2 and error["type"] == "SettingsError" and said[0] in error["message"]
    assert said[1] in json.dumps(error, ensure_ascii=False)
    # Only what the function itself does is met in a trial.
    assert (files / "out").exists() == (name in ("fails", "text"))


def test_options_of_experiments_and_files_that_are_not_there(files: Path) -> None:
    for more in (["--set", "a=1"], ["--strategy", "src"], ["--prune"], ["--engine", "event"]):
        code, found = call(files, "train", *more)
        assert code == 2 and more[0] in found["error"]["message"]
    assert "cannot be read" in call(files, "train", space="none.toml")[1]["error"]["message"]
    result = CliRunner().invoke(
        app, ["tune", str(files / "none.py:train"), "--space", str(files / "space.toml"), "--json"]
    )
    assert result.exit_code == 2 and "There is no file" in result.stdout
    result = CliRunner().invoke(app, ["tune", f"{files / files.name}.py:train", "--json"])
    assert result.exit_code == 2 and "needs a search space" in result.stdout
    result = CliRunner().invoke(app, ["tune", "demo/mnist-mini", "--space", "space.toml", "--json"])
    assert result.exit_code == 2 and "--space" in result.stdout
    assert not (files / "out").exists()


def test_from_python_numbers_of_any_kind(tmp_path: Path) -> None:
    space = {"x": {"low": -1.0, "high": 1.0}}
    kinds: list[Any] = [float, np.float32, torch.tensor, lambda x: np.array([x])]
    for k, kind in enumerate(kinds):
        found = tune_function(lambda x, seed, kind=kind: kind(-(x**2)), space, out=tmp_path / str(k), trials=4, seeds=1)
        assert found["validation"]["mean"] == pytest.approx(-(found["best"]["x"] ** 2), rel=1e-5)
    with pytest.raises(SettingsError, match="None of 2 trials"):
        tune_function(lambda x, seed: np.inf, space, out=tmp_path / "inf", trials=2, seeds=1)
    with pytest.raises(SettingsError, match="returned"):
        tune_function(lambda x, seed: np.ones(2), space, out=tmp_path / "two", trials=2, seeds=1)
