"""What an interpreter and a notebook show of every public value."""

from __future__ import annotations

import builtins
import dataclasses
import functools
import importlib
import inspect
import itertools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import neurosleep as ns
from neurosleep._shown import html_table
from neurosleep.errors import MissingExtraError
from neurosleep.functional import torch_generator

IMAGES = torch.rand(9, 300, generator=torch_generator(0, "images"))
NAME = "a very long name, as files and modules of strangers may have them, " * 20


def network() -> ns.SpikingNetwork:
    torch.manual_seed(0)
    sizes = [300, *[40] * 12, 10]
    layers = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in itertools.pairwise(sizes)]
    made = ns.convert(nn.Sequential(*layers), IMAGES, reset="to_value")
    return ns.SpikingNetwork(made.populations, made.projections)


def recording() -> ns.Recording:
    record = ns.Record(spikes="all", weights="statistics", weights_every=10, potentials={"big": "all"})
    big = ns.Population("big", "lif", (40,), threshold=torch.full((40,), 0.5))
    projection = ns.Dense("input", "big", torch.full((40, 300), 0.01))
    small = ns.SpikingNetwork((ns.Population("input", "input", (300,)), big), (projection,))
    spikes = ns.SpikeEvents.from_dense(torch.rand(50, 300, generator=torch_generator(0, "x")) < 0.3)
    return ns.simulate(small, spikes, record=record, engine="reference")


@functools.cache
def sleep_phase() -> ns.SleepResult:
    chain = ns.convert(nn.Sequential(nn.Linear(300, 40, bias=False)), IMAGES, recipe="recursive")
    drive = ns.MeanDrive(np.full(300, 0.5), 200.0)
    return ns.sleep(chain, drive=drive, rule=ns.SRCRule(0.01, 0.001), steps=20, engine="reference")


def converted() -> Any:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(300, 40), nn.ReLU(), nn.Linear(40, 10))
    return model, ns.convert(model, IMAGES, recipe="max")


def regulation() -> Any:
    return ns.replay.regulate(converted()[0], ns.functional.InputNoise(IMAGES.mean(0)), draws=50)


def spiking_regulation() -> Any:
    oscillation = ns.functional.SlowOscillation(frames=100)
    noise = ns.functional.InputNoise(IMAGES.mean(0))
    return ns.replay.regulate_spikes(converted()[1], noise, oscillation=oscillation, engine="reference")


def chip_regulation() -> Any:
    noise = ns.functional.InputNoise(IMAGES.mean(0))
    network = ns.convert(converted()[0], IMAGES, read_out="spikes")
    oscillation = ns.functional.SlowOscillation(frames=100)
    return ns.hardware.regulate_on_chip(network, noise, "generic_int8", oscillation=oscillation)


def mapped() -> Any:
    return ns.map_to(sleep_phase().network, "generic_int8")


def energy() -> Any:
    rec = ns.simulate(mapped(), IMAGES, 20, coding="bernoulli", engine="fixed")
    return ns.hardware.energy_of(mapped(), rec, "loihi1")


@functools.cache
def regulated() -> ns.Consolidation:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    return ns.consolidate(model, torch.full((4,), 0.5), guard=False)


def consolidated() -> Any:
    sleep = ns.Sleep.src2022(steps=50, thresholds=[1.0], rule=ns.SRCRule(1e-9, 1e-9))
    return ns.consolidate(
        nn.Sequential(nn.Linear(300, 40, bias=False)), mean=IMAGES.mean(0), calibration=IMAGES, sleep=sleep
    )


def rule_of_chip() -> Any:
    return ns.hardware.chip_rule("loihi1", ns.SRCRule(0.3, 0.1, "steep"))


VALUES: dict[str, Callable[[], Any]] = {
    "SpikingNetwork": network,
    "Population": lambda: ns.Population(NAME, "lif", (4, 5, 6), threshold=torch.ones(120), bias=torch.ones(120)),
    "Dense": lambda: ns.Dense(NAME, NAME, torch.ones(300, 400)),
    "Transposed": lambda: ns.Transposed(NAME, NAME, of=(NAME, NAME)),
    "Conv": lambda: ns.Conv(NAME, NAME, torch.ones(30, 40, 3, 3)),
    "Pool": lambda: ns.Pool(NAME, NAME, (2, 3), mode="sum"),
    "Reshape": lambda: ns.Reshape(NAME, NAME),
    "Identity": lambda: ns.Identity(NAME, NAME),
    "Record": lambda: ns.Record(spikes={NAME: np.arange(900)}, groups={NAME: {NAME: np.arange(9)}}),
    "Recording": recording,
    "SpikeMonitor": lambda: recording().monitor("big"),
    "RateMonitor": lambda: recording().rate_monitor("big"),
    "StateMonitor": lambda: recording().state_monitor("big"),
    "NeuronState": lambda: recording().state_monitor("big")[3],
    "SleepSpan": lambda: ns.spiking.SleepSpan("NREM", "up", 0, 50),
    "States": lambda: recording().states["big"],
    "WeightMonitor": lambda: recording().weight_monitor("input -> big"),
    "WeightSamples": lambda: recording().weights["input -> big"],
    "SleepResult": sleep_phase,
    "SpikeEvents": lambda: ns.SpikeEvents.from_dense(torch.ones(50, 300, dtype=torch.bool)),
    "MeanDrive": lambda: ns.MeanDrive(np.full(300, 0.5), 200.0, window=3, image_shape=(15, 20)),
    "PooledSRC": lambda: ns.functional.PooledSRC(0.01, 0.001),
    "SRCRule": lambda: ns.SRCRule(0.01, 0.001),
    "PairSTDP": lambda: ns.PairSTDP(0.01, 0.01, 0.9, 0.9),
    "MultiplicativeSTDP": lambda: ns.functional.MultiplicativeSTDP(0.01, 0.01),
    "TripletSTDP": lambda: ns.functional.TripletSTDP(0.01, 0.01, 0.01, 0.01),
    "SignSTDP": lambda: ns.functional.SignSTDP(0.01),
    "Oja": lambda: ns.functional.Oja(0.01),
    "BCM": lambda: ns.functional.BCM(0.01),
    "ConvertedNetwork": lambda: converted()[1],
    "Balance": lambda: ns.Balance(),
    "Pooling": lambda: ns.networks.Pooling((2, 1)),
    "Feedback": lambda: ns.Feedback(),
    "Homeostasis": lambda: ns.functional.Homeostasis(classes=tuple(range(500)), layers=(NAME,)),
    "InputNoise": lambda: ns.functional.InputNoise(IMAGES.mean(0)),
    "SlowOscillation": lambda: ns.functional.SlowOscillation(),
    "DriveMoments": lambda: ns.functional.DriveMoments(9, torch.zeros(300), torch.zeros(300, 300)),
    "Regulation": regulation,
    "RegulatedLayer": lambda: regulation().layers[0],
    "SpikingRegulation": spiking_regulation,
    "ChipRegulation": chip_regulation,
    "HomeostaticWay": lambda: ns.hardware.homeostatic_ways(ns.load_profile("generic_int8"))[0],
    "PageHinkley": lambda: ns.replay.PageHinkley(threshold=20),
    "Naps": lambda: ns.continual.Naps(every=40, damping=0.5),
    "Guard": lambda: ns.replay.Guard(dampings=tuple((900 - k) / 900 for k in range(900))),
    "NoiseResponse": lambda: ns.replay.NoiseResponse.of(
        nn.Linear(4, 3), ns.functional.InputNoise([0.5] * 4), tuple(range(3))
    ),
    "ReadOptions": lambda: ns.exchange.ReadOptions(NAME, recipe=NAME, external_data=NAME),
    "Maximum": lambda: ns.Maximum(),
    "Percentile": lambda: ns.Percentile(99.9),
    "Ratio": lambda: ns.Ratio(),
    "Recursive": lambda: ns.Recursive(),
    "ConversionReport": lambda: converted()[1].report,
    "CheckedLayer": lambda: ns.conversion.check(nn.Linear(4, 2), (4,)).layers[0],
    "ModelCheck": lambda: ns.conversion.check(nn.Sequential(*[nn.Linear(4, 4), nn.Tanh()] * 20), (4,)),
    "Obstacle": lambda: ns.conversion.check(nn.Sequential(nn.Linear(4, 4), nn.Tanh()), (4,)).obstacles[0],
    "ConversionCheck": lambda: ns.conversion.compare(*converted(), IMAGES, torch.zeros(9, dtype=torch.int64)),
    "LayerCheck": lambda: ns.conversion.compare(*converted(), IMAGES).layers[0],
    "HardwareProfile": lambda: ns.load_profile("loihi1"),
    "Figure": lambda: ns.hardware.Figure("energy.x", 1.0, None),
    "Source": lambda: next(iter(ns.load_profile("loihi1").sources.values())),
    "MappedNetwork": lambda: mapped(),
    "MappedSynapses": lambda: mapped().synapses[0],
    "MappingReport": lambda: mapped().report,
    "LayerReport": lambda: mapped().report.layers[0],
    "MappingFinding": lambda: ns.hardware.MappingFinding("note", NAME, NAME, hint=NAME),
    "Finding": lambda: ns.hardware.Finding("HP001", NAME, NAME, NAME, NAME, NAME),
    "Arithmetic": lambda: mapped().arithmetic,
    "Register": lambda: mapped().arithmetic.membrane,
    "EnergyEstimate": energy,
    "Convention": lambda: energy().conventions[0],
    "Activity": lambda: energy().activity,
    "ChipTime": lambda: ns.hardware.ChipTime(0.1, 2.0, 1.0, (), (NAME,)),
    "Load": lambda: ns.hardware.Load("a", 1.0, 2.0, "b"),
    "ChipRule": rule_of_chip,
    "ChipTerm": lambda: ns.hardware.ChipTerm(1, 2, 3),
    "SleepPart": lambda: ns.hardware.SleepPart(NAME, "chip", NAME),
    "Table": lambda: ns.analysis.Table({f"{k} {NAME}": np.arange(500) for k in range(9)}),
    "SpikeTrains": lambda: ns.analysis.spike_trains(recording(), "big"),
    "TTest": lambda: ns.analysis.welch_test(np.array([1.0, 2.0]), np.array([2.0, 4.0])),
    "Dataset": lambda: ns.load_dataset("mnist-mini"),
    "Limits": lambda: ns.Limits(spikes=3.0),
    "Streams": lambda: ns.replay.Streams(ns.MeanDrive(np.full(300, 0.5), 200.0), 32),
    "LayerChange": lambda: consolidated().report.layers[0],
    "SleepReport": lambda: consolidated().report,
    "MovedAnswers": lambda: ns.replay.MovedAnswers(torch.arange(90) % 10, torch.arange(90) % 9),
    "Divergence": lambda: ns.replay.Divergence(3, "a -> b", 2.0),
    "Moment": lambda: ns.replay.Moment(1, 2, 1, 0.001, dict.fromkeys("abcdefghij", 1), network),
    "HeterogeneousSteps": lambda: ns.functional.HeterogeneousSteps("log-normal"),
    "Backprop": lambda: ns.learning.Backprop(),
    "BPTT": lambda: ns.learning.BPTT(),
    "ContrastiveHebbian": lambda: ns.learning.ContrastiveHebbian(),
    "EquilibriumPropagation": lambda: ns.learning.EquilibriumPropagation(),
    "SGD": lambda: ns.learning.SGD(),
    "Adam": lambda: ns.learning.Adam(),
    "AdaGrad": lambda: ns.learning.AdaGrad(),
    "Batch": lambda: ns.learning.Batch(IMAGES, IMAGES, [IMAGES] * 9, 0.5),
    "REM": lambda: ns.replay.REM(),
    "Sleep": lambda: ns.replay.Sleep(),
    "NREM": lambda: ns.replay.NREM(form="rates"),
    "StageOutcome": lambda: regulated().stages[0],
    "Consolidation": lambda: regulated(),
    "RegulatedLayers": lambda: regulated().stages[0].regulated,
}
# Kinds of things that a library is, and not values that it gives.
NO_VALUES = {
    *(
        "Task",
        "Extractor",
        "Learner",
        "Progress",
        "RunRequest",
        "TuneRequest",
        "Activation",
        "PhasedLearning",
        "Projection",
    ),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_shows_itself_in_one_short_line(name: str) -> None:
    value = VALUES[name]()
    assert type(value).__name__ == name
    line = repr(value)
    assert name in line and len(line) < 300 and "\n" not in line and "tensor(" not in line and "array(" not in line


def test_every_public_dataclass_is_looked_at() -> None:
    classes = {
        name
        for package in ns._SUBPACKAGES
        for name in getattr(getattr(ns, package), "__all__", ())
        for one in [getattr(getattr(ns, package), name)]
        if inspect.isclass(one) and dataclasses.is_dataclass(one)
    }
    assert classes - NO_VALUES <= set(VALUES)


TABLES = [
    "SpikingNetwork",
    "MappedNetwork",
    "Recording",
    "SleepResult",
    "SpikeMonitor",
    "RateMonitor",
    "StateMonitor",
    "WeightMonitor",
    "SleepReport",
    "ConversionReport",
]
TABLES += ["ConvertedNetwork", "ConversionCheck", "MappingReport", "EnergyEstimate", "Table", "Consolidation"]
TABLES += ["MovedAnswers", "RegulatedLayers"]
TABLES += ["ModelCheck"]


@pytest.mark.parametrize("name", TABLES)
def test_a_notebook_shows_a_table(name: str) -> None:
    value = VALUES[name]()
    shown = value._repr_html_()
    assert shown.count("<table>") == shown.count("</table>") >= 1 and shown.count("<tr>") > 1
    assert len(shown) < 30_000


def test_the_weights_of_single_synapses_are_a_table_too() -> None:
    pairs = ns.Record(weights={"input -> big": [(2, 1), (0, 3)]}, weights_every=5)
    drive = ns.MeanDrive(np.full(12, 0.5), 100.0)
    small = ns.SpikingNetwork(
        (ns.Population("input", "input", (12,)), ns.Population("big", "lif", (4,))),
        (ns.Dense("input", "big", torch.ones(4, 12)),),
    )
    monitor = ns.sleep(small, drive=drive, rule=ns.SRCRule(0.01, 0.001), steps=20, record=pairs).recording
    shown = monitor.weight_monitor("input -> big")._repr_html_()
    assert "<td>2 &lt;- 1</td><td>1</td>" in shown and shown.count("<tr>") == 3


def test_names_in_tables_are_no_html() -> None:
    made = html_table([{"<b>": "<script>", "x": None}], title="<i>")
    assert "<script>" not in made and "<b>" not in made and "&lt;script&gt;" in made and "&lt;i&gt;" in made
    hostile = ns.SpikingNetwork((ns.Population("<script>", "input", (3,)),), ())
    assert "<script>" not in hostile._repr_html_()
    assert "and 60 more rows" in html_table([{"a": 1}] * 100)


def test_a_mapped_network_says_where_it_is() -> None:
    made = mapped()
    assert str(made).startswith("MappedNetwork on generic_int8") and "MappedNetwork on generic_int8" in repr(made)


FRAMES = ["Table", "SleepReport", "ConversionReport", "ConversionCheck", "MappingReport", "EnergyEstimate"]
FRAMES += ["Consolidation", "MovedAnswers", "RegulatedLayers"]
FRAMES += ["ModelCheck"]


@pytest.mark.parametrize("name", FRAMES)
def test_tables_become_data_frames(name: str) -> None:
    pytest.importorskip("pandas")
    value = VALUES[name]()
    frame, rows = value.to_pandas(), value.rows()
    assert list(frame.columns) == list(rows[0]) and len(frame) == len(rows)
    assert str(frame.iloc[0, 0]) == str(rows[0][frame.columns[0]])


def test_a_missing_pandas_is_said_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return usual(name, *rest)

    monkeypatch.delitem(sys.modules, "pandas", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"neurosleep\[pandas\]"):
        ns.analysis.Table({"a": [1]}).to_pandas()


def test_nothing_imports_pandas_by_itself() -> None:
    for name in ("analysis", "hardware", "conversion"):
        assert "pandas" not in vars(importlib.import_module(f"neurosleep.{name}"))
