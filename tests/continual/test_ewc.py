"""EWC: the Fisher information against one autograd pass per sample and label, the penalty against autograd."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from neurosleep.continual import EWC, Learner, Progress, Strategy
from neurosleep.continual.strategies import fisher_diagonal
from neurosleep.data import to_float
from neurosleep.errors import SettingsError, UnknownNameError
from neurosleep.learning import Backprop, Batch
from neurosleep.networks import MLP

Added = Callable[..., list[Tensor]]


def network(output: str, dropout: float = 0.25, bias: bool = False) -> MLP:
    source, init = torch.Generator().manual_seed(1), "torch" if bias else 1.0
    net = MLP([6, 5, 4, 3], dropout=dropout, init=init, output=output, bias=bias, generator=source)  # type: ignore[arg-type]
    return net.double()


def data(n: int = 17) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(2)
    return torch.rand(n, 6, generator=source, dtype=torch.float64), torch.randint(0, 3, (n,), generator=source)


def forward(weights: list[Tensor], x: Tensor, dropout: float) -> Tensor:
    """Summed input of the output layer, written out."""
    for weight in weights[:-1]:
        x = torch.relu(x @ weight.T) * (1 - dropout)
    return x @ weights[-1].T


def per_sample(net: MLP, x: Tensor, y: Tensor, kind: str) -> list[Tensor]:
    """Mean over samples of the squared gradient of the log-likelihood, one autograd pass for each sample and label."""
    total = [torch.zeros_like(weight) for weight in net.weights]

    def add(log_likelihood: Tensor, chance: float) -> None:
        for found, gradient in zip(total, torch.autograd.grad(log_likelihood, net.weights), strict=True):
            found += chance * gradient**2

    for image, label in zip(x, y, strict=True):

        def output(image: Tensor = image) -> Tensor:
            return forward(net.weights, image, net.dropout)

        if net.output == "softmax":
            if kind == "true":
                add(torch.log_softmax(output(), 0)[label], 1.0)
            else:
                for c, chance in enumerate(torch.softmax(output().detach(), 0).tolist()):
                    add(torch.log_softmax(output(), 0)[c], chance)
        elif kind == "true":
            # Gaussian about the output, with the straight-through error: the derivative of its ReLU is left out.
            error = (torch.relu(output()) - torch.eye(3, dtype=torch.float64)[label]).detach()
            add(-(error * output()).sum(), 1.0)
        else:
            # The label is the output plus a standard normal per unit. Only second moments enter, so that the mean over
            # all signs is the expectation.
            for signs in itertools.product([-1.0, 1.0], repeat=3):
                add((torch.tensor(signs, dtype=torch.float64) * output()).sum(), 1 / 8)
    return [found / len(x) for found in total]


@pytest.mark.parametrize("dropout", [0.0, 0.25])
@pytest.mark.parametrize("kind", ["true", "expected"])
@pytest.mark.parametrize("output", ["softmax", "relu"])
def test_the_fisher_information_is_that_of_one_pass_per_sample(output: str, kind: str, dropout: float) -> None:
    net, (x, y) = network(output, dropout), data()
    # Units that are off, or the masks would not be tested.
    assert 0 < float((net.eval().trace(x)[0][1] > 0).double().mean()) < 1
    found = fisher_diagonal(net, x, y, kind=kind)  # type: ignore[arg-type]
    for ours, theirs in zip(found, per_sample(net, x, y, kind), strict=True):
        assert theirs.max() > 0
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["true", "expected"])
@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_the_fisher_information_of_biases_and_of_bernoulli_outputs_is_autograds(
    output: str, kind: str, bias: bool
) -> None:
    net, (x, y) = network(output, 0.0, bias), data()
    total = [torch.zeros_like(tensor) for tensor in net.trained]
    for image, label in zip(x, y, strict=True):
        z = net.trace(image[None])[0][-1][0]
        p = net.read_out(z[None])[0].detach()
        if output == "softmax":
            labels = [(torch.eye(3)[c], p[c]) for c in range(3)] if kind == "expected" else [(torch.eye(3)[label], 1.0)]
        elif kind == "true":
            labels = [(torch.eye(3)[label], 1.0)]
        else:
            bits = [torch.tensor(b, dtype=torch.float64) for b in itertools.product([0.0, 1.0], repeat=3)]
            labels = [(b, (p * b + (1 - p) * (1 - b)).prod()) for b in bits]
        for target, chance in labels:
            log_p = (
                torch.log_softmax(z, 0) * target
                if output == "softmax"
                else -(torch.nn.functional.binary_cross_entropy_with_logits(z, target.double(), reduction="none"))
            )
            for found, g in zip(total, torch.autograd.grad(log_p.sum(), net.trained, retain_graph=True), strict=True):
                found += chance * g**2 / len(x)
    for ours, theirs in zip(fisher_diagonal(net, x, y, kind=kind), total, strict=True):  # type: ignore[arg-type]
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-14)


def test_the_expectation_over_a_gaussian_is_that_of_drawn_labels() -> None:
    net, (x, _) = network("relu"), data(3)
    source, total = torch.Generator().manual_seed(0), [torch.zeros_like(weight) for weight in net.weights]
    draws = 4000
    for image in x:
        # The gradient is linear in the error, so one Jacobian serves all the draws.
        output = forward(net.weights, image, net.dropout)
        jacobians = [torch.autograd.grad(output[c], net.weights, retain_graph=True) for c in range(3)]
        noise = torch.randn(draws, 3, generator=source, dtype=torch.float64)
        for layer, found in enumerate(total):
            stacked = torch.stack([jacobian[layer] for jacobian in jacobians])
            found += (torch.einsum("dc,cij->dij", noise, stacked) ** 2).mean(0) / len(x)
    for ours, theirs in zip(fisher_diagonal(net, x, torch.zeros(3, dtype=torch.int64)), total, strict=True):
        assert float((ours - theirs).norm() / theirs.norm()) < 0.05


@pytest.mark.parametrize("output", ["softmax", "relu"])
def test_the_fisher_information_does_not_depend_on_the_batches(output: str) -> None:
    net, (x, y) = network(output), data()
    for kind in ("true", "expected"):
        whole = fisher_diagonal(net, x, y, kind=kind, batch=100)  # type: ignore[arg-type]
        for batch in (1, 4, 17):
            found = fisher_diagonal(net, x, y, kind=kind, batch=batch)  # type: ignore[arg-type]
            for ours, theirs in zip(found, whole, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("tasks", [1, 2, 3])
@pytest.mark.parametrize(("mode", "gamma"), [("separate", 1.0), ("online", 1.0), ("online", 0.5), ("online", 0.0)])
@pytest.mark.parametrize(("output", "kind"), [("relu", "expected"), ("softmax", "true")])
def test_the_gradient_is_that_of_the_penalty_written_out(
    make_learner: Callable[..., Learner],
    weights_of: Callable[[Learner], list[Tensor]],
    added_gradient: Added,
    output: str,
    kind: str,
    mode: str,
    gamma: float,
    tasks: int,
) -> None:
    learner, strength = make_learner(output=output), 30.0
    strategy = EWC(strength, mode, gamma, kind)  # type: ignore[arg-type]
    assert all(not bool(g.any()) for g in added_gradient(learner, strategy))
    source, kept = torch.Generator().manual_seed(3), []
    for task in range(tasks):
        learner.task = task
        with torch.no_grad():
            for weight in learner.network.weights:
                weight += 0.2 * torch.randn(weight.shape, generator=source)
        strategy.after_training_exp(learner)
        double = MLP(learner.network.sizes, dropout=0.25, output=output).double()  # type: ignore[arg-type]
        with torch.no_grad():
            for weight, value in zip(double.weights, learner.network.weights, strict=True):
                weight.copy_(value)
        now = learner.tasks[task]
        images = torch.from_numpy(to_float(now.train_images)).double()
        fisher = fisher_diagonal(double, images, torch.from_numpy(now.train_labels), kind=kind)  # type: ignore[arg-type]
        kept.append((fisher, weights_of(learner)))
    with torch.no_grad():
        for weight in learner.network.weights:
            weight += 0.3 * torch.randn(weight.shape, generator=source)
    at = [weight.requires_grad_() for weight in weights_of(learner)]
    penalty = torch.zeros((), dtype=torch.float64)
    if mode == "separate":
        for fisher, anchor in kept:
            for w, f, a in zip(at, fisher, anchor, strict=True):
                penalty = penalty + strength / 2 * (f * (w - a) ** 2).sum()
    else:
        for layer, w in enumerate(at):
            running = torch.zeros_like(w.detach())
            for fisher, _ in kept:
                running = gamma * running + fisher[layer]
            penalty = penalty + strength / 2 * (running * (w - kept[-1][1][layer]) ** 2).sum()
    expected = torch.autograd.grad(penalty, at)
    for ours, theirs in zip(added_gradient(learner, strategy), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))


@pytest.mark.parametrize("output", ["relu", "softmax"])
def test_no_strength_is_sequential_bit_for_bit(
    make_learner: Callable[..., Learner], learn: Callable[..., Progress], output: str
) -> None:
    plain, held, strong = (make_learner(output=output) for _ in range(3))
    first, second = learn(plain, Strategy()), learn(held, EWC(0.0))
    assert (first.after, first.before_sleep) == (second.after, second.before_sleep)
    assert all(torch.equal(a, b) for a, b in zip(plain.network.weights, held.network.weights, strict=True))
    learn(strong, EWC(10.0))
    assert not torch.equal(plain.network.weights[0], strong.network.weights[0])


def test_a_strong_penalty_holds_the_weights(
    make_learner: Callable[..., Learner], learn: Callable[..., Progress], weights_of: Callable[[Learner], list[Tensor]]
) -> None:
    moved = []
    for strength in (0.0, 1.0, 5.0):
        learner = make_learner(dropout=0.0)
        # Kept from the copy: the weights as the first task left them.
        anchor: list[Tensor] = []

        def keep(phase: str, task: int, learner: Learner = learner, anchor: list[Tensor] = anchor) -> None:
            if (phase, task) == ("sleep", 0):
                anchor.extend(weights_of(learner))

        learn(learner, EWC(strength), after_phase=keep)
        moved.append(float((weights_of(learner)[2] - anchor[2]).norm()))
    assert moved[0] > moved[1] > moved[2] > 0


class Plain(EWC):
    """Steps of the penalty as long as those of the loss."""

    def after_backward(self, learner: Learner, batch: Batch) -> None:
        super().after_backward(learner, Batch(batch.images, batch.targets, batch.activities))


@pytest.mark.parametrize("strength", [1e3, 1e6, 1e12])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_no_strength_diverges(
    make_learner: Callable[..., Learner],
    learn: Callable[..., Progress],
    weights_of: Callable[[Learner], list[Tensor]],
    momentum: float,
    strength: float,
) -> None:
    training = Backprop(lr=0.1, momentum=momentum, batch=10, epochs=10)
    assert learn(make_learner(dropout=0.0), Plain(strength), training).status == "diverged"
    learner, strategy, first = make_learner(dropout=0.0), EWC(strength), []

    def keep(phase: str, task: int) -> None:
        if (phase, task) == ("sleep", 0):
            first.extend([weights_of(learner)[2], strategy.state_dict()["importance2"]])

    assert learn(learner, strategy, training, after_phase=keep).status == "done"
    # What mattered for the first task is where that task left it.
    anchor, importance = first
    important = importance > 0.01
    assert int(important.sum()) > 2
    moved = (weights_of(learner)[2] - anchor).abs()[important]
    # The momentum of the first task's last steps takes them a little further before the penalty has them back.
    assert float(moved.max()) < 20 / strength + 0.002


def test_steps_that_do_not_overshoot_are_plain_ones_bit_for_bit(
    make_learner: Callable[..., Learner], learn: Callable[..., Progress]
) -> None:
    one, other, far = (make_learner() for _ in range(3))
    learn(one, EWC(1.0)), learn(other, Plain(1.0))
    assert all(torch.equal(a, b) for a, b in zip(one.network.weights, other.network.weights, strict=True))
    learn(far, EWC(100.0))
    assert not torch.equal(one.network.weights[0], far.network.weights[0])


def test_a_step_is_at_most_the_way_to_the_minimum_of_the_penalty(make_learner: Callable[..., Learner]) -> None:
    learner, strategy = make_learner(dropout=0.0), EWC(50.0)
    strategy.after_training_exp(learner)
    state, weights = strategy.state_dict(), learner.network.weights
    anchors = [weight.detach().clone() for weight in weights]
    source = torch.Generator().manual_seed(4)
    given = [torch.randn(weight.shape, generator=source) for weight in weights]
    for weight, gradient in zip(weights, given, strict=True):
        weight.data += 0.3 * torch.randn(weight.shape, generator=source)
        weight.grad = gradient.clone()
    rates = (0.1, 0.02, 0.5)
    strategy.after_backward(learner, Batch(torch.empty(0), torch.empty(0), [], rates=rates))
    shortened = 0
    for k, (weight, gradient, anchor, rate) in enumerate(zip(weights, given, anchors, rates, strict=True)):
        curvature = 50.0 * state[f"importance{k}"]
        # The minimum of gradient * w + curvature / 2 * (w - anchor) ** 2, or a plain step where that falls short of it.
        plain = weight.detach() - rate * (gradient + curvature * (weight.detach() - anchor))
        stays = rate * curvature <= 1
        shortened += int((~stays).sum())
        target = torch.where(stays, plain, anchor - gradient / curvature)
        assert weight.grad is not None
        torch.testing.assert_close(weight.detach() - rate * weight.grad, target, rtol=1e-4, atol=1e-5)
    assert shortened > 5


def test_the_state_comes_back(make_learner: Callable[..., Learner], added_gradient: Added) -> None:
    learner, strategy = make_learner(), EWC(5.0)
    strategy.after_training_exp(learner)
    learner.task = 1
    strategy.after_training_exp(learner)
    again = EWC(5.0)
    again.load_state_dict(strategy.state_dict())
    learner.network.weights[0].data += 0.1
    for one, other in zip(added_gradient(learner, strategy), added_gradient(learner, again), strict=True):
        assert torch.equal(one, other)
    assert EWC().state_dict() == {}


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"strength": -1.0}, SettingsError),
        ({"strength": float("nan")}, SettingsError),
        ({"strength": float("inf")}, SettingsError),
        ({"mode": "offline"}, UnknownNameError),
        ({"fisher": "empirical"}, UnknownNameError),
        ({"gamma": 1.1}, SettingsError),
        ({"gamma": -0.1}, SettingsError),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"ewc.{next(iter(wrong))}"):
        EWC(**wrong)
