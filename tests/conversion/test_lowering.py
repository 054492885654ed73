# ruff: noqa: E501
"""Operations that are rewritten before they are converted: by value, with an error that falls as 1/T."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.conversion import wake


class Forward(nn.Module):
    """Layers ``l``, constants, and a forward pass of its own."""

    def __init__(self, do: Callable[[Any, Tensor], Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.l, self._do = nn.ModuleList(layers), do
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1))
        self.register_buffer("m", torch.linspace(0.1, 1, 192).view(1, 3, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self._do(self, x)


def c(inputs: int = 3, outputs: int = 4, kernel: int = 3, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, **options)


def H(inputs: int = 144) -> tuple[nn.Module, nn.Module]:  # noqa: N802
    return nn.Flatten(), nn.Linear(inputs, 5)


S = nn.Sequential
torch.manual_seed(0)
# fmt: off
MODELS: dict[str, nn.Module] = {
"softmax": S(c(),nn.ReLU(),*H(),nn.Softmax(1)),
"F.log_softmax": Forward(lambda s, x: F.log_softmax(s.l[1](F.relu(s.l[0](x)).flatten(1)),dim=1),c(),nn.Linear(144,5)),
"shift behind a reshape": Forward(lambda s, x: s.l[1](F.relu(0.1-(s.l[0](x).flatten(2)+s.m.flatten()[:4].view(4,1))).flatten(1)),c(),nn.Linear(144,5)),
"max": S(c(),nn.ReLU(),nn.MaxPool2d(2),*H(36)),
"max3pad": S(c(),nn.ReLU(),nn.MaxPool2d(3,2,1),*H(36)),
"max3ceil": S(c(),nn.ReLU(),nn.MaxPool2d(3,2,ceil_mode=True),*H(36)),
"maxbefore": S(c(),nn.MaxPool2d(2),nn.ReLU(),*H(36)),
"maxbeforepad": S(c(),nn.BatchNorm2d(4),nn.MaxPool2d(3,2,1),nn.ReLU(),*H(36)),
"adaptmax": S(c(),nn.ReLU(),nn.AdaptiveMaxPool2d(2),*H(16)),
"amax": Forward(lambda s, x: s.l[1](F.relu(s.l[0](x)).amax((2,3))),c(),nn.Linear(4,5)),
"cat": Forward(lambda s, x: s.l[2](torch.cat([F.relu(s.l[0](x)),F.relu(s.l[1](x))],1).flatten(1)),c(),c(),nn.Linear(288,5)),
"catflat": Forward(lambda s, x: s.l[2](torch.cat([F.relu(s.l[0](x.flatten(1))),F.relu(s.l[1](x.flatten(1)))],1)),nn.Linear(192,6),nn.Linear(192,7),nn.Linear(13,5)),
"mean": Forward(lambda s, x: s.l[1](F.relu(s.l[0](x)).mean((2,3))),c(),nn.Linear(4,5)),
"meank": Forward(lambda s, x: s.l[1](F.relu(s.l[0](x)).mean([-1,-2],keepdim=True)).flatten(1),c(),c(4,5,1)),
"mean3": Forward(lambda s, x: s.l[1](F.relu(s.l[0](x)).mean(3).mean(2)),c(),nn.Linear(4,5)),
"squeeze": Forward(lambda s, x: s.l[1](F.adaptive_avg_pool2d(F.relu(s.l[0](x)),1).squeeze(-1).squeeze(-1)),c(),nn.Linear(4,5)),
"unsqueeze": Forward(lambda s, x: s.l[1](F.relu(s.l[0](x[:,0].unsqueeze(1))).flatten(1)),c(1),nn.Linear(144,5)),
"nhwc end": Forward(lambda s, x: s.l[1](F.relu(s.l[0](x)).permute(0,2,3,1).flatten(1)),c(),nn.Linear(144,5)),
"nhwc in": Forward(lambda s, x: s.l[1](F.relu(s.l[0](x.permute(0,2,3,1).contiguous().view(-1,8,8,3).permute(0,3,1,2))).flatten(1)),c(),nn.Linear(144,5)),
"clamp0": Forward(lambda s, x: s.l[1](s.l[0](x).clamp(min=0).flatten(1)),c(),nn.Linear(144,5)),
"clampab": Forward(lambda s, x: s.l[1](s.l[0](x).clamp(-.2,.3).flatten(1)),c(),nn.Linear(144,5)),
"clampmax": Forward(lambda s, x: s.l[1](torch.clamp_max(s.l[0](x),.1).flatten(1)),c(),nn.Linear(144,5)),
"a-b": Forward(lambda s, x: s.l[2](F.relu(s.l[0](x)-s.l[1](x)).flatten(1)),c(),c(),nn.Linear(144,5)),
"norm": Forward(lambda s, x: s.l[1](F.relu(s.l[0]((x-.5)/.25)).flatten(1)),c(padding=1),nn.Linear(256,5)),
"normc": Forward(lambda s, x: s.l[1](F.relu(s.l[0]((x-s.mean)/s.mean)).flatten(1)),c(padding=1),nn.Linear(256,5)),
"normpos": Forward(lambda s, x: s.l[1](F.relu(s.l[0](x*s.m)).flatten(1)),c(padding=1),nn.Linear(256,5)),
"1-x": Forward(lambda s, x: s.l[1](F.relu(s.l[0](1-x)).flatten(1)),c(padding=1),nn.Linear(256,5)),
"zeropad": S(nn.ZeroPad2d((0,1,0,2)),c(),nn.ReLU(),*H(224)),
"F.pad": Forward(lambda s, x: s.l[1](F.relu(s.l[0](F.pad(x,(1,0,2,1)))).flatten(1)),c(),nn.Linear(252,5)),
"same even": S(c(3,4,2,padding="same"),nn.ReLU(),*H(256)),
"reflect": S(c(3,4,3,padding=1,padding_mode="reflect"),nn.ReLU(),*H(256)),
"replicate": S(c(3,4,3,padding=1,padding_mode="replicate"),nn.ReLU(),*H(256)),
"circular": S(c(3,4,3,padding=1,padding_mode="circular"),nn.ReLU(),*H(256)),
"bn after relu": S(c(),nn.ReLU(),nn.BatchNorm2d(4),c(4,4,padding=1),nn.ReLU(),*H()),
"bn first": S(nn.BatchNorm2d(3),c(padding=1),nn.ReLU(),*H(256)),
"bn flat": S(nn.Flatten(),nn.Linear(192,9),nn.ReLU(),nn.BatchNorm1d(9),nn.Linear(9,5)),
"bn pool": S(c(),nn.AvgPool2d(2),nn.BatchNorm2d(4),nn.ReLU(),*H(36)),
"bn maxpool": S(c(),nn.MaxPool2d(2),nn.BatchNorm2d(4),nn.ReLU(),*H(36)),
"bnbn": S(c(),nn.BatchNorm2d(4),nn.BatchNorm2d(4),nn.ReLU(),*H()),
"relu6": S(c(),nn.ReLU6(inplace=True),*H()),
"hardtanh": S(c(),nn.Hardtanh(),*H()),
"hardtanh0": S(c(),nn.Hardtanh(0,.2),*H()),
"hardsigmoid": S(c(),nn.Hardsigmoid(),*H()),
"leaky": S(c(),nn.LeakyReLU(.1),*H()),
"prelu": S(c(),nn.PReLU(4),*H()),
"F.leaky": Forward(lambda s, x: s.l[1](F.leaky_relu(s.l[0](x),.2).flatten(1)),c(),nn.Linear(144,5)),
"abs": Forward(lambda s, x: s.l[1](s.l[0](x).abs().flatten(1)),c(),nn.Linear(144,5)),
"maximum": Forward(lambda s, x: s.l[2](torch.maximum(s.l[0](x),s.l[1](x)).flatten(1)),c(),c(),nn.Linear(144,5)),
"minimum": Forward(lambda s, x: s.l[2](torch.minimum(s.l[0](x),s.l[1](x)).flatten(1)),c(),c(),nn.Linear(144,5)),
"avgpad": S(c(),nn.ReLU(),nn.AvgPool2d(3,2,1,count_include_pad=False),*H(36)),
"avgceil": S(c(),nn.ReLU(),nn.AvgPool2d(3,2,ceil_mode=True),*H(36)),
"adaptive4": S(c(),nn.ReLU(),nn.AdaptiveAvgPool2d(4),*H(64)),
"adaptive7": S(c(3,4,8),nn.ReLU(),nn.AdaptiveAvgPool2d(7),*H(196)),
"upsample": S(c(),nn.ReLU(),nn.Upsample(scale_factor=2),*H(576)),
"shuffle": S(c(3,6),nn.ReLU(),nn.ChannelShuffle(2),*H(216)),
"chunk": Forward(lambda s, x: s.l[1]((lambda p:p[0]+2*p[1])(F.relu(s.l[0](x)).chunk(2,1)).flatten(1)),c(),nn.Linear(72,5)),
"slice": Forward(lambda s, x: s.l[1](F.relu(s.l[0](x))[:,:,1::2,:-1].flatten(1)),c(),nn.Linear(60,5)),
"size": Forward(lambda s, x: s.l[1](F.relu(s.l[0](x)).view(x.size(0),-1)),c(),nn.Linear(144,5)),
"sum": Forward(lambda s, x: s.l[1](F.relu(s.l[0](x)).sum((2,3))),c(),nn.Linear(4,5)),
"pixel": S(nn.PixelUnshuffle(2),c(12,4),nn.ReLU(),*H(16)),
}
# fmt: on


def ready(model: nn.Module) -> nn.Module:
    """In evaluation, with statistics as after training."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor, low, high in (
                (layer.running_mean, -0.3, 0.3),
                (layer.running_var, 0.5, 2.0),
                (layer.weight, 0.5, 2.0),
                (layer.bias, -0.3, 0.3),
            ):
                assert tensor is not None
                nn.init.uniform_(tensor, low, high)
    return model.eval()


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_the_network_comes_to_what_the_model_computes(name: str) -> None:
    torch.manual_seed(0)
    model, images = ready(MODELS[name]), torch.rand(4, 3, 8, 8)
    network = ns.convert(model, images, recipe="max")
    expected = model(images)

    def error(steps: int) -> float:
        found = torch.as_tensor(ns.simulate(network, images, steps).read_out[-1]) / steps
        if "softmax" in name:
            found = found.log_softmax(1) if "log" in name else found.softmax(1)
        return float((found - expected).abs().max() / expected.abs().max())

    few, many = error(60), error(600)
    assert many < 0.012
    assert many < few / 3 or many < 1e-4
    for before, after in zip(model.state_dict().values(), wake(network, model).state_dict().values(), strict=True):
        assert torch.equal(before, after)


def test_a_soft_max_at_the_end_is_said_to_be_left_out() -> None:
    network = ns.convert(nn.Sequential(nn.Linear(4, 3), nn.Softmax(1)), torch.rand(9, 4))
    assert any("soft-max at the end is left out" in note for note in network.report.notes)
    with pytest.raises(ns.ConversionError, match="Softmax"):
        ns.convert(nn.Sequential(nn.Linear(4, 3), nn.Softmax(0)), torch.rand(9, 4))


@pytest.mark.parametrize("end", [nn.Sigmoid(), nn.LogSigmoid()])
@torch.no_grad()
def test_a_sigmoid_at_the_end_is_said_to_be_left_out(end: nn.Module) -> None:
    torch.manual_seed(0)
    model, images = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 1), end), torch.rand(60, 4)
    network = ns.convert(model, images, recipe="max")
    note = "3: the sigmoid at the end is left out: outputs are those before it, the largest stays the largest, and "
    assert note + "what was above 0.5 is above 0" in network.report.notes
    found = torch.as_tensor(ns.simulate(network, images, 2000).read_out[-1]) / 2000
    assert torch.allclose(found, model[:3](images), atol=2e-3)
    with pytest.raises(ns.ConversionError, match="Sigmoid"):
        ns.convert(nn.Sequential(nn.Linear(4, 3), nn.Sigmoid(), nn.Linear(3, 2)), torch.rand(9, 4))


def test_the_rounds_of_a_maximum_are_said() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 1), nn.Flatten(), nn.Linear(32, 3))
    network = ns.convert(model, torch.rand(5, 1, 8, 8))
    assert ("2", "4 populations of differences, max(a, b) = b + relu(a - b): each lags one step behind") in (
        network.report.became
    )


def test_relu6_fires_in_every_step_where_it_is_6() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU6(), nn.Linear(1, 1))
    nn.init.constant_(model[0].weight, 20.0)
    nn.init.zeros_(model[0].bias)
    network = ns.convert(model, torch.tensor([[1.0], [0.1]]), recipe="max")
    counts = ns.simulate(network, torch.tensor([[1.0], [0.15]]), 100).counts["hidden1"]
    assert counts.tolist() == [[100], [50]]
    assert network.report.largest == (6.0,)


def test_a_fixed_weight_that_changed_is_not_woken() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 3))
    network = ns.convert(model, torch.rand(5, 1, 8, 8))
    with pytest.raises(ns.ConversionError, match="no part of the model"):
        wake(network.with_weights([2 * weight for weight in network.weights]), model)
