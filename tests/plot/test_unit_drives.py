"""The figure of every unit's drive before and after homeostatic sleep."""

from __future__ import annotations

import pytest
import torch
from matplotlib.colors import to_hex
from torch import nn

import neurosleep as ns
from neurosleep import plot
from neurosleep.errors import SettingsError
from neurosleep.plot._style import GREY, PALETTE
from neurosleep.replay import RegulatedLayers


@pytest.fixture
def units() -> RegulatedLayers:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 30), nn.ReLU(), nn.Linear(30, 5))
    result = ns.consolidate(model, torch.full((16,), 0.5), classes=[0, 1, 2], guard=False)
    regulated = result.stages[0].regulated
    assert regulated is not None
    return regulated


def test_outputs_have_the_colour_of_their_class_and_end_at_one_point(units: RegulatedLayers) -> None:
    ax = plot.unit_drives(units, layer="2", classes=[0, 1, 2], new_classes=[2])
    points = {str(line.get_label()): line for line in ax.get_lines() if line.get_marker() == "o"}
    assert list(points) == [
        f"{age}, {moment}"
        for age in ("old classes", "new classes", "classes not seen")
        for moment in ("before", "after")
    ]
    assert [len(line.get_xydata()) for line in points.values()] == [2, 2, 1, 1, 2, 2]
    colours = [
        to_hex(points[f"{age}, after"].get_color()) for age in ("old classes", "new classes", "classes not seen")
    ]
    assert colours == [PALETTE[0].lower(), PALETTE[1].lower(), GREY]
    before, after = units.layers[1].mean_before, units.layers[1].mean_after
    assert points["old classes, before"].get_xdata() == pytest.approx(before[:2].tolist())
    assert points["new classes, after"].get_xdata() == pytest.approx(after[2:3].tolist())
    # Classes that were not seen stay where they were.
    unseen = points["classes not seen, before"].get_xydata(), points["classes not seen, after"].get_xydata()
    assert unseen[0] == pytest.approx(unseen[1])


def test_of_many_units_no_way_is_drawn_and_rows_of_a_file_do_as_well(units: RegulatedLayers) -> None:
    rows = [{key: str(value) for key, value in row.items()} for row in units.rows()]
    ax = plot.unit_drives(rows, layer="0")
    assert [str(line.get_label()) for line in ax.get_lines()] == ["units, before", "units, after"]
    assert len(ax.get_lines()[0].get_xydata()) == 30 and len(rows) == 35


def test_an_unknown_layer_is_named(units: RegulatedLayers) -> None:
    with pytest.raises(SettingsError, match="hidden1"):
        plot.unit_drives(units, layer="hidden1")


def test_rows_are_those_of_the_data_frame(units: RegulatedLayers) -> None:
    pandas = pytest.importorskip("pandas")
    assert units.to_pandas().equals(pandas.DataFrame(units.rows()))
