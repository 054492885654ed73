"""Sleep as a plugin of real Avalanche strategies, beside our own loop on the same data."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from neurosleep.continual import SRC, Learner, Progress, learn_tasks
from neurosleep.data import Task, class_incremental, load_dataset
from neurosleep.errors import (
    ConversionError,
    DataError,
    MissingExtraError,
    NeurosleepWarning,
    SettingsError,
    UnknownNameError,
    UnsupportedError,
)
from neurosleep.functional import SRCRule
from neurosleep.learning import accuracy, task_loss
from neurosleep.networks import MLP, EquilibriumMLP
from neurosleep.replay import OWN_NETWORK, Sleep, consolidate
from tests.continual.avalanche_tools import (
    QUICK,
    attributed,
    benchmark,
    copies,
    incremental,
    mlp,
    needs_avalanche,
    plain,
    said,
    same,
    strategy,
)

# Some of the sleep phases here are short and rough: what they say of it is tested by itself.
pytestmark = pytest.mark.filterwarnings("ignore:The sleep changed", "ignore:Population '")


# --- the same as our own loop -----------------------------------------------------------------------------------------


class InOrder:
    """The wake training that Avalanche's Naive does without shuffling."""

    def fit(
        self, network: Any, images: Tensor, targets: Tensor, velocity: Any, streams: Any, **_: Any
    ) -> Iterator[int]:
        network.train()
        optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.5)
        for start in range(0, len(images), 10):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(network(images[start : start + 10]), targets[start : start + 10])
            loss.backward()
            optimiser.step()
        yield 1


@needs_avalanche
@pytest.mark.parametrize("window", [None, 11])
@pytest.mark.parametrize("rates", [None, [0.02, 0.01, 0.01]])
def test_it_ends_with_the_weights_and_accuracies_of_our_own_loop(
    avl: SimpleNamespace, tasks: list[Task], window: int | None, rates: list[float] | None
) -> None:
    settings = Sleep.src2022(
        rule=QUICK["rule"],
        thresholds=[2.0, 2.0, 2.0],
        max_rate=240.0,
        window=window,
        rates=rates,
        steps=200,
        growth=0.5,
        scale_data="current",
    )
    ours = [
        Task(t.name, t.classes, *(a.reshape(-1, 28, 28) if a.ndim == 2 else a for a in arrays))
        for t in tasks
        for arrays in [(t.train_images, t.train_labels, t.pool_images, t.pool_labels, t.test_images, t.test_labels)]
    ]
    learner = Learner(mlp(output="softmax"), [], ours, seed=3)
    progress = learn_tasks(learner, SRC(settings), InOrder(), ours, Progress())
    assert progress.status == "done" and [phase["steps"] for phase in progress.sleeps] == [200, 300, 400]

    model = mlp(output="softmax")
    plugin = avl.SleepPlugin(settings, seed=3, image_shape=(28, 28))
    bench, learning = benchmark(avl, tasks), strategy(avl, model, [plugin])
    for k, experience in enumerate(bench.train_stream):
        # Avalanche makes a new optimiser state where asked to; ours starts every task without momentum.
        learning.optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
        learning.train(experience, shuffle=False)
        metrics = learning.eval(bench.test_stream)
        for task in range(len(tasks)):
            key = f"Top1_Acc_Exp/eval_phase/test_stream/Task000/Exp{task:03d}"
            assert metrics[key] == pytest.approx(progress.after[k][task], abs=1e-12)
        every = [
            torch.from_numpy(np.concatenate(a))
            for a in ([t.test_images for t in tasks], [t.test_labels for t in tasks])
        ]
        assert metrics["Top1_Acc_Stream/eval_phase/test_stream/Task000"] == pytest.approx(accuracy(model, *every))
    assert same(copies(model), copies(learner.network))
    assert np.array_equal(plugin.keeper.mean, learner.mean.mean)
    assert plugin.experiences == 3
    assert progress.before_sleep != progress.after


@needs_avalanche
def test_one_rem_stage_is_that_of_consolidate(avl: SimpleNamespace, tasks: list[Task], watcher: Any) -> None:
    before, model = watcher(), mlp(sizes=(784, 200, 200, 10))
    published = Sleep.src2022(**OWN_NETWORK, scale_data="current")
    learning = strategy(avl, model, [before, avl.SleepPlugin(published, seed=5)])
    learning.train(benchmark(avl, tasks).train_stream[0])
    awake = mlp(sizes=(784, 200, 200, 10))
    for parameter, value in zip(awake.parameters(), before.found[0], strict=True):
        parameter.data.copy_(value)
    images = torch.from_numpy(tasks[0].train_images)
    sleep = Sleep.src2022(**OWN_NETWORK)
    slept = consolidate(awake, mean=images.double().mean(0), calibration=images, sleep=sleep, seed=5).model
    assert same(copies(model), copies(slept)) and not same(copies(model), before.found[0])


@needs_avalanche
@pytest.mark.parametrize("shape", [(784,), (1, 28, 28), (28, 28)])
def test_a_plain_network_sleeps_as_our_own_of_the_same_weights(
    avl: SimpleNamespace, tasks: list[Task], watcher: Any, shape: tuple[int, ...]
) -> None:
    before, model = watcher(), plain()
    window = None if shape == (784,) else 11
    strategy(avl, model, [before, avl.SleepPlugin(window=window, **QUICK)]).train(
        benchmark(avl, tasks, shape).train_stream[0]
    )
    twin = mlp()
    for parameter, value in zip(twin.parameters(), before.found[0], strict=True):
        parameter.data.copy_(value)
    learner = Learner(twin, [], [tasks[0]], seed=0)
    learner.mean.update(tasks[0].train_images)
    settings = Sleep.src2022(thresholds=[1.0] * 3, max_rate=240.0, window=window, scale_data="current", **QUICK)
    images = tasks[0].train_images.reshape(-1, 28, 28)
    learner.tasks = [Task("0,1", (0, 1), *(images, tasks[0].train_labels) * 3)]
    SRC(settings).after_training_exp(learner)
    assert same(copies(model), copies(twin)) and not same(copies(model), before.found[0])


# --- with other strategies and networks -------------------------------------------------------------------------------


@needs_avalanche
@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("Naive", {}),
        ("Replay", {"mem_size": 20}),
        ("EWC", {"ewc_lambda": 1.0}),
        ("LwF", {"alpha": 1.0, "temperature": 2}),
        ("Cumulative", {}),
    ],
)
def test_any_strategy_sleeps_after_each_experience(
    avl: SimpleNamespace, tasks: list[Task], watcher: Any, kind: str, more: dict[str, Any]
) -> None:
    before, after, model = watcher(), watcher(), plain()
    plugin = avl.SleepPlugin(**QUICK)
    learning = strategy(avl, model, [before, plugin, after], kind, **more)
    parameters, optimiser = [*model.parameters()], learning.optimizer
    bench = benchmark(avl, tasks)
    for number, experience in enumerate(bench.train_stream, start=1):
        learning.train(experience)
        assert plugin.experiences == number and plugin.keeper.count == 40 * number
        assert plugin.result.recording.steps == [200, 300, 400][number - 1]
        metrics = learning.eval(bench.test_stream)
        assert 0 <= metrics["Top1_Acc_Stream/eval_phase/test_stream/Task000"] <= 1
    for awake, slept, old, new in zip(before.found, after.found, before.velocity, after.velocity, strict=True):
        assert not same(awake, slept)
        assert same(old, new)  # momentum stays
    # The same objects still, in the model and in its optimiser, which goes on from the slept weights.
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    assert learning.optimizer is optimiser
    assert {id(p) for group in optimiser.param_groups for p in group["params"]} == {id(p) for p in parameters}
    assert not same(before.found[1], after.found[0])
    if kind == "EWC":  # its own plugin comes after ours
        saved = next(p for p in learning.plugins if isinstance(p, avl.plugins.EWCPlugin)).saved_params[2]
        assert all(torch.equal(saved[name].data, p) for name, p in model.named_parameters())


@needs_avalanche
def test_a_network_with_biases_keeps_them_and_is_warned_of(
    avl: SimpleNamespace, tasks: list[Task], watcher: Any
) -> None:
    before = watcher()
    torch.manual_seed(0)
    model = avl.models.SimpleMLP(num_classes=10, hidden_size=30, hidden_layers=2)
    learning = strategy(avl, model, [before, avl.SleepPlugin(**QUICK)])
    bench = benchmark(avl, tasks, (1, 28, 28))
    with pytest.warns(UserWarning, match=r"the biases of features\.0, features\.3\.0, classifier"):
        learning.train(bench.train_stream[0])
    awake = before.found[0]
    for (name, parameter), old in zip(model.named_parameters(), awake, strict=True):
        assert torch.equal(parameter, old) == name.endswith("bias"), name
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Sleep leaves out")  # said once
        learning.train(bench.train_stream[1])


@needs_avalanche
def test_a_network_that_settles_sleeps_too(avl: SimpleNamespace, tasks: list[Task]) -> None:
    settled = EquilibriumMLP([784, 20, 10], free_steps=10, generator=torch.Generator().manual_seed(0))
    options = {"rates": None, "thresholds": [0.5] * 2, "feedback": "delayed", "gamma": 0.1}
    plugin = avl.SleepPlugin(engine="reference", **QUICK | options)
    model = nn.Sequential(nn.Flatten(), settled)
    learning = strategy(avl, model, [plugin], optimizer=torch.optim.SGD(model.parameters(), lr=0.0))
    awake = copies(model)
    learning.train(benchmark(avl, tasks, (1, 28, 28)).train_stream[0])
    assert plugin.result.status == "done"
    weights = {id(weight) for weight in settled.weights}
    for parameter, old in zip(model.parameters(), awake, strict=True):
        assert torch.equal(parameter, old) == (id(parameter) not in weights)


# --- when, and what is left alone -------------------------------------------------------------------------------------


@needs_avalanche
@pytest.mark.filterwarnings("ignore:sleep.after holds 9")
@pytest.mark.parametrize(("after", "slept"), [([-1], [2]), ([1, 3], [0, 2]), ([-3, -2], [0, 1]), ([9], [])])
def test_it_sleeps_after_the_experiences_named_and_training_does_not_notice_it_else(
    avl: SimpleNamespace, tasks: list[Task], watcher: Any, after: list[int], slept: list[int]
) -> None:
    def learn(plugins: list[Any]) -> None:
        learning = strategy(avl, plain(), plugins)
        torch.manual_seed(1)  # shuffling and dropout
        for experience in benchmark(avl, tasks).train_stream:
            learning.train(experience)

    alone, before, behind = watcher(), watcher(), watcher()
    learn([alone])
    learn([before, avl.SleepPlugin(after=after, **QUICK), behind])
    changed = [not same(a, b) for a, b in zip(before.found, behind.found, strict=True)]
    assert changed == [k in slept for k in range(3)]
    first = slept[0] if slept else 2
    # Not one random number more was drawn, so that until the first sleep nothing differs in a single bit.
    assert all(same(a, b) for a, b in zip(alone.found[: first + 1], before.found, strict=False))


@needs_avalanche
@pytest.mark.filterwarnings("ignore:sleep.after holds 9", "ignore:The drive is louder")
def test_the_inputs_are_those_of_training_and_their_random_numbers_are_given_back(
    avl: SimpleNamespace, tasks: list[Task]
) -> None:
    class Noisy(torch.utils.data.Dataset):  # type: ignore[type-arg]
        targets = tasks[0].train_labels

        def __len__(self) -> int:
            return len(self.targets)

        def __getitem__(self, k: int) -> tuple[Tensor, int]:
            return torch.from_numpy(tasks[0].train_images[k]) + torch.rand(784), int(self.targets[k])

    bench = incremental(avl, train=[attributed(avl, Noisy(), tasks[0].train_labels)])
    found = []
    for plugins in ([], [avl.SleepPlugin(after=[9], **QUICK)]):
        model = plain()
        torch.manual_seed(1)
        strategy(avl, model, plugins).train(bench.train_stream[0])
        found.append(copies(model))
    assert same(*found)
    mean = plugins[0].keeper.mean - tasks[0].train_images.astype(np.float64).mean(0)
    assert mean.mean() == pytest.approx(0.5, abs=0.02)


@needs_avalanche
def test_a_sleep_that_diverges_leaves_the_awake_weights(avl: SimpleNamespace, tasks: list[Task], watcher: Any) -> None:
    before, model = watcher(), plain()
    plugin = avl.SleepPlugin(**QUICK | {"rule": SRCRule(1e9, 0.0, factor="constant")})
    learning = strategy(avl, model, [before, plugin])
    stream = benchmark(avl, tasks).train_stream
    for number in (1, 2):  # and training goes on
        with pytest.warns(NeurosleepWarning, match=f"experience {number} diverged: by step .* a weight had reached"):
            learning.train(stream[number - 1])
        assert plugin.result.status == "diverged"
        assert same(copies(model), before.found[-1])


@needs_avalanche
def test_training_broken_off_counts_once(avl: SimpleNamespace, tasks: list[Task]) -> None:
    class Stop(avl.SupervisedPlugin):  # type: ignore[misc, name-defined]
        stops = True

        def before_training_epoch(self, strategy: Any, **_: Any) -> None:
            if self.stops:
                raise KeyboardInterrupt

    plugin, stop = avl.SleepPlugin(**QUICK), Stop()
    learning = strategy(avl, plain(), [plugin, stop])
    stream = benchmark(avl, tasks).train_stream
    with pytest.raises(KeyboardInterrupt):
        learning.train(stream[0])
    assert (plugin.experiences, plugin.keeper.count) == (0, 0)
    stop.stops = False
    learning.train(stream[0])
    assert (plugin.experiences, plugin.keeper.count) == (1, 40)


@needs_avalanche
def test_the_strategy_can_be_stored_with_it(avl: SimpleNamespace, tasks: list[Task]) -> None:
    plugin = avl.SleepPlugin(**QUICK)
    learning = strategy(avl, plain(), [plugin])
    stream = benchmark(avl, tasks).train_stream
    learning.train(stream[0])
    kept = io.BytesIO()
    torch.save({"model": learning.model, "plugin": plugin}, kept)
    kept.seek(0)
    found = torch.load(kept, weights_only=False)
    results = []
    for model, sleeper in ((learning.model, plugin), (found["model"], found["plugin"])):
        torch.manual_seed(2)
        strategy(avl, model, [sleeper]).train(stream[1])
        results.append(copies(model))
    assert same(*results)


# --- what it says -----------------------------------------------------------------------------------------------------


@needs_avalanche
@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"rule": SRCRule(0.05, 0.01), "steps": 1000}, "of the answers to the newest data (40 images"),
        ({"rates": None, "thresholds": [1e9] * 3}, "Not one neuron fired in 200 steps of sleep"),
        ({"rule": SRCRule(0.0, 0.0)}, "The sleep changed no weight"),
        ({"rates": [0.02, 0.99, 0.02]}, "Population 'hidden2' cannot fire"),
        ({"after": [7]}, "sleep.after holds 7, and the stream has 3 experiences: the network never sleeps"),
        ({"after": [-4, 3]}, "sleep.after holds -4, and the stream has 3 experiences: there is no sleep after these"),
    ],
)
def test_a_sleep_that_does_nothing_or_harm_says_so(
    avl: SimpleNamespace, tasks: list[Task], more: dict[str, Any], text: str
) -> None:
    learning = strategy(avl, plain(), [avl.SleepPlugin(**QUICK | more)])
    found = said(learning, benchmark(avl, tasks).train_stream[0])
    assert any(text in one for one in found), found


@needs_avalanche
def test_a_sleep_that_changes_little_says_nothing(avl: SimpleNamespace, tasks: list[Task], watcher: Any) -> None:
    before, after = watcher(), watcher()
    plugin = avl.SleepPlugin(**QUICK | {"rule": SRCRule(1e-5, 1e-6)})
    learning = strategy(avl, plain(), [before, plugin, after])
    assert said(learning, benchmark(avl, tasks).train_stream[0]) == []
    assert not same(before.found[0], after.found[0])
    assert learning.model.training  # dropout is on again


# --- what it is for ---------------------------------------------------------------------------------------------------


@needs_avalanche
@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "seeds"),
    [("ours", 1), pytest.param("ours", 3, marks=pytest.mark.full), pytest.param("plain", 3, marks=pytest.mark.full)],
)
def test_with_it_naive_training_remembers_more(avl: SimpleNamespace, make: str, seeds: int) -> None:
    tasks = class_incremental(load_dataset("mnist-mini"))
    bench = benchmark(avl, tasks)

    def learn(seed: int, plugins: list[Any]) -> float:
        model: nn.Module = MLP([784, 400, 400, 10], dropout=0.25, generator=torch.Generator().manual_seed(seed))
        if make == "plain":
            torch.manual_seed(seed)
            layers = [nn.Linear(a, b, bias=False) for a, b in ((784, 400), (400, 400), (400, 10))]
            model = nn.Sequential(
                layers[0], nn.ReLU(), nn.Dropout(0.25), layers[1], nn.ReLU(), nn.Dropout(0.25), layers[2]
            )
        torch.manual_seed(seed)
        learning = strategy(
            avl,
            model,
            plugins,
            criterion=lambda output, targets: task_loss(output, targets, "straight-through-mse"),
            train_mb_size=100,
            train_epochs=3,
        )
        for experience in bench.train_stream:
            learning.train(experience)
        return float(learning.eval(bench.test_stream)["Top1_Acc_Stream/eval_phase/test_stream/Task000"])

    # Those of the demo, which were searched on its validation split.
    demo = {
        "rule": SRCRule(0.032273, 0.002471),
        "thresholds": [16.330987, 78.461519, 38.046326],
        "alpha_scale": 55.882454,
        "max_rate": 239.515363,
        "window": 11,
    }
    naive = [learn(seed, []) for seed in range(seeds)]
    slept = [learn(seed, [avl.SleepPlugin(seed=seed, image_shape=(28, 28), **demo)]) for seed in range(seeds)]
    print("naive", naive, "slept", slept)
    assert all(score < 0.22 for score in naive)  # one task of five
    assert all(b > a + 0.04 for a, b in zip(naive, slept, strict=True)), (naive, slept)
    assert np.mean(slept) > np.mean(naive) + 0.06, (naive, slept)


# --- refused ----------------------------------------------------------------------------------------------------------


@needs_avalanche
@pytest.mark.parametrize(
    ("wrong", "kind", "text"),
    [
        ({"stepz": 3}, UnknownNameError, "'steps'"),
        ({"steps": 0}, SettingsError, "steps"),
        ({"rates": [2.0]}, SettingsError, "rates"),
        ({"scale_data": "seen"}, UnsupportedError, "scale_data='current'"),
        ({"statistics": "first"}, UnsupportedError, "statistics='first'"),
        ({"engine": "evnt"}, UnknownNameError, "'event'"),
        ({"recipe": "percentile"}, UnknownNameError, "recursive"),
    ],
)
def test_wrong_settings_are_refused_at_once(
    avl: SimpleNamespace, wrong: dict[str, Any], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        avl.SleepPlugin(**wrong)


@needs_avalanche
def test_settings_of_src_are_taken_and_changed_by_name(avl: SimpleNamespace) -> None:
    published = Sleep.src2022(rule=SRCRule(0.1, 0.1), thresholds=[1.0], max_rate=10.0)
    with pytest.raises(UnsupportedError, match="scale_data='seen'"):
        avl.SleepPlugin(published)
    found = avl.SleepPlugin(published, scale_data="current", steps=7).settings
    assert (found.rem.rule, found.thresholds, found.rem.steps) == (published.rem.rule, (1.0,), 7)
    assert found.scale_data == "current"


def biased_conv(avl: SimpleNamespace) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 26 * 26, 10))


def frozen(avl: SimpleNamespace) -> nn.Module:
    model = plain()
    model[4].weight.requires_grad_(False)
    return model


def growing(avl: SimpleNamespace) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 5), nn.ReLU(), avl.models.IncrementalClassifier(5, 10, masking=False)
    )


def many_heads(avl: SimpleNamespace) -> nn.Module:
    model = avl.models.MTSimpleMLP()
    model.classifier = avl.models.MultiHeadClassifier(512, masking=False)
    return model  # type: ignore[no-any-return]


@needs_avalanche
@pytest.mark.parametrize(
    ("make", "more", "kind", "text"),
    [
        (biased_conv, {}, ConversionError, "'0' makes a projection of kind conv"),
        (frozen, {}, ConversionError, r"'4\.weight' is frozen"),
        (growing, {}, ConversionError, r"'3' \(IncrementalClassifier\)"),
        (many_heads, {}, ConversionError, r"The model \(MTSimpleMLP\)"),
        (lambda avl: nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Tanh()), {}, ConversionError, r"'2' \(Tanh\)"),
        (lambda avl: plain(), {"rates": [0.1] * 2}, SettingsError, "rates has 2 entries"),
        (lambda avl: plain(), {"rates": None, "thresholds": [1.0]}, SettingsError, "thresholds has 1 entries"),
        (lambda avl: plain(), {"window": 29}, SettingsError, "window, in pixels, cannot be 29"),
    ],
)
def test_what_could_not_sleep_is_refused_before_any_training(
    avl: SimpleNamespace, tasks: list[Task], make: Any, more: dict[str, Any], kind: type[Exception], text: str
) -> None:
    model = make(avl)
    learning = strategy(
        avl, model, [avl.SleepPlugin(**QUICK | more)], optimizer=torch.optim.SGD(model.parameters(), lr=0.1)
    )
    stream = benchmark(avl, tasks, (1, 28, 28)).train_stream
    state = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    with pytest.raises(kind, match=text):
        learning.train(stream[0])
    for name, parameter in model.named_parameters():
        if name in state and parameter.shape == state[name].shape:  # Avalanche has let the dynamic ones grow
            assert torch.equal(parameter, state[name])


@needs_avalanche
def test_inputs_that_are_negative_in_the_mean_are_refused_before_any_training(
    avl: SimpleNamespace, tasks: list[Task]
) -> None:
    shifted = [Task(t.name, t.classes, *(t.train_images - 0.5, t.train_labels) * 3) for t in tasks]
    model = plain()
    learning = strategy(avl, model, [avl.SleepPlugin(**QUICK)])
    before = copies(model)
    with pytest.raises(DataError, match="Normalize"):
        learning.train(benchmark(avl, shifted).train_stream[0])
    assert same(before, copies(model))


@needs_avalanche
def test_joint_training_is_refused(avl: SimpleNamespace, tasks: list[Task]) -> None:
    learning = strategy(avl, plain(), [avl.SleepPlugin(**QUICK)], "JointTraining")
    with pytest.raises(UnsupportedError, match="JointTraining"):
        learning.train(benchmark(avl, tasks).train_stream)


@needs_avalanche
def test_counting_from_the_last_needs_a_stream_of_known_length(avl: SimpleNamespace, tasks: list[Task]) -> None:
    experiences = list(benchmark(avl, tasks).train_stream)
    stream = avl.benchmarks.CLStream("train", (e for e in experiences))
    learning = strategy(avl, plain(), [avl.SleepPlugin(after=[-1], **QUICK)])
    with pytest.raises(SettingsError, match="from the first"):
        learning.train(next(iter(stream)), eval_streams=[])


# --- the extra --------------------------------------------------------------------------------------------------------


def test_without_avalanche_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "neurosleep.continual.avalanche", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "avalanche"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "avalanche", None)
    with pytest.raises(MissingExtraError, match=r'pip install "neurosleep\[avalanche\]"'):
        from neurosleep.continual.avalanche import SleepPlugin  # noqa: F401
