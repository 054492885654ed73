"""Sleep in Avalanche: a plugin that puts SRC into any of its strategies (extra ``avalanche``)."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from neurosleep.continual.strategies.src import one_sleep, rule_of
from neurosleep.conversion import sleeping_chain
from neurosleep.data import RunningMean
from neurosleep.errors import (
    ConversionError,
    DataError,
    NeurosleepWarning,
    SettingsError,
    UnsupportedError,
    missing_extra,
)
from neurosleep.networks import EquilibriumMLP
from neurosleep.replay import OWN_NETWORK, RATE, Sleep, SleepResult, answers, evenly, warn_of_biases, warn_of_effect
from neurosleep.spiking import Record, get_engine

try:
    from avalanche.core import SupervisedPlugin
    from avalanche.models import DynamicModule
    from avalanche.training import JointTraining
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "avalanche":
        raise  # it is there, and something that it needs is not
    raise missing_extra("avalanche-lib", "avalanche", "The sleep plugin") from error

__all__ = ["SleepPlugin"]

# What `consolidate` does if nothing else is asked for; no old image is at hand here, so that scales are of the newest.
_DEFAULTS: dict[str, Any] = {**OWN_NETWORK, "scale_data": "current"}


class SleepPlugin(SupervisedPlugin):
    """After each training experience the network of the strategy sleeps.

    Nothing is kept of past experiences but the running mean of their inputs. The weights after sleep are written into
    the parameters of ``strategy.model`` themselves: optimisers and other plugins keep what they refer to, momentum too.
    A sleep phase that diverges leaves the awake weights, with a warning.

    The published network has no biases. Where a model has some, they neither drive the sleep nor change in it, with a
    warning: the classes learnt last are favoured by their biases still, and sleep may then cost more than it brings.

    Parameters
    ----------
    settings:
        As of the strategy ``src``. None: those of :func:`~neurosleep.replay.consolidate`; each sleep is longer than
        the one before by a third of the first. Without thresholds and rates, thresholds are found for 2e-5 spikes per
        unit and step, which is little for small layers: rates are the first setting to search. Old images cannot be
        read: ``scale_data`` is ``"current"`` and ``statistics`` is ``"seen"``.
    seed:
        Of the noise; sleep after experience k of this plugin has the stream (seed, k).
    engine, record:
        As in :func:`~neurosleep.replay.sleep`.
    image_shape:
        Height and width of the inputs, for a ``window``; None: that of the inputs, axes of one entry left out.
    **changes:
        Any of the settings by its name, in place of that in ``settings``.

    Attributes
    ----------
    mean:
        Running mean of the inputs of all experiences.
    experiences:
        How many were learnt.
    result:
        What came of the newest sleep, if any.

    Raises
    ------
    ConversionError
        Before an experience is learnt, by the name of the layer: if the model is no chain of ``Linear`` layers with
        ``ReLU`` between them (:func:`~neurosleep.conversion.sleeping_chain`), or one of them is frozen.
    DataError, SettingsError, UnsupportedError
        Before an experience is learnt: if its inputs are negative in the mean, the settings do not fit the network, or
        the strategy is joint training.

    Warns
    -----
    NeurosleepWarning
        If the model has biases, a sleep phase diverges, does nothing, or changes more than 5 % of the answers to the
        newest experience; if ``after`` names experiences that do not come; if a rate cannot be reached, or the inputs
        are above 1 in the mean.

    Notes
    -----
    Plugins act in the order in which a strategy has them, and the strategy's own come last: EWC, for instance, then
    anchors the weights after sleep. Evaluations within the last epoch come before sleep, ``strategy.eval`` after it.
    "Experience" is what the strategy trains on at once: a part of one, in an online stream.

    References
    ----------
    Tadros et al. (2022), doi:10.1038/s41467-022-34938-7. Avalanche: Lomonaco et al. (2021), arXiv:2104.00405.
    """

    def __init__(
        self,
        settings: Sleep | None = None,
        *,
        seed: int = 0,
        engine: str = "event",
        record: Record | None = None,
        image_shape: tuple[int, int] | None = None,
        **changes: Any,
    ) -> None:
        super().__init__()
        self.settings = _settings(settings, changes)
        get_engine(engine)
        self.seed, self.engine, self.record, self.image_shape = seed, engine, record, image_shape
        self.mean = RunningMean()
        self.experiences = 0
        self.result: SleepResult | None = None
        self._next_mean = self.mean

    def before_training_exp(self, strategy: Any, *, num_workers: int = 0, **_: Any) -> None:
        """Take the mean of the new inputs, and refuse now what could not sleep later."""
        if isinstance(strategy, JointTraining):
            raise UnsupportedError(
                "JointTraining shows a plugin the first of its experiences only, so that the mean input is not known.",
                expected="a strategy that learns one experience after another, such as Naive or Cumulative",
            )
        # The mean counts once the experience has been learnt: training that was broken off may be tried again.
        self._next_mean = RunningMean.from_state(self.mean.state_dict())
        example = torch.empty(0)
        for example in _inputs(strategy, num_workers):
            self._next_mean.update(example.numpy())
        _refuse_dynamic(strategy.model)
        chain, weights = sleeping_chain(strategy.model, example.to(strategy.device))
        _refuse_frozen(strategy.model, weights)
        if self.experiences == 0 and not isinstance(chain, EquilibriumMLP):
            warn_of_biases(strategy.model, weights)
        mean = self._next_mean.mean
        if (mean < 0).any():
            raise DataError(
                "The inputs are negative in the mean, and sleep's input neurons fire at rates as large as that mean.",
                found=f"{float(mean.min()):.3g}",
                expected="inputs whose mean is 0 or more everywhere, such as intensities from 0 to 1",
                hint="leave Normalize out of the transformations of the benchmark",
            )
        self._resolved(len(weights)).rem.drive(mean, self._shape(example))
        self._warn_of_no_sleep(strategy)

    def after_training_exp(self, strategy: Any, *, num_workers: int = 0, **_: Any) -> None:
        """Convert, sleep, wake."""
        self.mean, task = self._next_mean, self.experiences
        self.experiences += 1
        if not self.settings.sleeps_after(task, self._stream_length(strategy)):
            return
        images = torch.cat([*_inputs(strategy, num_workers)])
        chain, weights = sleeping_chain(strategy.model, images[:2].to(strategy.device))
        self.result = one_sleep(
            self._resolved(len(weights)),
            copy.deepcopy(chain).cpu(),
            images.flatten(1),
            self.mean.mean,
            self._shape(images),
            task=task,
            seed=self.seed,
            engine=self.engine,
            record=self.record,
        )
        if self.result.divergence is not None:
            where = self.result.divergence
            warnings.warn(
                f"The sleep after experience {task + 1} diverged: {where}; the awake weights stay.",
                NeurosleepWarning,
                stacklevel=1,
            )
            return
        newest = evenly(images)
        was, before = answers(strategy.model, newest), [weight.detach().clone() for weight in weights]
        with torch.no_grad():
            for weight, new in zip(weights, self.result.network.weights, strict=True):
                weight.copy_(new)
        warn_of_effect(self.result.fired, before, weights, was, answers(strategy.model, newest), stacklevel=1)

    def _resolved(self, layers: int) -> Sleep:
        """The settings with one threshold, and one rate if rates are aimed at, per layer."""
        s = self.settings
        aimed = s if s.thresholds or s.rates else s.changed(rates=[RATE] * layers)
        return (aimed if s.thresholds else aimed.changed(thresholds=None)).for_layers(layers)

    def _shape(self, images: Tensor) -> tuple[int, ...]:
        return self.image_shape or tuple(side for side in images.shape[1:] if side != 1)

    def _warn_of_no_sleep(self, strategy: Any) -> None:
        """Say before the first experience where none of those that sleep is to follow will come."""
        self._stream_length(strategy)
        after = self.settings.after
        if after is None or self.experiences:
            return
        try:
            length = len(strategy.experience.origin_stream)
        except (AssertionError, AttributeError, TypeError):  # one of unknown length
            return
        beyond = [number for number in after if abs(number) > length]
        if beyond:
            what = "the network never sleeps" if len(beyond) == len(after) else "there is no sleep after these"
            warnings.warn(
                f"sleep.after holds {', '.join(map(str, beyond))}, and the stream has {length} experiences: {what}.",
                NeurosleepWarning,
                stacklevel=1,
            )

    def _stream_length(self, strategy: Any) -> int:
        """How many experiences there are; asked for only where some are counted from the last."""
        if all(number > 0 for number in self.settings.after or ()):
            return self.experiences + 1
        try:
            return len(strategy.experience.origin_stream)
        except (AssertionError, TypeError) as error:  # it belongs to no stream, or to one of unknown length
            raise SettingsError(
                f"sleep.after is {[*(self.settings.after or ())]!r}, and how many experiences come is not known.",
                expected="experiences counted from the first",
            ) from error


def _settings(settings: Sleep | None, changes: dict[str, Any]) -> Sleep:
    changed = (Sleep.src2022(**_DEFAULTS) if settings is None else settings).changed(**changes)
    rule_of(changed)  # refuses what the chip cannot do
    if changed.scale_data != "current" or changed.statistics != "seen":
        raise UnsupportedError(
            "In Avalanche no images of past experiences are at hand.",
            found=f"scale_data={changed.scale_data!r}, statistics={changed.statistics!r}",
            expected="scale_data='current', statistics='seen'",
            hint="SleepPlugin(settings, scale_data='current', statistics='seen')",
        )
    return changed


def _inputs(strategy: Any, workers: int) -> Iterator[Tensor]:
    """The inputs of the experience as they are trained on, in file order and in parts, on the CPU.

    Training must not notice: random numbers that transformations or the loader draw are given back.
    """
    data = strategy.experience.dataset.train()
    state = torch.get_rng_state()
    try:
        loader = DataLoader(data, batch_size=1000, num_workers=workers, collate_fn=getattr(data, "collate_fn", None))
        for batch in loader:
            yield batch[0].detach().cpu()
    finally:
        torch.set_rng_state(state)


def _refuse_dynamic(model: nn.Module) -> None:
    for name, layer in model.named_modules():
        if isinstance(layer, DynamicModule):
            place = f"Layer {name!r}" if name else "The model"
            raise ConversionError(
                f"{place} ({type(layer).__name__}) grows with the classes or takes task labels, and does not sleep.",
                expected="a chain of Linear layers, the last with one unit for each class of all experiences",
            )


def _refuse_frozen(model: nn.Module, weights: list[nn.Parameter]) -> None:
    for name, parameter in model.named_parameters():
        if any(parameter is weight for weight in weights) and not parameter.requires_grad:
            raise ConversionError(
                f"The parameter {name!r} is frozen, and sleep changes the weights of all layers.",
                expected="requires_grad=True",
            )
