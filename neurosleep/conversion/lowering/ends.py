"""What comes last in a classifier and does not change which output is the largest."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

__all__ = ["without_soft_max"]

_FUNCTIONS = (F.softmax, F.log_softmax, torch.softmax, torch.log_softmax, "softmax", "log_softmax")


def _axis(node: fx.Node, module: fx.GraphModule) -> tuple[bool, Any]:
    """Whether ``node`` is a soft-max, and its axis."""
    if node.op == "call_module":
        layer = module.get_submodule(str(node.target))
        return isinstance(layer, nn.Softmax | nn.LogSoftmax | nn.Softmax2d), getattr(layer, "dim", 1)
    axis = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
    return node.target in _FUNCTIONS, axis


def without_soft_max(module: fx.GraphModule, shapes: dict[str, tuple[int, ...]]) -> tuple[list[str], list[str]]:
    """Leave a soft-max over the outputs at the end of ``module`` out; the names of what was, and notes on it."""
    names, notes = [], []
    output = next(iter(reversed(module.graph.nodes)))
    while isinstance(last := output.args[0], fx.Node):
        found, axis = _axis(last, module)
        source = last.args[0] if last.args else last.kwargs.get("input")
        axes = len(shapes.get(last.name, ()))
        alone = len(last.users) == 1 and isinstance(source, fx.Node)
        if not found or not alone or axis not in (1, 1 - axes, *((None,) if axes in (2, 4) else ())):
            break
        output.args = (source,)
        name = str(last.target) if last.op == "call_module" else last.name
        module.graph.erase_node(last)
        names.append(name)
        notes.append(
            f"{name}: the soft-max at the end is left out: outputs are those before it, the largest stays the largest"
        )
    if names:
        module.recompile()
    return names, notes
