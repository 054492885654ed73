"""Functions of torch in a module's ``forward`` that an ONNX file can hold."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import nn

from neurosleep.exchange.onnx.write_calls import CALLS

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
    nn.functional.softmax: "softmax",
    nn.functional.log_softmax: "log_softmax",
    torch.add: "add",
    torch.mul: "mul",
    torch.relu: "relu",
    nn.functional.relu: "relu",
    torch.flatten: "flatten",
    torch.reshape: "reshape",
    nn.functional.dropout: "dropout",
    operator.getitem: "getitem",
    operator.neg: "neg",
    operator.pow: "pow",
    **{getattr(torch, name): name for name in CALLS if hasattr(torch, name)},
}


def written_functions() -> list[str]:
    """Names of the functions and methods that a module's ``forward`` may call beside its layers."""
    return sorted({*FUNCTIONS.values(), *CALLS, "view"})
