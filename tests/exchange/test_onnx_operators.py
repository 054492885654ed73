"""Operators of ONNX one by one: each gives onnxruntime's numbers, as a layer or of constants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import neurosleep as ns
from neurosleep.errors import ConversionError, ExchangeError
from neurosleep.exchange import ExchangeWarning

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

RNG = np.random.default_rng(0)
MAP = ("n", 4, 6, 8)
Nodes = list[Any]


def _floats(*shape: int) -> Any:
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def _node(op: str, inputs: str, output: str = "y", **attributes: Any) -> Any:
    return helper.make_node(op, inputs.split(), output.split(), name=f"at_{output.split()[0]}", **attributes)


def _saved(
    folder: Path, nodes: Nodes, stored: dict[str, Any], shape: tuple[Any, ...], opset: int, outputs: str = "y"
) -> Path:
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs.split()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items()],
    )
    path = folder / "one.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()
    )
    return path


def _judged(path: Path, shape: tuple[Any, ...], low: float = -1.0, output: str = "y", **options: Any) -> nn.Module:
    """The network of a file, once it has given onnxruntime's numbers."""
    read = ns.load(path, **options)
    assert isinstance(read, nn.Module)
    x = RNG.uniform(low, 1, [3, *shape[1:]]).astype(np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (wanted,) = session.run([output], {"x": x})
    found = read(torch.from_numpy(x)).detach().numpy()
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=2e-6)
    again = ns.load(
        ns.save(read, path.with_name("again.onnx"))
    )  # opened in onnxruntime by the fixture of all tests here
    assert torch.allclose(again(torch.from_numpy(x)), torch.from_numpy(found), rtol=1e-4, atol=3e-6)
    return read


UNARY: dict[str, dict[str, Any]] = {
    **{op: {} for op in ("Abs", "Ceil", "Cos", "Erf", "Exp", "Floor", "Sign", "Sin", "Sinh", "Cosh", "Tan", "Asinh")},
    **{op: {} for op in ("Acos", "Asin", "Atan", "Atanh", "Selu", "Mish", "Round")},
    "Celu": {"alpha": 0.7},
    "Shrink": {"lambd": 0.4, "bias": 0.4},
    "ThresholdedRelu": {"alpha": 0.3},
    "Gelu": {"approximate": "tanh"},
}


@pytest.mark.parametrize("op", UNARY)
def test_functions_of_every_value(op: str, tmp_path: Path) -> None:
    path = _saved(tmp_path, [_node(op, "x", **UNARY[op])], {}, MAP, 20)
    read = _judged(path, MAP)
    if op not in ("Abs", "Shrink"):  # which conversion takes
        with pytest.raises(ConversionError, match=r"at_y|erf|no layer with weights|no spiking counterpart"):
            ns.convert(nn.Sequential(read, nn.Flatten(), nn.Linear(192, 2)), torch.rand(4, 4, 6, 8))


@pytest.mark.parametrize("op", ["Sqrt", "Log", "Reciprocal"])
def test_functions_of_positive_values(op: str, tmp_path: Path) -> None:
    _judged(_saved(tmp_path, [_node(op, "x")], {}, MAP, 17), MAP, low=0.1)


def test_a_power(tmp_path: Path) -> None:
    _judged(_saved(tmp_path, [_node("Pow", "x e")], {"e": np.float32(3)}, MAP, 17), MAP)


CUTS: dict[str, tuple[Nodes, dict[str, Any], int]] = {
    "piece": ([_node("Slice", "x b e a")], {"b": [1, 2], "e": [3, 2**40], "a": [1, -1]}, 13),
    "steps": ([_node("Slice", "x b e a s")], {"b": [0], "e": [8], "a": [3], "s": [3]}, 13),
    "backwards": ([_node("Slice", "x b e a s")], {"b": [-1], "e": [-(2**40)], "a": [2], "s": [-2]}, 13),
    "old slice": ([_node("Slice", "x", starts=[1], ends=[-1], axes=[2])], {}, 9),
    "gather one": ([_node("Gather", "x i", axis=1)], {"i": np.int64(-1)}, 13),
    "gather": ([_node("Gather", "x i", axis=3)], {"i": [2, 0, 7, 2]}, 13),
    "gather a range": ([_node("Gather", "x i", axis=-2)], {"i": [2, 3, 4]}, 13),
    "split": ([_node("Split", "x s", "a b", axis=1), _node("Sub", "a b")], {"s": [2, 2]}, 13),
    "split evenly": ([_node("Split", "x", "a b", axis=2), _node("Concat", "b a", axis=2)], {}, 13),
    "split unevenly": (
        [_node("Split", "x", "a b c", axis=3, num_outputs=3), _node("Concat", "c a b", axis=3)], {}, 18),
    "old split": ([_node("Split", "x", "a b", axis=1, split=[1, 3]), _node("Concat", "b a", axis=1)], {}, 11),
    "shuffle": (
        [_node("Reshape", "x s", "r"), _node("Transpose", "r", "t", perm=[0, 2, 1, 3, 4]), _node("Reshape", "t u")],
        {"s": [-1, 2, 2, 6, 8], "u": [-1, 4, 6, 8]}, 13),
}  # fmt: skip


@pytest.mark.parametrize("case", CUTS)
def test_what_is_cut_out_converts_too(case: str, tmp_path: Path) -> None:
    nodes, stored, opset = CUTS[case]
    read = _judged(_saved(tmp_path, nodes, {k: np.array(v) for k, v in stored.items()}, MAP, opset), MAP)
    features = read(torch.zeros(1, 4, 6, 8)).numel()
    model = nn.Sequential(read, nn.Flatten(), nn.Linear(features, 5), nn.ReLU(), nn.Linear(5, 3)).eval()
    network = ns.convert(model, torch.rand(20, 4, 6, 8))
    assert network.populations[-1].size == 3


NORMALISED: dict[str, tuple[Nodes, dict[str, Any], int]] = {
    "instance": ([_node("InstanceNormalization", "x w b", epsilon=1e-3)], {"w": 4, "b": 4}, 13),
    "group": ([_node("GroupNormalization", "x w b", num_groups=2)], {"w": 4, "b": 4}, 21),
    "group, old": ([_node("GroupNormalization", "x w b", num_groups=2)], {"w": 2, "b": 2}, 18),
    "layer": ([_node("LayerNormalization", "x w b")], {"w": 8, "b": 8}, 17),
    "layer without bias": ([_node("LayerNormalization", "x w", axis=3)], {"w": 8}, 17),
}


@pytest.mark.parametrize("case", NORMALISED)
def test_normalisation_by_the_image(case: str, tmp_path: Path) -> None:
    nodes, sizes, opset = NORMALISED[case]
    read = _judged(_saved(tmp_path, nodes, {k: _floats(n) for k, n in sizes.items()}, MAP, opset), MAP)
    with pytest.raises(ConversionError, match=r"\(\w+Norm\w*\) has no spiking counterpart"):
        ns.convert(nn.Sequential(read, nn.Flatten(), nn.Linear(192, 2)), torch.rand(4, 4, 6, 8))


def test_layer_norm_in_pieces(tmp_path: Path) -> None:
    """As exporters wrote it before the operator was there."""
    nodes = [
        _node("ReduceMean", "x", "m", axes=[-1]),
        _node("Sub", "x m", "d"),
        _node("Pow", "d two", "p"),
        _node("ReduceMean", "p", "v", axes=[-1]),
        _node("Add", "v e", "ve"),
        _node("Sqrt", "ve", "s"),
        _node("Div", "d s", "n"),
        _node("Mul", "n w"),
    ]
    stored = {"two": np.float32(2), "e": np.float32(1e-5), "w": _floats(8)}
    _judged(_saved(tmp_path, nodes, stored, ("n", 5, 8), 13), ("n", 5, 8))


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin", "ReduceSum", "ReduceMean"])
def test_reductions(op: str, keep: int, tmp_path: Path) -> None:
    _judged(_saved(tmp_path, [_node(op, "x a", keepdims=keep)], {"a": np.array([1, -1])}, MAP, 18), MAP)


RESIZED: dict[str, tuple[dict[str, Any], list[float] | None, list[int] | None, int]] = {
    "nearest": ({"mode": "nearest"}, [1, 1, 2, 3], None, 13),
    "floor": (
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        [1, 1, 1.5, 2.5], None, 13),
    "linear": ({"mode": "linear"}, None, [9, 5], 13),
    "corners": ({"mode": "linear", "coordinate_transformation_mode": "align_corners"}, None, [9, 16], 13),
    "pytorch": ({"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"}, [1, 1, 2, 2], None, 11),
    "old": ({"mode": "nearest"}, [1, 1, 2, 2], None, 9),
}  # fmt: skip


@pytest.mark.parametrize("case", RESIZED)
def test_other_sizes_convert_too(case: str, tmp_path: Path) -> None:
    attributes, scales, sizes, opset = RESIZED[case]
    stored: dict[str, Any] = {"none": np.zeros(0, np.float32)}
    if sizes is not None:
        # The number of images is not known to a file: here it is computed from the shape.
        stored |= {"zero": np.array([0]), "one": np.array([2]), "rest": np.array(sizes)}
        nodes = [
            _node("Shape", "x", "s"),
            _node("Slice", "s zero one", "head"),
            _node("Concat", "head rest", "k", axis=0),
        ]
        nodes.append(_node("Resize", "x none none k", **attributes))
    else:
        stored["scales"] = np.array(scales, np.float32)
        op, inputs = ("Upsample", "x scales") if opset == 9 else ("Resize", "x none scales")
        nodes = [_node(op, inputs, **attributes)]
    read = _judged(_saved(tmp_path, nodes, stored, MAP, opset), MAP)
    features = read(torch.zeros(1, 4, 6, 8)).numel()
    model = nn.Sequential(read, nn.Flatten(), nn.Linear(features, 5), nn.ReLU(), nn.Linear(5, 3)).eval()
    ns.convert(model, torch.rand(20, 4, 6, 8))


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
        {"strides": [2, 1], "pads": [1, 0, 0, 0]},
        {"group": 2, "dilations": [2, 1]},
    ],
)
def test_transposed_convolution(attributes: dict[str, Any], tmp_path: Path) -> None:
    stored = {"w": _floats(4, 2, 3, 3), "b": _floats(2 * attributes.get("group", 1))}
    read = _judged(_saved(tmp_path, [_node("ConvTranspose", "x w b", **attributes)], stored, MAP, 13), MAP)
    with pytest.raises(ConversionError, match=r"\(ConvTranspose2d\)"):
        ns.convert(nn.Sequential(read, nn.ReLU()), torch.rand(4, 4, 6, 8))


def test_depth_to_space(tmp_path: Path) -> None:
    read = _judged(_saved(tmp_path, [_node("DepthToSpace", "x", blocksize=2, mode="CRD")], {}, MAP, 13), MAP)
    assert type(next(read.children())) is nn.PixelShuffle


@pytest.mark.parametrize("pads", [[0, 0, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1]])
@pytest.mark.parametrize("counted", [0, 1])
def test_averages_over_padded_edges(pads: list[int], counted: int, tmp_path: Path) -> None:
    node = _node("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 1], pads=pads, count_include_pad=counted)
    read = _judged(_saved(tmp_path, [node], {}, MAP, 13), MAP)
    if pads == [0, 0, 1, 1]:
        size = read(torch.zeros(1, 4, 6, 8)).numel()
        ns.convert(nn.Sequential(read, nn.Flatten(), nn.Linear(size, 3)).eval(), torch.rand(20, 4, 6, 8))


def test_what_is_computed_of_constants(tmp_path: Path) -> None:
    nodes = [
        _node("Unsqueeze", "w zero", "w1"),
        _node("Squeeze", "w1", "w2"),
        _node("Slice", "w2 zero five", "w3"),
        _node("Abs", "w3", "w4"),
        _node("Pow", "w4 half", "w5"),
        _node("Concat", "w5 w5", "w6", axis=0),
        _node("Gather", "w6 places", "w7"),
        _node("MatMul", "x w7"),
    ]
    stored = {"w": _floats(6, 3), "zero": np.array([0]), "five": np.array([5]), "half": np.float32(0.5)}
    stored["places"] = np.array([0, 2, 4, 5, 7, 9, 1, 1])
    _judged(_saved(tmp_path, nodes, stored, ("n", 8), 13), ("n", 8))


def test_sizes_that_are_computed(tmp_path: Path) -> None:
    """Channels in two groups, as an exporter works them out from the shape."""
    nodes = [
        _node("Shape", "x", "s"),
        *(_node("Gather", f"s i{k}", f"n{k}") for k in range(4)),
        _node("Div", "n1 two", "half"),
        _node("Mul", "n2 n3", "space"),
        *(_node("Unsqueeze", f"{name} zero", f"{name}_list") for name in ("n0", "half", "space")),
        _node("Concat", "n0_list twos half_list space_list", "shape", axis=0),
        _node("Reshape", "x shape"),
    ]
    stored = {f"i{k}": np.int64(k) for k in range(4)} | {
        "two": np.int64(2),
        "twos": np.array([2]),
        "zero": np.array([0]),
    }
    _judged(_saved(tmp_path, nodes, stored, MAP, 13), MAP)


def test_constants_larger_than_the_file_are_refused(tmp_path: Path) -> None:
    nodes = [_node("Expand", "one size", "w"), _node("Add", "x w")]
    stored = {"one": np.float32(1), "size": np.array([2**20, 2**20])}
    with pytest.raises(ExchangeError, match="much larger than the file"):
        ns.load(_saved(tmp_path, nodes, stored, ("n", 8), 13))


def test_an_output_that_leads_to_another_is_no_result(tmp_path: Path) -> None:
    nodes = [_node("MatMul", "x w", "hidden"), _node("Relu", "hidden", "r"), _node("MatMul", "r v")]
    stored = {"w": _floats(8, 5), "v": _floats(5, 3)}
    path = _saved(tmp_path, nodes, stored, ("n", 8), 13, outputs="hidden y")
    with pytest.warns(ExchangeWarning, match="the output is 'y', which the other outputs lead to"):
        _judged(path, ("n", 8))
    _judged(path, ("n", 8), output="hidden", output_name="hidden")


def test_weights_beside_the_file_under_the_name_that_torch_gives_them(tmp_path: Path) -> None:
    path = _saved(tmp_path, [_node("MatMul", "x w")], {"w": _floats(8, 30)}, ("n", 8), 13)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="one.onnx.data", size_threshold=0)
    assert (tmp_path / "one.onnx.data").is_file()
    _judged(path, ("n", 8))
    (tmp_path / "one.onnx.data").rename(tmp_path / "other")
    with pytest.raises(ExchangeError, match=r"keeps the weights 'w' in another file: 'one\.onnx\.data'"):
        ns.load(path)


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "slice the batch": (_node("Slice", "x b e"), {"b": np.array([0]), "e": np.array([1])}, "an axis behind the batch"),
    "nothing left": (_node("Slice", "x b e a"), {k: np.array([1]) for k in "bea"}, "cuts nothing out"),
    "step 0": (_node("Slice", "x b e a s"), {k: np.array([k == "e"]).astype(int) for k in "beas"}, "unusual way"),
    "split": (_node("Split", "x s", "y z", axis=1), {"s": np.array([1, 2])}, r"splits 4 places into \[1, 2\]"),
    "gather": (_node("Gather", "x i", axis=1), {"i": np.array([4])}, "out of 4 that are not there"),
    "gather a table": (_node("Gather", "x i", axis=1), {"i": np.array([[0, 1]])}, r"places of shape \(1, 2\)"),
    "cubic": (_node("Resize", "x  s", mode="cubic"), {"s": np.array([1, 1, 2, 2], np.float32)}, "mode 'cubic'"),
    "resize channels": (_node("Resize", "x  s"), {"s": np.array([1, 2, 1, 1], np.float32)}, "along other axes"),
    "depth": (_node("DepthToSpace", "x", blocksize=3, mode="CRD"), {}, "blocksize = 3 for 4 channels"),
    "gelu": (_node("Gelu", "x", approximate="erf"), {}, "approximate = 'erf'"),
    "selu": (_node("Selu", "x", alpha=1.0), {}, "has alpha = 1"),
    "power": (_node("Pow", "x e"), {"e": np.array([1, 2], np.float32)}, r"exponents of shape \(2,\)"),
    "group": (_node("GroupNormalization", "x w w", num_groups=3), {"w": _floats(4)}, "3 groups and 4 factors"),
    "instance": (_node("InstanceNormalization", "x w w"), {"w": _floats(3)}, "a factor for each channel"),
    "layer": (_node("LayerNormalization", "x w", axis=0), {"w": _floats(4)}, "axes behind the batch"),
    "transposed": (_node("ConvTranspose", "x w", auto_pad="SAME_UPPER"), {"w": _floats(4, 2, 3, 3)}, "expected: pads"),
    "largest of all": (_node("ReduceMax", "x"), {}, "largest value over all axes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_by_name(case: str, tmp_path: Path) -> None:
    node, stored, message = REFUSED[case]
    with pytest.raises(ExchangeError, match=rf"(?is).*{message}"):
        ns.load(_saved(tmp_path, [node], stored, MAP, 21))
