"""Spikes of intensities: as many as they say, in every coding; what cannot be represented is said with numbers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import neurosleep as ns
from neurosleep.errors import NeurosleepWarning, SettingsError, UnsupportedError
from neurosleep.spiking import Dense, Population, SpikingNetwork
from neurosleep.spiking._coding import OneAStep


@pytest.fixture(scope="module")
def model() -> nn.Sequential:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 4))
    nn.init.normal_(made[0].bias, std=0.5)  # biases that matter
    return made


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return torch.rand(40, 12, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def network(model: nn.Sequential, x: torch.Tensor) -> SpikingNetwork:
    return ns.convert(model, x, recipe="max")


def error(read_out: np.ndarray, model: nn.Module, x: torch.Tensor) -> float:
    with torch.no_grad():
        y = model(x)
    return float((torch.from_numpy(read_out) - y).abs().mean() / y.abs().mean())


@pytest.mark.parametrize("engine", ["event", "reference"])
@pytest.mark.parametrize("coding", ["bernoulli", "poisson"])
def test_a_converted_network_computes_its_model_in_every_coding(
    network: SpikingNetwork, model: nn.Module, x: torch.Tensor, coding: Any, engine: str
) -> None:
    steps = 1500
    shown = ns.simulate(network, x, steps, coding=coding, engine=engine)
    assert float(shown.counts["input"].mean()) / steps == pytest.approx(float(x.mean()), rel=0.01)
    assert error(shown.read_out[-1] / steps, model, x) < 0.06


@pytest.mark.parametrize("gain", [0.25, 0.5, 2.0])
def test_another_rate_scales_the_biases_too(
    network: SpikingNetwork, model: nn.Module, x: torch.Tensor, gain: float
) -> None:
    steps = 3000
    dim = x * min(1.0, 1 / gain)  # so that every step holds it
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = ns.simulate(network, dim, steps, coding="bernoulli", max_rate=gain * 1000)
    # An activity that is gain times as large may not be above what a unit can say; at lower rates all are.
    if gain < 1:
        assert error(shown.read_out[-1] / steps / gain, model, dim) < 0.08
    else:
        assert float(shown.counts["input"].mean()) / steps == pytest.approx(float(dim.mean()) * gain, rel=0.01)


def test_a_step_of_any_length_is_unbiased_by_default(model: nn.Module, x: torch.Tensor) -> None:
    for dt in (0.0005, 0.005):
        network = ns.convert(model, x, recipe="max", dt=dt)
        shown = ns.simulate(network, x, 1500, coding="bernoulli")
        assert error(shown.read_out[-1] / 1500, model, x) < 0.06


def test_counts_have_the_mean_and_the_variance_of_poisson() -> None:
    net = SpikingNetwork(
        (Population("input", "input", (3,)), Population("sum", "li", (3,), decay=1.0)),
        (Dense("input", "sum", torch.eye(3)),),
    )
    images = torch.tensor([[0.0, 0.5, 1.0]]).expand(400, 3)
    for engine in ("event", "reference"):
        said = ns.simulate(net, images, 50, coding="poisson", max_rate=2000.0, engine=engine).read_out[-1]
        assert (said[:, 0] == 0).all()
        for k, mean in ((1, 50.0), (2, 100.0)):
            # Five standard deviations of the mean and of the variance of 400 Poisson counts.
            assert float(said[:, k].mean()) == pytest.approx(mean, abs=5 * (mean / 400) ** 0.5)
            assert float(said[:, k].var(ddof=1)) == pytest.approx(mean, abs=5 * mean * (2 / 400) ** 0.5)


def test_what_is_beyond_one_a_step_waits() -> None:
    queue = OneAStep(2)
    counts = np.array([[2, 0], [0, 1], [3, 0], [0, 0]], dtype=np.uint8)
    assert queue(counts).astype(int).tolist() == [[1, 0], [1, 1], [1, 0], [1, 0]]
    assert (queue.sent, queue.waiting) == (5, 1)
    rng = np.random.default_rng(0)
    queue = OneAStep(50)
    counts = rng.poisson(0.7, (500, 50)).astype(np.uint8)
    sent = np.concatenate([queue(part) for part in np.array_split(counts, 7)])
    assert sent.sum() + queue.waiting == counts.sum()
    assert (sent.cumsum(0) <= counts.cumsum(0)).all()  # none is sent before it is there


def test_single_trains_are_unbiased_too(network: SpikingNetwork, x: torch.Tensor) -> None:
    dim = x[:5] * 0.9
    for options in ({}, {"coding": "bernoulli"}, {"coding": "poisson"}):
        for record in (None, ns.Record(spikes="all")):
            found = [ns.simulate(network, one, 2000, record=record, **options) for one in dim]  # type: ignore[arg-type]
            mean = np.mean([recording.counts["input"] for recording in found]) / 2000
            assert mean == pytest.approx(float(dim.mean()), rel=0.02)
    for record in (None, ns.Record(spikes="all")):
        with pytest.warns(NeurosleepWarning, match="were not sent"):
            ns.simulate(network, torch.ones(12), 30, coding="poisson", record=record)


def test_what_a_coding_cannot_represent_is_said(network: SpikingNetwork, x: torch.Tensor) -> None:
    half = torch.cat([torch.full((4, 6), 0.1), torch.full((4, 6), 0.8)], 1)
    for images, dark in ((x, half), (x[0], half[0])):
        for coding in ("bernoulli", "poisson"):
            with pytest.raises(SettingsError, match="outside 0 to 1"):
                ns.simulate(network, -images, 5, coding=coding)  # type: ignore[arg-type]
            with pytest.raises(SettingsError, match="outside 0 to 1"):
                ns.simulate(network, 255 * images, 5, coding=coding)  # type: ignore[arg-type]
        with pytest.raises(SettingsError, match="NaN"):
            ns.simulate(network, images * np.nan, 5, coding="bernoulli")
        with pytest.raises(SettingsError, match="max_rate"):
            ns.simulate(network, images, 5, coding="bernoulli", max_rate=-1.0)
        with pytest.warns(NeurosleepWarning, match=r"50\.0% .*up to 1\.6"):
            ns.simulate(network, dark, 5, coding="bernoulli", max_rate=2000.0)
    with pytest.raises(SettingsError, match="spikes a step"):
        ns.simulate(network, x, 5, coding="poisson", max_rate=1e6)


def test_a_chip_takes_one_spike_a_step_and_keeps_its_biases() -> None:
    feed = SpikingNetwork(
        (Population("input", "input", (3,)), Population("out", "lif", (2,), threshold=1.0, decay=1.0)),
        (Dense("input", "out", torch.tensor([[0.5, 0.25, 0.0], [0.0, 0.5, 1.0]])),),
    )
    mapped = ns.map_to(feed, "loihi1")
    images = torch.full((20, 3), 0.6)
    shown = ns.simulate(mapped, images, 300, coding="poisson", engine="fixed")
    assert float(shown.counts["input"].mean()) / 300 == pytest.approx(0.6, abs=0.03)
    biased = SpikingNetwork(
        (feed.populations[0], Population("out", "lif", (2,), threshold=1.0, decay=1.0, bias=0.25)), feed.projections
    )
    mapped = ns.map_to(biased, "loihi1")
    with pytest.raises(UnsupportedError, match="biases"):
        ns.simulate(mapped, images, 10, coding="bernoulli", max_rate=500.0, engine="fixed")


def test_arguments_of_other_kinds(network: SpikingNetwork, x: torch.Tensor) -> None:
    plain = ns.simulate(network, x, 20).read_out
    assert np.array_equal(ns.simulate(network, x.numpy(), 20).read_out, plain)
    spikes = x[:9] < 0.5
    expected = ns.simulate(network, spikes).counts["output" if "output" in network.order else network.order[-1]]
    found = ns.simulate(network, spikes.numpy()).counts  # type: ignore[arg-type]
    assert np.array_equal(found[network.order[-1]], expected)
    for wrong in (nn.Linear(12, 3), "net.safetensors", None):
        with pytest.raises(SettingsError, match="spiking network"):
            ns.simulate(wrong, x, 5)  # type: ignore[arg-type]
    for images in (object(), "x", [torch.zeros(3), torch.zeros(4)], x.to_sparse(), x.to(torch.complex64)):
        with pytest.raises(ns.NeurosleepError):
            ns.simulate(network, images, 5)  # type: ignore[arg-type]
    with pytest.raises(ns.NeurosleepError):
        ns.simulate(network, x, 5, device="nowhere")
