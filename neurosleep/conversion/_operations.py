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
    "CAST",
    "DIVIDE",
    "DROPOUT",
    "DROPOUT_MODULES",
    "EXPECTED",
    "FLATTEN",
    "FUNCTION_HINTS",
    "HINTS",
    "MAX_MODULES",
    "MAX_OPTIONS",
    "MULTIPLY",
    "NEGATE",
    "NORMED",
    "RELU",
    "SAME",
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
SAME = ("contiguous", "clone", torch.clone, "detach", torch.detach)
# The same, where numbers of single or double precision come of it.
CAST = ("to", "float", "double", "type", "type_as", "cpu", "cuda")
RELU = (F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_")
DROPOUT = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d)
AVERAGE: tuple[Any, ...] = (F.avg_pool1d, F.avg_pool2d)
ADAPTIVE: tuple[Any, ...] = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d)
AVERAGE_OPTIONS = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
MAX_OPTIONS = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
DROPOUT_MODULES = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.Identity)
MAX_MODULES = (nn.MaxPool1d, nn.MaxPool2d)
# In evaluation they multiply and shift channels by what they remember; the last two only if they keep statistics.
NORMED = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm, nn.InstanceNorm1d, nn.InstanceNorm2d)
# What to do about layers and functions that people often have.
_BOUNDED = (
    "spike rates stand for activities of 0 and above, piecewise linear: train it with ReLU, ReLU6 or Hardtanh in its "
    "place"
)
_SMOOTH = "spike rates are piecewise linear in their inputs: train it with ReLU or LeakyReLU in its place"
_VOLUMES = (nn.Conv3d, nn.MaxPool3d, nn.AvgPool3d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d, nn.BatchNorm3d)
_NORMED = "BatchNorm can be folded into the layer before; what depends on the mean of each input cannot"
_RECURRENT = (
    "a spiking network has a state of its own: train one with snnTorch or Norse, and read it with from_snntorch or "
    "from_norse"
)
_ATTENTION = "it multiplies activities with activities, which sums of spikes cannot: use Linear and Conv layers"
_END = "at the end of a model it is left out, since the largest output stays the largest; elsewhere train without it"
_PRODUCT = (
    "spikes add up and do not multiply: train it without products of activities (gates, squeeze-and-excitation, SiLU), "
    "with ReLU and sums"
)
HINTS: tuple[tuple[tuple[type[nn.Module], ...], str], ...] = (
    ((nn.Softmax, nn.LogSoftmax, nn.Softmax2d), _END),
    ((nn.Sigmoid, nn.Tanh, nn.Softsign, nn.LogSigmoid), _BOUNDED),
    ((nn.GELU, nn.SiLU, nn.ELU, nn.CELU, nn.SELU, nn.Mish, nn.Hardswish, nn.Softplus), _SMOOTH),
    ((nn.Tanhshrink, nn.Softmin), _SMOOTH),
    ((nn.Hardshrink,), "it jumps, and spike rates do not: nn.Softshrink converts"),
    ((nn.GLU, nn.Bilinear), _PRODUCT),
    ((nn.LPPool1d, nn.LPPool2d), "average and max-pooling convert"),
    ((nn.FractionalMaxPool2d,), "it draws its windows at random: nn.MaxPool2d or nn.AdaptiveMaxPool2d"),
    ((nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d), "sizes that divide those before convert, and so does nn.MaxPool2d"),
    ((nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.LocalResponseNorm, nn.RMSNorm), _NORMED),
    ((nn.RNNBase, nn.RNNCellBase), _RECURRENT),
    ((nn.MultiheadAttention, nn.Transformer, nn.TransformerEncoder, nn.TransformerEncoderLayer), _ATTENTION),
    (_VOLUMES, "volumes are not taken: use Conv2d over slices"),
    ((nn.ConvTranspose1d, nn.ConvTranspose2d), "nn.Upsample before a Conv layer makes the same shapes"),
    ((nn.Embedding, nn.EmbeddingBag), "its inputs are numbers of rows: give one-hot vectors to a Linear layer instead"),
)
FUNCTION_HINTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("mul", "multiply", "imul", "div", "truediv", "divide", "prod"), _PRODUCT),
    (("softmax", "log_softmax"), _END),
    (("sigmoid", "tanh", "softsign", "logsigmoid", "sin", "cos", "erf"), _BOUNDED),
    (("gelu", "silu", "elu", "celu", "selu", "mish", "hardswish", "softplus", "exp", "log", "sqrt", "pow"), _SMOOTH),
    (("layer_norm", "group_norm", "instance_norm", "normalize", "norm", "local_response_norm", "rms_norm"), _NORMED),
    (("scaled_dot_product_attention", "matmul", "bmm", "baddbmm"), _ATTENTION),
    (
        ("einsum", "tensordot", "inner", "outer"),
        "with a weight of the model, F.linear(x, w), x @ w and F.conv2d convert; products of activities do not",
    ),
    (
        ("gt", "lt", "ge", "le", "eq", "ne", "where", "masked_fill", "heaviside", "sign", "round", "floor", "ceil"),
        "a comparison jumps, and spike rates do not: F.relu, clamp, maximum and minimum are what converts",
    ),
    (("cumsum", "cumprod", "sort", "topk", "argsort", "std", "var"), "sums, means and maxima over whole axes convert"),
    (("conv3d", "max_pool3d", "avg_pool3d"), "volumes are not taken: use Conv2d over slices"),
    (("glu",), _PRODUCT),
)


EXPECTED = (
    "Linear, Conv1d, Conv2d, ReLU, LeakyReLU, PReLU, ReLU6, Hardtanh, Hardsigmoid, average and max-pooling, BatchNorm, "
    "what moves, cuts, joins or pads values, means and sums over an axis, maximum and minimum, abs, clamp, Dropout, "
    "sums of branches, and products and sums with what no input changes"
)


def is_maximum(target: Any) -> bool:
    """Whether a function is a max-pool of torch."""
    return getattr(target, "__name__", "") in ("max_pool1d", "max_pool2d")
