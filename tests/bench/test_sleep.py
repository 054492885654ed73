import math

from neurosleep.bench import _sleep, bench_sleep


def test_every_peer_is_timed_and_the_ratios_are_theirs(monkeypatch):
    monkeypatch.setattr(_sleep, "_STEPS", dict.fromkeys(_sleep._STEPS, 20))
    result = bench_sleep()
    assert result["name"] == "sleep" and result["threads"] == 1 and result["unit"] == "step"
    assert set(result["seconds"]) == {"event", "reference", "snntorch", "roofline"}
    assert all(math.isfinite(value) and value > 0 for value in result["seconds"].values())
    for key, ratio in result["ratios"].items():
        a, b = key.split("_over_")
        assert ratio == result["seconds"][a] / result["seconds"][b]


def test_the_users_loop_sleeps_as_the_reference_does():
    """The peer that a user would write computes the same sleep, so that the comparison is of equal work."""
    import torch

    from neurosleep.functional import numpy_generator
    from neurosleep.spiking import get_engine

    network, drive, rule = _sleep.trained(None, 0)
    events = drive.draw(numpy_generator(0, "drive", 0, 0), 60, network.dt)
    fast = get_engine("event").start(network, rule)
    plain = get_engine("reference").start(network, rule)
    first, second = fast.run({"input": events}), plain.run({"input": events})
    assert all(first[name].equals(second[name]) for name in first)
    assert first["hidden1"].count > 0
    for a, b in zip(fast.weights(), plain.weights(), strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)
