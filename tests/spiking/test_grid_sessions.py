"""Single trains of the event engine through convolutions, pooling and graded sums: those of the reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import neurosleep as ns
from neurosleep.errors import UnsupportedError
from neurosleep.functional import PairSTDP, PlasticityRule, SpikeEvents, SRCRule
from neurosleep.spiking import Dense, Population, SpikingNetwork, Transposed, get_engine
from tests.spiking.grids import random_network

STEPS = 12
# Steps of them are powers of two, and decays of traces too.
RULES: dict[str, PlasticityRule | None] = {
    "none": None,
    "src": SRCRule(2**-6, 2**-7, factor="constant"),
    "stdp": PairSTDP(a_plus=2**-6, a_minus=2**-7, decay_plus=0.5, decay_minus=0.5, w_min=-4.0, w_max=4.0),
}


def check_equal(seed: int, name: str) -> None:
    """In two pieces, so that states, traces and delayed values cross the border."""
    network, rule = random_network(seed), RULES[name]
    rng = np.random.default_rng(seed)
    events = SpikeEvents.from_dense(rng.random((STEPS, network.inputs[0].size)) < 0.4)
    sessions = [get_engine(engine).start(network, rule) for engine in ("event", "reference")]
    for start, stop in ((0, 5), (5, STEPS)):
        found, expected = (session.run({"in": events.slice(start, stop)}) for session in sessions)
        assert found.keys() == expected.keys()
        for population, spikes in expected.items():
            assert found[population].equals(spikes), population
    found_weights, weights = (session.weights() for session in sessions)
    for one, other in zip(found_weights, weights, strict=True):
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-12)
    membranes, others = (session.membranes() for session in sessions)
    assert membranes.keys() == others.keys()
    for population, v in others.items():
        assert torch.allclose(membranes[population], v, rtol=1e-12, atol=1e-12), population
    for bound in (0.5, 1.0, 1e9):
        assert sessions[0].outliers(bound) == sessions[1].outliers(bound)
    for number, weight in enumerate(weights):
        if weight.ndim == 2:
            post, pre = np.array([0, len(weight) - 1]), np.array([weight.shape[1] - 1, 0])
            assert torch.allclose(sessions[0].weights_at(number, post, pre), weight[post, pre], rtol=1e-12)


CASES = {"seed": st.integers(0, 2**32 - 1), "name": st.sampled_from(list(RULES))}


@settings(max_examples=100, deadline=None, derandomize=True)
@given(**CASES)
def test_trains_through_grids_are_those_of_the_reference(seed: int, name: str) -> None:
    check_equal(seed, name)


@pytest.mark.full
@settings(max_examples=3000, deadline=None)
@given(**CASES)
def test_trains_through_many_grids_are_those_of_the_reference(seed: int, name: str) -> None:
    check_equal(seed, name)


def test_what_the_compiled_rules_cannot_learn_is_refused_by_name() -> None:
    weight = torch.eye(2, dtype=torch.float64)
    populations = (
        Population("in", "input", (2,)),
        Population("a", "lif", (2,)),
        Population("sum", "relay", (2,)),
        Population("b", "lif", (2,)),
    )
    chain = (Dense("in", "a", weight), Dense("a", "sum", weight, plastic=False), Dense("sum", "b", weight))
    back = Transposed("b", "sum", of=("sum", "b"))
    for projections, match in (
        ((chain[0], Dense("a", "sum", weight), chain[2]), "'a' -> 'sum' whose weight the rule would change"),
        ((*chain, back), "'b' -> 'sum' is transposed, and convolutions"),
    ):
        network = SpikingNetwork(populations, projections)
        with pytest.raises(UnsupportedError, match=match):
            get_engine("event").start(network, RULES["src"])
        get_engine("reference").start(network, RULES["src"])
        events = SpikeEvents.from_dense(torch.ones(6, 2, dtype=torch.bool))
        found, expected = (
            ns.simulate(network, events, engine=e, record=ns.Record("all")) for e in ("event", "reference")
        )
        for name, spikes in expected.spikes.items():
            assert found.spikes[name].equals(spikes)
