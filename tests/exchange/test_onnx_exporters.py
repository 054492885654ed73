"""The forms in which exporters write a network: each gives onnxruntime's numbers, or says what it leaves out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import neurosleep as ns
from neurosleep.errors import ExchangeError
from neurosleep.exchange import ExchangeWarning, check_file

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

ML = "ai.onnx.ml"
RNG = np.random.default_rng(0)


def _values(*shape: int, low: float = -1.0) -> Any:
    return RNG.uniform(low, 1, shape).astype(np.float32)


class Form:
    """A file in the making: nodes by operator, inputs and output names, as ``helper.make_node`` takes them."""

    def __init__(self, shape: Sequence[int | str], opset: int = 13, kind: int = TensorProto.FLOAT) -> None:
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self.opset, self.outputs = opset, ["y"]
        self.inputs = [helper.make_tensor_value_info("x", kind, shape)]
        self.kinds = {"y": TensorProto.FLOAT}

    def put(self, op: str, inputs: str, output: str, **attributes: Any) -> Form:
        domain = ML if op in ("ZipMap", "Scaler", "LinearClassifier", "Normalizer", "ArrayFeatureExtractor") else ""
        name = f"node_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs.split(), output.split(), name=name, domain=domain, **attributes))
        return self

    def store(self, **tensors: Any) -> Form:
        self.tensors += [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()]
        return self

    def model(self) -> Any:
        outputs = [helper.make_tensor_value_info(name, self.kinds.get(name, 1), None) for name in self.outputs]
        graph = helper.make_graph(self.nodes, "form", self.inputs, outputs, self.tensors)
        sets = [helper.make_opsetid("", self.opset), helper.make_opsetid(ML, 1)]
        return helper.make_model(graph, opset_imports=sets, ir_version=8)

    def file(self, folder: Path) -> Path:
        path = folder / "form.onnx"
        path.write_bytes(self.model().SerializeToString())
        return path


def _judged(path: Path, x: Any, writes: bool = True, **options: Any) -> nn.Module:
    """The network of a file, once it has given onnxruntime's numbers for ``x``."""
    read = ns.load(path, **options)
    assert isinstance(read, nn.Module)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    wanted = session.run([options["output_name"]] if "output_name" in options else None, {"x": x})
    found = read(torch.from_numpy(x.astype(np.float32))).detach().numpy()
    same = [w for w in wanted if isinstance(w, np.ndarray) and w.shape == found.shape]
    np.testing.assert_allclose(found, same[0], rtol=1e-4, atol=1e-5)
    if writes:  # opened in onnxruntime by the fixture of all tests here, and compared
        again = ns.load(ns.save(read, path.with_name("again.onnx")))
        assert torch.allclose(again(torch.from_numpy(x.astype(np.float32))), torch.from_numpy(found), atol=1e-5)
    return read


def _dense(form: Form, x: str, y: str, inputs: int, units: int) -> Form:
    name = f"w{len(form.nodes)}"
    form.store(**{name: _values(inputs, units), f"{name}_b": _values(units)})
    return form.put("MatMul", f"{x} {name}", f"{y}_sum").put("Add", f"{y}_sum {name}_b", y)


def _keras(channels: int = 1, opset: int = 11, flat: str = "Reshape") -> Form:
    """What keras2onnx makes of Conv2D, MaxPooling2D, Flatten and Dense: channels last outside, first within."""
    form = Form(["N", 8, 8, channels], opset)
    form.store(k=_values(4, channels, 3, 3), b=_values(4), shape=np.array([-1, 36]))
    form.put("Transpose", "x", "first", perm=[0, 3, 1, 2]).put("Conv", "first k b", "c", kernel_shape=[3, 3])
    form.put("Relu", "c", "r").put("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2])
    form.put("Transpose", "p", "last", perm=[0, 2, 3, 1])
    form.put("Reshape", "last shape", "f") if flat == "Reshape" else form.put("Flatten", "last", "f")
    _dense(form, "f", "h", 36, 5).put("Relu", "h", "hr")
    return _dense(form, "hr", "s", 5, 3).put("Softmax", "s", "p1").put("Identity", "p1", "y")


@pytest.mark.parametrize("flat", ["Reshape", "Flatten"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("opset", [8, 11, 13])
def test_keras_with_channels_last(channels: int, opset: int, flat: str, tmp_path: Path) -> None:
    read = _judged(_keras(channels, opset, flat).file(tmp_path), _values(3, 8, 8, channels))
    turned = [type(layer).__name__ for layer in read.children()].count("Permute")
    assert turned == (0 if channels == 1 else 1)  # the Transpose behind the Conv is in the weight of the Linear


def test_the_nodes_may_be_out_of_order(tmp_path: Path) -> None:
    form = _keras()
    form.nodes.reverse()
    straight = _keras()
    straight.tensors = form.tensors
    x = torch.from_numpy(_values(3, 8, 8, 1))
    (tmp_path / "other").mkdir()
    read = ns.load(form.file(tmp_path))
    assert torch.equal(read(x), _judged(straight.file(tmp_path / "other"), x.numpy())(x))


def test_a_keras_network_of_tf2onnx(tmp_path: Path) -> None:
    """Bias, BatchNormalization and mean in channels last, the batch's size computed."""
    form = Form(["n", 8, 8, 2])
    form.store(
        k=_values(3, 2, 3, 3), b=_values(3), scale=_values(3), d=_values(3, 4), pads=np.array([0, 1, 1, 0, 0, 1, 1, 0])
    )
    form.put("Pad", "x pads", "padded")
    form.put("Transpose", "padded", "t", perm=[0, 3, 1, 2]).put(
        "Conv", "t k", "c", auto_pad="SAME_UPPER", strides=[2, 2]
    )
    form.put("Transpose", "c", "u", perm=[0, 2, 3, 1]).put("Add", "u b", "ub").put("Mul", "ub scale", "us")
    form.put("Relu", "us", "r").put("Add", "r us", "sum").put("Concat", "sum r", "cat", axis=2)
    form.put("ReduceMean", "cat", "m", axes=[1, 2], keepdims=0).put("MatMul", "m d", "y")
    read = _judged(form.file(tmp_path), _values(3, 8, 8, 2))
    assert [type(layer).__name__ for layer in read.children()].count("Permute") == 1


def test_the_mnist_of_cntk_and_the_model_zoo(tmp_path: Path) -> None:
    """A Conv without bias, an Add for it, and a weight that is reshaped in the graph."""
    form = Form([1, 1, 12, 12], 8)
    form.store(k1=_values(4, 1, 5, 5), b1=_values(4, 1, 1), w=_values(4, 6, 6, 3), b=_values(1, 3))
    form.store(flat=np.array([1, 144]), whole=np.array([144, 3]))
    form.put("Reshape", "w whole", "w2").put("Conv", "x k1", "c", auto_pad="SAME_UPPER", kernel_shape=[5, 5])
    form.put("Add", "c b1", "cb").put("Relu", "cb", "r")
    form.put("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2], auto_pad="NOTSET", pads=[0, 0, 0, 0])
    form.put("Reshape", "p flat", "f").put("MatMul", "f w2", "m").put("Add", "m b", "y")
    read = _judged(form.file(tmp_path), _values(1, 1, 12, 12))
    assert [type(layer) for layer in read.children()] == [nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.Flatten, nn.Linear]


@pytest.mark.parametrize("folded", [False, True])
def test_the_networks_of_matlab(folded: bool, tmp_path: Path) -> None:
    """An input of four axes, its mean taken off first; a mean image may be as large as the image."""
    form = Form([1, 1, 1, 5], 8) if folded else Form([1, 2, 4, 4], 8)
    shape = (1, 1, 1, 5) if folded else (1, 2, 4, 4)
    form.store(mean=_values(*shape)).put("Sub", "x mean", "s").put("Flatten", "s", "f")
    _dense(form, "f", "h", int(np.prod(shape)), 6).put("Relu", "h", "r")
    _judged(_dense(form, "r", "y", 6, 3).file(tmp_path), _values(*shape))


@pytest.mark.parametrize("kind", ["mlp", "binary", "logistic", "multinomial"])
def test_the_scores_of_classifiers_of_scikit_learn(kind: str, tmp_path: Path) -> None:
    form = Form([None, 4], 12)  # type: ignore[list-item]
    form.outputs, form.kinds["label"] = ["label", "y"], TensorProto.INT64
    if kind in ("mlp", "binary"):
        form.store(classes=np.array([3, 5, 9]), shape=np.array([-1]), one=np.float32(1))
        form.put("Scaler", "x", "scaled", offset=[0.1, 0.2, 0.3, 0.4], scale=[1.0, 2.0, 3.0, 4.0])
        form.put("Cast", "scaled", "cast", to=TensorProto.FLOAT)
        _dense(_dense(form, "cast", "h", 4, 6).put("Relu", "h", "hr"), "hr", "s", 6, 3 if kind == "mlp" else 1)
    if kind == "mlp":
        form.put("Softmax", "s", "y", axis=1)
    elif kind == "binary":
        form.put("Sigmoid", "s", "p").put("Sub", "one p", "q").put("Concat", "q p", "y", axis=1)
    else:
        form.put("LinearClassifier", "x", "l z", coefficients=list(map(float, _values(12))), intercepts=[0.1, 0.2, 0.3],
                 classlabels_ints=[0, 1, 2], multi_class=1, post_transform="SOFTMAX")  # fmt: skip
        form.put("Cast", "l", "label", to=TensorProto.INT64)
        form.put("Normalizer", "z", "y", norm="L1") if kind == "logistic" else form.put("Identity", "z", "y")
    if kind in ("mlp", "binary"):
        form.put("ArgMax", "y", "best", axis=1).put("ArrayFeatureExtractor", "classes best", "picked")
        form.put("Cast", "picked", "as_int", to=TensorProto.INT64).put("Reshape", "as_int shape", "label")
    _judged(form.file(tmp_path), _values(5, 4))
    # As it is by default: a dictionary for each image.
    form.put("ZipMap", "y", "zipped", classlabels_int64s=[0, 1, 2])
    form.outputs = ["label", "zipped"]
    model = form.model()
    entry = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    model.graph.output[1].type.CopyFrom(helper.make_sequence_type_proto(entry))
    (tmp_path / "zipped.onnx").write_bytes(model.SerializeToString())
    x = torch.from_numpy(_values(5, 4))
    assert torch.equal(ns.load(tmp_path / "zipped.onnx")(x), ns.load(tmp_path / "form.onnx")(x))


def test_a_network_that_ends_in_the_class(tmp_path: Path) -> None:
    form = _dense(Form(["n", 4]), "x", "s", 4, 3).put("ArgMax", "s", "best", axis=1, keepdims=0)
    form.put("Cast", "best", "y", to=TensorProto.INT32)
    form.kinds["y"] = TensorProto.INT32
    path = form.file(tmp_path)
    with pytest.warns(ExchangeWarning, match=r"the scores are the output: .* left out \(Cast to int32, ArgMax\)"):
        read = ns.load(path)
    x = _values(20, 4)
    (wanted,) = onnxruntime.InferenceSession(str(path)).run(None, {"x": x})
    assert read(torch.from_numpy(x)).argmax(1).tolist() == wanted.tolist()


def test_one_of_several_outputs_is_chosen_by_name(tmp_path: Path) -> None:
    form = _dense(Form(["n", 4]), "x", "h", 4, 6).put("Relu", "h", "hidden")
    form = _dense(_dense(form, "hidden", "y", 6, 3), "hidden", "z", 6, 2)
    form.outputs = ["y", "hidden", "z"]
    path = form.file(tmp_path)
    with pytest.raises(ExchangeError, match=r"has 3 outputs(?s:.*)output_name="):
        ns.load(path)
    with pytest.raises(ns.NeurosleepError, match="hiden"):
        ns.load(path, output_name="hiden")
    for name, units in (("y", 3), ("hidden", 6), ("h", 6)):
        if name != "h":
            _judged(path, _values(5, 4), output_name=name)
        assert ns.load(path, output_name=name)(torch.zeros(2, 4)).shape == (2, units)


def test_an_input_that_only_another_output_needs(tmp_path: Path) -> None:
    """A graph of training: the labels come in and the accuracy goes out."""
    form = _dense(Form(["n", 4]), "x", "s", 4, 3).put("Sub", "s labels", "y")
    form.inputs.append(helper.make_tensor_value_info("labels", TensorProto.FLOAT, ["n", 3]))
    path = form.file(tmp_path)
    with pytest.raises(ExchangeError, match="needs 2 inputs"):
        ns.load(path)
    assert ns.load(path, output_name="s")(torch.zeros(2, 4)).shape == (2, 3)


@pytest.mark.parametrize("kind", ["UINT8", "DOUBLE", "FLOAT16"])
def test_inputs_that_are_cast(kind: str, tmp_path: Path) -> None:
    form = Form(["n", 1, 6, 6], kind=getattr(TensorProto, kind)).store(k=_values(2, 1, 3, 3), full=np.float32(255))
    form.put("Cast", "x", "f", to=TensorProto.FLOAT).put("Div", "f full", "d").put("Conv", "d k", "y")
    x = (RNG.random((3, 1, 6, 6)) * 255).astype(kind.lower() if kind != "DOUBLE" else np.float64)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ExchangeWarning)
        read = _judged(form.file(tmp_path), x)
    assert [p.dtype for p in read.parameters()] == [torch.float32]
    assert any("uint8" in str(w.message) for w in caught) == (kind == "UINT8")


@pytest.mark.parametrize("qoperator", [False, True])
def test_a_quantised_network_is_read_as_its_floats(qoperator: bool, tmp_path: Path) -> None:
    """Where a ReLU was left out since no integer stands for less than 0, there is one; the integers give weights."""
    form = Form(["n", 1, 8, 8])
    k = RNG.integers(-127, 128, (2, 1, 3, 3)).astype(np.int8)
    form.store(
        k=k, xs=np.float32(1 / 255), xz=np.uint8(0), ks=np.array([0.01, 0.02], np.float32), kz=np.zeros(2, np.int8)
    )
    form.store(ys=np.float32(0.05), yz=np.uint8(0), w=_values(72, 3))
    form.put("QuantizeLinear", "x xs xz", "xq")
    if qoperator:
        form.put("QLinearConv", "xq xs xz k ks kz ys yz", "cq")
    else:
        form.put("DequantizeLinear", "xq xs xz", "xf").put("DequantizeLinear", "k ks kz", "kf", axis=0)
        form.put("Conv", "xf kf", "c").put("QuantizeLinear", "c ys yz", "cq")
    form.put("DequantizeLinear", "cq ys yz", "cf").put("Flatten", "cf", "f").put("MatMul", "f w", "y")
    path = form.file(tmp_path)
    with pytest.warns(ExchangeWarning, match="read as its floats"):
        read = ns.load(path)
    assert any(isinstance(layer, nn.ReLU) for layer in read.modules())
    conv = next(layer for layer in read.modules() if isinstance(layer, nn.Conv2d))
    assert torch.allclose(conv.weight, torch.from_numpy(k * np.array([0.01, 0.02]).reshape(2, 1, 1, 1)).float())
    x = _values(4, 1, 8, 8, low=0.0)
    (wanted,) = onnxruntime.InferenceSession(str(path)).run(None, {"x": x})
    # Steps of 0.05 of 72 activities, whose errors are independent.
    assert np.abs(read(torch.from_numpy(x)).detach().numpy() - wanted).std() < 0.05 * np.sqrt(72 / 12)


def test_halves_are_read_as_floats(tmp_path: Path) -> None:
    form = Form(["n", 5]).store(w=_values(5, 3).astype(np.float16)).put("Cast", "w", "wf", to=TensorProto.FLOAT)
    with pytest.warns(ExchangeWarning, match="float16 are read as float32"):
        read = _judged(form.put("MatMul", "x wf", "y").file(tmp_path), _values(4, 5))
    assert next(read.parameters()).dtype == torch.float32


@pytest.mark.parametrize("opset", [1, 5, 6])
def test_older_operators_are_brought_up_by_onnx(opset: int, tmp_path: Path) -> None:
    form = Form([2, 6], opset).store(w=_values(6, 4), b=_values(4))
    form.put("Gemm", "x w b", "g", broadcast=1) if opset < 7 else None
    path = form.put("Relu", "g", "y", **({"consumed_inputs": [0]} if opset < 6 else {})).file(tmp_path)
    model = onnx.load(path)
    model.graph.input.extend(
        helper.make_tensor_value_info(t.name, TensorProto.FLOAT, list(t.dims)) for t in model.graph.initializer
    )
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4]))
    model.ir_version = 3
    del model.opset_import[1:]
    path.write_bytes(model.SerializeToString())
    x = _values(2, 6)
    w, b = (numpy_helper.to_array(t) for t in model.graph.initializer)
    found = ns.load(path)(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, np.maximum(x @ w + b, 0), rtol=1e-5, atol=1e-6)


ALIKE = {
    "Elu": {"alpha": 0.7},
    "HardSigmoid": {"alpha": 0.3, "beta": 0.4},
    "HardSwish": {},
    "LeakyRelu": {"alpha": 0.2},
    "Neg": {},
    "Sigmoid": {},
    "Softplus": {},
    "Softsign": {},
    "Tanh": {},
}


@pytest.mark.parametrize("op", ALIKE)
def test_other_activities_between_two_transposes(op: str, tmp_path: Path) -> None:
    form = Form(["n", 4, 5, 2], 14).put("Transpose", "x", "t", perm=[0, 3, 1, 2]).put(op, "t", "a", **ALIKE[op])
    read = _judged(form.put("Transpose", "a", "y", perm=[0, 2, 3, 1]).file(tmp_path), _values(3, 4, 5, 2) * 3)
    assert not any("Permute" in type(layer).__name__ for layer in read.modules())


TWO = {
    "a sum with an unequal one": ("Add", "x mean"),
    "a difference": ("Sub", "x twice"),
    "a product": ("Mul", "x twice"),
    "a quotient": ("Div", "x positive"),
    "side by side": ("Concat", "x twice"),
    "the larger": ("Max", "x number"),
    "the smaller": ("Min", "number x"),
    "minus": ("Sub", "number x"),
    "three": ("Sum", "x twice mean_again"),
    "slopes": ("PRelu", "x slopes"),
    "normal": ("LRN", "x"),
    "mean": ("GlobalAveragePool", "x"),
    "largest": ("GlobalMaxPool", "x"),
    "logarithm": ("Log", "soft"),
}  # fmt: skip


@pytest.mark.parametrize("case", TWO)
def test_what_joins_values(case: str, tmp_path: Path) -> None:
    op, inputs = TWO[case]
    form = Form(["n", 2, 6, 7]).store(number=np.float32(0.25), slopes=_values(2, 1, 1), half=np.float32(0.5))
    form.put("GlobalAveragePool", "x", "mean").put("Mul", "x half", "twice").put("Sigmoid", "x", "positive")
    form.put("Softmax", "x", "soft", axis=1).put("Mul", "half x", "mean_again")
    options: dict[str, Any] = {"axis": 1} if op == "Concat" else {"size": 3, "alpha": 0.3} if op == "LRN" else {}
    _judged(form.put(op, inputs, "y", **options).file(tmp_path), _values(3, 2, 6, 7))


def test_a_check_sees_no_node_that_another_took_up(tmp_path: Path) -> None:
    """The soft-max of Softmax and Log, which become one layer, does not stand in the way of that at the end."""
    form = Form(["n", 6]).store(w=_values(6, 4)).put("MatMul", "x w", "a").put("Softmax", "a", "s", axis=1)
    found, _ = check_file(form.put("Log", "s", "y").file(tmp_path))
    assert found.converts and "soft-max at the end is left out" in found.notes[-1]


@pytest.mark.parametrize("pads", [[0, 0, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1]])
@pytest.mark.parametrize("ceil", [0, 1])
@pytest.mark.parametrize("rectified", [False, True])
def test_maxima_with_one_sided_padding(pads: list[int], ceil: int, rectified: bool, tmp_path: Path) -> None:
    form = Form(["n", 2, 9, 8]).put("Relu" if rectified else "Neg", "x", "a")
    form.put("MaxPool", "a", "y", kernel_shape=[3, 3], strides=[2, 2], pads=pads, ceil_mode=ceil)
    read = _judged(form.file(tmp_path), _values(3, 2, 9, 8))
    fillings = {layer.value for layer in read.modules() if isinstance(layer, nn.ConstantPad2d | nn.ZeroPad2d)}
    assert fillings == (set() if pads == [1] * 4 else {0.0} if rectified else {-np.inf})


def test_maxima_with_holes(tmp_path: Path) -> None:
    form = Form(["n", 2, 9, 8]).put("MaxPool", "x", "y", kernel_shape=[2, 3], dilations=[2, 1])
    _judged(form.file(tmp_path), _values(3, 2, 9, 8))


def test_channels_that_are_shuffled(tmp_path: Path) -> None:
    form = Form(["n", 6, 4, 4]).store(split=np.array([-1, 2, 3, 4, 4]), whole=np.array([-1, 6, 4, 4]))
    form.put("Reshape", "x split", "s").put("Transpose", "s", "t", perm=[0, 2, 1, 3, 4]).put("Reshape", "t whole", "r")
    form.store(k=_values(3, 6, 2, 2)).put("Conv", "r k", "y")
    _judged(form.file(tmp_path), _values(3, 6, 4, 4))


def test_the_batch_stays_first(tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match="moves the axis of the batch"):
        ns.load(Form(["n", 4, 5]).put("Transpose", "x", "y", perm=[1, 0, 2]).file(tmp_path))


@pytest.mark.parametrize("op", ["Pad", "ReduceMean"])
def test_an_image_that_is_turned_first(op: str, tmp_path: Path) -> None:
    form = Form(["n", 6, 7, 2]).store(pads=np.array([0, 0, 1, 0, 0, 0, 2, 1]), k=_values(3, 2, 2, 2), w=_values(2, 3))
    form.put("Transpose", "x", "t", perm=[0, 3, 1, 2])
    if op == "Pad":
        form.put("Pad", "t pads", "p").put("Conv", "p k", "y")
    else:
        form.put("ReduceMean", "t", "m", axes=[2, 3], keepdims=0).put("MatMul", "m w", "y")
    _judged(form.file(tmp_path), _values(3, 6, 7, 2))
