"""Networks of torchvision sleep: what changes is named, answers to noise are levelled, and the model given stays."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.functional import InputNoise, SlowOscillation
from tests.conversion.test_torchvision import ready

models = pytest.importorskip("torchvision.models")

FAST = ["resnet18", "mobilenet_v2", "squeezenet1_1"]
SLOW = ["vgg11_bn", "densenet121", "googlenet", "shufflenet_v2_x1_0", "regnet_x_400mf", "mnasnet1_0", "inception_v3"]
# Those that do not convert sleep in rates: gates, SiLU and LayerNorm.
REFUSED = ["mobilenet_v3_small", "efficientnet_b0", "convnext_tiny", "swin_t"]

REASONS = {
    "small": r"'0\.2' became 2 populations of differences$",
    "squeezenet1_1": r"'features\.2' became 4 populations of differences$",
    "shufflenet_v2_x1_0": r"'maxpool' became 4 populations of differences$",
    "mobilenet_v3_small": r"layer 'features\.0\.2' \(Hardswish\) has no spiking counterpart$",
    "efficientnet_b0": r"layer 'features\.0\.2' \(SiLU\) has no spiking counterpart$",
    "convnext_tiny": r"'layer_norm' of ConvNeXt has no spiking counterpart$",
    "swin_t": r"layer 'features\.0\.2' \(LayerNorm\) has no spiking counterpart$",
}


def small() -> nn.Module:
    return nn.Sequential(models.vgg.make_layers([8, "M"]), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))


def network(name: str) -> tuple[nn.Module, InputNoise]:
    torch.manual_seed(0)
    size = 75 if name == "inception_v3" else 32
    options = {"aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    model = small() if name == "small" else getattr(models, name)(num_classes=10, **options)
    model = ready(model, torch.rand(16, 3, size, size))
    return model, InputNoise(torch.full((3, size, size), 0.5), torch.full((3, size, size), 0.25))


def slept(model: nn.Module, noise: InputNoise, stage: ns.NREM) -> ns.replay.Consolidation:
    """What comes of it, all of which is checked that holds for every model."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = ns.consolidate(model, noise, classes=range(10), guard=False, sleep=ns.Sleep(stages=(stage,)))
    after = result.model.state_dict()
    assert result.status == "done"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(bool(torch.isfinite(value).all()) for value in after.values())
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {layer.name for layer in result.report.layers}
    # Every layer with weights, or the normalisation behind it, is named: as one that changed, or as one that stays.
    regulated = result.stages[0].regulated
    assert regulated is not None
    names = {part for layer in regulated.layers for part in layer.name.split("+")}
    layers = {name for name, layer in model.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)}
    assert names <= layers | {layer.rpartition(".")[0] for layer in layers}
    stay = {note.split()[0] for note in getattr(regulated, "notes", ())}
    assert all(name in names or any(note.startswith(name) for note in stay) for name in layers)
    result.apply_to(model)
    assert all(torch.equal(value, after[name]) for name, value in model.state_dict().items())
    return result


def spread(model: nn.Module, frames: Tensor) -> float:
    """How far apart the mean outputs under noise are, in units of what they vary by."""
    outputs = model(frames)
    return float(outputs.mean(0).std() / outputs.std(0).mean())


@pytest.mark.filterwarnings("ignore:The default weight initialization of")
@torch.no_grad()
@pytest.mark.parametrize("name", FAST + [pytest.param(name, marks=pytest.mark.full) for name in [*SLOW, *REFUSED]])
def test_they_sleep_in_rates(name: str) -> None:
    model, noise = network(name)
    frames = noise.frames(64, seed=0)
    before = spread(model, frames)
    result = slept(model, noise, ns.NREM(form="rates", draws=64))
    assert result.stages[0].form == "rates"
    assert spread(model, frames) < before / 2


@pytest.mark.parametrize(
    "name", ["small", *(pytest.param(name, marks=pytest.mark.full) for name in REASONS if name != "small")]
)
def test_where_they_cannot_in_spikes_layer_and_reason_are_named(name: str) -> None:
    model, noise = network(name)
    outcome = slept(model, noise, ns.NREM(draws=8)).stages[0]
    assert outcome.form == "rates" and re.search(REASONS[name], outcome.note), outcome.note
    with pytest.raises(ns.NeurosleepError) as refused:
        ns.consolidate(model, noise, guard=False, sleep=ns.Sleep(stages=(ns.NREM(form="spikes"),)))
    assert refused.value.message.rstrip(".")[1:] in outcome.note


@pytest.mark.parametrize("lines", [1, 5])
def test_a_matrix_over_one_line_sleeps_in_spikes_and_over_several_in_rates(lines: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * lines, 10))
    noise = InputNoise(torch.full((lines, 6), 0.5))
    outcome = slept(model, noise, ns.NREM(draws=64, oscillation=SlowOscillation(frames=20))).stages[0]
    assert outcome.form == ("spikes" if lines == 1 else "rates")
    assert lines == 1 or "'0' became the same matrix at every position" in outcome.note


def residual() -> nn.Module:
    """For small images, without the max-pooling at the start, as people train it."""
    model = models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=10)
    model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    return model


NARROW: dict[str, Callable[[], nn.Module]] = {
    "mobilenet": lambda: models.MobileNetV2(10, 0.25, [[1, 16, 1, 1], [6, 24, 1, 2]]),
    "resnet": residual,
    "vgg": lambda: nn.Sequential(
        models.vgg.make_layers([8, 8, 16, 16], batch_norm=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    ),
}


@torch.no_grad()
@pytest.mark.parametrize("name", ["mobilenet", *(pytest.param(n, marks=pytest.mark.full) for n in ("resnet", "vgg"))])
def test_without_max_pooling_they_sleep_in_spikes(name: str) -> None:
    torch.manual_seed(0)
    model = ready(NARROW[name](), torch.rand(32, 3, 16, 16))
    noise = InputNoise(torch.full((3, 16, 16), 0.5))
    frames = noise.frames(64, seed=0)
    before = spread(model, frames)
    outcome = slept(model, noise, ns.NREM(oscillation=SlowOscillation(frames=8))).stages[0]
    assert outcome.form == "spikes" and outcome.steps > 0
    assert spread(model, frames) < before / 2


def test_a_guard_that_declines_says_why() -> None:
    model, noise = network("resnet18")
    images = noise.frames(20, seed=1).clamp(0, 1)
    with pytest.warns(ns.errors.NeurosleepWarning, match="the guard declined"):
        result = ns.consolidate(
            model,
            noise,
            classes=range(10),
            new_classes=[9],
            holdout=(images, torch.full((20,), 9)),
            sleep=ns.Sleep(stages=(ns.NREM(form="rates", draws=8),)),
        )
    assert result.status == "declined" and result.verdict is not None and result.verdict.reason in result.reason
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), result.model.parameters(), strict=True))
