"""Drift is seen where the inputs change, and nowhere else, however the stream comes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from neurosleep.errors import SettingsError
from neurosleep.functional import torch_generator
from neurosleep.replay import Drift, PageHinkley


def stream(shift: float, n: int = 3000, seed: int = 0) -> torch.Tensor:
    """``n`` inputs before and after their mean moves by ``shift``; some inputs never differ."""
    rows = torch.randn(2 * n, 30, generator=torch_generator(seed, "rows"), dtype=torch.float64)
    rows[n:, :10] += shift
    rows[:, 25:] = 0.5
    return rows


def drifts(rows: torch.Tensor, sizes: int, settings: PageHinkley) -> list[int]:
    """After how many samples, in batches of ``sizes``, it drifted."""
    drift = Drift(settings)
    return [start + len(part) for start, part in zip(range(0, len(rows), sizes), rows.split(sizes), strict=True)
            if drift.seen(part)]  # fmt: skip


def expected(rows: np.ndarray, settings: PageHinkley) -> list[int]:
    """The same by the formulas, each window from all samples before it."""
    size, start, ends = settings.window, 0, []
    signal: list[float] = []
    for stop in range(size, len(rows) + 1, size):
        before, window = rows[start : stop - size], rows[stop - size : stop]
        if len(before):
            apart = ((window.mean(0) - before.mean(0)) ** 2).sum() / before.var(0).sum()
            signal.append(apart / (1 / size + 1 / len(before)))
            above = [x - np.mean(signal[: k + 1]) - settings.tolerance for k, x in enumerate(signal)]
            g = np.cumsum(above)
            if len(signal) >= settings.warm_up and g[-1] - min(0.0, g.min()) > settings.threshold:
                ends.append(stop)
                start, signal = stop - size, []
    return ends


@pytest.mark.parametrize("seed", range(3))
def test_nothing_drifts_where_nothing_changes_and_a_change_is_seen_soon(seed: int) -> None:
    settings = PageHinkley()
    assert drifts(stream(0.0, seed=seed), 50, settings) == []
    (seen,) = drifts(stream(1.0, seed=seed), 50, settings)
    assert 3000 < seen <= 3200


@pytest.mark.parametrize("settings", [PageHinkley(), PageHinkley(3.0, 0.1, 40, 2), PageHinkley(0.2, 0.0, 60, 1)])
def test_it_is_the_test_of_page_and_hinkley(settings: PageHinkley) -> None:
    rows = stream(0.3)
    found = drifts(rows, settings.window, settings)
    assert found == expected(rows.numpy(), settings) and found


def test_batches_do_not_matter() -> None:
    rows = stream(1.0)
    assert drifts(rows, 100, PageHinkley()) == [3100]
    assert drifts(rows, 1, PageHinkley()) == [3100]
    assert drifts(rows, 6000, PageHinkley()) == [6000]


def test_inputs_that_never_differed_drift_when_they_do() -> None:
    rows = torch.zeros(2000, 4)
    rows[1000:] = 1.0
    assert drifts(rows, 100, PageHinkley()) == [1100]


@pytest.mark.parametrize("samples", [True, False])
def test_what_it_has_seen_can_be_stored(samples: bool) -> None:
    rows = stream(1.0)
    whole, again = Drift(PageHinkley()), Drift(PageHinkley())
    at = 2950 if samples else 2900
    whole.seen(rows[:at])
    state = whole.state_dict(samples=samples)
    assert (len(state["window"]) == 50) == samples
    again.load_state_dict(state)
    assert whole.seen(rows[at:3060]) == again.seen(rows[at:3060])
    assert whole.seen(rows[3060:3100]) and again.seen(rows[3060:3100])


@pytest.mark.parametrize(
    "wrong", [{"threshold": 0}, {"threshold": "x"}, {"tolerance": -1}, {"window": 0}, {"window": 2.5}, {"warm_up": 0}]
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"drift|warm up"):
        PageHinkley(**wrong)
