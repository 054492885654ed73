"""BPTT on equilibrium dynamics, and its equality with Equilibrium Propagation step by step, in float64."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import Tensor

from neurosleep.data import load_dataset, to_float
from neurosleep.errors import SettingsError, UnsupportedError
from neurosleep.functional import HeterogeneousSteps, torch_generator
from neurosleep.learning import BPTT, Batch, EquilibriumPropagation, accuracy
from neurosleep.networks import DendriticMLP, EquilibriumConv, EquilibriumMLP, EquilibriumNetwork

SIZES = (6, 8, 7, 4)


def streams(name: str, epoch: int) -> torch.Generator:
    return torch_generator(3, name, 0, epoch)


def network(**settings: object) -> EquilibriumMLP:
    made = {"activation": "mysig", "free_steps": 3000, "generator": torch.Generator().manual_seed(8)} | settings
    return EquilibriumMLP(SIZES, **made).double()  # type: ignore[arg-type]


def data(n: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(2)
    return torch.rand(n, SIZES[0], generator=g, dtype=torch.float64), torch.randint(SIZES[-1], (n,), generator=g)


def learn(learning: EquilibriumPropagation | BPTT, net: EquilibriumNetwork, x: Tensor, targets: Tensor) -> list[Tensor]:
    """What one step of training hands to the optimiser, as a hook sees it."""
    found: list[Tensor] = []

    def keep(batch: Batch) -> None:
        found.extend(p.grad.clone() for p in net.trained if p.grad is not None)

    list(learning.fit(net, x, targets, learning.state(net), streams, after_backward=keep))
    return found


def gradients(learning: EquilibriumPropagation | BPTT, net: EquilibriumMLP) -> list[Tensor]:
    return learn(learning, net, *data())


CASES = [
    {},
    {"activation": "tanh", "dt": 0.4},
    {"activation": "hard_sigmoid"},
    {"dt": HeterogeneousSteps("uniform")},
    {"read_out": "cross-entropy"},
    {"read_out": "softmax-read-out", "dt": HeterogeneousSteps("gamma")},
]


@pytest.mark.parametrize("settings", CASES, ids=str)
def test_each_nudged_step_adds_what_bptt_finds_as_many_steps_before_the_end(settings: dict[str, object]) -> None:
    """Gradient-descending updates (Ernoult et al. 2019): contribution by contribution, not only their sum."""
    net, (x, targets), steps, beta = network(**settings), data(), 9, 1e-4
    inner = 2 * len(net.state_sizes)  # the weights of a read-out take no part in the dynamics
    with torch.no_grad():
        drive = net.start(x)
        free, residual = net.settle(drive, net.zeros(x), net.free_steps)
    assert float(residual.max()) < 1e-14

    # BPTT with a copy of the network at each step: the gradient of each copy is that step's contribution.
    copies = [copy.deepcopy(net) for _ in range(steps)]
    states = free
    for one in copies:
        states = one.settle(one.start(x), states, 1).states
    loss = copies[-1].loss(states[-1], targets)
    parameters = [p for one in copies for p in one.trained[:inner]]
    flat = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    by_bptt = [flat[k * inner : (k + 1) * inner] for k in range(steps)]

    paths = {}
    for sign in (1, -1):
        paths[sign] = [free]
        net.evolve(
            drive,
            free,
            steps,
            lambda step, now, sign=sign: paths[sign].append([s.clone() for s in now]),  # type: ignore[misc]
            targets=targets,
            beta=sign * beta,
        )
    largest = 0.0
    for t in range(steps):
        updates = [
            net.contrast(drive, x, paths[sign][t], paths[sign][t + 1], sign / (2 * beta), targets=targets)
            for sign in (1, -1)
        ]
        for up, down, expected in zip(updates[0], updates[1], by_bptt[steps - 1 - t], strict=False):
            torch.testing.assert_close(up + down, expected, rtol=1e-5, atol=1e-8)
            largest = max(largest, float(expected.abs().max()))
    assert largest > 1e-3
    # The nudge reaches the first layer after as many steps as there are layers, and not before.
    first = [float(step[0].abs().max()) for step in reversed(by_bptt)]
    reached = len(net.state_sizes) - 1
    assert not any(first[:reached]) and first[reached] > 0


@pytest.mark.parametrize("settings", CASES, ids=str)
@pytest.mark.parametrize("steps", [1, 4, 30])
def test_the_gradients_of_ep_and_bptt_are_equal_for_a_small_nudge(settings: dict[str, object], steps: int) -> None:
    by_ep = gradients(EquilibriumPropagation(beta=1e-4, nudged_steps=steps, lr=0.1), network(**settings))
    by_bptt = gradients(BPTT(gradient_steps=steps, lr=0.1), network(**settings))
    for one, other in zip(by_ep, by_bptt, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-8)
    assert max(float(g.abs().max()) for g in by_bptt) > 1e-3


def test_the_symmetric_estimator_errs_by_the_square_of_beta() -> None:
    exact = gradients(BPTT(gradient_steps=60, lr=0.1), network())[0]
    errors = {}
    for estimator, beta in itertools.product(("one-sided", "symmetric"), (0.2, 0.1)):
        learning = EquilibriumPropagation(estimator=estimator, beta=beta, nudged_steps=60, lr=0.1)  # type: ignore[arg-type]
        errors[estimator, beta] = float((gradients(learning, network())[0] - exact).norm())
    assert errors["one-sided", 0.2] / errors["one-sided", 0.1] == pytest.approx(2, rel=0.15)
    assert errors["symmetric", 0.2] / errors["symmetric", 0.1] == pytest.approx(4, rel=0.15)
    assert errors["symmetric", 0.1] < errors["one-sided", 0.1] / 5


def test_only_the_last_steps_are_differentiated() -> None:
    """Against autograd through the whole free phase from a detached state, written out here."""
    net, (x, targets) = network(free_steps=9), data()
    found = gradients(BPTT(gradient_steps=2, lr=0.1), network(free_steps=9))
    with torch.no_grad():
        states = net.settle(net.start(x), net.zeros(x), 7).states
    loss = net.loss(net.settle(net.start(x), states, 2).states[-1], targets)
    expected = torch.autograd.grad(loss, net.trained, allow_unused=True, materialize_grads=True)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)
    whole = torch.autograd.grad(net.loss(net(x), targets), net.trained)
    assert not torch.allclose(whole[0], found[0])


def test_a_loss_term_is_followed() -> None:
    net = network()
    plain = gradients(BPTT(lr=0.1), network())
    found: list[Tensor] = []
    learning = BPTT(lr=0.1)
    list(
        learning.fit(
            net,
            *data(),
            learning.state(net),
            streams,
            loss_term=lambda batch: 2 * net.weights[1].sum() + batch.activities[-1].sum(),
            after_backward=lambda batch: found.extend(p.grad.clone() for p in net.trained if p.grad is not None),
        )
    )
    # The first part acts on one weight matrix, the second through the dynamics on all.
    assert float((found[2] - plain[2]).mean()) > 1
    assert not torch.allclose(found[0], plain[0])


@pytest.mark.parametrize("wrong", [{"gradient_steps": 0}, {"gradient_steps": 13, "free_steps": 12}])
def test_wrong_settings_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match=r"gradient_steps is 0|T2, 13"):
        BPTT(**wrong)  # type: ignore[arg-type]


def test_more_differentiated_steps_than_the_network_takes_are_refused() -> None:
    net, learning = network(free_steps=5), BPTT(gradient_steps=6, lr=0.1)
    with pytest.raises(SettingsError, match="T1, 5"):
        list(learning.fit(net, *data(), learning.state(net), streams))


@pytest.mark.parametrize("settings", [{}, {"dt": 0.4}, {"dt": HeterogeneousSteps("uniform")}], ids=str)
def test_straight_through_the_error_of_a_clipped_output_reaches_its_sum(settings: dict[str, object]) -> None:
    def made() -> EquilibriumMLP:
        net = network(activation="hard_sigmoid", **settings)
        with torch.no_grad():
            net.trained[-1].copy_(torch.tensor([-5.0, 5.0, 0.5, 0.5]))  # two outputs clipped, at 0 and 1
        return net

    plain = gradients(BPTT(gradient_steps=1, lr=0.1), made())
    through = gradients(BPTT(gradient_steps=1, lr=0.1, straight_through=True), made())
    net, (x, targets) = made(), data()
    with torch.no_grad():
        hidden, output = net.activities(x)[-2:]
    assert bool((output[:, 0] == 0).all()) and bool((output[:, 1] > 1 - 1e-9).all())
    error = (output - torch.nn.functional.one_hot(targets, 4)) / len(x)
    pace = net.dt[-4:] if net.dt.ndim else net.dt
    expected = (pace * error).T @ hidden
    assert not plain[-2][:2].any()
    torch.testing.assert_close(through[-2][:2], expected[:2], rtol=1e-9, atol=1e-12)
    # The weights of the others are moved as before.
    torch.testing.assert_close(through[-2][2:], plain[-2][2:], rtol=1e-9, atol=1e-12)
    # With more steps it goes on to the layers below.
    for steps in (1, 5):
        both = [gradients(BPTT(gradient_steps=steps, lr=0.1, straight_through=way), made())[2] for way in (False, True)]
        assert torch.equal(*both) == (steps == 1)


@pytest.mark.parametrize("kind", ["dendritic", "conv"])
def test_straight_through_works_in_networks_with_dendrites_and_convolutions(kind: str) -> None:
    """A clipped output unit gets the gradient of its summed input; the others are as before."""
    generator = torch_generator(3, "init")
    x, targets = torch.rand(5, 16, generator=generator), torch.tensor([0, 1, 2, 3, 0])
    made: list[EquilibriumNetwork] = []
    for _ in range(2):
        if kind == "conv":
            source = torch_generator(1, "init")
            net: EquilibriumNetwork = EquilibriumConv(
                (4, 4, 1), (3,), fc=(4,), read_out="squared-error", activation="hard_sigmoid", generator=source
            )
        else:
            net = DendriticMLP([16, 6, 4], generator=torch_generator(1, "init"))
        with torch.no_grad():
            bias = net.trained[-1].view(-1, 4)  # per branch, where there are branches
            bias[:, 0], bias[:, 1:] = 5.0, 0.3
        made.append(net.double())
    x = x.double()
    with torch.no_grad():
        output = made[0].activities(x)[-1]
        hidden = made[0].settle(made[0].start(x), made[0].zeros(x), made[0].free_steps - 1).states[-2]
    plain, through = (
        learn(BPTT(gradient_steps=1, lr=0.1, straight_through=way), net, x, targets)
        for way, net in zip((False, True), made, strict=True)
    )
    assert bool((output[:, 0] == 1).all()) and not bool((output[:, 1:] == 1).any())
    error = (output[:, 0] - (targets == 0).double()) / len(x)
    rows = plain[-2].view(-1, 4, hidden.shape[1]), through[-2].view(-1, 4, hidden.shape[1])
    assert not rows[0][:, 0].any()
    expected = error @ hidden / len(rows[0])
    mask = made[0].masks[-2] if isinstance(made[0], DendriticMLP) else None
    for branch, found in enumerate(rows[1][:, 0]):
        kept = 1.0 if mask is None else mask.view(-1, 4, hidden.shape[1])[branch, 0]
        torch.testing.assert_close(found, expected * kept, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(rows[1][:, 1:], rows[0][:, 1:], rtol=1e-9, atol=1e-12)


def test_a_soft_max_read_out_on_convolutions_needs_no_way_straight_through() -> None:
    source = torch_generator(1, "init")
    x, targets = torch.rand(5, 16, generator=source), torch.tensor([0, 1, 2, 3, 0])
    ways = []
    for way in (False, True):
        net = EquilibriumConv((4, 4, 1), (3,), fc=(4,), generator=torch_generator(1, "init"))
        ways.append(learn(BPTT(gradient_steps=4, lr=0.1, straight_through=way), net, x, targets))
    for one, other in zip(*ways, strict=True):
        assert torch.equal(one, other)


def test_straight_through_changes_nothing_where_no_output_is_clipped() -> None:
    for settings in ({}, {"read_out": "cross-entropy", "activation": "hard_sigmoid"}):
        plain = gradients(BPTT(lr=0.1), network(**settings))
        through = gradients(BPTT(lr=0.1, straight_through=True), network(**settings))
        for one, other in zip(plain, through, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_dynamics_without_a_way_straight_through_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="straight_through=False"):
        gradients(BPTT(lr=0.1, straight_through=True), network(dynamics="hopfield"))


def test_bptt_learns_digits() -> None:
    d = load_dataset("mnist-mini")
    images, labels = torch.from_numpy(to_float(d.images)).flatten(1), torch.from_numpy(d.labels)
    test_images, test_labels = torch.from_numpy(to_float(d.test_images)).flatten(1), torch.from_numpy(d.test_labels)
    net = EquilibriumMLP([784, 64, 10], free_steps=25, generator=torch_generator(0, "init"))
    learning = BPTT(gradient_steps=6, straight_through=True, residual_limit=0.1)
    assert list(learning.fit(net, images, labels, learning.state(net), streams)) == [1]
    assert accuracy(net, test_images, test_labels) > 0.85
