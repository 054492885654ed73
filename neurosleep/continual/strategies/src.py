"""Sleep Replay Consolidation: after each task the network sleeps, driven by noise around the mean input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from neurosleep.continual.strategies.base import Learner, Strategy
from neurosleep.conversion import Recipe, convert, layer_scales, wake
from neurosleep.data import to_float
from neurosleep.errors import SettingsError
from neurosleep.functional import Compare, MeanDrive, PlasticityRule, Process
from neurosleep.replay import sleep
from neurosleep.spiking import Population, Record

__all__ = ["SRC", "SleepSettings"]


@dataclass(frozen=True)
class SleepSettings:
    """How a network sleeps.

    Parameters
    ----------
    rule:
        Plasticity rule.
    thresholds:
        One per layer after the input.
    max_rate, window, process:
        The drive (:class:`~neurosleep.functional.MeanDrive`).
    recipe, alpha_scale, scale_data:
        Recipe of the conversion; its maxima over the images of all tasks so far (``"seen"``, as published) or of the
        newest only (``"current"``).
    steps, growth:
        Steps of the sleep after task k (from 1): ``steps * (1 + growth * (k - 1))``.
    """

    rule: PlasticityRule
    thresholds: Sequence[float]
    max_rate: float
    window: int | None = 11
    process: Process = "bernoulli"
    recipe: Recipe = "recursive"
    alpha_scale: float = 1.0
    scale_data: Literal["seen", "current"] = "seen"
    decay: float = 0.999
    compare: Compare = ">="
    steps: int = 15000
    growth: float = 1 / 3

    def __post_init__(self) -> None:
        if self.scale_data not in ("seen", "current"):
            raise SettingsError(f"sleep.scale_data is {self.scale_data!r}.", expected="'seen' or 'current'")
        if not isinstance(self.steps, int) or isinstance(self.steps, bool) or self.steps < 1:
            raise SettingsError(f"sleep.steps is {self.steps!r}.", expected="a whole number of at least 1")
        if not 0 <= self.growth < float("inf"):
            raise SettingsError(f"sleep.growth is {self.growth!r}.", expected="a number >= 0")
        for threshold in self.thresholds:
            if not 0 <= threshold < float("inf"):
                raise SettingsError(f"sleep.thresholds holds {threshold!r}.", expected="finite numbers >= 0")
        if not 0 <= self.max_rate < float("inf"):
            raise SettingsError(f"sleep.max_rate is {self.max_rate!r}.", expected="a rate in Hz, >= 0")
        if self.window is not None and self.window < 1:
            raise SettingsError(f"sleep.window is {self.window!r}.", expected="a side of at least 1 pixel")
        if not 0 < self.alpha_scale < float("inf"):
            raise SettingsError(f"sleep.alpha_scale is {self.alpha_scale!r}.", expected="a number > 0")
        # The rest is checked by the parts that use it: here already, not after the first task has been learnt.
        MeanDrive(np.ones(1), self.max_rate, process=self.process)
        layer_scales([1.0], recipe=self.recipe)
        Population("output", "lif", (1,), decay=self.decay, compare=self.compare)

    def steps_after(self, task: int) -> int:
        """Steps of the sleep after task number ``task`` (from 0)."""
        return round(self.steps * (1 + self.growth * task))

    def drive(self, mean: NDArray[np.float64], shape: tuple[int, ...], *, dt: float = 0.001) -> MeanDrive:
        """The drive of a sleep on images of ``shape``, whose mean is ``mean``; refuses a window that does not fit."""
        image_shape = (int(shape[0]), int(shape[1])) if len(shape) == 2 else None
        return MeanDrive(mean, self.max_rate, self.window, image_shape, self.process, dt)


class SRC(Strategy):
    """Sleep after each task (Tadros et al. 2022, doi:10.1038/s41467-022-34938-7)."""

    name: ClassVar[str] = "src"
    sleeps: ClassVar[bool] = True

    def __init__(
        self,
        settings: SleepSettings,
        *,
        engine: str = "event",
        record: Record | None = None,
        progress: Callable[[int, int], None] = lambda done, steps: None,
    ) -> None:
        self.settings, self.engine = settings, engine
        self.record = record or Record()
        self.progress = progress
        self.reads_old_data = settings.scale_data == "seen"

    def after_training_exp(self, learner: Learner) -> None:
        """Convert, sleep, wake; a night that diverges leaves the awake weights as they are."""
        s = self.settings
        first = 0 if s.scale_data == "seen" else learner.task
        images = np.concatenate([task.pool_images for task in learner.tasks[first : learner.task + 1]])
        network = convert(
            learner.network,
            torch.from_numpy(to_float(images)),
            recipe=s.recipe,
            alpha_scale=s.alpha_scale,
            thresholds=s.thresholds,
            decay=s.decay,
            compare=s.compare,
        )
        steps = s.steps_after(learner.task)
        learner.night = sleep(
            network,
            drive=s.drive(learner.mean.mean, images.shape[1:], dt=network.dt),
            rule=s.rule,
            steps=steps,
            engine=self.engine,
            record=self.record,
            seed=learner.seed,
            task=learner.task,
            progress=lambda done: self.progress(done, steps),
        )
        if learner.night.status == "done":
            woken = wake(learner.night.network, learner.network)
            with torch.no_grad():
                for weight, slept in zip(learner.network.weights, woken.weights, strict=True):
                    weight.copy_(slept)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the drive is keyed by seed and task."""
        return {}
