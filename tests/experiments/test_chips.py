"""Runs on chips side by side, in tables, sentences and the report."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from neurosleep.experiments import write_report
from neurosleep.experiments.chips import chip_rows, gains_kept, missing_rows, variant_parts
from neurosleep.experiments.report.numbers import si, wilson
from neurosleep.experiments.results.chip_tables import chip_lines

NONE, BEFORE, CHANCE = "no sleep", "slept before mapping", "slept on the chip, rounding by chance"  # as stored


def row(profile: str, slept: str, mapped: float | None, **more: Any) -> dict[str, Any]:
    fits = mapped is not None
    return {
        "profile": profile,
        "slept": slept,
        "awake": 0.7,
        "converted": 0.69,
        "mapped": mapped,
        "fits": fits,
        "missing": [] if fits else ["l1: too many synapses"],
        "cores": 7 if fits else None,
        "weight_error": 0.01 if fits else None,
        "energy": {"low_j": 1e-6, "high_j": 3e-6, "reason": None} if fits else None,
    } | more


def run(variant: str, strategy: str, seed: int, accuracy: float | None, *rows: dict[str, Any]) -> dict[str, Any]:
    return {
        "experiment": "on-chips/mnist",
        "variant": variant,
        "strategy": strategy,
        "seed": seed,
        "accuracy_all": accuracy,
        "hardware": list(rows),
    }


RUNS = [
    run("default", "sequential", 0, 0.2, row("a", NONE, 0.2), row("b", NONE, None)),
    run("default", "sequential", 1, 0.2, row("a", NONE, 0.22), row("b", NONE, None)),
    run("default", "src", 0, 0.7, row("a", BEFORE, 0.68), row("b", BEFORE, None)),
    run("small", "src", 0, 0.6, row("a", BEFORE, 0.6)),
    run("a-chance", "src", 0, 0.6, row("a", CHANCE, 0.6)),
    run("small-a", "src", 0, 0.5, row("a", CHANCE, 0.5)),
    run("default", "joint", 0, 0.9),
]


def test_one_row_for_each_chip_and_way_of_sleeping() -> None:
    rows = chip_rows([entry for entry in RUNS if entry["hardware"]])
    assert [(r["profile"], r["slept"], r["variant"]) for r in rows] == [
        ("a", NONE, "default"),
        ("b", NONE, "default"),
        ("a", "sleep before mapping", "default"),
        ("b", "sleep before mapping", "default"),
        ("a", "sleep before mapping", "small"),
        ("a", "sleep on the chip, stochastic rounding", "a-chance"),
        ("a", "sleep on the chip, stochastic rounding", "small-a"),
    ]
    first, second = rows[:2]
    assert first["mapped"] == {"mean": pytest.approx(0.21), "sd": pytest.approx(0.01414, abs=1e-4), "n": 2}
    assert (first["cores"], first["low_j"], first["high_j"]) == (7, pytest.approx(1e-6), pytest.approx(3e-6))
    assert not second["fits"] and second["mapped"] == {"mean": None, "sd": None, "n": 0} and second["low_j"] is None
    assert missing_rows(RUNS) == [
        {"experiment": "on-chips/mnist", "profile": "b", "missing": ["l1: too many synapses"]}
    ]


def test_gains_are_compared_with_sleep_in_floating_point_by_the_same_rule() -> None:
    found = {r["variant"]: r for r in gains_kept(chip_rows(RUNS))}
    assert found["a-chance"]["kept"] == pytest.approx(0.8)
    # With the variant "small", whose steps it shares: (0.5 - 0.2) / (0.6 - 0.2).
    assert found["small-a"]["floating"] == 0.6 and found["small-a"]["kept"] == pytest.approx(0.75)
    # Only seeds that all three have count: a second one on the chip alone changes nothing.
    more = [*RUNS, run("a-chance", "src", 1, 0.9, row("a", CHANCE, 0.9))]
    again = {r["variant"]: r for r in gains_kept(chip_rows(more))}
    assert again["a-chance"]["kept"] == pytest.approx(0.8) and again["a-chance"]["n"] == 1
    level = [entry | {"accuracy_all": 0.2} for entry in RUNS]
    assert all(r["kept"] is None for r in gains_kept(chip_rows(level)))
    diverged = [entry | {"accuracy_all": None} if entry["strategy"] == "src" else entry for entry in RUNS]
    assert gains_kept(chip_rows(diverged)) == []


def test_a_variants_name_and_what_was_changed_beside_it() -> None:
    assert variant_parts("default") == ("default", "")
    assert variant_parts("sleep.steps=5,wake.lr=1") == ("default", "sleep.steps=5,wake.lr=1")
    assert variant_parts("int8-chance,sleep.steps=5") == ("int8-chance", "sleep.steps=5")
    changed = [
        entry | {"variant": entry["variant"] + ",x.y=1" if entry["variant"] != "default" else "x.y=1"} for entry in RUNS
    ]
    assert [r["kept"] for r in gains_kept(chip_rows(changed))] == [r["kept"] for r in gains_kept(chip_rows(RUNS))]


def test_the_report_has_a_section_on_chips(tmp_path: Path) -> None:
    for entry in RUNS:
        folder = tmp_path / entry["experiment"] / entry["variant"] / entry["strategy"] / f"seed{entry['seed']}"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps(entry | {"status": "done", "split": "test"}))
    page = write_report(tmp_path).read_text()
    assert "On chips" in page and "80 % of the gain of sleep in floating point is kept (n = 1)" in page
    assert "estimate from a profile, not a chip" in page and "too many synapses" in page
    assert "1 µJ to 3 µJ" in page
    # A line for each chip, the ways of sleeping side by side.
    table = page.split("Accuracy on each chip by how the network sleeps")[-1].split("</table>")[0]
    heads = re.findall(r"<th scope=.col.[^>]*>(.*?)</th>", table)
    assert heads[:4] == ["Chip", "Experiment", "no sleep", "sleep before mapping"] and "Cores" in heads
    rows = re.findall(r"<tr>(.*?)</tr>", table.split("<tbody>")[1], re.DOTALL)
    assert len(rows) == len({re.sub("<.*?>", "", row.split("</th>")[0]) for row in rows})


def test_intervals_and_prefixes() -> None:
    # 36 of 40: the interval of Wilson's score, as printed in many tables (0.7695 to 0.9604).
    assert wilson(0.9, 40) == pytest.approx((0.76947, 0.96042), abs=1e-4)
    assert wilson(0.0, 10)[0] == pytest.approx(0.0) and wilson(1.0, 10)[1] == pytest.approx(1.0)
    for n, share in ((7, 0.3), (400, 0.5)):
        for bound in wilson(share, n):
            assert abs(bound - share) == pytest.approx(1.959964 * math.sqrt(bound * (1 - bound) / n))
    told = [si(value, "J") for value in (6.91e-3, 3.07, 9.999e-4, 0.0, 2e-18, 4.5e4)]
    assert told == ["6.91 mJ", "3.07 J", "1 mJ", "0 J", "2 aJ", "45 kJ"]


def test_the_results_page_has_tables_of_chips() -> None:
    lines = chip_lines(RUNS)
    assert (
        "| a | default | no sleep | 2 | 70.00 ± 0.00 | 69.00 ± 0.00 | 21.00 ± 1.41 | 1.00 ± 0.00 | 7 | 1 µJ to 3 µJ |"
        in (line.replace("\u00a0", " ") for line in lines)
    )
    assert "| a-chance | a | sleep on the chip, stochastic rounding | 1 | 20.00 | 70.00 | 60.00 | 80 % |" in lines
    assert "| b | l1: too many synapses |" in lines
    assert not any(line.startswith("| b | default") for line in lines)
    assert chip_lines(RUNS[-1:]) == []


@pytest.mark.parametrize("hardware", [None, 5, [], [None], [{"profile": 3}], [{"profile": "a"}]])
def test_a_report_of_spoilt_metrics_comes_out(tmp_path: Path, hardware: Any) -> None:
    folder = tmp_path / "on-chips/mnist/default/src/seed0"
    folder.mkdir(parents=True)
    entry = RUNS[2] | {"status": "done", "split": "test", "hardware": hardware}
    (folder / "metrics.json").write_text(json.dumps(entry))
    assert "src" in write_report(tmp_path).read_text()
