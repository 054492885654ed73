"""Models whose code torch.fx cannot follow, functions called with parameters, scripts: by value, and the way back."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.conversion import wake

X = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Forward(nn.Module):
    """Layers, a parameter and a forward pass of its own."""

    def __init__(self, do: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.norm, self.last = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(144, 5)
        self.weight = nn.Parameter(0.2 * torch.randn(5, 144))
        self.kernel = nn.Parameter(0.2 * torch.randn(4, 3, 2, 2))
        self.line = nn.Parameter(0.2 * torch.randn(4, 3, 3))
        self.slopes = nn.Parameter(torch.rand(4))
        self._do = do

    def forward(self, x: Tensor) -> Tensor:
        return self._do(self, x)


def hidden(s: Any, x: Tensor) -> Tensor:
    return F.relu(s.norm(s.conv(x)))


def if_dim(s: Any, x: Tensor) -> Tensor:
    if x.dim() == 3:
        x = x.unsqueeze(0)
    x = hidden(s, x)
    return s.last(x.view(x.size(0), -1))


def asserts(s: Any, x: Tensor) -> Tensor:
    assert x.ndim == 4 and x.shape[1] == 3
    return s.last(hidden(s, x).reshape(len(x), -1))


def loop(s: Any, x: Tensor) -> Tensor:
    x = hidden(s, x)
    for _ in range(x.size(1) // 2):
        x = x + 1
    return s.last(torch.flatten(x, 1))


def in_place(s: Any, x: Tensor) -> Tensor:
    if x.ndim != 4:
        return x
    x = F.relu(s.norm(s.conv(x)), inplace=True)
    x += 1
    return F.linear(x.view(x.shape[0], -1), s.weight)[:, :3]


def pools(s: Any, x: Tensor) -> Tensor:
    x = hidden(s, x) if x.dim() == 4 else x
    x = F.avg_pool2d(F.max_pool2d(x, 2, 1), 2, 1)
    first, second = x.chunk(2, 1)
    x = torch.cat([first, F.leaky_relu(second - 0.2), second.clamp(0, 0.4)], 1).permute(0, 2, 3, 1).mean((1, 2))
    return F.log_softmax(F.linear(x, s.weight[:, :6]), dim=-1)


MODELS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "if dim": if_dim,
    "assert ndim": asserts,
    "loop over a size": loop,
    "in place": in_place,
    "pools": pools,
    "F.linear": lambda s, x: F.linear(hidden(s, x).flatten(1), s.weight, s.last.bias),
    "another layer's weight": lambda s, x: F.linear(hidden(s, x).flatten(1), s.last.weight) + s.last(x[:, 0, :3, :3].flatten(1).repeat(1, 16)),  # noqa: E501
    "F.conv2d": lambda s, x: s.last(F.relu(F.conv2d(x, s.kernel, s.slopes, padding="same"))[:, :, 1:-1, 1:-1].flatten(1)),  # noqa: E501
    "F.conv1d": lambda s, x: F.linear(F.relu(F.conv1d(x.flatten(2), s.line, stride=3, padding=1)).flatten(1), s.weight[:, :88]),  # noqa: E501
    "F.batch_norm": lambda s, x: s.last(F.batch_norm(s.conv(x), s.norm.running_mean, s.norm.running_var, s.norm.weight, s.norm.bias).relu().flatten(1)),  # noqa: E501
    "F.prelu": lambda s, x: s.last(F.prelu(s.conv(x), s.slopes).flatten(1)),
    "@ a transposed parameter": lambda s, x: hidden(s, x).flatten(1) @ s.weight.t(),
    "matmul": lambda s, x: torch.matmul(hidden(s, x).flatten(1), s.weight.abs().T),
    "addmm": lambda s, x: torch.addmm(s.last.bias, hidden(s, x).flatten(1), s.weight.t()),
    "a computed weight": lambda s, x: F.linear(hidden(s, x).flatten(1), s.weight * s.weight.sigmoid()),
}  # fmt: skip


def made(do: Callable[[Any, Tensor], Tensor]) -> Forward:
    torch.manual_seed(0)
    model = Forward(do).eval()
    assert model.norm.running_mean is not None and model.norm.running_var is not None
    nn.init.uniform_(model.norm.running_mean, -0.3, 0.3)
    nn.init.uniform_(model.norm.running_var, 0.5, 2.0)
    return model


@torch.no_grad()
def error(model: nn.Module, network: ns.SpikingNetwork, steps: int, expected: Tensor) -> float:
    shown = ns.simulate(network, X, steps)
    if network.last.kind == "lif":
        found = torch.as_tensor(shown.counts[network.last.name]) / steps * network.report.largest[-1]  # type: ignore[attr-defined]
    else:
        found = torch.as_tensor(shown.read_out[-1]) / steps
    return float((found.reshape(expected.shape) - expected).abs().max() / expected.abs().max())


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", MODELS)
def test_the_network_comes_to_what_the_model_computes(name: str) -> None:
    model = made(MODELS[name])
    expected = model(X)
    if name == "pools":
        network = ns.convert(model, X, recipe="max")
        found = torch.as_tensor(ns.simulate(network, X, 900).read_out[-1]) / 900
        assert float((found.log_softmax(1) - expected).abs().max()) < 0.02
        return
    network = ns.convert(model, X, recipe="max")
    few, many = error(model, network, 60, expected), error(model, network, 600, expected)
    assert many < 0.012 and (many < few / 3 or many < 1e-4)
    woken = wake(network, model) if "computed" not in name and name not in ("matmul", "F.conv1d") else model
    for before, after in zip(model.state_dict().values(), woken.state_dict().values(), strict=True):
        assert torch.equal(before, after)


def test_a_parameter_of_the_model_itself_wakes_and_a_computed_weight_does_not() -> None:
    model = made(MODELS["F.linear"])
    network = ns.convert(model, X, recipe="max")
    woken = wake(network.with_weights([weight + 1 for weight in network.weights]), model)
    assert torch.equal(woken.weight, model.weight + 1)
    computed = made(MODELS["a computed weight"])
    with pytest.raises(ns.ConversionError, match="computed from others"):
        wake(ns.convert(computed, X, recipe="max"), computed)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore:.*torch.jit:FutureWarning")
@pytest.mark.parametrize("how", ["script", "trace"])
def test_scripts(how: str) -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    plain.append(nn.Linear(36, 5)).eval()
    script = torch.jit.script(plain) if how == "script" else torch.jit.trace(plain, X[:2])
    network = ns.convert(script, X, recipe="max")
    with torch.no_grad():
        assert error(plain, network, 600, plain(X)) < 0.012
    woken = wake(network, script)
    for key, value in plain.state_dict().items():
        assert torch.equal(woken.state_dict()[key], value)
    changed = wake(network.with_weights([*network.weights[:-1], network.weights[-1] + 1]), script)
    assert torch.equal(changed.state_dict()["5.weight"], plain[5].weight + 1)


def test_what_was_compiled_within_a_model_is_taken_as_it_was() -> None:
    inside = nn.Sequential(nn.Linear(192, 6), nn.ReLU())
    model = nn.Sequential(nn.Flatten(), torch.compile(inside), nn.Linear(6, 3))
    network = ns.convert(model, X, recipe="max")
    with torch.no_grad():
        assert error(model, network, 600, model[2](inside(X.flatten(1)))) < 0.012
    woken = wake(network, model)
    assert all(torch.equal(woken.state_dict()[key], value) for key, value in model.state_dict().items())


class Deciding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(192, 5)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            x = -x
        return self.fc(x.flatten(1))


class Bent(nn.Module):
    def __init__(self, check: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(192, 5), nn.Tanh())
        self.check = check

    def forward(self, x: Tensor) -> Tensor:
        if self.check:
            assert x.ndim == 4
        return torch.erf(self.body(x).relu())


def test_a_refusal_names_layer_operation_and_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ns.ConversionError, match="cannot be traced") as caught:
        ns.convert(Deciding(), X)
    assert (caught.value.layer, caught.value.operation) == ("Deciding", "forward")
    assert caught.value.found is not None and caught.value.found.startswith("test_followed.py, line ")
    for check in (False, True):
        with pytest.raises(ns.ConversionError, match="Tanh") as caught:
            ns.convert(Bent(check), X)
        assert (caught.value.layer, caught.value.operation) == ("body.2", "Tanh")
        assert caught.value.found is not None and caught.value.found.endswith("torch.erf(self.body(x).relu())")
        model = Bent(check)
        model.body[2] = nn.Identity()
        with pytest.raises(ns.ConversionError, match="'erf' at 'erf' of Bent has no") as caught:
            ns.convert(model, X)
        assert (caught.value.layer, caught.value.operation) == ("erf", "erf")
        again = pickle.loads(pickle.dumps(caught.value))
        assert str(again) == str(caught.value) and again.layer == caught.value.layer
    assert capfd.readouterr() == ("", "")
