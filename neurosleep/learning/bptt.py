r"""Backpropagation through time on the dynamics of an equilibrium network.

The free phase runs :math:`T_1 - T_2` steps without gradient and :math:`T_2` steps with it; the loss is that of the last
state, and nothing is nudged. At a fixed point the contribution of the weights t steps before the end is what the t-th
step of a nudged phase adds to the update of Equilibrium Propagation (Ernoult et al. 2019, arXiv:1905.13633).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from neurosleep._shown import brief
from neurosleep.errors import SettingsError
from neurosleep.learning._phases import PhasedLearning
from neurosleep.learning.backprop import Batch
from neurosleep.networks import EquilibriumNetwork

__all__ = ["BPTT"]


@dataclass(frozen=True, kw_only=True)
class BPTT(PhasedLearning):
    """Settings of backpropagation through time.

    Parameters
    ----------
    gradient_steps:
        Last steps of the free phase that are differentiated (T2), at most all of them.
    straight_through:
        Whether the error of an output unit reaches its summed input also where its activation clips it. Without, a
        unit that is clipped for all images gets no gradient ever again; the nudge of Equilibrium Propagation, being
        finite, frees it. Ours, as in this package's training of feed-forward networks; in the last step only.

    See Also
    --------
    PhasedLearning : the other settings, and ``fit``. Terms that a strategy adds to the loss are followed.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import torch_generator
    >>> from neurosleep.learning import BPTT
    >>> from neurosleep.networks import EquilibriumMLP
    >>> model, training = EquilibriumMLP([16, 8, 3], free_steps=20), BPTT(lr=0.1, batch=10)
    >>> images, labels = torch.rand(30, 16), torch.arange(30) % 3
    >>> def streams(name, epoch):
    ...     return torch_generator(0, name, epoch)
    >>> for epoch in training.fit(model, images, labels, training.state(model), streams):
    ...     print(f"epoch {epoch} done")
    epoch 1 done
    """

    gradient_steps: int = 12
    straight_through: bool = False

    __repr__ = brief

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gradient_steps < 1:
            raise SettingsError(f"wake.gradient_steps is {self.gradient_steps!r}.", expected="at least 1")
        if self.free_steps is not None:
            self._check_steps(self.free_steps)

    def _check_steps(self, free_steps: int) -> None:
        if self.gradient_steps > free_steps:
            raise SettingsError(
                f"The gradient goes further back (T2, {self.gradient_steps}) than the free phase (T1, {free_steps}).",
                expected="gradient_steps <= free_steps",
            )

    def check_network(self, network: EquilibriumNetwork) -> None:
        """Refuse a network that this learning does not fit, or too few steps."""
        super().check_network(network)
        self._check_steps(self.steps(network))

    def _gradients(
        self,
        network: EquilibriumNetwork,
        batch: Batch,
        streams: Callable[[str, int], torch.Generator],
        epoch: int,
        loss_term: Callable[[Batch], Tensor | None],
    ) -> list[Tensor]:
        with torch.enable_grad():
            drive = network.start(batch.images)
            states = network.zeros(batch.images)
            without = self.steps(network) - self.gradient_steps
            if without:
                with torch.no_grad():
                    states = network.settle(drive, states, without).states
            if self.straight_through:
                if self.gradient_steps > 1:
                    states = network.settle(drive, states, self.gradient_steps - 1).states
                last, batch.residual = network.settle(drive, states, 1)
                batch.activities = [*last[:-1], network.straight_through(drive, states, last)]
            else:
                batch.activities, batch.residual = network.settle(drive, states, self.gradient_steps)
            loss = network.loss(batch.activities[-1], batch.targets)
            extra = loss_term(batch)
            if extra is not None:
                loss = loss + extra
            batch.loss = loss.detach()
            # With fewer steps than layers the first layers do not reach the loss yet: zeros.
            return list(torch.autograd.grad(loss, network.trained, materialize_grads=True, allow_unused=True))
