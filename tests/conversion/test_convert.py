"""Conversion: the scales by hand and by the reference, what is refused, and the way there and back."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from neurosleep.conversion import Ratio, Recursive, convert, largest_activities, wake
from neurosleep.errors import ConversionError, DataError, NeurosleepError, SettingsError, UnknownNameError
from neurosleep.networks import MLP

# Largest values and alpha of MNIST P1 after tasks 1 to 5 of one seed, rounded there to three digits.
REFERENCE = [
    ((0.772, 0.363, 1.618), (72.4, 119, 16.2)),
    ((1.866, 0.734, 1.566), (29.9, 142, 14.0)),
    ((3.05, 0.737, 1.76), (18.3, 231, 7.7)),
    ((4.262, 0.724, 1.729), (13.1, 329, 5.5)),
    ((3.58, 0.833, 1.662), (15.6, 240, 7.8)),
]


def sequential(*layers: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*layers)


@pytest.mark.parametrize(("largest", "alpha"), REFERENCE)
def test_the_scales_are_those_of_the_reference(largest: tuple[float, ...], alpha: tuple[float, ...]) -> None:
    assert Recursive(55.882454).scales(largest) == pytest.approx(alpha, rel=0.01)


def test_scales_by_hand() -> None:
    # f = 2, 3/2, 6/(3/2) = 4
    assert Recursive().scales([2.0, 3.0, 6.0]) == pytest.approx([1 / 2, 2 / 3, 1 / 4])
    # f = 2, 3/2, 6/3 = 2
    assert Ratio(10.0).scales([2.0, 3.0, 6.0]) == pytest.approx([5, 20 / 3, 5])
    with pytest.raises(UnknownNameError, match="rato"):
        convert(MLP([2, 2]), torch.rand(3, 2), recipe="rato")  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [0.0, float("nan"), float("inf"), -1.0])
def test_a_layer_that_cannot_be_scaled_is_named(wrong: float) -> None:
    with pytest.raises(ConversionError, match="Layer 2"):
        Recursive().scales([1.0, wrong])


def test_the_largest_of_weights_and_activities_is_taken() -> None:
    weights = [torch.tensor([[0.5, -9.0]]), torch.tensor([[-1.0]])]
    batches = [[torch.tensor([[0.1]]), torch.tensor([[0.3]])], [torch.tensor([[0.4]]), torch.tensor([[0.2]])]]
    assert largest_activities(batches, weights) == pytest.approx([0.5, 0.3])


def test_a_network_becomes_populations_with_the_same_weights() -> None:
    model = MLP([3, 2, 2], dropout=0.5)
    with torch.no_grad():
        model.weights[0].copy_(torch.tensor([[1.0, 0.0, 0.0], [-1.0, 2.0, 0.0]]))
        model.weights[1].copy_(torch.tensor([[1.0, 1.0], [0.0, -1.0]]))
    before = copy.deepcopy(model.state_dict())
    images = torch.tensor([[0.0, 3.0, 0.0], [4.0, 0.0, 1.0]])
    network = convert(model, images, recipe=Recursive(2.0), thresholds=[0.5, 3.0], decay=0.9, compare=">", dt=0.002)
    report = network.report
    # While evaluating the hidden layer has half its activity, (0, 3) and (2, 0); the output 3 and 2.
    assert report.largest == (3.0, 3.0)
    assert report.scales == pytest.approx((2 / 3, 2 / 1))
    assert report.images == 2
    assert [(p.name, p.size) for p in network.populations] == [("input", 3), ("hidden1", 2), ("output", 2)]
    assert [p.threshold for p in network.populations[1:]] == [0.5, 3.0]
    assert [p.scale for p in network.projections] == pytest.approx(report.scales)
    assert network.dt == 0.002
    for ours, theirs in zip(network.weights, model.weights, strict=True):
        assert torch.equal(ours, theirs)
        assert ours.data_ptr() != theirs.data_ptr()
    assert all(torch.equal(model.state_dict()[key], before[key]) for key in before)


def test_the_images_are_read_in_parts_and_in_any_shape() -> None:
    model = MLP([4, 3, 2], init=0.5, generator=torch.Generator().manual_seed(0))
    images = torch.rand(4100, 2, 2, generator=torch.Generator().manual_seed(1))
    report = convert(model, images, recipe="recursive").report
    with torch.no_grad():
        activities = model.eval().activities(images.reshape(4100, 4))
    expected = [max(float(a.max()), float(w.detach().max())) for a, w in zip(activities, model.weights, strict=True)]
    assert report.largest == pytest.approx(expected)
    assert report.images == 4100


def test_convert_then_wake_is_the_same_network() -> None:
    for model in (MLP([4, 3, 2], init=0.5), sequential(nn.Flatten(), nn.Linear(4, 2, bias=False), nn.ReLU())):
        network = convert(model, torch.rand(5, 4), recipe="recursive")
        woken = wake(network, model)
        assert woken is not model
        assert woken.state_dict().keys() == model.state_dict().keys()
        assert all(torch.equal(woken.state_dict()[key], value) for key, value in model.state_dict().items())


def test_waking_leaves_the_model_untouched() -> None:
    model = MLP([4, 3, 2], init=0.5)
    before = copy.deepcopy(model.state_dict())
    network = convert(model, torch.rand(5, 4), recipe="recursive")
    woken = wake(network.with_weights([weight + 1 for weight in network.weights]), model)
    assert all(torch.equal(model.state_dict()[key], before[key]) for key in before)
    assert all(torch.equal(w, m + 1) for w, m in zip(woken.weights, model.weights, strict=True))
    with pytest.raises(ConversionError, match="other layers"):
        wake(network, MLP([4, 2, 2]))


@pytest.mark.parametrize(
    ("model", "images", "kind", "said"),
    [
        (sequential(nn.Linear(4, 2)), torch.rand(3, 4), ConversionError, "bias"),
        (sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), torch.rand(3, 4), ConversionError, "Conv2d"),
        (sequential(nn.ReLU()), torch.rand(3, 4), ConversionError, "no Linear"),
        (nn.Linear(4, 2, bias=False), torch.rand(3, 4), ConversionError, "type Linear"),
        (MLP([4, 2]), torch.full((3, 4), float("nan")), DataError, "Calibration"),
        (MLP([4, 2]), torch.rand(3, 5), DataError, "Calibration"),
        (MLP([4, 2]), torch.rand(0, 4), DataError, "calibration holds no image"),
        (MLP([4, 2]), torch.rand(4), DataError, "Calibration"),
    ],
    ids=["bias", "conv", "no linear", "no sequential", "nan images", "wrong width", "no images", "flat"],
)
def test_what_cannot_be_converted_is_refused(
    model: nn.Module, images: torch.Tensor, kind: type[NeurosleepError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        convert(model, images, recipe="recursive")


def test_nan_weights_and_wrong_thresholds_are_refused() -> None:
    model = MLP([4, 2])
    with pytest.raises(SettingsError, match="thresholds"):
        convert(model, torch.rand(3, 4), recipe="recursive", thresholds=[1.0, 1.0])
    with pytest.raises(NeurosleepError):
        convert(model, torch.rand(3, 4), recipe="recursive", thresholds=[float("nan")])
    with torch.no_grad():
        model.weights[0][0, 0] = float("nan")
    with pytest.raises(ConversionError, match="Layer 1"):
        convert(model, torch.rand(3, 4), recipe="recursive")


class Doubling(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


class Skipping(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + super().forward(x)


class Sharper(MLP):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) ** 2


def free(n_in: int = 4, n_out: int = 4) -> nn.Linear:
    return nn.Linear(n_in, n_out, bias=False)


def used_twice() -> nn.Module:
    layer = free()
    return nn.Sequential(layer, nn.ReLU(), layer)


def tied() -> nn.Module:
    model = nn.Sequential(free(), nn.ReLU(), free())
    model[2].weight = model[0].weight
    return model


def old_weight_norm(layer: nn.Linear) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.utils.weight_norm(layer)


def normed_mlp() -> nn.Module:
    model = MLP([4, 3, 2])
    nn.utils.parametrizations.weight_norm(model.layers[1])
    return model


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: nn.Sequential(free(), free()), "Layer '1' follows another Linear layer without ReLU"),
        (lambda: nn.Sequential(free(), nn.Dropout(0.5), free()), "Layer '2' follows"),
        (used_twice, "Layer '2' is layer '0' again"),
        (tied, "'0' and '2' share one weight"),
        (lambda: nn.Sequential(nn.Identity(), nn.ReLU(), free()), "Layer '1' is a ReLU before"),
        (lambda: nn.Sequential(nn.Flatten(0), free()), "start_dim=0"),
        (lambda: nn.Sequential(Doubling(4, 4, bias=False)), "Layer '0' is Doubling"),
        (lambda: Skipping(free(), nn.ReLU(), free()), "type Skipping"),
        (lambda: Sharper([4, 2]), "type Sharper"),
        (lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(free())), "weight of layer '0' is computed"),
        (lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(free())), "weight of layer '0' is computed"),
        (lambda: nn.Sequential(old_weight_norm(free())), "of layer '0' is computed"),
        (
            lambda: nn.Sequential(prune.l1_unstructured(free(), "weight", amount=0.5)),
            "of layer '0' is computed",
        ),
        (normed_mlp, "weight of layer 'layers.1' is computed"),
    ],
)
def test_what_would_be_taken_for_another_chain_is_refused_by_name(make: Callable[[], nn.Module], said: str) -> None:
    with pytest.raises(ConversionError, match=re.escape(said)):
        convert(make(), torch.rand(3, 4), recipe="recursive")


@pytest.mark.parametrize("norm", [nn.utils.parametrizations.weight_norm, old_weight_norm])
def test_a_weight_that_is_computed_is_carried_for_chips_but_not_written_back(
    norm: Callable[[nn.Linear], nn.Module],
) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(norm(free()), nn.ReLU(), free()), torch.rand(20, 4)
    try:
        network = convert(model, x, recipe="max")
    except ConversionError as error:  # the older one cannot be copied by torch
        assert "remove_weight_norm" in str(error)
        return
    assert torch.equal(network.weights[0], model[0].weight)
    with pytest.raises(ConversionError, match="weight of layer '0' is computed"):
        wake(network, model)


@pytest.mark.parametrize("give", [lambda x: x.numpy(), lambda x: x.double(), lambda x: (255 * x).byte(), list])
def test_images_of_any_kind_are_read(give: Callable[[torch.Tensor], object]) -> None:
    model = nn.Sequential(free(), nn.ReLU(), free())
    x = (255 * torch.rand(20, 4)).byte().float() / 255
    found = convert(model, give(x), recipe="recursive")  # type: ignore[call-overload]
    expected = convert(model, x, recipe="recursive")
    assert [p.scale for p in found.projections] == pytest.approx([p.scale for p in expected.projections])


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("make", [lambda: nn.Sequential(free(), nn.ReLU(), free()), lambda: MLP([4, 3, 2], init=0.5)])
def test_half_precision_is_computed_in_single_and_woken_bit_for_bit(
    make: Callable[[], nn.Module], kind: torch.dtype
) -> None:
    model = make().to(kind)
    network = convert(model, torch.rand(20, 4), recipe="recursive")
    assert all(weight.dtype == torch.float32 for weight in network.weights)
    woken = wake(network, model)
    assert all(
        torch.equal(a, b) and b.dtype == kind for a, b in zip(model.parameters(), woken.parameters(), strict=True)
    )
