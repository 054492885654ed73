"""Contrastive Hebbian learning on equilibrium networks, and Adjusted Adaptation, against transcriptions in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from neurosleep.data import load_dataset, to_float
from neurosleep.errors import SettingsError
from neurosleep.functional import torch_generator
from neurosleep.learning import Batch, ContrastiveHebbian, EquilibriumPropagation, PhasedLearning, accuracy
from neurosleep.networks import EquilibriumMLP

SIZES = (6, 5, 4, 3)
Array = np.ndarray


def streams(name: str, epoch: int) -> torch.Generator:
    return torch_generator(3, name, 0, epoch)


def network(dt: float = 0.1) -> EquilibriumMLP:
    return EquilibriumMLP(
        SIZES, activation="sigmoid", dt=dt, free_steps=60, init=2.0, generator=torch.Generator().manual_seed(1)
    ).double()


def data(n: int = 8) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(2)
    return torch.rand(n, SIZES[0], generator=g, dtype=torch.float64), torch.randint(SIZES[-1], (n,), generator=g)


def first_batch(learning: PhasedLearning, net: EquilibriumMLP) -> tuple[list[Array], Batch]:
    """Gradients and batch of the only step."""
    kept: list[Batch] = []
    found: list[Array] = []

    def keep(batch: Batch) -> None:
        kept.append(batch)
        found.extend(p.grad.numpy().copy() for p in net.trained if p.grad is not None)

    list(learning.fit(net, *data(), learning.state(net), streams, after_backward=keep))
    return found, kept[0]


class Transcription:
    """Layers, steps and pulls of contrastive Hebbian learning with delay, one loop each."""

    def __init__(self, net: EquilibriumMLP, x: Tensor, targets: Tensor) -> None:
        self.w = [w.detach().numpy().copy() for w in net.weights]
        self.b = [b.detach().numpy().copy() for b in net.biases if b is not None]
        self.dt = float(net.dt)
        self.x, self.t = x.numpy(), np.eye(SIZES[-1])[targets.numpy()]

    def zeros(self) -> list[Array]:
        return [np.zeros((len(self.x), n)) for n in SIZES[1:]]

    def step(self, s: list[Array], beta: float = 0.0) -> list[Array]:
        below = [self.x, *s[:-1]]
        new = []
        for k in range(len(s)):
            total = below[k] @ self.w[k].T + self.b[k]
            total = total + (s[k + 1] @ self.w[k + 1] if k < len(s) - 1 else beta * (self.t - s[k]))
            new.append(s[k] + self.dt * (-s[k] + 1 / (1 + np.exp(-total))))
        return new

    def free(self, steps: int) -> list[Array]:
        s = self.zeros()
        for _ in range(steps):
            s = self.step(s)
        return s

    def clamped(self, steps: int, delay: int) -> list[Array]:
        s = self.zeros()
        for t in range(steps):
            s = self.step(s)
            if t >= delay:
                s[-1] = self.t
        return s

    def adapted(self, s: list[Array], free: list[Array], steps: int, c: float, beta: float = 0.0) -> list[Array]:
        for _ in range(steps):
            dyn = self.step(s, beta)
            if not beta:
                dyn[-1] = s[-1]
            s = [(1 - c) * d + c * f for d, f in zip(dyn, free, strict=True)]
        return s

    def update(self, free: list[Array], other: list[Array], predictive: bool) -> list[Array]:
        """What is added to weights and biases: batch means."""
        found = []
        pre_free, pre = [self.x, *free[:-1]], [self.x, *other[:-1]]
        for k in range(len(free)):
            if predictive:
                found.append((other[k] - free[k]).T @ pre[k])
            else:
                found.append(other[k].T @ pre[k] - free[k].T @ pre_free[k])
            found.append((other[k] - free[k]).sum(0))
        return [f / len(self.x) for f in found]


@pytest.mark.parametrize("predictive", [True, False])
@pytest.mark.parametrize("adaptation", [0, 7])
def test_an_update_of_contrastive_learning_in_an_equilibrium_network(predictive: bool, adaptation: int) -> None:
    net, (x, targets) = network(), data()
    plain = Transcription(net, x, targets)
    learning = ContrastiveHebbian(
        free_steps=60, clamped_steps=50, delay=13, predictive=predictive, adaptation_steps=adaptation
    )
    gradients, batch = first_batch(learning, net)
    free = plain.free(60)
    states = plain.adapted(plain.clamped(50, 13), free, adaptation, 0.1)
    order = torch.randperm(len(x), generator=streams("order", 0)).numpy()
    for ours, theirs in zip(batch.activities, free, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs[order], rtol=1e-12, atol=1e-14)
    expected = plain.update(free, states, predictive)
    for ours, theirs in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(-ours, theirs, rtol=1e-10, atol=1e-14)
        assert np.abs(theirs).max() > 1e-4
    # AdaGrad in the step: S = dW dW, W += lr dW / (sqrt(S) + 1e-7).
    for k, (weight, dw) in enumerate(zip(net.weights, expected[::2], strict=True)):
        moved = weight.detach().numpy() - plain.w[k]
        np.testing.assert_allclose(moved, 0.1 * dw / (np.abs(dw) + 1e-7), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("nudged", [False, True])
@pytest.mark.parametrize("estimator", ["symmetric", "one-sided"])
@pytest.mark.parametrize("predictive", [False, True])
def test_adaptation_after_the_nudged_phases(nudged: bool, estimator: str, predictive: bool) -> None:
    net, (x, targets) = network(0.5), data()
    plain = Transcription(net, x, targets)
    learning = EquilibriumPropagation(
        estimator=estimator,  # type: ignore[arg-type]
        beta=0.3,
        nudged_steps=9,
        lr=0.1,
        adaptation_steps=5,
        adaptation_rate=0.2,
        adaptation_nudged=nudged,
        predictive=predictive,
        second_start=50,
    )
    gradients, _ = first_batch(learning, net)
    free, start = plain.free(60), plain.free(50)
    found = {0.0: free}
    for beta in (0.3, -0.3):
        s = start
        for _ in range(9):
            s = plain.step(s, beta)
        found[beta] = plain.adapted(s, free, 5, 0.2, beta if nudged else 0.0)
    minus, factor = (found[-0.3], 1 / 0.6) if estimator == "symmetric" else (free, 1 / 0.3)
    for ours, theirs in zip(gradients, plain.update(minus, found[0.3], predictive), strict=True):
        np.testing.assert_allclose(-ours, factor * theirs, rtol=1e-9, atol=1e-13)
        assert np.abs(theirs).max() > 1e-5


def test_full_adaptation_forgets_the_target() -> None:
    gradients, _ = first_batch(ContrastiveHebbian(adaptation_steps=1, adaptation_rate=1.0, free_steps=60), network())
    assert all(np.abs(g).max() < 1e-14 for g in gradients)
    gradients, _ = first_batch(ContrastiveHebbian(free_steps=60), network())
    assert all(np.abs(g).max() > 1e-4 for g in gradients)


@pytest.mark.parametrize("adaptation", [0, 10])
def test_contrastive_learning_of_digits_by_an_equilibrium_network(adaptation: int) -> None:
    d = load_dataset("mnist-mini")
    images, labels = torch.from_numpy(to_float(d.images)).flatten(1), torch.from_numpy(d.labels)
    images, labels = images[::2], labels[::2]
    test_images, test_labels = torch.from_numpy(to_float(d.test_images)).flatten(1), torch.from_numpy(d.test_labels)
    net = EquilibriumMLP(
        [784, 30, 10], activation="sigmoid", dt=0.2, free_steps=40, generator=torch_generator(0, "init")
    )
    learning = ContrastiveHebbian(
        free_steps=40, clamped_steps=40, lr=0.03, batch=20, adaptation_steps=adaptation, residual_limit=0.1
    )
    list(learning.fit(net, images, labels, learning.state(net), streams))
    assert accuracy(net, test_images, test_labels) > 0.8


@pytest.mark.parametrize("read_out", ["cross-entropy", "softmax-read-out"])
def test_an_equilibrium_read_out_that_cannot_be_set_to_the_target_is_refused(read_out: str) -> None:
    net = EquilibriumMLP(SIZES, read_out=read_out)  # type: ignore[arg-type]
    learning = ContrastiveHebbian()
    with pytest.raises(SettingsError, match=read_out):
        list(learning.fit(net, *data(), learning.state(net), streams))


@pytest.mark.parametrize(
    "wrong", [{"delay": 120}, {"delay": -1}, {"adaptation_steps": -1}, {"adaptation_rate": 1.5}, {"free_steps": 0}]
)
def test_wrong_settings_of_contrastive_learning_or_adaptation_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        ContrastiveHebbian(**wrong)  # type: ignore[arg-type]


def test_a_term_in_the_loss_has_no_meaning_at_equilibrium() -> None:
    net, learning = network(), ContrastiveHebbian()
    with pytest.raises(SettingsError, match="contrastive Hebbian learning cannot follow"):
        list(learning.fit(net, *data(), learning.state(net), streams, loss_term=lambda batch: torch.zeros(())))
