"""What is done with a module before it is converted: taken out of wrappers, copied, and brought to one number type."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from neurosleep.errors import ConversionError, NeurosleepWarning

__all__ = [
    "check_model",
    "evaluation_copy",
    "finite",
    "number_type",
    "scores_of",
    "shape_hint",
    "unwrapped",
    "warn_of_bytes",
]

# Integers up to this may be counts of anything; above it they are taken for bytes.
_LEAST_BYTE = 32


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


def scores_of(returned: Any) -> Any:
    """The one tensor of what a model returns: alone, in a tuple, a list or a mapping, or under ``"logits"``.

    What holds several comes back as it is.
    """
    if isinstance(returned, Mapping):
        returned = returned["logits"] if "logits" in returned else list(returned.values())
    return returned[0] if isinstance(returned, tuple | list) and len(returned) == 1 else returned


def finite(images: Tensor) -> bool:
    """Whether all values are finite, in one pass that makes no tensor as large as the images."""
    low, high = torch.aminmax(images)
    return math.isfinite(float(low)) and math.isfinite(float(high))


def shape_hint(model: nn.Module, given: tuple[int, ...]) -> str | None:
    """How images of the shape ``given`` become such as the first layer of ``model`` takes, if that is plain."""
    first = next((m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)), None)
    if isinstance(first, nn.Linear):
        return "images.flatten(1)" if len(given) > 2 and math.prod(given[1:]) == first.in_features else None
    if first is None:
        return None
    channels, axes = first.in_channels, len(first.kernel_size)
    if len(given) == axes + 2 and given[-1] == channels != given[1]:
        order = ", ".join(map(str, (0, axes + 1, *range(1, axes + 1))))
        return f"channels come first: images.permute({order})"
    if len(given) == axes + 1 and given[0] == channels != 1:
        return "images[None] makes a batch of one image"
    if len(given) == axes + 1 and channels == 1:
        return "images[:, None] adds the axis of the channel, or images[None] that of the batch"
    if len(given) == 2 and axes == 2 and math.isqrt(given[1] // channels) ** 2 * channels == given[1]:
        side = math.isqrt(given[1] // channels)
        return f"images.reshape(-1, {channels}, {side}, {side}), if that is how they were flattened"
    return None


def warn_of_bytes(images: Tensor) -> None:
    """Say that calibration images look like bytes, as which a few models take them and most do not."""
    low, high = torch.aminmax(images)
    if low < 0 or not _LEAST_BYTE <= high <= 255 or not bool((images == images.round()).all()):
        return
    warnings.warn(
        f"calibration: all values are integers, from {float(low):g} to {float(high):g}, as bytes of images are: "
        "right only for a model that was trained on such; else divide them by 255.",
        NeurosleepWarning,
        stacklevel=3,
    )
