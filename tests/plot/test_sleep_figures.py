"""Figures of a sleep phase: colours of the raster, intervals, what was seen, weights, and the moving picture."""

from __future__ import annotations

import io
import itertools
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.animation import FFMpegWriter
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.image import imread
from PIL import Image

from neurosleep import plot
from neurosleep.errors import DataError, RunFolderError, SettingsError, UnsupportedError
from neurosleep.functional import SpikeEvents, numpy_generator
from neurosleep.plot import _animation
from neurosleep.spiking import Record, Recorder, Recording, WeightSamples

NOTHING = (SpikeEvents.empty(4), SpikeEvents.empty(4, 50), SpikeEvents.empty(0, 50))
ONE = SpikeEvents.from_times(np.array([3]), np.array([1]), steps=9, n=4)


def events(steps: int, n: int, chance: float, seed: int = 0) -> SpikeEvents:
    return SpikeEvents.from_dense(numpy_generator(seed, "test").random((steps, n)) < chance)


def words(ax: Axes) -> str:
    return " ".join([ax.get_title(), ax.get_xlabel(), *(text.get_text() for text in ax.texts)])


def comes_out(ax: Axes) -> bool:
    fig = ax.get_figure(root=True)
    assert fig is not None
    return bool(np.asarray(imread(io.BytesIO(plot.to_png_bytes(fig, dpi=50)))).size)


# --- colours of the raster --------------------------------------------------------------------------------------------


def colours(ax: Axes) -> dict[tuple[float, float], str]:
    """The colour of each dot."""
    dots = [line for line in ax.get_lines() if line.get_marker() == "o"]
    return {
        (round(float(x), 6), float(y)): to_hex(line.get_color())
        for line in dots
        for x, y in zip(*line.get_data(), strict=True)
    }


def test_a_raster_has_the_colours_of_tasks() -> None:
    spikes = {"hidden": SpikeEvents.from_dense(np.eye(3)), "output": SpikeEvents.from_dense(np.eye(3, 1))}
    ax = plot.raster(spikes, tasks={"hidden": [2, 0, 1]}, dt=1.0)
    first, second = plot.task_colours(2)
    found = colours(ax)
    assert (found[0, 0], found[2, 2]) == (second.lower(), first.lower())
    # Neurons without a task, and populations of which nothing is known, are grey.
    assert found[1, 1] == "#b8b8b8" and list(found.values()).count("#b8b8b8") == 2
    legend = ax.get_legend()
    assert legend is not None and [t.get_text() for t in legend.get_texts()] == ["task 1", "task 2", "no task"]
    assert comes_out(ax)


def test_a_raster_has_the_colours_of_selectivity() -> None:
    ax = plot.raster({"a": SpikeEvents.from_dense(np.eye(3))}, selectivity={"a": [0.0, 1.0, np.nan]}, dt=1.0)
    found = colours(ax)
    assert len(set(found.values())) == 3 and found[2, 2] == "#b8b8b8" and comes_out(ax)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": {"a": [1]}, "selectivity": {"a": [1]}}, "one of them"),
        ({"tasks": {"a": [1, 2]}}, "2"),
        ({"tasks": {"a": [0.5] * 3}}, "integer"),
        ({"tasks": {"a": [-1] * 3}}, "integer"),
        ({"selectivity": {"a": [1.5] * 3}}, "from 0 to 1"),
    ],
)
def test_colours_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        plot.raster({"a": SpikeEvents.from_dense(np.eye(3))}, **options)


@pytest.mark.parametrize("spikes", [*NOTHING, ONE])
def test_next_to_nothing_in_colours_comes_out(spikes: SpikeEvents) -> None:
    assert comes_out(plot.raster({"a": spikes}, tasks={"a": [1] * spikes.n}))
    assert comes_out(plot.raster({"a": spikes}, selectivity={"a": [0.5] * spikes.n}))


@pytest.mark.full
def test_ten_million_spikes_are_thinned_and_said() -> None:
    n, steps = 1000, 20_000
    generator = numpy_generator(0, "test")
    offsets = np.arange(steps + 1, dtype=np.int64) * 500
    # One neuron of each two, so that they ascend and none fires twice in a step.
    rows = 2 * np.arange(500, dtype=np.int32) + generator.integers(0, 2, (steps, 500), dtype=np.int32)
    many = {"a": SpikeEvents(n, offsets, rows.ravel())}
    ax = plot.raster(many, max_neurons=n, tasks={"a": np.arange(n) % 5 + 1})
    assert "100,000 of 10,000,000 spikes shown" in ax.get_xlabel() and comes_out(ax)
    assert comes_out(plot.intervals(many)) and comes_out(plot.sleep_images(many["a"], shape=(10, 100)))


# --- intervals --------------------------------------------------------------------------------------------------------


def test_intervals_are_counted_as_they_are() -> None:
    for seed in range(20):
        spikes = {"a": events(60, 7, 0.2, seed), "b": events(60, 3, 0.05, seed)}
        rows = plot.interval_counts(spikes, dt=0.01, bins=12)
        for name, part in spikes.items():
            dense = part.to_dense().numpy()
            expected = np.concatenate([np.diff(np.nonzero(dense[:, k])[0]) for k in range(part.n)]) * 0.01
            own = [row for row in rows if row["population"] == name]
            assert sum(row["intervals"] for row in own) == len(expected)
            for row in own:
                assert row["intervals"] == ((expected > row["low_s"]) & (expected < row["high_s"])).sum()


def test_intervals_are_drawn_as_shares() -> None:
    ax = plot.intervals({"a": events(80, 5, 0.3), "silent": SpikeEvents.empty(3, 80)}, dt=0.001)
    shares = [patch.get_data().values.sum() for patch in ax.patches]  # type: ignore[attr-defined]
    assert shares == pytest.approx([100, 100])
    legend = ax.get_legend()
    assert legend is not None and legend.get_texts()[1].get_text() == "silent: no interval" and comes_out(ax)


@pytest.mark.parametrize("spikes", NOTHING)
def test_intervals_of_nothing_say_so(spikes: SpikeEvents) -> None:
    assert "no spike" in words(plot.intervals(spikes)) and comes_out(plot.intervals({}))
    assert "no neuron fired twice" in words(plot.intervals(ONE))
    with pytest.raises(SettingsError, match="dt"):
        plot.intervals(spikes, dt=0)


# --- what is seen and looked for --------------------------------------------------------------------------------------


def test_sleep_images_are_rates_of_the_inputs() -> None:
    spikes = events(100, 6, 0.3)
    spans, rates = plot.window_rates(spikes, windows=4, length=10, dt=0.01)
    assert np.ravel(spans) == pytest.approx([0, 0.1, 0.25, 0.35, 0.5, 0.6, 0.75, 0.85])
    assert rates[1] == pytest.approx(spikes.to_dense().numpy()[25:35].sum(axis=0) / 0.1)
    whole = plot.window_rates(spikes, windows=4, dt=0.01)[1]
    assert whole.mean(axis=0) == pytest.approx(spikes.counts() / 1.0)
    ax = plot.sleep_images(spikes, shape=(2, 3), windows=4, length=10, dt=0.01)
    shown = np.asarray(ax.get_images()[0].get_array())
    assert sorted(shown[np.isfinite(shown)]) == pytest.approx(sorted(rates.ravel()))
    assert "0.25 s" in words(ax) and comes_out(ax) and comes_out(plot.sleep_images(events(9, 12, 0.5)))


def test_sleep_images_of_nothing_say_so() -> None:
    assert "nothing was recorded" in words(plot.sleep_images(NOTHING[0]))
    assert "no spike of an input" in words(plot.sleep_images(NOTHING[1])) and comes_out(plot.sleep_images(ONE))
    with pytest.raises(SettingsError, match="no square"):
        plot.sleep_images(events(9, 5, 0.5))
    with pytest.raises(SettingsError, match="no image"):
        plot.sleep_images(events(9, 6, 0.5), shape=(2, 2))


def test_receptive_fields_are_the_largest_weights_in_their_order() -> None:
    weights = np.zeros((5, 4))
    weights[3], weights[1] = [1, 2, 3, 4], [-5, 0, 0, 5]
    ax = plot.receptive_fields(weights, units=2)
    shown = np.asarray(ax.get_images()[0].get_array())
    assert sorted(shown[np.isfinite(shown)]) == [-5, 0, 0, 1, 2, 3, 4, 5]
    assert [text.get_text() for text in ax.texts] == ["unit 1", "unit 3"] and comes_out(ax)
    low, high = ax.get_images()[0].get_clim()
    assert low == -high
    assert "unit 4" in words(plot.receptive_fields(weights, units=[4])) and comes_out(plot.receptive_fields(weights))
    assert comes_out(plot.receptive_fields(np.ones((2, 12)))) and "no unit" in words(
        plot.receptive_fields(weights, units=[])
    )
    assert "no weight is finite" in words(plot.receptive_fields(np.full((2, 4), np.nan)))
    assert plot.receptive_fields(weights, limit=0.25).images[0].get_clim() == (-0.25, 0.25)
    with pytest.raises(SettingsError, match="limit of the colours"):
        plot.receptive_fields(weights, limit=0.0)
    for wrong in ({"weights": weights[0]}, {"weights": weights, "units": [5]}, {"weights": weights[:, :2]}):
        with pytest.raises(SettingsError):
            plot.receptive_fields(**wrong)  # type: ignore[arg-type]


def test_weight_change_is_a_line_per_projection() -> None:
    rows = [
        {"projection": name, "time_s": t, "change": f"{t * k}"} for name, k in (("a", 1), ("b", 2)) for t in range(3)
    ]
    rows[1]["change"] = ""
    ax = plot.weight_change(rows)
    drawn = {str(line.get_label()): np.asarray(line.get_ydata()) for line in ax.get_lines()}
    assert drawn["b"] == pytest.approx([0, 2, 4]) and np.isnan(drawn["a"][1]) and comes_out(ax)
    assert "no weight was recorded" in words(plot.weight_change([])) and comes_out(plot.weight_change([]))


# --- the moving picture -----------------------------------------------------------------------------------------------


def ink(frame: Image.Image) -> int:
    """Coloured points: dots and lines of data."""
    pixels = np.asarray(frame.convert("RGB")).astype(int)
    return int((pixels.max(axis=2) - pixels.min(axis=2) > 60).sum())


def test_a_sleep_grows_from_picture_to_picture(tmp_path: Path) -> None:
    spikes = {"input": events(200, 20, 0.05), "hidden": events(200, 5, 0.05), "silent": SpikeEvents.empty(3, 200)}
    weights = [{"projection": "input -> hidden", "time_s": t / 10, "change": t} for t in range(3)]
    path = plot.animate_sleep(spikes, tmp_path / "new" / "a.gif", weights=weights, frames=10, seconds=2, title="a$b")
    assert [file.name for file in path.parent.iterdir()] == ["a.gif"]
    with Image.open(path) as film:
        assert film.n_frames == 10 and film.info["duration"] == 200 and "loop" not in film.info
        amounts = []
        for k in range(10):
            film.seek(k)
            amounts.append(ink(film))
    assert all(a <= b for a, b in itertools.pairwise(amounts)) and amounts[-1] > 1.5 * amounts[0]


@pytest.mark.skipif(not FFMpegWriter.isAvailable(), reason="the program ffmpeg is not on the PATH")
def test_an_mp4_holds_the_pictures_of_the_gif(tmp_path: Path) -> None:
    spikes, shape = {"a": events(200, 20, 0.05)}, (450, 540, 3)
    path = plot.animate_sleep(spikes, tmp_path / "new" / "a.mp4", frames=10, seconds=2)
    assert [file.name for file in path.parent.iterdir()] == ["a.mp4"] and path.read_bytes()[4:8] == b"ftyp"
    read = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    pictures = np.frombuffer(subprocess.run(read, check=True, capture_output=True).stdout, np.uint8)
    pictures = pictures.reshape(-1, *shape).astype(int)
    told = subprocess.run(["ffmpeg", "-i", str(path)], capture_output=True, text=True, check=False).stderr
    assert "Duration: 00:00:02.00" in told and "h264" in told and "yuv420p" in told
    with Image.open(plot.animate_sleep(spikes, tmp_path / "a.gif", frames=10, seconds=2)) as film:
        assert len(pictures) == film.n_frames == 10
        for k in range(10):
            film.seek(k)
            # Both lose colours, in their own ways, but not the place of a dot: each is nearest to its own.
            apart = np.abs(pictures - np.asarray(film.convert("RGB")).astype(int)).mean(axis=(1, 2, 3))
            assert apart.argmin() == k and apart[k] < 4


def test_without_ffmpeg_an_mp4_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnsupportedError, match=r"ffmpeg(.|\n)*\.gif"):
        plot.animate_sleep({"a": ONE}, tmp_path / "a.mp4")
    # One that is there and fails says why.
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\n/bin/cat > /dev/null\necho no such encoder >&2\nexit 1\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    with pytest.raises(UnsupportedError, match="no such encoder"):
        plot.animate_sleep({"a": ONE}, tmp_path / "a.mp4", frames=2)
    assert [file.name for file in tmp_path.iterdir()] == ["ffmpeg"]


def test_the_rates_of_a_sleep_are_spikes_per_neuron_and_second() -> None:
    part = events(100, 4, 0.3)
    rows = plot.sleep_rows({"a": part, "none": SpikeEvents.empty(0, 100)}, dt=0.01, windows=5)
    dense = part.to_dense().numpy().reshape(5, 20, 4).sum(axis=(1, 2)) / (4 * 0.2)
    assert [row["rate_hz"] for row in rows if row["population"] == "a"] == pytest.approx(dense.tolist())
    assert {row["rate_hz"] for row in rows if row["population"] == "none"} == {0.0}


@pytest.mark.parametrize("spikes", [SpikeEvents.empty(4, 50), ONE])
def test_a_sleep_of_next_to_nothing_comes_out(tmp_path: Path, spikes: SpikeEvents) -> None:
    assert plot.animate_sleep({"a": spikes}, tmp_path / "a.gif", frames=3).read_bytes().startswith(b"GIF8")


def test_a_sleep_that_cannot_be_shown_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="no step"):
        plot.animate_sleep({"a": SpikeEvents.empty(4)}, tmp_path / "a.gif")
    with pytest.raises(SettingsError, match=r"\.gif or \.mp4"):
        plot.animate_sleep({"a": ONE}, tmp_path / "a.avi")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(RunFolderError, match="disk full"):
        plot.animate_sleep({"a": ONE}, tmp_path / "a.gif", frames=2)
    assert list(tmp_path.iterdir()) == []


# --- recordings and monitors ------------------------------------------------------------------------------------------


def recorded(record: Record, dt: float = 0.002) -> Recording:
    chunk = {"input": events(1200, 4, 0.2), "hidden": events(1200, 6, 0.05, seed=1)}
    recorder = Recorder(record, {name: part.n for name, part in chunk.items()}, dt)
    recorder.add(chunk)
    return recorder.recording()


def dots(ax: Axes) -> list[Any]:
    return [line.get_xydata().tolist() for line in ax.get_lines() if line.get_marker() == "o"]


def test_figures_take_recordings_and_monitors_with_their_own_step_length(tmp_path: Path) -> None:
    found = recorded(Record(spikes="all"))
    assert dots(plot.raster(found)) == dots(plot.raster(found.spikes, dt=0.002)) != dots(plot.raster(found.spikes))
    assert plot.interval_counts(found) == plot.interval_counts(found.spikes, dt=0.002)
    assert plot.sleep_rows(found) == plot.sleep_rows(found.spikes, dt=0.002)
    one = found.monitor("hidden")
    assert plot.interval_counts(one) == plot.interval_counts({"hidden": found.spikes["hidden"]}, dt=0.002)
    seen = plot.sleep_images(found.monitor("input")).get_images()[0].get_array()
    wanted = plot.sleep_images(found.spikes["input"], dt=0.002).get_images()[0].get_array()
    assert seen is not None and wanted is not None and np.array_equal(seen.filled(-1), wanted.filled(-1))
    with Image.open(plot.animate_sleep(found, tmp_path / "sleep.gif", frames=3)) as picture:
        assert getattr(picture, "n_frames", 1) == 3


def test_of_some_neurons_only_these_are_drawn() -> None:
    some = recorded(Record(spikes={"hidden": [1, 4]}))
    whole = recorded(Record(spikes="all"))
    for ax in (plot.raster(some), plot.raster(whole.monitor("hidden", [4, 1]))):
        assert [label.get_text() for label in ax.get_yticklabels()] == ["hidden\n(2)"]
        assert len(dots(ax)[0]) == whole.counts["hidden"][[1, 4]].sum() > 0


def test_what_cannot_be_drawn_is_named() -> None:
    with pytest.raises(DataError, match="no single spikes"):
        plot.raster(recorded(Record()))
    with pytest.raises(SettingsError, match="type list cannot be drawn"):
        plot.intervals([1, 2])  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="several populations"):
        plot.sleep_images(recorded(Record(spikes="all")))


def test_rates_of_a_recording_are_those_of_its_windows() -> None:
    found = recorded(Record(rates_every=500))
    lines = {str(line.get_label()): line for line in plot.rates(found).get_lines()}
    for name in ("input", "hidden"):
        x, y = lines[name].get_data()
        np.testing.assert_allclose(y, found.rate_monitor(name).rate)
        np.testing.assert_allclose(x, [0.5, 1.5, 2.2])


def test_changes_of_weights_of_a_recording() -> None:
    synapses = WeightSamples(np.array([0, 9]), np.array([[0, 1]]), np.ones((2, 1)))
    kept = WeightSamples(np.array([0, 500, 1000]), None, np.arange(15.0).reshape(3, 5))
    found = replace(recorded(Record()), weights={"a -> b": kept, "b -> c": synapses})
    for ax in (plot.weight_change(found), plot.weight_change(found.weight_monitor("a -> b"))):
        (line,) = ax.get_lines()
        assert line.get_xydata().tolist() == [[0.0, 4.0], [1.0, 9.0], [2.0, 14.0]]


def test_names_of_small_populations_beside_large_ones_do_not_run_into_each_other() -> None:
    spikes = {name: events(100, n, 0.1) for name, n in (("input", 784), ("hidden1", 40), ("output", 10))}
    fig = plot.figure(6.0, 3.0)
    ax = plot.raster(spikes, ax=fig.add_subplot())
    plot.to_png_bytes(fig)
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert all(below.y1 <= above.y0 for below, above in itertools.pairwise(boxes))


def test_names_in_the_moving_picture_hide_no_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Axes] = []
    kept = _animation.weight_change
    monkeypatch.setattr(_animation, "weight_change", lambda rows, ax: seen.append(kept(rows, ax=ax)))
    rows = [{"projection": "a -> b", "time_s": k / 10, "change": 1 - 0.5**k} for k in range(11)]
    plot.animate_sleep({"b": events(1000, 5, 0.1)}, tmp_path / "sleep.gif", weights=rows, frames=2)
    legend, line = seen[0].get_legend(), seen[0].get_lines()[0]
    assert legend is not None
    points = seen[0].transData.transform(np.array(line.get_data()).T)
    assert not any(legend.get_window_extent().contains(x, y) for x, y in points)
    assert seen[0].get_window_extent().contains(*legend.get_window_extent().min)
