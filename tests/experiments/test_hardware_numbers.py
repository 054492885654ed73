"""What a sleep in 8 bits keeps of the gain, on MNIST, by the packaged experiment; and the cliff of small steps."""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import pytest

from neurosleep.experiments import RunRequest, load_settings, run_experiment

DATA = os.environ.get("NEUROSLEEP_DATA")
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(DATA is None, reason="NEUROSLEEP_DATA names no folder with MNIST"),
]


def accuracy(out: Path, strategy: str, variant: str, seeds: tuple[int, ...]) -> float:
    """Mean over seeds, on the validation split; nothing is put on chips."""
    changes = [("data.split", "validation"), ("hardware.profiles", None)]
    changes += [("hardware.images", None), ("hardware.steps", None), ("hardware.allow_split", None)]
    requests = []
    for seed in seeds:
        name, settings = load_settings("on-chips/mnist", strategy=strategy, variant=variant, changes=changes)
        requests.append(RunRequest(name, variant, strategy, seed, settings, DATA, str(out)))
    return statistics.fmean(found["accuracy_all"] for found in run_experiment(requests))


def test_a_sleep_in_8_bits_keeps_four_fifths_of_the_gain(tmp_path: Path) -> None:
    seeds = (100, 101, 102)
    none, floating, chip = (
        accuracy(tmp_path, strategy, variant, seeds)
        for strategy, variant in (("sequential", "default"), ("src", "default"), ("src", "int8-chance"))
    )
    assert floating > none + 0.4
    assert chip - none >= 0.8 * (floating - none)


def test_small_steps_land_by_chance_and_never_by_the_nearest(tmp_path: Path) -> None:
    none = accuracy(tmp_path, "sequential", "default", (100,))
    floating, chance, nearest = (
        accuracy(tmp_path, "src", variant, (100,))
        for variant in ("small-steps", "small-steps-int8-chance", "small-steps-int8-nearest")
    )
    assert chance - none >= 0.8 * (floating - none) > 0.3
    assert abs(nearest - none) < 0.02
