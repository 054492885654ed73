"""The benchmark of Equilibrium Propagation compares equal work."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from neurosleep.bench import _ep, bench_ep


def test_both_forms_are_timed_and_the_ratios_are_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ep, "_BATCHES", dict.fromkeys(_ep._BATCHES, 1))
    monkeypatch.setattr(_ep, "_TURNS", 1)
    before = torch.get_num_threads()
    result = bench_ep()
    assert torch.get_num_threads() == before
    assert result["name"] == "ep" and result["threads"] == 1 and result["unit"] == "batch"
    assert set(result["seconds"]) == {"closed_form", "autograd", "bptt"}
    assert result["ratios"].keys() == {"autograd_over_closed_form", "bptt_over_closed_form"}
    for key, ratio in result["ratios"].items():
        a, b = key.split("_over_")
        assert ratio == result["seconds"][a] / result["seconds"][b] > 0
    assert 0 <= result["largest_difference_of_states"] <= 1e-6


def test_both_forms_learn_the_same_weights() -> None:
    g = torch.Generator().manual_seed(0)
    images, labels = torch.rand(192, 784, generator=g), torch.randint(10, (192,), generator=g)
    ep = _ep.EquilibriumPropagation(beta=_ep._BETA, nudged_steps=_ep._NUDGED, lr=_ep._LR, momentum=_ep._MOMENTUM)
    ours, _ = _ep._learn(ep, 0, images, labels)
    theirs, _ = _ep._learn_plainly(0, images, labels)
    start = _ep._network(0)
    for a, b, before in zip(ours.trained, theirs.trained, start.trained, strict=True):
        moved = float((a - before).detach().abs().max())
        assert float((a - b).detach().abs().max()) < 1e-3 * moved


def test_forms_that_settle_elsewhere_stop_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ep, "_BATCHES", dict.fromkeys(_ep._BATCHES, 1))
    plain = _ep.autograd_settle
    monkeypatch.setattr(_ep, "autograd_settle", lambda *args: [s + 1e-5 for s in plain(*args)])
    with pytest.raises(AssertionError, match="differ by"):
        bench_ep()


@pytest.mark.full
def test_the_closed_form_is_far_ahead_of_automatic_differentiation() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("COV_", "COVERAGE_"))}
    command = [sys.executable, "-m", "neurosleep", "bench", "ep", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    print(found)
    # The target is 15.
    assert found["ratios"]["autograd_over_closed_form"] >= 12
