"""Figures of equilibrium networks show what their tables hold, from a table and from the rows of its file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.image import imread

from neurosleep import plot
from neurosleep.analysis import Table
from neurosleep.errors import SettingsError, UnknownNameError

NAN = float("nan")
SETTLING = Table(
    {
        "step": [1, 1, 2, 2],
        "layer": ["hidden1", "output"] * 2,
        "residual": [0.5, 0.25, 0.05, 0.0],
        "mean_residual": [0.1, 0.1, 0.01, 0.0],
        "mean": [0.3, 0.2, 0.3, 0.2],
        "sd": [0.1, 0.1, 0.1, 0.1],
    }
)
STATES = Table(
    {"step": [0, 0, 1, 1, 0, 1], "layer": ["hidden1"] * 4 + ["output"] * 2, "unit": [3, 7, 3, 7, 0, 0]}
    | {"state": [0.0, 0.0, 0.5, 0.2, 0.0, 0.9]}
)
SPREAD = Table(
    {
        "layer": ["hidden1", "output"],
        "units": [256, 10],
        "mean": [0.2, 0.1],
        "sd_over_units": [0.1, 0.05],
        "participation": [0.61, NAN],
    }
)
STABILITY = Table(
    {
        "kind": ["constant", "constant", "log-normal", "log-normal"],
        "step_size": [0.5, 0.9] * 2,
        "runs": [5] * 4,
        "diverged": [0.0, 0.6, 0.0, 0.2],
        "accuracy": [0.95, 0.9, 0.94, 0.92],
        "sd": [0.01, NAN, 0.01, 0.02],
    }
)
FIGURES: list[tuple[Callable[..., Axes], Table]] = [
    (plot.settling, SETTLING),
    (plot.state_trajectories, STATES),
    (plot.activation_spread, SPREAD),
    (plot.stability, STABILITY),
]


def from_file(table: Table, folder: Path) -> list[dict[str, Any]]:
    path = table.to_csv(folder / "table.csv")
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_the_residual_is_drawn_per_layer_on_a_logarithmic_scale() -> None:
    ax = plot.settling(SETTLING)
    assert ax.get_yscale() == "log"
    hidden, output = ax.get_lines()
    np.testing.assert_allclose(hidden.get_ydata(), [0.5, 0.05])
    np.testing.assert_allclose(output.get_ydata(), [0.25])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["hidden1", "output"]


def test_layers_that_move_every_other_step_are_drawn_as_joined_lines() -> None:
    rows = [
        {"step": t, "layer": name, "residual": 0.5**t * ((t + k) % 2), "mean_residual": 0.0, "mean": 0.0, "sd": 0.0}
        for t in range(1, 7)
        for k, name in enumerate(("hidden1", "output"))
    ]
    hidden, output = plot.settling(Table.from_rows(rows)).get_lines()
    np.testing.assert_allclose(hidden.get_xdata(), [1, 3, 5])
    np.testing.assert_allclose(output.get_ydata(), [0.5**2, 0.5**4, 0.5**6])


def test_states_are_drawn_unit_by_unit_of_one_layer() -> None:
    first, second = plot.state_trajectories(STATES).get_lines()
    np.testing.assert_allclose(first.get_ydata(), [0.0, 0.5])
    np.testing.assert_allclose(second.get_ydata(), [0.0, 0.2])
    (only,) = plot.state_trajectories(STATES, layer="output").get_lines()
    np.testing.assert_allclose(only.get_ydata(), [0.0, 0.9])
    with pytest.raises(UnknownNameError, match="layer"):
        plot.state_trajectories(STATES, layer="hidden2")


def test_spread_is_drawn_as_bars_with_how_many_take_part() -> None:
    ax = plot.activation_spread(SPREAD)
    assert [round(bar.get_height(), 3) for bar in ax.patches] == [0.2, 0.1]  # type: ignore[attr-defined]
    assert [text.get_text() for text in ax.texts] == ["0.61", "-"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["hidden1", "output"]


def test_stability_is_drawn_per_kind_in_percent() -> None:
    ax = plot.stability(STABILITY)
    np.testing.assert_allclose([line.get_ydata() for line in ax.get_lines()[:2]], [[0, 60], [0, 20]])
    ax = plot.stability(STABILITY, value="accuracy")
    assert ax.get_ylabel() == "accuracy (%)"
    with pytest.raises(UnknownNameError, match="value"):
        plot.stability(STABILITY, value="loss")
    lost = Table({**STABILITY.columns, "accuracy": np.full(4, NAN)})
    assert [text.get_text() for text in plot.stability(lost, value="accuracy").texts] == ["every run diverged"]


@pytest.mark.parametrize(("draw", "table"), FIGURES)
def test_a_file_draws_as_its_table_and_a_missing_column_is_named(
    draw: Callable[..., Axes], table: Table, tmp_path: Path
) -> None:
    for data, name in ((table, "a.png"), (from_file(table, tmp_path), "b.png")):
        plot.save(draw(data).figure, tmp_path / name)  # type: ignore[arg-type]
    np.testing.assert_array_equal(imread(tmp_path / "a.png"), imread(tmp_path / "b.png"))
    with pytest.raises(SettingsError, match="column"):
        draw([{"nothing": 1}])


@pytest.mark.parametrize(("draw", "table"), FIGURES)
def test_nothing_and_undefined_numbers_come_out(draw: Callable[..., Axes], table: Table) -> None:
    def words(ax: Axes) -> str:
        fig = ax.get_figure(root=True)
        assert fig is not None and plot.to_png_bytes(fig, dpi=20)
        return " ".join(text.get_text() for text in ax.texts)

    assert "no data" in words(draw([]))
    rows = table.rows()
    measured = [key for key in rows[0] if key not in ("layer", "step", "unit", "units", "kind", "step_size", "runs")]
    assert "no number is defined" in words(draw([row | dict.fromkeys(measured, "") for row in rows]))
    for k, row in enumerate(rows[:2]):
        words(draw([*rows[:k], row | dict.fromkeys(measured, ""), *rows[k + 1 :]]))
