"""When a sleep is kept: where newer classes are driven above older ones, and enough of the newest is still known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from neurosleep.errors import SettingsError
from neurosleep.functional import Homeostasis, InputNoise
from neurosleep.replay import Guard, OutputDrive, Regulation, gain_score, newest_recall, regulate

NOISE = InputNoise(torch.full((20,), 0.5))


def network(offsets: list[float]) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, len(offsets)))
    model = regulate(model, NOISE, draws=300).model
    assert isinstance(model, nn.Sequential)
    with torch.no_grad():
        last = model[2]
        assert isinstance(last, nn.Linear)
        last.bias += torch.tensor(offsets)
    return model


def ask(
    guard: Guard,
    model: nn.Module,
    classes: list[int],
    new: list[int] | None,
    recalls: list[float] | None = None,
    left: OutputDrive | None = None,
    even: list[float] | None = None,
    learnt: tuple[int, ...] = (),
):
    def slept(damping: float) -> tuple[Regulation, nn.Module]:
        done = regulate(model, NOISE, Homeostasis(classes=tuple(classes), damping=damping), draws=300)
        return done, done.model

    before = regulate(model, NOISE, Homeostasis(classes=tuple(classes), layers=("2",)), draws=300).layers[0]
    numbers = iter(recalls or [])
    recall = None if recalls is None else lambda _: next(numbers)
    numbers_even = iter(even or [])
    even_recall = None if even is None else lambda _: next(numbers_even)
    return guard.ask(
        before,
        slept,
        classes=classes,
        new_classes=new,
        recall=recall,
        even_recall=even_recall,
        learnt=learnt,
        left=left,
    )


def test_forgetting_is_accepted() -> None:
    verdict, done = ask(Guard(), network([-5, -5, 5, 5]), [0, 1, 2, 3], [2, 3])
    assert verdict.accepted and done is not None
    assert verdict.gain > 5 and verdict.damping == 1
    assert "gain score" in verdict.reason


@pytest.mark.parametrize(
    ("offsets", "classes", "new", "words"),
    [
        ([0, 0, 0, 0], [0, 1, 2, 3], [2, 3], "driven no higher"),
        ([5, 5, -5, -5], [0, 1, 2, 3], [2, 3], "driven no higher"),
        ([-5, -5, 5, 5], [0, 1, 2, 3], [], "no class was added"),
        ([-5, -5, 5, 5], [2, 3], [2, 3], "no class was learnt before"),
        ([-5, -5, 5, 5], [0, 1, 2, 3], None, "give new_classes"),
    ],
)
def test_what_shows_no_forgetting_is_declined(
    offsets: list[float], classes: list[int], new: list[int] | None, words: str
) -> None:
    verdict, done = ask(Guard(), network(offsets), classes, new)
    assert not verdict.accepted and done is None
    assert words in verdict.reason


def test_without_a_new_class_outputs_that_moved_apart_are_accepted() -> None:
    classes, even = [0, 1, 2, 3], network([0, 0, 0, 0])
    layer = regulate(even, NOISE, Homeostasis(layers=("2",)), draws=300).layers[0]
    left = OutputDrive.of(layer, layer.mean_after)
    assert left is not None and left.spread == layer.target.spread
    # What all moved alike is no movement, nor is that of an output that sleep did not change.
    for offsets, new in (([5, 5, 5, 5], []), ([0, 0, 0, 0], [])):
        verdict, done = ask(Guard(), network(offsets), classes, new, left=left)
        assert not verdict.accepted and done is None
        assert verdict.moved < 0.1 and "hardly moved apart" in verdict.reason
    unchanged = OutputDrive((*left.means[:3], math.nan), left.spread)
    verdict, _ = ask(Guard(), network([0, 0, 0, 5]), classes, [], left=unchanged)
    assert not verdict.accepted and verdict.moved < 0.1
    verdict, done = ask(Guard(dampings=(0.7, 0.5)), network([-5, -5, 5, 5]), classes, [], [0.9, 0.8], left)
    assert verdict.accepted and done is not None
    assert verdict.moved == pytest.approx(5 / left.spread, rel=0.05)
    assert (verdict.damping, verdict.recall) == (0.7, 0.8) and math.isnan(verdict.gain)
    assert "have moved apart" in verdict.reason and "80% of the newest" in verdict.reason
    # Outputs that came since are left out.
    assert OutputDrive(left.means[:2], left.spread).moved(layer) < 0.1


def test_classes_learnt_again_are_compared_with_the_others() -> None:
    classes, model = [0, 1, 2, 3], network([-5, -5, 5, 5])
    left = OutputDrive((0.0,) * 4, 1.0)
    verdict, done = ask(Guard(), model, classes, [], left=left, learnt=(2, 3))
    assert verdict.accepted and done is not None and verdict.gain > 5 and verdict.moved > 1
    verdict, done = ask(Guard(), model, classes, [], left=left, learnt=(0, 1))
    assert not verdict.accepted and done is None
    assert "no higher than the others" in verdict.reason and verdict.gain < -5


def test_samples_of_all_classes_tell_themselves() -> None:
    classes, model = [0, 1, 2, 3], network([-5, -5, 5, 5])
    left = OutputDrive((0.0,) * 4, 1.0)
    # Before sleep, and by each damping: the first that brings enough is taken.
    for new, before in (([], left), ([], None), ([2, 3], None), (classes, None)):
        verdict, done = ask(Guard(rise=0.1), model, classes, new, [], before, [0.5, 0.55, 0.7], (0, 1, 2, 3))
        assert verdict.accepted and done is not None
        assert (verdict.damping, verdict.recall) == (0.9, 0.7)
        assert "rises from 50.0% to 70.0%" in verdict.reason
        guard = Guard(rise=0.1, dampings=(1.0, 0.5))
        verdict, done = ask(guard, model, classes, new, [], before, [0.5, 0.55, 0.59], (0, 1, 2, 3))
        assert not verdict.accepted and done is None
        assert "would go from 50.0% to 59.0%" in verdict.reason
    # Right after a sleep they are not asked, nor is a first task while outputs are left for others.
    left = ask(Guard(), model, classes, [], left=left, learnt=())[1][0].layers[-1]
    assert left.target is not None
    still = OutputDrive(tuple(left.mean_before.tolist()), left.target.spread)
    verdict, _ = ask(Guard(), model, classes, [], [], still, [], (0, 1, 2, 3))
    assert not verdict.accepted and verdict.moved == pytest.approx(0, abs=1e-6)
    verdict, _ = ask(Guard(), model, [0, 1], [0, 1], [0.9, 0.9], None, [], (0, 1))
    assert verdict.accepted and "outputs are left" in verdict.reason


def test_even_recall_is_a_mean_over_classes() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    outputs = torch.eye(3)[[0, 0, 1, 2]]
    assert newest_recall(nn.Identity(), outputs, labels, [0, 1]) == 0.5
    assert newest_recall(nn.Identity(), outputs, labels, [0, 1], even=True) == pytest.approx(1 / 3)


def test_damping_falls_until_enough_of_the_newest_is_recognised() -> None:
    verdict, done = ask(Guard(), network([-5, -5, 5, 5]), [0, 1, 2, 3], [2, 3], [0.9, 0.2, 0.3, 0.5])
    assert verdict.accepted and verdict.damping == 0.8 and verdict.recall == 0.5
    assert done is not None
    # By a damping of 0.8 a fifth of the way is left.
    layer = done[0].layers[-1]
    left = (layer.mean_after - layer.target.mean).abs() / (layer.mean_before - layer.target.mean).abs()
    torch.testing.assert_close(left, torch.full((4,), 0.2, dtype=torch.float64), rtol=0.05, atol=0.01)


def test_a_sleep_that_would_cost_the_newest_task_is_declined() -> None:
    verdict, done = ask(Guard(dampings=(1, 0.5)), network([-5, -5, 5, 5]), [0, 1, 2, 3], [2, 3], [0.9, 0.2, 0.3])
    assert not verdict.accepted and done is None
    assert "30%" in verdict.reason and verdict.recall == 0.3


def test_the_gain_score_is_a_difference_in_spreads() -> None:
    layer = regulate(network([-5, -5, 5, 5]), NOISE, Homeostasis(layers=("2",)), draws=300).layers[0]
    mean = layer.mean_before
    wanted = float(mean[2:].mean() - mean[:2].mean()) / layer.target.spread
    assert gain_score(layer, [0, 1], [2, 3]) == pytest.approx(wanted)
    assert gain_score(layer, [2, 3], [0, 1]) == pytest.approx(-wanted)
    assert math.isnan(gain_score(layer, [], [0, 1]))


def test_recall_is_among_the_classes_seen() -> None:
    outputs = torch.tensor([[0.1, 0.9, 5.0], [0.8, 0.2, 5.0]])
    assert newest_recall(nn.Identity(), outputs, torch.tensor([1, 1]), [0, 1]) == 0.5
    assert newest_recall(nn.Identity(), outputs, torch.tensor([2, 2]), [0, 1, 2]) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"moved": -1},
        {"recall": 1.5},
        {"recall": "much"},
        {"gain": math.nan},
        {"dampings": ()},
        {"dampings": (1.0, 0.0)},
    ],
)
def test_impossible_guards_are_refused(options: dict) -> None:
    with pytest.raises(SettingsError):
        Guard(**options)
