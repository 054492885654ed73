"""conversion.check: everything that stands in the way at once, and what is taken how."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.conversion import check
from neurosleep.errors import ConversionError, SettingsError


class Many(nn.Module):
    """Five things that have no counterpart, one behind the other."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(8, 8), nn.LayerNorm(8)
        self.memory, self.last = nn.LSTM(8, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.first(x))
        x = self.norm(x)
        y, _ = self.memory(x[:, None])
        x = y[:, 0] * x
        return F.softmax(self.last(torch.sin(x)), 1)


def test_all_obstacles_at_once_with_layer_operation_line_and_what_would_work() -> None:
    done = check(Many(), (8,))
    assert not done.converts and done.to_json()["converts"] is False
    rows = [(one.layer, one.operation, one.line or "") for one in done.obstacles]
    assert [(layer, operation) for layer, operation, _ in rows] == [
        ("tanh", "tanh"),
        ("norm", "LayerNorm"),
        ("memory", "LSTM"),
        ("mul", "mul"),
        ("sin", "sin"),
    ]
    code = ["torch.tanh(self.first(x))", "self.norm(x)", "self.memory(x[:, None])", "y[:, 0] * x", "torch.sin(x)"]
    for (_, _, line), part in zip(rows, code, strict=True):
        assert line.startswith("test_check.py, line ") and part in line
    assert all(one.why.endswith(".") and one.expected for one in done.obstacles)
    hints = [one.hint or "" for one in done.obstacles]
    assert "ReLU" in hints[0] and "BatchNorm" in hints[1] and "from_snntorch" in hints[2]
    taken = {layer.layer: layer.becomes for layer in done.layers}
    assert taken["first"] == taken["last"] == "projection of kind dense" and "largest" in taken["softmax"]
    assert any("soft-max" in note for note in done.notes)
    # The conversion itself ends with the first of them, in the same words.
    with pytest.raises(ConversionError) as caught:
        ns.convert(Many(), torch.rand(4, 8))
    first = done.obstacles[0]
    error = caught.value
    assert (error.message, error.found, error.expected, error.hint) == (
        first.why,
        first.line,
        first.expected,
        first.hint,
    )


MODELS: list[tuple[nn.Module, tuple[int, ...]]] = [
    (nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2)), (4,)),
    (nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(18, 2)), (1, 8, 8)),
    (nn.Sequential(nn.Linear(4, 3), nn.GELU(), nn.Linear(3, 2)), (4,)),
    (
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(32, 2)),
        (1, 8, 8),
    ),
    (ns.MLP([4, 3, 2]), (4,)),
    (nn.Linear(4, 2).double(), (4,)),
]


@pytest.mark.parametrize(("model", "shape"), MODELS)
def test_a_check_says_what_convert_does(model: nn.Module, shape: tuple[int, ...]) -> None:
    generator = torch.random.get_rng_state()
    done = check(model.eval(), shape)
    assert torch.equal(generator, torch.random.get_rng_state())
    try:
        network = ns.convert(model, torch.rand(5, *shape))
    except ConversionError as error:
        assert not done.converts and error.message == done.obstacles[0].why
    else:
        assert done.converts and not done.obstacles
        assert [(layer.layer, layer.becomes) for layer in done.layers] == list(network.report.became)
        assert set(done.notes) <= set(network.report.notes)


def test_the_way_of_max_pooling_is_that_of_convert() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2))
    exact, average = check(model, (1, 8, 8)), check(model, (1, 8, 8), maxpool="approximate")
    assert "differences" in exact.layers[-1].becomes and not exact.notes
    assert "average" in average.layers[-1].becomes and "changes results" in average.notes[0]


class Branching(nn.Module):
    """A way that depends on the numbers."""

    def forward(self, x: Tensor) -> Tensor:
        for row in x:
            x = x + int(row.sum())
        return x


class Two(nn.Module):
    def forward(self, image: Tensor, context: Tensor) -> Tensor:
        return image + context


@pytest.mark.parametrize(
    ("model", "shape", "words"),
    [
        (Branching(), (3,), ("Branching", "traced")),
        (Two(), (3,), ("2 inputs", "image, context")),
        (nn.Sequential(nn.Linear(3, 2)), (8,), ("does not accept", "(2, 8)")),
        (nn.Sequential(nn.ReLU()), (8,), ("no layer with weights",)),
    ],
)
def test_what_concerns_all_of_the_model(model: nn.Module, shape: tuple[int, ...], words: tuple[str, ...]) -> None:
    (obstacle,) = check(model, shape).obstacles
    assert obstacle.layer == "" and all(word in obstacle.why for word in words)
    if isinstance(model, Branching):
        assert obstacle.line is not None and "for row in x" in obstacle.line


def test_networks_of_other_kinds() -> None:
    equilibrium = check(ns.EquilibriumMLP([4, 3, 2]), (4,))
    assert equilibrium.converts and len(equilibrium.layers) == 2 and "recursive" in equilibrium.notes[0]
    spiking = ns.convert(nn.Linear(4, 2), torch.rand(3, 4))
    assert check(spiking, (4,)).converts


def test_bad_arguments() -> None:
    model: Any = nn.Linear(4, 2)
    for shape in ((), (0,), (2.5,), (2**15, 2**15)):
        with pytest.raises(SettingsError, match="input_shape"):
            check(model, shape)  # type: ignore[arg-type]
    with pytest.raises(ConversionError, match="no torch module"):
        check(type(model), (4,))  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="maxpool"):
        check(model, (4,), maxpool="mean")  # type: ignore[arg-type]
