"""The settings of the ways to learn: each, its type and its default, in the class of its kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from neurosleep.continual import Learning
from neurosleep.errors import SettingsError
from neurosleep.experiments.later import later
from neurosleep.learning import BPTT, Backprop, ContrastiveHebbian, EquilibriumPropagation, PhasedLearning
from neurosleep.learning.backprop import Frozen, Loss
from neurosleep.learning.equilibrium_propagation import Estimator
from neurosleep.learning.optimiser import OptimiserName
from neurosleep.replay.options import Numbers

__all__ = ["LEARNS_BY", "WAKES", "WAKE_ORDER", "Wake", "Whole", "free_steps"]

#: A list of integers.
Whole: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class BackpropWake:
    """Learning by :class:`~neurosleep.learning.Backprop`."""

    kind: Literal["backprop"] = "backprop"
    loss: Loss = Backprop.loss
    lr: float = 0.1
    lr_per_task: Numbers | None = None
    momentum: float = Backprop.momentum
    batch: int = Backprop.batch
    epochs: int = Backprop.epochs
    epochs_per_task: Whole | None = None
    lr_per_layer: Numbers | None = None
    optimiser: Literal["sgd", "adam"] = later(Backprop.optimiser)
    hidden_lr_factor: float = later(Backprop.hidden_lr_factor)
    freeze_after_first: tuple[Frozen, ...] = later(())

    def frozen_in(self, task: int) -> tuple[Frozen, ...]:
        """The kinds of layers that stay as they are in a task, from 0."""
        return self.freeze_after_first if task else ()

    def make(self, rates: float | tuple[float, ...], epochs: int, task: int = 0) -> Learning:
        """The learning of a task with these learning rates and epochs."""
        keys = ("loss", "momentum", "batch", "optimiser", "hidden_lr_factor")
        options: dict[str, Any] = {key: getattr(self, key) for key in keys}
        return Backprop(lr=rates, epochs=epochs, frozen=self.frozen_in(task), **options)


@dataclass(frozen=True)
class PhasedWake:
    """What learning in phases has in common (:class:`~neurosleep.learning.PhasedLearning`)."""

    learning: ClassVar[type[PhasedLearning]]
    kind: str
    lr: float = 0.05
    lr_per_task: Numbers | None = None
    momentum: float = PhasedLearning.momentum
    batch: int = PhasedLearning.batch
    epochs: int = 2
    epochs_per_task: Whole | None = None
    free_steps: int = 60
    lr_per_layer: Numbers | None = None
    optimiser: OptimiserName = PhasedLearning.optimiser
    weight_decay: float = PhasedLearning.weight_decay
    cosine_epochs: int = PhasedLearning.cosine_epochs
    residual_limit: float = PhasedLearning.residual_limit

    def frozen_in(self, task: int) -> tuple[Frozen, ...]:
        """None: all layers learn in every task."""
        return ()

    def make(self, rates: float | tuple[float, ...], epochs: int, task: int = 0) -> Learning:
        """The learning of a task with these learning rates and epochs."""
        options = {key: value for key, value in vars(self).items() if key not in _FOR_TASKS}
        return self.learning(**options, lr=rates, epochs=epochs)


_FOR_TASKS = ("kind", "lr", "lr_per_task", "lr_per_layer", "epochs", "epochs_per_task")


@dataclass(frozen=True)
class EPWake(PhasedWake):
    """Learning by :class:`~neurosleep.learning.EquilibriumPropagation`."""

    learning = EquilibriumPropagation
    kind: Literal["ep"] = "ep"
    nudged_steps: int = EquilibriumPropagation.nudged_steps
    estimator: Estimator = EquilibriumPropagation.estimator
    beta: float = EquilibriumPropagation.beta
    second_start: int | None = EquilibriumPropagation.second_start
    adaptation_steps: int = EquilibriumPropagation.adaptation_steps
    adaptation_rate: float = EquilibriumPropagation.adaptation_rate
    adaptation_nudged: bool = EquilibriumPropagation.adaptation_nudged
    predictive: bool = EquilibriumPropagation.predictive


@dataclass(frozen=True)
class BPTTWake(PhasedWake):
    """Learning by :class:`~neurosleep.learning.BPTT`."""

    learning = BPTT
    kind: Literal["bptt"] = "bptt"
    gradient_steps: int = BPTT.gradient_steps
    straight_through: bool = BPTT.straight_through


@dataclass(frozen=True)
class CHLWake(PhasedWake):
    """Learning by :class:`~neurosleep.learning.ContrastiveHebbian`."""

    learning = ContrastiveHebbian
    kind: Literal["chl"] = "chl"
    lr: float = 0.1
    batch: int = ContrastiveHebbian.batch
    free_steps: int = 120
    optimiser: OptimiserName = ContrastiveHebbian.optimiser
    clamped_steps: int = ContrastiveHebbian.clamped_steps
    delay: int = ContrastiveHebbian.delay
    predictive: bool = ContrastiveHebbian.predictive
    adaptation_steps: int = ContrastiveHebbian.adaptation_steps
    adaptation_rate: float = ContrastiveHebbian.adaptation_rate


Wake: TypeAlias = BackpropWake | EPWake | BPTTWake | CHLWake
WAKES: dict[str, type[Wake]] = {"backprop": BackpropWake, "ep": EPWake, "bptt": BPTTWake, "chl": CHLWake}
#: Ways of learning that a kind of network can take, the usual one first.
LEARNS_BY: dict[str, tuple[str, ...]] = {
    "mlp": ("backprop",),
    "conv": ("backprop",),
    "equilibrium": ("ep", "bptt", "chl"),
    "equilibrium-conv": ("ep", "bptt"),
    "dendritic": ("ep", "bptt"),
}


def free_steps(wake: Wake) -> int:
    """Steps of the free phase of an equilibrium network."""
    if isinstance(wake, BackpropWake):
        raise SettingsError("wake.kind is 'backprop'.", expected="one that an equilibrium network learns by")
    return wake.free_steps


# The order of a file is not that of the classes, which inherit.
WAKE_ORDER = (
    *("kind", "loss", "lr", "lr_per_task", "momentum", "batch", "epochs", "epochs_per_task", "free_steps"),
    *("nudged_steps", "gradient_steps", "straight_through", "clamped_steps", "delay", "estimator", "beta"),
    *("lr_per_layer", "optimiser", "weight_decay", "cosine_epochs", "residual_limit", "second_start"),
    *("adaptation_steps", "adaptation_rate", "adaptation_nudged", "predictive"),
    *("hidden_lr_factor", "freeze_after_first"),
)
