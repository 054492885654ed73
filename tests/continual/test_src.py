"""When the network sleeps, for how long, and on what statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from neurosleep.continual import SRC, Learner, Progress, Strategy
from neurosleep.continual.strategies import src as module
from neurosleep.conversion import Ratio, convert
from neurosleep.data import to_float
from neurosleep.errors import SettingsError, UnknownNameError
from neurosleep.functional import SRCRule
from neurosleep.replay import Sleep, sleep

Make, Learn = Callable[..., Learner], Callable[..., Progress]
RULE = SRCRule(0.05, 0.01)


def settings(**more: Any) -> Sleep:
    given: dict[str, Any] = {"thresholds": [0.2, 0.2, 0.2], "max_rate": 200.0, "window": None, "steps": 40}
    return Sleep.src2022(**({"rule": RULE, "growth": 0.0} | given | more))


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What each sleep and conversion was given."""
    found: list[dict[str, Any]] = []

    def converting(model: Any, images: Any, **more: Any) -> Any:
        found.append({"images": images.clone(), **more})
        return convert(model, images, **more)

    def sleeping(network: Any, **more: Any) -> Any:
        found[-1] |= more
        return sleep(network, **more)

    monkeypatch.setattr(module, "convert", converting)
    monkeypatch.setattr(module, "sleep", sleeping)
    return found


# --- when, and for how long -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "slept"),
    [(None, [0, 1, 2]), ([-1], [2]), ([2], [1]), ([1, 3], [0, 2]), ([-3, -2], [0, 1]), ([1, -1], [0, 2])],
)
def test_it_sleeps_after_the_tasks_named(
    make_learner: Make, learn: Learn, after: list[int] | None, slept: list[int]
) -> None:
    strategy = SRC(settings(after=after, growth=0.5))
    progress = learn(make_learner(), strategy)
    assert [phase["task"] for phase in progress.sleeps] == slept
    assert [phase["steps"] for phase in progress.sleeps] == [[40, 60, 80][task] for task in slept]
    for task in range(3):
        if task not in slept:
            assert progress.after[task] == progress.before_sleep[task]
    assert len(progress.after) == len(progress.before_sleep) == 3


def test_until_its_first_sleep_it_is_sequential(make_learner: Make, learn: Learn) -> None:
    plain = learn(make_learner(), Strategy())
    slept = learn(make_learner(), SRC(settings(after=[-1], steps=300)))
    assert slept.before_sleep == plain.before_sleep
    assert slept.after[:-1] == plain.after[:-1]
    assert slept.sleeps[0]["task"] == 2


def test_the_lengths_may_be_given(make_learner: Make, learn: Learn) -> None:
    progress = learn(make_learner(), SRC(settings(lengths=[30, 50], growth=9.0, steps=7)))
    # The last stays for further tasks.
    assert [phase["steps"] for phase in progress.sleeps] == [30, 50, 50]
    # Counted by task, not by sleep.
    progress = learn(make_learner(), SRC(settings(lengths=[30, 50], after=[2])))
    assert [phase["steps"] for phase in progress.sleeps] == [50]


# --- on what ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statistics", "scale_data", "means", "maxima"),
    [
        ("seen", "seen", [[0], [0, 1], [0, 1, 2]], [[0], [0, 1], [0, 1, 2]]),
        ("seen", "current", [[0], [0, 1], [0, 1, 2]], [[0], [1], [2]]),
        ("first", "seen", [[0]] * 3, [[0]] * 3),
        ("first", "current", [[0]] * 3, [[0]] * 3),
    ],
)
def test_mean_and_maxima_are_of_the_tasks_named(
    make_learner: Make,
    learn: Learn,
    sleeps: list[dict[str, Any]],
    statistics: str,
    scale_data: str,
    means: list[list[int]],
    maxima: list[list[int]],
) -> None:
    learner = make_learner()
    learn(learner, SRC(settings(statistics=statistics, scale_data=scale_data)))
    for result, of_mean, of_maxima in zip(sleeps, means, maxima, strict=True):
        # All images of a task, not only those it is trained on.
        pool = np.concatenate([learner.tasks[k].pool_images for k in of_mean]).reshape(-1, 12) / 255
        np.testing.assert_allclose(result["drive"].drive.mean, pool.mean(0), rtol=1e-12)
        read = np.concatenate([to_float(learner.tasks[k].pool_images) for k in of_maxima])
        np.testing.assert_array_equal(result["images"].numpy(), read)
    assert [phase["task"] for phase in sleeps] == [0, 1, 2]


def test_only_the_running_mean_is_no_stored_data() -> None:
    found = {
        (s, d): SRC(settings(statistics=s, scale_data=d)).reads_old_data
        for s in ("seen", "first")
        for d in ("seen", "current")
    }
    assert found == {
        ("seen", "seen"): True,
        ("seen", "current"): False,
        ("first", "seen"): True,
        ("first", "current"): True,
    }


def test_the_settings_reach_the_sleep(make_learner: Make, learn: Learn, sleeps: list[dict[str, Any]]) -> None:
    learner = make_learner(seed=4)
    sleeping = settings(window=2, recipe="ratio", alpha_scale=3.0, decay=0.9, compare=">", process="poisson")
    learn(learner, SRC(sleeping))
    result = sleeps[1]
    assert (result["recipe"], result["decay"], result["compare"]) == (Ratio(3.0), 0.9, ">")
    assert list(result["thresholds"]) == [0.2, 0.2, 0.2]
    drive = result["drive"].drive
    assert (drive.window, drive.image_shape, drive.process, drive.max_rate) == (2, (3, 4), "poisson", 200.0)
    assert (result["seed"], result["task"], result["rule"], result["engine"]) == (4, 1, RULE, "event")


def test_the_slept_weights_are_those_of_the_sleep_and_the_momentum_stays(make_learner: Make, learn: Learn) -> None:
    learner = make_learner(make_learner().tasks[:1])
    kept: list[list[torch.Tensor]] = []

    def keep(phase: str, task: int) -> None:
        kept.append([tensor.detach().clone() for tensor in (*learner.network.weights, *learner.velocity)])

    learn(learner, SRC(settings(steps=200)), after_phase=keep)
    assert learner.sleep_result is not None
    awake, asleep = kept
    for found, slept in zip(asleep, learner.sleep_result.network.weights, strict=False):
        assert torch.equal(found, slept)
    assert not torch.equal(awake[0], asleep[0])
    assert all(torch.equal(a, b) for a, b in zip(awake[3:], asleep[3:], strict=True))


def test_a_sleep_that_diverges_leaves_the_weights_and_ends_the_run(make_learner: Make, learn: Learn) -> None:
    learner = make_learner()
    wild = SRC(settings(rule=SRCRule(1e9, 0.0, factor="constant")))
    kept: list[torch.Tensor] = []
    progress = learn(
        learner, wild, after_phase=lambda phase, task: kept.append(learner.network.weights[0].detach().clone())
    )
    assert progress.status == "diverged"
    assert (progress.task, len(progress.sleeps)) == (1, 1)
    assert torch.equal(kept[0], kept[1])


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"after": []}, SettingsError),
        ({"after": [0]}, SettingsError),
        ({"after": [1.0]}, SettingsError),
        ({"after": [True]}, SettingsError),
        ({"lengths": []}, SettingsError),
        ({"lengths": [100, 0]}, SettingsError),
        ({"lengths": [-5]}, SettingsError),
        ({"lengths": ["long"]}, SettingsError),
        ({"statistics": "last"}, SettingsError),
        ({"window": 0}, SettingsError),
        ({"alpha_scale": 0.0}, SettingsError),
        ({"recipe": "rato"}, UnknownNameError),
        ({"process": "gauss"}, UnknownNameError),
        ({"decay": 1.5}, SettingsError),
        ({"gamma": 0.5}, SettingsError),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        settings(**wrong)
