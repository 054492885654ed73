"""Convolutions and maxima over windows of many frames, as torch computes them, in a part of the time.

A processor works on a few frames at a time without leaving its cache, and on windows side by side whole rows at a time:
torch makes the maxima one window after another. The numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["QuickForward", "quickly"]

# With how many axes their input has.
_CONVOLUTIONS: dict[Any, int] = {F.conv1d: 3, F.conv2d: 4, F.conv3d: 5}
_MAXIMA = frozenset({F.max_pool2d, torch.max_pool2d})
_WINDOW = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
# So many numbers are worked on at a time, which a processor's cache holds.
_AT_ONCE = 2**18


class QuickForward(TorchFunctionMode):
    """Forward passes in it compute their operations as :func:`quickly` does."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return quickly(func, args, kwargs or {})


def quickly(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """``func(*args, **kwargs)``, of many frames in parts where that is quicker and no gradient is wanted."""
    axes = _CONVOLUTIONS.get(func)
    if axes is None and func not in _MAXIMA:
        return func(*args, **kwargs)
    frames = args[0] if args else kwargs.get("input")
    # The first axis of a single image is one of channels.
    if not isinstance(frames, Tensor) or frames.ndim != (axes or 4) or frames.is_cuda or torch.is_grad_enabled():
        return func(*args, **kwargs)
    if axes is not None:
        options = {key: value for key, value in kwargs.items() if key != "input"}
        return _in_parts(lambda some: func(some, *args[1:], **options), frames)
    window = _window(args, kwargs)
    if window is None or not frames.is_contiguous():
        return func(*args, **kwargs)
    return _in_parts(lambda some: _side_by_side(some, window), frames)


def _in_parts(made: Callable[[Tensor], Tensor], frames: Tensor) -> Tensor:
    """What is made of the ``frames`` ``[n, ...]``, so many at a time as a cache holds."""
    size = max(1, _AT_ONCE // max(1, frames[:1].numel()))
    if len(frames) <= size:
        return made(frames)
    first = made(frames[:size])
    every = first.new_empty(len(frames), *first.shape[1:])
    every[:size] = first
    for start in range(size, len(frames), size):
        every[start : start + size] = made(frames[start : start + size])
    return every


def _window(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width of windows that tile the frames; None for any others."""
    given = dict(zip(_WINDOW, args, strict=False)) | dict(kwargs)
    window, stride = _pair(given.get("kernel_size")), _pair(given.get("stride") or given.get("kernel_size"))
    plain = _pair(given.get("padding", 0)) == (0, 0) and _pair(given.get("dilation", 1)) == (1, 1)
    if not plain or given.get("ceil_mode") or given.get("return_indices") or window != stride:
        return None
    return window


def _pair(sides: Any) -> tuple[int, int] | None:
    if isinstance(sides, int):
        return sides, sides
    sides = tuple(sides) if isinstance(sides, tuple | list) else ()
    if len(sides) == 1:
        sides *= 2
    return sides if len(sides) == 2 and all(isinstance(side, int) for side in sides) else None


def _side_by_side(frames: Tensor, window: tuple[int, int]) -> Tensor:
    """Maxima of ``frames`` ``[..., height, width]`` over windows that tile them, but for what is left at the end."""
    height, width = window
    rows, columns = frames.shape[-2] // height, frames.shape[-1] // width
    if not rows or not columns:
        return F.max_pool2d(frames, window)  # which says that the window is too large
    most = frames[..., : rows * height : height, : columns * width]
    for row in range(1, height):
        most = torch.maximum(most, frames[..., row : rows * height : height, : columns * width])
    made = most[..., ::width]
    for column in range(1, width):
        made = torch.maximum(made, most[..., column::width])
    return made.contiguous()
