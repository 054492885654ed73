"""neurosleep convert: one JSON object, clear errors."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import neurosleep as ns
from neurosleep.cli.app import app
from neurosleep.learning import predict


def call(*arguments: object) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["convert", *map(str, arguments), "--json"])
    assert result.exit_code == 2 or result.exception is None, result.exception
    (line,) = result.stdout.splitlines()
    return result.exit_code, json.loads(line, parse_constant=lambda name: pytest.fail(name))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    sizes = [(6, 5), (5, 4), (4, 3)]
    layers = [part for a, b in sizes for part in (nn.Linear(a, b, bias=False), nn.ReLU())]
    model = nn.Sequential(*layers[:-1])
    for layer in layers[::2]:
        nn.init.uniform_(layer.weight, -0.2, 1.0)
    pytest.importorskip("onnx")
    ns.save(model, tmp_path / "model.onnx")
    ns.save(ns.MLP([6, 5, 3]), tmp_path / "mlp.safetensors")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((20, 6), dtype=np.float32))
    return tmp_path


def test_an_onnx_file_becomes_a_spiking_network(files: Path) -> None:
    out = files / "snn.safetensors"
    code, found = call(
        files / "model.onnx", "--to", "snn", "--calibration", files / "x.npy", "--recipe", "recursive", "--out", out
    )
    assert code == 0 and set(found) == {"out", "layers", "report"} and found["out"] == str(out)
    assert [(layer["kind"], layer["shape"]) for layer in found["layers"]] == [("lif", [5]), ("lif", [4]), ("lif", [3])]
    assert found["layers"][0]["from"][0]["weight"] == [5, 6]
    assert found["report"]["images"] == 20
    network = ns.load(out)
    assert isinstance(network, ns.SpikingNetwork)
    model = ns.load(files / "model.onnx")
    assert isinstance(model, nn.Module)
    expected = ns.convert(model, torch.from_numpy(np.load(files / "x.npy")), recipe="recursive")
    assert all(torch.equal(a, b) for a, b in zip(network.weights, expected.weights, strict=True))
    assert [q.scale for q in network.projections] == [q.scale for q in expected.projections]
    # A spiking network is written as it is, and the other recipe gives other scales.
    code, again = call(out, "--to", "snn", "--out", files / "again.safetensors")
    assert code == 0 and again["layers"] == found["layers"] and again["report"] == {}
    given = ("--calibration", files / "x.npy", "--recipe", "ratio")
    code, ratio = call(files / "model.onnx", "--to", "snn", *given, "--out", out)
    assert code == 0 and ratio["report"]["layers"] != found["report"]["layers"]


def test_an_onnx_file_becomes_a_nir_file_and_comes_back_bit_for_bit(files: Path) -> None:
    pytest.importorskip("nir")
    out, given = files / "model.nir", ("--calibration", files / "x.npy")
    code, found = call(files / "model.onnx", "--to", "nir", *given, "--out", out)
    assert code == 0 and found["out"] == str(out) and found["layers"]
    images = torch.from_numpy(np.load(files / "x.npy"))
    model = ns.load(files / "model.onnx")
    assert isinstance(model, nn.Module)
    expected = ns.convert(model, images, recipe="percentile")
    network = ns.load(out)
    assert isinstance(network, ns.SpikingNetwork)
    assert all(torch.equal(a, b) for a, b in zip(network.weights, expected.weights, strict=True))
    fired = [ns.simulate(n, images, 30, coding="poisson", seed=1) for n in (network, expected)]
    assert np.array_equal(fired[0].read_out, fired[1].read_out) and np.abs(fired[0].read_out).max() > 0
    # NIR to a spiking network in a file of ours.
    code, again = call(out, "--to", "snn", "--out", files / "back.safetensors")
    assert code == 0 and again["layers"] == found["layers"]


def test_an_awake_network_becomes_an_onnx_file(files: Path) -> None:
    code, found = call(files / "mlp.safetensors", "--to", "onnx", "--out", files / "mlp.onnx")
    assert code == 0 and [layer["weight"] for layer in found["layers"]] == [[5, 6], [3, 5]]
    assert isinstance(ns.load(files / "mlp.onnx"), ns.MLP)


@pytest.mark.parametrize("pool", [nn.AvgPool2d, nn.MaxPool2d])
def test_a_convolutional_onnx_file_with_biases(pool: type[nn.Module], files: Path) -> None:
    torch.manual_seed(1)
    layers = (nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), pool(2), nn.Flatten(), nn.Linear(18, 4))
    ns.save(nn.Sequential(*layers).eval(), files / "conv.onnx", input_shape=(1, 8, 8))
    np.save(files / "images.npy", np.random.default_rng(0).random((5, 1, 8, 8), dtype=np.float32))
    out = files / "conv.safetensors"
    given = [files / "conv.onnx", "--to", "snn", "--calibration", files / "images.npy", "--out", out]
    code, found = call(*given)
    assert code == 0 and found["report"]["recipe"] == "percentile"
    network = ns.load(out)
    assert isinstance(network, ns.SpikingNetwork)
    kinds = {"conv", "dense"} | ({"pool"} if pool is nn.AvgPool2d else set())
    assert {q.kind for q in network.projections} >= kinds


def test_a_table_without_json(files: Path) -> None:
    arguments = ["convert", str(files / "mlp.safetensors"), "--to", "onnx", "--out", str(files / "m.onnx")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0 and "layers.0" in result.stdout


def test_mistakes_are_named(files: Path) -> None:
    onnx, out = files / "model.onnx", files / "o.safetensors"
    cases: list[tuple[list[object], str]] = [
        ([files / "none.onnx", "--to", "snn", "--out", out], "no file"),
        ([onnx, "--to", "tflite", "--out", out], "no format named 'tflite'"),
        ([onnx, "--to", "snn", "--out", files / "o.onnx"], "another ending"),
        ([onnx, "--to", "snn", "--out", out], "--calibration"),
        ([onnx, "--to", "onnx", "--out", files / "o.onnx", "--recipe", "ratio"], "--recipe has no place"),
        ([onnx, "--to", "snn", "--out", out, "--calibration", files / "x.npy", "--recipe", "max?"], "max?"),
        ([onnx, "--to", "snn", "--out", out, "--calibration", onnx], "cannot be read"),
        ([onnx, "--to", "snn"], "--out"),
    ]
    for arguments, message in cases:
        code, found = call(*arguments)
        assert code == 2 and message in found["error"]["message"], found
    assert not out.exists()


@pytest.mark.filterwarnings("ignore:calibration file. bytes")
def test_hostile_calibration(files: Path) -> None:
    given = [files / "model.onnx", "--to", "snn", "--out", files / "o.safetensors", "--calibration"]
    huge = files / "huge.npy"
    whole = (files / "x.npy").read_bytes()
    huge.write_bytes(whole.replace(b"(20, 6), }", b"(20000000000, 6), }")[: len(whole)])
    (files / "code.npy").write_bytes(pickle.dumps(print))
    np.save(files / "objects.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    np.savez(files / "two.npz", a=np.ones((2, 6)), b=np.ones((2, 6)))
    np.save(files / "flat.npy", np.ones(6))
    with zipfile.ZipFile(files / "text.npz", "w") as archive:
        archive.writestr("x.npy", "hello")
    for name in ("huge.npy", "code.npy", "objects.npy", "two.npz", "flat.npy", "text.npz"):
        code, found = call(*given, files / name)
        assert code == 2 and "cannot be read" in found["error"]["message"], name
    np.savez(files / "one.npz", x=np.ones((2, 6), dtype=np.uint8))
    assert call(*given, files / "one.npz")[0] == 0


def test_a_folder_for_snntorch(files: Path) -> None:
    arguments = (files / "model.onnx", "--to", "snntorch", "--calibration", files / "x.npy", "--out", files / "folder")
    code, found = call(*arguments)
    assert code == 0 and found["report"]["images"] == 20 and [layer["kind"] for layer in found["layers"]][-1] == "li"
    assert sorted(path.name for path in (files / "folder").iterdir()) == ["model.py", "weights.safetensors"]
    (files / "folder" / "notes.txt").write_text("mine")
    code, found = call(*arguments)
    assert code == 2 and "notes.txt" in found["error"]["message"] + str(found["error"])


def test_the_reset_of_the_neurons_made(files: Path) -> None:
    given = [files / "mlp.safetensors", "--to", "snn", "--calibration", files / "x.npy", "--recipe", "max"]
    for reset in ("to_value", "subtract"):
        out = files / f"{reset}.safetensors"
        code, _ = call(*given, "--reset", reset, "--out", out)
        assert code == 0
        network = ns.load(out)
        assert isinstance(network, ns.SpikingNetwork)
        assert {p.reset for p in network.layers if p.kind == "lif"} == {reset}
    code, found = call(*given, "--reset", "tovalue", "--out", files / "x.safetensors")
    assert code == 2 and "to_value" in json.dumps(found)
    code, found = call(out, "--to", "nir", "--reset", "to_value", "--out", files / "x.nir")
    assert code == 2 and "--reset has no place here" in found["error"]["message"]


def test_a_nir_file_of_another_tool(tmp_path: Path) -> None:
    """What the error asks for can be said, and changes the network; what no NIR file has cannot."""
    nir = pytest.importorskip("nir")
    one, path = np.ones(2), tmp_path / "foreign.nir"
    lif = nir.LIF(tau=one * 0.01, r=one * 10, v_leak=one * 0, v_threshold=one, v_reset=one * 0)
    nir.write(path, nir.NIRGraph.from_list(nir.Linear(np.ones((2, 3))), lif))
    out = tmp_path / "out.safetensors"
    arguments = (path, "--to", "snn", "--out", out)
    code, found = call(*arguments)
    said = " ".join(map(str, found["error"].values()))
    assert code == 2 and "--dt 0.001" in said and "--writer snntorch" in said and "--reset subtract" in said
    decays = {}
    for dt in ("0.001", "0.002"):
        code, found = call(*arguments, "--dt", dt, "--reset", "subtract")
        network = ns.load(out)
        assert code == 0 and isinstance(network, ns.SpikingNetwork) and network.dt == float(dt)
        assert {population.reset for population in network.layers} == {"subtract"}
        decays[dt] = float(torch.as_tensor(network.last.decay).reshape(-1)[0])
    assert decays["0.001"] == pytest.approx(0.9) and decays["0.002"] == pytest.approx(0.8)
    code, _ = call(*arguments, "--writer", "snntorch")
    assert code == 0 and ns.load(out).dt == pytest.approx(1e-4)
    for wrong in (("--writer", "sintorch"), ("--dt", "-1"), ("--dt", "1", "--output-name", "y"), ("--reset", "hard")):
        assert call(*arguments, *wrong)[0] == 2
    np.save(tmp_path / "x.npy", np.zeros((3, 4), np.float32))
    assert call(path, "--to", "snn", "--out", out, "--dt", "0.001", "--calibration", tmp_path / "x.npy")[0] == 2


def test_dt_is_for_nir_and_an_output_for_onnx(files: Path) -> None:
    arguments = (
        files / "model.onnx",
        "--to",
        "snn",
        "--out",
        files / "o.safetensors",
        "--calibration",
        files / "x.npy",
    )
    for wrong, said in (
        (("--dt", "0.001"), "--dt has no place"),
        (("--writer", "norse"), "--writer has no place"),
        (("--output-name", "nothing"), "nothing"),
        (("--input-shape", "3;4"), "--input-shape"),
        (("--reset", "subtract-next"), "--reset subtract-next has no place"),
    ):
        code, found = call(*arguments, *wrong)
        assert code == 2 and said in found["error"]["message"], found
    assert call(*arguments, "--input-shape", "6", "--recipe", "max")[0] == 0


def test_accuracy_before_and_after_of_labelled_images(files: Path, tmp_path: Path) -> None:
    """Of the trained network and of the spiking one, each as it answers in Python."""
    model, images = ns.load(files / "model.onnx"), np.load(files / "x.npy")
    assert isinstance(model, nn.Module)
    labels = predict(model, images).numpy().copy()
    labels[:5] = (labels[:5] + 1) % 3
    np.save(tmp_path / "y.npy", labels)
    shown = ("--inputs", files / "x.npy", "--labels", tmp_path / "y.npy")
    given = (files / "model.onnx", "--to", "nir", "--calibration", files / "x.npy", "--out", tmp_path / "m.nir", *shown)
    for coding, steps in (("bernoulli", 100), ("constant", 7)):
        code, found = call(*given, "--coding", coding, "--steps", steps)
        answers = ns.simulate(ns.convert(model, images), images, steps, coding=coding, seed=0)
        after = float(answers.accuracy(labels)[-1])
        expected = {"images": 20, "steps": steps, "coding": coding, "model": 0.75, "network": after}
        assert code == 0 and found["accuracy"] == expected
    told = CliRunner().invoke(app, ["convert", *map(str, given)], env={"COLUMNS": "80"})
    assert re.search(
        r"Accuracy of the spiking network: \d+\.\d % of 20 images \(bernoulli, 100 steps\); "
        r"of the trained network before: 75\.0 %\.",
        " ".join(told.output.split()),
    )
    # Of a spiking network in a file there is no accuracy before; without labels there is none at all.
    out = ("--to", "snn", "--out", tmp_path / "again.safetensors")
    accuracy = call(tmp_path / "m.nir", *out, *shown)[1]["accuracy"]
    assert accuracy["model"] is None and accuracy["network"] > 0.5
    assert "accuracy" not in call(tmp_path / "m.nir", *out)[1]


def test_labels_that_cannot_be_used_are_named_and_nothing_is_written(files: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "few.npy", np.zeros(3, dtype=int))
    np.save(tmp_path / "y.npy", np.zeros(20, dtype=int))
    shown = ("--inputs", files / "x.npy")
    out = tmp_path / "o.safetensors"
    to_snn = (files / "mlp.safetensors", "--calibration", files / "x.npy", "--to", "snn", "--out", out)
    for more, message in (
        (("--labels", tmp_path / "y.npy"), "no images that they are of"),
        (shown, "has no --inputs"),
        (("--steps", "5"), "has no --steps"),
        ((*shown, "--labels", tmp_path / "few.npy"), "labels were given"),
        ((*shown, "--labels", tmp_path / "none.npy"), "no file"),
        ((*shown, "--labels", files / "x.npy"), "no classes"),
        ((*shown, "--labels", tmp_path / "y.npy", "--coding", "morse"), "morse"),
    ):
        code, found = call(*to_snn, *more)
        assert code == 2 and message in found["error"]["message"], found
    to_onnx = (files / "mlp.safetensors", "--to", "onnx", "--out", tmp_path / "o.onnx")
    for arguments in (to_onnx, (files / "mlp.safetensors", "--check")):
        code, found = call(*arguments, *shown, "--labels", tmp_path / "y.npy")
        assert code == 2 and "has no place" in found["error"]["message"], found
    assert not out.exists() and not (tmp_path / "o.onnx").exists()


def test_what_was_made_is_told_in_sentences(files: Path) -> None:
    arguments = ["convert", str(files / "mlp.safetensors"), "--calibration", str(files / "x.npy")]
    arguments += ["--to", "snntorch", "--out", str(files / "told")]
    told = CliRunner().invoke(app, arguments, env={"COLUMNS": "80"})
    assert told.exit_code == 0, told.output
    lines = told.output.splitlines()
    # A path is a word: it is not split, however long.
    assert all(len(line) <= 80 or str(files) in line for line in lines) and not set(told.output) & set("[{")
    whole = " ".join(told.output.split())
    size = (files / "told" / "model.py").stat().st_size
    assert f"{files / 'told'}: model.py ({size / 1e3:.3g} kB), weights.safetensors (" in whole
    assert "largest activations of" in whole and "Layers of the model: " in whole
    assert any(line.startswith("│ layers_0") and "dense from " in line for line in lines)
