"""Awake networks as ONNX files, by ONNX's own helper functions; no exporter of torch takes part."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn

from neurosleep.conversion._memory import InPlaceTracer, Shapes
from neurosleep.errors import ExchangeError, missing_extra
from neurosleep.exchange.onnx.functions import ARITHMETIC, FUNCTIONS
from neurosleep.exchange.onnx.image_shape import image_shape
from neurosleep.exchange.onnx.mlp import mlp_graph
from neurosleep.exchange.onnx.pointwise_layers import POINTWISE_LAYERS
from neurosleep.exchange.onnx.write_calls import written_call
from neurosleep.exchange.onnx.write_layers import MORE_LAYERS
from neurosleep.networks import MLP

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

__all__ = ["IR", "OPSET", "onnx_bytes", "written_layers"]

# Old enough for tools of 2022, new enough for every operator used here.
OPSET = 17
IR = 8


@torch.no_grad()
def onnx_bytes(model: nn.Module, input_shape: Sequence[int] | None = None) -> bytes:
    """The content of an ``.onnx`` file: the network in evaluation mode with its weights bit for bit.

    Parameters
    ----------
    model:
        neurosleep's MLP, what the reader returned, or any module that torch.fx can trace into Linear, Conv1d/2d,
        BatchNorm, ReLU, ReLU6, Hardtanh, average and maximum pooling, Flatten, Unflatten, Dropout, Identity, sums of
        two values and products with a number. It is not changed.
    input_shape:
        Shape of an image without the batch. Not needed where the first layer with weights is a Linear or the model
        came from the reader.

    Raises
    ------
    ExchangeError
        If a part of the network (named) cannot be written, or the input's shape is missing or does not fit.
    MissingExtraError
        If the package ``onnx`` is missing.
    """
    try:
        from onnx import TensorProto, checker, helper
    except ImportError as error:
        raise missing_extra("onnx", "onnx", "Writing an ONNX file") from error
    shape = image_shape(model, input_shape)
    plain = mlp_graph(model) if isinstance(model, MLP) else model
    types = {t.dtype for t in plain.state_dict().values() if t.is_floating_point()} or {torch.get_default_dtype()}
    if len(types) != 1 or not types <= {torch.float32, torch.float64}:
        raise ExchangeError(
            "The network's numbers cannot be written.",
            found=", ".join(sorted(map(str, types))),
            expected="float32 or float64 all through the network",
        )
    dtype = types.pop()
    writer = _Writer(plain, shape, dtype)
    number = TensorProto.FLOAT if dtype == torch.float32 else TensorProto.DOUBLE
    graph = helper.make_graph(
        writer.nodes,
        "neurosleep",
        [helper.make_tensor_value_info("input", number, ["batch", *shape])],
        [helper.make_tensor_value_info("output", number, ["batch", *writer.output_shape])],
        writer.initialisers,
    )
    proto = helper.make_model(
        graph, producer_name="neurosleep", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR
    )
    if isinstance(model, MLP):
        header = {"kind": "mlp", "sizes": list(model.sizes), "dropout": model.dropout, "output": model.output}
        helper.set_model_props(proto, {"neurosleep": json.dumps(header)})
    checker.check_model(proto)
    return bytes(proto.SerializeToString())


class _Writer:
    """Goes over the traced network and collects ONNX nodes and tensors."""

    def __init__(self, model: nn.Module, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.nodes: list[NodeProto] = []
        self.initialisers: list[TensorProto] = []
        self.dtype = dtype
        self.names: dict[fx.Node, str] = {}
        self.padding: dict[fx.Node, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        self.edges: dict[fx.Node, tuple[tuple[int, ...], tuple[int, ...]]] = {}  # the same of -inf
        self.taken: set[str] = set()
        training = {module: module.training for module in model.modules()}
        try:
            model.eval()
            traced = fx.GraphModule(model, InPlaceTracer().trace(model), type(model).__name__)
            # torch's own ShapeProp prints a traceback before it fails.
            self.memory = Shapes(traced)
            with torch.inference_mode(False), torch.no_grad():
                self.memory.run(torch.zeros(1, *shape, dtype=dtype))
        except Exception as error:  # whatever a user's own forward raises
            if isinstance(error, ExchangeError):
                raise
            raise ExchangeError(
                f"A network of type {type(model).__name__} cannot be traced with an input of shape [1, "
                f"{', '.join(map(str, shape))}].",
                found=str(error).splitlines()[0][:300] if str(error) else type(error).__name__,
                expected="a module that torch.fx can trace, and the input_shape that it takes",
            ) from error
        finally:
            for module, mode in training.items():
                module.training = mode
        modules, self.root = dict(traced.named_modules()), traced
        for node in traced.graph.nodes:
            self._node(node, modules)
            self._rename(node)

    def _rename(self, node: fx.Node) -> None:
        """What shares the memory that ``node`` writes into has its values from then on."""
        whole, part = self.memory.overwritten(node)
        unlike = [other for other in whole if self.shape_of(other) != self.shape_of(node)]
        if self.memory.hidden_write(node) or part or unlike:
            raise self.refuse(node, "a change in place of a tensor that is read again in another form")
        for other in whole:
            self.names[other] = self.names[node]

    def _node(self, node: fx.Node, modules: dict[str, nn.Module]) -> None:
        if node.op == "placeholder":
            if self.names:
                raise ExchangeError("The network has several inputs.", expected="one input")
            self.names[node] = "input"
        elif node.op == "output":
            result = node.args[0]
            if not isinstance(result, fx.Node):
                raise ExchangeError("The network has several outputs.", expected="one tensor")
            self.output_shape = self.shape_of(result)
            # The name of a result is given last, since the input itself or an alias may be it.
            self.put(node, "Identity", [self.name_of(result)], output="output")
        elif node.op == "call_module":
            layer = modules[str(node.target)]
            make = next((make for kind, make in _LAYERS if isinstance(layer, kind)), None)
            # A user's own module may be a subclass that computes something else.
            if make is None or not type(layer).__module__.startswith("torch.nn"):
                raise self.refuse(node, type(layer).__name__)
            make(self, node, layer, self._source(node))
        elif node.op in ("call_function", "call_method"):
            self._call(node)
        elif node.op == "get_attr":
            tensor = _attribute(self.root, str(node.target))
            if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
                raise self.refuse(node, "something other than a tensor of floats")
            self.names[node] = self.store(str(node.target), tensor, "value")
        else:
            raise self.refuse(node, str(node.target))

    def _call(self, node: fx.Node) -> None:
        target = node.target if isinstance(node.target, str) else FUNCTIONS.get(node.target, "")
        kind = {"__add__": "add", "view": "reshape"}.get(str(target), str(target))
        tensors = [value for value in node.args if isinstance(value, fx.Node)]
        if kind == "relu" and tensors:
            self.put(node, "Relu", [self.name_of(tensors[0])])
        elif kind in ARITHMETIC and len(node.args) == 2 and not node.kwargs:
            self._arithmetic(node, ARITHMETIC[kind])
        elif kind == "cat" and isinstance(node.args[0], list | tuple):
            axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
            parts = [value for value in node.args[0] if isinstance(value, fx.Node)]
            if (
                len(parts) != len(node.args[0])
                or not isinstance(axis, int)
                or axis % (1 + len(self.shape_of(node))) == 0
            ):
                raise self.refuse(node, "a joint along the axis of the batch")
            self.put(node, "Concat", [self.name_of(value) for value in parts], axis=axis)
        elif kind == "permute" and tensors:
            order = node.args[1:] if isinstance(node.args[1], int) else node.args[1]
            if not isinstance(order, list | tuple) or order[0] != 0:
                raise self.refuse(node, "axes turned with that of the batch")
            axes = [axis % len(order) for axis in order if isinstance(axis, int)]
            self.put(node, "Transpose", [self.name_of(tensors[0])], perm=axes)
        elif kind in ("flatten", "reshape") and tensors:
            self.reshape(node, tensors[0])
        elif kind == "dropout" and tensors:
            self.put(node, "Identity", [self.name_of(tensors[0])])
        elif not written_call(self, node, kind, self.reshape):
            raise self.refuse(node, getattr(node.target, "__name__", str(node.target)))

    def _arithmetic(self, node: fx.Node, op: str) -> None:
        """A sum, difference, product or quotient of two values, or of one and a number or stored tensor."""
        names = []
        for value in node.args:
            if isinstance(value, fx.Node):
                names.append(self.name_of(value))
            elif isinstance(value, int | float) and not isinstance(value, bool):
                names.append(self.store(node.name, torch.tensor(value), "factor" if op == "Mul" else "number"))
            else:
                raise self.refuse(node, f"{type(value).__name__} in a {op}")
        self.put(node, op, names)

    # What those who write layers and functions ask for (the protocol Writing).

    def refuse(self, node: fx.Node, what: str) -> ExchangeError:
        where = str(node.target if node.op == "call_module" else node.name)
        return ExchangeError(
            f"{what} at {where!r} cannot be written to an ONNX file.",
            expected="Linear, Conv, BatchNorm, ReLU, Hardtanh, pooling, Flatten, Dropout, Identity, sums",
        )

    def _source(self, node: fx.Node) -> fx.Node:
        source = node.args[0] if len(node.args) == 1 and not node.kwargs else None
        if not isinstance(source, fx.Node):
            raise self.refuse(node, "a layer with several inputs")
        return source

    def shape_of(self, node: fx.Node) -> tuple[int, ...]:
        shape = self.memory.shapes.get(node.name)
        if shape is None:
            raise self.refuse(node, "a value that is no tensor")
        return shape[1:]

    def name_of(self, node: fx.Node) -> str:
        if node in self.edges:
            raise self.refuse(node, "padding with -inf that no maximum pooling follows")
        if node in self.padding and node not in self.names:
            self._pad_by_itself(node)
        if node not in self.names:
            raise self.refuse(node, "a value that is not computed from the input")
        return self.names[node]

    def store(self, layer: str, tensor: Tensor, name: str) -> str:
        from onnx import TensorProto, helper

        kinds = {torch.float32: TensorProto.FLOAT, torch.float64: TensorProto.DOUBLE, torch.int64: TensorProto.INT64}
        stored = tensor.detach().cpu().contiguous()
        stored = stored if stored.dtype == torch.int64 and name == "shape" else stored.to(self.dtype)
        if stored.is_floating_point() and not torch.isfinite(stored).all():
            raise ExchangeError(f"The {name} of {layer!r} holds NaN or infinite values.", expected="finite numbers")
        whole = self._unique(layer, f".{name}")
        array = stored.numpy()
        little = array.astype(array.dtype.newbyteorder("<"))
        self.initialisers.append(
            helper.make_tensor(whole, kinds[stored.dtype], list(stored.shape), little.tobytes(), raw=True)
        )
        return whole

    def _unique(self, name: str, end: str = "") -> str:
        """A name that nothing bears yet: a module may be called several times, and a layer be several nodes."""
        whole, number = name + end, 1
        while whole in self.taken:
            number += 1
            whole = f"{name}.{number}{end}"
        self.taken.add(whole)
        return whole

    def put(self, node: fx.Node, op: str, inputs: list[str], output: str | None = None, **attributes: Any) -> None:
        from onnx import helper

        made = output or f"{node.name}_value"
        wish = str(node.target) if node.op == "call_module" else node.name
        self.nodes.append(helper.make_node(op, inputs, [made], name=self._unique(wish), **attributes))
        self.names[node] = made

    def part(self, node: fx.Node, op: str, inputs: list[str], **attributes: Any) -> str:
        output = self._unique(f"{node.name}_part")
        self.put(node, op, inputs, output, **attributes)
        return output

    # One method for each kind of layer.

    def linear(self, node: fx.Node, layer: nn.Linear, x: fx.Node) -> None:
        """Gemm where the input is ``[batch, features]``, else MatMul and Add."""
        where = str(node.target)
        if len(self.shape_of(x)) == 1:
            names = [self.name_of(x), self.store(where, layer.weight, "weight")]
            names += [] if layer.bias is None else [self.store(where, layer.bias, "bias")]
            self.put(node, "Gemm", names, transB=1)
            return
        self.put(node, "MatMul", [self.name_of(x), self.store(where, layer.weight.T, "weight")])
        if layer.bias is not None:
            before = self.names[node]
            self.put(node, "Add", [before, self.store(where, layer.bias, "bias")], output=f"{before}_with_bias")

    def conv(self, node: fx.Node, layer: nn.Conv1d | nn.Conv2d, x: fx.Node) -> None:
        """Conv, with the zeros of a padding layer before it."""
        if layer.padding_mode != "zeros":
            raise self.refuse(node, f"padding_mode {layer.padding_mode!r}")
        axes = len(layer.kernel_size)
        if layer.padding == "same":
            totals = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
            before = tuple(total // 2 for total in totals)
            after = tuple(total - total // 2 for total in totals)
        else:
            before = after = (0,) * axes if isinstance(layer.padding, str) else tuple(layer.padding)
        names, before, after = self._padded(x, before, after)
        where = str(node.target)
        names += [self.store(where, layer.weight, "weight")]
        names += [] if layer.bias is None else [self.store(where, layer.bias, "bias")]
        self.put(
            node,
            "Conv",
            names,
            kernel_shape=list(layer.kernel_size),
            strides=list(layer.stride),
            pads=[*before, *after],
            dilations=list(layer.dilation),
            group=layer.groups,
        )

    def _padded(
        self, x: fx.Node, before: tuple[int, ...], after: tuple[int, ...]
    ) -> tuple[list[str], tuple[int, ...], tuple[int, ...]]:
        if x not in self.padding:
            return [self.name_of(x)], before, after
        more, behind = self.padding[x]
        source = x.args[0]
        assert isinstance(source, fx.Node)
        before = tuple(a + b for a, b in zip(before, more, strict=True))
        after = tuple(a + b for a, b in zip(after, behind, strict=True))
        return [self.name_of(source)], before, after

    def pad(self, node: fx.Node, layer: nn.ZeroPad2d | nn.ConstantPad1d, x: fx.Node) -> None:
        """Remembered for the convolution or average pooling that comes next."""
        sides = tuple(layer.padding)
        filling = getattr(layer, "value", 0)
        if filling not in (0, -math.inf) or any(side < 0 for side in sides):
            raise self.refuse(node, "padding with other values than zeros")
        sizes = (tuple(reversed(sides[::2])), tuple(reversed(sides[1::2])))
        (self.edges if filling else self.padding)[node] = sizes

    def _pad_by_itself(self, node: fx.Node) -> None:
        before, after = self.padding[node]
        source = node.args[0]
        assert isinstance(source, fx.Node)
        pads = self.store(str(node.target), torch.tensor([0, 0, *before, 0, 0, *after]), "shape")
        self.put(node, "Pad", [self.name_of(source), pads])

    def average_pool(self, node: fx.Node, layer: nn.AvgPool1d | nn.AvgPool2d, x: fx.Node) -> None:
        """AveragePool; zeros of a padding layer before it count."""
        if layer.ceil_mode or getattr(layer, "divisor_override", None):
            raise self.refuse(node, "average pooling with ceil_mode or divisor_override")
        axes = len(self.shape_of(x)) - 1
        padding = _tuple(layer.padding, axes)
        if x in self.padding and any(padding) and not layer.count_include_pad:
            raise self.refuse(node, "average pooling with two kinds of padding")
        names, before, after = self._padded(x, padding, padding)
        self.put(
            node,
            "AveragePool",
            names,
            kernel_shape=_tuple(layer.kernel_size, axes),
            strides=_tuple(layer.stride, axes),
            pads=[*before, *after],
            count_include_pad=int(layer.count_include_pad or x in self.padding),
        )

    def max_pool(self, node: fx.Node, layer: nn.MaxPool1d | nn.MaxPool2d, x: fx.Node) -> None:
        """MaxPool."""
        axes = len(self.shape_of(x)) - 1
        if layer.return_indices:
            raise self.refuse(node, "maximum pooling with return_indices")
        options: dict[str, Any] = {"ceil_mode": 1} if layer.ceil_mode else {}
        if _tuple(layer.dilation, axes) != (1,) * axes:
            options["dilations"] = _tuple(layer.dilation, axes)
        before = after = _tuple(layer.padding, axes)
        if x in self.edges and not any(before):
            before, after = self.edges[x]
            x = x.all_input_nodes[0]
        names = [self.name_of(x)]
        self.put(
            node,
            "MaxPool",
            names,
            kernel_shape=_tuple(layer.kernel_size, axes),
            strides=_tuple(layer.stride, axes),
            pads=[*before, *after],
            **options,
        )

    def adaptive_pool(self, node: fx.Node, layer: nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d, x: fx.Node) -> None:
        """GlobalAveragePool, or AveragePool where the windows are all alike."""
        sizes, made = self.shape_of(x)[1:], self.shape_of(node)[1:]
        if set(made) == {1}:
            self.put(node, "GlobalAveragePool", [self.name_of(x)])
            return
        if any(size % out for size, out in zip(sizes, made, strict=True)):
            raise self.refuse(node, f"adaptive pooling from {list(sizes)} to {list(made)}, windows of different sizes")
        kernel = [size // out for size, out in zip(sizes, made, strict=True)]
        self.put(node, "AveragePool", [self.name_of(x)], kernel_shape=kernel, strides=kernel)

    def batch_norm(self, node: fx.Node, layer: nn.BatchNorm1d | nn.BatchNorm2d, x: fx.Node) -> None:
        """BatchNormalization with the running statistics."""
        if layer.running_mean is None or layer.running_var is None:
            raise self.refuse(node, "batch normalisation without running statistics")
        ones = torch.ones_like(layer.running_var)
        parts = {
            "weight": ones if layer.weight is None else layer.weight,
            "bias": 0 * ones if layer.bias is None else layer.bias,
            "running_mean": layer.running_mean,
            "running_var": layer.running_var,
        }
        names = [self.store(str(node.target), tensor, name) for name, tensor in parts.items()]
        momentum = 0.1 if layer.momentum is None else layer.momentum
        self.put(node, "BatchNormalization", [self.name_of(x), *names], epsilon=float(layer.eps), momentum=1 - momentum)

    def pointwise(self, node: fx.Node, layer: nn.Module, x: fx.Node) -> None:
        """One node, whose attributes are those of the layer."""
        op, attributes_of = next(made for kind, made in POINTWISE_LAYERS.items() if isinstance(layer, kind))
        attributes = attributes_of(layer)
        if attributes is None:
            raise self.refuse(node, f"{layer} with these options")
        self.put(node, op, [self.name_of(x)], **attributes)

    def slopes(self, node: fx.Node, layer: nn.PReLU, x: fx.Node) -> None:
        """PRelu, with a slope for each channel."""
        weight = layer.weight.reshape(-1, *[1] * (len(self.shape_of(x)) - 1))
        self.put(node, "PRelu", [self.name_of(x), self.store(str(node.target), weight, "weight")])

    def largest(self, node: fx.Node, layer: nn.AdaptiveMaxPool2d, x: fx.Node) -> None:
        """GlobalMaxPool."""
        if set(self.shape_of(node)[1:]) != {1}:
            raise self.refuse(node, "adaptive maximum pooling to more than one value")
        self.put(node, "GlobalMaxPool", [self.name_of(x)])

    def clamp(self, node: fx.Node, layer: nn.Hardtanh, x: fx.Node) -> None:
        """Clip; a bound at infinity is left out."""
        bounds = [
            self.store(str(node.target), torch.tensor(float(bound), dtype=self.dtype), name)
            if math.isfinite(bound)
            else ""
            for name, bound in (("min", layer.min_val), ("max", layer.max_val))
        ]
        self.put(node, "Clip", [self.name_of(x), *(bounds if bounds[1] else bounds[:1])])

    def dropout(self, node: fx.Node, layer: nn.Dropout, x: fx.Node) -> None:
        """Dropout, which does nothing in evaluation mode."""
        self.put(node, "Dropout", [self.name_of(x), self.store(str(node.target), torch.tensor(layer.p), "ratio")])

    def reshape(self, node: fx.Node, x: fx.Node) -> None:
        """Flatten, or Reshape behind the batch."""
        made, given = self.shape_of(node), self.shape_of(x)
        meta = self.memory.shapes[node.name]
        if meta[0] != 1 or math.prod(made) != math.prod(given) or not made:
            raise self.refuse(node, "a change of shape that takes the batch in")
        if len(made) == 1:
            self.put(node, "Flatten", [self.name_of(x)], axis=1)
        else:
            shape = self.store(node.name, torch.tensor([-1, *made]), "shape")
            self.put(node, "Reshape", [self.name_of(x), shape])

    def flatten(self, node: fx.Node, layer: nn.Flatten, x: fx.Node) -> None:
        """A layer that changes the shape only."""
        self.reshape(node, x)

    def identity(self, node: fx.Node, layer: nn.Module, x: fx.Node) -> None:
        """Identity."""
        self.put(node, "Identity", [self.name_of(x)])


def _attribute(module: nn.Module, path: str) -> object:
    place, _, name = path.rpartition(".")
    return getattr(module.get_submodule(place), name)


def _tuple(value: Any, axes: int) -> tuple[int, ...]:
    numbers = tuple(value) if isinstance(value, Sequence) else (value,)
    return numbers * axes if len(numbers) == 1 else numbers


_LAYERS: tuple[tuple[Any, Callable[..., None]], ...] = (
    (nn.Linear, _Writer.linear),
    ((nn.Conv1d, nn.Conv2d), _Writer.conv),
    ((nn.BatchNorm1d, nn.BatchNorm2d), _Writer.batch_norm),
    (nn.Hardtanh, _Writer.clamp),
    ((nn.AvgPool1d, nn.AvgPool2d), _Writer.average_pool),
    ((nn.MaxPool1d, nn.MaxPool2d), _Writer.max_pool),
    ((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d), _Writer.adaptive_pool),
    ((nn.Flatten, nn.Unflatten), _Writer.flatten),
    ((nn.Dropout, nn.Dropout1d, nn.Dropout2d), _Writer.dropout),
    ((nn.ZeroPad2d, nn.ConstantPad1d, nn.ConstantPad2d), _Writer.pad),
    (nn.Identity, _Writer.identity),
    (tuple(POINTWISE_LAYERS), _Writer.pointwise),
    (nn.PReLU, _Writer.slopes),
    ((nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d), _Writer.largest),
    *MORE_LAYERS,
)


def written_layers() -> list[str]:
    """Names of the torch layers that can be written."""
    kinds = [kind for entry, _ in _LAYERS for kind in (entry if isinstance(entry, tuple) else (entry,))]
    return sorted(kind.__name__ for kind in [*kinds, nn.ReLU6])
