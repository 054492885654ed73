"""ONNX files of both torch exporters give the network they were made from; what the reader cannot take is named."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.errors import ExchangeError
from neurosleep.networks import EquilibriumMLP

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c1, self.n1 = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.c2, self.n2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.pool, self.mean, self.drop, self.fc = (
            nn.AvgPool2d(2),
            nn.AdaptiveAvgPool2d(1),
            nn.Dropout(),
            nn.Linear(4, 5),
        )

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.n1(self.c1(x)))
        h = self.pool(torch.relu(self.n2(self.c2(h)) + h))
        return self.fc(self.drop(torch.flatten(self.mean(h), 1)))


class View(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(12, 5), nn.Linear(5, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.clamp(self.a(x.view(x.size(0), -1)), 0, 4))


class Strides(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.pool = (
            nn.Conv1d(2, 4, 3, stride=2, groups=2),
            nn.BatchNorm1d(4),
            nn.AvgPool1d(2, padding=1),
        )
        self.flat, self.fc = nn.Flatten(), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.flat(self.pool(torch.relu(self.norm(self.conv(x))))))


class Product(nn.Module):
    """A product and a sum of tensors instead of a Linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.clip = nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU6()
        self.weight, self.bias = nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.clip(self.norm(self.first(x))) @ self.weight + self.bias


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "residual": (Residual, (3, 8, 8)),
    "view": (View, (3, 2, 2)),
    "strides": (Strides, (2, 15)),
    "product": (Product, (6,)),
}


def _trained(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """With statistics and factors that are not those of a new network."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make()
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.5, 2)
                nn.init.normal_(layer.weight)
    return model.eval()


def _equal_weights(a: nn.Module, b: nn.Module) -> bool:
    pairs = list(zip(a.state_dict().values(), b.state_dict().values(), strict=True))
    return all(x.dtype == y.dtype and torch.equal(x, y) for x, y in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("open_batch", [False, True])
@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_files_of_both_exporters(name: str, dynamo: bool, open_batch: bool, tmp_path: Path) -> None:
    if dynamo:
        pytest.importorskip("onnxscript")
    make, shape = MODELS[name]
    model = _trained(make)
    path = tmp_path / "model.onnx"
    options: dict[str, Any] = {}
    if open_batch and dynamo:
        options["dynamic_shapes"] = ({0: torch.export.Dim("batch")},)
    elif open_batch:
        options["dynamic_axes"] = {"x": {0: "batch"}, "y": {0: "batch"}}
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (x,), path, dynamo=dynamo, input_names=["x"], output_names=["y"], verbose=False, **options
        )
    read = ns.load(path, external_data=tmp_path / "model.onnx.data" if dynamo else None)
    if dynamo and (tmp_path / "model.onnx.data").stat().st_size:
        # As torch writes by default: the weights lie in a second file, which is found under its name beside the first.
        assert _equal_weights(read, ns.load(path))
        (tmp_path / "model.onnx.data").rename(tmp_path / "weights")
        with pytest.raises(ExchangeError, match=r"keeps the weights .* in another file"):
            ns.load(path)
        (tmp_path / "weights").rename(tmp_path / "model.onnx.data")
    assert isinstance(read, nn.Module) and not read.training
    expected = model(x)
    reference = torch.from_numpy(ReferenceEvaluator(str(path)).run(None, {"x": x.numpy()})[0])
    assert torch.allclose(read(x), expected, rtol=1e-5, atol=1e-6)
    assert torch.allclose(read(x), reference, rtol=1e-5, atol=1e-6)
    traced = torch.fx.symbolic_trace(read)
    assert torch.equal(traced(x), read(x))
    again = ns.load(ns.save(read, tmp_path / "again.onnx"))
    assert isinstance(again, nn.Module) and _equal_weights(read, again)
    assert torch.equal(again(x), read(x))


def _chain(seed: int) -> tuple[nn.Sequential, tuple[int, ...]]:
    """A chain of layers with random geometry, and the shape of its input.

    Maximum pooling is not padded: onnx's own reference evaluator fails on that (IndexError in version 1.23).
    """
    draw = torch.Generator().manual_seed(seed)

    def pick(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (1,), generator=draw))

    axes = pick(1, 2)
    groups = pick(1, 2)
    channels, size = groups * pick(1, 2), pick(9, 12)
    conv: Any = nn.Conv1d if axes == 1 else nn.Conv2d
    norm: Any = nn.BatchNorm1d if axes == 1 else nn.BatchNorm2d
    average = pick(0, 3) > 0
    pool: Any = ([nn.AvgPool1d, nn.AvgPool2d] if average else [nn.MaxPool1d, nn.MaxPool2d])[axes - 1]
    layers: list[nn.Module] = [
        conv(
            channels,
            groups * pick(1, 3),
            pick(1, 3),
            stride=pick(1, 2),
            padding=pick(0, 2),
            dilation=pick(1, 2),
            groups=groups,
            bias=bool(pick(0, 1)),
        )
    ]
    layers += [norm(layers[0].out_channels)] if pick(0, 1) else []
    layers += [
        [nn.ReLU(), nn.Hardtanh(-0.5, 2.0), nn.ReLU6()][pick(0, 2)],
        pool(2, stride=pick(1, 2), padding=pick(0, 1) * average),
    ]
    layers += [nn.Dropout(0.25)] if pick(0, 1) else []
    layers += [[nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d][axes - 1](1)] if pick(0, 1) else []
    layers += [nn.Flatten()]
    shape = (channels, *(size,) * axes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        width = nn.Sequential(*layers).eval()(torch.zeros(1, *shape)).shape[1]
        layers += [nn.Linear(width, 5, bias=bool(pick(0, 1))), nn.ReLU(), nn.Linear(5, 3)]
    return nn.Sequential(*layers), shape


@pytest.mark.parametrize("seed", range(60))
def test_random_chains_round_trip(seed: int, tmp_path: Path) -> None:
    model, shape = _chain(seed)
    model = _trained(lambda: model, seed)
    before = copy.deepcopy(model.train())
    path = ns.save(model, tmp_path / "model.onnx", input_shape=shape)
    assert model.training and _equal_weights(model, before)  # the given network is as it was
    read = ns.load(path)
    assert isinstance(read, nn.Module)
    model.eval()
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(read(x), model(x))
    assert [type(layer) for layer in read] == [type(layer) for layer in model]
    assert _equal_weights(read, model)
    onnx.checker.check_model(str(path), full_check=True)
    found = torch.from_numpy(ReferenceEvaluator(str(path)).run(None, {"input": x.numpy()})[0])
    assert torch.allclose(found, model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_our_mlp_comes_back_as_one(dropout: float, dtype: torch.dtype, tmp_path: Path) -> None:
    model = ns.MLP([5, 7, 6, 3], dropout=dropout, output="softmax", generator=torch.Generator().manual_seed(0)).to(
        dtype
    )
    read = ns.load(ns.save(model, tmp_path / "mlp.onnx"))
    assert isinstance(read, ns.MLP)
    assert (read.sizes, read.dropout, read.output) == (model.sizes, dropout, "softmax")
    assert _equal_weights(read, model)
    x = torch.rand(4, 5, dtype=dtype)
    assert torch.equal(read(x), model.eval()(x))
    found = ReferenceEvaluator(str(tmp_path / "mlp.onnx")).run(None, {"input": x.numpy()})[0]
    assert torch.allclose(torch.from_numpy(found), model(x), rtol=1e-4)


def test_a_file_that_only_says_it_is_an_mlp(tmp_path: Path) -> None:
    ns.save(ns.MLP([5, 7, 3]), tmp_path / "mlp.onnx")
    proto = onnx.load(tmp_path / "mlp.onnx")
    proto.metadata_props[0].value = proto.metadata_props[0].value.replace("[5, 7, 3]", "[5, 900000, 3]")
    onnx.save(proto, tmp_path / "other.onnx")
    assert isinstance(ns.load(tmp_path / "other.onnx"), nn.Sequential)


def test_a_module_of_ones_own_is_traced(tmp_path: Path) -> None:
    model = _trained(Residual)
    read = ns.load(ns.save(model, tmp_path / "r.onnx", input_shape=(3, 8, 8)))
    x = torch.randn(2, 3, 8, 8)
    assert isinstance(read, nn.Module) and torch.equal(read(x), model(x))
    assert _equal_weights(read, model)
    assert not any(n.op_type == "Loop" for n in onnx.load(tmp_path / "r.onnx").graph.node)


class Calls(nn.Module):
    """Calls its modules in the given order, some of them several times, on values with and without more axes."""

    def __init__(self, order: str) -> None:
        super().__init__()
        self.a, self.b, self.r, self.h, self.d = (
            nn.Linear(4, 4),
            nn.Linear(4, 4, bias=False),
            nn.ReLU(),
            nn.Hardtanh(-1.0, 1.0),
            nn.Dropout(),
        )
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        for name in self.order:
            x = getattr(self, name)(x)
        return x + self.r(x)


@pytest.mark.parametrize("order", ["ara", "arbrar", "bahdhra", "aaaa", "dadrdh"])
@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_a_module_called_twice_is_two_nodes(
    order: str, shape: tuple[int, ...], tmp_path: Path, in_onnxruntime: list[int]
) -> None:
    model = _trained(lambda: Calls(order))
    path = ns.save(model, tmp_path / "m.onnx", input_shape=shape)
    graph = onnx.load(path).graph
    for names in (
        [n.name for n in graph.node],
        [v for n in graph.node for v in n.output],
        [t.name for t in graph.initializer],
    ):
        assert len(set(names)) == len(names)
    assert len(in_onnxruntime) == 1  # opened there, and compared
    x = torch.randn(5, *shape)
    assert torch.equal(ns.load(path)(x), model(x))


@pytest.mark.parametrize("opset", [9, 13, 18])
def test_what_changes_nothing_is_passed_over(opset: int, tmp_path: Path) -> None:
    """What exporters write although it leaves every value as it is: no layer comes of it."""
    tensors: dict[str, Any] = {
        "w": torch.randn(2, 1, 3, 3),
        "one": torch.ones(1, 2, 1, 1),
        "none": torch.zeros(2, 1, 1),
    }
    nodes = [
        _node("Cast", "x", output="a", to=TensorProto.FLOAT),
        _node("Conv", "a", "w", output="b"),
        _node("Concat", "b", output="c", axis=1),
        _node("Relu", "c", output="d"),
        _node("Add", "d", "none", output="e"),
        _node("Mul", "e", "one", output="f"),
        _node("Transpose", "f", output="g", perm=[0, 1, 2, 3]),
        _node("Clip", "g", output="h"),
    ]
    if opset < 11:
        nodes += [
            _node("Pad", "h", output="i", pads=[0] * 8),
            _node("Slice", "i", output="j", starts=[0], ends=[2**31 - 1], axes=[0]),
        ]
    else:
        tensors |= {
            "pads": torch.zeros(8, dtype=torch.int64),
            "first": torch.tensor([0]),
            "last": torch.tensor([2**63 - 1]),
        }
        nodes += [_node("Pad", "h", "pads", output="i"), _node("Slice", "i", "first", "last", output="j")]
    nodes += [_node("AveragePool", "j", kernel_shape=[2, 2], strides=[2, 2])]
    read = _compare(_file(tmp_path, nodes, tensors, ["n", 1, 10, 10], opset=opset), (2, 1, 10, 10))
    assert [type(layer) for layer in read.children()] == [nn.Conv2d, nn.ReLU, nn.AvgPool2d]


@pytest.mark.parametrize("opset", [9, 13, 18])
def test_zeros_around_an_image(opset: int, tmp_path: Path) -> None:
    pads = [0, 0, 1, 2, 0, 0, 3, 0]
    w = {"w": torch.randn(2, 1, 3, 3)}
    if opset < 11:
        pad = _node("Pad", "x", output="p", pads=pads, mode="constant", value=0.0)
    elif opset < 18:
        pad, w["pads"] = _node("Pad", "x", "pads", output="p"), torch.tensor(pads)
    else:
        w |= {"pads": torch.tensor([2, 1, 0, 3]), "axes": torch.tensor([-1, 2])}
        pad = _node("Pad", "x", "pads", "", "axes", output="p")
    read = _compare(_file(tmp_path, [pad, _node("Conv", "p", "w")], w, ["n", 1, 6, 7], opset=opset), (2, 1, 6, 7))
    again = ns.load(ns.save(read, tmp_path / "again.onnx"))
    x = torch.randn(2, 1, 6, 7)
    assert torch.allclose(again(x), read(x), atol=1e-6)


def test_converting_what_was_read_sleeps_like_the_original(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5, bias=False), nn.ReLU(), nn.Linear(5, 4, bias=False))
    read = ns.load(ns.save(model, tmp_path / "m.onnx"))
    assert isinstance(read, nn.Module)
    x = torch.rand(10, 6)
    ours, theirs = ns.convert(read, x, recipe="recursive"), ns.convert(model, x, recipe="recursive")
    assert all(torch.equal(a, b) for a, b in zip(ours.weights, theirs.weights, strict=True))


def _file(tmp_path: Path, nodes: list[Any], tensors: dict[str, Any], shape: list[Any], opset: int = 17) -> Path:
    """A file of our own making: ``shape`` with the batch, the value ``y`` as output."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            value
            if isinstance(value, TensorProto)
            else helper.make_tensor(
                name,
                TensorProto.INT64 if value.dtype == torch.int64 else TensorProto.FLOAT,
                list(value.shape),
                value.reshape(-1).tolist(),
            )
            for name, value in tensors.items()
        ],
    )
    path = tmp_path / "made.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()
    )
    return path


def _compare(path: Path, shape: tuple[int, ...]) -> nn.Module:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(3))
    read = ns.load(path)
    assert isinstance(read, nn.Module)
    found = torch.from_numpy(ReferenceEvaluator(str(path)).run(None, {"x": x.numpy()})[0])
    assert torch.allclose(read(x), found, rtol=1e-5, atol=1e-6)
    return read


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2])
def test_automatic_padding(mode: str, stride: int, tmp_path: Path) -> None:
    w = torch.randn(2, 3, 4, 3, generator=torch.Generator().manual_seed(0))
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], auto_pad=mode, strides=[stride, stride])]
    path = _file(tmp_path, nodes, {"w": w}, ["n", 3, 9, 8])
    read = _compare(path, (2, 3, 9, 8))
    again = ns.load(ns.save(read, tmp_path / "again.onnx"))
    assert isinstance(again, nn.Module)
    x = torch.randn(2, 3, 9, 8)
    assert torch.allclose(again(x), read(x), atol=1e-6)


@pytest.mark.parametrize(
    ("alpha", "beta", "transposed", "bias"),
    [(1.0, 1.0, 0, (4,)), (0.5, 2.0, 1, (1, 4)), (1.0, 1.0, 1, ()), (1.0, 0.0, 1, (4,)), (2.0, 1.0, 0, None)],
)
def test_gemm(alpha: float, beta: float, transposed: int, bias: tuple[int, ...] | None, tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    tensors = {"w": torch.randn((4, 6) if transposed else (6, 4), generator=draw)}
    if bias is not None:
        tensors["b"] = torch.randn(bias, generator=draw)
    nodes = [helper.make_node("Gemm", ["x", *tensors], ["y"], alpha=alpha, beta=beta, transB=transposed)]
    _compare(_file(tmp_path, nodes, tensors, ["n", 6]), (3, 6))


def test_old_forms_of_clip_dropout_and_squeeze(tmp_path: Path) -> None:
    w = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["a"]),
        helper.make_node("Squeeze", ["a"], ["b"], axes=[2, 3]),
        helper.make_node("Dropout", ["b"], ["c"], ratio=0.3),
        helper.make_node("Transpose", ["w"], ["v"], perm=[1, 0]),
        helper.make_node("Gemm", ["c", "v", "z"], ["d"]),
        helper.make_node("Identity", ["d"], ["e"]),
        helper.make_node("Clip", ["e"], ["y"], min=-0.1, max=0.2),
    ]
    read = _compare(_file(tmp_path, nodes, {"w": w, "z": torch.zeros(4)}, ["n", 3, 4, 4], opset=9), (2, 3, 4, 4))
    assert [type(layer).__name__ for layer in read.children()][-1] == "Hardtanh"
    assert next(layer.p for layer in read.children() if isinstance(layer, nn.Dropout)) == 0.3


def test_an_open_image_size_must_be_given(tmp_path: Path) -> None:
    path = _file(tmp_path, [helper.make_node("Relu", ["x"], ["y"])], {}, ["n", 3, "h", "w"])
    with pytest.raises(ExchangeError, match=r"has the shape \[\?, 3, \?, \?\]") as caught:
        ns.load(path)
    assert caught.value.hint is not None and "input_shape" in caught.value.hint
    assert isinstance(ns.load(path, input_shape=(3, 4, 5)), nn.Module)
    with pytest.raises(ExchangeError, match="does not fit"):
        ns.load(path, input_shape=(2, 4, 5))


def _node(op: str, *inputs: str, output: str = "y", **attributes: Any) -> Any:
    return helper.make_node(op, list(inputs), [output], name="here", **attributes)


def _twice() -> Any:
    node = _node("Flatten", "x", axis=1)
    node.attribute.append(node.attribute[0])
    return node


WEIGHT = torch.ones(3, 6)
REFUSED: dict[str, tuple[list[Any], dict[str, Any], list[Any], str]] = {
    "operator": ([_node("Det", "x")], {}, ["n", 6], "'Det' of node 'here'"),
    "domain": ([_node("Relu", "x", domain="evil")], {}, ["n", 6], r"'evil\.Relu' of node 'here'"),
    "cycle": ([_node("Add", "x", "b", output="a"), _node("Relu", "a", output="b"), _node("Relu", "b")], {}, ["n", 6],
              "is cyclic: the node 'here' needs"),
    "nothing": ([_node("Relu", "z")], {}, ["n", 6], "nothing makes"),
    "twice": ([_node("Relu", "x"), _node("Relu", "x")], {}, ["n", 6], "the name of another value"),
    "shape": ([_node("Gemm", "x", "w", transB=1)], {"w": WEIGHT}, ["n", 7], "6 values"),
    "kernel": ([_node("Conv", "x", "w")], {"w": torch.ones(2, 3, 5, 5)}, ["n", 3, 4, 4], "larger than its input"),
    "groups": ([_node("Conv", "x", "w", group=0)], {"w": torch.ones(2, 3, 1, 1)}, ["n", 3, 4, 4], "in 0 groups"),
    "stride": ([_node("Conv", "x", "w", strides=[0, 1])], {"w": torch.ones(2, 3, 1, 1)}, ["n", 3, 4, 4], "stride"),
    "pads": ([_node("Conv", "x", "w", pads=[10**12] * 4)], {"w": torch.ones(2, 3, 1, 1)}, ["n", 3, 4, 4], "pads"),
    "size": ([_node("Conv", "x", "w", pads=[60000] * 4)], {"w": torch.ones(2, 3, 1, 1)}, ["n", 3, 4, 4], "no more"),
    "reshape": ([_node("Reshape", "x", "s")], {"s": torch.tensor([-1, 5])}, ["n", 6], "the batch as first axis"),
    "mixed": ([_node("Reshape", "x", "s")], {"s": torch.tensor([6, -1])}, ["n", 6], "the batch as first axis"),
    "attribute": ([_node("Relu", "x", foo=1)], {}, ["n", 6], "not known"),
    "type": ([_node("Gemm", "x", "w", transB=1.0)], {"w": WEIGHT}, ["n", 6], "wrong type"),
    "transA": ([_node("Gemm", "x", "w", transA=1)], {"w": WEIGHT}, ["n", 6], "transA = 1"),
    "constant": ([_node("MatMul", "w", "x")], {"w": WEIGHT}, ["n", 6], "a constant as input 0"),
    "add": ([_node("Add", "x", "w")], {"w": torch.ones(5)}, ["n", 6], r"a constant of shape \(5,\)"),
    "nan": ([_node("Gemm", "x", "w", transB=1)], {"w": WEIGHT * float("nan")}, ["n", 6], "'w' holds NaN"),
    "infinite": ([_node("Gemm", "x", "w", transB=1)], {"w": WEIGHT * float("inf")}, ["n", 6], "'w' holds NaN or inf"),
    "axis": ([_node("Flatten", "x", axis=2)], {}, ["n", 6, 3], "axis = 2"),
    "norm": ([_node("BatchNormalization", "x", *"abcd")], {k: torch.ones(5) for k in "abcd"}, ["n", 6], "6, one"),
    "variance": ([_node("BatchNormalization", "x", *"abcd")], {k: -torch.ones(6) for k in "abcd"}, ["n", 6], "varian"),
    "input": ([_node("Relu", "x")], {}, ["n", 10**15], "no more than 268435456 values an image"),
    "cast": ([_node("Cast", "x", to=TensorProto.DOUBLE)], {}, ["n", 6], "turns float32 values into float64"),
    "cast sizes": ([_node("Shape", "x", output="s"), _node("Cast", "s", to=1)], {}, ["n", 6], "sizes of a shape"),
    "pad with ones": ([_node("Pad", "x", "p", "v")], {"p": torch.ones(8).long(), "v": torch.tensor(1.0)},
                      ["n", 1, 6, 6], "pads with 1"),
    "pad the batch": ([_node("Pad", "x", "p")], {"p": torch.ones(8).long()}, ["n", 1, 6, 6], "behind the channels"),
    "pad too few": ([_node("Pad", "x", "p")], {"p": torch.ones(6).long()}, ["n", 1, 6, 6], "two for each of 4 axes"),
    "reflect": ([_node("Pad", "x", "p", mode="reflect")], {"p": torch.ones(8).long()}, ["n", 1, 6, 6], "in mode 'refl"),
    "cut": ([_node("Pad", "x", "p")], {"p": -torch.tensor([0, 0, 1, 0, 0, 0, 0, 0])}, ["n", 1, 6, 6], "from 0 to"),
    "max-pool, wide": ([_node("MaxPool", "x", kernel_shape=[3, 3], pads=[2] * 4)], {}, ["n", 1, 8, 8],
                       r"pads = \[2, 2, 2, 2\] for windows of \[3, 3\].*at most half of a window"),
    "concat": ([_node("Relu", "x", output="a"), _node("Concat", "a", "x", axis=0)], {}, ["n", 6], "joins values alo"),
    "gather": ([_node("Gather", "x", "i", axis=1)], {"i": torch.tensor(0)}, ["n", 6], "no axis beside the batch"),
    "slice": ([_node("Slice", "x", "i", "j")], {"i": torch.tensor([0]), "j": torch.tensor([1])}, ["n", 6],
              "an axis behind the batch"),
    "divisor": ([_node("Div", "w", "x")], {"w": torch.ones(6)}, ["n", 6], "divides a constant by a value"),
    "divisor 0": ([_node("Div", "x", "w")], {"w": torch.zeros(6)}, ["n", 6], "divides by 0"),
    "left out": ([_node("Gemm", "x", "", "w")], {"w": WEIGHT}, ["n", 6], "has no input 1"),
    "sizes": ([_node("Shape", "x", output="s"), _node("Relu", "s")], {}, ["n", 6], "has a list of sizes as input 0"),
    "mean": ([_node("ReduceMean", "x")], {}, ["n", 1, 6, 6], "over all axes, that of the batch too"),
    "variance 0": ([_node("BatchNormalization", "x", *"abcd", epsilon=0.0)], {k: torch.zeros(6) for k in "abcd"},
                   ["n", 6], "least variance of 0, epsilon 0"),
    "integers": ([_node("Gemm", "x", "w", transB=1)], {"w": WEIGHT.long()}, ["n", 6], "input 1 of type int64"),
    "attribute twice": ([_twice()], {}, ["n", 6], "has an attribute twice"),
    "unused": ([_node("Relu", "x", output="a"), _node("Identity", "w")], {"w": WEIGHT}, ["n", 6], "does not depend on"),
    "as it is": ([_node("Identity", "x")], {}, ["n", 6], "its input as it is"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_by_name(case: str, tmp_path: Path) -> None:
    nodes, tensors, shape, message = REFUSED[case]
    with pytest.raises(ExchangeError) as caught:
        ns.load(_file(tmp_path, nodes, tensors, shape))
    caught.match(r"(?s).*" + message)


@pytest.mark.parametrize(("kind", "name"), [("BOOL", "bool"), ("STRING", "string"), ("UINT8", "uint8")])
def test_inputs_of_other_types_are_named(kind: str, name: str, tmp_path: Path) -> None:
    path = _file(tmp_path, [_node("Relu", "x")], {}, ["n", 6])
    proto = onnx.load(path)
    proto.graph.input[0].type.tensor_type.elem_type = getattr(TensorProto, kind)
    onnx.save(proto, path)
    with pytest.raises(ExchangeError, match=f"is of type {name}"):
        ns.load(path)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with pytest.raises(ExchangeError, match="input is not known"):
        ns.save(nn.Sequential(nn.Conv2d(1, 2, 3)), path)
    with pytest.raises(ExchangeError, match="RReLU at '1' cannot be written"):
        ns.save(nn.Sequential(nn.Linear(3, 2), nn.RReLU()), path)
    with pytest.raises(ExchangeError, match="cannot be traced with an input"):
        ns.save(nn.Sequential(nn.Linear(3, 2)), path, input_shape=(4,))
    with pytest.raises(ExchangeError, match="holds NaN"):
        model = nn.Linear(2, 2)
        nn.init.constant_(model.weight, float("nan"))
        ns.save(nn.Sequential(model), path)
    with pytest.raises(ExchangeError, match="cannot be written"):
        ns.save(nn.Sequential(nn.Linear(3, 2)).half(), path)
    with pytest.raises(ExchangeError, match="EquilibriumMLP cannot be saved as an ONNX"):
        ns.save(EquilibriumMLP((3, 2)), path)
    assert list(tmp_path.iterdir()) == []


# --- hostile files ----------------------------------------------------------------------------------------------------


def _whole(tmp_path: Path) -> bytes:
    return ns.save(_trained(Residual), tmp_path / "whole.onnx", input_shape=(3, 8, 8)).read_bytes()


@pytest.mark.parametrize(
    "location", ["secret", "../secret", "/etc/passwd", "w.bin", "./w.bin", "sub/../w.bin", "", "\x00", "C:\\w.bin"]
)
@pytest.mark.parametrize("given", [False, True])
def test_external_data_is_read_from_the_given_file_only(
    location: str, given: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_bytes(bytes(72))
    (tmp_path / "w.bin").write_bytes(WEIGHT.numpy().tobytes())
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3, 6], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    path = _file(tmp_path, [_node("Gemm", "x", "w", transB=1)], {"w": tensor}, ["n", 6])
    opened: list[Path] = []
    plain = Path.open

    def watched(self: Path, *args: Any, **kwargs: Any) -> Any:
        opened.append(self)
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", watched)
    allowed = {path, tmp_path / "w.bin"} if given else {path}
    if given and location == "w.bin":
        read = ns.load(path, external_data=tmp_path / "w.bin")
        assert isinstance(read, nn.Module) and torch.equal(next(read.parameters()), WEIGHT)
    else:
        with pytest.raises(ExchangeError):
            ns.load(path, external_data=tmp_path / "w.bin" if given else None)
    assert set(opened) <= allowed


@pytest.mark.parametrize(
    ("key", "value"), [("offset", "1"), ("offset", "-4"), ("length", "76"), ("offset", "x" * 10**6)]
)
def test_external_data_stays_within_its_file(key: str, value: str, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(72))
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3, 6], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="w.bin")
    tensor.external_data.add(key=key, value=value)
    path = _file(tmp_path, [_node("Gemm", "x", "w", transB=1)], {"w": tensor}, ["n", 6])
    with pytest.raises(ExchangeError, match="do not lie within") as caught:
        ns.load(path, external_data=tmp_path / "w.bin")
    assert len(str(caught.value)) < 1000


def test_declared_sizes_cost_nothing(tmp_path: Path) -> None:
    for dims in ([10**9, 10**9], [2**40], [-1, 3], [3] * 50, [2**62, 4]):
        tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims, raw_data=bytes(8))
        with pytest.raises(ExchangeError, match="'w' has"):
            ns.load(_file(tmp_path, [_node("MatMul", "x", "w")], {"w": tensor}, ["n", 6]))


def test_one_weight_used_ten_thousand_times_is_refused(tmp_path: Path) -> None:
    nodes = [_node("Gemm", f"v{k}" if k else "x", "w", output=f"v{k + 1}") for k in range(10_000)]
    path = _file(tmp_path, [*nodes, _node("Relu", "v10000")], {"w": torch.eye(400)}, ["n", 400])
    with pytest.raises(ExchangeError, match="much larger than the file"):
        ns.load(path)


def test_deep_nesting_and_crowds_of_parts(tmp_path: Path) -> None:
    path = tmp_path / "deep.onnx"
    inner = b""
    for _ in range(2000):  # a node with an attribute that holds a graph with a node …
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            inner = tag + _varint(len(inner)) + inner
    path.write_bytes(b"\x08\x08\x3a" + _varint(len(inner)) + inner)
    with pytest.raises(ExchangeError, match="nested more than"):
        ns.load(path)
    crowd = b"\x0a\x00" * 1_200_000  # empty nodes of two bytes, which would take a hundred each
    path.write_bytes(b"\x08\x08\x3a" + _varint(len(crowd)) + crowd)
    with pytest.raises(ExchangeError, match="more than 1000000 parts"):
        ns.load(path)


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def test_truncated_files(tmp_path: Path) -> None:
    whole = _whole(tmp_path)
    for cut in range(0, len(whole) - 1, 37):
        path = tmp_path / "cut.onnx"
        path.write_bytes(whole[:cut])
        with pytest.raises(ExchangeError):
            ns.load(path)


def test_by_content_and_ending(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(_whole(tmp_path))
    assert isinstance(ns.load(tmp_path / "model.bin"), nn.Module)
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ExchangeError, match="is a text"):
        ns.load(tmp_path / "text.onnx")
    mlp = ns.save(ns.MLP([3, 2]), tmp_path / "m.safetensors")
    assert isinstance(ns.load(mlp), ns.MLP)
