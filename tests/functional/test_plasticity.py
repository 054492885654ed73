from __future__ import annotations

import pytest

from neurosleep.errors import SettingsError, UnknownNameError
from neurosleep.functional import RULES, PairSTDP, PlasticityRule, SRCRule, make_rule


def test_rules_are_made_by_name():
    assert make_rule("src", inc=0.1, dec=0.2, factor="logistic") == SRCRule(0.1, 0.2, "logistic")
    assert make_rule("stdp", a_plus=0.1, a_minus=0.2) == PairSTDP(0.1, 0.2)


def test_every_rule_keeps_to_the_protocol():
    assert set(RULES) == {"src", "stdp"}
    assert isinstance(SRCRule(0.1, 0.1), PlasticityRule)
    assert isinstance(PairSTDP(0.1, 0.1), PlasticityRule)


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
