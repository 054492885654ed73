"""Recordings of a slow oscillation: nothing changes by them, they fit what was counted, and files keep them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import neurosleep as ns
from neurosleep.errors import DataError, SettingsError
from neurosleep.functional import InputNoise, SlowOscillation
from neurosleep.replay import NREM, REM, Sleep, SpikingRegulation, regulate_spikes
from neurosleep.spiking import Record, Recording, SleepSpan

OSCILLATION = SlowOscillation(frames=30, up=12, down=5, settle=2)


def _model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 4))


def _slept(engine: str, record: Record | None, noise: InputNoise) -> SpikingRegulation:
    network = ns.convert(_model(), noise.frames(100, seed=0))
    return regulate_spikes(network, noise, oscillation=OSCILLATION, engine=engine, record=record)


@pytest.mark.parametrize("engine", ["reference", "event"])
@pytest.mark.parametrize("graded", [False, True])
def test_a_recording_changes_nothing_and_holds_every_spike_of_the_up_states(engine: str, graded: bool) -> None:
    mean = torch.linspace(0.1, 0.9, 12)
    noise = InputNoise(mean, mean / 2 if graded else None)
    plain, watched = _slept(engine, None, noise), _slept(engine, Record(spikes="all"), noise)
    assert plain.recording is None and watched.recording is not None
    for one, other in zip(plain.network.weights, watched.network.weights, strict=True):
        assert torch.equal(one, other)
    for layer, other in zip(plain.layers, watched.layers, strict=True):
        assert torch.equal(layer.mean_after, other.mean_after)
    recording = watched.recording
    assert recording.steps == 2 * OSCILLATION.steps and recording.engine == engine
    assert set(recording.spikes) == {"hidden1"} | (set() if graded else {"input"})
    dense = recording.spikes["hidden1"].to_dense().numpy().reshape(2, 30, 17, 20)
    assert dense[:, :, :12].any() and not dense[:, :, 12:].any()
    # The last pass is the one whose rates are reported: of the counted steps.
    assert dense[1, :, 2:12].mean((0, 1)) / 0.001 == pytest.approx(watched.rates["hidden1"].numpy())
    if not graded:
        frames = recording.spikes["input"].to_dense().numpy().reshape(2, 30, 17, 12)[:, :, :12]
        assert np.array_equal(frames[0, :, 0], noise.frames(30, seed=0).numpy())
        assert (frames == frames[:1, :, :1]).all()


def _convolutional() -> nn.Sequential:
    torch.manual_seed(0)
    parts = [nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 2), nn.ReLU(), nn.AvgPool2d(2)]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(4, 3)).double()


@pytest.mark.parametrize(("make", "shape"), [(_model, (12,)), (_convolutional, (1, 6, 6))])
def test_both_engines_record_the_same_spikes(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    noise, every = InputNoise(torch.linspace(0.1, 0.9, math.prod(shape)).reshape(shape)), Record(spikes="all")
    network = ns.convert(make(), noise.frames(100, seed=0))
    one, other = (
        regulate_spikes(network, noise, oscillation=OSCILLATION, engine=engine, record=every).recording
        for engine in ("reference", "event")
    )
    assert one is not None and other is not None
    assert all(events.count for events in one.spikes.values())
    for name, events in one.spikes.items():
        assert np.array_equal(events.indices, other.spikes[name].indices)
        assert np.array_equal(events.offsets, other.spikes[name].offsets)


def test_the_hypnogram_covers_the_sleep_and_comes_back_from_a_file(tmp_path: Path) -> None:
    recording = _slept("reference", Record(spikes="all"), InputNoise(torch.full((12,), 0.5))).recording
    assert recording is not None
    spans = recording.hypnogram
    assert spans[:3] == (
        SleepSpan("NREM", "up", 0, 12),
        SleepSpan("NREM", "down", 12, 5),
        SleepSpan("NREM", "up", 17, 12),
    )
    assert [span.start for span in spans[1:]] == [span.stop for span in spans[:-1]]
    assert spans[-1].stop == recording.steps
    read = Recording.open(recording.to_npz(tmp_path / "sleep.npz"))
    assert read.hypnogram == spans and np.array_equal(read.spikes["input"].indices, recording.spikes["input"].indices)
    without = Recording(3, 0.001, {"output": np.zeros(2, np.int64)})
    assert Recording.open(without.to_npz(tmp_path / "none.npz")).hypnogram == ()


@pytest.mark.filterwarnings("ignore:Not one neuron fired")
def test_consolidate_tells_all_stages_of_all_cycles() -> None:
    sleep = Sleep(stages=[NREM(oscillation=OSCILLATION), REM(ns.SRCRule(0.01, 0.001), steps=40)], cycles=2)
    model = nn.Sequential(nn.Linear(12, 20, bias=False), nn.ReLU(), nn.Linear(20, 4, bias=False))
    result = ns.consolidate(model, torch.full((12,), 0.5), sleep=sleep, record=Record(spikes="all"), guard=False)
    spans = result.hypnogram
    assert [(span.stage, span.cycle) for span in spans if span.stage == "REM"] == [("REM", 1), ("REM", 2)]
    assert spans[-1].stop == 2 * (2 * OSCILLATION.steps + 40) == sum(span.length for span in spans)
    assert result.recording is not None and result.recording.hypnogram == (SleepSpan("REM", "tonic", 0, 40, 2),)
    assert result.stages[0].recording is not None and result.stages[0].recording.spikes["hidden1"].count > 0


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    noise = InputNoise(torch.full((12,), 0.5))
    with pytest.raises(SettingsError, match="weights"):
        _slept("reference", Record(weights="statistics"), noise)
    sleep = Sleep(stages=[NREM(form="rates")])
    with pytest.raises(SettingsError, match="record"):
        ns.consolidate(_model(), torch.full((12,), 0.5), sleep=sleep, record=Record(spikes="all"))
    with pytest.raises(SettingsError, match="potentials"):
        ns.consolidate(_model(), torch.full((12,), 0.5), record=Record(potentials={"output": "all"}))
    counts = {"output": np.zeros(2, np.int64)}
    for spans in (
        [SleepSpan("REM", "tonic", 0, 4)],
        [SleepSpan("REM", "tonic", 1, 1), SleepSpan("REM", "tonic", 0, 1)],
    ):
        with pytest.raises(SettingsError, match="hypnogram"):
            Recording(3, 0.001, counts, hypnogram=tuple(spans))
    with pytest.raises(SettingsError, match="dreaming"):
        SleepSpan("REM", "dreaming", 0, 4)  # type: ignore[arg-type]
    path = Recording(3, 0.001, counts, hypnogram=(SleepSpan("REM", "tonic", 0, 3),)).to_npz(tmp_path / "damaged.npz")
    arrays = dict(np.load(path))
    arrays["about"] = np.array(str(arrays["about"]).replace('"tonic"', '"moonlit"'))
    np.savez(path, **arrays)
    with pytest.raises(DataError, match="damaged"):
        Recording.open(path)
