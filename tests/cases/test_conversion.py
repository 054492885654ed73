"""Public trouble with conversion (cases convert_*), in today's names: one test a case."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import neurosleep as ns
from neurosleep.errors import NeurosleepError, SettingsError


def seeded(model: nn.Module, factor: float = 1.0) -> Any:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            spread = factor / math.sqrt(value[0].numel() if value.ndim > 1 else len(value))
            value.copy_((torch.rand(value.shape, generator=generator) * 2 - 1) * spread)
    return model.eval()


def images(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def error_of(network: ns.SpikingNetwork, model: nn.Module, x: Tensor, steps: int = 2000, **more: Any) -> float:
    """The largest difference between the network's mean output and the model's, relative to the largest output."""
    with torch.no_grad():
        y = model(x.clone())
    shown = torch.as_tensor(ns.simulate(network, x, steps, **more).read_out[-1]) / steps
    return float((shown - y).abs().max() / y.abs().max())


class TwoLayers(nn.Module):
    """``before`` and ``after`` stand around Linear, ReLU, Linear."""

    def __init__(self, before: Callable[[Tensor], Tensor], after: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.before, self.after = nn.Linear(6, 8), nn.Linear(8, 4), before, after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.b(torch.relu(self.a(self.before(x)))))


def same(x: Tensor) -> Tensor:
    return x


@pytest.mark.parametrize("factor", [1.0, 0.25, -1.0])
def test_02_what_the_last_relu_is_multiplied_by(factor: float) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.a(x)) * factor

    model, x = seeded(Net()), images(50, 6)
    nn.init.constant_(model.a.bias, 1.0)
    network = ns.convert(model, x, recipe="max")
    shown = torch.as_tensor(ns.simulate(network, x, 500).read_out[-1]) / 500
    # What one spike stands for, where the output fires.
    value = shown * (network.report.largest[-1] if network.last.kind == "lif" else 1)
    y = model(x).detach()
    assert float((value - y).abs().max() / y.abs().max()) < 0.02
    assert float((shown.argmax(1) == y.argmax(1)).float().mean()) > 0.9


class Kept(nn.Module):
    """``keep`` is another name of what is changed in place, and is read later."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.o = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.a(x))
        keep = h
        h += torch.relu(self.b(x))
        return self.o(h + keep)


class Scaled(Kept):
    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.a(x))
        keep = h
        h *= 2.0
        return self.o(h + keep)


class Shortcut(Kept):
    def __init__(self) -> None:
        super().__init__()
        self.skip, self.relu = nn.Identity(), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        s = self.skip(h)
        return self.o(self.b(self.relu(h)) + s)


class Viewed(Kept):
    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        torch.relu_(h.view(-1, 2, 4))
        return self.o(h)


@pytest.mark.parametrize("kind", [Kept, Scaled, Shortcut, Viewed])
def test_03_steps_in_place_on_a_tensor_of_two_names(kind: type[nn.Module]) -> None:
    model, x = seeded(kind()), images(40, 8) - 0.5
    assert error_of(ns.convert(model, x.clone(), recipe="max"), model, x) < 0.02


@pytest.mark.parametrize(
    "end", [lambda x: F.log_softmax(x, dim=1), lambda x: torch.softmax(x, 1), nn.LogSoftmax(1), nn.Softmax(dim=-1)]
)
def test_10_a_soft_max_at_the_end(end: Callable[[Tensor], Tensor]) -> None:
    model, x = seeded(TwoLayers(same, end), 2.0), images(60, 6)
    network = ns.convert(model, x, recipe="max")
    classes = torch.as_tensor(ns.simulate(network, x, 1000).read_out[-1]).argmax(1)
    assert float((classes == model(x).argmax(1)).float().mean()) >= 0.98
    assert any("largest stays the largest" in note for note in network.report.notes)


@pytest.mark.parametrize(
    "before",
    [lambda x: (x - 0.5) / 0.25, lambda x: (x - torch.full((6,), 0.3)) * 2, lambda x: x / 0.5 - 1],
)
def test_12_a_normalisation_within_the_model(before: Callable[[Tensor], Tensor]) -> None:
    model, x = seeded(TwoLayers(before, same)), images(30, 6)
    assert error_of(ns.convert(model, x, recipe="max"), model, x) < 0.02


X, Y = images(20, 6), torch.zeros(20).long()
PLAIN = seeded(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)))
NETWORK = ns.convert(PLAIN, X, recipe="max")
HANDED: dict[str, Callable[[], Any]] = {
    "array": lambda: ns.convert(PLAIN, X.numpy(), recipe="max"),
    "list of images": lambda: ns.convert(PLAIN, list(X), recipe="max"),  # type: ignore[arg-type]
    "DataLoader": lambda: ns.convert(PLAIN, DataLoader(TensorDataset(X, Y), 5), recipe="max"),  # type: ignore[arg-type]
    "images and labels": lambda: ns.convert(PLAIN, (X, Y), recipe="max"),  # type: ignore[arg-type]
    "state_dict": lambda: ns.convert(PLAIN.state_dict(), X, recipe="max"),
    "class": lambda: ns.convert(nn.ReLU, X, recipe="max"),  # type: ignore[arg-type]
    "file": lambda: ns.convert("model.onnx", X, recipe="max"),  # type: ignore[arg-type]
    "simulate array": lambda: ns.simulate(NETWORK, X.numpy(), 5),
    "simulate booleans": lambda: ns.simulate(NETWORK, np.random.default_rng(0).random((9, 6)) < 0.5),
    "cuda": lambda: ns.simulate(NETWORK, X, 5, device="cuda"),
}
WORKS = {"array", "list of images", "simulate array", "simulate booleans"}


@pytest.mark.parametrize("name", HANDED)
def test_16_what_people_hand_over_from_other_tools(name: str) -> None:
    if name in WORKS:
        HANDED[name]()
    elif not (name == "cuda" and torch.cuda.is_available()):
        with pytest.raises(NeurosleepError):
            HANDED[name]()


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_17_weight_norm_as_it_used_to_be() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.utils.weight_norm(nn.Linear(6, 8)), nn.ReLU(), nn.Linear(8, 3)), images(20, 6)
    model(x).sum().backward()  # its weights are no leaves from now on
    assert error_of(ns.convert(model, x, recipe="max"), model, x, 1000) < 0.02


@pytest.mark.parametrize(("dtype", "steps"), [(torch.bfloat16, 2000), (torch.float16, 10_000)])
def test_18_models_of_half_precision_are_computed_in_full(dtype: torch.dtype, steps: int) -> None:
    model, x = seeded(nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 4))), images(40, 20)
    with torch.no_grad():
        model[2].weight.mul_(20)
    network = ns.convert(copy.deepcopy(model).to(dtype), x.to(dtype), recipe="max")
    assert network.dtype == torch.float32
    assert error_of(network, model, x, steps) < 0.05


def test_19_simulate_takes_an_engine_that_can_step_convolutions_and_sums() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3, padding=1), nn.Linear(72, 3)

        def forward(self, x: Tensor) -> Tensor:
            h = torch.relu(self.a(x))
            return self.c(torch.relu(h + self.b(h)).flatten(1))

    model, x = seeded(Residual()), images(10, 1, 8, 8)
    network = ns.convert(model, x, recipe="max")
    assert error_of(network, model, x, 1000) < 0.03
    assert ns.simulate(network, x[0], 5).steps == 5


@pytest.mark.parametrize(
    "model",
    [nn.Linear(4, 3), nn.DataParallel(nn.Sequential(nn.Linear(4, 3))), torch.compile(nn.Sequential(nn.Linear(4, 3)))],
    ids=["single layer", "DataParallel", "torch.compile"],
)
def test_20_models_in_other_clothes(model: nn.Module) -> None:
    x = images(9, 4)
    assert error_of(ns.convert(model, x, recipe="max"), model, x) < 0.02


def test_20_a_model_of_two_inputs_is_named_as_that() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.a(x) + self.b(y)

    with pytest.raises(NeurosleepError, match="takes 2 inputs: x, y"):
        ns.convert(Two(), images(9, 4))


def test_21_settings_that_are_surely_meant_otherwise() -> None:
    with pytest.raises(SettingsError, match=r"Percentile\(99\.9\)"):
        ns.Percentile(0.999)
    lazy = nn.Sequential(nn.LazyLinear(30), nn.ReLU(), nn.LazyLinear(4))
    with pytest.raises(NeurosleepError, match="no values yet"):
        ns.convert(lazy, images(20, 20))
    lazy(images(2, 20))
    assert error_of(ns.convert(lazy.eval(), images(20, 20), recipe="max"), lazy, images(20, 20)) < 0.03


def test_23_max_pooling_in_rates() -> None:
    model = seeded(nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 4)))
    x = images(30, 1, 8, 8)
    exact = error_of(ns.convert(model, x, recipe="max"), model, x)
    average = error_of(ns.convert(model, x, recipe="max", maxpool="approximate"), model, x)
    assert exact < 0.02 < average


@pytest.mark.parametrize("coding", ["constant", "bernoulli", "poisson"])
def test_27_no_coding_is_biased(coding: Any) -> None:
    model, x = seeded(nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 4))), images(100, 20)
    network = ns.convert(model, x, recipe="max")
    shown = torch.as_tensor(ns.simulate(network, x, 4000, coding=coding).read_out[-1]) / 4000
    with torch.no_grad():
        y, bent = model(x), model(1 - torch.exp(-x))
    assert float((shown - y).abs().mean() / y.abs().mean()) < 0.05
    assert float((shown - bent).abs().mean() / y.abs().mean()) > 0.05


def test_04_loihi_2_shifts_what_arrives_as_it_shifts_the_threshold() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randint(-127, 128, (20, 30), generator=generator).float()
    weight[0, 0] = 127
    threshold = 300.0  # an integer in units of a weight of 1: Lava has it exactly
    output = ns.Population("o", "lif", (20,), threshold=threshold, decay=1.0, compare=">")
    network = ns.SpikingNetwork((ns.Population("input", "input", (30,)), output), (ns.Dense("input", "o", weight),))
    spikes = torch.rand(400, 30, generator=generator) < 0.2
    v, fired = torch.zeros(20, dtype=torch.long), []
    for s in spikes.long():  # Lava's bit-accurate LIF with du = 4095: the current lasts one step
        v = v + ((weight.long() @ s) << 6)
        out = v > (int(threshold) << 6)
        v = torch.where(out, 0, v)
        fired.append(out)
    mapped = ns.map_to(network, "loihi2")
    got = ns.simulate(mapped, spikes, engine="fixed", record=ns.Record(spikes="all")).spikes["o"].to_dense()
    assert torch.equal(got.bool(), torch.stack(fired)) and got.any()


@pytest.mark.parametrize("tau", [0.095, 0.16, 0.3, 0.58])
def test_05_xylo_takes_the_nearest_of_its_decays(tau: float) -> None:
    nir = pytest.importorskip("nir")
    dt, one = 0.05, np.ones(4)
    lif = nir.LIF(tau=one * tau, r=one * tau / dt, v_leak=one * 0, v_threshold=one, v_reset=one * 0)
    nodes = {
        "input": nir.Input({"input": np.array([3])}),
        "w": nir.Linear(np.ones((4, 3))),
        "lif": lif,
        "output": nir.Output({"output": np.array([4])}),
    }
    graph = nir.NIRGraph(nodes=nodes, edges=[("input", "w"), ("w", "lif"), ("lif", "output")])
    mapped = ns.map_to(ns.from_nir(graph, dt=dt, reset="subtract"), "xylo_a2", strict=False)
    got = float(torch.as_tensor(mapped.population("lif").decay).reshape(-1)[0])
    nearest = min((1 - 2.0**-shift for shift in range(12)), key=lambda decay: abs(decay - (1 - dt / tau)))
    assert got in (nearest, 1 - 2.0 ** -round(math.log2(tau / dt)))


def test_25_no_traceback_of_torch_beside_a_refusal(tmp_path: Any, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
    with pytest.raises(NeurosleepError):
        ns.save(model, tmp_path / "m.onnx", input_shape=(1, 9, 9))
    sys.stderr.flush()
    assert "Traceback" not in capfd.readouterr().err
