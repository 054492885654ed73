"""Layers and ways of writing a model that people have: by how near the spiking network comes, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.errors import ConversionError
from neurosleep.networks import MLP

STEPS = 400


class SharedLayer(nn.Module):
    """One layer applied twice, with a product in between."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.last = nn.Linear(192, 192), nn.Linear(192, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.layer(x.flatten(1) * 2.0))
        return self.last(torch.relu(self.layer(x / 2.0)))


def conv1d(**options: object) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(3, 6, 3, **options),  # type: ignore[arg-type]
        nn.BatchNorm1d(6),
        nn.ReLU(),
        nn.AvgPool1d(2),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(6, 4),
    )


def after(*layers: nn.Module, last: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding="same"), nn.ReLU(), *layers, nn.Flatten(), nn.Linear(last, 3))


RELU = nn.ReLU()
GRID, LINE = (3, 8, 8), (3, 16)
MODELS = {
    "Conv1d, stride": (lambda: conv1d(padding=1, stride=2), LINE),
    "Conv1d, groups and dilation": (lambda: conv1d(padding=2, dilation=2, groups=3), LINE),
    "Conv1d, same": (lambda: conv1d(padding="same", dilation=3), LINE),
    "Conv1d, valid": (lambda: conv1d(padding="valid"), LINE),
    "a shared layer": (SharedLayer, GRID),
    "a shared ReLU": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 30), RELU, nn.Linear(30, 9), RELU), GRID),
    "divisor_override": (lambda: after(nn.AvgPool2d(2, divisor_override=3), last=64), GRID),
    "padded average": (lambda: after(nn.AvgPool2d(3, 2, padding=1), last=64), GRID),
    "Unflatten": (
        lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(192, 64), nn.ReLU(), nn.Unflatten(1, (4, 4, 4)), nn.Conv2d(4, 3, 3), nn.ReLU()
        ),
        GRID,
    ),
    "MLP with dropout": (
        lambda: MLP([48, 30, 20, 4], dropout=0.25, init=0.3, generator=torch.Generator().manual_seed(0)),
        (48,),
    ),
}


@pytest.mark.parametrize("recipe", ["max", "percentile", "balance"])
@pytest.mark.parametrize("name", MODELS)
def test_rates_come_near_the_model_and_waking_restores_it(name: str, recipe: ns.conversion.Recipe) -> None:
    torch.manual_seed(0)
    make, shape = MODELS[name]
    model = make().eval()  # type: ignore[no-untyped-call]
    images = torch.rand(20, *shape)
    network = ns.convert(model, images, recipe=recipe)
    with torch.no_grad():
        expected = model(images).flatten(1)
        assert torch.equal(ns.wake(network, model)(images), model(images))
    recording = ns.simulate(network, images, STEPS)
    last = network.population(network.order[-1])
    if last.kind == "li":
        found = torch.from_numpy(recording.read_out[-1]) / STEPS
        error = (found - expected).abs().mean() / expected.abs().mean()
    else:  # the last layer rectifies: its rates stand for its activities, whatever one spike is worth
        found, wanted = torch.from_numpy(recording.rate(last.name)), expected.relu()
        worth = float((found * wanted).sum() / (found * found).sum())
        error = (worth * found - wanted).abs().mean() / wanted.abs().mean()
    assert error < 0.06, float(error)
    assert expected.std() > 0


@pytest.mark.parametrize(
    ("layer", "hint"),
    [
        (nn.Softmax(1), "largest output stays"),
        (nn.ELU(), "ReLU in its place"),
        (nn.GroupNorm(2, 4), "BatchNorm can be folded"),
    ],
)
def test_a_refused_layer_says_what_to_do(layer: nn.Module, hint: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), layer, nn.Flatten(), nn.LazyLinear(3))
    images = torch.rand(5, *GRID)
    model(images)
    with pytest.raises(ConversionError, match=hint) as refused:
        ns.convert(model, images, recipe="max")
    assert "Layer '1'" in str(refused.value) and type(layer).__name__ in str(refused.value)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_a_model_that_does_not_take_the_images_says_so_shortly() -> None:
    with pytest.raises(ConversionError, match=r"shape \(5, 3, 8, 8\)") as refused:
        ns.convert(nn.Sequential(nn.Linear(3, 2)), torch.rand(5, *GRID), recipe="max")
    assert "While executing" not in str(refused.value)
