"""Epochs saved: the horizontal distance between two curves."""

from __future__ import annotations

import numpy as np
import pytest

from neurosleep.analysis import epochs_saved
from neurosleep.errors import NeurosleepError


def test_a_shifted_curve_saves_the_shift() -> None:
    epochs = np.arange(1, 11)
    curve = 1 - np.exp(-epochs / 4)
    late, early = curve, 1 - np.exp(-(epochs + 2) / 4)
    table = epochs_saved(epochs.tolist(), late.tolist(), early.tolist())
    # Straight lines between points: exact where the shift is an integer number of points.
    np.testing.assert_allclose(table["saved"], 2, atol=1e-9)
    back = epochs_saved(epochs.tolist(), early.tolist(), late.tolist())
    np.testing.assert_allclose(back["saved"], -2, atol=1e-9)
    assert (epochs_saved(epochs.tolist(), late.tolist(), late.tolist())["saved"] == 0).all()


def test_straight_lines() -> None:
    table = epochs_saved([0, 10], [0.0, 0.5], [0.0, 1.0], levels=11)
    assert table["accuracy"] == pytest.approx(np.linspace(0, 0.5, 11))
    assert table["epochs_without"] == pytest.approx(np.linspace(0, 10, 11))
    assert table["epochs_with"] == pytest.approx(np.linspace(0, 5, 11))
    assert table["saved"].mean() == pytest.approx(2.5)


def test_the_first_time_counts_on_a_curve_that_falls_and_rises() -> None:
    table = epochs_saved([1, 2, 3, 4, 5], [0.2, 0.6, 0.3, 0.5, 1.0], [0.2, 0.4, 0.6, 0.8, 1.0], levels=17)
    by_level = dict(zip(np.round(table["accuracy"], 6).tolist(), table["epochs_without"].tolist(), strict=True))
    assert by_level[0.4] == pytest.approx(1.5) and by_level[0.55] == pytest.approx(1.875)
    assert by_level[0.65] == pytest.approx(4.3)
    assert by_level[0.8] == pytest.approx(4.6) and by_level[1.0] == pytest.approx(5.0)
    assert (np.diff(table["epochs_without"]) > 0).all()


@pytest.mark.parametrize("seed", range(20))
def test_both_curves_have_the_level_where_they_are_said_to(seed: int) -> None:
    generator = np.random.default_rng(seed)
    epochs = np.cumsum(generator.integers(1, 4, size=8)).astype(float)
    a, b = generator.random(8), generator.random(8)
    a[0] = b[0] = 0.0
    table = epochs_saved(epochs.tolist(), a.tolist(), b.tolist(), levels=17)
    np.testing.assert_allclose(np.interp(table["epochs_without"], epochs, a), table["accuracy"], atol=1e-12)
    np.testing.assert_allclose(np.interp(table["epochs_with"], epochs, b), table["accuracy"], atol=1e-12)


def test_what_cannot_be_compared_is_refused() -> None:
    for epochs, a, b in (
        ([1], [0.1], [0.2]),
        ([1, 2], [0.1, 0.2], [0.2]),
        ([1, 1], [0.1, 0.2], [0.1, 0.2]),
        ([1, 2], [0.1, float("nan")], [0.1, 0.2]),
        ([1, 2], [0.1, 0.2], [0.3, 0.4]),
        ([1, 2], [0.2, 0.2], [0.2, 0.4]),
    ):
        with pytest.raises(NeurosleepError):
            epochs_saved(epochs, a, b)
    with pytest.raises(NeurosleepError, match="levels"):
        epochs_saved([1, 2], [0, 1], [0, 1], levels=1)
