"""Weights: of layers, of functions that are called with parameters, and what multiplies by constants."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from neurosleep.conversion._windows import pair
from neurosleep.conversion.lowering.calls import Call
from neurosleep.conversion.lowering.fixed import moving
from neurosleep.conversion.lowering.rewriter import Rewriter, made_by

__all__ = ["Weights"]


class Weights(Rewriter):
    """What multiplies by fixed numbers."""

    def _lower_multiply(self, x: fx.Node, call: Call) -> fx.Node | None:
        other, divides = call.get("other", None), call.get("divides", False)
        if x in self.constants and not divides and isinstance(other, fx.Node):
            x, other = other, x
        if not isinstance(other, fx.Node) or other not in self.constants or x in self.constants:
            return None
        if call.get("rounding_mode", None) is not None:
            return None
        factor = self.constants[other].detach()
        return self._scaled(x, 1 / factor if divides else factor)

    def _lower_dense(self, x: fx.Node, call: Call) -> fx.Node | None:
        target = str(self._node.target)
        layer = self._modules[target]
        if len(self._shape(x)) < 2 or not type(layer).__module__.startswith("torch.nn"):
            return None
        assert isinstance(layer, nn.Linear)
        return self._over_lines(x, layer, target, {"layer": target})

    def _over_lines(self, x: fx.Node, layer: nn.Linear, label: str, told: dict[str, Any]) -> fx.Node:
        """A matrix over the last axis of several: a convolution over one line, as long as the axis and as its steps."""
        before, after = self._shape(x), self._shape(self._node)
        lines, n, m = math.prod(before[:-1]), before[-1], after[-1]
        if lines == 1:
            made = self._layer(copy.copy(layer), self._reshaped(x, (n,)), label)
            made.meta |= told
            self._shapes[made.name] = (2, m)
            return self._reshaped(made, after)
        with torch.device("meta"):  # its initial weights are not needed, and no random number is drawn
            conv = nn.Conv1d(1, m, n, n, bias=layer.bias is not None)
        conv.weight = nn.Parameter(layer.weight.detach().unsqueeze(1), requires_grad=False)
        conv.bias = layer.bias
        made = self._layer(conv, self._reshaped(x, (1, lines * n)), label)
        made.meta |= told
        self._shapes[made.name] = (2, m, lines)
        # Channels come first there, and last here.
        turned = self._moved(made, torch.arange(m * lines).reshape(m, lines).T.flatten(), after)
        return self._became(turned, "the same matrix at every position, as a convolution")

    def _lower_linear(self, x: fx.Node, call: Call) -> fx.Node | None:
        return self._weighted(x, call, nn.Linear)

    def _lower_conv1d(self, x: fx.Node, call: Call) -> fx.Node | None:
        return self._weighted(x, call, nn.Conv1d)

    def _lower_conv2d(self, x: fx.Node, call: Call) -> fx.Node | None:
        return self._weighted(x, call, nn.Conv2d)

    def _lower_matmul(self, x: fx.Node, call: Call) -> fx.Node | None:
        """``x @ w`` for w ``[in, out]``: a matrix of the transposed weight, which often is a transposed one."""
        given = call.get("weight", None)
        turned = given in self.constants and given.args and self._turns(given)
        if turned:
            return self._weighted(x, Call(call.name, x, {**call.args, "weight": given.args[0]}), nn.Linear)
        return self._weighted(x, call, nn.Linear, turn=True)

    def _turns(self, node: fx.Node) -> bool:
        if not isinstance(node.args[0], fx.Node):
            return False
        source, made = self.constants.get(node.args[0]), self.constants[node]
        if source is None or source.ndim != 2 or tuple(made.shape) != tuple(source.T.shape):
            return False
        return source.data_ptr() == made.data_ptr() and torch.equal(source.T, made)

    def _lower_addmm(self, x: fx.Node, call: Call) -> fx.Node | None:
        layer_input = call.get("x", None)
        if not isinstance(layer_input, fx.Node) or any(call.get(key, 1) != 1 for key in ("beta", "alpha")):
            return None
        return self._lower_matmul(layer_input, Call("matmul", layer_input, {**call.args, "bias": x}))

    def _weighted(self, x: fx.Node, call: Call, kind: type[nn.Module], turn: bool = False) -> fx.Node | None:
        """A layer of torch in the place of a function that is called with a weight and a bias."""
        weight, bias = (self.constants.get(call.get(key, None)) for key in ("weight", "bias"))
        if x in self.constants or x.name not in self._shapes:
            return None
        axes = {nn.Linear: 0, nn.Conv1d: 1, nn.Conv2d: 2}[kind]
        unknown = weight is None or (bias is None and call.get("bias", None) is not None)
        if weight is None or unknown or weight.ndim != axes + 2 or (bias is not None and bias.ndim != 1):
            raise self._refused(
                "multiplies by what is no fixed weight, or by one of another shape.",
                "a weight [out, in, ...] that is a parameter, or computed from parameters only",
            )
        if turn:
            weight = weight.T
        groups = int(call.get("groups", 1))
        options: dict[str, Any] = {"bias": bias is not None}
        if axes:
            padding = call.get("padding", 0)
            options |= {key: pair(call.get(key, 1), axes) for key in ("stride", "dilation")}
            options |= {"groups": groups, "kernel_size": tuple(weight.shape[2:])}
            options["padding"] = padding if isinstance(padding, str) else pair(padding, axes)
        with torch.device("meta"):  # its initial weights are not needed, and no random number is drawn
            layer = kind(weight.shape[1] * groups, weight.shape[0], **options)
        layer.weight = nn.Parameter(weight.detach(), requires_grad=False)
        if bias is not None:
            layer.bias = nn.Parameter(bias.detach(), requires_grad=False)
        place = self._parameter(call.args["weight"])
        name = place.rpartition(".")[0]
        if isinstance(layer, nn.Linear) and len(self._shape(x)) > 1:
            return self._over_lines(x, layer, self._own_label() or name, {"weight": place, "turned": turn})
        node = self._layer(layer, x, self._own_label() or name)
        node.meta |= {"weight": place, "turned": turn}
        return self._convolved(node, x, layer) or node if axes else node

    def _parameter(self, node: fx.Node) -> str:
        """The place in the model of the parameter that ``node`` is; empty where it is computed."""
        place = str(node.target) if node.op == "get_attr" else ""
        return place if place in dict(self.module.named_parameters()) else ""

    def _own_label(self) -> str:
        """The name of the layer of torch that was called, where torch.export has seen it."""
        return str(self._node.meta.get("label", ""))

    def _lower_batch_norm(self, x: fx.Node, call: Call) -> fx.Node | None:
        """BatchNorm with statistics that are given."""
        given = {key: call.get(key, None) for key in ("running_mean", "running_var", "weight", "bias")}
        values = {key: self.constants.get(node) for key, node in given.items()}
        mean, variance, weight, bias = values.values()
        if call.get("training", False) or mean is None or variance is None or len(self._shape(x)) not in (1, 2, 3):
            raise self._refused("normalises by the statistics of a batch.", "running statistics, and evaluation")
        kind = nn.BatchNorm2d if len(self._shape(x)) == 3 else nn.BatchNorm1d
        layer = kind(len(mean), eps=float(call.get("eps", 1e-5))).eval()
        layer.weight = nn.Parameter(torch.ones_like(mean) if weight is None else weight.detach(), requires_grad=False)
        layer.bias = nn.Parameter(torch.zeros_like(mean) if bias is None else bias.detach(), requires_grad=False)
        layer.running_mean, layer.running_var = mean.detach(), variance.detach()
        return self._layer(layer, x)

    def _lower_normalise(self, x: fx.Node, call: Call) -> fx.Node | None:
        """A transform of torchvision: BatchNorm with its mean and spread."""
        transform: Any = self._modules[str(self._node.target)]
        mean, spread = (torch.as_tensor(values, dtype=torch.float64) for values in (transform.mean, transform.std))
        if len(self._shape(x)) != 3:
            return None
        channels = self._shape(x)[0]
        layer = nn.BatchNorm2d(channels, eps=0.0, affine=False, dtype=torch.float64).eval()
        layer.running_mean, layer.running_var = mean.expand(channels).clone(), spread.square().expand(channels).clone()
        return self._layer(layer, x)

    def _lower_convolution(self, x: fx.Node, call: Call) -> fx.Node | None:
        layer = self._modules[str(self._node.target)]
        return self._convolved(self._node, x, layer) if isinstance(layer, nn.Conv1d | nn.Conv2d) else None

    def _convolved(self, node: fx.Node, x: fx.Node, layer: nn.Module) -> fx.Node | None:
        """A layer that pads more on one side, or with other values than zeros: these are made before it."""
        target = str(node.target)
        if target not in self._padded:
            if not isinstance(layer, nn.Conv1d | nn.Conv2d):
                return None
            pads = [int(n) for n in layer._reversed_padding_repeated_twice]
            if layer.padding_mode == "zeros" and pads[::2] == pads[1::2]:
                return None
            self._padded[target] = (
                pads,
                layer.padding_mode.replace("zeros", "constant").replace("reflection", "reflect"),
            )
            layer.padding, layer.padding_mode = (0,) * len(layer.kernel_size), "zeros"
        pads, mode = self._padded[target]
        before = self._shape(x)
        places = math.prod(before[1:])
        numbers = torch.arange(1.0, places + 1).reshape(1, 1, *before[1:])
        rows = F.pad(numbers, pads, mode=mode).flatten().long() - 1
        after = (before[0], *(n + a + b for n, a, b in zip(before[1:], pads[::-1][1::2], pads[::-1][::2], strict=True)))
        shifts = torch.arange(before[0])[:, None] * places
        layers = moving(before, after, torch.where(rows >= 0, rows + shifts, -1))
        single = len(layers) == 1 and made_by(layers[0]) == after
        padded = (
            self._layer(layers[0][1], x, self._label("_padded")) if single else self._through(x, layers, before, after)
        )
        self._shapes[padded.name] = (2, *after)
        made = self._graph.call_module(target, (padded,))
        made.meta |= node.meta
        return made
