r"""Learning without Forgetting (Li and Hoiem 2017, arXiv 1606.09282): keep answering new images as before.

The network as it was before the task gives soft targets for the task's own images; the distance to them at temperature
T, :math:`T^2 \sum_c -\hat y_c(T) \log y_c(T)` over the classes seen before, is added to the loss.
"""

from __future__ import annotations

import copy
from typing import ClassVar

import torch
from torch import Tensor

from neurosleep.continual.strategies.base import AwakeNetwork, Learner, Strategy
from neurosleep.errors import SettingsError
from neurosleep.learning import Batch

__all__ = ["LwF"]


class LwF(Strategy):
    """Distil the previous network into the new one.

    Parameters
    ----------
    strength:
        Weight of the added loss, >= 0.
    temperature:
        T, > 0.

    See Also
    --------
    ICaRL : distillation with exemplars
    learn_tasks : runs one

    Examples
    --------
    >>> from neurosleep.continual import LwF
    >>> LwF(temperature=2.0).name
    'lwf'
    """

    name: ClassVar[str] = "lwf"
    needs_boundaries = True
    works_with: ClassVar[tuple[str, ...] | None] = ("backprop", "bptt")  # a further term of a loss that is derived

    def __init__(self, strength: float = 1.0, temperature: float = 2.0) -> None:
        if not 0 <= strength < float("inf"):
            raise SettingsError(f"lwf.strength is {strength!r}.", expected="a finite number >= 0")
        if not 0 < temperature < float("inf"):
            raise SettingsError(f"lwf.temperature is {temperature!r}.", expected="a number > 0")
        self.strength, self.temperature = strength, temperature
        self._previous: AwakeNetwork | None = None
        self._classes: list[int] = []

    def before_training_exp(self, learner: Learner) -> None:
        """Keep the network as it is before the task."""
        self._classes = sorted({c for task in learner.tasks[: learner.task] for c in task.classes})
        self._previous = copy.deepcopy(learner.network).eval() if self._classes else None

    def loss_term(self, learner: Learner, batch: Batch) -> Tensor | None:
        """Distance from the previous network's answers."""
        if self._previous is None:
            return None
        with torch.no_grad():
            before = torch.softmax(self._previous(batch.images)[:, self._classes] / self.temperature, dim=1)
        now = torch.log_softmax(batch.activities[-1][:, self._classes] / self.temperature, dim=1)
        return self.strength * self.temperature**2 * -(before * now).sum(1).mean()
