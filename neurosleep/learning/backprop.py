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

from neurosleep._shown import brief
from neurosleep.errors import SettingsError, unknown_name
from neurosleep.networks import MLP, EquilibriumNetwork

__all__ = ["LOSSES", "Backprop", "Batch", "Loss", "accuracy", "predict", "task_loss"]

Loss = Literal["straight-through-mse", "cross-entropy"]
LOSSES: tuple[str, ...] = get_args(Loss)


@dataclass(eq=False)
class Batch:
    """One mini-batch as the hooks of a strategy see it.

    Attributes
    ----------
    images, targets:
        ``[batch, inputs]``; labels int64 ``[batch]``, or soft targets ``[batch, classes]``.
    activities:
        Of every layer after the input, dropout included; the last one is the summed input of the output layer.
    progress:
        Part of the task's training that lies behind, from 0 to below 1.
    deltas:
        Gradient of the loss with respect to each layer's summed input, once it is known.
    residual:
        Of an equilibrium network: per layer the largest change of a state in the last step of the free phase.

    See Also
    --------
    neurosleep.continual.Strategy : whose hooks are given it

    Examples
    --------
    >>> import torch
    >>> from neurosleep.learning import Batch
    >>> images, labels = torch.rand(5, 16), torch.tensor([0, 1, 2, 0, 1])
    >>> batch = Batch(images, labels, activities=[torch.rand(5, 8), torch.rand(5, 3)])
    >>> batch.progress, [layer.shape for layer in batch.inputs]
    (0.0, [torch.Size([5, 16]), torch.Size([5, 8])])
    """

    images: Tensor
    targets: Tensor
    activities: list[Tensor]
    progress: float = 0.0
    deltas: tuple[Tensor, ...] = ()
    residual: Tensor | None = None

    __repr__ = brief

    @property
    def inputs(self) -> list[Tensor]:
        """What each layer received, ``[batch, n]``, without gradient."""
        return [self.images, *(activity.detach() for activity in self.activities[:-1])]


def task_loss(output: Tensor, targets: Tensor, loss: Loss) -> Tensor:
    """Mean loss of a batch; ``output`` is the last layer's summed input, ``[batch, classes]``.

    ``targets`` are labels int64 ``[batch]`` or soft targets ``[batch, classes]``.

    See Also
    --------
    Backprop : which minimises it
    neurosleep.functional.soft_targets : one kind of targets

    Examples
    --------
    >>> import torch
    >>> from neurosleep.learning import task_loss
    >>> task_loss(torch.zeros(2, 4), torch.tensor([0, 3]), "cross-entropy")
    tensor(1.3863)
    """
    if loss == "cross-entropy":
        return F.cross_entropy(output, targets)
    target = (F.one_hot(targets, output.shape[1]) if targets.ndim == 1 else targets).to(output.dtype)
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
        Step size (one, or one per layer, input side first), momentum (kept across tasks by the caller's ``velocity``),
        images per step, passes over the data.

    See Also
    --------
    accuracy, predict : what it has learnt
    EquilibriumPropagation : learning of equilibrium networks

    Examples
    --------
    >>> import torch
    >>> from neurosleep.functional import torch_generator
    >>> from neurosleep.learning import Backprop
    >>> from neurosleep.networks import MLP
    >>> model = MLP([16, 8, 3])
    >>> images, labels = torch.rand(30, 16), torch.arange(30) % 3
    >>> velocity = [torch.zeros_like(weight) for weight in model.weights]
    >>> def streams(name, epoch):
    ...     return torch_generator(0, name, epoch)
    >>> for epoch in Backprop(epochs=2, batch=10).fit(model, images, labels, velocity, streams):
    ...     print(f"epoch {epoch} done")
    epoch 1 done
    epoch 2 done
    """

    loss: Loss = "straight-through-mse"
    lr: float | tuple[float, ...] = 0.1
    momentum: float = 0.5
    batch: int = 100
    epochs: int = 2

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise unknown_name("loss", self.loss, LOSSES)
        for rate in self.lr if isinstance(self.lr, tuple) else (self.lr,):
            if not 0 < rate < float("inf"):
                raise SettingsError(f"The learning rate is {self.lr!r}.", expected="a number > 0, or one per layer")
        if not 0 <= self.momentum < 1:
            raise SettingsError(f"The momentum is {self.momentum!r}.", expected="from 0 to below 1")
        for key in ("batch", "epochs"):
            if getattr(self, key) < 1:
                raise SettingsError(f"wake.{key} is {getattr(self, key)!r}.", expected="at least 1")

    def rates(self, network: MLP) -> tuple[float, ...]:
        """The step size of each layer.

        Raises
        ------
        SettingsError
            If there is another number of them than of layers with weights.
        """
        layers = len(network.weights)
        rates = self.lr if isinstance(self.lr, tuple) else (self.lr,) * layers
        if len(rates) != layers:
            raise SettingsError(
                f"{len(rates)} learning rates were given (lr_per_layer).",
                expected=f"{layers}, one for each layer with weights",
            )
        return rates

    def fit(
        self,
        network: MLP,
        images: Tensor,
        targets: Tensor,
        velocity: list[Tensor],
        streams: Callable[[str, int], torch.Generator],
        *,
        loss_term: Callable[[Batch], Tensor | None] = lambda batch: None,
        after_backward: Callable[[Batch], None] = lambda batch: None,
        after_step: Callable[[Batch], None] = lambda batch: None,
    ) -> Iterator[int]:
        """Train ``network`` in place, and ``velocity`` with it; yields after each epoch its number, from 1.

        ``images`` float ``[n, inputs]``, ``targets`` labels int64 ``[n]`` or soft targets ``[n, classes]``;
        ``streams(name, epoch)`` gives the generators ``"order"`` and ``"dropout"``. A strategy may add to the loss
        (``loss_term``), change the gradients, which stand in ``weight.grad`` (``after_backward``), and look at the
        weights after each step (``after_step``).
        """
        weights = network.weights
        layers = len(weights)
        rates = self.rates(network)
        begins = range(0, len(images), self.batch)
        for epoch in range(self.epochs):
            network.train()
            order = torch.randperm(len(images), generator=streams("order", epoch))
            dropout = streams("dropout", epoch)
            for number, start in enumerate(begins):
                chosen = order[start : start + self.batch]
                sums, activities = network.trace(images[chosen], generator=dropout)
                progress = (epoch * len(begins) + number) / (self.epochs * len(begins))
                batch = Batch(images[chosen], targets[chosen], activities, progress)
                loss = task_loss(sums[-1], batch.targets, self.loss)
                extra = loss_term(batch)
                if extra is not None:
                    loss = loss + extra
                gradients = torch.autograd.grad(loss, [*weights, *sums])
                batch.deltas = gradients[layers:]
                for weight, gradient in zip(weights, gradients[:layers], strict=True):
                    weight.grad = gradient
                after_backward(batch)
                with torch.no_grad():
                    for weight, v, rate in zip(weights, velocity, rates, strict=True):
                        assert weight.grad is not None
                        v.mul_(self.momentum).add_(weight.grad, alpha=rate)
                        weight.sub_(v)
                after_step(batch)
            yield epoch + 1


@torch.no_grad()
def predict(network: torch.nn.Module, images: Tensor, batch: int = 2000) -> Tensor:
    """Class of each image, int64 ``[n]``: the largest output, the first one on ties (a silent ReLU output: class 0).

    See Also
    --------
    accuracy : the fraction that is right

    Examples
    --------
    >>> import torch
    >>> from neurosleep.learning import predict
    >>> predict(torch.nn.Identity(), torch.eye(3))
    tensor([0, 1, 2])
    """
    network.eval()
    found = []
    for start in range(0, len(images), batch):
        output = network(images[start : start + batch])
        found.append((network.read_out(output) if isinstance(network, MLP | EquilibriumNetwork) else output).argmax(1))
    return torch.cat(found)


def accuracy(network: torch.nn.Module, images: Tensor, labels: Tensor) -> float:
    """Fraction of ``images`` ``[n, inputs]`` whose predicted class is their label.

    See Also
    --------
    predict : the classes themselves

    Examples
    --------
    >>> import torch
    >>> from neurosleep.learning import accuracy
    >>> accuracy(torch.nn.Identity(), torch.eye(3), torch.tensor([0, 1, 0]))
    0.6666666666666666
    """
    return float((predict(network, images) == labels).double().mean())
