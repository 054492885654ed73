"""ONNX files as torch modules."""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from neurosleep._guards.files import check_regular
from neurosleep._guards.protobuf import check_message
from neurosleep.conversion._obstacles import Unread
from neurosleep.errors import ExchangeError, missing_extra
from neurosleep.exchange.inexact import ExchangeWarning
from neurosleep.exchange.layer_graph import Kind, LayerGraph, Permute, Step
from neurosleep.exchange.naming import naming
from neurosleep.exchange.onnx.constants import CONSTANT_ATTRIBUTES, constant, folded
from neurosleep.exchange.onnx.dense import bias_vector
from neurosleep.exchange.onnx.graph import Part, operator_name, part_of
from neurosleep.exchange.onnx.hints import HINTS
from neurosleep.exchange.onnx.mlp import as_mlp
from neurosleep.exchange.onnx.node import Activation, Node, Value
from neurosleep.exchange.onnx.operators import OPERATORS
from neurosleep.exchange.onnx.shapes import reshaped
from neurosleep.exchange.onnx.tensors import External, element_name, read_tensor, short
from neurosleep.exchange.onnx.unread import inferred_shapes

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, ValueInfoProto

__all__ = ["read_onnx"]

# Protobuf's own limit for a message.
MAX_BYTES = 2**31 - 1
# What an image's values may be stored as, by ONNX's number of the type.
_NUMBERS = {1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 16}
_WHOLE = {2, 3, 4, 5, 6, 7, 12, 13}
_HALF = {10, 16}


def read_onnx(
    path: str | Path,
    *,
    input_shape: tuple[int, ...] | None = None,
    external_data: str | Path | None = None,
    output_name: str | None = None,
    unread: bool = False,
) -> nn.Module:
    """The network in an ONNX file as a module of ordinary torch layers, in evaluation mode, which torch.fx can trace.

    A chain of layers becomes a :class:`torch.nn.Sequential`, anything else a small module that joins branches; what
    :func:`~neurosleep.save` wrote of an :class:`~neurosleep.networks.MLP` becomes one again. The weights are those of
    the file bit for bit; behind a Transpose (channels last, as Keras has it) the columns of a Linear's weight are in
    the order of channels first. What only picks from the scores (ArgMax, ZipMap) is left out, and what is quantised
    (QuantizeLinear, DequantizeLinear, QLinearConv) or of 16 bits is read as the floats it stands for; a warning says
    so. What is wrong with a file is found before it costs memory; no other file is opened than those named below, and
    nothing in them is executed.

    Parameters
    ----------
    path:
        The file.
    input_shape:
        Shape of an image without the batch, where the file leaves it open.
    external_data:
        File that holds its weights; the ``.onnx`` file must name it, without a folder. None: that of the same name
        with ``.data`` behind it, beside it, as ``torch.onnx.export`` writes it by default.
    output_name:
        Which value is read, where the file has several outputs; any value that a node makes may be named. Of outputs
        that tell classes and one that holds scores, the scores are read.
    unread:
        Whether a layer ``Unread`` takes the place of a node that cannot be read, with the
        error: for a check, not to be computed.

    Warns
    -----
    ExchangeWarning
        If something was left out or read as something else.

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
    room = 4 * (len(content) + external.size) + 2**26
    with naming(path.name):
        part = part_of(model, path.name, defs.onnx_opset_version(), output_name)
        reader = _Reader(part, path.name, external, room, model if unread else None)
        network = reader.network(input_shape)
    if part.notes:
        warnings.warn(f"{path.name!r}: {'; '.join(dict.fromkeys(part.notes))}.", ExchangeWarning, stacklevel=3)
    note = next((entry.value for entry in model.metadata_props if entry.key == "neurosleep"), None)
    return network if note is None else as_mlp(network, note)


class _Reader:
    """Builds the network node by node; the protocol ``Build`` says what operators ask of it."""

    def __init__(self, part: Part, file: str, external: External, room: int, model: ModelProto | None = None) -> None:
        self.part, self.file, self.opset, self.external, self.room = part, file, part.opset, external, room
        self.batch: int | None = None
        self.dtype = torch.float32
        self.values: dict[str, Value] = {}
        self.layers: dict[str, nn.Module] = {}
        self.steps: list[Step] = []
        self.makers: dict[str, Step] = {}
        self.names: dict[str, list[str]] = {}
        self.computed: dict[Activation, Activation] = {}
        self.name_counts: Counter[str] = Counter()
        self.uses: Counter[str] = Counter()
        self.weight_names: list[str] = []
        # Only for a check: the file, of which onnx infers the shapes of what is not read.
        self.model, self.shapes = model, dict[str, tuple[int, ...]]()

    def network(self, input_shape: tuple[int, ...] | None) -> nn.Module:
        part = self.part
        for tensor in part.tensors:
            self._define(tensor.name, read_tensor(tensor, self.external), "initialiser")
            if tensor.data_type in _HALF:
                self.note(f"numbers of {element_name(tensor.data_type)} are read as float32")
        shape = self._input_shape(part.source, input_shape)
        self._define(part.source.name, Activation("input", shape), "input")
        self.uses.update(name for node in part.nodes for name in node.input if name)
        self.uses[part.output] += 1
        node: Node | None = None
        for proto in part.nodes:
            try:
                node = self._node(proto)
            except ExchangeError as error:
                if self.model is None:
                    raise
                self._go_round(proto, error, shape)
        result = self.values.get(part.output)
        if self.model is not None and not isinstance(result, Activation) and self.steps:
            result = Activation(self.steps[-1].output, ())  # as far as it is known
        if not isinstance(result, Activation):
            raise ExchangeError(
                f"The output {short(part.output)} of {self.file!r} does not depend on its input.",
                expected="a value computed from the input",
            )
        return self._module(result if node is None else self.settled(node, result), shape)

    def _go_round(self, proto: NodeProto, error: ExchangeError, shape: tuple[int, ...]) -> None:
        """Put a layer that holds ``error`` in the place of a node, if nothing before it is the reason."""
        assert self.model is not None
        if not self.shapes:
            self.shapes = inferred_shapes(self.model, self.part.source.name, shape) or {"": ()}
        known = [self.values.get(name) for name in proto.input if name]
        follows = any(value is None for value in known) and operator_name(proto) in OPERATORS
        x = next((value for value in known if isinstance(value, Activation)), Activation("input", shape))
        for name in proto.output:
            made = self.shapes.get(name)
            if not name or name in self.values or (made is None and follows):
                continue
            layer = Unread(proto.op_type, None if follows else error, made or ())
            follows = True  # the other outputs of the node
            place = self._free(proto.name or name, "unread")
            self.layers[place] = layer
            value = self._step(None, Step(place, (x.name,), "layer", place), made or ())
            if made is not None:
                self._define(name, value, "output")

    def _number_type(self, entry: ValueInfoProto) -> torch.dtype:
        """The type that the network computes in: that of its input, or what its input is cast to."""
        number = entry.type.tensor_type.elem_type
        casts = {a.i for node in self.part.nodes if node.op_type == "Cast" for a in node.attribute if a.name == "to"}
        quantised = any(node.op_type in ("DequantizeLinear", "QLinearConv") for node in self.part.nodes)
        whole = number in _WHOLE and bool(casts & {1, 10, 11} or quantised)
        if not whole and number not in _NUMBERS - _WHOLE:
            raise ExchangeError(
                f"The input {short(entry.name)} of {self.file!r} is of type {element_name(number)}.",
                expected="floats, or integers that a Cast makes floats of",
            )
        if whole:
            self.note(f"the input is of type {element_name(number)}: give the same numbers as floats")
        doubles = 11 in casts if whole else number == 11
        return torch.float64 if doubles and 1 not in casts else torch.float32

    def _input_shape(self, entry: ValueInfoProto, given: tuple[int, ...] | None) -> tuple[int, ...]:
        kind = entry.type.tensor_type
        self.dtype = self._number_type(entry)
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
                    expected="the sizes that the file gives, and a number for each that it leaves open",
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

    def _node(self, proto: NodeProto) -> Node:
        name = operator_name(proto)
        if name == "Constant":
            node = Node(proto, [], CONSTANT_ATTRIBUTES, self.uses)
            self._define(proto.output[0] if proto.output else "", constant(node, self.external), "output")
            return node
        operator = OPERATORS.get(name)
        if operator is None:
            where = proto.name or (proto.output[0] if proto.output else "")
            raise ExchangeError(
                f"The operator {short(name)} of node {short(where)} is not supported.",
                expected="one of: " + ", ".join(sorted([*OPERATORS, "Constant"])),
                hint=HINTS.get(proto.op_type),
            )
        inputs = [None if not name else self.values.get(name) for name in proto.input]
        self.weight_names = [name for name in proto.input if isinstance(self.values.get(name), Tensor)]
        node = Node(proto, inputs, operator.known, self.uses)
        missing = next((k for k, name in enumerate(proto.input) if name and name not in self.values), None)
        if missing is not None:
            raise node.refuse(
                f"reads {short(proto.input[missing])}, another output of its node than the one that is read"
            )
        if not operator.turned:
            node.inputs = [self.settled(node, x) if isinstance(x, Activation) else x for x in inputs]
        if len(proto.output) <= operator.output:
            raise node.refuse("has no output")
        value = folded(self, node)
        made = operator.make(self, node) if value is None else value
        assert made is not None
        if isinstance(made, tuple):
            for name, part in zip(proto.output, made, strict=True):
                self._define(name, part, "output")
        else:
            self._define(proto.output[operator.output], made, "output")
        return node

    # What operators ask for (the protocol Build).

    def own(self, tensor: Tensor) -> Tensor:
        """A contiguous copy for one layer; all together are bounded by the size of the file."""
        self.count(tensor.numel() * tensor.element_size())
        return tensor.detach().clone(memory_format=torch.contiguous_format)

    def count(self, size: int) -> None:
        self.room -= size
        if self.room < 0:
            raise ExchangeError(
                f"{self.file!r} uses its weights so often that the network would be much larger than the file.",
                expected="weights that belong to one layer each",
            )

    def layer(self, node: Node, layer: nn.Module, x: Activation, shape: tuple[int, ...]) -> Activation:
        name = self._layer_name(node, layer)
        self.layers[name] = layer
        return self._step(node, Step(name, (x.name,), "layer", name), shape)

    def join(
        self, node: Node, kind: Kind, values: Sequence[Activation], shape: tuple[int, ...], axis: int = 1
    ) -> Activation:
        names = tuple(value.name for value in values)
        return self._step(node, Step(self._free(node.name, kind), names, kind, axis=axis), shape)

    def maker(self, x: Activation) -> nn.Module | None:
        step = self.makers.get(x.name)
        return None if step is None or step.kind != "layer" else self.layers[step.layer]

    def before(self, x: Activation) -> Activation:
        return Activation(self.makers[x.name].inputs[0], x.shape)

    def settled(self, node: Node, x: Activation) -> Activation:
        if x.stored is None:
            return x
        if x not in self.computed:
            turned = self.layer(node, Permute([axis + 1 for axis in x.order]), Activation(x.name, x.stored), x.turned)
            self.computed[x] = reshaped(self, node, turned, x.shape)
        return self.computed[x]

    def note(self, text: str) -> None:
        self.part.notes.append(text)

    def scale(self, node: Node, x: Activation, factor: float) -> Activation:
        step = Step(self._free(node.name, "scale"), (x.name,), "scale", factor=_short_number(factor))
        return self._step(node, step, x.shape)

    def give_bias(self, node: Node, x: Activation, constant: Tensor) -> Activation | None:
        layer = self.maker(x)
        # The layer's sum without bias must be read by nobody else; an Identity that renames it is no reader.
        names = self.names[x.name]
        alone = sum(self.uses[name] for name in names) == len(names)
        if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d) or layer.bias is not None or not alone:
            return None
        units = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
        after = 0 if isinstance(layer, nn.Linear) else len(x.shape) - 1
        values = bias_vector(constant, units, after)
        if values is None:
            return None
        layer.bias = nn.Parameter(self.own(values))
        return x

    def _step(self, node: Node | None, step: Step, shape: tuple[int, ...]) -> Activation:
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
            # What a later node has taken up (soft-max, then its logarithm) stands in nobody's way.
            if step.output in needed or isinstance(self.layers.get(step.layer), Unread):
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
            raise ExchangeError(
                f"{self.file!r} mixes number types.",
                found=", ".join(sorted(map(str, types))),
                expected="weights of one type",
                hint="export it with all weights in float32",
            )
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


def _short_number(value: float) -> float:
    """The shortest decimal number that is this float32, or the number itself if it is none."""
    single = torch.tensor(value, dtype=torch.float32)
    for digits in range(1, 10):
        if float(torch.tensor(float(f"{value:.{digits}g}"), dtype=torch.float32)) == float(single) == value:
            return float(f"{value:.{digits}g}")
    return value
