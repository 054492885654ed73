"""A sleep phase: the sleeper is untouched, a shorter sleep starts a longer one, and a diverged one says where."""

from __future__ import annotations

import dataclasses
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from neurosleep.errors import NeurosleepError, NeurosleepWarning, SettingsError, UnknownNameError, UnsupportedError
from neurosleep.functional import MeanDrive, PooledSRC, SpikeEvents, SRCRule
from neurosleep.replay import Limits, SleepResult, sleep, thresholds_for_rates
from neurosleep.spiking import Conv, Dense, Population, Record, SpikingNetwork, Transposed

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
            Dense("input", "hidden1", torch.rand(8, 12, generator=generator) - 0.4, scale=1.0),
            Dense("hidden1", "output", torch.rand(4, 8, generator=generator) - 0.4, scale=1.0),
        ),
    )


def drive(n: int = 12) -> MeanDrive:
    return MeanDrive(np.linspace(0.1, 1.0, n), 50.0)


def sleep_phase(steps: int, **changes: object) -> SleepResult:
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


def test_a_shorter_sleep_is_the_beginning_of_a_longer_one() -> None:
    # 1300 and 2100 end within the second and the third chunk.
    short, long = sleep_phase(1300), sleep_phase(2100)
    for name, events in short.recording.spikes.items():
        start = long.recording.spikes[name].slice(0, 1300)
        assert np.array_equal(events.offsets, start.offsets)
        assert np.array_equal(events.indices, start.indices)
        assert len(events.indices) > 0


def test_seed_and_task_are_the_key_of_the_noise() -> None:
    def drawn(**key: int) -> list[int]:
        return sleep_phase(200, **key).recording.counts["input"].tolist()  # type: ignore[no-any-return]

    assert drawn(seed=1, task=2) == drawn(seed=1, task=2)
    assert len({tuple(drawn(seed=s, task=t)) for s in (0, 1) for t in (0, 1)}) == 4


def test_progress_is_told_after_every_thousand_steps() -> None:
    told: list[int] = []
    sleep_phase(2100, progress=told.append)
    assert told == [1000, 2000, 2100]


@pytest.mark.parametrize("steps", [0, -1, True, 1.5])
def test_a_sleep_without_steps_is_refused(steps: int) -> None:
    with pytest.raises(SettingsError, match="sleep steps"):
        sleep_phase(steps)


def test_a_drive_of_another_size_and_an_unknown_engine_are_refused() -> None:
    with pytest.raises(SettingsError, match="11 inputs"):
        sleep_phase(10, drive=drive(11))
    with pytest.raises(UnknownNameError, match="evnt"):
        sleep_phase(10, engine="evnt")


@pytest.mark.parametrize("inc", [1e7, 3e38])
def test_a_diverged_sleep_says_where_and_wakes_with_the_old_weights(inc: float) -> None:
    found = sleep_phase(1500, rule=SRCRule(inc=inc, dec=0.0, factor="constant"))
    assert found.status == "diverged"
    assert found.divergence is not None
    assert found.divergence.step == 1000
    assert found.divergence.projection == "input -> hidden1"
    assert found.recording.steps == 1000
    assert all(torch.equal(one, other) for one, other in zip(found.network.weights, network().weights, strict=True))


def with_feedback(*, symmetric: bool) -> SpikingNetwork:
    given = network()
    back = Transposed("output", "hidden1", of=("hidden1", "output"), scale=0.5, delay=1, symmetric_rule=symmetric)
    return SpikingNetwork(given.populations, (*given.projections, back)).to(torch.float64)


@pytest.mark.parametrize("symmetric", [False, True])
def test_a_sleep_with_feedback_is_the_same_in_both_engines(symmetric: bool) -> None:
    given = {"drive": drive(), "rule": SRCRule(0.01, 0.001), "steps": 1200, "record": Record(spikes="all")}
    event, reference = (
        sleep(with_feedback(symmetric=symmetric), engine=name, **given)  # type: ignore[arg-type]
        for name in ("event", "reference")
    )
    for name, spikes in reference.recording.spikes.items():
        assert event.recording.spikes[name].equals(spikes)
        assert spikes.count > 0
    for one, other in zip(event.network.weights, reference.network.weights, strict=True):
        assert torch.allclose(one, other, rtol=1e-6, atol=1e-12)
    assert [getattr(q, "of", None) for q in event.network.projections] == [None, None, ("hidden1", "output")]


@pytest.mark.parametrize("engine", ["event", "reference"])
def test_a_shared_weight_that_diverges_through_feedback_is_named(engine: str) -> None:
    # Only the symmetric rule can change it: the output, held by its threshold, never fires.
    given = with_feedback(symmetric=True).with_thresholds({"output": 1e30})
    rule = SRCRule(inc=0.0, dec=1e4, factor="constant")
    frozen = Dense("input", "hidden1", given.weights[0], plastic=False)
    given = SpikingNetwork(given.populations, (frozen, *given.projections[1:]))
    found = sleep(given, drive=drive(), rule=rule, steps=2000, engine=engine, limits=Limits(1e5))
    assert found.divergence is not None
    assert (found.divergence.step, found.divergence.projection) == (1000, "hidden1 -> output")


@pytest.mark.parametrize("engine", ["event", "reference"])
def test_weights_beyond_the_bound_from_the_start_are_found(engine: str) -> None:
    given = network()
    given = given.with_weights([given.weights[0], given.weights[1] - 3e6]).with_thresholds({"output": 1e30})
    found = sleep(given, drive=drive(), rule=RULE, steps=10, engine=engine)
    assert found.divergence is not None
    assert (found.divergence.step, found.divergence.projection) == (10, "hidden1 -> output")


def with_convolution(*, plastic: bool, shared: bool = False) -> SpikingNetwork:
    populations = (
        Population("input", "input", (1, 3, 4)),
        Population("conv", "lif", (2, 2, 3), threshold=0.5, decay=0.999),
        Population("output", "lif", (4,), threshold=0.5, decay=0.999),
    )
    generator = torch.Generator().manual_seed(0)
    kernel, weight = torch.rand(2, 1, 2, 2, generator=generator), torch.rand(4, 12, generator=generator)
    return SpikingNetwork(
        populations, (Conv("input", "conv", kernel, plastic=shared), Dense("conv", "output", weight, plastic=plastic))
    )


def test_convolutions_stay_in_sleep_and_a_warning_names_them() -> None:
    given = with_convolution(plastic=True)
    with pytest.warns(NeurosleepWarning, match="convolutions input -> conv stay as they are"):
        slept = sleep(given, drive=drive(), rule=RULE, steps=500, engine="reference")
    assert slept.recording.counts["conv"].sum() > 0
    assert torch.equal(slept.network.weights[0], given.weights[0])
    assert not torch.equal(slept.network.weights[1], given.weights[1])


@pytest.mark.parametrize("plastic", [True, False])
def test_a_rule_that_pools_changes_convolutions_in_sleep(plastic: bool) -> None:
    given, rule = with_convolution(plastic=plastic, shared=True), PooledSRC(1e-3, 1e-4, "constant")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        slept, other = (
            sleep(given, drive=drive(), rule=rule, steps=1500, engine=engine) for engine in ("event", "reference")
        )
    for k, changed in enumerate((True, plastic)):
        assert torch.equal(slept.network.weights[k], given.weights[k]) is not changed
        assert torch.allclose(slept.network.weights[k], other.network.weights[k], rtol=1e-4)
    assert all(slept.recording.counts["conv"] == other.recording.counts["conv"])


def test_a_network_in_which_only_a_convolution_could_change_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"no weight of this network(.|\n)*input -> conv"):
        sleep(with_convolution(plastic=False), drive=drive(), rule=RULE, steps=500, engine="reference")


class OwnDrive:
    """A drive of a user's, which draws whatever it is told."""

    def __init__(self, draws: object, n: int = 12) -> None:
        self.draws, self.n = draws, n

    def draw(self, generator: np.random.Generator, steps: int, dt: float) -> object:
        assert dt == 0.001
        return self.draws(generator, steps) if callable(self.draws) else self.draws


def rhythm(generator: np.random.Generator, steps: int) -> SpikeEvents:
    return SpikeEvents.from_times(np.arange(steps), np.arange(steps) % 12, steps=steps, n=12)


def test_a_drive_of_ones_own_that_draws_what_it_should_drives() -> None:
    slept = sleep_phase(1500, drive=OwnDrive(rhythm))
    # A chunk of 1000 steps, and half of the next.
    expected = np.bincount(np.arange(1000) % 12) + np.bincount(np.arange(500) % 12)
    assert slept.recording.counts["input"].tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("draws", "message"),
    [
        (SpikeEvents.empty(13, 1000), r"another size(.|\n)*1000 steps of 13 inputs(.|\n)*of 12"),
        (SpikeEvents.empty(12, 999), r"another size(.|\n)*999 steps"),
        (np.zeros((1000, 12), dtype=bool), "drew an object of type ndarray"),
        (None, "drew an object of type NoneType"),
        (
            lambda generator, steps: SpikeEvents(12, np.arange(steps + 1), np.full(steps, 10**7, dtype=np.int32)),
            "name a neuron 10000000, of 12",
        ),
    ],
)
def test_what_a_drive_draws_is_looked_at(draws: object, message: str) -> None:
    with pytest.raises(NeurosleepError, match=message):
        sleep_phase(300, drive=OwnDrive(draws))
    with pytest.raises(NeurosleepError):
        thresholds_for_rates(network(), OwnDrive(draws), [0.01, 0.01])  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [None, 3, "noise", np.ones(12), SimpleNamespace(n=12, draw=rhythm)])
def test_what_is_no_drive_is_refused(given: object) -> None:
    with pytest.raises(SettingsError, match="The drive is"):
        sleep_phase(300, drive=given)


def test_a_drive_has_the_step_length_of_the_network() -> None:
    """Its rates are in Hz: in steps of half the length an input fires half as often per step."""
    quick = dataclasses.replace(network(), dt=0.0005)
    given = MeanDrive(np.ones(12), 50.0)
    whole, half = (sleep(n, drive=given, rule=RULE, steps=20_000) for n in (network(), quick))
    assert half.recording.dt == 0.0005
    for slept in (whole, half):
        np.testing.assert_allclose(slept.recording.rate("input").mean(), 100, rtol=0.05)
    twice = MeanDrive(np.ones(12), 100.0)
    again = sleep(quick, drive=twice, rule=RULE, steps=20_000)
    assert np.array_equal(again.recording.counts["input"], whole.recording.counts["input"]), "the same spikes a step"
