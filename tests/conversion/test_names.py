"""Populations are named as the user names the layers, and stay so in files and monitors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import neurosleep as ns

X = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(2, 3, 2), nn.ReLU())
        self.fc1 = nn.Linear(12, 5)
        self.fc2 = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(torch.relu(self.fc1(self.features(x).flatten(1))))


def names(model: nn.Module, images: Tensor = X, **options: str) -> list[str]:
    network = ns.convert(model, images, recipe="percentile", **options)  # type: ignore[call-overload]
    report = network.report
    assert set(report.populations) <= {p.name for p in network.populations}
    for _, what in report.became:
        if what.startswith("spiking population"):
            assert what.split("'")[1] in report.populations
    return [p.name for p in network.populations]


def test_layers_have_the_path_of_the_module() -> None:
    expected = ["input", "features.0", "features.2", "features.3", "fc1", "output"]
    assert names(Named()) == expected
    assert names(nn.DataParallel(Named())) == expected


def test_layers_that_have_numbers_only_are_named_as_for_sleep() -> None:
    chain = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    assert names(chain) == ["input", "hidden1", "hidden2", "output"]
    bare = nn.Sequential(nn.Linear(64, 6, bias=False), nn.ReLU(), nn.Linear(6, 3, bias=False))
    flat = X.flatten(1)
    assert names(bare, flat) == [p.name for p in ns.convert(bare, flat, recipe="recursive").populations]


def test_a_last_layer_that_rectifies_is_the_output_too() -> None:
    fires = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 3), nn.ReLU())
    assert names(fires) == ["input", "hidden1", "output"]
    assert names(nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.ReLU())) == ["input", "output"]


def test_pools_and_relays_are_counted_by_themselves() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(18, 4), nn.Linear(4, 3))
    assert names(net) == ["input", "hidden1", "pool1", "relay1", "output"]


def test_a_layer_that_is_used_twice_makes_two_populations() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(torch.relu(self.out(x)))

    assert names(Twice(), torch.rand(3, 6)) == ["input", "out", "output"]


def converted() -> ns.SpikingNetwork:
    return ns.convert(Named(), X, recipe="max", reset="to_value")


def test_names_with_dots_stay_in_files_and_monitors(tmp_path: Path) -> None:
    network = converted()
    path = ns.save(network, tmp_path / "a.safetensors")
    again = ns.load(path)
    assert isinstance(again, ns.SpikingNetwork)
    assert [p.name for p in again.populations] == [p.name for p in network.populations]
    spikes = ns.SpikeEvents.from_dense(torch.rand(30, 64, generator=torch.Generator().manual_seed(1)) < 0.4)
    record = ns.Record(
        spikes=("features.0",),
        groups={"fc1": {"some": [0, 1]}},
        weights={"fc1 -> output": [(0, 1)]},
        weights_every=5,
        folder=tmp_path / "recording",
    )
    recording = ns.simulate(network, spikes, record=record, engine="reference")
    for found in (
        recording,
        ns.Recording.open(recording.to_npz(tmp_path / "a.npz")),
        ns.Recording.open(tmp_path / "recording"),
    ):
        assert np.array_equal(found.monitor("features.0").count, recording.counts["features.0"])
        assert found.weight_monitor("fc1 -> output").w.shape == (1, 7)
    assert "features.0" in recording.to_csv(tmp_path / "a.csv").read_text()


def test_names_with_dots_stay_in_nir(tmp_path: Path) -> None:
    pytest.importorskip("nir")
    network = converted()
    again = ns.load(ns.save(network, tmp_path / "a.nir"))
    assert isinstance(again, ns.SpikingNetwork)
    assert [p.name for p in again.populations] == [p.name for p in network.populations]


def test_names_with_dots_go_to_norse_and_snntorch() -> None:
    chain = nn.Sequential()
    chain.add_module("a", nn.Sequential(nn.Linear(6, 5), nn.ReLU()))
    chain.add_module("b", nn.Linear(5, 3))
    network = ns.convert(chain, torch.rand(3, 6), recipe="max", read_out="spikes", reset="to_value")
    assert [p.name for p in network.populations] == ["input", "a.0", "output"]
    assert ns.from_snntorch(ns.to_snntorch(network), dt=network.dt, input_shape=(6,)).layers
    pytest.importorskip("norse")
    assert ns.to_norse(network)


@pytest.mark.parametrize("recipe", ["recursive", "percentile"])
def test_images_of_bytes_are_scaled_and_the_report_says_so(recipe: str) -> None:
    torch.manual_seed(0)
    model, images = nn.Sequential(nn.Linear(6, 3, bias=False)), torch.randint(0, 256, (9, 6), dtype=torch.uint8)
    for given in (images, images.numpy()):
        made = ns.convert(model, given, recipe=recipe)  # type: ignore[call-overload]
        report = made.report
        plain = ns.convert(model, images / 255, recipe=recipe).report  # type: ignore[call-overload]
        assert report.largest == plain.largest and plain.notes == () and made.layers
        assert report.notes == ("calibration: bytes were scaled from 0..255 to 0..1",)
