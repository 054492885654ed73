"""Settling, activity and stability of equilibrium networks, against values that can be worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from neurosleep.analysis import activation_spread, settling, stability, state_trajectories
from neurosleep.errors import DataError, SettingsError
from neurosleep.networks import DendriticMLP, EquilibriumConv, EquilibriumMLP, EquilibriumNetwork


def network(**options: Any) -> EquilibriumMLP:
    return EquilibriumMLP([4, 3, 2], generator=torch.Generator().manual_seed(1), free_steps=20, **options)


def images(n: int = 5) -> torch.Tensor:
    return torch.rand(n, 4, generator=torch.Generator().manual_seed(2))


def test_the_settling_of_one_unit_is_a_geometric_series() -> None:
    # One linear output unit with dt 1/2 and input 1 moves by 1/2, 1/4, 1/8, ...
    one = EquilibriumMLP([1, 1], activation="identity", bias=False, dt=0.5, free_steps=4)
    with torch.no_grad():
        one.weights[0].fill_(1.0)
    table = settling(one, torch.ones(3, 1))
    assert list(table["step"]) == [1, 2, 3, 4]
    assert set(table["layer"]) == {"output"}
    np.testing.assert_allclose(table["residual"], [0.5, 0.25, 0.125, 0.0625])
    np.testing.assert_allclose(table["mean_residual"], table["residual"])
    np.testing.assert_allclose(table["mean"], [0.5, 0.75, 0.875, 0.9375])
    np.testing.assert_allclose(table["sd"], 0, atol=1e-12)
    followed = state_trajectories(one, torch.ones(3, 1))
    np.testing.assert_allclose(followed["state"], [0, 0.5, 0.75, 0.875, 0.9375])


@pytest.mark.parametrize(
    "made",
    [
        network(),
        network(read_out="softmax-read-out"),
        network(dt=0.3, dynamics="hopfield"),
        DendriticMLP([4, 3, 2], generator=torch.Generator().manual_seed(1), free_steps=20),
        EquilibriumConv((2, 2, 1), [3], fc=(2,), free_steps=20, generator=torch.Generator().manual_seed(1)),
    ],
)
def test_the_last_step_is_the_state_that_the_network_is_read_out_from(made: EquilibriumNetwork) -> None:
    x = images()
    with torch.no_grad():
        expected = made.activities(x)
        residual = made.settle(made.start(x), made.zeros(x), 20).residual
    table = settling(made, x)
    names = list(dict.fromkeys(table["layer"]))
    # A soft-max read-out has no state.
    assert names == (["hidden1"] if made.read_out_kind == "softmax-read-out" else ["hidden1", "output"])
    last = table.where(step=20)
    np.testing.assert_allclose(last["residual"], residual, atol=1e-7)
    np.testing.assert_allclose(last["mean"], [float(state.mean()) for state in expected], rtol=1e-5)
    followed = state_trajectories(made, x, units=2, seed=3).where(step=20, layer="hidden1")
    for row in followed.rows():
        assert row["state"] == pytest.approx(float(expected[0][0, row["unit"]]), rel=1e-5)
    assert len(followed) == 2
    assert len(settling(made, x, steps=3).where(step=3)) == len(expected)


def test_spread_counts_silent_and_saturated_units() -> None:
    made = EquilibriumMLP([2, 4, 1], bias=False, free_steps=5)
    with torch.no_grad():
        # Of four hidden units one is silent, one saturated, two follow the input; the output gives nothing back.
        made.weights[0].copy_(torch.tensor([[-1.0, -1.0], [5.0, 5.0], [0.5, 0.0], [0.5, 0.0]]))
        made.weights[1].zero_()
    table = activation_spread(made, torch.tensor([[1.0, 1.0], [0.5, 0.5], [1.0, 0.5]]), batch=2)
    hidden, output = table.rows()
    mean = np.array([0, 1, 2.5 / 6, 2.5 / 6])
    assert (hidden["layer"], hidden["units"], output["layer"]) == ("hidden1", 4, "output")
    assert hidden["mean"] == pytest.approx(mean.mean())
    assert hidden["sd_over_units"] == pytest.approx(mean.std())
    assert (hidden["active"], hidden["saturated"], hidden["silent_units"]) == (0.75, 0.25, 0.25)
    assert hidden["participation"] == pytest.approx(mean.sum() ** 2 / (4 * (mean**2).sum()))
    assert (output["mean"], output["silent_units"]) == (0.0, 1.0)
    assert math.isnan(output["participation"])


def test_stability_counts_what_diverged_and_takes_the_spread_of_the_rest() -> None:
    runs = [
        {"kind": "constant", "step_size": 0.9, "accuracy": None},
        {"kind": "constant", "step_size": 0.9, "accuracy": 0.1},
        {"kind": "constant", "step_size": 0.5, "accuracy": 0.9},
        {"kind": "constant", "step_size": 0.5, "accuracy": 0.94},
        {"kind": "log-normal", "step_size": 0.9, "accuracy": 0.8},
    ]
    table = stability(runs, chance=0.11)
    assert [(row["kind"], row["step_size"], row["runs"], row["diverged"]) for row in table.rows()] == [
        ("constant", 0.5, 2, 0.0),
        ("constant", 0.9, 2, 1.0),
        ("log-normal", 0.9, 1, 0.0),
    ]
    np.testing.assert_allclose(table["accuracy"], [0.92, math.nan, 0.8])
    np.testing.assert_allclose(table["sd"], [0.04 / math.sqrt(2), math.nan, math.nan])
    assert stability(runs)["diverged"][1] == 0.5


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(DataError, match="no runs"):
        stability([])
    with pytest.raises(DataError, match="step_size"):
        stability([{"kind": "a", "accuracy": 0.5}])
    with pytest.raises(SettingsError, match="steps"):
        settling(network(), images(), steps=0)
    with pytest.raises(SettingsError, match="units"):
        state_trajectories(network(), images(), units=0)
    with pytest.raises(SettingsError, match="batch"):
        activation_spread(network(), images(), batch=0)
    for bad in (torch.ones(4), torch.ones(0, 4), torch.full((2, 4), math.nan)):
        with pytest.raises(DataError, match="shape"):
            settling(network(), bad)
