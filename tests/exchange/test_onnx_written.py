"""What is written to ONNX: onnxruntime opens it and gives the model's numbers, and so does what is read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.errors import ExchangeError
from neurosleep.exchange.layer_functions import Function, Piece, Reduced, Taken

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

MAP = (4, 6, 8)
LAYERS: dict[str, nn.Module] = {
    **{type(layer).__name__: layer for layer in (nn.SELU(), nn.CELU(0.7), nn.SiLU(), nn.Mish(), nn.LogSigmoid())},
    **{type(layer).__name__: layer for layer in (nn.Hardsigmoid(), nn.Hardshrink(0.3), nn.Softshrink(0.3))},
    **{type(layer).__name__: layer for layer in (nn.PixelShuffle(2), nn.Threshold(0.2, 0.0))},
    "gelu": nn.GELU(),
    "gelu by tanh": nn.GELU(approximate="tanh"),
    "instance": nn.InstanceNorm2d(4, affine=True),
    "instance without factors": nn.InstanceNorm2d(4),
    "group": nn.GroupNorm(2, 4),
    "group without factors": nn.GroupNorm(4, 4, affine=False),
    "layer": nn.LayerNorm([6, 8]),
    "layer without factors": nn.LayerNorm(8, elementwise_affine=False),
    "nearest": nn.Upsample(scale_factor=2),
    "uneven": nn.Upsample((9, 20)),
    "bilinear": nn.Upsample((9, 11), mode="bilinear"),
    "corners": nn.Upsample((9, 11), mode="bilinear", align_corners=True),
    "twice as large": nn.Upsample(scale_factor=(2.0, 3.0), mode="bilinear"),
    "transposed": nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
    "erf": Function("erf"),
    "power": Function("pow", 3.0),
    **{
        f"{name}, {keep}": Reduced(name, (1, 3), keep)
        for name in ("mean", "sum", "amax", "amin")
        for keep in (True, False)
    },
    "piece": Piece(2, 1, 6, 2),
    "taken": Taken(3, [2, 0, 7, 2]),
}


class Cuts(nn.Module):
    """What people write with brackets."""

    def forward(self, x: Tensor) -> Tensor:
        a, b = x[:, :2], x[:, 2:]
        c = x[:, -1].unsqueeze(1)
        d = x[..., 1:7:2]
        return (a * b + c + torch.abs(x[:, [0, 3]]))[..., :3] - d[:, 1:3]


class Activities(nn.Module):
    """Functions that are no layers."""

    def forward(self, x: Tensor) -> Tensor:
        y = torch.exp(-x.abs()) + x.sin().mean(dim=(2, 3), keepdim=True)
        return torch.sigmoid(y).sum(1, keepdim=True) + (x**2).amax(-1, keepdim=True)


def _judged(model: nn.Module, folder: Path) -> nn.Module:
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0, 0.5)
    x = torch.randn(3, *MAP)
    path = ns.save(model.eval(), folder / "written.onnx", input_shape=MAP)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (answers,) = session.run(None, {"input": x.numpy()})
    expected = model(x).detach()
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=3e-6)
    again = ns.load(path)
    assert isinstance(again, nn.Module)
    assert torch.allclose(again(x), expected, rtol=1e-4, atol=3e-6)
    names = [node.name for node in onnx.load(path).graph.node]
    assert len(set(names)) == len(names) and all(names)
    return again


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str, tmp_path: Path) -> None:
    _judged(nn.Sequential(LAYERS[name]), tmp_path)
    _judged(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), LAYERS[name], LAYERS["erf"]), tmp_path)


@pytest.mark.parametrize("model", [Cuts(), Activities()])
def test_functions(model: nn.Module, tmp_path: Path) -> None:
    _judged(model, tmp_path)
    _judged(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), model), tmp_path)


class Call(nn.Module):
    """A module of one function."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        if self.name == "batch":
            return x[:1]
        if self.name == "all":
            return x.mean()
        if self.name == "power":
            return x**x
        return x[:, x[0, :, 0, 0].argsort()]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Call("batch"), "a cut along the batch"),
        (Call("all"), "a reduction over the batch"),
        (Call("power"), "a power with an exponent that is no number"),
        (Call("values"), "cut along the batch, or by values"),
        (nn.InstanceNorm2d(4, track_running_stats=True), "running statistics"),
        (nn.Upsample(scale_factor=2, mode="bicubic"), "Upsample"),
        (nn.Threshold(0.2, 0.1), "Threshold"),
    ],
)
def test_what_cannot_be_written_is_named(model: nn.Module, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match=message):
        ns.save(nn.Sequential(model), tmp_path / "none.onnx", input_shape=MAP)
    assert not list(tmp_path.iterdir())
