"""What the layers of a model that sleeps do for images, part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from neurosleep.conversion.scale import batches
from neurosleep.networks import EquilibriumMLP

__all__ = ["relu_activities", "settled_activities"]


def relu_activities(
    layers: Sequence[nn.Linear], factor: float, read_out: Callable[[Tensor], Tensor], images: Tensor
) -> Iterator[list[Tensor]]:
    """Activities of a ReLU network, part by part; each part is good until the next is asked for.

    ``factor`` multiplies hidden activities. Room is taken once and used again: to get it costs as much as to fill it.
    """
    room: list[Tensor] = []
    for x in batches(images):
        found = []
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
            found.append(x)
        yield found


def settled_activities(model: EquilibriumMLP, images: Tensor) -> Iterator[list[Tensor]]:
    """Activities in the free phase's equilibrium; after them, where it has one, those of the soft-max read-out."""
    for x in batches(images):
        states = found = model.activities(x)
        if model.dynamics == "hopfield":
            # There a state is a potential, and its activity what others get of it.
            found = [activation.value(u) for activation, u in zip(model.activations, states, strict=True)]
        if model.read_out_kind == "softmax-read-out":
            found = [*found, model.read_out(states[-1])]
        yield found
