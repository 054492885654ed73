"""LwF: its loss and gradient written out, nothing in the first task, the classes seen only."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from neurosleep.continual import Learner, LwF, Progress, Strategy
from neurosleep.data import to_float
from neurosleep.errors import SettingsError
from neurosleep.learning import Backprop, Batch
from neurosleep.networks import MLP

Make = Callable[..., Learner]


def moved(learner: Learner) -> None:
    with torch.no_grad():
        for weight in learner.network.weights:
            weight += 0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(5))


def batch_of(learner: Learner, images: Tensor) -> Batch:
    _, activities = learner.network.train().trace(images, generator=torch.Generator().manual_seed(1))
    return Batch(images, torch.zeros(len(images), dtype=torch.int64), activities)


def images_of(n: int = 9) -> Tensor:
    return torch.rand(n, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("output", ["relu", "softmax"])
@pytest.mark.parametrize("task", [1, 2])
@pytest.mark.parametrize(("strength", "temperature"), [(1.0, 2.0), (3.0, 0.7)])
def test_term_and_gradient_are_those_written_out(
    make_learner: Make, output: str, task: int, strength: float, temperature: float
) -> None:
    learner, strategy, images = make_learner(output=output), LwF(strength, temperature), images_of()
    old = [weight.detach().double().clone() for weight in learner.network.weights]
    learner.task = task
    strategy.before_training_exp(learner)
    moved(learner)
    batch = batch_of(learner, images)
    term = strategy.loss_term(learner, batch)
    assert term is not None
    # The old network answers without dropout (its factor instead), over the classes of the tasks before.
    x = images.double()
    for weight in old[:-1]:
        x = torch.relu(x @ weight.T) * 0.75
    seen = 2 * task
    before = torch.softmax((x @ old[-1].T)[:, :seen] / temperature, 1)
    now = batch.activities[-1].detach().double().requires_grad_()
    cost = torch.zeros((), dtype=torch.float64)
    for target, sums in zip(before, now, strict=True):
        scaled = sums[:seen] / temperature
        log = scaled - torch.log(torch.exp(scaled).sum())
        cost = cost - strength * temperature**2 * (target * log).sum() / len(now)
    torch.testing.assert_close(term.detach().double(), cost.detach(), rtol=1e-5, atol=1e-6)
    (ours,) = torch.autograd.grad(term, batch.activities[-1])
    (theirs,) = torch.autograd.grad(cost, now)
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-6)
    assert not bool(ours[:, seen:].any())
    assert bool(ours[:, :seen].all())


def test_its_gradient_by_hand() -> None:
    # At temperature T the gradient is T (softmax now - softmax before) / n.
    learner = Learner(MLP([3, 2], init=1.0, generator=torch.Generator().manual_seed(0)), [], [], 0)
    strategy = LwF(1.0, 4.0)
    strategy._classes, strategy._previous = [0, 1], MLP([3, 2], init=1.0, generator=torch.Generator().manual_seed(1))
    images = torch.rand(5, 3, generator=torch.Generator().manual_seed(2))
    batch = batch_of(learner, images)
    term = strategy.loss_term(learner, batch)
    assert term is not None
    (found,) = torch.autograd.grad(term, batch.activities[-1])
    now, before = (torch.softmax(net(images).detach() / 4, 1) for net in (learner.network, strategy._previous))
    torch.testing.assert_close(found, 4 * (now - before) / 5)


def test_the_first_task_has_no_term_and_is_learnt_as_sequential(
    make_learner: Make, learn: Callable[..., Progress]
) -> None:
    plain, held = make_learner(), make_learner()
    first, second = learn(plain, Strategy()), learn(held, LwF(1.0))
    assert first.before_sleep[0] == second.before_sleep[0]
    strategy = LwF()
    fresh = make_learner()
    strategy.before_training_exp(fresh)
    assert strategy.loss_term(fresh, batch_of(fresh, images_of())) is None
    # Later ones are not.
    assert not torch.equal(plain.network.weights[0], held.network.weights[0])


def test_the_previous_network_stays_as_it_was(make_learner: Make) -> None:
    learner, strategy = make_learner(dropout=0.0), LwF()
    learner.task = 1
    strategy.before_training_exp(learner)
    same = strategy.loss_term(learner, batch_of(learner, images_of()))
    moved(learner)
    later = strategy.loss_term(learner, batch_of(learner, images_of()))
    assert same is not None and later is not None
    # Cross-entropy is least where the answers are the same.
    assert float(later.detach()) > float(same.detach())


def test_no_strength_is_sequential_bit_for_bit(make_learner: Make, learn: Callable[..., Progress]) -> None:
    plain, held = make_learner(), make_learner()
    assert learn(plain, Strategy()).after == learn(held, LwF(0.0)).after
    assert all(torch.equal(a, b) for a, b in zip(plain.network.weights, held.network.weights, strict=True))


def test_it_keeps_the_answers_to_the_new_images_among_the_old_classes(
    make_learner: Make, learn: Callable[..., Progress]
) -> None:
    moved_by = []
    for strength in (0.0, 1.0, 10.0):
        learner = make_learner(output="softmax", dropout=0.0)
        images = torch.from_numpy(to_float(learner.tasks[1].train_images))
        answers: list[Tensor] = []

        def keep(
            phase: str, task: int, own: Learner = learner, x: Tensor = images, found: list[Tensor] = answers
        ) -> None:
            found.append(torch.softmax(own.network(x)[:, :2].detach() / 2, 1))

        learn(learner, LwF(strength), Backprop(loss="cross-entropy", lr=0.1, batch=10, epochs=8), after_phase=keep)
        # After each of two phases per task: before and after the second was learnt.
        moved_by.append(float((answers[2] - answers[1]).abs().mean()))
    assert moved_by[0] > 1.2 * moved_by[1] > 2 * moved_by[2]


@pytest.mark.parametrize("wrong", [{"strength": -1.0}, {"strength": float("inf")}, {"temperature": 0.0}])
def test_wrong_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=f"lwf.{next(iter(wrong))}"):
        LwF(**wrong)
