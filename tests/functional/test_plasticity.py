from __future__ import annotations

import dataclasses

import pytest
import torch

from neurosleep.errors import SettingsError, UnknownNameError
from neurosleep.functional import RULES, PairSTDP, PlasticityRule, SRCRule, make_rule, plasticity_step


def test_rules_are_made_by_name():
    assert make_rule("src", inc=0.1, dec=0.2, factor="logistic") == SRCRule(0.1, 0.2, "logistic")
    assert make_rule("stdp", a_plus=0.1, a_minus=0.2) == PairSTDP(0.1, 0.2)


def test_every_rule_keeps_to_the_protocol():
    assert set(RULES) == {"src", "src-pooled", "stdp", "stdp-multiplicative", "stdp-triplet", "stdp-sign", "oja", "bcm"}
    for kind in RULES.values():
        required = [f.name for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING]
        rule = make_rule(kind.name, **dict.fromkeys(required, 0.125))
        assert type(rule) is kind and isinstance(rule, PlasticityRule) and hash(rule) == hash(make_rule(**shown(rule)))


def shown(rule):
    """The rule as a settings file gives it."""
    return {"name": rule.name, **dataclasses.asdict(rule)}


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_step_as_a_pure_function_leaves_what_it_was_given_alone(name):
    required = [f.name for f in dataclasses.fields(RULES[name]) if f.default is dataclasses.MISSING]
    rule = make_rule(name, **dict.fromkeys(required, 0.125))
    weight, fired = torch.zeros(2, 3), torch.tensor([True, False, True])
    traces = rule.initial_traces(weight)
    before = [trace.clone() for trace in traces]
    changed, after = plasticity_step(weight, fired, fired[:2], traces, rule)
    assert not weight.any() and all(map(torch.equal, before, traces))
    changed, _ = plasticity_step(changed, fired, fired[:2], after, rule)
    # The row of a unit that never fired stays.
    assert (changed[0] != weight[0]).any() and changed[1].equal(weight[1])


def test_unknown_rules_are_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'stdp'"):
        make_rule("stpd")


@pytest.mark.parametrize("parameters", [{"inc": 0.1}, {"inc": 0.1, "dec": 0.1, "decay": 1}])
def test_missing_and_unknown_parameters_are_refused_with_the_known_ones(parameters):
    with pytest.raises(SettingsError, match="rule 'src' cannot be made") as refused:
        make_rule("src", **parameters)
    assert refused.value.expected == "parameters: inc, dec, factor, width"


def test_impossible_values_keep_their_own_message():
    with pytest.raises(SettingsError, match="inc is -1"):
        make_rule("src", inc=-1, dec=0)
