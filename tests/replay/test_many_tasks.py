"""Fifty tasks: what a sleep costs and what is kept of the past do not grow with the number of tasks."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.functional import InputNoise, SlowOscillation
from neurosleep.replay import NREM, Consolidator, Sleep


def bytes_kept(keeper: Consolidator) -> int:
    """All but the list of classes seen and the drives of their outputs: of that every class has an entry."""
    state = keeper.state_dict()
    header = json.loads(bytes(state.pop("header").tolist()))
    for key in ("old", "new", "left"):
        header.pop(key)
    return sum(value.numel() * value.element_size() for value in state.values()) + len(str(header))


@pytest.mark.parametrize("form", ["rates", "spikes"])
def test_neither_work_nor_memory_grows_over_fifty_tasks(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model, keeper = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 100)), Consolidator()
    sleep = Sleep([NREM(form=form, draws=100, oscillation=SlowOscillation(frames=100, up=40, down=4))])
    frames, inputs = [0], [0]

    def count(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        # A conversion looks at the layers without numbers.
        inputs[0] += len(given[0]) if isinstance(given[0], Tensor) else 0

    model[0].register_forward_pre_hook(count)
    original = InputNoise.frames

    def counted(self: InputNoise, count: int, **options: int) -> Tensor:
        frames[0] += count
        return original(self, count, **options)

    monkeypatch.setattr(InputNoise, "frames", counted)
    work, kept = [], []
    for task in range(50):
        labels = torch.arange(30) % 2 + 2 * task
        keeper.observe(torch.rand(30, 20), labels)
        with torch.no_grad():
            model[2].bias[2 * task : 2 * task + 2] += 3
        inputs[0], frames[0] = 0, 0
        result = keeper.consolidate(model, sleep=sleep, guard=ns.Guard(gain=-1000, recall=0, first=1))
        result.apply_to(model)
        assert result.status == "done"
        steps = sum(stage.steps for stage in result.stages)
        work.append((inputs[0], frames[0], steps))
        kept.append(bytes_kept(keeper))
    assert len(set(work[1:])) == 1 and min(work[1][:2]) > 0
    # A few digits more of counts and of sums.
    assert max(kept[1:]) - min(kept[1:]) < 60
    assert keeper.newest is None and keeper.count == 1500
