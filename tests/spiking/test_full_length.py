"""The sleeps of one published MNIST run in every engine: the networks as they fall asleep, and the drive they get."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any
from unittest import mock

import pytest
import torch

from neurosleep.continual import SRC, Learner, Progress, learn_tasks
from neurosleep.continual.strategies import src
from neurosleep.conversion import Feedback, convert
from neurosleep.data import class_incremental, load_dataset, to_float
from neurosleep.experiments import apply_changes, load_settings
from neurosleep.functional import MeanDrive, SRCRule, torch_generator
from neurosleep.networks import EquilibriumMLP
from neurosleep.replay import SleepResult, sleep, thresholds_for_rates
from neurosleep.spiking import Record, SpikingNetwork

ENGINES = ("event", "snntorch", "norse")
Asleep = Callable[[int, str], tuple[SpikingNetwork, SleepResult]]


def sleeps(name: str, *changes: tuple[str, Any]) -> list[tuple[SpikingNetwork, dict[str, Any]]]:
    """Network (in float64) and arguments of each sleep of ``src2022/mnist``, seed 0, as the strategy gives them."""
    settings = apply_changes(load_settings("src2022/mnist")[1], changes)
    tasks = class_incremental(load_dataset(name), images_per_task=settings.data.images_per_task)
    network = settings.network.make(settings.wake, torch_generator(0, "init"))
    learner = Learner(network, [torch.zeros_like(w) for w in network.weights], tasks, seed=0)
    found = []

    def keep(network: SpikingNetwork, **arguments: Any) -> SleepResult:
        kept = {key: arguments[key] for key in ("drive", "rule", "steps", "seed", "task")}
        found.append((network.to(torch.float64), kept))
        return sleep(network, **arguments)

    with mock.patch.object(src, "sleep", keep):
        # Without tests: nothing here asks how well it learns.
        learn_tasks(
            learner, SRC(settings.sleep.for_layers(settings.layers)), settings.trainings("src", 5), [], Progress()
        )
    return found


def sleeper(found: list[tuple[SpikingNetwork, dict[str, Any]]]) -> Asleep:
    """Runs a sleep in an engine; what the reference gave is kept for the engines that are held against it."""

    def run(task: int, engine: str) -> tuple[SpikingNetwork, SleepResult]:
        network, arguments = found[task]
        return network, sleep(network, **arguments, engine=engine, record=Record(spikes="all"))

    reference = cache(lambda task: run(task, "reference"))
    return lambda task, engine: reference(task) if engine == "reference" else run(task, engine)


def assert_equal(asleep: Asleep, task: int, engine: str) -> tuple[SleepResult, float]:
    """The reference's sleep, and the largest relative difference between a weight of the engine and the reference's."""
    if engine == "norse":
        pytest.importorskip("norse")
    network, expected = asleep(task, "reference")
    _, found = asleep(task, engine)
    assert (found.status, expected.status) == ("done", "done")
    assert set(found.recording.spikes) == set(expected.recording.spikes) == {p.name for p in network.populations}
    for name, spikes in expected.recording.spikes.items():
        assert found.recording.spikes[name].equals(spikes), name
    worst = 0.0
    for a, b in zip(found.network.weights, expected.network.weights, strict=True):
        assert a.dtype == b.dtype == torch.float64
        # A weight that the rule has brought to 0 within rounding has no relative error to speak of.
        worst = max(worst, float(((a - b).abs() / b.abs().clamp_min(1e-6)).max()))
    assert worst <= 1e-6
    # A sleep in which nothing happens would be equal too. The output may be silent.
    for k, name in enumerate(("hidden1", "hidden2")):
        assert expected.recording.counts[name].sum() > 0
        assert not torch.equal(network.weights[k], expected.network.weights[k])
    return expected, worst


@pytest.fixture(scope="module")
def starts() -> Asleep:
    """The first 300 steps of each sleep, of a run on few images."""
    changes = [("data.images_per_task", 500), ("sleep.steps", 300), ("sleep.growth", 0.0)]
    return sleeper(sleeps("mnist-mini", *changes))


@pytest.mark.parametrize("task", range(5))
@pytest.mark.parametrize("engine", ENGINES)
def test_300_steps_of_each_sleep(starts: Asleep, engine: str, task: int) -> None:
    expected, _ = assert_equal(starts, task, engine)
    assert expected.recording.steps == 300


@pytest.fixture(scope="module")
def whole() -> Asleep:
    """The sleeps in full, on MNIST where it is at hand."""
    if os.environ.get("NEUROSLEEP_DATA"):
        return sleeper(sleeps("mnist"))
    return sleeper(sleeps("mnist-mini", ("data.images_per_task", 1000)))


@pytest.mark.full
@pytest.mark.parametrize("task", range(5))
@pytest.mark.parametrize("engine", ENGINES)
def test_every_step_of_each_sleep(whole: Asleep, engine: str, task: int) -> None:
    expected, worst = assert_equal(whole, task, engine)
    assert expected.recording.steps == 15000 + 5000 * task
    # For pytest -rP.
    print(f"weights within {worst:.1e};", {name: int(n.sum()) for name, n in expected.recording.counts.items()})


# --- a network with feedback ------------------------------------------------------------------------------------------


@cache
def settled_sleep(symmetric: bool, engine: str, steps: int) -> tuple[SpikingNetwork, SleepResult]:
    """A sleep of an equilibrium network with delayed feedback, driven by real images' mean, in float64."""
    images = torch.from_numpy(to_float(load_dataset("mnist-mini").images)).reshape(-1, 784)
    model = EquilibriumMLP((784, 300, 200, 10), init=2.0, generator=torch_generator(0, "init"))
    network = convert(model, images[:500], recipe="recursive", feedback=Feedback(symmetric_rule=symmetric))
    drive = MeanDrive(images.double().mean(0).numpy(), 240.0, window=11, image_shape=(28, 28))
    network = thresholds_for_rates(network, drive, [1e-3, 1e-3, 1e-2], steps=500).to(torch.float64)
    rule = SRCRule(0.01, 0.001)
    return network, sleep(network, drive=drive, rule=rule, steps=steps, engine=engine, record=Record(spikes="all"))


def assert_equal_with_feedback(engine: str, symmetric: bool, steps: int) -> None:
    found: Asleep = lambda task, engine: settled_sleep(symmetric, engine, steps)  # noqa: E731
    expected, worst = assert_equal(found, 0, engine)
    assert expected.recording.counts["output"].sum() > 0
    print(f"weights within {worst:.1e};", {name: int(n.sum()) for name, n in expected.recording.counts.items()})


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("engine", ["event", "snntorch"])
def test_500_steps_with_feedback(engine: str, symmetric: bool) -> None:
    assert_equal_with_feedback(engine, symmetric, 500)


@pytest.mark.full
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_whole_sleep_with_feedback(engine: str, symmetric: bool) -> None:
    assert_equal_with_feedback(engine, symmetric, 15000)
