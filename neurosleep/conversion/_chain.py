"""The part of a network that sleeps: a chain of bias-free layers, which shares its weights with the network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neurosleep.conversion._layers import chain_layers, own_weight
from neurosleep.conversion._trace import trace
from neurosleep.conversion.plan import Plan
from neurosleep.errors import ConversionError, DataError
from neurosleep.networks import MLP, EquilibriumMLP
from neurosleep.spiking import Dense

__all__ = ["biased_layers", "sleeping_chain"]

_EXPECTED = "a chain of Linear layers with ReLU between them, Flatten, Dropout, Identity; biases stay out of sleep"


def sleeping_chain(model: nn.Module, example: Tensor) -> tuple[nn.Module, list[nn.Parameter]]:
    """What the recipes of sleep convert in the place of ``model``, and the weights of ``model`` that it changes.

    A network that :func:`~neurosleep.conversion.convert` takes for sleep stands for itself. Any other that torch.fx
    traces to a chain of ``Linear`` layers and ``ReLU`` is stood for by a ``Sequential`` of the same weights without
    its biases: sleep neither uses nor changes them, as with equilibrium networks.

    Parameters
    ----------
    model:
        The awake network, which stays as it is.
    example:
        A batch of its inputs ``[n, ...]``, at least one.

    Returns
    -------
    The network to convert, and its weights ``[post, pre]``, input side first: the very parameters of ``model``.

    Raises
    ------
    ConversionError
        If the model is no such chain, by the name of the layer, or a weight is no parameter of its layer.
    DataError
        If the example has another number of inputs.

    See Also
    --------
    neurosleep.convert : which converts it
    biased_layers : what stays behind

    Examples
    --------
    >>> import torch
    >>> from neurosleep.conversion import sleeping_chain
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> chain, weights = sleeping_chain(model, torch.rand(5, 4))
    >>> weights[0] is model[0].weight, [name for name, _ in chain.named_parameters()]
    (True, ['0.weight', '2.weight'])
    """
    chain: nn.Module | None = _without_flatten(model)
    assert chain is not None
    try:
        layers = chain_layers(chain)
    except ConversionError:
        layers, chain = _traced_layers(model, example), None
    inputs = example[0].numel() if len(example) else 0
    if inputs != layers[0].in_features:
        raise DataError(
            f"Images of shape {list(example.shape)} do not fit the network.",
            expected=f"at least one image of {layers[0].in_features} values",
        )
    weights = [own_weight(model, layer) for layer in layers]
    if len(set(weights)) < len(weights):
        raise ConversionError("Two layers share one weight, which sleep would change twice.", expected=_EXPECTED)
    if chain is None:
        chain = nn.Sequential(*(part for layer in layers for part in (_bias_free(layer), nn.ReLU())))
    return chain, weights


def _without_flatten(model: nn.Module) -> nn.Module:
    """A network of ours itself, where it stands in a ``Sequential`` behind a ``Flatten``."""
    if not isinstance(model, nn.Sequential):
        return model
    rest = [layer for layer in model if not isinstance(layer, nn.Flatten | nn.Identity)]
    return rest[0] if len(rest) == 1 and isinstance(rest[0], MLP | EquilibriumMLP) else model


def _traced_layers(model: nn.Module, example: Tensor) -> list[nn.Linear]:
    plan = trace(model, example)
    names = _chain_of(plan)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConversionError(f"Layer {twice!r} is used more than once.", expected=_EXPECTED)
    layers: list[nn.Linear] = []
    for name in names:
        layer = model.get_submodule(name)
        if not isinstance(layer, nn.Linear):
            raise ConversionError(
                f"A weight of {name or type(model).__name__!r} is multiplied by a function, outside of a Linear layer.",
                expected=_EXPECTED,
                layer=name or type(model).__name__,
                operation=type(layer).__name__,
            )
        layers.append(layer)
    return layers


def _chain_of(plan: Plan) -> list[str]:
    """The names of the Linear layers, in order; refuses what is no chain of them."""
    before, names = "input", []
    for term in plan.weighted():
        if term.kind is not Dense:
            raise ConversionError(
                f"Layer {term.module!r} makes a projection of kind {term.kind.word}, which does not sleep.",
                expected=_EXPECTED,
                layer=term.module,
                operation=term.kind.word,
            )
    called = {node.name: str(node.target) for node in plan.module.graph.nodes if node.op == "call_module"}
    for population in plan.populations:
        terms, node = population.terms, population.node
        place = repr(next((term.module for term in terms if term.module is not None), called.get(node, node)))
        if len(terms) != 1 or terms[0].source != before:
            raise ConversionError(f"Branches meet at {place}, which do not sleep.", expected=_EXPECTED)
        (term,) = terms
        if term.kind is not Dense or term.module is None:
            raise ConversionError(
                f"{place} makes a projection of kind {term.kind.word}, which does not sleep.", expected=_EXPECTED
            )
        if term.fold is not None:
            raise ConversionError(f"Layer {place} is followed by BatchNorm, which does not sleep.", expected=_EXPECTED)
        if term.factor != 1:
            raise ConversionError(f"Layer {place} is multiplied by {term.factor:g}.", expected=_EXPECTED)
        if population.kind == "relay":
            raise ConversionError(f"Layer {place} is followed by another without ReLU between.", expected=_EXPECTED)
        names.append(term.module)
        before = population.name
    return names


def _bias_free(layer: nn.Linear) -> nn.Linear:
    with torch.device("meta"):  # its initial weights are not needed, and no random number is drawn
        made = nn.Linear(layer.in_features, layer.out_features, bias=False)
    made.weight = layer.weight
    return made


def biased_layers(model: nn.Module, weights: Sequence[nn.Parameter]) -> list[str]:
    """The names of the layers of ``model`` that have one of ``weights`` and a bias, which stays as it is.

    See Also
    --------
    sleeping_chain : leaves them out

    Examples
    --------
    >>> import torch
    >>> from neurosleep.conversion import biased_layers
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2, bias=False))
    >>> biased_layers(model, [model[0].weight, model[2].weight])
    ['0']
    """
    return [
        name
        for name, layer in model.named_modules()
        if getattr(layer, "bias", None) is not None and any(layer.weight is weight for weight in weights)
    ]
