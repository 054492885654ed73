"""What becomes of each layer and operation in each direction, tried: the matrix of docs/supported.md (~1 minute)."""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.errors import NeurosleepError
from neurosleep.exchange import from_norse, from_snntorch, to_norse, to_snntorch

COLUMNS = ("convert", "sleep", "ONNX in", "ONNX out", "NIR", "snnTorch", "Norse")
# Images, and the steps at which what a converted network computes is compared with the model.
_IMAGES, _SHORT, _LONG = 8, 250, 2000
# Relative to the largest output: rounding; what errors of order 1/T stay below at the longer of the two.
_EXACT, _CLOSE = 1e-4, 0.02


class Call(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """What the function makes."""
        return self.function(x)


class Sum(nn.Module):
    """A branch and what goes around it."""

    def __init__(self, join: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.join = nn.Conv2d(4, 4, 3, padding=1), join

    def forward(self, x: Tensor) -> Tensor:
        """Both ways together."""
        return self.join(x, self.inner(x))


class First(nn.Module):
    """The first of what a layer makes."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """The first tensor of several."""
        rows = x.flatten(2)
        made = self.layer(rows, rows, rows) if isinstance(self.layer, nn.MultiheadAttention) else self.layer(rows)
        return made[0]


def maps(layer: nn.Module) -> nn.Module:
    """``layer`` behind a convolution and ReLU."""
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), layer, nn.Flatten(), nn.LazyLinear(3))


def signed(layer: nn.Module) -> nn.Module:
    """``layer`` right behind a convolution, whose values may be negative."""
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), layer, nn.Flatten(), nn.LazyLinear(3))


def rows(layer: nn.Module) -> nn.Module:
    """``layer`` behind a Linear layer."""
    return nn.Sequential(nn.Linear(12, 8), layer, nn.LazyLinear(3))


GRID, ROW, LINE = (2, 6, 6), (12,), (2, 12)
MEAN, STD = torch.tensor([0.4, 0.6]).reshape(2, 1, 1), torch.tensor([0.2, 0.3]).reshape(2, 1, 1)
# What the page calls it, the network that it is tried in, and the shape of an image.
PROBES: tuple[tuple[str, Callable[[], nn.Module], tuple[int, ...]], ...] = (
    ("Linear, ReLU", lambda: rows(nn.ReLU()), ROW),
    ("Linear over the last of several axes", lambda: maps(nn.Sequential(nn.Linear(6, 5), nn.ReLU())), GRID),
    ("Conv1d", lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)), LINE),
    ("Conv2d, any stride, padding, dilation", lambda: maps(nn.Conv2d(4, 4, 3, 2, padding=2, dilation=2)), GRID),
    ("Conv2d with groups", lambda: maps(nn.Conv2d(4, 4, 3, groups=2)), GRID),
    ("Conv2d, padding=\"same\" of even kernels", lambda: maps(nn.Conv2d(4, 4, 2, padding="same")), GRID),
    ("ConvTranspose2d", lambda: maps(nn.ConvTranspose2d(4, 4, 2, 2)), GRID),
    ("Conv3d", lambda: nn.Sequential(nn.Conv3d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)), (2, 4, 4, 4)),
    ("LeakyReLU", lambda: signed(nn.LeakyReLU(0.1)), GRID),
    ("PReLU", lambda: signed(nn.PReLU(4)), GRID),
    ("ReLU6", lambda: signed(nn.ReLU6()), GRID),
    ("Hardtanh, clamp", lambda: signed(nn.Hardtanh()), GRID),
    ("Hardsigmoid", lambda: signed(nn.Hardsigmoid()), GRID),
    ("abs", lambda: signed(Call(torch.abs)), GRID),
    ("Sigmoid between layers", lambda: rows(nn.Sigmoid()), ROW),
    ("Tanh", lambda: rows(nn.Tanh()), ROW),
    ("GELU", lambda: rows(nn.GELU()), ROW),
    ("SiLU", lambda: rows(nn.SiLU()), ROW),
    ("ELU", lambda: rows(nn.ELU()), ROW),
    ("Softplus", lambda: rows(nn.Softplus()), ROW),
    ("Softmax, LogSoftmax at the end", lambda: nn.Sequential(*rows(nn.ReLU()), nn.LogSoftmax(1)), ROW),
    ("Softmax between layers", lambda: rows(nn.Softmax(1)), ROW),
    ("MaxPool2d", lambda: maps(nn.MaxPool2d(2)), GRID),
    ("MaxPool2d with padding, of what is not negative", lambda: maps(nn.MaxPool2d(3, 2, padding=1)), GRID),
    ("MaxPool2d with padding, of what may be negative", lambda: signed(nn.MaxPool2d(3, 2, padding=1)), GRID),
    ("AdaptiveMaxPool2d", lambda: maps(nn.AdaptiveMaxPool2d(2)), GRID),
    ("AvgPool2d", lambda: maps(nn.AvgPool2d(2)), GRID),
    ("AvgPool2d with ceil_mode", lambda: maps(nn.AvgPool2d(4, 4, ceil_mode=True)), GRID),
    ("AdaptiveAvgPool2d", lambda: maps(nn.AdaptiveAvgPool2d(1)), GRID),
    ("BatchNorm behind a layer", lambda: signed(nn.Sequential(nn.BatchNorm2d(4), nn.ReLU())), GRID),
    ("BatchNorm behind ReLU or pooling", lambda: maps(nn.BatchNorm2d(4)), GRID),
    ("BatchNorm of the input", lambda: nn.Sequential(nn.BatchNorm1d(12), *rows(nn.ReLU())), ROW),
    ("LayerNorm", lambda: rows(nn.LayerNorm(8)), ROW),
    ("InstanceNorm with running statistics", lambda: maps(nn.InstanceNorm2d(4, track_running_stats=True)), GRID),
    ("GroupNorm, InstanceNorm", lambda: maps(nn.GroupNorm(2, 4)), GRID),
    ("Dropout, Identity", lambda: rows(nn.Sequential(nn.Dropout(), nn.ReLU())), ROW),
    ("Flatten, reshape, view", lambda: nn.Sequential(Call(lambda x: x.view(x.size(0), -1)), *rows(nn.ReLU())), (3, 4)),
    ("Unflatten", lambda: nn.Sequential(nn.Unflatten(1, (2, 6)), nn.Flatten(), *rows(nn.ReLU())), ROW),
    ("ZeroPad2d", lambda: maps(nn.ZeroPad2d((1, 2, 0, 1))), GRID),
    ("ConstantPad2d, not of zeros", lambda: maps(nn.ConstantPad2d(1, 0.5)), GRID),
    ("ReflectionPad2d", lambda: maps(nn.ReflectionPad2d(1)), GRID),
    ("Upsample", lambda: maps(nn.Upsample(scale_factor=2)), GRID),
    ("PixelShuffle", lambda: maps(nn.PixelShuffle(2)), GRID),
    ("permute, transpose", lambda: maps(Call(lambda x: x.permute(0, 2, 3, 1))), GRID),
    ("sum of branches", lambda: maps(Sum(lambda a, b: torch.relu(a + b))), GRID),
    ("sum of parts of different shapes", lambda: maps(Call(lambda x: x - x.mean((2, 3), keepdim=True))), GRID),
    ("cat", lambda: maps(Sum(lambda a, b: torch.cat([a, b], 1))), GRID),
    ("maximum, minimum of branches", lambda: maps(Sum(torch.maximum)), GRID),
    ("maximum over an axis", lambda: maps(Call(lambda x: x.amax(1))), GRID),
    ("product of branches", lambda: maps(Sum(lambda a, b: a * torch.sigmoid(b))), GRID),
    ("sum with zeros_like, ones_like, …", lambda: maps(Call(lambda x: x + 0.5 * torch.ones_like(x))), GRID),
    ("product with a number", lambda: maps(Call(lambda x: x * 0.5)), GRID),
    ("normalisation within the model", lambda: nn.Sequential(Call(lambda x: (x - MEAN) / STD), *maps(nn.ReLU())), GRID),
    ("mean over positions", lambda: maps(Call(lambda x: x.mean((2, 3)))), GRID),
    ("RNN, LSTM, GRU", lambda: maps(First(nn.LSTM(36, 8))), GRID),
    ("MultiheadAttention", lambda: maps(First(nn.MultiheadAttention(36, 2))), GRID),
)  # fmt: skip


def _made(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> tuple[nn.Module, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, x = build(), torch.rand(_IMAGES, *shape)
        model(x)  # lazy layers take their sizes
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in model.named_buffers():
            if "running" in name:
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    return model.eval(), x


def _apart(a: Any, b: Any) -> float:
    a, b = torch.as_tensor(a).double().flatten(1), torch.as_tensor(b).double().flatten(1)
    return float((a - b).abs().max() / b.abs().max()) if a.shape == b.shape else float("inf")


def _converted(model: nn.Module, x: Tensor, y: Tensor) -> tuple[str, ns.SpikingNetwork | None]:
    try:
        network = ns.convert(model, x, recipe="max")
    except NeurosleepError:
        return "no", None
    shown = torch.as_tensor(ns.simulate(network, x, _LONG).read_out)
    long = _apart(shown[-1] / _LONG, y)
    if long < _EXACT:
        return "exact", network
    if any("largest stays the largest" in note for note in network.report.notes):
        same = bool((shown[-1].argmax(1) == y.argmax(1)).all())
        return ("left out" if same else "wrong"), network
    short = _apart(shown[_SHORT - 1] / _SHORT, y)
    return ("to 1/T" if long < _CLOSE and long < short / 3 else "wrong"), network


def _sleeps(model: nn.Module, x: Tensor) -> str:
    for form in ("spikes", "rates"):
        stages = [ns.NREM(form=form, draws=200)] if form == "rates" else [ns.NREM(form=form)]
        try:
            done = ns.consolidate(model, x.mean(0), guard=False, sleep=ns.Sleep(stages=stages))
        except NeurosleepError:
            continue
        changed = any(not torch.equal(a, b) for a, b in zip(model.parameters(), done.model.parameters(), strict=True))
        if done.status == "done" and changed:
            return form
    return "no"


def _onnx_in(model: nn.Module, x: Tensor, y: Tensor, folder: Path) -> str:
    path = folder / "theirs.onnx"
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            torch.onnx.export(model, (x,), path, dynamo=False, dynamic_axes={"x": {0: "n"}}, input_names=["x"])
    except Exception:  # torch's exporter has errors of many kinds for what ONNX does not have
        return "-"
    try:
        read = ns.load(path)
    except NeurosleepError:
        return "no"
    assert isinstance(read, nn.Module)
    return "exact" if _apart(read(x).detach(), y) < _EXACT else "wrong"


def _onnx_out(model: nn.Module, x: Tensor, y: Tensor, folder: Path) -> str:
    import onnxruntime

    path = folder / "ours.onnx"
    try:
        ns.save(model, path, input_shape=tuple(x.shape[1:]))
    except NeurosleepError:
        return "no"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (made,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    return "exact" if _apart(made, y) < _EXACT else "wrong"


def _through(network: ns.SpikingNetwork | None, x: Tensor, there_and_back: Callable[[Any], Any]) -> str:
    """What is left of a converted network's spikes on the way to another tool and back."""
    if network is None:
        return "-"
    try:
        again = there_and_back(network)
    except NeurosleepError:
        return "no"
    before, after = (torch.as_tensor(ns.simulate(one, x, 50).read_out[-1]) for one in (network, again))
    return "exact" if _apart(after, before) < _EXACT else "wrong"


def probe(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> list[str]:
    """The cells of one row."""
    model, x = _made(build, shape)
    with warnings.catch_warnings(), torch.no_grad(), tempfile.TemporaryDirectory() as room:
        warnings.simplefilter("ignore")
        y, folder = model(x), Path(room)
        converted, network = _converted(model, x, y)
        return [
            converted,
            _sleeps(model, x),
            _onnx_in(model, x, y, folder),
            _onnx_out(model, x, y, folder),
            _through(network, x, lambda one: ns.load(ns.save(one, folder / "network.nir"))),
            _through(network, x, lambda one: from_snntorch(to_snntorch(one))),
            _through(network, x, lambda one: from_norse(to_norse(one), one.inputs[0].shape)),
        ]


def matrix() -> str:
    """All rows, as a table of Markdown."""
    lines = [f"| layer or operation | {' | '.join(COLUMNS)} |", "| --- |" + " --- |" * len(COLUMNS)]
    for name, build, shape in PROBES:
        lines.append(f"| {name} | {' | '.join(probe(build, shape))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(matrix())
