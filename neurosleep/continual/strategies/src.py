"""Sleep Replay Consolidation: after each task the network sleeps, driven by noise around the mean input."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from functools import partial
from typing import ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurosleep.continual.strategies.base import AwakeNetwork, Learner, Strategy
from neurosleep.conversion import LAYER_RECIPES, convert, feedback_of, wake
from neurosleep.data import RunningMean, to_float
from neurosleep.errors import NeurosleepWarning, UnsupportedError
from neurosleep.functional import EngineRule, PlasticityRule, SRCRule
from neurosleep.hardware import MappedNetwork, Rounding, chip_rule, from_chip, map_to
from neurosleep.networks import MLP, FeedForwardNetwork
from neurosleep.replay import (
    Limits,
    Moment,
    Sleep,
    SleepResult,
    answers,
    evenly,
    sleep,
    thresholds_for_rates,
    warn_of_effect,
)
from neurosleep.spiking import Record, SpikingNetwork

__all__ = ["SRC", "one_sleep", "rule_of"]


def rule_of(settings: Sleep, seed: int = 0, task: int = 0) -> PlasticityRule | EngineRule:
    """The rule of a sleep, in the fixed-point arithmetic of the chip if there is one; refuses what that cannot do."""
    rule = settings.rem.rule
    if settings.profile is None:
        return rule
    rounding = cast("Rounding | None", settings.rounding)
    return chip_rule(settings.profile, cast(SRCRule, rule), rounding=rounding, seed=seed, task=task)


def one_sleep(
    settings: Sleep,
    model: nn.Module,
    images: Tensor,
    mean: NDArray[np.float64],
    shape: tuple[int, ...],
    *,
    task: int,
    seed: int,
    engine: str = "event",
    device: str = "cpu",
    record: Record | None = None,
    progress: Callable[[int], None] = lambda done: None,
    watch: Callable[[Moment], None] | None = None,
) -> SleepResult:
    """Convert ``model``, which stays as it is, and let it sleep as after task number ``task`` (from 0).

    On a chip, if the settings name one; the sleep's network is then the converted one with the weights read from there.

    ``images`` ``[n, inputs]`` scale its layers; ``mean`` ``[inputs]``, of images of ``shape``, drives it.
    """
    s = settings
    network: SpikingNetwork = convert(
        model,
        images,
        recipe=LAYER_RECIPES[s.recipe](s.alpha_scale),
        thresholds=s.thresholds,
        decay=s.decay,
        compare=s.compare,
        feedback=feedback_of(s.feedback, s.gamma, s.symmetric_rule),
        bias_drive=s.bias_drive,
    )
    drive = s.rem.drive(mean, shape)
    if s.rates is not None:
        network = thresholds_for_rates(network, drive, s.rates, seed=seed, strict=False)
    chip = s.profile is not None
    sleeping: SpikingNetwork = network
    if s.profile is not None:
        sleeping = map_to(network, s.profile, headroom=1.0 if s.headroom is None else s.headroom)
    result = sleep(
        sleeping,
        drive=s.rem.noise(drive),
        rule=rule_of(s, seed, task),
        steps=s.rem.steps_after(task),
        engine="fixed" if chip else engine,
        device=device,
        record=record,
        seed=seed,
        task=task,
        limits=Limits(spikes=s.spike_limit),
        progress=progress,
        watch=watch if watch is None or not chip else _as_host(watch, network, sleeping, s.read_back == "changes"),
    )
    if isinstance(result.network, MappedNetwork) and isinstance(sleeping, MappedNetwork):
        read = from_chip(result.network, network, before=sleeping if s.read_back == "changes" else None)
        result = dataclasses.replace(result, network=network if result.status == "diverged" else read)
    return result


def _as_host(
    watch: Callable[[Moment], None], network: SpikingNetwork, sleeping: SpikingNetwork, changes: bool
) -> Callable[[Moment], None]:
    """What watches a sleep phase on a chip sees the host's network, with the weights that it would read then."""

    def seen(moment: Moment) -> None:
        def read() -> SpikingNetwork:
            present = moment.network()
            assert isinstance(present, MappedNetwork) and isinstance(sleeping, MappedNetwork)
            return from_chip(present, network, before=sleeping if changes else None)

        watch(dataclasses.replace(moment, network=read))

    return seen


class SRC(Strategy):
    """Sleep after each task (Tadros et al. 2022, doi:10.1038/s41467-022-34938-7).

    See Also
    --------
    neurosleep.replay.Sleep : its settings
    neurosleep.consolidate : one sleep of any trained network
    learn_tasks : runs one

    Examples
    --------
    >>> from neurosleep.continual import SRC
    >>> from neurosleep.replay import Sleep
    >>> SRC(Sleep.src2022(), engine="event").sleeps
    True
    """

    name: ClassVar[str] = "src"
    needs_boundaries = True
    sleeps = True

    def __init__(
        self,
        settings: Sleep,
        *,
        engine: str = "event",
        device: str = "cpu",
        record: Record | None = None,
        progress: Callable[[int, int], None] = lambda done, steps: None,
        watch: Callable[[Learner, Moment], None] | None = None,
    ) -> None:
        rule_of(settings)  # refuses what the chip cannot do, before anything is learnt
        self.settings, self.engine, self.device, self.watch = settings, engine, device, watch
        self.record = record or Record()
        self.progress = progress
        self.reads_old_data = settings.reads_old_data

    def check_network(self, network: AwakeNetwork) -> None:
        """The published conversion knows fully connected layers without biases, and equilibrium networks."""
        if isinstance(network, FeedForwardNetwork) and (network.biases or not isinstance(network, MLP)):
            raise UnsupportedError(
                f"The strategy 'src' cannot convert a {type(network).__name__}"
                + (" with biases." if isinstance(network, MLP) else "."),
                expected="an MLP without biases (network.kind mlp, network.bias false)",
            )

    def after_training_exp(self, learner: Learner) -> None:
        """Convert, sleep, wake; a sleep phase that diverges leaves the awake weights as they are."""
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
        steps = s.rem.steps_after(learner.task)
        # A run has hundreds of sleep phases, and what a single one would warn of belongs into its record.
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", NeurosleepWarning)
            result = one_sleep(
                s,
                learner.network,
                torch.from_numpy(to_float(images)),
                mean.mean,
                images.shape[1:],
                task=learner.task,
                seed=learner.seed,
                engine=self.engine,
                device=self.device,
                record=self.record,
                progress=lambda done: self.progress(done, steps),
                watch=None if self.watch is None else partial(self.watch, learner),
            )
            if result.status == "done":
                newest = to_float(evenly(learner.tasks[learner.task].train_images))
                self._wake(learner, result, torch.from_numpy(newest))
        learner.sleep_result = result
        for one in said:
            if issubclass(one.category, NeurosleepWarning):
                learner.notes.append(str(one.message))
            else:
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)

    @staticmethod
    def _wake(learner: Learner, result: SleepResult, newest: Tensor) -> None:
        network = learner.network
        before, was = [weight.detach().clone() for weight in network.weights], answers(network, newest)
        woken = wake(result.network, network)
        with torch.no_grad():
            for weight, new in zip(network.weights, woken.weights, strict=True):
                weight.copy_(new)
        warn_of_effect(result.fired, before, network.weights, was, answers(network, newest))
