"""What files say of projections: the words and options of every class, as they were before there were classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import neurosleep as ns
from neurosleep.exchange.network_format import network_of, network_parts
from neurosleep.spiking import Conv, Dense, Identity, Pool, Population, Projection, Reshape, SpikingNetwork, Transposed

COMMON = {"source": "a", "target": "b", "scale": 0.5, "delay": 1}


def population(name: str, shape: tuple[int, ...]) -> Population:
    return Population(name, "input" if name == "a" else "lif", shape)


# A projection, the shapes at its ends, and its entry in a file of format 1 (or 2).
CASES: dict[str, tuple[Projection, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "dense": (
        Dense("a", "b", torch.ones(2, 3), scale=0.5, delay=1),
        (3,),
        (2,),
        {"kind": "dense", "plastic": True, "options": []},
    ),
    "conv": (
        Conv("a", "b", torch.ones(2, 1, 3, 2), (2, 1), (1, 0), groups=2, scale=0.5, delay=1),
        (2, 5, 4),
        (2, 3, 3),
        {
            "kind": "conv",
            "plastic": False,
            "options": [["stride", [2, 1]], ["padding", [1, 0]], ["dilation", [1, 1]], ["groups", 2]],
        },
    ),
    "pool": (
        Pool("a", "b", (2,), mode="sum", scale=0.5, delay=1),
        (2, 6),
        (2, 3),
        {
            "kind": "pool",
            "plastic": False,
            "options": [["mode", "sum"], ["kernel", [2]], ["stride", [2]], ["padding", [0]]],
        },
    ),
    "flatten": (
        Reshape("a", "b", scale=0.5, delay=1),
        (2, 3),
        (6,),
        {"kind": "flatten", "plastic": False, "options": []},
    ),
    "identity": (
        Identity("a", "b", scale=0.5, delay=1),
        (4,),
        (4,),
        {"kind": "identity", "plastic": False, "options": []},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_class_as_its_entry_and_back(case: str, tmp_path: Path) -> None:
    projection, before, after, entry = CASES[case]
    network = SpikingNetwork((population("a", before), population("b", after)), (projection,))
    tensors, header = network_parts(network)
    written = json.dumps(header)
    found = json.loads(written)["projections"]
    assert found == [COMMON | entry] and list(found[0]) == [
        "source",
        "target",
        "kind",
        "scale",
        "delay",
        "plastic",
        "options",
    ]
    again = network_of(tensors, json.loads(written))
    assert type(again.projections[0]) is type(projection) and repr(again.projections[0]) == repr(projection)
    assert json.dumps(network_parts(again)[1]) == written
    path = ns.save(network, tmp_path / "network.safetensors") or tmp_path / "network.safetensors"
    loaded = ns.load(path)
    assert json.dumps(network_parts(loaded)[1]) == written
    assert all(torch.equal(a, b) for a, b in zip(loaded.weights, network.weights, strict=True))


def test_a_loop_is_called_recurrent_and_a_transpose_names_its_owner() -> None:
    populations = (population("a", (3,)), population("b", (2,)), population("c", (4,)))
    projections = (
        Dense("a", "b", torch.ones(2, 3)),
        Dense("b", "b", torch.ones(2, 2), delay=1, plastic=False),
        Dense("b", "c", torch.ones(4, 2)),
        Transposed("c", "b", of=("b", "c"), symmetric_rule=True),
        Transposed("c", "b", of=("b", "c"), scale=0.5, delay=2),
    )
    tensors, header = network_parts(SpikingNetwork(populations, projections))
    written = json.dumps(header)
    found = json.loads(written)
    assert [q["kind"] for q in found["projections"]] == ["dense", "recurrent", "dense", "dense", "dense"]
    assert [q["plastic"] for q in found["projections"]] == [True, False, True, True, False]
    owner = {"transpose_of": ["b", "c"]}
    plain = {"source": "c", "target": "b", "kind": "dense", "scale": 1.0, "delay": 1, "plastic": True, "options": []}
    assert found["projections"][3] == plain | owner | {"symmetric_rule": True}
    assert found["projections"][4] == plain | {"scale": 0.5, "delay": 2, "plastic": False} | owner
    assert found["format"] == 2
    assert json.dumps(network_parts(network_of(tensors, found))[1]) == written


@pytest.mark.parametrize(
    ("entry", "before", "after", "expected"),
    [
        # One number for all axes, options left out, and what had no meaning: a plastic pooling.
        ({"kind": "pool", "options": [["kernel", 2]]}, (1, 6), (1, 3), Pool("a", "b", (2,))),
        ({"kind": "pool", "options": [["kernel", 2], ["stride", None]]}, (1, 6, 6), (1, 3, 3), Pool("a", "b", 2)),
        (
            {"kind": "pool", "options": [["kernel", [2, 2]], ["mode", "sum"]]},
            (1, 6, 6),
            (1, 3, 3),
            Pool("a", "b", 2, mode="sum"),
        ),
        ({"kind": "conv", "options": [["stride", 2]]}, (1, 7), (1, 3), Conv("a", "b", torch.ones(1, 1, 3), 2)),
        ({"kind": "recurrent", "options": []}, (1,), (1,), Dense("a", "b", torch.ones(1, 1))),
    ],
)
def test_files_of_before_with_fewer_options(
    entry: dict[str, Any], before: tuple[int, ...], after: tuple[int, ...], expected: Projection
) -> None:
    header = network_parts(SpikingNetwork((population("a", before), population("b", after)), ()))[1]
    header["projections"] = [{"source": "a", "target": "b", "scale": 1.0, "delay": 0, "plastic": True} | entry]
    weight = getattr(expected, "weight", None)
    found = network_of({} if weight is None else {"projection/0/weight": weight}, header).projections[0]
    assert type(found) is type(expected) and repr(found) == repr(expected)


def test_a_plastic_convolution_says_so_with_a_word_of_its_own() -> None:
    """The first files had ``plastic`` true of a convolution that no rule could change."""
    ends = (population("a", (1, 7)), population("b", (1, 5)))
    for plastic in (True, False):
        network = SpikingNetwork(ends, (Conv("a", "b", torch.ones(1, 1, 3), plastic=plastic),))
        tensors, header = network_parts(network)
        (entry,) = header["projections"]
        assert entry["plastic"] is plastic and entry.get("pooled", "none") == (True if plastic else "none")
        assert network_of(tensors, json.loads(json.dumps(header))).projections[0].plastic is plastic
        entry["plastic"] = True
        assert network_of(tensors, header).projections[0].plastic is plastic
