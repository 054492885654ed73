"""The settings of an experiment as frozen values: each setting, its type and its default stand here, once.

The fields of a class are the keys of its table in a TOML file (:mod:`neurosleep.experiments.reading`), in the order in
which they are written. The kinds ``mlp`` and ``backprop`` are not named in a file, nor is what chips are asked for
where there are none, so that files stay what they were before there were others.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from inspect import signature
from typing import Any, Literal, TypeAlias

from neurosleep._checks import check_count
from neurosleep.continual import STRATEGIES, AwakeNetwork, HomeostaticSleep, Learning, Naps
from neurosleep.data import Noise
from neurosleep.errors import SettingsError
from neurosleep.experiments.later import later, later_defaults
from neurosleep.experiments.networks import Convolutional, FeedForward, FeedForwardConv, Network
from neurosleep.experiments.usual import PLAIN
from neurosleep.experiments.wakes import LEARNS_BY, WAKE_ORDER, BackpropWake, Wake, Whole
from neurosleep.functional import PlasticityRule, make_rule
from neurosleep.functional.homeostasis import MeanBy, Target
from neurosleep.hardware import WayName
from neurosleep.replay import REM, PageHinkley, Sleep
from neurosleep.replay.options import Numbers
from neurosleep.replay.stages import Form

__all__ = ["BOTH_WAYS", "Chips", "Experiment", "Rule", "Table"]

#: A table of a TOML file.
Table: TypeAlias = dict[str, Any]

#: Settings of sleep that only networks have whose weights serve both directions.
BOTH_WAYS = ("feedback", "gamma", "symmetric_rule", "bias_drive")


@dataclass(frozen=True)
class Data:
    """What is learnt, in which order, and what it is evaluated on."""

    name: str = "mnist"
    sequence: tuple[str, ...] | None = None
    tasks: tuple[Whole, ...] | None = None
    classes_per_task: int = 2
    order: Literal["label", "random"] = "label"
    images_per_task: int | None = None
    split: Literal["test", "validation"] = "test"
    evaluate: Literal["test", "train"] = "test"
    control: Literal["sequence", "last"] = "sequence"
    scale: Literal["none", "maximum", "maximum-of-each", "standard"] = "none"
    deviations: float | None = None
    width: int = 10
    overlap: int = 12
    permutations: int | None = None
    standardise: bool = later(False)
    images_per_class: int | None = None
    class_shares: Numbers | None = None
    noise: Noise | None = None
    noise_strength: float | None = None
    blur: float | None = later(None)
    parts: int | None = later(None)
    tests_per_task: int | None = later(None)
    test_each_epoch: bool = later(False)

    def __post_init__(self) -> None:
        if self.permutations is not None and (self.permutations < 1 or self.sequence is not None):
            raise SettingsError(
                f"data.permutations is {self.permutations!r}.", expected="at least 1, and without data.sequence"
            )
        if self.standardise and self.scale == "standard":
            raise SettingsError(
                'data.standardise is true and data.scale is "standard".',
                expected="one of them: mean and spread of the first task, or of all training data",
            )
        if self.images_per_task is not None and (self.images_per_class is not None or self.class_shares is not None):
            raise SettingsError(
                f"data.images_per_task is {self.images_per_task!r}, beside a number or share of images of each class.",
                expected="one of them",
                hint="--set data.images_per_task=none",
            )
        if (self.noise is None) != (self.noise_strength is None):
            raise SettingsError(
                f"data.noise is {self.noise!r} and data.noise_strength {self.noise_strength!r}.",
                expected="both, or neither",
            )
        if (self.blur is None) != (self.parts is None):
            raise SettingsError(
                f"data.blur is {self.blur!r} and data.parts {self.parts!r}.", expected="both, or neither"
            )
        for key in ("sequence", "permutations", "images_per_task", "class_shares", "images_per_class"):
            if self.blur is not None and getattr(self, key) is not None:
                raise SettingsError(f"data.blur and data.{key} are both given.", expected="one of them")
        if self.deviations is not None and self.scale != "standard":
            raise SettingsError(f"data.deviations is {self.deviations!r}.", expected="data.scale standard with it")
        if self.classes_per_task < 1:
            raise SettingsError(f"data.classes_per_task is {self.classes_per_task!r}.", expected="at least 1")
        if not all(self.tasks or ()):
            raise SettingsError("data.tasks holds [].", expected="lists of integers")


# --- strategies, sleep, chips -----------------------------------------------------------------------------------------


# Options of strategies, whose defaults stand where the strategies are made, and nowhere else.
_OPTIONS = {name: signature(STRATEGIES[name]).parameters for name in ("ewc", "si", "owm", "lwf", "rehearsal", "icarl")}
_FORM, _DRAWS, _TARGET, _DAMPING, _LIMIT, _MEAN_BY, _FRAMES, _UP, _DOWN, _GUARD, _DOWNSCALE, _COMPONENTS = (
    signature(HomeostaticSleep).parameters[key].default
    for key in (
        "form",
        "draws",
        "target",
        "damping",
        "limit",
        "mean_by",
        "frames",
        "up",
        "down",
        "guard",
        "downscale",
        "components",
    )
)


_WINDOW = PageHinkley().window


@dataclass(frozen=True)
class Joint:
    """Epochs of joint training, where they are others."""

    epochs: int | None = None


@dataclass(frozen=True)
class EWC:
    """Options of :class:`~neurosleep.continual.EWC`."""

    strength: float = _OPTIONS["ewc"]["strength"].default
    mode: str = _OPTIONS["ewc"]["mode"].default
    gamma: float = _OPTIONS["ewc"]["gamma"].default
    fisher: str = _OPTIONS["ewc"]["fisher"].default


@dataclass(frozen=True)
class SI:
    """Options of :class:`~neurosleep.continual.SI`."""

    strength: float = _OPTIONS["si"]["strength"].default
    damping: float = _OPTIONS["si"]["damping"].default


@dataclass(frozen=True)
class OWM:
    """Options of :class:`~neurosleep.continual.OWM`."""

    alpha: Numbers = _OPTIONS["owm"]["alpha"].default
    decay: Numbers = _OPTIONS["owm"]["decay"].default
    clip: float = _OPTIONS["owm"]["clip"].default


@dataclass(frozen=True)
class LwF:
    """Options of :class:`~neurosleep.continual.LwF`."""

    strength: float = _OPTIONS["lwf"]["strength"].default
    temperature: float = _OPTIONS["lwf"]["temperature"].default


@dataclass(frozen=True)
class Rehearsal:
    """Options of :class:`~neurosleep.continual.Rehearsal`."""

    fraction: float = _OPTIONS["rehearsal"]["fraction"].default
    multiple: int = _OPTIONS["rehearsal"]["multiple"].default
    stored: int | None = _OPTIONS["rehearsal"]["stored"].default


@dataclass(frozen=True)
class ICaRL:
    """Options of :class:`~neurosleep.continual.ICaRL`."""

    k: int = _OPTIONS["icarl"]["k"].default
    herding: bool = _OPTIONS["icarl"]["herding"].default
    distillation: bool = _OPTIONS["icarl"]["distillation"].default
    faithful: bool = _OPTIONS["icarl"]["faithful"].default


@dataclass(frozen=True)
class NREM:
    """Options of the strategy ``sleep`` (:class:`~neurosleep.continual.HomeostaticSleep`)."""

    form: Form = later(_FORM)
    draws: int = later(_DRAWS)
    target: Target = later(_TARGET)
    damping: float = later(_DAMPING)
    limit: float = later(_LIMIT)
    mean_by: MeanBy = later(_MEAN_BY)
    frames: int = later(_FRAMES)
    up: int = later(_UP)
    down: int = later(_DOWN)
    after: Whole | None = None
    guard: bool = later(_GUARD)
    every_batches: int | None = None
    nap_damping: float = later(1.0)
    profile: str | None = later(None)
    way: WayName | None = later(None)
    downscale: float = later(_DOWNSCALE)
    components: int = later(_COMPONENTS)
    every_samples: int | None = later(None)
    drift: float | None = later(None)
    drift_window: int = later(_WINDOW)

    @property
    def task_free(self) -> str | None:
        """The setting by which sleep goes without tasks, as a sentence has it; None: after tasks."""
        if self.every_samples is not None:
            return f"nrem.every_samples is {self.every_samples}"
        return None if self.drift is None else f"nrem.drift is {self.drift:g}"

    @property
    def options(self) -> Table:
        """What the strategy is made with."""
        options = dict(vars(self))
        threshold, window = options["drift"], options.pop("drift_window")
        if threshold is not None:
            if not threshold > 0:
                raise SettingsError(f"nrem.drift is {threshold!r}.", expected="a number above 0")
            options["drift"] = PageHinkley(threshold, window=check_count("nrem.drift_window", window))
        elif window != _WINDOW:
            raise SettingsError("nrem.drift_window is given, and no drift is looked for.", expected="nrem.drift too")
        if self.every_samples is not None:
            check_count("nrem.every_samples", self.every_samples)
            if threshold is not None:
                raise SettingsError(
                    f"nrem.every_samples is {self.every_samples}, and nrem.drift {threshold:g}.",
                    expected="one of them: a sleep after so many samples, or where the stream drifts",
                )
        unread = [f"nrem.{key}" for key in ("after", "every_batches", "profile") if vars(self)[key] is not None]
        if self.task_free and unread:
            raise SettingsError(
                f"{self.task_free}, and {unread[0]} is given, which asks where a task ends.", expected="one of them"
            )
        every, damping = options.pop("every_batches"), options.pop("nap_damping")
        if every is None and damping != 1:
            raise SettingsError("nrem.nap_damping is given, and there are no naps.", expected="nrem.every_batches too")
        return options if every is None else options | {"naps": Naps(every, damping)}


@dataclass(frozen=True)
class Rule:
    """A plasticity rule as a file gives it, and is written back: its name and parameters, without others' defaults.

    What is not given of the rule ``src`` is as in :class:`~neurosleep.replay.REM`.
    """

    given: tuple[tuple[str, int | float | str], ...] = (("name", "src"),)

    def make(self) -> PlasticityRule:
        """The rule; refuses a missing or unknown parameter."""
        usual, options = Sleep.src2022().rem.rule, dict(self.given)
        parameters: Table = vars(usual) | options if options["name"] == usual.name else options
        return make_rule(**parameters)


@dataclass(frozen=True)
class Chips:
    """What chips are asked for (:class:`~neurosleep.experiments.run.deployment.Deployment`); None: the usual."""

    profiles: tuple[str, ...] | None = None
    images: int | None = None
    steps: int | None = None
    recipe: str | None = None
    allow_split: bool | None = None


@dataclass(frozen=True)
class Experiment:
    """All settings of a run."""

    engine: str = "event"
    device: str = later("cpu")
    record: Literal["counts", "all"] = "counts"
    analyse: bool = False
    faithful: bool = False
    order: Literal["sleep-first", "sleep-last"] = "sleep-first"
    note: str | None = None
    data: Data = field(default_factory=Data)
    network: Network = field(default_factory=FeedForward)
    wake: Wake = field(default_factory=BackpropWake)
    joint: Joint = field(default_factory=Joint)
    ewc: EWC = field(default_factory=EWC)
    si: SI = field(default_factory=SI)
    owm: OWM = field(default_factory=OWM)
    lwf: LwF = field(default_factory=LwF)
    rehearsal: Rehearsal = field(default_factory=Rehearsal)
    icarl: ICaRL = field(default_factory=ICaRL)
    sleep: Sleep = field(default_factory=Sleep.src2022)
    nrem: NREM = field(default_factory=NREM)
    hardware: Chips = field(default_factory=Chips)
    rule: Rule = field(default_factory=Rule)

    @property
    def stepping(self) -> str:
        """The engine that steps sleep under a rule: on a CUDA device another than the usual one of the CPU."""
        on_gpu = self.device.startswith("cuda") and self.engine == Experiment.engine
        return "torch" if on_gpu else self.engine

    def __post_init__(self) -> None:
        if self.wake.kind not in LEARNS_BY[self.network.kind]:
            raise SettingsError(
                f"wake.kind is {self.wake.kind!r}, by which a network of kind {self.network.kind!r} cannot learn.",
                expected=" or ".join(LEARNS_BY[self.network.kind]),
            )
        if self.wake.frozen_in(1) and self.data.control == "last":
            raise SettingsError(
                "wake.freeze_after_first is given, and data.control last learns the last task alone.",
                expected="one of them: layers would be frozen that have not learnt",
            )
        if self.wake.lr_per_layer is not None and self.wake.lr_per_task is not None:
            raise SettingsError("wake.lr_per_layer and wake.lr_per_task are both given.", expected="one of them")
        for key in ("lr_per_layer", "lr_per_task", "epochs_per_task"):
            if getattr(self.wake, key) == ():
                raise SettingsError(f"wake.{key} is empty.", expected="a list of numbers")

    @property
    def layers(self) -> int:
        """Layers after the input."""
        return len(self.network.sizes) - 1

    def small_network(self) -> AwakeNetwork:
        """A network as it is, but of few units: enough to find an option that makes no sense."""
        if isinstance(self.network, Convolutional | FeedForwardConv):
            return self.network.make(self.wake)
        return replace(self.network, sizes=(2,) * len(self.network.sizes)).make(self.wake)

    def options(self, strategy: str) -> Table:
        """What a strategy is made with."""
        if strategy == HomeostaticSleep.name:
            return self.nrem.options
        return dict(vars(getattr(self, strategy))) if strategy in _OPTIONS else {}

    def trainings(self, strategy: str, tasks: int = 1) -> list[Learning]:
        """The wake training of each task, tasks alike sharing one; joint training may have epochs of its own.

        Lists of values per task repeat their last entry where tasks are more.
        """
        wake, epochs = self.wake, self.wake.epochs_per_task
        if "joint" in strategy.split("+") and self.joint.epochs is not None:
            epochs = (self.joint.epochs,)
        rates = wake.lr_per_task or (wake.lr,)
        made: dict[tuple[float, int, tuple[str, ...]], Learning] = {}
        trainings = []
        for task in range(tasks):
            rate, often = (values[min(task, len(values) - 1)] for values in (rates, epochs or (wake.epochs,)))
            key = float(rate), int(often), wake.frozen_in(task)
            if key not in made:
                each = tuple(map(float, wake.lr_per_layer)) if wake.lr_per_layer is not None else key[0]
                made[key] = wake.make(each, key[1], task)
            trainings.append(made[key])
        return trainings

    def table(self) -> Table:
        """The settings as the tables of a TOML file, in its order; what is not set is None."""
        tables: Table = {}
        for name in (entry.name for entry in fields(self)):
            value = getattr(self, name)
            if name == "sleep":
                tables[name] = self._sleep_table()
            elif name == "wake":
                tables[name] = {key: _listed(getattr(value, key)) for key in WAKE_ORDER if hasattr(value, key)}
            elif name != "rule":
                tables[name] = _listed(vars(value)) if hasattr(value, "__dataclass_fields__") else value
        for name in ("data", "network", "wake", "nrem"):
            for key, default in later_defaults(type(getattr(self, name))).items():
                tables[name][key] = None if getattr(getattr(self, name), key) == default else tables[name][key]
        for key, default in later_defaults(Experiment).items():
            tables[key] = None if tables[key] == default else tables[key]
        for table, plain in zip(("network", "wake"), PLAIN, strict=True):
            tables[table]["kind"] = None if tables[table]["kind"] == plain else tables[table]["kind"]
        return tables

    def _sleep_table(self) -> Table:
        keys = self.sleep.flat().items()
        both_ways = self.network.kind == "equilibrium"
        table = {key: _listed(value) for key, value in keys if both_ways or key not in BOTH_WAYS}
        for key, default in later_defaults(REM).items():
            table[key] = None if table[key] == default else table[key]
        return table | {"rule": dict(self.rule.given)}


def _listed(value: Any) -> Any:
    """The value with lists for tuples, as TOML has them."""
    if isinstance(value, dict):
        return {key: _listed(entry) for key, entry in value.items()}
    return [_listed(entry) for entry in value] if isinstance(value, tuple) else value
