"""The published wake training against a transcription of it in NumPy."""

from __future__ import annotations

import itertools
from typing import Any, Literal

import numpy as np
import pytest
import torch

from neurosleep.errors import SettingsError, UnknownNameError
from neurosleep.functional import torch_generator
from neurosleep.learning import Backprop, accuracy, predict, task_loss
from neurosleep.networks import MLP, ConvNet

SIZES, DROPOUT = (7, 6, 5, 4), 0.25


def streams(name: str, epoch: int) -> torch.Generator:
    return torch_generator(3, name, 0, epoch)


def network(dropout: float = DROPOUT) -> MLP:
    return MLP(SIZES, dropout=dropout, init=0.5, generator=torch.Generator().manual_seed(1)).double()


def data(n: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.random((n, SIZES[0]))), torch.from_numpy(rng.integers(0, SIZES[-1], n))


def transcription(
    weights: list[np.ndarray],
    velocity: list[np.ndarray],
    x: np.ndarray,
    labels: np.ndarray,
    training: Backprop,
) -> None:
    """The published training (Tadros et al. 2022), with the same order of images and the same masks."""
    last = len(weights) - 1
    for epoch in range(training.epochs):
        order = torch.randperm(len(x), generator=streams("order", epoch)).numpy()
        dropout = streams("dropout", epoch)
        for start in range(0, len(x), training.batch):
            chosen = order[start : start + training.batch]
            h, masks = [x[chosen]], []
            for k, w in enumerate(weights):
                a = np.maximum(0, h[-1] @ w.T)
                if k < last:
                    mask = (torch.rand(a.shape, generator=dropout) >= DROPOUT).numpy()
                    a = a * mask
                    masks.append(mask)
                h.append(a)
            target = np.eye(SIZES[-1])[labels[chosen]]
            if training.loss == "cross-entropy":
                z = h[-2] @ weights[-1].T
                e = np.exp(z - z.max(1, keepdims=True))
                delta = e / e.sum(1, keepdims=True) - target
            else:
                # No factor for the derivative of the output's ReLU.
                delta = h[-1] - target
            gradients = []
            for k in range(last, -1, -1):
                gradients.insert(0, delta.T @ h[k] / len(chosen))
                if k:
                    delta = (delta @ weights[k]) * (h[k] > 0) * masks[k - 1]
            for k, gradient in enumerate(gradients):
                velocity[k] = training.momentum * velocity[k] + training.lr * gradient
                weights[k] = weights[k] - velocity[k]


@pytest.mark.parametrize("loss", ["straight-through-mse", "cross-entropy"])
@pytest.mark.parametrize(("batch", "epochs"), [(20, 1), (8, 3)])
def test_training_is_the_transcription(loss: str, batch: int, epochs: int) -> None:
    training = Backprop(loss=loss, lr=0.3, momentum=0.5, batch=batch, epochs=epochs)  # type: ignore[arg-type]
    net, (x, labels) = network(), data()
    velocity = [torch.zeros_like(w) for w in net.weights]
    weights = [w.detach().numpy().copy() for w in net.weights]
    theirs = [np.zeros_like(w) for w in weights]
    # Twice: the momentum is kept from one task to the next.
    for _ in range(2):
        assert list(training.fit(net, x, labels, velocity, streams)) == list(range(1, epochs + 1))
        transcription(weights, theirs, x.numpy(), labels.numpy(), training)
        for ours, expected in zip([*net.weights, *velocity], [*weights, *theirs], strict=True):
            np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=1e-10, atol=1e-13)
    assert any(np.abs(v).max() > 0 for v in theirs)


def test_momentum_is_kept_across_fits() -> None:
    training, (x, labels) = Backprop(epochs=1, momentum=0.9), data()
    kept, fresh = network(), network()
    velocity = [torch.zeros_like(w) for w in kept.weights]
    for net, again in itertools.product((kept, fresh), range(2)):
        if net is fresh or again == 0:
            velocity = [torch.zeros_like(w) for w in net.weights]
        list(training.fit(net, x, labels, velocity, streams))
    assert not torch.equal(kept.weights[0], fresh.weights[0])


def test_a_silent_unit_whose_target_is_one_still_learns() -> None:
    output = torch.tensor([[-3.0, 2.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(task_loss(output, torch.tensor([0]), "straight-through-mse"), output)
    assert gradient.tolist() == [[-1.0, 2.0]]


def test_the_hooks_are_called_at_every_step() -> None:
    net, (x, labels) = network(), data()
    called: list[str] = []
    term = list(
        Backprop(batch=10, epochs=2).fit(
            net,
            x,
            labels,
            [torch.zeros_like(w) for w in net.weights],
            streams,
            loss_term=lambda batch: called.append("loss"),
            after_backward=lambda batch: called.append("backward"),
            after_step=lambda batch: called.append("step"),
        )
    )
    assert term == [1, 2]
    assert called == ["loss", "backward", "step"] * 4


def test_a_loss_term_is_added() -> None:
    x, labels = data()
    plain, decayed = network(), network()
    for net, factor in ((plain, 0.0), (decayed, 1.0)):
        step = Backprop(epochs=1, batch=20, lr=0.1, momentum=0.0).fit(
            net,
            x,
            labels,
            [torch.zeros_like(w) for w in net.weights],
            streams,
            loss_term=lambda batch, net=net, factor=factor: factor * net.weights[0].sum(),  # type: ignore[misc]
        )
        list(step)
    np.testing.assert_allclose((plain.weights[0] - decayed.weights[0]).detach().numpy(), 0.1, rtol=1e-10)
    assert torch.equal(plain.weights[1], decayed.weights[1])


def test_each_layer_may_have_a_step_size_of_its_own() -> None:
    x, labels = data()
    mixed = (0.1, 0.1, 0.0001)
    nets = {rates: network() for rates in (mixed, 0.1, 0.0001)}
    for rates, net in nets.items():
        zeros = [torch.zeros_like(w) for w in net.weights]
        list(Backprop(epochs=1, batch=20, lr=rates).fit(net, x, labels, zeros, streams))  # one step
    for layer, same in enumerate(mixed):
        assert torch.equal(nets[mixed].weights[layer], nets[same].weights[layer])
    with pytest.raises(SettingsError, match="2 learning rates"):
        list(Backprop(lr=(0.1, 0.1)).fit(network(), x, labels, [], streams))


def test_the_first_of_equal_outputs_is_predicted() -> None:
    net = MLP([2, 3])
    with torch.no_grad():
        net.weights[0].copy_(torch.tensor([[-1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]))
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    # Two equal ones: the first. All silent: class 0, also where the sum below zero differs.
    assert predict(net, x).tolist() == [1, 0, 0]
    with torch.no_grad():
        net.weights[0].copy_(torch.tensor([[-2.0, 0.0], [-1.0, 0.0], [-3.0, 0.0]]))
    assert predict(net, x[:1]).tolist() == [0]
    assert accuracy(net, x[:1].repeat(3, 1), torch.tensor([0, 1, 0])) == pytest.approx(2 / 3)
    assert predict(net, x, batch=1).tolist() == predict(net, x).tolist()


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": "mse"},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"lr": (0.1, -0.1)},
        {"momentum": 1.0},
        {"batch": 0},
        {"epochs": 0},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        Backprop(**wrong)  # type: ignore[arg-type]


# --- what people train with -------------------------------------------------------------------------------------------


def plain(bias: bool = True) -> MLP:
    return MLP(
        [7, 6, 5, 4], bias=bias, init="torch", output="softmax", generator=torch.Generator().manual_seed(1)
    ).double()


def torchs(model: torch.nn.Module, training: Backprop, peer: torch.optim.Optimizer, loss: Any) -> None:
    """The same epochs in plain torch, with the same order of images."""
    x, labels = data()
    for epoch in range(training.epochs):
        order = torch.randperm(len(x), generator=streams("order", epoch))
        for start in range(0, len(x), training.batch):
            chosen = order[start : start + training.batch]
            peer.zero_grad()
            loss(model(x[chosen]), labels[chosen]).backward()
            peer.step()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_training_is_torchs_also_over_a_second_task(optimiser: Literal["sgd", "adam"], bias: bool) -> None:
    ours, theirs = plain(bias), plain(bias)
    training = Backprop("cross-entropy", 0.01, 0.0, batch=6, epochs=2, optimiser=optimiser)
    peer = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimiser](theirs.parameters(), lr=0.01)
    state = training.state(ours)
    assert len(state) == {"sgd": 1, "adam": 2}[optimiser] * len(ours.trained) + (optimiser == "adam")
    for _ in range(2):
        list(training.fit(ours, *data(), state, streams))
        torchs(theirs, training, peer, torch.nn.functional.cross_entropy)
    for a, b in zip(ours.trained, theirs.trained, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_adams_state_goes_on_where_it_was_stored() -> None:
    training = Backprop("cross-entropy", 0.01, batch=6, epochs=1, optimiser="adam")
    whole, stopped = plain(), plain()
    state = training.state(whole)
    list(training.fit(whole, *data(), state, streams))
    stored = training.state(stopped)
    list(training.fit(stopped, *data(), stored, streams))
    again = plain()
    with torch.no_grad():
        for place, tensor in zip(again.trained, stopped.trained, strict=True):
            place.copy_(tensor)
    restored = [tensor.clone() for tensor in stored]
    for net, kept in ((whole, state), (again, restored)):
        list(training.fit(net, *data(), kept, streams))
    assert all(torch.equal(a, b) for a, b in zip(whole.trained, again.trained, strict=True))
    with pytest.raises(SettingsError, match="state"):
        list(Backprop("cross-entropy").fit(plain(), *data(), state, streams))


def test_the_loss_over_the_tasks_classes_leaves_the_other_outputs_alone() -> None:
    x, labels = data()
    chosen = (labels == 1) | (labels == 3)
    net = plain()
    before = [tensor.detach().clone() for tensor in (net.weights[-1], net.biases[-1])]
    training = Backprop("task-cross-entropy", 0.1, batch=6, epochs=1)
    list(training.fit(net, x[chosen], labels[chosen], training.state(net), streams))
    for was, now in zip(before, (net.weights[-1], net.biases[-1]), strict=True):
        assert torch.equal(was[[0, 2]], now[[0, 2]]) and not torch.equal(was[[1, 3]], now[[1, 3]])
    output, classes = torch.randn(5, 4), torch.tensor([1, 3])
    hard = torch.tensor([1, 3, 3, 1, 1])
    expected = torch.nn.functional.cross_entropy(output[:, [1, 3]], (hard == 3).long())
    soft = torch.nn.functional.one_hot(hard, 4).float()
    assert task_loss(output, hard, "task-cross-entropy", classes) == expected
    torch.testing.assert_close(task_loss(output, soft, "task-cross-entropy", classes), expected)


def test_binary_cross_entropy_is_torchs() -> None:
    output, labels = torch.randn(5, 4), torch.tensor([1, 3, 0, 2, 1])
    expected = torch.nn.BCEWithLogitsLoss()(output, torch.nn.functional.one_hot(labels, 4).float())
    assert task_loss(output, labels, "binary-cross-entropy") == expected


def test_hidden_layers_learn_more_slowly_by_a_factor() -> None:
    nets = [plain(), plain()]
    trainings = [
        Backprop("cross-entropy", 0.5, hidden_lr_factor=0.1),
        Backprop("cross-entropy", (0.5 * 0.1, 0.5 * 0.1, 0.5)),
    ]
    for net, training in zip(nets, trainings, strict=True):
        list(training.fit(net, *data(), training.state(net), streams))
    assert all(torch.equal(a, b) for a, b in zip(nets[0].trained, nets[1].trained, strict=True))
    for wrong in ({"hidden_lr_factor": 1.5}, {"lr": (0.1, 0.1, 0.1), "hidden_lr_factor": 0.5}):
        with pytest.raises(SettingsError, match="hidden_lr_factor"):
            Backprop(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("frozen", [("conv",), ("hidden",)])
def test_frozen_layers_stay_and_the_others_learn_as_if_nothing_were_frozen(
    optimiser: Literal["sgd", "adam"], frozen: tuple[Literal["conv", "hidden"]]
) -> None:
    def make() -> ConvNet:
        return ConvNet((6, 6, 1), [3], fc=[5, 4], generator=torch.Generator().manual_seed(2))

    free, held = make(), make()
    x, labels = torch.rand(20, 36), torch.arange(20) % 4
    trainings = [Backprop("cross-entropy", 0.05, 0.5, 20, 1, optimiser, frozen=f) for f in ((), frozen)]
    states = [training.state(free) for training in trainings]
    # One task with everything, then one with frozen layers: what they remember of the first must not move them.
    for net, state in zip((free, held), states, strict=True):
        list(trainings[0].fit(net, x, labels, state, streams))
    before = [tensor.detach().clone() for tensor in held.trained]
    seen: list[Any] = []
    list(trainings[0].fit(free, x, labels, states[0], streams))
    list(trainings[1].fit(held, x, labels, states[1], streams, after_backward=seen.append))
    last = {"conv": 1, "hidden": 2}[frozen[0]]
    for k, (was, ours, theirs) in enumerate(zip(before, held.trained, free.trained, strict=True)):
        learns = held.layer_of[k] >= last
        assert torch.equal(ours, was) != learns, k
        if learns:  # one batch only, so that what is frozen has no effect yet
            torch.testing.assert_close(ours, theirs)
        else:
            assert ours.grad is not None and not ours.grad.any()
    assert [d.shape[1:] for d in seen[0].deltas] == [(3, 4, 4), (5,), (4,)] and not seen[0].deltas[0].any()


def test_what_cannot_be_frozen_is_refused() -> None:
    with pytest.raises(SettingsError, match="convolutions"):
        list(Backprop(frozen=("conv",)).fit(plain(), *data(), [], streams))
    with pytest.raises(UnknownNameError, match="dense"):
        Backprop(frozen=("dense",))  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="adagrad"):
        Backprop(optimiser="adagrad")  # type: ignore[arg-type]
