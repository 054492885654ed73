"""Functions and methods of torch that cut, reduce or bend values, as nodes of ONNX."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from neurosleep.exchange.onnx.writing import Writing

__all__ = ["BENDING", "CALLS", "written_call"]

#: Functions of every value by itself, and their operators.
BENDING = {
    **{
        name: name.capitalize() for name in ("abs", "ceil", "cos", "cosh", "erf", "exp", "floor", "log", "neg", "round")
    },
    **{name: name.capitalize() for name in ("sign", "sin", "sinh", "sqrt", "tan", "reciprocal", "asinh", "acosh")},
    **{name: name.capitalize() for name in ("atanh", "acos", "asin", "atan", "sigmoid", "tanh")},
}
_REDUCED = {"mean": "ReduceMean", "sum": "ReduceSum", "amax": "ReduceMax", "amin": "ReduceMin"}
_SOFT_MAX = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}
CALLS = (*BENDING, *_REDUCED, *_SOFT_MAX, "getitem", "pow", "squeeze", "unsqueeze")


def written_call(file: Writing, node: fx.Node, kind: str, reshape: Any) -> bool:
    """Write the call ``node`` of what is known as ``kind``; whether it is known. ``reshape`` writes another shape."""
    x = node.args[0] if node.args else None
    if not isinstance(x, fx.Node) or kind not in CALLS:
        return False
    if kind in BENDING:
        file.put(node, BENDING[kind], [file.name_of(x)])
    elif kind in _REDUCED:
        _reduced(file, node, x, _REDUCED[kind])
    elif kind in _SOFT_MAX:
        axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        if not isinstance(axis, int) or axis % (1 + len(file.shape_of(x))) == 0:
            raise file.refuse(node, "a soft-max over the batch")
        file.put(node, _SOFT_MAX[kind], [file.name_of(x)], axis=axis)
    elif kind == "getitem":
        _cut(file, node, x)
    elif kind == "pow":
        exponent = node.args[1]
        if not isinstance(exponent, int | float):
            raise file.refuse(node, "a power with an exponent that is no number")
        file.put(node, "Pow", [file.name_of(x), file.store(node.name, torch.tensor(float(exponent)), "exponent")])
    else:
        reshape(node, x)
    return True


def _reduced(file: Writing, node: fx.Node, x: fx.Node, op: str) -> None:
    rank = 1 + len(file.shape_of(x))
    dim: Any = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    keep = bool(node.args[2] if len(node.args) > 2 else node.kwargs.get("keepdim", False))
    axes = [dim] if isinstance(dim, int) else list(dim or ())
    axes = [axis % rank for axis in axes if isinstance(axis, int)]
    if not axes or 0 in axes:
        raise file.refuse(node, "a reduction over the batch")
    if op == "ReduceSum":  # the others take their axes as an input from operator set 18 on
        file.put(node, op, [file.name_of(x), file.store(node.name, torch.tensor(axes), "shape")], keepdims=int(keep))
    else:
        file.put(node, op, [file.name_of(x)], axes=axes, keepdims=int(keep))


def _cut(file: Writing, node: fx.Node, x: fx.Node) -> None:
    """Slices, and lists of places, along axes behind the batch; a single place takes the axis away."""
    shape = (None, *file.shape_of(x))
    index: Any = node.args[1] if isinstance(node.args[1], tuple) else (node.args[1],)
    if any(part is Ellipsis for part in index):
        at = next(k for k, part in enumerate(index) if part is Ellipsis)
        index = (*index[:at], *(slice(None),) * (len(shape) - len(index) + 1), *index[at + 1 :])
    lists = [part for part in index if isinstance(part, list)]
    known = all(isinstance(part, slice | int | list) and not isinstance(part, bool) for part in index)
    if not known or not index or index[0] != slice(None) or len(index) > len(shape) or len(lists) > 1:
        raise file.refuse(node, "a cut along the batch, or by values")
    name, gone = file.name_of(x), 0
    for axis, part in enumerate(index[1:], start=1):
        size = shape[axis]
        assert size is not None
        if isinstance(part, slice):
            if any(isinstance(end, fx.Node) for end in (part.start, part.stop, part.step)):
                raise file.refuse(node, "a cut by values")
            places = range(size)[part]
            if places == range(size):
                continue
            bounds = ([places.start], [places.stop], [axis - gone], [places.step])
            ends = [file.store(node.name, torch.tensor(numbers), "shape") for numbers in bounds]
            name = file.part(node, "Slice", [name, *ends])
        else:
            chosen = torch.tensor(part) % size
            name = file.part(node, "Gather", [name, file.store(node.name, chosen, "shape")], axis=axis - gone)
            gone += isinstance(part, int)
    file.put(node, "Identity", [name])
