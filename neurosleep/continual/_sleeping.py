"""How the Avalanche plugin lets a network sleep: as `consolidate` does, or as published; nothing of Avalanche here."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import TypeAlias

import torch
from torch import Tensor, nn

from neurosleep.continual.naps import Napping
from neurosleep.continual.strategies.src import one_sleep, rule_of
from neurosleep.conversion import sleeping_chain
from neurosleep.data import RunningMean
from neurosleep.errors import ConversionError, DataError, NeurosleepWarning, UnsupportedError
from neurosleep.networks import EquilibriumMLP
from neurosleep.replay import (
    RATE,
    Consolidation,
    Consolidator,
    Guard,
    Sleep,
    SleepResult,
    answers,
    evenly,
    warn_of_biases,
    warn_of_effect,
)
from neurosleep.replay.consolidate_checks import check_spiking
from neurosleep.replay.guard import check_guard
from neurosleep.spiking import Record

__all__ = ["Batches", "Homeostatic", "Published"]

#: Inputs ``[n, ...]`` of an experience and their labels ``[n]``, in file order and in parts.
Batches: TypeAlias = Iterable[tuple[Tensor, Tensor]]


class Homeostatic:
    """Sleep as of :class:`~neurosleep.Consolidator`, of any model that it takes.

    What is observed counts once the experience has been learnt: training that was broken off may be tried again.
    """

    def __init__(
        self,
        settings: Sleep | None,
        guard: bool | Guard,
        napping: Napping | None,
        seed: int,
        engine: str | None,
        record: Record | None,
    ) -> None:
        check_guard(guard)
        # Before anything is learnt, not after the first experience.
        check_spiking(Sleep() if settings is None else settings, engine, record)
        # When there is a sleep is for the plugin to say.
        self.settings = None if settings is None else replace(settings, after=None)
        self.guard, self.napping, self.seed, self.engine, self.record = guard, napping, seed, engine, record
        self.keeper = self._next = Consolidator()

    def prepare(self, model: nn.Module, batches: Batches, first: bool) -> None:
        """Observe an experience before it is learnt, and refuse what could not sleep after it."""
        self._next = self.keeper.copy()
        for inputs, labels in batches:
            self._next.observe(inputs, labels)
        self._next.check(model, sleep=self.settings, guard=self.guard, engine=self.engine)
        if self.napping is not None:
            self.napping.start(self.keeper, self._next.count - self.keeper.count)

    def after_batch(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> None:
        """Take a nap if it is time."""
        if self.napping is not None:
            self.napping.after_batch(model, inputs, labels)

    def sleep(self, model: nn.Module, batches: Batches, task: int, sleeps: bool) -> Consolidation | None:
        """After an experience: sleep, in place, or close it without."""
        self.keeper = self._next
        if not sleeps:
            self.keeper.close_task()
            return None
        result = self.keeper.consolidate(
            model, sleep=self.settings, guard=self.guard, engine=self.engine, record=self.record, seed=self.seed
        )
        if result.status == "done":
            result.apply_to(model)
        return result


class Published:
    """One REM stage as of the strategy ``src``, of a chain of layers; biases are left as they are."""

    def __init__(
        self, settings: Sleep, seed: int, engine: str | None, record: Record | None, image_shape: tuple[int, int] | None
    ) -> None:
        rule_of(settings)  # refuses what the chip cannot do
        if settings.scale_data != "current" or settings.statistics != "seen":
            raise UnsupportedError(
                "In Avalanche no images of past experiences are at hand.",
                found=f"scale_data={settings.scale_data!r}, statistics={settings.statistics!r}",
                expected="scale_data='current', statistics='seen'",
                hint="SleepPlugin(settings, scale_data='current', statistics='seen')",
            )
        self.settings, self.seed, self.engine, self.record = settings, seed, engine or "event", record
        self.image_shape = image_shape
        self.keeper = self._next = RunningMean()

    def prepare(self, model: nn.Module, batches: Batches, first: bool) -> None:
        """Take the mean of the new inputs, and refuse what could not sleep later."""
        # The mean counts once the experience has been learnt: training that was broken off may be tried again.
        self._next = RunningMean.from_state(self.keeper.state_dict())
        example = torch.empty(0)
        for example, _ in batches:
            self._next.update(example.numpy())
        chain, weights = sleeping_chain(model, example.to(next(model.parameters(), example).device))
        _refuse_frozen(model, weights)
        if first and not isinstance(chain, EquilibriumMLP):
            warn_of_biases(model, weights)
        mean = self._next.mean
        if (mean < 0).any():
            raise DataError(
                "The inputs are negative in the mean, and sleep's input neurons fire at rates as large as that mean.",
                found=f"{float(mean.min()):.3g}",
                expected="inputs whose mean is 0 or more everywhere, such as intensities from 0 to 1",
                hint="leave Normalize out of the transformations of the benchmark, or sleep in NREM: SleepPlugin()",
            )
        self._resolved(len(weights)).rem.drive(mean, self._shape(example))

    def after_batch(self, model: nn.Module, inputs: Tensor, labels: Tensor) -> None:
        """There are no naps."""

    def sleep(self, model: nn.Module, batches: Batches, task: int, sleeps: bool) -> SleepResult | None:
        """Convert, sleep, wake."""
        self.keeper = self._next
        if not sleeps:
            return None
        images = torch.cat([inputs for inputs, _ in batches])
        chain, weights = sleeping_chain(model, images[:2].to(next(model.parameters(), images).device))
        result = one_sleep(
            self._resolved(len(weights)),
            copy.deepcopy(chain).cpu(),
            images.flatten(1),
            self.keeper.mean,
            self._shape(images),
            task=task,
            seed=self.seed,
            engine=self.engine,
            record=self.record,
        )
        if result.divergence is not None:
            warnings.warn(
                f"The sleep after experience {task + 1} diverged: {result.divergence}; the awake weights stay.",
                NeurosleepWarning,
                stacklevel=1,
            )
            return result
        newest = evenly(images)
        was, before = answers(model, newest), [weight.detach().clone() for weight in weights]
        with torch.no_grad():
            for weight, new in zip(weights, result.network.weights, strict=True):
                weight.copy_(new)
        warn_of_effect(result.fired, before, weights, was, answers(model, newest), stacklevel=1)
        return result

    def _resolved(self, layers: int) -> Sleep:
        """The settings with one threshold, and one rate if rates are aimed at, per layer."""
        s = self.settings
        aimed = s if s.thresholds or s.rates else s.changed(rates=[RATE] * layers)
        return (aimed if s.thresholds else aimed.changed(thresholds=None)).for_layers(layers)

    def _shape(self, images: Tensor) -> tuple[int, ...]:
        return self.image_shape or tuple(side for side in images.shape[1:] if side != 1)


def _refuse_frozen(model: nn.Module, weights: list[nn.Parameter]) -> None:
    for name, parameter in model.named_parameters():
        if any(parameter is weight for weight in weights) and not parameter.requires_grad:
            raise ConversionError(
                f"The parameter {name!r} is frozen, and sleep changes the weights of all layers.",
                expected="requires_grad=True",
            )
