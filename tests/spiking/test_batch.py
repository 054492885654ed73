"""simulate_batch: constant currents by hand, spike codings by their rates, read-outs over time."""

from __future__ import annotations

import pytest
import torch

import neurosleep as ns
from neurosleep.errors import SettingsError, UnknownNameError, UnsupportedError
from neurosleep.spiking import Population, Projection, SpikingNetwork


def network(kind: str = "lif") -> SpikingNetwork:
    weight = torch.tensor([[0.5, 0.25, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]], dtype=torch.float64)
    return SpikingNetwork(
        (Population("input", "input", (1, 2, 2)), Population("out", kind, (2,), reset="subtract")),  # type: ignore[arg-type]
        (Projection("input", "out", weight=weight),),
    )


def test_constant_currents_are_graded_inputs() -> None:
    images = torch.tensor([[[[1.0, 1.0], [0.5, 0.25]]], [[[0.0, 0.0], [-1.0, -1.5]]]])
    found = ns.simulate_batch(network(), images, 8)
    # Currents 0.75 and 0.25 in the first image, 0 and 0.5 in the second.
    assert found.totals["out"].tolist() == [[6, 2], [0, 4]]
    assert found.read_out[:, 1, 1].tolist() == [0, 1, 1, 2, 2, 3, 3, 4]
    assert found.rate("out")[0].tolist() == [0.75, 0.25]
    assert found.accuracy(torch.tensor([0, 1])).tolist() == [0.5, *[1.0] * 7]
    potential = ns.simulate_batch(network("li"), images, 8).read_out
    assert potential[:, 0, 1].tolist() == [0.25 * k for k in range(1, 9)]


@pytest.mark.parametrize(("coding", "chance"), [("bernoulli", 0.4), ("poisson", 1 - 2.718281828**-0.4)])
def test_spikes_are_drawn_at_the_intensity(coding: str, chance: float) -> None:
    images = torch.zeros(50, 4)
    images[:, 1] = 0.8
    found = ns.simulate_batch(network(), images, 400, coding=coding, max_rate=500.0)  # type: ignore[arg-type]
    assert found.totals["input"][:, [0, 2, 3]].sum() == 0
    # Four standard deviations of a mean of 20,000 draws.
    assert float(found.rate("input")[:, 1].mean()) == pytest.approx(chance, abs=0.014)
    again = ns.simulate_batch(network(), images, 400, coding=coding, max_rate=500.0)  # type: ignore[arg-type]
    assert torch.equal(again.read_out, found.read_out)


def test_bad_input() -> None:
    images = torch.rand(2, 4)
    with pytest.raises(SettingsError, match="do not fit"):
        ns.simulate_batch(network(), torch.rand(2, 5), 3)
    with pytest.raises(SettingsError, match="outside 0 to 1"):
        ns.simulate_batch(network(), -images, 3, coding="poisson")
    with pytest.raises(SettingsError, match="NaN"):
        ns.simulate_batch(network(), images * float("nan"), 3)
    with pytest.raises(SettingsError, match="number of steps"):
        ns.simulate_batch(network(), images, 0)
    with pytest.raises(UnknownNameError, match="konstant"):
        ns.simulate_batch(network(), images, 3, coding="konstant")  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="steps no batches"):
        ns.simulate_batch(network(), images, 3, engine="event")
    with pytest.raises(SettingsError, match="labels"):
        ns.simulate_batch(network(), images, 3).accuracy(torch.tensor([1]))
