"""The operators of ONNX that are read, each with the attributes that it may have."""

from __future__ import annotations

from neurosleep.exchange.onnx.constants import CONSTANTS
from neurosleep.exchange.onnx.dense import DENSE
from neurosleep.exchange.onnx.elementwise import ELEMENTWISE
from neurosleep.exchange.onnx.node import Operator
from neurosleep.exchange.onnx.normalise import NORMALISE
from neurosleep.exchange.onnx.pieces import PIECES
from neurosleep.exchange.onnx.pointwise import POINTWISE
from neurosleep.exchange.onnx.quantised import QUANTISED
from neurosleep.exchange.onnx.resize import RESIZE
from neurosleep.exchange.onnx.scores import SCORES
from neurosleep.exchange.onnx.shapes import SHAPES
from neurosleep.exchange.onnx.windows import WINDOWS

__all__ = ["OPERATORS"]

# Constant is the reader's own, since its value is a tensor of the file.
OPERATORS: dict[str, Operator] = {
    **CONSTANTS,
    **DENSE,
    **WINDOWS,
    **POINTWISE,
    **ELEMENTWISE,
    **NORMALISE,
    **SHAPES,
    **PIECES,
    **RESIZE,
    **QUANTISED,
    **SCORES,
}
