"""Every rule in every engine that offers it, against the rule's own step on the spikes that came out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosleep.errors import UnsupportedError
from neurosleep.functional import (
    BCM,
    RULES,
    MultiplicativeSTDP,
    Oja,
    PairSTDP,
    PlasticityRule,
    PooledSRC,
    SignSTDP,
    SRCRule,
    TripletSTDP,
    numpy_generator,
    plasticity_step,
)
from neurosleep.spiking import get_engine
from neurosleep.spiking.engines.event import kernels, population, rule_kernels
from tests.spiking.test_engines import FEEDBACK, RECURRENT, assert_same, chain, rasters, run, small_networks
from tests.uncompiled import uncompile

BOUNDS: dict[str, float] = {"w_min": -2.0, "w_max": 2.0}
RULED: dict[str, PlasticityRule] = {
    "src": SRCRule(0.032, 0.0033),
    "src-pooled": PooledSRC(0.032, 0.0033),
    "stdp": PairSTDP(0.011, 0.013, 0.9, 0.8),
    "stdp-multiplicative": MultiplicativeSTDP(0.04, 0.05, 1.0, 1.0, 0.9, 0.8, **BOUNDS),
    "van Rossum": MultiplicativeSTDP(0.011, 0.05, 0.0, 1.0, 0.9, 0.8, **BOUNDS),
    "Guetig": MultiplicativeSTDP(0.03, 0.03, 0.3, 0.7, 0.9, 0.8, w_min=-0.5, w_max=0.5),
    "stdp-triplet": TripletSTDP(0.005, 0.01, 0.01, 0.004, 0.9, 0.8, 0.95, 0.97, **BOUNDS),
    "triplet, clipped": TripletSTDP(0.02, 0.02, 0.02, 0.004, 0.9, 0.8, 0.95, 0.97, w_min=-0.3, w_max=0.5),
    "stdp-sign": SignSTDP(0.01, window=4),
    "sign, clipped": SignSTDP(0.05, window=2, w_min=-0.3, w_max=0.5),
    "oja": Oja(0.002, 0.9),
    "bcm": BCM(0.0005, 2.0, 0.9, 0.99),
}
DYADIC: dict[str, PlasticityRule] = {
    "stdp-multiplicative": MultiplicativeSTDP(1 / 4, 1 / 4, 0.0, 1.0, 0.5, 0.5, **BOUNDS),
    "stdp-triplet": TripletSTDP(1 / 32, 1 / 32, 1 / 64, 1 / 128, 0.5, 0.5, 0.5, 0.5, **BOUNDS),
    "stdp-sign": SignSTDP(1 / 32, window=3, w_min=-1.0, w_max=1.0),
    "oja": Oja(1 / 64, 0.0),
    "bcm": BCM(1 / 64, 1.0, 0.0, 0.5),
}
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "loops": {"extra": [RECURRENT, FEEDBACK], "second": {"delay": 1}},
    "refractory": {"hidden": {"refractory": 2}, "first": {"delay": 2}},
    "non-plastic": {"second": {"plastic": False}},
    "two into one": {"extra": [{"source": "in", "target": "out", "delay": 1, "scale": 0.5}]},
}
COMPILED = ("event",)
TORCH = ("reference", "snntorch", "norse")


def inputs(steps):
    return {"in": rasters(numpy_generator(3, "drive"), steps)}


def stepped(net, rule, fired):
    """The weights that the rule's step makes of the spikes."""
    weights = []
    for q in net.projections:
        weight, traces = q.weight, rule.initial_traces(q.weight)
        source, target = torch.from_numpy(fired[q.source]), torch.from_numpy(fired[q.target])
        for t in range(len(source) if q.plastic else 0):
            pre = source[t - q.delay] if t >= q.delay else torch.zeros(q.weight.shape[1], dtype=torch.bool)
            weight, traces = plasticity_step(weight, pre, target[t], traces, rule)
        weights.append(weight.numpy())
    return weights


def offered(rule):
    return TORCH if rule.name in ("oja", "bcm") else (*TORCH, *COMPILED)


def test_every_rule_is_looked_at():
    assert set(RULES) == {rule.name for rule in RULED.values()}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", RULED)
def test_engines_apply_each_rule_alike(name, way):
    net, rule, spikes = chain(False, **WAYS[way]), RULED[name], inputs(60)
    expected = run("reference", net, rule, spikes)
    assert expected[0]["hidden"].any() and expected[0]["out"].any()
    for q, before, after, own in zip(
        net.projections, net.weights, expected[1], stepped(net, rule, expected[0]), strict=True
    ):
        np.testing.assert_array_equal(after, own)
        assert (before.numpy() != after).any() == q.plastic
    for engine in offered(rule)[1:]:
        assert_same(run(engine, net, rule, spikes), expected)
        # In chunks, some of them shorter than what the rule remembers: bit for bit the same.
        assert_same(run(engine, net, rule, spikes, 7), run(engine, net, rule, spikes), exact=True)


@pytest.mark.parametrize("way", ["plain", "loops"])
@pytest.mark.parametrize("name", DYADIC)
def test_dyadic_values_agree_bit_for_bit(name, way):
    # As many steps as products of weights and traces fit into 53 bits: of triplets 50 are taken after 22 steps, all
    # after 24, where the order of a sum, which hangs on where in memory the numbers lie, is seen in the last one.
    steps = {"stdp-sign": 32, "stdp-triplet": 22}.get(name, 12)
    net, rule, spikes = chain(True, **WAYS[way]), DYADIC[name], inputs(steps)
    expected = run("reference", net, rule, spikes)
    assert any((a.numpy() != b).any() for a, b in zip(net.weights, expected[1], strict=True))
    for engine in offered(rule)[1:]:
        assert_same(run(engine, net, rule, spikes), expected, exact=True)


@pytest.mark.parametrize("name", ["stdp-multiplicative", "Guetig", "stdp-triplet", "stdp-sign"])
def test_the_compiled_engine_applies_each_rule_in_float32(name):
    net, rule, spikes = chain(False, dtype=torch.float32), RULED[name], inputs(30)
    assert_same(run("event", net, rule, spikes), run("reference", net, rule, spikes), rtol=2e-4)


@pytest.mark.parametrize("name", ["stdp", "Guetig", "van Rossum", "stdp-triplet", "stdp-sign"])
def test_the_compiled_rules_do_the_same_uncompiled(name, monkeypatch):
    net, rule, spikes = chain(False, hidden={"refractory": 1}), RULED[name], inputs(10)
    compiled = run("event", net, rule, spikes)
    uncompile(monkeypatch, rule_kernels, kernels, population)
    assert_same(run("event", net, rule, spikes), compiled, rtol=1e-12)


FRACTIONS = st.sampled_from([0.0, 1 / 8, 1 / 4])
HALVES = st.sampled_from([0.0, 1 / 2])
BOUND = st.sampled_from([1 / 4, 1.0])


def bounded(kind, *fields):
    """Rules of a kind with these fields and bounds."""
    return st.builds(lambda bound, *values: kind(*values, w_min=-bound, w_max=bound), BOUND, *fields)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    small_networks(),
    st.integers(1, 5),
    st.one_of(
        bounded(MultiplicativeSTDP, *[FRACTIONS] * 2, *[st.sampled_from([0.0, 0.5, 1.0, 2.0])] * 2, *[HALVES] * 2),
        bounded(TripletSTDP, *[FRACTIONS] * 4, *[HALVES] * 4),
        bounded(SignSTDP, FRACTIONS, st.integers(1, 4)),
    ),
)
def test_the_compiled_rules_agree_on_any_small_network(drawn, chunk, rule):
    net, _, spikes = drawn
    expected = run("reference", net, rule, spikes)
    exact = not isinstance(rule, MultiplicativeSTDP) or {rule.mu_plus, rule.mu_minus} <= {0.0, 1.0}
    assert_same(run("event", net, rule, spikes, chunk), expected, exact=exact)


@pytest.mark.parametrize("name", ["oja", "bcm"])
def test_the_compiled_engine_refuses_rules_that_act_without_spikes_by_name(name):
    with pytest.raises(UnsupportedError, match=f"'event' does not offer the plasticity rule '{name}'") as refused:
        get_engine("event").start(chain(True), RULED[name])
    assert "reference" in str(refused.value.hint)
