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

    See Also
    --------
    selective_groups : the neurons of each class
    class_patterns : the activities it is read from

    Examples
    --------
    >>> import torch
    >>> from neurosleep.analysis import preferred_class
    >>> from neurosleep.networks import MLP
    >>> preferred = preferred_class(MLP([16, 8, 2]), torch.rand(6, 16), torch.tensor([0, 1, 0, 1, 0, 1]))
    >>> preferred["hidden1"].shape
    (8,)
    """
    preferred = {}
    for layer, patterns in class_patterns(network, images, labels).items():
        classes, means = np.array(list(patterns)), np.stack(list(patterns.values()))
        preferred[layer] = np.where(means.max(axis=0) > 0, classes[means.argmax(axis=0)], -1)
    return preferred


def selective_groups(
    network: Layered, images: Tensor | Array, labels: Tensor | Array
) -> dict[str, dict[str, NDArray[np.int64]]]:
    """The neurons that prefer each class (:func:`preferred_class`), by layer, then by ``"class 0"`` and so on.

    ``Record(groups=selective_groups(...))`` counts their spikes in sleep, and
    ``recording.rate_monitor("hidden1", group="class 0")`` says their rate. A class that no neuron prefers has an empty
    group.

    See Also
    --------
    preferred_class : the class of each neuron
    neurosleep.Record : takes the groups

    Examples
    --------
    >>> import torch
    >>> from neurosleep.analysis import selective_groups
    >>> from neurosleep.networks import MLP
    >>> groups = selective_groups(MLP([16, 8, 2]), torch.rand(6, 16), torch.tensor([0, 1, 0, 1, 0, 1]))
    >>> list(groups["hidden1"])
    ['class 0', 'class 1']
    """
    classes = np.unique(np.asarray(labels)).tolist()
    return {
        layer: {f"class {c}": np.flatnonzero(preferred == c) for c in classes}
        for layer, preferred in preferred_class(network, images, labels).items()
    }
