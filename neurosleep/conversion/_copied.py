"""A copy of a model, or a refusal that names the layer that torch cannot copy."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import Tensor, nn

from neurosleep.errors import ConversionError

__all__ = ["copied"]

Module = TypeVar("Module", bound=nn.Module)


def copied(model: Module) -> Module:
    """A deep copy of ``model``, which shares nothing with it.

    Raises
    ------
    ConversionError
        If a layer keeps a tensor that was computed from its parameters, as ``torch.nn.utils.weight_norm`` makes it.

    See Also
    --------
    neurosleep.wake : which changes such a copy

    Examples
    --------
    >>> import torch
    >>> from neurosleep.conversion import copied
    >>> model = torch.nn.Linear(4, 2)
    >>> copied(model).weight is model.weight
    False
    """
    if not isinstance(model, nn.Module):
        raise ConversionError(f"An object of type {type(model).__name__} is no network.", expected="a torch.nn.Module")
    for name, layer in model.named_modules():
        for key, value in vars(layer).items():
            if isinstance(value, Tensor) and not value.is_leaf:
                raise ConversionError(
                    f"The {key} of layer {name!r} is computed from others, and torch cannot copy such a layer.",
                    expected="parameters and buffers",
                    hint="torch.nn.utils.remove_weight_norm(layer), or what undoes it, makes a parameter of it",
                )
    return copy.deepcopy(model)
