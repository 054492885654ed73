"""Which answers a sleep moved, and how a notebook shows what a sleep did."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import neurosleep as ns
from neurosleep import analysis, plot
from neurosleep.errors import NeurosleepWarning
from neurosleep.replay import NREM, MovedAnswers, Sleep, consolidate
from neurosleep.replay.moved_answers import answer_counts

RATES = Sleep(stages=[NREM(form="rates", draws=400)])


def model() -> nn.Sequential:
    torch.manual_seed(1)
    made = nn.Sequential(nn.Linear(12, 30), nn.ReLU(), nn.Linear(30, 4))
    with torch.no_grad():
        made[2].bias.copy_(torch.tensor([-1.0, -1.0, 1.0, 1.0]))  # as after a task of classes 2 and 3
    return made


def samples() -> tuple[Tensor, Tensor]:
    x = torch.rand(200, 12, generator=torch.Generator().manual_seed(0)).round()
    return x, 2 + torch.arange(200) % 2


def slept(**options: object) -> ns.Consolidation:
    x, y = samples()
    given = {"classes": range(4), "new_classes": [2, 3], "holdout": (x, y), "sleep": RATES, "guard": False}
    return consolidate(model(), x.mean(0), **(given | options))  # type: ignore[arg-type]


def test_the_table_counts_each_answer_that_moved_once() -> None:
    result, (x, y) = slept(), samples()
    before, after = (one(x).argmax(1) for one in (model(), result.model))
    moved = result.moved
    assert moved is not None and moved.before.equal(before) and moved.after.equal(after)
    expected = {
        (c, b, a): int(((y == c) & (before == b) & (after == a)).sum())
        for c in range(4)
        for b in range(4)
        for a in range(4)
        if a != b
    }
    counted = {tuple(row.values())[:3]: row["images"] for row in moved.rows()}
    assert counted == {key: count for key, count in expected.items() if count} and counted
    assert sum(counted.values()) / 200 == pytest.approx(moved.share) == result.report.answers_changed
    counts = [row["images"] for row in moved.rows()]
    assert counts == sorted(counts, reverse=True)
    said = f"{sum(counts)} of 200 ({100 * moved.share:.1f} %)"
    right, wrong = int(((before != y) & (after == y)).sum()), int(((before == y) & (after != y)).sum())
    assert f"{said}, {right} are right now and {wrong} wrong" in repr(moved)


def test_the_table_is_that_of_the_analysis_without_the_answers_that_stayed() -> None:
    result, (x, y) = slept(), samples()
    every = analysis.confusion_change(model(), result.model, x, y).rows()
    assert result.moved is not None
    key = ("class", "answer_before", "answer_after")
    moved = [row for row in every if row["answer_before"] != row["answer_after"]]
    assert sorted(result.moved.rows(), key=lambda row: [row[name] for name in key]) == moved
    drawn = [plot.confusion_change(rows, value="moved").images[0].get_array() for rows in (every, result.moved.rows())]
    size = len(drawn[1])
    assert (drawn[0][:size, :size] == drawn[1]).all() and drawn[0].sum() == drawn[1].sum()


def test_without_labels_there_is_no_class() -> None:
    x, _ = samples()
    moved = MovedAnswers(torch.tensor([0, 1, 1]), torch.tensor([0, 2, 2]))
    assert moved.rows() == [{"answer_before": 1, "answer_after": 2, "images": 2}]
    assert repr(moved) == "<MovedAnswers: 2 of 3 (66.7 %)>"
    assert plot.confusion_change(moved.rows(), value="moved").get_xlabel() == "answer after sleep"
    unlabelled = consolidate(model(), x.mean(0), calibration=x, sleep=RATES, guard=False)
    assert unlabelled.moved is not None and unlabelled.moved.labels is None and unlabelled.moved.images == 200


def test_answers_that_stay_are_counted_too_where_all_are_asked_for() -> None:
    rows = answer_counts(torch.tensor([0, 0, 1]), torch.tensor([0, 0, 0]))
    assert [tuple(row.values()) for row in rows] == [(0, 0, 2), (1, 0, 1)]


def test_of_nothing_there_is_nothing() -> None:
    x, _ = samples()
    result = consolidate(model(), x.mean(0), sleep=RATES, guard=False)
    assert result.moved is None and result.report.images == 0 and math.isnan(result.report.answers_changed)
    none = MovedAnswers(torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long))
    assert none.rows() == [] and math.isnan(none.share)
    with pytest.warns(NeurosleepWarning, match="declined"):
        declined = slept(new_classes=None, guard=True)
    assert declined.status == "declined" and declined.moved is not None and declined.moved.share == 0
    frame = pytest.importorskip("pandas") and declined.moved.to_pandas()
    assert list(frame.columns) == ["class", "answer_before", "answer_after", "images"] and len(frame) == 0
    assert declined.rows() == [] and len(declined.to_pandas()) == 0


def test_rows_are_the_units_of_every_nrem_stage() -> None:
    two = slept(sleep=Sleep(stages=[*RATES.stages, *RATES.stages]))
    rows = two.rows()
    assert len(rows) == 2 * 34 and [row["stage"] for row in rows] == [1] * 34 + [2] * 34
    layer = two.stages[1].regulated.layers[1]  # type: ignore[union-attr]
    assert rows[-1]["mean_before"] == float(layer.mean_before[3]) and rows[-1]["factor"] == float(layer.factor[3])
    frame = pytest.importorskip("pandas") and two.to_pandas()
    assert len(frame) == 68 and frame["mean_after"][0] == rows[0]["mean_after"]


def test_a_notebook_shows_status_reason_verdict_drives_and_moves() -> None:
    result = slept(guard=True)
    shown = result._repr_html_()
    assert result.verdict is not None and "Consolidation: done" in shown
    assert f"guard: accepted (gain score {result.verdict.gain:.3g}" in shown
    for part in ("answer_after", "Drive of each output", "means before", "spreads after", "0.weight"):
        assert part in shown
    assert len(shown) < 6000 and shown.count("<table>") == 4
    hostile = replace(result, reason="<script>alert(1)</script>")._repr_html_()
    assert "<script>" not in hostile and "&lt;script&gt;" in hostile
