"""Short names of changed settings: the same again for the same settings, whoever asks, and those of earlier runs."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from neurosleep.cli.app import app
from neurosleep.errors import NeurosleepError, RunFolderError, SettingsError
from neurosleep.experiments import variant_name
from neurosleep.experiments.changes import Change
from neurosleep.experiments.results.commands import commands_of
from neurosleep.experiments.variants import named_changes, variant_with, variants_in

# None of these tests looks at a figure.
pytestmark = pytest.mark.usefixtures("no_run_figures")

LR: list[Change] = [("wake.lr", 0.1), ("network.sizes", [784, 10])]
STEPS: list[Change] = [("sleep.steps", 3)]


def run_in(out: Path, changes: list[Change], **more: Any) -> str | None:
    """The name, of a run that starts."""
    with named_changes(out, "demo/a", changes, **more) as name:
        if name:
            run = out / "demo/a" / name / "src/seed0"
            run.mkdir(parents=True, exist_ok=True)
            (run / "config.toml").touch()
    return name


def test_the_same_changes_have_the_same_name(tmp_path: Path) -> None:
    assert run_in(tmp_path, []) is None
    assert [run_in(tmp_path, one) for one in (LR, STEPS, LR[::-1], STEPS)] == ["v1", "v2", "v1", "v2"]
    assert run_in(tmp_path, [("wake.lr", 0.2)], name="slow") == "slow" == run_in(tmp_path, [("wake.lr", 0.2)])
    assert run_in(tmp_path, [("wake.lr", 0.3)], in_file=("v3",)) == "v4"
    assert variants_in(tmp_path / "demo/a") == {
        "v1": ["network.sizes=[784, 10]", "wake.lr=0.1"],
        "v2": ["sleep.steps=3"],
        "slow": ["wake.lr=0.2"],
        "v4": ["wake.lr=0.3"],
    }


def test_a_folder_that_is_there_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "demo/a/v1").mkdir(parents=True)
    assert run_in(tmp_path, LR) == "v2"


@pytest.mark.parametrize("name", ["default", "tuned", "a,b", "a=1", "../x", "", "point"])
def test_names_that_mean_something_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError):
        run_in(tmp_path / "out", LR, name=name, in_file=("point",))
    assert not (tmp_path / "out").exists()


def test_a_name_keeps_its_settings(tmp_path: Path) -> None:
    run_in(tmp_path, LR, name="mine")
    with pytest.raises(SettingsError, match="'mine' have other settings") as refused:
        run_in(tmp_path, STEPS, name="mine")
    assert "wake.lr=0.1" in str(refused.value)


def test_what_never_ran_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with pytest.raises(NeurosleepError), named_changes(out, "demo/a", LR):
        raise SettingsError("no such thing")
    assert not (tmp_path / "new").exists()
    run_in(out, LR)
    with pytest.raises(NeurosleepError), named_changes(out, "demo/a", STEPS):
        raise SettingsError("no such thing")
    assert list(variants_in(out / "demo/a")) == ["v1"]


def test_names_asked_for_at_the_same_time_are_different(tmp_path: Path) -> None:
    names: dict[int, str | None] = {}

    def ask(k: int) -> None:
        names[k] = run_in(tmp_path, [("sleep.steps", k // 2)])

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(names[k] == names[k + 1] for k in range(0, 12, 2)) and len(set(names.values())) == 6


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    run_in(tmp_path, LR)
    for content in ("v1 = 3", "v1 = [", "v1 = [1]"):
        (tmp_path / "demo/a/variants.toml").write_text(content)
        with pytest.raises(RunFolderError, match="damaged"):
            run_in(tmp_path, LR)


def test_runs_of_earlier_versions_keep_their_folder(tmp_path: Path) -> None:
    spelt = variant_name(LR)
    assert variant_with(tmp_path, "v1", LR, None, named=False) == "v1"
    assert variant_with(tmp_path, "v1", LR, "point", named=False) == "point,v1"
    (tmp_path / spelt).mkdir()
    assert variant_with(tmp_path, "v1", LR, "default", named=False) == spelt
    assert variant_with(tmp_path, "v1", LR, "point", named=False) == "point,v1"
    assert variant_with(tmp_path, "mine", LR, None, named=True) == "mine"
    (tmp_path / f"tuned,{variant_name(LR, 'point')}").mkdir()
    assert variant_with(tmp_path, "v1", LR, "point", named=False) == variant_name(LR, "point")


def test_run_says_once_what_a_name_stands_for(tmp_path: Path) -> None:
    changes = ["wake.epochs=1", "data.images_per_task=50", "network.sizes=[784, 20, 10]"]
    given = [part for change in changes for part in ("--set", change)]
    command = ["run", "demo/mnist-mini", "--strategy", "sequential", *given, "--out", str(tmp_path)]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("v1: wake.epochs=1, data.images_per_task=50,") and "demo/mnist-mini, v1:" in shown.stdout
    assert shown.stdout.count("wake.epochs") == 1
    run = tmp_path / "demo/mnist-mini/v1/sequential/seed0"
    assert json.loads((run / "metrics.json").read_text())["variant"] == "v1"

    # The same settings again, in another order: the same folder, which is resumed.
    again = ["run", "demo/mnist-mini", "--strategy", "sequential", *given[2:], *given[:2], "--out", str(tmp_path)]
    assert json.loads(CliRunner().invoke(app, [*again, "--json"]).stdout)["error"]["type"] == "RunFolderError"
    result = json.loads(CliRunner().invoke(app, [*again, "--resume", "--json"]).stdout)
    assert [one["variant"] for one in result["runs"]] == ["v1"] and list(result["changes"]) == ["v1"]
    named = CliRunner().invoke(app, [*command, "--name", "tiny"])
    assert named.exit_code == 0 and (tmp_path / "demo/mnist-mini/tiny/sequential/seed0/metrics.json").is_file()

    # The pages of results know the command, with the settings beside the metrics and without.
    metrics = {run: result["runs"][0]}
    (one,) = commands_of(metrics)
    (run / "config.toml").unlink()
    (other,) = commands_of(metrics)
    for text in (str(one), str(other)):
        assert "--set wake.epochs=1" in text and "--set data.images_per_task=50" in text
