"""What to do about operators of ONNX that have no counterpart here: the nearest thing that has."""

from __future__ import annotations

__all__ = ["HINTS"]

_BRANCH = "export the network in evaluation mode, without branches and loops that depend on its input"
_INTEGERS = "export the network before it was quantised, or quantised with QuantizeLinear and DequantizeLinear"
_TREES = "trees are no network of neurons: train scikit-learn's MLPClassifier, or a torch model"
_RECURRENT = "a recurrent layer has a state of its own: train one with snnTorch or Norse, and read it as it is"
_NORMED = "BatchNormalization can be folded into the layer before; what depends on the mean of each input cannot"
_RELU = "train the network with Relu, LeakyRelu, Clip or HardSigmoid in its place"
_COMPARED = "export the scores: comparisons and choices behind them need no neurons (output_name=... names the scores)"

HINTS: dict[str, str] = {
    **dict.fromkeys(("If", "Loop", "Scan"), _BRANCH),
    **dict.fromkeys(("ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"), _INTEGERS),
    **dict.fromkeys(("TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble"), _TREES),
    **dict.fromkeys(("SVMClassifier", "SVMRegressor"), "a kernel is no neuron: train LinearSVC or an MLPClassifier"),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _RECURRENT),
    **dict.fromkeys(("InstanceNormalization", "LayerNormalization", "GroupNormalization", "LpNormalization"), _NORMED),
    **dict.fromkeys(("Erf", "Gelu", "Mish", "Swish", "Celu", "Selu", "Exp", "Sqrt", "Pow", "Reciprocal"), _RELU),
    **dict.fromkeys(("Sin", "Cos", "Asinh", "Acosh", "Atanh", "Sinh", "Cosh", "Tan", "Atan"), _RELU),
    **dict.fromkeys(
        ("Less", "Greater", "Equal", "LessOrEqual", "GreaterOrEqual", "Not", "And", "Or", "Where", "TopK"), _COMPARED
    ),
    **dict.fromkeys(("NonMaxSuppression", "NonZero", "ArgMin", "OneHot"), _COMPARED),
    "ConvTranspose": "train the network with a Resize (or Upsample) and a Conv in its place",
    "DeformConv": "train the network with Conv in its place",
    "Attention": "attention multiplies activities with activities: use Conv and Gemm",
    "Einsum": "export products with stored weights as MatMul or Gemm",
}
