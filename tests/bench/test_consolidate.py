"""The benchmark of a homeostatic sleep beside an epoch of its task."""

from __future__ import annotations

import json

import pytest
import torch
from typer.testing import CliRunner

from neurosleep.bench import _consolidate
from neurosleep.cli.app import app


def test_every_network_of_the_embedded_data_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_consolidate, "_TURNS", 1)
    networks = {name: _consolidate._NETWORKS[name] for name in ("784-400-400-10", "1280-400-400-10")}
    monkeypatch.setattr(_consolidate, "_NETWORKS", networks)
    before = torch.get_num_threads()
    done = CliRunner().invoke(app, ["bench", "consolidate", "--json"])
    assert done.exit_code == 0 and torch.get_num_threads() == before
    found = json.loads(done.stdout)
    assert (found["name"], found["threads"]) == ("consolidate", 1)
    whats = {"epoch", "rates", "spikes", "guarded"}
    assert {f"784-400-400-10 {what}" for what in whats} <= set(found["seconds"])
    # Features of CIFAR-10 are in a folder of data only.
    assert not any(name.startswith("1280") for name in found["seconds"])
    for key, ratio in found["ratios"].items():
        a, b = key.split("_over_")
        assert ratio == found["seconds"][a] / found["seconds"][b] > 0
