"""The part of an ONNX graph that makes one output, in order: what is read of a file."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from neurosleep.errors import ExchangeError, unknown_name
from neurosleep.exchange.onnx.tensors import element_name, short

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

__all__ = ["DOMAINS", "ML", "OLDEST_OPSET", "Part", "operator_name", "part_of"]

OLDEST_OPSET = 7
MAX_NODES = 20_000
DOMAINS = ("", "ai.onnx")
ML = "ai.onnx.ml"
# Types of what tells a class and not its score: integers, texts and truth values.
_LABELS = frozenset({2, 3, 4, 5, 6, 7, 8, 9, 12, 13})


@dataclass(frozen=True)
class Part:
    """The nodes that one output needs, each behind those it reads from.

    Parameters
    ----------
    nodes, tensors, source, output:
        The nodes, the stored tensors that they read, the one input, and the name of the output.
    opset:
        Version of the operators.
    notes:
        What was left out, in words.
    """

    nodes: tuple[NodeProto, ...]
    tensors: tuple[TensorProto, ...]
    source: ValueInfoProto
    output: str
    opset: int
    notes: list[str] = field(default_factory=list)


def operator_name(node: NodeProto) -> str:
    """The name of a node's operator, with its domain if that is not ONNX's own."""
    name: str = node.op_type
    return name if node.domain in DOMAINS else f"{node.domain}.{node.op_type}"


def part_of(model: ModelProto, file: str, newest: int, output_name: str | None) -> Part:
    """What makes the output ``output_name``, or the only one, or the scores where others tell classes.

    Raises
    ------
    ExchangeError
        If the operators' version is unknown, the graph is cyclic or incomplete, or several inputs are needed.
    """
    model, opset = _current(model, file, newest)
    graph = model.graph
    if len(graph.node) > MAX_NODES:
        raise ExchangeError(f"{file!r} has {len(graph.node)} nodes.", expected=f"up to {MAX_NODES}")
    if graph.sparse_initializer:
        raise ExchangeError(f"{file!r} has sparse weights.", expected="dense ones")
    stored = {tensor.name: tensor for tensor in graph.initializer}
    inputs = {entry.name: entry for entry in graph.input if entry.name not in stored}
    makers = _makers(graph, file)
    notes: list[str] = []
    name = _scores(_chosen(graph, makers, file, output_name, notes), graph.node, makers, notes)
    nodes = _ordered(graph.node, makers, {*stored, *inputs}, name, file)
    read = {name, *(value for node in nodes for value in node.input)}
    needed = [entry for key, entry in inputs.items() if key in read]
    if len(needed) > 1:
        raise ExchangeError(
            f"{file!r} needs {len(needed)} inputs.",
            found=", ".join(short(entry.name) for entry in needed[:6]),
            expected="one input, of images",
            hint="output_name=... names a value that depends on one of them only",
        )
    if not needed:
        raise ExchangeError(
            f"The output {short(name)} of {file!r} does not depend on its input.",
            expected="a value computed from the input",
        )
    tensors = tuple(tensor for key, tensor in stored.items() if key in read)
    return Part(tuple(nodes), tensors, needed[0], name, opset, notes)


def _current(model: ModelProto, file: str, newest: int) -> tuple[ModelProto, int]:
    """The model with operators that are known, brought up by onnx where they are older."""
    if not model.HasField("graph") or not model.graph.node:
        raise ExchangeError(f"{file!r} is no ONNX file, or holds no network.", expected="a graph with nodes")
    versions = {entry.version for entry in model.opset_import if entry.domain in DOMAINS}
    if not versions and any(entry.domain == ML for entry in model.opset_import):
        versions = {OLDEST_OPSET}
    if any(function.domain in DOMAINS for function in model.functions):
        raise ExchangeError(f"{file!r} defines standard operators anew.", expected="ONNX's own operators")
    if len(versions) != 1 or not 1 <= min(versions) <= newest:
        raise ExchangeError(
            f"{file!r} uses the operator set {sorted(versions)[:4]}.",
            expected=f"one of 1 to {newest}",
            hint="export it again with a version among these, or update the package onnx",
        )
    version = int(min(versions))
    if version >= OLDEST_OPSET:
        return model, version
    from onnx import checker, version_converter

    try:
        checker.check_model(model)
        return version_converter.convert_version(model, OLDEST_OPSET), OLDEST_OPSET
    except Exception as error:  # onnx raises several classes here, and its own adapters' RuntimeError
        said = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ExchangeError(
            f"{file!r} uses the operator set {version}, and onnx cannot bring it up to {OLDEST_OPSET}.",
            found=said,
            expected=f"{OLDEST_OPSET} to {newest}",
            hint="export it again with a version among these",
        ) from error


def _makers(graph: GraphProto, file: str) -> dict[str, int]:
    """The number of the node that makes a value."""
    taken: set[str] = {tensor.name for tensor in graph.initializer}
    taken.update(entry.name for entry in graph.input)
    makers: dict[str, int] = {}
    for number, node in enumerate(graph.node):
        for name in node.output:
            if not name:
                continue
            if name in taken:
                raise ExchangeError(
                    f"The output {short(name)} of {file!r} has the name of another value.",
                    expected="names that differ",
                )
            taken.add(name)
            makers[name] = number
    return makers


def _chosen(graph: GraphProto, makers: dict[str, int], file: str, wish: str | None, notes: list[str]) -> str:
    """The name of the output that is read."""
    names: list[str] = [entry.name for entry in graph.output]
    if wish is not None:
        if wish not in makers:
            raise unknown_name("output", wish, names)
        return wish
    scores: list[str] = [entry.name for entry in graph.output if entry.type.tensor_type.elem_type not in _LABELS]
    if len(names) != 1 and len(scores) > 1:
        # What another output is computed from is an activity on the way, and not the network's result.
        last = [name for name in scores if not any(name in _sources(graph, makers, other) for other in scores)]
        if len(last) == 1:
            notes.append(f"the output is {short(last[0])}, which the other outputs lead to")
            return last[0]
    if len(names) != 1 and len(scores) != 1:
        raise ExchangeError(
            f"{file!r} has {len(names)} outputs.",
            found=", ".join(short(name) for name in names[:6]),
            expected="one output, or one among them that does not tell a class",
            hint="choose one: output_name=... (on the command line --output-name)",
        )
    return names[0] if len(names) == 1 else scores[0]


def _sources(graph: GraphProto, makers: dict[str, int], name: str) -> set[str]:
    """The values that the value ``name`` is computed from."""
    sources: set[str] = set()
    open_values = [name]
    while open_values:
        number = makers.get(open_values.pop())
        for source in () if number is None else graph.node[number].input:
            if source and source not in sources:
                sources.add(source)
                open_values.append(source)
    return sources


def _scores(name: str, nodes: Sequence[NodeProto], makers: dict[str, int], notes: list[str]) -> str:
    """What stands before the steps that only tell which score is the largest, or put names to scores."""
    left_out: list[str] = []
    at = name
    while at in makers:
        node = nodes[makers[at]]
        to = next((entry.i for entry in node.attribute if entry.name == "to"), 0)
        if node.op_type == "ZipMap" and node.domain == ML:
            name = at = node.input[0]
        elif node.op_type == "ArgMax" and node.domain in DOMAINS and node.input:
            left_out.append("ArgMax")
            name = at = node.input[0]
        elif node.op_type == "Cast" and to in _LABELS and node.input:
            left_out.append(f"Cast to {element_name(to)}")
            name = at = node.input[0]
        elif node.op_type in ("Cast", "Identity", "Reshape", "Squeeze") and node.input and node.domain in DOMAINS:
            at = node.input[0]  # left out too if a label lies behind it
        else:
            break
    if left_out:
        notes.append(f"the scores are the output: what only picks from them is left out ({', '.join(left_out)})")
    return name


def _ordered(
    nodes: Sequence[NodeProto], makers: dict[str, int], given: set[str], output: str, file: str
) -> list[NodeProto]:
    """The nodes that ``output`` needs, in the order of the file where that is one."""
    needed, open_values = set(), [output]
    while open_values:
        number = makers.get(open_values.pop())
        if number is not None and number not in needed:
            needed.add(number)
            open_values += [name for name in nodes[number].input if name]
    waits: dict[int, int] = {}
    readers: dict[int, list[int]] = {}
    for number in needed:
        sources = {name for name in nodes[number].input if name and name not in given}
        for name in sources:
            if name not in makers:
                raise ExchangeError(
                    f"The node {short(nodes[number].name or nodes[number].op_type)} of {file!r} reads {short(name)}, "
                    "which nothing makes.",
                    expected="every value an input, a stored tensor or made by a node",
                )
        made_by = {makers[name] for name in sources}
        waits[number] = len(made_by)
        for maker in made_by:
            readers.setdefault(maker, []).append(number)
    ready = [number for number in needed if not waits[number]]
    heapq.heapify(ready)
    order: list[NodeProto] = []
    while ready:
        number = heapq.heappop(ready)
        order.append(nodes[number])
        for reader in readers.get(number, ()):
            waits[reader] -= 1
            if not waits[reader]:
                heapq.heappush(ready, reader)
    if len(order) != len(needed):
        stuck = nodes[min(number for number in needed if waits[number])]
        raise ExchangeError(
            f"The graph of {file!r} is cyclic: the node {short(stuck.name or stuck.op_type)} needs its own output.",
            expected="every value made before it is read",
        )
    return order
