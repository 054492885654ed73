"""Sleep in Avalanche: a plugin for any of its strategies (extra ``avalanche``)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from neurosleep._checks import check_unread
from neurosleep.continual._sleeping import Homeostatic, Published
from neurosleep.continual.naps import Napping, Naps
from neurosleep.data import RunningMean
from neurosleep.errors import ConversionError, NeurosleepWarning, SettingsError, UnsupportedError, missing_extra
from neurosleep.replay import OWN_NETWORK, REM, Consolidation, Consolidator, Guard, Sleep, SleepResult
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

# What a sleep of SRC has if nothing else is asked for; no old image is at hand here: scales are of the newest.
_DEFAULTS: dict[str, Any] = {**OWN_NETWORK, "scale_data": "current"}


class SleepPlugin(SupervisedPlugin):
    """After each training experience the network of the strategy sleeps.

    As :func:`neurosleep.consolidate`: one NREM stage, of any model that it takes. Nothing is kept of past experiences
    but statistics of their inputs (mean, spread, principal components), the classes seen, and the set points of the
    first sleep. The weights after
    sleep are written into the parameters of ``strategy.model`` themselves: optimisers and other plugins keep what they
    refer to, momentum too. A sleep that is declined or diverges leaves the model as it is, with a warning.

    Parameters
    ----------
    settings:
        How it sleeps; None: ``Sleep()``, or, with ``changes``, ``Sleep.src2022(...)`` of 5,000 steps at up to 240 Hz.
        A sleep of one REM stage is that of the strategy ``src``: of chains of ``Linear`` and ``ReLU``, biases left as
        they are; each sleep is longer than the one before by a third of the first. Old images cannot be read:
        ``scale_data`` is ``"current"`` and ``statistics`` is ``"seen"``.
    guard:
        Whether a sleep with an NREM stage is judged before it is kept, and by which :class:`~neurosleep.Guard`.
    every:
        Also a nap after every so many batches of an experience (:class:`~neurosleep.continual.Naps`); None: no naps.
    nap_damping:
        Share of the way to the target that a nap goes; above 0, at most 1.
    seed:
        Of the noise; sleep after experience k of this plugin has the stream (seed, k).
    engine, record:
        As in :func:`~neurosleep.consolidate`.
    image_shape:
        Of a REM stage alone: height and width of the inputs, for a ``window``; None: that of the inputs, axes of one
        entry left out.
    **changes:
        Any of the keys of :meth:`Sleep.src2022`, in place of that in ``settings``; ``after`` of any sleep.

    Attributes
    ----------
    keeper:
        What is kept of all experiences, with ``mean`` and ``count`` of the inputs.
    experiences:
        How many were learnt.
    result:
        What came of the newest sleep, if any.

    Raises
    ------
    ConversionError, UnsupportedError
        Before an experience is learnt: if nothing of the model can be regulated, it cannot be run, or the strategy is
        joint training. Of REM also, by the name of the layer: if the model is no chain of ``Linear`` layers with
        ``ReLU`` between them (:func:`~neurosleep.conversion.sleeping_chain`), grows, or a layer is frozen.
    DataError, SettingsError
        Before an experience is learnt: if its data cannot be read, or the settings do not fit the network; of one REM
        stage also if inputs are negative in the mean.

    Warns
    -----
    NeurosleepWarning
        If a sleep is declined, diverges or does nothing; if ``after`` names experiences that do not come. Of one REM
        stage also if the model has biases, more than 5 % of the answers to the newest experience change, a rate cannot
        be reached, or inputs are above 1 in the mean.

    Notes
    -----
    Plugins act in the order in which a strategy has them, and the strategy's own come last: EWC, for instance, then
    anchors the weights after sleep. Evaluations within the last epoch come before sleep, ``strategy.eval`` after it.
    "Experience" is what the strategy trains on at once: a part of one, in an online stream. Labels are the second entry
    of a batch. Avalanche's checkpoints hold the plugin with all that it keeps.

    See Also
    --------
    neurosleep.Consolidator : the same in a loop of one's own

    References
    ----------
    Of REM: Tadros et al. (2022), doi:10.1038/s41467-022-34938-7. Avalanche: Lomonaco et al. (2021), arXiv:2104.00405.
    """

    def __init__(
        self,
        settings: Sleep | None = None,
        *,
        guard: bool | Guard = True,
        every: int | None = None,
        nap_damping: float = 1.0,
        seed: int = 0,
        engine: str | None = None,
        record: Record | None = None,
        image_shape: tuple[int, int] | None = None,
        **changes: Any,
    ) -> None:
        super().__init__()
        self.settings = _settings(settings, changes)
        get_engine("event" if engine is None else engine)
        if every is None:
            check_unread("Without naps a plugin", {"nap_damping": (nap_damping, 1.0)}, "every=40 gives naps")
        napping = None if every is None else Napping(self.settings, Naps(every, nap_damping), guard, seed)
        self.experiences = 0
        self.result: Consolidation | SleepResult | None = None
        stages = self.settings.stages
        self._sleeper: Homeostatic | Published
        if len(stages) == 1 and isinstance(stages[0], REM) and self.settings.cycles == 1:
            check_unread("A sleep of one REM stage", {"guard": (guard, True)}, "an NREM stage is what it judges")
            self._sleeper = Published(self.settings, seed, engine, record, image_shape)
        else:
            unread = {"image_shape": (image_shape, None)}
            check_unread("A sleep with an NREM stage", unread, "inputs [n, height, width] have their shape")
            usual = settings is None and not changes
            self._sleeper = Homeostatic(None if usual else self.settings, guard, napping, seed, engine, record)

    @property
    def keeper(self) -> Consolidator | RunningMean:
        """What is kept of all experiences."""
        return self._sleeper.keeper

    def before_training_exp(self, strategy: Any, *, num_workers: int = 0, **_: Any) -> None:
        """Take in the new inputs, and refuse now what could not sleep later."""
        if isinstance(strategy, JointTraining):
            raise UnsupportedError(
                "JointTraining shows a plugin the first of its experiences only, so that the mean input is not known.",
                expected="a strategy that learns one experience after another, such as Naive or Cumulative",
            )
        if isinstance(self._sleeper, Published):
            _refuse_dynamic(strategy.model)
        self._sleeper.prepare(strategy.model, _batches(strategy, num_workers), first=self.experiences == 0)
        self._warn_of_no_sleep(strategy)

    def after_training_iteration(self, strategy: Any, **_: Any) -> None:
        """Take a nap if it is time."""
        self._sleeper.after_batch(strategy.model, strategy.mb_x, strategy.mb_y)

    def after_training_exp(self, strategy: Any, *, num_workers: int = 0, **_: Any) -> None:
        """Sleep, in place."""
        task = self.experiences
        self.experiences += 1
        sleeps = self.settings.sleeps_after(task, self._stream_length(strategy))
        result = self._sleeper.sleep(strategy.model, _batches(strategy, num_workers), task, sleeps)
        self.result = self.result if result is None else result

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
    if settings is None:
        settings = Sleep.src2022(**_DEFAULTS) if set(changes) - {"after"} else Sleep()
    after = changes.get("after", settings.after)
    others = {key: value for key, value in changes.items() if key != "after"}
    return replace(settings.changed(**others) if others else settings, after=None if after is None else tuple(after))


def _batches(strategy: Any, workers: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and labels of the experience as they are trained on, in file order and in parts, on the CPU.

    Training must not notice: random numbers that transformations or the loader draw are given back.
    """
    data = strategy.experience.dataset.train()
    state = torch.get_rng_state()
    try:
        loader = DataLoader(data, batch_size=1000, num_workers=workers, collate_fn=getattr(data, "collate_fn", None))
        for batch in loader:
            yield batch[0].detach().cpu(), batch[1].detach().cpu()
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
