"""Which convolutions of a converted network are plastic: weights of the model, and none that the conversion made."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import neurosleep as ns
from neurosleep.conversion import convert, plastic_convolutions, wake
from neurosleep.errors import ConversionError
from neurosleep.functional import PooledSRC, torch_generator
from neurosleep.replay import sleep
from neurosleep.spiking import Conv


def model() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = [nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 3), nn.ReLU()]
        return nn.Sequential(*parts, nn.Flatten(), nn.Linear(16, 2)).eval()


X = torch.rand(30, 1, 8, 8, generator=torch_generator(0, "x"))


def test_convolutions_of_the_model_sleep_and_wake_and_those_that_make_maxima_stay() -> None:
    given = model()
    converted = convert(given, X, read_out="spikes")
    network = plastic_convolutions(converted, given)
    plastic = [isinstance(q, Conv) and q.plastic for q in network.weighted]
    kernels = [(3, 1, 3, 3), (4, 3, 3, 3)]
    shapes = [tuple(q.weight.shape) for q, learns in zip(network.weighted, plastic, strict=True) if learns]
    assert shapes == kernels and sum(isinstance(q, Conv) for q in network.weighted) > 2
    assert not any(isinstance(q, Conv) and q.plastic for q in converted.projections)
    drive = ns.MeanDrive(X.mean(0).flatten().double().numpy(), max_rate=500.0)
    found = sleep(network, drive=drive, rule=PooledSRC(1e-3, 1e-4, "constant"), steps=200)
    for q, new, learns in zip(network.weighted, found.network.weights, plastic, strict=True):
        assert torch.equal(q.weight, new) is (isinstance(q, Conv) and not learns)
    woken = wake(found.network, given)
    changed = [not torch.equal(a, b) for a, b in zip(woken.parameters(), given.parameters(), strict=True)]
    assert changed == [True, False, True, False, True, False]


def test_a_network_of_another_model_is_refused() -> None:
    with pytest.raises(ConversionError, match="other layers than the model"):
        plastic_convolutions(convert(model(), X), nn.Sequential(nn.Conv2d(1, 3, 5), nn.ReLU()))
