"""Options of the strategy `sleep` reach the rule by which it sleeps, and a run that it makes."""

from __future__ import annotations

import pytest
import torch

from neurosleep.continual import HomeostaticSleep
from neurosleep.errors import NeurosleepError, UnsupportedError
from neurosleep.experiments import load_settings
from neurosleep.networks import EquilibriumMLP
from neurosleep.replay import NREM


def test_downscale_of_a_file_reaches_the_rule_and_a_file_without_it_stays_as_it_was() -> None:
    _, settings = load_settings("homeostatic/mnist", changes=[("nrem.downscale", 0.8)])
    (stage,) = HomeostaticSleep(**settings.options("sleep")).settings.stages
    assert isinstance(stage, NREM) and stage.rule.downscale == 0.8
    _, settings = load_settings("homeostatic/mnist")
    (stage,) = HomeostaticSleep(**settings.options("sleep")).settings.stages
    assert isinstance(stage, NREM) and stage.rule.downscale == 1


@pytest.mark.parametrize("value", [0, 1.2, "much"])
def test_a_downscale_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(NeurosleepError, match="downscale"):
        _, settings = load_settings("homeostatic/mnist", changes=[("nrem.downscale", value)])
        HomeostaticSleep(**settings.options("sleep"))


def test_an_equilibrium_network_does_not_scale_down() -> None:
    torch.manual_seed(0)
    with pytest.raises(UnsupportedError, match="downscale"):
        HomeostaticSleep(downscale=0.5).check_network(EquilibriumMLP([4, 3, 2]))
