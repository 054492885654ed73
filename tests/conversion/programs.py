"""Random torch programs, line by line: what converts and what does not, in any order, of shapes that fit."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Do = Callable[..., Any]
# A line: what it says, what it does with the model and the values before it, the numbers of these.
Line = tuple[str, Do, tuple[int, ...]]


class Program(nn.Module):
    """Lines that are followed one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Line] = []
        self.layers, self.weights = nn.ModuleDict(), nn.ParameterDict()
        self.register_buffer("grid", torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8))

    def forward(self, x: Tensor) -> Any:
        values = [x]
        for _, do, places in self.lines:
            values.append(do(self, *(values[place] for place in places)))
        return values[-1]

    def __repr__(self) -> str:
        return "\n".join(
            f"v{k + 1} = {said}({', '.join(f'v{i}' for i in at)})" for k, (said, _, at) in enumerate(self.lines)
        )


def channels(x: Tensor) -> int:
    return x.shape[1]


# Layers, of a random generator and the shape before.
_IMAGES: list[Callable[[random.Random, Tensor], nn.Module]] = [
    lambda r, x: nn.Conv2d(channels(x), r.choice([2, 4]), r.choice([1, 2, 3]), r.choice([1, 2]), r.choice([0, 1])),
    lambda r, x: nn.Conv2d(channels(x), 4, r.choice([2, 3]), padding="same", dilation=r.choice([1, 2])),
    lambda r, x: nn.Conv2d(channels(x), 4, 3, padding=1, padding_mode=r.choice(["reflect", "replicate", "circular"])),
    lambda r, x: nn.Conv2d(channels(x), channels(x), 3, padding=1, groups=channels(x), bias=r.random() < 0.5),
    lambda r, x: nn.BatchNorm2d(channels(x)),
    lambda r, x: nn.MaxPool2d(r.choice([2, 3]), r.choice([None, 1, 2]), r.choice([0, 1]), ceil_mode=r.random() < 0.5),
    lambda r, x: nn.MaxPool2d(2, dilation=2),
    lambda r, x: nn.AvgPool2d(
        r.choice([2, 3]), r.choice([None, 1, 2]), r.choice([0, 1]), r.random() < 0.5, r.random() < 0.5
    ),
    lambda r, x: nn.AdaptiveAvgPool2d(r.choice([1, 2, 3, (None, 1)])),
    lambda r, x: nn.AdaptiveMaxPool2d(r.choice([1, 2, 3])),
    lambda r, x: nn.Upsample(scale_factor=2, mode=r.choice(["nearest", "bilinear", "bicubic"])),
    lambda r, x: nn.ZeroPad2d(r.choice([1, (0, 1, 2, 0), (-1, 0, 1, 1)])),
    lambda r, x: nn.ConstantPad2d(1, r.choice([0.0, 0.5])),
    lambda r, x: nn.ReflectionPad2d(1),
    lambda r, x: nn.PixelUnshuffle(2),
    lambda r, x: nn.PixelShuffle(2),
    lambda r, x: nn.ChannelShuffle(2),
    lambda r, x: nn.PReLU(channels(x)),
    lambda r, x: nn.Dropout2d(),
]
_IMAGES_REFUSED: list[Callable[[random.Random, Tensor], nn.Module]] = [
    lambda r, x: nn.InstanceNorm2d(channels(x)),
    lambda r, x: nn.GroupNorm(1, channels(x)),
    lambda r, x: nn.LocalResponseNorm(2),
    lambda r, x: nn.ConvTranspose2d(channels(x), 3, 2, 2),
    lambda r, x: nn.LPPool2d(2, 2),
    lambda r, x: nn.FractionalMaxPool2d(2, output_size=2),
    lambda r, x: nn.Softmax2d(),
]
_FLAT: list[Callable[[random.Random, Tensor], nn.Module]] = [
    lambda r, x: nn.Linear(x.shape[1], r.choice([3, 6]), bias=r.random() < 0.7),
    lambda r, x: nn.Linear(x.shape[1], 6),
    lambda r, x: nn.BatchNorm1d(x.shape[1]),
    lambda r, x: nn.LayerNorm(x.shape[1]),
    lambda r, x: nn.Unflatten(1, (2, -1)),
    lambda r, x: nn.GLU(1),
]
_LINES: list[Callable[[random.Random, Tensor], nn.Module]] = [
    lambda r, x: nn.Conv1d(x.shape[1], 3, r.choice([1, 3]), r.choice([1, 2]), r.choice([0, 1])),
    lambda r, x: nn.MaxPool1d(2),
    lambda r, x: nn.AvgPool1d(2, ceil_mode=r.random() < 0.5),
    lambda r, x: nn.AdaptiveAvgPool1d(2),
    lambda r, x: nn.BatchNorm1d(x.shape[1]),
    lambda r, x: nn.Linear(x.shape[-1], 4),
    lambda r, x: nn.Upsample(scale_factor=2),
]
_ANY: list[Callable[[random.Random, Tensor], nn.Module]] = [
    *(
        lambda r, x, kind=kind: kind()
        for kind in (nn.ReLU, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Hardtanh, nn.Hardsigmoid)
    ),
    *(lambda r, x, kind=kind: kind() for kind in (nn.Identity, nn.Dropout, nn.Flatten)),
    lambda r, x: nn.Hardtanh(0.0, 0.4),
    lambda r, x: nn.ReLU(inplace=True),
]
_ANY_REFUSED: list[Callable[[random.Random, Tensor], nn.Module]] = [
    *(lambda r, x, kind=kind: kind() for kind in (nn.SiLU, nn.ELU, nn.Hardswish, nn.Softplus, nn.Softsign)),
    *(lambda r, x, kind=kind: kind() for kind in (nn.Sigmoid, nn.Tanh, nn.GELU, nn.Hardshrink)),
    lambda r, x: nn.Threshold(0.1, 0.0),
    lambda r, x: nn.Softmax(-1),
]
#: Functions that a random convolutional network has.
TAKEN = (
    *("relu", "relu6", "clamp", "clamp min", "clamp_max_", "leaky", "abs", "neg", "scaled", "1 - x", "flatten", "view"),
    *("amax of an image", "mean of an image", "mean kept", "first", "rows", "part", "chunks", "split", "unbound"),
    *("flip", "roll", "pad", "reflected", "tile", "interpolate", "max_pool", "avg_pool", "adaptive", "detach"),
    *("a tensor", "add", "iadd", "sub", "cat", "stack", "maximum", "minimum", "loop", "if image"),
)


def _if_wide(m: Any, x: Tensor) -> Tensor:
    if x.shape[1] > 2:
        return x + 1
    return -x


def _if_image(m: Any, x: Tensor) -> Tensor:
    assert len(x) > 0, f"a batch of {x.shape}"
    return x.unsqueeze(0) if x.dim() == 1 else x * 0.5


def _loop(m: Any, x: Tensor) -> Tensor:
    for _ in range(int(x.size(-1)) % 3):
        x = x * 0.5 + 0.1
    return x


def _if_bright(m: Any, x: Tensor) -> Tensor:
    return x if x.sum() > 0 else -x


def _write(m: Any, x: Tensor) -> Tensor:
    x[:, 0] = 0
    return x


def _aliased(m: Any, x: Tensor) -> Tensor:
    y = x.flatten(1)
    y += 1
    return x


# Functions of one value.
_ONE: dict[str, Do] = {
    "relu": lambda m, x: F.relu(x),
    "relu of a layer": lambda m, x: torch.relu(x),
    "relu_": lambda m, x: x.clone().relu_(),
    "in place": lambda m, x: x.add_(0.5),
    "written": _write,
    "aliased": _aliased,
    "relu6": lambda m, x: F.relu6(x),
    "clamp": lambda m, x: x.clamp(-0.3, 0.4),
    "clamp min": lambda m, x: torch.clamp(x, min=0.1),
    "clamp_max_": lambda m, x: torch.clamp_max(x, 0.3),
    "leaky": lambda m, x: F.leaky_relu(x, 0.2),
    "abs": lambda m, x: x.abs(),
    "neg": lambda m, x: -x,
    "scaled": lambda m, x: (x - 0.5) / 0.25,
    "1 - x": lambda m, x: 1 - x,
    "2 / x": lambda m, x: 2 / (x.abs() + 1),
    "floor": lambda m, x: x // 1,
    "square": lambda m, x: x**2,
    "x * x": lambda m, x: x * x,
    "sqrt": lambda m, x: (x.abs() + 1).sqrt(),
    "exp": lambda m, x: torch.exp(x.clamp(max=1)),
    "sigmoid": lambda m, x: x.sigmoid(),
    "sign": lambda m, x: torch.sign(x),
    "round": lambda m, x: torch.round(x),
    "greater": lambda m, x: (x > 0).float(),
    "where": lambda m, x: torch.where(x > 0, x, 0.0),
    "masked": lambda m, x: x.masked_fill(x < 0, 0.0),
    "cumsum": lambda m, x: x.cumsum(1),
    "sorted": lambda m, x: x.sort(1)[0],
    "top": lambda m, x: x.topk(1, 1).values,
    "argmax": lambda m, x: x.argmax(1).float(),
    "max": lambda m, x: x.max(1)[0],
    "maxima": lambda m, x: torch.max(x, dim=-1, keepdim=True).values,
    "amax": lambda m, x: x.amax((-1,)),
    "amax of an image": lambda m, x: x.amax((2, 3)),
    "mean": lambda m, x: x.mean(1),
    "mean of an image": lambda m, x: x.mean((2, 3)),
    "mean kept": lambda m, x: x.mean([-1], keepdim=True),
    "mean of all": lambda m, x: x - x.mean(),
    "mean of the batch": lambda m, x: x - x.mean(0, keepdim=True),
    "sum": lambda m, x: torch.sum(x, dim=-1),
    "std": lambda m, x: x.std(1),
    "norm": lambda m, x: F.normalize(x),
    "softmax": lambda m, x: F.softmax(x, 1),
    "layer_norm": lambda m, x: F.layer_norm(x, x.shape[1:]),
    "flatten": lambda m, x: x.flatten(1),
    "view": lambda m, x: x.view(x.size(0), -1),
    "view of a batch": lambda m, x: x.reshape(-1, 2),
    "reshape": lambda m, x: x.reshape(x.shape[0], 2, -1),
    "flat": lambda m, x: torch.flatten(x, 1),
    "flat batch": lambda m, x: x.flatten(),
    "permute": lambda m, x: x.permute(0, 2, 3, 1),
    "transpose": lambda m, x: x.transpose(1, -1),
    "contiguous": lambda m, x: x.transpose(1, 2).contiguous(),
    "of the batch": lambda m, x: x.transpose(0, 1),
    "unsqueeze": lambda m, x: x.unsqueeze(1),
    "squeeze": lambda m, x: x.squeeze(1),
    "first": lambda m, x: x[:, 0],
    "rows": lambda m, x: x[..., 1::2],
    "part": lambda m, x: x[:, :, 1:-1],
    "images": lambda m, x: x[:1],
    "chunks": lambda m, x: (lambda a, b: a - b)(*x.chunk(2, 1)),
    "split": lambda m, x: x.split(1, dim=1)[0],
    "unbound": lambda m, x: x.unbind(1)[-1],
    "flip": lambda m, x: x.flip(-1),
    "roll": lambda m, x: torch.roll(x, 1, -1),
    "pad": lambda m, x: F.pad(x, (1, 0)),
    "pad with ones": lambda m, x: F.pad(x, (0, 1), value=1.0),
    "reflected": lambda m, x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "tile": lambda m, x: x.repeat(1, 2, *(1,) * (x.dim() - 2)),
    "expand": lambda m, x: x[:, :1].expand(-1, 3, *x.shape[2:]),
    "interpolate": lambda m, x: F.interpolate(x, scale_factor=2, mode="nearest"),
    "max_pool": lambda m, x: F.max_pool2d(x, 2),
    "indices": lambda m, x: F.max_pool2d(x, 2, return_indices=True)[0],
    "avg_pool": lambda m, x: F.avg_pool2d(x, 2, 1),
    "adaptive": lambda m, x: F.adaptive_avg_pool2d(x, (1, 1)),
    "unfold": lambda m, x: F.unfold(x, 2),
    "double": lambda m, x: x.double().to(x.dtype),
    "half": lambda m, x: x.half().to(x.dtype),
    "integer": lambda m, x: x.long().to(x.dtype),
    "detach": lambda m, x: x.detach(),
    "dropout": lambda m, x: F.dropout(x, training=m.training),
    "noise": lambda m, x: x + torch.rand_like(x),
    "always dropped": lambda m, x: F.dropout(x),
    "zeros": lambda m, x: torch.zeros_like(x) + x,
    "a new tensor": lambda m, x: x + torch.ones(x.shape[-1]),
    "ones": lambda m, x: x + x.new_ones(x.size(0), 1).reshape(-1, *(1,) * (x.dim() - 1)),
    "a tensor": lambda m, x: x * torch.tensor(0.5),
    "buffer": lambda m, x: x + m.grid,
    "times a buffer": lambda m, x: x * m.grid,
    "range": lambda m, x: x * torch.arange(x.shape[-1]),
    "item": lambda m, x: x * x.sum().item(),
    "numpy": lambda m, x: x * float(x.detach().numpy().max()),
    "nonzero": lambda m, x: x[x > 0].sum() + x,
    "if wide": _if_wide,
    "if image": _if_image,
    "loop": _loop,
    "if bright": _if_bright,
    "einsum": lambda m, x: torch.einsum("bi,bj->bij", x, x),
    "gram": lambda m, x: torch.bmm(x, x.transpose(1, 2)),
    "complex": lambda m, x: torch.fft.fft(x).real,
    "dict": lambda m, x: {"x": x}["x"],
}  # fmt: skip
# Functions of two values.
_TWO: dict[str, Do] = {
    "add": lambda m, x, y: x + y,
    "iadd": lambda m, x, y: torch.clone(x).add_(y, alpha=0.5),
    "sub": lambda m, x, y: torch.sub(x, y, alpha=2),
    "mul": lambda m, x, y: x * y,
    "div": lambda m, x, y: x / (y.abs() + 1),
    "cat": lambda m, x, y: torch.cat([x, y], 1),
    "cat of the batch": lambda m, x, y: torch.cat([x, y])[: len(x)],
    "stack": lambda m, x, y: torch.stack([x, y], 1),
    "maximum": lambda m, x, y: torch.maximum(x, y),
    "minimum": lambda m, x, y: torch.minimum(x, y),
    "larger": lambda m, x, y: torch.max(x, y),
    "where": lambda m, x, y: torch.where(x > y, x, y),
    "lerp": lambda m, x, y: torch.lerp(x, y, 0.25),
    "addcmul": lambda m, x, y: torch.addcmul(x, y, y),
    "two results": lambda m, x, y: (x, y),
}


def _line(program: Program, r: random.Random, values: list[Any], refused: bool) -> Line | None:
    tensors = [k for k, value in enumerate(values) if isinstance(value, Tensor)]
    place = r.choice(tensors[-3:])
    x, what, name = values[place], r.random(), str(len(program.lines))
    if what < 0.45:
        of_shape = {2: _FLAT, 3: _LINES, 4: _IMAGES + _IMAGES_REFUSED * refused}.get(x.ndim, _ANY)
        layer = r.choice(_ANY + _ANY_REFUSED * refused if r.random() < 0.35 else of_shape)(r, x)
        program.layers[name] = layer
        return repr(layer), lambda m, x: m.layers[name](x), (place,)
    if what < 0.55 and x.ndim in (2, 3, 4):
        size = {2: (4, x.shape[1]), 3: (4, x.shape[1], 2), 4: (4, x.shape[1], 2, 2)}[x.ndim]
        program.weights[name] = nn.Parameter(0.3 * torch.randn(size))
        do: Do = {2: F.linear, 3: F.conv1d, 4: F.conv2d}[x.ndim]
        if x.ndim == 2 and r.random() < 0.3:
            return "@", lambda m, x: x @ m.weights[name].T, (place,)
        return do.__name__, lambda m, x: do(x, m.weights[name]), (place,)
    key = r.choice([name for name in (_TWO if what < 0.68 else _ONE) if refused or name in TAKEN])
    return (key, _TWO[key], (place, r.choice(tensors))) if what < 0.68 else (key, _ONE[key], (place,))


@torch.no_grad()
def program(seed: int, refused: bool = True) -> tuple[Program, Tensor]:
    """A random program and its images; with ``refused``, of lines that do not convert too."""
    torch.manual_seed(seed)
    r, made = random.Random(seed), Program().eval()
    x = torch.rand(3, *r.choice([(3, 8, 8), (3, 8, 8), (4, 6, 6), *([(4, 9), (12,)] if refused else [])]))
    values: list[Any] = [x]
    wanted = r.randint(2, 8)
    for _ in range(60):
        if len(made.lines) == wanted:
            break
        name = str(len(made.lines))
        try:
            line = _line(made, r, values, refused)
            assert line is not None
            made.eval().lines.append(line)
            value = made(x.clone())
            fits = isinstance(value, tuple) or (value.numel() < 2000 and bool(value.isfinite().all()))
        except Exception:  # shapes that do not fit: another line
            fits, value = False, None
        if fits:
            values.append(value)
            continue
        if name in made.layers:
            del made.layers[name]
        made.lines = made.lines[: len(values) - 1]
    if isinstance(values[-1], Tensor) and len(values[-1]) == 3 and (not refused or r.random() < 0.7):
        made.layers["last"] = nn.Linear(values[-1][0].numel(), 3)
        made.lines.append(("Linear", lambda m, x: m.layers["last"](x.reshape(x.shape[0], -1)), (len(values) - 1,)))
    for layer in made.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            nn.init.uniform_(layer.running_mean, -0.3, 0.3)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
    return made.eval(), x
