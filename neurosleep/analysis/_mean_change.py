"""A network with a part of what sleep changed: each unit as a whole, without the pattern over its inputs."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch

from neurosleep.analysis._inputs import Layered, check_pair

__all__ = ["with_mean_change"]

N = TypeVar("N", bound=Layered)


def with_mean_change(before: N, after: Layered) -> N:
    r"""A copy of ``before`` in which the weights of every unit are changed by the mean of their changes.

    What sleep does to a unit as a whole (it lowers or raises all its inputs alike, and so its activity) is apart from
    what it tells the unit's inputs apart by. Analyses of ``before`` and this network show the first, those of this
    network and ``after`` the second.

    .. math::  w'_{ji} = w_{ji} + \frac{1}{n} \sum_k (\hat w_{jk} - w_{jk})

    with :math:`\hat w` after sleep and n the inputs of unit j. Biases and all else stay as before.

    Raises
    ------
    SettingsError, DataError
        If the networks have different layers, or weights that are not finite.

    See Also
    --------
    class_correlation : what it was made for

    Examples
    --------
    >>> import torch
    >>> from neurosleep.analysis import with_mean_change
    >>> from neurosleep.networks import MLP
    >>> before, after = MLP([2, 1]), MLP([2, 1])
    >>> with torch.no_grad():
    ...     _ = before.weights[0].copy_(torch.tensor([[1.0, 2.0]]))
    ...     _ = after.weights[0].copy_(torch.tensor([[1.0, 1.0]]))
    >>> with_mean_change(before, after).weights[0].tolist()
    [[0.5, 1.5]]
    """
    check_pair(before, after)
    between = copy.deepcopy(before)
    with torch.no_grad():
        for weight, late in zip(between.weights, after.weights, strict=True):
            weight += (late.to(weight) - weight).mean(dim=1, keepdim=True)
    return between
