"""Tensors of ONNX files, checked before they are made: type, declared sizes against bytes there, finite values."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurosleep._guards.files import check_regular
from neurosleep.errors import ExchangeError

if TYPE_CHECKING:
    from onnx import TensorProto

__all__ = ["External", "element_name", "read_tensor", "short", "type_name"]

# ONNX's number of a type -> numpy's type in the file's byte order, and the field that holds it if raw_data does not.
_TYPES = {
    1: ("<f4", "float_data"),
    11: ("<f8", "double_data"),
    7: ("<i8", "int64_data"),
    6: ("<i4", "int32_data"),
    9: ("|u1", "int32_data"),  # a truth value: 0 or not
    2: ("|u1", "int32_data"),
    3: ("|i1", "int32_data"),
    10: ("<u2", "int32_data"),  # the bits of a float of 16
    16: ("<u2", "int32_data"),
}
_HALVES = {10: torch.float16, 16: torch.bfloat16}
MAX_RANK = 8


def short(name: str) -> str:
    """A name out of a file, quoted and cut to a length that fits a message."""
    return repr(name if len(name) <= 80 else f"{name[:77]}...")


def type_name(dtype: torch.dtype) -> str:
    """The name of a type of torch without its module: ``float32``."""
    return str(dtype).removeprefix("torch.")


def element_name(number: int) -> str:
    """The name of a type by its number in ONNX: ``float32`` for 1."""
    from onnx import TensorProto as Proto

    names: dict[int, str] = {number: label.lower() for label, number in Proto.DataType.items()}
    name = names.get(number, f"type {number}")
    return {"float": "float32", "double": "float64"}.get(name, name)


class External:
    """The one file of weights that a network's file may point to: given by the user, or named as torch names it.

    Where a file wants its weights read from is only compared with the name of that one; what a file says never makes
    the path that is opened.

    Parameters
    ----------
    path:
        That file. None: the network's file's name with ``.data`` behind it, beside it, if there is one.
    model:
        The network's file.
    """

    def __init__(self, path: Path | None, model: Path) -> None:
        beside = model.with_name(f"{model.name}.data")
        self.path, self.model = beside if path is None and beside.is_file() else path, model
        self.size = 0
        path = self.path
        if path is not None:
            self.size = check_regular(path, ExchangeError, expected="the weights of the .onnx file")

    def read(self, tensor: TensorProto, length: int) -> bytes:
        """The bytes of a tensor that lies outside its file."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if self.path is None:
            raise ExchangeError(
                f"{self.model.name!r} keeps the weights {short(tensor.name)} in another file: {short(location)}.",
                expected=f"all weights in the file itself, in one you give, or in '{self.model.name}.data' beside it",
                hint=f"load({self.model.name!r}, external_data=PATH of that file), or write it again with "
                "torch.onnx.export(..., external_data=False)",
            )
        if location != self.path.name:
            raise ExchangeError(
                f"The weights {short(tensor.name)} lie in a file that was not given.",
                found=short(location),
                expected=f"{self.path.name!r}, the name of the file given as external_data, without a folder",
            )
        try:
            offset, stated = int(entries.get("offset", "0")), int(entries.get("length", str(length)))
        except ValueError:
            offset = stated = -1
        if offset < 0 or stated != length or offset + length > self.size:
            raise ExchangeError(
                f"The weights {short(tensor.name)} do not lie within {self.path.name!r}.",
                found=f"offset {short(entries.get('offset', '0'))}, length {short(entries.get('length', ''))}",
                expected=f"{length} bytes of the file's {self.size}",
            )
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(length)


def read_tensor(tensor: TensorProto, external: External) -> Tensor:
    """The tensor, with the values of the file bit for bit; floats of 16 bits as float32.

    Raises
    ------
    ExchangeError
        If its type is none of float16 to float64, bfloat16, int8, uint8, int32, int64 and bool, its sizes do not fit
        its data, it has NaN or infinite values, or lies in a file that was not given.
    """
    name = short(tensor.name)
    if tensor.data_type not in _TYPES:
        element = element_name(tensor.data_type)
        hint = "export the network before it was quantised" if "int" in element else None
        raise ExchangeError(
            f"The tensor {name} has the type {element}.",
            expected="float16 to float64, bfloat16, int8, uint8, int32, int64 or bool",
            hint="export the network in float32" if "float" in element else hint,
        )
    dtype_name, field = _TYPES[tensor.data_type]
    dtype = np.dtype(dtype_name)
    dims = tuple(tensor.dims)
    if len(dims) > MAX_RANK or any(size < 0 for size in dims):
        raise ExchangeError(f"The tensor {name} has the shape {dims[:12]}.", expected=f"up to {MAX_RANK} sizes >= 0")
    length = math.prod(dims) * dtype.itemsize
    if tensor.HasField("segment"):
        raise ExchangeError(f"The tensor {name} is cut into segments.", expected="whole tensors")
    array: NDArray[np.generic]
    if tensor.data_location == tensor.EXTERNAL:
        array = np.frombuffer(external.read(tensor, length), dtype)
    elif tensor.HasField("raw_data"):
        if len(tensor.raw_data) != length:
            raise _sizes(name, dims, len(tensor.raw_data) // dtype.itemsize)
        array = np.frombuffer(tensor.raw_data, dtype)
    else:
        values = getattr(tensor, field)
        if len(values) != math.prod(dims):
            raise _sizes(name, dims, len(values))
        array = np.asarray(values).astype(dtype)
    made = torch.from_numpy(array.reshape(dims).astype(dtype.newbyteorder("="), copy=True))
    if tensor.data_type in _HALVES:
        made = made.view(_HALVES[tensor.data_type]).float()
    if made.is_floating_point() and not torch.isfinite(made).all():
        raise ExchangeError(f"The tensor {name} holds NaN or infinite values.", expected="finite numbers")
    return made


def _sizes(name: str, dims: tuple[int, ...], count: int) -> ExchangeError:
    return ExchangeError(
        f"The tensor {name} has another size than its data.",
        found=f"{count} values",
        expected=f"{math.prod(dims)} values for the shape {dims}",
    )
