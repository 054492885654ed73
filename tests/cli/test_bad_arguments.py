"""Settings of a wrong type, files in other encodings, names that lead elsewhere: one message, nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neurosleep.cli.app import app

LONG = "n" * 300
OWN = 'note = "caf\u00e9"\n[data]\nname = "mnist-mini"\n'
FILES = {
    "utf16.toml": OWN.encode("utf-16"),
    "latin1.toml": OWN.encode("latin-1"),
    "rule.toml": (OWN + "[sleep]\nrule = {}\n").encode(),
    "size.toml": (OWN + "[network]\nsizes = [784, true, 10]\n").encode(),
    "out.toml": (OWN + '[variants."../../x"]\n"sleep.steps" = 3\n').encode(),
    "long.toml": (OWN + f'[variants."{LONG}"]\n"sleep.steps" = 3\n').encode(),
}
SETTINGS = (
    *("network.sizes=true", "network.sizes=[784, true, 10]", "wake.epochs=1e300", "wake.lr=1e300", "wake.lr=true"),
    *("sleep.rule={}", "sleep.rule={name = true}", "sleep.steps=true", "sleep.steps=9999999999999999999999"),
    *("owm.alpha=[true, 1, 1]", "data.tasks=[[true]]", "note=true", "analyse=1", "engine=/etc/passwd"),
    *(f"data.name={LONG}", f"sleep.{LONG}=3", "data.name=../../etc", "icarl.k=true"),
)
MISTAKES = (
    *(["demo/mnist-mini", "--set", change] for change in SETTINGS),
    *([name] for name in (*FILES, "nothing.toml", LONG, f"{LONG}.toml", "../../x", "a\0b.toml")),
    *(["demo/mnist-mini", "--engine", name] for name in ("/etc/passwd", "../event", LONG)),
    *(["demo/mnist-mini", option, name] for option in ("--variant", "--strategy") for name in ("../x", LONG)),
    *(["demo/mnist-mini", option, "9" * 21] for option in ("--seeds",)),
    ["demo/mnist-mini", "--jobs", "0"],
)


@pytest.mark.parametrize("command", ["run", "tune"])
@pytest.mark.parametrize("arguments", MISTAKES, ids=lambda value: " ".join(value)[:60])
def test_one_message_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        Path(name).write_bytes(content)
    result = CliRunner().invoke(app, [command, *arguments, "--out", "OUT", "--json"])
    error = json.loads(result.stdout)["error"]
    assert (result.exit_code, result.stderr) == (2, "")
    assert error["message"] and len(error["message"]) < 3000
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("command", ["report", "results", "cite"])
@pytest.mark.parametrize("folder", ["nothing", LONG, "long.toml"])
def test_folders_that_are_none_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("long.toml").write_bytes(FILES["long.toml"])
    result = CliRunner().invoke(app, [command, folder, "--json"])
    assert (result.exit_code, result.stderr) == (2, "") and list(json.loads(result.stdout)) == ["error"]
    assert [path.name for path in tmp_path.iterdir()] == ["long.toml"]


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(b"\xef\xbb\xbf" + OWN.encode())
    result = CliRunner().invoke(app, ["run", str(path), "--strategy", "none", "--out", str(tmp_path / "OUT"), "--json"])
    assert "'none'" in json.loads(result.stdout)["error"]["message"]
