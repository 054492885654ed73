"""compare: rates against activations, accuracy over time, and advice that fits the loss."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from neurosleep.conversion import Percentile, compare, convert
from neurosleep.errors import ConversionError
from neurosleep.plot import conversion


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 12), nn.ReLU(), nn.Linear(12, 3))


@torch.no_grad()
def test_a_good_conversion_agrees_in_every_layer() -> None:
    net, images = model(), torch.rand(40, 6, generator=torch.Generator().manual_seed(0))
    snn = convert(net, images, recipe="max")
    report = snn.report
    labels = net(images).argmax(1)
    check = compare(net, snn, images, labels, steps=1000)
    assert [layer.population for layer in check.layers] == [*report.populations, "output"]
    for layer in check.layers:
        assert layer.error is not None and layer.error < 0.02
        assert layer.correlation is not None and layer.correlation > 0.999
    assert check.accuracy_model == 1.0
    assert len(check.accuracy) == 1000 and check.accuracy[-1] >= 0.95
    found = json.loads(json.dumps(check.to_json()))
    assert found["compared"][0]["population"] == report.populations[0]
    ax = conversion(check)
    assert ax.get_xlabel() == "time steps" and len(ax.lines[0].get_xdata()) == 1000
    assert ax.get_ylabel() == "accuracy (%)" and ax.lines[1].get_ydata()[0] == 100 * check.accuracy_model
    assert len(conversion(compare(net, snn, images, steps=5)).patches) == 3


def test_saturated_and_silent_units_are_found_and_named() -> None:
    net, images = model(), torch.rand(40, 6, generator=torch.Generator().manual_seed(0))
    snn = convert(net, images, recipe=Percentile(30.0))
    check = compare(net, snn, images, steps=200)
    assert check.layers[0].saturated > 0.1
    assert any("fire in every step" in line for line in check.advice)
    snn = convert(net, images, recipe="max")
    check = compare(net, snn, images, steps=2)
    assert check.layers[0].silent > 0.2
    assert any("never fire" in line for line in check.advice)


def test_rates_of_sleep_recipes_stand_for_nothing_to_compare() -> None:
    net, images = nn.Sequential(nn.Linear(4, 2, bias=False)), torch.rand(3, 4)
    nn.init.uniform_(net[0].weight)
    snn = convert(net, images, recipe="recursive")
    with pytest.raises(ConversionError, match="Recursive"):
        compare(net, snn, images)
