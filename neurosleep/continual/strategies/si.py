r"""Synaptic Intelligence (Zenke et al. 2017, arXiv 1703.04200): importance from each weight's share in the learning.

During a task :math:`\omega_i \mathrel{+}= -g_i \Delta w_i` with the gradient g of the task's own loss; at its end
:math:`\Omega_i \mathrel{+}= \omega_i / ((w_i - w_i^{start})^2 + \xi)`; the penalty is
:math:`c \sum_i \Omega_i (w_i - w_i^{prev})^2`.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from neurosleep.continual.strategies.base import Learner, Strategy, trained
from neurosleep.errors import SettingsError
from neurosleep.learning import Batch
from neurosleep.networks import FeedForwardNetwork

__all__ = ["SI"]


class SI(Strategy):
    """Hold weights that did the learning.

    Parameters
    ----------
    strength:
        c, >= 0.
    damping:
        xi, > 0.

    See Also
    --------
    EWC : another that holds weights
    learn_tasks : runs one

    Examples
    --------
    >>> from neurosleep.continual import SI
    >>> SI(strength=5.0).name
    'si'
    """

    name: ClassVar[str] = "si"
    needs_boundaries = True
    changes_gradients: ClassVar[bool] = True

    def __init__(self, strength: float = 5.0, damping: float = 0.1) -> None:
        if not 0 <= strength < float("inf"):
            raise SettingsError(f"si.strength is {strength!r}.", expected="a finite number >= 0")
        if not 0 < damping < float("inf"):
            raise SettingsError(f"si.damping is {damping!r}.", expected="a number > 0")
        self.strength, self.damping = strength, damping
        self._importance: list[Tensor] = []
        self._previous: list[Tensor] = []
        self._start: list[Tensor] = []
        self._path: list[Tensor] = []
        self._gradient: list[Tensor] = []
        self._before: list[Tensor] = []  # weights before the present step, where the momentum does not tell the step

    def before_training_exp(self, learner: Learner) -> None:
        """Start a new path."""
        self._start = [weight.detach().clone() for weight in trained(learner.network)]
        self._path = [torch.zeros_like(weight) for weight in self._start]

    def after_backward(self, learner: Learner, batch: Batch) -> None:
        """Keep the task's own gradient, then add the penalty's."""
        weights = trained(learner.network)
        if not _velocity_is_step(learner):
            self._before = [weight.detach().clone() for weight in weights]
        self._gradient = [weight.grad.clone() for weight in weights if weight.grad is not None]
        for weight, importance, previous in zip(weights, self._importance, self._previous, strict=False):
            assert weight.grad is not None
            weight.grad += 2 * self.strength * importance * (weight.detach() - previous)

    def after_step(self, learner: Learner, batch: Batch) -> None:
        """Extend the path; the step of backpropagation by SGD is the negative of its momentum."""
        steps = learner.velocity
        if not _velocity_is_step(learner):
            steps = [b - w.detach() for b, w in zip(self._before, trained(learner.network), strict=True)]
        for path, gradient, step in zip(self._path, self._gradient, steps, strict=True):
            path += gradient * step

    def after_training_exp(self, learner: Learner) -> None:
        """Turn the path into importance."""
        weights = [weight.detach().clone() for weight in trained(learner.network)]
        found = [
            path / ((weight - start) ** 2 + self.damping)
            for path, weight, start in zip(self._path, weights, self._start, strict=True)
        ]
        old = self._importance or [torch.zeros_like(weight) for weight in weights]
        self._importance = [a + b for a, b in zip(old, found, strict=True)]
        self._previous = weights

    def state_dict(self) -> dict[str, Tensor]:
        """Importance, anchors, and the path of the present task."""
        lists = {
            "importance": self._importance,
            "previous": self._previous,
            "start": self._start,
            "path": self._path,
        }
        return {f"{name}{k}": tensor for name, tensors in lists.items() for k, tensor in enumerate(tensors)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take them back."""

        def tensors(name: str) -> list[Tensor]:
            return [state[f"{name}{k}"] for k in range(len(state)) if f"{name}{k}" in state]

        self._importance, self._previous = tensors("importance"), tensors("previous")
        self._start, self._path = tensors("start"), tensors("path")


def _velocity_is_step(learner: Learner) -> bool:
    """Whether the optimiser's state is what its last step took from each tensor: SGD in backpropagation."""
    network = learner.network
    return isinstance(network, FeedForwardNetwork) and len(learner.velocity) == len(network.trained)
