"""A sleep phase in which the network fires without end is given up, and says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import neurosleep as ns
from neurosleep.errors import SettingsError
from neurosleep.spiking import Dense, Population, SpikingNetwork


def _network(threshold: float) -> SpikingNetwork:
    return SpikingNetwork(
        (Population("input", "input", (4,)), Population("out", "lif", (3,), threshold=threshold)),
        (Dense("input", "out", torch.ones(3, 4)),),
    )


def test_a_seizure_ends_the_sleep() -> None:
    drive = ns.MeanDrive(np.ones(4), max_rate=500.0)
    rule = ns.SRCRule(inc=0.0, dec=0.0)
    result = ns.sleep(_network(1.0), drive=drive, rule=rule, steps=5000, limits=ns.Limits(spikes=2.0))
    assert result.status == "diverged" and result.divergence is not None
    assert result.divergence.step == 1000 and "3 spikes per step" in result.divergence.projection
    assert result.recording.steps == 1000
    assert torch.equal(result.network.weights[0], torch.ones(3, 4))
    assert result.divergence.value == 3.0 and "fired 3 spikes per step" in str(result.divergence)
    assert ns.sleep(_network(1.0), drive=drive, rule=rule, steps=5000).status == "done"
    with pytest.warns(ns.NeurosleepWarning, match="Not one neuron fired in 5000 steps.*20000 input spikes.*out 1e.06"):
        quiet = ns.sleep(_network(1e6), drive=drive, rule=rule, steps=5000, limits=ns.Limits(spikes=2.0))
    assert quiet.status == "done" and quiet.fired == 0
    for wrong in ({"spikes": 0.0}, {"spikes": float("nan")}, {"weights": -1.0}, {"weights": None}):
        with pytest.raises(SettingsError, match=f"The limit of {next(iter(wrong))}"):
            ns.Limits(**wrong)  # type: ignore[arg-type]
