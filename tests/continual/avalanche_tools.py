"""What the tests of the Avalanche plugin share: benchmarks of arrays, small networks, strategies."""

from __future__ import annotations

import importlib.util
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from neurosleep.data import Task, to_float
from neurosleep.errors import NeurosleepWarning
from neurosleep.functional import SRCRule
from neurosleep.networks import MLP

needs_avalanche = pytest.mark.skipif(
    importlib.util.find_spec("avalanche") is None, reason="the extra 'avalanche' is not installed"
)
# A short and rough sleep as of SRC.
QUICK: dict[str, Any] = {"rule": SRCRule(0.05, 0.01), "steps": 200, "rates": [0.02] * 3, "growth": 0.5}


def benchmark(avl: SimpleNamespace, tasks: list[Task], shape: tuple[int, ...] = (784,)) -> Any:
    """The same tasks as an Avalanche benchmark of images of ``shape``."""

    return incremental(
        avl,
        train=[labelled(avl, t.train_images.reshape(-1, *shape), t.train_labels) for t in tasks],
        test=[labelled(avl, t.test_images.reshape(-1, *shape), t.test_labels) for t in tasks],
    )


def labelled(avl: SimpleNamespace, images: np.ndarray, labels: np.ndarray) -> Any:
    shape = images.shape[1:]
    inputs = torch.from_numpy(to_float(images)).reshape(-1, *shape)
    return attributed(avl, torch.utils.data.TensorDataset(inputs, torch.from_numpy(labels)), labels)


def attributed(avl: SimpleNamespace, data: Any, labels: np.ndarray) -> Any:
    """A data set with the attributes that Avalanche's strategies ask for."""
    attributes = [
        avl.DataAttribute(labels.tolist(), "targets"),
        avl.DataAttribute([0] * len(labels), "targets_task_labels", use_in_getitem=True),
    ]
    return avl.Dataset([data], data_attributes=attributes)


def incremental(avl: SimpleNamespace, **streams: Any) -> Any:
    bench = avl.benchmarks.benchmark_from_datasets(**streams)
    return avl.benchmarks.with_classes_timeline(avl.benchmarks.with_task_labels(bench))


def mlp(seed: int = 0, sizes: tuple[int, ...] = (784, 30, 20, 10), **more: Any) -> MLP:
    return MLP(sizes, init=0.1, generator=torch.Generator().manual_seed(seed), **more)


def plain(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = [nn.Linear(a, b, bias=False) for a, b in ((784, 30), (30, 20), (20, 10))]
    return nn.Sequential(nn.Flatten(), layers[0], nn.ReLU(), nn.Dropout(0.25), layers[1], nn.ReLU(), layers[2])


def strategy(avl: SimpleNamespace, model: nn.Module, plugins: list[Any], kind: str = "Naive", **more: Any) -> Any:
    given: dict[str, Any] = {
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5),
        "criterion": nn.CrossEntropyLoss(),
        "train_mb_size": 10,
        "train_epochs": 1,
        "eval_mb_size": 500,
        "evaluator": avl.plugins.EvaluationPlugin(avl.accuracy_metrics(stream=True, experience=True), loggers=[]),
    }
    return getattr(avl.supervised, kind)(model=model, plugins=plugins, **(given | more))


def copies(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def said(learning: Any, experience: Any) -> list[str]:
    """What the package, and it alone, warns of while an experience is learnt."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        learning.train(experience)
    return [str(one.message) for one in found if issubclass(one.category, NeurosleepWarning)]
