"""Write the table of docs/concepts/conversion.md: how far converted networks are off after T steps (~2 minutes)."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import neurosleep as ns

PAGE = Path(__file__).parents[1] / "docs" / "concepts" / "conversion.md"
STEPS = (50, 100, 200, 400, 800)
_IMAGES = 1


def _networks() -> dict[str, Callable[[], nn.Module]]:
    """Networks of torchvision with random weights, and one as LeNet: inputs [3, 32, 32], ten outputs."""
    models = importlib.import_module("torchvision.models")
    lenet = (nn.Conv2d(3, 6, 5), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2))
    narrow = [8, "M", 16, "M", 32, 32, "M", 64, 64, "M", 64, 64, "M"]  # VGG-11's layers, an eighth as wide
    return {
        "LeNet-like": lambda: nn.Sequential(
            *lenet, nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)
        ),
        "VGG-11 with BatchNorm, an eighth as wide": lambda: nn.Sequential(
            models.vgg.make_layers(narrow, batch_norm=True), nn.Flatten(), nn.Linear(64, 10)
        ),
        "SqueezeNet 1.1": lambda: models.squeezenet1_1(num_classes=10),
        "ResNet-18": lambda: models.resnet18(num_classes=10),
    }


@torch.no_grad()
def errors(build: Callable[[], nn.Module]) -> list[float]:
    """The largest error of an output after each of STEPS, relative to the largest output."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, seen, images = build(), torch.rand(32, 3, 32, 32), torch.rand(_IMAGES, 3, 32, 32)
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = None  # the statistics of its inputs, as after training
        model.train()(seen)
    model.eval()
    network, expected = ns.convert(model, images, recipe="max"), model(images)
    factor = network.report.largest[-1] if network.last.kind == "lif" else 1.0
    said = torch.as_tensor(ns.simulate(network, images, STEPS[-1]).read_out)
    size = expected.abs().max()
    return [float((factor * said[steps - 1] / steps - expected).abs().max() / size) for steps in STEPS]


def table() -> str:
    """The table, a row a network."""
    lines = ["| T | " + " | ".join(map(str, STEPS)) + " |", "| --- |" + " --- |" * len(STEPS)]
    for name, build in _networks().items():
        lines.append(f"| {name} | " + " | ".join(f"{error:.4f}" for error in errors(build)) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PAGE)
    page = parser.parse_args().out
    new = re.sub(r"\| T \|.*?\n(?=\n)", lambda _: table() + "\n", page.read_text(encoding="utf-8"), count=1, flags=re.S)
    page.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
