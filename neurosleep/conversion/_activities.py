"""What the layers of a model that sleeps do for images, part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from neurosleep.networks import EquilibriumMLP

__all__ = ["largest_activities", "relu_activities", "settled_activities"]

# So many images are gone through at once, so that the activities of a large set need not be held together.
_BATCH = 2000


def largest_activities(activities: Iterable[Sequence[Tensor]], weights: Sequence[Tensor]) -> list[float]:
    r""":math:`\lambda_l` per layer from batches of activities (``[batch, n]`` per layer) and the weights.

    See Also
    --------
    neurosleep.convert : scales the layers by them

    Examples
    --------
    >>> import torch
    >>> from neurosleep.conversion import largest_activities
    >>> from neurosleep.networks import MLP
    >>> model = MLP([4, 3, 2])
    >>> with torch.no_grad():
    ...     largest = largest_activities([model.activities(torch.rand(20, 4))], model.weights)
    >>> len(largest)
    2
    """
    largest = [max(float(weight.max()), 0.0) for weight in weights]
    for batch in activities:
        largest = [max(before, float(layer.max())) for before, layer in zip(largest, batch, strict=True)]
    return largest


def relu_activities(
    layers: Sequence[nn.Linear], factor: float, read_out: Callable[[Tensor], Tensor], images: Tensor
) -> Iterator[list[Tensor]]:
    """Activities of a ReLU network, part by part; each part is good until the next is asked for.

    ``factor`` multiplies hidden activities. Room is taken once and used again: to get it costs as much as to fill it.
    """
    room: list[Tensor] = []
    for x in torch.split(images, _BATCH):
        activities = []
        for k, layer in enumerate(layers):
            if k == len(room):
                room.append(x.new_empty(len(x), layer.out_features))
            x = torch.mm(x, layer.weight.T, out=room[k][: len(x)])
            if k < len(layers) - 1:
                x.relu_()
                if factor != 1:
                    x.mul_(factor)
            else:
                x = read_out(x)
            activities.append(x)
        yield activities


def settled_activities(model: EquilibriumMLP, images: Tensor) -> Iterator[list[Tensor]]:
    """Activities in the free phase's equilibrium; after them, where it has one, those of the soft-max read-out."""
    for x in torch.split(images, _BATCH):
        states = activities = model.activities(x)
        if model.dynamics == "hopfield":
            # There a state is a potential, and its activity what others get of it.
            activities = [activation.value(u) for activation, u in zip(model.activations, states, strict=True)]
        if model.read_out_kind == "softmax-read-out":
            activities = [*activities, model.read_out(states[-1])]
        yield activities
