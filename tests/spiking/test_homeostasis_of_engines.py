"""What engines declare of homeostatic sleep, and who reads it."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import nn

from neurosleep.conversion import convert
from neurosleep.errors import UnsupportedError
from neurosleep.functional import InputNoise, SlowOscillation
from neurosleep.hardware import homeostatic_ways, load_profile
from neurosleep.replay import regulate_spikes
from neurosleep.spiking import SpikingNetwork, engine_names, get_engine
from neurosleep.spiking.engines import base, register_engine
from neurosleep.spiking.engines.reference import ReferenceEngine

NOISE = InputNoise([0.3, 0.5, 0.6])


def network() -> SpikingNetwork:
    torch.manual_seed(0)
    return convert(nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2)), NOISE.frames(50, seed=0))


def test_every_engine_declares_what_may_change() -> None:
    declared = {
        name: get_engine(name).homeostasis for name in ("event", "reference", "snntorch", "norse", "torch", "fixed")
    }
    assert declared.pop("fixed") == {"registers", "weights"}
    assert set(declared.values()) == {frozenset({"weights"})}
    # What a chip can do is a part of what its engine can.
    assert {way.name for way in homeostatic_ways(load_profile("loihi1"))} <= get_engine("fixed").homeostasis


@pytest.mark.parametrize("name", ["event", "reference", "snntorch", "norse", "torch"])
def test_an_engine_that_declares_it_does_it(name: str) -> None:
    oscillation = SlowOscillation(frames=40)
    done = regulate_spikes(network(), NOISE, oscillation=oscillation, engine=name)
    other = regulate_spikes(network(), NOISE, oscillation=oscillation, engine="reference")
    assert done.engine == name
    assert all(
        torch.allclose(a, b, rtol=1e-5) for a, b in zip(done.network.weights, other.network.weights, strict=True)
    )


def test_the_engine_of_chips_says_where_its_homeostasis_is() -> None:
    with pytest.raises(
        UnsupportedError,
        match=r"(?s)'fixed' steps .* on a chip only.*event.*regulate_on_chip",
    ):
        regulate_spikes(network(), NOISE, engine="fixed")


def test_an_engine_that_declares_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain(ReferenceEngine):
        name: ClassVar[str] = "plain-batches"
        homeostasis: ClassVar[frozenset[str]] = frozenset()

    monkeypatch.setattr(base, "_ENGINES", dict(base._ENGINES))
    register_engine(Plain)
    assert "plain-batches" in engine_names()
    with pytest.raises(UnsupportedError, match="'plain-batches' does not step homeostatic sleep"):
        regulate_spikes(network(), NOISE, engine="plain-batches")
