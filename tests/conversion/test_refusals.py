"""Every refusal names layer, operation, line of the user's code, and the nearest thing that works."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.conversion import check
from neurosleep.errors import ConversionError

ROOT = Path(__file__).parents[2] / "neurosleep"
# Raised by these two, whose callers say no more than what is wrong: they add what to do.
WITH_HINTS_OF_THEIR_OWN = {"refuse", "_refuse"}
KINDS = {"UnsupportedError", "ConversionError", "ExchangeError", *WITH_HINTS_OF_THEIR_OWN}


def raised() -> Iterator[tuple[str, ast.Call, str]]:
    """Every place where conversion and exchange refuse something."""
    for room in ("conversion", "exchange"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                    name = getattr(node.exc.func, "id", getattr(node.exc.func, "attr", ""))
                    if name in KINDS:
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", node.exc, name


def test_every_refusal_says_what_would_be_right_or_what_to_do() -> None:
    places = list(raised())
    assert len(places) > 200
    silent = [
        where
        for where, call, name in places
        if name not in WITH_HINTS_OF_THEIR_OWN
        and not {"expected", "hint", None} & {keyword.arg for keyword in call.keywords}
    ]
    assert silent == []


class Around(nn.Module):
    """``between`` stands between two layers; ``layer`` is at its hand."""

    def __init__(self, between: Callable[[Any, Tensor], Tensor], layer: nn.Module | None, first: nn.Module) -> None:
        super().__init__()
        self.first, self.layer, self.between = first, layer, between

    def forward(self, x: Tensor) -> Tensor:
        return self.between(self, torch.relu(self.first(x)))


ROW, GRID = (6,), (2, 6, 6)
# What stands between, a layer for it, the shape of an input; then layer, operation, a word of the hint.
PROGRAMS: dict[str, tuple[Callable[[Any, Tensor], Tensor], nn.Module | None, tuple[int, ...], str, str, str]] = {
    "tanh": (lambda m, x: torch.tanh(x), None, ROW, "tanh", "tanh", "ReLU"),
    "sigmoid in the middle": (lambda m, x: torch.sigmoid(x) * 2 - 1, None, ROW, "sigmoid", "sigmoid", "ReLU"),
    "gelu": (lambda m, x: F.gelu(x), None, ROW, "gelu", "gelu", "ReLU"),
    "silu": (lambda m, x: F.silu(x), None, ROW, "silu", "silu", "ReLU"),
    "softplus": (lambda m, x: F.softplus(x), None, ROW, "softplus", "softplus", "ReLU"),
    "exp": (lambda m, x: torch.exp(x), None, ROW, "exp", "exp", "ReLU"),
    "soft-max in the middle": (lambda m, x: torch.softmax(x, 1) - 0.5, None, ROW, "softmax", "softmax", "at the end"),
    "layer_norm": (lambda m, x: F.layer_norm(x, (6,)), None, ROW, "layer_norm", "layer_norm", "BatchNorm"),
    "LayerNorm": (lambda m, x: m.layer(x), nn.LayerNorm(6), ROW, "layer", "LayerNorm", "BatchNorm"),
    "GroupNorm": (lambda m, x: m.layer(x), nn.GroupNorm(2, 4), GRID, "layer", "GroupNorm", "BatchNorm"),
    "InstanceNorm2d": (lambda m, x: m.layer(x), nn.InstanceNorm2d(4), GRID, "layer", "InstanceNorm2d", "BatchNorm"),
    "Tanh": (lambda m, x: m.layer(x), nn.Tanh(), ROW, "layer", "Tanh", "ReLU"),
    "ELU": (lambda m, x: m.layer(x), nn.ELU(), ROW, "layer", "ELU", "ReLU"),
    "Softmax": (lambda m, x: m.layer(x) - 0.5, nn.Softmax(1), ROW, "layer", "Softmax", "at the end"),
    "LSTM": (lambda m, x: m.layer(x)[0], nn.LSTM(6, 3), ROW, "layer", "LSTM", "from_snntorch"),
    "GRU": (lambda m, x: m.layer(x)[0], nn.GRU(6, 3), ROW, "layer", "GRU", "from_snntorch"),
    "attention": (
        lambda m, x: m.layer(x, x, x)[0],
        nn.MultiheadAttention(6, 2),
        ROW,
        "layer",
        "MultiheadAttention",
        "Linear",
    ),
    "ConvTranspose2d": (
        lambda m, x: m.layer(x),
        nn.ConvTranspose2d(4, 4, 2),
        GRID,
        "layer",
        "ConvTranspose2d",
        "Upsample",
    ),
    "Conv3d": (lambda m, x: m.layer(x[:, None]), nn.Conv3d(1, 1, 2), GRID, "layer", "Conv3d", "Conv2d"),
    "padded maximum": (
        lambda m, x: m.layer(x - 1),
        nn.MaxPool2d(3, padding=1),
        GRID,
        "layer",
        "MaxPool2d",
        "ReLU before",
    ),
    "matmul of activities": (lambda m, x: x.flatten(2) @ x.flatten(2).mT, None, GRID, "matmul", "matmul", "Linear"),
    "product of activities": (lambda m, x: x * (x + 1), None, ROW, "mul", "mul", "ReLU"),
    "norm": (lambda m, x: F.normalize(x), None, ROW, "normalize", "normalize", "BatchNorm"),
    "sin": (lambda m, x: torch.sin(x), None, ROW, "sin", "sin", "ReLU"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_does_not_convert(name: str) -> None:
    between, layer, shape, place, operation, hint = PROGRAMS[name]
    torch.manual_seed(0)
    first: nn.Module = nn.Linear(6, 6) if shape == ROW else nn.Conv2d(2, 4, 3, padding=1)
    model = Around(between, layer, first).eval()
    with pytest.raises(ConversionError) as caught:
        ns.convert(model, torch.rand(4, *shape))
    error = caught.value
    assert (error.layer, error.operation) == (place, operation)
    assert repr(place) in error.message and operation in error.message
    assert error.found is not None and "test_refusals.py, line " in error.found
    assert error.expected and error.hint is not None and hint in error.hint
    # The check says the same.
    (obstacle, *_) = check(model, shape).obstacles
    assert (obstacle.layer, obstacle.operation, obstacle.line) == (place, operation, error.found)
    assert (obstacle.why, obstacle.hint) == (error.message, error.hint)
