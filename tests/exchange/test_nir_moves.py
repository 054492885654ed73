"""What moves, scales or shifts values has no node in NIR: it is in the weights and in the layout of the input."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import neurosleep as ns
from neurosleep.cli.app import app
from neurosleep.errors import UnsupportedError
from neurosleep.exchange import ExchangeWarning, from_nir, to_nir
from neurosleep.functional import SpikeEvents
from neurosleep.spiking import Conv, Dense, Population, SpikingNetwork, Transposed, get_engine

nir = pytest.importorskip("nir")
STEPS = 100


def trains(network: SpikingNetwork, x: Tensor) -> dict[str, Tensor]:
    """Spikes of all neurons for spikes ``[steps, n]`` of the input, by the reference engine."""
    out = get_engine("reference").start(network).run({"input": SpikeEvents.from_dense(x)})
    return {p.name: out[p.name].to_dense(torch.bool) for p in network.populations if p.kind == "lif"}


def turned(graph: Any, x: Tensor, before: tuple[int, ...]) -> Tensor:
    """Inputs ``[..., n]`` of the network as the graph says that it takes them."""
    metadata, shape = graph.nodes["input"].metadata, graph.nodes["input"].input_type["input"]
    if "axes" not in metadata:
        return x
    assert tuple(metadata["shape_before"]) == before and metadata["layout"] == "channels first"
    return x.reshape(-1, *before).permute(0, *(int(axis) + 1 for axis in metadata["axes"])).reshape(len(x), *shape)


def same_spikes(network: SpikingNetwork) -> tuple[Any, SpikingNetwork]:
    """The graph and what is read from it, once both give the same spikes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ExchangeWarning)
        graph = to_nir(network)
    words = [str(warning.message) for warning in caught]
    assert len(words) == ("axes" in graph.nodes["input"].metadata)
    assert all(word.startswith("The input of the NIR graph is channels first") for word in words)
    again, before = from_nir(graph), network.inputs[0].shape
    spikes = torch.rand(STEPS, network.inputs[0].size, generator=torch.Generator().manual_seed(1)) < 0.3
    old, new = trains(network, spikes), trains(again, turned(graph, spikes, before).reshape(STEPS, -1))
    assert old.keys() == new.keys()
    assert sum(int(train.sum()) for train in old.values()) > 50
    for name, train in old.items():
        assert torch.equal(train, new[name]), name
    return graph, again


def agree(model: nn.Module, x: Tensor) -> tuple[Any, SpikingNetwork]:
    """As :func:`same_spikes` of a converted model, whose outputs the network that is read back gives for images."""
    # In float64, so that no rounding decides on which step a spike falls.
    network, x = ns.convert(model, x).to(torch.float64), x[:8].double()
    graph, again = same_spikes(network)
    images = turned(graph, x, network.inputs[0].shape)
    one, other = (ns.simulate(n, y, 300).read_out for n, y in ((network, x), (again, images)))
    assert one is not None and other is not None
    np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-6 * float(np.abs(one).max()))
    outputs = model(x.float()).detach().numpy()
    assert np.abs(other[-1] / 300 - outputs).max() < 0.05 * np.abs(outputs).max()
    return graph, again


class Shown(nn.Module):
    """A network as people write it: what is done to the images, a convolution, and a flatten in channels last."""

    def __init__(self, first: Callable[[Tensor], Tensor], channels: int, padding: int, last: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = first, last
        self.conv = nn.Conv2d(channels, 4, 3, padding=padding)
        self.pool = nn.AvgPool2d(2)
        self.hidden, self.out = nn.Linear(4 * (3 + padding) ** 2, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(torch.relu(self.conv(self.first(x))))
        x = (x.permute(0, 2, 3, 1) if self.last else x).flatten(1)
        return self.out(torch.relu(self.hidden(x)))


MEAN, SPREAD = torch.tensor([0.2, 0.3, 0.4]), torch.tensor([0.5, 0.25, 2.0])
FIRST: dict[str, Callable[[Tensor], Tensor]] = {
    "as it is": lambda x: x.permute(0, 3, 1, 2),
    "scaled": lambda x: (x / 2).permute(0, 3, 1, 2),
    "scaled after": lambda x: x.permute(0, 3, 1, 2) * 4,
    "scaled by channel": lambda x: (x / SPREAD).permute(0, 3, 1, 2),
    "shifted": lambda x: (x - 0.25).permute(0, 3, 1, 2),
    "normalised": lambda x: ((x - MEAN) / SPREAD).permute(0, 3, 1, 2),
    "normalised after": lambda x: (x.permute(0, 3, 1, 2) - MEAN.reshape(3, 1, 1)) / SPREAD.reshape(3, 1, 1),
}  # fmt: skip


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("first", FIRST)
def test_images_with_channels_last(first: str, padding: int) -> None:
    x = torch.rand(30, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    graph, again = agree(Shown(FIRST[first], 3, padding), x)
    assert again.inputs[0].shape == (3, 8, 8) and tuple(graph.nodes["input"].metadata["axes"]) == (2, 0, 1)
    # Zeros that pad stand for no shift: there it has a convolution of its own; else it is in weights and bias.
    own = padding == 1 and first in ("shifted", "normalised", "normalised after")
    kernels = sorted(q.kernel for q in again.projections if isinstance(q, Conv))
    assert kernels == [(1, 1)] * own + [(3, 3)]


def test_images_with_channels_first_keep_their_layout() -> None:
    x = torch.rand(30, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    graph, again = agree(Shown(lambda x: (x - MEAN.reshape(3, 1, 1)) / SPREAD.reshape(3, 1, 1), 3, 1), x)
    assert again.inputs[0].shape == (3, 8, 8) and "axes" not in graph.nodes["input"].metadata


def test_the_columns_of_a_matrix_move_with_what_it_reads() -> None:
    x = torch.rand(30, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    model = Shown(lambda x: x, 1, 0)
    _, again = agree(model, x)
    (matrix,) = (q.weight for q in again.projections if isinstance(q, Dense) and q.target == "hidden")
    expected = model.hidden.weight.reshape(6, 3, 3, 4).permute(0, 3, 1, 2).reshape(6, 36)
    assert torch.equal(matrix, expected.double())


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4)])
def test_a_normalised_input_of_a_matrix(shape: tuple[int, ...]) -> None:
    n = int(np.prod(shape))
    x, mean, spread = torch.rand(30, *shape), torch.rand(shape), 0.5 + torch.rand(shape)

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.out = nn.Linear(n, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = (x - mean) / spread
            x = x.transpose(-1, -2).flatten(1) if x.ndim > 2 else x
            return self.out(torch.relu(self.hidden(x)))

    torch.manual_seed(0)
    graph, again = agree(Scaled(), x)
    assert {type(node).__name__ for node in graph.nodes.values()} <= {"Input", "Flatten", "Affine", "IF", "I", "Output"}
    assert again.inputs[0].shape == shape


PICTURE = torch.rand(8, 8, 3)


def test_what_cannot_be_folded_is_refused() -> None:
    """A mean image before a convolution, maps made of a vector, and images that two layers read in two orders."""
    x = torch.rand(30, 8, 8, 3)
    with pytest.raises(UnsupportedError, match=r"no place for the bias(?s:.*)one bias per channel"):
        to_nir(ns.convert(Shown(lambda x: (x - PICTURE).permute(0, 3, 1, 2), 3, 0), x))
    shuffled = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.PixelShuffle(2), nn.Conv2d(1, 2, 3))
    with pytest.raises(UnsupportedError, match="turns a vector into a map"):
        to_nir(ns.convert(shuffled, x.permute(0, 3, 1, 2)))

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 2, 3), nn.Conv2d(3, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.a(x.permute(0, 3, 1, 2))) + torch.relu(self.b(x.permute(0, 3, 2, 1)))

    with pytest.raises(UnsupportedError, match="turns a vector into a map"):
        to_nir(ns.convert(Both(), x))


def test_an_input_that_a_matrix_reads_too() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.beside, self.out = nn.Conv2d(3, 2, 3), nn.Linear(192, 5), nn.Linear(77, 4)

        def forward(self, x: Tensor) -> Tensor:
            maps, beside = torch.relu(self.conv(x.permute(0, 3, 1, 2))), torch.relu(self.beside(x.flatten(1)))
            return self.out(torch.cat([maps.flatten(1), beside], 1))

    torch.manual_seed(0)
    x = torch.rand(30, 8, 8, 3)
    agree(Both(), x)


def test_delays_and_shared_weights_stay() -> None:
    """A shift that arrives later is none of the first step; a weight that is used backwards keeps its ends."""
    weight = torch.rand(3, 8)
    populations = (
        Population("input", "input", (2, 4)),
        Population("turned", "relay", (4, 2), bias=0.5),
        Population("hidden", "lif", (3,)),
    )
    move = Dense("input", "turned", torch.eye(8)[torch.arange(8).reshape(2, 4).T.flatten()])
    conv = Conv("turned", "maps", torch.ones(1, 4, 1))
    maps = Population("maps", "lif", (1, 2), threshold=3.0)
    for delay in (0, 1):
        _, again = same_spikes(
            SpikingNetwork((*populations, maps), (move, Dense("turned", "hidden", weight, delay=delay), conv))
        )
        assert again.inputs[0].shape == (4, 2) and ("turned" in {p.name for p in again.populations}) == (delay == 1)
    back = Transposed("hidden", "turned", of=("turned", "hidden"))
    with pytest.raises(UnsupportedError, match="turns a vector into a map"):
        to_nir(SpikingNetwork((*populations, maps), (move, Dense("turned", "hidden", weight), conv, back)))


def test_a_keras_network_by_the_command_line(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from tests.exchange.test_onnx_exporters import _keras

    model, x = _keras(3).file(tmp_path), np.random.default_rng(0).random((40, 8, 8, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)

    def call(*arguments: str) -> Any:
        result = CliRunner().invoke(app, ["convert", *arguments, "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    with pytest.warns(ExchangeWarning, match=r"channels first, \[3, 8, 8\]: image.transpose\(2, 0, 1\)"):
        done = call(
            str(model), "--to", "nir", "--calibration", str(tmp_path / "x.npy"), "--out", str(tmp_path / "k.nir")
        )
    network, again = ns.convert(ns.load(model), x), ns.load(tmp_path / "k.nir")
    assert [layer["name"] for layer in done["layers"]] == [p.name for p in again.layers]
    call(str(tmp_path / "k.nir"), "--to", "snntorch", "--dt", "0.001", "--out", str(tmp_path / "folder"))
    namespace: dict[str, Any] = {"__file__": str(tmp_path / "folder" / "model.py"), "__name__": "model"}
    exec((tmp_path / "folder" / "model.py").read_text(), namespace)
    spikes = torch.rand(STEPS, 8, 8, 3) < 0.3
    sent = namespace["load"]().run(spikes.permute(0, 3, 1, 2)[:, None].float())
    for name, train in trains(network, spikes.reshape(STEPS, -1)).items():
        assert torch.equal(sent[name].reshape(STEPS, -1).bool(), train), name
    assert sum(int(values.sum()) for name, values in sent.items() if name != "output") > 100
