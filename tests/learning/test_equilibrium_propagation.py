"""Equilibrium Propagation: it learns, and its gradient is the loss's."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from neurosleep.bench._ep import autograd_settle, nudged_phi
from neurosleep.data import load_dataset, to_float
from neurosleep.errors import SettingsError
from neurosleep.functional import torch_generator
from neurosleep.learning import Batch, ConvergenceWarning, EquilibriumPropagation, PhasedLearning, accuracy
from neurosleep.networks import EquilibriumMLP


def streams(name: str, epoch: int) -> torch.Generator:
    return torch_generator(3, name, 0, epoch)


def mini() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    d = load_dataset("mnist-mini")
    return (
        torch.from_numpy(to_float(d.images)).flatten(1),
        torch.from_numpy(d.labels),
        torch.from_numpy(to_float(d.test_images)).flatten(1),
        torch.from_numpy(d.test_labels),
    )


@pytest.mark.parametrize("estimator", ["symmetric", "one-sided", "random-sign"])
def test_it_learns_digits(estimator: str) -> None:
    images, labels, test_images, test_labels = mini()
    net = EquilibriumMLP([784, 64, 10], generator=torch_generator(0, "init"))
    learning = EquilibriumPropagation(estimator=estimator, free_steps=30, nudged_steps=8)  # type: ignore[arg-type]
    state = learning.state(net)
    assert list(learning.fit(net, images, labels, state, streams)) == [1]
    assert accuracy(net, test_images, test_labels) > 0.85


def small(**settings: object) -> EquilibriumMLP:
    made = {"free_steps": 60, "generator": torch.Generator().manual_seed(8)} | settings
    return EquilibriumMLP((6, 8, 7, 4), **made).double()  # type: ignore[arg-type]


def data(n: int = 20) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(2)
    return torch.rand(n, 6, generator=g, dtype=torch.float64), torch.randint(4, (n,), generator=g)


def train(learning: PhasedLearning, net: EquilibriumMLP, **hooks: object) -> list[int]:
    return list(learning.fit(net, *data(), learning.state(net), streams, **hooks))  # type: ignore[arg-type]


@pytest.mark.parametrize("estimator", ["symmetric", "one-sided", "random-sign"])
@pytest.mark.parametrize("read_out", ["squared-error", "cross-entropy", "softmax-read-out"])
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_training_is_the_derivative_of_phi_by_autograd(estimator: str, read_out: str, optimiser: str) -> None:
    """Two epochs against a loop that differentiates Phi for states and weights and steps with PyTorch's optimiser."""
    lr, beta = (0.05, 0.03, 0.01), 0.3
    learning = EquilibriumPropagation(
        estimator=estimator,  # type: ignore[arg-type]
        beta=beta,
        free_steps=40,
        nudged_steps=10,
        lr=lr,
        optimiser=optimiser,  # type: ignore[arg-type]
        momentum=0.5,
        weight_decay=1e-3,
        cosine_epochs=3,
        batch=8,
        epochs=2,
    )
    net, plain = small(read_out=read_out), small(read_out=read_out)
    assert train(learning, net) == [1, 2]

    x, targets = data()
    groups = [{"params": [p], "lr": lr[k]} for p, k in zip(plain.trained, plain.layer_of, strict=True)]
    peer: torch.optim.Optimizer = (
        torch.optim.SGD(groups, momentum=0.5, weight_decay=1e-3)
        if optimiser == "sgd"
        else torch.optim.Adam(groups, weight_decay=1e-3)
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(peer, 3, 1e-5)
    for epoch in range(2):
        signs = streams("sign", epoch)
        for chosen in torch.randperm(len(x), generator=streams("order", epoch)).split(8):
            b = beta
            if estimator == "random-sign":
                b *= 1 - 2 * int(torch.randint(2, (), generator=signs))
            betas = (-b, b) if estimator == "symmetric" else (0.0, b)
            batch = x[chosen], targets[chosen]
            free = autograd_settle(plain, *batch, plain.zeros(batch[0]), 40, 0.0)
            minus, plus = (autograd_settle(plain, *batch, free, 10, one) if one else free for one in betas)
            peer.zero_grad()
            for states, one, sign in ((minus, betas[0], 1), (plus, betas[1], -1)):
                phi = nudged_phi(plain, *batch, states, one).mean()
                (sign * phi / (betas[1] - betas[0])).backward()
            peer.step()
        schedule.step()
    for one, other in zip(net.trained, plain.trained, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)
    assert not torch.allclose(net.weights[0], small(read_out=read_out).weights[0], atol=1e-3)


def test_soft_targets_teach_as_labels_do() -> None:
    found = []
    for soft in (False, True):
        net, learning = small(), EquilibriumPropagation(lr=0.1)
        x, targets = data()
        given = torch.nn.functional.one_hot(targets, 4).float() if soft else targets
        list(learning.fit(net, x, given, learning.state(net), streams))
        found.append(net.weights[0].detach())
    assert torch.equal(*found)


def test_momentum_is_the_callers_and_kept_across_fits() -> None:
    learning = EquilibriumPropagation(lr=0.1, momentum=0.9)
    net, fresh = small(), small()
    state = learning.state(net)
    for _ in range(2):
        list(learning.fit(net, *data(), state, streams))
        train(learning, fresh)
    assert len(state) == len(net.trained) and not torch.equal(net.weights[0], fresh.weights[0])


def test_hooks_see_states_deltas_residuals_and_gradients() -> None:
    net, learning = small(), EquilibriumPropagation(lr=0.1, batch=8, epochs=2)
    called: list[str] = []

    def term(batch: Batch) -> None:
        called.append("loss")

    def backward(batch: Batch) -> None:
        called.append("backward")
        assert batch.residual is not None and batch.residual.shape == (3,)
        assert [a.shape[1] for a in batch.activities] == [8, 7, 4] == [d.shape[1] for d in batch.deltas]
        assert len(batch.inputs) == 3
        for parameter in net.trained:
            assert parameter.grad is not None
        # The bias's gradient is that of the summed input, over the batch.
        torch.testing.assert_close(net.trained[1].grad, batch.deltas[0].sum(0))
        before.append(net.weights[0].detach().clone())
        net.trained[0].grad.zero_()  # type: ignore[union-attr]

    def step(batch: Batch) -> None:
        called.append("step")
        assert torch.equal(net.weights[0], before[-1])

    before: list[Tensor] = []
    train(learning, net, loss_term=term, after_backward=backward, after_step=step)
    assert called == ["loss", "backward", "step"] * 6


# --- a free phase that does not converge ------------------------------------------------------------------------------


def test_a_free_phase_at_no_equilibrium_is_warned_of_once_with_residual_and_layer() -> None:
    net = small(activation="tanh", init=30.0)
    learning = EquilibriumPropagation(lr=1e-6, batch=4, epochs=2, free_steps=15, nudged_steps=3)
    with torch.no_grad():
        order = torch.randperm(20, generator=streams("order", 0))
        x = data()[0][order[:4]]
        residual = net.settle(net.start(x), net.zeros(x), 15).residual
    worst = int(residual.argmax())
    with pytest.warns(ConvergenceWarning) as caught:
        train(learning, net)
    assert len(caught) == 1
    text = str(caught[0].message)
    assert f"layer {worst + 1} of 3" in text and f"{float(residual[worst]):.3g}" in text
    assert "batch 1 of epoch 1" in text and "15 steps" in text
    # The next fit warns again; a limit that is wide enough does not, and neither does a phase that converges.
    with pytest.warns(ConvergenceWarning):
        train(learning, net)
    train(dataclasses.replace(learning, residual_limit=10.0), net)
    train(EquilibriumPropagation(lr=0.1), small())


def test_states_beyond_numbers_are_warned_of_too() -> None:
    net = small(read_out="cross-entropy", activation="relu", init=1e30)
    with pytest.warns(ConvergenceWarning, match="nan|inf"):
        train(EquilibriumPropagation(lr=0.1), net)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"beta": 0.0}, "beta, is 0.0"),
        ({"beta": float("nan")}, "beta, is nan"),
        ({"free_steps": 10, "nudged_steps": 11}, r"T2, 11 steps\) is longer than the free one \(T1, 10\)"),
        ({"nudged_steps": 0}, "nudged_steps"),
        ({"free_steps": 0}, "free_steps"),
        ({"free_steps": 20, "second_start": 21}, "step 21"),
        ({"estimator": "two-sided"}, "symmetric"),
        ({"optimiser": "adams"}, "adam"),
        ({"loss": "mse"}, "squared-error"),
        ({"lr": ()}, "learning rates"),
        ({"lr": (0.1, -0.1)}, "learning rates"),
        ({"momentum": 1.0}, "momentum"),
        ({"weight_decay": -1.0}, "weight decay"),
        ({"batch": 0}, "batch"),
        ({"epochs": 0}, "epochs"),
        ({"cosine_epochs": -1}, "cosine_epochs"),
        ({"smallest_lr": -1.0}, "smallest"),
        ({"residual_limit": 0.0}, "residual"),
        ({"adaptation_steps": -1}, "adaptation_steps"),
        ({"adaptation_rate": 2.0}, "adaptation"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        EquilibriumPropagation(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("learning", "settings", "said"),
    [
        ({"loss": "cross-entropy"}, {}, "'cross-entropy' does not fit the network's read-out 'squared-error'"),
        ({"loss": "squared-error"}, {"read_out": "softmax-read-out"}, "does not fit"),
        ({"lr": (0.1, 0.1)}, {}, "2 learning rates"),
        ({"nudged_steps": 12}, {"free_steps": 11}, "T1, 11"),
    ],
)
def test_what_does_not_fit_the_network_is_refused(
    learning: dict[str, object], settings: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        train(EquilibriumPropagation(**{"lr": 0.1} | learning), small(**settings))  # type: ignore[arg-type]


def test_a_term_in_the_loss_is_refused() -> None:
    with pytest.raises(SettingsError, match="Equilibrium Propagation cannot follow"):
        train(EquilibriumPropagation(lr=0.1), small(), loss_term=lambda batch: torch.zeros(()))
