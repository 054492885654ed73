"""What every analysis reads: two networks of one shape and labelled images, checked, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurosleep._checks import as_images
from neurosleep.errors import DataError, SettingsError

__all__ = ["Layered", "activity_batches", "check_images", "check_pair", "class_means", "layer_names"]

Array = NDArray[Any]


class Layered(Protocol):
    """A network of layers, such as :class:`~neurosleep.networks.MLP`."""

    training: bool

    @property
    def weights(self) -> list[Tensor]:
        """The weights ``[post, pre]``, input side first."""

    def activities(self, x: Tensor) -> list[Tensor]:
        """Activity of every layer after the input, ``[batch, n]``; the last one before the output's ReLU."""

    def train(self, mode: bool = True) -> Any:
        """Switch between training and evaluation."""


def layer_names(network: Layered) -> list[str]:
    """The names of the layers after the input, those that a conversion gives to its populations."""
    hidden = len(network.weights) - 1
    return [*(f"hidden{k}" for k in range(1, hidden + 1)), "output"]


def check_pair(before: Layered, after: Layered) -> None:
    """Refuse what is no network, networks of different shapes, and weights that are not finite."""
    for moment, network in (("before", before), ("after", after)):
        weights = getattr(network, "weights", None)
        if not isinstance(weights, Sequence) or not all(isinstance(weight, Tensor) for weight in weights):
            raise SettingsError(
                f"The network {moment} sleep is an object of type {type(network).__name__}.",
                expected="a network of layers, such as neurosleep.MLP",
            )
    shapes = [[tuple(weight.shape) for weight in network.weights] for network in (before, after)]
    if shapes[0] != shapes[1]:
        raise SettingsError(
            "The networks before and after sleep have different layers.",
            found=f"{shapes[0]} and {shapes[1]}",
            expected="the same network at two moments",
        )
    for moment, network in (("before", before), ("after", after)):
        for name, weight in zip(layer_names(network), network.weights, strict=True):
            if not bool(torch.isfinite(weight).all()):
                raise DataError(
                    f"The weights into {name} {moment} sleep are not all finite.",
                    hint="leave out a run whose sleep diverged",
                )


def check_images(network: Layered, images: Tensor | Array, labels: Tensor | Array) -> tuple[Tensor, NDArray[np.int64]]:
    """Images ``[n, inputs]`` in the type and on the device of the weights, labels int64 ``[n]``.

    Images of bytes are scaled to 0..1, and such of any shape flattened.

    Raises
    ------
    DataError
        If there is no image, a value is not finite, or shapes or types do not fit.
    """
    x = as_images("images", images)
    x = x.flatten(1) if x.ndim > 1 else x
    weight = network.weights[0]
    if x.ndim != 2 or x.shape[1] != weight.shape[1]:
        raise DataError(
            "The images do not fit the network.", found=f"{list(x.shape)}", expected=f"[n, {weight.shape[1]}]"
        )
    if not bool(torch.isfinite(x).all()):
        raise DataError("The images hold values that are NaN or infinite.", expected="finite values only")
    y = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if y.shape != (len(x),) or not np.issubdtype(y.dtype, np.integer):
        raise DataError(
            "The labels do not fit the images.",
            found=f"{y.dtype} {list(y.shape)}",
            expected=f"one integer for each of the {len(x)} images",
        )
    return x.detach().to(weight.device, weight.dtype), y.astype(np.int64)


def activity_batches(
    network: Layered, images: Tensor, size: int = 2000
) -> Iterator[tuple[slice, list[NDArray[np.float64]]]]:
    """Batch by batch its place in ``images`` and the activities of every layer after the input, float64 ``[batch, n]``.

    The network is evaluated without dropout masks and then left in the mode it was in; the output is taken after its
    ReLU.
    """
    training = network.training
    network.train(False)
    try:
        for start in range(0, len(images), size):
            place = slice(start, min(start + size, len(images)))
            with torch.no_grad():
                activities = network.activities(images[place])
            activities[-1] = torch.relu(activities[-1])
            yield place, [layer.double().cpu().numpy() for layer in activities]
    finally:
        network.train(training)


def class_means(
    network: Layered, images: Tensor, labels: NDArray[np.int64], groups: Sequence[Sequence[int]]
) -> list[NDArray[np.float64]]:
    """Mean activity of each unit over the images of each group of classes, ``[groups, n]`` per layer, the input first.

    A group without images is NaN.
    """
    member = np.stack([np.isin(labels, group) for group in groups])
    sums = [np.zeros((len(groups), weight.shape[1])) for weight in network.weights]
    sums.append(np.zeros((len(groups), network.weights[-1].shape[0])))
    for place, activities in activity_batches(network, images):
        layers = [images[place].double().cpu().numpy(), *activities]
        for total, layer in zip(sums, layers, strict=True):
            total += member[:, place] @ layer
    counts = member.sum(axis=1)[:, None]
    return [np.where(counts > 0, total / np.maximum(counts, 1), np.nan) for total in sums]
