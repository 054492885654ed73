"""The command profiles: every shipped one, one by name, one's own file, and the schema for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from neurosleep.cli.app import app
from neurosleep.hardware import profile_names
from neurosleep.hardware.profiles.load import profile_folder


def call(*arguments: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 2 or result.exception is None, result.exception
    (line,) = result.stdout.splitlines()
    found = json.loads(line)
    assert isinstance(found, dict)
    return result.exit_code, found


def test_without_a_name_it_lists_every_profile() -> None:
    code, found = call("profiles")
    assert code == 0
    assert [row["id"] for row in found["profiles"]] == list(profile_names())
    assert all(set(row) == {"id", "name", "kind", "findings"} for row in found["profiles"])
    loihi = next(row for row in found["profiles"] if row["id"] == "loihi1")
    assert loihi["kind"] == "digital"
    (finding,) = loihi["findings"]
    assert finding["code"] == "HP015"
    assert finding["text"] == "loihi1.toml:energy.update_inactive_pj: HP015 figure is recalled, not verified"


def test_list_names_the_profiles() -> None:
    code, found = call("list")
    assert code == 0
    assert found["profiles"] == list(profile_names())


def test_one_profile_is_shown_with_the_source_and_grade_of_each_figure() -> None:
    code, found = call("profiles", "loihi1")
    assert code == 0
    (profile,) = found["profiles"]
    figures = {figure["key"]: figure for figure in profile["figures"]}
    assert figures["energy.synop_pj"]["value"] == 23.6
    assert figures["energy.update_inactive_pj"]["grade"] == "recalled"
    assert profile["unpublished"] == ["energy.static_mw", "energy.spike_pj"]
    assert profile["sources"]["lava"]["grade"] == "code"
    shown = CliRunner().invoke(app, ["profiles", "loihi1"]).stdout
    assert "Not public: energy.static_mw, energy.spike_pj" in shown
    assert "pre-silicon simulation" in shown
    assert "recalled" in shown


def test_a_grade_that_is_that_of_every_source_is_said_once() -> None:
    arguments = ["--section", "energy"]
    for name, columns in (("truenorth", 3), ("loihi1", 4)):
        grades = {figure["grade"] for figure in call("profiles", name, *arguments)[1]["profiles"][0]["figures"]}
        shown = CliRunner().invoke(app, ["profiles", name, *arguments]).stdout
        header = next(line for line in shown.splitlines() if "figure" in line and "source" in line)
        assert len([cell for cell in header.strip("┃").split("┃") if cell]) == columns
        assert (len(grades) == 1) == (columns == 3) == ("Grade of every source: secondary." in shown)


def test_a_file_of_ones_own_works_as_a_shipped_one(tmp_path: Path) -> None:
    own = tmp_path / "my.toml"
    text = (profile_folder() / "odin.toml").read_text(encoding="utf-8")
    own.write_text(text.replace('id = "odin"', 'id = "my"').replace('name = "ODIN"', 'name = "[red]Mine[/red]"'))
    code, found = call("profiles", str(own))
    assert code == 0
    assert found["profiles"][0]["id"] == "my"
    assert "[red]Mine[/red] (my, digital)" in CliRunner().invoke(app, ["profiles", str(own)]).stdout


def test_a_wrong_file_is_refused_with_all_that_is_wrong(tmp_path: Path) -> None:
    own = tmp_path / "my.toml"
    text = (profile_folder() / "odin.toml").read_text(encoding="utf-8")
    own.write_text(text.replace('id = "odin"', 'id = "my"').replace("bits = 3", "bits = 40", 1).replace(">=", "=>"))
    code, found = call("profiles", str(own))
    assert code == 2
    assert found["error"]["type"] == "HardwareProfileError"
    assert found["error"]["message"].splitlines() == [
        f"{own}:weights.bits: HP007 expected 1..32, got 40",
        f"{own}:threshold.compare: HP008 expected one of >, >=, got '=>'",
    ]
    result = CliRunner().invoke(app, ["profiles", str(own)])
    assert result.exit_code == 2
    assert "HP008 expected one of >, >=, got '=>'" in result.stderr


def test_unknown_names_and_chips_that_do_not_spike() -> None:
    code, found = call("profiles", "lohi1")
    assert code == 2
    assert found["error"]["hint"] == "did you mean 'loihi1'?"
    code, found = call("profiles", "NorthPole")
    assert code == 2
    assert "'northpole' is not a spiking target; there is nothing to map" in found["error"]["message"]
    assert "dense integer arithmetic" in found["error"]["hint"]


def test_the_schema_is_one_json_object_and_takes_no_name() -> None:
    code, found = call("profiles", "--schema")
    assert code == 0
    assert found["$schema"].startswith("https://json-schema.org/")
    assert json.loads(CliRunner().invoke(app, ["profiles", "--schema"]).stdout) == found
    code, found = call("profiles", "odin", "--schema")
    assert code == 2
    assert found["error"]["type"] == "SettingsError"


@pytest.mark.parametrize("columns", [80, 120])
def test_a_section_alone_with_whole_words(columns: int) -> None:
    whole = json.loads(CliRunner().invoke(app, ["profiles", "loihi1", "--json"]).stdout)["profiles"][0]
    expected = [figure for figure in whole["figures"] if figure["key"].startswith("energy.")]
    told = CliRunner().invoke(app, ["profiles", "loihi1", "--section", "energy", "--json"])
    assert json.loads(told.stdout)["profiles"][0]["figures"] == expected
    shown = CliRunner().invoke(app, ["profiles", "loihi1", "--section", "energy"], env={"COLUMNS": str(columns)})
    lines = shown.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    words = {word for line in lines for word in line.replace("│", " ").split()}
    assert {figure["key"].rpartition(".")[2] for figure in expected if figure["key"].count(".") == 1} <= words
    assert "neurons_per_core" not in words
    for arguments in (["--section", "energy"], ["loihi1", "--section", "energi"]):
        assert CliRunner().invoke(app, ["profiles", *arguments]).exit_code == 2
