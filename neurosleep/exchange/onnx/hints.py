"""What to do about operators of ONNX that are not read: the nearest thing that is."""

from __future__ import annotations

__all__ = ["HINTS"]

_BRANCH = "export the network in evaluation mode, without branches and loops that depend on its input"
_INTEGERS = "export the network before it was quantised, or quantised with QuantizeLinear and DequantizeLinear"
_TREES = "trees are no network of neurons: train scikit-learn's MLPClassifier, or a torch model"
_RECURRENT = "a recurrent layer has a state of its own: train one with snnTorch or Norse, and read it as it is"
_PICKED = "export the scores: what picks from them needs no neurons (output_name=... names the scores)"

HINTS: dict[str, str] = {
    **dict.fromkeys(("If", "Loop", "Scan"), _BRANCH),
    **dict.fromkeys(("ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"), _INTEGERS),
    **dict.fromkeys(("TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble"), _TREES),
    **dict.fromkeys(("SVMClassifier", "SVMRegressor"), "a kernel is no neuron: train LinearSVC or an MLPClassifier"),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _RECURRENT),
    **dict.fromkeys(("TopK", "NonMaxSuppression", "NonZero", "ArgMin", "OneHot", "Hardmax"), _PICKED),
    "DeformConv": "train the network with Conv in its place",
    "Attention": "attention multiplies activities with activities: use Conv and Gemm",
    "Einsum": "export products with stored weights as MatMul or Gemm",
}
