"""Which convolutions of a converted network a plasticity rule may change."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

import torch
from torch import nn

from neurosleep.conversion._model import check_model
from neurosleep.conversion._trace import matching
from neurosleep.errors import ConversionError
from neurosleep.spiking import Conv, SpikingNetwork

__all__ = ["plastic_convolutions"]

Network = TypeVar("Network", bound=SpikingNetwork)


@torch.no_grad()
def plastic_convolutions(network: Network, model: nn.Module) -> Network:
    """The same network, in which a rule may change every convolution that is a weight of ``model``.

    Others, which make maxima, move or scale values, are no part of the model and stay as they are.

    Parameters
    ----------
    network:
        What :func:`convert` made of ``model`` by the recipe ``Percentile``, ``Maximum`` or ``Balance``.
    model:
        The model.

    Raises
    ------
    ConversionError
        If the two do not have the same layers.

    See Also
    --------
    neurosleep.functional.PooledSRC : a rule that changes convolutions
    wake : the way back to the model

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from neurosleep.conversion import convert, plastic_convolutions
    >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    >>> network = plastic_convolutions(convert(model, torch.rand(20, 1, 4, 4)), model)
    >>> [projection.plastic for projection in network.weighted]
    [True, True]
    """
    parameter = next(check_model(model).parameters())
    example = torch.zeros(2, *network.inputs[0].shape, dtype=parameter.dtype)
    shapes = [tuple(weight.shape) for weight in network.weights]
    terms = list(matching(model, example, shapes).weighted())
    expected = [tuple(term.weight.shape) for term in terms if term.weight is not None]
    if shapes != expected:
        raise ConversionError(
            "The spiking network has other layers than the model.", found=f"{shapes}", expected=f"{expected}"
        )
    of_model = {id(q) for q, term in zip(network.weighted, terms, strict=True) if term.parameter is not None}
    projections = tuple(
        dataclasses.replace(q, plastic=True) if isinstance(q, Conv) and id(q) in of_model else q
        for q in network.projections
    )
    return dataclasses.replace(network, projections=projections)
