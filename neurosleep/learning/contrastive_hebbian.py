r"""Contrastive Hebbian learning: a free phase, a phase with the output clamped to the target, and their difference.

.. math::
    \text{predictive:} \quad \Delta W_l \propto (s_l^c - s_l^f)\, (s_{l-1}^c)^T, \qquad
    \text{classical:} \quad \Delta W_l \propto s_l^c (s_{l-1}^c)^T - s_l^f (s_{l-1}^f)^T

The predictive form is the one of the public code by Kubo and others (bioCHL, AdpNet).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from neurosleep._shown import brief
from neurosleep.errors import SettingsError
from neurosleep.functional import soft_targets
from neurosleep.learning._phases import PhasedLearning
from neurosleep.learning.backprop import Batch
from neurosleep.learning.equilibrium_propagation import adapt, check_adaptation, check_no_loss_term
from neurosleep.learning.optimiser import OptimiserName
from neurosleep.networks import EquilibriumNetwork

__all__ = ["ContrastiveHebbian"]


@dataclass(frozen=True, kw_only=True)
class ContrastiveHebbian(PhasedLearning):
    """Settings of contrastive Hebbian learning; defaults of the published code (units: logistic, dt 0.1).

    That code takes the bias change from the first sample of a batch only; here it is the batch's mean.

    Parameters
    ----------
    clamped_steps:
        Steps of the second phase, which starts from zero states too.
    delay:
        Step of it, from 0, after which the output is set to the target; 13 in the code, 12 in a figure's legend.
    predictive:
        Whether the presynaptic factor is the clamped state in both terms.
    adaptation_steps, adaptation_rate:
        Steps of Adjusted Adaptation after the second phase, with the output no longer clamped (published: 20, 0.1), 0
        for none, and their rate; see :func:`~neurosleep.learning.adapt`.

    See Also
    --------
    PhasedLearning : the other settings, and ``fit``.

    References
    ----------
    Movellan (1991), in: Connectionist Models, pp. 10-17; Kubo, Chalmers & Luczak (2023), arXiv:2204.14008.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import torch_generator
    >>> from neurosleep.learning import ContrastiveHebbian
    >>> from neurosleep.networks import EquilibriumMLP
    >>> model = EquilibriumMLP([16, 8, 3], activation="sigmoid", dt=0.1)
    >>> training = ContrastiveHebbian(free_steps=30, clamped_steps=30, residual_limit=1.0)
    >>> images, labels = torch.rand(30, 16), torch.arange(30) % 3
    >>> def streams(name, epoch):
    ...     return torch_generator(0, name, epoch)
    >>> for epoch in training.fit(model, images, labels, training.state(model), streams):
    ...     print(f"epoch {epoch} done")
    epoch 1 done
    """

    free_steps: int | None = 120
    lr: tuple[float, ...] | float = 0.1
    optimiser: OptimiserName = "adagrad"
    batch: int = 10
    clamped_steps: int = 120
    delay: int = 13
    predictive: bool = True
    adaptation_steps: int = 0
    adaptation_rate: float = 0.1

    __repr__ = brief

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.delay < self.clamped_steps:
            raise SettingsError(
                f"The output is clamped from step {self.delay!r} of a phase of {self.clamped_steps!r}.",
                expected="0 <= delay < clamped_steps",
            )
        check_adaptation(self.adaptation_steps, self.adaptation_rate)

    def check_network(self, network: EquilibriumNetwork) -> None:
        """Refuse a network that this learning does not fit, or too few steps."""
        super().check_network(network)
        if network.read_out_kind != "squared-error":
            raise SettingsError(
                f"The read-out is {network.read_out_kind!r}, and contrastive Hebbian learning sets the output to the "
                "target.",
                expected="a network with the read-out 'squared-error'",
            )

    @torch.no_grad()
    def _gradients(
        self,
        network: EquilibriumNetwork,
        batch: Batch,
        streams: Callable[[str, int], torch.Generator],
        epoch: int,
        loss_term: Callable[[Batch], Tensor | None],
    ) -> list[Tensor]:
        x = batch.images
        drive = network.start(x)
        free, batch.residual = network.settle(drive, network.zeros(x), self.steps(network))
        batch.activities = free
        check_no_loss_term(loss_term(batch), "contrastive Hebbian learning")
        target = soft_targets(batch.targets, free[-1])

        def clamp(step: int, states: list[Tensor]) -> None:
            if step >= self.delay:
                states[-1].copy_(target)

        clamped = network.evolve(drive, network.zeros(x), self.clamped_steps, clamp)
        if self.adaptation_steps:
            clamped = adapt(network, drive, clamped, free, self.adaptation_steps, self.adaptation_rate)
        batch.deltas = tuple((f - c) / len(x) for f, c in zip(free, clamped, strict=True))
        return network.contrast(drive, x, free, clamped, 1.0, predictive=self.predictive)
