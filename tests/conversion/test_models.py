"""Models as people have them: wrapped, in half precision, with computed weights, single layers; and what is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import neurosleep as ns
from neurosleep.conversion import Percentile, compare, convert, wake
from neurosleep.errors import ConversionError, ExchangeError, NeurosleepError, SettingsError


def chain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


X = torch.rand(20, 6, generator=torch.Generator().manual_seed(0))


def error(model: nn.Module, network: ns.SpikingNetwork, x: Tensor = X, steps: int = 600) -> float:
    with torch.no_grad():
        y = model.eval()(x).double()
    got = torch.from_numpy(ns.simulate(network, x.float(), steps).read_out[-1]).double() / steps
    return float((got - y).abs().max() / y.abs().max())


def _old_norm() -> nn.Module:
    model = nn.Sequential(nn.utils.weight_norm(nn.Linear(6, 8)), nn.ReLU(), nn.Linear(8, 3))
    model(X).sum().backward()
    with torch.no_grad():
        model[0].weight_g.mul_(2)  # type: ignore[union-attr, operator] # the weight that is there is that of before
    return model


def _new_norm() -> nn.Module:
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(6, 8))
    return nn.Sequential(layer, nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.DataParallel(chain()),
        _old_norm,
        _new_norm,
        lambda: chain()[2],
        pytest.param(lambda: torch.compile(chain()), marks=pytest.mark.full),  # its import takes many seconds
    ],
)
def test_a_model_in_other_clothes_converts(make: Any) -> None:
    model = make()
    x = torch.rand(20, 8) if isinstance(model, nn.Linear) else X
    network = convert(model, x, recipe="max")
    with torch.no_grad():
        y = chain()(x) if isinstance(model, nn.DataParallel) else None
    plain = model._orig_mod if hasattr(model, "_orig_mod") else model
    assert y is None or torch.equal(plain(x), y)
    assert error(plain, network, x) < 0.02


def test_the_way_back_knows_wrappers_and_single_layers() -> None:
    for model, x in ((nn.DataParallel(chain()), X), (chain()[2], torch.rand(9, 8))):
        network = convert(model, x, recipe="max")
        woken = wake(network, model)
        assert type(woken) is type(model)
        assert all(torch.equal(woken.state_dict()[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("recipe", ["max", Percentile(100.0), "balance", "recursive"])
def test_every_recipe_computes_in_single_precision_at_least(dtype: torch.dtype, recipe: Any) -> None:
    model = nn.Sequential(nn.Linear(6, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False)).to(dtype)
    network = convert(model, X.to(dtype), recipe=recipe)
    wanted = torch.float64 if dtype == torch.float64 else torch.float32
    assert network.dtype == wanted and model[0].weight.dtype == dtype
    assert torch.equal(network.weights[0], model[0].weight.detach().to(wanted))
    if recipe in ("max", Percentile(100.0)):
        assert error(model.to(wanted), network, X.to(dtype).to(wanted), 2000) < 0.02


def test_mixed_types_and_images_of_other_types() -> None:
    model = chain()
    model[2].double()
    network = convert(model, X, recipe="max")
    assert network.dtype == torch.float64 and len({w.dtype for w in network.weights}) == 1
    plain = convert(chain(), X, recipe="max")
    for images in (X.double(), X.numpy(), X.numpy().astype(np.float16), X.tolist(), list(X)):
        found = convert(chain(), images, recipe="max")  # type: ignore[arg-type]
        assert found.dtype == torch.float32
        if not (isinstance(images, np.ndarray) and images.dtype == np.float16):
            for a, b in zip(found.projections, plain.projections, strict=True):
                assert a.scale == pytest.approx(b.scale)
    whole = (255 * X).to(torch.uint8)
    assert error(chain(), convert(chain(), whole, recipe="max"), whole.float() / 255) < 0.02  # scaled to 0 to 1


def test_whole_numbers_as_weights_are_refused() -> None:
    model = chain()
    model[0].weight = nn.Parameter(torch.ones(8, 6, dtype=torch.int8), requires_grad=False)
    for recipe in ("max", "recursive"):
        with pytest.raises(ConversionError, match="int8"):
            convert(model, X, recipe=recipe)  # type: ignore[call-overload]


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(6, 3)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.a(x) + y


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (chain().state_dict(), "no torch module"),
        (nn.ReLU, "no torch module"),
        ("model.onnx", "no torch module"),
        (Path("model.onnx"), "no torch module"),
        (None, "no torch module"),
        (nn.Sequential(nn.LazyLinear(4), nn.ReLU()), "no values yet"),
        (TwoInputs(), "2 inputs: x, y"),
    ],
)
def test_what_is_no_model_of_one_input_is_refused_by_what_it_is(model: Any, said: str) -> None:
    with pytest.raises(ConversionError, match=said):
        convert(model, X, recipe="max")


@pytest.mark.parametrize(
    "images",
    [
        DataLoader(TensorDataset(X, torch.zeros(20)), 5),
        (X, torch.zeros(20)),
        "x.npy",
        None,
        {},
        torch.zeros(0, 6),
        object(),
    ],
)
@pytest.mark.parametrize("recipe", ["max", "recursive"])
def test_what_are_no_images_is_refused(images: Any, recipe: Any) -> None:
    model = nn.Sequential(nn.Linear(6, 3, bias=False))
    with pytest.raises(NeurosleepError):
        convert(model, images, recipe=recipe)
    with pytest.raises(NeurosleepError):
        network = convert(model, X, recipe="max")
        compare(model, network, images)


@pytest.mark.parametrize("percentile", [0.999, 1.0, 0, -3, 101, float("nan"), "99", None])
def test_a_percentile_is_one_of_a_hundred(percentile: Any) -> None:
    with pytest.raises(SettingsError, match="percentile"):
        Percentile(percentile)


def test_checkpoints_and_scripts(tmp_path: Path) -> None:
    model = chain()
    for number, key in enumerate(("state_dict", "model_state_dict", "model")):
        path = tmp_path / f"{number}.pt"
        torch.save({key: model.state_dict(), "epoch": 3}, path)
        assert torch.equal(ns.load(path, chain().apply(lambda m: None))[2].weight, model[2].weight)
    torch.save({"epoch": 3, "weights": [1, 2]}, tmp_path / "none.pt")
    with pytest.raises(ExchangeError, match="'epoch', 'weights'"):
        ns.load(tmp_path / "none.pt", chain())
    torch.save({"state_dict": model.state_dict(), "model": model.state_dict()}, tmp_path / "two.pt")
    with pytest.raises(ExchangeError, match="something other"):
        ns.load(tmp_path / "two.pt", chain())
    torch.jit.trace(model, X).save(str(tmp_path / "script.pt"))
    with pytest.raises(ExchangeError, match="TorchScript"):
        ns.load(tmp_path / "script.pt", chain())


def test_a_refused_model_leaves_no_traceback_on_the_screen(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
    with pytest.raises(ExchangeError, match="cannot be traced"):
        ns.save(model, tmp_path / "m.onnx", input_shape=(1, 9, 9))
    with pytest.raises(ConversionError, match="does not accept"):
        convert(model, torch.rand(2, 1, 9, 9), recipe="max")
    assert capfd.readouterr() == ("", "")
