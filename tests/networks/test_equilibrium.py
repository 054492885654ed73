"""The layered equilibrium network: its fast steps against the derivative of Phi by autograd, and what it refuses."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from neurosleep.functional import ACTIVATIONS, layered_phi
from neurosleep.networks import EquilibriumMLP

SIZES = (7, 6, 5, 4)
READ_OUTS = ["squared-error", "cross-entropy", "softmax-read-out"]


def network(**settings: object) -> EquilibriumMLP:
    return EquilibriumMLP(SIZES, generator=torch.Generator().manual_seed(1), **settings).double()  # type: ignore[arg-type]


def data(n: int = 9) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(2)
    return torch.rand(n, SIZES[0], generator=g, dtype=torch.float64), torch.randint(SIZES[-1], (n,), generator=g)


def nudged_phi(net: EquilibriumMLP, x: Tensor, states: list[Tensor], targets: Tensor, beta: float) -> Tensor:
    """Phi - beta L, summed over the batch: what everything here is a derivative of."""
    n = len(states)
    phi = layered_phi(x, states, net.weights[:n], net.biases[:n]).sum()
    return phi - beta * len(x) * net.loss(states[-1], targets)


def oracle(
    net: EquilibriumMLP, x: Tensor, states: list[Tensor], steps: int, targets: Tensor, beta: float
) -> list[Tensor]:
    """The dynamics by automatic differentiation of Phi, nothing in closed form."""
    paces = torch.split(net.dt, list(net.state_sizes)) if net.dt.ndim else [net.dt] * len(states)
    for _ in range(steps):
        states = [s.detach().requires_grad_() for s in states]
        sums = torch.autograd.grad(nudged_phi(net, x, states, targets, beta), states)
        states = [
            s + dt * (a.value(total) - s) for s, total, a, dt in zip(states, sums, net.activations, paces, strict=True)
        ]
    return [s.detach() for s in states]


@pytest.mark.parametrize("read_out", READ_OUTS)
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("dt", ["1", "0.3", "units"])
@pytest.mark.parametrize("bias", [True, False])
def test_both_forms_of_the_steps_are_those_of_phi(read_out: str, activation: str, dt: str, bias: bool) -> None:
    pace = torch.linspace(0.1, 1, 15, dtype=torch.float64) if dt == "units" else float(dt)
    if dt == "units" and read_out == "softmax-read-out":
        pace = torch.linspace(0.1, 1, 11, dtype=torch.float64)
    net = network(read_out=read_out, activation=activation, dt=pace, bias=bias)
    x, targets = data()
    begin = [torch.full_like(s, 0.2) for s in net.zeros(x)]
    for beta, steps in itertools.product((0.0, 0.5, -0.5), (1, 2, 5)):
        expected = oracle(net, x, begin, steps, targets, beta)
        plain = net.settle(net.start(x), begin, steps, targets=targets, beta=beta)
        with torch.no_grad():
            fast = net.settle(net.start(x), begin, steps, targets=targets, beta=beta)
        before = oracle(net, x, begin, steps - 1, targets, beta)
        residual = torch.stack([(s - b).abs().max() for s, b in zip(expected, before, strict=True)])
        for found in (plain, fast):
            for one, other in zip(found.states, expected, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)
            torch.testing.assert_close(found.residual, residual, rtol=1e-9, atol=1e-12)
        # The states that were given are still what they were.
        assert all(bool((s == 0.2).all()) for s in begin)


@pytest.mark.parametrize("read_out", READ_OUTS)
@pytest.mark.parametrize("betas", [(-0.4, 0.4), (0.0, 0.4), (0.0, -0.4)])
def test_the_contrast_is_the_difference_of_phis_gradients(read_out: str, betas: tuple[float, float]) -> None:
    net = network(read_out=read_out)
    x, targets = data()
    minus, plus = (oracle(net, x, net.zeros(x), 12, targets, beta) for beta in betas)
    factor = 1 / (betas[1] - betas[0])
    found = net.contrast(net.start(x), x, minus, plus, factor, targets=targets, betas=betas)
    phis = [nudged_phi(net, x, s, targets, beta) for s, beta in zip((minus, plus), betas, strict=True)]
    expected = torch.autograd.grad(factor * (phis[0] - phis[1]) / len(x), net.trained)
    assert len(found) == len(net.trained) == len(net.layer_of)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)
        assert float(one.abs().max()) > 0
