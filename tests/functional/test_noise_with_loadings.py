"""Noise along principal components: every input by itself is as before, and inputs go together as the data do."""

from __future__ import annotations

import pytest
import torch

from neurosleep.errors import NeurosleepError
from neurosleep.functional import InputNoise, torch_generator
from neurosleep.functional.principal_components import leading_rows, loadings_of


def _loadings() -> torch.Tensor:
    generator = torch_generator(0, "loadings")
    loadings = torch.randn(3, 2, 7, generator=generator)
    return 0.9 * loadings / torch.linalg.vector_norm(loadings, dim=0)


@pytest.mark.parametrize("graded", [False, True])
def test_each_input_keeps_mean_and_spread_and_they_correlate_as_the_loadings_say(graded: bool) -> None:
    mean = 0.2 + 0.6 * torch.rand(2, 7, generator=torch_generator(0, "mean"))
    loadings = _loadings()
    noise = InputNoise(mean, torch.full(mean.shape, 0.7) if graded else None, loadings=loadings)
    drawn = noise.frames(20_000, seed=3).double().flatten(1)
    sizes = torch.full((14,), 0.7) if graded else (mean * (1 - mean)).sqrt().flatten()
    assert (drawn.mean(0) - mean.flatten()).abs().max() < 0.02
    assert (drawn.std(0) - sizes).abs().max() < 0.02
    flat = loadings.flatten(1)
    expected = (flat.T @ flat).fill_diagonal_(1.0)
    found = torch.corrcoef(drawn.T).float()
    if graded:
        assert (found - expected).abs().max() < 0.04
    else:
        assert set(drawn.unique().tolist()) == {0.0, 1.0}
        # Cut at their middle, normal numbers that correlate by c make 0 and 1 that correlate by 2 / pi asin(c).
        middle = InputNoise(torch.full(mean.shape, 0.5), loadings=loadings).frames(20_000, seed=3).flatten(1)
        assert (torch.corrcoef(middle.T) - 2 / torch.pi * torch.asin(expected.clamp(-1, 1))).abs().max() < 0.04
        assert bool((found.sign() == expected.sign())[expected.abs() > 0.1].all())


def test_frames_do_not_depend_on_the_blocks() -> None:
    noise = InputNoise(torch.full((2, 7), 0.4), loadings=_loadings())
    whole = noise.frames(330, seed=1, task=2)
    parts = [noise.frames(n, seed=1, task=2, start=k) for k, n in ((0, 99), (99, 2), (101, 229))]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize(
    ("loadings", "words"),
    [
        (torch.zeros(3, 4), "have shape"),
        (torch.full((2, 5), 0.8), "add up to 1.28"),
        (torch.full((1, 5), torch.nan), "infinite or NaN"),
        ("many", "loadings"),
    ],
)
def test_impossible_loadings_are_refused(loadings: object, words: str) -> None:
    with pytest.raises(NeurosleepError, match=words):
        InputNoise(torch.full((5,), 0.5), loadings=loadings)  # type: ignore[arg-type]


def test_blobs_and_loadings_exclude_each_other() -> None:
    with pytest.raises(NeurosleepError, match="one of them"):
        InputNoise(torch.full((2, 5), 0.5), blobs=1.0, loadings=torch.zeros(1, 2, 5))


@pytest.mark.parametrize("shape", [(6, 20), (50, 8)])
def test_leading_rows_are_those_of_a_singular_value_decomposition(shape: tuple[int, int]) -> None:
    rows = torch.randn(shape, generator=torch_generator(0, "rows"), dtype=torch.float64)
    found = leading_rows(rows, 4)
    _, sizes, axes = torch.linalg.svd(rows, full_matrices=False)
    expected = axes[:4] * sizes[:4, None]
    expected = expected * torch.where(expected.sum(1, keepdim=True) < 0, -1.0, 1.0)
    assert torch.allclose(found, expected, atol=1e-9)
    assert torch.allclose(leading_rows(rows, 99).T @ leading_rows(rows, 99), rows.T @ rows, atol=1e-9)


def test_loadings_never_explain_more_than_there_is() -> None:
    rows = torch.randn(4, 9, generator=torch_generator(0, "rows"))
    std = torch.linspace(0, 2, 9)
    loadings = loadings_of(rows, std)
    assert not loadings[:, 0].any() and float(loadings.square().sum(0).max()) < 1 + 1e-6
    small = loadings_of(rows / 100, std)
    assert torch.allclose(small * std, torch.where(std > 0, rows / 100, torch.zeros(())), atol=1e-6)
