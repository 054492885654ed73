"""Sleep with several streams of noise per step: whoever starts it, and what is recorded of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import neurosleep as ns
from neurosleep.errors import NeurosleepError, SettingsError, UnknownNameError, UnsupportedError
from neurosleep.functional import numpy_generator, torch_generator
from neurosleep.replay import REM, Limits, Moment, Sleep, Streams

pytestmark = pytest.mark.filterwarnings("ignore::neurosleep.errors.NeurosleepWarning")

DRIVE = ns.MeanDrive(np.full(6, 0.5), 200.0)
RULE = ns.SRCRule(0.25, 0.125, factor="constant")


def network() -> ns.SpikingNetwork:
    draw = torch_generator(1, "weights")
    weights = [torch.randint(-4, 8, shape, generator=draw) / 8 for shape in ((5, 6), (3, 5))]
    populations = (
        ns.Population("input", "input", (6,)),
        ns.Population("hidden1", "lif", (5,), threshold=1.0, decay=0.5),
        ns.Population("output", "lif", (3,), threshold=1.0, decay=0.5),
    )
    return ns.SpikingNetwork(
        populations, (ns.Dense("input", "hidden1", weights[0]), ns.Dense("hidden1", "output", weights[1]))
    )


@pytest.mark.parametrize("updates", ["sum", "mean"])
def test_engines_give_equal_sleeps_and_one_stream_is_a_sleep_as_before(updates: str) -> None:
    net = network()
    slept = [
        ns.sleep(net, drive=Streams(DRIVE, 3, updates), rule=RULE, steps=230, engine=engine, seed=2)
        for engine in ("event", "reference")
    ]
    for a, b in zip(slept[0].network.weights, slept[1].network.weights, strict=True):
        assert torch.equal(a, b)
    assert slept[0].fired == slept[1].fired > 0
    one, plain = (ns.sleep(net, drive=drive, rule=RULE, steps=230, seed=2) for drive in (Streams(DRIVE, 1), DRIVE))
    assert all(torch.equal(a, b) for a, b in zip(one.network.weights, plain.network.weights, strict=True))
    assert one.fired == plain.fired == sum(int(plain.recording.counts[p.name].sum()) for p in net.layers)
    assert not torch.equal(slept[0].network.weights[0], plain.network.weights[0])


def test_each_stream_has_noise_of_its_own_and_a_short_sleep_is_the_start_of_a_long_one() -> None:
    net, seen = network(), []
    record = ns.Record(spikes="all", potentials={"hidden1": "all"}, potentials_every=50)
    drive, still = Streams(DRIVE, 4), ns.SRCRule(0.0, 0.0)
    long, short = (
        ns.sleep(net, drive=drive, rule=still, steps=steps, seed=3, task=1, record=record, watch=seen.append)
        for steps in (230, 70)
    )
    every = DRIVE.draw(numpy_generator(3, "drive", 1, 0), 200, net.dt).to_dense()
    assert torch.equal(long.recording.spikes["input"].slice(0, 50).to_dense(), every[::4])
    for name, events in short.recording.spikes.items():
        assert events.equals(long.recording.spikes[name].slice(0, 70))
    # What is recorded is the first stream, alone; what fired counts all.
    alone = ns.simulate(net, long.recording.spikes["input"], record=ns.Record(spikes="all"), engine="reference")
    assert alone.spikes["hidden1"].equals(long.recording.spikes["hidden1"])
    assert long.recording.states["hidden1"].values.shape == (5, 5)
    recorded = sum(int(long.recording.counts[p.name].sum()) for p in net.layers)
    assert 2 * recorded < long.fired < 8 * recorded
    assert isinstance(seen[0], Moment) and [moment.step for moment in seen] == [50, 100, 150, 200, 230, 50, 70]


def test_limits_hold_for_the_mean_of_streams() -> None:
    net = network()
    fired = ns.sleep(net, drive=Streams(DRIVE, 8), rule=ns.SRCRule(0.0, 0.0), steps=50).fired / 400
    for limit, status in ((1.01 * fired, "done"), (0.99 * fired, "diverged")):
        limits = Limits(spikes=limit)
        slept = ns.sleep(net, drive=Streams(DRIVE, 8), rule=ns.SRCRule(0.0, 0.0), steps=50, limits=limits)
        assert slept.status == status


def test_the_stage_and_the_strategy_read_it() -> None:
    images = torch.rand(20, 6, generator=torch_generator(0, "images"))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5, bias=False), nn.ReLU(), nn.Linear(5, 3, bias=False))
    woken = []
    for stage in (REM(steps=200), REM(steps=200, streams=4), REM(steps=200, streams=4, stream_updates="mean")):
        sleep = Sleep(stages=(stage,), rates=(0.05, 0.05))
        done = ns.consolidate(model, images.mean(0), holdout=None, sleep=sleep, guard=False)
        woken.append(done.model[0].weight.detach().clone())
    assert not torch.equal(woken[0], woken[1]) and not torch.equal(woken[1], woken[2])
    flat = Sleep.src2022(streams=4, stream_updates="mean")
    assert (flat.rem.streams, flat.flat()["stream_updates"]) == (4, "mean")


def refused(kind: type[NeurosleepError], match: str, **options: object) -> None:
    with pytest.raises(kind, match=match):
        Sleep.src2022(**options)


def test_what_makes_no_sense_is_refused_before_anything_is_done() -> None:
    for value in (0, -3, 2.5, "4", True, None):
        refused(SettingsError, "streams", streams=value)
        with pytest.raises(SettingsError, match="streams"):
            Streams(DRIVE, value)  # type: ignore[arg-type]
    refused(UnknownNameError, "median", streams=2, stream_updates="median")
    refused(SettingsError, "stream_updates", stream_updates="mean")
    refused(SettingsError, "sleep.profile", streams=2, profile="loihi1")
    net, calls = network(), []
    noise = dataclasses.replace(Streams(DRIVE, 2), drive=dataclasses.replace(DRIVE, mean=np.full(5, 0.5)))
    with pytest.raises(SettingsError, match="5 inputs"):
        ns.sleep(net, drive=noise, rule=RULE, steps=10, progress=calls.append)
    for rule, why in ((ns.PairSTDP(0.01, 0.01, 0.9, 0.9), "step_streams_"), (RULE, "one stream of noise")):
        with pytest.raises(UnsupportedError, match=why):
            engine = "event" if rule is not RULE else "snntorch"
            ns.sleep(net, drive=Streams(DRIVE, 2), rule=rule, steps=10, engine=engine, progress=calls.append)
    assert calls == []
