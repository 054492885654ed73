"""Naps in the strategy `sleep`: when they come, what they change, and what they leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from neurosleep.continual import HomeostaticSleep, Learner, Naps, Progress
from neurosleep.errors import SettingsError
from neurosleep.experiments import load_settings
from neurosleep.learning import Backprop, Batch
from neurosleep.replay import NREM


def test_a_nap_comes_after_every_so_many_batches_of_each_task(
    make_learner: Callable[..., Learner], learn: Callable[..., Progress], monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy, learner = HomeostaticSleep(form="rates", draws=100, naps=Naps(2)), make_learner(output="softmax")
    changed, step = [], strategy.after_step

    def watched(learner: Learner, batch: Batch) -> None:
        before = [weight.detach().clone() for weight in learner.network.weights]
        step(learner, batch)
        weights = learner.network.weights
        changed.append(not all(torch.equal(a, b) for a, b in zip(before, weights, strict=True)))

    monkeypatch.setattr(strategy, "after_step", watched)
    # 30 images a task: three batches an epoch, and the count starts anew.
    learn(learner, strategy, Backprop(loss="cross-entropy", batch=10, epochs=1))
    assert changed == [False, True, False] * 3
    assert strategy.keeper.count == 90 and strategy.keeper.classes == (0, 1, 2, 3, 4, 5)


def test_naps_change_what_is_learnt_and_smaller_ones_less(
    make_learner: Callable[..., Learner], learn: Callable[..., Progress]
) -> None:
    def weights(naps: Naps | None) -> torch.Tensor:
        learner = make_learner(output="softmax", dropout=0.0)
        learn(learner, HomeostaticSleep(form="rates", draws=100, naps=naps, after=(9,)))
        return torch.cat([weight.detach().flatten() for weight in learner.network.weights])

    awake, little, full = weights(None), weights(Naps(3, damping=0.01)), weights(Naps(3))
    assert torch.equal(awake, weights(None)) and torch.equal(full, weights(Naps(3)))
    assert 0 < float((little - awake).norm()) < float((full - awake).norm())


def test_settings_give_naps() -> None:
    _, settings = load_settings("homeostatic/mnist", changes=[("nrem.every_batches", 40), ("nrem.nap_damping", 0.5)])
    assert settings.options("sleep")["naps"] == Naps(40, damping=0.5)
    _, settings = load_settings("homeostatic/mnist")
    assert "naps" not in settings.options("sleep")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"nrem.every_batches": 0}, "Batches from one nap to the next"),
        ({"nrem.every_batches": 5, "nrem.nap_damping": 0.0}, "The damping of a nap"),
        ({"nrem.nap_damping": 0.5}, "there are no naps"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        _, settings = load_settings("homeostatic/mnist", changes=[*changes.items()])
        settings.options("sleep")


def test_naps_do_not_scale_down() -> None:
    _, settings = load_settings("homeostatic/mnist", changes=[("nrem.every_batches", 4), ("nrem.downscale", 0.5)])
    strategy = HomeostaticSleep(**settings.options("sleep"))
    (stage,), napping = strategy.settings.stages, strategy.napping
    assert isinstance(stage, NREM) and stage.rule.downscale == 0.5
    assert napping is not None and isinstance(napping.sleep.stages[0], NREM)
    assert napping.sleep.stages[0].rule.downscale == 1
