"""Distances to samples of solutions, against the whole vectors of weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurosleep import plot
from neurosleep.analysis import solution_distance
from neurosleep.errors import DataError

SHAPES = ((7, 5), (3, 7))


def points(seed: int, n: int) -> list[list[torch.Tensor]]:
    source = torch.Generator().manual_seed(seed)
    return [[torch.randn(shape, generator=source) for shape in SHAPES] for _ in range(n)]


def flat(point: list[torch.Tensor]) -> np.ndarray:
    return torch.cat([w.flatten() for w in point]).double().numpy()


@pytest.mark.parametrize("seed", range(20))
def test_against_least_squares_on_the_whole_vectors(seed: int) -> None:
    way, solutions = points(seed, 4), {"one": points(seed + 100, 3), "two": points(seed + 200, 5)}
    table = solution_distance(way, solutions, runs=["a"] * 4, moments=["m0", "m1", "m2", "m3"])
    assert len(table.rows()) == 8
    for row in table.rows():
        here = flat(way[int(str(row["moment"])[1])])
        samples = np.stack([flat(point) for point in solutions[str(row["task"])]])
        assert row["nearest"] == pytest.approx(np.linalg.norm(samples - here, axis=1).min(), rel=1e-5)
        mean = samples.mean(0)
        best, *_ = np.linalg.lstsq((samples - mean).T, here - mean, rcond=None)
        outside = np.linalg.norm(here - mean - (samples - mean).T @ best)
        assert row["flat"] == pytest.approx(outside, rel=1e-5)
        assert row["flat"] <= row["nearest"] * (1 + 1e-9)


def test_a_solution_itself_and_a_mixture_of_solutions() -> None:
    samples = points(1, 3)
    middle = [0.2 * a + 0.8 * b for a, b in zip(samples[0], samples[2], strict=True)]
    table = solution_distance([samples[1], middle], {"t": samples}, runs=["a", "a"], moments=["at", "between"])
    at, between = table.rows()
    assert at["nearest"] == pytest.approx(0, abs=1e-3) and at["flat"] == pytest.approx(0, abs=1e-3)
    assert between["flat"] == pytest.approx(0, abs=1e-3) and between["nearest"] > 1


def test_what_does_not_fit_is_refused() -> None:
    way = points(0, 2)
    for solutions, found in (({}, "no task"), ({"a": way, "b": []}, "none of b")):
        with pytest.raises(DataError, match=found):
            solution_distance(way, solutions, runs=["a", "a"], moments=["x", "y"])
    with pytest.raises(DataError, match="do not fit"):
        solution_distance(way, {"a": way}, runs=["a"], moments=["x", "y"])
    with pytest.raises(DataError, match="different shapes"):
        solution_distance(way, {"a": [[torch.zeros(2, 2)]]}, runs=["a", "a"], moments=["x", "y"])
    with pytest.raises(DataError, match="not all finite"):
        solution_distance([[w * torch.nan for w in way[0]]], {"a": way}, runs=["a"], moments=["x"])


def test_the_figure_has_two_lines_for_each_task() -> None:
    table = solution_distance(
        points(0, 3), {"one": points(1, 2), "two": points(2, 2)}, runs=["a", "a", "b"], moments=["x", "y", "x"]
    )
    ax = plot.solution_distance(table)
    assert [len(line.get_xdata()) for line in ax.get_lines()] == [2, 2, 2, 2]  # type: ignore[arg-type]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["x", "y"]
    assert len(plot.solution_distance(table, run="b").get_lines()[0].get_xdata()) == 1  # type: ignore[arg-type]
