import pytest

from neurosleep.errors import SettingsError
from neurosleep.functional import SlowOscillation


def test_lengths_and_frequency():
    usual = SlowOscillation()
    assert usual.halves == (20, 20) and usual.steps == 50_000
    assert usual.frequency(dt=0.001) == pytest.approx(10)
    slow = SlowOscillation.at(1.0, dt=0.001, frames=20)
    assert (slow.up, slow.down, slow.frames) == (500, 500, 20)
    assert slow.frequency(0.001) == pytest.approx(1)
    assert SlowOscillation(up=15, settle=0).halves == (7, 8)


@pytest.mark.parametrize(
    "options",
    [{"frames": 1}, {"up": 1}, {"up": 11, "settle": 10}, {"settle": -1}, {"down": -1}, {"frames": 2.5}],
)
def test_impossible_lengths_are_refused(options):
    with pytest.raises(SettingsError):
        SlowOscillation(**options)


@pytest.mark.parametrize("frequency", [0, -1, float("inf"), 1000])
def test_an_impossible_frequency_is_refused(frequency):
    with pytest.raises(SettingsError):
        SlowOscillation.at(frequency)
