"""The convolutional network: closed form against autograd of Phi, both poolings, every read-out."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from neurosleep.data import load_dataset, to_float
from neurosleep.errors import SettingsError, UnknownNameError
from neurosleep.functional import torch_generator
from neurosleep.functional.equilibrium import soft_targets
from neurosleep.learning import EquilibriumPropagation, accuracy
from neurosleep.networks.equilibrium import EquilibriumMLP
from neurosleep.networks.equilibrium_conv import EquilibriumConv
from neurosleep.networks.pooling import Pooling


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Odd maps that no window fills, no pooling, no hidden and no padding among them.
NETS: dict[str, dict[str, Any]] = {
    "plain": {"image": (6, 8, 2), "channels": [3, 4], "fc": [5]},
    "odd": {"image": (9, 7, 1), "channels": [3, 2, 2], "kernel": [3, 2, 3], "padding": [0, 1, 1], "pool": [2, 1, 3]},
    "deep top": {"image": (6, 6, 3), "channels": [4], "kernel": 5, "padding": 2, "pool": 3, "fc": [7, 5]},
}


def small(name: str = "plain", **settings: Any) -> EquilibriumConv:
    pooling = settings.pop("pooling", "max")
    settings = NETS[name] | {"init": 1.5} | settings
    settings["pool"] = Pooling(settings.get("pool", 2), pooling)
    net = EquilibriumConv(settings.pop("image"), settings.pop("channels"), generator=seeded(), **settings)
    return net.double()


def batch_of(net: EquilibriumConv, n: int = 4) -> tuple[Tensor, Tensor]:
    g = seeded(1)
    return (
        torch.randn(n, net.sizes[0], generator=g, dtype=torch.float64),
        torch.randint(net.sizes[-1], (n,), generator=g),
    )


def random_states(net: EquilibriumConv, n: int, seed: int) -> list[Tensor]:
    g = seeded(seed)
    return [torch.rand(n, size, generator=g, dtype=torch.float64) for size in net.state_sizes]


def oracle_phi(
    net: EquilibriumConv, settings: dict[str, Any], x: Tensor, states: list[Tensor], labels: Tensor, beta: float
) -> Tensor:
    """Phi - beta L, batch sum, written from the definition with plain modules of torch and NCHW maps."""
    layers = len(settings["channels"])
    kernel, padding, pool = (
        [v] * layers if isinstance(v, int) else v
        for v in (settings.get("kernel", 3), settings.get("padding", 1), settings.get("pool", 2))
    )
    parameters = iter(net.trained)
    total = torch.zeros((), dtype=x.dtype)
    maps = x.view(len(x), *settings["image"]).permute(0, 3, 1, 2)
    for k in range(layers):
        weight, bias = next(parameters), next(parameters)
        assert weight.shape[2:] == (kernel[k], kernel[k])
        found = F.conv2d(maps, weight, bias, padding=padding[k])
        found = (F.avg_pool2d if settings.get("pooling") == "average" else F.max_pool2d)(found, pool[k])
        maps = states[k].view(len(x), found.shape[2], found.shape[3], -1).permute(0, 3, 1, 2)
        total = total + (found * maps).sum()
    for below, state in zip(states[layers - 1 : -1], states[layers:], strict=True):
        total = total + (F.linear(below, next(parameters), next(parameters)) * state).sum()
    target = soft_targets(labels, states[-1], net.sizes[-1])
    if net.read_out_kind == "squared-error":
        loss = 0.5 * (states[-1] - target).square().sum()
    elif net.read_out_kind == "cross-entropy":
        loss = F.cross_entropy(states[-1], labels, reduction="sum")
    else:
        loss = F.cross_entropy(F.linear(states[-1], next(parameters), next(parameters)), labels, reduction="sum")
    assert next(parameters, None) is None
    return total - beta * loss


READ_OUTS = ["squared-error", "cross-entropy", "softmax-read-out"]


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("read_out", READ_OUTS)
@pytest.mark.parametrize("name", list(NETS))
def test_steps_and_gradients_are_autograds_of_phi(name: str, read_out: Any, pooling: Any) -> None:
    settings = NETS[name] | {"pooling": pooling}
    net = small(name, pooling=pooling, read_out=read_out)
    x, labels = batch_of(net)
    betas = (-0.4, 0.7)
    states = [random_states(net, len(x), seed) for seed in (2, 3)]
    gradients = []
    for now, beta in zip(states, betas, strict=True):
        leaves = [s.clone().requires_grad_() for s in now]
        phi = oracle_phi(net, settings, x, leaves, labels, beta)
        *sums, last = torch.autograd.grad(phi, leaves, retain_graph=True)
        gradients.append(torch.autograd.grad(phi, net.trained))
        expected = [(s / 2).clamp(0, 1) for s in sums]
        expected.append(last if read_out == "cross-entropy" else (last / 2).clamp(0, 1))
        for enabled in (True, False):
            with torch.set_grad_enabled(enabled):
                found = net.settle(net.start(x), now, 1, targets=labels, beta=beta)
            for a, b in zip(found.states, expected, strict=True):
                torch.testing.assert_close(a.detach(), b, rtol=1e-11, atol=1e-12)
            changes = [float((a - b).detach().abs().max()) for a, b in zip(found.states, now, strict=True)]
            assert found.residual.tolist() == pytest.approx(changes, rel=1e-12)
    with torch.no_grad():
        contrast = net.contrast(net.start(x), x, *states, 2.5, targets=labels, betas=betas)
    assert len(contrast) == len(net.trained)
    for g, minus, plus in zip(contrast, *gradients, strict=True):
        assert float(g.abs().max()) > 0
        torch.testing.assert_close(g, -2.5 / len(x) * (plus - minus), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("name", list(NETS))
def test_the_predictive_form_takes_presynaptic_states_of_plus_and_each_phases_maxima(name: str, pooling: Any) -> None:
    net = small(name, pooling=pooling, read_out="squared-error")
    x, labels = batch_of(net)
    minus, plus = (random_states(net, len(x), seed) for seed in (2, 3))
    with torch.no_grad():
        found = net.contrast(net.start(x), x, minus, plus, 2.0, targets=labels, predictive=True)
    expected: list[Tensor] = []
    for k, layer in enumerate(net._layers[: len(plus)]):
        belows = (minus[k - 1], plus[k - 1]) if k else (x, x)
        if isinstance(layer, torch.nn.Linear):
            moved = plus[k] - minus[k]
            expected += [moved.T @ belows[1], moved.sum(0)]
            continue
        maps = [b.view(len(x), *layer.below).permute(0, 3, 1, 2) for b in belows]
        spreads = []
        for below, state in zip(maps, (minus[k], plus[k]), strict=True):
            sums = F.conv2d(below, layer.weight, layer.bias, padding=layer.padding).detach().requires_grad_()
            pool = F.avg_pool2d if pooling == "average" else F.max_pool2d
            target = state.view(len(x), *layer.shape).permute(0, 3, 1, 2)
            spreads.append(torch.autograd.grad((pool(sums, layer.window) * target).sum(), sums)[0])
        moved = spreads[1] - spreads[0]
        weight = layer.weight.detach().clone().requires_grad_()
        product = (F.conv2d(maps[1], weight, padding=layer.padding) * moved).sum()
        expected += [torch.autograd.grad(product, weight)[0], moved.sum((0, 2, 3))]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, -2.0 / len(x) * b, rtol=1e-10, atol=1e-12)


def test_a_phase_is_its_steps_and_leaves_what_it_was_given() -> None:
    net = small("odd")
    x, labels = batch_of(net)
    with torch.no_grad():
        drive, zeros = net.start(x), net.zeros(x)
        found = net.settle(drive, zeros, 6, targets=labels, beta=0.3)
        states = zeros
        for _ in range(6):
            states = net.settle(drive, states, 1, targets=labels, beta=0.3).states
        assert all(torch.equal(a, b) for a, b in zip(found.states, states, strict=True))
        assert all(float(s.abs().max()) == 0 for s in zeros)
        path = net.evolve(drive, zeros, 6, lambda step, now: None, targets=labels, beta=0.3)
        assert all(torch.equal(a, b) for a, b in zip(found.states, path, strict=True))
        assert torch.equal(net(x), net.settle(drive, zeros, net.free_steps).states[-1])
        assert torch.equal(net(x), net.activities(x)[-1])


@pytest.mark.parametrize("read_out", READ_OUTS)
def test_settling_is_differentiable(read_out: Any) -> None:
    net = small(read_out=read_out, free_steps=8, init=0.7)
    x, labels = batch_of(net)
    loss = net.loss(net(x), labels)
    gradients = torch.autograd.grad(loss, net.trained)
    step = 1e-6
    for parameter, gradient in zip(net.trained, gradients, strict=True):
        direction = torch.randn(parameter.shape, generator=seeded(5), dtype=torch.float64)
        values = []
        with torch.no_grad():
            for sign in (1, -1):
                parameter.add_(direction, alpha=sign * step)
                values.append(float(net.loss(net(x), labels)))
                parameter.sub_(direction, alpha=sign * step)
        assert float((gradient * direction).sum()) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5)


def test_gradients_approach_those_of_backpropagation_through_time() -> None:
    for pooling in ("max", "average"):
        net = small(read_out="softmax-read-out", pooling=pooling, init=0.3, free_steps=150, activation="tanh")
        x, labels = batch_of(net)
        with torch.no_grad():
            drive = net.start(x)
            free = net.settle(drive, net.zeros(x), 150)
            assert float(free.residual.max()) < 1e-12
        drive = net.start(x)
        loss = net.loss(net.settle(drive, free.states, 60).states[-1], labels)
        exact = torch.cat([g.flatten() for g in torch.autograd.grad(loss, net.trained)])
        errors = []
        for beta in (0.02, 0.01):
            with torch.no_grad():
                drive = net.start(x)
                minus, plus = (net.settle(drive, free.states, 60, targets=labels, beta=b).states for b in (-beta, beta))
                found = net.contrast(drive, x, minus, plus, 1 / (2 * beta), targets=labels, betas=(-beta, beta))
            errors.append(float((torch.cat([g.flatten() for g in found]) - exact).norm() / exact.norm()))
        # The symmetric estimator errs in the second order: a fourth of the error at half of beta.
        assert errors[0] < 1e-3
        assert 0.2 < errors[1] / errors[0] < 0.3


def test_a_kernel_as_large_as_the_image_is_a_fully_connected_layer() -> None:
    net = small(
        "deep top", image=(4, 4, 2), channels=[6], kernel=4, padding=0, pool=1, fc=[3], read_out="squared-error"
    )
    mlp = EquilibriumMLP((32, 6, 3), activation="my_hard_sig").double()
    with torch.no_grad():
        mlp.trained[0].copy_(net.weights[0].permute(0, 2, 3, 1).reshape(6, 32))
        for mine, theirs in zip(net.trained[1:], mlp.trained[1:], strict=True):
            theirs.copy_(mine)
        x, labels = batch_of(net)
        ends = [
            [n.settle(n.start(x), n.zeros(x), 9, targets=labels, beta=beta).states for beta in (-0.2, 0.2)]
            for n in (net, mlp)
        ]
        for phase in (0, 1):
            for a, b in zip(ends[0][phase], ends[1][phase], strict=True):
                torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
        for predictive in (False, True):
            mine, theirs = (
                n.contrast(n.start(x), x, *phases, 2.5, predictive=predictive)
                for n, phases in zip((net, mlp), ends, strict=True)
            )
            mine[0] = mine[0].permute(0, 2, 3, 1).reshape(6, 32)
            for a, b in zip(mine, theirs, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


def test_images_may_be_flat_or_with_their_rows_and_channels() -> None:
    net = small()
    x, _ = batch_of(net)
    with torch.no_grad():
        assert torch.equal(net(x), net(x.view(-1, 6, 8, 2)))


def test_parts_and_initial_weights() -> None:
    net = EquilibriumConv((32, 32, 3), [16, 8], fc=[20, 10], padding=[1, 0], init=0.5, generator=seeded())
    shapes = [(16, 3, 3, 3), (16,), (8, 16, 3, 3), (8,), (20, 392), (20,), (10, 20), (10,)]
    assert [tuple(p.shape) for p in net.trained] == shapes
    assert net.layer_of == [0, 0, 1, 1, 2, 2, 3, 3]
    assert net.sizes == (3072, 16 * 16 * 16, 7 * 7 * 8, 20, 10)
    assert net.state_sizes == net.sizes[1:-1]
    assert [w.ndim for w in net.weights] == [4, 4, 2, 2]
    for weight in net.weights:
        bound = 0.5 / math.sqrt(weight[0].numel())
        assert 0.9 * bound < float(weight.detach().abs().max()) <= bound
    same = EquilibriumConv((32, 32, 3), [16, 8], fc=[20, 10], padding=[1, 0], init=0.5, generator=seeded())
    assert all(torch.equal(a, b) for a, b in zip(net.trained, same.trained, strict=True))
    x = torch.rand(2, 3072, generator=seeded(1))
    with torch.no_grad():
        output = net(x)
        assert output.shape == (2, 20)
        torch.testing.assert_close(net.read_out(output).sum(1), torch.ones(2))
        assert net.read_out(output).shape == (2, 10)
    bare = small(bias=False)
    assert len(bare.trained) == 3 and bare.layer_of == [0, 1, 2]
    x, labels = batch_of(bare)
    with torch.no_grad():
        phases = random_states(bare, len(x), 2), random_states(bare, len(x), 3)
        full = small()
        for mine, theirs in zip(bare.trained, full.trained[::2], strict=True):
            theirs.copy_(mine)
        for theirs in full.trained[1::2]:
            theirs.zero_()
        found, expected = (
            n.contrast(n.start(x), x, *phases, 1.0, targets=labels, betas=(-0.5, 0.5)) for n in (bare, full)
        )
        assert all(torch.equal(a, b) for a, b in zip(found, expected[::2], strict=True))


LEARNINGS: dict[str, dict[str, Any]] = {
    "symmetric": {},
    "one-sided": {"estimator": "one-sided"},
    "adaptation": {
        "estimator": "one-sided",
        "predictive": True,
        "second_start": 18,
        "adaptation_steps": 3,
        "adaptation_nudged": True,
    },
}


@pytest.mark.parametrize("read_out", READ_OUTS)
@pytest.mark.parametrize("name", LEARNINGS)
def test_it_learns_digits(name: str, read_out: Any) -> None:
    d = load_dataset("mnist-mini")
    images, tests = (torch.from_numpy(to_float(a)).flatten(1) for a in (d.images[::5], d.test_images[::4]))
    labels, test_labels = torch.from_numpy(d.labels[::5]), torch.from_numpy(d.test_labels[::4])
    net = EquilibriumConv(
        (28, 28, 1), [8], kernel=5, padding=0, pool=4, read_out=read_out, free_steps=20, generator=seeded()
    )
    # An output without bounds wants smaller steps.
    lr = (0.2, 0.003) if read_out == "cross-entropy" else (0.4, 0.1)
    learning = EquilibriumPropagation(beta=0.3, nudged_steps=5, lr=lr, batch=20, **LEARNINGS[name])
    before = [p.detach().clone() for p in net.trained]
    epochs = learning.fit(
        net, images, labels, learning.state(net), lambda stream, epoch: torch_generator(3, stream, 0, epoch)
    )
    assert list(epochs) == [1]
    assert all(not torch.equal(p, old) for p, old in zip(net.trained, before, strict=True))
    assert accuracy(net, tests, test_labels) > 0.65


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"image": (6, 8)},
        {"image": (6, 0, 2)},
        {"channels": []},
        {"channels": [3, 0]},
        {"fc": []},
        {"kernel": [3]},
        {"kernel": 0},
        {"kernel": 9, "padding": 0},
        {"padding": -1},
        {"padding": 3},
        {"pool": 0},
        {"pool": 7},
        {"init": 0.0},
        {"free_steps": 0},
        {"kind": "maks"},
        {"read_out": "soft-max"},
        {"activation": "hard_sigmod"},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    settings = {"image": (6, 8, 2), "channels": [3, 4]} | wrong
    with pytest.raises(SettingsError) as caught:
        settings["pool"] = Pooling(settings.get("pool", 2), settings.pop("kind", "max"))
        EquilibriumConv(**settings)
    assert isinstance(caught.value, UnknownNameError) == isinstance(next(iter(wrong.values())), str)


def test_wrong_calls_are_refused() -> None:
    net = small()
    x, _ = batch_of(net)
    for bad in (x[:, 1:], x.view(-1, 2, 6, 8)):
        with pytest.raises(SettingsError, match="channels last"):
            net.start(bad)
    with torch.no_grad():
        drive, states = net.start(x), net.zeros(x)
        with pytest.raises(SettingsError, match="targets"):
            net.settle(drive, states, 3, beta=0.1)
        with pytest.raises(SettingsError, match="0 steps"):
            net.settle(drive, states, 0)
        with pytest.raises(SettingsError, match="targets"):
            net.contrast(drive, x, states, states, 1.0)
