import numpy as np
import pytest
import torch

from neurosleep.conversion import convert
from neurosleep.errors import ConversionError
from neurosleep.functional import MeanDrive, numpy_generator
from neurosleep.networks import MLP, DendriticMLP, EquilibriumMLP
from neurosleep.replay import consolidate, thresholds_for_rates
from neurosleep.spiking import get_engine


def network():
    return MLP([40, 30, 20, 5], init=0.3, generator=torch.Generator().manual_seed(0))


def test_thresholds_make_every_layer_fire_at_its_target():
    model, images = network(), torch.rand(50, 40, generator=torch.Generator().manual_seed(1))
    drive = MeanDrive(np.full(40, 0.5), 100.0)
    targets = [0.02, 0.01, 0.01]
    found = thresholds_for_rates(convert(model, images), drive, targets, steps=4000)
    events = drive.draw(numpy_generator(7, "drive"), 4000)
    spikes = get_engine("event").start(found).run({"input": events})
    for population, target in zip(found.layers, targets, strict=True):
        assert spikes[population.name].count / (4000 * population.size) == pytest.approx(target, rel=0.5)


def test_consolidate_returns_a_changed_copy_and_keeps_the_model():
    model, images = network(), torch.rand(50, 40, generator=torch.Generator().manual_seed(1))
    before = [weight.clone() for weight in model.weights]
    slept = consolidate(model, input_mean=images.mean(0), calibration=images, rates=[0.01] * 3, steps=500)
    assert all(torch.equal(a, b) for a, b in zip(before, model.weights, strict=True))
    assert not torch.equal(slept.weights[0], before[0])


def settled(**fields):
    return EquilibriumMLP([40, 30, 20, 5], init=1.5, generator=torch.Generator().manual_seed(0), **fields)


def test_thresholds_make_every_layer_fire_at_its_target_with_feedback():
    images = torch.rand(50, 40, generator=torch.Generator().manual_seed(1))
    drive = MeanDrive(np.full(40, 0.5), 100.0)
    network = convert(settled(), images, feedback="delayed")
    found = thresholds_for_rates(network, drive, [0.02] * 3, steps=4000)
    events = drive.draw(numpy_generator(7, "drive"), 4000)
    spikes = get_engine("event").start(found).run({"input": events})
    rates = [spikes[population.name].count / (4000 * population.size) for population in found.layers]
    assert rates == pytest.approx([0.02] * 3, rel=0.5)
    # With thresholds found while the layers above are silent, the first layer fires at 0.026.
    assert rates[0] == pytest.approx(0.02, rel=0.15)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"feedback": "delayed", "gamma": 0.5, "symmetric_rule": True},
        {"bias_drive": True},
    ],
)
def test_consolidate_takes_an_equilibrium_network(options):
    model, images = settled(), torch.rand(50, 40, generator=torch.Generator().manual_seed(1))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    slept = consolidate(model, input_mean=images.mean(0), calibration=images, rates=[0.01] * 3, steps=500, **options)
    assert isinstance(slept, EquilibriumMLP)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    for key, value in slept.state_dict().items():
        assert torch.equal(value, before[key]) == ("weight" not in key)
    assert torch.isfinite(slept(images)).all()


def test_what_consolidate_cannot_take_is_refused_by_name():
    images = torch.rand(5, 40)
    with pytest.raises(ConversionError, match="DendriticMLP"):
        consolidate(DendriticMLP((40, 5)), input_mean=images.mean(0), calibration=images)


def test_wrong_rates_are_refused():
    model, images = network(), torch.rand(5, 40)
    with pytest.raises(ConversionError, match="target rates"):
        consolidate(model, input_mean=images.mean(0), calibration=images, rates=[0.01])
