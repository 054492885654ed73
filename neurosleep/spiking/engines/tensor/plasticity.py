"""Plasticity on stacks of weights, in operations that wait for nothing: rows of silent units are computed too."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from neurosleep.errors import UnsupportedError
from neurosleep.functional import PairSTDP, PlasticityRule, SRCRule, weight_factor

__all__ = ["RULES", "Learner", "learner"]


class Learner(ABC):
    """A rule on ``weights`` ``[networks, post, pre]``, which it changes where they lie."""

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights

    @abstractmethod
    def step(self, pre: Tensor, post: Tensor) -> None:
        """Change the weights after a step in which ``pre`` ``[networks, pre]`` and ``post`` fired, booleans."""

    def _constant(self, value: float) -> Tensor:
        """Filled on the device: a number from the host would have to be copied there."""
        return torch.full((), value, dtype=self.weights.dtype, device=self.weights.device)


class SRCLearner(Learner):
    """Sleep Replay Consolidation."""

    def __init__(self, weights: Tensor, rule: SRCRule) -> None:
        super().__init__(weights)
        self._rule, self._gain, self._loss = rule, self._constant(rule.inc), self._constant(-rule.dec)

    def step(self, pre: Tensor, post: Tensor) -> None:
        """As :class:`~neurosleep.functional.SRCRule` says."""
        factor = weight_factor(self.weights, self._rule.factor, self._rule.width)
        change = factor * torch.where(pre, self._gain, self._loss)[:, None, :]
        self.weights.add_(change * post.to(change.dtype)[:, :, None])


class PairSTDPLearner(Learner):
    """Pairs of spikes, with a trace on either side."""

    def __init__(self, weights: Tensor, rule: PairSTDP) -> None:
        super().__init__(weights)
        self._rule = rule
        networks, post, pre = weights.shape
        self._x, self._y = weights.new_zeros(networks, pre), weights.new_zeros(networks, post)

    def step(self, pre: Tensor, post: Tensor) -> None:
        """As :class:`~neurosleep.functional.PairSTDP` says: the weights of units that fired keep within bounds."""
        rule, kind = self._rule, self.weights.dtype
        self._x.mul_(rule.decay_plus).add_(pre.to(kind))
        self._y.mul_(rule.decay_minus)
        lowered = self.weights - pre.to(kind)[:, None, :] * (rule.a_minus * self._y)[:, :, None]
        raised = lowered + post.to(kind)[:, :, None] * (rule.a_plus * self._x)[:, None, :]
        touched = pre[:, None, :] | post[:, :, None]
        self.weights.copy_(torch.where(touched, raised.clamp(rule.w_min, rule.w_max), raised))
        self._y.add_(post.to(kind))


#: Names of the rules that can be applied.
RULES = frozenset({SRCRule.name, PairSTDP.name})


def learner(weights: Tensor, rule: PlasticityRule) -> Learner:
    """What applies ``rule`` to ``weights``."""
    if isinstance(rule, SRCRule):
        return SRCLearner(weights, rule)
    if isinstance(rule, PairSTDP):
        return PairSTDPLearner(weights, rule)
    raise UnsupportedError(f"The engine 'torch' does not offer the plasticity rule {rule.name!r}.")
