"""Two recordings, one after another, are one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import neurosleep as ns
from neurosleep.errors import DataError
from neurosleep.functional import SlowOscillation, SpikeEvents
from neurosleep.replay import NREM, REM, Sleep
from neurosleep.spiking import Recording


def one(steps: int, seed: int, n: int = 5, dt: float = 0.001) -> Recording:
    spikes = torch.rand(steps, n, generator=torch.Generator().manual_seed(seed)) < 0.3
    events = SpikeEvents.from_dense(spikes)
    span = ns.spiking.SleepSpan("NREM", "up", 0, steps)
    return Recording(steps, dt, {"a": events.counts()}, spikes={"a": events}, hypnogram=(span,), engine="event")


def test_spikes_counts_and_spans_follow_one_another(tmp_path: Path) -> None:
    first, second = one(40, 0), one(25, 1)
    both = Recording.open(first.then(second).to_npz(tmp_path / "both.npz"))
    assert both.steps == 65 and both.engine == "event"
    dense = [recording.spikes["a"].to_dense() for recording in (first, second, both)]
    assert torch.equal(torch.cat(dense[:2]), dense[2])
    assert np.array_equal(both.counts["a"], dense[2].sum(0).long().numpy())
    assert [(span.start, span.length) for span in both.hypnogram] == [(0, 40), (40, 25)]


@pytest.mark.parametrize("other", [one(9, 0, n=6), one(9, 0, dt=0.002)])
def test_others_do_not_follow(other: Recording) -> None:
    with pytest.raises(DataError, match="do not follow one another"):
        one(9, 0).then(other)


def test_stages_of_one_sleep_follow_one_another() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 16, bias=False), nn.ReLU(), nn.Linear(16, 4, bias=False))
    stages = [NREM(form="spikes", oscillation=SlowOscillation(frames=20)), REM(steps=50)]
    record = ns.Record(spikes="all")
    done = ns.consolidate(
        model, torch.full((12,), 0.5), sleep=Sleep(stages=stages, thresholds=(0.5, 0.5)), guard=False, record=record
    )
    nrem, rem = (stage.recording for stage in done.stages)
    assert nrem is not None and rem is not None
    whole = nrem.then(rem)
    assert whole.hypnogram == done.hypnogram and whole.steps == 20 * 100 * 2 + 50
    assert whole.hypnogram[-1].stage == "REM" and whole.hypnogram[-1].start == 4000
