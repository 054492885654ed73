"""ONNX files as torch modules."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import torch
from torch import Tensor, nn

from neurosleep._guards.files import check_regular
from neurosleep._guards.protobuf import check_message
from neurosleep.errors import ExchangeError, missing_extra
from neurosleep.exchange.layer_graph import LayerGraph, Step
from neurosleep.exchange.naming import naming
from neurosleep.exchange.onnx.dense import bias_vector
from neurosleep.exchange.onnx.node import Activation, Node, Value
from neurosleep.exchange.onnx.operators import OPERATORS
from neurosleep.exchange.onnx.tensors import External, element_name, read_tensor, short
from neurosleep.networks import MLP
from neurosleep.networks.feed_forward import Output

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto

__all__ = ["OLDEST_OPSET", "read_onnx"]

OLDEST_OPSET = 7
MAX_NODES = 20_000
# Protobuf's own limit for a message.
MAX_BYTES = 2**31 - 1
_DOMAINS = ("", "ai.onnx")


def read_onnx(
    path: str | Path, *, input_shape: tuple[int, ...] | None = None, external_data: str | Path | None = None
) -> nn.Module:
    """The network in an ONNX file as a module of ordinary torch layers, in evaluation mode, which torch.fx can trace.

    A chain of layers becomes a :class:`torch.nn.Sequential`, anything else a small module that adds branches up; what
    :func:`~neurosleep.save` wrote of an :class:`~neurosleep.networks.MLP` becomes one again. The weights are those of
    the file bit for bit. What is wrong with a file is found before it costs memory; no other file is opened than the
    two given, and nothing in them is executed.

    Parameters
    ----------
    path:
        The file.
    input_shape:
        Shape of an image without the batch, where the file leaves it open.
    external_data:
        File beside it that holds its weights, as ``torch.onnx.export`` writes it by default; the ``.onnx`` file must
        name it, without a folder.

    Raises
    ------
    ExchangeError
        If the file is missing, damaged or not consistent, or uses an operator (named, with its node) that has no
        counterpart here.
    MissingExtraError
        If the package ``onnx`` is missing.

    References
    ----------
    The operators' definitions: https://onnx.ai/onnx/operators/
    """
    path = Path(path)
    try:
        from onnx import ModelProto, defs
    except ImportError as error:
        raise missing_extra("onnx", "onnx", "Reading an ONNX file") from error
    size = check_regular(path, ExchangeError, expected="an .onnx file")
    external = External(None if external_data is None else Path(external_data), path)
    if size > MAX_BYTES:
        raise ExchangeError(f"{path.name!r} is larger than an ONNX file can be.", expected=f"up to {MAX_BYTES} bytes")
    content = path.read_bytes()
    check_message(content, ModelProto.DESCRIPTOR, repr(path.name))
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's class of this error is not public in every version
        raise ExchangeError(
            f"{path.name!r} is no ONNX file, or a damaged one.", found=str(error)[:200], hint="write or copy it again"
        ) from error
    opset = _opset(model, path.name, defs.onnx_opset_version())
    room = 4 * (len(content) + external.size) + 2**26
    with naming(path.name):
        network = _Reader(model.graph, path.name, opset, external, room).network(input_shape)
    note = next((entry.value for entry in model.metadata_props if entry.key == "neurosleep"), None)
    return network if note is None else _as_mlp(network, note)


def _as_mlp(network: nn.Module, note: str) -> nn.Module:
    """Our own MLP, where the file says that it is one and its layers agree; else the network as it is."""
    try:
        header = json.loads(note)
        sizes, dropout, output = list(header["sizes"]), float(header["dropout"]), header["output"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return network
    if isinstance(network, LayerGraph):
        kinds = [
            step.kind if step.kind != "layer" else type(network.get_submodule(step.layer)) for step in network.steps
        ]
        factors = [step.factor for step in network.steps if step.kind == "scale"]
        chain = all(
            step.inputs == (before,)
            for step, before in zip(network.steps, ["input", *(s.output for s in network.steps)], strict=False)
        )
    else:
        kinds, factors, chain = [type(layer) for layer in network.children()], [], True
    layers = [layer for layer in network.children() if isinstance(layer, nn.Linear)]
    block: list[object] = [nn.Linear, nn.ReLU, "scale"] if factors else [nn.Linear, nn.ReLU]
    agrees = (
        chain
        and [*kinds] == [*(block * (len(layers) - 1)), nn.Linear]
        and sizes == [layers[0].in_features, *(layer.out_features for layer in layers)]
        and len({layer.bias is None for layer in layers}) == 1
        and all(abs(factor - (1 - dropout)) < 1e-6 for factor in factors or [1.0])
        and 0 <= dropout < 1
        and output in get_args(Output)
    )
    if not agrees:
        return network
    with torch.device("meta"):
        model = MLP(sizes, dropout=dropout, output=output, bias=layers[0].bias is not None)
    for ours, theirs in zip(model.layers, layers, strict=True):
        ours.weight, ours.bias = theirs.weight, theirs.bias
    return model.eval()


def _opset(model: ModelProto, name: str, newest: int) -> int:
    if not model.HasField("graph") or not model.graph.node:
        raise ExchangeError(f"{name!r} is no ONNX file, or holds no network.", expected="a graph with nodes")
    versions = {entry.version for entry in model.opset_import if entry.domain in _DOMAINS}
    if len(versions) != 1 or not OLDEST_OPSET <= min(versions) <= newest:
        raise ExchangeError(
            f"{name!r} uses the operator set {sorted(versions)[:4]}.",
            expected=f"one of {OLDEST_OPSET} to {newest}",
            hint="export it again with a version among these, or update the package onnx",
        )
    if any(function.domain in _DOMAINS for function in model.functions):
        raise ExchangeError(f"{name!r} defines standard operators anew.", expected="ONNX's own operators")
    return int(min(versions))


class _Reader:
    """Builds the network node by node; the protocol ``Build`` says what operators ask of it."""

    def __init__(self, graph: GraphProto, file: str, opset: int, external: External, room: int) -> None:
        self.graph, self.file, self.opset, self.external, self.room = graph, file, opset, external, room
        self.batch: int | None = None
        self.dtype = torch.float32
        self.values: dict[str, Value] = {}
        self.layers: dict[str, nn.Module] = {}
        self.steps: list[Step] = []
        self.makers: dict[str, Step] = {}
        self.names: dict[str, list[str]] = {}
        self.name_counts: Counter[str] = Counter()
        self.uses: Counter[str] = Counter()
        self.weight_names: list[str] = []

    def network(self, input_shape: tuple[int, ...] | None) -> nn.Module:
        graph = self.graph
        if len(graph.node) > MAX_NODES:
            raise ExchangeError(f"{self.file!r} has {len(graph.node)} nodes.", expected=f"up to {MAX_NODES}")
        if graph.sparse_initializer:
            raise ExchangeError(f"{self.file!r} has sparse weights.", expected="dense ones")
        for tensor in graph.initializer:
            self._define(tensor.name, read_tensor(tensor, self.external), "initialiser")
        inputs = [entry for entry in graph.input if entry.name not in self.values]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise ExchangeError(
                f"{self.file!r} has {len(inputs)} inputs and {len(graph.output)} outputs.",
                found=", ".join(short(entry.name) for entry in [*inputs, *graph.output][:6]),
                expected="one input and one output",
            )
        shape = self._input_shape(inputs[0], input_shape)
        self._define(inputs[0].name, Activation("input", shape), "input")
        self.uses.update(name for node in graph.node for name in node.input if name)
        self.uses[graph.output[0].name] += 1
        for proto in graph.node:
            self._node(proto)
        result = self.values.get(graph.output[0].name)
        if not isinstance(result, Activation):
            raise ExchangeError(
                f"The output {short(graph.output[0].name)} of {self.file!r} "
                + ("is made by no node." if result is None else "does not depend on its input."),
                expected="a value computed from the input",
            )
        return self._module(result, shape)

    def _input_shape(self, entry: ValueInfoProto, given: tuple[int, ...] | None) -> tuple[int, ...]:
        kind = entry.type.tensor_type
        if kind.elem_type not in (1, 11):
            raise ExchangeError(
                f"The input {short(entry.name)} of {self.file!r} is of type {element_name(kind.elem_type)}.",
                expected="float32 or float64",
            )
        self.dtype = torch.float32 if kind.elem_type == 1 else torch.float64
        dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim[:9]]
        if dims and dims[0] is not None:
            self.batch = dims[0]
        found = dims[1:]
        text = f"[{', '.join('?' if size is None else str(size) for size in dims)}]"
        if given is not None:
            if kind.HasField("shape") and (
                len(given) != len(found) or any(f not in (None, g) for f, g in zip(found, given, strict=True))
            ):
                raise ExchangeError(
                    f"The input_shape {given} does not fit the input {short(entry.name)}.",
                    found=text + " with the batch",
                )
            found = list(given)
        if not 1 <= len(found) <= 3 or any(size is None for size in found):
            raise ExchangeError(
                f"The input {short(entry.name)} has the shape {text}.",
                expected="[batch, features], [batch, channels, length] or [batch, channels, height, width], fixed but "
                "for the batch",
                hint="name it: input_shape=(1, 28, 28)" if len(found) in (0, 1, 2, 3) else None,
            )
        shape = tuple(size for size in found if size is not None)
        if any(size < 1 for size in shape) or math.prod(shape) > 2**28:
            raise ExchangeError(
                f"The input {short(entry.name)} has the shape {list(shape)} without the batch.",
                expected=f"sizes of at least 1, and no more than {2**28} values an image",
            )
        return shape

    def _define(self, name: str, value: Value, what: str) -> None:
        if not name or name in self.values:
            raise ExchangeError(
                f"The {what} {short(name)} of {self.file!r} has no name, or that of another value.",
                expected="names that differ",
            )
        self.values[name] = value
        if isinstance(value, Activation):
            self.names.setdefault(value.name, []).append(name)

    def _node(self, proto: NodeProto) -> None:
        if proto.op_type == "Constant" and proto.domain in _DOMAINS:
            node = Node(proto, [], {"value", "value_float", "value_floats", "value_int", "value_ints"})
            value: Value = self._constant(node)
        else:
            operator = OPERATORS.get(proto.op_type) if proto.domain in _DOMAINS else None
            if operator is None:
                name = proto.name or (proto.output[0] if proto.output else "")
                domain = f"{proto.domain}." if proto.domain not in _DOMAINS else ""
                raise ExchangeError(
                    f"The operator {short(domain + proto.op_type)} of node {short(name)} is not supported.",
                    expected="one of: " + ", ".join(sorted([*OPERATORS, "Constant"])),
                    hint=_HINTS.get(proto.op_type),
                )
            inputs = [self._value(name, proto) for name in proto.input[:MAX_NODES]]
            self.weight_names = [name for name in proto.input if isinstance(self.values.get(name), Tensor)]
            node = Node(proto, inputs, operator.known)
            value = operator.make(self, node)
        if not proto.output:
            raise node.refuse("has no output")
        self._define(proto.output[0], value, "output")

    def _value(self, name: str, proto: NodeProto) -> Value | None:
        if not name:
            return None
        if name not in self.values:
            later = any(name in node.output for node in self.graph.node)
            raise ExchangeError(
                f"The node {short(proto.name or proto.op_type)} reads {short(name)}, which "
                + ("a node behind it makes: the graph is cyclic or out of order." if later else "nothing makes."),
                expected="every value made before it is read",
            )
        return self.values[name]

    def _constant(self, node: Node) -> Tensor:
        if len(node.attributes) != 1:
            raise node.refuse("has no value, or several", expected="one of value, value_float(s), value_int(s)")
        name, attribute = next(iter(node.attributes.items()))
        if name == "value":
            if attribute.type != attribute.TENSOR:
                raise node.refuse("has a value that is no tensor")
            return read_tensor(attribute.t, self.external)
        return _plain_constant(node, name, attribute)

    # What operators ask for (the protocol Build).

    def own(self, tensor: Tensor) -> Tensor:
        """A contiguous copy for one layer; all together are bounded by the size of the file."""
        self.room -= tensor.numel() * tensor.element_size()
        if self.room < 0:
            raise ExchangeError(
                f"{self.file!r} uses its weights so often that the network would be much larger than the file.",
                expected="weights that belong to one layer each",
            )
        return tensor.detach().clone(memory_format=torch.contiguous_format)

    def layer(self, node: Node, layer: nn.Module, x: Activation, shape: tuple[int, ...]) -> Activation:
        name = self._layer_name(node, layer)
        self.layers[name] = layer
        return self._step(node, Step(name, (x.name,), "layer", name), shape)

    def add(self, node: Node, a: Activation, b: Activation) -> Activation:
        return self._step(node, Step(self._free(node.name, "add"), (a.name, b.name), "add"), a.shape)

    def scale(self, node: Node, x: Activation, factor: float) -> Activation:
        step = Step(self._free(node.name, "scale"), (x.name,), "scale", factor=_short_number(factor))
        return self._step(node, step, x.shape)

    def give_bias(self, node: Node, x: Activation, constant: Tensor) -> Activation:
        step = self.makers.get(x.name)
        layer = None if step is None or step.kind != "layer" else self.layers[step.layer]
        # The layer's sum without bias must be read by nobody else; an Identity that renames it is no reader.
        names = self.names[x.name]
        alone = sum(self.uses[name] for name in names) == len(names)
        if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d) or layer.bias is not None or not alone:
            raise node.refuse(
                "adds a constant where no bias belongs",
                found=f"behind {'the input' if step is None else short(step.output)}",
                expected="a constant right after a MatMul, Gemm or Conv that has no bias and no other reader",
            )
        units = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
        after = 0 if isinstance(layer, nn.Linear) else len(x.shape) - 1
        bias = self.own(bias_vector(node, constant, units, after))
        layer.bias = nn.Parameter(bias)
        return x

    def _step(self, node: Node, step: Step, shape: tuple[int, ...]) -> Activation:
        self.steps.append(step)
        self.makers[step.output] = step
        return Activation(step.output, shape)

    def _layer_name(self, node: Node, layer: nn.Module) -> str:
        """The name that the weight bears, else that of the node."""
        stems = [name.rpartition(".")[0] for name in self.weight_names if name.endswith((".weight", ".bias"))]
        has_weight = isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.BatchNorm1d | nn.BatchNorm2d)
        return self._free(stems[0] if stems and has_weight else node.name, type(layer).__name__.lower())

    def _free(self, wish: str, otherwise: str) -> str:
        """A name that Python and torch accept and that no layer or value bears yet."""
        name = re.sub(r"\W+", "_", wish, flags=re.ASCII).strip("_")[:60] or otherwise
        while hasattr(_EMPTY_CHAIN, name) or hasattr(_EMPTY_GRAPH, name) or name == "input":
            name = f"{name}_"
        if name not in self.makers:
            return name
        while f"{name}_{self.name_counts[name] + 1}" in self.makers:
            self.name_counts[name] += 1
        return f"{name}_{self.name_counts[name] + 1}"

    def _module(self, result: Activation, shape: tuple[int, ...]) -> nn.Module:
        needed, steps = {result.name}, []
        for step in reversed(self.steps):
            if step.output in needed:
                needed.update(step.inputs)
                steps.append(step)
        steps.reverse()
        if not steps:
            raise ExchangeError(
                f"The output of {self.file!r} is its input as it is.", expected="at least one layer between them"
            )
        layers = {step.layer: self.layers[step.layer] for step in steps if step.kind == "layer"}
        types = {tensor.dtype for layer in layers.values() for tensor in layer.state_dict().values()} - {torch.int64}
        if len(types) > 1:
            raise ExchangeError(f"{self.file!r} mixes number types.", found=", ".join(sorted(map(str, types))))
        sources = ["input", *(step.output for step in steps)]
        chain = all(
            step.kind == "layer" and step.inputs == (before,) for step, before in zip(steps, sources, strict=False)
        )
        network: nn.Module
        if chain:
            network = nn.Sequential()
            for name, layer in layers.items():
                network.add_module(name, layer)
        else:
            network = LayerGraph(layers, steps, result.name)
        network.input_shape = shape  # type: ignore[assignment] # for a writer, which needs it
        return network.eval()


_EMPTY_CHAIN, _EMPTY_GRAPH = nn.Sequential(), LayerGraph({}, (), "input")
_EMPTY_CHAIN.input_shape = ()  # type: ignore[assignment]
_HINTS = {
    "Softmax": "export the network up to the values before the soft-max",
    "LogSoftmax": "export the network up to the values before the soft-max",
    "If": "export the network in evaluation mode, without branches that depend on its input",
    "Loop": "export the network without loops that depend on its input",
    "QLinearConv": "export the network before it was quantised",
    "QuantizeLinear": "export the network before it was quantised",
}


def _plain_constant(node: Node, name: str, attribute: AttributeProto) -> Tensor:
    if name == "value_float":
        constant = torch.tensor(node.number(name, 0.0), dtype=torch.float32)
    elif name == "value_int":
        constant = torch.tensor(node.integer(name, 0), dtype=torch.int64)
    elif name == "value_ints" and attribute.type == attribute.INTS:
        constant = torch.tensor(list(attribute.ints), dtype=torch.int64)
    elif name == "value_floats" and attribute.type == attribute.FLOATS:
        constant = torch.tensor(list(attribute.floats), dtype=torch.float32)
    else:
        raise node.refuse(f"has the attribute {name!r} with a wrong type")
    if constant.is_floating_point() and not torch.isfinite(constant).all():
        raise node.refuse("has NaN or infinite values", expected="finite numbers")
    return constant


def _short_number(value: float) -> float:
    """The shortest decimal number that is this float32, or the number itself if it is none."""
    single = torch.tensor(value, dtype=torch.float32)
    for digits in range(1, 10):
        if float(torch.tensor(float(f"{value:.{digits}g}"), dtype=torch.float32)) == float(single) == value:
            return float(f"{value:.{digits}g}")
    return value
