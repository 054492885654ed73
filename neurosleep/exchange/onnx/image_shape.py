"""The shape of an image that a network takes, as far as it is known."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from neurosleep.errors import ExchangeError

__all__ = ["image_shape"]


def image_shape(model: nn.Module, given: Sequence[int] | None) -> tuple[int, ...]:
    """The shape given, or what the model tells: without the batch."""
    known = given if given is not None else getattr(model, "input_shape", None)
    if known is None:
        first = next((layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d)), None)
        if isinstance(first, nn.Linear):
            known = (first.in_features,)
    if known is None or not known or any(not isinstance(size, int) or size < 1 for size in known):
        raise ExchangeError(
            "The shape of the network's input is not known." if known is None else f"The input_shape is {known!r}.",
            expected="input_shape: sizes of at least 1 without the batch",
            hint="save(model, path, input_shape=(1, 28, 28)), for images of one channel and 28 x 28 pixels",
        )
    return tuple(known)
