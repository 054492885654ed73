"""Files that hold a network of a kind that is not read, or no network at all: named as what they are."""

from __future__ import annotations

from pathlib import Path

from neurosleep.errors import ExchangeError

__all__ = ["HDF5", "is_hdf5", "refuse_other_kinds"]

HDF5 = b"\x89HDF\r\n\x1a\n"
_EXPECTED = "a network: .safetensors, .onnx or .nir, or weights (.pt) with module="
# By its first bytes, or by its ending where they do not tell: what it is, and what to do about it.
_TFLITE = (
    "a TensorFlow Lite model",
    "python -m tf2onnx.convert --tflite FILE --output model.onnx makes an ONNX file of it",
)
_KERAS = (
    "a model of Keras",
    "model.export('model.onnx', format='onnx') in Keras, or tf2onnx, makes an ONNX file of it",
)
_GRAPH = ("a graph of TensorFlow", "python -m tf2onnx.convert --graphdef FILE ... makes an ONNX file of it")
_PICKLE = ("a pickle, which may hold code and is not opened", "skl2onnx makes an ONNX file of a model of scikit-learn")
_TABLE = ("a table of text", "numpy.save makes a .npy file of its numbers, which --calibration takes")
_ARRAYS = ("a file of arrays", "images belong in --calibration, and a network needs its layers too")
_ENDINGS = {
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


def refuse_other_kinds(path: Path) -> None:
    """Refuse a file that no reader here is for.

    Raises
    ------
    ExchangeError
        That says what the file is.
    """
    with path.open("rb") as start:
        head = start.read(2**16)
    ending = path.suffix.lower()
    if head[4:8] == b"TFL3":
        kind = _TFLITE
    elif head.startswith(b"\x93NUMPY"):
        kind = _ARRAYS
    elif head.startswith(HDF5):  # a graph of NIR may bear any name
        if b"keras_version" not in head and b"layer_names" not in head:
            return
        kind = _KERAS
    elif ending in _ENDINGS and (ending == ".pb" or not (head[:1] == b"\x08" or head[8:9] == b"{")):
        kind = _ENDINGS[ending]
    else:
        return
    raise ExchangeError(f"{path.name!r} is {kind[0]}.", expected=_EXPECTED, hint=kind[1])
