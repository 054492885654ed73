"""Many networks asleep at once: each as alone, and whatever makes no sense refused before any of them sleeps."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch

import neurosleep as ns
from neurosleep import _checks
from neurosleep.errors import NeurosleepError, SettingsError, UnknownNameError
from neurosleep.functional import InputNoise, SlowOscillation, torch_generator
from neurosleep.replay import Streams, regulate_many, regulate_spikes, sleep_many

pytestmark = pytest.mark.filterwarnings("ignore::neurosleep.errors.NeurosleepWarning")

DRIVE = ns.MeanDrive(np.full(6, 0.5), 200.0)
RULE = ns.SRCRule(0.01, 0.001)


def network(seed: int, bias: bool = False) -> ns.SpikingNetwork:
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(6, 9, bias=bias), torch.nn.ReLU(), torch.nn.Linear(9, 3, bias=bias))
    images = torch.rand(20, 6, generator=torch_generator(seed, "images"))
    return ns.convert(model, images, recipe="percentile" if bias else "recursive")


def assert_equal(a: ns.SpikingNetwork, b: ns.SpikingNetwork) -> None:
    assert all(torch.equal(x, y) for x, y in zip(a.weights, b.weights, strict=True))
    for p, q in zip(a.populations, b.populations, strict=True):
        assert torch.equal(torch.as_tensor(p.bias), torch.as_tensor(q.bias))


@pytest.mark.parametrize("jobs", [1, 3])
def test_each_network_sleeps_as_it_would_alone(jobs: int) -> None:
    networks, seeds, steps = [network(k) for k in range(5)], [3, 1, 4, 1, 5], [1200, 300, 40, 700, 1200]
    rules = [ns.SRCRule(0.01 * (k + 1), 0.001) for k in range(5)]
    drives: list[Any] = [DRIVE, Streams(DRIVE, 4), DRIVE, Streams(DRIVE, 2, "mean"), DRIVE]
    done: list[int] = []
    slept = sleep_many(
        networks, drive=drives, rule=rules, steps=steps, seed=seeds, task=2, jobs=jobs, progress=done.append
    )
    for k, result in enumerate(slept):
        alone = ns.sleep(networks[k], drive=drives[k], rule=rules[k], steps=steps[k], seed=seeds[k], task=2)
        assert_equal(result.network, alone.network)
        assert result.fired == alone.fired > 0 and result.status == alone.status
    assert done[-1] == 5 and done == sorted(done)


def test_one_network_with_many_seeds_and_a_member_that_diverges() -> None:
    net = network(0)
    limits = [ns.Limits(), ns.Limits(weights=1e-9), ns.Limits()]
    slept = sleep_many([net] * 3, drive=DRIVE, rule=RULE, steps=500, seed=[0, 1, 2], limits=limits, jobs=2)
    assert [result.status for result in slept] == ["done", "diverged", "done"]
    assert not torch.equal(slept[0].network.weights[0], slept[2].network.weights[0])


def test_homeostasis_of_many_is_that_of_each() -> None:
    networks, noise = [network(k, bias=True) for k in range(3)], InputNoise([0.5] * 6)
    oscillation = SlowOscillation(frames=60)
    done = regulate_many(networks, noise, oscillation=oscillation, every=[None, 30, None], seed=[7, 8, 9], jobs=2)
    for k, result in enumerate(done):
        every = 30 if k == 1 else None
        alone = regulate_spikes(networks[k], noise, oscillation=oscillation, every=every, seed=7 + k)
        assert_equal(result.network, alone.network)
        assert not torch.equal(result.network.weights[0], networks[k].weights[0])


def test_the_threads_of_torch_stay_what_they_were() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    sleep_many([network(0)] * 2, drive=DRIVE, rule=RULE, steps=10, jobs=2, progress=lambda done: seen.append(done))
    assert torch.get_num_threads() == before and seen
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("neurosleep")]


@pytest.mark.parametrize(
    ("change", "kind", "match"),
    [
        ({"networks": []}, SettingsError, "at least one"),
        ({"networks": network(0)}, SettingsError, "at least one"),
        ({"networks": [network(0), 3]}, SettingsError, "networks holds 3"),
        ({"seed": [1, 2, 3]}, SettingsError, "seed has 3 entries"),
        ({"jobs": 0}, SettingsError, "jobs"),
        ({"jobs": 1.5}, SettingsError, "jobs"),
        ({"steps": [10, 0]}, SettingsError, "sleep steps"),
        ({"engine": ["event", "brian"]}, UnknownNameError, "brian"),
        ({"rule": [RULE, "src"]}, SettingsError, "no plasticity rule"),
        ({"drive": [DRIVE, Streams(ns.MeanDrive(np.full(5, 0.5), 1.0), 2)]}, SettingsError, "5 inputs"),
    ],
)
def test_bad_input_is_refused_before_any_network_sleeps(
    change: dict[str, Any], kind: type[NeurosleepError], match: str
) -> None:
    given = {"networks": [network(0), network(1)], "drive": DRIVE, "rule": RULE, "steps": 10} | change
    done: list[int] = []
    with pytest.raises(kind, match=match):
        sleep_many(given.pop("networks"), **given, progress=done.append)
    assert done == []


def test_what_memory_cannot_hold_is_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network(0)
    monkeypatch.setattr(_checks, "_memory", lambda: 100_000.0)
    with pytest.raises(SettingsError, match=r"4000 streams needs about .* GB") as streams:
        ns.sleep(net, drive=Streams(DRIVE, 4000), rule=RULE, steps=10)
    assert "streams=2000" in str(streams.value) and "0.0001 GB" in str(streams.value)
    with pytest.raises(SettingsError, match="population of 400 networks, 2 at once") as population:
        sleep_many([net] * 400, drive=DRIVE, rule=RULE, steps=10, jobs=2)
    assert "half of 400" in str(population.value) and "jobs=1" in str(population.value)
    with pytest.raises(SettingsError, match="population of 400 networks"):
        regulate_many([network(0, bias=True)] * 400, InputNoise([0.5] * 6), jobs=2)
    ns.sleep(net, drive=Streams(DRIVE, 2), rule=RULE, steps=10)


def test_an_error_while_networks_sleep_comes_through() -> None:
    class Broken(ns.MeanDrive):
        def draw(self, generator: np.random.Generator, steps: int, dt: float) -> ns.SpikeEvents:
            raise ZeroDivisionError("as a user's drive may")

    broken = Broken(np.full(6, 0.5), 200.0)
    with pytest.raises(ZeroDivisionError, match="user's drive"):
        sleep_many([network(0)] * 4, drive=[DRIVE, broken, DRIVE, DRIVE], rule=RULE, steps=10, jobs=1)
    # Of several streams too: what a drive of one's own draws is asked for, stream by stream.
    with pytest.raises(ZeroDivisionError):
        ns.sleep(network(0), drive=Streams(broken, 3), rule=RULE, steps=10)
