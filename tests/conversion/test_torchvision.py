"""Networks of torchvision, with random weights: the plan is the model, and the error in spikes falls as 1/T."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.conversion import wake
from neurosleep.conversion._trace import trace
from neurosleep.conversion._verify import computed

models = pytest.importorskip("torchvision.models")
googlenet = importlib.import_module("torchvision.models.googlenet")

SMALL = ["resnet18", "shufflenet_v2_x0_5"]
LARGE = [
    "squeezenet1_1",
    "vgg11",
    "vgg11_bn",
    "vgg16",
    "vgg16_bn",
    "resnet50",
    "mobilenet_v2",
    "squeezenet1_0",
    "densenet121",
]
LARGE += ["googlenet", "shufflenet_v2_x1_0", "regnet_x_400mf", "mnasnet0_5", "mnasnet1_0", "resnext50_32x4d"]
LARGE += ["wide_resnet50_2"]


# Of the same classes, narrow and shallow: spikes take as many steps, in less time.
NARROW: dict[str, Callable[[], nn.Module]] = {
    "resnet": lambda: models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=10, width_per_group=64),
    "mobilenet": lambda: models.MobileNetV2(10, 0.25, [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 1, 2]], dropout=0.2),
    "shufflenet": lambda: models.ShuffleNetV2([2, 2, 2], [8, 16, 16, 16, 32], num_classes=10),
    "densenet": lambda: models.DenseNet(4, (2, 2), 8, 2, num_classes=10),
    "vgg": lambda: nn.Sequential(
        models.vgg.make_layers([8, "M", 16, "M", 16, "M"], batch_norm=True), nn.Flatten(), nn.Linear(256, 10)
    ),
    "inception": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.ReLU(), googlenet.Inception(8, 4, 4, 8, 2, 4, 4),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(20, 10),
    ),
    "fire": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
        models.squeezenet.Fire(8, 4, 8, 8), nn.Conv2d(16, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    ),
}  # fmt: skip

SLOW = [name for name in NARROW if name != "fire"]


def ready(model: nn.Module, images: Tensor) -> nn.Module:
    """In evaluation, with BatchNorm that keeps mean and spread of its inputs, as after training."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None
    with torch.no_grad():
        model.train()(images)
    return model.eval()


@pytest.mark.filterwarnings("ignore:The default weight initialization of")
@torch.no_grad()
@pytest.mark.parametrize("name", SMALL + [pytest.param(name, marks=pytest.mark.full) for name in LARGE])
def test_the_plan_is_the_model(name: str) -> None:
    torch.manual_seed(0)
    model = ready(getattr(models, name)(num_classes=10), torch.rand(16, 3, 32, 32)).double()
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    plan, expected = trace(model, images, check=False), model(images)
    error = float((computed(plan, images) - expected).abs().max() / expected.abs().max())
    assert error < 1e-9


@torch.no_grad()
@pytest.mark.parametrize("name", ["fire", *(pytest.param(n, marks=pytest.mark.full) for n in SLOW)])
def test_the_error_in_spikes_falls_as_1_over_t(name: str) -> None:
    torch.manual_seed(0)
    model = ready(NARROW[name](), torch.rand(32, 3, 32, 32))
    images = torch.rand(1, 3, 32, 32)
    network, expected = ns.convert(model, images, recipe="max"), model(images)
    factor = network.report.largest[-1] if network.last.kind == "lif" else 1.0
    read_out = factor * torch.as_tensor(ns.simulate(network, images, 1200).read_out)
    few, many = (float((read_out[t - 1] / t - expected).abs().max() / expected.abs().max()) for t in (150, 1200))
    assert many < 0.1 and many < few / 3
    for before, after in zip(model.state_dict().values(), wake(network, model).state_dict().values(), strict=True):
        assert torch.equal(before, after)
