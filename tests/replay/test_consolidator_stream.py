"""A consolidator of a stream without tasks says when a sleep is due, and goes on where it was stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from neurosleep.errors import NeurosleepWarning, SettingsError
from neurosleep.functional import torch_generator
from neurosleep.replay import Consolidator, Guard, PageHinkley


def batches(n: int, seed: int = 0, shift: float = 0.0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch_generator(seed, "batches")
    rows, labels = torch.randn(n * 40, 8, generator=generator) + shift, torch.arange(n * 40) % 4
    return list(zip(rows.split(40), labels.split(40), strict=True))


def test_sleep_is_due_after_so_many_samples_until_it_has_been() -> None:
    keeper = Consolidator(every_samples=100)
    told = [keeper.observe(*batch) for batch in batches(4)]
    assert told == [None, None, "100 samples since the last sleep", "100 samples since the last sleep"]
    assert (keeper.due, keeper.since) == (told[-1], 160)
    torch.manual_seed(0)
    model = nn.Linear(8, 4)
    keeper.nap(model)
    assert keeper.due is not None
    assert keeper.consolidate(model, guard=False).status == "done"
    assert (keeper.due, keeper.since, keeper.count) == (None, 0, 160)


def test_sleep_is_due_where_the_inputs_drift() -> None:
    keeper = Consolidator(drift=PageHinkley(window=40))
    assert not any(keeper.observe(*batch) for batch in batches(30))
    told = [keeper.observe(*batch) for batch in batches(4, shift=2.0)]
    assert told[-1] == "the stream drifted"
    keeper.close_task()
    assert keeper.due is None


def test_after_a_sleep_that_is_declined_what_was_new_stays_new() -> None:
    """Of an interval that ends with a few samples of new classes nothing can be told; of the next one it can."""
    torch.manual_seed(0)
    model = nn.Linear(8, 4)
    keeper = Consolidator(every_samples=40)
    rows = torch.rand(120, 8, generator=torch_generator(0, "rows"))
    keeper.observe(rows[:40], torch.arange(40) % 2)
    assert keeper.consolidate(model, guard=False).status == "done" and keeper.new_classes == ()
    with torch.no_grad():
        model.weight[2:] = -1.0
    for stop in (80, 120):
        keeper.observe(rows[stop - 40 : stop], 2 + torch.arange(40) % 2)
        with pytest.warns(NeurosleepWarning, match="declined"):
            assert keeper.consolidate(model).status == "declined"
        assert (keeper.due, keeper.since, keeper.new_classes) == (None, 0, (2, 3))
        with torch.no_grad():
            model.weight[2:] = -0.5
    with torch.no_grad():
        model.weight[2:] = 3.0
    assert keeper.consolidate(model, guard=Guard(recall=0, likeness=-1)).status == "done"
    assert (keeper.classes, keeper.new_classes) == ((0, 1, 2, 3), ())
    tasks = Consolidator()
    tasks.observe(rows, torch.arange(120) % 2)
    with pytest.warns(NeurosleepWarning, match="declined"):
        assert tasks.consolidate(nn.Linear(8, 2)).status == "declined"
    assert tasks.new_classes == ()


def test_without_either_nothing_is_due() -> None:
    keeper = Consolidator()
    assert not any(keeper.observe(*batch) for batch in batches(3)) and keeper.since == 120
    assert b"stream" not in bytes(keeper.state_dict()["header"].tolist())


@pytest.mark.parametrize("options", [{"every_samples": 500}, {"drift": PageHinkley(window=70)}])
def test_with_its_newest_samples_it_goes_on_as_if_it_had_never_stopped(options: dict[str, Any]) -> None:
    def run(stop: int | None) -> tuple[list[str | None], dict[str, torch.Tensor]]:
        keeper, told = Consolidator(**options), []
        parts = [*batches(40), *batches(40, seed=1, shift=2.0)]
        for k, batch in enumerate(parts):
            if k == stop:
                state = keeper.state_dict(newest=True)
                keeper = Consolidator(**options)
                keeper.load_state_dict(state)
            told.append(keeper.observe(*batch))
            if told[-1] is not None:
                keeper.close_task()
        return told, keeper.state_dict(newest=True)

    told, state = run(None)
    assert any(told)
    for stop in (1, 38, 60):
        told_again, state_again = run(stop)
        assert told_again == told and state.keys() == state_again.keys()
        assert all(torch.equal(state[key], state_again[key]) for key in state)


def test_a_file_has_its_settings_and_no_samples(tmp_path: Path) -> None:
    keeper = Consolidator(drift=PageHinkley(threshold=7, window=30))
    for batch in batches(2):
        keeper.observe(*batch)
    again = Consolidator.open(keeper.save(tmp_path / "keeper.safetensors"))
    assert again.since == 80 and again.copy().since == 80
    state = again.state_dict()
    assert b'"threshold": 7' in bytes(state["header"].tolist()) and len(state["drift.window"]) == 0
    counted = Consolidator(every_samples=50)
    counted.observe(*batches(1)[0])
    assert Consolidator.open(counted.save(tmp_path / "counted.safetensors")).every_samples == 50


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"every_samples": 0}, "every_samples cannot be 0"),
        ({"every_samples": -5}, "every_samples cannot be -5"),
        ({"every_samples": "many"}, "every_samples cannot be 'many'"),
        ({"every_samples": True}, "every_samples cannot be True"),
        ({"drift": 3.0}, "drift is 3.0"),
        ({"every_samples": 5, "drift": PageHinkley()}, "every_samples is 5, and drift"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        Consolidator(**wrong)
