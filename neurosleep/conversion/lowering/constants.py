"""Tensors that no image changes: parameters, what is computed of them, and what is made in the shape of images."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload

__all__ = ["constants_of"]

# What reads no value of a tensor: sizes and types, and what makes tensors of its shape.
_ASKED = (torch.zeros_like, torch.ones_like, torch.full_like, getattr)
_ASKED_OF = ("size", "dim", "ndimension", "numel", "new_zeros", "new_ones", "new_full", "new_tensor")
_ATTRIBUTES = ("shape", "dtype", "device", "ndim")
# What takes no more of the others than their shape or type.
_LIKE_OTHERS = ("to", "type_as", "expand_as", "view_as", "reshape_as")
# Two and three images tell a size of a tensor from the number of images.
_COUNTS = (2, 3)


def constants_of(
    nodes: Iterable[fx.Node],
    root: torch.nn.Module,
    shapes: Mapping[str, tuple[int, ...]],
    types: Mapping[str, torch.dtype],
    call: Callable[[fx.Node, Any, Any], Any],
    left: Callable[[fx.Node], bool],
) -> tuple[dict[fx.Node, Tensor], dict[fx.Node, Tensor]]:
    """By node the tensor; first as it is added to one image, then for two images, as the node makes it.

    What is ``left``, since it writes into a tensor, is none.
    """
    known: dict[fx.Node, tuple[Any, Any]] = {}
    for node in nodes:
        if node.op == "get_attr":
            tensor = operator.attrgetter(str(node.target))(root)
            known[node] = (tensor, tensor)
        elif node.op in ("call_function", "call_method") and not left(node):
            made = _made(node, known, shapes, types, call)
            if made is not None:
                known[node] = made
    single = {node: value for node, pair in known.items() if (value := _of_one_image(*pair)) is not None}
    return single, {node: known[node][0] for node in single}


def _made(
    node: fx.Node,
    known: Mapping[fx.Node, tuple[Any, Any]],
    shapes: Mapping[str, tuple[int, ...]],
    types: Mapping[str, torch.dtype],
    call: Callable[[fx.Node, Any, Any], Any],
) -> tuple[Any, Any] | None:
    """What ``node`` makes for either number of images; None where that depends on what they show."""
    others = [source for source in node.all_input_nodes if source not in known]
    if any(shapes.get(other.name, ())[:1] != (2,) for other in others) or not all(_reads_no_value(node, others)):
        return None

    def of(k: int) -> Any:
        def given(source: fx.Node) -> Any:
            if source in known:
                return known[source][k]
            return torch.zeros(_COUNTS[k], *shapes[source.name][1:], dtype=types[source.name])

        return call(node, *fx.map_arg((node.args, node.kwargs), given))

    try:
        first = of(0)
        same = node.all_input_nodes and not others and all(known[s][0] is known[s][1] for s in node.all_input_nodes)
        return first, first if same else of(1)
    except Exception:  # a shape that is that of two images only, or whatever else torch refuses
        return None


def _reads_no_value(node: fx.Node, others: list[fx.Node]) -> Iterable[bool]:
    """Of each of ``others``, whether ``node`` takes no more of it than its shape and type."""
    for other in others:
        asked = node.target in (_ASKED if node.op == "call_function" else _ASKED_OF)
        if node.target is getattr:
            asked = node.args[1] in _ATTRIBUTES
        elif isinstance(node.target, OpOverload):
            asked = node.target._schema.name.removeprefix("aten::") in ("sym_size", *_ASKED_OF)
        yield asked or (node.target in _LIKE_OTHERS and node.args[0] is not other)


def _of_one_image(first: Any, second: Any) -> Tensor | None:
    """A tensor that is the same for any number of images, or the one row of what has one for each of them."""
    if not isinstance(first, Tensor) or not isinstance(second, Tensor):
        return None
    if first is second or (first.shape == second.shape and torch.equal(first, second)):
        return first
    if tuple(one.shape[0] if one.ndim else 0 for one in (first, second)) != _COUNTS:
        return None
    alike = first.shape[1:] == second.shape[1:] and torch.equal(second, first[:1].expand_as(second))
    return first[:1] if alike and torch.equal(first, first[:1].expand_as(first)) else None
