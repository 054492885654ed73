"""neurosleep convert FILE --check: all that stands in the way at once, what is taken how, and which layers sleep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import neurosleep as ns
from neurosleep.cli.app import app
from neurosleep.exchange import check_file
from neurosleep.exchange.onnx.hints import HINTS
from neurosleep.exchange.onnx.operators import OPERATORS

pytest.importorskip("onnx")


def call(*arguments: object) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["convert", *map(str, arguments), "--check", "--json"])
    assert result.exit_code in (0, 2), result.exception
    (line,) = result.stdout.splitlines()
    return result.exit_code, json.loads(line)


def fits(text: str) -> bool:
    """Whether no line is over 80 characters but by a single word, such as a long path: words stay whole."""
    return all(len(line) <= 80 or " " not in line.strip() for line in text.splitlines())


def spoken(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["convert", *map(str, arguments), "--check"], env={"COLUMNS": "80"})
    return result.exit_code, result.stdout


def onnx_file(path: Path, operators: list[str]) -> Path:
    """A chain of these operators, each between two matrices."""
    from onnx import TensorProto, helper, numpy_helper, save

    nodes, weights, before = [], [], "x"
    for k, operator in enumerate(["", *operators]):
        if operator:
            domain = "made.up" if operator[0].islower() else ""
            nodes.append(helper.make_node(operator, [before], [f"a{k}"], name=f"{operator}_{k}", domain=domain))
            before = f"a{k}"
        weight = torch.randn(4, 4, generator=torch.Generator().manual_seed(k)).numpy()
        weights.append(numpy_helper.from_array(weight, f"w{k}"))
        nodes.append(helper.make_node("MatMul", [before, f"w{k}"], [f"b{k}"], name=f"dense_{k}"))
        before = f"b{k}"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("x", before)]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("made.up", 1)])
    model.ir_version = 8
    save(model, path)
    return path


def test_a_network_that_converts(tmp_path: Path) -> None:
    layers = (nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 4))
    path = ns.save(nn.Sequential(*layers, nn.Softmax(1)).eval(), tmp_path / "conv.onnx", input_shape=(1, 8, 8))
    before = sorted(tmp_path.iterdir())
    code, found = call(path)
    assert code == 0 and set(found) == {"file", "converts", "layers", "obstacles", "notes"}
    assert found["converts"] and not found["obstacles"] and sorted(tmp_path.iterdir()) == before
    becomes = {layer["operation"]: layer["becomes"] for layer in found["layers"]}
    assert "folded" in becomes["BatchNorm2d"] and "differences" in becomes["MaxPool2d"]
    assert "largest" in becomes["Softmax"] and any("soft-max" in note for note in found["notes"])
    sleeps = {layer["operation"]: layer["sleeps"] for layer in found["layers"]}
    assert sleeps["Conv2d"] == sleeps["Linear"] == "yes" and sleeps["ReLU"] is None
    code, text = spoken(path)
    assert code == 0 and "converts" in text and fits(text)
    # It says the same as the conversion does afterwards.
    model = ns.load(path)
    assert isinstance(model, nn.Module)
    network = ns.convert(model, torch.rand(5, 1, 8, 8))
    assert [(layer["layer"], layer["becomes"]) for layer in found["layers"]] == list(network.report.became)
    code, average = call(path, "--approximate")
    assert code == 0 and any("average" in note for note in average["notes"])


def test_operators_that_are_not_read_and_layers_that_do_not_convert_in_one_list(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "many.onnx", ["Relu", "Hardmax", "Sigmoid", "secret", "Tanh", "Det"])
    code, found = call(path)
    assert code == 2 and not found["converts"]
    assert [one["operation"] for one in found["obstacles"]][:2] == ["Hardmax", "Sigmoid"]
    assert "'made.up.secret'" in found["obstacles"][2]["why"] and "'secret_4'" in found["obstacles"][2]["why"]
    assert "scores" in found["obstacles"][0]["hint"] and "ReLU" in found["obstacles"][1]["hint"]
    taken = [layer["operation"] for layer in found["layers"]]
    assert taken.count("Linear") >= 3 and "ReLU" in taken
    code, text = spoken(path)
    assert code == 2 and fits(text)
    for word in ("1. The operator 'Hardmax'", "2. Layer 'Sigmoid_3' (Sigmoid)", "3. The operator", "Try:"):
        assert word in text
    # Without the rest a file that is not read is an error, and says the first.
    result = CliRunner().invoke(app, ["convert", str(path), "--to", "snn", "--out", str(tmp_path / "o.safetensors")])
    assert result.exit_code == 2 and "'Hardmax'" in result.stderr and not (tmp_path / "o.safetensors").exists()


def test_what_lies_behind_an_operator_whose_shape_is_known_is_looked_at(tmp_path: Path) -> None:
    found, network = check_file(onnx_file(tmp_path / "a.onnx", ["Hardmax", "Tanh", "Hardmax"]))
    assert [one.operation for one in found.obstacles] == ["Hardmax", "Tanh", "Hardmax"]
    assert isinstance(network, nn.Module) and network(torch.rand(2, 4)).shape == (2, 4)


def test_no_hint_is_for_an_operator_that_is_read() -> None:
    assert not set(HINTS) & set(OPERATORS)


def test_files_of_our_own_and_of_nir(tmp_path: Path) -> None:
    code, found = call(ns.save(ns.MLP([4, 3, 2]), tmp_path / "mlp.safetensors"))
    assert code == 0 and [layer["sleeps"] for layer in found["layers"] if layer["operation"] == "Linear"] == ["yes"] * 2
    code, found = call(ns.save(ns.EquilibriumMLP([4, 3, 2]), tmp_path / "settled.safetensors"))
    assert code == 0 and "recursive" in found["notes"][0] and found["layers"][0]["sleeps"] == "yes"
    network = ns.convert(nn.Linear(4, 2), torch.rand(5, 4))
    code, found = call(ns.save(network, tmp_path / "snn.safetensors"))
    assert code == 0 and "already" in found["notes"][0]
    assert [(layer["layer"], layer["operation"], layer["sleeps"]) for layer in found["layers"]] == [
        ("output", "li", "yes")
    ]
    nir = pytest.importorskip("nir")
    code, found = call(ns.save(network, tmp_path / "snn.nir"))
    assert code == 0 and "already" in found["notes"][0]
    h5py = pytest.importorskip("h5py")
    with h5py.File(ns.save(network, tmp_path / "other.nir"), "r+") as file:
        for name, kind in (("one", "Reservoir"), ("two", "Transformer")):
            group = file["node/nodes"].create_group(name)
            group["type"] = kind
    assert nir is not None
    code, found = call(tmp_path / "other.nir")
    assert code == 2 and {(one["layer"], one["operation"]) for one in found["obstacles"]} == {
        ("one", "Reservoir"),
        ("two", "Transformer"),
    }


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (("--to", "nir"), "--to has no place"),
        (("--out", "x.nir"), "--out has no place"),
        (("--calibration", "x.npy"), "--calibration has no place"),
        (("--recipe", "max"), "--recipe has no place"),
        (("--reset", "subtract"), "--reset has no place"),
        (("--inexact",), "--inexact has no place"),
        (("--dt", "0.001"), "--dt has no place"),
    ],
)
def test_what_a_check_does_not_read_is_refused(more: tuple[str, ...], word: str, tmp_path: Path) -> None:
    code, found = call(ns.save(ns.MLP([4, 3, 2]), tmp_path / "mlp.safetensors"), *more)
    assert code == 2 and word in found["error"]["message"]


def test_a_conversion_without_to_or_out_says_so(tmp_path: Path) -> None:
    path = ns.save(ns.MLP([4, 3, 2]), tmp_path / "mlp.safetensors")
    for given, missing in (([], "--to"), (["--to", "snn"], "--out")):
        result = CliRunner().invoke(app, ["convert", str(path), *given, "--json"])
        assert result.exit_code == 2 and missing in json.loads(result.stdout)["error"]["message"]
