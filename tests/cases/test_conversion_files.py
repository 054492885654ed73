"""Public trouble with files of networks (cases convert_*), in today's names: one test a case."""

from __future__ import annotations

import collections
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typer.testing import CliRunner

import neurosleep as ns
from neurosleep.cli.app import app
from neurosleep.errors import ExchangeError, NeurosleepError

onnx = pytest.importorskip("onnx")

Stored = dict[str, npt.NDArray[Any]]


def written(
    path: Path, nodes: list[Any], shape: list[Any], stored: dict[str, npt.NDArray[Any]], opset: int = 13
) -> Path:
    """An ONNX file of ``nodes`` from ``x`` of ``shape`` to ``y``."""
    h, kind = onnx.helper, onnx.TensorProto.FLOAT
    ends = [h.make_tensor_value_info("x", kind, shape), h.make_tensor_value_info("y", kind, None)]
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in stored.items()]
    graph = h.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", opset)], ir_version=7), path)
    return path


def node(kind: str, inputs: str, output: str, **attributes: Any) -> Any:
    return onnx.helper.make_node(kind, inputs.split(), [output], **attributes)


def loaded(path: Path, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    model = ns.load(path)
    assert isinstance(model, nn.Module)
    made: npt.NDArray[Any] = model(torch.from_numpy(x)).detach().numpy()
    return made


RNG = np.random.default_rng(0)
W, B, MEAN = (RNG.standard_normal(shape).astype(np.float32) for shape in ((5, 3), (1, 3), (1, 5)))
X = RNG.random((4, 5)).astype(np.float32)


def test_01_a_layer_that_is_called_twice_makes_nodes_of_two_names(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c, self.relu = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            made: Tensor = self.c(self.relu(self.b(self.relu(self.a(x)))))
            return made

    model = Net()
    path = ns.save(model, tmp_path / "net.onnx")
    names = collections.Counter(entry.name for entry in onnx.load(path).graph.node)
    assert max(names.values()) == 1
    runtime = pytest.importorskip("onnxruntime")
    x = torch.rand(3, 4)
    (got,) = runtime.InferenceSession(str(path)).run(None, {"input": x.numpy()})
    assert np.allclose(got, model(x).detach(), atol=1e-6)


def test_07_a_cast_that_changes_nothing(tmp_path: Path) -> None:
    nodes = [node("Cast", "x", "c", to=1), node("MatMul", "c w", "m"), node("Add", "m b", "y")]
    path = written(tmp_path / "m.onnx", nodes, [None, 5], {"w": W, "b": B}, 15)
    assert np.allclose(loaded(path, X), X @ W + B, atol=1e-5)


def test_08_a_pad_that_pads_nothing(tmp_path: Path) -> None:
    kernel = RNG.standard_normal((2, 1, 3, 3)).astype(np.float32)
    nodes = [
        node("Conv", "x w", "c", kernel_shape=[3, 3]),
        node("Relu", "c", "r"),
        node("Pad", "r", "p", mode="constant", pads=[0] * 8, value=0.0),
        node("AveragePool", "p", "y", kernel_shape=[2, 2], strides=[2, 2]),
    ]
    path = written(tmp_path / "m.onnx", nodes, [1, 1, 10, 10], {"w": kernel}, 9)
    x = RNG.random((1, 1, 10, 10)).astype(np.float32)
    expected = F.avg_pool2d(torch.relu(F.conv2d(torch.from_numpy(x), torch.from_numpy(kernel))), 2)
    assert np.allclose(loaded(path, x), expected, atol=1e-5)


def test_10_a_soft_max_at_the_end_of_a_file(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "m"), node("Softmax", "m", "y", axis=1)]
    path = written(tmp_path / "m.onnx", nodes, [None, 5], {"w": W})
    assert np.array_equal(loaded(path, X).argmax(1), (X @ W).argmax(1))


def test_11_channels_last(tmp_path: Path) -> None:
    kernel, weight = (RNG.standard_normal(shape).astype(np.float32) for shape in ((4, 1, 3, 3), (64, 3)))
    nodes = [
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        node("Conv", "t k", "c", kernel_shape=[3, 3]),
        node("Relu", "c", "r"),
        node("Transpose", "r", "u", perm=[0, 2, 3, 1]),
        node("Reshape", "u s", "f"),
        node("MatMul", "f w", "y"),
    ]
    stored: Stored = {"k": kernel, "w": weight, "s": np.array([-1, 64])}
    path = written(tmp_path / "m.onnx", nodes, ["n", 6, 6, 1], stored)
    x = RNG.random((5, 6, 6, 1)).astype(np.float32)
    maps = torch.relu(F.conv2d(torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(kernel)))
    expected = maps.permute(0, 2, 3, 1).flatten(1).numpy() @ weight
    assert np.allclose(loaded(path, x), expected, atol=1e-4)
    model = ns.load(path)
    assert isinstance(model, nn.Module)
    network = ns.convert(model, torch.from_numpy(x), recipe="max")
    shown = ns.simulate(network, torch.from_numpy(x), 2000).read_out[-1] / 2000
    assert np.abs(shown - expected).max() < 0.02 * np.abs(expected).max()


def test_12_a_normalisation_within_a_file(tmp_path: Path) -> None:
    nodes = [node("Sub", "x mean", "s"), node("MatMul", "s w", "y")]
    path = written(tmp_path / "m.onnx", nodes, [None, 5], {"w": W, "mean": MEAN}, 9)
    assert np.allclose(loaded(path, X), (X - MEAN) @ W, atol=1e-5)


def test_15_the_command_line_says_dt(tmp_path: Path) -> None:
    nir = pytest.importorskip("nir")
    one, path = np.ones(3), tmp_path / "foreign.nir"
    lif = nir.LIF(tau=one * 0.01, r=one * 10, v_leak=one * 0, v_threshold=one, v_reset=one * 0)
    nir.write(path, nir.NIRGraph.from_list(nir.Linear(np.ones((3, 2))), lif))
    command = ["convert", str(path), "--to", "snn", "--out", str(tmp_path / "o.safetensors"), "--json"]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 2 and "dt" in json.loads(first.stdout)["error"]["message"]
    assert CliRunner().invoke(app, [*command, "--dt", "0.001"]).exit_code == 0
    network = ns.load(tmp_path / "o.safetensors")
    assert isinstance(network, ns.SpikingNetwork) and network.dt == 0.001


def test_20_messages_that_say_what_is_wrong(tmp_path: Path) -> None:
    pads = [node("MaxPool", "x", "y", kernel_shape=[3, 3], pads=[2, 2, 2, 2])]
    with pytest.raises(ExchangeError) as caught:
        ns.load(written(tmp_path / "pads.onnx", pads, [1, 1, 8, 8], {}))
    assert "the same on both sides" not in str(caught.value)
    # Two values are joined along axis 1 without ado.
    joined = [node("Relu", "x", "a"), node("Concat", "a x", "y", axis=1)]
    x = X - 0.5
    path = written(tmp_path / "join.onnx", joined, [None, 5], {})
    assert np.array_equal(loaded(path, x), np.concatenate([x.clip(0), x], 1))


def test_20_checkpoints_and_scripts(tmp_path: Path) -> None:
    model, other = nn.Sequential(nn.Linear(4, 3)), nn.Sequential(nn.Linear(4, 3))
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, tmp_path / "checkpoint.pt")
    assert torch.equal(ns.load(tmp_path / "checkpoint.pt", other)[0].weight, model[0].weight)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(model).save(str(tmp_path / "script.pt"))
    with pytest.raises(NeurosleepError, match="TorchScript") as caught:
        ns.load(tmp_path / "script.pt", other)
    assert "would unpack" not in str(caught.value)
