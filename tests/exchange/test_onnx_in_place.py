"""ONNX files of models that work in place say what the models compute, or are refused; sums that double stay short."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.errors import ConversionError, ExchangeError

onnx = pytest.importorskip("onnx")


class Net(nn.Module):
    def __init__(self, do: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.skip, self.relu = nn.Identity(), nn.ReLU(inplace=True)
        self._do = do

    def forward(self, x: Tensor) -> Tensor:
        return self._do(self, x)


def _added(m: Any, x: Tensor) -> Tensor:
    h = torch.relu(m.a(x))
    keep = h
    h += torch.relu(m.b(x))
    return m.out(h + keep)


def _scaled(m: Any, x: Tensor) -> Tensor:
    h = torch.relu(m.a(x))
    keep = h
    h *= 2.0
    return m.out(h + keep)


def _shortcut(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    s = m.skip(h)
    return m.out(m.b(m.relu(h)) + s)


def _view(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    m.relu(h.view(-1, 2, 4))
    return m.out(h)


@pytest.mark.parametrize(("do", "written"), [(_added, True), (_scaled, True), (_shortcut, True), (_view, False)])
def test_what_is_written_is_what_the_model_computes(
    tmp_path: Path, do: Callable[[Any, Tensor], Tensor], written: bool
) -> None:
    torch.manual_seed(0)
    model, x = Net(do).eval(), torch.rand(20, 8) - 0.5
    with torch.no_grad():
        expected = copy.deepcopy(model)(x.clone())
        if not written:
            with pytest.raises(ExchangeError, match="in place"):
                ns.save(model, tmp_path / "m.onnx")
            return
        ns.save(model, tmp_path / "m.onnx")
        found = ns.load(tmp_path / "m.onnx")
        assert isinstance(found, nn.Module)
        assert torch.allclose(found(x), expected, atol=1e-6)
        runtime = pytest.importorskip("onnxruntime")
        session = runtime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
        assert torch.allclose(torch.from_numpy(session.run(None, {"input": x.numpy()})[0]), expected, atol=1e-5)


@pytest.mark.parametrize("n", [25, 100, 2000])
def test_sums_that_double_are_one_term_or_refused(tmp_path: Path, n: int) -> None:
    from onnx import TensorProto, helper, numpy_helper

    nodes = [helper.make_node("Add", ["x" if k == 0 else f"v{k - 1}"] * 2, [f"v{k}"]) for k in range(n)]
    nodes.append(helper.make_node("MatMul", [f"v{n - 1}", "w"], ["y"]))
    weight = numpy_helper.from_array(torch.rand(4, 3).numpy(), "w")
    shapes = [helper.make_tensor_value_info(*entry) for entry in (("x", 1, [1, 4]), ("y", TensorProto.FLOAT, [1, 3]))]
    graph = helper.make_graph(nodes, "g", shapes[:1], shapes[1:], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    model = ns.load(tmp_path / "m.onnx")
    assert isinstance(model, nn.Module)
    x = torch.rand(5, 4)
    if n == 2000:
        with pytest.raises(ConversionError, match="range of numbers"):
            ns.convert(model, x, recipe="max")
        return
    network = ns.convert(model, x, recipe="max")
    assert len(network.projections) == 2
    with torch.no_grad():
        assert torch.allclose(torch.from_numpy(ns.simulate(network, x, 10).read_out[-1]) / 10, model(x), rtol=1e-4)
