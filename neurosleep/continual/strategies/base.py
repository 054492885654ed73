"""What a strategy may do while a network learns one task after another: every hook does nothing unless overridden."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from neurosleep.data import RunningMean, Task
from neurosleep.networks import MLP
from neurosleep.replay import Night

__all__ = ["Learner", "Strategy"]


@dataclass(eq=False)
class Learner:
    """The network while it learns: all that a strategy can see and change.

    Attributes
    ----------
    network, velocity:
        The awake network and its momentum.
    tasks, task:
        The sequence, and the number of the present task from 0.
    mean:
        Running mean of the inputs, the only thing kept from past data.
    seed:
        Seed of the run.
    night:
        The last sleep, if any.
    """

    network: MLP
    velocity: list[Tensor]
    tasks: list[Task]
    seed: int
    task: int = 0
    mean: RunningMean = field(default_factory=RunningMean)
    night: Night | None = None


class Strategy:
    """Learning as it comes: the base of all strategies, with hooks named as in Avalanche."""

    name: ClassVar[str] = "sequential"
    #: Whether after_training_exp changes the network, so that it is evaluated once more.
    sleeps: ClassVar[bool] = False
    #: Whether the strategy needs images of past tasks beyond the running mean.
    reads_old_data: bool = False

    def tasks(self, tasks: list[Task]) -> list[Task]:
        """The tasks as this strategy gets to see them."""
        return tasks

    def before_training_exp(self, learner: Learner) -> None:
        """Before a task is learnt."""

    def after_training_exp(self, learner: Learner) -> None:
        """After a task has been learnt: sleep sits here."""

    def before_eval(self, learner: Learner) -> None:
        """Before an evaluation."""

    def after_eval(self, learner: Learner) -> None:
        """After an evaluation."""

    def loss_term(self, learner: Learner) -> Tensor | None:
        """A term to add to the loss of each batch, or None."""
        return None

    def after_backward(self, learner: Learner) -> None:
        """After the gradients of a batch are known."""

    def after_step(self, learner: Learner) -> None:
        """After the weights have changed."""

    def state_dict(self) -> dict[str, Any]:
        """What the strategy must keep across an interruption, as tensors and plain numbers."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
