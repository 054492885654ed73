"""Files of other kinds are named as what they are, before any work, with what to do about it."""

from __future__ import annotations

import io
import json
import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import neurosleep as ns
from neurosleep.cli.app import app
from neurosleep.errors import ExchangeError


def _bytes_of(save: object, *arguments: object) -> bytes:
    buffer = io.BytesIO()
    save(*arguments, buffer)  # type: ignore[operator]
    return buffer.getvalue()


def _zip(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return buffer.getvalue()


def _program() -> bytes:
    program = torch.export.export(nn.Linear(2, 2), (torch.rand(2, 2),))
    return _bytes_of(torch.export.save, program)


def _script() -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _bytes_of(torch.jit.save, torch.jit.script(nn.Linear(2, 2)))


_WEIGHTS = _bytes_of(torch.save, nn.Linear(2, 2).state_dict())
# Name, content, what it is said to be, and a word of what to do.
FILES = [
    ("model.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 90 + b"keras_version", "a model of Keras", "onnx"),
    ("model.keras", _zip("config.json", "model.weights.h5"), "a model of Keras", "onnx"),
    ("model.tflite", b"\x1c\0\0\0TFL3" + b"\0" * 40, "a TensorFlow Lite model", "tf2onnx"),
    ("model.onnx", b"\x1c\0\0\0TFL3" + b"\0" * 40, "a TensorFlow Lite model", "tf2onnx"),
    ("graph.pb", b"\n\x10\n\x01x\x12\x0bPlaceholder", "a graph of TensorFlow", "tf2onnx"),
    ("table.csv", b"1,2,3\n4,5,6\n", "a table of text", "numpy.save"),
    ("table.onnx", b"1,2,3\n4,5,6\n", "a table of text", "numpy.save"),
    ("text.onnx", b"my network, at last\n"[:10] + b" is here\n", "a text", "name the file"),
    ("settings.json", b'{"layers": 3}', "a text", "name the file"),
    ("pointer.onnx", b"version https://git-lfs.github.com/spec/v1\noid sha256:a\n", "Git LFS", "git lfs pull"),
    ("page.onnx", b"<!DOCTYPE html><html>404</html>", "a page of HTML", "download"),
    ("picture.onnx", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "a picture", "--calibration"),
    ("packed.onnx", b"\x1f\x8b\x08" + b"\0" * 40, "a packed file", "unpack"),
    ("zip.onnx", _zip("a.txt"), "a packed file", "unpack"),
    ("numbers.onnx", b"\x93NUMPY\x01\0" + b"\0" * 40, "a file of arrays", "--calibration"),
    ("old.mat", b"MATLAB 5.0 MAT-file" + b"\0" * 120, "a file of arrays", "--calibration"),
    ("weights.pth", _WEIGHTS, "a file of torch.save", "module="),
    ("weights.onnx", _WEIGHTS, "a file of torch.save", "module="),
    ("module.pt", _bytes_of(torch.save, nn.Linear(2, 2)), "a file of torch.save", "torch.onnx.export"),
    ("old.pth", pickle.dumps({"a": 1}), "a file of torch.save", "module="),
    ("pickle.onnx", pickle.dumps([1]), "a pickle", "skl2onnx"),
    ("trees.joblib", pickle.dumps([1]), "a pickle", "skl2onnx"),
    ("script.pt", _script(), "TorchScript", "torch.onnx.export"),
    ("program.pt2", _program(), "torch.export", "torch.onnx.export"),
    ("empty.onnx", b"", "is empty", "write or copy"),
    ("empty", b"", "is empty", "write or copy"),
]


@pytest.mark.parametrize(("name", "content", "what", "todo"), FILES, ids=[f"{f[0]}-{f[2]}" for f in FILES])
def test_a_file_is_named_as_what_it_is(name: str, content: bytes, what: str, todo: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ExchangeError) as caught:
        ns.load(path)
    error = caught.value
    assert repr(name) in error.message and what in error.message and todo in str(error.hint)
    for given in (["--check"], ["--to", "snn", "--out", str(tmp_path / "o.safetensors")]):
        result = CliRunner().invoke(app, ["convert", str(path), *given, "--json"])
        told = json.loads(result.stdout)["error"]
        assert result.exit_code == 2 and what in told["message"] and todo in told["hint"]


def test_folders(tmp_path: Path) -> None:
    saved, ours, other = (tmp_path / name for name in ("saved", "ours", "other"))
    for folder, file in ((saved, "saved_model.pb"), (ours, "model.py"), (other, "a.txt")):
        folder.mkdir()
        (folder / file).touch()
    for folder, what, todo in (
        (saved, "a SavedModel of TensorFlow", "--saved-model"),
        (ours, "wrote for snnTorch or Norse", "from_snntorch"),
        (other, "a folder, no file", ""),
    ):
        with pytest.raises(ExchangeError, match=what) as caught:
            ns.load(folder)
        assert todo in str(caught.value.hint or "")


def test_weights_still_go_into_their_module(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(_WEIGHTS)
    assert ns.load(path, nn.Linear(2, 2)).weight.shape == (2, 2)


def test_an_onnx_file_that_needs_two_inputs(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from onnx import TensorProto, helper, save

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("image", "context", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["image", "context"], ["y"])], "g", ends[:2], ends[2:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "two.onnx")
    for given in (["--check"], ["--to", "snn", "--out", str(tmp_path / "o.safetensors")]):
        result = CliRunner().invoke(app, ["convert", str(tmp_path / "two.onnx"), *given, "--json"])
        message = json.loads(result.stdout)["error"]["message"]
        assert result.exit_code == 2 and "needs 2 inputs" in message and "'image', 'context'" in message


def test_arrays_are_named_by_numpy_files_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 3)))
    with pytest.raises(ExchangeError, match="a file of arrays"):
        ns.load(tmp_path / "x.npz")
