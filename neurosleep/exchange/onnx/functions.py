"""Functions of torch in a module's ``forward`` that an ONNX file can hold."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import nn

__all__ = ["ARITHMETIC", "FUNCTIONS", "written_functions"]

ARITHMETIC = {"add": "Add", "sub": "Sub", "mul": "Mul", "truediv": "Div", "div": "Div"}
FUNCTIONS: dict[Any, str] = {
    operator.add: "add",
    operator.iadd: "add",
    operator.mul: "mul",
    operator.imul: "mul",
    operator.sub: "sub",
    operator.isub: "sub",
    operator.truediv: "truediv",
    torch.sub: "sub",
    torch.div: "div",
    torch.cat: "cat",
    torch.permute: "permute",
    torch.sigmoid: "sigmoid",
    torch.tanh: "tanh",
    torch.softmax: "softmax",
    torch.log_softmax: "log_softmax",
    nn.functional.softmax: "softmax",
    nn.functional.log_softmax: "log_softmax",
    torch.add: "add",
    torch.mul: "mul",
    torch.relu: "relu",
    nn.functional.relu: "relu",
    torch.flatten: "flatten",
    torch.reshape: "reshape",
    nn.functional.dropout: "dropout",
}


def written_functions() -> list[str]:
    """Names of the functions and methods that a module's ``forward`` may call beside its layers."""
    return sorted({*FUNCTIONS.values(), "view"})
