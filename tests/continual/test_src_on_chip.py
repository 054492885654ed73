"""Sleep in a chip's integer arithmetic, as a setting of the strategy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from neurosleep.continual import SRC
from neurosleep.continual.strategies.src import one_sleep
from neurosleep.errors import HardwareProfileError, SettingsError, UnknownNameError, UnsupportedError
from neurosleep.functional import SRCRule
from neurosleep.hardware import MappedNetwork
from neurosleep.networks import MLP
from neurosleep.replay import Sleep, SleepResult


def settings(**more: Any) -> Sleep:
    return Sleep.src2022(
        rule=SRCRule(0.01, 0.002), thresholds=[0.5, 0.5], max_rate=300.0, window=None, steps=400, **more
    )


def model() -> MLP:
    return MLP([20, 15, 4], init=0.3, dropout=0.0, generator=torch.Generator().manual_seed(0))


def sleep_phase(**more: Any) -> SleepResult:
    images = torch.rand(50, 20, generator=torch.Generator().manual_seed(1))
    mean = images.numpy().astype(np.float64).mean(0)
    return one_sleep(settings(**more), model(), images, mean, (20,), task=0, seed=3)


@pytest.mark.parametrize("profile", ["generic_int8", "loihi1"])
def test_the_host_reads_the_chips_weights_or_adds_their_changes(profile: str) -> None:
    read, added = (sleep_phase(profile=profile, read_back=how) for how in ("weights", "changes"))
    again = sleep_phase(profile=profile)
    for awake, r, a, same in zip(
        model().weights, read.network.weights, added.network.weights, again.network.weights, strict=True
    ):
        assert torch.equal(r, same)
        # So many levels as 8 bits have, and as many real numbers as there are weights.
        assert len(r.unique()) <= 256 < len(awake.unique()) or awake.numel() <= 256
        kept = (awake == a).float().mean()
        assert 0 < kept < 1
        assert float((r - a).abs().max()) <= 0.51 * 2 * float(awake.detach().abs().max()) / 254
    assert not isinstance(read.network, MappedNetwork)
    assert read.recording.counts["hidden1"].tolist() == added.recording.counts["hidden1"].tolist()


def test_floating_point_on_a_profile_is_the_sleep_without_one() -> None:
    plain, ideal = sleep_phase(), sleep_phase(profile="ideal")
    for a, b in zip(plain.network.weights, ideal.network.weights, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_headroom_makes_the_steps_coarser_and_the_range_wider() -> None:
    narrow, wide = (sleep_phase(profile="generic_int8", headroom=h).network.weights[0] for h in (1.0, 2.0))

    def least(weights: torch.Tensor) -> float:
        levels = weights.unique()
        return float((levels[1:] - levels[:-1]).min())

    assert least(wide) == pytest.approx(2 * least(narrow), rel=1e-3)
    assert float(wide.abs().max()) > float(narrow.abs().max())


def test_a_setting_that_the_chip_cannot_do_is_found_at_once() -> None:
    with pytest.raises(UnsupportedError, match="cannot run on 'truenorth'"):
        SRC(settings(profile="truenorth"))
    with pytest.raises((UnknownNameError, HardwareProfileError), match="loihi7"):
        SRC(settings(profile="loihi7"))
    with pytest.raises(SettingsError, match=r"sleep\.rounding is 'stochastic'"):
        settings(rounding="stochastic")
    for headroom in (0.5, 1e6):
        with pytest.raises(SettingsError, match=r"sleep\.headroom cannot be") as refused:
            settings(headroom=headroom)
        assert refused.value.expected == "a finite number of at least 1 and of at most 65536"
    with pytest.raises(SettingsError, match=r"sleep\.profile is 'loihi1' with sleep\.feedback 'delayed'"):
        settings(profile="loihi1", feedback="delayed")
    with pytest.raises(UnsupportedError, match="cannot run on 'brainscales2' here"):
        SRC(settings(profile="brainscales2", rounding="stochastic"))
    with pytest.raises(SettingsError, match=r"sleep\.read_back is 'all'"):
        settings(read_back="all")
    with pytest.raises(UnknownNameError, match="no rounding named 'up'"):
        SRC(settings(profile="loihi1", rounding="up"))
