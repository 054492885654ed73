"""The tables and figures of the papers: the list, bad input, and one made from embedded data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from neurosleep.cli.app import app
from neurosleep.errors import RunFolderError
from neurosleep.experiments import RunRequest
from neurosleep.experiments.reproduction import requests
from neurosleep.experiments.run import many


def call(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the one JSON object on standard output, and standard error."""
    result = CliRunner().invoke(app, ["reproduce", *arguments, "--json"])
    assert result.exit_code in (0, 2), result.exception
    lines = result.stdout.splitlines()
    assert len(lines) == 1
    found = json.loads(lines[0], parse_constant=lambda name: pytest.fail(name))
    assert isinstance(found, dict)
    return result.exit_code, found, result.stderr


def test_the_list_comes_without_torch() -> None:
    program = (
        "import sys\n"
        "from neurosleep.cli.app import main\n"
        "sys.argv = ['neurosleep', 'reproduce']\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print('heavy:', sorted({'torch', 'matplotlib', 'numba'} & set(sys.modules)), file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0
    assert result.stderr.strip() == "heavy: []"
    for name in ("src2022/table1", "ep2025/comparison", "on-chips", "Tadros 2022"):
        assert name in result.stdout


def test_the_list_says_which_data_is_here(tmp_path: Path) -> None:
    code, listed, _ = call("--data", str(tmp_path))
    assert code == 0
    by_name = {row["name"]: row for row in listed["reproductions"]}
    assert by_name["src2022/patches"] == {
        "name": "src2022/patches",
        "paper": "Tadros 2022",
        "place": "figure on the toy task; also Krishnan et al. (2019)",
        "what": "The toy task of patches that share pixels: each task before and after sleep",
        "runs": 125,
        "minutes": 1.0,
        "minutes_quick": 1,
        "data": [],
        "missing": [],
    }
    assert "features:cub200_resnet50.npz" in by_name["src2022/table1"]["missing"]


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (["src2022/tabel1"], "UnknownNameError", "src2022/tabel1"),
        (["src2022/patches", "--seeds", "0"], "SettingsError", "--seeds is 0"),
        (["src2022/patches", "--seeds", "100000"], "SettingsError", "--seeds"),
        (["src2022/patches", "--quick", "--seeds", "2"], "SettingsError", "--quick"),
        (["src2022/patches", "--quick", "--jobs", "0"], "SettingsError", "--jobs"),
        (["src2022/patches", "--quick", "--data", "nowhere/at/all"], "DataError", "nowhere/at/all"),
        (["src2022/patches", "--quick", "--scheduler", "nowhere"], "SettingsError", "nowhere"),
    ],
)
def test_bad_input_is_one_message_before_any_work(arguments: list[str], kind: str, said: str, tmp_path: Path) -> None:
    code, found, _ = call(*arguments, "--out", str(tmp_path / "out"))
    assert code == 2
    assert found["error"]["type"] == kind
    assert said in found["error"]["message"]
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_nearly_right_is_guessed() -> None:
    _, found, _ = call("src2022/tabel1")
    assert found["error"]["hint"] == "did you mean 'src2022/table1'?"


def test_without_any_of_its_data_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from neurosleep.errors import DataError

    def refuse(name: str, root: object) -> None:
        raise DataError(f"The data set {name!r} is not at hand.")

    monkeypatch.setattr(requests, "load_dataset", refuse)
    monkeypatch.setattr(requests, "at_hand", lambda name, root: name.startswith("mnist-mini"))
    code, found, _ = call("src2022/cross-modal", "--quick", "--out", str(tmp_path))
    assert code == 2
    assert "Nothing of 'src2022/cross-modal' can be made" in found["error"]["message"]
    assert "fashion-mnist" in found["error"]["message"]


@pytest.mark.usefixtures("no_run_figures")
def test_a_figure_is_made_and_made_again_from_the_same_runs(tmp_path: Path) -> None:
    arguments = ("src2022/patches", "--quick", "--out", str(tmp_path))
    code, made, said = call(*arguments)
    assert code == 0 and said == ""
    assert made["quick"] is True and made["missing"] == {}
    folder = tmp_path / "reproduced" / "src2022" / "patches-quick"
    names = ["figure.csv", "figure.png", "figure.svg", "table.csv", "table.json", "table.md"]
    assert sorted(path.name for path in folder.iterdir()) == names
    values = {(row["variant"], row["measure"]): row["mean"] for row in made["rows"]}
    assert values["overlap-01", "task 1"] == 100.0
    # Forgotten awake, and brought back by sleep.
    assert values["overlap-13", "task 1 before sleep"] < values["overlap-13", "task 1"] == 100.0
    assert "neurosleep run src2022/patches --strategy src" in (folder / "table.md").read_text()
    before = {name: (folder / name).read_bytes() for name in names}
    metrics = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.json")}
    assert len(metrics) == 6
    code, _, _ = call(*arguments)
    assert code == 0
    assert {name: (folder / name).read_bytes() for name in names} == before
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.json")} == metrics


@pytest.mark.usefixtures("no_run_figures")
def test_people_are_told_what_is_done_and_shown_the_rows(tmp_path: Path) -> None:
    arguments = ["reproduce", "src2022/patches", "--quick", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "6 runs to make, 0 done already." in result.stderr
    assert "overlap-13" in result.stdout and "Written into " in result.stdout
    assert "0 runs to make, 6 done already." in CliRunner().invoke(app, arguments).stderr


def test_a_run_that_fails_leaves_a_gap_in_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = many.run_one

    def some(request: RunRequest, *rest: Any, **more: Any) -> Any:
        if request.variant == "overlap-13":
            raise RunFolderError("There is no room left.")
        return whole(request, *rest, **more)

    monkeypatch.setattr(many, "run_one", some)
    code, made, _ = call("src2022/patches", "--quick", "--out", str(tmp_path))
    assert code == 2 and made["error"]["type"] == "RunsFailedError"
    rows = {(row["variant"], row["measure"]): row for row in made["rows"]}
    assert rows["overlap-13", "task 1"]["verdict"] == "There is no room left."
    assert rows["overlap-16", "task 1"]["mean"] == 100.0
    assert (tmp_path / "reproduced" / "src2022" / "patches-quick" / "figure.svg").is_file()
    monkeypatch.undo()
    code, made, _ = call("src2022/patches", "--quick", "--out", str(tmp_path))
    assert code == 0 and {row["n"] for row in made["rows"]} == {1}


def test_ctrl_c_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(request: RunRequest, *rest: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(many, "run_one", stop)
    result = CliRunner().invoke(app, ["reproduce", "src2022/patches", "--quick", "--out", str(tmp_path)])
    assert result.exit_code == 130
    assert "0 of 6 runs are done" in result.stderr and "the same command again" in result.stderr
    assert not (tmp_path / "reproduced").exists()
