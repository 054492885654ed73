"""What outputs answer to fixed frames of noise, and what a guard makes of it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from neurosleep.errors import SettingsError
from neurosleep.functional import InputNoise
from neurosleep.replay import NREM, Consolidation, Consolidator, Guard, NoiseResponse, Sleep

NOISE = InputNoise(torch.full((20,), 0.4))
RATES = Sleep(stages=[NREM(form="rates", draws=500)])


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 6))


def learnt(model: nn.Module, classes: list[int], keeper: Consolidator, steps: int = 60) -> None:
    """Prototypes of these classes, learnt with plain SGD."""
    prototypes = torch.rand(6, 20, generator=torch.Generator().manual_seed(5)).round()
    labels = torch.tensor(classes).repeat(100)
    flips = torch.rand(len(labels), 20, generator=torch.Generator().manual_seed(classes[0])) < 0.1
    images = (prototypes[labels] - flips.float()).abs()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimiser.step()
    keeper.observe(images, labels)


def test_likeness_is_the_correlation_of_how_outputs_differ() -> None:
    first, second = network(0), network(1)
    response = NoiseResponse.of(first, NOISE, (0, 1, 2, 3))
    with torch.no_grad():
        frames = NOISE.frames(200, seed=0, task=2_000_000_000)
        then, now = (net(frames)[:, [1, 2, 3]].double() for net in (first, second))
    differences = [values - values.mean(1, keepdim=True) for values in (then, now)]
    pairs = zip(differences[0].T, differences[1].T, strict=True)
    expected = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in pairs]).mean()
    # Class 5 was not learnt when the response was taken.
    assert response.likeness(second, (1, 2, 3, 5)) == pytest.approx(float(expected), abs=1e-6)
    assert response.likeness(first, (1, 2, 3)) == pytest.approx(1.0)


def test_scales_shifts_and_what_all_outputs_share_do_not_matter() -> None:
    model, other = network(), network()
    with torch.no_grad():
        other[2].weight.mul_(3.0).add_(torch.randn(40, generator=torch.Generator().manual_seed(2)))
        other[2].bias.add_(torch.arange(6.0))
    assert NoiseResponse.of(model, NOISE, range(6)).likeness(other, range(6)) == pytest.approx(1.0, abs=1e-5)


def test_of_one_class_or_of_outputs_that_never_vary_nothing_is_known() -> None:
    model = network()
    response = NoiseResponse.of(model, NOISE, (0, 1))
    assert math.isnan(response.likeness(model, (1,)))
    with torch.no_grad():
        model[2].weight.zero_()
    assert math.isnan(response.likeness(model, (0, 1)))


@pytest.fixture
def after_two_tasks() -> tuple[nn.Module, Consolidator]:
    """A network that has learnt two tasks, and slept after the first, of six outputs of which four are learnt."""
    model, keeper = network(), Consolidator()
    learnt(model, [0, 1], keeper)
    slept(model, keeper).apply_to(model)
    learnt(model, [2, 3], keeper)
    return model, keeper


def slept(model: nn.Module, keeper: Consolidator, guard: Guard | None = None) -> Consolidation:
    guard = Guard(first=1.0, gain=0.5, recall=0.1) if guard is None else guard
    return keeper.consolidate(model, sleep=RATES, guard=guard)


def overwrite(model: nn.Module) -> None:
    """Rows of the old outputs read other units; where they are driven stays as it is."""
    with torch.no_grad():
        weight: Tensor = model.get_parameter("2.weight")
        weight[:2] = weight[:2].roll(17, 1)


def test_outputs_that_remember_sleep(after_two_tasks: tuple[nn.Module, Consolidator]) -> None:
    result = slept(*after_two_tasks)
    assert result.status == "done"
    assert result.verdict is not None and result.verdict.likeness > 0.6


@pytest.mark.filterwarnings("ignore::neurosleep.errors.NeurosleepWarning")
def test_outputs_that_were_overwritten_do_not(after_two_tasks: tuple[nn.Module, Consolidator]) -> None:
    model, keeper = after_two_tasks
    overwrite(model)
    copy = keeper.copy()
    result = slept(model, keeper)
    assert result.status == "declined" and "overwritten" in result.reason
    assert result.verdict is not None and result.verdict.likeness < 0.6
    # What they answered after the last sleep is what the next one must bring back, too.
    assert result.response is not None and result.response.classes == (0, 1)
    assert slept(model, copy, Guard(gain=0.5, recall=0.1, likeness=-1.0)).status == "done"


def test_it_is_in_the_file(after_two_tasks: tuple[nn.Module, Consolidator], tmp_path: Path) -> None:
    model, keeper = after_two_tasks
    again = Consolidator.open(keeper.save(tmp_path / "keeper.safetensors"))
    verdicts = [slept(model, one).verdict for one in (keeper.copy(), again)]
    assert verdicts[0] is not None and verdicts[1] is not None
    assert verdicts[0].likeness == verdicts[1].likeness > 0


def test_an_impossible_limit_is_refused() -> None:
    with pytest.raises(SettingsError, match="likeness"):
        Guard(likeness=1.5)
