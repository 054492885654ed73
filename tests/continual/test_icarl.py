"""iCaRL: herding and nearest mean against brute force, how many exemplars are kept, what is trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neurosleep.continual import ICaRL, Learner, Progress, Strategy
from neurosleep.continual.strategies import herding
from neurosleep.continual.strategies.icarl import _features
from neurosleep.data import Task, to_float
from neurosleep.errors import SettingsError
from neurosleep.functional import torch_generator
from neurosleep.learning import Backprop

MakeTasks, Make, Learn = Callable[..., list[Task]], Callable[..., Learner], Callable[..., Progress]


def brute(features: np.ndarray, count: int, *, faithful: bool = False) -> list[int]:
    """The formula: the i-th is the unused row that makes the distance of the means least, tried one by one."""
    mean = features.mean(0)
    chosen: list[int] = []
    for i in range(1, count + 1):
        costs = {}
        for row in range(len(features)):
            if row in chosen:
                continue
            total = sum((features[c] for c in chosen), np.zeros_like(mean))
            costs[row] = float(np.linalg.norm(mean - (features[row] + total) / i))
            if faithful and i == 1:
                costs[row] = float(features[row] @ mean)
        chosen.append(min(costs, key=lambda row: costs[row]))
    return chosen


@pytest.mark.parametrize("faithful", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_herding_is_that_of_the_formula(seed: int, faithful: bool) -> None:
    rng = np.random.default_rng(seed)
    features = rng.gamma(1.0, size=(40, 6)) * (rng.random((40, 6)) < 0.7)
    found = herding(torch.from_numpy(features), 15, faithful=faithful)
    assert found.tolist() == brute(features, 15, faithful=faithful)
    assert found.dtype == torch.int64


def test_the_fault_of_the_released_code_changes_the_first() -> None:
    features = torch.tensor([[0.0, 0.1], [1.0, 1.0], [2.0, 2.1]], dtype=torch.float64)
    assert herding(features, 1).tolist() == [1]
    assert herding(features, 1, faithful=True).tolist() == [0]


def test_herding_ends_with_the_rows() -> None:
    features = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
    assert sorted(herding(features, 9).tolist()) == [0, 1, 2, 3, 4]
    assert herding(features, 0).tolist() == []
    # Equal rows are told apart by their number.
    assert herding(torch.ones(3, 2), 3).tolist() == [0, 1, 2]


def test_longer_choices_begin_with_the_shorter() -> None:
    features = torch.rand(30, 4, generator=torch.Generator().manual_seed(1))
    assert herding(features, 12).tolist()[:5] == herding(features, 5).tolist()


def kept(strategy: ICaRL) -> dict[str, list[int]]:
    return {name: rows.tolist() for name, rows in strategy.state_dict().items()}


def after(strategy: ICaRL, learner: Learner, task: int) -> dict[str, list[int]]:
    learner.task = task
    strategy.after_training_exp(learner)
    return kept(strategy)


@pytest.mark.parametrize(
    ("k", "counts"),
    [
        (12, [6, 3, 2]),
        # K / 2, K / 4, K / 6 to the nearest; a half goes up.
        (10, [5, 3, 2]),
        (9, [5, 2, 2]),
        (6, [3, 2, 1]),
        # Never more than there are images (15 of each class), never fewer than one.
        (100, [15, 15, 15]),
        (2, [1, 1, 1]),
    ],
)
@pytest.mark.parametrize("random", [False, True])
def test_as_many_exemplars_as_the_memory_holds(make_learner: Make, k: int, counts: list[int], random: bool) -> None:
    learner, strategy = make_learner(), ICaRL(k, herding=not random)
    before: dict[str, list[int]] = {}
    for task, count in enumerate(counts):
        found = after(strategy, learner, task)
        assert [len(rows) for rows in found.values()] == [count] * (2 * task + 2)
        # The old ones are the starts of what they were.
        assert all(found[name] == rows[:count] for name, rows in before.items())
        before = found


def test_exemplars_are_chosen_by_herding_on_the_last_hidden_layer(make_learner: Make) -> None:
    for faithful in (False, True):
        # As released the masks of dropout are drawn, which a test of the formula is better without.
        keep = 1.0 if faithful else 0.75
        learner, strategy = make_learner(dropout=1 - keep), ICaRL(20, faithful=faithful)
        found = after(strategy, learner, 0)
        task = learner.tasks[0]
        w = [weight.detach().double().numpy() for weight in learner.network.weights]
        x = task.train_images.reshape(len(task.train_images), -1) / 255
        features = keep * np.maximum(0, (keep * np.maximum(0, x @ w[0].T)) @ w[1].T)
        for c in (0, 1):
            rows = np.flatnonzero(task.train_labels == c)
            assert found[f"task0.class{c}"] == rows[brute(features[rows], 10, faithful=faithful)].tolist()


def test_chance_chooses_afresh_for_each_class_and_seed(make_learner: Make) -> None:
    found = []
    for seed in (0, 0, 1):
        strategy = ICaRL(20, herding=False)
        found.append(after(strategy, make_learner(seed=seed), 0))
    assert found[0] == found[1] != found[2]
    for seed, chosen in zip((0, 0, 1), found, strict=True):
        labels = make_learner(seed=seed).tasks[0].train_labels
        for c in (0, 1):
            rows = chosen[f"task0.class{c}"]
            assert len(set(rows)) == 10
            assert set(labels[rows].tolist()) == {c}
    # Among its own 15 each class has other ones.
    assert [r // 2 for r in found[0]["task0.class0"]] != [r // 2 for r in found[0]["task0.class1"]]


@pytest.mark.parametrize("output", ["relu", "softmax"])
@pytest.mark.parametrize("distillation", [False, True])
def test_new_images_and_exemplars_are_trained_on(make_learner: Make, output: str, distillation: bool) -> None:
    learner, strategy = make_learner(output=output), ICaRL(8, distillation=distillation)
    own, labels = torch.rand(5, 12), torch.tensor([4, 5, 4, 5, 4])
    assert all(a is b for a, b in zip(strategy.training_data(learner, own, labels), (own, labels), strict=True))
    found = after(strategy, learner, 0)
    learner.task = 1
    images, targets = strategy.training_data(learner, own, labels)
    task = learner.tasks[0]
    rows = found["task0.class0"] + found["task0.class1"]
    stored = to_float(task.train_images[rows])
    assert torch.equal(images, torch.cat([own, torch.from_numpy(stored)]))
    if not distillation:
        assert targets.tolist() == [4, 5, 4, 5, 4, 0, 0, 0, 0, 1, 1, 1, 1]
        return
    x = stored.astype(np.float64)
    for weight in learner.network.weights[:-1]:
        x = 0.75 * np.maximum(0, x @ weight.detach().double().numpy().T)
    sums = x @ learner.network.weights[-1].detach().double().numpy().T
    soft = np.exp(sums) / np.exp(sums).sum(1, keepdims=True) if output == "softmax" else np.maximum(0, sums)
    np.testing.assert_allclose(targets[5:].numpy(), soft, rtol=1e-5, atol=1e-6)
    assert targets[:5].tolist() == np.eye(6)[[4, 5, 4, 5, 4]].tolist()
    assert not targets.requires_grad


def test_the_targets_of_distillation_are_from_before_the_task(make_learner: Make, learn: Learn) -> None:
    found: list[tuple[int, Tensor, Tensor]] = []

    class Probe(ICaRL):
        def training_data(self, learner: Learner, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
            images, targets = super().training_data(learner, images, targets)
            if learner.task:
                answers = learner.network.eval().read_out(learner.network(images)).detach()
                found.append((learner.task, targets, answers))
            return images, targets

    learn(make_learner(output="softmax"), Probe(12, distillation=True))
    assert [task for task, _, _ in found] == [1, 2]
    for task, targets, answers in found:
        exemplars = 12 // (2 * task) * 2 * task
        torch.testing.assert_close(targets[-exemplars:], answers[-exemplars:])


def test_the_nearest_mean_is_that_of_brute_force(make_learner: Make, learn: Learn) -> None:
    learner, strategy = make_learner(), ICaRL(24)
    assert strategy.read_outs(learner) == {}
    progress = learn(learner, strategy)
    (classify,) = strategy.read_outs(learner).values()
    w = [weight.detach().double().numpy() for weight in learner.network.weights]

    def features(x: np.ndarray) -> np.ndarray:
        return 0.75 * np.maximum(0, (0.75 * np.maximum(0, x @ w[0].T)) @ w[1].T)

    means = {}
    for name, rows in kept(strategy).items():
        task, c = (int(part) for part in name.removeprefix("task").split(".class"))
        means[c] = features(to_float(learner.tasks[task].train_images[rows]).astype(np.float64)).mean(0)
    assert sorted(means) == [0, 1, 2, 3, 4, 5]
    correct = []
    for task in learner.tasks:
        x = to_float(task.test_images)
        expected = [
            min(means, key=lambda c, f=f: float(np.linalg.norm(f - means[c])))  # type: ignore[misc]
            for f in features(x.astype(np.float64))
        ]
        assert classify(torch.from_numpy(x)).tolist() == expected
        correct.append(float(np.mean(np.array(expected) == task.test_labels)))
    assert progress.read_outs == {"nearest_mean": progress.read_outs["nearest_mean"]}
    assert progress.read_outs["nearest_mean"][-1] == pytest.approx(correct)
    assert len(progress.read_outs["nearest_mean"]) == 3
    assert sum(correct) / 3 > 0.3


def test_tasks_that_share_classes_keep_exemplars_of_each(make_tasks: MakeTasks, make_learner: Make) -> None:
    tasks = make_tasks([[0, 1], [0, 1]], own=True)
    learner, strategy = make_learner(tasks), ICaRL(12)
    assert {name: len(rows) for name, rows in after(strategy, learner, 0).items()} == {
        "task0.class0": 6,
        "task0.class1": 6,
    }
    found = after(strategy, learner, 1)
    assert [len(rows) for rows in found.values()] == [3] * 4
    learner.task = 1
    images, labels = strategy.training_data(learner, torch.zeros(0, 12), torch.zeros(0, dtype=torch.int64))
    assert labels.tolist() == [0] * 3 + [1] * 3 + [0] * 3 + [1] * 3
    old = torch.from_numpy(to_float(tasks[0].train_images[found["task0.class0"]]))
    assert torch.equal(images[:3], old)
    # The nearest of the four means, and its class.
    (classify,) = strategy.read_outs(learner).values()
    assert set(classify(images).tolist()) == {0, 1}


@pytest.mark.parametrize("classes", [[[0, 1], [2, 3]], [[3, 2], [1, 0]], [[11, 0], [2, 10]]])
def test_the_state_comes_back_in_the_same_order(
    make_tasks: MakeTasks, make_learner: Make, classes: list[list[int]]
) -> None:
    learner, strategy = make_learner(make_tasks(classes), (12, 8, 12)), ICaRL(9)
    for task in range(2):
        after(strategy, learner, task)
    again = ICaRL(9)
    # As a file gives it back: sorted by name.
    again.load_state_dict(dict(sorted(strategy.state_dict().items())))
    assert list(kept(again).items()) == list(kept(strategy).items())
    own, labels = torch.rand(4, 12), torch.zeros(4, dtype=torch.int64)
    for one, other in zip(
        strategy.training_data(learner, own, labels), again.training_data(learner, own, labels), strict=True
    ):
        assert torch.equal(one, other)
    assert ICaRL().state_dict() == {}


def test_exemplars_help(make_learner: Make, learn: Learn) -> None:
    training = Backprop(loss="cross-entropy", batch=10, epochs=15)
    plain, held = (
        sum(learn(make_learner(output="softmax"), strategy, training).after[-1][:2])
        for strategy in (Strategy(), ICaRL(60))
    )
    assert plain < 0.6
    assert held > 1.0


def test_a_network_without_hidden_layers_has_its_sums_for_features(make_learner: Make, learn: Learn) -> None:
    learner = make_learner(None, (12, 6))
    progress = learn(learner, ICaRL(12))
    assert np.mean(progress.read_outs["nearest_mean"][-1]) > 0.4


@pytest.mark.parametrize("k", [0, -5, True, 2.5, "100"])
def test_wrong_settings_are_refused(k: Any) -> None:
    with pytest.raises(SettingsError, match=r"icarl\.k"):
        ICaRL(k)


def test_faithful_features_have_dropout_active(make_learner: Callable[..., Learner]) -> None:
    learner = make_learner(sizes=(12, 8, 6), dropout=0.5)
    learner.network.eval()
    images = torch.rand(40, learner.network.sizes[0])
    plain = _features(learner.network, images)
    masked = _features(learner.network, images, torch_generator(0, "x"))
    # Not scaled by 1 - p in training mode: twice the test-time activity where a unit is not silenced.
    kept = (masked != 0) & (plain != 0)
    assert kept.any() and torch.allclose(masked[kept], 2 * plain[kept])
    assert ((masked == 0) & (plain != 0)).any()
    assert not learner.network.training
