"""A model, or a result that holds a network, in place of a spiking network: every verb says what to give instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import neurosleep as ns
from neurosleep.errors import NeurosleepError

DRIVE = ns.MeanDrive([0.5] * 6, max_rate=50.0)
RULE = ns.SRCRule(0.01, 0.001)
MODEL = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
CALLS: dict[str, Callable[[Any], Any]] = {
    "put to sleep": lambda given: ns.sleep(given, drive=DRIVE, rule=RULE, steps=5),
    "simulated": lambda given: ns.simulate(given, torch.rand(2, 6), steps=5),
    "woken": lambda given: ns.wake(given, MODEL),
    "mapped to a chip": lambda given: ns.map_to(given, "loihi1"),
    "given thresholds": lambda given: ns.thresholds_for_rates(given, DRIVE, [0.1, 0.1]),
    "written as NIR": ns.to_nir,
    "written for Norse": ns.to_norse,
    "written for snnTorch": ns.to_snntorch,
}


@pytest.mark.parametrize("done", CALLS)
def test_what_is_no_spiking_network_is_an_error_that_says_what_to_give(done: str) -> None:
    network = ns.convert(MODEL, torch.rand(9, 6))
    slept = ns.sleep(network, drive=DRIVE, rule=RULE, steps=5)
    for given, hint in (
        (MODEL, "neurosleep.convert"),
        (slept, "SleepResult holds one: .network"),
        (7, "neurosleep.load"),
    ):
        with pytest.raises(NeurosleepError, match=f"Only a spiking network can be {done}") as caught:
            CALLS[done](given)
        assert type(given).__name__ in str(caught.value) and hint in str(caught.value)
