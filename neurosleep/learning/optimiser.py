"""Optimisers with a learning rate per layer, whose state is a flat list of tensors that can be stored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, get_args

import torch
from torch import Tensor

from neurosleep.errors import SettingsError, unknown_name

__all__ = ["OPTIMISERS", "SGD", "AdaGrad", "Adam", "Optimiser", "OptimiserName", "cosine_rate", "make_optimiser"]

OptimiserName = Literal["sgd", "adam", "adagrad"]
OPTIMISERS: tuple[str, ...] = get_args(OptimiserName)


class Optimiser(Protocol):
    """Settings only; what it remembers is the caller's list ``state``.

    See Also
    --------
    SGD, Adam, AdaGrad : the optimisers of the package

    Examples
    --------
    >>> import torch
    >>> from neurosleep.learning import Optimiser, make_optimiser
    >>> optimiser: Optimiser = make_optimiser("adam")
    >>> weights = [torch.ones(2)]
    >>> state = optimiser.state(weights)
    >>> optimiser.step_(weights, [torch.ones(2)], state, lrs=[0.1])
    >>> weights
    [tensor([0.9000, 0.9000])]
    """

    name: ClassVar[str]

    def state(self, trained: Sequence[Tensor]) -> list[Tensor]:
        """State before the first step."""
        ...

    def step_(
        self, trained: Sequence[Tensor], grads: Sequence[Tensor], state: list[Tensor], lrs: Sequence[float]
    ) -> None:
        """Change ``trained`` and ``state`` in place; ``lrs`` has one rate for each of ``trained``."""
        ...


def _check(momentum: float, weight_decay: float) -> None:
    if not 0 <= momentum < 1:
        raise SettingsError(f"The momentum is {momentum!r}.", expected="from 0 to below 1")
    if not 0 <= weight_decay < math.inf:
        raise SettingsError(f"The weight decay is {weight_decay!r}.", expected="a number >= 0")


@dataclass(frozen=True)
class SGD:
    """``v <- momentum v + grad + weight_decay w; w <- w - lr v``, as PyTorch has it; state: v of each.

    See Also
    --------
    Adam, AdaGrad : others
    make_optimiser : one by its name

    Examples
    --------
    >>> import torch
    >>> from neurosleep.learning import SGD
    >>> optimiser, weights = SGD(momentum=0.5), [torch.ones(2)]
    >>> optimiser.step_(weights, [torch.ones(2)], optimiser.state(weights), lrs=[0.25])
    >>> weights
    [tensor([0.7500, 0.7500])]
    """

    name: ClassVar[str] = "sgd"
    momentum: float = 0.9
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _check(self.momentum, self.weight_decay)

    def state(self, trained: Sequence[Tensor]) -> list[Tensor]:
        """Zero velocities."""
        return [torch.zeros_like(w) for w in trained]

    @torch.no_grad()
    def step_(
        self, trained: Sequence[Tensor], grads: Sequence[Tensor], state: list[Tensor], lrs: Sequence[float]
    ) -> None:
        """One step."""
        for w, grad, v, lr in zip(trained, grads, state, lrs, strict=True):
            v.mul_(self.momentum).add_(grad)
            if self.weight_decay:
                v.add_(w, alpha=self.weight_decay)
            w.sub_(v, alpha=lr)


@dataclass(frozen=True)
class Adam:
    """Adam with PyTorch's defaults; state: first moments, second moments, and the number of steps (one tensor).

    See Also
    --------
    SGD, AdaGrad : others
    make_optimiser : one by its name

    Examples
    --------
    >>> import torch
    >>> from neurosleep.learning import Adam
    >>> optimiser, weights = Adam(), [torch.ones(2)]
    >>> optimiser.step_(weights, [torch.full((2,), 8.0)], optimiser.state(weights), lrs=[0.25])
    >>> weights  # whatever the gradient's size, the first step has the rate's
    [tensor([0.7500, 0.7500])]
    """

    name: ClassVar[str] = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _check(self.betas[0], self.weight_decay)
        _check(self.betas[1], 0.0)

    def state(self, trained: Sequence[Tensor]) -> list[Tensor]:
        """Zero moments and no step."""
        return [*(torch.zeros_like(w) for _ in range(2) for w in trained), torch.zeros((), dtype=torch.float64)]

    @torch.no_grad()
    def step_(
        self, trained: Sequence[Tensor], grads: Sequence[Tensor], state: list[Tensor], lrs: Sequence[float]
    ) -> None:
        """One step."""
        n = len(trained)
        steps = float(state[-1].add_(1))
        first, second = (1 - b**steps for b in self.betas)
        for w, grad, m, v, lr in zip(trained, grads, state[:n], state[n : 2 * n], lrs, strict=True):
            if self.weight_decay:
                grad = grad.add(w, alpha=self.weight_decay)
            m.lerp_(grad, 1 - self.betas[0])
            v.mul_(self.betas[1]).addcmul_(grad, grad, value=1 - self.betas[1])
            w.addcdiv_(m, v.sqrt().div_(math.sqrt(second)).add_(self.eps), value=-lr / first)


@dataclass(frozen=True)
class AdaGrad:
    """``S <- S + grad^2; w <- w - lr grad / (sqrt(S) + eps)``, state: S of each.

    See Also
    --------
    SGD, Adam : others
    make_optimiser : one by its name

    Examples
    --------
    >>> import torch
    >>> from neurosleep.learning import AdaGrad
    >>> optimiser, weights = AdaGrad(), [torch.ones(2)]
    >>> optimiser.step_(weights, [torch.full((2,), 8.0)], optimiser.state(weights), lrs=[0.25])
    >>> weights
    [tensor([0.7500, 0.7500])]
    """

    name: ClassVar[str] = "adagrad"
    eps: float = 1e-7
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _check(0.0, self.weight_decay)

    def state(self, trained: Sequence[Tensor]) -> list[Tensor]:
        """Zero sums."""
        return [torch.zeros_like(w) for w in trained]

    @torch.no_grad()
    def step_(
        self, trained: Sequence[Tensor], grads: Sequence[Tensor], state: list[Tensor], lrs: Sequence[float]
    ) -> None:
        """One step."""
        for w, grad, s, lr in zip(trained, grads, state, lrs, strict=True):
            if self.weight_decay:
                grad = grad.add(w, alpha=self.weight_decay)
            s.addcmul_(grad, grad)
            w.addcdiv_(grad, s.sqrt().add_(self.eps), value=-lr)


def make_optimiser(name: str, *, momentum: float = 0.9, weight_decay: float = 0.0) -> Optimiser:
    """The optimiser of that name; ``momentum`` is of SGD alone.

    See Also
    --------
    SGD, Adam, AdaGrad : the optimisers themselves

    Examples
    --------
    >>> from neurosleep.learning import make_optimiser
    >>> make_optimiser("sgd", momentum=0.5)
    SGD(momentum=0.5, weight_decay=0.0)
    """
    if name == "sgd":
        return SGD(momentum, weight_decay)
    if name == "adam":
        return Adam(weight_decay=weight_decay)
    if name == "adagrad":
        return AdaGrad(weight_decay=weight_decay)
    raise unknown_name("optimiser", name, OPTIMISERS)


def cosine_rate(epoch: int, period: int, lr: float, smallest: float) -> float:
    """Learning rate of ``epoch`` (from 0) on a cosine that falls from ``lr`` to ``smallest`` within ``period``."""
    return smallest + (lr - smallest) * (1 + math.cos(math.pi * epoch / period)) / 2
