"""What watching costs, and that every way of it is timed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from neurosleep.bench import _record, bench_record
from neurosleep.functional import MeanDrive, SRCRule
from neurosleep.spiking import Dense, Population, SpikingNetwork


def small(data: object, seed: int) -> tuple[SpikingNetwork, MeanDrive, SRCRule]:
    """A network that needs no training."""
    draw = torch.Generator().manual_seed(seed)
    populations = (Population("input", "input", (20,)), Population("hidden1", "lif", (15,), threshold=2.0))
    weight = torch.rand(15, 20, generator=draw) - 0.4
    network = SpikingNetwork(populations, (Dense("input", "hidden1", weight),))
    return network, MeanDrive(np.full(20, 0.5), 100.0), SRCRule(1e-3, 1e-4)


def test_every_way_of_recording_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_STEPS", 2500), ("_TURNS", 1), ("trained", small)):
        monkeypatch.setattr(_record, name, value)
    found = bench_record()
    ways = ["counts", "spikes", "folder", "weights", "potentials", "every_step"]
    seconds = found["seconds"]
    assert (found["name"], found["threads"], found["unit"]) == ("record", 1, "step")
    assert list(seconds) == ["without", *ways] and all(value > 0 for value in seconds.values())
    assert found["ratios"] == {f"{way}_over_without": seconds[way] / seconds["without"] for way in ways}


@pytest.mark.full
def test_counting_spikes_costs_under_a_tenth() -> None:
    # In a process of its own, without coverage, which slows what is plain Python and not what is compiled.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("COV_", "COVERAGE_"))}
    command = [sys.executable, "-m", "neurosleep", "bench", "record", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    print(found)
    assert found["ratios"]["counts_over_without"] < 1.1
