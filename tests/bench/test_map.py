"""The benchmark of mapping: every profile is either timed or refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from neurosleep import _memory
from neurosleep.bench import _map
from neurosleep.cli.app import app
from neurosleep.hardware import profile_names


@pytest.mark.full
def test_every_profile_is_timed_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_map, "_TURNS", 1)
    before = torch.get_num_threads()
    done = CliRunner().invoke(app, ["bench", "map", "--json"])
    assert done.exit_code == 0 and torch.get_num_threads() == before
    found = json.loads(done.stdout)
    assert (found["name"], found["threads"], found["unit"]) == ("map", 1, "network")
    assert {*found["seconds"], *found["refused"]} == set(profile_names())
    assert not {*found["seconds"]} & {*found["refused"]}
    assert {"ideal", "generic_int8", "loihi1"} <= set(found["seconds"])
    assert set(found["memory"]) == set(found["cores"]) == set(found["seconds"])
    assert (found["cores"]["loihi1"], found["cores"]["ideal"]) == (23, None)
    assert all(value > 0 for value in found["seconds"].values())
    grown = found["memory"]["loihi1"]
    assert grown is None or 0 < grown < 1e9
    for key, ratio in found["ratios"].items():
        a, b = key.split("_over_")
        assert ratio == found["seconds"][a] / found["seconds"][b]
    assert all(found["refused"].values())
    assert any("needs 1605632, available 65536 (structural)" in text for text in found["refused"]["speck2f"])


def test_where_the_system_does_not_tell_memory_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_map, "_TURNS", 1)
    monkeypatch.setattr(_map, "_SIZES", (784, 5, 10))
    monkeypatch.setattr(_memory, "_FORGET", Path("no such folder/clear_refs"))
    monkeypatch.setattr(_memory, "_STATUS", Path("no such folder/status"))
    monkeypatch.setattr(_map, "profile_names", lambda: ("ideal", "loihi1"))
    assert set(_map.bench_map()["memory"].values()) == {None}
    shown = CliRunner().invoke(app, ["bench", "map"]).stdout
    assert "memory in bytes" in shown and "loihi1_over_ideal" in shown
