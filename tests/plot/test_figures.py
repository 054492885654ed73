"""What is drawn is what was given, read back from the axes."""

from __future__ import annotations

import io
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from neurosleep import plot
from neurosleep.continual import STRATEGIES
from neurosleep.errors import RunFolderError, SettingsError
from neurosleep.functional import SpikeEvents

Rows = list[dict[str, Any]]


def lines(ax: Axes) -> dict[str, np.ndarray]:
    """The drawn lines by their label in the legend."""
    return {
        str(line.get_label()): np.asarray(line.get_ydata())
        for line in ax.get_lines()
        if not str(line.get_label()).startswith("_")
    }


def dots(ax: Axes) -> set[tuple[float, float]]:
    points = [np.column_stack(line.get_data()) for line in ax.get_lines() if line.get_marker() == "o"]
    return {(round(float(x), 6), float(y)) for part in points for x, y in part}


def words(ax: Axes) -> str:
    return " ".join([ax.get_title(), ax.get_xlabel(), *(text.get_text() for text in ax.texts)])


def png(ax: Axes) -> np.ndarray:
    fig = ax.get_figure(root=True)
    assert fig is not None
    return np.asarray(imread(io.BytesIO(plot.to_png_bytes(fig, dpi=50))))


# --- accuracy ---------------------------------------------------------------------------------------------------------


def test_accuracy_draws_each_task_and_the_mean_in_black(accuracy_rows: Rows) -> None:
    ax = plot.accuracy(accuracy_rows[::-1], chance=0.5)
    drawn = lines(ax)
    assert drawn["task 1"] == pytest.approx([90, 80, 20, 60]) and drawn["task 2"] == pytest.approx([0, 10, 95, 70])
    assert drawn["mean of all tasks"] == pytest.approx([45, 45, 57.5, 65])
    assert set(drawn["chance"]) == {50.0}
    assert [label.get_text() for label in ax.get_xticklabels()] == ["wake 1", "sleep 1", "wake 2", "sleep 2"]
    colours = {str(line.get_label()): to_rgb(line.get_color()) for line in ax.get_lines()}
    assert colours["mean of all tasks"] == (0, 0, 0) and len({*colours.values()}) == 4


def test_accuracy_reads_the_text_of_a_csv_file(accuracy_rows: Rows) -> None:
    as_text = [{key: str(value) for key, value in row.items()} for row in accuracy_rows]
    as_text[0]["accuracy"] = ""
    drawn = lines(plot.accuracy(as_text))
    assert math.isnan(drawn["task 1"][0]) and drawn["task 1"][1:] == pytest.approx([80, 20, 60])
    # The name says that not all tasks are in that mean.
    assert drawn["mean of tasks measured"] == pytest.approx([0, 45, 57.5, 65])


def test_accuracy_without_rows_says_so() -> None:
    ax = plot.accuracy([])
    assert "no accuracy was measured" in words(ax) and png(ax).size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"phase": "noon"}, "noon"),
        ({"accuracy": "high"}, "high"),
        ({"on_task": 1.5}, "1.5"),
        ({"after_task": None}, "None"),
        ({"accuracy": [1]}, "[1]"),
    ],
)
def test_accuracy_refuses_what_makes_no_sense(change: dict[str, Any], message: str) -> None:
    row = {"after_task": 1, "phase": "wake", "on_task": 1, "accuracy": 0.5}
    with pytest.raises(SettingsError, match="Expected") as caught:
        plot.accuracy([row | change])
    assert message in str(caught.value)
    with pytest.raises(SettingsError, match="no column 'accuracy'"):
        plot.accuracy([{"after_task": 1, "phase": "wake", "on_task": 1}])


@pytest.mark.parametrize("tasks", [10, 40])
def test_many_tasks_have_a_colour_each_and_come_out(tasks: int) -> None:
    colours = plot.task_colours(tasks)
    assert len(set(colours)) == tasks
    rows = [
        {"after_task": after, "phase": phase, "on_task": on, "accuracy": 0.5}
        for after in range(1, tasks + 1)
        for phase in ("wake", "sleep")
        for on in range(1, tasks + 1)
    ]
    ax = plot.accuracy(rows)
    assert len(ax.get_xticks()) <= 30 and png(ax).size


def test_few_tasks_take_the_palette() -> None:
    assert plot.task_colours(3) == list(plot.PALETTE[:3]) and plot.task_colours(0) == []


# --- rates ------------------------------------------------------------------------------------------------------------


def test_rates_are_spikes_per_neuron_and_second_one_sleep_after_another() -> None:
    rows: Rows = [
        {"after_task": 1, "population": "input", "neurons": 10, "start_step": 0, "steps": 100, "spikes": 50},
        {"after_task": 1, "population": "input", "neurons": 10, "start_step": 100, "steps": 100, "spikes": 20},
        {"after_task": 2, "population": "input", "neurons": 10, "start_step": 0, "steps": 100, "spikes": 0},
        {"after_task": "2", "population": "out$", "neurons": "2", "start_step": "0", "steps": "50", "spikes": "1"},
    ]
    ax = plot.rates(rows, dt=0.001)
    drawn = {str(line.get_label()): np.asarray(line.get_data()) for line in ax.get_lines()}
    x, y = drawn["input"]
    # 50 spikes of 10 neurons in 0.1 s are 50 Hz; the gap stands between the sleeps.
    assert y == pytest.approx([50, 20, math.nan, 0], nan_ok=True)
    assert x == pytest.approx([0.05, 0.15, math.nan, 0.25], nan_ok=True)
    assert drawn[r"out\$"][:, 0] == pytest.approx([0.225, 10])
    assert ax.get_xlim() == pytest.approx((0, 0.3)) and "sleep 2" in words(ax) and png(ax).size


def test_rates_without_rows_or_without_a_spike_come_out() -> None:
    assert "no firing was recorded" in words(plot.rates([]))
    silent = {"after_task": 1, "population": "a", "neurons": 1, "start_step": 0, "steps": 1, "spikes": 0}
    assert plot.rates([silent]).get_ylim() == (0, 1)


def test_rates_of_a_firing_that_is_soon_over_are_seen_beside_silence() -> None:
    spikes = {"input": [50.0] * 8, "hidden": [400.0, *[1.0] * 5, 0.0, 0.0]}
    rows: Rows = [
        {"after_task": 1, "population": name, "neurons": 10, "start_step": 100 * k, "steps": 100, "spikes": number}
        for name, numbers in spikes.items()
        for k, number in enumerate(numbers)
    ]
    ax = plot.rates(rows)

    def height(rate: float) -> float:
        """Where a rate lies, as a share of the axis."""
        (_, y) = ax.transAxes.inverted().transform(ax.transData.transform((0.0, rate)))
        return float(y)

    assert ax.get_yscale() == "symlog" and height(0) == pytest.approx(0)
    assert height(1) > 0.1 and height(50) - height(1) > 0.25 and height(400) < 1
    assert all("$" not in text.get_text() for text in ax.get_yticklabels()) and png(ax).size
    assert plot.rates(rows, scale="linear").get_yscale() == "linear"
    # Rates of one size need no such axis, unless it is asked for; nor can silence have one.
    assert plot.rates(rows[:8]).get_yscale() == "linear"
    assert plot.rates(rows[:8], scale="log").get_yscale() == "symlog"
    assert plot.rates([row | {"spikes": 0} for row in rows], scale="log").get_yscale() == "linear"
    with pytest.raises(SettingsError, match="no scale 'square'"):
        plot.rates(rows, scale="square")  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"neurons": 0}, {"steps": 0}, {"steps": "nan"}, {"after_task": "one"}])
def test_rates_refuse_what_makes_no_sense(change: dict[str, Any]) -> None:
    row = {"after_task": 1, "population": "a", "neurons": 1, "start_step": 0, "steps": 1, "spikes": 0}
    with pytest.raises(SettingsError):
        plot.rates([row | change])
    with pytest.raises(SettingsError, match="population"):
        plot.rates([{"after_task": 1}])
    with pytest.raises(SettingsError, match="dt"):
        plot.rates([row], dt=0)


# --- raster -----------------------------------------------------------------------------------------------------------


def test_raster_draws_one_dot_per_spike_with_the_layers_stacked() -> None:
    first = SpikeEvents.from_times(np.array([0, 2]), np.array([1, 0]), steps=5, n=2)
    second = SpikeEvents.from_times(np.array([4, 4]), np.array([0, 2]), steps=5, n=3)
    ax = plot.raster({"input": first, "hidden": second}, dt=0.01)
    # One row of distance: the second layer starts at 3.
    assert dots(ax) == {(0.0, 1.0), (0.02, 0.0), (0.04, 3.0), (0.04, 5.0)}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["input\n(2)", "hidden\n(3)"]
    assert ax.get_xlim() == pytest.approx((0, 0.05)) and png(ax).size


def test_raster_stretches_a_small_population_beside_large_ones() -> None:
    small = SpikeEvents.from_dense(np.ones((1, 2)))
    ax = plot.raster({"large": SpikeEvents.empty(98, 1), "small": small})
    # 98 rows and a gap of 2; then 2 neurons on 8 % of the height, and as much room at either edge as between the two.
    assert sorted(y for _, y in dots(ax)) == pytest.approx([100, 104])
    assert ax.get_ylim() == pytest.approx((-2, 106))


def test_raster_takes_one_population_and_a_slice_of_a_longer_recording() -> None:
    whole = SpikeEvents.from_times(np.array([0, 7, 8]), np.array([0, 1, 2]), steps=10, n=3)
    assert dots(plot.raster(whole.slice(5, 10), dt=1.0)) == {(2.0, 1.0), (3.0, 2.0)}
    # Events that keep the offsets of the recording they were cut from.
    view = SpikeEvents(3, whole.offsets[5:], whole.indices)
    assert dots(plot.raster(view, dt=1.0)) == {(2.0, 1.0), (3.0, 2.0)}


@pytest.mark.parametrize(
    ("spikes", "message"),
    [
        ({}, "nothing was recorded"),
        (SpikeEvents.empty(4), "nothing was recorded"),
        (SpikeEvents.empty(4, 200), "no spike in 0.2 s"),
        (SpikeEvents.empty(0, 200), "no spike in 0.2 s"),
        (SpikeEvents.from_times(np.array([3]), np.array([0]), steps=9, n=4), "one spike only"),
        (SpikeEvents.from_times(np.array([3, 4]), np.array([1, 1]), steps=9, n=3), "no spike of the neurons shown"),
    ],
)
def test_raster_of_next_to_nothing_comes_out_and_says_so(spikes: Any, message: str) -> None:
    ax = plot.raster(spikes, max_neurons=2)
    assert message in words(ax) and png(ax).size


def test_raster_caps_neurons_and_dots_and_says_so() -> None:
    dense = SpikeEvents.from_dense(np.ones((50, 100)))
    ax = plot.raster({"big": dense}, max_neurons=10, max_dots=200)
    assert "10 of 100" in ax.get_yticklabels()[0].get_text()
    assert len(dots(ax)) == 200 and "200 of 500 spikes shown" in ax.get_xlabel()
    assert dots(ax) == dots(plot.raster({"big": dense}, max_neurons=10, max_dots=200))


@pytest.mark.parametrize("option", [{"dt": 0.0}, {"dt": math.nan}, {"max_neurons": 0}, {"max_dots": -1}])
def test_raster_refuses_sizes_that_are_not_positive(option: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="above 0"):
        plot.raster(SpikeEvents.empty(1, 1), **option)


# --- comparison -------------------------------------------------------------------------------------------------------


def test_comparison_draws_means_deviations_and_seeds() -> None:
    summary: Rows = [
        {"strategy": "src", "accuracy_all": {"mean": 0.5, "sd": 0.1, "n": 3}, "values": [0.4, 0.5, 0.6]},
        {"strategy": "sequential", "accuracy_all": {"mean": 0.2, "sd": None, "n": 1}, "values": [0.2], "diverged": 2},
        {"strategy": "ewc", "accuracy_all": {"mean": None, "sd": None, "n": 0}},
    ]
    ax = plot.comparison(summary)
    assert [patch.get_width() for patch in ax.patches] == pytest.approx([50, 20])  # type: ignore[attr-defined]
    assert sorted(x for x, _ in dots(ax)) == pytest.approx([20, 40, 50, 60])
    (bar,) = ax.containers[1:2]
    low, high = bar.lines[2][0].get_segments()[0][:, 0]  # type: ignore[attr-defined]
    assert (low, high) == pytest.approx((40, 60))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["src", "sequential\n(2 diverged)", "ewc"]
    assert all(text in words(ax) for text in ("no result", "50.0 ± 10.0", "20.0", "sequential")) and png(ax).size
    assert "published" not in ax.get_xlabel()


def test_comparison_marks_what_is_published() -> None:
    row: dict[str, Any] = {"strategy": "src", "accuracy_all": {"mean": 0.5, "sd": 0.1, "n": 3}}
    other = {**row, "strategy": "owm", "published": {"mean": 0.7704, "sd": None}}
    ax = plot.comparison([row | {"published": {"mean": 0.4847, "sd": 0.0503}}, other])
    marks = [tuple(np.ravel(line.get_data())) for line in ax.get_lines() if line.get_marker() == "D"]
    assert marks == [pytest.approx((48.47, 0.39)), pytest.approx((77.04, 1.39))]
    assert ax.get_xlabel().endswith("published")


def test_comparison_of_nothing_says_so() -> None:
    assert "nothing to compare" in words(plot.comparison([]))


# --- figures and files ------------------------------------------------------------------------------------------------


def test_functions_draw_where_they_are_told_and_give_it_back(accuracy_rows: Rows) -> None:
    fig = plot.figure(8, 6)
    axes = fig.subplots(2, 2).ravel()
    assert plot.accuracy(accuracy_rows, ax=axes[0]) is axes[0]
    assert plot.rates([], ax=axes[1]) is axes[1]
    assert plot.raster({}, ax=axes[2]) is axes[2]
    assert plot.comparison([], ax=axes[3]) is axes[3]


def test_save_writes_a_whole_png_and_nothing_else(tmp_path: Path) -> None:
    fig = plot.figure(2, 1)
    path = plot.save(fig, tmp_path / "new" / "a.png", dpi=50)
    assert imread(path).shape[:2] == (50, 100)
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]
    assert path.read_bytes() == plot.to_png_bytes(fig, dpi=50)


def test_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(b"old")

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(RunFolderError, match="disk full"):
        plot.save(plot.figure(), tmp_path / "a.png")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a.png", b"old")]


def test_a_figure_has_the_title_given() -> None:
    assert plot.figure(title="costs $5 and $6").get_suptitle() == r"costs \$5 and \$6"
    assert plot.figure().get_suptitle() == ""


def test_figures_and_names_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="width"):
        plot.figure(0, 1)
    with pytest.raises(SettingsError, match=r"\.png"):
        plot.save(Figure(), tmp_path / "a.svg")


def test_pyplot_is_never_loaded() -> None:
    code = "import sys, neurosleep.plot as p; p.to_png_bytes(p.figure()); sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- sweep ------------------------------------------------------------------------------------------------------------


def test_a_sweep_draws_a_line_per_strategy_in_order_of_the_value() -> None:
    points = [
        {"line": "src", "value": 3, "mean": 0.5, "sd": 0.1},
        {"line": "src", "value": 1, "mean": 0.7, "sd": None},
        {"line": "ewc", "value": 2, "mean": 0.2, "sd": 0.0},
        {"line": "ewc", "value": 3, "mean": None, "sd": None},
    ]
    ax = plot.sweep(points, label="overlap")
    drawn = {str(bar.get_label()): np.column_stack(bar.lines[0].get_data()) for bar in ax.containers}
    assert drawn["src"] == pytest.approx(np.array([[1, 70], [3, 50]])) and drawn["ewc"] == pytest.approx(
        np.array([[2, 20]])
    )
    assert ax.get_xlabel() == "overlap" and png(ax).any()
    shown = [to_rgb(bar.lines[0].get_color()) for bar in ax.containers]
    assert shown == [to_rgb(plot.strategy_colours([name])[name]) for name in ("src", "ewc")]


def test_points_far_apart_are_ranked_so_that_small_ones_can_be_told_apart() -> None:
    points = [{"line": "src", "value": value, "mean": 0.5, "sd": 0.1} for value in (0.01, 0.1, 1)]
    ax = plot.sweep(points, label="fraction")
    assert list(ax.containers[0].lines[0].get_xdata()) == [0, 1, 2]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.01", "0.1", "1"]


def test_an_empty_sweep_says_so() -> None:
    assert "no result" in words(plot.sweep([], label="k"))


def test_published_points_of_a_sweep_are_diamonds_in_the_colour_of_their_line() -> None:
    points = [{"line": "icarl", "value": k, "mean": 0.5, "sd": None, "kind": "ours"} for k in (50, 100)]
    points.append({"line": "icarl", "value": 100, "mean": 0.655, "sd": 0.0466, "kind": "published"})
    ax = plot.sweep(points, label="K", colours={"other": "#000000", "icarl": "#123456"}, legend=False)
    line, published = (container[0] for container in ax.containers)
    assert line.get_color() == "#123456" and list(line.get_xdata()) == [50.0, 100.0]
    assert published.get_marker() == "D" and published.get_markerfacecolor() == "#123456"
    assert [float(x) for x in (*published.get_xdata(), *published.get_ydata())] == [100.0, pytest.approx(65.5)]
    assert ax.get_legend() is None
    legend = plot.sweep(points, label="K").get_legend()
    assert legend is not None and [text.get_text() for text in legend.get_texts()] == ["icarl", "published"]


def test_a_long_title_stays_on_its_figure() -> None:
    title = "A memory that is too weak: all digits at once, too few steps, with and without one sleep"
    for width in (3.0, 6.0, 12.0):
        fig = plot.figure(width, 3.0, title=title)
        assert fig._suptitle is not None
        fig.draw_without_rendering()
        box = fig._suptitle.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= fig.bbox.width, width
        assert fig._suptitle.get_text().replace("\n", " ") == title


def test_a_single_task_has_no_mean_of_tasks() -> None:
    rows = [{"after_task": 1, "phase": "wake", "on_task": 1, "accuracy": 0.5}]
    labels = plot.accuracy(rows).get_legend_handles_labels()[1]
    assert "task 1" in labels and not any("mean" in label for label in labels)


# --- strategies from task to task, and the matrix ---------------------------------------------------------------------


def test_a_strategy_has_one_colour_wherever_it_is_drawn() -> None:
    names = ["src", "ewc", "sequential", "joint", "owm", "si", "lwf", "icarl"]
    colours = plot.strategy_colours(names)
    assert set(colours) == set(names) and len(set(colours.values())) == len(names)
    assert plot.strategy_colours(["src"])["src"] == colours["src"] == plot.PALETTE[0]
    assert len(set(plot.strategy_colours(f"s{k}" for k in range(30)).values())) == 30
    # Whatever else is on the page; and what ships has no colour twice, also beside strategies of a user's own.
    assert plot.strategy_colours(["sleep", "mine", "a", "zz"])["sleep"] == plot.strategy_colours(["sleep"])["sleep"]
    shipped = [*STRATEGIES, "sleep+src"]
    shipped += [f"{one}+{sleep}" for one in ("rehearsal", "ewc", "icarl") for sleep in ("sleep", "src")]
    assert len(set(plot.strategy_colours([*shipped, "mine"]).values())) == len(shipped) + 1
    alone = {name: colour for one in shipped for name, colour in plot.strategy_colours([one]).items()}
    assert alone == plot.strategy_colours(shipped)
    summary: Rows = [{"strategy": name, "accuracy_all": {"mean": 0.5, "sd": 0.1, "n": 2}} for name in ("owm", "src")]
    drawn = [to_rgb(patch.get_facecolor()) for patch in plot.comparison(summary, colours=colours).patches]
    assert drawn == [to_rgb(colours["owm"]), to_rgb(colours["src"])]


def test_the_bounds_go_on_as_lines_behind_the_bars() -> None:
    names = ("src", "sequential", "joint")
    summary: Rows = [{"strategy": n, "accuracy_all": {"mean": k / 4, "sd": 0, "n": 2}} for k, n in enumerate(names)]
    level = [line.get_xdata() for line in plot.comparison(summary).get_lines() if line.get_linestyle() == "--"]
    assert [float(np.asarray(x)[0]) for x in level] == [25, 50]


def test_progress_is_a_line_per_strategy_and_what_learns_at_once_is_level() -> None:
    rows: Rows = [
        {"strategy": "src", "after_task": 2, "mean": 0.6, "sd": 0.1},
        {"strategy": "src", "after_task": 1, "mean": 0.9, "sd": None},
        {"strategy": "joint", "after_task": "1", "mean": "0.8", "sd": ""},
        {"strategy": "ewc", "after_task": 1, "mean": None, "sd": None},
    ]
    ax = plot.progress(rows)
    (line,) = (bar.lines[0] for bar in ax.containers)  # type: ignore[attr-defined]
    assert line.get_ydata() == pytest.approx([90, 60])
    assert lines(ax)["joint"] == pytest.approx([80, 80]) and png(ax).size
    assert "no accuracy was measured" in words(plot.progress([]))
    assert "no accuracy was measured" in words(plot.progress(rows[-1:]))


def test_the_matrix_says_each_number_and_leaves_unknown_ones_grey() -> None:
    ax = plot.accuracy_matrix([[0.9, None], [0.254, 0.5], [1]])
    drawn = ax.get_images()[0].get_array()
    assert drawn is not None and drawn.tolist() == [[90, None], [25.4, 50], [100, None]]
    assert [text.get_text() for text in ax.texts] == ["90", "-", "25", "50", "100", "-"] and png(ax).size
    assert "no accuracy was measured" in words(plot.accuracy_matrix([])) and not plot.accuracy_matrix([[]]).images
    assert (
        not plot.accuracy_matrix([[0.5] * 20] * 20).texts and len(plot.accuracy_matrix([[0.5] * 99]).get_xticks()) <= 20
    )
    with pytest.raises(SettingsError, match=r"1\.5"):
        plot.accuracy_matrix([[1.5]])


def test_the_last_digits_of_a_place_name_nothing_in_a_picture() -> None:
    def picture(shift: float) -> bytes:
        fig = Figure()
        ax = fig.add_axes((0.1 + shift, 0.1, 0.8, 0.8))
        ax.plot([0, 1], [0, 1])
        return plot.to_svg_bytes(fig)

    svg = picture(0.0)
    assert svg == picture(1e-13) and svg != picture(0.01)
    named = set(re.findall(rb'clipPath id="(\w+)"', svg))
    assert named and set(re.findall(rb"url\(#(\w+)\)", svg)) == named


def test_vectors_are_the_same_twice_and_whole() -> None:
    svg = plot.to_svg_bytes(plot.progress([]).figure)  # type: ignore[arg-type]
    assert svg == plot.to_svg_bytes(plot.progress([]).figure) and svg.startswith(b"<?xml") and b"</svg>" in svg  # type: ignore[arg-type]


def test_growth_has_accuracy_seconds_and_memory_above_each_other() -> None:
    rows: Rows = [
        {"strategy": "sleep", "after_task": 2, "accuracy": 0.6, "seconds": 3, "sleep_seconds": 1, "memory": 2e9},
        {"strategy": "sleep", "after_task": "1", "accuracy": "0.9", "seconds": 2, "sleep_seconds": 1, "memory": ""},
        {"strategy": "owm", "after_task": 1, "accuracy": None, "seconds": 5, "sleep_seconds": 0, "memory": None},
    ]
    top, middle, bottom = (lines(ax) for ax in plot.growth(rows).axes)
    assert top.keys() == bottom.keys() == {"sleep"} and top["sleep"] == pytest.approx([90, 60])
    assert bottom["sleep"] == pytest.approx([2])
    assert list(middle["sleep"]) == [2, 3] and list(middle["owm"]) == [5]
    # Sleep alone is dotted, of the strategies that sleep.
    dotted = [line for line in plot.growth(rows).axes[1].get_lines() if line.get_linestyle() == ":"]
    assert [list(line.get_ydata()) for line in dotted] == [[1, 1]]
    assert all("not measured" in words(ax) for ax in plot.growth([]).axes)
    assert plot.growth(rows, colours={"sleep": "#000000"}).axes[0].get_lines()[0].get_color() == "#000000"
    with pytest.raises(SettingsError, match="seconds"):
        plot.growth([{"strategy": "sleep", "after_task": 1, "accuracy": 0.5}])
