"""Homeostasis at the fixed point of equilibrium networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurosleep.errors import DataError, UnsupportedError
from neurosleep.functional import Homeostasis, InputNoise, SetPoint
from neurosleep.networks import EquilibriumMLP
from neurosleep.replay import NREM, RegulatedLayer, Sleep, consolidate, regulate

NOISE = InputNoise(torch.linspace(0.1, 0.9, 12))


def network(*sizes: int, **fields: Any) -> EquilibriumMLP:
    """Slow to saturate, and with biases far apart."""
    given = {"free_steps": 40, "generator": torch.Generator().manual_seed(0)} | fields
    model = EquilibriumMLP(sizes or (12, 9, 8, 5), **given)
    with torch.no_grad():
        for layer in model.layers:
            if layer.bias is not None:
                layer.bias.add_(torch.linspace(-0.4, 0.6, len(layer.bias)))
    return model


@torch.no_grad()
def drives(model: EquilibriumMLP, draws: int = 500) -> list[Tensor]:
    """What each layer receives from below and from above at the fixed point, by hand."""
    frames = NOISE.frames(draws, seed=0)
    states = model.settle(model.start(frames), model.zeros(frames), model.free_steps).states
    below = [frames, *states]
    found = []
    for k, layer in enumerate(model.layers):
        drive = F.linear(below[k], layer.weight, layer.bias)
        if k + 1 < len(states):
            drive = drive + states[k + 1] @ model.layers[k + 1].weight
        found.append(drive)
    return found


@pytest.mark.parametrize("bias", [True, False])
def test_a_single_layer_is_a_linear_one(bias: bool) -> None:
    model = network(12, 5, bias=bias)
    plain = nn.Linear(12, 5, bias=bias)
    plain.load_state_dict(model.layers[0].state_dict())
    rule = Homeostasis(mean_by="bias", classes=(0, 2, 4))
    settled, rates = regulate(model, NOISE, rule, draws=500), regulate(plain, NOISE, rule, draws=500)
    # It goes all the way but for 1/64 of it.
    for new, wanted, old in zip(settled.model.parameters(), rates.model.parameters(), plain.parameters(), strict=True):
        left = 0.03 * (wanted - old).abs() + 1e-3 * (wanted - old).abs().max() + 1e-6
        assert bool(((new - wanted).abs() <= left).all())
    assert settled.layers[0].changed.tolist() == [True, False, True, False, True]
    assert settled.layers[0].target.spread == pytest.approx(rates.layers[0].target.spread, rel=1e-4)


@pytest.mark.parametrize(
    "fields", [{}, {"read_out": "cross-entropy"}, {"read_out": "softmax-read-out"}, {"dt": 0.5}, {"bias": False}]
)
def test_units_come_to_the_mean_and_spread_of_their_layer(fields: dict[str, Any]) -> None:
    model = network(**fields)
    before = drives(model)
    done = regulate(model, NOISE, Homeostasis(mean_by="bias"), draws=500)
    assert [layer.name for layer in done.layers] == ["layers.0", "layers.1", "layers.2"]
    after = drives(done.model)
    for layer, old, new in zip(done.layers, before, after, strict=True):
        assert layer.target is not None and layer.output == (layer.name == "layers.2")
        assert float(new.mean(0).std()) < 0.1 * float(old.mean(0).std()), layer.name
        assert float(new.std(0).std()) < 0.2 * float(old.std(0).std()), layer.name
    first = done.layers[0]
    assert torch.allclose(first.mean_before, before[0].mean(0).double(), atol=1e-5)


@pytest.mark.parametrize("fields", [{}, {"read_out": "cross-entropy"}, {"dt": 0.5}])
def test_where_weights_move_the_means_of_units_with_biases_what_grows_is_undone(fields: dict[str, Any]) -> None:
    model = network(**fields)
    before = drives(model)
    done = regulate(model, NOISE, draws=500)
    after = drives(done.model)
    for layer, old, new in zip(done.layers, before, after, strict=True):
        assert float(new.mean(0).std()) < 0.2 * float(old.mean(0).std()), layer.name
        # What is said of it is what it is, and the bias goes with the weights.
        assert torch.allclose(layer.mean_after, new.mean(0).double(), atol=1e-4)
        assert layer.mean_input is not None and "were undone" in layer.notes[-1]
    for layer, old, new in zip(done.layers, model.biases, done.model.biases, strict=True):
        assert old is not None and new is not None
        assert torch.allclose(new, old * layer.factor.float(), atol=1e-5)


def away(model: EquilibriumMLP, layers: tuple[RegulatedLayer, ...]) -> float:
    """How far all drives are from the targets of ``layers``."""
    total = 0.0
    for layer, drive in zip(layers, drives(model), strict=True):
        assert layer.target is not None
        means, spreads = drive.mean(0) - layer.target.mean, drive.std(0) - layer.target.spread
        total += float((means.square() + spreads.square()).mean()) / layer.target.spread**2
    return total


@pytest.mark.parametrize("mean_by", ["bias", "weights"])
@pytest.mark.parametrize("scale", [1.0, 2.0, 4.0])
def test_no_drive_of_a_network_that_feeds_back_strongly_runs_away(mean_by: Any, scale: float) -> None:
    model = network(read_out="cross-entropy", init=scale)
    done = regulate(model, NOISE, Homeostasis(mean_by=mean_by), draws=500)
    assert away(done.model, done.layers) <= away(model, done.layers)


def test_set_points_hold_the_hidden_layers_and_outputs_take_what_is_usual_now() -> None:
    model, points = network(bias=False), {f"layers.{k}": SetPoint(0.3, 0.1) for k in range(3)}
    rule = Homeostasis(target="set-points")
    layers = regulate(model, NOISE, rule, set_points=points, draws=500).layers
    assert [layer.target == SetPoint(0.3, 0.1) for layer in layers] == [True, True, False]
    assert layers[2].target == regulate(model, NOISE, rule, draws=500).layers[2].target


def test_damping_goes_part_of_the_way() -> None:
    model = network()
    before = drives(model)
    part, whole = (drives(regulate(model, NOISE, Homeostasis(damping=d), draws=500).model) for d in (0.5, 1.0))
    for old, half, full in zip(before, part, whole, strict=True):
        old_apart, half_apart, full_apart = (float(drive.mean(0).std()) for drive in (old, half, full))
        assert 2 * full_apart < half_apart < 0.75 * old_apart


def test_the_given_network_stays_and_the_change_is_applied_in_place() -> None:
    model = network()
    given = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    done = regulate(model, NOISE, draws=100)
    assert all(torch.equal(value, given[name]) for name, value in model.state_dict().items())
    assert done.model.training
    parameters = [*model.parameters()]
    done.apply_to(model)
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    assert all(torch.equal(value, done.model.state_dict()[name]) for name, value in model.state_dict().items())


def test_frozen_and_unnamed_layers_stay() -> None:
    model = network()
    model.layers[0].weight.requires_grad_(False)
    assert [layer.name for layer in regulate(model, NOISE, draws=50).layers] == ["layers.1", "layers.2"]
    named = regulate(model, NOISE, Homeostasis(layers=("layers.2",)), draws=50)
    for k in (0, 1):
        assert torch.equal(named.model.layers[k].weight, model.layers[k].weight)
    with pytest.raises(UnsupportedError, match=r"layers\.0 cannot be regulated"):
        regulate(model, NOISE, Homeostasis(layers=("layers.0",)), draws=50)
    with pytest.raises(UnsupportedError, match="Nothing of the model"):
        regulate(model.requires_grad_(False), NOISE, draws=50)


def test_noise_of_another_shape_is_refused() -> None:
    with pytest.raises(DataError, match=r"shape \(4, 3\)"):
        regulate(network(), InputNoise(torch.full((4, 3), 0.5)), draws=50)


def test_consolidate_takes_it() -> None:
    model = network()
    result = consolidate(model, NOISE.mean, sleep=Sleep(stages=(NREM(draws=200),)), guard=False)
    assert result.status == "done" and result.stages[0].form == "rates"
    assert isinstance(result.model, EquilibriumMLP)
    alone = regulate(model, NOISE, draws=200)
    assert all(torch.equal(a, b) for a, b in zip(result.model.weights, alone.model.weights, strict=True))
