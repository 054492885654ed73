"""Public verbs leave torch's threads and the global random generators as they found them."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import neurosleep as ns
from neurosleep.conversion import compare, sleeping_chain
from neurosleep.data import class_incremental
from neurosleep.errors import NeurosleepError
from neurosleep.experiments import RunRequest, apply_changes, load_settings, run_experiment
from neurosleep.functional import torch_generator
from neurosleep.networks import DendriticMLP, EquilibriumConv, EquilibriumMLP

# None of these tests looks at a figure.
pytestmark = pytest.mark.usefixtures("no_run_figures")

X = torch.rand(20, 12, generator=torch.Generator().manual_seed(0))
DRIVE = ns.MeanDrive(np.full(12, 0.5), 200.0)
RULE = ns.SRCRule(1e-4, 1e-5)


MODEL = nn.Sequential(nn.Linear(12, 10, bias=False), nn.ReLU(), nn.Linear(10, 3, bias=False))
with torch.no_grad():
    for layer, seed in ((MODEL[0], 1), (MODEL[2], 2)):
        layer.weight.copy_(torch.rand(layer.weight.shape, generator=torch.Generator().manual_seed(seed)))


def states() -> tuple[Any, ...]:
    kind, keys, *rest = np.random.get_state()
    return (
        torch.get_num_threads(),
        torch.get_rng_state().tolist(),
        kind,
        np.asarray(keys).tolist(),
        rest,
        random.getstate(),
    )


def request(out: Path, strategy: str, *changes: tuple[str, Any]) -> RunRequest:
    small = [("data.name", "mnist-mini"), ("data.images_per_task", 100), ("network.sizes", [784, 10, 10, 10])]
    small += [("wake.epochs", 1), ("sleep.steps", 20), *changes]
    settings = apply_changes(load_settings("src2022/mnist")[1], small)
    return RunRequest("src2022/mnist", "small", strategy, 0, settings, None, str(out))


def sleep_phase(engine: str) -> object:
    network = ns.convert(MODEL, X, recipe="recursive")
    return ns.sleep(network, drive=DRIVE, rule=RULE, steps=20, engine=engine)


def saved(path: Path, name: str) -> object:
    ns.save(ns.convert(MODEL, X, recipe="recursive"), path / name)
    return ns.load(path / name)


VERBS: dict[str, Callable[[Path], object]] = {
    "convert": lambda path: ns.convert(MODEL, X, recipe="recursive"),
    "convert traced": lambda path: ns.convert(MODEL, X, recipe="percentile"),
    "convert balance": lambda path: ns.convert(MODEL, X, recipe="balance"),
    "sleeping_chain": lambda path: sleeping_chain(MODEL, X),
    "wake": lambda path: ns.wake(ns.convert(MODEL, X, recipe="recursive"), MODEL),
    "thresholds_for_rates": lambda path: ns.thresholds_for_rates(
        ns.convert(MODEL, X, recipe="recursive"), DRIVE, [0.02] * 2
    ),
    "consolidate": lambda path: ns.consolidate(
        MODEL, mean=X.mean(0), calibration=X, sleep=ns.Sleep.src2022(rates=[0.02] * 2, rule=RULE, steps=20)
    ),
    "simulate": lambda path: ns.simulate(ns.convert(MODEL, X, recipe="max"), X, steps=20),
    "simulate recorded": lambda path: ns.simulate(
        ns.convert(MODEL, X, recipe="max"), X[0], steps=20, record=ns.Record(spikes="all")
    ),
    "compare": lambda path: compare(MODEL, ns.convert(MODEL, X, recipe="max"), X, steps=20),
    "map_to": lambda path: ns.map_to(ns.convert(MODEL, X, recipe="recursive"), "loihi1"),
    "save and load": lambda path: saved(path, "network.safetensors"),
    "load_dataset": lambda path: ns.load_dataset("mnist-mini"),
    "class_incremental": lambda path: class_incremental(ns.load_dataset("mnist-mini")),
    "MLP": lambda path: ns.MLP([12, 5, 3], generator=torch_generator(0, "init")),
    "EquilibriumMLP": lambda path: EquilibriumMLP([12, 5, 3], generator=torch_generator(0, "init")),
    "DendriticMLP": lambda path: DendriticMLP([12, 5, 3], generator=torch_generator(0, "init")),
    "EquilibriumConv": lambda path: EquilibriumConv((8, 8, 1), [2], fc=(5, 3), generator=torch_generator(0, "init")),
    "run_experiment": lambda path: run_experiment([request(path, "src"), request(path, "rehearsal")]),
    "run_experiment refused": lambda path: run_experiment([request(path, "src", ("data.name", "nowhere"))]),
    **{
        f"sleep in {engine}": lambda path, engine=engine: sleep_phase(engine)
        for engine in ("event", "reference", "snntorch")
    },
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_leaves_threads_and_generators_as_they_are(verb: str, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # what no part of the package would set
    before = states()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ns.NeurosleepWarning)
            try:
                VERBS[verb](tmp_path)
            except NeurosleepError:
                assert verb.endswith("refused")
        assert states() == before
    finally:
        torch.set_num_threads(threads)
