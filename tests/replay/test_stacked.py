"""Many networks asleep as one stack: each as alone, whatever becomes of the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import neurosleep as ns
from neurosleep.errors import NeurosleepWarning, SettingsError
from neurosleep.functional import numpy_generator
from neurosleep.replay import Streams, _stacked, sleep_many
from neurosleep.spiking.engines.tensor.session import TensorSessions

DRIVE = ns.MeanDrive(np.full(6, 0.5), 200.0)
RULE = ns.SRCRule(0.25, 0.125, factor="constant")


def network(seed: int, hidden: int = 5) -> ns.SpikingNetwork:
    rng = numpy_generator(seed, "weights")
    sizes = {"input": 6, "hidden": hidden, "output": 3}
    layers = [ns.Population(name, "lif", (n,), threshold=1.0, decay=0.5) for name, n in list(sizes.items())[1:]]
    weights = [torch.tensor(rng.integers(-4, 8, shape) / 8) for shape in ((hidden, 6), (3, hidden))]
    return ns.SpikingNetwork(
        (ns.Population("input", "input", (6,)), *layers),
        (ns.Dense("input", "hidden", weights[0]), ns.Dense("hidden", "output", weights[1])),
    )


def assert_equal(found: ns.SleepResult, expected: ns.SleepResult) -> None:
    assert (found.status, found.fired, found.divergence) == (expected.status, expected.fired, expected.divergence)
    assert all(torch.equal(*pair) for pair in zip(found.network.weights, expected.network.weights, strict=True))
    assert found.recording.spikes.keys() == expected.recording.spikes.keys()
    assert all(found.recording.spikes[name].equals(e) for name, e in expected.recording.spikes.items())


@pytest.mark.parametrize("drive", [DRIVE, Streams(DRIVE, 3), Streams(DRIVE, 2, "mean")])
def test_each_network_of_a_stack_sleeps_as_it_would_alone(drive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stacked: list[int] = []
    start = TensorSessions.__init__
    monkeypatch.setattr(
        TensorSessions, "__init__", lambda self, nets, *more: stacked.append(len(nets)) or start(self, nets, *more)
    )
    networks, done = [network(seed) for seed in range(5)], list[int]()
    limits = [ns.Limits(), ns.Limits(spikes=0.01), ns.Limits(), ns.Limits(weights=2.0), ns.Limits()]
    record = ns.Record(spikes="all", potentials={"hidden": "all"}, potentials_every=70)
    options: dict[str, Any] = {"drive": drive, "rule": RULE, "steps": 1230, "record": record, "task": 2}
    found = sleep_many(networks, **options, engine="torch", limits=limits, seed=[3, 1, 4, 1, 5], progress=done.append)
    assert stacked == [5] and done == [5]
    for k, result in enumerate(found):
        alone = ns.sleep(networks[k], **options, engine="reference", limits=limits[k], seed=[3, 1, 4, 1, 5][k])
        assert_equal(result, alone)
    assert {result.status for result in found} == {"done", "diverged"} and found[0].fired > 0


def test_what_differs_sleeps_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stacked, "_together", lambda *_: pytest.fail("they were stacked"))
    same: dict[str, Any] = {"drive": DRIVE, "rule": RULE, "steps": 50, "engine": "torch"}
    for networks, other in (
        ([network(0), network(1, hidden=4)], {}),
        ([network(0), network(1)], {"rule": [RULE, ns.SRCRule(0.5, 0.125)]}),
        ([network(0), network(1)], {"steps": [50, 60]}),
        ([network(0), network(1)], {"engine": ["torch", "reference"]}),
    ):
        assert [one.status for one in sleep_many(networks, **(same | other), jobs=2)] == ["done", "done"]


def test_a_stack_that_is_too_large_sleeps_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    run, sizes = TensorSessions.run, list[int]()

    def small(self: TensorSessions, inputs: Any) -> Any:
        sizes.append(len(inputs))
        if len(inputs) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return run(self, inputs)

    monkeypatch.setattr(TensorSessions, "run", small)
    networks = [network(seed) for seed in range(5)]
    options: dict[str, Any] = {"drive": DRIVE, "rule": RULE, "steps": 50}
    with pytest.warns(NeurosleepWarning, match="memory for 5 networks at once: 3 are stepped at a time"):
        found = sleep_many(networks, **options, engine="torch", seed=list(range(5)))
    assert sizes == [5, 3, 2]
    for seed, result in enumerate(found):
        assert_equal(result, ns.sleep(networks[seed], **options, engine="reference", seed=seed))


def test_an_error_of_one_ends_all_and_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(ns.MeanDrive):
        def draw(self, generator: np.random.Generator, steps: int, dt: float) -> ns.SpikeEvents:
            raise RuntimeError("the drive is broken")

    drives = [DRIVE, Broken(np.full(6, 0.5), 200.0), DRIVE]
    with pytest.raises(RuntimeError, match="the drive is broken"):
        sleep_many([network(k) for k in range(3)], drive=drives, rule=RULE, steps=50, engine="torch")


def test_an_option_that_nothing_reads_is_refused() -> None:
    with pytest.raises(SettingsError, match="has no jobs"):
        sleep_many([network(0), network(1)], drive=DRIVE, rule=RULE, steps=50, engine="torch", jobs=2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch.cuda.is_available() is False")
def test_a_stack_on_a_gpu_is_what_each_would_be_alone() -> None:
    networks = [network(seed) for seed in range(5)]
    options: dict[str, Any] = {"drive": DRIVE, "rule": RULE, "steps": 1230}
    found = sleep_many(networks, **options, device="cuda", seed=list(range(5)))
    for seed, result in enumerate(found):
        assert_equal(result, ns.sleep(networks[seed], **options, engine="reference", seed=seed))
