"""Which neurons answer most to which class: groups whose firing can be followed in sleep."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from neurosleep.analysis._inputs import Array, Layered
from neurosleep.analysis._replay import class_patterns

__all__ = ["preferred_class", "selective_groups"]


def preferred_class(network: Layered, images: Tensor | Array, labels: Tensor | Array) -> dict[str, NDArray[np.int64]]:
    """The class that excites each neuron most, by layer, int64 ``[n]``; -1 of one that answers to none.

    Parameters
    ----------
    network:
        The awake network.
    images, labels:
        Floating point ``[n, inputs]`` and classes ``[n]``, not negative.

    Returns
    -------
    The class with the largest mean activity; of several that are alike, the smallest.
    """
    found = {}
    for layer, patterns in class_patterns(network, images, labels).items():
        classes, means = np.array(list(patterns)), np.stack(list(patterns.values()))
        found[layer] = np.where(means.max(axis=0) > 0, classes[means.argmax(axis=0)], -1)
    return found


def selective_groups(
    network: Layered, images: Tensor | Array, labels: Tensor | Array
) -> dict[str, dict[str, NDArray[np.int64]]]:
    """The neurons that prefer each class (:func:`preferred_class`), by layer, then by ``"class 0"`` and so on.

    ``Record(groups=selective_groups(...))`` counts their spikes in sleep, and
    ``recording.rate_monitor("hidden1", group="class 0")`` says their rate. A class that no neuron prefers has an empty
    group.
    """
    classes = np.unique(np.asarray(labels)).tolist()
    return {
        layer: {f"class {c}": np.flatnonzero(preferred == c) for c in classes}
        for layer, preferred in preferred_class(network, images, labels).items()
    }
