"""Too little memory on a device: what is needed is said, batches go on in halves, and nothing is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import neurosleep as ns
from neurosleep.errors import DeviceMemoryError, NeurosleepWarning
from neurosleep.functional import InputNoise, SlowOscillation, torch_generator
from neurosleep.spiking.engines import TorchEngine, memory
from neurosleep.spiking.engines.base import Engine
from neurosleep.spiking.engines.memory import in_pieces
from neurosleep.spiking.engines.tensor import session

# Numbers with which all sums are exact, however many samples are computed at once.
IMAGES = torch.randint(0, 5, (20, 6), generator=torch_generator(0, "images")) / 4


def network() -> ns.SpikingNetwork:
    rng = np.random.default_rng(0)
    first, second = (torch.tensor(rng.integers(-4, 9, shape) / 8, dtype=torch.float64) for shape in ((5, 6), (3, 5)))
    hidden, output = (ns.Population(name, "lif", (n,), reset="subtract") for name, n in (("hidden", 5), ("output", 3)))
    return ns.SpikingNetwork(
        (ns.Population("input", "input", (6,)), hidden, output),
        (ns.Dense("input", "hidden", first), ns.Dense("hidden", "output", second)),
    )


def test_a_size_that_is_too_much_is_halved_until_it_fits() -> None:
    tried: list[tuple[int, int]] = []

    def work(first: int, last: int) -> list[int]:
        tried.append((first, last))
        if last - first > 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return list(range(first, last))

    with pytest.warns(
        NeurosleepWarning, match="too little memory for 11 samples at once: 3 are stepped at a time"
    ) as said:
        made = in_pieces(11, work)
    assert [len(piece) for piece in made] == [3, 3, 3, 2] and [k for piece in made for k in piece] == list(range(11))
    assert tried[:3] == [(0, 11), (0, 6), (0, 3)] and len(said) == 1
    assert in_pieces(4, work) == [[0, 1, 2, 3]]


def test_memory_that_is_too_little_for_one_sample_is_an_error() -> None:
    def work(first: int, last: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.")

    with pytest.raises(
        DeviceMemoryError, match=r"single sample.\n +Found: +CUDA out of memory. Tried to allocate 20 G"
    ):
        in_pieces(3, work)


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="broken"):
        in_pieces(3, lambda first, last: (_ for _ in ()).throw(RuntimeError("broken")))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device whose memory holds a batch of six."""
    start = Engine.start_batch

    def start_batch(self: Engine, network: ns.SpikingNetwork, batch: int, *, device: str = "cpu") -> Any:
        if batch > 6:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return start(self, network, batch, device=device)

    monkeypatch.setattr(Engine, "start_batch", start_batch)


@pytest.mark.parametrize("coding", ["constant", "bernoulli", "poisson"])
def test_a_batch_in_halves_is_the_same(coding: Any, request: pytest.FixtureRequest) -> None:
    given: dict[str, Any] = {"coding": coding, "engine": "torch"}
    if coding != "constant":
        given["max_rate"] = 400.0
    whole = ns.simulate(network(), IMAGES, 30, **given)
    request.getfixturevalue("small")
    with pytest.warns(NeurosleepWarning, match="too little memory for 20 samples"):
        halves = ns.simulate(network(), IMAGES, 30, **given)
    assert all(np.array_equal(halves.counts[name], counts) for name, counts in whole.counts.items())
    assert np.array_equal(halves.read_out, whole.read_out) and whole.counts["output"].size == 60


def test_trains_and_frames_in_halves_are_the_same(request: pytest.FixtureRequest) -> None:
    spikes = torch.rand(30, 20, 6, generator=torch_generator(0, "spikes")) < 0.4
    noise, oscillation = InputNoise([0.5] * 6), SlowOscillation(frames=20)
    whole = ns.simulate(network(), spikes, engine="torch")
    slept = ns.replay.regulate_spikes(network(), noise, oscillation=oscillation, engine="torch")
    request.getfixturevalue("small")
    with pytest.warns(NeurosleepWarning, match="too little memory for 20 samples"):
        halves = ns.simulate(network(), spikes, engine="torch")
    assert np.array_equal(halves.read_out, whole.read_out)
    with pytest.warns(NeurosleepWarning, match="too little memory for 20 samples"):
        again = ns.replay.regulate_spikes(network(), noise, oscillation=oscillation, engine="torch")
    assert all(torch.equal(*pair) for pair in zip(slept.network.weights, again.network.weights, strict=True))


def test_what_is_needed_and_what_is_free_is_said_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (memory, session):
        monkeypatch.setattr(module, "free_memory", lambda device: 2**20)
    wide = ns.SpikingNetwork(
        (ns.Population("in", "input", (1000,)), ns.Population("a", "lif", (1000,))),
        (ns.Dense("in", "a", torch.zeros(1000, 1000)),),
    )
    with pytest.raises(DeviceMemoryError, match=r"stack of 3 networks needs about 12 MiB.*\n +Found: +1 MiB free"):
        TorchEngine().start_many([wide] * 3)
    with pytest.raises(DeviceMemoryError, match=r"batch of 1 needs about 4 MiB"):
        ns.simulate(wide, torch.rand(4, 1000), 5, engine="torch")
    assert ns.simulate(network(), IMAGES, 5, engine="torch").counts["output"].shape == (20, 3)


def test_a_device_that_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ns.UnsupportedError, match=r"no CUDA device here.\n +Found: +torch.cuda.is_available"):
        ns.simulate(network(), IMAGES, 5, device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ns.UnsupportedError, match=r"'cuda:7' is not on this machine.\n +Found: +2 CUDA devices"):
        ns.simulate(network(), IMAGES, 5, device="cuda:7")
    with pytest.raises(ns.SettingsError, match="no device 'gpu'"):
        ns.simulate(network(), IMAGES, 5, device="gpu")
