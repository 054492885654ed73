"""Options of the strategy `sleep` reach the rule by which it sleeps, and a run that it makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch

from neurosleep.continual import HomeostaticSleep, Learner, Naps, Progress
from neurosleep.errors import NeurosleepError, SettingsError, UnsupportedError
from neurosleep.experiments import collect_metrics, load_settings
from neurosleep.networks import EquilibriumMLP
from neurosleep.replay import NREM, spiking_homeostasis
from neurosleep.spiking import Engine

ROOT = Path(__file__).parents[2]


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


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"after": ()}, "nrem.after is empty"),
        ({"after": (0,)}, "nrem.after holds 0"),
        ({"form": "rates", "frames": 20}, "In rates the strategy 'sleep' has no frames"),
        ({"form": "rates", "up": 20, "down": 20}, "In rates the strategy 'sleep' has no up, down"),
        ({"form": "spikes", "draws": 20}, "In spikes the strategy 'sleep' has no draws"),
        ({"profile": "loihi1", "draws": 20}, "In spikes the strategy 'sleep' has no draws"),
        ({"frames": 1}, "number of frames cannot be 1"),
    ],
)
def test_options_that_are_impossible_or_not_read_are_refused(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        HomeostaticSleep(**wrong)


def test_a_guard_and_naps_read_the_draws_beside_spikes() -> None:
    assert HomeostaticSleep(form="spikes", draws=20, guard=True).guard
    assert HomeostaticSleep(form="spikes", draws=20, naps=Naps(5)).napping is not None


def test_the_engine_that_is_asked_for_steps_the_sleep(
    make_learner: Callable[..., Learner], learn: Callable[..., Progress], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def noted(engine: Engine) -> Engine:
        asked.append(engine.name)
        return engine

    named, fastest = spiking_homeostasis.get_engine, spiking_homeostasis.fastest_engine
    monkeypatch.setattr(spiking_homeostasis, "get_engine", lambda name: noted(named(name)))
    monkeypatch.setattr(spiking_homeostasis, "fastest_engine", lambda *given, **how: noted(fastest(*given, **how)))

    def weights(engine: str | None) -> torch.Tensor:
        strategy = HomeostaticSleep(frames=40)
        strategy.engine = engine
        learner = make_learner(output="softmax", dropout=0.0)
        learn(learner, strategy)
        return torch.cat([weight.detach().flatten() for weight in learner.network.weights])

    assert torch.allclose(weights("reference"), weights(None), atol=1e-5)
    assert "reference" in asked and asked.index("reference") < asked.index("event")


@pytest.mark.parametrize("data", ["mnist", "fashion"])
def test_sleep_in_spikes_recalls_what_it_does_in_rates(data: str) -> None:
    """Of the committed runs, whose settings differ in nothing else, means of five seeds lie within a point."""
    name = f"homeostatic/{data}"
    plain, in_rates = (load_settings(name, strategy="sleep", variant=variant)[1] for variant in ("default", "rates"))
    assert in_rates == replace(plain, nrem=replace(plain.nrem, form="rates"))
    runs = collect_metrics(ROOT / "results" / name)
    means = []
    for variant in ("default", "rates"):
        seeds = {run["seed"]: run for run in runs if (run["variant"], run["strategy"]) == (variant, "sleep")}
        means.append(fmean(seeds[seed]["results"]["accuracy_all"] for seed in range(5)))
        steps = [seeds[seed]["sleep"]["steps"] for seed in range(5)]
        assert all(all(of_each) == (variant == "default") and len(of_each) == 5 for of_each in steps)
    assert abs(means[0] - means[1]) < 0.01
