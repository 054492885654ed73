"""From a spiking network back to the model it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from neurosleep.conversion._copied import copied
from neurosleep.conversion._layers import chain_layers, is_chain, own_weight, parameter_at
from neurosleep.conversion._model import check_model
from neurosleep.conversion._trace import matching
from neurosleep.conversion.plan import Term, folded
from neurosleep.errors import ConversionError
from neurosleep.networks import EquilibriumNetwork
from neurosleep.spiking import SpikingNetwork
from neurosleep.spiking.given import check_spiking

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
        If ``network`` is no SpikingNetwork, the two do not have the same layers, or the network holds two different
        versions of one shared layer.

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
    check_spiking(network, "woken", ConversionError)
    woken = copied(model)
    shapes = [tuple(weight.shape) for weight in network.weights]
    places: list[_Place]
    if isinstance(model, EquilibriumNetwork) or is_chain(model):
        places = [_Place(own_weight(woken, layer), None, layer.weight.detach()) for layer in chain_layers(woken)]
    else:
        example = torch.zeros(2, *network.inputs[0].shape, dtype=next(woken.parameters()).dtype)
        places = [_place(term, woken) for term in matching(woken, example, shapes).weighted()]
    expected = [tuple(place.planned.shape) for place in places]
    if shapes != expected:
        raise ConversionError(
            "The spiking network has other layers than the model.", found=f"{shapes}", expected=f"{expected}"
        )
    given: dict[Tensor, Tensor] = {}
    originals = {place.own: place.own.detach().clone() for place in places if place.own is not None}
    for place, weight in zip(places, network.weights, strict=True):
        if place.own is None:
            if not torch.equal(weight, place.planned):
                raise ConversionError(
                    "A weight that is no part of the model has changed: one that pools, moves or scales values.",
                    expected="changes of the weights of its layers only",
                )
            continue
        new = weight
        if place.fold is not None:
            before = place.turn(originals[place.own]).reshape(weight.shape)
            spread = folded(torch.ones_like(before), place.fold)
            # A channel that BatchNorm multiplies by 0 tells nothing of its weights.
            new = torch.where((weight == folded(before, place.fold)) | (spread == 0), before, weight / spread)
        # A matrix over an axis of several is a convolution there.
        new = place.turn(new.reshape(place.turn(place.own).shape))
        if place.own in given and not torch.equal(given[place.own], new):
            raise ConversionError(
                "A weight that the model uses more than once has different values at its places in the network.",
                expected="the same weights at all of them",
            )
        given[place.own] = new
        place.own.copy_(new)
    return woken


@dataclass(frozen=True)
class _Place:
    """A parameter (None: fixed numbers), what BatchNorm multiplies its channels by, and the weight in the plan.

    ``turned``: the parameter is the transpose of the weight.
    """

    own: nn.Parameter | None
    fold: Tensor | None
    planned: Tensor
    turned: bool = False

    def turn(self, weight: Tensor) -> Tensor:
        """``weight`` as the parameter has it, or the other way round."""
        return weight.T if self.turned else weight


def _place(term: Term, model: nn.Module) -> _Place:
    assert term.weight is not None
    if term.parameter is None:
        return _Place(None, term.fold, term.weight)
    return _Place(parameter_at(model, term.parameter), term.fold, term.weight, term.turned)
