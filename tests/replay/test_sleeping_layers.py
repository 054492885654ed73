"""sleeping_layers tells before a sleep which layers it will change."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import neurosleep as ns
from neurosleep.errors import DataError, UnsupportedError
from neurosleep.replay import sleeping_layers


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 8), nn.GELU(), nn.Linear(8, 3)
    )


def test_those_that_sleep_are_those_that_it_names() -> None:
    net = model()
    net[4].requires_grad_(False)
    told = sleeping_layers(net, (1, 6, 6))
    assert told == {"0": "yes", "6": "yes", "4": "it is frozen (requires_grad=False)"}
    noise = torch.full((1, 6, 6), 0.5)
    slept = ns.consolidate(net, noise, guard=False, sleep=ns.Sleep(stages=[ns.NREM(form="rates")])).model
    changed = {
        name.split(".")[0]
        for (name, before), after in zip(net.named_parameters(), slept.parameters(), strict=True)
        if not torch.equal(before, after)
    }
    # Layer 0 changes in the weight and bias of the normalisation behind it.
    assert changed == {"1", "6"}


def test_layers_that_are_used_twice_and_networks_of_other_kinds() -> None:
    shared = nn.Linear(4, 4)
    told = sleeping_layers(nn.Sequential(shared, nn.ReLU(), shared, nn.Linear(4, 2)), (4,))
    assert told["3"] == "yes" and "more than once" in told["0"]
    assert sleeping_layers(ns.EquilibriumMLP([4, 3, 2]), (4,)) == {"layers.0": "yes", "layers.1": "yes"}
    network = ns.convert(nn.Linear(4, 2), torch.rand(3, 4))
    assert sleeping_layers(network, ()) == {"output": "yes"}


def test_mistakes() -> None:
    with pytest.raises(DataError, match="cannot be run"):
        sleeping_layers(model(), (3,))
    normed = nn.Sequential(torch.nn.utils.parametrizations.weight_norm(nn.Linear(4, 2)))
    with pytest.raises(UnsupportedError, match="computed from others"):
        sleeping_layers(normed, (4,))
