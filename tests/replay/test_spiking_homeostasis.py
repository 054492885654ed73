"""The homeostatic rule in spikes: it is that in rates, the same in every engine, and woken in the model."""

import dataclasses

import pytest
import torch
from torch import nn

from neurosleep.conversion import Maximum, Percentile, convert
from neurosleep.errors import DataError, SettingsError, UnknownNameError, UnsupportedError
from neurosleep.functional import Homeostasis, InputNoise, SlowOscillation, torch_generator
from neurosleep.hardware import map_to
from neurosleep.replay import regulate, regulate_spikes
from neurosleep.spiking import Dense, Population, SpikingNetwork

FRAMES = 200
#: Long enough for rates to be what they stand for.
LONG = SlowOscillation(frames=FRAMES, up=550, settle=50)


def by_bias(target="layer", **options):
    """The rule by which biases move means: it reaches its targets in networks of any size."""
    return Homeostasis(target, **{"mean_by": "bias", **options})


def seeded(model):
    """Units of very different means and spreads, as after a task."""
    generator = torch_generator(0, "weights")
    with torch.no_grad():
        for value in model.parameters():
            size = torch.rand(value.shape[:1] + (1,) * (value.ndim - 1), generator=generator) + 0.2
            value.copy_((torch.randn(value.shape, generator=generator) + 0.3) * size / max(value[0].numel(), 1) ** 0.5)
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_var.copy_(torch.rand(layer.running_var.shape, generator=generator) + 0.5)
    return model


def noise(*shape):
    return InputNoise(0.1 + 0.5 * torch.rand(shape, generator=torch_generator(0, "mean")))


def dense(bias):
    return seeded(
        nn.Sequential(
            nn.Linear(20, 15, bias=bias),
            nn.ReLU(),
            nn.Linear(15, 12, bias=bias),
            nn.ReLU(),
            nn.Linear(12, 6, bias=bias),
        )
    )


def convolutional(bias, groups=1, norm=False):
    return seeded(
        nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, bias=bias),
            nn.BatchNorm2d(4) if norm else nn.Identity(),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(4, 6, 3, padding=1, bias=bias, groups=groups),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(54, 5, bias=bias),
        )
    )


class Residual(nn.Module):
    """A sum of a dense layer and what it started from."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(20, 12), nn.Linear(12, 12), nn.Linear(12, 4)

    def forward(self, x):
        h = torch.relu(self.first(x))
        return self.head(torch.relu(self.second(h) + h))


CASES = {
    "dense with biases": (lambda: dense(True), (20,)),
    "dense without biases": (lambda: dense(False), (20,)),
    "convolutions with biases": (lambda: convolutional(True), (2, 6, 6)),
    "convolutions without biases": (lambda: convolutional(False), (2, 6, 6)),
    "grouped convolutions": (lambda: convolutional(False, groups=2), (2, 6, 6)),
    "batch normalisation": (lambda: convolutional(True, norm=True), (2, 6, 6)),
    "a residual sum": (lambda: seeded(Residual()), (20,)),
}


def spiking(model, given, factor=2.0):
    """With room above the largest activity, as units get other drives."""
    network = convert(model, given.frames(FRAMES, seed=0), recipe=Maximum())
    populations = [
        dataclasses.replace(p, threshold=factor * p.threshold, bias=p.bias) if p.kind == "lif" else p
        for p in network.populations
    ]
    projections = [
        dataclasses.replace(q, scale=q.scale * (factor if network.population(q.source).kind == "lif" else 1.0))
        for q in network.projections
    ]
    return dataclasses.replace(network, populations=tuple(populations), projections=tuple(projections))


@pytest.mark.parametrize(("case", "mean_by"), [*((case, "bias") for case in CASES), ("dense with biases", "weights")])
def test_in_the_limit_it_is_the_rule_in_rates(case, mean_by):
    make, shape = CASES[case]
    model, given = make(), noise(*shape)
    rule = by_bias(classes=(0, 1, 3), limit=1e6, mean_by=mean_by)
    exact = regulate(model, given, rule, draws=FRAMES)
    done = regulate_spikes(spiking(model, given), given, rule, oscillation=LONG)
    assert len(done.layers) == len(exact.layers)
    for layer, other in zip(done.layers, exact.layers, strict=True):
        spread = other.target.spread
        assert layer.target.mean == pytest.approx(other.target.mean, abs=0.02 * spread)
        assert layer.target.spread == pytest.approx(spread, rel=0.02)
        assert layer.changed.tolist() == other.changed.tolist() and layer.output == other.output
        assert torch.allclose(layer.mean_before, other.mean_before, atol=0.02 * spread)
        assert torch.allclose(layer.spread_before, other.spread_before, rtol=0.03, atol=0.003 * spread)
        assert torch.allclose(layer.factor, other.factor, rtol=0.04)
    for one, other in zip(done.woken(model).parameters(), exact.model.parameters(), strict=True):
        assert torch.allclose(one, other, atol=0.03 * float(other.detach().abs().max()))


@pytest.mark.parametrize("bias", [True, False])
def test_every_unit_of_the_network_has_the_mean_and_the_spread_of_its_layer(bias):
    given, short = noise(20), SlowOscillation(frames=FRAMES, up=50)
    network = convert(dense(bias), given.frames(FRAMES, seed=0), recipe=Percentile(99.9))
    first = regulate_spikes(network, given, by_bias(limit=1e6), oscillation=short)
    second = regulate_spikes(first.network, given, oscillation=short)
    for layer, before in zip(second.layers, first.layers, strict=True):
        target = before.target
        # What was predicted is what is measured on the network that came of it, but for the limit of a spike a step.
        assert (layer.mean_before - target.mean).abs().max() < 0.1 * target.spread
        assert torch.allclose(layer.spread_before, torch.tensor(target.spread).double(), rtol=0.1)
        assert (before.mean_before - target.mean).abs().max() > 0.5 * target.spread
    assert network.weights[0] is not first.network.weights[0]
    assert set(first.rates) == {"input", "hidden1", "hidden2"}
    assert float(first.rates["input"].mean()) == pytest.approx(1000 * float(given.mean.mean()), abs=30)


@pytest.mark.parametrize(
    ("case", "engine"),
    [
        *((case, "event") for case in CASES),
        *((case, e) for case in ("dense with biases", "convolutions with biases") for e in ("snntorch", "norse")),
        ("dense without biases", "norse"),
    ],
)
def test_engines_are_equal(case, engine):
    if engine == "norse":
        pytest.importorskip("norse")
    make, shape = CASES[case]
    given = noise(*shape)
    network = convert(make(), given.frames(FRAMES, seed=0)).to(torch.float64)
    options = {"oscillation": SlowOscillation(frames=60, up=30)}
    one = regulate_spikes(network, given, engine="reference", **options)
    other = regulate_spikes(network, given, engine=engine, **options)
    for name, rate in one.rates.items():
        assert torch.equal(rate, other.rates[name])
    for a, b in zip(one.network.weights, other.network.weights, strict=True):
        assert torch.allclose(a, b, rtol=1e-9)


def test_all_layers_at_once_end_at_the_same_point():
    given = noise(20)
    network = spiking(dense(True), given)
    rule = by_bias(damping=0.3, limit=1e6)
    options = {"every": 100, "oscillation": SlowOscillation(frames=6000, up=60)}
    done = regulate_spikes(network, given, rule, **options)
    last = regulate_spikes(done.network, given, oscillation=SlowOscillation(frames=500))
    for layer in last.layers:
        assert (layer.mean_before - layer.target.mean).abs().max() < 0.3 * layer.target.spread
        assert torch.allclose(layer.spread_before, torch.tensor(layer.target.spread).double(), rtol=0.2)
    started = regulate_spikes(network, given, oscillation=SlowOscillation(frames=500))
    assert all((layer.mean_before - layer.target.mean).abs().max() > layer.target.spread for layer in started.layers)


def test_set_points_are_those_of_the_rule_in_rates():
    given = noise(20)
    network = convert(dense(True), given.frames(FRAMES, seed=0))
    first = regulate_spikes(network, given, by_bias("set-points"), oscillation=SlowOscillation(frames=FRAMES))
    other = spiking(dense(True), given)
    kept = regulate_spikes(
        other,
        given,
        by_bias("set-points"),
        set_points=first.set_points,
        oscillation=SlowOscillation(frames=FRAMES),
    )
    assert kept.set_points == first.set_points
    for layer in kept.layers:
        assert torch.allclose(layer.mean_after, torch.tensor(layer.target.mean).double(), atol=1e-5)


def test_layers_are_chosen_by_the_names_of_populations():
    given = noise(20)
    network = convert(dense(True), given.frames(FRAMES, seed=0))
    done = regulate_spikes(
        network, given, by_bias(layers=("output",)), oscillation=SlowOscillation(frames=50), engine="reference"
    )
    assert [layer.name for layer in done.layers] == ["output"]
    assert torch.equal(done.network.weights[0], network.weights[0])
    with pytest.raises(UnknownNameError, match="hidden3"):
        regulate_spikes(network, given, by_bias(layers=("hidden3",)))
    with pytest.raises(UnsupportedError, match="not those of the regulated network"):
        done.woken(dense(True))


def test_the_same_seed_gives_the_same_and_generators_are_untouched():
    given = noise(20)
    network = convert(dense(False), given.frames(FRAMES, seed=0))
    before, state = [weight.clone() for weight in network.weights], torch.random.get_rng_state()
    options = {"oscillation": SlowOscillation(frames=50), "engine": "reference"}
    first, again, other = (regulate_spikes(network, given, seed=seed, **options) for seed in (0, 0, 1))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(before, network.weights, strict=True))
    for a, b, c in zip(*(done.network.weights for done in (first, again, other)), strict=True):
        assert torch.equal(a, b) and not torch.equal(a, c)
    assert repr(first) == "<SpikingRegulation: 33 units in 3 layers (hidden1, hidden2, output)>"


def recurrent():
    populations = (Population("input", "input", (20,)), Population("out", "lif", (3,)))
    loop = Dense("out", "out", torch.eye(3), delay=1)
    return SpikingNetwork(populations, (Dense("input", "out", torch.rand(3, 20)), loop))


def fixed():
    populations = (Population("input", "input", (20,)), Population("out", "lif", (3,)))
    return SpikingNetwork(populations, (Dense("input", "out", torch.rand(3, 20), plastic=False),))


def network():
    return convert(dense(False), noise(20).frames(FRAMES, seed=0))


@pytest.mark.parametrize(
    ("make", "options", "error", "match"),
    [
        (recurrent, {}, UnsupportedError, "has a delay"),
        (fixed, {}, UnsupportedError, "No population"),
        (lambda: map_to(network(), "generic_int8"), {}, UnsupportedError, "arithmetic of a chip"),
        (network, {"noise": noise(19)}, DataError, "19 values"),
        (network, {"noise": 0.5}, SettingsError, "The noise is 0.5"),
        (network, {"oscillation": 100}, SettingsError, "The oscillation is 100"),
        (network, {"every": 1}, SettingsError, "between two changes"),
        (network, {"engine": "abacus"}, UnknownNameError, "abacus"),
        (network, {"device": "abacus"}, SettingsError, "abacus"),
        (network, {"seed": -1}, SettingsError, "seed"),
        (network, {"set_points": {}}, SettingsError, "set_points"),
        (dense, {}, SettingsError, "The network is"),
    ],
)
def test_what_cannot_be_done_is_refused(make, options, error, match):
    given = make(True) if make is dense else make()
    with pytest.raises(error, match=match):
        regulate_spikes(given, **{"noise": noise(20), **options})
