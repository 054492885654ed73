"""Spikes of mapped networks against the arithmetic of chips in oracles/, from the sources that profiles cite.

The networks are integers that a chip holds as they are, so that what its integers have to be is known beforehand.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch

import neurosleep as ns
from neurosleep.spiking import Dense, Population, SpikingNetwork
from oracles.layer import Neurons, Step, Whole, generic
from oracles.loihi import lava
from oracles.odin import odin
from oracles.speck import speck
from oracles.spinnaker import spinnaker
from oracles.truenorth import truenorth
from oracles.xylo import xylo


class Chip(NamedTuple):
    profile: str
    oracle: Callable[[Neurons], Step]
    largest: int  # weight that fills the chip's range
    every: int = 1  # weights are multiples of it
    decays: tuple[int, ...] = (0,)
    currents: tuple[int, ...] = (4096,)
    biases: tuple[int, ...] = (0,)
    subtract: tuple[bool, ...] = (False,)
    fires_at: tuple[bool, ...] = (False,)
    first: int = 0  # steps until inputs arrive, and until spikes of neurons do
    later: int = 0


ANY = (0, 1, 40, 205, 4000)
CHIPS = (
    Chip("loihi1", lava, 254, 2, decays=ANY, currents=(4096, 2048, 300, 1), later=1),
    Chip("loihi1", lava, 254, 2, decays=ANY, biases=(0, -3, 50), later=1),
    Chip("loihi1", lava, 255, decays=ANY, biases=(0, 7), later=1),
    Chip("loihi2", lava, 127, decays=ANY, currents=(4096, 2048, 300, 1), subtract=(False, True), later=1),
    Chip("loihi2", lava, 127, decays=ANY, biases=(0, -3, 50), later=1),
    Chip("loihi2", lava, 255, decays=ANY, biases=(0, 7), later=1),
    Chip("generic_int8", generic, 127, decays=ANY, biases=(0, 9), subtract=(False, True), fires_at=(True,)),
    Chip(
        "xylo_a2",
        xylo,
        127,
        decays=(1, 2, 5),
        currents=(0, 1, 3),
        biases=(0,),
        subtract=(True,),
        fires_at=(True, False),
    ),
    Chip("xylo_a2", xylo, 127, decays=(1, 4), currents=(0,), biases=(-4, 11), subtract=(True,), fires_at=(True, False)),
    Chip("speck2f", speck, 127, biases=(0, -5, 12), subtract=(True, False), fires_at=(True, False)),
    Chip("truenorth", truenorth, 255, biases=(0, -5, 30), subtract=(True, False), fires_at=(True,), first=1, later=1),
    Chip("odin", odin, 7, fires_at=(True,)),
    Chip("spinnaker1", spinnaker, 100, decays=ANY, biases=(0, 3), fires_at=(True, False), first=1, later=1),
)


def weights_for(chip: Chip, shape: tuple[int, int], rng: np.random.Generator) -> Whole:
    """Integers over all of the chip's range, whose ends they hold."""
    if chip.profile == "truenorth":  # one value of each sign for a neuron
        values = np.stack([np.full(shape[0], -100), np.zeros(shape[0]), np.full(shape[0], chip.largest)], 1)
        found = np.take_along_axis(values, rng.integers(0, 3, shape), 1).astype(np.int64)
        found[:, 0] = chip.largest
        return found
    least = 0 if chip.largest == 255 else -chip.largest
    found = rng.integers(least // chip.every, chip.largest // chip.every + 1, shape) * chip.every
    if chip.profile == "odin":  # the sign is that of what sends
        found = np.abs(found) * np.where(np.arange(shape[1]) % 4 == 3, -1, 1)
    found[0, 0] = chip.largest
    if least and chip.oracle is not odin:
        found[0, 1] = least
    return np.asarray(found, dtype=np.int64)


def factor(chip: Chip, loss: int) -> float:
    return 1 - 2.0**-loss if chip.oracle is xylo else 1 - loss / 4096


def spiking(chip: Chip, layers: list[Neurons], weights: list[Whole]) -> SpikingNetwork:
    populations = [Population("input", "input", (weights[0].shape[1],))]
    for k, p in enumerate(layers):
        current = factor(chip, p.current)
        populations.append(
            Population(
                f"layer{k}",
                "cuba_lif" if current else "lif",
                (p.n,),
                threshold=float(p.threshold),
                decay=factor(chip, p.decay),
                synaptic_decay=current,
                bias=float(p.bias),
                reset="subtract" if p.subtract else "to_value",
                compare=">=" if p.fires_at else ">",
            )
        )
    names = [p.name for p in populations]
    return SpikingNetwork(
        tuple(populations),
        tuple(Dense(a, b, torch.from_numpy(w).double()) for a, b, w in zip(names, names[1:], weights, strict=False)),
    )


def drawn(chip: Chip, seed: int) -> tuple[list[Neurons], list[Whole], Whole]:
    rng = np.random.default_rng(seed)
    sizes = (12, 9, 6)
    layers = []
    for n in sizes[1:]:
        low, high = (12, 60) if chip.oracle is odin else (chip.largest // 2, 6 * chip.largest)
        layers.append(
            Neurons(
                n,
                int(rng.integers(low, high)),
                *(int(rng.choice(values)) for values in (chip.decays, chip.currents, chip.biases)),
                *(bool(rng.choice(values)) for values in (chip.subtract, chip.fires_at)),
            )
        )
    weights = [weights_for(chip, (after, before), rng) for before, after in itertools.pairwise(sizes)]
    return layers, weights, (rng.random((200, sizes[0])) < 0.3).astype(np.int64)


def by_oracle(chip: Chip, layers: list[Neurons], weights: list[Whole], inputs: Whole) -> list[Whole]:
    steps = [chip.oracle(p) for p in layers]
    trains = [inputs]
    found = []
    for k, p in enumerate(layers):
        late = chip.later if k else chip.first
        sent = np.concatenate([np.zeros((late, trains[-1].shape[1]), dtype=np.int64), trains[-1]])[: len(inputs)]
        fired = np.stack([steps[k](weights[k], row) for row in sent]).astype(np.int64)
        assert fired.shape == (len(inputs), p.n)
        found.append(fired)
        trains.append(fired)
    return found


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: f"{chip.profile}-{chip.largest}-{len(chip.biases)}")
@pytest.mark.parametrize("seeds", [range(6), pytest.param(range(6, 200), marks=pytest.mark.full)], ids=["few", "many"])
def test_spikes_are_those_of_the_chips_arithmetic(chip: Chip, seeds: range) -> None:
    spikes = 0
    for seed in seeds:
        layers, weights, inputs = drawn(chip, seed)
        expected = by_oracle(chip, layers, weights, inputs)
        mapped = ns.map_to(spiking(chip, layers, weights), chip.profile)
        record = ns.Record(spikes="all")
        found = ns.simulate(mapped, torch.from_numpy(inputs).bool(), engine="fixed", record=record).spikes
        for k, trains in enumerate(expected):
            got = found[f"layer{k}"].to_dense().long().numpy()
            assert np.array_equal(got, trains), f"seed {seed}, layer {k}: {(got != trains).sum()} of {trains.sum()}"
            spikes += int(trains.sum())
    assert spikes > 50 * len(seeds)
