"""What convert makes is a spiking network like any other, and says how it was made."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import neurosleep as ns
from neurosleep.conversion import compare
from neurosleep.functional import torch_generator

IMAGES = torch.rand(12, 6, generator=torch_generator(0, "images"))
DRIVE = ns.MeanDrive(np.full(6, 0.5), 200.0)


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5, bias=False), nn.ReLU(), nn.Linear(5, 3, bias=False))


def pair() -> tuple[ns.ConvertedNetwork, ns.SpikingNetwork]:
    made = ns.convert(model(), IMAGES, recipe="recursive", thresholds=[0.2, 0.05])
    return made, ns.SpikingNetwork(made.populations, made.projections, dt=made.dt)


def content(file: Path) -> object:
    """Its bytes; but safetensors writes the keys of its header in any order, over which the digest is taken too."""
    written = file.read_bytes()
    if file.suffix != ".safetensors":
        return written
    start = 8 + int.from_bytes(written[:8], "little")
    header = json.loads(written[8:start])
    del header["__metadata__"]["neurosleep_sha256"]
    return header, written[start:]


@pytest.mark.parametrize("ending", ["safetensors", "nir"])
def test_its_file_is_that_of_any_spiking_network(ending: str, tmp_path: Path) -> None:
    if ending == "nir":
        pytest.importorskip("nir")
    made, plain = pair()
    ours, theirs = (ns.save(network, tmp_path / f"{k}.{ending}") for k, network in enumerate((made, plain)))
    assert content(ours) == content(theirs)
    loaded = ns.load(ours)
    assert isinstance(loaded, ns.SpikingNetwork) and not isinstance(loaded, ns.ConvertedNetwork)


def test_it_sleeps_wakes_is_mapped_and_simulated_as_any_spiking_network() -> None:
    made, plain = pair()
    ours, theirs = (ns.sleep(n, drive=DRIVE, rule=ns.SRCRule(0.01, 0.001), steps=300) for n in (made, plain))
    assert [w.tolist() for w in ours.network.weights] == [w.tolist() for w in theirs.network.weights]
    assert isinstance(ours.network, ns.ConvertedNetwork) and ours.network.report == made.report
    for a, b in zip(ns.wake(ours.network, model()).parameters(), theirs.network.weights, strict=True):
        assert torch.equal(a, b)
    on_chip = [ns.map_to(network, "generic_int8") for network in (made, plain)]
    assert all(type(network) is type(on_chip[1]) for network in on_chip)
    assert on_chip[0].report == on_chip[1].report and on_chip[0].report.fits
    assert [w.tolist() for w in on_chip[0].weights] == [w.tolist() for w in on_chip[1].weights]
    counts = [ns.simulate(network, IMAGES, 30).counts["output"] for network in (made, plain)]
    assert np.array_equal(*counts)


def test_copies_of_it_keep_the_report() -> None:
    made, _ = pair()
    copies: list[Any] = [
        made.to(torch.float64),
        made.with_thresholds({"output": 2.0}),
        pickle.loads(pickle.dumps(made)),
    ]
    copies += [made.with_weights([2 * w for w in made.weights]), dataclasses.replace(made, dt=0.01)]
    for network in copies:
        assert isinstance(network, ns.ConvertedNetwork) and network.report == made.report


def test_a_network_that_was_not_converted_cannot_be_compared() -> None:
    plain = pair()[1]
    with pytest.raises(ns.ConversionError, match="A SpikingNetwork does not say how it was converted"):
        compare(model(), plain, IMAGES)  # type: ignore[arg-type]


def test_an_equilibrium_network_is_told_which_recipe_it_needs() -> None:
    with pytest.raises(ns.ConversionError, match="type EquilibriumMLP") as refused:
        ns.convert(ns.EquilibriumMLP([6, 5, 3]), IMAGES)
    assert refused.value.hint is not None and "neurosleep.Recursive()" in refused.value.hint


def test_a_class_in_place_of_a_recipe_is_told_what_to_write() -> None:
    with pytest.raises(ns.SettingsError, match="recipe cannot be") as refused:
        ns.convert(model(), IMAGES, recipe=ns.Percentile)  # type: ignore[arg-type]
    assert refused.value.hint == "recipe=Percentile(), an object of the class"


def test_with_a_recipe_that_is_not_named_it_is_the_percentile() -> None:
    outlier = torch.cat([IMAGES, 100 * IMAGES[:1]])
    usual, named, largest = (
        ns.convert(model(), outlier, **given) for given in ({}, {"recipe": "percentile"}, {"recipe": "max"})
    )
    assert usual.report == named.report and usual.report.recipe == ns.Percentile(99.9)
    assert ns.convert(model(), outlier, recipe=ns.Percentile(50)).report.largest < largest.report.largest
