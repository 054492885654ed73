"""Conversion of traced modules: what they compute, by spiking rates; what is refused; and the way back."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurosleep.conversion import Percentile, Recursive, convert, wake
from neurosleep.errors import ConversionError, DataError, SettingsError
from neurosleep.spiking import SpikingNetwork, simulate
from neurosleep.spiking.engines import ReferenceEngine


class Residual(nn.Module):
    """Every kind of layer, two branches, and layers as modules, functions and methods."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        channels, groups = 2 * rng.randint(1, 2), rng.choice([1, 2])
        self.stem = nn.Conv2d(1, channels, 3, padding=1, bias=rng.random() < 0.5)
        self.norm = nn.BatchNorm2d(channels)
        self.branch = nn.Conv2d(channels, channels, 3, padding=2, dilation=2, groups=groups)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.AvgPool2d(2)
        self.adaptive = nn.AdaptiveAvgPool2d(2)
        self.drop = nn.Dropout(0.5)
        self.hidden = nn.Linear(4 * channels, 6)
        self.norm1 = nn.BatchNorm1d(6)
        self.last = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.stem(x)))
        x = F.relu(x + self.branch(x))
        x = self.adaptive(self.pool(x))
        x = self.drop(x).view(x.size(0), -1)
        return self.last(self.norm1(self.hidden(x)).relu())


def net(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = Residual(random.Random(seed))
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            nn.init.normal_(layer.weight)  # also negative factors
            nn.init.normal_(layer.bias, std=0.2)
            layer.running_mean.normal_(std=0.2)
            layer.running_var.uniform_(0.2, 2)
    return model


@torch.no_grad()
def read_out(network: SpikingNetwork, images: Tensor, steps: int) -> Tensor:
    session = ReferenceEngine().start_batch(network, len(images))
    for _ in range(steps):
        session.step({"input": images.flatten(1)})
    return session.batch_membranes()["output"] / steps


@pytest.mark.parametrize("recipe", ["max", "percentile", "balance"])
@pytest.mark.parametrize("seed", range(4))
def test_potentials_of_the_last_layer_come_to_the_models_output(seed: int, recipe: Any) -> None:
    model, images = net(seed).eval(), torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    network = convert(model, images, recipe=Percentile(100.0) if recipe == "percentile" else recipe)
    with torch.no_grad():
        expected = model(images)
    short, long = (float((read_out(network, images, n) - expected).abs().max()) for n in (20, 2000))
    scale = float(expected.abs().max())
    assert long < 0.03 * scale
    assert long < short


@pytest.mark.parametrize("seed", range(20))
def test_convert_then_wake_is_the_same_model_bit_for_bit(seed: int) -> None:
    model, images = net(seed), torch.rand(3, 1, 8, 8)
    before = copy.deepcopy(model.state_dict())
    woken = wake(convert(model, images, recipe="percentile"), model)
    assert model.training and woken is not model
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
        assert torch.equal(woken.state_dict()[key], value)
    with torch.no_grad():
        assert torch.equal(woken.eval()(images), copy.deepcopy(model).eval()(images))


def test_waking_takes_changed_weights_out_of_batchnorm_again() -> None:
    model, images = net(0), torch.rand(3, 1, 8, 8)
    network = convert(model, images, recipe="percentile")
    changed = [w + 0.01 * (torch.arange(w.numel()).reshape(w.shape) % 2) for w in network.weights]
    woken = wake(network.with_weights(changed), model)
    again = convert(woken, images, recipe="percentile")
    for w, a, slept in zip(network.weights, again.weights, changed, strict=True):
        assert torch.allclose(a, slept, rtol=1e-4, atol=1e-6)
        assert not torch.equal(a, w)


def test_the_report_says_what_became_what() -> None:
    model, images = net(0), torch.rand(3, 1, 8, 8)
    network = convert(model, images, recipe="percentile")
    report = network.report
    became = dict(report.became)
    assert became["norm"] == "folded into stem" and became["stem"] == "projection of kind conv"
    assert became["drop"].startswith("nothing")
    assert {p.name for p in network.layers if p.kind == "lif"} == set(report.populations)
    assert [row["largest"] for row in report.rows()] == list(report.largest)


def test_hard_reset_leak_and_spiking_output() -> None:
    model, images = net(0), torch.rand(3, 1, 8, 8)
    network = convert(model, images, recipe="max", reset="to_value", decay=0.9, read_out="spikes")
    assert {(p.reset, p.decay) for p in network.layers if p.kind == "lif"} == {("to_value", 0.9)}
    assert network.population("output").kind == "lif"


def test_a_silent_layer_is_noted() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    nn.init.zeros_(model[0].weight)
    nn.init.constant_(model[0].bias, -1.0)
    report = convert(model, torch.rand(2, 4), recipe="max").report
    assert any("silent" in note for note in report.notes)


class Named(nn.Module):
    def __init__(self, do: Any) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self._do = do

    def forward(self, x: Tensor) -> Any:
        return self._do(self.fc(x), x)


def branching(y: Tensor, x: Tensor) -> Tensor:
    return y if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("model", "images", "said"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(3, padding=1)), torch.rand(2, 1, 8, 8), "may be negative"),
        (nn.Sequential(nn.Linear(4, 4), nn.GELU()), torch.rand(2, 4), r"'1' \(GELU\)"),
        (Named(lambda y, x: torch.sigmoid(y) + y), torch.rand(2, 4), "'sigmoid'"),
        (Named(lambda y, x: y * x), torch.rand(2, 4), "'mul'"),
        (Named(lambda y, x: (y, x)), torch.rand(2, 4), "other than one tensor.*\n.*tuple"),
        (Named(lambda y, x: y.reshape(4, 2)), torch.rand(2, 4), "mixes images"),
        (Named(branching), torch.rand(2, 4), "cannot be traced"),
        (nn.Sequential(nn.ReLU()), torch.rand(2, 4), "no layer with weights"),
        (nn.Linear(4, 2), torch.rand(2, 5), "does not accept"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name_and_place(model: nn.Module, images: Tensor, said: str) -> None:
    with pytest.raises(ConversionError, match=said):
        convert(model, images, recipe="percentile")


class Pooling(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2)


@pytest.mark.parametrize("pooling", [nn.MaxPool2d(2), Pooling()])
def test_max_pooling_is_averaged_on_request_and_said(pooling: nn.Module) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 2, 3), nn.ReLU(), pooling, nn.Conv2d(2, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(27, 2)]
    model = nn.Sequential(*layers)
    images = torch.rand(4, 1, 8, 8)
    network = convert(model, images, recipe="max", maxpool="approximate")
    report = network.report
    assert any("average" in note for note in report.notes)
    averaging = nn.Sequential(*layers[:2], nn.AvgPool2d(2), *layers[3:])
    with torch.no_grad():
        assert report.largest[-1] == pytest.approx(float(averaging[:5](images).max()))
    with torch.no_grad():
        assert torch.allclose(read_out(network, images, 1000), averaging(images), atol=0.01)
    assert type(wake(network, model)[2]) is type(pooling)


def test_settings_that_do_not_go_together() -> None:
    model, images = nn.Sequential(nn.Linear(4, 2)), torch.rand(2, 4)
    with pytest.raises(SettingsError, match="alpha_scale"):
        Recursive(0.0)
    with pytest.raises(SettingsError, match="percentile"):
        Percentile(0.0)
    for recipe in (None, Percentile, 99.9):
        with pytest.raises(SettingsError, match="recipe cannot be"):
            convert(model, images, recipe=recipe)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="resets to a value"):
        convert(nn.Sequential(nn.Linear(4, 2, bias=False)), images, recipe="recursive", reset="subtract")
    with pytest.raises(DataError, match="Calibration"):
        convert(model, images * float("nan"), recipe="max")


@pytest.mark.full
@pytest.mark.parametrize("name", ["vgg11_bn", "resnet18"])
def test_torchvision_models_convert_simulate_and_come_back(name: str) -> None:
    import torchvision

    torch.manual_seed(0)
    model = getattr(torchvision.models, name)(weights=None).eval()
    image = torch.rand(1, 3, 224, 224)
    network = convert(model, image, recipe="percentile", maxpool="approximate")
    report = network.report
    assert report.notes
    assert torch.isfinite(read_out(network, image, 16)).all()
    woken = wake(network, model)
    assert all(torch.equal(woken.state_dict()[key], value) for key, value in model.state_dict().items())


class Dropped(nn.Module):
    """One branch is computed and dropped, another is taken away from itself."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.dropped, self.cancelled = (nn.Linear(6, 3) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        torch.relu(self.dropped(x))
        h = torch.relu(self.cancelled(x))
        return h + self.read(x) - h


def test_branches_that_do_not_reach_the_output_are_no_output() -> None:
    torch.manual_seed(0)
    model, x = Dropped(), torch.rand(50, 6)
    network = convert(model, x, recipe="max")
    assert [population.name for population in network.layers] == [network.last.name]
    shown = torch.from_numpy(simulate(network, x, 200).read_out[-1]) / 200
    with torch.no_grad():
        assert torch.allclose(shown, model(x), atol=1e-4)
