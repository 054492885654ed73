"""Plasticity on stacks of weights, in operations that wait for nothing: rows of silent units are computed too."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from neurosleep.errors import UnsupportedError
from neurosleep.functional import PairSTDP, PlasticityRule, SRCRule, StreamUpdates, weight_factor

__all__ = ["RULES", "Learner", "learner"]


class Learner(ABC):
    """A rule on ``weights`` ``[networks, post, pre]``, which it changes where they lie."""

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights

    @abstractmethod
    def step(self, pre: Tensor, post: Tensor) -> None:
        """Change the weights after a step in which ``pre`` ``[networks, streams, pre]`` and ``post`` fired, 0 or 1."""


class SRCLearner(Learner):
    """Sleep Replay Consolidation, of any number of streams."""

    def __init__(self, weights: Tensor, rule: SRCRule, updates: StreamUpdates) -> None:
        super().__init__(weights)
        self._rule, self._mean = rule, updates == "mean"

    def step(self, pre: Tensor, post: Tensor) -> None:
        """As :func:`~neurosleep.functional.src_stream_rows` says; of one stream that is what ``src_rows`` says."""
        together = torch.bmm(post.transpose(1, 2), pre)
        fired = post.sum(1)[:, :, None]
        change = self._rule.inc * together - self._rule.dec * (fired - together)
        if self._mean:
            change /= fired.clamp_min(1)
        self.weights.add_(change.mul_(weight_factor(self.weights, self._rule.factor, self._rule.width)))


class PairSTDPLearner(Learner):
    """Pairs of spikes, with a trace on either side, of one stream."""

    def __init__(self, weights: Tensor, rule: PairSTDP) -> None:
        super().__init__(weights)
        self._rule = rule
        networks, post, pre = weights.shape
        self._x, self._y = weights.new_zeros(networks, pre), weights.new_zeros(networks, post)

    def step(self, pre: Tensor, post: Tensor) -> None:
        """As :class:`~neurosleep.functional.PairSTDP` says: the weights of units that fired keep within bounds."""
        rule, row, column = self._rule, pre, post.transpose(1, 2)
        self._x.mul_(rule.decay_plus).add_(row[:, 0])
        self._y.mul_(rule.decay_minus)
        lowered = self.weights - row * (rule.a_minus * self._y)[:, :, None]
        raised = lowered + column * (rule.a_plus * self._x)[:, None, :]
        self.weights.copy_(torch.where(row + column > 0, raised.clamp(rule.w_min, rule.w_max), raised))
        self._y.add_(post[:, 0])


#: Names of the rules that can be applied.
RULES = frozenset({SRCRule.name, PairSTDP.name})


def learner(weights: Tensor, rule: PlasticityRule, updates: StreamUpdates) -> Learner:
    """What applies ``rule`` to ``weights``; ``updates``: how streams change them together."""
    if isinstance(rule, SRCRule):
        return SRCLearner(weights, rule, updates)
    if isinstance(rule, PairSTDP):
        return PairSTDPLearner(weights, rule)
    raise UnsupportedError(f"The engine 'torch' does not offer the plasticity rule {rule.name!r}.")
