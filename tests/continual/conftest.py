"""What the tests of the strategies share: small learnable tasks, and a learner on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from neurosleep.continual import Learner, Progress, Strategy, learn_tasks
from neurosleep.data import Task, class_incremental, load_dataset, to_float
from neurosleep.functional import torch_generator
from neurosleep.learning import Backprop, Batch
from neurosleep.networks import MLP
from tests.continual.avalanche_tools import copies

THREE = ((0, 1), (2, 3), (4, 5))


@pytest.fixture
def make_tasks() -> Callable[..., list[Task]]:
    """Tasks of noisy images around one pattern per class (per task and class with ``own``), ``n`` of each class."""

    def make(
        classes: Sequence[Sequence[int]] = THREE, n: int = 15, pool: int = 5, pixels: int = 12, own: bool = False
    ) -> list[Task]:
        rng = np.random.default_rng(7)
        patterns: dict[Any, np.ndarray] = {}
        found = []
        for k, members in enumerate(classes):
            total = (n + pool) * len(members)
            labels = np.resize(np.array(members, dtype=np.int64), total)
            for c in members:
                patterns.setdefault((k, c) if own else c, rng.random(pixels))
            centres = np.stack([patterns[(k, c) if own else c] for c in labels])
            images = (255 * np.clip(centres + 0.2 * rng.standard_normal(centres.shape), 0, 1)).astype(np.uint8)
            images = images.reshape(total, 3, -1)
            used = n * len(members)
            name = ",".join(map(str, members))
            found.append(
                Task(name, tuple(members), images[:used], labels[:used], images, labels, images[used:], labels[used:])
            )
        return found

    return make


@pytest.fixture
def make_learner(make_tasks: Callable[..., list[Task]]) -> Callable[..., Learner]:
    """A learner with a small network before its first task."""

    def make(
        tasks: list[Task] | None = None,
        sizes: Sequence[int] = (12, 8, 7, 6),
        *,
        output: str = "relu",
        dropout: float = 0.25,
        seed: int = 0,
    ) -> Learner:
        network = MLP(sizes, dropout=dropout, init=0.5, output=output, generator=torch_generator(seed, "init"))  # type: ignore[arg-type]
        velocity = [torch.zeros_like(weight) for weight in network.weights]
        return Learner(network, velocity, make_tasks() if tasks is None else tasks, seed)

    return make


@pytest.fixture
def learn() -> Callable[..., Progress]:
    """Learn all tasks of a learner with a strategy."""

    def run(learner: Learner, strategy: Strategy, training: Backprop | None = None, **more: Any) -> Progress:
        loss = "cross-entropy" if learner.network.output == "softmax" else "straight-through-mse"
        training = training or Backprop(loss=loss, lr=0.1, batch=10, epochs=2)  # type: ignore[arg-type]
        return learn_tasks(learner, strategy, training, learner.tasks, Progress(), **more)

    return run


@pytest.fixture
def weights_of() -> Callable[[Learner], list[torch.Tensor]]:
    """Copies of the weights, in float64."""

    def copies(learner: Learner) -> list[torch.Tensor]:
        return [weight.detach().double().clone() for weight in learner.network.weights]

    return copies


@pytest.fixture
def added_gradient() -> Callable[..., list[torch.Tensor]]:
    """What a strategy adds to gradients that are zero, in float64."""

    def added(learner: Learner, strategy: Strategy, batch: Any = None) -> list[torch.Tensor]:
        for weight in learner.network.weights:
            weight.grad = torch.zeros_like(weight)
        strategy.after_backward(learner, batch or Batch(torch.empty(0), torch.empty(0), []))
        return [weight.grad.double() for weight in learner.network.weights if weight.grad is not None]

    return added


@pytest.fixture(scope="module")
def avl() -> SimpleNamespace:
    """What is used of Avalanche, whose import takes long, and the plugin."""
    from avalanche import benchmarks, models
    from avalanche.benchmarks.utils import TaskAwareSupervisedClassificationDataset
    from avalanche.benchmarks.utils.data_attribute import DataAttribute
    from avalanche.core import SupervisedPlugin
    from avalanche.evaluation.metrics import accuracy_metrics
    from avalanche.training import plugins, supervised

    from neurosleep.continual.avalanche import SleepPlugin

    return SimpleNamespace(
        benchmarks=benchmarks,
        models=models,
        Dataset=TaskAwareSupervisedClassificationDataset,
        DataAttribute=DataAttribute,
        SupervisedPlugin=SupervisedPlugin,
        accuracy_metrics=accuracy_metrics,
        plugins=plugins,
        supervised=supervised,
        SleepPlugin=SleepPlugin,
    )


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    """Three tasks of two digits of the embedded MNIST, in floating point, 40 training images each."""
    found = class_incremental(load_dataset("mnist-mini"), [(0, 1), (2, 3), (4, 5)], images_per_task=40)
    return [
        Task(
            t.name,
            t.classes,
            *(part for k in (40, 40) for part in (to_float(t.train_images[:k]), t.train_labels[:k])),
            to_float(t.test_images),
            t.test_labels,
        )
        for t in found
    ]


@pytest.fixture
def watcher(avl: SimpleNamespace) -> Callable[[], Any]:
    """A plugin that keeps the weights after each experience, as they are at its place among the plugins."""

    class Watcher(avl.SupervisedPlugin):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.found: list[list[torch.Tensor]] = []
            self.velocity: list[list[torch.Tensor]] = []

        def after_training_exp(self, strategy: Any, **_: Any) -> None:
            self.found.append(copies(strategy.model))
            state = strategy.optimizer.state
            self.velocity.append([state[p]["momentum_buffer"].clone() for p in strategy.model.parameters()])

    return Watcher
