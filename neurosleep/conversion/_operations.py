"""Operations and layers of torch by what they are called with, and what to do about those without a counterpart."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

__all__ = [
    "ADAPTIVE",
    "ADD",
    "AVERAGE",
    "AVERAGE_OPTIONS",
    "DIVIDE",
    "DROPOUT",
    "DROPOUT_MODULES",
    "EXPECTED",
    "FLATTEN",
    "HINTS",
    "MAX_MODULES",
    "MAX_OPTIONS",
    "MULTIPLY",
    "NEGATE",
    "RELU",
    "SUBTRACT",
    "is_maximum",
]

# Operations by what they are called with: functions, and names of methods. In place or not, they compute the same.
ADD = (operator.add, operator.iadd, torch.add, "add", "add_")
SUBTRACT = (operator.sub, operator.isub, torch.sub, torch.subtract, "sub", "sub_")
MULTIPLY = (operator.mul, operator.imul, torch.mul, torch.multiply, "mul", "mul_")
DIVIDE = (operator.truediv, operator.itruediv, torch.div, torch.true_divide, torch.divide, "div", "div_")
NEGATE = (operator.neg, torch.neg, torch.negative, "neg", "neg_")
FLATTEN = (torch.flatten, torch.reshape, "flatten", "reshape", "view")
RELU = (F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_")
DROPOUT = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d)
AVERAGE: tuple[Any, ...] = (F.avg_pool1d, F.avg_pool2d)
ADAPTIVE: tuple[Any, ...] = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d)
AVERAGE_OPTIONS = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
MAX_OPTIONS = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
DROPOUT_MODULES = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.Identity)
MAX_MODULES = (nn.MaxPool1d, nn.MaxPool2d)
# What to do about layers that people often have.
HINTS: tuple[tuple[tuple[type[nn.Module], ...], str], ...] = (
    ((nn.Softmax, nn.LogSoftmax, nn.Softmax2d), "convert the model without it: the largest output stays the largest"),
    (
        (nn.Sigmoid, nn.Tanh, nn.GELU, nn.SiLU, nn.ELU),
        "spike rates stand for activities of 0 and above without a bound: train it with ReLU in its place",
    ),
    ((nn.ConstantPad1d, nn.ConstantPad2d), "zeros can be padded, with value=0"),
    (
        (nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d),
        "BatchNorm can be folded into the layer before",
    ),
)


EXPECTED = (
    "Linear, Conv1d, Conv2d, ReLU, LeakyReLU, PReLU, ReLU6, Hardtanh, Hardsigmoid, average and max-pooling, BatchNorm, "
    "what moves, cuts, joins or pads values, means and sums over an axis, maximum and minimum, abs, clamp, Dropout, "
    "sums of branches, and products and sums with what no input changes"
)


def is_maximum(target: Any) -> bool:
    """Whether a function is a max-pool of torch."""
    return getattr(target, "__name__", "") in ("max_pool1d", "max_pool2d")
