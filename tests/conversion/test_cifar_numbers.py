"""How much accuracy a conversion costs on CIFAR-10: a small VGG-like network, trained here."""

from __future__ import annotations

import itertools
import os

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurosleep.conversion import compare, convert, wake
from neurosleep.data import load_dataset, to_float

STEPS, POINTS = 300, 1.5


def vgg(width: int) -> nn.Module:
    """Pairs of 3x3 convolutions of ``width``, twice and four times it, each with BatchNorm, averages between."""
    channels = [3, *(width * k for k in (1, 1, 2, 2, 4, 4))]
    layers: list[nn.Module] = []
    for k, (before, after) in enumerate(itertools.pairwise(channels)):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        if k % 2:
            layers.append(nn.AvgPool2d(2))
    head = [nn.Flatten(), nn.Linear(16 * channels[-1], 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10)]
    return nn.Sequential(*layers, *head)


def train(model: nn.Module, images: Tensor, labels: Tensor, epochs: int, batch: int = 128) -> None:
    """SGD with one cycle of the learning rate, and images flipped by chance."""
    optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    steps = epochs * -(-len(images) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=steps)
    for _ in range(epochs):
        for part in torch.randperm(len(images)).split(batch):
            flipped = torch.rand(len(part), 1, 1, 1) < 0.5
            x = torch.where(flipped, images[part].flip(3), images[part])
            optimiser.zero_grad()
            F.cross_entropy(model(x), labels[part]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    model.eval()


@pytest.mark.full
def test_a_vgg_like_network_loses_little() -> None:
    data = load_dataset("cifar10", os.environ.get("NEUROSLEEP_DATA"))
    images, test = (
        torch.from_numpy(to_float(x)).reshape(-1, 32, 32, 3).permute(0, 3, 1, 2).contiguous()
        for x in (data.images, data.test_images)
    )
    labels, test_labels = torch.from_numpy(data.labels), torch.from_numpy(data.test_labels)
    torch.manual_seed(0)
    model = vgg(12)
    train(model, images, labels, epochs=6)
    network = convert(model, images[:1000], recipe="percentile")
    right, spiking, parts = 0.0, torch.zeros(STEPS, dtype=torch.float64), test.split(500)[:3]
    for x, y in zip(parts, test_labels.split(500), strict=False):
        check = compare(model, network, x, y, steps=STEPS)
        assert check.accuracy_model is not None
        right += check.accuracy_model / len(parts)
        spiking += torch.tensor(check.accuracy, dtype=torch.float64) / len(parts)
    print(f"model {right:.4f}, spiking after 50, 100, 200, 300 steps {spiking[[49, 99, 199, 299]].tolist()}")
    print("\n".join(check.advice))
    assert right > 0.6
    assert 100 * (right - float(spiking[-1])) <= POINTS
    with torch.no_grad():
        assert torch.equal(wake(network, model)(test[:100]), model(test[:100]))
