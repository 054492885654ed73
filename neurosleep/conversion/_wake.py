"""From a spiking network back to the model it came from."""

from __future__ import annotations

from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from neurosleep.conversion._copied import copied
from neurosleep.conversion._layers import chain_layers, is_chain, own_weight
from neurosleep.conversion._model import check_model
from neurosleep.conversion._trace import matching
from neurosleep.conversion.plan import Term, folded
from neurosleep.errors import ConversionError
from neurosleep.networks import EquilibriumNetwork
from neurosleep.spiking import SpikingNetwork

__all__ = ["wake"]


Module = TypeVar("Module", bound=nn.Module)


@torch.no_grad()
def wake(network: SpikingNetwork, model: Module) -> Module:
    """A copy of ``model`` with the weights of ``network``, usually those after sleep; ``model`` itself is untouched.

    Biases are those of ``model``, and so are its BatchNorm layers: what these were folded into is divided by their
    factors again, except weights that sleep left as they were, which are those of ``model`` bit for bit.

    Raises
    ------
    ConversionError
        If the two do not have the same layers, or the network holds two different versions of one shared layer.

    See Also
    --------
    convert : the way there

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from neurosleep.conversion import convert
    >>> model = nn.Sequential(nn.Linear(4, 2, bias=False))
    >>> network = convert(model, torch.rand(20, 4), recipe="recursive")
    >>> woken = wake(network.with_weights([2 * weight for weight in network.weights]), model)
    >>> torch.equal(woken[0].weight, 2 * model[0].weight)
    True
    """
    check_model(model)
    woken = copied(model)
    shapes = [tuple(weight.shape) for weight in network.weights]
    if isinstance(model, EquilibriumNetwork) or is_chain(model):
        layers: list[_Layer] = [(layer, None, layer.weight.detach()) for layer in chain_layers(woken)]
    else:
        example = torch.zeros(2, *network.inputs[0].shape, dtype=next(woken.parameters()).dtype)
        layers = [_layer(term, woken) for term in matching(woken, example, shapes).weighted()]
    expected = [tuple(weight.shape) for _, _, weight in layers]
    if shapes != expected:
        raise ConversionError(
            "The spiking network has other layers than the model.", found=f"{shapes}", expected=f"{expected}"
        )
    given: dict[Tensor, Tensor] = {}
    originals = {
        layer: cast(Tensor, layer.weight).detach().clone()
        for layer, fold, _ in layers
        if fold is not None and layer is not None
    }
    for (layer, fold, planned), weight in zip(layers, network.weights, strict=True):
        if layer is None:
            if not torch.equal(weight, planned):
                raise ConversionError(
                    "A weight that is no part of the model has changed: one that pools, moves or scales values.",
                    expected="changes of the weights of its layers only",
                )
            continue
        own = own_weight(woken, layer)
        new = weight
        if fold is not None:
            before = originals[layer]
            spread = folded(torch.ones_like(before), fold)
            # A channel that BatchNorm multiplies by 0 tells nothing of its weights.
            new = torch.where((weight == folded(before, fold)) | (spread == 0), before, weight / spread)
        if own in given and not torch.equal(given[own], new):
            raise ConversionError(
                "A weight that the model uses more than once has different values at its places in the network.",
                expected="the same weights at all of them",
            )
        given[own] = new
        own.copy_(new)
    return woken


# A layer of the model (None: a fixed one), what BatchNorm multiplies its channels by, and its weight in the plan.
_Layer = tuple[nn.Module | None, Tensor | None, Tensor]


def _layer(term: Term, model: nn.Module) -> _Layer:
    assert term.weight is not None
    return None if term.module is None else model.get_submodule(term.module), term.fold, term.weight
