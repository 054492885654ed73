"""ONNX's operators that cut values out of an image: Slice, Split, Gather."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from neurosleep.exchange.layer_functions import Piece, Taken
from neurosleep.exchange.onnx.node import Activation, Build, Node, Operator, Sizes, Value, checked_shape, listed
from neurosleep.exchange.onnx.shapes import reshaped

__all__ = ["PIECES"]


def _along(build: Build, node: Node, layer: nn.Module, x: Activation, axis: int, size: int) -> Activation:
    """``layer``, which leaves ``size`` places along ``axis``, behind ``x``."""
    shape = checked_shape(node, (*x.shape[: axis - 1], size, *x.shape[axis:]))
    return build.layer(node, layer, x, shape)


def _cut(build: Build, node: Node, x: Activation, axis: int, places: range) -> Activation:
    """The places of a range along an axis."""
    whole = x.shape[axis - 1]
    if places == range(whole):
        return x
    if not len(places):
        raise node.refuse(f"cuts nothing out of the {whole} places of axis {axis}", expected="at least one place")
    if places.step > 0:
        return _along(build, node, Piece(axis, places.start, places.stop, places.step), x, axis, len(places))
    return _along(build, node, Taken(axis, places), x, axis, len(places))


def _axis(node: Node, axis: int, x: Activation) -> int:
    rank = len(x.shape) + 1
    if not -rank <= axis < rank or axis % rank == 0:
        raise node.refuse(
            f"cuts along axis {axis} of a value of shape [batch, {listed(x.shape)}]",
            expected="an axis behind the batch",
        )
    return axis % rank


def _slice(build: Build, node: Node) -> Value:
    starts: Sequence[int] | None
    ends: Sequence[int] | None
    if node.attributes:  # up to operator set 9
        node.count(1, 1)
        starts, ends, axes = (node.integer_list(name) for name in ("starts", "ends", "axes"))
        steps = None
    else:
        node.count(3, 5)
        starts, ends = node.fixed(1), node.fixed(2)
        axes, steps = (None if node.optional(k) is None else node.fixed(k) for k in (3, 4))
    x = node.inputs[0]
    if starts is None or ends is None:
        raise node.refuse("does not say what it cuts out", expected="starts and ends")
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps or len(set(axes)) != len(axes):
        raise node.refuse("says what it cuts out in an unusual way", expected="start, end and step for each axis")
    if not isinstance(x, Activation):
        sizes = node.integers(0).values
        if axes not in ((0,), (-1,)):
            raise node.refuse(f"cuts a list of sizes along the axes {list(axes)}", expected="axis 0")
        return Sizes(sizes[slice(starts[0], ends[0], steps[0])])
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        rank = len(x.shape) + 1
        if axis in (0, -rank) and start == 0 and end >= 2**31 - 1 and step == 1:
            continue
        at = _axis(node, axis, x)
        x = _cut(build, node, x, at, range(x.shape[at - 1])[slice(start, end, step)])
    return x


def _split(build: Build, node: Node) -> tuple[Activation, ...]:
    node.count(1, 2)
    x = node.activation(0)
    axis = _axis(node, node.integer("axis", 0), x)
    whole, count = x.shape[axis - 1], len(node.outputs)
    sizes = node.integer_list("split") if node.optional(1) is None else node.fixed(1)
    if sizes is None:
        each = -(-whole // max(count, 1))
        sizes = tuple(min(each, whole - k * each) for k in range(count))
    if len(sizes) != count or any(size < 1 for size in sizes) or sum(sizes) != whole:
        raise node.refuse(f"splits {whole} places into {list(sizes[:16])}", expected=f"{count} parts of at least 1")
    starts = [sum(sizes[:k]) for k in range(count)]
    return tuple(
        _cut(build, node, x, axis, range(start, start + size)) for start, size in zip(starts, sizes, strict=True)
    )


def _gather(build: Build, node: Node) -> Value:
    node.count(2, 2)
    x = node.inputs[0]
    if isinstance(x, Activation):
        return _taken(build, node, x)
    node.exactly("axis", 0)
    sizes, places = node.integers(0), node.integers(1)
    length = len(sizes.values)
    if any(place is None or not -length <= place < length for place in places.values):
        raise node.refuse(f"picks the sizes {list(places.values)} out of {length}", expected=f"0 to {length - 1}")
    return Sizes(tuple(sizes.values[place] for place in places.values if place is not None), scalar=places.scalar)


def _taken(build: Build, node: Node, x: Activation) -> Activation:
    """Stored places of an axis; a single one takes the axis away."""
    axis = _axis(node, node.integer("axis", 0), x)
    whole, stored = x.shape[axis - 1], node.constant(1)
    if stored.is_floating_point() or stored.ndim > 1 or not 1 <= stored.numel() <= 2**16:
        raise node.refuse(f"takes places of shape {tuple(stored.shape)}", expected="one integer, or a list of integers")
    places = stored.reshape(-1).to(torch.int64)
    if bool(((places < -whole) | (places >= whole)).any()):
        raise node.refuse(f"takes places out of {whole} that are not there", expected=f"{-whole} to {whole - 1}")
    build.own(places)  # counts them
    places = places % whole
    first, count = int(places[0]), len(places)
    if torch.equal(places, torch.arange(first, first + count)):
        made = _cut(build, node, x, axis, range(first, first + count))
    else:
        made = _along(build, node, Taken(axis, places.tolist()), x, axis, count)
    return made if stored.ndim else reshaped(build, node, made, (*made.shape[: axis - 1], *made.shape[axis:]))


PIECES = {
    "Gather": Operator(_gather, "axis"),
    "Slice": Operator(_slice, "axes ends starts"),
    "Split": Operator(_split, "axis num_outputs split"),
}
