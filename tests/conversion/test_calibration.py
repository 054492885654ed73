"""Calibration images of another type, scale or shape: one message, before any work, that says what would be right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import neurosleep as ns
from neurosleep.errors import ConversionError, DataError, NeurosleepError, NeurosleepWarning, SettingsError

CONV = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
COLOUR = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
DENSE = nn.Sequential(nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 3))
X = torch.rand(10, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("model", "images", "hint"),
    [
        (CONV, X[:, 0], r"images\[:, None\]"),
        (CONV, X.permute(0, 2, 3, 1), r"images.permute\(0, 3, 1, 2\)"),
        (COLOUR, torch.rand(10, 8, 8, 3), r"images.permute\(0, 3, 1, 2\)"),
        (CONV, X.flatten(1), r"images.reshape\(-1, 1, 8, 8\)"),
        (COLOUR, torch.rand(3, 8, 8), r"images\[None\]"),
        (DENSE, X, r"images.flatten\(1\)"),
        (DENSE, torch.rand(10, 65), ""),
    ],
)
def test_another_shape(model: nn.Module, images: torch.Tensor, hint: str) -> None:
    with pytest.raises(ConversionError, match="does not accept calibration images of shape") as caught:
        ns.convert(model, images)
    assert str(tuple(images.shape)) in caught.value.message
    if hint:
        with pytest.raises(ConversionError, match=hint):
            ns.convert(model, images)
    else:
        assert caught.value.hint is None


def test_the_shapes_that_hints_name_are_taken() -> None:
    assert ns.convert(CONV, X[:, 0][:, None]).report.images == 10
    assert ns.convert(CONV, X.permute(0, 2, 3, 1).permute(0, 3, 1, 2)).report.images == 10
    assert ns.convert(CONV, X.flatten(1).reshape(-1, 1, 8, 8)).report.images == 10
    assert ns.convert(DENSE, X.flatten(1)).report.images == 10


@pytest.mark.parametrize(
    ("images", "word"),
    [
        ("images.npy", "read_calibration"),
        (DataLoader(TensorDataset(X, torch.zeros(10)), 5), "loader"),
        ([(X[0], 0), (X[1], 1)], "dataset"),
        (None, "an array or a tensor"),
        (object(), "an array or a tensor"),
    ],
)
def test_another_type(images: Any, word: str) -> None:
    with pytest.raises(NeurosleepError, match=word) as caught:
        ns.convert(CONV, images)
    assert type(caught.value) is DataError and "calibration cannot be read as images" in caught.value.message


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.int32])
def test_bytes_given_as_other_numbers_are_said(kind: Any) -> None:
    images = (X.numpy() * 255).astype(np.uint8)
    with pytest.warns(NeurosleepWarning, match="integers, from 0 to 25.*divide them by 255"):
        ns.convert(CONV, images.astype(kind))
    # Bytes are scaled, and the report says so.
    assert "scaled from 0..255" in ns.convert(CONV, images).report.notes[0]


@pytest.mark.parametrize("factor", [1.0, 8.0])
def test_other_numbers_are_taken_as_they_are(factor: float) -> None:
    ns.convert(CONV, X * factor)
    ns.convert(CONV, (X * factor).round())


@pytest.mark.parametrize("given", [0.999, 0.9, 1])
def test_a_percentile_that_was_meant_as_a_fraction(given: float) -> None:
    with pytest.raises(SettingsError) as caught:
        ns.Percentile(given)
    assert f"Percentile({100 * given:g})" in str(caught.value.hint)
