"""What is done with a module before it is converted: taken out of wrappers, copied, and brought to one number type."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from neurosleep.errors import ConversionError

__all__ = ["check_model", "evaluation_copy", "finite", "number_type", "unwrapped"]


def check_model(model: Any) -> nn.Module:
    """``model`` as a module whose weights are there.

    Raises
    ------
    ConversionError
        If it is anything else, has lazy layers that no batch has gone through, or weights of other types than floats.
    """
    if not isinstance(model, nn.Module):
        hint = None
        if isinstance(model, type):
            hint = f"{model.__name__}(...) makes a module of the class"
        elif isinstance(model, dict):
            hint = "module.load_state_dict(weights) puts them into the module that they belong to"
        elif isinstance(model, str) or hasattr(model, "__fspath__"):
            hint = "neurosleep.load(path) reads a network from a file"
        raise ConversionError(
            "The model is no torch module.",
            found=f"{type(model).__name__} {model!r:.60}" if isinstance(model, type | str) else type(model).__name__,
            expected="an instance of torch.nn.Module",
            hint=hint,
        )
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if is_lazy(tensor):
            raise ConversionError(
                f"{name!r} has no values yet: its layer takes its size from the first batch.",
                expected="a model that has seen a batch",
                hint="model(images[:2]) before, and train it",
            )
    for name, parameter in model.named_parameters():
        if not parameter.is_floating_point():
            raise ConversionError(
                f"{name!r} is of type {parameter.dtype}.",
                expected="weights of a floating-point type",
                hint="convert the network before it is quantised",
            )
    return model


def unwrapped(model: nn.Module) -> tuple[nn.Module, str]:
    """The module inside of DataParallel and torch.compile, and what its names start with in ``model``."""
    prefix = ""
    while True:
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            name = "module"
        elif isinstance(getattr(model, "_orig_mod", None), nn.Module):
            name = "_orig_mod"
        else:
            return model, prefix
        model, prefix = model.get_submodule(name), f"{prefix}{name}."


def number_type(model: nn.Module) -> torch.dtype:
    """In which the model is computed: float64 if any part of it is, else float32; never half precision."""
    types = {t.dtype for t in [*model.parameters(), *model.buffers()] if t.is_floating_point()}
    return torch.float64 if torch.float64 in types else torch.float32


def evaluation_copy(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode, of one number type; ``model`` stays as it is."""
    memo: dict[int, Any] = {}
    for module in model.modules():
        # Weights computed by a hook (weight_norm) belong to a graph of gradients, which torch does not copy.
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    own = copy.deepcopy(model, memo)
    for module in list(own.modules()):
        for name, inside in module.named_children():
            if isinstance(getattr(inside, "_orig_mod", None), nn.Module):
                module._modules[name] = _Uncompiled(inside)
    return own.eval().to(number_type(model))


class _Uncompiled(nn.Module):
    """What torch.compile made of a module, as that module, which has the same name in it."""

    def __init__(self, compiled: nn.Module) -> None:
        super().__init__()
        self._orig_mod = compiled.get_submodule("_orig_mod")

    def forward(self, x: Tensor) -> Any:
        return self._orig_mod(x)


def finite(images: Tensor) -> bool:
    """Whether all values are finite, in one pass that makes no tensor as large as the images."""
    low, high = torch.aminmax(images)
    return math.isfinite(float(low)) and math.isfinite(float(high))
