"""The window of a plasticity rule, and bars of energy."""

from __future__ import annotations

import dataclasses
import io
import math
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.image import imread

from neurosleep import plot
from neurosleep.errors import SettingsError
from neurosleep.functional import (
    BCM,
    RULES,
    MultiplicativeSTDP,
    Oja,
    PairSTDP,
    PlasticityRule,
    SignSTDP,
    SRCRule,
    TripletSTDP,
    make_rule,
)

Rows = list[dict[str, Any]]


def words(ax: Axes) -> str:
    return " ".join([ax.get_title(), ax.get_xlabel(), *(text.get_text() for text in ax.texts)])


def comes_out(ax: Axes) -> bool:
    fig = ax.get_figure(root=True)
    assert fig is not None
    return bool(np.asarray(imread(io.BytesIO(plot.to_png_bytes(fig, dpi=50)))).size)


def test_the_window_of_pair_stdp_is_two_exponentials() -> None:
    rule = PairSTDP(a_plus=0.01, a_minus=0.02, decay_plus=math.exp(-1 / 20), decay_minus=math.exp(-1 / 10))
    rows = plot.stdp_window_rows(rule, steps=30, dt=0.001)
    for row in rows[:-1]:
        lag = round(row["lag_s"] / 0.001)
        # A pair within a step counts as causal.
        expected = 0.01 * math.exp(-lag / 20) if lag >= 0 else -0.02 * math.exp(lag / 10)
        assert row["change"] == pytest.approx(expected, rel=1e-12)
    assert rows[-1] == {"lag_s": None, "change": 0.0} and len(rows) == 62


def test_the_window_of_sleep_replay_is_a_single_peak() -> None:
    rows = plot.stdp_window_rows(SRCRule(inc=0.03, dec=0.002, factor="constant"), steps=5)
    changes = {row["lag_s"]: row["change"] for row in rows}
    assert changes.pop(0.0) == pytest.approx(0.03)
    assert list(changes.values()) == pytest.approx([-0.002] * 11)
    # With the factor of the released code a positive weight stays as it is.
    steep = SRCRule(inc=0.03, dec=0.002)
    assert all(abs(row["change"]) < 1e-12 for row in plot.stdp_window_rows(steep, weight=0.5, steps=5))


def test_windows_of_the_other_rules() -> None:
    def window(rule: PlasticityRule, weight: float = 0.0) -> dict[int | None, float]:
        rows = plot.stdp_window_rows(rule, weight=weight, steps=4)
        return {None if row["lag_s"] is None else round(row["lag_s"] / 0.001): row["change"] for row in rows}

    # Near the upper bound a weight grows little and falls much, by the same exponentials.
    soft = window(MultiplicativeSTDP(0.25, 0.25, decay_plus=0.5, decay_minus=0.5), 0.75)
    assert [soft[lag] for lag in (-2, -1, 0, 1, 2, None)] == [-3 / 64, -3 / 32, 1 / 16, 1 / 32, 1 / 64, 0.0]
    # A pair is no triplet: the window is that of pairs.
    triplet = window(TripletSTDP(0.25, 0.5, 0.125, 0.125, *[0.5] * 4))
    assert [triplet[lag] for lag in (-2, -1, 0, 1, 2, None)] == [-1 / 8, -1 / 4, 1 / 4, 1 / 8, 1 / 16, 0.0]
    assert [window(SignSTDP(0.5, window=2))[lag] for lag in (-1, 0, 1, 2, None)] == [-0.5, 0.5, 0.5, -0.5, -0.5]
    oja, bcm = window(Oja(0.5, decay=0.5)), window(BCM(0.5, 0.5, 0.5, 0.5))
    assert [oja[lag] for lag in (-2, -1, 0, 1, 2, None)] == [1 / 8, 1 / 4, 1 / 2, 1 / 4, 1 / 8, 0.0]
    # The threshold, 1/2, falls to 1/4 in a step without a spike of the unit, and rises to 5/4 in one with it.
    assert [bcm[lag] for lag in (-1, 0, 1, None)] == [-3 / 16, 1 / 4, 3 / 16, 0.0]


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_rule_can_be_drawn(name: str) -> None:
    kind: Any = RULES[name]
    required = [field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING]
    ax = plot.stdp_window(make_rule(name, **dict.fromkeys(required, 0.1)), weight=0.25, steps=5)
    assert ax.get_title() == f"rule {name}" and comes_out(ax)


def test_the_window_is_drawn_with_units_and_signs_told_apart() -> None:
    ax = plot.stdp_window(PairSTDP(a_plus=0.01, a_minus=0.02), steps=10)
    drawn = {str(line.get_label()): np.column_stack(line.get_data()) for line in ax.get_lines()}
    assert len(drawn["strengthened"]) == 11 and len(drawn["weakened"]) == 10
    assert drawn["strengthened"][0] == pytest.approx([0, 0.01]) and "(ms)" in ax.get_xlabel() and comes_out(ax)
    assert "postsynaptic spike alone" in {
        str(line.get_label()) for line in plot.stdp_window(SRCRule(0.1, 0.1)).get_lines()
    }
    still = plot.stdp_window(PairSTDP(a_plus=0.0, a_minus=0.0))
    assert "unchanged" in {str(line.get_label()) for line in still.get_lines()} and comes_out(still)
    for wrong in ({"steps": 0}, {"dt": -1}, {"weight": math.nan}):
        with pytest.raises(SettingsError):
            plot.stdp_window(SRCRule(0.1, 0.1), **wrong)  # type: ignore[arg-type]


def test_energies_are_bars_from_low_to_high_and_what_is_unknown_is_said() -> None:
    rows: Rows = [
        {"label": "chip $1", "low": 2e-7, "high": 3.456e-4},
        {"label": "point", "low": "1e-3", "high": "1e-3"},
        {"label": "one side", "low": None, "high": 5e-6},
        {"label": "unknown", "low": None, "high": None},
        {"label": "nothing", "low": 0, "high": 0},
        {"label": "from nothing", "low": 0, "high": 1e-6},
    ]
    ax = plot.energy(rows, label="energy per image")
    told = [text.get_text() for text in ax.texts]
    assert told == ["200 nJ to 346 µJ", "1 mJ", "5 µJ", "not estimated", "0 J", "1 µJ"]
    assert ax.get_xscale() == "log" and ax.get_xlabel() == "energy per image (J)" and comes_out(ax)
    assert [label.get_text() for label in ax.get_yticklabels()][:2] == [r"chip \$1", "point"]


def test_no_energies_come_out() -> None:
    assert "no energy to show" in words(plot.energy([])) and comes_out(plot.energy([]))
    ax = plot.energy([{"label": "a", "low": None, "high": ""}])
    assert "not estimated" in words(ax) and comes_out(ax)


@pytest.mark.parametrize("ends", [(2, 1), (-1, 1), (1, math.inf), (None, -1), ("much", 1)])
def test_energies_that_make_no_sense_are_refused(ends: tuple[Any, Any]) -> None:
    with pytest.raises(SettingsError):
        plot.energy([{"label": "a", "low": ends[0], "high": ends[1]}])
