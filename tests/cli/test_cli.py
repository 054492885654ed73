"""The command line: one JSON object on standard output, exit code 2 for what the user can mend, and a quick --help."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from neurosleep.cli.app import app

# None of these tests looks at a figure.
pytestmark = pytest.mark.usefixtures("no_run_figures")

SMALL = [
    "data.name=mnist-mini",
    "data.images_per_task=100",
    "data.tasks=[[0, 1], [2, 3]]",
    "network.sizes=[784, 20, 10]",
    "sleep.thresholds=[5.0, 5.0]",
    "wake.epochs=1",
    "sleep.steps=100",
]


def small() -> list[str]:
    return [part for change in SMALL for part in ("--set", change)]


def call(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the one JSON object on standard output, and standard error."""
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 2 or result.exception is None, result.exception
    lines = result.stdout.splitlines()
    assert len(lines) == 1
    found = json.loads(lines[0], parse_constant=lambda name: pytest.fail(name))
    assert isinstance(found, dict)
    return result.exit_code, found, result.stderr


def test_help_names_the_commands_without_importing_torch() -> None:
    program = (
        "import sys\n"
        "from neurosleep.cli.app import main\n"
        "sys.argv = ['neurosleep', '--help']\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    optional = {'avalanche', 'matplotlib', 'norse', 'numba', 'snntorch'}\n"
        "    heavy = ({'numpy', 'torch'} | optional) & set(sys.modules)\n"
        "    print('heavy:', sorted(heavy), file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0
    assert result.stderr.strip() == "heavy: []"
    for name in ("run", "report", "list", "results"):
        assert name in result.stdout


def test_list_says_what_there_is() -> None:
    code, found, errors = call("list")
    assert code == 0
    assert errors == ""
    published = ("patches", "mnist", "fashion", "crossmodal", "cifar10", "cub200", "undertrained", "task2-length")
    swept = (
        "mnist-rehearsal",
        "mnist-icarl",
        "fashion-rehearsal",
        "fashion-icarl",
        "cifar10-rehearsal",
        "cifar10-icarl",
    )
    assert {f"src2022/{name}" for name in published + swept} <= set(found["experiments"])
    parts = {"sequential", "joint", "joint-matched", "ewc", "si", "owm", "lwf", "rehearsal", "icarl", "src", "sleep"}
    assert set(found["strategies"]) == parts
    assert {"event", "reference"} <= set(found["engines"])
    assert "src" in found["rules"]
    assert "mnist-mini" in found["datasets"]


def test_list_for_people_is_a_table() -> None:
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    assert "src2022/mnist" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (["src2022/mnits"], "UnknownNameError", "src2022/mnits"),
        (["nowhere.toml"], "SettingsError", "nowhere.toml"),
        (["src2022/mnist", "--strategy", "scr"], "UnknownNameError", "'scr'"),
        (["src2022/mnist", "--strategy", ","], "SettingsError", "strateg"),
        (["src2022/mnist", "--strategy", "src,src"], "SettingsError", "'src' is named 2 times"),
        (["src2022/mnist", "--strategy", "src,sequential, src"], "SettingsError", "'src' is named 2 times"),
        (["src2022/mnist", "--set", "sleep.stpes=3"], "UnknownNameError", "sleep.stpes"),
        (["src2022/mnist", "--set", "sleep.steps"], "SettingsError", "sleep.steps"),
        (["src2022/mnist", "--set", "sleep.steps=many"], "SettingsError", "many"),
        (["src2022/mnist", "--set", "sleep.rule.name=scr"], "UnknownNameError", "scr"),
        (["src2022/mnist", "--set", "sleep.rule.incc=1"], "SettingsError", "incc"),
        (["src2022/mnist", "--engine", "evnt"], "UnknownNameError", "evnt"),
        (["src2022/mnist", "--seeds", "0"], "SettingsError", "--seeds 0"),
        (["src2022/mnist", "--seed", "-1"], "SettingsError", "--seed -1"),
        (["src2022/mnist", "--jobs", "0"], "SettingsError", "--jobs"),
        (["src2022/mnist", "--set", "sleep.steps=0"], "SettingsError", "sleep.steps"),
        (["src2022/mnist", "--set", "sleep.max_rate=-1.0"], "SettingsError", "sleep.max_rate"),
        (["src2022/mnist", "--set", "sleep.max_rate=nan"], "SettingsError", "sleep.max_rate"),
        (["src2022/mnist", "--set", "sleep.thresholds=[nan, 1.0, 1.0]"], "SettingsError", "sleep.thresholds"),
        (["src2022/mnist", "--set", "sleep.thresholds=[1.0]"], "SettingsError", "sleep.thresholds"),
        (["src2022/mnist", "--set", "sleep.thresholds=['a', 1, 1]"], "SettingsError", "sleep.thresholds"),
        (["src2022/mnist", "--set", "network.sizes=[784]"], "SettingsError", "network.sizes"),
        (["src2022/mnist", "--set", "record=some"], "UnknownNameError", "some"),
        (["src2022/mnist", "--set", "data.split=train"], "UnknownNameError", "train"),
        (["src2022/mnist", "--set", "sleep.window=0"], "SettingsError", "window"),
        (["src2022/mnist", "--set", "sleep.process=posson"], "SettingsError", "posson"),
        (["src2022/mnist", "--set", "sleep.recipe=rato"], "SettingsError", "rato"),
        (["src2022/mnist", "--set", "sleep.alpha_scale=0.0"], "SettingsError", "sleep.alpha_scale"),
        (["src2022/mnist", "--set", "sleep.decay=2.0"], "SettingsError", "decay"),
        (["src2022/mnist", "--set", "sleep.compare=<"], "SettingsError", "<"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else "",
)
def test_mistakes_are_one_error_object_and_nothing_is_written(
    tmp_path: Path, arguments: list[str], kind: str, said: str
) -> None:
    out = tmp_path / "out"
    changes = [] if "data.split=train" in arguments else ["--set", "data.name=mnist-mini"]
    few = ["--set", "data.images_per_task=100", "--set", "wake.epochs=1"]
    code, found, errors = call("run", *arguments, *changes, *few, "--out", str(out))
    assert code == 2
    assert list(found) == ["error"]
    assert found["error"]["type"] == kind or (kind == "SettingsError" and found["error"]["type"] == "UnknownNameError")
    assert said in found["error"]["message"]
    assert errors == ""
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "said", "help_of"),
    [
        (["run"], "experiment", "run --help"),
        (["run", "src2022/mnist", "--stratgy", "src"], "--stratgy", "run --help"),
        (["run", "src2022/mnist", "--seeds", "two"], "--seeds", "run --help"),
        (["list", "rules", "more"], "more", "list --help"),
        (["rnu"], "rnu", "--help"),
        ([], "--json", "--help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_in_the_arguments_are_one_error_object_too(arguments: list[str], said: str, help_of: str) -> None:
    code, found, errors = call(*arguments)
    assert code == 2
    assert list(found) == ["error"]
    assert found["error"]["type"] == "UsageError"
    assert said in found["error"]["message"]
    assert help_of in found["error"]["hint"]
    assert errors == ""
    if arguments:
        shown = CliRunner().invoke(app, arguments)
        assert (shown.exit_code, shown.stdout) == (2, "")
        assert "Usage:" in shown.stderr


def test_a_missing_data_folder_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "nothing here"
    code, found, errors = call("run", "src2022/mnist", "--data", str(missing), "--out", str(tmp_path / "out"))
    assert code == 2
    assert found["error"]["type"] == "DataError"
    assert "data folder does not exist" in found["error"]["message"]
    assert errors == ""
    assert not (tmp_path / "out").exists()


def test_for_people_the_error_is_on_standard_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["run", "src2022/mnist", "--strategy", "scr", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("UnknownNameError: There is no strategy named 'scr'.")
    assert "did you mean 'src'?" in result.stderr


def test_run_report_and_results(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["run", "src2022/mnist", *small(), "--strategy", "sequential, src", "--seeds", "2", "--out", str(out)]
    code, found, errors = call(*arguments)
    assert code == 0
    assert errors == ""
    assert [(run["strategy"], run["seed"]) for run in found["runs"]] == [
        ("sequential", 0),
        ("src", 0),
        ("sequential", 1),
        ("src", 1),
    ]
    assert [(row["strategy"], row["accuracy_all"]["n"]) for row in found["summary"]] == [("sequential", 2), ("src", 2)]
    variant = found["runs"][0]["variant"]
    assert (out / "src2022/mnist" / variant / "src" / "seed1" / "metrics.json").is_file()

    code, refused, _ = call(*arguments)
    assert (code, refused["error"]["type"]) == (2, "RunFolderError")
    assert "--resume" in refused["error"]["hint"]
    code, again, _ = call(*arguments, "--resume")
    assert (code, again) == (0, found)
    shown = CliRunner().invoke(app, [*arguments, "--resume"])
    assert shown.exit_code == 0
    assert "sequential" in shown.stdout

    code, page, _ = call("report", str(out))
    assert code == 0
    assert Path(page["html"]).read_text(encoding="utf-8").count("<html") == 1

    code, table, _ = call("results", str(out), "--out", str(tmp_path / "docs"))
    assert (code, table["rows"]) == (0, 2)
    assert table["file"] == str(tmp_path / "docs" / "index.md")
    text = (tmp_path / "docs" / "src2022.md").read_text(encoding="utf-8")
    mean = found["summary"][1]["accuracy_all"]["mean"]
    assert f"{100 * mean:.2f}" in text
    seen = [line for line in text.splitlines() if line.startswith("    neurosleep run src2022/mnist --strategy")]
    assert len(seen) == 1
    again = shlex.split(seen[0].replace("--data DIR --out OUT", f"--out {tmp_path / 'again'}"))[1:]
    code, redone, _ = call(*again)
    assert (code, redone["summary"]) == (0, found["summary"])


@pytest.mark.parametrize("command", ["report", "results"])
def test_a_folder_without_runs_is_refused(tmp_path: Path, command: str) -> None:
    code, found, _ = call(command, str(tmp_path))
    assert code == 2
    assert found["error"]["type"] == "RunFolderError"
    assert not list(tmp_path.iterdir())


def test_a_process_of_its_own_answers_alike(tmp_path: Path) -> None:
    arguments = ["run", "src2022/mnist", "--strategy", "scr", "--out", str(tmp_path), "--json"]
    result = subprocess.run([sys.executable, "-m", "neurosleep", *arguments], capture_output=True, text=True)
    assert result.returncode == 2
    assert json.loads(result.stdout)["error"]["type"] == "UnknownNameError"
    assert result.stderr == ""


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_warning_is_one_line_without_a_place_in_the_code(tmp_path: Path, jobs: str) -> None:
    change = ["--set", "data.name=mnist-mini", "--set", "wake.free_steps=2", "--set", "wake.nudged_steps=1"]
    change += ["--strategy", "sequential", "--seeds", jobs, "--set", "wake.epochs=1"]
    change += ["--set", "data.images_per_task=100", "--set", "network.sizes=[784, 40, 10]"]
    change += ["--set", "wake.residual_limit=0.0001"]
    result = subprocess.run(
        [sys.executable, "-m", "neurosleep", "run", "ep2025/mnist", *change, "--out", str(tmp_path), "--jobs", jobs],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stderr.splitlines() if "converged" in line]
    assert lines and all(line.startswith("Warning: The free phase has not converged") for line in lines)
    assert ".py" not in result.stderr and "ConvergenceWarning" not in result.stderr


def test_nothing_is_said_of_semaphores_that_libraries_made_in_workers(tmp_path: Path) -> None:
    change = ["data.images_per_task=40", "data.tasks=[[0, 1]]", "network.sizes=[784, 12, 10]", "wake.epochs=1"]
    change += ["nrem.frames=20"]
    result = subprocess.run(
        [
            *(sys.executable, "-m", "neurosleep", "run", "demo/classifier", "--strategy", "sleep", "--seeds", "2"),
            *("--jobs", "2", "--out", str(tmp_path), *(part for one in change for part in ("--set", one))),
        ],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "resource_tracker" not in result.stderr and "leaked" not in result.stderr
