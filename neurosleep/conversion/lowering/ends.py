"""What comes last in a classifier and does not change which output is the largest."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from neurosleep.conversion._model import scores_of

__all__ = ["without_soft_max"]

_SOFT_MAX = (F.softmax, F.log_softmax, torch.softmax, torch.log_softmax, "softmax", "log_softmax")
_SIGMOID = (torch.sigmoid, F.sigmoid, F.logsigmoid, torch.special.expit, "sigmoid")


def _end(node: fx.Node, module: fx.GraphModule, axes: int) -> str:
    """The name of what ``node`` does, of ``axes`` axes, if it leaves the order of an image's values; else nothing."""
    if node.op == "call_module":
        layer = module.get_submodule(str(node.target))
        if isinstance(layer, nn.Sigmoid | nn.LogSigmoid):
            return "sigmoid"
        found, axis = isinstance(layer, nn.Softmax | nn.LogSoftmax | nn.Softmax2d), getattr(layer, "dim", 1)
    else:
        if node.target in _SIGMOID:
            return "sigmoid"
        found, axis = node.target in _SOFT_MAX, _axis(node)
    return "soft-max" if found and axis in (1, 1 - axes, *((None,) if axes in (2, 4) else ())) else ""


def _axis(node: fx.Node) -> Any:
    return node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)


def without_soft_max(module: fx.GraphModule, shapes: dict[str, tuple[int, ...]]) -> tuple[list[str], list[str]]:
    """Leave a soft-max over the outputs, or a sigmoid of each, at the end of ``module`` out: the names, and notes."""
    names, notes = [], []
    output = next(iter(reversed(module.graph.nodes)))
    while isinstance(last := scores_of(output.args[0]), fx.Node):
        what = _end(last, module, len(shapes.get(last.name, ())))
        source = last.args[0] if last.args else last.kwargs.get("input")
        if not what or len(last.users) != 1 or not isinstance(source, fx.Node):
            break
        output.args = (source,)
        name = str(last.target) if last.op == "call_module" else last.name
        module.graph.erase_node(last)
        names.append(name)
        kept = "the largest stays the largest" + (", and what was above 0.5 is above 0" if what == "sigmoid" else "")
        notes.append(f"{name}: the {what} at the end is left out: outputs are those before it, {kept}")
    if names:
        module.recompile()
    return names, notes
