"""Energies and times: what is counted of any projection, what is made of it, and what is not estimated."""

from __future__ import annotations

import dataclasses
import json
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import neurosleep as ns
from neurosleep.cli.app import app
from neurosleep.errors import SettingsError, UnknownNameError, UnsupportedError
from neurosleep.functional import (
    MultiplicativeSTDP,
    PairSTDP,
    PlasticityRule,
    SignSTDP,
    SpikeEvents,
    SRCRule,
    TripletSTDP,
)
from neurosleep.hardware import (
    Activity,
    HardwareProfile,
    chip_time,
    count_activity,
    energy_of,
    energy_text,
    estimate_energy,
    profile_names,
)
from neurosleep.hardware.energy.synapses import Synapses
from neurosleep.spiking import (
    Conv,
    Dense,
    Identity,
    Pool,
    Population,
    Record,
    Recording,
    Reshape,
    SpikingNetwork,
    Transposed,
)

STATEMENT = "estimate from a profile, not a chip"


def weight(*shape: int, seed: int = 0, zeros: float = 0.3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    found = torch.randn(shape, generator=generator, dtype=torch.float64)
    return found.where(torch.rand(shape, generator=generator) >= zeros, 0.0)


def every_kind(dtype: torch.dtype = torch.float64) -> SpikingNetwork:
    """All kinds of projections, one weight used twice, and delays."""
    neurons: dict[str, Any] = {"decay": 0.9, "threshold": 0.7}
    return SpikingNetwork(
        (
            Population("input", "input", (2, 7, 6)),
            Population("maps", "lif", (4, 3, 3), **neurons),
            Population("pooled", "lif", (4, 2, 2), **neurons),
            Population("flat", "cuba_lif", (16,), synaptic_decay=0.5, **neurons),
            Population("twin", "lif", (16,), **neurons),
            Population("output", "li", (5,), decay=0.9),
        ),
        (
            Conv("input", "maps", weight(4, 1, 3, 3), stride=2, padding=1, dilation=(2, 1), groups=2),
            Pool("maps", "pooled", kernel=2, stride=1),
            Reshape("pooled", "flat"),
            Identity("flat", "twin", delay=2),
            Dense("twin", "output", weight(5, 16, seed=1)),
            Dense("flat", "flat", weight(16, 16, seed=2), delay=1),
            Dense("twin", "flat", weight(16, 16, seed=3), delay=3),
            Transposed("flat", "twin", of=("twin", "flat"), scale=0.5, delay=1),
            Dense("pooled", "output", weight(5, 16, seed=4), scale=0.0),
        ),
    ).to(dtype)


def joined(network: SpikingNetwork, number: int, zeros: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """The synapses of a projection ``[post, pre]``, neuron by neuron, from indices alone."""
    q = network.projections[number]
    source, target = network.population(q.source), network.population(q.target)
    found = np.zeros((target.size, source.size), dtype=bool)
    if zeros == "skip" and q.scale == 0:
        return found
    if isinstance(q, Dense | Transposed):
        shared = network.projections[network.owner(number)]
        assert isinstance(shared, Dense)
        w = shared.weight.numpy().T if isinstance(q, Transposed) else shared.weight.numpy()
        return np.ones_like(w, dtype=bool) if zeros == "count" else w != 0
    if isinstance(q, Reshape | Identity):
        return np.eye(source.size, dtype=bool)
    assert isinstance(q, Conv | Pool)
    own, stride, padding = q.weight if isinstance(q, Conv) else None, q.stride, q.padding
    dilation, groups = (q.dilation, q.groups) if isinstance(q, Conv) else ((1, 1), source.shape[0])
    per_in, per_out = source.shape[0] // groups, target.shape[0] // groups
    for out, y, x in np.ndindex(*target.shape):
        for c, i, j in np.ndindex(per_in, *q.kernel):
            row, column = y * stride[0] + i * dilation[0] - padding[0], x * stride[1] + j * dilation[1] - padding[1]
            there = own is None or zeros == "count" or own[out, c, i, j] != 0
            if there and 0 <= row < source.shape[1] and 0 <= column < source.shape[2]:
                channel = (out // per_out) * per_in + c
                found[
                    np.ravel_multi_index((out, y, x), target.shape),
                    np.ravel_multi_index((channel, row, column), source.shape),
                ] = True
    return found


@pytest.mark.parametrize("zeros", ["skip", "count"])
@pytest.mark.parametrize("number", range(9))
def test_synapses_of_every_kind(number: int, zeros: Any) -> None:
    network = every_kind()
    expected = joined(network, number, zeros)
    found = Synapses(network, number, zeros)
    assert np.array_equal(found.fan_out.numpy(), expected.sum(0))
    assert np.array_equal(found.arriving(torch.eye(expected.shape[1], dtype=torch.float64)).numpy().T > 0.5, expected)
    assert (expected.sum() > 0) != (number == 8 and zeros == "skip")


def spikes(network: SpikingNetwork, steps: int, seed: int, p: float = 0.3) -> SpikeEvents:
    drawn = torch.rand(steps, network.inputs[0].size, generator=torch.Generator().manual_seed(seed)) < p
    return SpikeEvents.from_dense(drawn)


def by_hand(network: SpikingNetwork, recording: Recording, zeros: str) -> tuple[int, int]:
    """Synaptic events, and updates with input, spike by spike."""
    events, received = 0, set()
    for k, q in enumerate(network.projections):
        synapses = joined(network, k, zeros)
        train = recording.spikes[q.source]
        for t, i in zip(train.times, train.indices, strict=True):
            targets = np.nonzero(synapses[:, i])[0]
            events += len(targets)
            if t + q.delay < recording.steps:
                received |= {(q.target, int(j), int(t) + q.delay) for j in targets}
    return events, len(received)


@pytest.mark.parametrize("zeros", ["skip", "count"])
def test_activity_is_what_counting_spike_by_spike_finds(zeros: Any) -> None:
    network = every_kind()
    recording = ns.simulate(network, spikes(network, 40, 0), engine="reference", record=Record(spikes="all"))
    found = count_activity(network, recording, zeros=zeros)
    events, received = by_hand(network, recording, zeros)
    neurons = sum(p.size for p in network.layers)
    assert (found.synaptic_events, found.active_updates) == (events, received)
    assert found.inactive_updates == 40 * neurons - received > 0
    assert found.spikes == sum(recording.counts[p.name].sum() for p in network.layers) > 0
    assert found.input_spikes == recording.counts["input"].sum()
    assert (found.steps, found.samples, found.seconds, found.split) == (40, 1, 0.04, "recorded")


def test_without_the_spikes_only_the_kinds_of_updates_are_estimated() -> None:
    network = every_kind()
    given_spikes = spikes(network, 800, 1, p=0.02)
    exact = count_activity(network, ns.simulate(network, given_spikes, engine="reference", record=Record(spikes="all")))
    counted = count_activity(network, ns.simulate(network, given_spikes, engine="reference"))
    assert counted.split == "estimated"
    for key in ("synaptic_events", "spikes", "input_spikes", "steps"):
        assert getattr(counted, key) == getattr(exact, key)
    total = exact.active_updates + exact.inactive_updates
    assert counted.active_updates + counted.inactive_updates == pytest.approx(total)
    assert 0.1 < exact.active_updates / total < 0.9
    assert counted.active_updates == pytest.approx(exact.active_updates, rel=0.1)


def feedforward() -> SpikingNetwork:
    return SpikingNetwork(
        (
            Population("input", "input", (12,)),
            Population("hidden", "lif", (8,), decay=0.9),
            Population("output", "lif", (4,), decay=0.9),
        ),
        (
            Dense("input", "hidden", weight(8, 12)),
            Dense("hidden", "output", weight(4, 8, seed=1)),
        ),
    )


def test_a_batch_is_the_sum_of_its_samples() -> None:
    network = every_kind()
    images = torch.rand(3, 2, 7, 6, generator=torch.Generator().manual_seed(2))
    batch = ns.simulate(network, images, 20, coding="bernoulli", engine="reference")
    singles = [
        count_activity(
            network, dataclasses.replace(batch, counts={name: c[b] for name, c in batch.counts.items()}, potentials={})
        )
        for b in range(3)
    ]
    whole = count_activity(network, batch)
    assert (whole.samples, whole.steps) == (3, 60)
    for key, value in reduce(add, singles).to_json().items():
        expected = value if isinstance(value, str | None) else pytest.approx(value)
        assert getattr(whole, key) == expected


def test_graded_inputs_are_an_event_in_each_step() -> None:
    network = feedforward()
    images = torch.tensor([[0.5] * 3 + [0.0] * 9, [1.0] * 12])
    found = count_activity(network, ns.simulate(network, images.double(), 10))
    there = joined(network, 0, "skip").sum(0)
    fired = ns.simulate(network, images.double(), 10).counts["hidden"].sum(0)
    onto = 10 * (there[:3].sum() + there.sum())
    assert found.synaptic_events == onto + float(fired @ joined(network, 1, "skip").sum(0))
    assert found.input_spikes == 10 * 15
    spiking = ns.simulate(network, torch.ones(2, 12, dtype=torch.float64), 10, coding="bernoulli")
    assert count_activity(network, spiking).input_spikes == spiking.counts["input"].sum() == 240


def pooling(kind: Any = "relay") -> SpikingNetwork:
    """A convolution, a pool onto relays (or neurons), another convolution and a dense layer."""
    neurons: dict[str, Any] = {"decay": 0.9, "threshold": 0.7}
    return SpikingNetwork(
        (
            Population("input", "input", (1, 6, 6)),
            Population("maps", "lif", (2, 6, 6), **neurons),
            Population("pooled", kind, (2, 3, 3)),
            Population("more", "lif", (3, 3, 3), **neurons),
            Population("flat", kind, (27,)),
            Population("output", "lif", (4,), **neurons),
        ),
        (
            Conv("input", "maps", weight(2, 1, 3, 3, zeros=0), padding=1),
            Pool("maps", "pooled", kernel=2, mode="sum"),
            Conv("pooled", "more", weight(3, 2, 3, 3, zeros=0), padding=1),
            Reshape("more", "flat"),
            Dense("flat", "output", weight(4, 27, zeros=0)),
        ),
    )


def test_relays_pass_spikes_on_and_cost_nothing() -> None:
    network = pooling()
    recording = ns.simulate(network, spikes(network, 60, 0), engine="reference", record=Record(spikes="all"))
    found = count_activity(network, recording)
    counts = recording.counts
    through_pool = joined(network, 2, "skip").sum(0)[
        np.arange(18).reshape(2, 3, 3).repeat(2, axis=1).repeat(2, axis=2).reshape(-1)
    ]
    expected = (
        counts["input"] @ joined(network, 0, "skip").sum(0) + counts["maps"] @ through_pool + 4 * counts["more"].sum()
    )
    assert counts["more"].sum() > 0 and found.synaptic_events == expected
    assert found.active_updates + found.inactive_updates == 60 * (72 + 27 + 4)
    assert found.spikes == sum(counts[name].sum() for name in ("maps", "more", "output"))
    # The mapping folds relays into the weights after them: the same spikes reach as many neurons.
    mapped = ns.map_to(network, "generic_int8")
    assert "pooled" not in {p.name for p in mapped.populations}
    whole, folded = (
        count_activity(n, dataclasses.replace(recording, spikes={}), zeros="count") for n in (network, mapped)
    )
    assert folded.synaptic_events == whole.synaptic_events == expected
    assert (folded.split, folded.active_updates) == ("estimated", pytest.approx(whole.active_updates))
    batch = count_activity(network, ns.simulate(network, torch.rand(2, 36).double(), 30, coding="poisson"))
    assert batch.synaptic_events > 0 and batch.samples == 2


def test_updates_behind_relays_are_estimated_of_what_passes_them() -> None:
    inputs, _, pooled, more, *_ = pooling().populations
    network = SpikingNetwork(
        (inputs, dataclasses.replace(pooled, shape=(1, 3, 3)), more),
        (
            Pool("input", "pooled", kernel=2, mode="sum"),
            Conv("pooled", "more", weight(3, 1, 3, 3), padding=1),
        ),
    )
    inputs_given = spikes(network, 3000, 1, p=0.03)
    recording = ns.simulate(network, inputs_given, engine="reference", record=Record(spikes="all"))
    exact, counted = (count_activity(network, r) for r in (recording, dataclasses.replace(recording, spikes={})))
    assert (exact.split, counted.split) == ("recorded", "estimated")
    assert counted.active_updates == pytest.approx(exact.active_updates, rel=0.03)
    assert 0.1 < exact.active_updates / (3000 * 27) < 0.9
    rates = chip_time(network, recording, limited("spinnaker1", synaptic_events_per_s_per_core=1), {"more": 2})
    (load,) = [load for load in rates.loads if "packing" in load.key]
    assert load.needed == pytest.approx(exact.synaptic_events / 3000 * 1000 / 2)


def test_a_loop_of_relays_is_refused() -> None:
    network = SpikingNetwork(
        (Population("input", "input", (3,)), Population("a", "relay", (3,)), Population("b", "relay", (3,))),
        (
            Identity("input", "a"),
            Identity("a", "b"),
            Identity("b", "a", scale=0.5, delay=1),
        ),
    )
    recording = Recording(5, 0.001, {name: np.ones(3, dtype=np.int64) for name in ("input", "a", "b")})
    with pytest.raises(UnsupportedError, match=r"go round through the relays"):
        count_activity(network, recording)


def test_a_recording_of_another_network_is_refused() -> None:
    recording = ns.simulate(feedforward(), spikes(feedforward(), 5, 0), engine="reference")
    with pytest.raises(SettingsError, match="no counts of 84 neurons 'input'"):
        count_activity(every_kind(), recording)
    with pytest.raises(UnknownNameError):
        count_activity(feedforward(), recording, zeros="both")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="no counts of 84 neurons 'input'"):
        energy_of(every_kind(), recording, "odin")


def test_cores_are_those_of_a_mapping_to_the_same_profile() -> None:
    mapped = ns.map_to(feedforward(), "loihi1")
    recording = ns.simulate(mapped, spikes(mapped, 5, 0), engine="fixed")
    assert energy_of(mapped, recording, "loihi1").activity.core_seconds is not None
    assert energy_of(mapped, recording, "odin").activity.core_seconds is None
    by_hand = dataclasses.replace(
        mapped, report=ns.hardware.MappedNetwork(mapped.populations, mapped.projections).report
    )
    assert energy_of(by_hand, recording, "loihi1").activity.core_seconds is None
    assert not by_hand.report.fits and "not known" in str(by_hand.report.findings[0])


# Of rules of spike timing: what a spike of the unit changes by, and what one of the input does.
AMPLITUDES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "stdp": (("a_plus",), ("a_minus",)),
    "stdp-multiplicative": (("a_plus",), ("a_minus",)),
    "stdp-triplet": (("a2_plus", "a3_plus"), ("a2_minus", "a3_minus")),
    "stdp-sign": (("a",), ()),
}


class _Counting:
    """A rule that changes nothing and counts what the wrapped one would change."""

    def __init__(self, rule: PlasticityRule) -> None:
        self.rule, self.name, self.changed = rule, rule.name, 0

    def step(self, pre: np.ndarray[Any, Any], post: np.ndarray[Any, Any]) -> None:
        if not isinstance(self.rule, SRCRule):
            by_post, by_pre = AMPLITUDES[self.rule.name]
            self.changed += len(pre) * int(post.sum()) * any(getattr(self.rule, name) > 0 for name in by_post)
            self.changed += len(post) * int(pre.sum()) * any(getattr(self.rule, name) > 0 for name in by_pre)
        else:
            for _ in np.nonzero(post)[0]:
                self.changed += int(pre.sum()) * (self.rule.inc > 0) + int((~pre).sum()) * (self.rule.dec > 0)


@pytest.mark.parametrize(
    "rule",
    [
        *(SRCRule(0.1, 0.01), SRCRule(0.1, 0.0), SRCRule(0.0, 0.1), SRCRule(0.0, 0.0)),
        *(PairSTDP(0.1, 0.1), PairSTDP(0.1, 0), MultiplicativeSTDP(0.1, 0.1), MultiplicativeSTDP(0.0, 0.1)),
        *(TripletSTDP(0.0, 0.1, 0.1, 0.0), TripletSTDP(0.1, 0.0, 0.0, 0.0), SignSTDP(0.1)),
    ],
)
def test_changes_of_synapses_in_a_sleep(rule: PlasticityRule) -> None:
    network = feedforward()
    drive = ns.MeanDrive(np.full(12, 0.5), 400.0)
    record = Record(spikes="all")
    result = ns.sleep(network, drive=drive, rule=rule, steps=200, record=record, engine="reference")
    counting, trains = _Counting(rule), result.recording.spikes
    for q in network.projections:
        pre, post = (trains[name].to_dense().numpy() > 0 for name in (q.source, q.target))
        for t in range(200):
            counting.step(pre[t], post[t])
    found = count_activity(result.network, result.recording, rule=rule)
    assert found.learning_updates == counting.changed
    assert (counting.changed > 0) != (rule == SRCRule(0.0, 0.0))
    assert count_activity(result.network, result.recording).learning_updates == 0
    counts_only = dataclasses.replace(result.recording, spikes={})
    if isinstance(rule, SRCRule) and (rule.inc > 0) != (rule.dec > 0):
        with pytest.raises(UnsupportedError, match=r'spikes="all"'):
            count_activity(network, counts_only, rule=rule)
    else:
        assert count_activity(network, counts_only, rule=rule).learning_updates == counting.changed
    estimate = energy_of(result.network, result.recording, "loihi1", rule=rule)
    assert estimate.terms["learning"] == pytest.approx(120e-12 * counting.changed)
    assert energy_of(result.network, result.recording, "odin", rule=rule).terms["learning"] is None


class _Own:
    """A rule that follows the protocol, of a user's own."""

    name = "own"

    def initial_traces(self, weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return ()

    def step_(self, weight: torch.Tensor, pre: Any, post: Any, traces: Any) -> tuple[torch.Tensor, ...]:
        weight[post] += 0.1
        return ()


def test_changes_that_are_not_counted() -> None:
    # Of a convolution no rule changes the weight.
    network = every_kind()
    recording = ns.simulate(network, spikes(network, 5, 0), engine="reference", record=ns.Record(spikes="all"))
    matrices = [q for q in network.projections if q.plastic]
    assert {type(q) for q in matrices} == {Dense} and any(isinstance(q, Conv) for q in network.projections)
    changed = sum(recording.spikes[q.target].count * network.population(q.source).size for q in matrices)
    assert count_activity(network, recording, rule=SRCRule(0.1, 0.1)).learning_updates == changed > 0

    recording = ns.simulate(feedforward(), spikes(feedforward(), 5, 0), engine="reference")
    with pytest.raises(UnsupportedError, match="'own'"):
        count_activity(feedforward(), recording, rule=_Own())


# --- energies ---------------------------------------------------------------------------------------------------------

numbers = st.floats(0, 1e9)
activities = st.builds(
    Activity,
    synaptic_events=numbers,
    active_updates=numbers,
    inactive_updates=numbers,
    seconds=numbers,
    spikes=numbers,
    input_spikes=numbers,
    learning_updates=numbers,
    steps=numbers,
    samples=st.integers(1, 5),
    core_seconds=st.none() | numbers,
    chip_seconds=st.none() | numbers,
    messages=st.none() | numbers,
)
profiles = st.sampled_from(profile_names()).map(ns.load_profile)


def all_joules(profile: HardwareProfile, activity: Activity) -> dict[str, float | None]:
    estimate = estimate_energy(profile, activity)
    return {**{c.name: c.joules for c in estimate.conventions}, **{f"term {k}": v for k, v in estimate.terms.items()}}


@given(profiles, activities, activities)
def test_energies_add_up_over_recordings(profile: HardwareProfile, a: Activity, b: Activity) -> None:
    one, two, both = (all_joules(profile, x) for x in (a, b, a + b))
    for name, joules in both.items():
        first, second = one[name], two[name]
        if joules is None:
            assert first is None or second is None
        else:
            assert first is not None and second is not None
            assert joules == pytest.approx(first + second, rel=1e-9, abs=1e-12)


@given(profiles, activities, st.floats(1e-3, 1e3))
def test_energies_are_linear_in_coefficients(profile: HardwareProfile, activity: Activity, factor: float) -> None:
    figures = {f.key.removeprefix("energy."): f.value for f in estimate_energy(profile, activity).sources}
    scaled = {key: value * factor for key, value in figures.items() if key != "hops_per_synop"}
    inner = {key.removeprefix("fitted."): scaled.pop(key) for key in list(scaled) if key.startswith("fitted.")}
    fitted = dataclasses.replace(profile.energy.fitted, **inner)
    other = dataclasses.replace(profile, energy=dataclasses.replace(profile.energy, fitted=fitted, **scaled))
    before, after = all_joules(profile, activity), all_joules(other, activity)
    for name, joules in before.items():
        assert after[name] == (None if joules is None else pytest.approx(factor * joules, rel=1e-9))


@given(profiles, activities)
def test_the_interval_holds_every_convention(profile: HardwareProfile, activity: Activity) -> None:
    estimate = estimate_energy(profile, activity)
    found = [c.joules for c in estimate.conventions if c.joules is not None]
    assert all((c.joules is None) == (c.reason is not None) for c in estimate.conventions)
    if not found:
        assert estimate.interval is None and estimate.reason
        return
    low, high = estimate.interval or (np.nan, np.nan)
    assert low == min(found) and high == max(found)
    assert estimate.reason is None


@given(profiles, activities)
def test_every_output_says_what_it_is(profile: HardwareProfile, activity: Activity) -> None:
    estimate = estimate_energy(profile, activity)
    found = json.loads(json.dumps(estimate.to_json(), allow_nan=False))
    assert STATEMENT in str(estimate) and found["statement"] == STATEMENT
    assert str(estimate) == energy_text(profile.id, found)
    assert (found["estimate"] is None) == ("not estimated (" in str(estimate))
    assert all(figure["citation"] and figure["grade"] for figure in found["coefficients"])
    if profile.energy.basis is not None:
        assert profile.energy.basis in str(estimate)
    if profile.energy.note is not None:
        assert profile.energy.note in str(estimate)


def test_reasons_name_the_missing_coefficient() -> None:
    activity = Activity(1e6, 1e4, 1e4, 1.0)
    reasons = {c.name: c.reason for c in estimate_energy(ns.load_profile("loihi1"), activity).conventions}
    assert reasons["with_static"] == "energy.static_mw is not public"
    assert reasons["operating_point"] == "energy.operating_point_pj is not stated"
    reasons = {c.name: c.reason for c in estimate_energy(ns.load_profile("spinnaker1"), activity).conventions}
    assert reasons["core_activity"] == "the number of cores is not known"
    assert reasons["active_and_inactive"] == "energy.update_inactive_pj is not stated"
    text = str(estimate_energy(ns.load_profile("loihi1"), activity))
    assert "Recalled, not verified: energy.update_inactive_pj." in text
    assert "with those of weight 0" not in text and "without those of weight 0" in text


def test_energy_of_spinnaker_by_its_tools() -> None:
    """350 mW a chip, 34 mW a core in use, 1 nJ a packet; by keras-spiking 13.3 nJ an event and 26 nJ an update."""
    activity = Activity(1e6, 5e4, 5e4, 2.0, spikes=3e5, input_spikes=1e5, core_seconds=2.0 * 20, chip_seconds=2.0 * 2)
    found = estimate_energy(ns.load_profile("spinnaker1"), activity)
    assert found.joules("core_activity") == pytest.approx(0.35 * 4 + 0.034 * 40 + 1e-9 * 4e5)
    assert found.joules("all_updates") == pytest.approx(13.3e-3 + 2.6e-3)
    assert found.joules("operating_point") == pytest.approx(5.9)
    assert found.joules("with_static") == pytest.approx(13.3e-3 + 1.4)
    second = estimate_energy(ns.load_profile("spinnaker2"), Activity(1e6, 1e5))
    assert second.joules("all_updates") == pytest.approx(450e-6 + 219e-6)


def test_energy_of_loihi_by_a_fitted_simulator() -> None:
    profile = ns.load_profile("loihi1")
    found = estimate_energy(profile, Activity(1e6, 2e4, 8e4, 1.0, spikes=5e3, messages=6e4))
    joules = 35.5e-6 + 51.2e-12 * 1e5 + 21.6e-12 * 2e4 + 69.3e-12 * 5e3 + 111e-12 * 6e4
    assert found.joules("fitted_simulator") == pytest.approx(joules)
    unknown = next(c for c in estimate_energy(profile, Activity(1e6)).conventions if c.name == "fitted_simulator")
    assert (unknown.joules, unknown.reason) == (None, "the number of cores is not known")
    assert "Basis fitted_simulator" in str(found) and "24.0 for convolutions" in str(found)


def test_a_quotient_before_and_after() -> None:
    profile = ns.load_profile("loihi1")
    before = estimate_energy(profile, Activity(1e6, 2e4, 8e4, samples=2))
    after = estimate_energy(profile, Activity(2e6, 2e4, 8e4, samples=1))
    found = after.over(before)
    assert found["synaptic"] == pytest.approx(4.0) and found["with_static"] is None
    assert found["all_updates"] == pytest.approx((54.2 + 8.1) / (35.2 / 2), rel=1e-3)
    assert before.over(estimate_energy(profile, Activity(0)))["synaptic"] is None


def test_adding_a_known_and_an_unknown_number_of_chips() -> None:
    assert (Activity(1, seconds=2.0) + Activity(1, seconds=3.0, chip_seconds=6.0)).chip_seconds == 8.0
    assert (Activity(1, core_seconds=2.0) + Activity(1)).core_seconds is None
    with pytest.raises(SettingsError, match="do not add up"):
        Activity(1) + Activity(1, zeros="count")


# --- time -------------------------------------------------------------------------------------------------------------


def limited(profile: str, **packing: Any) -> HardwareProfile:
    found: HardwareProfile = ns.load_profile(profile)
    capacity = dataclasses.replace(found.capacity, packing=dataclasses.replace(found.capacity.packing, **packing))
    return dataclasses.replace(found, capacity=capacity)


def test_a_missed_deadline_slows_the_chip_down_and_costs_static_energy() -> None:
    network = feedforward()
    inputs = SpikeEvents.from_dense(torch.ones(10, 12, dtype=torch.bool))
    recording = ns.simulate(network, inputs, engine="reference", record=Record(spikes="all"))
    events = int(joined(network, 0, "skip").sum())
    onto = {"hidden": 2, "output": 1}
    # 1000 steps a second on two cores, of which each gets half of the events.
    needed = events * 1000 / 2
    fast = chip_time(network, recording, limited("spinnaker1", synaptic_events_per_s_per_core=int(needed) + 1), onto)
    assert (fast.slowdown, fast.seconds_per_sample) == (1.0, 0.01)
    slow = chip_time(network, recording, limited("spinnaker1", synaptic_events_per_s_per_core=int(needed / 4)), onto)
    assert slow.slowdown == pytest.approx(needed / int(needed / 4))
    assert slow.seconds_per_sample == pytest.approx(0.01 * (slow.slowdown or 0))
    assert "miss their deadline" in " ".join(slow.caveats)
    (load,) = [load for load in slow.loads if "packing" in load.key]
    assert (load.layer, load.needed) == ("hidden", needed)
    unknown = chip_time(network, recording, ns.load_profile("spinnaker1"))
    assert (unknown.slowdown, unknown.loads) == (None, ())
    assert chip_time(network, recording, ns.load_profile("loihi1"), onto).slowdown is None


def test_the_busiest_step_counts_where_spikes_are_known() -> None:
    network = feedforward()
    once = torch.zeros(10, 12, dtype=torch.bool)
    once[4] = True
    recording = ns.simulate(network, SpikeEvents.from_dense(once), engine="reference", record=Record(spikes="all"))
    profile, onto = limited("spinnaker1", synaptic_events_per_s_per_core=1), {"hidden": 1}
    events = int(joined(network, 0, "skip").sum())
    assert chip_time(network, recording, profile, onto).slowdown == events * 1000
    counts = dataclasses.replace(recording, spikes={})
    assert chip_time(network, counts, profile, onto).slowdown == pytest.approx(events * 100)
    assert any("bursts are not seen" in caveat for caveat in chip_time(network, counts, profile, onto).caveats)


def test_time_without_a_step_of_the_chips_own() -> None:
    network = dataclasses.replace(feedforward(), dt=0.002)
    recording = ns.simulate(network, spikes(network, 50, 0), engine="reference", record=Record(spikes="all"))
    assert chip_time(network, recording, ns.load_profile("loihi1")).seconds_per_sample == 0.05
    found = chip_time(network, recording, ns.load_profile("generic_int8"))
    assert found.seconds_per_sample == pytest.approx(0.1) and "from the network's dt" in found.caveats[0]
    assert chip_time(network, recording, ns.load_profile("brainscales2")).seconds_per_sample == pytest.approx(1e-4)


def test_clock_cycles_of_xylo() -> None:
    """3.5 cycles an input's event, 8 one onto an output, 7 others, 19 an update, in the busiest step."""
    network = feedforward()
    inputs = SpikeEvents.from_dense(torch.ones(3, 12, dtype=torch.bool))
    recording = ns.simulate(network, inputs, engine="reference", record=Record(spikes="all"))
    (load,) = chip_time(network, recording, ns.load_profile("xylo_a2")).loads
    first, second = (joined(network, k, "skip").sum(0) for k in (0, 1))
    train = recording.spikes["hidden"].to_dense().numpy()
    cycles = max(19 * 12 + 3.5 * first.sum() + 8 * second @ step for step in train)
    assert (load.key, load.available) == ("throughput.clock_hz", 250e6)
    assert load.needed == pytest.approx(cycles * 1000)


# --- of a mapping -----------------------------------------------------------------------------------------------------


def test_energy_of_a_mapped_network() -> None:
    mapped = ns.map_to(feedforward(), "loihi1")
    report = mapped.report
    images = torch.rand(4, 12, generator=torch.Generator().manual_seed(0))
    recording = ns.simulate(mapped, images, 30, coding="bernoulli", engine="fixed")
    assert isinstance(recording, Recording)
    found = energy_of(mapped, recording, ns.load_profile("loihi1"))
    activity = count_activity(mapped, recording)
    assert found.joules("synaptic") == pytest.approx(23.6e-12 * activity.synaptic_events)
    fired = float(recording.counts["hidden"].sum())
    assert found.activity.messages == fired * (report.layers[1].cores or 0) > 0
    assert found.activity.core_seconds == pytest.approx(0.03 * 4 * 2)
    assert found.activity.chip_seconds == pytest.approx(0.03 * 4)
    low, high = found.interval or (np.nan, np.nan)
    assert found.spread is not None and found.spread[0] <= low / 4 <= high / 4 <= found.spread[1]
    in_json = found.to_json()
    assert in_json["estimate"] == {"low": low / 4, "high": high / 4}
    assert in_json["terms"]["synaptic"] == pytest.approx(23.6e-12 * activity.synaptic_events / 4)


def call(*arguments: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code in (0, 2), result.exception
    return result.exit_code, json.loads(result.stdout)


def test_the_command_estimates_the_energy_of_images(tmp_path: Path) -> None:
    network = tmp_path / "net.safetensors"
    ns.save(feedforward(), network)
    images = tmp_path / "x.npy"
    np.save(images, np.random.default_rng(0).random((6, 12)))
    asked = ("map", str(network), "--profile", "loihi1", "--inputs", str(images), "--steps", "40")
    code, found = call(*asked)
    assert code == 0
    assert set(found) == {"profile", "fits", "cores", "layers", "findings", "energy", "homeostasis"}
    energy = found["energy"]
    assert energy["statement"] == STATEMENT
    mapped = ns.map_to(feedforward(), "loihi1", steps=40)
    recording = ns.simulate(mapped, torch.from_numpy(np.load(images)), 40, coding="bernoulli", engine="fixed")
    assert energy == json.loads(json.dumps(energy_of(mapped, recording, "loihi1").to_json()))
    assert energy["activity"]["samples"] == 6 and energy["activity"]["spikes"] > 0
    assert 0 < energy["estimate"]["low"] < energy["estimate"]["high"]
    shown = " ".join(CliRunner().invoke(app, [*asked, "--coding", "bernoulli", "--verbose"]).stdout.split())
    assert STATEMENT in shown and "with_static" in shown and "pre-silicon" in shown
    code, found = call("map", str(network), "--profile", "generic_int8", "--inputs", str(images))
    assert found["energy"]["estimate"] is None and "energy.synop_pj is not stated" in found["energy"]["reason"]
    assert all(convention["joules"] is None for convention in found["energy"]["conventions"])
    # Without images there is nothing to count.
    code, found = call("map", str(network), "--profile", "loihi1")
    assert found["energy"]["estimate"] is None and found["energy"]["statement"] == STATEMENT
    shown = CliRunner().invoke(app, ["map", str(network), "--profile", "loihi1"]).stdout
    assert STATEMENT in " ".join(shown.split())


def test_the_command_refuses_images_that_do_not_serve(tmp_path: Path) -> None:
    network = tmp_path / "net.safetensors"
    ns.save(feedforward(), network)
    for name, array, text in (
        ("negative", -np.ones((2, 12)), "outside 0 to 1"),
        ("small", np.ones((2, 11)), "do not fit the network"),
    ):
        np.save(tmp_path / f"{name}.npy", array)
        code, found = call("map", str(network), "--profile", "loihi1", "--inputs", str(tmp_path / f"{name}.npy"))
        assert code == 2 and text in found["error"]["message"]
    code, found = call("map", str(network), "--profile", "loihi1", "--inputs", str(tmp_path / "none.npy"))
    assert (code, found["error"]["type"]) == (2, "DataError")
    code, found = call("map", str(network), "--profile", "loihi1", "--coding", "constant")
    assert (code, found["error"]["type"]) == (2, "UnknownNameError")
    (tmp_path / "bad.npy").write_bytes(b"no array")
    code, found = call("map", str(network), "--profile", "loihi1", "--inputs", str(tmp_path / "bad.npy"))
    assert code == 2 and "The file of inputs 'bad.npy' cannot be read" in found["error"]["message"]


def test_calibration_images_serve_where_they_can(tmp_path: Path) -> None:
    ns.save(ns.MLP([6, 5, 3]), tmp_path / "awake.safetensors")
    images = np.random.default_rng(0).random((120, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", images)
    np.save(tmp_path / "standard.npy", images - images.mean())
    asked = ("map", str(tmp_path / "awake.safetensors"), "--profile", "loihi1", "--calibration")
    code, found = call(*asked, str(tmp_path / "x.npy"))
    assert code == 0 and found["energy"]["activity"]["samples"] == 100
    code, found = call(*asked, str(tmp_path / "standard.npy"))
    assert code == 0 and found["energy"]["estimate"] is None
    assert found["energy"]["reason"].startswith("the calibration images could not be shown to the network")
