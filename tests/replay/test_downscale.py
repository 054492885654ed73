"""Downscaling: synapses get weaker, the network fires less and answers as before, in rates and in spikes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from neurosleep.conversion import convert
from neurosleep.errors import SettingsError, UnsupportedError
from neurosleep.functional import Homeostasis, InputNoise, SlowOscillation
from neurosleep.hardware import regulate_on_chip
from neurosleep.networks import EquilibriumMLP
from neurosleep.replay import NREM, Consolidator, Sleep, consolidate, regulate, regulate_spikes

FRAMES = 200
LONG = SlowOscillation(frames=FRAMES, up=550, settle=50)
NOISE = InputNoise(0.1 + 0.5 * torch.rand(20, generator=torch.Generator().manual_seed(1)))
#: The first three of five outputs are those of classes seen.
SEEN = (0, 1, 2)


def model(bias: bool = False, norm: type[nn.Module] | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for a, b in ((20, 30), (30, 25)):
        layers += [nn.Linear(a, b, bias=bias), *([norm(b)] if norm else []), nn.ReLU()]
    made = nn.Sequential(*layers, nn.Linear(25, 5, bias=bias))
    with torch.no_grad():
        for value in made.parameters():
            value.mul_(1 + torch.rand(len(value)).view(-1, *[1] * (value.ndim - 1)))
    return made.eval()


@torch.no_grad()
def activities(network: nn.Sequential, x: Tensor) -> list[Tensor]:
    made = []
    for layer in network:
        x = layer(x)
        if isinstance(layer, nn.ReLU):
            made.append(x)
    return [*made, x]


@pytest.mark.parametrize("mean_by", ["weights", "bias"])
@pytest.mark.parametrize("downscale", [0.5, 0.9])
def test_without_biases_layer_k_sends_the_kth_power_and_every_answer_stays(downscale: float, mean_by: Any) -> None:
    rule = Homeostasis(classes=SEEN, mean_by=mean_by)
    usual, less = (regulate(model(), NOISE, r, draws=400).model for r in (rule, replace(rule, downscale=downscale)))
    x = torch.rand(300, 20, generator=torch.Generator().manual_seed(2))
    for k, (full, low) in enumerate(zip(activities(usual, x), activities(less, x), strict=True), 1):
        assert torch.allclose(low, downscale**k * full, rtol=1e-4, atol=1e-6)
    assert torch.equal(usual(x).argmax(1), less(x).argmax(1))
    for full, low in zip(usual.parameters(), less.parameters(), strict=True):
        # Units of classes never seen too, which regulate nothing.
        assert torch.allclose(low, downscale * full, rtol=1e-4, atol=1e-6)


def test_drives_have_the_scaled_targets_and_the_outcome_says_so() -> None:
    given = model(bias=True)
    done = regulate(given, NOISE, Homeostasis(classes=SEEN, downscale=0.7), draws=400)
    for layer in done.layers:
        units = layer.changed
        assert layer.target is not None
        spread = float(layer.spread_before[units].mean())
        assert layer.target.spread == pytest.approx(0.7 * spread) and torch.allclose(
            layer.spread_after[units], torch.tensor(layer.target.spread).double()
        )
        assert layer.target.mean == pytest.approx(0.7 * float(layer.mean_before[units].mean()))
    assert done.layers[-1].factor[3:].tolist() == [0.7, 0.7]
    second = regulate(done.model, NOISE, Homeostasis(classes=SEEN), draws=400)
    for layer, before in zip(second.layers, done.layers, strict=True):
        seen = before.changed
        assert torch.allclose(layer.mean_before[seen], before.mean_after[seen], atol=1e-4)
        # What the outcome says of the units that regulate nothing is what comes of them.
        assert torch.allclose(layer.mean_before, before.mean_after, atol=1e-4)
        assert torch.allclose(layer.spread_before, before.spread_after, atol=1e-4)


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.LayerNorm])
def test_normalised_layers_are_scaled_by_their_normalisation(norm: type[nn.Module]) -> None:
    done = regulate(model(True, norm), NOISE, Homeostasis(downscale=0.5), draws=400)
    again = regulate(done.model, NOISE, draws=400)
    for layer, before in zip(again.layers, done.layers, strict=True):
        assert before.target is not None
        assert torch.allclose(layer.spread_before, torch.tensor(before.target.spread).double(), rtol=1e-3)


@pytest.mark.parametrize("engine", ["event", "reference", "snntorch", "norse", "torch"])
def test_spikes_agree_with_rates_in_every_engine_and_firing_falls_by_the_factor(engine: str) -> None:
    pytest.importorskip(engine) if engine in ("snntorch", "norse") else None
    rule, given = Homeostasis(classes=SEEN, downscale=0.6), model()
    network = convert(given, NOISE.frames(FRAMES, seed=0))
    exact = regulate(given, NOISE, rule, draws=FRAMES)
    oscillation = LONG if engine == "event" else SlowOscillation(frames=FRAMES, up=120)
    done, usual = (
        regulate_spikes(network, NOISE, r, oscillation=oscillation, engine=engine)
        for r in (rule, replace(rule, downscale=1.0))
    )
    tolerance = 0.03 if engine == "event" else 0.1
    for layer, other in zip(done.layers, exact.layers, strict=True):
        assert layer.target is not None and other.target is not None
        assert layer.target.spread == pytest.approx(other.target.spread, rel=tolerance)
        assert torch.allclose(layer.factor, other.factor, rtol=2 * tolerance)
    for one, other in zip(done.woken(given).parameters(), exact.model.parameters(), strict=True):
        assert torch.allclose(one, other, atol=tolerance * float(other.detach().abs().max()))
    for k, name in ((1, "hidden1"), (2, "hidden2")):
        fallen = float(done.rates[name].mean() / usual.rates[name].mean())
        # At a rate of one spike a step units fire no faster: what those would send above it is not there to be lost.
        assert fallen == pytest.approx(0.6**k, rel=0.1)
    x = torch.rand(200, 20, generator=torch.Generator().manual_seed(2))
    woken = [one.woken(given)(x).argmax(1) for one in (done, usual)]
    assert float((woken[0] == woken[1]).double().mean()) > (0.97 if engine == "event" else 0.9)


def test_engines_scale_down_alike() -> None:
    network = convert(model(True), NOISE.frames(FRAMES, seed=0))
    short = SlowOscillation(frames=60)
    weights = [
        regulate_spikes(network, NOISE, Homeostasis(downscale=0.6), oscillation=short, engine=engine).network.weights
        for engine in ("event", "reference")
    ]
    assert all(torch.allclose(a, b, rtol=1e-5) for a, b in zip(*weights, strict=True))


@pytest.mark.parametrize("way", ["registers", "weights"])
def test_a_chip_scales_down_in_its_registers_or_rows(way: Any) -> None:
    network = convert(model(), NOISE.frames(FRAMES, seed=0), read_out="spikes")
    short = SlowOscillation(frames=60)
    usual, less = (
        regulate_on_chip(network, NOISE, "generic_int8", Homeostasis(downscale=d), oscillation=short, way=way)
        for d in (1.0, 0.6)
    )
    for k, name in ((1, "hidden1"), (2, "hidden2")):
        assert float(less.rates[name].mean() / usual.rates[name].mean()) == pytest.approx(0.6**k, rel=0.15)


def test_damping_goes_part_of_the_way() -> None:
    done = regulate(model(), NOISE, Homeostasis(classes=SEEN, downscale=0.5, damping=0.5), draws=400)
    assert done.layers[-1].factor[3:].tolist() == [0.75, 0.75]


def test_set_points_of_the_first_sleep_are_not_scaled_again() -> None:
    rule = Homeostasis("set-points", downscale=0.5)
    first = regulate(model(), NOISE, rule, draws=400)
    second = regulate(first.model, NOISE, rule, set_points=first.set_points, draws=400)
    assert second.set_points == first.set_points
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-2, atol=1e-3)
    layers = regulate(first.model, NOISE, Homeostasis(downscale=0.5), draws=400).layers
    assert all(float(layer.factor.mean()) == pytest.approx(0.5, rel=1e-2) for layer in layers)


def test_consolidate_scales_down_and_knows_how_it_left_the_outputs() -> None:
    keeper, given = Consolidator(), model()
    x = torch.rand(200, 20, generator=torch.Generator().manual_seed(2)).round()
    keeper.observe(x, torch.arange(200) % 3)
    sleeps = [Sleep(stages=[NREM(Homeostasis(downscale=d), form="rates", draws=400)]) for d in (1.0, 0.6)]
    usual, less = (keeper.copy().consolidate(given, sleep=sleep, guard=False) for sleep in sleeps)
    assert less.left is not None and usual.left is not None
    assert torch.equal(less.model(x)[:, :3].argmax(1), usual.model(x)[:, :3].argmax(1))
    again = keeper.copy().consolidate(less.model, sleep=sleeps[0], guard=False).stages[0].regulated
    assert again is not None
    output = again.layers[-1]
    assert less.left.moved(output) < 0.05
    assert less.left.spread == pytest.approx(float(output.spread_before[output.changed].mean()), rel=1e-2)


@pytest.mark.parametrize("value", [0.0, -1.0, 1.5, float("nan"), "half"])
def test_what_is_no_share_is_refused(value: Any) -> None:
    with pytest.raises(SettingsError, match="downscale"):
        Homeostasis(downscale=value)


def test_what_cannot_scale_down_says_so_before_any_work() -> None:
    network = convert(model(), NOISE.frames(FRAMES, seed=0))
    with pytest.raises(SettingsError, match="downscale"):
        regulate_spikes(network, NOISE, Homeostasis(downscale=0.5), every=50)
    settles = EquilibriumMLP([20, 6, 3], activation="hard_sigmoid")
    before = [p.clone() for p in settles.parameters()]
    sleep = Sleep(stages=[NREM(Homeostasis(downscale=0.5))])
    with pytest.raises(UnsupportedError, match="equilibrium network"):
        consolidate(settles, NOISE.mean, sleep=sleep, guard=False)
    assert all(a.equal(b) for a, b in zip(before, settles.parameters(), strict=True))
