"""Where a sleep takes place, by what profiles state."""

from __future__ import annotations

import pytest

from neurosleep.errors import UnsupportedError
from neurosleep.functional import SRCRule
from neurosleep.hardware import chip_rule, load_profile, profile_names, sleep_parts


@pytest.mark.parametrize("name", profile_names())
def test_weights_change_on_the_chip_where_its_rule_can_be_made(name: str) -> None:
    try:
        chip_rule(name, SRCRule(0.1, 0.1), rounding="stochastic")
        able = True
    except UnsupportedError as error:
        # What only cannot be emulated, the chip itself can.
        able = "cannot run on" in str(error) and "here" in str(error)
    parts = sleep_parts(load_profile(name))
    unseen = [p for p in parts if "not emulated here" in p.how]
    assert bool(unseen) == (name in ("brainscales2", "spinnaker2"))
    assert ("chip" in {p.where for p in parts if "change of weights" in p.part}) == able
    # Whatever the chip: the host scales before, and reads and judges after.
    assert [p.where for p in parts[-2:]] == ["host", "host"]
    assert all(p.how and p.to_json() == {"part": p.part, "where": p.where, "how": p.how} for p in parts)


def test_what_is_said_of_three_chips() -> None:
    loihi, truenorth, int8 = (
        {p.part: p for p in sleep_parts(load_profile(name))} for name in ("loihi1", "truenorth", "generic_int8")
    )
    assert "1 - sgn(w)" in loihi["weight factor"].how and loihi["spikes of the inputs"].where == "chip"
    assert "1 step later" in loihi["neurons: integrate, fire, reset"].how
    assert truenorth["neurons and change of weights"].where == "host"
    assert int8["spikes of the inputs"].where == "host" and "stochastically" in int8["rounding of changed weights"].how
