"""What all ways to train an equilibrium network share: settings, the loop over batches, the watch on convergence."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from neurosleep.errors import SettingsError, unknown_name
from neurosleep.learning.backprop import Batch
from neurosleep.learning.optimiser import Optimiser, OptimiserName, cosine_rate, make_optimiser
from neurosleep.networks import EquilibriumNetwork

__all__ = ["EQUILIBRIUM_LOSSES", "ConvergenceWarning", "EquilibriumLoss", "PhasedLearning"]

EquilibriumLoss = Literal["squared-error", "cross-entropy"]
EQUILIBRIUM_LOSSES: tuple[str, ...] = get_args(EquilibriumLoss)


class ConvergenceWarning(UserWarning):
    """A free phase ended before the states had come to rest: gradient estimates are then biased.

    See Also
    --------
    PhasedLearning : its ``residual_limit`` is the limit
    neurosleep.analysis.settling : how states come to rest

    Examples
    --------
    >>> import warnings
    >>> from neurosleep.learning import ConvergenceWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", ConvergenceWarning)  # where short phases are what is studied
    """


@dataclass(frozen=True, kw_only=True)
class PhasedLearning(ABC):
    """Settings that every way to train an equilibrium network has.

    Parameters
    ----------
    free_steps:
        Steps of the free phase (T1); None takes the network's.
    lr:
        Learning rate of each layer, input side first, or one for all.
    optimiser, momentum, weight_decay:
        ``"sgd"``, ``"adam"`` or ``"adagrad"``; momentum is of SGD alone.
    cosine_epochs, smallest_lr:
        With ``cosine_epochs`` above 0 rates fall on a cosine from ``lr`` to ``smallest_lr`` within so many epochs.
    batch, epochs:
        Images per step, passes over the data.
    loss:
        ``"squared-error"`` or ``"cross-entropy"``, which must fit the network's read-out; None takes the one that does.
    residual_limit:
        Largest change of a state in the last step of a free phase that passes without a warning.

    See Also
    --------
    EquilibriumPropagation, BPTT, ContrastiveHebbian : the ways to train

    Examples
    --------
    >>> from neurosleep.learning import EquilibriumPropagation, PhasedLearning
    >>> issubclass(EquilibriumPropagation, PhasedLearning), EquilibriumPropagation(epochs=3).epochs
    (True, 3)
    """

    free_steps: int | None = None
    lr: tuple[float, ...] | float = (0.4, 0.02)
    optimiser: OptimiserName = "sgd"
    momentum: float = 0.9
    weight_decay: float = 0.0
    cosine_epochs: int = 0
    smallest_lr: float = 1e-5
    batch: int = 64
    epochs: int = 1
    loss: EquilibriumLoss | None = None
    residual_limit: float = 1e-2

    def __post_init__(self) -> None:
        rates = (self.lr,) if isinstance(self.lr, int | float) else tuple(self.lr)
        if not rates or not all(0 < rate < math.inf for rate in rates):
            raise SettingsError(f"The learning rates are {self.lr!r}.", expected="numbers > 0, one per layer")
        if self.loss is not None and self.loss not in EQUILIBRIUM_LOSSES:
            raise unknown_name("loss", self.loss, EQUILIBRIUM_LOSSES)
        for key in ("batch", "epochs", "free_steps"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise SettingsError(f"wake.{key} is {value!r}.", expected="at least 1")
        if self.cosine_epochs < 0:
            raise SettingsError(f"wake.cosine_epochs is {self.cosine_epochs!r}.", expected="0 (constant), or more")
        if not 0 <= self.smallest_lr < math.inf:
            raise SettingsError(f"The smallest learning rate is {self.smallest_lr!r}.", expected="a number >= 0")
        if not self.residual_limit > 0:
            raise SettingsError(f"The limit of the residual is {self.residual_limit!r}.", expected="a number > 0")
        self._optimiser()

    def _optimiser(self) -> Optimiser:
        return make_optimiser(self.optimiser, momentum=self.momentum, weight_decay=self.weight_decay)

    def state(self, network: EquilibriumNetwork) -> list[Tensor]:
        """State of the optimiser before the first step, for :meth:`fit`."""
        return self._optimiser().state(network.trained)

    def rates(self, network: EquilibriumNetwork) -> list[float]:
        """Learning rate of each of ``network.trained``."""
        layers = max(network.layer_of) + 1
        rates = (float(self.lr),) * layers if isinstance(self.lr, int | float) else tuple(self.lr)
        if len(rates) != layers:
            raise SettingsError(
                f"There are {len(rates)} learning rates, {list(rates)}.",
                expected=f"{layers}, one per layer of the network, input side first, or one number for all",
            )
        return [rates[layer] for layer in network.layer_of]

    def steps(self, network: EquilibriumNetwork) -> int:
        """Steps of the free phase with ``network``."""
        return network.free_steps if self.free_steps is None else self.free_steps

    def check_network(self, network: EquilibriumNetwork) -> None:
        """Refuse a network that this learning does not fit."""
        fits = "squared-error" if network.read_out_kind == "squared-error" else "cross-entropy"
        if self.loss not in (None, fits):
            raise SettingsError(
                f"The loss {self.loss!r} does not fit the network's read-out {network.read_out_kind!r}.",
                expected=f"loss={fits!r}",
                hint="give the network another read_out, or leave the loss out",
            )

    @abstractmethod
    def _gradients(
        self,
        network: EquilibriumNetwork,
        batch: Batch,
        streams: Callable[[str, int], torch.Generator],
        epoch: int,
        loss_term: Callable[[Batch], Tensor | None],
    ) -> list[Tensor]:
        """Gradient of each of ``network.trained``; completes ``batch``."""

    def fit(
        self,
        network: EquilibriumNetwork,
        images: Tensor,
        targets: Tensor,
        state: list[Tensor],
        streams: Callable[[str, int], torch.Generator],
        *,
        loss_term: Callable[[Batch], Tensor | None] = lambda batch: None,
        after_backward: Callable[[Batch], None] = lambda batch: None,
        after_step: Callable[[Batch], None] = lambda batch: None,
    ) -> Iterator[int]:
        """Train ``network`` and ``state`` in place; yields after each epoch its number, from 1.

        The protocol of :meth:`Backprop.fit`: ``targets`` are labels int64 ``[n]`` or soft targets ``[n, classes]``,
        ``streams(name, epoch)`` gives generators (``"order"``, and ``"sign"`` where signs are drawn), gradients stand
        in ``p.grad`` when ``after_backward`` is called, and ``batch.residual`` has the residuals of the free phase. A
        free phase that does not converge is warned of once.
        """
        self.check_network(network)
        rates = self.rates(network)
        trained = network.trained
        optimiser = self._optimiser()
        starts = range(0, len(images), self.batch)
        warned = False
        signs: dict[str, torch.Generator] = {}
        for epoch in range(self.epochs):
            network.train()
            order = torch.randperm(len(images), generator=streams("order", epoch))
            signs.clear()
            now = rates
            if self.cosine_epochs:
                past = min(epoch, self.cosine_epochs)
                now = [cosine_rate(past, self.cosine_epochs, rate, self.smallest_lr) for rate in rates]

            def stream(name: str, number: int) -> torch.Generator:
                # One generator per epoch, which goes on from batch to batch.
                if name not in signs:
                    signs[name] = streams(name, number)
                return signs[name]

            for number, start in enumerate(starts):
                chosen = order[start : start + self.batch]
                progress = (epoch * len(starts) + number) / (self.epochs * len(starts))
                batch = Batch(images[chosen], targets[chosen], [], progress)
                gradients = self._gradients(network, batch, stream, epoch, loss_term)
                if not warned:
                    warned = self._warn(batch.residual, self.steps(network), epoch, number)
                for parameter, gradient in zip(trained, gradients, strict=True):
                    parameter.grad = gradient
                after_backward(batch)
                given = [p.grad for p in trained if p.grad is not None]
                optimiser.step_(trained, given, state, now)
                after_step(batch)
            yield epoch + 1

    def _warn(self, residual: Tensor | None, steps: int, epoch: int, number: int) -> bool:
        """Warn if the states of a layer still move; whether it was done."""
        if residual is None:
            return False
        changes = residual.tolist()
        worst = max(range(len(changes)), key=lambda k: math.inf if math.isnan(changes[k]) else changes[k])
        if changes[worst] <= self.residual_limit:
            return False
        warnings.warn(
            f"The free phase has not converged: after {steps} steps the states of layer {worst + 1} of {len(changes)} "
            f"still move by {changes[worst]:.3g} a step (limit {self.residual_limit:g}), first seen in batch "
            f"{number + 1} of epoch {epoch + 1}. Take more free_steps, smaller weights or rates, or a smaller dt.",
            ConvergenceWarning,
            stacklevel=4,
        )
        return True
