import re

import numpy as np
import pytest
import torch
from torch import nn

from neurosleep.conversion import Feedback, convert
from neurosleep.errors import ConversionError, NeurosleepError, NeurosleepWarning, SettingsError
from neurosleep.functional import MeanDrive, SRCRule, numpy_generator
from neurosleep.networks import MLP, DendriticMLP, EquilibriumMLP
from neurosleep.replay import consolidate, thresholds_for_rates
from neurosleep.spiking import Population, Projection, SpikingNetwork, get_engine

# The sleep phases here are short and rough: what they say of it is tested by itself.
pytestmark = pytest.mark.filterwarnings("ignore:The sleep changed")


def network():
    return MLP([40, 30, 20, 5], init=0.3, generator=torch.Generator().manual_seed(0))


def test_thresholds_make_every_layer_fire_at_its_target():
    model, images = network(), torch.rand(50, 40, generator=torch.Generator().manual_seed(1))
    drive = MeanDrive(np.full(40, 0.5), 100.0)
    targets = [0.02, 0.01, 0.01]
    found = thresholds_for_rates(convert(model, images, recipe="recursive"), drive, targets, steps=4000)
    events = drive.draw(numpy_generator(7, "drive"), 4000, found.dt)
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
    network = convert(settled(), images, recipe="recursive", feedback=Feedback())
    found = thresholds_for_rates(network, drive, [0.02] * 3, steps=4000)
    events = drive.draw(numpy_generator(7, "drive"), 4000, found.dt)
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


# --- rates that cannot be reached -------------------------------------------------------------------------------------


def identical(size=20):
    """Every unit gets the same, so that all fire at once or none, and ever more of the steps."""
    return SpikingNetwork(
        (Population("input", "input", (4,)), Population("out", "lif", (size,), decay=0.5)),
        (Projection("input", "out", weight=torch.ones(size, 4)),),
    )


def test_a_silent_layer_is_named_with_the_rates_asked_and_reached():
    drive = MeanDrive(np.full(4, 0.5), 100.0)
    dead = identical().with_weights([torch.full((20, 4), -1.0)])
    with pytest.raises(ConversionError) as caught:
        thresholds_for_rates(dead, drive, [0.01])
    assert "Population 'out' cannot fire" in str(caught.value)
    assert "0 spikes per neuron and step (0 in all)" in caught.value.found
    assert "0.01 spikes per neuron and step (400 in all)" in caught.value.expected
    with pytest.warns(NeurosleepWarning, match=r"'out' cannot fire.*Reached: 0 spikes.*asked: 0.01 spikes"):
        thresholds_for_rates(dead, drive, [0.01], strict=False)


def test_a_rate_above_all_that_can_be_is_refused_or_warned_of_by_its_distance():
    # An input spike comes in 1 - 0.9^4 = 34 % of the steps, and a unit fires in no more.
    drive = MeanDrive(np.full(4, 0.5), 100.0)
    with pytest.raises(ConversionError, match=r"0\.3[34]\d? spikes per neuron"):
        thresholds_for_rates(identical(), drive, [0.9])
    with pytest.warns(NeurosleepWarning, match=r"fires at another rate.*Reached: 0\.3[34]\d? .*asked: 0\.5 "):
        thresholds_for_rates(identical(), drive, [0.5])


def test_a_layer_above_a_silent_one_is_told_so():
    model = MLP([40, 3, 3], init=0.3, generator=torch.Generator().manual_seed(0))
    drive = MeanDrive(np.full(40, 0.5), 100.0)
    # Of 3 units and 2000 steps, 2e-6 are less than one spike.
    with pytest.raises(ConversionError, match="the layer below it did not fire in 2000 steps"):
        thresholds_for_rates(convert(model, X, recipe="recursive"), drive, [2e-6, 0.01])


@pytest.mark.parametrize("rates", [0.01, "auto", [0.1], [0.1, 0.1, 2.0], [0.1, None, 0.1], [float("nan")] * 3, None])
def test_rates_of_any_other_kind_are_refused(rates):
    found = convert(network(), torch.rand(5, 40), recipe="recursive")
    with pytest.raises(ConversionError, match="target rates"):
        thresholds_for_rates(found, MeanDrive(np.full(40, 0.5), 100.0), rates)


def test_a_drive_of_another_size_is_refused_before_the_search():
    with pytest.raises(SettingsError, match="39 inputs"):
        spiking = convert(network(), torch.rand(5, 40), recipe="recursive")
        thresholds_for_rates(spiking, MeanDrive(np.ones(39), 1.0), [0.1] * 3)


# --- what consolidate takes, and what it says -------------------------------------------------------------------------

X = torch.rand(60, 40, generator=torch.Generator().manual_seed(1))
QUICK = {"rates": [0.01] * 3, "steps": 300}


def own(bias=False, seed=0):
    torch.manual_seed(seed)
    layers = [nn.Linear(a, b, bias=bias) for a, b in ((40, 30), (30, 20), (20, 5))]
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])


class Written(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.inner = layers

    def forward(self, x):
        return self.inner(x.flatten(1))


def slept(model, x=X, **more):
    given = {"input_mean": X.mean(0), "calibration": x} | QUICK | more
    return [parameter.detach() for parameter in consolidate(model, **given).parameters()]


@pytest.mark.parametrize(
    "give", [lambda x: x.numpy(), lambda x: x.double(), lambda x: x.double().numpy(), list, lambda x: x.tolist()]
)
def test_arrays_and_other_types_sleep_as_tensors_do(give):
    found, expected = slept(own(), give(X)), slept(own())
    assert all(torch.allclose(a, b) for a, b in zip(found, expected, strict=True))


def test_bytes_are_scaled():
    x = (255 * X).byte()
    found, expected = slept(own(), x), slept(own(), x.float() / 255)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_models_of_other_precision_sleep(kind):
    model = own().to(kind)
    found = consolidate(model, input_mean=X.mean(0).to(kind), calibration=X.to(kind), **QUICK)
    assert {p.dtype for p in found.parameters()} == {kind}
    single = own().to(kind).float()
    x = X.to(kind).float()
    expected = slept(single, x, input_mean=X.mean(0).to(kind).float())
    # One spike more or less changes what follows: single and double part ways, half and the single it sleeps in do not.
    if kind != torch.float64:
        assert all(torch.equal(a, b.to(kind)) for a, b in zip(found.parameters(), expected, strict=True))
    assert not torch.equal(found[0].weight, model[0].weight)


def test_a_module_of_ones_own_sleeps_as_its_layers_and_keeps_its_biases():
    plain = slept(own())
    written = consolidate(Written(own()), input_mean=X.mean(0), calibration=X.reshape(-1, 1, 5, 8), **QUICK)
    assert all(torch.equal(a, b) for a, b in zip(written.parameters(), plain, strict=True))
    biased = own(bias=True)
    weights = [layer.weight for layer in biased if isinstance(layer, nn.Linear)]
    bare = own()
    with torch.no_grad():
        for layer, weight in zip([bare[0], bare[2], bare[4]], weights, strict=True):
            layer.weight.copy_(weight)
    with pytest.warns(NeurosleepWarning, match="the biases of 0, 2, 4"):
        found = consolidate(biased, input_mean=X.mean(0), calibration=X, **QUICK)
    for k, weight in zip((0, 2, 4), slept(bare), strict=True):
        assert torch.equal(found[k].bias, biased[k].bias) and torch.equal(found[k].weight, weight)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"calibration": "images"}, "calibration"),
        ({"calibration": X[:, :39]}, "40"),
        ({"calibration": X[:0]}, "calibration"),
        ({"input_mean": X.mean(0)[:39]}, "input_mean has 39 values"),
        ({"input_mean": None}, "input_mean"),
        ({"input_mean": -X.mean(0)}, "mean input"),
        ({"rates": 0.01}, "target rates"),
        ({"rates": "auto"}, "target rates"),
        ({"seed": "a"}, "seed"),
        ({"rule": "src"}, "rule"),
        ({"rule": SRCRule}, "rule"),
        ({"steps": 1.5}, "steps"),
        ({"max_rate": "fast"}, "max_rate"),
        ({"window": "all"}, "window"),
        ({"window": 3, "image_shape": 40}, "image_shape"),
    ],
)
def test_mistakes_in_its_arguments_are_named(wrong, named):
    given = {"input_mean": X.mean(0), "calibration": X, "steps": 20} | wrong
    with pytest.raises(NeurosleepError, match=named):
        consolidate(own(), **given)


def test_no_module_is_refused():
    with pytest.raises(ConversionError, match="str"):
        consolidate("model", input_mean=X.mean(0), calibration=X)


def test_a_divergence_is_told_with_step_projection_and_size():
    with pytest.raises(ConversionError) as caught:
        consolidate(own(), input_mean=X.mean(0), calibration=X, rates=[0.01] * 3, rule=SRCRule(1e9, 0.0))
    said = str(caught.value)
    assert re.search(
        r"diverged: by step 1000 a weight had reached [\d.]+e\+\d+ in the projection input -> hidden1", said
    )
    assert "smaller inc" in said and "Divergence(" not in said


@pytest.mark.filterwarnings("default:The sleep changed")
@pytest.mark.parametrize(
    ("more", "text"),
    [
        (
            {"rates": [0.05] * 3, "steps": 2000, "rule": SRCRule(0.1, 0.05)},
            r"changed [\d.]+ % of the answers .* \(60 im",
        ),
        ({"rule": SRCRule(0.0, 0.0)}, "changed no weight"),
        ({"rates": [0.001] * 3, "steps": 1}, "Not one neuron fired in 1 steps"),
    ],
)
def test_a_sleep_that_does_nothing_or_harm_says_so(more, text):
    with pytest.warns(NeurosleepWarning, match=text):
        slept(own(), **more)


@pytest.mark.filterwarnings("error")
def test_a_sleep_that_changes_little_says_nothing():
    model = own()
    found = slept(model, rule=SRCRule(1e-5, 1e-6))
    assert not torch.equal(found[0], model[0].weight)


@pytest.mark.parametrize(("factor", "text"), [(16, "3840 Hz"), (255, "6.12e+04 Hz"), (2.2, "528 Hz")])
def test_inputs_that_are_not_scaled_are_told_with_numbers(factor, text):
    with pytest.warns(
        NeurosleepWarning,
        match=rf"louder than full.* 4 inputs 4 are .*largest, {factor * 0.5:.4g}, stands for {re.escape(text)}",
    ):
        MeanDrive(np.full(4, factor * 0.5), 240.0)
    with pytest.warns(NeurosleepWarning, match="The drive is louder than full intensity: of 40 inputs .* Hz"):
        consolidate(own(), input_mean=factor * X.mean(0), calibration=factor * X, rates=[0.01] * 3, steps=50)
