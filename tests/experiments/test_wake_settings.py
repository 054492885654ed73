"""Networks and ways to learn that people have, as settings: biases, convolutions, Adam, slow and frozen layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurosleep.data import Task
from neurosleep.errors import NeurosleepError, SettingsError, UnsupportedError
from neurosleep.experiments import RunRequest, load_settings, run_experiment
from neurosleep.experiments.changes import Change, change_text, changes_between, dump_toml, parse_change
from neurosleep.experiments.experiment import Experiment
from neurosleep.experiments.reading import apply_changes
from neurosleep.experiments.run import one as room
from neurosleep.experiments.run.scenario import tasks_of
from neurosleep.learning import Backprop
from neurosleep.networks import MLP, ConvNet

# None of these tests looks at a figure.
pytestmark = pytest.mark.usefixtures("no_run_figures")

SMALL: list[Change] = [
    ("data.name", "mnist-mini"),
    ("data.images_per_task", 60),
    ("data.tasks", [[0, 1], [2, 3]]),
    ("network.dropout", 0.0),
    ("network.init", "torch"),
    ("wake.loss", "cross-entropy"),
    ("wake.batch", 20),
]
PLAIN: list[Change] = [("network.sizes", [784, 12, 10])]
CONV: list[Change] = [
    ("network.kind", "conv"),
    ("network.sizes", [784, 10]),
    ("network.channels", [2, 3]),
    ("network.full", [8]),
]
VARIED: dict[str, list[Change]] = {
    "biases": [*PLAIN, ("network.bias", True)],
    "adam": [*PLAIN, ("network.bias", True), ("wake.optimiser", "adam"), ("wake.lr", 0.001)],
    "slow": [*PLAIN, ("wake.hidden_lr_factor", 0.03)],
    "frozen": [*PLAIN, ("wake.freeze_after_first", ["hidden"])],
    "task": [*PLAIN, ("wake.loss", "task-cross-entropy")],
    "binary": [*PLAIN, ("wake.loss", "binary-cross-entropy")],
    "conv": CONV,
    "conv-frozen": [*CONV, ("wake.freeze_after_first", ["conv"])],
}


@pytest.fixture
def mnist() -> Experiment:
    return apply_changes(load_settings("src2022/mnist")[1], SMALL)


def request(settings: Experiment, out: Path, strategy: str = "sequential", **more: Any) -> RunRequest:
    return RunRequest("mine", "default", strategy, 3, settings, None, str(out), **more)


@pytest.mark.parametrize("name", VARIED)
def test_settings_come_back_from_a_file_and_from_their_changes(mnist: Experiment, tmp_path: Path, name: str) -> None:
    changed = apply_changes(mnist, VARIED[name])
    (tmp_path / "mine.toml").write_text(dump_toml(changed))
    assert load_settings(str(tmp_path / "mine.toml"))[1] == changed
    assert apply_changes(mnist, changes_between(mnist, changed)) == changed
    if changed.network.kind != mnist.network.kind:
        return  # what equals the default of one kind takes that of the other
    back = [parse_change(change_text(key, value)) for key, value in changes_between(changed, mnist)]
    assert apply_changes(changed, back) == mnist


def test_what_came_later_is_not_named_where_it_is_at_its_default(mnist: Experiment) -> None:
    named = apply_changes(mnist, [("network.bias", False), ("wake.optimiser", "sgd"), ("wake.hidden_lr_factor", 1)])
    assert named == mnist
    text = dump_toml(named)
    assert not any(f"\n{key} =" in text for key in ("bias", "optimiser", "hidden_lr_factor", "freeze_after_first"))
    assert "\nbias = true" in dump_toml(apply_changes(mnist, [("network.bias", True)]))


def test_a_network_and_its_training_are_those_that_the_settings_say(mnist: Experiment) -> None:
    biased = apply_changes(mnist, VARIED["adam"])
    network = biased.network.make(biased.wake)
    assert isinstance(network, MLP) and len(network.biases) == 2 and network.output == "softmax"
    training = biased.trainings("sequential")[0]
    assert training == Backprop("cross-entropy", 0.001, 0.5, 20, 2, "adam")
    frozen = apply_changes(mnist, VARIED["conv-frozen"])
    net = frozen.network.make(frozen.wake)
    assert isinstance(net, ConvNet) and net.sizes[0] == 784 and len(net.weights) == 4
    first, second, third = frozen.trainings("sequential", 3)
    assert isinstance(first, Backprop) and isinstance(second, Backprop)
    assert (first.frozen, second.frozen) == ((), ("conv",)) and second is third
    outputs = {loss: "softmax" for loss in ("cross-entropy", "task-cross-entropy")}
    for loss, output in (outputs | {"binary-cross-entropy": "sigmoid", "straight-through-mse": "relu"}).items():
        made = apply_changes(mnist, [*PLAIN, ("wake.loss", loss)])
        assert made.network.make(made.wake).output == output  # type: ignore[union-attr]


@pytest.mark.parametrize("name", VARIED)
def test_a_stopped_run_goes_on_to_the_same_numbers(
    mnist: Experiment, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = apply_changes(mnist, VARIED[name])
    (whole,) = run_experiment([request(settings, tmp_path / "whole")])

    class StopError(Exception):
        pass

    def stop(text: str) -> None:
        if text.startswith("task 1 of 2, sleep: "):
            raise StopError

    with pytest.raises(StopError):
        room.run_one(request(settings, tmp_path / "stopped"), stop)
    (resumed,) = run_experiment([request(settings, tmp_path / "stopped", resume=True)])
    assert resumed["accuracy_matrix"] == whole["accuracy_matrix"]
    bundles = [
        (tmp_path / folder / "mine" / "default" / "sequential" / "seed3" / "resume" / "bundle.safetensors")
        for folder in ("whole", "stopped")
    ]
    from safetensors.torch import load_file

    one, other = (load_file(path) for path in bundles)
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("strategy", ["ewc", "si", "lwf", "icarl", "rehearsal", "joint"])
def test_strategies_learn_with_biases_and_adam(mnist: Experiment, tmp_path: Path, strategy: str) -> None:
    settings = apply_changes(mnist, VARIED["adam"])
    (metrics,) = run_experiment([request(settings, tmp_path, strategy)])
    assert metrics["status"] == "done"


@pytest.mark.parametrize("strategy", ["si", "lwf", "icarl", "rehearsal", "joint"])
def test_strategies_learn_with_convolutions(mnist: Experiment, tmp_path: Path, strategy: str) -> None:
    settings = apply_changes(mnist, [*VARIED["conv-frozen"], ("wake.epochs", 1)])
    (metrics,) = run_experiment([request(settings, tmp_path, strategy)])
    assert metrics["status"] == "done"


@pytest.mark.parametrize(
    ("strategy", "name", "said"),
    [
        ("owm", "biases", "owm.*biases"),
        ("src", "biases", "src.*biases"),
        ("owm", "conv", "owm.*ConvNet"),
        ("ewc", "conv", "ewc.*ConvNet"),
        ("src", "conv", "conv"),
    ],
)
def test_what_cannot_work_together_is_refused_before_anything_is_written(
    mnist: Experiment, tmp_path: Path, strategy: str, name: str, said: str
) -> None:
    settings = apply_changes(mnist, VARIED[name])
    layers = [0.9] * settings.layers
    settings = apply_changes(settings, [("owm.alpha", layers), ("owm.decay", layers), ("sleep.thresholds", layers)])
    with pytest.raises(NeurosleepError, match=said) as refused:
        run_experiment([request(settings, tmp_path / "out", strategy)])
    assert isinstance(refused.value, UnsupportedError | SettingsError) and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([("wake.freeze_after_first", ["conv"])], "convolutions"),
        ([("wake.freeze_after_first", ["dense"])], "dense"),
        ([("wake.freeze_after_first", ["hidden"]), ("data.control", "last")], "freeze_after_first"),
        ([("wake.hidden_lr_factor", 2)], "hidden_lr_factor"),
        ([("wake.hidden_lr_factor", 0.1), ("wake.lr_per_layer", [0.1, 0.1])], "hidden_lr_factor"),
        ([("wake.optimiser", "adagrad")], "adagrad"),
        ([("network.init", "kaiming")], "init"),
        ([("network.init", True)], "init"),
        ([("network.bias", 1)], "bias"),
        ([("network.image", [28, 28, 1])], "image"),
        ([*CONV, ("network.image", [28, 28, 3])], "image"),
        ([("network.bias", True), ("hardware.profiles", ["loihi1"]), ("hardware.recipe", "recursive")], "biases"),
        ([*CONV, ("network.kernel", [40, 3])], "kernel 40"),
    ],
)
def test_settings_that_make_no_sense(mnist: Experiment, tmp_path: Path, changes: list[Change], said: str) -> None:
    with pytest.raises(NeurosleepError, match=said):
        settings = apply_changes(mnist, [*PLAIN, *changes])
        run_experiment([request(settings, tmp_path)])


# --- data -------------------------------------------------------------------------------------------------------------


def test_data_settings_make_the_tasks_they_say(mnist: Experiment) -> None:
    def tasks(*changes: Change, seed: int = 0) -> list[Task]:
        return tasks_of(apply_changes(mnist, changes), None, seed)

    permuted = tasks(("data.tasks", None), ("data.permutations", 3))
    assert [task.name for task in permuted] == ["permutation 0", "permutation 1", "permutation 2"]
    assert {len(task.classes) for task in permuted} == {10} and len(permuted[1].train_labels) == 60
    assert not np.array_equal(permuted[1].train_images, permuted[2].train_images)
    limits = ("data.images_per_task", None)
    few = tasks(limits, ("data.images_per_class", 7))
    assert [len(task.pool_labels) for task in few] == [14, 14]
    uneven = tasks(limits, ("data.class_shares", [1.0, 0.05, 0.5, 1.0]))
    assert [np.bincount(task.train_labels).tolist() for task in uneven] == [[1000, 50], [0, 0, 500, 1000]]
    (first, second) = tasks(("data.standardise", True))
    assert abs(float(first.train_images.mean())) < 1e-3 < abs(float(second.train_images.mean()))
    plain = tasks()
    noisy = tasks(("data.noise", "gaussian"), ("data.noise_strength", 0.3))
    other = tasks(("data.noise", "gaussian"), ("data.noise_strength", 0.3), seed=1)
    for task, clean, drawn in zip(noisy, plain, other, strict=True):
        assert np.array_equal(task.train_images, clean.train_images)
        assert not np.array_equal(task.test_images, clean.test_images)
        assert not np.array_equal(task.test_images, drawn.test_images)


def test_a_domain_incremental_run_says_so(mnist: Experiment, tmp_path: Path) -> None:
    changes: list[Change] = [*PLAIN, ("data.tasks", None), ("data.permutations", 2), ("data.standardise", True)]
    (metrics,) = run_experiment([request(apply_changes(mnist, changes), tmp_path)])
    assert metrics["kind"] == "domain-incremental" and len(metrics["accuracy_per_task"]) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([("data.permutations", 2)], "permutations"),
        ([("data.permutations", 0), ("data.tasks", None)], "permutations"),
        ([("data.noise", "gaussian")], "noise_strength"),
        ([("data.noise", "speckle"), ("data.noise_strength", 0.1)], "speckle"),
        ([("data.images_per_class", 5)], "images_per_task"),
        ([("data.class_shares", [1.0]), ("data.images_per_task", None)], "class_shares"),
        ([("data.standardise", True), ("data.scale", "standard")], "standardise"),
        ([("data.standardise", 1)], "standardise"),
    ],
)
def test_data_settings_that_make_no_sense(mnist: Experiment, tmp_path: Path, changes: list[Change], said: str) -> None:
    with pytest.raises(NeurosleepError, match=said):
        run_experiment([request(apply_changes(mnist, [*PLAIN, *changes]), tmp_path / "out")])
    assert not (tmp_path / "out").exists()
