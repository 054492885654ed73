"""Homeostatic sleep and naps as a plugin of real Avalanche strategies, beside `Consolidator` on the same data."""

from __future__ import annotations

import copy
import io
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from neurosleep.continual.naps import Napping, Naps
from neurosleep.data import Task, class_incremental, load_dataset
from neurosleep.errors import DataError, NeurosleepError, NeurosleepWarning, SettingsError
from neurosleep.functional import Homeostasis
from neurosleep.replay import NREM, REM, Consolidation, Consolidator, Guard, Sleep
from neurosleep.spiking import Record
from tests.continual.avalanche_tools import benchmark, copies, mlp, needs_avalanche, plain, said, same, strategy

pytestmark = [needs_avalanche, pytest.mark.filterwarnings("ignore:The network did not sleep")]
RATES = Sleep(stages=(NREM(form="rates", draws=200),))


def biased(seed: int = 0, hidden: int = 30) -> nn.Sequential:
    """What people train: biases, torch's own initial weights."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def convolutional() -> nn.Sequential:
    torch.manual_seed(0)
    first = [nn.Conv2d(1, 4, 5, stride=2), nn.BatchNorm2d(4), nn.ReLU()]
    second = [nn.Conv2d(4, 8, 5, stride=2), nn.BatchNorm2d(8), nn.GELU()]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(8 * 4 * 4, 10))


def given(model: nn.Module, values: list[torch.Tensor]) -> nn.Module:
    """A copy of ``model`` with other parameters."""
    twin = copy.deepcopy(model)
    for parameter, value in zip(twin.parameters(), values, strict=True):
        parameter.data.copy_(value)
    return twin


@pytest.mark.parametrize("make", [biased, mlp])
def test_it_is_what_a_consolidator_does(avl: SimpleNamespace, tasks: list[Task], watcher: Any, make: Any) -> None:
    before, after, model = watcher(), watcher(), make()
    plugin, keeper = avl.SleepPlugin(seed=5, guard=Guard(first=1.0, gain=-100.0, recall=0.0)), Consolidator()
    learning = strategy(avl, model, [before, plugin, after])
    for k, experience in enumerate(benchmark(avl, tasks).train_stream):
        learning.train(experience)
        keeper.observe(tasks[k].train_images, tasks[k].train_labels)
        twin = given(model, before.found[k])
        result = keeper.consolidate(twin, guard=plugin._sleeper.guard, seed=5)
        result.apply_to(twin)
        assert result.status == plugin.result.status == "done" and isinstance(plugin.result, Consolidation)
        assert result.stages[0].form == plugin.result.stages[0].form == "spikes"
        assert same(copies(twin), after.found[k]) and not same(before.found[k], after.found[k])
        assert plugin.experiences == k + 1
    assert plugin.keeper.classes == (0, 1, 2, 3, 4, 5) and plugin.keeper.new_classes == ()
    assert plugin.keeper.count == keeper.count == 120
    assert plugin.keeper.set_points == keeper.set_points != result.set_points  # those of the first sleep


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_one_optimiser_learns_three_tasks(
    avl: SimpleNamespace, tasks: list[Task], optimiser: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = biased()
    ways = {"sgd": lambda of: torch.optim.SGD(of, 0.1, momentum=0.9), "adam": torch.optim.Adam}
    one = ways[optimiser](model.parameters())
    parameters = [*model.parameters()]
    states, plugin = [], avl.SleepPlugin(RATES, guard=False)
    asleep = plugin._sleeper.sleep

    def watched(*arguments: Any) -> Any:
        states.append([copies(model), copy.deepcopy(one.state_dict()["state"])])
        result = asleep(*arguments)
        states.append([copies(model), copy.deepcopy(one.state_dict()["state"])])
        return result

    monkeypatch.setattr(plugin._sleeper, "sleep", watched)
    learning = strategy(avl, model, [plugin], optimizer=one)
    for experience in benchmark(avl, tasks).train_stream:
        learning.train(experience)
    assert learning.optimizer is one and len(states) == 6
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    for (awake, before), (slept, behind) in zip(states[::2], states[1::2], strict=True):
        assert not same(awake, slept)
        assert before.keys() == behind.keys() and len(before) == len(parameters)
        for number, moments in before.items():  # momentum, moments and steps stay
            assert all(torch.equal(torch.as_tensor(v), torch.as_tensor(behind[number][k])) for k, v in moments.items())
    # It goes on from the weights after sleep, and its moments are not those of a new one.
    assert not same(states[1][0], states[2][0])


def test_a_convolutional_network_with_batch_normalisation_on_standardised_images(
    avl: SimpleNamespace, tasks: list[Task], watcher: Any
) -> None:
    shifted = [
        Task(t.name, t.classes, *(a if a.ndim == 1 else 3 * a - 1 for a in arrays))
        for t in tasks
        for arrays in [(t.train_images, t.train_labels, t.pool_images, t.pool_labels, t.test_images, t.test_labels)]
    ]
    before, after, model = watcher(), watcher(), convolutional()
    plugin = avl.SleepPlugin(Sleep(stages=(NREM(draws=200),)), guard=False)
    learning = strategy(avl, model, [before, plugin, after])
    for experience in benchmark(avl, shifted, (1, 28, 28)).train_stream:
        learning.train(experience)
        statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
        assert plugin.result.status == "done" and plugin.result.stages[0].form == "rates"
        assert [layer.name for layer in plugin.result.stages[0].regulated.layers] == ["0", "3", "7"]
        assert model.training
        assert {n: torch.equal(b, statistics[n]) for n, b in model.named_buffers()} == dict.fromkeys(statistics, True)
    assert float(plugin.keeper.mean.min()) < 0
    for awake, slept in zip(before.found, after.found, strict=True):
        assert not same(awake, slept)
        # What changes is behind the normalisation, and the last layer.
        names = [name for name, _ in model.named_parameters()]
        kept = {name for name, a, b in zip(names, awake, slept, strict=True) if torch.equal(a, b)}
        assert kept == {"0.weight", "0.bias", "3.weight", "3.bias"}


def test_frozen_layers_stay_and_the_others_sleep(avl: SimpleNamespace, tasks: list[Task], watcher: Any) -> None:
    model = biased()
    model[0].weight.requires_grad_(False)
    model[0].bias.requires_grad_(False)
    first = copies(model[0])
    plugin = avl.SleepPlugin(RATES, guard=False)
    optimiser = torch.optim.SGD(model[2:].parameters(), lr=0.1)
    strategy(avl, model, [plugin], optimizer=optimiser).train(benchmark(avl, tasks).train_stream[0])
    assert same(first, copies(model[0]))
    assert [layer.name for layer in plugin.result.stages[0].regulated.layers] == ["2", "4"]


def test_a_sleep_that_is_declined_leaves_the_model_and_says_so(
    avl: SimpleNamespace, tasks: list[Task], watcher: Any
) -> None:
    before, after = watcher(), watcher()
    plugin = avl.SleepPlugin(RATES)
    learning = strategy(avl, biased(), [before, plugin, after])
    stream = benchmark(avl, [tasks[0], tasks[0]]).train_stream
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NeurosleepWarning)
        learning.train(stream[0])
    with pytest.warns(
        NeurosleepWarning, match="did not sleep, the guard declined: no class was added, and outputs have hardly moved"
    ):
        learning.train(stream[1])
    assert plugin.result.status == "declined"
    assert same(before.found[1], after.found[1])
    assert plugin.experiences == 2 and plugin.keeper.count == 80


def test_a_sleep_that_is_done_says_nothing(avl: SimpleNamespace, tasks: list[Task]) -> None:
    learning = strategy(avl, biased(), [avl.SleepPlugin(RATES, guard=False)])
    assert said(learning, benchmark(avl, tasks).train_stream[0]) == []


def test_it_sleeps_after_the_experiences_named(avl: SimpleNamespace, tasks: list[Task], watcher: Any) -> None:
    alone, before, behind = watcher(), watcher(), watcher()
    plugin = avl.SleepPlugin(after=[-1], guard=False)
    assert plugin.settings == Sleep(after=(-1,))
    for plugins in ([alone], [before, plugin, behind]):
        learning = strategy(avl, biased(), plugins)
        torch.manual_seed(1)
        for experience in benchmark(avl, tasks).train_stream:
            learning.train(experience)
    # Training does not notice: not one random number more was drawn.
    assert all(same(a, b) for a, b in zip(alone.found, before.found, strict=True))
    assert [not same(a, b) for a, b in zip(before.found, behind.found, strict=True)] == [False, False, True]


def test_a_rem_stage_may_follow(avl: SimpleNamespace, tasks: list[Task]) -> None:
    settings = Sleep(stages=(NREM(form="rates", draws=200), REM(steps=200)), rates=(0.02,) * 3)
    plugin = avl.SleepPlugin(settings, guard=False)
    learning = strategy(avl, plain(), [plugin])
    learning.train(benchmark(avl, tasks).train_stream[0])
    assert [stage.stage for stage in plugin.result.stages] == ["NREM", "REM"]
    assert plugin.result.recording.steps == 200


# --- naps -------------------------------------------------------------------------------------------------------------


def test_naps_are_taken_every_so_many_batches(avl: SimpleNamespace, tasks: list[Task]) -> None:
    class Changes(avl.SupervisedPlugin):  # type: ignore[misc, name-defined]
        """Whether weights change between the step of a batch and the next."""

        def __init__(self) -> None:
            super().__init__()
            self.found: list[bool] = []
            self.weights: list[torch.Tensor] = []

        def after_update(self, strategy: Any, **_: Any) -> None:
            self.weights = copies(strategy.model)

        def after_training_iteration(self, strategy: Any, **_: Any) -> None:
            self.found.append(not same(self.weights, copies(strategy.model)))

    changes, model = Changes(), biased()
    plugin = avl.SleepPlugin(RATES, guard=False, every=3, nap_damping=0.5)
    one = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    learning = strategy(avl, model, [plugin, changes], optimizer=one, train_epochs=2)
    bench = benchmark(avl, tasks)
    for experience in list(bench.train_stream)[:2]:
        learning.train(experience)
    assert changes.found == [batch % 3 == 0 for batch in range(1, 9)] * 2
    assert learning.optimizer is one
    # What is kept of the data is as without naps: each input once.
    assert plugin.keeper.count == 80 and plugin.keeper.classes == (0, 1, 2, 3)


def test_a_nap_knows_the_classes_so_far_and_leaves_the_task_open() -> None:
    generator, model = torch.Generator().manual_seed(0), biased()
    keeper = Consolidator()
    keeper.observe(torch.rand(20, 784, generator=generator), torch.arange(20) % 2)
    keeper.close_task()
    known = keeper.state_dict()
    napping = Napping(RATES, Naps(every=1), guard=False)
    napping.start(keeper, inputs=20)
    images = torch.rand(20, 784, generator=generator)
    first = napping.after_batch(model, images[:10], torch.full((10,), 4))
    assert first.stages[0].form == "rates"
    outputs = first.stages[0].regulated.layers[-1]
    assert outputs.changed.nonzero().flatten().tolist() == [0, 1, 4]
    second = napping.after_batch(model, images[10:], torch.nn.functional.one_hot(torch.full((10,), 7), 10).float())
    assert second.stages[0].regulated.layers[-1].changed.nonzero().flatten().tolist() == [0, 1, 4, 7]
    assert napping._keeper.new_classes == (4, 7) and napping._keeper.count == 40
    napping.after_batch(model, images[:10], torch.full((10,), 9))  # a second epoch shows nothing new
    assert napping._keeper.count == 40 and (napping.taken, napping.declined) == (3, 0)
    # Another noise each time, and what was given is as it was.
    assert all(torch.equal(value, known[key]) for key, value in keeper.state_dict().items())
    twins = [keeper.nap(model, number, sleep=RATES, guard=False).model for number in (0, 0, 1)]
    assert same(copies(twins[0]), copies(twins[1])) and not same(copies(twins[0]), copies(twins[2]))


def test_a_nap_that_is_declined_says_nothing_and_changes_nothing(avl: SimpleNamespace, tasks: list[Task]) -> None:
    model = biased()
    awake = copies(model)
    napping = Napping(RATES, Naps(every=1), guard=Guard(gain=1e9))
    keeper = Consolidator()
    keeper.observe(tasks[0].train_images, tasks[0].train_labels)
    keeper.close_task()
    napping.start(keeper, inputs=40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images, labels = torch.from_numpy(tasks[1].train_images), torch.from_numpy(tasks[1].train_labels)
        result = napping.after_batch(model, images, labels)
    assert result.status == "declined" and (napping.taken, napping.declined) == (0, 1)
    assert same(awake, copies(model))


# --- what is stored ---------------------------------------------------------------------------------------------------


def test_it_is_stored_as_avalanche_stores_a_strategy(avl: SimpleNamespace, tasks: list[Task]) -> None:
    import dill  # what Avalanche's checkpoints are made with

    plugin = avl.SleepPlugin(RATES, guard=Guard(first=1.0), every=2)
    learning = strategy(avl, biased(), [plugin])
    stream = benchmark(avl, tasks).train_stream
    learning.train(stream[0])
    stored = io.BytesIO()
    torch.save({"model": learning.model, "plugin": plugin}, stored, pickle_module=dill)
    stored.seek(0)
    found = torch.load(stored, pickle_module=dill, weights_only=False)
    again = found["plugin"]
    assert again.keeper.classes == (0, 1) and again.keeper.set_points == plugin.keeper.set_points != {}
    results = []
    for model, sleeper in ((learning.model, plugin), (found["model"], again)):
        torch.manual_seed(2)
        strategy(avl, model, [sleeper]).train(stream[1])
        results.append(copies(model))
    assert same(*results)
    assert again.keeper.count == plugin.keeper.count == 80


def test_no_image_is_stored_between_experiences(avl: SimpleNamespace, tasks: list[Task]) -> None:
    plugin = avl.SleepPlugin(RATES, guard=False)
    strategy(avl, biased(), [plugin]).train(benchmark(avl, tasks).train_stream[0])
    assert plugin.keeper.newest is None


def test_training_broken_off_counts_once(avl: SimpleNamespace, tasks: list[Task]) -> None:
    class Stop(avl.SupervisedPlugin):  # type: ignore[misc, name-defined]
        stops = True

        def before_training_epoch(self, strategy: Any, **_: Any) -> None:
            if self.stops:
                raise KeyboardInterrupt

    plugin, stop = avl.SleepPlugin(RATES, guard=False), Stop()
    learning = strategy(avl, biased(), [plugin, stop])
    stream = benchmark(avl, tasks).train_stream
    with pytest.raises(KeyboardInterrupt):
        learning.train(stream[0])
    assert (plugin.experiences, plugin.keeper.count) == (0, 0)
    stop.stops = False
    learning.train(stream[0])
    assert (plugin.experiences, plugin.keeper.count) == (1, 40)


# --- what it is for ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_with_it_an_ordinary_network_remembers(avl: SimpleNamespace) -> None:
    tasks = class_incremental(load_dataset("mnist-mini"))
    bench = benchmark(avl, tasks)

    def learn(plugins: list[Any]) -> float:
        model = biased(hidden=400)
        learning = strategy(
            avl,
            model,
            plugins,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
            train_mb_size=20,
            train_epochs=3,
        )
        for experience in bench.train_stream:
            learning.train(experience)
        return float(learning.eval(bench.test_stream)["Top1_Acc_Stream/eval_phase/test_stream/Task000"])

    naive, slept = learn([]), learn([avl.SleepPlugin()])
    print("naive", naive, "slept", slept)
    assert naive < 0.25  # one task of five
    assert slept > naive + 0.3


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"nap_damping": 0.5}, "Without naps a plugin has no nap_damping"),
        ({"every": 0}, "Batches from one nap to the next"),
        ({"every": 5, "nap_damping": 2.0}, "The damping of a nap"),
        ({"every": 5, "steps": 200}, "no NREM stage, and a nap is one"),
        ({"guard": False, "steps": 200}, "A sleep of one REM stage has no guard"),
        ({"image_shape": (28, 28)}, "A sleep with an NREM stage has no image_shape"),
        ({"guard": "yes"}, "guard is 'yes'"),
        ({"settings": RATES, "record": Record()}, "record"),
    ],
)
def test_wrong_settings_are_refused_at_once(avl: SimpleNamespace, wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        avl.SleepPlugin(**wrong)


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(784, 10), nn.Linear(784, 10)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.first(x), self.second(x)


@pytest.mark.parametrize(
    ("make", "settings", "text"),
    [
        (lambda: nn.Linear(783, 10), RATES, "cannot be run on noise"),
        (lambda: nn.Sequential(nn.Linear(784, 5), nn.ReLU(), nn.Linear(5, 10)).requires_grad_(False), RATES, "Nothing"),
        (lambda: nn.Linear(784, 2), RATES, "classes"),
        (TwoHeads, RATES, "several layers"),
        (
            lambda: nn.Sequential(nn.Linear(784, 5), nn.Tanh(), nn.Linear(5, 10)),
            Sleep(stages=(NREM(form="spikes"),)),
            "Tanh",
        ),
        (
            lambda: nn.Sequential(nn.Linear(784, 5), nn.Tanh(), nn.Linear(5, 10)),
            Sleep(stages=(NREM(), REM(steps=200))),
            "Tanh",
        ),
        (lambda: biased(), Sleep(stages=(NREM(Homeostasis(layers=("seven",))),)), "seven"),
        (lambda: plain(), Sleep(stages=(NREM(), REM(steps=200)), thresholds=(1.0,)), "thresholds has 1 entries"),
    ],
)
def test_what_could_not_sleep_is_refused_before_any_training(
    avl: SimpleNamespace, tasks: list[Task], make: Any, settings: Sleep, text: str
) -> None:
    model = make()
    before = copies(model)
    plugin = avl.SleepPlugin(settings)
    learning = strategy(avl, model, [plugin], optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(NeurosleepError, match=text):
        learning.train(benchmark(avl, tasks).train_stream[1])  # classes 2 and 3
    assert same(before, copies(model)) and plugin.experiences == 0


def test_inputs_that_are_no_numbers_are_refused(avl: SimpleNamespace, tasks: list[Task]) -> None:
    holes = np.where(tasks[0].train_images > 0.9, np.nan, tasks[0].train_images)
    broken = Task("0,1", (0, 1), *(holes, tasks[0].train_labels) * 3)
    with pytest.raises(DataError, match="NaN"):
        strategy(avl, biased(), [avl.SleepPlugin()]).train(benchmark(avl, [broken]).train_stream[0])
