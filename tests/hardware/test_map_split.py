"""Sums that are too long for a neuron: split over helpers on request, else refused with the number of them."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from typer.testing import CliRunner

import neurosleep as ns
from neurosleep.cli.app import app
from neurosleep.data import load_dataset, to_float
from neurosleep.errors import MappingError
from neurosleep.hardware import HardwareProfile
from neurosleep.hardware.rewrite.split import split_fan_in
from neurosleep.spiking import Conv, Dense, Population, SpikingNetwork


def narrow(fan_in: int, **reset: Any) -> HardwareProfile:
    """The generic chip, with a limit of fan-in."""
    found = ns.load_profile("generic_int8")
    kinds = dataclasses.replace(found.capacity.limit_kind, fan_in_max="structural")
    capacity = dataclasses.replace(found.capacity, fan_in_max=fan_in, limit_kind=kinds)
    return dataclasses.replace(found, capacity=capacity, reset=dataclasses.replace(found.reset, **reset))


def chain(*sizes: int, seed: int = 0, **more: Any) -> SpikingNetwork:
    generator = torch.Generator().manual_seed(seed)
    names = ["input", *(f"hidden{k}" for k in range(1, len(sizes) - 1)), "output"]
    populations = [Population("input", "input", (sizes[0],))]
    populations += [Population(name, "lif", (n,), **more) for name, n in zip(names[1:], sizes[1:], strict=True)]
    projections = [
        Dense(a.name, b.name, torch.randn(b.size, a.size, generator=generator, dtype=torch.float64))
        for a, b in itertools.pairwise(populations)
    ]
    return SpikingNetwork(tuple(populations), tuple(projections))


def spikes(steps: int, n: int, rate: float = 0.2) -> torch.Tensor:
    return torch.rand(steps, n, generator=torch.Generator().manual_seed(1)) < rate


def test_the_refusal_names_the_split() -> None:
    with pytest.raises(MappingError) as refused:
        ns.map_to(chain(784, 5, 3), "truenorth")
    text = "hidden1: fan-in 784 exceeds 256 (structural, truenorth); split into 4 partial-sum neurons"
    assert text in str(refused.value) and "allow_split=true" in str(refused.value)
    report = ns.map_to(chain(784, 5, 3), "truenorth", allow_split=True).report
    assert report.fits
    # Four blocks of inputs, for each of the five neurons one helper a sign.
    assert any("4 blocks of inputs, with 40 partial-sum neurons" in f.text for f in report.findings)
    assert any("lose accuracy" in f.text and f.level == "warning" for f in report.findings)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(2, 12), st.integers(0, 2**31))
def test_helpers_hold_every_weight_once(inputs: int, neurons: int, limit: int, seed: int) -> None:
    network = chain(inputs, neurons, seed=seed)
    split, findings = split_fan_in(network, narrow(limit))
    assert bool(findings) == (inputs > limit)
    if not findings:
        assert split is network
        return
    found = torch.zeros(neurons, inputs, dtype=torch.float64)
    for q in split.projections:
        if q.source == "input":
            assert isinstance(q, Dense) and bool((q.weight >= 0).all())
            # No helper has more inputs than a neuron can have.
            assert int((q.weight != 0).sum(1).max()) <= limit
            (onward,) = [p for p in split.projections if p.source == q.target]
            assert (onward.kind, onward.target) == ("identity", "output")
            found += onward.scale * q.weight
    torch.testing.assert_close(found, network.weights[0])
    assert len([q for q in split.projections if q.target == "output"]) <= 2 * -(-inputs // limit)
    assert split.population("output").shape == (neurons,) and split.order[-1] == "output"


def test_with_a_reset_that_subtracts_nothing_is_lost_but_a_quantum() -> None:
    network = chain(30, 4, seed=2)
    network = dataclasses.replace(network, populations=(network.populations[0], Population("output", "li", (4,))))
    split, _ = split_fan_in(network, narrow(8))
    train = spikes(1000, 30, 0.1)
    found, exact = (
        torch.as_tensor(ns.simulate(n, train, engine="reference").potentials["output"]) for n in (split, network)
    )
    # Each of the eight helpers keeps less than a quantum to itself, however long it takes.
    quantum = max(abs(q.scale) for q in split.projections if q.kind == "identity")
    assert bool(((found - exact).abs() < 8 * quantum).all())
    assert bool((exact.abs() > 8 * quantum).any())


def test_the_mapped_network_has_the_helpers_and_their_delay() -> None:
    network = chain(300, 6, 3, threshold=8.0)
    mapped = ns.map_to(network, "truenorth", allow_split=True)
    report = mapped.report
    helpers = [p.name for p in mapped.populations if p.name.startswith("hidden1_")]
    assert helpers == ["hidden1_plus0", "hidden1_minus0", "hidden1_plus1", "hidden1_minus1"]
    # One tick to the helpers, one more to the neuron.
    assert {q.delay for q in mapped.projections if q.target in helpers or q.target == "hidden1"} == {1}
    assert report.fits and {row.layer for row in report.layers} >= set(helpers)
    # It is not done where it is not needed, and the network itself is left alone.
    same = ns.map_to(chain(20, 6, 3, threshold=8.0), "truenorth", allow_split=True)
    assert [p.name for p in same.populations] == ["input", "hidden1", "output"]


def test_spikes_are_those_of_the_network_up_to_quanta() -> None:
    network = chain(300, 6, 3, threshold=20.0, reset="subtract")
    mapped = ns.map_to(network, narrow(150), allow_split=True)
    found, exact = (
        ns.simulate(n, spikes(1000, 300, 0.1), engine=e).counts for n, e in ((mapped, "fixed"), (network, "reference"))
    )
    assert exact["hidden1"].sum() > 150
    assert abs(found["hidden1"] - exact["hidden1"]).sum() < 0.25 * exact["hidden1"].sum()


@pytest.mark.parametrize("profile", [narrow(64), "tianjic"], ids=["generic_int8", "tianjic"])
def test_what_helpers_do_not_hear_is_left_out_of_products_and_changes_nothing(profile: HardwareProfile | str) -> None:
    reset = "to_value" if profile == "tianjic" else "subtract"
    network = chain(600, 20, 4, threshold=20.0, reset=reset)
    mapped = ns.map_to(network, profile, allow_split=True)
    assert len(mapped.projections) > 5
    images = torch.rand(7, 600, generator=torch.Generator().manual_seed(4))
    found, plain = (
        ns.simulate(mapped, images, 40, coding="bernoulli", engine=engine) for engine in ("fixed", "reference")
    )
    assert found.counts["hidden1"].sum() > 0
    # Without decays and overflows, every engine steps these alike.
    assert np.array_equal(found.read_out, plain.read_out)


def test_integrators_keep_one_unit() -> None:
    network = chain(40, 4, seed=1)
    read_out = Population("output", "li", (4,))
    network = dataclasses.replace(network, populations=(network.populations[0], read_out))
    mapped = ns.map_to(network, narrow(16), allow_split=True)
    report = mapped.report
    assert report.fits
    train = spikes(400, 40, 0.1)
    found, exact = (
        ns.simulate(n, train, engine=e).potentials["output"] for n, e in ((mapped, "fixed"), (network, "reference"))
    )
    scale = next(row.scale for row in report.layers if row.layer == "output")
    difference = torch.as_tensor(found) / scale - torch.as_tensor(exact)
    assert float(difference.abs().max()) < 0.2 * float(torch.as_tensor(exact).abs().max())


def test_a_loop_and_a_convolution_are_split_too() -> None:
    generator = torch.Generator().manual_seed(0)
    image, maps = Population("input", "input", (4, 6, 6)), Population("maps", "lif", (2, 4, 4), threshold=3.0)
    kernel = torch.randn(2, 4, 3, 3, generator=generator, dtype=torch.float64)
    loop = Dense("maps", "maps", 0.1 * torch.ones(32, 32, dtype=torch.float64), delay=1)
    network = SpikingNetwork((image, maps), (Conv("input", "maps", kernel), loop))
    mapped = ns.map_to(network, narrow(50), allow_split=True)
    report = mapped.report
    # 36 inputs of the kernel and 32 of the loop, of all neurons together 144 and 32 columns.
    assert report.fits and any("fan-in 68 exceeds 50" in f.text for f in report.findings)
    assert ns.simulate(mapped, spikes(200, 144), engine="fixed").counts["maps"].sum() > 0


def trained(reset: Any, **more: Any) -> tuple[SpikingNetwork, torch.Tensor, torch.Tensor]:
    """A small network that has learnt small MNIST, as a spiking one, and images with labels to test it."""
    data = load_dataset("mnist-mini")
    arrays = (to_float(data.images), data.labels, to_float(data.test_images), data.test_labels)
    x, y, xt, yt = (torch.as_tensor(a) for a in arrays)
    x, xt, y, yt = x.flatten(1).float(), xt.flatten(1).float()[:300], y.long(), yt.long()[:300]
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(784, 32, bias=False), nn.ReLU(), nn.Linear(32, 10, bias=False))
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(6):
        for batch in torch.randperm(len(x)).split(100):  # type: ignore[no-untyped-call]
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return ns.convert(net, x[:500], recipe="percentile", reset=reset, **more).to(torch.float64), xt, yt


def accuracies(
    network: SpikingNetwork, profile: HardwareProfile | str, x: torch.Tensor, y: torch.Tensor, **more: Any
) -> tuple[float, float, bool]:
    """Percent right in real numbers and on the chip, and whether the network fits there."""
    mapped = ns.map_to(network, profile, allow_split=True, **more)
    report = mapped.report
    exact, found = (
        100 * float(ns.simulate(n, x, 60, coding="bernoulli", engine=e).accuracy(y)[-1])
        for n, e in ((network, "reference"), (mapped, "fixed"))
    )
    return exact, found, report.fits


@pytest.mark.slow
@pytest.mark.parametrize(("profile", "points"), [("narrow", 5.0), ("truenorth", 6.0)])
def test_accuracy_after_splitting(profile: str, points: float) -> None:
    network, x, y = trained("subtract")
    exact, found, fits = accuracies(network, narrow(256) if profile == "narrow" else profile, x, y)
    assert fits and exact > 80
    assert found > exact - points


# What is left on each chip, of a network whose first layer hears of 784 inputs and whose outputs are read by spikes.
@pytest.mark.full
@pytest.mark.parametrize(
    ("profile", "reset", "points"),
    [
        ("brainscales2", "to_value", 3.0),
        ("dynapse2", "to_value", 6.0),
        ("loihi1", "to_value", 2.0),
        ("odin", "to_value", 15.0),
        ("spinnaker1", "to_value", 2.0),
        ("spinnaker2", "subtract", 0.0),
        ("tianjic", "subtract", 6.0),
        ("truenorth", "subtract", 7.0),
        ("xylo_a2", "subtract", 6.0),
    ],
)
def test_accuracy_on_every_chip(profile: str, reset: str, points: float) -> None:
    network, x, y = trained(reset, read_out="spikes")
    exact, found, _ = accuracies(network, profile, x, y, strict=False, steps=60)
    assert exact > 80
    assert found >= exact - points


def test_command(tmp_path: Path) -> None:
    ns.save(chain(300, 4, 3, threshold=8.0), tmp_path / "net.safetensors")
    given = ["map", str(tmp_path / "net.safetensors"), "--profile", "truenorth", "--json"]
    found = json.loads(CliRunner().invoke(app, given).stdout)
    assert not found["fits"] and any("allow_split=true" in f["text"] for f in found["findings"])
    done = CliRunner().invoke(app, [*given, "--allow-split"])
    assert done.exit_code == 0 and json.loads(done.stdout)["fits"]
    given[3] = "dynapse2"
    for extra, text in (([], "10 percent"), (["--mismatch-sd", "0.2"], "20 percent")):
        found = json.loads(CliRunner().invoke(app, [*given, *extra, "--allow-split"]).stdout)
        assert any(text in f["text"] for f in found["findings"])
    wrong = CliRunner().invoke(app, [*given, "--mismatch-sd", "2"])
    assert wrong.exit_code == 2 and json.loads(wrong.stdout)["error"]["type"] == "SettingsError"
