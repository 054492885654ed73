"""The Linear layers of a model that sleeps as a chain."""

from __future__ import annotations

from typing import cast

from torch import nn

from neurosleep.conversion._model import unwrapped
from neurosleep.errors import ConversionError
from neurosleep.networks import MLP, EquilibriumMLP, EquilibriumNetwork

__all__ = ["chain_layers", "is_chain", "own_weight", "parameter_at"]


def chain_layers(model: nn.Module) -> list[nn.Linear]:
    """The Linear layers in order, each with a weight of its own; refuses networks that cannot sleep as such a chain."""
    layers = _chain_layers(unwrapped(model)[0])
    weights: dict[nn.Parameter, str] = {}
    for layer in layers:
        name, weight = _name_of(model, layer), own_weight(model, layer)
        if weight in weights:
            raise ConversionError(
                f"The layers {weights[weight]!r} and {name!r} share one weight, which sleep would change twice.",
                expected="a weight of its own for every layer",
            )
        weights[weight] = name
    return layers


def own_weight(model: nn.Module, layer: nn.Module) -> nn.Parameter:
    """The weight of a layer, into which a new one can be written; refuses one that is computed from others."""
    return parameter_at(model, f"{_name_of(model, layer)}.weight")


def parameter_at(model: nn.Module, place: str) -> nn.Parameter:
    """The parameter of ``model`` at ``place``; refuses one that is computed from others."""
    owner, _, key = place.rpartition(".")
    # Scripts know no get_parameter().
    layer = dict(model.named_modules())[owner]
    weight: nn.Parameter | None = dict(layer.named_parameters(recurse=False)).get(key)
    if weight is None:
        raise ConversionError(
            f"The {key or 'weight'} of layer {owner!r} is computed from others, so that sleep cannot change it.",
            expected="a parameter of the layer, no weight_norm, pruning mask or other parametrization",
            hint="torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight'), remove_weight_norm or "
            "prune.remove makes a parameter of it",
            layer=owner,
            operation=type(layer).__name__,
        )
    return weight


def _name_of(model: nn.Module, layer: nn.Module) -> str:
    name: str = next(name for name, found in model.named_modules() if found is layer)
    return name


def _runs_as(layer: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether it is such a layer and computes what that does: a subclass may compute anything."""
    return isinstance(layer, kind) and type(layer).forward is kind.forward


def _has_bias(name: str) -> ConversionError:
    return ConversionError(
        f"Layer {name!r} has a bias, which this sleep does not know.",
        expected="Linear(..., bias=False)",
        hint="the recipes 'max', 'percentile' and 'balance' carry biases; consolidate leaves them as they are",
    )


def _chain_layers(model: nn.Module) -> list[nn.Linear]:
    if any(_runs_as(model, kind) for kind in (MLP, EquilibriumMLP)):
        if isinstance(model, MLP) and model.biases:
            raise _has_bias("layers.0")
        return [layer for layer in cast(MLP | EquilibriumMLP, model).layers if isinstance(layer, nn.Linear)]
    if isinstance(model, EquilibriumNetwork):
        raise ConversionError(
            f"A network of type {type(model).__name__} cannot be converted: only fully connected networks of point "
            "neurons sleep here.",
            expected="an EquilibriumMLP, in which one weight [post, pre] joins each pair of units",
            hint="train an EquilibriumMLP instead; for images, on features that a fixed network extracts from them",
        )
    if not _runs_as(model, nn.Sequential):
        raise ConversionError(
            f"A network of type {type(model).__name__} cannot be converted.",
            expected="neurosleep's MLP or EquilibriumMLP, or torch.nn.Sequential of Linear(bias=False) and ReLU",
            hint="the recipes 'max', 'percentile' and 'balance' take any module that torch.fx traces",
        )
    layers: list[nn.Linear] = []
    rectified, leading = True, None
    # Not named_children(), which leaves out what comes a second time.
    for name, layer in model._modules.items():
        if layer is None:
            continue
        if _runs_as(layer, nn.Linear):
            assert isinstance(layer, nn.Linear)
            if layer.bias is not None:
                raise _has_bias(name)
            if any(layer is before for before in layers):
                raise ConversionError(
                    f"Layer {name!r} is layer {_name_of(model, layer)!r} again, and sleep would change it twice.",
                    expected="layers that are used once",
                )
            if not rectified:
                raise ConversionError(
                    f"Layer {name!r} follows another Linear layer without ReLU between.",
                    expected="Linear, ReLU, Linear, ..., Linear",
                    hint="the product of the two weights makes one layer of them",
                )
            layers.append(layer)
            rectified = False
        elif _runs_as(layer, nn.ReLU):
            rectified = True
            leading = name if not layers else leading
        elif not (
            any(_runs_as(layer, kind) for kind in (nn.Dropout, nn.Identity))
            or (_runs_as(layer, nn.Flatten) and str(layer) == str(nn.Flatten()))
        ):
            what = str(layer) if isinstance(layer, nn.Flatten) else type(layer).__name__
            raise ConversionError(
                f"Layer {name!r} is {what}, which has no spiking counterpart here.",
                expected="Linear(bias=False), ReLU, Dropout, Flatten, Identity",
            )
    if not layers:
        raise ConversionError("The network has no Linear layer.", expected="at least one")
    if leading is not None:
        raise ConversionError(
            f"Layer {leading!r} is a ReLU before the first Linear layer.",
            expected="Linear, ReLU, Linear, ..., Linear",
            hint="apply it to the data",
        )
    return layers


def is_chain(model: nn.Module) -> bool:
    """Whether the model is one that the recipes of sleep take, so that its layers need not be traced."""
    try:
        chain_layers(model)
    except ConversionError:
        return False
    return True
