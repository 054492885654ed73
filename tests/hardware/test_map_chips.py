"""Mapping to each chip by its own arithmetic: SpiNNaker, TrueNorth, ODIN, BrainScaleS-2, DYNAP-SE2, Tianjic."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import neurosleep as ns
from neurosleep.errors import MappingError, SettingsError, UnsupportedError
from neurosleep.functional import SpikeEvents, SRCRule
from neurosleep.hardware import (
    Arithmetic,
    HardwareProfile,
    MappedNetwork,
    Register,
    chip_rule,
    from_chip,
    profile_names,
)
from neurosleep.hardware.emulation.fixed_engine import FixedSession
from neurosleep.hardware.mapping.brainscales import split_rows
from neurosleep.hardware.mapping.subset_sums import fit_largest, fit_subset_sums, subset_sums
from neurosleep.spiking import Dense, Identity, Population, Projection, SpikingNetwork, get_engine
from oracles.odin import odin_event, odin_leak, quantise_odin
from oracles.truenorth import truenorth_tick

CHIPS = ("spinnaker1", "spinnaker2", "tianjic", "brainscales2", "dynapse2", "truenorth", "odin")
INTEGERS = ("spinnaker1", "truenorth", "odin")
TRUENORTH = Arithmetic(Register(20), decay="subtract", denominator=1)
ODIN = Arithmetic(Register(8, signed=False), decay="subtract", denominator=1, by_event=True)


def whole(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def chain(*sizes: int, seed: int = 0, scale: float = 1.0, **more: Any) -> SpikingNetwork:
    generator = torch.Generator().manual_seed(seed)
    names = ["input", *(f"hidden{k}" for k in range(1, len(sizes) - 1)), "output"]
    populations = [Population("input", "input", (sizes[0],))]
    populations += [Population(name, "lif", (n,), **more) for name, n in zip(names[1:], sizes[1:], strict=True)]
    projections = [
        Dense(a.name, b.name, torch.randn(b.size, a.size, generator=generator, dtype=torch.float64), scale=scale)
        for a, b in itertools.pairwise(populations)
    ]
    return SpikingNetwork(tuple(populations), tuple(projections))


def changed(profile: str, **tables: dict[str, Any]) -> HardwareProfile:
    """A profile with other values in some tables."""
    found: HardwareProfile = ns.load_profile(profile)
    return dataclasses.replace(
        found, **{name: dataclasses.replace(getattr(found, name), **keys) for name, keys in tables.items()}
    )


def spikes(steps: int, n: int, rate: float = 0.3) -> torch.Tensor:
    return torch.rand(steps, n, generator=torch.Generator().manual_seed(1)) < rate


def texts(findings: Any, level: str | None = None) -> list[str]:
    return [str(f) for f in findings if level is None or f.level == level]


# Every chip


@pytest.mark.parametrize("chip", CHIPS)
def test_neurons_without_leak_map_everywhere_and_keep_their_spikes(chip: str) -> None:
    network = chain(12, 8, 4, threshold=6.0, seed=4)
    before = [w.clone() for w in network.weights]
    mapped = ns.map_to(network, chip, mismatch_sd=0 if chip in ("brainscales2", "dynapse2") else None)
    report = mapped.report
    assert report.fits
    assert (mapped.arithmetic is not None) == (chip in INTEGERS)
    assert all(torch.equal(a, b) for a, b in zip(before, network.weights, strict=True))
    found, exact = (
        ns.simulate(n, spikes(1500, 12), engine=e).counts for n, e in ((mapped, "fixed"), (network, "reference"))
    )
    assert exact["hidden1"].sum() > 200
    if chip == "odin":  # its potentials do not go below 0, so that inhibition is lost
        assert found["hidden1"].sum() > exact["hidden1"].sum()
        return
    share = 0.25 if chip == "truenorth" else 0.1
    assert abs(found["hidden1"] - exact["hidden1"]).sum() < share * exact["hidden1"].sum()


@pytest.mark.parametrize("chip", profile_names())
def test_a_decay_is_kept_or_its_replacement_said(chip: str) -> None:
    subtracts = chip in ("xylo_a2", "speck2f")
    network = chain(12, 8, 4, threshold=6.0, decay=0.9, reset="subtract" if subtracts else "to_value")
    if chip == "speck2f":
        with pytest.raises(MappingError, match="no such decay"):
            ns.map_to(network, chip)
        return
    mapped = ns.map_to(network, chip)
    report = mapped.report
    replaced = [t for t in texts(report.findings) if "becomes" in t and "less a step" in t]
    assert bool(replaced) == (chip in ("odin", "truenorth")) == bool(mapped.leaks)
    assert ns.simulate(mapped, spikes(50, 12), engine="fixed").steps == 50


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(CHIPS),
    st.tuples(*[st.integers(1, 10)] * 3),
    st.integers(0, 2**31),
    st.floats(1e-3, 1e3),
    st.floats(0.05, 50),
    st.floats(0, 1),
)
def test_weights_are_those_that_the_chip_can_hold(
    chip: str, sizes: tuple[int, int, int], seed: int, scale: float, threshold: float, decay: float
) -> None:
    network = chain(*sizes, seed=seed, scale=scale, threshold=threshold * scale, decay=decay)
    mapped = ns.map_to(network, chip, seed=seed, mismatch_sd=0 if chip in ("brainscales2", "dynapse2") else None)
    report = mapped.report
    for row, q in zip(report.layers, mapped.projections, strict=True):
        w = q.weight
        assert w is not None and bool(torch.isfinite(w).all())
        assert row.error is not None and row.error < 1.0 + 1e-9
        if chip in INTEGERS:
            assert torch.equal(w, torch.round(w))
            p = mapped.population(q.target)
            register = mapped.arithmetic.membrane  # type: ignore[union-attr]
            assert bool((torch.as_tensor(p.threshold) <= register.high).all())
        if chip == "spinnaker1":
            for magnitudes in (w.clamp_min(0), (-w).clamp_min(0)):
                if (largest := float(magnitudes.max())) > 0:
                    # The least power of two of which all are multiples leaves at most 15 bits.
                    step = min(int(m) & -int(m) for m in magnitudes[magnitudes > 0])
                    assert largest / step <= 32767
        elif chip in ("tianjic", "brainscales2"):
            # In the network's own units: integers over a scale.
            stored = w * q.scale * row.scale
            torch.testing.assert_close(stored, torch.round(stored), rtol=0, atol=1e-9)
            assert float(stored.abs().max()) <= (127 if chip == "tianjic" else 63) + 1e-9
        elif chip == "odin":
            assert float(w.abs().max()) <= 7
            if q.source != "input":
                assert not ((w > 0).any(0) & (w < 0).any(0)).any()
        elif chip == "truenorth":
            assert float(w.abs().max()) <= 2 * 255
            for neuron in w:
                for sign in (1, -1):
                    # None, either of two values, or both.
                    assert len({float(x) for x in sign * neuron if sign * x > 0}) <= 3
        elif chip == "dynapse2":
            assert len({float(x) for x in w.abs().flatten() if x != 0}) <= 15
        elif chip == "spinnaker2":
            assert torch.equal(w, network.weights[report.layers.index(row)]) and q.scale == scale


@pytest.mark.parametrize(
    "chip", ["spinnaker1", "spinnaker2", "tianjic", "brainscales2", "dynapse2", "truenorth", "odin", "generic_int8"]
)
def test_what_is_mapped_already_stays_as_it_is(chip: str) -> None:
    network = chain(9, 6, 4, threshold=5.0, seed=2)
    sd = 0 if chip in ("brainscales2", "dynapse2") else None
    once = ns.map_to(network, chip, mismatch_sd=sd)
    twice = ns.map_to(once.plain(), chip, mismatch_sd=sd)
    report = twice.report
    for a, b in zip(once.projections, twice.projections, strict=True):
        torch.testing.assert_close(a.weight, b.weight, rtol=0, atol=0 if once.arithmetic is not None else 1e-12)
    for p, q in zip(once.layers, twice.layers, strict=True):
        assert torch.equal(torch.as_tensor(p.threshold).expand(p.size), torch.as_tensor(q.threshold).expand(q.size))
    assert all(row.error is not None and row.error < 1e-12 for row in report.layers)


# SpiNNaker


def test_spinnaker_by_hand() -> None:
    neurons = Population("n", "lif", (2,), decay=0.9)
    synapses = Dense("in", "n", torch.tensor([[0.5, -0.3], [0.1, 0.0]], dtype=torch.float64))
    mapped = ns.map_to(SpikingNetwork((Population("in", "input", (2,)), neurons), (synapses,)), "spinnaker1")
    report = mapped.report
    # The threshold of 1 is the largest: it becomes 2^14, in steps of 2^-15. Of the exciting weights at most 0.5, then
    # 2^13, is expected: a shift of 14, and a step of 2^14; of the inhibiting ones 0.3, which has the same.
    assert report.layers[0].scale == 2**29
    assert mapped.weights[0].tolist() == [[2.0**28, -round(0.3 * 2**15) * 2.0**14], [3277 * 2.0**14, 0]]
    assert report.layers[0].bits == 16
    n = mapped.population("n")
    assert (float(n.threshold), float(n.decay) * 2**15) == (2**29, round(0.9 * 2**15))
    assert mapped.projections[0].delay == 1
    session = get_engine("fixed").start(mapped)
    v = 0
    for t in range(6):
        session.step({"in": torch.tensor([[t < 3, False]])})  # type: ignore[attr-defined]
        v = v * round(0.9 * 2**15) // 2**15 + (3277 * 2**14 if 1 <= t <= 3 else 0)
        assert session.membranes()["n"][1] == v


def test_spinnaker_learns_on_its_grid() -> None:
    mapped = ns.map_to(chain(12, 8, 4, threshold=6.0), "spinnaker1", headroom=2.0)
    rule = chip_rule("spinnaker1", SRCRule(0.1, 0.1), rounding="stochastic")
    session = get_engine("fixed").start(mapped, rule)
    session.run({"input": SpikeEvents.from_dense(spikes(200, 12))})
    for before, after, stands_for in zip(mapped.weights, session.weights(), mapped.synapses, strict=True):
        assert stands_for is not None
        mantissas = after / stands_for.unit
        assert torch.equal(mantissas, torch.round(mantissas)) and float(mantissas.abs().max()) <= 32767
        assert not torch.equal(before, after)
    back = from_chip(mapped, chain(12, 8, 4, threshold=6.0))
    assert all(float((a - b).abs().max()) < 1e-3 for a, b in zip(back.weights, chain(12, 8, 4).weights, strict=True))


def test_spinnaker_says_what_it_assumes_and_does_not_saturate() -> None:
    mapped = ns.map_to(chain(400, 4, 3), "spinnaker1")
    report = mapped.report
    assert any("15 bits after the point" in t for t in texts(report.findings, "note"))
    # All inputs at once stay within the 16 bits of a slot of the ring buffer.
    for w in mapped.weights:
        for magnitudes in (w.clamp_min(0), (-w).clamp_min(0)):
            step = min(int(m) & -int(m) for m in magnitudes[magnitudes > 0])
            assert float(magnitudes.sum(1).max()) / step <= 65535


# TrueNorth


def test_truenorth_vector() -> None:
    """Vector 6.14 in the engine: a crossbar row, four values, a leak that is added."""
    weights = torch.tensor([[5.0 * 1, 5.0 * 1, -3.0 * 0, -2.0 * 1]], dtype=torch.float64)
    inputs = torch.tensor([[1, 1, 0, 1], [0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]], dtype=torch.bool)
    for reset, expected in (("to_value", [7, 11, 0, -1]), ("subtract", [7, 11, 6, 5])):
        neuron = Population("n", "lif", (1,), threshold=12.0, bias=-1.0, reset=reset)  # type: ignore[arg-type]
        network = MappedNetwork(
            (Population("in", "input", (4,)), neuron), (Dense("in", "n", weights),), arithmetic=TRUENORTH
        )
        session = get_engine("fixed").start(network)
        found = []
        for row in inputs:
            session.step({"in": row.unsqueeze(0)})  # type: ignore[attr-defined]
            found.append(int(session.membranes()["n"]))
        assert found == expected


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.integers(1, 12), st.integers(0, 2**31), st.sampled_from(["to_value", "subtract"]))
def test_truenorth_networks_tick_by_tick(n: int, axons: int, seed: int, reset: Any) -> None:
    generator = torch.Generator().manual_seed(seed)

    def integers(low: int, high: int, *shape: int) -> torch.Tensor:
        return torch.randint(low, high + 1, shape, generator=generator).double()

    crossbar, types, values = integers(0, 1, n, axons), integers(0, 3, axons).long(), integers(-256, 255, n, 4)
    threshold, leak = float(integers(0, 2**18 - 1, 1)) % 700, int(integers(-256, 255, 1))
    reset_value = int(integers(0, 20, 1)) if reset == "to_value" else 0
    neurons = Population(
        "n", "lif", (n,), threshold=threshold, bias=float(leak), reset=reset, reset_value=float(reset_value)
    )
    network = MappedNetwork(
        (Population("in", "input", (axons,)), neurons),
        (Dense("in", "n", values[:, types] * crossbar),),
        arithmetic=TRUENORTH,
    )
    session, v = get_engine("fixed").start(network), torch.zeros(n, dtype=torch.float64)
    for row in torch.rand(50, axons, generator=generator) < 0.4:
        now = session.step({"in": row.unsqueeze(0)})  # type: ignore[attr-defined]
        v, fired = truenorth_tick(
            v,
            row,
            crossbar=crossbar,
            types=types,
            weights=values,
            leak=leak,
            threshold=int(threshold),
            reset=reset,
            reset_value=reset_value,
        )
        assert torch.equal(session.membranes()["n"], v)
        assert torch.equal(now["n"][0], fired)


def test_truenorth_leak_toward_zero_comes_before_the_comparison() -> None:
    network = MappedNetwork(
        (Population("in", "input", (2,)), Population("n", "lif", (1,), threshold=10.0)),
        (Dense("in", "n", whole(12, -7).reshape(1, 2)),),
        arithmetic=TRUENORTH,
        leaks={"n": whole(3)},
    )
    session, found = get_engine("fixed").start(network), []
    for events in ([1, 0], [0, 1], [0, 1], [0, 0], [0, 0], [1, 0], [1, 0]):
        session.step({"in": torch.tensor([events], dtype=torch.bool)})  # type: ignore[attr-defined]
        found.append(int(session.membranes()["n"]))
    # 12 - 3, 9 - 7 - 2 (not beyond 0), -7 + 3, -1, 0, 9, 21 - 3 fires.
    assert found == [9, 0, -4, -1, 0, 9, 0]


def test_truenorth_values_of_a_neuron() -> None:
    network = chain(100, 3, 2, threshold=4.0, seed=1)
    mapped = ns.map_to(network, "truenorth")
    report = mapped.report
    w, exact = mapped.weights[0], network.weights[0]
    scale = torch.as_tensor(mapped.population("hidden1").threshold) / 4.0
    for j in range(3):
        # 100 inputs, most of both signs, take more axons than half of a core has: one magnitude a sign.
        for sign in (1, -1):
            magnitudes = (sign * exact[j]).clamp_min(0)
            taken = sign * w[j] > 0
            value = (sign * w[j])[taken].unique()
            assert len(value) == 1 and abs(float(value) - float(scale[j] * magnitudes[taken].mean())) <= 1.0
            # No other choice of so large weights has a smaller error.
            errors = [
                float(
                    (magnitudes - magnitudes.topk(c).values.mean() * (magnitudes >= magnitudes.topk(c).values[-1]))
                    .square()
                    .sum()
                )
                for c in range(1, int((magnitudes > 0).sum()) + 1)
            ]
            assert math.isclose(min(errors), errors[int(taken.sum()) - 1])
        assert float(w[j].abs().max()) == 255
    # Outputs hear of 3 neurons: 4 axons each, two magnitudes a sign.
    assert report.layers[1].error is not None and report.layers[1].error < report.layers[0].error  # type: ignore[operator]


def test_truenorth_cores_with_copies() -> None:
    network = chain(100, 200, 300, threshold=4.0)
    profile = changed("truenorth", capacity={"in_axons_per_core_max": 512, "fan_in_max": 512})
    report = ns.map_to(network, profile).report
    # 300 outputs take two cores, in each of which a hidden neuron drives two axons: four copies, 64 neurons a core.
    assert [(r.layer, r.cores, r.neurons_per_core) for r in report.layers] == [("hidden1", 4, 64), ("output", 2, 256)]
    assert any("each is held up to 4 times" in t for t in texts(report.findings))


def test_truenorth_bias_is_its_leak() -> None:
    mapped = ns.map_to(chain(5, 4, 3, threshold=4.0, bias=0.01), "truenorth")
    assert float(torch.as_tensor(mapped.population("hidden1").bias).abs().max()) >= 1
    with pytest.raises(MappingError, match="cannot be leak and bias at once"):
        ns.map_to(chain(5, 4, 3, bias=0.01, decay=0.9), "truenorth")
    network = chain(5, 4, 3, decay=0.9)
    read_out = Population("output", "li", (3,), decay=0.9)
    with pytest.raises(MappingError, match="integrators have none"):
        ns.map_to(dataclasses.replace(network, populations=(*network.populations[:2], read_out)), "truenorth")


# ODIN


def test_odin_vector() -> None:
    """Vector 6.13 in the engine: two steps, between which the time reference takes 2 away."""
    weights = whole(7, 7, -3, 5, 7, 7, -7).reshape(1, 7)
    network = MappedNetwork(
        (Population("in", "input", (7,)), Population("n", "lif", (1,), threshold=20.0)),
        (Dense("in", "n", weights),),
        arithmetic=ODIN,
        leaks={"n": whole(2)},
    )
    # What is left after each of the events, of which the later ones are left out; the leak follows in the next step.
    for events, expected in ((1, 7), (2, 14), (3, 9), (4, 14), (5, 0), (6, 7), (7, 0)):
        session = get_engine("fixed").start(network)
        sent = torch.arange(7) < events
        first, second = sent & (torch.arange(7) < 2), sent & (torch.arange(7) >= 2)
        fired = [session.step({"in": first.unsqueeze(0)})["n"].item()]  # type: ignore[attr-defined]
        if events > 2:
            fired.append(session.step({"in": second.unsqueeze(0)})["n"].item())  # type: ignore[attr-defined]
        assert session.membranes()["n"].item() == expected
        assert any(fired) == (events >= 5)
    session.step({"in": torch.zeros(1, 7, dtype=torch.bool)})  # type: ignore[attr-defined]
    assert session.membranes()["n"].item() == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 10), st.integers(0, 2**31), st.integers(1, 255), st.integers(0, 127))
def test_odin_networks_event_by_event(n: int, inputs: int, seed: int, threshold: int, leak: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randint(-7, 8, (n, inputs), generator=generator).double()
    network = MappedNetwork(
        (Population("in", "input", (inputs,)), Population("n", "lif", (n,), threshold=float(threshold % 30 + 1))),
        (Dense("in", "n", weights),),
        arithmetic=ODIN,
        leaks={"n": whole(leak % 6)},
    )
    session = get_engine("fixed").start(network)
    assert isinstance(session, FixedSession)
    v, lost = [0] * n, 0
    for row in torch.rand(40, inputs, generator=generator) < 0.5:
        now = session.step({"in": row.unsqueeze(0)})["n"][0].tolist()
        for i in range(n):
            v[i], fired = odin_leak(v[i], leak % 6), 0
            for j in row.nonzero().flatten().tolist():
                v[i], spiked = odin_event(v[i], int(weights[i, j]), threshold % 30 + 1)
                fired += spiked
            assert now[i] == (fired > 0)
            lost += max(fired - 1, 0)
        assert session.membranes()["n"].tolist() == v
    assert session.overflows()["n"]["spikes"] == lost


def test_odin_splits_neurons_of_mixed_signs() -> None:
    network = chain(5, 6, 4, threshold=8.0, seed=3)
    loop = Dense("hidden1", "hidden1", 0.3 * torch.eye(6, dtype=torch.float64), delay=1)
    looped = dataclasses.replace(network, projections=(*network.projections, loop))
    profile = changed("odin", delay={"max_steps": 1})
    mapped = ns.map_to(looped, profile)
    report = mapped.report
    outgoing = torch.cat([network.weights[1], loop.weight])  # type: ignore[list-item]
    mixed = ((outgoing > 0).any(0) & (outgoing < 0).any(0)).nonzero().flatten().tolist()
    assert len(mixed) > 1
    hidden = mapped.population("hidden1")
    assert hidden.size == 6 + len(mixed)
    assert any(f"{len(mixed)} of its 6 neurons" in t for t in texts(report.findings))
    with pytest.raises(UnsupportedError, match="other projections"):
        from_chip(mapped, looped)
    # Copies hear the same, and share what they send.
    w_in, w_out, w_loop = mapped.weights
    assert torch.equal(w_in[6:], w_in[mixed]) and torch.equal(w_loop[6:], w_loop[mixed])
    assert bool((w_out[:, 6:] <= 0).all())
    joined = w_out[:, :6].clone()
    joined[:, mixed] += w_out[:, 6:]
    scale = next(row.scale for row in report.layers if row.layer == "output")
    assert (joined / scale - network.weights[1]).abs().max() <= 0.5 / scale * (1 + 1e-9)
    record = ns.Record(spikes="all")
    trains = ns.simulate(mapped, spikes(200, 5), engine="fixed", record=record).spikes["hidden1"].to_dense()
    assert trains.sum() > 0 and torch.equal(trains[:, 6:], trains[:, mixed])


def test_odin_weights_as_its_own_quantiser_makes_them() -> None:
    w = chain(6, 5).weights[0].abs()
    network = SpikingNetwork(
        (Population("in", "input", (6,)), Population("n", "lif", (5,), threshold=10.0)),
        (Dense("in", "n", w),),
    )
    mapped = ns.map_to(network, "odin")
    report = mapped.report
    assert torch.equal(mapped.weights[0], quantise_odin(w)[0])
    assert float(mapped.population("n").threshold) == round(10 * 7 / float(w.max()))  # type: ignore[arg-type]
    assert report.layers[0].bits == 3


# BrainScaleS-2, DYNAP-SE2, Tianjic, SpiNNaker 2


def test_brainscales_weights_as_its_own_quantiser_makes_them() -> None:
    network = chain(5, 4, threshold=3.0)
    mapped = ns.map_to(network, "brainscales2")
    report = mapped.report
    exciting, inhibiting = split_rows(network.weights[0], 63 / float(network.weights[0].abs().max()))
    assert torch.equal(torch.round(mapped.weights[0] * report.layers[0].scale), exciting - inhibiting)
    assert float(mapped.population("output").threshold) == 3
    assert any("no figure of mismatch is published" in t for t in texts(report.findings, "warning"))
    # 128 inputs of both signs fill the 256 rows.
    assert ns.map_to(chain(128, 512), "brainscales2").report.fits
    with pytest.raises(MappingError, match="fan-in 129 exceeds 128"):
        ns.map_to(chain(129, 4), "brainscales2")


def test_mismatch_is_frozen_by_the_seed() -> None:
    network = chain(60, 50, 4, decay=0.9, threshold=3.0)
    none = ns.map_to(network, "brainscales2", mismatch_sd=0)
    a, b, c = (ns.map_to(network, "brainscales2", mismatch_sd=0.2, seed=s) for s in (1, 1, 2))
    assert torch.equal(a.weights[0], b.weights[0]) and not torch.equal(a.weights[0], c.weights[0])
    ratio = (a.weights[0] / none.weights[0])[none.weights[0] != 0]
    assert abs(float(ratio.mean()) - 1) < 4 * 0.2 / len(ratio) ** 0.5
    assert abs(float(ratio.std()) - 0.2) < 0.02
    theta = torch.as_tensor(a.population("hidden1").threshold) / torch.as_tensor(none.population("hidden1").threshold)
    rates = torch.log(torch.as_tensor(a.population("hidden1").decay)) / math.log(0.9)
    euler = ns.map_to(dataclasses.replace(network, discretisation="euler"), "brainscales2", mismatch_sd=0.2, seed=1)
    lost = (1 - torch.as_tensor(euler.population("hidden1").decay)) / (1 - 0.9)
    torch.testing.assert_close(lost, rates)
    for values in (theta, rates):
        assert abs(float(values.mean()) - 1) < 0.12 and 0.1 < float(values.std()) < 0.3
    # A published figure is the default.
    report = ns.map_to(chain(5, 4, 3), "dynapse2").report
    assert any("10 percent" in t and "the profile's figure" in t for t in texts(report.findings))
    for sd, chip in ((0.1, "loihi1"), (-0.1, "dynapse2"), (True, "dynapse2"), (float("nan"), "dynapse2")):
        with pytest.raises(SettingsError, match="mismatch"):
            ns.map_to(network, chip, mismatch_sd=sd)


def test_dynapse_weights_are_sums_of_four_currents_of_a_core() -> None:
    network = chain(30, 300, 4, threshold=3.0, seed=1)
    mapped = ns.map_to(network, "dynapse2", mismatch_sd=0, strict=False)
    report = mapped.report
    w = mapped.weights[0]
    cores = [{float(x) for x in w[rows].abs().flatten() if x != 0} for rows in (slice(0, 256), slice(256, 300))]
    assert all(len(levels) <= 15 for levels in cores) and cores[0] != cores[1]
    again = ns.map_to(network, "dynapse2", mismatch_sd=0, strict=False)
    assert torch.equal(again.weights[0], w)
    # Better than 15 evenly spaced magnitudes up to the largest weight.
    exact = network.weights[0]
    step = exact.abs().max() / 15
    even = torch.round(exact / step) * step
    assert report.layers[0].error is not None
    assert report.layers[0].error < float((even - exact).norm() / exact.norm())
    with pytest.raises(UnsupportedError, match="sums of shared currents"):
        ns.map_to(network, "dynapse2", rounding="floor")


def test_dynapse_counts_entries_that_are_there() -> None:
    network = chain(100, 6, 3, threshold=3.0)
    sparse = [w.clone() for w in network.weights]
    sparse[0][:, 64:] = 0
    assert ns.map_to(network.with_weights(sparse), "dynapse2").report.fits
    with pytest.raises(
        MappingError, match=r"fan-in \d+ exceeds 64 .*partial-sum neurons for each sign with allow_split=true"
    ):
        ns.map_to(network, "dynapse2")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=60), st.integers(1, 4), st.integers(0, 5))
def test_subset_sums_are_near(numbers: list[float], k: int, seed: int) -> None:
    row = whole(*numbers)
    values, masks = (found[0] for found in fit_subset_sums(row.unsqueeze(0), k, seed))
    assert bool((values >= 0).all()) and bool((values.diff() >= 0).all())
    back = subset_sums(values)[masks]
    # Each number has the nearest of the sums, a zero none at all, and all together no more error than without any.
    nearest = (subset_sums(values).unsqueeze(1) - row).abs().min(0).values
    there = row > 0
    torch.testing.assert_close((back - row).abs()[there], nearest[there], rtol=1e-9, atol=1e-9)
    assert bool((back[~there] == 0).all())
    assert float((back - row).norm()) <= float(row.norm()) * (1 + 1e-9)


def test_subset_sums_are_found_again() -> None:
    values = whole(0.3, 0.7, 1.9, 4.2)
    row = subset_sums(values)
    found, masks = (result[0] for result in fit_subset_sums(row.unsqueeze(0), 4))
    torch.testing.assert_close(found, values)
    assert masks.tolist() == list(range(16))
    value, taken = fit_largest(whole(5, 4, 0.1, 0).reshape(1, 4))
    assert value.tolist() == [4.5] and taken.tolist() == [[True, True, False, False]]


def test_widths_that_are_not_published_are_not_rounded() -> None:
    network = chain(5, 4, 3, decay=0.9, bias=0.01, refractory=2, while_refractory="integrate")
    mapped = ns.map_to(network, "spinnaker2")
    report = mapped.report
    assert [row.bits for row in report.layers] == [None, None]
    assert any("widths of weights are not published" in t for t in texts(report.findings))
    assert any("no limits of refractoriness" in t for t in texts(report.findings))
    assert any("estimated" in t for t in texts(report.findings))
    record = ns.Record(spikes="all")
    found, exact = (
        ns.simulate(n, spikes(300, 5), engine=e, record=record) for n, e in ((mapped, "fixed"), (network, "reference"))
    )
    assert torch.equal(found.spikes["output"].to_dense(), exact.spikes["output"].to_dense())
    mapped = ns.map_to(chain(5, 4, 3, decay=0.9), "tianjic")
    report = mapped.report
    assert [row.bits for row in report.layers] == [8, 8]
    assert any("-127 to 127" in t for t in texts(report.findings, "warning"))
    assert float(mapped.population("output").threshold) == 1


# What fits and what does not


def sums(limit: str, available: int, *, factor: int = 1) -> set[tuple[str, str, int, int]]:
    """All three populations exceed one limit."""
    return {(name, limit, factor * n, available) for name, n in (("hidden1", 784), ("hidden2", 1200), ("output", 1200))}


SYNAPSES = 784 * 1200 + 1200 * 1200 + 1200 * 10
FITS: dict[str, set[tuple[str, str, int, int]] | None] = {
    **dict.fromkeys(("generic_int8", "ideal", "loihi1", "loihi2", "spinnaker1", "spinnaker2")),
    "brainscales2": sums("fan_in_max", 128)
    | {("", "neurons_per_core", 2410, 512), ("", "synapses_per_core", 2 * SYNAPSES, 131072)},
    "dynapse2": sums("fan_in_max", 64),
    # An address for each sign of an input, and each neuron twice.
    "odin": sums("fan_in_max", 256, factor=2)
    | {("", "neurons_per_core", 4810, 256), ("", "synapses_per_core", 2 * 2 * SYNAPSES, 65536)},
    "tianjic": sums("fan_in_max", 256),
    "truenorth": sums("fan_in_max", 256) | sums("in_axons_per_core_max", 256),
    "speck2f": {
        ("hidden1", "packing.kernel_words_per_core", 784 * 2048, 65536),
        ("hidden2", "packing.channels_max", 1200, 1024),
        ("hidden2", "packing.kernel_words_per_core", 1200 * 2048, 65536),
        ("output", "packing.channels_max", 1200, 1024),
    },
    "xylo_a2": sums("fan_in_max", 63)
    | {
        ("hidden1", "in_axons_per_core_max", 784, 16),
        ("", "neurons_per_core", 2410, 1008),
        ("", "synapses_per_core", SYNAPSES, 64000),
        ("", "packing.hidden_neurons_max", 2400, 1000),
        ("", "packing.output_neurons_max", 10, 8),
    },
}


@pytest.mark.parametrize("chip", profile_names())
def test_the_standard_network_fits_or_all_that_does_not_is_said(chip: str) -> None:
    reset = "subtract" if chip in ("xylo_a2", "speck2f") else "to_value"
    network = chain(784, 1200, 1200, 10, threshold=20.0, reset=reset)
    expected = FITS[chip]
    if expected is None:
        mapped = ns.map_to(network, chip)
        report = mapped.report
        assert report.fits and [p.size for p in mapped.populations] == [784, 1200, 1200, 10]
        return
    with pytest.raises(MappingError) as refused:
        ns.map_to(network, chip)
    found = {(f.layer, f.limit, f.needed, f.available) for f in refused.value.findings if f.level == "error"}
    # Weights that became 0 are no synapses, of which some chips then need fewer.
    assert {(layer, key, available) for layer, key, _, available in found} == {(a, b, d) for a, b, _, d in expected}
    for layer, key, most, available in expected:
        (needed,) = [f[2] for f in found if f[:2] == (layer, key)]
        assert available < needed <= most and (needed == most or chip in ("dynapse2", "odin", "truenorth"))
        assert all(str(part) in str(refused.value) for part in (layer, needed, available))


def test_dynamics_and_capacity_are_refused_together() -> None:
    with pytest.raises(MappingError) as refused:
        ns.map_to(chain(784, 300, 10, reset="subtract"), "odin")
    limits = {f.limit for f in refused.value.findings if f.level == "error"}
    assert limits == {"reset.modes", "fan_in_max", "neurons_per_core", "synapses_per_core"}


# What is refused


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        (changed("truenorth", weights={"distinct_magnitudes_per_neuron": 2}), "distinct_magnitudes_per_neuron 2"),
        (changed("odin", membrane={"bits": None}), "pre_neuron with membrane.bits unpublished"),
        (changed("odin", weights={"rounding": "cluster"}), "weights.rounding cluster"),
        (changed("generic_int8", decay={"denominator": None}), "decay.denominator unpublished"),
        (changed("generic_int8", decay={"kind": "analog"}), "decay.kind analog"),
        (changed("generic_int8", weights={"scale_scope": "core"}), "weights.scale_scope core"),
        (changed("generic_int8", weights={"sign_scheme": "receptor"}), "weights.sign_scheme receptor"),
    ],
)
def test_profiles_of_other_kinds_are_refused_by_name(profile: HardwareProfile, reason: str) -> None:
    with pytest.raises(UnsupportedError, match=f"cannot be mapped to '{profile.id}'") as refused:
        ns.map_to(chain(5, 4, 3), profile)
    assert reason in str(refused.value)


def test_the_engine_refuses_what_does_not_go_by_events() -> None:
    matrix = Dense("in", "n", torch.eye(2, dtype=torch.float64))

    def network(
        leaks: dict[str, torch.Tensor] | None = None, projection: Projection = matrix, **more: Any
    ) -> MappedNetwork:
        return MappedNetwork(
            (Population("in", "input", (2,)), Population("n", "lif", (2,), threshold=5.0, **more)),
            (projection,),
            arithmetic=ODIN,
            profile="odin",
            leaks=leaks or {},
        )

    get_engine("fixed").start(network())
    for wrong, message in (
        (network(refractory=1), "'n': it does not go event by event"),
        (network(reset="subtract"), "'n': it does not go event by event"),
        (network(projection=Identity("in", "n")), "'in' -> 'n': it does not go event by event"),
        (network({"n": whole(0.5)}), "'n': its leak takes away no integer"),
        (dataclasses.replace(network({"n": whole(1)}), arithmetic=Arithmetic(Register(20))), "or the chip has none"),
    ):
        with pytest.raises(UnsupportedError, match=message):
            get_engine("fixed").start(wrong)
    rule = dataclasses.replace(chip_rule("loihi1", SRCRule(0.1, 0.1)), profile="odin")
    with pytest.raises(UnsupportedError, match="go event by event, as on 'odin'"):
        get_engine("fixed").start(network(), rule)


def test_a_batch_by_events_is_its_samples_one_by_one() -> None:
    mapped = ns.map_to(chain(8, 6, 4, threshold=8.0, decay=0.8), "odin")
    trains = torch.rand(60, 3, 8, generator=torch.Generator().manual_seed(2)) < 0.3
    session = get_engine("fixed").start_batch(mapped, 3)
    assert isinstance(session, FixedSession)
    fired = [session.step({"input": row}) for row in trains]
    for b in range(3):
        single = ns.simulate(mapped, trains[:, b], engine="fixed")
        assert single.counts["hidden1"].sum() > 0
        for name in ("hidden1", "output"):
            assert sum(now[name][b].long() for now in fired).tolist() == single.counts[name].tolist()  # type: ignore[union-attr]
