"""A night: the sleeper is untouched, a shorter night begins a longer one, and a diverged one says where."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurosleep.errors import SettingsError, UnknownNameError
from neurosleep.functional import MeanDrive, SRCRule
from neurosleep.replay import Night, sleep
from neurosleep.spiking import Population, Projection, Record, SpikingNetwork

RULE = SRCRule(inc=0.01, dec=0.001, factor="constant")


def network() -> SpikingNetwork:
    generator = torch.Generator().manual_seed(0)
    return SpikingNetwork(
        (
            Population("input", "input", (12,)),
            Population("hidden1", "lif", (8,), threshold=1.0, decay=0.999),
            Population("output", "lif", (4,), threshold=1.0, decay=0.999),
        ),
        (
            Projection("input", "hidden1", weight=torch.rand(8, 12, generator=generator) - 0.4, scale=1.0),
            Projection("hidden1", "output", weight=torch.rand(4, 8, generator=generator) - 0.4, scale=1.0),
        ),
    )


def drive(n: int = 12) -> MeanDrive:
    return MeanDrive(np.linspace(0.1, 1.0, n), 50.0)


def night(steps: int, **changes: object) -> Night:
    given: dict[str, object] = {"drive": drive(), "rule": RULE, "steps": steps, "record": Record(spikes="all")}
    return sleep(network(), **(given | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ["event", "reference"])
def test_the_given_network_is_untouched(engine: str) -> None:
    given = network()
    before = [weight.clone() for weight in given.weights]
    slept = sleep(given, drive=drive(), rule=RULE, steps=300, engine=engine)
    assert slept.status == "done"
    assert slept.divergence is None
    assert all(torch.equal(one, other) for one, other in zip(given.weights, before, strict=True))
    assert not torch.equal(slept.network.weights[0], before[0])
    assert slept.recording.steps == 300
    assert slept.recording.counts["hidden1"].sum() > 0


def test_a_shorter_night_is_the_beginning_of_a_longer_one() -> None:
    # 1300 and 2100 end within the second and the third chunk.
    short, long = night(1300), night(2100)
    for name, events in short.recording.spikes.items():
        beginning = long.recording.spikes[name].slice(0, 1300)
        assert np.array_equal(events.offsets, beginning.offsets)
        assert np.array_equal(events.indices, beginning.indices)
        assert len(events.indices) > 0


def test_seed_and_task_are_the_key_of_the_noise() -> None:
    def drawn(**key: int) -> list[int]:
        return night(200, **key).recording.counts["input"].tolist()  # type: ignore[no-any-return]

    assert drawn(seed=1, task=2) == drawn(seed=1, task=2)
    assert len({tuple(drawn(seed=s, task=t)) for s in (0, 1) for t in (0, 1)}) == 4


def test_progress_is_told_after_every_thousand_steps() -> None:
    told: list[int] = []
    night(2100, progress=told.append)
    assert told == [1000, 2000, 2100]


@pytest.mark.parametrize("steps", [0, -1, True, 1.5])
def test_a_night_without_steps_is_refused(steps: int) -> None:
    with pytest.raises(SettingsError, match="sleep steps"):
        night(steps)


def test_a_drive_of_another_size_and_an_unknown_engine_are_refused() -> None:
    with pytest.raises(SettingsError, match="11 inputs"):
        night(10, drive=drive(11))
    with pytest.raises(UnknownNameError, match="evnt"):
        night(10, engine="evnt")


@pytest.mark.parametrize("inc", [1e7, 3e38])
def test_a_diverged_night_says_where_and_wakes_with_the_old_weights(inc: float) -> None:
    found = night(1500, rule=SRCRule(inc=inc, dec=0.0, factor="constant"))
    assert found.status == "diverged"
    assert found.divergence is not None
    assert found.divergence.step == 1000
    assert found.divergence.projection == "input -> hidden1"
    assert found.recording.steps == 1000
    assert all(torch.equal(one, other) for one, other in zip(found.network.weights, network().weights, strict=True))
