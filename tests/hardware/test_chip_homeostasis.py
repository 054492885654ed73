"""Homeostatic sleep in a chip's integers: which chips can, and the arithmetic against plain numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import neurosleep as ns
from neurosleep.errors import UnsupportedError
from neurosleep.functional import Homeostasis, InputNoise, SlowOscillation
from neurosleep.hardware import chosen_way, homeostatic_ways, load_profile, map_to, profile_names, regulate_on_chip
from neurosleep.replay import regulate_spikes

_PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "homeostasis.md"
_SHORT = SlowOscillation(frames=120, up=30, down=10, settle=10)


def _network(reset: str = "subtract", bias: bool = False) -> tuple[nn.Module, ns.SpikingNetwork, InputNoise]:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(20, 12, bias=bias), nn.ReLU(), nn.Linear(12, 5, bias=bias))
    noise = InputNoise(torch.linspace(0.1, 0.9, 20))
    network = ns.convert(model, noise.frames(200, seed=1), reset=reset, read_out="spikes")
    return model, network, noise


def test_the_page_has_the_table_of_all_chips() -> None:
    text = _PAGE.read_text()
    for name in profile_names():
        registers, weights = homeostatic_ways(load_profile(name))
        assert f"| {name} | {registers.text} | {weights.text} |\n" in text


def test_chips_without_registers_are_refused_by_the_register() -> None:
    with pytest.raises(UnsupportedError, match=r"bias\.supported.*bias of a neuron"):
        chosen_way(load_profile("odin"), None)
    with pytest.raises(UnsupportedError, match=r"bias\.mantissa_bits"):
        chosen_way(load_profile("xylo_a2"), "registers")
    assert chosen_way(load_profile("loihi1"), None) == "registers"
    assert chosen_way(load_profile("xylo_a2"), None) == "weights"


def test_the_report_of_a_mapping_says_it() -> None:
    _, network, _ = _network()
    assert map_to(network, "generic_int8").report.to_json()["homeostasis"] == {"registers": "yes", "weights": "yes"}


def _oracle(weight: np.ndarray, sent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Factor and offset of each unit: what numpy makes of integer drives."""
    drive = sent @ weight.T
    spread, mean = drive.std(0), drive.mean(0)
    return spread.mean() / spread, mean.mean() - spread.mean() / spread * mean


@pytest.mark.parametrize("name", ["generic_int8", "loihi1", "loihi2"])
def test_registers_of_the_first_layer_are_those_of_plain_numpy(name: str) -> None:
    _, network, noise = _network("to_value" if name == "loihi1" else "subtract")
    before = map_to(network, name)
    done = regulate_on_chip(network, noise, name, oscillation=_SHORT)
    sent = noise.frames(_SHORT.frames, seed=0).double().numpy()
    factor, offset = _oracle(before.weights[0].numpy(), sent)
    old, new = before.population("hidden1"), done.mapped.population("hidden1")
    step = 64 if name.startswith("loihi") else 1
    theta = np.broadcast_to(np.asarray(old.threshold, dtype=float), 12)
    wanted = np.rint(theta / factor / step) * step
    # Frames as float32 leave a last bit open, which may be a step of the register.
    assert np.abs(np.asarray(new.threshold) - wanted).max() <= step
    bias = np.asarray(new.bias, dtype=float)
    exponent = np.maximum(0, np.ceil(np.log2(np.maximum(np.abs(offset / factor), 1) / 4095))) if step == 64 else 0
    assert np.abs(bias - np.rint(offset / factor)).max() <= np.max(2.0**exponent)
    assert len(np.unique(np.asarray(new.threshold))) > 3 and np.abs(bias).max() > 0
    assert all(a.equal(b) for a, b in zip(before.weights, done.mapped.weights, strict=True))
    assert set(done.limited.values()) == {0}


@pytest.mark.parametrize("name", ["generic_int8", "loihi1"])
def test_rows_are_those_of_plain_numpy(name: str) -> None:
    _, network, noise = _network("to_value" if name == "loihi1" else "subtract")
    before = map_to(network, name)
    done = regulate_on_chip(network, noise, name, oscillation=_SHORT, way="weights")
    whole, unit = before.weights[0].numpy(), before.synapses[0].unit * before.synapses[0].grid.step
    layer = done.layers[0]
    along = layer.mean_input.double().numpy().reshape(1, -1)
    stands = before.synapses[0].scale * before.synapses[0].alpha
    rows = whole * layer.factor.numpy()[:, None] + stands * layer.offset.numpy()[:, None] * along / (along**2).sum()
    smaller = done.mapped.synapses[0].scale / before.synapses[0].scale
    after = done.mapped.weights[0].numpy()
    assert smaller <= 1 and (after % unit == 0).all()
    assert np.abs(after - rows * smaller).max() <= unit / 2 + 1e-3 * unit
    drive = noise.frames(_SHORT.frames, seed=0).double().numpy() @ after.T
    assert drive.std(0).std() < 0.05 * drive.std(0).mean() and drive.mean(0).std() < 0.05 * drive.std(0).mean()


@pytest.mark.parametrize("way", ["registers", "weights"])
@pytest.mark.parametrize("name", ["generic_int8", "loihi1", "loihi2"])
def test_it_is_near_to_sleep_in_real_numbers(name: str, way: str) -> None:
    # A bias does in both what a register does.
    model, network, noise = _network("to_value" if name == "loihi1" else "subtract", bias=way == "registers")
    rule = Homeostasis(mean_by="bias") if way == "registers" else Homeostasis()
    real = regulate_spikes(network, noise, rule, oscillation=_SHORT)
    done = regulate_on_chip(network, noise, name, rule, oscillation=_SHORT, way=way)
    for chip, exact in zip(done.layers, real.layers, strict=True):
        assert (chip.factor / exact.factor - 1).abs().max() < 0.1
    given = [p.clone() for p in model.parameters()]
    woken = done.woken(model)
    assert all(a.equal(b) for a, b in zip(given, model.parameters(), strict=True))
    assert all(not a.equal(b) for a, b in zip(given, woken.parameters(), strict=True))
    again = regulate_on_chip(network, noise, name, rule, oscillation=_SHORT, way=way)
    assert all(a.equal(b) for a, b in zip(again.mapped.weights, done.mapped.weights, strict=True))


def test_biases_are_read_back_from_registers_and_refused_with_weights() -> None:
    model, network, noise = _network(bias=True)
    done = regulate_on_chip(network, noise, "generic_int8", oscillation=_SHORT)
    woken = done.woken(model)
    drive = noise.frames(_SHORT.frames, seed=0).double() @ woken[0].weight.double().T + woken[0].bias
    assert drive.mean(0).std() < 0.02 * drive.std(0).mean() and drive.std(0).std() < 0.02 * drive.std(0).mean()
    with pytest.raises(UnsupportedError, match="biases"):
        regulate_on_chip(network, noise, "generic_int8", oscillation=_SHORT, way="weights")


def test_what_a_chip_is_not_sent_or_does_not_emulate_is_refused() -> None:
    model, network, noise = _network()
    with pytest.raises(UnsupportedError, match="sent spikes"):
        regulate_on_chip(network, InputNoise(torch.zeros(20), torch.ones(20)), "generic_int8")
    with pytest.raises(UnsupportedError, match="read_out='spikes'"):
        regulate_on_chip(ns.convert(model, noise.frames(50, seed=0)), noise, "generic_int8")
    with pytest.raises(UnsupportedError, match="not emulated"):
        regulate_on_chip(network, noise, "ideal")
