"""Files that hold a network of a kind that is not read, or no network at all: named as what they are."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from neurosleep._guards.files import check_regular
from neurosleep.errors import ExchangeError
from neurosleep.exchange.checkpoints import lightning_checkpoint

__all__ = ["HDF5", "check_network_file", "is_hdf5"]

HDF5 = b"\x89HDF\r\n\x1a\n"
_EXPECTED = "a network: .safetensors, .onnx or .nir, or weights (.pt) with module="
# What a file is, and what to do about it.
_Kind: TypeAlias = tuple[str, str]
_TO_ONNX = "torch.onnx.export(model, (images[:1],), 'model.onnx', dynamo=False) in the program that has the model"
_TFLITE = (
    "a TensorFlow Lite model",
    "python -m tf2onnx.convert --tflite FILE --output model.onnx makes an ONNX file of it",
)
_KERAS = (
    "a model of Keras",
    "model.export('model.onnx', format='onnx') in Keras, or tf2onnx, makes an ONNX file of it",
)
_SAVED = (
    "a SavedModel of TensorFlow",
    "python -m tf2onnx.convert --saved-model FOLDER --output model.onnx makes an ONNX file of it",
)
_GRAPH = ("a graph of TensorFlow", "python -m tf2onnx.convert --graphdef FILE ... makes an ONNX file of it")
_PICKLE = ("a pickle, which may hold code and is not opened", "skl2onnx makes an ONNX file of a model of scikit-learn")
_WEIGHTS = (
    "a file of torch.save: weights, or a pickled module, which is not opened",
    f"neurosleep.load(path, module=...) reads weights into the module that they belong to; else {_TO_ONNX}",
)
_SCRIPT = ("a program of TorchScript, which is not run", _TO_ONNX)
_PROGRAM = ("a program of torch.export, which is not run", _TO_ONNX)
_FOLDER = (
    "a folder that neurosleep wrote for snnTorch or Norse",
    "its model.py rebuilds the modules; from_snntorch or from_norse reads them",
)
_TABLE = ("a table of text", "numpy.save makes a .npy file of its numbers, which --calibration takes")
_ARRAYS = ("a file of arrays", "images belong in --calibration, and a network needs its layers too")
_POINTER = ("a pointer of Git LFS, without the file itself", "git lfs pull fetches the file")
_PAGE = ("a page of HTML", "download the file itself: on GitHub by 'Raw'")
_PICTURE = ("a picture", "images belong in --calibration, as a .npy file [n, ...]")
_PACKED = ("a packed file", "unpack it first")
_STARTS: tuple[tuple[bytes, _Kind], ...] = (
    (b"\x93NUMPY", _ARRAYS),
    (b"MATLAB 5.0", _ARRAYS),
    (b"version https://git-lfs", _POINTER),
    (b"\x89PNG", _PICTURE),
    (b"\xff\xd8\xff", _PICTURE),
    (b"GIF8", _PICTURE),
    (b"\x1f\x8b", _PACKED),
    (b"BZh", _PACKED),
    (b"\xfd7zXZ", _PACKED),
    (b"%PDF", ("a PDF document", "name the file of the network")),
    (b"\x7fELF", ("a compiled program", "name the file of the network")),
)
_ENDINGS: dict[str, _Kind] = {
    ".h5": _KERAS, ".hdf5": _KERAS, ".keras": _KERAS, ".tflite": _TFLITE, ".pb": _GRAPH, ".pkl": _PICKLE,
    ".pickle": _PICKLE, ".joblib": _PICKLE, ".csv": _TABLE, ".tsv": _TABLE, ".txt": _TABLE, ".npy": _ARRAYS,
    ".npz": _ARRAYS, ".mat": _ARRAYS,
    ".mlmodel": ("a model of Core ML", "onnxmltools makes an ONNX file of it"),
    ".caffemodel": ("a model of Caffe", "caffe2onnx makes an ONNX file of it"),
}  # fmt: skip


def is_hdf5(path: Path) -> bool:
    """Whether a file is of the kind in which NIR writes its graphs."""
    with path.open("rb") as start:
        return start.read(len(HDF5)) == HDF5


def check_network_file(path: Path) -> None:
    """Refuse what no reader here is for: a file of another kind, a folder, nothing.

    Raises
    ------
    ExchangeError
        That says what it is.
    """
    kind = _kind_of_folder(path) if path.is_dir() else None
    if kind is None:
        if not check_regular(path, ExchangeError, expected="a .safetensors, .onnx or .nir file"):
            raise ExchangeError(f"{path.name!r} is empty.", expected=_EXPECTED, hint="write or copy it again")
        kind = _kind_of_file(path)
    if kind is not None:
        raise ExchangeError(f"{path.name!r} is {kind[0]}.", expected=_EXPECTED, hint=kind[1])


def _kind_of_folder(path: Path) -> _Kind | None:
    names = {entry.name for entry in path.iterdir()}
    if "saved_model.pb" in names:
        return _SAVED
    return _FOLDER if "model.py" in names else None


def _kind_of_file(path: Path) -> _Kind | None:
    with path.open("rb") as start:
        head = start.read(2**16)
    ending = path.suffix.lower()
    if head[4:8] == b"TFL3":
        return _TFLITE
    if head[8:9] == b"{" or (head[:1] == b"\x08" and ending != ".pb"):
        return None  # safetensors, ONNX
    kind = next((kind for mark, kind in _STARTS if head.startswith(mark)), None)
    if kind is not None:
        return kind
    if head.startswith(HDF5):  # a graph of NIR may bear any name
        return _KERAS if b"keras_version" in head or b"layer_names" in head else None
    if head.startswith(b"PK") and ending not in (".npz", ".keras"):
        return _kind_of_archive(path)
    if head[:1] == b"\x80" and ending not in _ENDINGS:
        return _WEIGHTS if b"torch" in head or ending in (".pt", ".pth", ".ckpt") else _PICKLE
    if (text := _kind_of_text(head)) is not None and ending not in _ENDINGS:
        return text
    return _ENDINGS.get(ending)


def _kind_of_archive(path: Path) -> _Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        # NotImplementedError: what zipfile raises for an archive of a version that it does not know.
        return _PACKED
    if _any(names, "archive_format", "serialized_exported_program.json"):
        return _PROGRAM
    if _any(names, "constants.pkl") and any("/code/" in name for name in names):
        return _SCRIPT
    if _any(names, "data.pkl"):
        return lightning_checkpoint(path) or _WEIGHTS
    if _any(names, "config.json") and _any(names, "model.weights.h5"):
        return _KERAS
    return _ARRAYS if names and all(name.endswith(".npy") for name in names) else _PACKED


def _any(names: Iterable[str], *wanted: str) -> bool:
    return any(name.rpartition("/")[2] in wanted for name in names)


def _kind_of_text(head: bytes) -> _Kind | None:
    """What a text is; None for anything else."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if any(ord(letter) < 32 and letter not in "\t\r\n\f" for letter in text):
        return None
    start = text.lstrip()[:200].lower()
    if start.startswith(("<!doctype html", "<html")):
        return _PAGE
    first = text.splitlines()[0] if text.strip() else ""
    if start[:1] not in "{[" and any(mark in first for mark in ",;\t"):
        return _TABLE
    return ("a text", "name the file of the network: ONNX and the others are no texts")
