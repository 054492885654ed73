"""The command cite: BibTeX on standard output and nothing else, of a run that was just made, and clear refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from neurosleep.cli.app import app

SMALL = [
    "data.name=mnist-mini",
    "data.images_per_task=100",
    "data.tasks=[[0, 1], [2, 3]]",
    "network.sizes=[784, 20, 10]",
    "sleep.thresholds=[5.0, 5.0]",
    "wake.epochs=1",
    "sleep.steps=100",
]


def cited_without_torch(*arguments: str) -> str:
    """What ``neurosleep cite`` prints in a process of its own, which ends without torch or NumPy."""
    program = (
        "import sys\n"
        "from neurosleep.cli.app import main\n"
        f"sys.argv = ['neurosleep', 'cite', *{arguments!r}]\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print({'torch', 'numpy'}.isdisjoint(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "True", done.stderr
    return done.stdout


def test_a_run_is_cited_by_what_it_used(tmp_path: Path) -> None:
    settings = [part for change in SMALL for part in ("--set", change)]
    arguments = ["run", "src2022/mnist", "--strategy", "si+src", *settings, "--out", str(tmp_path)]
    made = CliRunner().invoke(app, arguments)
    assert made.exit_code == 0, made.output
    shown = CliRunner().invoke(app, ["cite", str(tmp_path)])
    assert shown.exit_code == 0
    keys = [line[line.index("{") + 1 : -1] for line in shown.stdout.splitlines() if line.startswith("@")]
    wanted = {"neurosleep", "tadros2022", "zenke2017", "diehl2015", "lecun1998", "lam2015", "paszke2019", "harris2020"}
    assert set(keys) == wanted and len(keys) == len(wanted)
    assert "Nothing to cite for" not in shown.stdout and "network mlp" in shown.stderr
    assert cited_without_torch(str(tmp_path)) == shown.stdout
    as_json = CliRunner().invoke(app, ["cite", str(tmp_path), "--json", "--profile", "loihi1"])
    (line,) = as_json.stdout.splitlines()
    found = json.loads(line)
    assert found["runs"] == 1 and found["bibtex"].startswith(shown.stdout.rstrip("\n"))
    assert "loihi1-lava" in {reference["key"] for reference in found["references"]}


def test_without_a_folder_it_is_the_package() -> None:
    shown = CliRunner().invoke(app, ["cite"])
    assert shown.exit_code == 0 and shown.stderr == ""
    assert shown.stdout.startswith("% neurosleep\n@misc{neurosleep,") and "@article{tadros2022," in shown.stdout
    assert cited_without_torch() == shown.stdout


def test_a_mistake_is_one_message_and_exit_code_2(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["cite", str(tmp_path / "nowhere")])
    assert shown.exit_code == 2 and "There is no folder" in shown.stderr and shown.stdout == ""
    as_json = CliRunner().invoke(app, ["cite", "--profile", "loihi3", "--json"])
    assert as_json.exit_code == 2
    assert "loihi3" in json.loads(as_json.stdout)["error"]["message"]
