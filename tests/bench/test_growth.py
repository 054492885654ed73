"""How the cost of sleep grows: what is measured, the lines fitted to it, and in full that they are lines."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from neurosleep.bench import bench_growth
from neurosleep.bench._growth import fitted, recorded
from neurosleep.cli.app import app


def test_a_line_is_found_and_what_is_none_has_a_small_share_explained() -> None:
    x = (1.0, 10.0, 100.0, 1000.0)
    line = fitted([{"n": n, "seconds": 3 * n + 5} for n in x], "n")
    assert (
        line["slope"] == pytest.approx(3)
        and line["intercept"] == pytest.approx(5)
        and line["r_squared"] == pytest.approx(1)
    )
    power = fitted([{"n": n, "seconds": 2 * n**1.5} for n in x], "n")
    assert power["exponent"] == pytest.approx(1.5)
    bent = fitted([{"n": n, "seconds": float(np.sqrt(n))} for n in x], "n")
    assert bent["exponent"] == pytest.approx(0.5) and bent["largest_distance"] > 0.3 > line["largest_distance"]


@pytest.mark.full
def test_quick_measures_all_of_it() -> None:
    before = torch.get_num_threads()
    ran = CliRunner().invoke(app, ["bench", "growth", "--quick", "--json"])
    assert ran.exit_code == 0, ran.stdout
    assert torch.get_num_threads() == before
    found = json.loads(ran.stdout)
    growth = found["growth"]
    assert set(growth) == {"units", "rows", "changes", "steps", "batch", "tasks"}
    assert all(point["seconds"] > 0 for points in growth.values() for point in points)
    # More of what a point is about, and nothing else; units fire.
    for what, key in (("units", "units"), ("units", "spikes"), ("rows", "rows"), ("changes", "spikes")):
        first, last = growth[what]
        assert 0 < first[key] < last[key]
    assert all(point["spikes of hidden2"] > 0 for point in growth["units"])
    assert all(point["spikes of hidden1"] == 0 for point in growth["rows"])
    assert growth["steps"][0]["on_disk"] < growth["steps"][1]["on_disk"]
    assert growth["steps"][0]["spikes"] == pytest.approx(growth["steps"][1]["spikes"], rel=0.2)
    assert set(found["fits"]) == {"units", "rows", "changes", "batch"}
    assert set(found["seconds"]) == {
        f"{point[fit['over']]:.6g} {fit['over']} ({what})"
        for what, fit in found["fits"].items()
        for point in growth[what]
    }


def test_only_growth_is_quick() -> None:
    refused = CliRunner().invoke(app, ["bench", "sleep", "--quick", "--json"])
    assert refused.exit_code == 2 and "has no --quick" in refused.stdout


def test_what_is_recorded_lies_on_disk() -> None:
    short, long = recorded(1000), recorded(3000)
    # A spike takes at least the four bytes of its neuron's number.
    assert short["on_disk"] >= 4 * 1000 * short["spikes"] > 0
    assert long["on_disk"] == pytest.approx(3 * short["on_disk"], rel=0.3)


@pytest.mark.full
def test_cost_is_linear_and_memory_flat() -> None:
    found = bench_growth()
    print(json.dumps(found))
    for what in ("units", "rows", "changes"):
        assert found["fits"][what]["r_squared"] > 0.95, what
    assert 0.85 < found["fits"]["units"]["exponent"] < 1.15
    least, most = found["growth"]["steps"][0], found["growth"]["steps"][-1]
    if least["most_resident"]:
        assert most["most_resident"] < least["most_resident"] + 50e6
