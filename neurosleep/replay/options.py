"""How a network sleeps, as one frozen value: what the strategy ``src``, the plugin and an experiment's file share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias

from neurosleep._checks import check_count, check_number
from neurosleep._shown import brief
from neurosleep.conversion import LAYER_RECIPES
from neurosleep.errors import SettingsError, unknown_name
from neurosleep.functional import Compare
from neurosleep.replay.stages import NREM, REM, check_whole
from neurosleep.spiking import Population

__all__ = ["OWN_NETWORK", "RATE", "Numbers", "Sleep"]

#: What a network of one's own sleeps with where nothing else is asked for, by the keys of :meth:`Sleep.src2022`.
OWN_NETWORK: Mapping[str, float] = {"max_rate": 240.0, "steps": 5000}
#: Spikes per unit and step that thresholds are then found for, as in the hidden layers of the published network.
RATE = 2e-5

#: What a file gives for a list of numbers: whole ones stay whole, so that it is written back as it was.
Numbers: TypeAlias = tuple[int | float, ...]


@dataclass(frozen=True)
class Sleep:
    """How a network sleeps: its conversion, its stages, and the chip that it sleeps on.

    Parameters
    ----------
    stages, cycles:
        What a sleep consists of, :class:`NREM` and :class:`REM` in any order, and how often all of it is gone through.
        The settings below are read by REM stages.
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
    NREM, REM : its stages
    neurosleep.continual.SRC : the strategy that takes it

    Examples
    --------
    >>> from neurosleep.replay import REM, Sleep
    >>> Sleep(stages=(REM(steps=6000),), after=(-1,)).sleeps_after(4, 5)
    True
    """

    stages: tuple[NREM | REM, ...] = (NREM(),)
    cycles: int = 1
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
        stages = tuple(self.stages) if isinstance(self.stages, tuple | list) else ()
        if not stages or not all(isinstance(stage, NREM | REM) for stage in stages):
            raise SettingsError(
                f"sleep.stages is {self.stages!r:.80}.", expected="at least one stage, such as [NREM(), REM()]"
            )
        object.__setattr__(self, "stages", stages)
        check_count("sleep.cycles", self.cycles)
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
        if self.profile is not None and any(isinstance(stage, REM) and stage.streams > 1 for stage in self.stages):
            raise SettingsError(
                f"sleep.profile is {self.profile!r} with several streams of noise.",
                expected="sleep.streams 1 on a chip",
            )
        if self.profile is not None and self.feedback != "none":
            raise SettingsError(
                f"sleep.profile is {self.profile!r} with sleep.feedback {self.feedback!r}.",
                expected="sleep.feedback none: on a chip the transposed weights are copies, which do not learn with it",
                hint="sleep without sleep.profile, and map the network afterwards",
            )

    def _check_numbers(self) -> None:
        check_whole("sleep.after", self.after)
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
            if isinstance(getattr(self, key), list):
                object.__setattr__(self, key, tuple(getattr(self, key)))
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
        return cls(stages=(REM(),)).changed(**flat)

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
        if len(self.stages) != 1:
            raise SettingsError(f"A sleep of {len(self.stages)} stages has no flat settings.", expected="one REM stage")
        stage = replace(self.rem, **{key: value for key, value in values.items() if key in of_stage})
        return replace(self, stages=(stage,), **{key: value for key, value in values.items() if key in of_sleep})

    def flat(self) -> Mapping[str, object]:
        """What :meth:`src2022` makes this of, in the order of an experiment's file."""
        return {key: getattr(self if hasattr(self, key) else self.rem, key) for key in FLAT}

    @property
    def rem(self) -> REM:
        """The first REM stage.

        Raises
        ------
        SettingsError
            If there is none.
        """
        for stage in self.stages:
            if isinstance(stage, REM):
                return stage
        raise SettingsError("The sleep has no REM stage.", found=repr(self.stages)[:80], expected="REM() among them")

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
    *("streams", "stream_updates"),
)
