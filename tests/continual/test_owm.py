"""OWM: the projector against its formula and its limits, the gradients against theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neurosleep.continual import OWM, Learner, Progress
from neurosleep.data import load_dataset, to_float
from neurosleep.errors import SettingsError
from neurosleep.learning import Backprop, Batch, task_loss
from neurosleep.networks import MLP


def owm(layers: int = 3, alpha: float = 0.9, decay: float = 1.0, clip: float = 1e9) -> OWM:
    return OWM([alpha] * layers, [decay] * layers, clip)


def learner_of(sizes: list[int], dropout: float = 0.0, dtype: torch.dtype = torch.float64) -> Learner:
    network = MLP(sizes, dropout=dropout, init=0.5, generator=torch.Generator().manual_seed(0)).to(dtype)
    return Learner(network, [torch.zeros_like(weight) for weight in network.weights], [], 0)


def projectors(strategy: OWM) -> list[Tensor]:
    state = strategy.state_dict()
    return [state[f"projector{k}"] for k in range(len(state))]


def seen(images: Tensor, progress: float = 0.0) -> Batch:
    """A batch as one layer sees it."""
    return Batch(images, images, [images], progress)


def backward(learner: Learner, images: Tensor, labels: Tensor) -> Batch:
    """Gradients of one batch, as the wake training makes them."""
    network = learner.network.train()
    sums, activities = network.trace(images, generator=torch.Generator().manual_seed(1))
    loss = task_loss(sums[-1], labels, "cross-entropy")
    gradients = torch.autograd.grad(loss, [*network.weights, *sums])
    for weight, gradient in zip(network.weights, gradients, strict=False):
        weight.grad = gradient
    return Batch(images, labels, activities, 0.0, gradients[len(network.weights) :])


def test_the_projector_is_that_of_the_formula() -> None:
    learner = learner_of([6, 5, 4, 3], dropout=0.25)
    alpha, decay, strategy = [0.9, 1.0, 0.6], [0.001, 0.1, 1.0], OWM()
    strategy.before_training_exp(learner)
    expected = [np.eye(n) for n in (6, 5, 4)]
    source = torch.Generator().manual_seed(2)
    for number in range(25):
        images = torch.rand(8, 6, generator=source, dtype=torch.float64)
        batch = backward(learner, images, torch.randint(0, 3, (8,), generator=source))
        batch.progress = number / 25
        strategy.after_step(learner, batch)
        rows = [images, batch.activities[0], batch.activities[1]]
        for layer, inputs in enumerate(rows):
            r = inputs.detach().numpy().mean(0)
            k = expected[layer] @ r
            denominator = alpha[layer] * decay[layer] ** (number / 25) + r @ k
            expected[layer] = expected[layer] - np.outer(k, k) / denominator
        for ours, theirs in zip(projectors(strategy), expected, strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-10, atol=1e-12)
    assert all(np.abs(theirs - np.eye(len(theirs))).max() > 0.01 for theirs in expected)


def test_the_projector_is_the_regularised_inverse() -> None:
    # Recursive least squares in closed form: P = alpha (alpha + R^T R)^-1.
    learner, strategy, alpha = learner_of([7, 2]), owm(1, 0.3), 0.3
    strategy.before_training_exp(learner)
    rows = torch.randn(20, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for row in rows:
        strategy.after_step(learner, seen(row[None]))
    expected = alpha * torch.linalg.inv(alpha * torch.eye(7, dtype=torch.float64) + rows.T @ rows)
    torch.testing.assert_close(projectors(strategy)[0], expected, rtol=1e-9, atol=1e-12)


def test_without_alpha_the_projector_is_orthogonal() -> None:
    learner, strategy = learner_of([8, 2]), owm(1, 1e-10)
    strategy.before_training_exp(learner)
    rows = torch.randn(3, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for row in [*rows, *rows]:
        strategy.after_step(learner, seen(row[None]))
    basis = torch.linalg.qr(rows.T)[0]
    expected = torch.eye(8, dtype=torch.float64) - basis @ basis.T
    torch.testing.assert_close(projectors(strategy)[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.9, 1e-4, 1e-6])
def test_the_projector_stays_symmetric_and_positive(alpha: float) -> None:
    # Real images, whose dark corners make the problem singular; a projector in float32 blows up at 1e-4.
    data = load_dataset("mnist-mini", None)
    images = torch.from_numpy(to_float(data.images[:: len(data.images) // 500]))
    learner, strategy = learner_of([784, 2], dtype=torch.float32), owm(1, alpha)
    strategy.before_training_exp(learner)
    source = torch.Generator().manual_seed(0)
    for _ in range(150):
        strategy.after_step(learner, seen(images[torch.randperm(len(images), generator=source)[:10]]))
    found = projectors(strategy)[0]
    torch.testing.assert_close(found, found.T, rtol=0, atol=1e-12)
    values = torch.linalg.eigvalsh(found)
    assert float(values.min()) > -1e-9
    assert float(values.max()) < 1 + 1e-9


def test_the_gradients_are_projected() -> None:
    learner, strategy = learner_of([6, 5, 4, 3], dropout=0.25), owm()
    strategy.before_training_exp(learner)
    source = torch.Generator().manual_seed(3)
    for _ in range(4):
        images = torch.rand(9, 6, generator=source, dtype=torch.float64)
        batch = backward(learner, images, torch.randint(0, 3, (9,), generator=source))
        plain = [weight.grad.clone() for weight in learner.network.weights if weight.grad is not None]
        strategy.after_backward(learner, batch)
        for weight, gradient, projector in zip(learner.network.weights, plain, projectors(strategy), strict=True):
            assert weight.grad is not None
            torch.testing.assert_close(weight.grad, gradient @ projector, rtol=1e-10, atol=1e-14)
        strategy.after_step(learner, batch)
    assert not torch.allclose(projectors(strategy)[0], torch.eye(6, dtype=torch.float64), atol=0.1)


def test_the_norm_of_all_gradients_together_is_limited() -> None:
    learner = learner_of([6, 5, 4, 3])
    images = torch.rand(9, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = []
    for clip in (1e9, 0.01, 1e-3):
        strategy = owm(clip=clip)
        strategy.before_training_exp(learner)
        strategy.after_backward(learner, backward(learner, images, torch.arange(9) % 3))
        found.append(torch.cat([w.grad.flatten() for w in learner.network.weights if w.grad is not None]))
    norm = float(found[0].norm())
    assert norm > 0.01
    for limited, clip in zip(found[1:], (0.01, 1e-3), strict=True):
        assert float(limited.norm()) == pytest.approx(clip)
        torch.testing.assert_close(limited, found[0] * clip / norm)


def test_learning_leaves_the_answers_to_old_inputs_alone() -> None:
    # The old inputs span three of twelve dimensions; the new ones share these, and have others of their own.
    source = torch.Generator().manual_seed(0)
    basis = torch.rand(3, 12, generator=source, dtype=torch.float64)
    old = torch.rand(60, 3, generator=source, dtype=torch.float64) @ basis
    new = 0.5 * old + torch.rand(60, 12, generator=source, dtype=torch.float64)
    changed = {}
    for name, strategy in (("owm", owm(1, 1e-9)), ("plain", None)):
        learner = learner_of([12, 4])
        network = learner.network
        hooks: dict[str, Any] = {}
        if strategy is not None:
            strategy.before_training_exp(learner)
            hooks = {
                "after_backward": lambda batch, s=strategy, own=learner: s.after_backward(own, batch),
                "after_step": lambda batch, s=strategy, own=learner: s.after_step(own, batch),
            }
        training = Backprop(loss="cross-entropy", lr=0.3, momentum=0.0, batch=6, epochs=3)

        def run(
            x: Tensor,
            classes: Tensor,
            own: Learner = learner,
            how: Backprop = training,
            more: dict[str, Any] = hooks,
        ) -> None:
            for _ in how.fit(
                own.network, x, classes, own.velocity, lambda n, e: torch.Generator().manual_seed(e), **more
            ):
                pass

        run(old, torch.arange(60) % 2)
        before = network(old).detach().clone(), network(new).detach().clone()
        run(new, 2 + torch.arange(60) % 2)
        changed[name] = [
            float((network(x) - was).detach().abs().max()) for x, was in zip((old, new), before, strict=True)
        ]
    assert changed["owm"][0] < 1e-6
    assert changed["owm"][1] > 0.1
    assert changed["plain"][0] > 0.1


def test_projectors_are_kept_from_task_to_task_and_come_back(
    make_learner: Callable[..., Learner], learn: Callable[..., Progress]
) -> None:
    learner, strategy = make_learner(), OWM()
    learn(learner, strategy)
    again = OWM()
    again.load_state_dict(strategy.state_dict())
    again.before_training_exp(learner)
    assert all(torch.equal(a, b) for a, b in zip(projectors(strategy), projectors(again), strict=True))
    assert [tuple(p.shape) for p in projectors(again)] == [(12, 12), (8, 8), (7, 7)]
    assert OWM().state_dict() == {}


def test_layers_without_an_alpha_are_refused(make_learner: Callable[..., Learner]) -> None:
    with pytest.raises(SettingsError, match=r"owm\.alpha has 2 entries"):
        owm(2).before_training_exp(make_learner())


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": []},
        {"alpha": [0.0, 1.0, 1.0]},
        {"alpha": [True, 1.0, 1.0]},
        {"alpha": ["1", 1.0, 1.0]},
        {"alpha": [1.0]},
        {"decay": [1.0, float("nan"), 1.0]},
        {"decay": [1.0, -1.0, 1.0]},
        {"clip": 0.0},
        {"clip": float("nan")},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=f"owm.{next(iter(wrong))}"):
        OWM(**wrong)
