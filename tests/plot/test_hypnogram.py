"""The hypnogram of a sleep, alone and over spikes and rates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from neurosleep import Recording, SpikeEvents, plot
from neurosleep.errors import DataError, SettingsError
from neurosleep.plot._hypnogram import _COLOURS
from neurosleep.spiking import SleepSpan

SPANS = (
    SleepSpan("NREM", "up", 0, 50),
    SleepSpan("NREM", "down", 50, 50),
    SleepSpan("REM", "tonic", 100, 300),
    SleepSpan("NREM", "up", 400, 50, 2),
)


@pytest.fixture
def recording() -> Recording:
    fired = torch.rand(450, 6, generator=torch.Generator().manual_seed(0)) < 0.1
    events = SpikeEvents.from_dense(fired)
    return Recording(450, 0.002, {"hidden1": events.counts()}, spikes={"hidden1": events}, hypnogram=SPANS)


def test_each_span_is_a_bar_in_the_row_of_its_stage(recording: Recording) -> None:
    ax = plot.hypnogram(recording)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["NREM", "REM"]
    bars = []
    for row in ax.collections:
        for path in row.get_paths():
            (left, bottom), (right, top) = path.get_extents().get_points()
            bars.append((round((bottom + top) / 2), round(left / 0.002), round((right - left) / 0.002)))
    assert sorted(bars) == sorted((int(span.stage == "REM"), span.start, span.length) for span in SPANS)
    assert [to_hex(row.get_facecolor()[0]) for row in ax.collections] == [
        _COLOURS[state].lower() for state in ("up", "down", "tonic")
    ]
    # The second cycle starts at a line.
    assert [line.get_xdata()[0] for line in ax.get_lines()] == [pytest.approx(0.8)]
    assert ax.get_xlim() == pytest.approx((0, 0.9))
    assert plot.hypnogram(SPANS, dt=0.001).get_xlim() == pytest.approx((0, 0.45))


def test_the_overview_shows_the_same_part_three_times_and_cuts_nothing(recording: Recording) -> None:
    fig = plot.sleep_overview(recording, start=80, steps=100, fig=plot.figure(4.8, 6.4))
    fig.draw_without_rendering()
    top, middle, bottom = fig.axes
    assert top.get_xlim() == middle.get_xlim() == bottom.get_xlim() == pytest.approx((0, 0.2))
    first = top.collections[0].get_paths()[0].get_extents()
    assert (first.x0, first.x1) == pytest.approx((0, 20 * 0.002))  # the rest of the down state
    assert "from 0.16 s" in bottom.get_xlabel()
    rate = np.concatenate([line.get_ydata() for line in bottom.get_lines()])
    assert rate.mean() * 0.2 * 6 == pytest.approx(recording.spikes["hidden1"].slice(80, 180).count)
    inside = fig.bbox
    for ax in fig.axes:
        box = ax.get_tightbbox()
        assert box.x0 >= inside.x0 - 1 and box.x1 <= inside.x1 + 1 and box.y1 <= inside.y1 + 1


def test_what_has_no_stages_says_so(recording: Recording) -> None:
    counts = {"hidden1": np.zeros(2, np.int64)}
    assert "no stages" in plot.hypnogram(Recording(3, 0.001, counts)).texts[0].get_text()
    with pytest.raises(DataError, match="hypnogram"):
        plot.sleep_overview(Recording(3, 0.001, counts, spikes=recording.spikes))
    with pytest.raises(DataError, match="single spikes"):
        plot.sleep_overview(Recording(3, 0.001, counts, hypnogram=(SleepSpan("REM", "tonic", 0, 3),)))
    with pytest.raises(SettingsError, match="hypnogram"):
        plot.hypnogram("night")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="first step"):
        plot.sleep_overview(recording, start=450)
