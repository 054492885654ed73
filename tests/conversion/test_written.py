# ruff: noqa: E501
"""Ways in which people write a model: each converts to what it computes, or is refused by name with what would do."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.conversion import wake
from neurosleep.conversion._trace import trace
from neurosleep.conversion._verify import computed
from neurosleep.errors import ConversionError

models = pytest.importorskip("torchvision.models")
ops = pytest.importorskip("torchvision.ops")
transforms = pytest.importorskip("torchvision.transforms")


class Written(nn.Module):
    """Layers ``l``, what else is named, and a forward pass of its own."""

    def __init__(self, do: Callable[[Any, Tensor], Any], *layers: nn.Module, **named: Any) -> None:
        super().__init__()
        self.l, self._do = nn.ModuleList(layers), do
        for name, value in named.items():
            setattr(self, name, value)

    def forward(self, x: Tensor) -> Any:
        return self._do(self, x)


class Block(nn.Sequential):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(True))


class Around(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + super().forward(x))


class Options(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 5)

    def forward(self, x: Tensor, mask: Tensor | None = None, features: bool = False) -> Any:
        h = F.relu(self.a(x))
        h = h if mask is None else h * mask
        return (self.b(h), h) if features else self.b(h)


class Anything(Options):
    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        assert torch.is_tensor(x) and isinstance(x, Tensor), "a tensor"
        return self.b(F.relu(self.a(x)))


def c(inputs: int = 3, outputs: int = 4, kernel: int = 3, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, **options)


def p(*shape: int) -> nn.Parameter:
    return nn.Parameter(0.3 * torch.randn(*shape))


def h(inputs: int = 144) -> tuple[nn.Module, nn.Module]:
    return nn.Flatten(), nn.Linear(inputs, 5)


def loop(m: Any, x: Tensor) -> Tensor:
    for number, layer in enumerate(m.l):
        x = layer(x)
        if number < len(m.l) - 1:
            x = F.relu(x)
    return x


def zipped(m: Any, x: Tensor) -> Tensor:
    for layer, norm in zip(m.l, m.norms, strict=True):
        x = F.relu(norm(layer(x)))
    return m.out(x)


def unpacked(m: Any, x: Tensor) -> Tensor:
    x = F.relu(m.l[0](x))
    b, channels, height, width = x.shape
    return m.l[1](x.view(b, channels * height * width))


def end(m: Any, x: Tensor) -> Tensor:
    return m.l[-1](F.relu(x).flatten(1))


S, L, W = nn.Sequential, nn.Linear, Written
GRID, ROW, LINE, SEQ = (3, 8, 8), (6,), (3, 16), (5, 6)
ACTS: list[Any] = [
    F.relu_,
    torch.relu_,
    lambda x: F.relu(x, inplace=True),
    lambda x: x.relu_(),
    lambda x: x.clamp(0),
    lambda x: F.threshold(x, 0, 0),
]
torch.manual_seed(0)
# fmt: off
MODELS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
# Sizes and constants
"ConstantPad2d(0)": (S(nn.ConstantPad2d(1, 0), c(), nn.ReLU(), *h(256)), GRID),
"ConstantPad2d(0.5)": (S(c(), nn.ReLU(), nn.ConstantPad2d(1, 0.5), c(4), nn.ReLU(), *h()), GRID),
"ConstantPad1d": (S(nn.ConstantPad1d((0, 2), 0), nn.Conv1d(3, 4, 3), nn.ReLU(), *h(64)), LINE),
"ZeroPad1d": (S(nn.ZeroPad1d(2), nn.Conv1d(3, 4, 3), nn.ReLU(), *h(72)), LINE),
"ZeroPad3d": (S(nn.ZeroPad3d(1), *h(432)), (2, 4, 4, 4)),
"F.pad(value=)": (W(lambda m, x: end(m, m.l[0](F.pad(x, (1, 1, 1, 1), value=0.3))), c(), L(256, 5)), GRID),
"bias (C, 1, 1)": (W(lambda m, x: end(m, m.l[0](x) + m.b), c(bias=False), L(144, 5), b=p(4, 1, 1)), GRID),
"bias (1,)": (W(lambda m, x: end(m, m.l[0](x) + m.b), c(bias=False), L(144, 5), b=p(1)), GRID),
"bias[None, :, None, None]": (W(lambda m, x: end(m, m.l[0](x) + m.b[None, :, None, None]), c(bias=False), L(144, 5), b=p(4)), GRID),
"factor and bias by hand": (W(lambda m, x: end(m, m.l[0](x) * m.g + m.b.view(1, -1, 1, 1)), c(bias=False), L(144, 5), g=p(4, 1, 1), b=p(4)), GRID),
"zeros": (W(lambda m, x: end(m, m.l[0](x) + torch.zeros(4, 6, 6)), c(), L(144, 5)), GRID),
"zeros of as many images": (W(lambda m, x: end(m, m.l[0](x) + torch.zeros(x.shape[0], 4, 6, 6)), c(), L(144, 5)), GRID),
"cat with zeros": (W(lambda m, x: end(m, torch.cat([m.l[0](x), torch.zeros(x.size(0), 2, 6, 6)], 1)), c(), L(216, 5)), GRID),
"cat with ones_like": (W(lambda m, x: end(m, m.l[0](torch.cat([x, torch.ones_like(x[:, :1])], 1))), c(4), L(144, 5)), GRID),
"cat with coordinates": (W(lambda m, x: end(m, m.l[0](torch.cat([x, m.g.expand(x.shape[0], -1, -1, -1)], 1))), c(4), L(144, 5), g=nn.Parameter(torch.rand(1, 1, 8, 8), False)), GRID),
"zeros_like": (W(lambda m, x: m.l[1](torch.maximum(y := m.l[0](x), torch.zeros_like(y)).flatten(1)), c(), L(144, 5)), GRID),
"ones_like": (W(lambda m, x: end(m, (y := m.l[0](x)) + 0.5 * torch.ones_like(y)), c(), L(144, 5)), GRID),
"new_zeros": (W(lambda m, x: end(m, m.l[0](x) + x.new_zeros(4, 1, 1)), c(), L(144, 5)), GRID),
"new_full": (W(lambda m, x: end(m, m.l[0](x) + x.new_full((len(x), 4, 6, 6), 0.2)), c(), L(144, 5)), GRID),
"full": (W(lambda m, x: end(m, m.l[0](x) - torch.full((4, 1, 1), 0.1)), c(), L(144, 5)), GRID),
"1 - x": (W(lambda m, x: end(m, 1 - m.l[0](x)), c(), L(144, 5)), GRID),
"rsub": (W(lambda m, x: end(m, torch.rsub(m.l[0](x), 1)), c(), L(144, 5)), GRID),
"x * 0.5": (W(lambda m, x: end(m, m.l[0](x) * 0.5), c(), L(144, 5)), GRID),
"x * 0": (W(lambda m, x: end(m, m.l[0](x) + 0 * F.relu(m.l[0](x + 1))), c(), L(144, 5)), GRID),
"x / size": (W(lambda m, x: end(m, m.l[0](x) / x.shape[-1]), c(), L(144, 5)), GRID),
"avg_pool2d(x.shape[2:])": (W(lambda m, x: end(m, F.avg_pool2d(y := F.relu(m.l[0](x)), y.shape[2:])), c(), L(4, 5)), GRID),
"avg_pool2d(x.size(-1))": (W(lambda m, x: end(m, F.avg_pool2d(y := F.relu(m.l[0](x)), y.size(-1))), c(), L(4, 5)), GRID),
"max_pool2d(x.size()[2:])": (W(lambda m, x: end(m, F.max_pool2d(y := F.relu(m.l[0](x)), y.size()[2:])), c(), L(4, 5)), GRID),
"adaptive_max_pool2d": (W(lambda m, x: end(m, F.adaptive_max_pool2d(F.relu(m.l[0](x)), 1)), c(), L(4, 5)), GRID),
"AdaptiveAvgPool2d(3)": (S(c(), nn.ReLU(), nn.AdaptiveAvgPool2d(3), *h(36)), GRID),
"AdaptiveAvgPool2d((None, 1))": (S(c(), nn.ReLU(), nn.AdaptiveAvgPool2d((None, 1)), *h(24)), GRID),
# Sums of branches of different shapes
"x - x.mean(keepdim)": (W(lambda m, x: end(m, (y := F.relu(m.l[0](x))) - y.mean((2, 3), keepdim=True)), c(), L(144, 5)), GRID),
"grid + channel of another branch": (W(lambda m, x: end(m, m.l[0](x) + m.l[1](x)), c(), c(3, 1), L(144, 5)), GRID),
"grid + reshaped row": (W(lambda m, x: end(m, m.l[0](x) + m.l[1](x.flatten(1)).view(-1, 4, 6, 6)), c(), L(192, 144), L(144, 5)), GRID),
"row + (B, 1), alpha": (W(lambda m, x: end(m, torch.sub(m.l[0](x), m.l[1](x), alpha=0.5)), L(6, 8), L(6, 1), L(8, 5)), ROW),
"dueling": (W(lambda m, x: m.l[1](y := F.relu(m.l[0](x))) + (a := m.l[2](y)) - a.mean(1, keepdim=True), L(6, 8), L(8, 1), L(8, 5)), ROW),
"ensemble": (W(lambda m, x: torch.stack([layer(x) for layer in m.l]).mean(0), S(L(6, 8), nn.ReLU(), L(8, 5)), S(L(6, 8), nn.ReLU(), L(8, 5))), ROW),
"stack().sum(0)": (W(lambda m, x: end(m, torch.stack([m.l[0](x), m.l[1](x)]).sum(0)), c(), c(), L(144, 5)), GRID),
"stack().amax(1)": (W(lambda m, x: end(m, torch.stack([m.l[0](x), m.l[1](x)], 1).amax(1)), c(), c(), L(144, 5)), GRID),
"sum([...])": (W(lambda m, x: end(m, sum([m.l[0](x), m.l[1](x)])), c(), c(), L(144, 5)), GRID),  # type: ignore[arg-type]
# Linear over the last of several axes
"Linear over a sequence": (S(L(6, 8), nn.ReLU(), *h(40)), SEQ),
"Linear over one line": (S(L(6, 8), nn.ReLU(), *h(8)), (1, 6)),
"Linear over rows of a grid": (S(L(8, 4), nn.ReLU(), *h(96)), GRID),
"Linear of channels last": (W(lambda m, x: end(m, m.l[1](F.relu(m.l[0](x)).permute(0, 2, 3, 1))), c(), L(4, 6), L(216, 5)), GRID),
"Linear twice, mean": (W(lambda m, x: m.l[2](F.relu(m.l[1](F.relu(m.l[0](x)))).mean(1)), L(6, 8), L(8, 7), L(7, 5)), SEQ),
"mixer": (W(lambda m, x: m.l[3]((y := m.l[0](x).flatten(2).mT) + m.l[2](F.relu(m.l[1](y.mT))).mT).mean(1), nn.Conv2d(3, 6, 4, 4), L(4, 8), L(8, 4), L(6, 5)), GRID),
"F.linear over a sequence": (W(lambda m, x: end(m, F.linear(x, m.w)), L(40, 5), w=p(8, 6)), SEQ),
"x @ w over a sequence": (W(lambda m, x: end(m, x @ m.w), L(40, 5), w=p(6, 8)), SEQ),
"patches": (W(lambda m, x: end(m, m.l[0](F.unfold(x, 2, stride=2).transpose(1, 2))), L(12, 4), L(64, 5)), GRID),
# Maxima
"max(dim)[0]": (W(lambda m, x: m.l[1](F.relu(m.l[0](x)).flatten(2).max(2)[0]), c(), L(4, 5)), GRID),
"max(dim).values": (W(lambda m, x: m.l[1](F.relu(m.l[0](x)).flatten(2).max(2).values), c(), L(4, 5)), GRID),
"maximum over channels": (W(lambda m, x: m.l[1](m.l[0](x).amax(1).flatten(1)), c(), L(36, 5)), GRID),
"maxout": (W(lambda m, x: m.l[1](m.l[0](x).view(-1, 4, 2).max(2)[0]), L(6, 8), L(4, 5)), ROW),
"max(a, b)": (W(lambda m, x: m.l[2](torch.max(m.l[0](x), m.l[1](x)).flatten(1)), c(), c(), L(144, 5)), GRID),
"min(a, b)": (W(lambda m, x: m.l[2](torch.min(m.l[0](x), m.l[1](x)).flatten(1)), c(), c(), L(144, 5)), GRID),
"maximum(x, number)": (W(lambda m, x: m.l[1](torch.maximum(m.l[0](x), torch.tensor(0.1)).flatten(1)), c(), L(144, 5)), GRID),
# Activities
**{f"rectified {k}": (W(lambda m, x, act=act: m.l[1](act(m.l[0](x)).flatten(1)), c(), L(144, 5)), GRID) for k, act in enumerate(ACTS)},  # type: ignore[misc]
"one ReLU in place twice": (W(lambda m, x: m.l[2](m.r((y := m.r(m.l[0](x))) + m.l[1](y)).flatten(1)), c(), c(4, padding=1), L(144, 5), r=nn.ReLU(True)), GRID),
"cat(x, -x)": (W(lambda m, x: end(m, torch.cat([y := m.l[0](x), -y], 1)), c(), L(288, 5)), GRID),
"Threshold": (S(c(), nn.Threshold(0.1, 0.1), *h()), GRID),
"Softshrink": (S(c(), nn.Softshrink(0.1), *h()), GRID),
"RReLU": (S(c(), nn.RReLU(), *h()), GRID),
# Layers that do nothing, or the same, in evaluation
"Identity, Dropout": (S(c(), nn.Identity(), nn.ReLU(), nn.Dropout(0.5), nn.Dropout2d(), *h()), GRID),
"F.dropout(training=)": (W(lambda m, x: m.l[1](F.dropout(F.relu(m.l[0](x)), 0.5, m.training).flatten(1)), c(), L(144, 5)), GRID),
"StochasticDepth": (W(lambda m, x: end(m, m.drop(m.l[0](x))), c(), L(144, 5), drop=ops.StochasticDepth(0.2, "row")), GRID),
"InstanceNorm2d with statistics": (S(c(), nn.InstanceNorm2d(4, affine=True, track_running_stats=True), nn.ReLU(), *h()), GRID),
"SyncBatchNorm": (S(c(), nn.SyncBatchNorm(4), nn.ReLU(), *h()), GRID),
"FrozenBatchNorm2d": (S(c(), ops.FrozenBatchNorm2d(4), nn.ReLU(), *h()), GRID),
"Normalize": (S(transforms.Normalize([0.4, 0.5, 0.6], [0.2, 0.3, 0.2]), c(padding=1), nn.ReLU(), *h(256)), GRID),
"Resize": (S(transforms.Resize(4), c(), nn.ReLU(), *h(16)), GRID),
"CenterCrop": (S(transforms.CenterCrop(6), c(), nn.ReLU(), *h(64)), GRID),
# How layers are kept and called
"subclass of Sequential": (S(Block(3, 4), Around(c(4, padding=1)), *h(256)), GRID),
"ModuleList": (W(loop, L(6, 8), L(8, 8), L(8, 5)), ROW),
"zip of ModuleLists": (W(zipped, L(6, 8), L(8, 8), norms=nn.ModuleList([nn.BatchNorm1d(8), nn.BatchNorm1d(8)]), out=L(8, 5)), ROW),
"ModuleDict": (W(lambda m, x: m.d["out"](F.relu(m.d["first"](x))), d=nn.ModuleDict({"first": L(6, 8), "out": L(8, 5)})), ROW),
"ParameterList": (W(lambda m, x: F.relu(x @ m.w[0]) @ m.w[1], w=nn.ParameterList([p(6, 8), p(8, 5)])), ROW),
"reshape(shape[0], -1)": (W(lambda m, x: m.l[1]((y := F.relu(m.l[0](x))).reshape(y.shape[0], -1)), c(), L(144, 5)), GRID),
"b, c, h, w = x.shape": (W(unpacked, c(), L(144, 5)), GRID),
"view(len(x), -1)": (W(lambda m, x: m.l[1](F.relu(m.l[0](x)).view(len(x), -1)), c(), L(144, 5)), GRID),
"chunk, cat": (W(lambda m, x: end(m, torch.cat(m.l[0](x).chunk(2, 1)[::-1], 1)), c(), L(144, 5)), GRID),
"split of sizes": (W(lambda m, x: end(m, (lambda a, b: torch.cat([b, a], 1))(*torch.split(m.l[0](x), [1, 3], 1))), c(), L(144, 5)), GRID),
"further arguments": (Options(), ROW),
"*args, **kwargs": (Anything(), ROW),
"one in a tuple": (W(lambda m, x: (m.l[1](F.relu(m.l[0](x))),), L(6, 8), L(8, 5)), ROW),
"logits": (W(lambda m, x: {"features": (y := F.relu(m.l[0](x))), "logits": m.l[1](y)}, L(6, 8), L(8, 5)), ROW),
}
# fmt: on


def ready(model: nn.Module) -> nn.Module:
    for layer in model.modules():
        if getattr(layer, "running_mean", None) is not None:
            nn.init.uniform_(layer.running_mean, -0.3, 0.3)  # type: ignore[arg-type]
            nn.init.uniform_(layer.running_var, 0.5, 2.0)  # type: ignore[arg-type]
    return model.eval()


def scores(answer: Any) -> Tensor:
    answer = answer["logits"] if isinstance(answer, dict) else answer
    return answer if isinstance(answer, Tensor) else answer[0]


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_it_converts_to_what_it_computes(name: str) -> None:
    torch.manual_seed(0)
    model, shape = MODELS[name]
    ready(model)
    before = copy.deepcopy(model.state_dict())
    images = torch.rand(3, *shape)
    expected = scores(model(images)).flatten(1)
    network = ns.convert(model, images, recipe="max")
    steps = 400
    reached = torch.as_tensor(ns.simulate(network, images, steps).read_out[-1]) / steps
    assert float((reached - expected).abs().max() / expected.abs().max()) < 0.02
    woken = wake(network, model)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]) and torch.equal(value, woken.state_dict()[key])
    double = copy.deepcopy(model).double()
    if "zeros" not in name and "tensor" not in name:  # which are of single precision
        expected, images, model = scores(double(images.double())).flatten(1), images.double(), double
    error = (computed(trace(model, images, check=False), images) - expected).abs().max() / expected.abs().max()
    assert float(error) < (1e-9 if model is double else 1e-5)
    assert expected.std() > 0


@torch.no_grad()
@pytest.mark.parametrize("single", [True, False])
def test_changed_weights_over_several_axes_are_woken(single: bool) -> None:
    torch.manual_seed(0)
    model = nn.Linear(6, 8) if single else nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Flatten(), nn.Linear(40, 3))
    layer = model if single else model[0]  # type: ignore[index]
    network = ns.convert(model, torch.rand(4, *SEQ))
    own = [k for k, weight in enumerate(network.weights) if tuple(weight.shape) == (8, 1, 6)]
    assert len(own) == 1
    changed = network.with_weights([2 * w if k in own else w for k, w in enumerate(network.weights)])
    woken = wake(changed, model)
    assert torch.equal((woken if single else woken[0]).weight, 2 * layer.weight)  # type: ignore[index]


# What it is, then what the words say that would do.
REFUSED: dict[str, tuple[nn.Module, str, str]] = {
    "Hardshrink": (nn.Hardshrink(), "Hardshrink", "Softshrink converts"),
    "Threshold with a jump": (nn.Threshold(0.1, 0), "Threshold.*jumps", "no jump"),
    "Tanhshrink": (nn.Tanhshrink(), "Tanhshrink", "ReLU"),
    "GLU": (nn.GLU(1), "GLU", "do not multiply"),
    "LPPool2d": (nn.LPPool2d(2, 2), "LPPool2d", "average and max-pooling"),
    "FractionalMaxPool2d": (nn.FractionalMaxPool2d(2, 3), "FractionalMaxPool2d", "at random"),
    "AdaptiveMaxPool2d": (nn.AdaptiveMaxPool2d(4), "AdaptiveMaxPool2d", "divide those before"),
    "InstanceNorm2d": (nn.InstanceNorm2d(4), "InstanceNorm2d", "BatchNorm can be folded"),
    "BatchNorm2d without statistics": (nn.BatchNorm2d(4, track_running_stats=False), "no running", "track_running"),
    "where": (Written(lambda m, x: torch.where(x > 0, x, 0.0)), "'gt'", "a comparison jumps"),
    "einsum": (Written(lambda m, x: torch.einsum("bchw,oc->bohw", x, m.w), w=p(4, 4)), "'einsum'", "F.linear"),
    "mean of all": (Written(lambda m, x: x - x.mean()), "'mean'.*reduces the batch", "axes behind the first"),
    "cumsum": (Written(lambda m, x: x.cumsum(1)), "'cumsum'", "over whole axes"),
    "images added to each other": (Written(lambda m, x: x + x.flip(0)), "flip", "moves"),
    "a random constant": (Written(lambda m, x: x + torch.rand(x.shape[0], 4, 6, 6)), "cannot be traced", "values"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_is_refused_with_what_would(name: str) -> None:
    torch.manual_seed(0)
    layer, said, hint = REFUSED[name]
    model = nn.Sequential(c(), layer, nn.ReLU(), nn.Flatten(), nn.LazyLinear(5))
    images = torch.rand(4, *GRID)
    with torch.no_grad():
        model(images)
    with pytest.raises(ConversionError, match=said) as refused:
        ns.convert(model.eval(), images)
    assert hint in str(refused.value)


def test_a_layer_called_by_a_word_of_python_is_named() -> None:
    model = Written(lambda m, x: m.d["in"](x), d=nn.ModuleDict({"in": L(6, 8)}))
    with pytest.raises(ConversionError, match=r"A layer is called 'in'[\s\S]*another key"):
        ns.convert(model, torch.rand(4, 6))


@torch.no_grad()
@pytest.mark.parametrize("shape", [ROW, SEQ])
def test_changed_products_by_hand_are_woken(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = Written(lambda m, x: F.relu(x @ m.w).flatten(1) @ m.v, w=p(6, 8), v=p(8 if shape == ROW else 40, 3))
    network = ns.convert(model, torch.rand(4, *shape))
    own = [k for k, weight in enumerate(network.weights) if weight.numel() in (48, model.v.numel())]
    changed = network.with_weights([2 * w if k in own else w for k, w in enumerate(network.weights)])
    woken = wake(changed, model)
    assert torch.equal(woken.w, 2 * model.w) and torch.equal(woken.v, 2 * model.v)


def test_several_results_are_refused_with_what_would_do() -> None:
    model = Written(lambda m, x: (y := F.relu(m.l[0](x)), m.l[1](y)), L(6, 8), L(8, 5))
    with pytest.raises(ConversionError, match=r"other than one tensor[\s\S]*tuple of 2[\s\S]*forward returns"):
        ns.convert(model, torch.rand(4, 6))


@pytest.mark.full
@torch.no_grad()
@pytest.mark.parametrize("name", ["inception_v3", "googlenet"])
def test_networks_with_heads_of_training_and_inputs_that_they_transform(name: str) -> None:
    torch.manual_seed(0)
    model = getattr(models, name)(num_classes=10, aux_logits=True, transform_input=True, init_weights=False)
    ready(model.double())
    images = torch.rand(2, 3, 75, 75, dtype=torch.float64)
    expected = model(images)
    error = (computed(trace(model, images, check=False), images) - expected).abs().max() / expected.abs().max()
    assert float(error) < 1e-9
