"""The feed-forward convolutional network against the same in torch's own layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from neurosleep.errors import SettingsError, UnknownNameError
from neurosleep.networks import ConvNet, Pooling


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("pooling", "pool"), [("max", nn.MaxPool2d), ("average", nn.AvgPool2d)])
def test_it_computes_what_torchs_layers_do_from_the_same_initial_weights(
    colours: int, bias: bool, pooling: Any, pool: type[nn.Module]
) -> None:
    torch.manual_seed(3)
    theirs = nn.Sequential(
        nn.Conv2d(colours, 4, 3, stride=2, padding=1, bias=bias),
        nn.ReLU(),
        nn.Conv2d(4, 5, 2, bias=bias),
        nn.ReLU(),
        pool(2),  # type: ignore[call-arg]
        nn.Flatten(),
        nn.Linear(45, 7, bias=bias),
        nn.ReLU(),
        nn.Linear(7, 3, bias=bias),
    )
    before = torch.get_rng_state()
    ours = ConvNet(
        (14, 14, colours),
        [4, 5],
        fc=[7, 3],
        kernel=[3, 2],
        stride=[2, 1],
        padding=[1, 0],
        pool=Pooling([1, 2], pooling),
        bias=bias,
        generator=torch.Generator().manual_seed(3),
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert [tuple(t.shape) for t in ours.weights] == [(4, colours, 3, 3), (5, 4, 2, 2), (7, 45), (3, 7)]
    parameters = [t for layer in ours.layers for t in layer.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(parameters, theirs.parameters(), strict=True))
    images = torch.rand(6, 14, 14, colours)
    expected = theirs(images.permute(0, 3, 1, 2))
    for x in (images.flatten(1), images):
        torch.testing.assert_close(ours(x), expected)
    sums, activities = ours.trace(images.flatten(1))
    assert [tuple(t.shape[1:]) for t in sums] == [(4, 7, 7), (5, 6, 6), (7,), (3,)]
    assert [tuple(t.shape[1:]) for t in activities] == [(4, 7, 7), (45,), (7,), (3,)]
    assert ours.sizes == (196 * colours, 196, 45, 7, 3)
    assert ours.layer_of == [0, 1, 2, 3] * (2 if bias else 1)


def test_dropout_is_the_one_of_the_other_networks() -> None:
    net = ConvNet((8, 8, 1), [4], fc=[3], dropout=0.5)
    x = torch.rand(3, 64)
    full = net.eval().activities(x)[0] / 0.5
    masked = net.train().activities(x, generator=torch.Generator().manual_seed(0))[0]
    assert bool(((masked == full) | (masked == 0)).all()) and 0.2 < float((masked == 0).double().mean()) < 0.9


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"image": (8, 8)}, "image"),
        ({"channels": []}, "channels"),
        ({"fc": [0]}, "fc"),
        ({"kernel": 9}, "kernel 9"),
        ({"kernel": [3, 3]}, "kernel"),
        ({"padding": 3}, "padding 3"),
        ({"pool": 8}, "pool 8"),
        ({"stride": 0}, "stride"),
        ({"dropout": 1.0}, "dropout"),
        ({"init": -1.0}, "initial weights"),
        ({"init": True}, "initial weights"),
    ],
)
def test_wrong_settings_are_refused(given: dict[str, Any], what: str) -> None:
    options: dict[str, Any] = {"image": (8, 8, 1), "channels": [4], "fc": [3]} | given
    with pytest.raises(SettingsError, match=what):
        ConvNet(options.pop("image"), options.pop("channels"), **options)
    with pytest.raises(UnknownNameError, match="sum"):
        ConvNet((8, 8, 1), [4], pool=Pooling(2, "sum"))  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="sum"):
        ConvNet((8, 8, 1), [4], output="sum")  # type: ignore[arg-type]
