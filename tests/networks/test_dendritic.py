"""The dendritic network: closed form against autograd of each layer's Phi, masks for life, forms it reduces to."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from neurosleep.errors import ConversionError, SettingsError, UnknownNameError
from neurosleep.functional.dendritic import DendriticLayer, dendritic_phi, kept_inputs
from neurosleep.functional.equilibrium import soft_targets
from neurosleep.networks.dendritic import DendriticMLP
from neurosleep.networks.equilibrium import EquilibriumMLP


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(sizes: tuple[int, ...] = (12, 9, 7, 5), **settings: Any) -> DendriticMLP:
    settings = {"basal_branches": 4, "apical_branches": 3, "apical_scale": 0.6, "init": 2.0} | settings
    return DendriticMLP(sizes, generator=seeded(), **settings).double()


def batch_of(net: DendriticMLP, n: int = 6) -> tuple[Tensor, Tensor]:
    g = seeded(1)
    x = torch.randn(n, net.sizes[0], generator=g, dtype=torch.float64)
    return x, torch.randint(net.sizes[-1], (n,), generator=g)


def oracle_phi(net: DendriticMLP, x: Tensor, states: list[Tensor], parameters: list[Tensor]) -> list[Tensor]:
    """Phi of each layer from the parameters in the order of ``trained``, masked here."""
    rest = iter(p if mask is None else p * mask for p, mask in zip(parameters, net.masks, strict=True))
    last = len(states) - 1
    layers = [DendriticLayer(next(rest), next(rest), next(rest) if k < last else None) for k in range(last + 1)]
    return dendritic_phi(x, states, layers, net.branches, net.apical_scale)


def oracle_gradients(net: DendriticMLP, x: Tensor, states: list[Tensor]) -> list[Tensor]:
    """Gradient of the batch sum of each Phi_l in its own layer's parameters, by autograd."""
    parameters = [p.detach().clone().requires_grad_() for p in net.trained]
    found = []
    for k, phi in enumerate(oracle_phi(net, x, states, parameters)):
        own = parameters[3 * k : 3 * k + 3]
        found += torch.autograd.grad(phi.sum(), own)
    return found


@pytest.mark.parametrize("read_out", ["squared-error", "cross-entropy"])
@pytest.mark.parametrize("sizes", [(12, 5), (12, 9, 5), (12, 9, 7, 5)])
def test_a_step_is_the_derivative_of_each_layers_own_phi(sizes: tuple[int, ...], read_out: Any) -> None:
    net = small(sizes, read_out=read_out)
    x, labels = batch_of(net)
    states = [torch.rand(len(x), n, generator=seeded(k), dtype=torch.float64) for k, n in enumerate(sizes[1:])]
    beta = 0.3
    leaves = [s.clone().requires_grad_() for s in states]
    phis = oracle_phi(net, x, leaves, list(net.trained))
    target = soft_targets(labels, states[-1])
    if read_out == "squared-error":
        loss = 0.5 * (leaves[-1] - target).square().sum()
    else:
        loss = -(target * torch.log_softmax(leaves[-1], 1)).sum()
    phis[-1] = phis[-1] - beta * loss / len(x)  # every entry of phis[-1] carries the whole sum: n times 1/n
    expected = [
        torch.autograd.grad(phi.sum(), leaf, retain_graph=True)[0].clamp(0, 1)
        for phi, leaf in zip(phis, leaves, strict=True)
    ]
    if read_out == "cross-entropy":
        expected[-1] = torch.autograd.grad(phis[-1].sum(), leaves[-1])[0]
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled):
            found = net.settle(net.start(x), states, 1, targets=labels, beta=beta).states
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a.detach(), b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("predictive", [False, True])
def test_the_contrast_is_autograds(predictive: bool) -> None:
    net = small()
    x, _ = batch_of(net)
    g = seeded(3)
    minus, plus = ([torch.rand(len(x), n, generator=g, dtype=torch.float64) for n in net.sizes[1:]] for _ in range(2))
    with torch.no_grad():
        drive = net.start(x)
        found = net.contrast(drive, x, minus, plus, 2.5, predictive=predictive)
    if predictive:
        # Phi_l is linear in its own state: the presynaptic states of plus, the postsynaptic ones of either phase.
        expected = []
        for k in range(len(plus)):
            own: list[list[Tensor]] = []
            for phase in (plus, minus):
                mixed = list(plus)
                mixed[k] = phase[k]
                own.append(oracle_gradients(net, x, mixed)[3 * k : 3 * k + 3])
            expected += [a - b for a, b in zip(*own, strict=True)]
    else:
        expected = [a - b for a, b in zip(oracle_gradients(net, x, plus), oracle_gradients(net, x, minus), strict=True)]
    assert len(found) == len(net.trained) == len(expected) == 8
    for a, b, p in zip(found, expected, net.trained, strict=True):
        assert a.shape == p.shape
        torch.testing.assert_close(a, -2.5 / len(x) * b, rtol=1e-11, atol=1e-13)


def test_the_fast_phase_is_the_differentiable_one() -> None:
    net = small()
    x, labels = batch_of(net)
    for beta in (0.0, 0.2):
        plain = net.settle(net.start(x), net.zeros(x), 7, targets=labels, beta=beta)
        with torch.no_grad():
            start = net.zeros(x)
            fast = net.settle(net.start(x), start, 7, targets=labels, beta=beta)
            path = net.evolve(net.start(x), start, 7, lambda step, states: None, targets=labels, beta=beta)
        assert all(float(s.abs().max()) == 0 for s in start)
        assert fast.residual.shape == (3,)
        torch.testing.assert_close(fast.residual, plain.residual, rtol=1e-9, atol=1e-12)
        for a, b, c in zip(fast.states, plain.states, path, strict=True):
            assert b.requires_grad
            assert torch.equal(a, c)
            torch.testing.assert_close(a, b.detach(), rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        assert torch.equal(net(x), net.settle(net.start(x), net.zeros(x), net.free_steps).states[-1])
        assert torch.equal(net(x), net.activities(x)[-1])


def test_evolve_may_change_states_on_the_way() -> None:
    net = small()
    x, _ = batch_of(net)
    with torch.no_grad():
        drive = net.start(x)

        seen = []

        def halve(step: int, states: list[Tensor]) -> None:
            seen.append(step)
            for state in states:
                state.mul_(0.5)

        found = net.evolve(drive, net.zeros(x), 4, halve)
        assert seen == [0, 1, 2, 3]
        states = net.zeros(x)
        for _ in range(4):
            states = [s / 2 for s in net.settle(drive, states, 1).states]
    for a, b in zip(found, states, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


# --- masks and parameters ---------------------------------------------------------------------------------------------


def test_every_branch_keeps_its_count_and_starts_within_its_bounds() -> None:
    net = DendriticMLP((40, 30, 20, 10), branch_sparsity=0.3, generator=seeded())
    shapes = [(240, 40), (240,), (60, 20), (160, 30), (160,), (40, 10), (80, 20), (80,)]
    assert [tuple(p.shape) for p in net.trained] == shapes
    assert net.layer_of == [0, 0, 1, 1, 1, 2, 2, 2]
    assert len(list(net.parameters())) == 8
    with torch.no_grad():
        for p, mask in zip(net.trained, net.masks, strict=True):
            if mask is not None:
                assert mask.sum(1).tolist() == [float(kept_inputs(p.shape[1], 0.3))] * len(p)
                assert bool((p[mask == 0] == 0).all())
                # Uniform on the full fan-in's bound: sd is bound / sqrt 3.
                bound = p.shape[1] ** -0.5
                assert float(p.abs().max()) <= bound
                assert float(p[mask == 1].std()) == pytest.approx(bound / 3**0.5, rel=0.1)
        for bias, below in zip(net.biases, (40, 30, 20), strict=True):
            bound = kept_inputs(below, 0.3) ** -0.5
            assert 0.9 * bound < float(bias.abs().max()) <= bound
    same = DendriticMLP((40, 30, 20, 10), branch_sparsity=0.3, generator=seeded())
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), same.state_dict().values(), strict=True))
    dense = DendriticMLP((40, 30, 20), branch_sparsity=0.3, apical_dense=True, generator=seeded())
    assert dense.masks[2] is not None and bool((dense.masks[2] == 1).all())
    assert dense.masks[0] is not None and float(dense.masks[0].mean()) == pytest.approx(0.3)
    assert float(small(init=2.0).basal[0].detach().abs().max()) > 12**-0.5


def test_masks_hold_whatever_is_written_behind_them() -> None:
    net, plain = small(), small()
    x, labels = batch_of(net)
    with torch.no_grad():
        for p, mask in zip(net.trained, net.masks, strict=True):
            if mask is not None:
                p.add_(3 * (1 - mask))
    loss = net.loss(net(x), labels)
    gradients = torch.autograd.grad(loss, net.trained)
    torch.testing.assert_close(loss, plain.loss(plain(x), labels), rtol=1e-12, atol=1e-12)
    for g, mask in zip(gradients, net.masks, strict=True):
        assert mask is None or bool((g[mask == 0] == 0).all())
    with torch.no_grad():
        assert torch.equal(net(x), plain(x))
        assert all(torch.equal(a, b) for a, b in zip(net.trained, plain.trained, strict=True))
        found = net.contrast(net.start(x), x, net.zeros(x), net.activities(x), 1.0)
    for g, mask in zip(found, net.masks, strict=True):
        assert bool((g != 0).any())
        assert mask is None or bool((g[mask == 0] == 0).all())


def test_masks_travel_with_the_weights() -> None:
    net, other = small(), DendriticMLP((12, 9, 7, 5), basal_branches=4, apical_branches=3, apical_scale=0.6).double()
    other.load_state_dict(net.state_dict())
    x, _ = batch_of(net)
    with torch.no_grad():
        assert torch.equal(net(x), other(x))


# --- forms it reduces to ----------------------------------------------------------------------------------------------


def test_equal_branches_are_one_branch() -> None:
    one = small(basal_branches=1, apical_branches=1, branch_sparsity=1.0)
    many = small(basal_branches=5, apical_branches=2, branch_sparsity=1.0)
    x, _ = batch_of(one)
    with torch.no_grad():
        for group in ("basal", "biases", "apical"):
            for single, several in zip(getattr(one, group), getattr(many, group), strict=True):
                several.copy_(torch.cat([single] * (len(several) // len(single))))
        torch.testing.assert_close(one(x), many(x), rtol=1e-12, atol=1e-12)


def tied_pair() -> tuple[DendriticMLP, EquilibriumMLP]:
    """One branch that sees everything and never falls silent, apical weights that are transposes: an EquilibriumMLP."""
    net = small((6, 5, 4, 3), basal_branches=1, apical_branches=1, branch_sparsity=1.0, apical_scale=1.0)
    twin = EquilibriumMLP((6, 5, 4, 3), generator=seeded()).double()
    with torch.no_grad():
        for p in twin.trained:
            p.abs_().mul_(0.4)
        for basal, bias, weight, theirs in zip(net.basal, net.biases, twin.weights, twin.trained[1::2], strict=True):
            basal.copy_(weight)
            bias.copy_(theirs)
        for apical, weight in zip(net.apical, twin.weights[1:], strict=True):
            apical.copy_(weight.T)
    return net, twin


def test_one_full_branch_with_transposed_apical_weights_is_the_symmetric_network() -> None:
    net, twin = tied_pair()
    x, labels = batch_of(net)
    x = x.abs()
    phases = []
    with torch.no_grad():
        for network in (net, twin):
            drive = network.start(x)
            free = network.settle(drive, network.zeros(x), 60).states
            nudged = [network.settle(drive, free, 20, targets=labels, beta=beta).states for beta in (-0.1, 0.1)]
            phases.append((free, *nudged, network.contrast(drive, x, *nudged, 5.0)))
    for a, b in zip(phases[0][:3], phases[1][:3], strict=True):
        for mine, theirs in zip(a, b, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
    mine, theirs = phases[0][3], phases[1][3]
    assert 0.01 < float(phases[0][0][0].mean()) < 0.99
    for found, expected in zip([mine[0], mine[1], mine[3], mine[4], mine[6], mine[7]], theirs, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    # An apical weight learns what the transposed basal weight of the layer above learns.
    for found, expected in ((mine[2], theirs[2]), (mine[5], theirs[4])):
        torch.testing.assert_close(found.T, expected, rtol=1e-10, atol=1e-12)


def test_without_apical_drive_it_is_a_feed_forward_network() -> None:
    net = small((12, 9, 5), apical_scale=0.0)
    x, _ = batch_of(net)
    with torch.no_grad():
        layer = x
        for weight, bias in zip(net.basal, net.biases, strict=True):
            units = torch.relu(layer @ weight.T + bias).view(len(x), 4, -1)
            layer = units.mean(1).clamp(0, 1)
        torch.testing.assert_close(net(x), layer, rtol=1e-12, atol=1e-12)


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"sizes": [3]},
        {"sizes": [3, 0]},
        {"basal_branches": 0},
        {"apical_branches": 0},
        {"branch_sparsity": 0.0},
        {"branch_sparsity": 1.5},
        {"apical_scale": -0.1},
        {"apical_scale": float("inf")},
        {"init": 0.0},
        {"free_steps": 0},
        {"read_out": "softmax-read-out"},
        {"activation": "hard_sigmod"},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        DendriticMLP(**({"sizes": [4, 3, 2]} | wrong))
    assert isinstance(caught.value, UnknownNameError) == isinstance(next(iter(wrong.values())), str)


def test_wrong_calls_are_refused() -> None:
    net = small()
    x, _ = batch_of(net)
    with pytest.raises(SettingsError, match="shape"):
        net.start(x[:, 1:])
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled):
            with pytest.raises(SettingsError, match="targets"):
                net.settle(net.start(x), net.zeros(x), 3, beta=0.1)
            with pytest.raises(SettingsError, match="0 steps"):
                net.settle(net.start(x), net.zeros(x), 0)


def test_conversion_is_refused_by_name() -> None:
    with pytest.raises(ConversionError, match="DendriticMLP"):
        _ = small().weights
