r"""Learning one task by backpropagation: the published wake training, or what people train with.

The published loss is the squared error of the ReLU output with a straight-through derivative: the error handed back is
:math:`y - t` even where the output is clipped, so that a silent unit whose target is 1 still learns. Beside it stand
cross-entropy, over all outputs or over the task's classes alone, and binary cross-entropy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from neurosleep._checks import as_images
from neurosleep._shown import brief
from neurosleep.errors import SettingsError, unknown_name
from neurosleep.learning.optimiser import Adam
from neurosleep.networks import EquilibriumNetwork, FeedForwardNetwork

__all__ = ["FROZEN", "LOSSES", "Backprop", "Batch", "Frozen", "Loss", "accuracy", "predict", "task_loss"]

Loss = Literal["straight-through-mse", "cross-entropy", "task-cross-entropy", "binary-cross-entropy"]
LOSSES: tuple[str, ...] = get_args(Loss)
#: Layers that a training leaves as they are: the convolutions, or every layer but the last.
Frozen: TypeAlias = Literal["conv", "hidden"]
FROZEN: tuple[str, ...] = get_args(Frozen)


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
        Gradient of the loss with respect to each layer's summed input, once it is known; 0 below the lowest layer that
        learns.
    residual:
        Of an equilibrium network: per layer the largest change of a state in the last step of the free phase.
    rates:
        Step size of each tensor that learning changes (``trained``); none with Adam, whose steps are no multiple of the
        gradient.
    loss:
        Its mean loss before the step, what a strategy added included; None where learning has no loss.

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
    rates: tuple[float, ...] = ()
    loss: Tensor | None = None

    __repr__ = brief

    @property
    def inputs(self) -> list[Tensor]:
        """What each layer received, ``[batch, n]``, without gradient."""
        return [self.images, *(activity.detach() for activity in self.activities[:-1])]


def task_loss(output: Tensor, targets: Tensor, loss: Loss, classes: Tensor | None = None) -> Tensor:
    """Mean loss of a batch; ``output`` is the last layer's summed input, ``[batch, classes]``.

    ``targets`` are labels int64 ``[batch]`` or soft targets ``[batch, classes]``. ``classes``, int64 and in ascending
    order, are those of the task: ``"task-cross-entropy"`` is a soft-max over these outputs alone, so that the others
    are not pushed down (Zeno et al. 2018, arXiv:1803.10123). ``"binary-cross-entropy"`` is the mean over images and
    outputs, as torch's ``BCEWithLogitsLoss``.

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
    if loss == "task-cross-entropy" and classes is not None:
        return F.cross_entropy(output[:, classes], _among(targets, classes))
    if loss in ("cross-entropy", "task-cross-entropy"):
        return F.cross_entropy(output, targets)
    target = (F.one_hot(targets, output.shape[1]) if targets.ndim == 1 else targets).to(output.dtype)
    if loss == "binary-cross-entropy":
        return F.binary_cross_entropy_with_logits(output, target)
    delta = (torch.relu(output) - target).detach()
    # The gradient of this product is delta itself: the derivative of the output's ReLU is left out on purpose.
    return (delta * output).sum() / len(output)


def _among(targets: Tensor, classes: Tensor) -> Tensor:
    """Targets counted among ``classes`` only."""
    return torch.searchsorted(classes, targets) if targets.ndim == 1 else targets[:, classes]


def _classes(targets: Tensor) -> Tensor:
    """The classes that labels ``[n]`` or soft targets ``[n, classes]`` hold, in ascending order."""
    return torch.unique(targets) if targets.ndim == 1 else targets.sum(0).nonzero().squeeze(1)


@dataclass(frozen=True)
class Backprop:
    """Settings of the wake training: SGD with classical momentum, ``v <- m v + lr grad; W <- W - v``, or Adam.

    Parameters
    ----------
    loss:
        ``"straight-through-mse"`` (published), ``"cross-entropy"``, ``"task-cross-entropy"`` (over the classes among
        the targets alone) or ``"binary-cross-entropy"`` (:func:`task_loss`).
    lr, momentum, batch, epochs:
        Step size (one, or one per layer, input side first), momentum (of SGD; kept across tasks by the caller's
        ``velocity``), images per step, passes over the data.
    optimiser:
        ``"sgd"`` or ``"adam"`` (:class:`Adam`, with torch's arithmetic and defaults; ``momentum`` is not read).
    hidden_lr_factor:
        With one ``lr``: the layers before the last learn at so much of it, 0 to 1. Slow hidden layers keep features
        that old tasks need.
    frozen:
        Layers that stay as they are: ``"conv"`` (the convolutions), ``"hidden"`` (all but the last).

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
    optimiser: Literal["sgd", "adam"] = "sgd"
    hidden_lr_factor: float = 1.0
    frozen: tuple[Frozen, ...] = ()

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise unknown_name("loss", self.loss, LOSSES)
        if self.optimiser not in ("sgd", "adam"):
            raise unknown_name("optimiser", self.optimiser, ("sgd", "adam"))
        for rate in self.lr if isinstance(self.lr, tuple) else (self.lr,):
            if not 0 < rate < float("inf"):
                raise SettingsError(f"The learning rate is {self.lr!r}.", expected="a number > 0, or one per layer")
        if not 0 <= self.momentum < 1:
            raise SettingsError(f"The momentum is {self.momentum!r}.", expected="from 0 to below 1")
        if not 0 <= self.hidden_lr_factor <= 1:
            raise SettingsError(f"wake.hidden_lr_factor is {self.hidden_lr_factor!r}.", expected="from 0 to 1")
        if isinstance(self.lr, tuple) and self.hidden_lr_factor != 1:
            raise SettingsError(
                f"wake.hidden_lr_factor is {self.hidden_lr_factor!r}, and each layer has a rate (lr_per_layer).",
                expected="one of them",
            )
        for name in self.frozen:
            if name not in FROZEN:
                raise unknown_name("kind of layer", str(name), FROZEN)
        for key in ("batch", "epochs"):
            if getattr(self, key) < 1:
                raise SettingsError(f"wake.{key} is {getattr(self, key)!r}.", expected="at least 1")

    def rates(self, network: FeedForwardNetwork) -> tuple[float, ...]:
        """The step size of each layer.

        Raises
        ------
        SettingsError
            If there is another number of them than of layers with weights.
        """
        layers = len(network.weights)
        one = self.lr
        rates = one if isinstance(one, tuple) else (*(one * self.hidden_lr_factor for _ in range(layers - 1)), one)
        if len(rates) != layers:
            raise SettingsError(
                f"{len(rates)} learning rates were given (lr_per_layer).",
                expected=f"{layers}, one for each layer with weights",
            )
        return rates

    def state(self, network: FeedForwardNetwork) -> list[Tensor]:
        """What the optimiser remembers before the first step, the ``velocity`` of :meth:`fit`: a list to keep.

        SGD: the last step of each of ``network.trained``, 0. Adam: :meth:`Adam.state`.
        """
        trained = network.trained
        return Adam().state(trained) if self.optimiser == "adam" else [torch.zeros_like(tensor) for tensor in trained]

    def learning_layers(self, network: FeedForwardNetwork) -> list[bool]:
        """Whether each layer learns, input side first.

        Raises
        ------
        SettingsError
            If convolutions are frozen and the network has none.
        """
        convolutions = [isinstance(layer, torch.nn.Conv2d) for layer in network.layers]
        if "conv" in self.frozen and not any(convolutions):
            raise SettingsError(
                "The convolutions were to stay as they are, and the network has none.",
                found=type(network).__name__,
                expected='a ConvNet (network.kind "conv"), or "hidden"',
            )
        last = len(convolutions) - 1
        return [
            not ((conv and "conv" in self.frozen) or (k < last and "hidden" in self.frozen))
            for k, conv in enumerate(convolutions)
        ]

    def fit(
        self,
        network: FeedForwardNetwork,
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
        ``velocity`` as :meth:`state` gave it; ``streams(name, epoch)`` gives the generators ``"order"`` and
        ``"dropout"``. A strategy may add to the loss (``loss_term``), change the gradients, which stand in the ``grad``
        of each of ``network.trained`` (``after_backward``), and look at the weights after each step (``after_step``).
        """
        step = _Step(self, network, velocity)
        classes = _classes(targets) if self.loss == "task-cross-entropy" else None
        starts = range(0, len(images), self.batch)
        for epoch in range(self.epochs):
            network.train()
            order = torch.randperm(len(images), generator=streams("order", epoch))
            dropout = streams("dropout", epoch)
            for number, start in enumerate(starts):
                chosen = order[start : start + self.batch]
                sums, activities = network.trace(images[chosen], generator=dropout)
                progress = (epoch * len(starts) + number) / (self.epochs * len(starts))
                batch = Batch(images[chosen], targets[chosen], activities, progress, rates=step.sizes)
                loss = task_loss(sums[-1], batch.targets, self.loss, classes)
                extra = loss_term(batch)
                batch.loss = self._shown_loss(loss, sums[-1], batch.targets)
                if extra is not None:
                    loss = loss + extra
                    batch.loss = batch.loss + extra.detach()
                batch.deltas = step.differentiate(loss, sums)
                after_backward(batch)
                step.take()
                after_step(batch)
            yield epoch + 1

    def _shown_loss(self, loss: Tensor, output: Tensor, targets: Tensor) -> Tensor:
        """The loss as a number to look at: of the straight-through one, whose product means nothing, half the error."""
        if self.loss != "straight-through-mse":
            return loss.detach()
        target = F.one_hot(targets, output.shape[1]) if targets.ndim == 1 else targets
        return (torch.relu(output.detach()) - target).square().sum() / (2 * len(output))


class _Step:
    """One step of the optimiser after another, on the layers that learn; ``velocity`` is its state."""

    def __init__(self, settings: Backprop, network: FeedForwardNetwork, velocity: list[Tensor]) -> None:
        learns = settings.learning_layers(network)
        rates, layer_of = settings.rates(network), network.layer_of
        self.lowest = learns.index(True)
        numbers = [k for k, layer in enumerate(layer_of) if learns[layer]]
        n = len(layer_of)
        self.trained = [network.trained[k] for k in numbers]
        self.still = [tensor for k, tensor in enumerate(network.trained) if k not in numbers]
        self.rates = [rates[layer_of[k]] for k in numbers]
        self.momentum = settings.momentum
        self.adam = Adam() if settings.optimiser == "adam" else None
        self.sizes = () if self.adam else tuple(rates[layer] for layer in layer_of)
        if len(velocity) != (n if self.adam is None else 2 * n + 1):
            raise SettingsError(
                f"The optimiser's state has {len(velocity)} tensors.", expected="those that Backprop.state gives"
            )
        moments = [*numbers, *(n + k for k in numbers), 2 * n]
        self.state = [velocity[k] for k in (numbers if self.adam is None else moments)]

    def differentiate(self, loss: Tensor, sums: list[Tensor]) -> tuple[Tensor, ...]:
        """Put the gradients of ``loss`` into ``grad``, 0 where nothing learns; those of ``sums`` come back."""
        gradients = torch.autograd.grad(loss, [*self.trained, *sums[self.lowest :]])
        for tensor in self.still:
            tensor.grad = torch.zeros_like(tensor)
        for tensor, gradient in zip(self.trained, gradients, strict=False):
            tensor.grad = gradient
        return (*(torch.zeros_like(total) for total in sums[: self.lowest]), *gradients[len(self.trained) :])

    @torch.no_grad()
    def take(self) -> None:
        """Change what learns by its ``grad``."""
        gradients = [tensor.grad for tensor in self.trained if tensor.grad is not None]
        if self.adam is not None:
            self.adam.step_(self.trained, gradients, self.state, self.rates)
            return
        for tensor, gradient, v, rate in zip(self.trained, gradients, self.state, self.rates, strict=True):
            v.mul_(self.momentum).add_(gradient, alpha=rate)
            tensor.sub_(v)


@torch.no_grad()
def predict(network: torch.nn.Module, images: Tensor | NDArray[np.generic], batch: int = 2000) -> Tensor:
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
    x = as_images("images", images)
    parameter = next(network.parameters(), None)
    x = x if parameter is None else x.to(parameter)
    classes = []
    for start in range(0, len(x), batch):
        output = network(x[start : start + batch])
        if isinstance(network, FeedForwardNetwork | EquilibriumNetwork):
            output = network.read_out(output)
        classes.append(output.argmax(1))
    return torch.cat(classes)


def accuracy(
    network: torch.nn.Module, images: Tensor | NDArray[np.generic], labels: Tensor | NDArray[np.integer]
) -> float:
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
    predicted = predict(network, images)
    return float((predicted == torch.as_tensor(labels, device=predicted.device)).double().mean())
