"""What a sleep cannot take is said in one error, or one warning, with numbers, and nothing changes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from neurosleep.conversion import convert
from neurosleep.errors import DataError, NeurosleepError, NeurosleepWarning, SettingsError, UnsupportedError
from neurosleep.functional import InputNoise, SlowOscillation
from neurosleep.replay import NREM, REM, Consolidation, Consolidator, Sleep, consolidate, outputs, regulate_spikes

RATES, AUTO = (Sleep(stages=[NREM(form=form, draws=100)]) for form in ("rates", "auto"))  # type: ignore[arg-type]
X = torch.rand(60, 12, generator=torch.Generator().manual_seed(1)).round()
Y = torch.arange(60) % 2


def chain(bias: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 16, bias=bias), nn.ReLU(), nn.Linear(16, 4, bias=bias))


def convolutional() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))


def normed() -> nn.Sequential:
    made = chain()
    made[0] = nn.utils.parametrizations.weight_norm(made[0])
    return made


def broken() -> nn.Sequential:
    made = chain()
    made[0].weight.data[0, 0] = float("nan")
    return made


def by_mean(model: nn.Module, x: Tensor, y: Tensor, sleep: Sleep) -> Consolidation:
    seen = sorted(set(y.tolist()))
    return consolidate(model, x.mean(0), classes=seen, new_classes=seen, sleep=sleep, guard=False)


def by_keeper(model: nn.Module, x: Tensor, y: Tensor, sleep: Sleep) -> Consolidation:
    keeper = Consolidator()
    keeper.observe(x, y)
    return keeper.consolidate(model, sleep=sleep, guard=False)


def by_nap(model: nn.Module, x: Tensor, y: Tensor, sleep: Sleep) -> Consolidation:
    keeper = Consolidator()
    keeper.observe(x, y)
    keeper.check(model, sleep=sleep, guard=False)
    return keeper.nap(model, sleep=sleep, guard=False)


#: What is wrong: the network, inputs and labels, and what the error says.
WRONG: dict[str, tuple[Callable[[], nn.Module], Tensor, Tensor, str]] = {
    "inputs that are always on": (chain, torch.ones(60, 12), Y, "Not one of 12 inputs"),
    "inputs of another size": (chain, X[:, :5], Y, r"cannot be run on noise of shape \(2, 5\)"),
    "labels without an output": (chain, X, Y + 7, "the class 8, and the model has 4 outputs"),
    "a weight that is computed": (normed, X, Y, "'0' is computed from others, as weight_norm"),
    "a weight that is no number": (broken, X, Y, "NaN or infinite"),
    "a device without weights": (lambda: chain().to("meta"), X, Y, "on the device 'meta'"),
    "frozen layers": (lambda: chain().requires_grad_(False), X, Y, "0 stays as it is: it is frozen"),
    "no layers": (lambda: nn.Sequential(nn.Flatten()), X, Y, "no linear or convolutional layer"),
    "images without channels": (convolutional, X.repeat(1, 3).reshape(60, 6, 6), Y, r"shape \(2, 6, 6\)"),
    "images of another size": (convolutional, torch.rand(60, 1, 7, 7), Y, r"shape \(2, 1, 7, 7\)"),
    "batches for inputs": (chain, torch.rand(9, 60, 12), Y[:9], r"scores of shape \(60, 4\) of one input of shape"),
}


@pytest.mark.parametrize("door", [by_mean, by_keeper, by_nap])
@pytest.mark.parametrize("sleep", [RATES, AUTO])
@pytest.mark.parametrize("case", WRONG)
def test_wrong_networks_and_data_are_one_clear_error(case: str, sleep: Sleep, door: Any) -> None:
    make, x, y, text = WRONG[case]
    model = make()
    before = [value.detach().clone() for value in model.parameters()]
    state = torch.get_rng_state()
    with pytest.raises(NeurosleepError, match=text):
        door(model, x, y, sleep)
    assert torch.equal(state, torch.get_rng_state())
    if not any(value.is_meta for value in before):
        pairs = zip(before, model.parameters(), strict=True)
        assert all(torch.allclose(a, b, rtol=0, atol=0, equal_nan=True) for a, b in pairs)


@pytest.mark.parametrize("number", [0.5, 1, torch.tensor(0.5)])
def test_one_number_for_all_inputs_is_refused(number: Any) -> None:
    for name, given in {"mean": {"mean": number}, "std": {"mean": X.mean(0), "std": number}}.items():
        with pytest.raises(DataError, match=rf"{name} is .*, one number.(?s:.*)one for every input"):
            consolidate(chain(), **given, guard=False)


def test_constant_inputs_are_refused_where_samples_were_seen() -> None:
    for door in (by_keeper, by_nap):
        with pytest.raises(DataError, match="Not one of 12 inputs differs among the 60 samples"):
            door(chain(), torch.full((60, 12), 0.5), Y, RATES)


@pytest.mark.parametrize("ask", ["consolidate", "nap", "check"])
def test_before_any_data_there_is_nothing_to_sleep_by(ask: str) -> None:
    with pytest.raises(DataError, match="No data has been observed yet"):
        getattr(Consolidator(), ask)(chain())


@pytest.mark.parametrize("sleep", [RATES, AUTO])
def test_means_of_bytes_are_refused_and_samples_of_bytes_warned_of(sleep: Sleep) -> None:
    with pytest.raises(DataError, match=r"reaches from 97\.75 to 165\.8"):
        by_mean(chain(), X * 255, Y, sleep)
    with pytest.warns(NeurosleepWarning, match="integers from 0 to 255"):
        by_keeper(chain(), X * 255, Y, sleep)


@pytest.mark.parametrize("door", [by_mean, by_keeper])
@pytest.mark.parametrize("sleep", [RATES, AUTO])
def test_an_output_that_nothing_drives_is_warned_of_and_a_hidden_unit_noted(door: Any, sleep: Sleep) -> None:
    model = chain()
    with torch.no_grad():
        model[0].weight[3], model[2].weight[1] = 0.0, 0.0
    with pytest.warns(NeurosleepWarning, match=r"of the outputs \[1\] \(of 2 of classes seen\) does not vary"):
        result = door(model, X, Y, sleep)
    assert result.status == "done" and result.stages[0].regulated is not None
    hidden = result.stages[0].regulated.layers[0]
    assert hidden.notes == ("the drive of 1 of 16 units does not vary; they stay as they are",)
    assert torch.equal(result.model[2].weight[1], model[2].weight[1])


def test_an_output_of_a_class_never_seen_is_not_warned_of() -> None:
    model = chain()
    model[2].weight.data[3] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        by_keeper(model, X, Y, RATES)


@pytest.mark.parametrize("sleep", [RATES, AUTO])
def test_a_network_that_nothing_drives_sleeps_to_no_effect_and_says_so(sleep: Sleep) -> None:
    model = chain()
    model[0].weight.data.zero_()
    model[0].bias.data.fill_(-1.0)
    with pytest.warns(NeurosleepWarning, match="no weight changed, and nothing drives the layers 0, 2"):
        result = by_keeper(model, X, Y, sleep)
    assert result.status == "silent"


def test_one_class_alone_is_declined() -> None:
    keeper = Consolidator()
    keeper.observe(X, 0 * Y)
    with pytest.warns(NeurosleepWarning, match="one class is no task"):
        assert keeper.consolidate(chain()).status == "declined"


@pytest.mark.parametrize(
    "make",
    [
        lambda: SlowOscillation(frames=0),
        lambda: SlowOscillation(up=0),
        lambda: SlowOscillation.at(0),
        lambda: NREM(draws=0),
        lambda: REM(steps=0),
        lambda: Sleep(cycles=0),
        lambda: Sleep(stages=[]),
    ],
)
def test_a_stage_of_no_length_is_refused(make: Any) -> None:
    with pytest.raises(SettingsError, match=r"cannot be 0|is \[\]"):
        make()


@pytest.mark.parametrize("rates", [(0.9, 0.9), (0.5, 0.999)])
def test_an_unreachable_rate_is_said_with_the_rate_reached(rates: tuple[float, ...]) -> None:
    model = chain(bias=False)
    before = [value.detach().clone() for value in model.parameters()]
    sleep = Sleep(stages=[NREM(form="rates", draws=100), REM(steps=100)], rates=rates)
    with pytest.raises(
        NeurosleepError, match=r"(?s)cannot fire at the rate.*Found: +0\.\d+ spikes per neuron and step"
    ):
        by_keeper(model, X, Y, sleep)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("sleep", [RATES, AUTO])
def test_half_and_double_precision_sleep_in_kind(kind: torch.dtype, sleep: Sleep) -> None:
    exact = by_keeper(chain(), X, Y, sleep).model
    result = by_keeper(chain().to(kind), X, Y, sleep)
    for value, other in zip(result.model.parameters(), exact.parameters(), strict=True):
        assert value.dtype is kind and torch.allclose(value.float(), other, atol=0.05)


def test_a_missing_device_is_named() -> None:
    network, noise = convert(chain(), X), InputNoise(X.mean(0))
    with pytest.raises(SettingsError, match="no device 'abacus'"):
        regulate_spikes(network, noise, device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(UnsupportedError, match="'cuda' is not on this machine"):
            regulate_spikes(network, noise, device="cuda")


def test_biases_that_stay_are_warned_of_once() -> None:
    sleep = Sleep(stages=[NREM(form="rates", draws=100), REM(steps=50)], cycles=2, thresholds=(0.1, 0.1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = by_keeper(chain(), X, Y, sleep)
    assert len(result.stages) == 4 and result.report.biased
    assert sum("biases of" in str(one.message) for one in caught) == 1


def test_scores_of_one_row_are_those_of_a_class_each() -> None:
    assert outputs(nn.Sequential(nn.Linear(12, 4), nn.Unflatten(1, (1, 4))), X).shape == (60, 4)
    assert outputs(nn.Sequential(nn.Linear(12, 4), nn.Unflatten(1, (4, 1, 1))), X).shape == (60, 4)
    with pytest.raises(DataError, match=r"scores of shape \(2, 2\)"):
        outputs(nn.Sequential(nn.Linear(12, 4), nn.Unflatten(1, (2, 2))), X)


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.old, self.new = nn.Linear(12, 16), nn.Linear(16, 2), nn.Linear(16, 2)
        self.new.bias.data += 3.0  # as after the newest task

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.body(x))
        return torch.cat([self.old(h), self.new(h)], 1)


def test_heads_side_by_side_regulate_together_whatever_converts() -> None:
    keeper = Consolidator()
    keeper.observe(X, Y)
    keeper.close_task()
    keeper.observe(X, Y + 2)
    result = keeper.consolidate(TwoHeads(), sleep=AUTO, guard=False)
    (stage,) = result.stages
    assert stage.form == "rates" and "several layers" in stage.note and stage.regulated is not None
    means = stage.regulated.layers[-1].mean_after
    assert len(means) == 4 and float(means.std()) < 1e-3
    with pytest.raises(UnsupportedError, match="regulate together"):
        keeper.consolidate(TwoHeads(), sleep=Sleep(stages=[NREM(form="spikes")]), guard=False)
