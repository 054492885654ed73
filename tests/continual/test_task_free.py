"""Sleep without tasks: by the samples that pass, or by drift; where a task ends makes no difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from neurosleep.continual import HomeostaticSleep, Learner, Naps, Progress, Strategy
from neurosleep.data import Task
from neurosleep.errors import SettingsError
from neurosleep.functional import torch_generator
from neurosleep.learning import Backprop, Batch
from neurosleep.replay import PageHinkley

# Thirty images a class and task: 60 samples a task, 6 batches of 10.
ONCE = Backprop(loss="cross-entropy", lr=0.1, batch=10, epochs=1)


@pytest.fixture
def slept(
    make_tasks: Callable[..., list[Task]], make_learner: Callable[..., Learner], learn: Callable[..., Progress]
) -> Callable[..., tuple[Learner, Progress]]:
    def run(strategy: Strategy, **more: Any) -> tuple[Learner, Progress]:
        learner = make_learner(make_tasks(n=30), output="softmax", dropout=0.0)
        return learner, learn(learner, strategy, ONCE, **more)

    return run


def test_sleep_comes_after_so_many_samples_and_where_the_stream_ends(slept: Callable[..., Any]) -> None:
    strategy = HomeostaticSleep(form="rates", draws=100, every_samples=50)
    _, progress = slept(strategy)
    at = [(sleep["samples"], sleep["task"]) for sleep in progress.stream]
    assert at == [(50, 0), (100, 1), (150, 2), (180, 2)]
    assert [sleep["trigger"] for sleep in progress.stream[2:]] == [
        "50 samples since the last sleep",
        "the stream ended",
    ]
    assert {sleep["status"] for sleep in progress.stream} == {"done"} and not strategy.needs_boundaries
    # Tasks are only where accuracy is measured; the one sleep after them is the last.
    assert [phase["task"] for phase in progress.sleeps] == [2]
    assert progress.after[:2] == progress.before_sleep[:2] and len(progress.growth) == 3
    slept_for = sum(sleep["seconds"] for sleep in progress.stream)
    assert progress.seconds["sleep"] >= slept_for and progress.growth[1]["sleep"] >= progress.stream[1]["seconds"]


def test_a_stream_that_ends_with_a_sleep_has_no_other(slept: Callable[..., Any]) -> None:
    _, progress = slept(HomeostaticSleep(form="rates", draws=100, every_samples=60))
    assert [sleep["samples"] for sleep in progress.stream] == [60, 120, 180] and progress.sleeps == []


def test_the_guard_judges_each_sleep(slept: Callable[..., Any]) -> None:
    _, progress = slept(HomeostaticSleep(form="rates", draws=100, every_samples=30, guard=True))
    assert {sleep["status"] for sleep in progress.stream} == {"done", "declined"}
    assert all(sleep["reason"] for sleep in progress.stream)


def test_sleep_comes_where_the_inputs_drift(slept: Callable[..., Any]) -> None:
    drift = PageHinkley(threshold=1.0, tolerance=0.1, window=10, warm_up=3)
    _, progress = slept(HomeostaticSleep(form="rates", draws=100, drift=drift))
    *drifted, end = progress.stream
    assert [sleep["task"] for sleep in drifted] == [1, 2] and end["trigger"] == "the stream ended"
    assert {sleep["trigger"] for sleep in drifted} == {"the stream drifted"}


def test_the_strategy_is_not_told_where_a_task_ends(make_learner: Callable[..., Learner]) -> None:
    images, labels = torch.rand(120, 12, generator=torch_generator(0, "x")), torch.arange(120) % 6

    def weights(told: bool) -> list[torch.Tensor]:
        learner = make_learner(output="softmax", dropout=0.0)
        strategy = HomeostaticSleep(form="rates", draws=100, every_samples=40)
        for start in range(0, 120, 10):
            if told and start == 60:
                strategy.after_training_exp(learner)
                learner.task += 1
                strategy.before_training_exp(learner)
            strategy.after_step(learner, Batch(images[start : start + 10], labels[start : start + 10], []))
        assert len(learner.stream) == 3
        return [weight.detach().clone() for weight in learner.network.weights]

    assert all(map(torch.equal, weights(True), weights(False)))


def test_a_run_that_is_gone_on_with_in_the_middle_is_the_same(
    slept: Callable[..., Any], make_learner: Callable[..., Learner], make_tasks: Callable[..., list[Task]]
) -> None:
    from neurosleep.continual import learn_tasks

    def strategy() -> HomeostaticSleep:
        return HomeostaticSleep(form="rates", draws=100, every_samples=50)

    whole, progress = slept(strategy())

    class StopError(Exception):
        pass

    def stop(phase: str, task: int) -> None:
        if (phase, task) == ("wake", 1):
            raise StopError

    learner, first, partly = make_learner(make_tasks(n=30), output="softmax", dropout=0.0), strategy(), Progress()
    with pytest.raises(StopError):
        learn_tasks(learner, first, ONCE, learner.tasks, partly, after_phase=stop)
    again = strategy()
    again.load_state_dict(first.state_dict())
    learn_tasks(learner, again, ONCE, learner.tasks, partly)
    for a, b in zip(whole.network.weights, learner.network.weights, strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    assert [sleep["samples"] for sleep in partly.stream] == [sleep["samples"] for sleep in progress.stream]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"every_samples": 0}, "every_samples cannot be 0"),
        ({"every_samples": 5, "drift": PageHinkley()}, "every_samples is 5, and drift"),
        ({"every_samples": 5, "after": (1,)}, "Without tasks the strategy 'sleep' has no after"),
        ({"every_samples": 5, "naps": Naps(3)}, "Without tasks the strategy 'sleep' has no naps"),
        ({"drift": PageHinkley(), "profile": "loihi1"}, "Without tasks the strategy 'sleep' has no profile"),
    ],
)
def test_what_makes_no_sense_without_tasks_is_refused(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        HomeostaticSleep(**wrong)
