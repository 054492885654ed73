"""The list on the page how-to/consolidate: each network sleeps in the form that it says, and changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.functional import SlowOscillation

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "consolidate.md"


def rows() -> dict[str, str]:
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index("| network | NREM is |") :].split("\n\n")[0]
    return dict(re.findall(r"^\| (.+) \| in (spikes|rates) \|$", table, flags=re.MULTILINE))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(12, 16), nn.Linear(16, 16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x))
        return self.head(torch.relu(self.second(h) + h))


class ByHand(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(torch.randn(16, 12) / 4), nn.Parameter(torch.zeros(16))
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(x @ self.w.T + self.b))


class Heads(nn.Module):
    def __init__(self, mapping: bool) -> None:
        super().__init__()
        self.mapping, self.body = mapping, nn.Linear(12, 16)
        self.heads = nn.ModuleList([nn.Linear(16, 2), nn.Linear(16, 2)])

    def forward(self, x: Tensor) -> Any:
        h = torch.relu(self.body(x))
        scores = torch.cat([head(h) for head in self.heads], 1)
        return {"logits": scores, "features": h} if self.mapping else scores


class Logits(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = chain()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"loss": x.sum(), "logits": self.body(x)}


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.hidden, self.head = nn.LSTM(3, 8, batch_first=True), nn.Linear(8, 16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.hidden(self.lstm(x.view(len(x), 4, 3))[0][:, -1])))


def chain(activation: Callable[[], nn.Module] = nn.ReLU, *, bias: bool = True, norm: bool = False) -> nn.Sequential:
    behind = [nn.LayerNorm(16)] if norm else []
    return nn.Sequential(nn.Linear(12, 16, bias=bias), *behind, activation(), nn.Linear(16, 4, bias=bias))


def convolutional(pool: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), pool),
        *(nn.Flatten(), nn.Linear(6 * 16, 4)),
    )


def in_one_dimension() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Flatten(2), nn.Conv1d(1, 6, 3), nn.BatchNorm1d(6), nn.ReLU(), nn.AvgPool1d(2)),
        *(nn.Flatten(), nn.Linear(186, 4)),
    )


def in_three_dimensions() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Unflatten(1, (1, 1)), nn.Conv3d(1, 6, (1, 3, 3)), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4))
    )


#: By the words of the list: the networks, and the shape of one input.
NETWORKS: dict[str, tuple[list[Callable[[], nn.Module]], tuple[int, ...]]] = {
    "`Linear` layers with `ReLU`, with or without biases": ([chain, lambda: chain(bias=False)], (12,)),
    "convolutions (1-d, 2-d) with `BatchNorm` and average pooling": (
        [lambda: convolutional(nn.AvgPool2d(2)), in_one_dimension],
        (1, 8, 8),
    ),
    "a residual sum with `ReLU`": ([Residual], (12,)),
    "weights by hand (`x @ w.T + b`)": ([ByHand], (12,)),
    "16-bit floats": ([lambda: chain().half(), lambda: chain().bfloat16()], (12,)),
    "max-pooling, 3-d convolutions": ([lambda: convolutional(nn.MaxPool2d(2)), in_three_dimensions], (1, 8, 8)),
    "`tanh`, `GELU`, `SiLU` between the layers": (
        [lambda: chain(nn.Tanh), lambda: chain(nn.GELU), lambda: chain(nn.SiLU)],
        (12,),
    ),
    "`LayerNorm` behind a layer": ([lambda: chain(norm=True)], (12,)),
    "heads side by side (`torch.cat(heads, 1)`)": ([lambda: Heads(mapping=False)], (12,)),
    "a mapping with `logits`": ([Logits, lambda: Heads(mapping=True)], (12,)),
    "an `LSTM` in front, which stays, of `Linear` layers": ([Recurrent], (12,)),
    "an `EquilibriumMLP`": ([lambda: ns.networks.EquilibriumMLP([12, 16, 4])], (12,)),
}


def test_the_list_is_that_of_this_file() -> None:
    assert list(rows()) == list(NETWORKS)


CASES = [(name, k) for name, (makers, _) in NETWORKS.items() for k in range(len(makers))]


@pytest.mark.parametrize(("name", "k"), CASES)
def test_each_sleeps_in_the_form_that_the_list_says(name: str, k: int) -> None:
    makers, shape = NETWORKS[name]
    torch.manual_seed(0)
    model = makers[k]().eval()
    before = [value.detach().clone() for value in model.parameters()]
    mean = 0.2 + 0.6 * torch.rand(shape)
    sleep = ns.Sleep(stages=[ns.NREM(draws=200, oscillation=SlowOscillation(frames=100))])
    result = ns.consolidate(model, mean, classes=range(4), new_classes=[2, 3], sleep=sleep, guard=False)
    assert result.status == "done"
    (stage,) = result.stages
    assert stage.form == rows()[name], stage.note
    assert stage.regulated is not None and stage.regulated.layers[-1].output
    for layer in stage.regulated.layers:
        assert layer.target is not None
        apart = [float(means[layer.changed].std(correction=0)) for means in (layer.mean_before, layer.mean_after)]
        assert apart[1] < 0.6 * apart[0] + 1e-6
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    if "LSTM" in name:
        names = {layer.name for layer in result.report.layers}
        assert not any("lstm" in name for name in names)
    result.apply_to(model)
    pairs = list(zip(before, model.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in pairs) and all(a.dtype is b.dtype for a, b in pairs)
