"""How much accuracy a conversion costs on MNIST: networks trained here, all test images."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurosleep.conversion import convert, wake
from neurosleep.data import load_dataset, to_float
from neurosleep.spiking import simulate


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 1200), nn.ReLU(), nn.Linear(1200, 1200), nn.ReLU(), nn.Linear(1200, 10)
    )


def conv_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 5),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(8, 16, 5),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def loss_of_accuracy(make: Callable[[], nn.Module], data: tuple[Tensor, ...], epochs: int, steps: int) -> float:
    """Accuracy of the trained model less that of its spiking network after ``steps``, by the percentile recipe."""
    images, labels, test_images, test_labels = data
    torch.manual_seed(0)
    model = make()
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(epochs):
        for part in torch.randperm(len(images)).split(128):
            optimiser.zero_grad()
            F.cross_entropy(model(images[part]), labels[part]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    model.eval()
    network = convert(model, images[:2000], recipe="percentile")
    report = network.report
    right, right_spiking = 0.0, 0.0
    with torch.no_grad():
        for x, y in zip(test_images.split(500), test_labels.split(500), strict=True):
            right += float((model(x).argmax(1) == y).sum())
            right_spiking += float(simulate(network, x, steps).accuracy(y)[-1]) * len(x)
        woken = wake(network, model)
        assert torch.equal(woken(test_images[:100]), model(test_images[:100]))
    accuracy, spiking = right / len(test_images), right_spiking / len(test_images)
    print(f"model {accuracy:.4f}, spiking {spiking:.4f} after {steps} steps, lambda {report.largest}")
    assert accuracy > 0.8
    return accuracy - spiking


def mnist(name: str) -> tuple[Tensor, ...]:
    d = load_dataset(name, os.environ.get("NEUROSLEEP_DATA"))
    images, test = (torch.from_numpy(to_float(x)).reshape(-1, 1, 28, 28) for x in (d.images, d.test_images))
    return images, torch.from_numpy(d.labels), test, torch.from_numpy(d.test_labels)


def test_a_conv_net_on_the_embedded_digits_loses_little() -> None:
    images, labels, test_images, test_labels = mnist("mnist-mini")
    data = images[:2000], labels[:2000], test_images[:200], test_labels[:200]
    assert loss_of_accuracy(conv_net, data, epochs=3, steps=60) <= 0.015


@pytest.mark.full
@pytest.mark.parametrize(("make", "steps", "points"), [(mlp, 100, 0.2), (conv_net, 200, 0.5)])
def test_mnist(make: Callable[[], nn.Module], steps: int, points: float) -> None:
    assert 100 * loss_of_accuracy(make, mnist("mnist"), epochs=3, steps=steps) <= points
