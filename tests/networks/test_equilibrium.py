"""The layered equilibrium network: its fast steps against the derivative of Phi by autograd, and what it refuses."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import pickle

import pytest
import torch
from torch import Tensor

from neurosleep.bench._ep import autograd_settle, nudged_phi
from neurosleep.errors import SettingsError
from neurosleep.functional import ACTIVATIONS, Activation, equilibrium, layered_phi, output_force, soft_targets
from neurosleep.learning import predict
from neurosleep.networks import EquilibriumMLP

SIZES = (7, 6, 5, 4)
READ_OUTS = ["squared-error", "cross-entropy", "softmax-read-out"]


def network(**settings: object) -> EquilibriumMLP:
    return EquilibriumMLP(SIZES, generator=torch.Generator().manual_seed(1), **settings).double()  # type: ignore[arg-type]


def data(n: int = 9) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(2)
    return torch.rand(n, SIZES[0], generator=g, dtype=torch.float64), torch.randint(SIZES[-1], (n,), generator=g)


@pytest.mark.parametrize("read_out", READ_OUTS)
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("dt", ["1", "0.3", "units"])
def test_both_forms_of_the_steps_are_those_of_phi(read_out: str, activation: str, dt: str) -> None:
    pace = torch.linspace(0.1, 1, 15, dtype=torch.float64) if dt == "units" else float(dt)
    if dt == "units" and read_out == "softmax-read-out":
        pace = torch.linspace(0.1, 1, 11, dtype=torch.float64)
    net = network(read_out=read_out, activation=activation, dt=pace)
    x, targets = data()
    start = [torch.full_like(s, 0.2) for s in net.zeros(x)]
    for beta, steps in itertools.product((0.0, 0.5, -0.5), (1, 2, 5)):
        expected = autograd_settle(net, x, targets, start, steps, beta)
        plain = net.settle(net.start(x), start, steps, targets=targets, beta=beta)
        with torch.no_grad():
            fast = net.settle(net.start(x), start, steps, targets=targets, beta=beta)
        before = autograd_settle(net, x, targets, start, steps - 1, beta)
        residual = torch.stack([(s - b).abs().max() for s, b in zip(expected, before, strict=True)])
        for found in (plain, fast):
            for one, other in zip(found.states, expected, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)
            torch.testing.assert_close(found.residual, residual, rtol=1e-9, atol=1e-12)
        # The states that were given are still what they were.
        assert all(bool((s == 0.2).all()) for s in start)


@pytest.mark.parametrize("read_out", READ_OUTS)
@pytest.mark.parametrize("betas", [(-0.4, 0.4), (0.0, 0.4), (0.0, -0.4)])
def test_the_contrast_is_the_difference_of_phis_gradients(read_out: str, betas: tuple[float, float]) -> None:
    net = network(read_out=read_out)
    x, targets = data()
    minus, plus = (autograd_settle(net, x, targets, net.zeros(x), 12, beta) for beta in betas)
    factor = 1 / (betas[1] - betas[0])
    found = net.contrast(net.start(x), x, minus, plus, factor, targets=targets, betas=betas)
    phis = [nudged_phi(net, x, targets, s, beta).mean() for s, beta in zip((minus, plus), betas, strict=True)]
    expected = torch.autograd.grad(factor * (phis[0] - phis[1]), net.trained)
    assert len(found) == len(net.trained) == len(net.layer_of)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)
        assert float(one.abs().max()) > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("read_out", READ_OUTS)
@pytest.mark.parametrize("dt", [1.0, 0.7])
def test_a_phase_cut_short_at_equilibrium_returns_what_all_its_steps_would(
    dtype: torch.dtype, read_out: str, dt: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = network(read_out=read_out, dt=dt).to(dtype)
    x = data(40)[0].to(dtype)
    taken: list[int] = []
    hard = ACTIVATIONS["hard_sigmoid"]
    net.activation = dataclasses.replace(hard, value_=lambda s: (taken.append(1), hard.value_(s))[1])
    lengths = (301, 302, 303, 304, 305, 306, 307, 308)
    with torch.no_grad():
        short = [net.settle(net.start(x), net.zeros(x), steps) for steps in lengths]
        counted = len(taken)
        monkeypatch.setattr(equilibrium, "_LOOK", 10**9)
        long = [net.settle(net.start(x), net.zeros(x), steps) for steps in lengths]
    # Some of these cycle in the last bits, over more than two steps: then nothing is cut.
    assert counted < len(taken) - counted or (dt, dtype) == (0.7, torch.float64)
    for one, other in zip(short, long, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.states, other.states, strict=True))
        assert torch.equal(one.residual, other.residual)


def test_a_fast_phase_needs_no_gradient_and_a_plain_one_has_it() -> None:
    net = network()
    x, _ = data()
    assert net(x).requires_grad
    with torch.no_grad():
        assert not net(x).requires_grad


@pytest.mark.parametrize("read_out", READ_OUTS)
def test_the_force_is_the_negative_gradient_of_the_loss(read_out: str) -> None:
    net = network(read_out=read_out)
    x, targets = data()
    output = torch.rand(len(x), net.state_sizes[-1], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(net.loss(output, targets) * len(x), output)
    weight, bias = net.weights[-1], net.biases[-1]
    found = output_force(output, soft_targets(targets, output, SIZES[-1]), net.read_out_kind, weight, bias)
    torch.testing.assert_close(found, -gradient)
    # Soft targets are taken as they are.
    soft = soft_targets(targets, output, SIZES[-1])
    torch.testing.assert_close(net.loss(output, soft), net.loss(output, targets))


def test_what_is_read_out() -> None:
    x, _ = data()
    for read_out in READ_OUTS:
        net = network(read_out=read_out)
        with torch.no_grad():
            last = net(x)
            found = net.read_out(last)
            assert found.shape == (len(x), SIZES[-1])
            if read_out == "squared-error":
                assert torch.equal(found, last)
                continue
            sums = last if read_out == "cross-entropy" else last @ net.weights[-1].T + net.biases[-1]
            torch.testing.assert_close(found, sums.exp() / sums.exp().sum(1, keepdim=True))
            assert predict(net, x).tolist() == sums.argmax(1).tolist()
    assert [a.name for a in network(read_out="cross-entropy").activations] == ["hard_sigmoid"] * 2 + ["identity"]
    assert network(read_out="softmax-read-out").state_sizes == SIZES[1:-1]


def test_weights_and_their_layers() -> None:
    net = network(init=3.0)
    assert [tuple(w.shape) for w in net.weights] == [(6, 7), (5, 6), (4, 5)]
    assert net.layer_of == [0, 0, 1, 1, 2, 2]
    assert [tuple(p.shape) for p in net.trained[:2]] == [(6, 7), (6,)]
    for weight in net.weights:
        assert float(weight.detach().abs().max()) <= 3 / weight.shape[1] ** 0.5
    assert float(net.weights[0].detach().abs().max()) > 2 / 7**0.5
    plain = network(bias=False)
    assert plain.layer_of == [0, 1, 2] and plain.biases == [None] * 3
    again = network(init=3.0)
    assert all(torch.equal(a, b) for a, b in zip(net.trained, again.trained, strict=True))


def test_an_equilibrium_network_is_copied_and_pickled_whole() -> None:
    net = network(dt=torch.linspace(0.1, 1, 15), read_out="cross-entropy")
    x, _ = data()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.activation is net.activation
        with torch.no_grad():
            assert torch.equal(other(x), net(x))
            other.weights[0].zero_()
            assert not torch.equal(other(x), net(x))
    own = Activation("own", torch.square, torch.square_)
    assert pickle.loads(pickle.dumps(own)) == own


@pytest.mark.parametrize("dynamics", ["discrete", "hopfield"])
def test_evolving_is_settling_with_a_look_at_every_step(dynamics: str) -> None:
    net = network(dynamics=dynamics, dt=0.4)
    x, targets = data()
    seen: list[list[Tensor]] = []
    start = net.zeros(x)
    last = net.evolve(
        net.start(x),
        start,
        4,
        lambda step, now: seen.append([s.clone() for s in now]),
        targets=targets,
        beta=0.3,
    )
    assert len(seen) == 4 and not any(bool(s.any()) for s in start)
    with torch.no_grad():
        for step, states in enumerate(seen):
            expected = net.settle(net.start(x), start, step + 1, targets=targets, beta=0.3).states
            for one, other in zip(states, expected, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-15)
    assert all(torch.equal(a, b) for a, b in zip(last, seen[-1], strict=True))
    # What is changed in a step is what the next one starts from.
    cleared = net.evolve(net.start(x), start, 3, lambda step, now: [s.zero_() for s in now] and None)
    assert not any(bool(s.any()) for s in cleared)


# --- the energy of Scellier and Bengio --------------------------------------------------------------------------------


def test_hopfield_steps_descend_the_energy() -> None:
    """The step is minus the gradient of the energy, by autograd, clipped; with a steep sigmoid, whose slope matters."""
    net = network(dynamics="hopfield", activation="mysig", dt=0.3)
    x, targets = data()
    g = torch.Generator().manual_seed(5)
    u = [torch.rand(s.shape, generator=g, dtype=torch.float64).requires_grad_() for s in net.zeros(x)]
    rho = [a.value(s) for a, s in zip(net.activations, u, strict=True)]
    energy = sum(0.5 * s.square().sum() for s in u) - layered_phi(x, rho, net.weights, net.biases).sum()
    energy = energy + 0.7 * len(x) * net.loss(u[-1], targets)
    slopes = torch.autograd.grad(energy, u)
    with torch.no_grad():
        found = net.settle(net.start(x), [s.detach() for s in u], 1, targets=targets, beta=0.7).states
    for state, slope, now in zip(u, slopes, found, strict=True):
        torch.testing.assert_close(now, (state.detach() - 0.3 * slope).clamp(0, 1))


def test_hopfield_learns_from_the_sent_activities_at_equilibrium() -> None:
    net = network(dynamics="hopfield", activation="mysig", dt=0.3)
    x, targets = data()
    with torch.no_grad():
        drive = net.start(x)
        minus, plus = (net.settle(drive, net.zeros(x), 20, targets=targets, beta=b).states for b in (-0.2, 0.2))
    found = net.contrast(drive, x, minus, plus, 2.5)
    phis = [layered_phi(x, [torch.sigmoid(4 * s - 2) for s in s_], net.weights, net.biases) for s_ in (minus, plus)]
    expected = torch.autograd.grad(2.5 * (phis[0] - phis[1]).mean(), net.trained)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-13)


def test_with_a_hard_sigmoid_hopfield_states_rest_where_the_discrete_ones_do() -> None:
    x, _ = data()
    found = []
    for dynamics in ("discrete", "hopfield"):
        net = network(dynamics=dynamics, dt=0.5)
        with torch.no_grad():
            found.append(net.settle(net.start(x), net.zeros(x), 500).states)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_an_equilibrium_activation_its_value_in_place_and_its_derivative(name: str) -> None:
    activation = ACTIVATIONS[name]
    x = torch.linspace(-3.03, 3.03, 203, dtype=torch.float64).requires_grad_()
    value = activation.value(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    torch.testing.assert_close(activation.slope(x.detach()), slope)
    assert torch.equal(activation.value_(x.detach().clone()), value.detach())
    # Published formulas.
    formulas = {
        "mysig": lambda x: 1 / (1 + torch.exp(-4 * (x - 0.5))),
        "hard_sigmoid": lambda x: (1 + torch.nn.functional.hardtanh(2 * x - 1)) / 2,
        "ctrd_hard_sig": lambda x: torch.nn.functional.hardtanh(2 * x) / 2,
        "my_hard_sig": lambda x: (1 + torch.nn.functional.hardtanh(x - 1)) / 2,
        "tanh": torch.tanh,
        "relu": torch.relu,
        "sigmoid": lambda x: 1 / (1 + torch.exp(-x)),
        "identity": lambda x: x,
    }
    torch.testing.assert_close(value, formulas[name](x))


@pytest.mark.parametrize("dt", [0.0, -0.1, 1.5, float("nan"), torch.tensor([0.5] * 14 + [2.0]), torch.rand(3)])
def test_a_time_step_outside_of_its_range_is_refused(dt: float | Tensor) -> None:
    with pytest.raises(SettingsError, match="time step"):
        network(dt=dt)


def test_an_activation_without_the_derivative_that_is_needed_is_refused() -> None:
    def step(x: Tensor) -> Tensor:
        return (x > 0.5).to(x.dtype)

    heaviside = Activation("heaviside", step, lambda x: x.copy_(step(x)))
    x, _ = data()
    with torch.no_grad():
        assert set(network(activation=heaviside)(x).unique().tolist()) <= {0.0, 1.0}
    with pytest.raises(SettingsError, match="'heaviside' has no derivative"):
        network(activation=heaviside, dynamics="hopfield")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"activation": "hard_sigmiod"}, "hard_sigmoid"),
        ({"read_out": "softmax"}, "softmax-read-out"),
        ({"dynamics": "continuous"}, "discrete"),
        ({"init": 0.0}, "factor"),
        ({"free_steps": 0}, "free phase"),
        ({"dynamics": "hopfield", "read_out": "cross-entropy"}, "cross-entropy"),
    ],
)
def test_wrong_settings_of_an_equilibrium_network_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        network(**wrong)


@pytest.mark.parametrize(
    ("sizes", "read_out"), [([5], "squared-error"), ([5, 0], "squared-error"), ([5, 3], READ_OUTS[2])]
)
def test_wrong_sizes_are_refused(sizes: list[int], read_out: str) -> None:
    with pytest.raises(SettingsError, match="layer sizes"):
        EquilibriumMLP(sizes, read_out=read_out)  # type: ignore[arg-type]


def test_wrong_calls_are_refused() -> None:
    net = network(read_out="softmax-read-out")
    x, targets = data()
    drive, zeros = net.start(x), net.zeros(x)
    with pytest.raises(SettingsError, match=r"\[batch, 7\]"):
        net.start(x[:, :5])
    with pytest.raises(SettingsError, match="needs targets"):
        net.settle(drive, zeros, 3, beta=0.1)
    with pytest.raises(SettingsError, match="learn from targets"):
        net.contrast(drive, x, zeros, zeros, 1.0)
    for graph in (torch.enable_grad, torch.no_grad):
        with graph(), pytest.raises(SettingsError, match="0 steps"):
            net.settle(drive, zeros, 0, targets=targets)
    with pytest.raises(SettingsError, match="needs its weight"):
        output_force(zeros[-1], soft_targets(targets, zeros[-1], 4), "softmax-read-out")
