"""Sleep in a chip's integer arithmetic: the rule's tables, its rounding, the compiled steps against the plain ones."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import neurosleep as ns
from neurosleep.errors import SettingsError, UnknownNameError, UnsupportedError
from neurosleep.functional import EngineRule, MeanDrive, PairSTDP, PlasticityRule, SpikeEvents, SRCRule
from neurosleep.hardware import ChipRule, MappedNetwork, MappedSynapses, chip_rule, from_chip, load_profile, map_to
from neurosleep.hardware.arithmetic.weight_grid import WeightGrid
from neurosleep.hardware.emulation.counter_random import key_at, key_of, uniforms
from neurosleep.hardware.emulation.fixed_engine import FixedSession
from neurosleep.spiking import Dense, Population, SpikingNetwork, engine_names, get_engine

INT8 = WeightGrid(-127, 127, 1, 0, 8)
MIXED = WeightGrid(-256, 254, 2, 6, 8)


def rule_of(profile: str = "generic_int8", inc: float = 0.03, dec: float = 0.01, **more: Any) -> ChipRule:
    factor = more.pop("factor", "steep")
    rule = chip_rule(profile, SRCRule(inc, dec, factor), **more)
    assert isinstance(rule, ChipRule)
    return rule


def chain(sizes: tuple[int, ...] = (12, 9, 5), seed: int = 0, **more: Any) -> SpikingNetwork:
    generator = torch.Generator().manual_seed(seed)
    names = ["input", *(f"l{k}" for k in range(1, len(sizes)))]
    populations = [Population("input", "input", (sizes[0],))]
    populations += [
        Population(n, "lif", (s,), threshold=0.7, **more) for n, s in zip(names[1:], sizes[1:], strict=True)
    ]
    projections = [
        Dense(a, b, 0.5 * torch.randn(q, p, generator=generator, dtype=torch.float64), scale=1.25)
        for (a, b), (p, q) in zip(itertools.pairwise(names), itertools.pairwise(sizes), strict=True)
    ]
    return SpikingNetwork(tuple(populations), tuple(projections))


# Random numbers by position


def test_random_numbers_are_uniform_and_depend_on_every_part_of_their_position() -> None:
    places = np.arange(200_000)
    drawn = uniforms(key_at(key_of(1, "rule", 0), 5), places)
    assert drawn.min() >= 0 and drawn.max() < 1
    # Mean and variance of a uniform number, and no correlation with the next place, each within 5 standard errors.
    n = len(drawn)
    assert abs(drawn.mean() - 0.5) < 5 * math.sqrt(1 / 12 / n)
    assert abs(drawn.var() - 1 / 12) < 5 * math.sqrt(1 / 180 / n)
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 5 / math.sqrt(n)
    others = [(1, 0, 6), (1, 1, 5), (2, 0, 5)]
    for seed, number, step in others:
        other = uniforms(key_at(key_of(seed, "rule", number), step), places)
        assert abs(np.corrcoef(drawn, other)[0, 1]) < 5 / math.sqrt(n)
    assert np.array_equal(uniforms(key_at(key_of(1, "rule", 0), 5), places[::-1]), drawn[::-1])


# Tables


@pytest.mark.parametrize("factor", ["steep", "logistic", "constant"])
def test_a_programmable_engine_computes_the_rule_and_rounds_once(factor: str) -> None:
    synapses = MappedSynapses(scale=60.0, alpha=2.0, grid=INT8, unit=1)
    found = rule_of(factor=factor).on(synapses)
    for fired, m in itertools.product((0, 1), range(-127, 128)):
        w = m / 120
        g = {"steep": 2 / (1 + math.exp(min(w / 0.001, 700))), "logistic": 1 / (1 + math.exp(-w)), "constant": 1.0}
        wanted = m + (0.03 if fired else -0.01) * g[factor] * 120
        wanted = min(max(wanted, -127), 127)
        low, part = found.low[fired, m + 127] - 127, found.part[fired, m + 127]
        assert low + part == pytest.approx(wanted, abs=1e-9)
        assert low == math.floor(wanted + 1e-12) or part > 1 - 1e-9


def test_loihis_engine_adds_saturated_products_of_whole_numbers() -> None:
    # A mantissa is worth 64, so that 254 of them stand for a weight of 1.
    synapses = MappedSynapses(scale=254 * 64, alpha=1.0, grid=MIXED, unit=64)
    found = rule_of("loihi1", 0.032064, 0.003344).on(synapses)
    assert found.terms is not None
    up, down = found.terms
    # The reference's worked example: 0.849 mantissas become 7/8, and what is gained in all 8.14.
    assert down.value == 0.875
    assert up.value - down.value == pytest.approx(0.032064 * 254, abs=0.02)
    assert -8 <= up.mantissa <= 7 and -7 <= up.exponent <= 9 and 64 <= up.impulse <= 127

    def by_hand(x: int, m: int) -> float:
        total = m * 128
        sign = (m > 0) - (m < 0)
        for mantissa, exponent, trace, signs in (
            (-down.mantissa, down.exponent, 1, 1),
            (down.mantissa, down.exponent, 1, sign),
            (-up.mantissa, up.exponent, x, sign),
            (up.mantissa, up.exponent, x, 1),
        ):
            product = math.floor(mantissa * trace * signs * 2.0 ** (exponent + 7))
            total = min(max(total + min(max(product, -32767), 32767), -32767), 32767)
        return total / 128

    for x, m in itertools.product(range(128), range(-256, 255, 2)):
        wanted = min(max(by_hand(x, m), -256), 254)
        k = (m + 256) // 2
        assert 2 * (found.low[x, k] + found.part[x, k]) - 256 == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(("inc", "dec"), [(0.001, 0.0001), (0.0002, 0.00004), (0.01, 0.0), (0.3, 0.02)])
def test_small_steps_have_coefficients_of_their_size(inc: float, dec: float) -> None:
    # inc 0.001 is a quarter of a mantissa, and with an impulse of 64 at least the least would be half of one.
    synapses = MappedSynapses(scale=254 * 64, alpha=1.0, grid=MIXED, unit=64)
    found = rule_of("loihi1", inc, dec).on(synapses)
    assert found.terms is not None
    up, down = found.terms
    assert up.value - down.value == pytest.approx(254 * inc, rel=0.02, abs=1 / 256)
    assert down.value == pytest.approx(254 * dec, rel=0.15, abs=1 / 256)


def test_a_coefficient_that_would_vanish_is_refused() -> None:
    synapses = MappedSynapses(scale=254 * 64, alpha=1.0, grid=MIXED, unit=64)
    for inc, dec, name in ((1e-5, 0.01, "inc"), (0.01, 1e-6, "dec")):
        with pytest.raises(UnsupportedError, match=f"no coefficient near {name}") as refused:
            rule_of("loihi1", inc, dec).on(synapses)
        assert "multiples of 3.08e-05" in str(refused.value.expected) and f"larger {name}" in str(refused.value.hint)
    # Where any function can be computed, there are no coefficients.
    rule_of("generic_int8", 1e-5, 1e-6).on(MappedSynapses(127.0, 1.0, INT8, 1))


@pytest.mark.parametrize("profile", ["generic_int8", "loihi1"])
def test_weights_that_reach_no_neuron_cannot_learn_but_can_be_read(profile: str) -> None:
    network = chain()
    silent = SpikingNetwork(
        network.populations,
        tuple(
            Dense(q.source, q.target, q.weight, scale=0.0 if k else 1.25, plastic=not k)
            for k, q in enumerate(network.projections)
        ),
    )
    mapped = map_to(silent, profile)
    result = ns.sleep(mapped, drive=DRIVE, rule=rule_of(profile), steps=100, engine="fixed")
    assert isinstance(result.network, MappedNetwork)
    read = from_chip(result.network, silent)
    assert not torch.equal(read.weights[0], silent.weights[0]) and torch.equal(read.weights[1], silent.weights[1])
    plastic = SpikingNetwork(
        network.populations,
        tuple(Dense(q.source, q.target, q.weight, scale=0.0) for q in network.projections),
    )
    with pytest.raises(UnsupportedError, match="scale of a plastic projection is 0"):
        ns.sleep(map_to(plastic, profile), drive=DRIVE, rule=rule_of(profile), steps=1, engine="fixed")


def test_a_scale_below_zero_turns_signs_that_loihis_engine_reads() -> None:
    synapses = MappedSynapses(scale=254 * 64, alpha=-1.0, grid=MIXED, unit=64)
    with pytest.raises(UnsupportedError, match="scale of a plastic projection is -1"):
        rule_of("loihi1").on(synapses)
    turned = rule_of("generic_int8").on(MappedSynapses(127.0, -1.0, INT8, 1))
    straight = rule_of("generic_int8").on(MappedSynapses(127.0, 1.0, INT8, 1))
    moved, mirrored = (found.low + found.part - np.arange(255) for found in (straight, turned))
    assert np.allclose(moved[:, 10:-10], -mirrored[:, ::-1][:, 10:-10])


def test_weights_on_a_grid_do_not_diverge_by_the_bound_of_real_ones() -> None:
    # A mantissa of SpiNNaker is worth thousands in its fixed point, beyond the bound of weights in floating point.
    mapped = map_to(chain(), "spinnaker1")
    assert float(mapped.weights[0].abs().max()) > 1e6
    rule = rule_of("spinnaker1", rounding="stochastic")
    result = ns.sleep(mapped, drive=DRIVE, rule=rule, steps=100, engine="fixed")
    assert result.status == "done" and not torch.equal(result.network.weights[0], mapped.weights[0])


def test_positive_weights_are_frozen_by_the_sign_factor_and_negative_ones_move_twice() -> None:
    synapses = MappedSynapses(scale=254 * 64, alpha=1.0, grid=MIXED, unit=64)
    steep, constant = (rule_of("loihi1", factor=factor).on(synapses) for factor in ("steep", "constant"))
    x = steep.impulse
    levels = np.arange(len(steep.low[0]))

    def moved(found: Any, trace: int) -> Any:
        return found.low[trace] + found.part[trace] - levels

    positive = np.flatnonzero(2 * levels - 256 > 0)
    assert not moved(steep, x)[positive].any() and not moved(steep, 0)[positive].any()
    inside = levels[20:100]
    for trace in (0, x):
        assert np.allclose(moved(steep, trace)[inside], 2 * moved(constant, trace)[inside])
        assert moved(constant, trace)[inside].any()


# Rounding: the cliff


def step(rule: ChipRule, weight: torch.Tensor, synapses: MappedSynapses, times: int = 1) -> torch.Tensor:
    """All neurons fire, and every second input."""
    weight, on = weight.clone(), rule.on(synapses)
    pre, post = torch.arange(weight.shape[1]) % 2 == 0, torch.ones(weight.shape[0], dtype=torch.bool)
    traces = on.initial_traces(weight)
    for _ in range(times):
        traces = on.step_(weight, pre, post, traces)
    return weight


def test_small_steps_never_land_with_rounding_to_the_nearest_and_do_on_average_by_chance() -> None:
    # The smallest change is 1/127; the steps are a quarter and a fortieth of it.
    synapses = MappedSynapses(scale=127.0, alpha=1.0, grid=INT8, unit=1)
    weight = torch.full((300, 200), -60.0, dtype=torch.float64)
    settings_of = dict(inc=0.25 / 127, dec=0.025 / 127, factor="constant")
    nearest = step(rule_of(rounding="nearest_even", **settings_of), weight, synapses, 20)
    assert torch.equal(nearest, weight)
    chance = step(rule_of(rounding="stochastic", **settings_of), weight, synapses, 20) - weight
    for columns, wanted in ((slice(0, None, 2), 0.25), (slice(1, None, 2), -0.025)):
        found = chance[:, columns]
        p = abs(wanted)
        error = math.sqrt(20 * p * (1 - p) / found.numel())
        assert abs(float(found.mean()) - 20 * wanted) < 4 * error


def test_weights_stay_at_the_ends_of_the_grid() -> None:
    for profile, grid, unit in (("generic_int8", INT8, 1), ("loihi1", MIXED, 64)):
        synapses = MappedSynapses(scale=127.0 * unit, alpha=1.0, grid=grid, unit=unit)
        weight = torch.tensor([[grid.high, grid.low, 0, grid.low + grid.step]], dtype=torch.float64).repeat(3, 1) * unit
        after = step(rule_of(profile, 0.3, 0.3, factor="constant"), weight, synapses, 40)
        assert after.max() <= grid.high * unit and after.min() >= grid.low * unit
        assert torch.equal(torch.remainder(after, grid.step * unit), torch.zeros_like(after))
        assert float(after[0, 0]) == grid.high * unit and float(after[0, 1]) == grid.low * unit


# Compiled against plain


@st.composite
def sleeps(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "profile": draw(st.sampled_from(["generic_int8", "loihi1"])),
        "sizes": tuple(draw(st.lists(st.integers(1, 9), min_size=2, max_size=4))),
        "decay": draw(st.sampled_from([0.5, 0.9, 0.999, 1.0])),
        "refractory": draw(st.integers(0, 2)),
        "delay": draw(st.integers(0, 3)),
        # Smaller ones have no coefficient on Loihi, which it says.
        "inc": draw(st.just(0.0) | st.floats(0.05, 0.3)),
        "dec": draw(st.just(0.0) | st.floats(0.02, 0.1)),
        "factor": draw(st.sampled_from(["steep", "constant"])),
        "rounding": draw(st.sampled_from(["stochastic", "nearest_even", "floor", None])),
        "trace_decay": draw(st.sampled_from([0.0, 0.3, 0.9])),
        "pieces": draw(st.lists(st.integers(0, 25), min_size=1, max_size=4)),
        "seed": draw(st.integers(0, 2**31)),
    }


def assert_compiled_is_plain(case: dict[str, Any]) -> None:
    """Spikes, potentials, currents, overflows and weights, in one run, in pieces, and with single steps between."""
    refractory = case["refractory"] if case["profile"] == "loihi1" else 0
    network = chain(case["sizes"], case["seed"], decay=case["decay"], refractory=refractory)
    late = [Dense(q.source, q.target, q.weight, scale=q.scale, delay=case["delay"]) for q in network.projections]
    mapped = map_to(SpikingNetwork(network.populations, tuple(late)), case["profile"])
    keys = ("inc", "dec", "factor", "rounding", "trace_decay", "seed")
    rule = rule_of(case["profile"], **{key: case[key] for key in keys})
    steps = sum(case["pieces"])
    spikes = torch.rand(steps, case["sizes"][0], generator=torch.Generator().manual_seed(case["seed"])) < 0.5
    plain, pieces, mixed = (get_engine("fixed").start(mapped, rule) for _ in range(3))
    assert isinstance(plain, FixedSession) and isinstance(pieces, FixedSession) and isinstance(mixed, FixedSession)
    fired: dict[str, list[torch.Tensor]] = {p.name: [] for p in mapped.populations}
    for t in range(steps):
        for name, sent in plain.step({"input": spikes[t : t + 1]}).items():
            fired[name].append(sent[0])
    at = 0
    for k, length in enumerate(case["pieces"]):
        part = spikes[at : at + length]
        found = pieces.run({"input": SpikeEvents.from_dense(part)})
        for name, events in found.items():
            wanted = torch.stack(fired[name][at : at + length]) if length else torch.zeros(0, events.n)
            assert torch.equal(events.to_dense(torch.bool), wanted.bool()), name
        if k % 2:
            for row in part:
                mixed.step({"input": row[None]})
        else:
            mixed.run({"input": SpikeEvents.from_dense(part)})
        at += length
    for other in (pieces, mixed):
        assert plain.overflows() == other.overflows()
        for a, b in ((plain.membranes(), other.membranes()), (plain.currents(), other.currents())):
            assert all(torch.equal(a[name], b[name]) for name in a)
        assert all(torch.equal(a, b) for a, b in zip(plain.weights(), other.weights(), strict=True))


@settings(max_examples=60, deadline=None)
@given(sleeps())
def test_compiled_steps_are_the_plain_ones(case: dict[str, Any]) -> None:
    assert_compiled_is_plain(case)


@pytest.mark.full
@settings(max_examples=1000, deadline=None)
@given(sleeps())
def test_compiled_steps_are_the_plain_ones_in_a_thousand_sleeps(case: dict[str, Any]) -> None:
    assert_compiled_is_plain(case)


# A sleep phase


DRIVE = MeanDrive(np.full(12, 0.5), 300.0)


@pytest.mark.parametrize("profile", ["generic_int8", "loihi1"])
def test_a_sleep_on_a_chip(profile: str) -> None:
    network = chain()
    mapped = map_to(network, profile)
    result = ns.sleep(mapped, drive=DRIVE, rule=rule_of(profile), steps=300, engine="fixed")
    assert isinstance(result.network, MappedNetwork) and result.network.synapses == mapped.synapses
    again = ns.sleep(mapped, drive=DRIVE, rule=rule_of(profile), steps=300, engine="fixed")
    other = ns.sleep(mapped, drive=DRIVE, rule=rule_of(profile, seed=1), steps=300, engine="fixed")
    for before, after, same, else_ in zip(
        mapped.weights, result.network.weights, again.network.weights, other.network.weights, strict=True
    ):
        assert not torch.equal(before, after) and torch.equal(after, same) and not torch.equal(after, else_)
    # What the chip holds can be mapped back, and simulated there.
    read = from_chip(result.network, network)
    for k, (w, whole) in enumerate(zip(read.weights, result.network.weights, strict=True)):
        stands_for = mapped.synapses[k]
        assert stands_for is not None
        assert torch.allclose(w * stands_for.scale * 1.25, whole)
    assert ns.simulate(result.network, torch.ones(20, 12, dtype=torch.bool), engine="fixed").counts["l1"].sum() > 0


def test_a_host_may_keep_its_own_weights_and_add_what_changed() -> None:
    network = chain()
    mapped = map_to(network, "generic_int8")
    result = ns.sleep(mapped, drive=DRIVE, rule=rule_of(), steps=300, engine="fixed")
    assert isinstance(result.network, MappedNetwork)
    kept = from_chip(result.network, network, before=mapped)
    read = from_chip(result.network, network)
    for own, k, r, a, b in zip(
        network.weights, kept.weights, read.weights, mapped.weights, result.network.weights, strict=True
    ):
        unchanged = a == b
        assert torch.equal(own[unchanged], k[unchanged]) and unchanged.any() and not unchanged.all()
        # Both are within half of the smallest change of each other: the rounding of the mapping.
        assert float((k - r).abs().max()) <= 0.5001 * float(own.abs().max()) / 127
    woken = from_chip(mapped, network, before=mapped)
    assert all(torch.equal(a, b) for a, b in zip(woken.weights, network.weights, strict=True))


def test_floating_point_profiles_keep_the_rule() -> None:
    rule, network = SRCRule(0.03, 0.01), chain()
    assert chip_rule("ideal", rule) is rule
    mapped = map_to(network, "ideal")
    result = ns.sleep(mapped, drive=DRIVE, rule=rule, steps=300, engine="fixed")
    plain = ns.sleep(network, drive=DRIVE, rule=rule, steps=300, engine="reference")
    assert isinstance(result.network, MappedNetwork)
    for a, b in zip(from_chip(result.network, network).weights, plain.network.weights, strict=True):
        assert torch.equal(a, b)


# What is refused


@pytest.mark.parametrize("profile", ["truenorth", "speck2f", "xylo_a2", "dynapse2", "tianjic", "odin"])
def test_chips_that_cannot_learn_so_say_where_sleep_takes_place(profile: str) -> None:
    with pytest.raises(UnsupportedError, match=f"cannot run on '{profile}'") as refused:
        chip_rule(profile, SRCRule(0.1, 0.1))
    assert "sleep off chip" in str(refused.value.hint)


@pytest.mark.parametrize("profile", ["brainscales2", "spinnaker2"])
def test_chips_without_whole_numbers_are_refused_before_the_sleep(profile: str) -> None:
    with pytest.raises(UnsupportedError, match=f"cannot run on '{profile}' here") as refused:
        chip_rule(profile, SRCRule(0.1, 0.1), rounding="stochastic")
    assert "sleep off chip" in str(refused.value.hint)


def test_refusals() -> None:
    with pytest.raises(UnsupportedError, match="no logistic weight factor"):
        chip_rule("loihi1", SRCRule(0.1, 0.1, "logistic"))
    with pytest.raises(UnsupportedError, match="'stdp' has no form"):
        chip_rule("loihi1", PairSTDP(0.1, 0.1))  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="no rounding named 'up'"):
        chip_rule("loihi1", SRCRule(0.1, 0.1), rounding="up")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="trace decay is 1"):
        chip_rule("loihi1", SRCRule(0.1, 0.1), trace_decay=1.0)
    network = chain()
    mapped = map_to(network, "generic_int8")
    for engine in ("event", "fixed"):
        with pytest.raises(UnsupportedError, match="changes weights by real numbers") as refused:
            ns.sleep(mapped, drive=DRIVE, rule=SRCRule(0.1, 0.1), steps=1, engine=engine)
        assert "chip_rule('generic_int8', rule)" in str(refused.value.hint)
    with pytest.raises(UnsupportedError, match="integers"):
        ns.sleep(network, drive=DRIVE, rule=rule_of(), steps=1, engine="reference")
    with pytest.raises(UnsupportedError, match="not mapped to a chip"):
        ns.sleep(network, drive=DRIVE, rule=rule_of(), steps=1, engine="fixed")
    with pytest.raises(UnsupportedError, match="mapped to 'generic_int8', and the rule is that of 'loihi1'"):
        ns.sleep(mapped, drive=DRIVE, rule=rule_of("loihi1"), steps=1, engine="fixed")
    bare = MappedNetwork(mapped.populations, mapped.projections, arithmetic=mapped.arithmetic, profile=mapped.profile)
    with pytest.raises(UnsupportedError, match="does not say what its integers stand for"):
        ns.sleep(bare, drive=DRIVE, rule=rule_of(), steps=1, engine="fixed")
    with pytest.raises(UnsupportedError, match="does not say what its integers stand for"):
        from_chip(bare, network)
    with pytest.raises(UnsupportedError, match="other projections"):
        from_chip(mapped, chain((12, 5)))


@pytest.mark.parametrize("engine", sorted(engine_names()))
def test_every_engine_refuses_pairs_of_network_and_rule_that_it_cannot_step(engine: str) -> None:
    network, real, whole = chain(), SRCRule(0.1, 0.1), rule_of()
    mapped = map_to(network, "generic_int8")
    assert isinstance(real, PlasticityRule) and not isinstance(real, EngineRule)
    assert isinstance(whole, EngineRule) and not isinstance(whole, PlasticityRule)
    with pytest.raises(UnsupportedError, match="the plasticity rule 'src' changes weights by real numbers"):
        get_engine(engine).start(mapped, real)
    with pytest.raises(UnsupportedError, match=r"not mapped to a chip|integers|offer the plasticity rule 'chip'"):
        get_engine(engine).start(network, whole)
    if engine != "fixed":
        with pytest.raises(UnsupportedError, match=r"integers|rule 'chip'"):
            get_engine(engine).start(mapped, whole)
    # In floating point there are not integers to change.
    ideal = map_to(network, "ideal")
    with pytest.raises(UnsupportedError, match=r"not mapped to a chip|integers|offer the plasticity rule 'chip'"):
        get_engine(engine).start(ideal, whole)


def test_a_mapped_network_prints_as_itself() -> None:
    mapped = map_to(chain(), "generic_int8")
    assert str(mapped).startswith("MappedNetwork on generic_int8, dt = ")
    assert repr(mapped).startswith("<MappedNetwork on generic_int8: ")
    assert str(mapped.plain()).startswith("SpikingNetwork, dt = ")


def test_the_profiles_that_learn_say_how() -> None:
    for name, form in (("loihi1", "sum_of_products"), ("loihi2", "sum_of_products"), ("generic_int8", "programmable")):
        assert load_profile(name).learning.class_ == form
        assert rule_of(name).form == form
