r"""Learning one task by backpropagation: the published wake training, or ordinary cross-entropy.

The published loss is the squared error of the ReLU output with a straight-through derivative: the error handed back is
:math:`y - t` even where the output is clipped, so that a silent unit whose target is 1 still learns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from neurosleep.errors import SettingsError, unknown_name
from neurosleep.networks import MLP

__all__ = ["LOSSES", "Backprop", "Loss", "accuracy", "predict", "task_loss"]

Loss = Literal["straight-through-mse", "cross-entropy"]
LOSSES: tuple[str, ...] = get_args(Loss)


def task_loss(output: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    """Mean loss of a batch; ``output`` is the last layer before its ReLU, ``[batch, classes]``."""
    if loss == "cross-entropy":
        return F.cross_entropy(output, labels)
    target = F.one_hot(labels, output.shape[1]).to(output.dtype)
    delta = (torch.relu(output) - target).detach()
    # The gradient of this product is delta itself: the derivative of the output's ReLU is left out on purpose.
    return (delta * output).sum() / len(output)


@dataclass(frozen=True)
class Backprop:
    """Settings of the wake training: SGD with classical momentum, ``v <- m v + lr grad; W <- W - v``.

    Parameters
    ----------
    loss:
        ``"straight-through-mse"`` (published) or ``"cross-entropy"``.
    lr, momentum, batch, epochs:
        Step size, momentum (kept across tasks by the caller's ``velocity``), images per step, passes over the data.
    """

    loss: Loss = "straight-through-mse"
    lr: float = 0.1
    momentum: float = 0.5
    batch: int = 100
    epochs: int = 2

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise unknown_name("loss", self.loss, LOSSES)
        if not 0 < self.lr < float("inf"):
            raise SettingsError(f"The learning rate is {self.lr!r}.", expected="a number > 0")
        if not 0 <= self.momentum < 1:
            raise SettingsError(f"The momentum is {self.momentum!r}.", expected="from 0 to below 1")
        for key in ("batch", "epochs"):
            if getattr(self, key) < 1:
                raise SettingsError(f"wake.{key} is {getattr(self, key)!r}.", expected="at least 1")

    def fit(
        self,
        network: MLP,
        images: Tensor,
        labels: Tensor,
        velocity: list[Tensor],
        streams: Callable[[str, int], torch.Generator],
        *,
        loss_term: Callable[[], Tensor | None] = lambda: None,
        after_backward: Callable[[], None] = lambda: None,
        after_step: Callable[[], None] = lambda: None,
    ) -> Iterator[int]:
        """Train ``network`` in place, and ``velocity`` with it; yields after each epoch its number, from 1.

        ``images`` float ``[n, inputs]``, ``labels`` int64 ``[n]``; ``streams(name, epoch)`` gives the generators
        ``"order"`` and ``"dropout"``. The hooks are those of a strategy (design section 8).
        """
        weights = network.weights
        for epoch in range(self.epochs):
            network.train()
            order = torch.randperm(len(images), generator=streams("order", epoch))
            dropout = streams("dropout", epoch)
            for start in range(0, len(images), self.batch):
                chosen = order[start : start + self.batch]
                loss = task_loss(network.activities(images[chosen], generator=dropout)[-1], labels[chosen], self.loss)
                extra = loss_term()
                if extra is not None:
                    loss = loss + extra
                gradients = torch.autograd.grad(loss, weights)
                for weight, gradient in zip(weights, gradients, strict=True):
                    weight.grad = gradient
                after_backward()
                with torch.no_grad():
                    for weight, v in zip(weights, velocity, strict=True):
                        assert weight.grad is not None
                        v.mul_(self.momentum).add_(weight.grad, alpha=self.lr)
                        weight.sub_(v)
                after_step()
            yield epoch + 1


@torch.no_grad()
def predict(network: torch.nn.Module, images: Tensor, batch: int = 2000) -> Tensor:
    """Class of each image, int64 ``[n]``: the largest ReLU output, the first one on ties (all silent: class 0)."""
    network.eval()
    return torch.cat(
        [torch.relu(network(part)).argmax(1) for part in (images[k : k + batch] for k in range(0, len(images), batch))]
    )


def accuracy(network: torch.nn.Module, images: Tensor, labels: Tensor) -> float:
    """Fraction of ``images`` ``[n, inputs]`` whose predicted class is their label."""
    return float((predict(network, images) == labels).double().mean())
