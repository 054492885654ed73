"""The figures of the analyses show what the tables hold; tables and the rows of their files draw the same."""

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
from neurosleep.analysis import Table, epochs_saved
from neurosleep.errors import SettingsError, UnknownNameError

NAN = float("nan")
CORRELATION = Table(
    {
        "layer": ["hidden1"] * 9,
        "class_a": np.repeat([4, 5, 6], 3),
        "class_b": np.tile([4, 5, 6], 3),
        "before": [0.9, 0.5, NAN, 0.5, 0.8, NAN, NAN, NAN, NAN],
        "after": [0.95, 0.1, NAN, 0.1, 0.8, NAN, NAN, NAN, NAN],
        "change": [0.05, -0.4, NAN, -0.4, 0.0, NAN, NAN, NAN, NAN],
    }
)
SPARSE = Table(
    {
        "layer": ["hidden1", "hidden1", "output", "output"],
        "class": [0, 1, 0, 1],
        "sparseness_before": [0.8, 0.6, NAN, NAN],
        "sparseness_after": [0.9, 0.8, 0.5, NAN],
        "active_before": [0.5, 0.7, 0.0, 0.0],
        "active_after": [0.3, 0.4, 0.1, 0.0],
    }
)
FIRING = Table(
    {
        "layer": ["hidden1", "hidden1"],
        "class": [0, 1],
        "units": [60, 60],
        "specific_hz": [2.0, 0.5],
        "random_hz": [0.5, 0.6],
        "p_bonferroni": [0.001, 0.9],
    }
)
SIMILARITY = Table(
    {
        "layer": ["hidden1", "hidden2"],
        "class": [0, 0],
        "per_image": [0.5, -0.2],
        "per_window": [0.4, NAN],
        "per_window_sd": [0.1, NAN],
        "normalised": [3.0, NAN],
    }
)
TURNED = Table({"layer": ["hidden1", "output"], "class": [3, 3], "distance": [0.5, NAN], "distance_sd": [0.1, NAN]})
DRIVE = Table(
    {
        "layer": ["hidden1"] * 3,
        "task": [1, 2, 3],
        "age": ["old", "old", "new"],
        "before": [-0.1, 0.0, 0.4],
        "after": [0.2, 0.2, 0.1],
    }
)
RANKS = Table({"layer": ["hidden1", "output"], "before": [3.5, NAN], "after": [2.25, NAN]})
WEIGHTS = Table(
    {
        "layer": ["hidden1"] * 6,
        "quantity": np.repeat(["before", "after", "change"], 2),
        "low": [-1.0, 0.0] * 2 + [-0.2, 0.0],
        "high": [0.0, 1.0] * 2 + [0.0, 0.2],
        "count": [10, 90, 40, 60, 100, 0],
    }
)
PATCH = Table(
    {
        "class": [0, 2, 0, 2],
        "task": [1, 2, 1, 2],
        "moment": ["before", "before", "after", "after"],
        "own": [-0.1, 0.9, 0.0, 0.8],
        "other": [0.4, -0.5, -0.3, -0.6],
    }
)
SYNAPSES = Table(
    {
        "task": [1, 1, 1, 2],
        "kind": ["own", "overlap", "overlap", "own"],
        "before": [0.2, -0.1, -0.1, 0.3],
        "after": [0.2, -0.3, -0.1, 0.3],
    }
)
SAVED = epochs_saved([1, 2, 3], [0.1, 0.3, 0.5], [0.1, 0.4, 0.6])
WAY = Table(
    {
        "run": ["a", "a", "a", "b"],
        "moment": ["wake 1", "sleep 1", "wake 2", "wake 1"],
        "pc1": [0.0, 1.0, 1.001, 0.5],
        "pc2": [0.0, 1.0, 1.0, 0.5],
        "share1": [0.8] * 4,
        "share2": [0.15] * 4,
    }
)

DRAWN: list[tuple[Callable[..., Axes], Table, dict[str, Any]]] = [
    (plot.class_correlation, CORRELATION, {"layer": "hidden1", "value": "change"}),
    (plot.correlation_change, CORRELATION, {"layer": "hidden1"}),
    (plot.sparseness, SPARSE, {}),
    (plot.sparseness, SPARSE, {"value": "active"}),
    (plot.task_specific_firing, FIRING, {"layer": "hidden1"}),
    (plot.sleep_wake_similarity, SIMILARITY, {}),
    (plot.sleep_wake_similarity, SIMILARITY, {"value": "normalised"}),
    (plot.representation_change, TURNED, {}),
    (plot.input_drive, DRIVE, {}),
    (plot.stable_rank, RANKS, {}),
    (plot.weight_histogram, WEIGHTS, {"layer": "hidden1"}),
    (plot.weight_histogram, WEIGHTS, {"layer": "hidden1", "part": "change"}),
    (plot.weight_histogram, WEIGHTS, {"layer": "hidden1", "part": "shrunk"}),
    (plot.patch_drive, PATCH, {}),
    (plot.patch_weights, SYNAPSES, {"task": 1}),
    (plot.epochs_saved, SAVED, {}),
    (plot.weight_trajectory, WAY, {}),
]


def png(ax: Axes) -> bytes:
    fig = ax.get_figure(root=True)
    assert fig is not None
    return plot.to_png_bytes(fig, dpi=60)


def words(ax: Axes) -> str:
    return " | ".join([ax.get_title(), ax.get_xlabel(), ax.get_ylabel(), *(text.get_text() for text in ax.texts)])


def ends(ax: Axes) -> list[list[float]]:
    """The heights of all lines of two points."""
    return [np.asarray(line.get_ydata(), float).tolist() for line in ax.get_lines() if len(line.get_xydata()) == 2]


@pytest.mark.parametrize(("draw", "table", "options"), DRAWN)
def test_a_table_its_file_and_given_axes_look_the_same(
    draw: Callable[..., Axes], table: Table, options: dict[str, Any], tmp_path: Path
) -> None:
    ax = draw(table, **options)
    assert ax.get_xlabel() or ax.get_xticklabels()
    assert ax.get_ylabel()
    drawn = png(ax)
    assert imread(io.BytesIO(drawn)).std() > 0.01
    with table.to_csv(tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert png(draw(rows, **options)) == drawn
    given = plot.figure().add_subplot()
    assert draw(table, **options, ax=given) is given


@pytest.mark.parametrize(("draw", "table", "options"), DRAWN)
def test_a_missing_column_is_named_and_an_empty_table_comes_out(
    draw: Callable[..., Axes], table: Table, options: dict[str, Any]
) -> None:
    assert "no data" in words(draw([], **options))
    with pytest.raises(SettingsError, match=r"no column|no component"):
        draw([{"nothing": 1}], **options)


# Columns that say what a row is of, in which nothing can be undefined.
NAMES = {"layer", "class", "class_a", "class_b", "units", "task", "age", "quantity", "low", "high", "count", "moment"}
NAMES |= {"kind", "run", "pc1", "pc2", "share1", "share2"}


@pytest.mark.parametrize(("draw", "table", "options"), DRAWN)
def test_undefined_numbers_leave_the_figure_whole(
    draw: Callable[..., Axes], table: Table, options: dict[str, Any]
) -> None:
    rows = table.rows()
    measured = [key for key in rows[0] if key not in NAMES]
    for seed in range(2):
        generator = np.random.default_rng(seed)
        holes = [row | {key: "" for key in measured if generator.random() < 0.5} for row in rows]
        assert png(draw(holes, **options))
    nothing = [row | dict.fromkeys(measured, "") for row in rows]
    if measured:
        assert "defined" in words(draw(nothing, **options))


def test_names_that_do_not_exist() -> None:
    for draw in (
        lambda: plot.class_correlation(CORRELATION, layer="hidden2"),
        lambda: plot.class_correlation(CORRELATION, layer="hidden1", value="later"),
        lambda: plot.sparseness(SPARSE, value="density"),
        lambda: plot.sleep_wake_similarity(SIMILARITY, value="per_sleep"),
        lambda: plot.weight_histogram(WEIGHTS, layer="hidden1", part="moved"),
        lambda: plot.patch_weights(SYNAPSES, task=3),
        lambda: plot.patch_weights(SYNAPSES, task=1, moment="during"),
    ):
        with pytest.raises(UnknownNameError):
            draw()
    with pytest.raises(SettingsError, match="no component 3"):
        plot.weight_trajectory(WAY, components=(1, 3))


def test_the_matrix_has_the_classes_in_place() -> None:
    ax = plot.class_correlation(CORRELATION, layer="hidden1", value="after")
    drawn = np.ma.filled(ax.get_images()[0].get_array().astype(float), NAN)
    np.testing.assert_array_equal(drawn, CORRELATION["after"].reshape(3, 3))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["4", "5", "6"]
    assert [text.get_text() for text in ax.texts] == ["0.95", "0.10", "-", "0.10", "0.80", "-", "-", "-", "-"]
    many = Table(
        {
            "layer": ["output"] * 900,
            "class_a": np.repeat(np.arange(30), 30),
            "class_b": np.tile(np.arange(30), 30),
            "before": np.linspace(-1, 1, 900),
        }
    )
    ax = plot.class_correlation(many, layer="output", value="before")
    assert not ax.texts and len(ax.get_xticks()) == 15


def test_the_histogram_of_changes_tells_the_means() -> None:
    ax = plot.correlation_change(CORRELATION, layer="hidden1")
    legend = ax.get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["between classes (1), mean -0.40", "within a class (2), mean +0.03"]
    silent = CORRELATION.where(class_a=6)
    assert "no correlation is defined" in words(plot.correlation_change(silent, layer="hidden1"))


def test_lines_go_from_before_to_after() -> None:
    found = ends(plot.sparseness(SPARSE))
    for expected in ([0.8, 0.9], [0.6, 0.8], [0.7, 0.85]):
        assert any(line == pytest.approx(expected) for line in found)
    ax = plot.input_drive(DRIVE)
    assert [line for line in ends(ax) if line not in ([0, 0], [0, 1])] == [[-0.1, 0.2], [0.0, 0.2], [0.4, 0.1]]
    heights = {text.get_text(): text.get_position()[1] for text in ax.texts}
    assert heights["3"] == pytest.approx(0.1, abs=0.02) and abs(heights["1"] - heights["2"]) > 0.02, (
        "equal ends keep two labels"
    )


def test_stars_stand_where_the_difference_is_significant() -> None:
    ax = plot.task_specific_firing(FIRING, layer="hidden1")
    assert [text.get_text() for text in ax.texts] == ["*"] and ax.texts[0].xy == (0, 2.0)
    assert not plot.task_specific_firing(FIRING, layer="hidden1", level=0.0005).texts


def test_counts_of_weights_and_none() -> None:
    ax = plot.weight_histogram(WEIGHTS, layer="hidden1")
    assert ax.get_yscale() == "log"
    assert {tuple(patch.get_data().values) for patch in ax.patches} == {(10, 90), (40, 60)}
    assert "no synapse" in words(plot.weight_histogram(WEIGHTS, layer="hidden1", part="grown"))


def test_the_saving_is_written_above() -> None:
    assert f"{SAVED['saved'].mean():.2g}" in plot.epochs_saved(SAVED).get_title()


def test_moments_that_coincide_share_a_label_and_axes_tell_the_variance() -> None:
    ax = plot.weight_trajectory(WAY)
    assert [text.get_text() for text in ax.texts if text.get_text()] == ["wake 1", "sleep 1, wake 2"]
    assert "80 %" in ax.get_xlabel() and "15 %" in ax.get_ylabel()
    assert ax.get_legend() is not None
    alone = plot.weight_trajectory(WAY.where(run="b"))
    assert alone.get_legend() is None
