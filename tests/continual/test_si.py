"""SI: path and importance by hand, the penalty against autograd."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from neurosleep.continual import SI, Learner, Progress, Strategy, learn_tasks
from neurosleep.data import Task
from neurosleep.errors import SettingsError
from neurosleep.learning import Backprop, Batch
from neurosleep.networks import MLP

EMPTY = torch.zeros(0)


def batch() -> Batch:
    return Batch(EMPTY, EMPTY, [])


def two_parameters(w: list[float]) -> Learner:
    network = MLP([2, 1])
    with torch.no_grad():
        network.weights[0].copy_(torch.tensor([w]))
    return Learner(network, [torch.zeros(1, 2)], [], 0)


def step(learner: Learner, strategy: SI, gradient: list[float], lr: float = 0.5, momentum: float = 0.0) -> None:
    """One step on a loss with that gradient, as the wake training takes it."""
    weight, velocity = learner.network.weights[0], learner.velocity[0]
    weight.grad = torch.tensor([gradient])
    strategy.after_backward(learner, batch())
    assert weight.grad is not None
    with torch.no_grad():
        velocity.mul_(momentum).add_(weight.grad, alpha=lr)
        weight.sub_(velocity)
    strategy.after_step(learner, batch())


def test_path_and_importance_by_hand() -> None:
    learner, strategy = two_parameters([1.0, -1.0]), SI(strength=3.0, damping=0.1)
    strategy.before_training_exp(learner)
    # Steps of -0.5 (2, 1) and -0.5 (-1, 4): the path grows by -g dw = 0.5 g^2.
    step(learner, strategy, [2.0, 1.0])
    step(learner, strategy, [-1.0, 4.0])
    assert learner.network.weights[0].tolist() == [[0.5, -3.5]]
    strategy.after_training_exp(learner)
    first = torch.tensor([[2.5 / (0.5**2 + 0.1), 8.5 / (2.5**2 + 0.1)]])
    torch.testing.assert_close(strategy.state_dict()["importance0"], first)
    # The second task: the path has the gradient of the loss alone, the step that of the penalty too.
    strategy.before_training_exp(learner)
    step(learner, strategy, [1.0, 0.0])
    assert learner.network.weights[0].tolist() == [[0.0, -3.5]]
    step(learner, strategy, [0.25, 0.0])
    # Penalty 3 Omega (w - prev)^2 with w - prev = -0.5: its gradient is -3 Omega.
    taken = 0.5 * (0.25 - 3 * float(first[0, 0]))
    torch.testing.assert_close(learner.network.weights[0].detach(), torch.tensor([[-taken, -3.5]]))
    strategy.after_training_exp(learner)
    path = 0.5 + 0.25 * taken
    second = first + torch.tensor([[path / ((0.5 + taken) ** 2 + 0.1), 0.0]])
    torch.testing.assert_close(strategy.state_dict()["importance0"], second)
    torch.testing.assert_close(strategy.state_dict()["previous0"], learner.network.weights[0].detach())


def test_the_path_takes_the_step_with_its_momentum() -> None:
    learner, strategy = two_parameters([0.0, 0.0]), SI()
    strategy.before_training_exp(learner)
    before = learner.network.weights[0].detach().clone()
    path = torch.zeros(1, 2)
    for gradient in ([1.0, -2.0], [0.5, 0.5], [-3.0, 1.0]):
        step(learner, strategy, gradient, momentum=0.5)
        after = learner.network.weights[0].detach().clone()
        path -= torch.tensor([gradient]) * (after - before)
        before = after
    torch.testing.assert_close(strategy.state_dict()["path0"], path)


def test_the_path_adds_up_to_the_fall_of_the_loss(make_tasks: Callable[..., list[Task]]) -> None:
    # With small steps the sum of the paths is the loss that was lost; full batches, so that there is one loss.
    task = make_tasks([[0, 1]])[0]
    network = MLP([12, 5, 2], init=0.5, output="softmax", generator=torch.Generator().manual_seed(0))
    learner, strategy = Learner(network, [torch.zeros_like(w) for w in network.weights], [task], 0), SI()
    training = Backprop(loss="cross-entropy", lr=1e-3, momentum=0.0, batch=30, epochs=300)
    images = torch.from_numpy(task.train_images.reshape(30, -1) / np.float32(255))
    labels = torch.from_numpy(task.train_labels)

    def loss() -> float:
        return float(torch.nn.functional.cross_entropy(network(images).detach(), labels))

    before, found = loss(), 0.0

    def stop(phase: str, number: int) -> None:
        nonlocal found
        if phase == "wake":
            found = sum(float(v.sum()) for k, v in strategy.state_dict().items() if k.startswith("path"))

    learn_tasks(learner, strategy, training, [task], Progress(), after_phase=stop)
    assert before - loss() > 0.005
    assert found == pytest.approx(before - loss(), rel=0.02)


def test_the_gradient_is_that_of_the_penalty_written_out(
    make_learner: Callable[..., Learner],
    learn: Callable[..., Progress],
    weights_of: Callable[[Learner], list[Tensor]],
    added_gradient: Callable[..., list[Tensor]],
) -> None:
    learner, strategy = make_learner(dropout=0.0), SI(strength=7.0)
    learn(learner, strategy)
    state = strategy.state_dict()
    anchors = weights_of(learner)
    with torch.no_grad():
        for weight in learner.network.weights:
            weight += torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    at = [weight.requires_grad_() for weight in weights_of(learner)]
    penalty = torch.zeros((), dtype=torch.float64)
    for k, (w, a) in enumerate(zip(at, anchors, strict=True)):
        assert bool(state[f"importance{k}"].any())
        penalty = penalty + 7.0 * (state[f"importance{k}"].double() * (w - a) ** 2).sum()
    for ours, theirs in zip(added_gradient(learner, strategy), torch.autograd.grad(penalty, at), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6 * float(theirs.abs().max()))


def test_no_strength_is_sequential_bit_for_bit(
    make_learner: Callable[..., Learner], learn: Callable[..., Progress]
) -> None:
    plain, held, strong = (make_learner() for _ in range(3))
    assert learn(plain, Strategy()).after == learn(held, SI(0.0)).after
    assert all(torch.equal(a, b) for a, b in zip(plain.network.weights, held.network.weights, strict=True))
    learn(strong, SI(5.0))
    assert not torch.equal(plain.network.weights[0], strong.network.weights[0])


@pytest.mark.parametrize("after", ["wake", "sleep"])
def test_the_state_comes_back(make_learner: Callable[..., Learner], learn: Callable[..., Progress], after: str) -> None:
    learner, strategy, again = make_learner(), SI(), SI()

    def keep(phase: str, task: int) -> None:
        if (phase, task) == (after, 1):
            again.load_state_dict({key: value.clone() for key, value in strategy.state_dict().items()})
            assert strategy.state_dict().keys() == again.state_dict().keys()
            assert all(torch.equal(value, again.state_dict()[key]) for key, value in strategy.state_dict().items())
            assert len(again.state_dict()) == 4 * 3

    learn(learner, strategy, after_phase=keep)
    assert again.state_dict()
    assert SI().state_dict() == {}


@pytest.mark.parametrize("wrong", [{"strength": -1.0}, {"strength": float("nan")}, {"damping": 0.0}, {"damping": -1.0}])
def test_wrong_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=f"si.{next(iter(wrong))}"):
        SI(**wrong)
