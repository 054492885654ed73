"""Sleep Replay Consolidation: after each task the network sleeps, driven by noise around the mean input."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurosleep.continual.strategies.base import Learner, Strategy
from neurosleep.conversion import Recipe, convert, layer_scales, wake
from neurosleep.data import RunningMean, to_float
from neurosleep.errors import NeurosleepWarning, SettingsError
from neurosleep.functional import Compare, MeanDrive, PlasticityRule, Process, SRCRule
from neurosleep.hardware import MappedNetwork, Rounding, chip_rule, from_chip, map_to
from neurosleep.replay import Moment, Night, answers, evenly, sleep, thresholds_for_rates, warn_of_effect
from neurosleep.spiking import Population, Record, SpikingNetwork

__all__ = ["SRC", "SleepSettings", "one_night"]


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
    rates:
        Target chance to fire per neuron and step, one per layer; thresholds are then found anew before each sleep,
        whatever the given ones (:func:`~neurosleep.replay.thresholds_for_rates`).
    feedback, gamma, symmetric_rule, bias_drive:
        Of networks whose weights serve both directions: whether layers feed back (``"delayed"``, by a step, through
        the transposed weight times gamma) or not (``"none"``), whether the rule also acts on the shared weight from
        above, and whether biases drive units in sleep (:func:`~neurosleep.conversion.convert`).
    recipe, alpha_scale, scale_data:
        Recipe of the conversion; its maxima over the images of all tasks so far (``"seen"``, as published) or of the
        newest only (``"current"``).
    after:
        Numbers, from 1, of the tasks that are followed by sleep; negative ones count from the last. None: each.
    steps, growth, lengths:
        Steps of the sleep after task k (from 1): ``steps * (1 + growth * (k - 1))``, or ``lengths[k - 1]`` if given.
    statistics:
        Whether mean input and maxima come from the tasks ``"seen"`` so far, or from the ``"first"`` only.
    spike_limit:
        As in :func:`~neurosleep.replay.sleep`.
    profile, rounding, headroom:
        Name or file of the chip that the network sleeps on (None: none, in floating point), how it rounds changed
        weights (None: as the profile's learning engine does), and the room that the mapping leaves them
        (:func:`~neurosleep.map_to`, :func:`~neurosleep.hardware.chip_rule`). The engine is then ``fixed``.
    read_back:
        Whether the host takes over the chip's ``"weights"``, rounded as they are, or adds their ``"changes"`` to its
        own.
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
    after: Sequence[int] | None = None
    steps: int = 15000
    growth: float = 1 / 3
    lengths: Sequence[int] | None = None
    statistics: Literal["seen", "first"] = "seen"
    spike_limit: float | None = None
    rates: Sequence[float] | None = None
    feedback: Literal["none", "delayed"] = "none"
    gamma: float = 1.0
    symmetric_rule: bool = False
    bias_drive: bool = False
    profile: str | None = None
    rounding: str | None = None
    headroom: float = 1.0
    read_back: Literal["weights", "changes"] = "weights"

    def __post_init__(self) -> None:
        if self.read_back not in ("weights", "changes"):
            raise SettingsError(f"sleep.read_back is {self.read_back!r}.", expected="'weights' or 'changes'")
        if not 1 <= self.headroom <= 1 << 16:
            raise SettingsError(f"sleep.headroom is {self.headroom!r}.", expected="a factor from 1 to 65536")
        self.on_chip(0, 0)
        if self.statistics not in ("seen", "first"):
            raise SettingsError(f"sleep.statistics is {self.statistics!r}.", expected="'seen' or 'first'")
        for key, low in (("after", None), ("lengths", 1)):
            values = getattr(self, key)
            for value in values or ():
                if isinstance(value, bool) or not isinstance(value, int) or value == 0 or value < (low or value):
                    raise SettingsError(f"sleep.{key} holds {value!r}.", expected="whole numbers, tasks counted from 1")
            if values is not None and not values:
                raise SettingsError(f"sleep.{key} is empty.", expected="at least one whole number")
        if self.feedback not in ("none", "delayed"):
            raise SettingsError(f"sleep.feedback is {self.feedback!r}.", expected="'none' or 'delayed'")
        if self.profile is not None and self.feedback != "none":
            raise SettingsError(
                f"sleep.profile is {self.profile!r} with sleep.feedback {self.feedback!r}.",
                expected="sleep.feedback none: on a chip the transposed weights are copies, which do not learn with it",
                hint="sleep without sleep.profile, and map the network afterwards",
            )
        if not 0 <= self.gamma <= 1:
            raise SettingsError(f"sleep.gamma is {self.gamma!r}.", expected="from 0 to 1")
        if self.symmetric_rule and self.feedback == "none":
            raise SettingsError(
                "sleep.symmetric_rule is true, and nothing feeds back.", expected="sleep.feedback delayed"
            )
        if self.scale_data not in ("seen", "current"):
            raise SettingsError(f"sleep.scale_data is {self.scale_data!r}.", expected="'seen' or 'current'")
        if not isinstance(self.steps, int) or isinstance(self.steps, bool) or self.steps < 1:
            raise SettingsError(f"sleep.steps is {self.steps!r}.", expected="a whole number of at least 1")
        if not 0 <= self.growth < float("inf"):
            raise SettingsError(f"sleep.growth is {self.growth!r}.", expected="a number >= 0")
        for threshold in self.thresholds:
            if not 0 <= threshold < float("inf"):
                raise SettingsError(f"sleep.thresholds holds {threshold!r}.", expected="finite numbers >= 0")
        for rate in self.rates if self.rates is not None else ():
            if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1:
                raise SettingsError(f"sleep.rates holds {rate!r}.", expected="chances between 0 and 1, one per layer")
        if not 0 <= self.max_rate < float("inf"):
            raise SettingsError(f"sleep.max_rate is {self.max_rate!r}.", expected="a rate in Hz, >= 0")
        if self.spike_limit is not None and not 0 < self.spike_limit < float("inf"):
            raise SettingsError(f"sleep.spike_limit is {self.spike_limit!r}.", expected="spikes per step, > 0, or none")
        if self.window is not None and self.window < 1:
            raise SettingsError(f"sleep.window is {self.window!r}.", expected="a side of at least 1 pixel")
        if not 0 < self.alpha_scale < float("inf"):
            raise SettingsError(f"sleep.alpha_scale is {self.alpha_scale!r}.", expected="a number > 0")
        # The rest is checked by the parts that use it: here already, not after the first task has been learnt.
        MeanDrive(np.zeros(1), self.max_rate, process=self.process)
        layer_scales([1.0], recipe=self.recipe)
        Population("output", "lif", (1,), decay=self.decay, compare=self.compare)

    def on_chip(self, seed: int, task: int) -> PlasticityRule:
        """The rule of a sleep, in the whole numbers of the chip if there is one; refuses what that cannot do."""
        if self.profile is None:
            if self.rounding is not None:
                raise SettingsError(f"sleep.rounding is {self.rounding!r}.", expected="sleep.profile with it")
            return self.rule
        rounding = cast("Rounding | None", self.rounding)
        return chip_rule(self.profile, cast(SRCRule, self.rule), rounding=rounding, seed=seed, task=task)

    def steps_after(self, task: int) -> int:
        """Steps of the sleep after task number ``task`` (from 0)."""
        if self.lengths is not None:
            return self.lengths[min(task, len(self.lengths) - 1)]
        return round(self.steps * (1 + self.growth * task))

    def sleeps_after(self, task: int, tasks: int) -> bool:
        """Whether there is a sleep after task number ``task`` (from 0) of ``tasks``."""
        return self.after is None or task + 1 in self.after or task - tasks in self.after

    def drive(self, mean: NDArray[np.float64], shape: tuple[int, ...], *, dt: float = 0.001) -> MeanDrive:
        """The drive of a sleep on images of ``shape``, whose mean is ``mean``; refuses a window that does not fit."""
        image_shape = (int(shape[0]), int(shape[1])) if len(shape) == 2 else None
        return MeanDrive(mean, self.max_rate, self.window, image_shape, self.process, dt)


def one_night(
    settings: SleepSettings,
    model: nn.Module,
    images: Tensor,
    mean: NDArray[np.float64],
    shape: tuple[int, ...],
    *,
    task: int,
    seed: int,
    engine: str = "event",
    record: Record | None = None,
    progress: Callable[[int], None] = lambda done: None,
    watch: Callable[[Moment], None] | None = None,
) -> Night:
    """Convert ``model``, which stays as it is, and let it sleep as after task number ``task`` (from 0).

    On a chip, if the settings name one; the night's network is then the converted one with the weights read from there.

    ``images`` ``[n, inputs]`` scale its layers; ``mean`` ``[inputs]``, of images of ``shape``, drives it.
    """
    s = settings
    network = convert(
        model,
        images,
        recipe=s.recipe,
        alpha_scale=s.alpha_scale,
        thresholds=s.thresholds,
        decay=s.decay,
        compare=s.compare,
        feedback=s.feedback,
        gamma=s.gamma,
        symmetric_rule=s.symmetric_rule,
        bias_drive=s.bias_drive,
    )
    drive = s.drive(mean, shape, dt=network.dt)
    if s.rates is not None:
        network = thresholds_for_rates(network, drive, s.rates, seed=seed, strict=False)
    chip = s.profile is not None
    asleep: SpikingNetwork = network
    if s.profile is not None:
        asleep, _ = map_to(network, s.profile, headroom=s.headroom)
    night = sleep(
        asleep,
        drive=drive,
        rule=s.on_chip(seed, task),
        steps=s.steps_after(task),
        engine="fixed" if chip else engine,
        record=record,
        seed=seed,
        task=task,
        spike_limit=s.spike_limit,
        progress=progress,
        watch=watch if watch is None or not chip else _as_host(watch, network, asleep, s.read_back == "changes"),
    )
    if isinstance(night.network, MappedNetwork) and isinstance(asleep, MappedNetwork):
        read = from_chip(night.network, network, before=asleep if s.read_back == "changes" else None)
        night = dataclasses.replace(night, network=network if night.status == "diverged" else read)
    return night


def _as_host(
    watch: Callable[[Moment], None], network: SpikingNetwork, asleep: SpikingNetwork, changes: bool
) -> Callable[[Moment], None]:
    """What watches a night on a chip sees the host's network, with the weights that it would read at that moment."""

    def seen(moment: Moment) -> None:
        def read() -> SpikingNetwork:
            present = moment.network()
            assert isinstance(present, MappedNetwork) and isinstance(asleep, MappedNetwork)
            return from_chip(present, network, before=asleep if changes else None)

        watch(dataclasses.replace(moment, network=read))

    return seen


class SRC(Strategy):
    """Sleep after each task (Tadros et al. 2022, doi:10.1038/s41467-022-34938-7)."""

    name: ClassVar[str] = "src"
    sleeps = True

    def __init__(
        self,
        settings: SleepSettings,
        *,
        engine: str = "event",
        record: Record | None = None,
        progress: Callable[[int, int], None] = lambda done, steps: None,
        watch: Callable[[Learner, Moment], None] | None = None,
    ) -> None:
        self.settings, self.engine, self.watch = settings, engine, watch
        self.record = record or Record()
        self.progress = progress
        self.reads_old_data = settings.scale_data == "seen" or settings.statistics == "first"

    def after_training_exp(self, learner: Learner) -> None:
        """Convert, sleep, wake; a night that diverges leaves the awake weights as they are."""
        s = self.settings
        if not s.sleeps_after(learner.task, len(learner.tasks)):
            return
        first = 0 if s.scale_data == "seen" else learner.task
        seen = learner.tasks[:1] if s.statistics == "first" else learner.tasks[first : learner.task + 1]
        images = np.concatenate([task.pool_images for task in seen])
        mean = learner.mean
        if s.statistics == "first":
            mean = RunningMean()
            mean.update(images)
        steps = s.steps_after(learner.task)
        # A run has hundreds of nights, and what a single one would warn of belongs into its record.
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", NeurosleepWarning)
            night = one_night(
                s,
                learner.network,
                torch.from_numpy(to_float(images)),
                mean.mean,
                images.shape[1:],
                task=learner.task,
                seed=learner.seed,
                engine=self.engine,
                record=self.record,
                progress=lambda done: self.progress(done, steps),
                watch=None if self.watch is None else partial(self.watch, learner),
            )
            if night.status == "done":
                newest = to_float(evenly(learner.tasks[learner.task].train_images))
                self._wake(learner, night, torch.from_numpy(newest))
        learner.night = night
        for one in said:
            if issubclass(one.category, NeurosleepWarning):
                learner.notes.append(str(one.message))
            else:
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)

    @staticmethod
    def _wake(learner: Learner, night: Night, newest: Tensor) -> None:
        network = learner.network
        before, was = [weight.detach().clone() for weight in network.weights], answers(network, newest)
        woken = wake(night.network, network)
        with torch.no_grad():
            for weight, slept in zip(network.weights, woken.weights, strict=True):
                weight.copy_(slept)
        warn_of_effect(night.fired, before, network.weights, was, answers(network, newest))
