"""A model as a graph of torch's functions, seen by torch.export where torch.fx cannot follow its code.

Both run the model on an example. Its control flow is then that of images of this shape; whether other images take
another way is found by comparing what both compute.
"""

from __future__ import annotations

import contextlib
import io
import logging
import operator
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch._ops import OpOverload

from neurosleep.conversion._source import place_of
from neurosleep.conversion._verify import same_weights

__all__ = ["exported"]

# Functions of torch.nn.functional under which the rest of this package knows them.
_OF_FUNCTIONAL = (
    *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "avg_pool2d", "dropout", "hardsigmoid", "hardtanh", "hardtanh_"),
    *("leaky_relu", "leaky_relu_", "linear", "pad", "pixel_shuffle", "pixel_unshuffle", "silu", "gelu"),
)
# What says a shape, in which a number of images must not be fixed.
_SHAPES = ("view", "reshape", "_unsafe_view", "expand")


def exported(model: nn.Module, example: Tensor, name: str) -> fx.GraphModule:
    """The graph of ``model`` for images like ``example`` ``[2, ...]``, of any number.

    Raises
    ------
    Exception
        Whatever torch raises where it cannot follow either: control flow that depends on values, most often.
    """
    model, twice = same_weights(model), same_weights(model)
    answers = [twice(example.clone()) for _ in range(2)]
    one_tensor = isinstance(answers[0], Tensor)
    if one_tensor and not torch.allclose(answers[0], answers[1], rtol=0, atol=0, equal_nan=True):
        raise ValueError("The model computes other numbers each time.")
    if isinstance(model, torch.jit.ScriptModule):
        from torch.fx.experimental.proxy_tensor import make_fx

        seen = make_fx(model, pre_dispatch=True)(example)
    else:
        with _quiet():
            seen = torch.export.export(model, (example,), strict=False).module()
        assert isinstance(seen, fx.GraphModule)
    tensors = {
        (tensor.data_ptr(), tuple(tensor.shape), tensor.stride()): name
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]
    }
    return _of_torch(seen, tensors, set(dict(model.named_parameters())), one_tensor, name)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """torch.export prints what it could not follow, which is said in words of ours."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _of_torch(
    seen: fx.GraphModule, names: dict[tuple[Any, ...], str], learned: set[str], one_tensor: bool, name: str
) -> fx.GraphModule:
    """``seen`` in functions of torch, with the parameters of the model under their own names."""
    graph, made, held = fx.Graph(), dict[fx.Node, fx.Node](), dict[str, Any]()
    for node in seen.graph.nodes:
        if node.op == "call_module" or (not node.users and _does_nothing(node)):
            continue  # guards of torch.export
        new = graph.node_copy(node, made.__getitem__)
        made[node] = new
        if node.op == "get_attr":
            tensor = operator.attrgetter(str(node.target))(seen)
            key = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride()) if isinstance(tensor, Tensor) else ()
            new.target = names.get(key, f"_constant{len(held)}")
            held[new.target] = nn.Parameter(tensor.detach(), False) if new.target in learned else tensor
        elif node.op == "output" and one_tensor:
            while isinstance(new.args[0], tuple | list):
                new.args = (new.args[0][0],)
        elif isinstance(node.target, OpOverload):
            _name(new, node.target)
            _count_images(new, graph)
    return fx.GraphModule(held, graph, name)


def _does_nothing(node: fx.Node) -> bool:
    name = node.target._schema.name if isinstance(node.target, OpOverload) else ""
    return (isinstance(node.target, OpOverload) and not node.target._schema.is_mutable) or name.startswith("aten::sym_")


def _name(node: fx.Node, op: OpOverload) -> None:
    """Call ``op`` by the name that people call it, with shapes that hold for any number of images."""
    name = op._schema.name.removeprefix("aten::")
    value: Any = node.meta.get("val", node.meta.get("tensor_meta"))
    if name in _SHAPES and getattr(value, "shape", None):
        source, sizes = node.args[0], node.args[1]
        assert isinstance(source, fx.Node) and isinstance(sizes, list | tuple)
        if name != "expand":
            node.target, node.args = torch.reshape, (source, (-1, *map(int, value.shape[1:])))
        elif len(sizes) == source.meta["val"].ndim:
            node.args = (source, [-1, *sizes[1:]])
        return
    if name == "_convolution":  # of a traced script
        x, weight, bias, stride, padding, dilation, turned, _, groups = node.args[:9]
        if not turned and len(stride) in (1, 2):  # type: ignore[arg-type]
            node.target = F.conv1d if len(stride) == 1 else F.conv2d  # type: ignore[arg-type]
            node.args = (x, weight, bias, stride, padding, dilation, groups)
            return
    home = F if name in _OF_FUNCTIONAL else torch
    if hasattr(home, name):
        node.target = getattr(home, name)
    elif name in ("contiguous", "to", "repeat", "expand_as") or (name.endswith("_") and hasattr(Tensor, name)):
        node.op, node.target = "call_method", name
    _label(node)


def _count_images(node: fx.Node, graph: fx.Graph) -> None:
    """Where ``node`` makes a tensor of given sizes, the first of which is the number of images: as many as there are.

    If it is another number, the graph will compute something else than the model, which is then refused.
    """
    name = str(getattr(node.target, "__name__", node.target)).partition(".")[0]
    place = {"zeros": 0, "ones": 0, "full": 0, "new_zeros": 1, "new_ones": 1, "new_full": 1}.get(name)
    if place is None or len(node.args) <= place:
        return
    sizes = node.args[place]
    if isinstance(sizes, tuple | list) and sizes[:1] == [2]:
        images = next(one for one in graph.nodes if one.op == "placeholder")
        with graph.inserting_before(node):
            count = graph.call_method("size", (images, 0))
        node.args = (*node.args[:place], [count, *sizes[1:]], *node.args[place + 1 :])


def _label(node: fx.Node) -> None:
    """The name of the layer of torch whose forward pass calls ``node``."""
    layer, _ = place_of(node, {})
    if layer != node.name:
        node.meta["label"] = layer
