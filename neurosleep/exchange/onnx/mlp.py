"""Our own MLP in an ONNX file, where the file says that it is one."""

from __future__ import annotations

import json
from typing import get_args

import torch
from torch import nn

from neurosleep.exchange.layer_graph import LayerGraph, Step
from neurosleep.networks import MLP
from neurosleep.networks.feed_forward import Output

__all__ = ["as_mlp", "mlp_graph"]


def as_mlp(network: nn.Module, note: str) -> nn.Module:
    """Our own MLP, where the file says that it is one and its layers agree; else the network as it is."""
    try:
        header = json.loads(note)
        sizes, dropout, output = list(header["sizes"]), float(header["dropout"]), header["output"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return network
    if isinstance(network, LayerGraph):
        kinds = [
            step.kind if step.kind != "layer" else type(network.get_submodule(step.layer)) for step in network.steps
        ]
        factors = [step.factor for step in network.steps if step.kind == "scale"]
        chain = all(
            step.inputs == (before,)
            for step, before in zip(network.steps, ["input", *(s.output for s in network.steps)], strict=False)
        )
    else:
        kinds, factors, chain = [type(layer) for layer in network.children()], [], True
    layers = [layer for layer in network.children() if isinstance(layer, nn.Linear)]
    block: list[object] = [nn.Linear, nn.ReLU, "scale"] if factors else [nn.Linear, nn.ReLU]
    agrees = (
        chain
        and [*kinds] == [*(block * (len(layers) - 1)), nn.Linear]
        and sizes == [layers[0].in_features, *(layer.out_features for layer in layers)]
        and len({layer.bias is None for layer in layers}) == 1
        and all(abs(factor - (1 - dropout)) < 1e-6 for factor in factors or [1.0])
        and 0 <= dropout < 1
        and output in get_args(Output)
    )
    if not agrees:
        return network
    with torch.device("meta"):
        model = MLP(sizes, dropout=dropout, output=output, bias=layers[0].bias is not None)
    for ours, theirs in zip(model.layers, layers, strict=True):
        ours.weight, ours.bias = theirs.weight, theirs.bias
    return model.eval()


def mlp_graph(model: MLP) -> LayerGraph:
    """The same network in layers; its dropout scales hidden activities in evaluation mode."""
    layers: dict[str, nn.Module] = {}
    steps: list[Step] = []
    before, last = "input", len(model.layers) - 1
    for k, layer in enumerate(model.layers):
        for name, part in ((f"layers_{k}", layer), (f"relu_{k}", nn.ReLU()))[: 1 if k == last else 2]:
            layers[name] = part
            steps.append(Step(name, (before,), "layer", name))
            before = name
        if k < last and model.dropout:
            steps.append(Step(f"scale_{k}", (before,), "scale", factor=1 - model.dropout))
            before = f"scale_{k}"
    return LayerGraph(layers, steps, before)
