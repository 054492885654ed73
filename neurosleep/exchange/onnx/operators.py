"""The operators of ONNX that are read, each with the attributes that it may have."""

from __future__ import annotations

from neurosleep.exchange.onnx.dense import DENSE
from neurosleep.exchange.onnx.node import Operator
from neurosleep.exchange.onnx.pointwise import POINTWISE
from neurosleep.exchange.onnx.quantised import QUANTISED
from neurosleep.exchange.onnx.scores import SCORES
from neurosleep.exchange.onnx.shapes import SHAPES
from neurosleep.exchange.onnx.windows import WINDOWS

__all__ = ["OPERATORS"]

# Constant is the reader's own, since its value is a tensor of the file.
OPERATORS: dict[str, Operator] = {**DENSE, **WINDOWS, **POINTWISE, **SHAPES, **QUANTISED, **SCORES}
