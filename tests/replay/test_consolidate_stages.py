"""Consolidation by sleep stages: what regulates, what the guard keeps, and what stays untouched."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.errors import DataError, NeurosleepError, NeurosleepWarning, SettingsError
from neurosleep.functional import Homeostasis, InputNoise, SlowOscillation, SRCRule
from neurosleep.replay import NREM, REM, Consolidator, Guard, Sleep, consolidate, evenly, newest_recall, regulate

RATES = Sleep(stages=[NREM(form="rates", draws=400)])
SPIKES = Sleep(stages=[NREM(form="spikes", oscillation=SlowOscillation(frames=400))])


def data(seed: int, classes: int = 6, inputs: int = 40) -> tuple[Tensor, Tensor]:
    """Noisy prototypes of each class within 0..1."""
    prototypes = torch.rand(classes, inputs, generator=torch.Generator().manual_seed(99)).round()
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(60 * classes) % classes
    flips = torch.rand(len(labels), inputs, generator=generator) < 0.15
    return (prototypes[labels] - flips.float()).abs(), labels


def chain(bias: bool = True, outputs: int = 6) -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Linear(40, 64, bias=bias),
        nn.ReLU(),
        nn.Linear(64, 64, bias=bias),
        nn.ReLU(),
        nn.Linear(64, outputs, bias=bias),
    )


class Net(nn.Module):
    """As users write them, with what no conversion takes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv, self.norm = nn.Conv1d(1, 8, 5, padding=2), nn.BatchNorm1d(8)
        self.fc1, self.fc2 = nn.Linear(320, 64), nn.Linear(64, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.norm(self.conv(x[:, None]))).flatten(1)
        return self.fc2(F.silu(self.fc1(x)))


def train(model: nn.Module, x: Tensor, y: Tensor, optimiser: torch.optim.Optimizer, epochs: int = 25) -> None:
    model.train()
    for _ in range(epochs):
        for start in range(0, len(x), 20):
            optimiser.zero_grad()
            F.cross_entropy(model(x[start : start + 20]), y[start : start + 20]).backward()
            optimiser.step()


def tasks(x: Tensor, y: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(x[y // 2 == k], y[y // 2 == k]) for k in range(3)]


@torch.no_grad()
def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    model.eval()
    return float((model(x).argmax(1) == y).double().mean())


def after_three_tasks(model: nn.Module, optimiser: torch.optim.Optimizer, sleep: Sleep) -> tuple[float, list[str]]:
    keeper, statuses = Consolidator(), []
    for x, y in tasks(*data(0)):
        train(model, x, y, optimiser)
        keeper.observe(x, y)
        result = keeper.consolidate(model, sleep=sleep)
        statuses.append(result.status)
        result.apply_to(model)
    return accuracy(model, *data(1)), statuses


@pytest.mark.parametrize("sleep", [RATES, SPIKES])
@pytest.mark.parametrize("bias", [True, False])
def test_an_ordinary_network_remembers_after_sleep(sleep: Sleep, bias: bool) -> None:
    sequential = chain(bias)
    optimiser = torch.optim.SGD(sequential.parameters(), 0.1)
    for x, y in tasks(*data(0)):
        train(sequential, x, y, optimiser)
    forgotten = accuracy(sequential, *data(1))
    model = chain(bias)
    remembered, statuses = after_three_tasks(model, torch.optim.SGD(model.parameters(), 0.1), sleep)
    assert forgotten < 0.4
    assert remembered > forgotten + 0.25
    assert statuses[1:] == ["done", "done"]


@pytest.mark.parametrize("kind", ["momentum", "adam"])
def test_one_optimiser_goes_on_over_three_tasks(kind: str) -> None:
    model = Net()
    tensors = list(model.parameters())
    options = {
        "momentum": lambda: torch.optim.SGD(tensors, 0.02, momentum=0.9),
        "adam": lambda: torch.optim.Adam(tensors),
    }
    optimiser = options[kind]()
    remembered, _ = after_three_tasks(model, optimiser, Sleep())
    assert all(a is b for a, b in zip(tensors, model.parameters(), strict=True))
    assert set(optimiser.state) == set(tensors)
    assert remembered > 0.4


def forgetful() -> tuple[nn.Module, Consolidator]:
    """A network after its second task, and what was kept of both."""
    model, keeper = chain(), Consolidator()
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    for k, (x, y) in enumerate(tasks(*data(0))[:2]):
        train(model, x, y, optimiser)
        keeper.observe(x, y)
        if k == 0:
            keeper.close_task()
    return model, keeper


def test_spikes_do_what_rates_do() -> None:
    model, keeper = forgetful()
    long = Sleep(stages=[NREM(form="spikes", oscillation=SlowOscillation(frames=2000, up=100))])
    known = {"mean": keeper.mean, "classes": keeper.classes, "new_classes": keeper.new_classes, "guard": False}
    x, y = data(1)
    x, y = x[y < 4], y[y < 4]
    rates, spikes = (consolidate(model, sleep=sleep, **known).model for sleep in (Sleep([NREM(form="rates")]), long))
    assert accuracy(model, x, y) < 0.6
    assert abs(accuracy(rates, x, y) - accuracy(spikes, x, y)) < 0.03


def test_what_is_given_stays_as_it_is() -> None:
    model, keeper = forgetful()
    model.train()
    model[0].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [part.training for part in model.modules()]
    torch.manual_seed(5)
    state = torch.get_rng_state()
    result = keeper.consolidate(model, sleep=SPIKES)
    assert result.status == "done"
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert [part.training for part in model.modules()] == modes
    assert [part.training for part in result.model.modules()] == modes


def test_a_seed_determines_a_sleep() -> None:
    def weights(seed: int) -> Tensor:
        model, keeper = forgetful()
        return keeper.consolidate(model, sleep=RATES, seed=seed).model[0].weight

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_the_report_has_numbers() -> None:
    model, keeper = forgetful()
    images, labels = keeper.newest or (torch.zeros(0), torch.zeros(0))
    result = keeper.consolidate(model, sleep=RATES)
    assert [layer.name for layer in result.report.layers] == [name for name, _ in model.named_parameters()]
    asked = evenly(images, 250)
    answers = [part(asked).argmax(1) for part in (model.eval(), result.model.eval())]
    assert result.report.images == len(asked) > 100
    assert result.report.answers_changed == pytest.approx(float((answers[0] != answers[1]).double().mean()))
    assert result.gain > 3 and result.verdict is not None
    assert result.verdict.recall == pytest.approx(newest_recall(result.model, images, labels, range(4)), abs=1e-9)
    regulated = result.stages[0].regulated
    assert regulated is not None
    drive = regulated.layers[-1]
    # Units of old classes were driven below the new ones, and are not now; those never seen stay.
    assert drive.mean_before[2:4].mean() - drive.mean_before[:2].mean() > 0
    torch.testing.assert_close(drive.mean_after[:4], torch.full((4,), drive.target.mean).double(), rtol=0, atol=1e-6)
    assert torch.equal(drive.changed, torch.tensor([True] * 4 + [False] * 2))
    assert len(repr(result)) < 300 and "gain score" in repr(result)
    assert "<table" in result._repr_html_()


@pytest.mark.parametrize("dampings", [(1.0,), (0.5,)])
@pytest.mark.parametrize("sleep", [RATES, SPIKES])
def test_a_second_sleep_is_declined_with_a_warning_and_changes_nothing(sleep: Sleep, dampings: tuple) -> None:
    model, keeper = forgetful()
    guard = Guard(dampings=dampings)
    keeper.consolidate(model, sleep=sleep, guard=guard).apply_to(model)
    with pytest.warns(NeurosleepWarning, match=r"hardly moved apart since the last sleep \(0.\d\d spreads\)"):
        again = keeper.consolidate(model, sleep=sleep, guard=guard)
    assert again.status == "declined" and again.report.layers == ()
    # What a sleep of half the damping left is no movement since.
    assert again.verdict is not None and again.verdict.moved < 0.2
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.model.parameters(), strict=True))
    again.apply_to(model)


def test_a_second_sleep_that_no_guard_judges_changes_nothing_that_matters() -> None:
    model, keeper = forgetful()
    keeper.consolidate(model, sleep=RATES).apply_to(model)
    again = keeper.consolidate(model, sleep=RATES, guard=False)
    x, y = data(1)
    x, y = x[y < 4], y[y < 4]
    assert again.status == "done"
    assert abs(accuracy(again.model, x, y) - accuracy(model, x, y)) < 0.02


def test_an_old_task_learnt_again_makes_a_sleep_of_its_own() -> None:
    """No class was added then, and the outputs of the others have fallen behind since the last sleep."""
    model, keeper = forgetful()
    keeper.consolidate(model, sleep=RATES).apply_to(model)
    keeper = keeper.copy()
    x, y = tasks(*data(0))[0]
    train(model, x, y, torch.optim.SGD(model.parameters(), 0.1))
    keeper.observe(x, y)
    assert keeper.new_classes == ()
    result = keeper.consolidate(model, sleep=RATES)
    assert result.status == "done" and result.verdict is not None
    assert result.verdict.moved > 1 and "no class was added" in result.reason
    x, y = data(1)
    x, y = x[y < 4], y[y < 4]
    assert accuracy(result.model, x, y) > accuracy(model, x, y) + 0.1


def test_what_rem_moves_after_nrem_is_no_movement_since_the_sleep() -> None:
    model, keeper = chain(bias=False), forgetful()[1]
    train(model, *data(0), torch.optim.SGD(model.parameters(), 0.1), epochs=2)
    rem = REM(rule=SRCRule(0.03, 0.003), steps=200, max_rate=100.0)
    sleep = Sleep(stages=[NREM(form="rates", draws=400), rem], rates=(0.02,) * 3)
    result = keeper.consolidate(model, sleep=sleep, guard=False)
    result.apply_to(model)
    regulated = result.stages[0].regulated
    assert regulated is not None and result.left is not None
    assert abs(result.left.means[0] - float(regulated.layers[-1].mean_after[0])) > 1e-3
    with pytest.warns(NeurosleepWarning, match="hardly moved"):
        assert keeper.consolidate(model, sleep=sleep).status == "declined"


def test_a_guarded_sleep_in_rates_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the guard tried is the sleep itself, and the same as one without a guard."""
    from neurosleep.replay import _judging, _nrem

    model, keeper = forgetful()
    draws: list[int] = []
    original = regulate

    def counted(*arguments: object, **options: object) -> object:
        draws.append(options["draws"])
        return original(*arguments, **options)

    for module in (_judging, _nrem):
        monkeypatch.setattr(module, "regulate", counted)
    free = keeper.copy().consolidate(model, sleep=RATES, guard=False)
    assert draws == [400]
    # Twice: before sleep, of the output layer alone, and the sleep. Two frames say which layer is the output.
    judged = keeper.consolidate(model, sleep=RATES)
    assert draws[1:] == [2, 400, 400]
    assert all(torch.equal(a, b) for a, b in zip(free.model.parameters(), judged.model.parameters(), strict=True))


def test_joint_training_is_left_alone() -> None:
    model, keeper = chain(), Consolidator()
    x, y = data(0)
    train(model, x, y, torch.optim.SGD(model.parameters(), 0.1))
    keeper.observe(x, y)
    with pytest.warns(NeurosleepWarning, match="of all classes, and their recall would go"):
        assert keeper.consolidate(model).status == "declined"


def test_a_first_sleep_is_kept_while_outputs_are_left_and_it_costs_nothing() -> None:
    model, keeper = chain(), Consolidator()
    x, y = tasks(*data(0))[0]
    train(model, x, y, torch.optim.SGD(model.parameters(), 0.1))
    keeper.observe(x, y)
    result = keeper.consolidate(model, sleep=RATES, guard=Guard(first=1.0))
    assert result.status == "done"
    assert result.set_points.keys() == {"0", "2", "4"}
    assert keeper.set_points == result.set_points and keeper.new_classes == ()


def test_damping_is_what_the_guard_says() -> None:
    model, keeper = forgetful()
    result = keeper.consolidate(model, sleep=RATES, guard=Guard(dampings=(0.25,), recall=0))
    drive = result.stages[0].regulated.layers[-1]
    left = (drive.mean_after - drive.target.mean)[:4] / (drive.mean_before - drive.target.mean)[:4]
    torch.testing.assert_close(left, torch.full((4,), 0.75).double(), rtol=1e-3, atol=1e-3)


def test_stages_follow_one_another_in_cycles() -> None:
    _, keeper = forgetful()
    rem = REM(rule=SRCRule(1e-4, 1e-5), steps=50, max_rate=100.0)
    sleep = Sleep(stages=[NREM(form="rates", draws=200), rem], cycles=2, rates=(0.01,) * 3)
    result = keeper.consolidate(chain(bias=False), sleep=sleep, guard=False)
    assert [stage.stage for stage in result.stages] == ["NREM", "REM", "NREM", "REM"]
    assert result.recording is not None and result.recording.steps == 50
    assert result.fired == sum(stage.phase.fired for stage in result.stages if stage.phase)


def test_outputs_may_grow() -> None:
    keeper, x, y = Consolidator(), *data(0)
    small = chain(outputs=2)
    train(small, x[y < 2], y[y < 2], torch.optim.SGD(small.parameters(), 0.1))
    keeper.observe(x[y < 2], y[y < 2])
    with pytest.warns(NeurosleepWarning, match="of all classes, and their recall would go"):
        keeper.consolidate(small)
    grown = chain(outputs=4)
    with torch.no_grad():
        for old, new in zip(small.parameters(), grown.parameters(), strict=True):
            new[: len(old)].copy_(old)
    new = (y >= 2) & (y < 4)
    train(grown, x[new], y[new], torch.optim.SGD(grown.parameters(), 0.1))
    keeper.observe(x[new], y[new])
    result = keeper.consolidate(grown, sleep=RATES)
    assert result.status == "done"
    seen = data(1)[1] < 4
    x, y = data(1)[0][seen], data(1)[1][seen]
    assert accuracy(result.model, x, y) > accuracy(grown, x, y) + 0.1


def test_standardised_inputs_sleep_under_normal_noise() -> None:
    torch.manual_seed(0)
    x, y = data(0)
    x = (x - x.mean(0)) / x.std(0)
    model, keeper = chain(), Consolidator()
    optimiser = torch.optim.SGD(model.parameters(), 0.05)
    for images, labels in tasks(x, y):
        train(model, images, labels, optimiser)
        keeper.observe(images, labels)
        before = accuracy(model, x, y)
        result = keeper.consolidate(model)
        result.apply_to(model)
    assert keeper.noise.spread is not None
    assert accuracy(model, x, y) > before + 0.2


def test_images_are_read_flat_where_a_network_starts_with_a_linear_layer() -> None:
    model, keeper = forgetful()
    flat = consolidate(model, keeper.mean, classes=range(4), guard=False, sleep=RATES).model
    images = consolidate(model, keeper.mean.reshape(5, 8), classes=range(4), guard=False, sleep=RATES).model
    assert all(torch.equal(a, b) for a, b in zip(flat.parameters(), images.parameters(), strict=True))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mean": torch.rand(39)}, "39"),
        ({"mean": 255 * torch.rand(40)}, "divide"),
        ({"mean": torch.zeros(40)}, "varies"),
        ({"mean": torch.full((40,), math.nan)}, "NaN"),
        ({"std": -torch.ones(40)}, "standard deviation"),
        ({"classes": [0, 1, 6]}, "6"),
        ({"classes": []}, "at least one class"),
        ({"classes": "01"}, "class numbers"),
        ({"classes": [0, 1], "new_classes": [2]}, "[2]"),
        ({"classes": [0, 1], "holdout": (torch.rand(3, 40), [0, 1, 3])}, "[3]"),
        ({"classes": [0.5, 1]}, "0.5"),
        ({"classes": ["a"]}, "'a'"),
        ({"new_classes": [9], "guard": True}, "9"),
        ({"holdout": (torch.rand(3, 40), ["a", "b", "c"])}, "class numbers"),
        ({"holdout": (torch.rand(3, 40), torch.eye(6)[:3])}, "argmax"),
        ({"holdout": (torch.rand(3, 40), [0, 1, -1])}, "-1"),
        ({"holdout": (torch.rand(3, 40), [0, 1, 9])}, "6 outputs"),
        ({"holdout": (torch.full((3, 40), math.nan), [0, 1, 2])}, "NaN"),
        ({"holdout": (255 * torch.rand(3, 40), [0, 1, 2])}, "divide"),
        ({"holdout": (torch.rand(3, 40), [0, 1])}, "3 class numbers"),
        ({"holdout": (torch.rand(3, 20), [0, 1, 1])}, "(40,)"),
        ({"holdout": torch.rand(3, 40)}, "holdout"),
        ({"sleep": "deep"}, "Sleep"),
        ({"guard": "yes"}, "guard"),
        ({"seed": -1}, "seed"),
        ({"engine": "abacus"}, "abacus"),
        ({"engine": "event", "sleep": RATES}, "engine"),
        ({"record": ns.Record(), "sleep": RATES}, "record"),
        ({"sleep": Sleep([NREM(rule=Homeostasis(layers=("fc9",)))])}, "fc9"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_changes(given: dict, words: str) -> None:
    model = chain()
    before = [value.clone() for value in model.parameters()]
    with pytest.raises(NeurosleepError) as caught:
        consolidate(model, **{"mean": torch.full((40,), 0.5), "guard": False, **given})
    assert words in str(caught.value)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("guard", [True, False])
def test_an_engine_that_no_stage_would_read_is_refused(guard: bool) -> None:
    """Of the form ``auto`` too, where the network has no spiking counterpart."""
    x, y = data(0)
    keeper = Consolidator()
    keeper.observe(x, y)
    for call in (keeper.consolidate, keeper.check):
        with pytest.raises(SettingsError, match=r"in rates, since .* has no engine"):
            call(Net(), engine="event", guard=guard)
    assert keeper.new_classes == tuple(range(6))
    result = keeper.copy().consolidate(chain(), sleep=Sleep([NREM()]), engine="reference", guard=False)
    assert result.stages[0].form == "spikes"


@pytest.mark.parametrize("guard", [True, False])
@pytest.mark.parametrize("sleep", [None, RATES, SPIKES])
def test_a_model_without_weights_is_refused(sleep: Sleep | None, guard: bool) -> None:
    given = {"classes": range(6), "new_classes": [4, 5], "guard": guard, "sleep": sleep}
    lazy = nn.Sequential(nn.LazyLinear(6))
    for model, words in ((chain().to("meta"), "'meta'"), (lazy, "no values yet")):
        with pytest.raises(NeurosleepError, match=words):
            consolidate(model, torch.full((40,), 0.5), **given)


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("sleep", [None, RATES, SPIKES])
def test_weights_that_are_not_finite_are_refused(place: int, sleep: Sleep | None) -> None:
    for value in (math.nan, math.inf):
        model = chain()
        with torch.no_grad():
            model[place].weight[0, 0] = value
        for guard in (True, False):
            given = {"classes": range(6), "new_classes": [4, 5], "guard": guard, "sleep": sleep}
            with pytest.raises(SettingsError, match="NaN or infinite"):
                consolidate(model, torch.full((40,), 0.5), **given)


@pytest.mark.parametrize("sleep", [RATES, SPIKES])
def test_what_nothing_drives_is_said_by_name(sleep: Sleep) -> None:
    model, mean = chain(), torch.full((40,), 0.5)
    with torch.no_grad():
        model[0].weight.zero_()
    with pytest.warns(NeurosleepWarning, match="nothing drives the layers 0, 2, 4"):
        result = consolidate(model, mean, guard=False, sleep=sleep)
    assert result.status == "silent" and not result.report.layers
    model = chain()
    with torch.no_grad():
        model[2].weight[7].zero_()
    result = consolidate(model, mean, guard=False, sleep=sleep)
    regulated = result.stages[0].regulated
    assert regulated is not None and not regulated.layers[1].driven[7]
    assert "1 of 64 units does not vary" in regulated.layers[1].notes[0]
    assert torch.equal(result.model[2].weight[7], model[2].weight[7])


def test_hooks_modes_threads_and_generators_stay() -> None:
    model, keeper = forgetful()
    calls: list[int] = []
    model[2].register_forward_hook(lambda *_: calls.append(1))
    model.eval()
    model[1].train()
    modes, threads = [part.training for part in model.modules()], torch.get_num_threads()
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    for sleep in (RATES, SPIKES):
        result = keeper.copy().consolidate(model, sleep=sleep, guard=False)
        assert len(result.model[2]._forward_hooks) == len(model[2]._forward_hooks) == 1
        result.apply_to(model)
        assert [part.training for part in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[2]
    assert (np.random.get_state()[1] == states[1]).all()
    assert torch.get_num_threads() == threads
    before = len(calls)
    model(torch.rand(2, 40))
    assert len(calls) == before + 1


def test_half_precision_stays_half() -> None:
    model, keeper = forgetful()
    half = model.to(torch.bfloat16)
    result = consolidate(half, keeper.mean, classes=range(4), guard=False, sleep=RATES)
    assert {value.dtype for value in result.model.parameters()} == {torch.bfloat16}
    assert not torch.equal(result.model[0].weight, half[0].weight)


def test_without_data_nothing_sleeps() -> None:
    with pytest.raises(DataError, match="observe"):
        Consolidator().consolidate(chain())


def test_a_stage_of_no_length_is_refused() -> None:
    for made in (
        lambda: NREM(draws=1),
        lambda: Sleep([]),
        lambda: Sleep([NREM()], cycles=0),
        lambda: NREM(form="deep"),
    ):
        with pytest.raises((SettingsError, ns.UnknownNameError)):
            made()


def test_biases_of_an_mlp_sleep_with_its_weights_and_biases_that_stay_sleep_in_rates() -> None:
    torch.manual_seed(3)
    mlp = ns.MLP([40, 64, 6], bias=True, init="torch")
    frozen = chain()
    frozen[0].bias.requires_grad_(False)
    noise = InputNoise(torch.full((40,), 0.5))
    for model, form in ((mlp, "spikes"), (frozen, "rates")):
        result = consolidate(model, noise.mean, guard=False)
        assert result.stages[0].form == form
        # Measured anew, units drive alike: the model that came back is the one that the report is of.
        for layer, was in zip(regulate(result.model, noise).layers, regulate(model, noise).layers, strict=True):
            assert float(layer.mean_before.std()) < 0.1 * float(was.mean_before.std())


def test_blobs_are_drawn_for_images_and_refused_for_flat_inputs() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    mean, guard = torch.full((1, 8, 8), 0.4), ns.Guard(gain=-100.0, recall=0.0)
    results = [
        ns.consolidate(
            model, mean, new_classes=[2], guard=guard, sleep=ns.Sleep(stages=(ns.NREM(form="rates", blobs=size),))
        )
        for size in (0.0, 2.0)
    ]
    assert [result.status for result in results] == ["done", "done"]
    alone = regulate(model, InputNoise(mean, blobs=2.0), Homeostasis())
    for value, expected, independent in zip(
        results[1].model.parameters(), alone.model.parameters(), results[0].model.parameters(), strict=True
    ):
        assert torch.equal(value, expected) and not torch.equal(value, independent)
    flat = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3))
    with pytest.raises(DataError, match="height and width"):
        ns.consolidate(flat, torch.full((8,), 0.4), sleep=ns.Sleep(stages=(ns.NREM(blobs=2.0),)), guard=False)
