"""What people read: whole words, titles above tables, colour on a terminal alone, help in groups with examples."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from neurosleep import __version__
from neurosleep._reproductions import reproduction_names
from neurosleep.cli._text import lines_of, print_table
from neurosleep.cli.app import app
from neurosleep.errors import unknown_name

# None of these tests looks at a figure.
pytestmark = pytest.mark.usefixtures("no_run_figures")

TEXT = "The setting data.deviations of the experiment src2022/mnist holds the widths 0, 1, 2 and 3 " * 3
COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_lines_fit_and_keep_their_words(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = lines_of(TEXT, "Note: ", 2).splitlines()
    assert max(map(len, lines)) <= min(columns, 100)
    assert " ".join(lines).split() == ["Note:", *TEXT.split()]
    assert lines[0].startswith("  Note: The") and all(line.startswith(" " * 8) for line in lines[1:])


def test_rows_of_an_error_hang_behind_their_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = lines_of(str(unknown_name("rule", "st", ["src", "stdp", *(f"rule-of-length-{k}" for k in range(9))])))
    first = lines.splitlines()
    assert first[0] == "There is no rule named 'st'." and first[1].startswith("  Try:      did you mean ")
    assert first[2].startswith("  Expected: one of: ") and all(line.startswith(" " * 12) for line in first[3:])


def test_of_many_names_the_nearest_are_listed() -> None:
    names = [f"sleep.setting-{k}" for k in range(100)] + ["sleep.steps"]
    error = unknown_name("setting", "sleep.stpes", names)
    assert error.hint == "did you mean 'sleep.steps'?"
    assert error.expected is not None and error.expected.startswith("one of 101; nearest: sleep.steps, ")
    assert error.expected.count(",") == 4
    assert unknown_name("setting", "quite another thing", names).hint is None
    assert str(error).splitlines()[1] == "  Try:      did you mean 'sleep.steps'?"


def test_names_that_are_nothing_like_the_given_one_are_not_called_near() -> None:
    names = [f"group/number-{k}" for k in range(30)]
    far, near = unknown_name("thing", "zzz", names), unknown_name("thing", "number-7", names)
    assert far.expected == "one of 30; such as: " + ", ".join(sorted(names)[:5])
    assert far.hint is None
    assert near.expected is not None and near.expected.startswith("one of 30; nearest: group/number-7, ")


def test_the_title_stands_above_and_words_stay_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    rows = [("neurons_per_core", "1,024", "a long sentence about what this figure is and where it is from " * 2)]
    print_table(
        "A title that is longer than its table of two columns, and so has two lines", ("what", "n", "why"), rows
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("A title") and lines[2].startswith("┏")
    assert max(map(len, lines)) <= 60
    words = {word for line in lines for word in line.replace("│", " ").split()}
    assert {"neurons_per_core", "1,024", "sentence"} <= words
    # Numbers stand to the right.
    assert next(line for line in lines if "1,024" in line).split("│")[2].endswith("1,024 ")


SAY = "from neurosleep.cli._text import say_error; say_error('SettingsError', 'word ' * 40)"


@pytest.mark.parametrize("plain", [False, True])
def test_errors_are_red_on_a_terminal(on_terminal: Callable[..., str], plain: bool) -> None:
    seen = on_terminal([sys.executable, "-c", SAY], env={"NO_COLOR": "1" if plain else None})
    assert ("\x1b[1;31mSettingsError:" in seen) is not plain and "31m" not in seen * plain
    assert len(seen.splitlines()) == 3


def test_errors_in_a_pipe_are_one_plain_line() -> None:
    surroundings = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    command = [sys.executable, "-c", SAY]
    piped = subprocess.run(command, capture_output=True, text=True, env=surroundings, check=True)
    assert piped.stderr == f"SettingsError: {'word ' * 40}\n"


def test_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"neurosleep {__version__}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_that_are_right(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    _, _, shown = result.stdout.partition("Examples:")
    examples = [line.strip() for line in shown.splitlines() if line.strip()]
    assert len(examples) == 2 and max(map(len, result.stdout.splitlines())) <= 80
    # A flag takes nothing.
    assert "--json" in result.stdout and "<bool>" not in result.stdout
    for example in examples:
        program, name, *arguments = shlex.split(example.partition(">")[0])
        assert (program, name) == ("neurosleep", command)
        # Refuses options that there are not.
        get_command(app).commands[command].make_context(command, list(arguments))  # type: ignore[attr-defined]
        if command == "reproduce" and arguments:
            assert arguments[0] in reproduction_names()


def test_help_of_run_is_in_groups() -> None:
    shown = CliRunner().invoke(app, ["run", "--help"]).stdout
    groups = ["What to do", "How and where it runs", "Files and folders", "While it runs"]
    places = [shown.index(f"─ {group} ─") for group in groups]
    assert places == sorted(places)
    assert places[0] < shown.index("--strategy") < places[1] < shown.index("--jobs") < places[2]


def test_completion_names_the_commands() -> None:
    asked = {**os.environ, "_NEUROSLEEP_COMPLETE": "complete_bash", "COMP_WORDS": "neurosleep re", "COMP_CWORD": "1"}
    program = "import sys; sys.argv = ['neurosleep']; from neurosleep.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=asked)
    assert set(result.stdout.split()) == {"report", "reproduce", "results"}


def test_what_diverged_is_said_and_can_end_in_a_code_of_its_own(tmp_path: Path) -> None:
    changes = ["wake.lr=1000", "wake.epochs=1", "data.images_per_task=100"]
    given = [part for change in changes for part in ("--set", change)]
    command = ["run", "demo/mnist-mini", "--strategy", "sequential", *given, "--out", str(tmp_path)]
    result = CliRunner().invoke(app, [*command, "--fail-on-divergence"])
    assert result.exit_code == 3
    assert "sequential: every run diverged, so that there is no accuracy." in result.stdout
    assert CliRunner().invoke(app, [*command, "--resume"]).exit_code == 0


def test_variants_are_rows_of_one_table(tmp_path: Path) -> None:
    command = ["run", "src2022/patches", "--strategy", "sequential", "--variant", "overlap-01,overlap-02"]
    result = CliRunner().invoke(app, [*command, "--out", str(tmp_path)])
    assert result.exit_code == 0
    assert result.stdout.count("┏") == 1 and "diverged" not in result.stdout
    rows = [line.split("│")[1:4] for line in result.stdout.splitlines() if "overlap-0" in line]
    assert [[cell.strip() for cell in row][:2] for row in rows] == [
        ["overlap-01", "sequential"],
        ["overlap-02", "sequential"],
    ]


def test_a_silent_sleep_is_said(tmp_path: Path) -> None:
    changes = ["sleep.thresholds=[1e6,1e6,1e6]", "wake.epochs=1", "data.images_per_task=60", "sleep.steps=100"]
    given = [part for change in changes for part in ("--set", change)]
    command = ["run", "demo/mnist-mini", "--strategy", "src,sequential", *given, "--out", str(tmp_path)]
    shown = " ".join(CliRunner().invoke(app, command).stdout.split())
    assert "v1, src, seed 0: Silent: in every sleep phase no unit behind the input fired" in shown
    assert shown.count("Silent") == 1
