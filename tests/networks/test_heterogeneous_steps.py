"""Time steps that differ from unit to unit: what is drawn, and what does not depend on them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from neurosleep.errors import SettingsError, UnknownNameError
from neurosleep.functional import DISTRIBUTIONS, HeterogeneousSteps
from neurosleep.networks import EquilibriumMLP

SIZES = (7, 20, 15, 4)


def network(dt: float | Tensor | HeterogeneousSteps, **settings: object) -> EquilibriumMLP:
    return EquilibriumMLP(
        SIZES,
        dt=dt,
        generator=torch.Generator().manual_seed(1),
        **settings,  # type: ignore[arg-type]
    ).double()


def images(n: int = 6) -> Tensor:
    return torch.rand(n, SIZES[0], generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_steps_are_drawn_once_from_the_generator_and_clipped(distribution: str) -> None:
    steps = HeterogeneousSteps(distribution)  # type: ignore[arg-type]
    first, again = (steps.draw(50_000, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again) and first.dtype == torch.float32
    assert float(first.min()) > 0.00999999 and float(first.max()) <= 1
    assert float(first.mean()) == pytest.approx(steps.mean, abs=0.005)
    net = network(steps)
    assert net.dt.shape == (39,) and "dt" in net.state_dict()
    kept = net.dt.clone()
    with torch.no_grad():
        net(images())
    assert torch.equal(net.dt, kept) and torch.equal(network(steps).dt, kept)
    # The weights do not depend on the steps, which are drawn after them.
    assert torch.equal(net.weights[0], network(1.0).weights[0])


def test_quantiles_are_those_of_the_distributions() -> None:
    u = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
    q = HeterogeneousSteps("log-normal", 0.2, 0.5).quantile(u)
    torch.testing.assert_close(0.5 * (1 + torch.erf((q / 0.2).log() / 0.5 / math.sqrt(2))), u)
    q = HeterogeneousSteps("normal", 0.5, 0.15).quantile(u)
    torch.testing.assert_close(0.5 * (1 + torch.erf((q - 0.5) / 0.15 / math.sqrt(2))), u)
    torch.testing.assert_close(HeterogeneousSteps("uniform").quantile(u), 0.1 + 0.8 * u)
    # Of shape 3 the gamma distribution has a closed form.
    z = HeterogeneousSteps("gamma", 0.3, 3.0).quantile(u) / 0.1
    torch.testing.assert_close(1 - torch.exp(-z) * (1 + z + z**2 / 2), u)
    assert torch.equal(HeterogeneousSteps("constant").quantile(u), torch.full_like(u, 0.5))


def test_tails_of_the_steps_are_clipped() -> None:
    wide = HeterogeneousSteps("log-normal", 0.5, 5.0).draw(1000, torch.Generator().manual_seed(0))
    assert float(wide.min()) == pytest.approx(0.01) and float(wide.max()) == 1
    assert float(HeterogeneousSteps("gamma", 0.9, 0.5).draw(1000, torch.Generator().manual_seed(0)).max()) == 1


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_the_control_of_heterogeneous_steps_is_constant_with_the_same_mean(distribution: str) -> None:
    steps = HeterogeneousSteps(distribution)  # type: ignore[arg-type]
    control = steps.control().draw(10)
    assert len(control.unique()) == 1
    assert float(control[0]) == pytest.approx(steps.mean, abs=1e-6)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_fixed_points_do_not_depend_on_heterogeneous_steps(distribution: str, beta: float) -> None:
    x, targets = images(), torch.tensor([0, 1, 2, 3, 0, 1])
    found = []
    for dt in (1.0, HeterogeneousSteps(distribution)):  # type: ignore[arg-type]
        net = network(dt, activation="mysig")
        with torch.no_grad():
            states, residual = net.settle(net.start(x), net.zeros(x), 6000, targets=targets, beta=beta)
        assert float(residual.max()) < 1e-13
        found.append(states)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_the_slowest_of_heterogeneous_units_sets_the_pace() -> None:
    x = images()
    residuals = []
    for dt in (1.0, torch.linspace(0.02, 1, 39)):
        net = network(dt, activation="mysig")
        with torch.no_grad():
            residuals.append(net.settle(net.start(x), net.zeros(x), 60).residual.max())
    assert float(residuals[0]) < float(residuals[1])
    assert network(torch.linspace(0.02, 1, 39)).slowest == pytest.approx(50)
    assert network(1.0).slowest == 1


def test_heterogeneous_states_stay_within_the_range_of_the_activation() -> None:
    net = network(HeterogeneousSteps("uniform"), init=20.0)
    x = images()

    def inside(step: int, states: list[Tensor]) -> None:
        assert all(float(s.min()) >= 0 and float(s.max()) <= 1 for s in states)

    states = net.evolve(net.start(x), net.zeros(x), 30, inside)
    assert any(float(s.max()) > 0.9 for s in states)


@pytest.mark.parametrize(
    "wrong",
    [
        {"distribution": "cauchy"},
        {"centre": 0.0},
        {"centre": 1.5},
        {"spread": 0.0},
        {"spread": math.nan},
        {"distribution": "constant", "spread": 0.1},
    ],
)
def test_wrong_heterogeneous_steps_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises((SettingsError, UnknownNameError)):
        HeterogeneousSteps(**wrong)  # type: ignore[arg-type]
