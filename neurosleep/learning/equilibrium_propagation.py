r"""Equilibrium Propagation: the gradient of the loss from how a small nudge moves the equilibrium.

.. math::
    \text{one-sided:} \quad -\frac{1}{\beta} \left( \frac{\partial\Phi}{\partial\theta}(s^{\beta})
    - \frac{\partial\Phi}{\partial\theta}(s^0) \right), \qquad
    \text{symmetric:} \quad -\frac{1}{2\beta} \left( \frac{\partial\Phi}{\partial\theta}(s^{\beta})
    - \frac{\partial\Phi}{\partial\theta}(s^{-\beta}) \right)

The first has an error of order beta, the second of order beta squared; a random sign of beta removes the bias of the
first in expectation only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from neurosleep._shown import brief
from neurosleep.errors import SettingsError, unknown_name
from neurosleep.learning._phases import PhasedLearning
from neurosleep.learning.backprop import Batch
from neurosleep.networks import Drive, EquilibriumNetwork

__all__ = ["ESTIMATORS", "EquilibriumPropagation", "Estimator", "adapt"]

Estimator = Literal["symmetric", "one-sided", "random-sign"]
ESTIMATORS: tuple[str, ...] = get_args(Estimator)


def check_no_loss_term(extra: Tensor | None, what: str) -> None:
    """Refuse what a strategy adds to the loss, where no loss is differentiated."""
    if extra is not None:
        raise SettingsError(
            f"The strategy adds a term to the loss, which {what} cannot follow: it differentiates no loss.",
            hint="train the network with BPTT, or take a strategy that changes data, gradients or weights",
        )


def adapt(
    network: EquilibriumNetwork,
    drive: Drive,
    states: list[Tensor],
    free: list[Tensor],
    steps: int,
    rate: float,
    *,
    targets: Tensor | None = None,
    beta: float = 0.0,
) -> list[Tensor]:
    """Adjusted Adaptation: let ``states`` run on while each is pulled towards its free-phase value.

    ``x <- (1 - rate) x_dyn + rate x_free``, where ``x_dyn`` is the state after an ordinary step, and of the output,
    while nothing nudges it, its previous value.

    See Also
    --------
    EquilibriumPropagation : whose ``adaptation_steps`` call it

    References
    ----------
    Kubo, Chalmers & Luczak (2023), arXiv:2204.14008, Eq. 8.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.learning import adapt
    >>> from neurosleep.networks import EquilibriumMLP
    >>> model = EquilibriumMLP([16, 8, 3])
    >>> images = torch.rand(5, 16)
    >>> drive = model.start(images)
    >>> free = model.settle(drive, model.zeros(images), 20).states
    >>> nudged = [state + 0.1 for state in free]
    >>> [state.shape for state in adapt(model, drive, nudged, free, steps=5, rate=0.1)]
    [torch.Size([5, 8]), torch.Size([5, 3])]
    """
    output = states[-1].clone()

    def pull(step: int, now: list[Tensor]) -> None:
        if not beta:
            now[-1].copy_(output)
        for state, rest in zip(now, free, strict=True):
            state.lerp_(rest, rate)
        output.copy_(now[-1])

    return network.evolve(drive, states, steps, pull, targets=targets, beta=beta)


@dataclass(frozen=True, kw_only=True)
class EquilibriumPropagation(PhasedLearning):
    """Settings of Equilibrium Propagation; defaults of 784-256-10 on MNIST.

    Parameters
    ----------
    estimator:
        ``"symmetric"`` (a third phase at -beta, from the free state), ``"one-sided"`` or ``"random-sign"`` (one-sided,
        with a sign drawn for each batch).
    beta:
        Strength of the nudge, not 0. A negative one is legal.
    nudged_steps:
        Steps of each nudged phase (T2), at most those of the free phase.
    second_start:
        Step of the free phase whose states the nudged phases start from; None: its last.
    adaptation_steps, adaptation_rate, adaptation_nudged:
        Steps of :func:`adapt` after a nudged phase, 0 for none, their rate, and whether nudging stays on.
    predictive:
        AdpNet's form of the update; see :meth:`EquilibriumNetwork.contrast`.

    See Also
    --------
    PhasedLearning : the other settings, and ``fit``.

    References
    ----------
    Scellier & Bengio (2017), doi:10.3389/fncom.2017.00024; Laborieux et al. (2021), doi:10.3389/fnins.2021.633674.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import torch_generator
    >>> from neurosleep.learning import EquilibriumPropagation
    >>> from neurosleep.networks import EquilibriumMLP
    >>> model, training = EquilibriumMLP([16, 8, 3], free_steps=20), EquilibriumPropagation(lr=0.1, batch=10)
    >>> images, labels = torch.rand(30, 16), torch.arange(30) % 3
    >>> def streams(name, epoch):
    ...     return torch_generator(0, name, epoch)
    >>> for epoch in training.fit(model, images, labels, training.state(model), streams):
    ...     print(f"epoch {epoch} done")
    epoch 1 done
    """

    estimator: Estimator = "symmetric"
    beta: float = 0.1
    nudged_steps: int = 12
    second_start: int | None = None
    adaptation_steps: int = 0
    adaptation_rate: float = 0.1
    adaptation_nudged: bool = False
    predictive: bool = False

    __repr__ = brief

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.estimator not in ESTIMATORS:
            raise unknown_name("estimator", str(self.estimator), ESTIMATORS)
        if self.beta == 0 or not math.isfinite(self.beta):
            raise SettingsError(
                f"The strength of the nudge, beta, is {self.beta!r}.",
                expected="a number that is not 0",
                hint="0.1 to 0.5: below, float32 rounds the difference of the phases away",
            )
        if self.nudged_steps < 1:
            raise SettingsError(f"wake.nudged_steps is {self.nudged_steps!r}.", expected="at least 1")
        if self.free_steps is not None:
            self._check_steps(self.free_steps)
        check_adaptation(self.adaptation_steps, self.adaptation_rate)

    def _check_steps(self, free_steps: int) -> None:
        if self.nudged_steps > free_steps:
            raise SettingsError(
                f"The nudged phase (T2, {self.nudged_steps} steps) is longer than the free one (T1, {free_steps}).",
                expected="nudged_steps <= free_steps",
            )
        if self.second_start is not None and not 1 <= self.second_start <= free_steps:
            raise SettingsError(
                f"The nudged phases start from step {self.second_start!r} of the free phase.",
                expected=f"from 1 to {free_steps}",
            )

    def check_network(self, network: EquilibriumNetwork) -> None:
        """Refuse a network that this learning does not fit, or too few steps."""
        super().check_network(network)
        self._check_steps(self.steps(network))

    @torch.no_grad()
    def _gradients(
        self,
        network: EquilibriumNetwork,
        batch: Batch,
        streams: Callable[[str, int], torch.Generator],
        epoch: int,
        loss_term: Callable[[Batch], Tensor | None],
    ) -> list[Tensor]:
        x, targets = batch.images, batch.targets
        drive = network.start(x)
        steps = self.steps(network)
        if self.second_start is None or self.second_start == steps:
            free, batch.residual = network.settle(drive, network.zeros(x), steps)
            start = free
        else:
            start = network.settle(drive, network.zeros(x), self.second_start).states
            free, batch.residual = network.settle(drive, start, steps - self.second_start)
        batch.activities = free
        check_no_loss_term(loss_term(batch), "Equilibrium Propagation")

        beta = self.beta
        if self.estimator == "random-sign" and int(torch.randint(2, (), generator=streams("sign", epoch))):
            beta = -beta
        betas = (-beta, beta) if self.estimator == "symmetric" else (0.0, beta)
        factor = 1 / (betas[1] - betas[0])
        minus, plus = (self._nudged(network, drive, start, free, targets, b) if b else free for b in betas)
        batch.deltas = tuple((m - p) * (factor / len(x)) for m, p in zip(minus, plus, strict=True))
        return network.contrast(drive, x, minus, plus, factor, targets=targets, betas=betas, predictive=self.predictive)

    def _nudged(
        self,
        network: EquilibriumNetwork,
        drive: Drive,
        start: list[Tensor],
        free: list[Tensor],
        targets: Tensor,
        beta: float,
    ) -> list[Tensor]:
        states = network.settle(drive, start, self.nudged_steps, targets=targets, beta=beta).states
        if self.adaptation_steps:
            steps, rate = self.adaptation_steps, self.adaptation_rate
            on = beta if self.adaptation_nudged else 0.0
            states = adapt(network, drive, states, free, steps, rate, targets=targets, beta=on)
        return states


def check_adaptation(steps: int, rate: float) -> None:
    """Refuse settings of Adjusted Adaptation that make no sense."""
    if steps < 0:
        raise SettingsError(f"wake.adaptation_steps is {steps!r}.", expected="0 (none), or more")
    if not 0 <= rate <= 1:
        raise SettingsError(f"The rate of adaptation is {rate!r}.", expected="from 0 to 1")
