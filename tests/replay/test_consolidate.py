import copy
import inspect
import re

import numpy as np
import pytest
import torch
from torch import nn

from neurosleep.conversion import Feedback, convert
from neurosleep.errors import ConversionError, NeurosleepError, NeurosleepWarning, SettingsError, UnsupportedError
from neurosleep.functional import MeanDrive, SRCRule, numpy_generator
from neurosleep.networks import MLP, DendriticMLP, EquilibriumMLP
from neurosleep.replay import NREM, OWN_NETWORK, Sleep, consolidate, sleep, thresholds_for_rates
from neurosleep.spiking import Dense, Population, Record, SpikingNetwork, get_engine

# The sleep phases here are short and rough: what they say of it is tested by itself.
pytestmark = pytest.mark.filterwarnings("ignore:The sleep changed")


def brief_sleep(**options):
    """A sleep of small layers, in which they fire now and then."""
    return Sleep.src2022(**{"max_rate": 240.0, "rates": [0.01] * 3, "steps": 300} | options)


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
    result = consolidate(model, mean=images.mean(0), calibration=images, sleep=brief_sleep(steps=500))
    assert all(torch.equal(a, b) for a, b in zip(before, model.weights, strict=True))
    assert not torch.equal(result.model.weights[0], before[0])


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
    sleep = brief_sleep(steps=500, rule=SRCRule(0.01, 0.001), **options)
    slept = consolidate(model, mean=images.mean(0), calibration=images, sleep=sleep).model
    assert isinstance(slept, EquilibriumMLP)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    for key, value in slept.state_dict().items():
        assert torch.equal(value, before[key]) == ("weight" not in key)
    assert torch.isfinite(slept(images)).all()


def test_by_default_an_equilibrium_network_regulates_its_drives_at_the_fixed_point():
    model, images = settled(), torch.rand(50, 40, generator=torch.Generator().manual_seed(1))
    result = consolidate(model, mean=images.mean(0), guard=False)
    (stage,) = result.stages
    assert (result.status, stage.stage, stage.form) == ("done", "NREM", "rates") and "fixed point" in stage.note
    with pytest.raises(UnsupportedError, match="fixed point"):
        consolidate(model, mean=images.mean(0), guard=False, sleep=Sleep(stages=(NREM(form="spikes"),)))


def test_what_consolidate_cannot_take_is_refused_by_name():
    images = torch.rand(5, 40)
    with pytest.raises(UnsupportedError, match="DendriticMLP"):
        consolidate(DendriticMLP((40, 5)), mean=images.mean(0), calibration=images)
    with pytest.raises(ConversionError, match="DendriticMLP"):
        consolidate(DendriticMLP((40, 5)), mean=images.mean(0), calibration=images, sleep=brief_sleep())


def test_wrong_rates_are_refused():
    model, images = network(), torch.rand(5, 40)
    with pytest.raises(ConversionError, match="target rates"):
        consolidate(model, mean=images.mean(0), calibration=images, sleep=brief_sleep(rates=[0.01]))


# --- rates that cannot be reached -------------------------------------------------------------------------------------


def identical(size=20):
    """Every unit gets the same, so that all fire at once or none, and ever more of the steps."""
    return SpikingNetwork(
        (Population("input", "input", (4,)), Population("out", "lif", (size,), decay=0.5)),
        (Dense("input", "out", torch.ones(size, 4)),),
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
    mean = more.pop("mean", X.mean(0))
    result = consolidate(model, mean=mean, calibration=x, sleep=brief_sleep(**more))
    return [parameter.detach() for parameter in result.model.parameters()]


@pytest.mark.parametrize(
    "give", [lambda x: x.numpy(), lambda x: x.double(), lambda x: x.double().numpy(), list, lambda x: x.tolist()]
)
def test_arrays_and_other_types_sleep_as_tensors_do(give):
    found, expected = slept(own(), give(X)), slept(own())
    assert all(torch.allclose(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.filterwarnings("ignore:calibration. bytes")
def test_bytes_are_scaled():
    x = (255 * X).byte()
    found, expected = slept(own(), x), slept(own(), x.float() / 255)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_models_of_other_precision_sleep(kind):
    model = own().to(kind)
    found = consolidate(model, mean=X.mean(0).to(kind), calibration=X.to(kind), sleep=brief_sleep()).model
    assert {p.dtype for p in found.parameters()} == {kind}
    single = own().to(kind).float()
    x = X.to(kind).float()
    expected = slept(single, x, mean=X.mean(0).to(kind).float())
    # One spike more or less changes what follows: single and double part ways, half and the single it sleeps in do not.
    if kind != torch.float64:
        assert all(torch.equal(a, b.to(kind)) for a, b in zip(found.parameters(), expected, strict=True))
    assert not torch.equal(found[0].weight, model[0].weight)


def test_a_module_of_ones_own_sleeps_as_its_layers_and_keeps_its_biases():
    plain = slept(own())
    written = consolidate(Written(own()), mean=X.mean(0), calibration=X.reshape(-1, 1, 5, 8), sleep=brief_sleep()).model
    assert all(torch.equal(a, b) for a, b in zip(written.parameters(), plain, strict=True))
    biased = own(bias=True)
    weights = [layer.weight for layer in biased if isinstance(layer, nn.Linear)]
    bare = own()
    with torch.no_grad():
        for layer, weight in zip([bare[0], bare[2], bare[4]], weights, strict=True):
            layer.weight.copy_(weight)
    with pytest.warns(NeurosleepWarning, match="the biases of 0, 2, 4"):
        result = consolidate(biased, mean=X.mean(0), calibration=X, sleep=brief_sleep())
    found = result.model
    assert result.report.biased == ("0", "2", "4")
    for k, weight in zip((0, 2, 4), slept(bare), strict=True):
        assert torch.equal(found[k].bias, biased[k].bias) and torch.equal(found[k].weight, weight)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"calibration": "images"}, "calibration"),
        ({"calibration": X[:, :39]}, "40"),
        ({"calibration": X[:0]}, "calibration"),
        ({"mean": X.mean(0)[:39]}, "mean has 39 values"),
        ({"mean": None}, "mean cannot be read"),
        ({"mean": -X.mean(0)}, "mean input"),
        ({"sleep": "src"}, "sleep is 'src'"),
        ({"engine": "abacus"}, "abacus"),
        ({"rates": 0.01}, "sleep.rates"),
        ({"rates": "auto"}, "sleep.rates"),
        ({"rates": [0.1, 0.1, 1.0]}, "sleep.rates"),
        ({"thresholds": [1.0, "high", 1.0]}, "sleep.thresholds"),
        ({"seed": "a"}, "seed"),
        ({"rule": "src"}, "rule"),
        ({"rule": SRCRule}, "rule"),
        ({"steps": 1.5}, "steps"),
        ({"max_rate": "fast"}, "max_rate"),
        ({"window": "all"}, "window"),
        ({"window": 3}, r"window of 3 pixels needs the shape.*\n.*\[40\]"),
        ({"after": [1]}, "no after"),
        ({"growth": 0.5}, "no growth"),
        ({"lengths": [20]}, "no lengths"),
        ({"statistics": "first"}, "no statistics"),
        ({"profile": "loihi1"}, "no profile"),
    ],
)
def test_mistakes_in_its_arguments_are_named(wrong, named):
    doors = {key: value for key, value in wrong.items() if key in inspect.signature(consolidate).parameters}
    options = {key: value for key, value in wrong.items() if key not in doors}
    with pytest.raises(NeurosleepError, match=named):
        given = {"mean": X.mean(0), "calibration": X, "sleep": brief_sleep(**{"steps": 20} | options)} | doors
        consolidate(own(), **given)


def test_no_module_is_refused():
    with pytest.raises(ConversionError, match="str"):
        consolidate("model", mean=X.mean(0), calibration=X)


def test_a_divergence_is_told_with_step_projection_and_size():
    model = own()
    before = [weight.clone() for weight in model.parameters()]
    sleep = brief_sleep(rule=SRCRule(1e9, 0.0), steps=5000)
    with pytest.warns(NeurosleepWarning, match="diverged") as caught:
        result = consolidate(model, mean=X.mean(0), calibration=X, sleep=sleep)
    (said,) = [str(one.message) for one in caught if "diverged" in str(one.message)]
    assert result.status == "diverged" and result.divergence.step == result.recording.steps == 1000
    assert all(torch.equal(a, b) for a, b in zip(result.model.parameters(), before, strict=True))
    assert [layer.changed for layer in result.report.layers] == [0.0] * 3 and result.report.answers_changed == 0
    with pytest.warns(NeurosleepWarning, match="the sleep diverged: by step 1000"):
        result.apply_to(model)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))
    assert re.search(
        r"diverged: by step 1000 a weight had reached [\d.]+e\+\d+ in the projection input -> hidden1", said
    )
    assert "smaller inc" in said and "at most 1e+06" in said and "Divergence(" not in said


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
        consolidate(own(), mean=factor * X.mean(0), calibration=factor * X, sleep=brief_sleep(steps=50))


# --- what comes back --------------------------------------------------------------------------------------------------


def test_it_is_the_sleep_of_its_parts():
    """With the settings for a network of one's own, to the bit."""
    model = MLP([40, 400, 400, 100], init=0.3, generator=torch.Generator().manual_seed(0))
    drive = MeanDrive(X.double().mean(0).numpy(), 240.0)
    network = convert(copy.deepcopy(model), X, recipe="recursive")
    asleep = thresholds_for_rates(network, drive, [2e-5] * 3, steps=2000, seed=4)
    expected = sleep(asleep, drive=drive, rule=SRCRule(0.032, 0.0033), steps=5000, seed=4)
    settings = Sleep.src2022(**OWN_NETWORK)
    found = consolidate(model, mean=X.double().mean(0), calibration=X, sleep=settings, seed=4)
    phase = found.stages[0].phase
    assert all(torch.equal(a, b) for a, b in zip(phase.network.weights, expected.network.weights, strict=True))
    assert found.fired == expected.fired > 0
    for parameter, weight in zip(found.model.parameters(), expected.network.weights, strict=True):
        assert torch.equal(parameter, weight)


def test_the_report_says_what_changed():
    model = own()
    record = Record(spikes=("hidden1",))
    sleep = brief_sleep(steps=1000, rates=[0.03] * 3)
    result = consolidate(model, mean=X.mean(0), calibration=X, sleep=sleep, record=record)
    report = result.report
    assert [layer.name for layer in report.layers] == ["0.weight", "2.weight", "4.weight"]
    for layer in report.layers:
        a, b = model.get_parameter(layer.name), result.model.get_parameter(layer.name)
        assert layer.changed == pytest.approx(float((a != b).double().mean())) and layer.changed > 0
        assert layer.relative == pytest.approx(float((b - a).detach().norm() / a.detach().norm()), rel=1e-5)
    with torch.no_grad():
        changed = float((model(X).argmax(1) != result.model(X).argmax(1)).double().mean())
    assert report.answers_changed == pytest.approx(changed) and report.images == 60
    assert report.spikes == result.fired > 0 and report.biased == ()
    assert result.recording.spikes["hidden1"].count == result.recording.counts["hidden1"].sum()
    assert report.rows()[0] == {"name": "0.weight", "changed": report.layers[0].changed} | {
        "relative": report.layers[0].relative
    }


def test_apply_to_changes_the_parameters_that_an_optimiser_knows():
    model = own()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    nn.functional.cross_entropy(model(X), torch.zeros(60, dtype=torch.int64)).backward()
    optimiser.step()
    tensors = list(model.parameters())
    momentum = [optimiser.state[tensor]["momentum_buffer"].clone() for tensor in tensors]
    result = consolidate(model, mean=X.mean(0), calibration=X, sleep=brief_sleep())
    assert result.apply_to(model) is None
    assert all(a is b for a, b in zip(model.parameters(), tensors, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(tensors, result.model.parameters(), strict=True))
    assert all(tensor.requires_grad and tensor.is_leaf for tensor in tensors)
    optimiser.zero_grad()
    nn.functional.cross_entropy(model(X), torch.zeros(60, dtype=torch.int64)).backward()
    optimiser.step()
    for tensor, slept_tensor, before in zip(tensors, result.model.parameters(), momentum, strict=True):
        moved = slept_tensor - 0.1 * (0.9 * before + tensor.grad)
        assert torch.allclose(tensor, moved, atol=1e-6)


def test_apply_to_refuses_other_models_before_it_changes_them():
    result = consolidate(own(), mean=X.mean(0), calibration=X, sleep=brief_sleep())
    narrow = nn.Sequential(nn.Linear(40, 30, bias=False), nn.ReLU(), nn.Linear(30, 21, bias=False))
    before = narrow[0].weight.clone()
    with pytest.raises(ConversionError, match=r"no parameter '2.weight' of shape \[20, 30\]"):
        result.apply_to(narrow)
    assert torch.equal(narrow[0].weight, before)
    for wrong in (Written(own()), None):
        with pytest.raises(ConversionError, match=r"no parameter '0\.weight'"):
            result.apply_to(wrong)


def test_a_window_lies_in_the_image_that_the_mean_is():
    means = X.mean(0).reshape(5, 8), X.mean(0).reshape(1, 5, 8)
    found = [consolidate(own(), mean=m, calibration=X, sleep=brief_sleep(window=3)) for m in means]
    assert all(torch.equal(a, b) for a, b in zip(*(r.model.parameters() for r in found), strict=True))
    whole = consolidate(own(), mean=X.mean(0), calibration=X, sleep=brief_sleep())
    assert 0 < found[0].recording.counts["input"].sum() < whole.recording.counts["input"].sum() / 2
