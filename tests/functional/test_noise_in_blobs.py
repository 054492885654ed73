"""Noise in blobs: every input by itself is as before, and neighbours go together."""

from __future__ import annotations

import math

import pytest
import torch

from neurosleep.errors import NeurosleepError
from neurosleep.functional import InputNoise, torch_generator


@pytest.mark.parametrize("spread", [None, 0.7])
@pytest.mark.parametrize("blobs", [0.8, 2.0])
def test_blobs_keep_every_input_and_join_neighbours(blobs: float, spread: float | None) -> None:
    mean = 0.1 + 0.8 * torch.rand(2, 9, 8, generator=torch_generator(0, "mean"))
    mean[0, 0, 0], mean[1, 8, 7] = 0.0, 1.0
    spreads = None if spread is None else torch.full(mean.shape, spread)
    alone, joined = InputNoise(mean, spreads), InputNoise(mean, spreads, blobs)
    drawn = joined.frames(8000, seed=3).double()
    assert drawn.shape == (8000, 2, 9, 8)
    sizes = (mean * (1 - mean)).sqrt() if spread is None else spreads
    assert (drawn.mean(0) - mean).abs().max() < 5 * sizes.max() / 8000**0.5
    assert (drawn.std(0) - sizes).abs().max() < 0.03  # at the borders as in the middle
    if spread is None:
        assert set(drawn.unique().tolist()) == {0.0, 1.0}
        assert drawn[:, 0, 0, 0].max() == 0 and drawn[:, 1, 8, 7].min() == 1

    def together(values: torch.Tensor, distance: int) -> float:
        a, b = values[:, :, 4, 1].T, values[:, :, 4, 1 + distance].T
        return float(torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(a, b, strict=True)]).mean())

    # Of a normal field smoothed by a Gaussian: exp(-d^2 / (4 blobs^2)); where it is cut into 0 and 1 it is less.
    for distance in (1, 3, 5):
        expected = math.exp(-(distance**2) / (4 * blobs**2))
        if spread is not None:
            assert together(drawn, distance) == pytest.approx(expected, abs=0.04)
        else:
            assert -0.04 < together(drawn, distance) < expected + 0.04
    assert together(drawn, 1) > 0.4 and abs(together(alone.frames(8000, seed=3).double(), 1)) < 0.04
    across = torch.corrcoef(torch.stack([drawn[:, 0, 4, 4], drawn[:, 1, 4, 4]]))[0, 1]
    assert abs(float(across)) < 0.05


def test_frames_in_blobs_do_not_depend_on_the_blocks() -> None:
    noise = InputNoise(torch.full((5, 6), 0.4), blobs=1.5)
    whole = noise.frames(330, seed=1, task=2)
    assert torch.equal(
        torch.cat([noise.frames(n, seed=1, task=2, start=k) for k, n in ((0, 99), (99, 2), (101, 229))]), whole
    )
    assert not torch.equal(noise.frames(330, seed=2, task=2), whole)


@pytest.mark.parametrize(
    ("mean", "blobs"), [([0.5, 0.5], 2.0), ([[0.5, 0.5]], -1.0), ([[0.5]], math.nan), ([[0.5]], "2")]
)
def test_impossible_blobs_are_refused(mean: list, blobs: object) -> None:
    with pytest.raises(NeurosleepError, match="blobs"):
        InputNoise(mean, blobs=blobs)  # type: ignore[arg-type]
