"""Operations that only move, copy or leave out values, found by what they do to the numbers of the places."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch._ops import OpOverload

__all__ = ["MOVE_MODULES", "Moved", "is_move", "places_of"]

_FUNCTIONS = (
    *(torch.permute, torch.transpose, torch.swapaxes, torch.swapdims, torch.movedim, torch.moveaxis, torch.t),
    *(torch.squeeze, torch.unsqueeze, torch.chunk, torch.split, torch.tensor_split, torch.unbind, torch.cat),
    *(torch.split_with_sizes, F.unfold),
    *(torch.concat, torch.stack, torch.flip, torch.roll, torch.narrow, torch.select, torch.index_select, torch.tile),
    *(torch.rot90, torch.channel_shuffle, torch.hstack, torch.vstack, torch.unflatten),
    *(F.pad, F.pixel_shuffle, F.pixel_unshuffle, operator.getitem),
)
_METHODS = {
    *("permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis", "t", "squeeze", "unsqueeze", "chunk"),
    *(
        "split",
        "tensor_split",
        "unbind",
        "flip",
        "roll",
        "narrow",
        "select",
        "index_select",
        "tile",
        "expand",
        "repeat",
    ),
    *("expand_as", "unflatten", "rot90", "split_with_sizes"),
}
_ATTRIBUTES = {"T", "mT", "H", "mH"}
MOVE_MODULES: tuple[type[nn.Module], ...] = (
    nn.ZeroPad1d,
    nn.ZeroPad2d,
    nn.ConstantPad1d,
    nn.ConstantPad2d,
    nn.ZeroPad3d,
    nn.ConstantPad3d,
    nn.Unfold,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
    nn.ChannelShuffle,
)
# What came of each source: of every place after, the place before, or -1.
Moved = dict[fx.Node, Tensor]


class _NoMoveError(Exception):
    """Something else than a move is among what a node takes."""


def is_move(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Whether ``node`` is such an operation."""
    if node.op == "call_module":
        return isinstance(modules[str(node.target)], MOVE_MODULES)
    if node.op == "call_function" and node.target is getattr:
        return node.args[1] in _ATTRIBUTES
    if isinstance(node.target, OpOverload):  # as torch.export writes them: not all are functions of torch
        return node.target._schema.name.removeprefix("aten::") in _METHODS | {"slice"}
    return node.target in (_FUNCTIONS if node.op == "call_function" else _METHODS)


def places_of(
    node: fx.Node,
    shapes: Mapping[str, tuple[int, ...]],
    values: Mapping[str, Any],
    constants: Mapping[fx.Node, Tensor],
    call: Callable[[fx.Node, Any, Any], Any],
) -> tuple[Moved, Tensor | None] | None:
    """From which places of which tensors the values of ``node`` come, and what stands in others (None: zeros).

    None where images are mixed or numbers made. ``constants`` are for two images.
    """
    first: dict[fx.Node, int] = {}
    total = 1  # 0 is that of a zero

    def number(source: fx.Node, factor: float) -> Any:
        nonlocal total
        if source in constants:
            return constants[source].double()
        if source.name in shapes:
            shape = shapes[source.name]
            size = math.prod(shape)
            if source not in first:
                first[source] = total
                total += size
            start = first[source]
            return factor * torch.arange(start, start + size, dtype=torch.float64).reshape(shape)
        if source.name in values:
            return values[source.name]
        if source.op == "call_module" or not is_move(source, {}):
            raise _NoMoveError  # a layer of several results
        return moved_from(source, factor)

    def moved_from(source: fx.Node, factor: float) -> Any:
        return call(source, *fx.map_arg((source.args, source.kwargs), lambda one: number(one, factor)))

    try:
        found, added = moved_from(node, 1.0), moved_from(node, 0.0)
    except Exception:  # a choice by values, whose numbers here are none
        return None
    if not isinstance(found, Tensor) or found.ndim < 2 or len(found) != 2:
        return None
    if found.is_complex() or not torch.equal(added[0], added[1]):
        return None
    found = (found - added).reshape(2, -1)
    if not torch.equal(found, found.round()):
        return None
    found = found.to(torch.int64)
    moved: Moved = {}
    seen = found == 0
    for source, start in first.items():
        size = math.prod(shapes[source.name][1:])
        if shapes[source.name][0] != 2:
            return None
        one, other = ((found[k] - start - k * size) for k in (0, 1))
        one, other = (torch.where((rows >= 0) & (rows < size), rows, -1) for rows in (one, other))
        if not torch.equal(one, other):
            return None
        seen |= torch.stack([one, other]) >= 0
        moved[source] = one
    return (moved, added[:1] if bool(added.any()) else None) if bool(seen.all()) else None
