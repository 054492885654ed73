"""How a network sleeps, as one frozen value: what the strategy ``src``, the plugin and an experiment's file share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from neurosleep._checks import check_count, check_number
from neurosleep._shown import brief
from neurosleep.conversion import LAYER_RECIPES
from neurosleep.errors import SettingsError, unknown_name
from neurosleep.functional import Compare, MeanDrive, PlasticityRule, Process, SRCRule
from neurosleep.spiking import Population

__all__ = ["OWN_NETWORK", "RATE", "REM", "Numbers", "Sleep"]

#: What a network of one's own sleeps with where nothing else is asked for, by the keys of :meth:`Sleep.src2022`.
OWN_NETWORK: Mapping[str, float] = {"max_rate": 240.0, "steps": 5000}
#: Spikes per unit and step that thresholds are then found for, as in the hidden layers of the published network.
RATE = 2e-5

#: What a file gives for a list of numbers: whole ones stay whole, so that it is written back as it was.
Numbers: TypeAlias = tuple[int | float, ...]


def _check_whole(key: str, values: tuple[int, ...] | None, least: int | None = None) -> None:
    for value in values or ():
        if isinstance(value, bool) or not isinstance(value, int) or value == 0 or value < (least or value):
            raise SettingsError(f"sleep.{key} holds {value!r}.", expected="integers, tasks counted from 1")
    if values is not None and not values:
        raise SettingsError(f"sleep.{key} is empty.", expected="at least one integer")


@dataclass(frozen=True)
class REM:
    """The stage in which noise around the mean input drives the network, and a rule changes its weights.

    Parameters
    ----------
    rule:
        Plasticity rule; the published one if not given.
    steps, growth, lengths:
        Steps of the sleep after task k (from 1): ``steps * (1 + growth * (k - 1))``, or ``lengths[k - 1]`` if given.
    max_rate, window, process:
        The drive (:class:`~neurosleep.functional.MeanDrive`).

    See Also
    --------
    Sleep : the sleep that it is a stage of

    Examples
    --------
    >>> from neurosleep import SRCRule
    >>> from neurosleep.replay import REM
    >>> stage = REM(rule=SRCRule(inc=0.01, dec=0.001), steps=6000)
    >>> [stage.steps_after(task) for task in range(3)]
    [6000, 8000, 10000]
    """

    rule: PlasticityRule = field(default_factory=lambda: SRCRule(0.032, 0.0033))
    steps: int = 15000
    growth: float = 1 / 3
    lengths: tuple[int, ...] | None = None
    max_rate: float = 239.515363
    window: int | None = None
    process: Process = "bernoulli"

    __repr__ = brief

    def __post_init__(self) -> None:
        _check_whole("lengths", self.lengths, least=1)
        check_count("sleep.steps", self.steps)
        check_number("sleep.growth", self.growth, 0)
        check_number("sleep.max_rate, in Hz,", self.max_rate, 0)
        if self.window is not None:
            check_count("sleep.window, in pixels,", self.window)
        MeanDrive(np.zeros(1), self.max_rate, process=self.process)

    def steps_after(self, task: int) -> int:
        """Steps of the stage after task number ``task`` (from 0)."""
        if self.lengths is not None:
            return self.lengths[min(task, len(self.lengths) - 1)]
        return round(self.steps * (1 + self.growth * task))

    def drive(self, mean: NDArray[np.float64], shape: tuple[int, ...]) -> MeanDrive:
        """The drive on images of ``shape``, whose mean is ``mean``; refuses a window that does not fit."""
        image_shape = (int(shape[0]), int(shape[1])) if len(shape) == 2 else None
        return MeanDrive(mean, self.max_rate, self.window, image_shape, self.process)


@dataclass(frozen=True)
class Sleep:
    """How a network sleeps: its conversion, its stages, and the chip that it sleeps on.

    Parameters
    ----------
    stages:
        What a sleep consists of; one :class:`REM` so far.
    after:
        Numbers, from 1, of the tasks that are followed by sleep; negative ones count from the last. None: each.
    statistics:
        Whether mean input and maxima come from the tasks ``"seen"`` so far, or from the ``"first"`` only.
    spike_limit:
        As in :func:`~neurosleep.replay.sleep`.
    thresholds:
        One per layer after the input; None: 1 for each.
    rates:
        Target firing probability per neuron and step, one per layer; thresholds are then found anew before each sleep,
        whatever the given ones (:func:`~neurosleep.replay.thresholds_for_rates`).
    recipe, alpha_scale, scale_data:
        Recipe of the conversion; its maxima over the images of all tasks so far (``"seen"``, as published) or of the
        newest only (``"current"``).
    decay, compare:
        Factor of the potential per step; comparison at the threshold, ``">="`` or ``">"``.
    profile, rounding, headroom:
        Name or file of the chip that the network sleeps on (None: none, in floating point), how it rounds changed
        weights (None: as the profile's learning engine does), and the room that the mapping leaves them
        (:func:`~neurosleep.map_to`, :func:`~neurosleep.hardware.chip_rule`; None: 1). The engine is then ``fixed``.
    read_back:
        Whether the host takes over the chip's ``"weights"`` (as None does), rounded as they are, or adds their
        ``"changes"`` to its own.
    feedback, gamma, symmetric_rule, bias_drive:
        Of networks whose weights serve both directions: whether layers feed back (``"delayed"``, by a step, through
        the transposed weight times gamma) or not (``"none"``), whether the rule also acts on the shared weight from
        above, and whether biases drive units in sleep (:func:`~neurosleep.conversion.convert`).

    See Also
    --------
    REM : its stage
    neurosleep.continual.SRC : the strategy that takes it

    Examples
    --------
    >>> from neurosleep.replay import REM, Sleep
    >>> Sleep(stages=(REM(steps=6000),), after=(-1,)).sleeps_after(4, 5)
    True
    """

    stages: tuple[REM, ...] = field(default_factory=lambda: (REM(),))
    after: tuple[int, ...] | None = None
    statistics: Literal["seen", "first"] = "seen"
    spike_limit: float | None = None
    thresholds: Numbers | None = None
    rates: Numbers | None = None
    recipe: Literal["recursive", "ratio"] = "recursive"
    alpha_scale: float = 1.0
    scale_data: Literal["seen", "current"] = "seen"
    decay: float = 0.999
    compare: Compare = ">="
    profile: str | None = None
    rounding: str | None = None
    headroom: float | None = None
    read_back: Literal["weights", "changes"] | None = None
    feedback: Literal["none", "delayed"] = "none"
    gamma: float = 1.0
    symmetric_rule: bool = False
    bias_drive: bool = False

    __repr__ = brief

    def __post_init__(self) -> None:
        if len(self.stages) != 1 or not isinstance(self.stages[0], REM):
            raise SettingsError(f"sleep.stages is {self.stages!r:.80}.", expected="one REM")
        self._check_choices()
        self._check_chip()
        self._check_numbers()
        # The rest is checked by the parts that use it: here already, not after the first task has been learnt.
        if self.recipe not in LAYER_RECIPES:
            raise unknown_name("recipe", str(self.recipe), LAYER_RECIPES)
        Population("output", "lif", (1,), decay=self.decay, compare=self.compare)

    def _check_choices(self) -> None:
        for key, choices in (
            ("read_back", (None, "weights", "changes")),
            ("statistics", ("seen", "first")),
            ("feedback", ("none", "delayed")),
            ("scale_data", ("seen", "current")),
        ):
            value = getattr(self, key)
            if value not in choices:
                raise SettingsError(
                    f"sleep.{key} is {value!r}.", expected=" or ".join(repr(one) for one in choices if one is not None)
                )

    def _check_chip(self) -> None:
        if self.headroom is not None:
            check_number("sleep.headroom", self.headroom, 1, 1 << 16)
        if self.profile is None and self.rounding is not None:
            raise SettingsError(f"sleep.rounding is {self.rounding!r}.", expected="sleep.profile with it")
        if self.profile is not None and self.feedback != "none":
            raise SettingsError(
                f"sleep.profile is {self.profile!r} with sleep.feedback {self.feedback!r}.",
                expected="sleep.feedback none: on a chip the transposed weights are copies, which do not learn with it",
                hint="sleep without sleep.profile, and map the network afterwards",
            )

    def _check_numbers(self) -> None:
        _check_whole("after", self.after)
        check_number("sleep.gamma", self.gamma, 0, 1)
        if self.gamma != 1 and self.feedback == "none":
            raise SettingsError(
                f"sleep.gamma is {self.gamma!r}, and nothing feeds back.",
                expected="1, or sleep.feedback delayed",
            )
        if self.symmetric_rule and self.feedback == "none":
            raise SettingsError(
                "sleep.symmetric_rule is true, and nothing feeds back.", expected="sleep.feedback delayed"
            )
        for key in ("thresholds", "rates"):
            if not isinstance(getattr(self, key), tuple | None):
                raise SettingsError(f"sleep.{key} is {getattr(self, key)!r:.60}.", expected="numbers, one per layer")
        for threshold in self.thresholds or ():
            check_number("A threshold of sleep.thresholds", threshold, 0)
        for rate in self.rates or ():
            if check_number("A target of sleep.rates, per neuron and step,", rate, 0, 1, above=0) == 1:
                raise SettingsError("sleep.rates holds 1.", expected="firing probabilities below 1, one per layer")
        if self.spike_limit is not None:
            check_number("sleep.spike_limit, per step,", self.spike_limit, above=0)
        check_number("sleep.alpha_scale", self.alpha_scale, above=0)

    @classmethod
    def src2022(cls, **flat: Any) -> Sleep:
        """The sleep of Sleep Replay Consolidation, from the keys of the stage and of the sleep side by side."""
        return cls().changed(**flat)

    def changed(self, **flat: Any) -> Sleep:
        """The same with other values, by the keys of :meth:`src2022`.

        Raises
        ------
        UnknownNameError
            If there is no such key.
        """
        of_stage, of_sleep = ({entry.name for entry in fields(part)} for part in (REM, Sleep))
        for key in flat:
            if key not in FLAT:
                raise unknown_name("setting of sleep", key, FLAT)
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in flat.items()
        }
        stage = replace(self.rem, **{key: value for key, value in values.items() if key in of_stage})
        return replace(self, stages=(stage,), **{key: value for key, value in values.items() if key in of_sleep})

    def flat(self) -> Mapping[str, object]:
        """What :meth:`src2022` makes this of, in the order of an experiment's file."""
        return {key: getattr(self if hasattr(self, key) else self.rem, key) for key in FLAT}

    @property
    def rem(self) -> REM:
        """The stage that there is."""
        return self.stages[0]

    @property
    def reads_old_data(self) -> bool:
        """Whether images of earlier tasks are needed."""
        return self.scale_data == "seen" or self.statistics == "first"

    def for_layers(self, layers: int) -> Sleep:
        """The same with a threshold for each of so many layers; refuses another number of thresholds or rates."""
        for key, values in (("thresholds", self.thresholds), ("rates", self.rates)):
            if values is not None and len(values) != layers:
                raise SettingsError(f"sleep.{key} has {len(values)} entries.", expected=f"{layers}, one per layer")
        return self if self.thresholds is not None else replace(self, thresholds=(1.0,) * layers)

    def sleeps_after(self, task: int, tasks: int) -> bool:
        """Whether there is a sleep after task number ``task`` (from 0) of ``tasks``."""
        return self.after is None or task + 1 in self.after or task - tasks in self.after


#: The keys of a flat table, in the order of an experiment's file.
FLAT = (
    *("after", "steps", "growth", "lengths", "statistics", "spike_limit", "max_rate", "window", "process"),
    *("thresholds", "rates", "recipe", "alpha_scale", "scale_data", "decay", "compare", "rule"),
    *("profile", "rounding", "headroom", "read_back", "feedback", "gamma", "symmetric_rule", "bias_drive"),
)
