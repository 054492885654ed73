"""What a strategy may do while a network learns one task after another: every hook does nothing unless overridden."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from neurosleep._shown import brief
from neurosleep.continual.task_free import StreamSleep
from neurosleep.data import RunningMean, Task
from neurosleep.hardware import ChipRegulation
from neurosleep.learning import Batch
from neurosleep.networks import EquilibriumNetwork, FeedForwardNetwork
from neurosleep.replay import Consolidation, SleepResult

__all__ = ["AwakeNetwork", "Learner", "Strategy", "trained"]

#: A network that can learn awake and be read out: ``weights``, ``trained``, ``read_out``, ``forward``, ``activities``.
AwakeNetwork = FeedForwardNetwork | EquilibriumNetwork


def trained(network: AwakeNetwork) -> list[Tensor]:
    """Everything that learning changes, in a fixed order: weights and, where there are some, biases.

    See Also
    --------
    Learner : whose network it is

    Examples
    --------
    >>> from neurosleep.continual import trained
    >>> from neurosleep.networks import MLP
    >>> [weight.shape for weight in trained(MLP([4, 3, 2]))]
    [torch.Size([3, 4]), torch.Size([2, 3])]
    """
    return [*network.trained]


@dataclass(eq=False)
class Learner:
    """The network while it learns: all that a strategy can see and change.

    Attributes
    ----------
    network, velocity:
        The awake network and its optimiser's state, such as :meth:`~neurosleep.learning.Backprop.state` gives it.
    tasks, task:
        The sequence, and the number of the present task from 0.
    mean:
        Running mean of the inputs, the only thing kept from past data.
    seed:
        Seed of the run.
    sleep_result, consolidation:
        The last sleep under a plasticity rule and the last homeostatic one, if any.
    notes:
        What the reader should know of it, such as that nothing fired.
    stream:
        The sleeps of a stream without tasks since the last phase.

    See Also
    --------
    learn_tasks : which takes it through a sequence
    Strategy : whose hooks are given it

    Examples
    --------
    >>> import torch
    >>> from neurosleep.continual import Learner
    >>> from neurosleep.data import class_incremental, patches
    >>> from neurosleep.networks import MLP
    >>> network = MLP([100, 4])
    >>> velocity = [torch.zeros_like(weight) for weight in network.weights]
    >>> learner = Learner(network, velocity, class_incremental(patches()), seed=0)
    >>> learner.task, len(learner.tasks)
    (0, 2)
    """

    network: AwakeNetwork
    velocity: list[Tensor]
    tasks: list[Task]
    seed: int
    task: int = 0
    mean: RunningMean = field(default_factory=RunningMean)
    sleep_result: SleepResult | None = None
    consolidation: Consolidation | ChipRegulation | None = None
    notes: list[str] = field(default_factory=list)
    stream: list[StreamSleep] = field(default_factory=list)

    __repr__ = brief


class Strategy:
    """Learning as it comes: the base of all strategies, with hooks named as in Avalanche.

    See Also
    --------
    learn_tasks : runs one

    Examples
    --------
    >>> from neurosleep.continual import Strategy
    >>> class Hold(Strategy):
    ...     name = "hold"
    ...
    ...     def before_training_exp(self, learner):
    ...         learner.velocity[:] = [0 * velocity for velocity in learner.velocity]
    >>> Hold().reads_old_data
    False
    """

    name: ClassVar[str] = "sequential"
    #: Whether it makes the network sleep, so that it is evaluated before and after.
    sleeps: bool = False
    #: Whether it must be told where a task ends.
    needs_boundaries: bool = False
    #: Whether it needs images of past tasks beyond the running mean.
    reads_old_data: bool = False
    #: Whether it decides what is trained on; two of these cannot be combined.
    chooses_data: ClassVar[bool] = False
    #: Whether it changes the gradients; two of these cannot be combined, since each needs those of the loss alone.
    changes_gradients: ClassVar[bool] = False
    #: The ways of learning (``wake.kind``) that it works with; None: all of them.
    works_with: ClassVar[tuple[str, ...] | None] = None

    def check_network(self, network: AwakeNetwork) -> None:
        """Refuse a network that it cannot work with, before anything is learnt."""

    def tasks(self, tasks: list[Task]) -> list[Task]:
        """The tasks as this strategy gets to see them."""
        return tasks

    def before_training_exp(self, learner: Learner) -> None:
        """Before a task is learnt."""

    def training_data(self, learner: Learner, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What to train on in place of the task's own ``images`` ``[n, inputs]`` and labels ``[n]``."""
        return images, targets

    def after_training_exp(self, learner: Learner) -> None:
        """After a task has been learnt: sleep sits here."""

    def before_eval(self, learner: Learner) -> None:
        """Before an evaluation."""

    def after_eval(self, learner: Learner) -> None:
        """After an evaluation."""

    def read_outs(self, learner: Learner) -> dict[str, Callable[[Tensor], Tensor]]:
        """Further classifiers beside the network's own output: name -> images ``[n, inputs]`` to classes ``[n]``."""
        return {}

    def loss_term(self, learner: Learner, batch: Batch) -> Tensor | None:
        """A term to add to the loss of a batch, or None."""
        return None

    def after_backward(self, learner: Learner, batch: Batch) -> None:
        """After the gradients of a batch are known; they stand in ``weight.grad`` and may be changed."""

    def after_step(self, learner: Learner, batch: Batch) -> None:
        """After the weights have changed."""

    def state_dict(self) -> dict[str, Tensor]:
        """What the strategy must keep from one phase to the next, as tensors."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take back what :meth:`state_dict` gave."""
