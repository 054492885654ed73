"""What the tests of the trainers' callbacks share: three small tasks, and looks at a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.functional import torch_generator

RATES = ns.Sleep(stages=(ns.NREM(form="rates", draws=200),))
TASKS = ((0, 1), (2, 3), (4, 5))


def task(k: int) -> tuple[Tensor, Tensor]:
    """80 inputs ``[80, 12]`` of two classes, and their labels."""
    patterns = (torch.rand(6, 12, generator=torch_generator(0, "patterns")) > 0.5).float()
    y = torch.tensor(TASKS[k]).repeat(40)
    noise = torch.rand(len(y), 12, generator=torch_generator(0, "images", k))
    return (patterns[y] + 0.4 * noise).clamp(0, 1), y


def right(model: nn.Module, k: int) -> float:
    x, y = task(k)
    return float((ns.replay.answers(model, x) == y).double().mean())


def values(module: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


class Recurrent(nn.Module):
    """Nothing of it can be regulated."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.RNN(12, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.cell(x)[0]
