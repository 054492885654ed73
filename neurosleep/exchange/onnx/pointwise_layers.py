"""Layers of torch that are one node of ONNX each, with the attributes of that node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

__all__ = ["POINTWISE_LAYERS"]


def _local_norm(layer: nn.LocalResponseNorm) -> dict[str, Any] | None:
    """None for an even size, of which ONNX has the odd one on the other side."""
    numbers = {"alpha": float(layer.alpha), "beta": float(layer.beta), "bias": float(layer.k)}
    return {"size": layer.size, **numbers} if layer.size % 2 else None


#: A layer, the operator, and its attributes; None where ONNX's operator does not compute the same.
POINTWISE_LAYERS: dict[type[nn.Module], tuple[str, Callable[[Any], dict[str, Any] | None]]] = {
    nn.CELU: ("Celu", lambda layer: {"alpha": float(layer.alpha)}),
    nn.ELU: ("Elu", lambda layer: {"alpha": float(layer.alpha)}),
    nn.Hardshrink: ("Shrink", lambda layer: {"lambd": float(layer.lambd)}),
    nn.Hardsigmoid: ("HardSigmoid", lambda layer: {"alpha": 1 / 6, "beta": 0.5}),
    nn.Hardswish: ("HardSwish", lambda layer: {}),
    nn.LeakyReLU: ("LeakyRelu", lambda layer: {"alpha": float(layer.negative_slope)}),
    nn.LocalResponseNorm: ("LRN", _local_norm),
    nn.LogSoftmax: ("LogSoftmax", lambda layer: None if layer.dim in (None, 0) else {"axis": layer.dim}),
    nn.ReLU: ("Relu", lambda layer: {}),
    nn.SELU: ("Selu", lambda layer: {}),
    nn.Sigmoid: ("Sigmoid", lambda layer: {}),
    nn.Softmax: ("Softmax", lambda layer: None if layer.dim in (None, 0) else {"axis": layer.dim}),
    nn.Softplus: ("Softplus", lambda layer: {} if layer.beta == 1 and layer.threshold >= 20 else None),
    nn.Softshrink: ("Shrink", lambda layer: {"lambd": float(layer.lambd), "bias": float(layer.lambd)}),
    nn.Softsign: ("Softsign", lambda layer: {}),
    nn.Tanh: ("Tanh", lambda layer: {}),
    nn.Threshold: ("ThresholdedRelu", lambda layer: {"alpha": float(layer.threshold)} if layer.value == 0 else None),
}
