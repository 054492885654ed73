"""Training curves and the confusion matrix: what is drawn is what was given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurosleep import plot
from neurosleep.errors import SettingsError
from tests.plot.test_room import outside

Rows = list[dict[str, Any]]


def curves(tasks: int, epochs: int, **more: Any) -> Rows:
    return [
        {"task": str(task), "epoch": epoch, "loss": 1 / epoch, "accuracy": epoch / 10} | more
        for task in range(1, tasks + 1)
        for epoch in range(1, epochs + 1)
    ]


def test_a_curve_for_each_task_goes_on_from_the_one_before() -> None:
    fig = plot.training(curves(2, 3))
    above, below = fig.axes
    for ax, values in ((above, [10, 20, 30]), (below, [1, 1 / 2, 1 / 3])):
        drawn = [line for line in ax.get_lines() if str(line.get_label()).startswith("task")]
        assert [list(np.asarray(line.get_xdata())) for line in drawn] == [[1, 2, 3], [4, 5, 6]]
        assert all(np.asarray(line.get_ydata()) == pytest.approx(values) for line in drawn)
    assert outside(fig) == []


def test_without_a_loss_accuracy_stands_alone() -> None:
    for loss in (None, ""):
        assert [ax.get_ylabel() for ax in plot.training(curves(1, 2, loss=loss)).axes] == ["accuracy in\ntraining (%)"]
    assert "no epoch was recorded" in [text.get_text() for text in plot.training([]).axes[0].texts]
    with pytest.raises(SettingsError, match="no column 'loss'"):
        plot.training([{"task": 1, "epoch": 1, "accuracy": 0.5}])
    assert outside(plot.training(curves(60, 1))) == []


def test_the_matrix_is_in_percent_of_each_class() -> None:
    rows: Rows = [
        {"class": "0", "answer": "0", "images": "30"},
        {"class": 0, "answer": 2, "images": 10},
        {"class": 2, "answer": 1, "images": 5},
    ]
    ax = plot.confusion(rows)
    shares = np.ma.filled(ax.images[0].get_array(), np.nan)  # type: ignore[arg-type]
    assert shares == pytest.approx(np.array([[75, 0, 25], [np.nan] * 3, [0, 100, 0]]), nan_ok=True)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0 (75 %)", "1", "2 (0 %)"]
    assert [text.get_text() for text in ax.texts] == ["75", "25", "100"]


def test_the_matrix_of_many_classes_and_of_none_can_be_read() -> None:
    ax = plot.confusion([{"class": k, "answer": k, "images": 1} for k in range(100)])
    assert not ax.texts and len(ax.get_yticks()) == 20 and outside(ax.figure) == []  # type: ignore[arg-type]
    assert "no data" in [text.get_text() for text in plot.confusion([]).texts]
