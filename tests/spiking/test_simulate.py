"""simulate: spikes and images in, counts and spikes out."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import neurosleep as ns
from neurosleep.errors import SettingsError, UnsupportedError
from neurosleep.spiking import Population, Projection, SpikingNetwork, engine_names, get_engine


@pytest.fixture
def network() -> SpikingNetwork:
    """6 inputs, 4 LIF units, dyadic weights, so that all engines agree to the last bit."""
    weight = torch.randint(-4, 8, (4, 6), generator=torch.Generator().manual_seed(0)).double() / 8
    return SpikingNetwork(
        (Population("input", "input", (6,)), Population("out", "lif", (4,), threshold=1.0, decay=0.5)),
        (Projection("input", "out", weight=weight),),
    )


def _spikes(steps: int, *shape: int) -> torch.Tensor:
    return torch.rand(steps, *shape, generator=torch.Generator().manual_seed(1)) < 0.3


def _by_hand(network: SpikingNetwork, spikes: torch.Tensor) -> torch.Tensor:
    v, out = torch.zeros(4, dtype=torch.float64), []
    for s in spikes:
        v = 0.5 * v + network.weights[0] @ s.double()
        out.append(v >= 1)
        v = torch.where(v >= 1, 0.0, v)
    return torch.stack(out)


@pytest.mark.parametrize("engine", [name for name in engine_names() if get_engine(name).general])
def test_spikes_as_by_hand(network: SpikingNetwork, engine: str) -> None:
    spikes = _spikes(1500, 6)
    recording = ns.simulate(network, spikes, engine=engine, record=ns.Record(spikes="all"))
    expected = _by_hand(network, spikes)
    assert expected.any()
    assert recording.steps == 1500
    assert torch.equal(recording.spikes["out"].to_dense(torch.bool), expected)
    assert recording.counts["out"].tolist() == expected.sum(0).tolist()


def test_batch_of_spikes_is_one_train_after_another(network: SpikingNetwork) -> None:
    spikes = _spikes(200, 3, 6)
    counts = ns.simulate(network, spikes).counts["out"]
    assert counts.shape == (3, 4)
    for b in range(3):
        assert counts[b].tolist() == ns.simulate(network, spikes[:, b]).counts["out"].tolist()


@pytest.mark.parametrize("coding", ["bernoulli", "poisson"])
def test_images_fire_at_their_intensity(network: SpikingNetwork, coding: Any) -> None:
    images = torch.tensor([[0.0, 1.0, 0.5, 0.0, 0.0, 1.0]])
    recording = ns.simulate(network, images, 20_000, coding=coding, max_rate=300.0)
    rates = recording.counts["input"][0] / 20_000
    assert rates[0] == rates[3] == rates[4] == 0
    # Four standard deviations of a Poisson mean over 20,000 steps.
    assert rates[1] == pytest.approx(0.3, abs=0.016) and rates[5] == pytest.approx(0.3, abs=0.016)
    assert rates[2] == pytest.approx(0.15, abs=0.011)


def test_shorter_is_the_beginning_and_seeds_differ(network: SpikingNetwork) -> None:
    images = torch.full((2, 6), 0.4)
    short, long = (ns.simulate(network, images, n).counts["input"] for n in (100, 1200))
    again, other = (ns.simulate(network, images, 1200, seed=s).counts["input"] for s in (0, 1))
    assert (short <= long).all() and (long == again).all() and (long != other).any()
    assert (long[0] != long[1]).any()  # the samples of a batch have noise of their own


def test_bad_inputs(network: SpikingNetwork) -> None:
    images = torch.rand(2, 6)
    with pytest.raises(SettingsError, match="need a number of steps"):
        ns.simulate(network, images)
    with pytest.raises(SettingsError, match="0 to 1"):
        ns.simulate(network, images * 300, 10)
    with pytest.raises(SettingsError, match="do not fit the network"):
        ns.simulate(network, torch.rand(2, 5), 10)
    with pytest.raises(SettingsError, match="do not cover the steps"):
        ns.simulate(network, _spikes(10, 6), 11)
    with pytest.raises(SettingsError, match="number of steps cannot be 0"):
        ns.simulate(network, images, 0)
    with pytest.raises(UnsupportedError, match="Single spikes of a batch"):
        ns.simulate(network, images, 10, record=ns.Record(spikes="all"))
    with pytest.raises(SettingsError, match="poison"):
        ns.simulate(network, images, 10, coding="poison")  # type: ignore[arg-type]


def test_constant_coding_names_the_function_that_has_it(network: SpikingNetwork) -> None:
    with pytest.raises(SettingsError, match="simulate_batch"):
        ns.simulate(network, torch.zeros(1, 6), 3, coding="constant")  # type: ignore[arg-type]


def test_a_batch_says_the_potentials_of_its_integrators(network: SpikingNetwork) -> None:
    read = SpikingNetwork(
        (*network.populations, Population("read", "li", (2,), decay=1.0)),
        (*network.projections, Projection("out", "read", weight=torch.ones(2, 4, dtype=torch.float64))),
    )
    recording = ns.simulate(read, _spikes(50, 3, 6))
    assert recording.potentials["read"].shape == (3, 2)
    assert recording.potentials["read"][:, 0].tolist() == recording.counts["out"].sum(1).tolist()
