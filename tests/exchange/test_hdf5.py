"""HDF5 files from strangers: nothing outside them is opened, memory is bounded, and they end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import neurosleep as ns
from neurosleep.errors import NeurosleepError
from neurosleep.exchange import read_nir
from neurosleep.spiking import Dense, Population, SpikingNetwork

h5py = pytest.importorskip("h5py")
pytest.importorskip("nir")


def small() -> SpikingNetwork:
    populations = (Population("in", "input", (4,)), Population("a", "lif", (3,), decay=torch.rand(3)))
    return SpikingNetwork(populations, (Dense("in", "a", torch.rand(3, 4)),))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return ns.save(small(), tmp_path / "net.nir")


def external_link(file: Any, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["weight"] = np.ones((3, 4), dtype=np.float32)
    del file["node/nodes/in_to_a/weight"]
    file["node/nodes/in_to_a/weight"] = h5py.ExternalLink(str(folder / "other.h5"), "weight")


def soft_link(file: Any, folder: Path) -> None:
    file["node/nodes/again"] = h5py.SoftLink("/node")


def loop(file: Any, folder: Path) -> None:
    file["node/nodes/again"] = file["node"]


def external_storage(file: Any, folder: Path) -> None:
    (folder / "secret").write_bytes(bytes(48))
    del file["node/nodes/in_to_a/weight"]
    file["node/nodes/in_to_a"].create_dataset("weight", (3, 4), "f4", external=[(str(folder / "secret"), 0, 48)])


def virtual(file: Any, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["weight"] = np.ones((3, 4), dtype=np.float32)
    layout = h5py.VirtualLayout((3, 4), "f4")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "weight", (3, 4))
    del file["node/nodes/in_to_a/weight"]
    file["node/nodes/in_to_a"].create_virtual_dataset("weight", layout)


def declared(file: Any, folder: Path) -> None:
    del file["node/nodes/in_to_a/weight"]
    file["node/nodes/in_to_a"].create_dataset("weight", (2**20, 2**20), "f4", chunks=(1024, 1024), compression="gzip")


def packed(file: Any, folder: Path) -> None:
    for k in range(3):
        file["node/nodes/in_to_a"].create_dataset(f"w{k}", data=np.zeros(2**24), compression="gzip", chunks=(2**18,))


def many(file: Any, folder: Path) -> None:
    for k in range(60_000):
        file["node/nodes/in_to_a"].create_group(f"g{k}")


def deep(file: Any, folder: Path) -> None:
    group = file["node"]
    for _ in range(60):
        group = group.create_group("metadata" if group.name == "/node" and "metadata" not in group else "x")


def reference(file: Any, folder: Path) -> None:
    file["node/nodes/in_to_a"].create_dataset("more", data=file.ref, dtype=h5py.ref_dtype)


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (external_link, "has a link at 'node/nodes/in_to_a/weight'"),
        (soft_link, "has a link"),
        (loop, "the same group or data set twice"),
        (external_storage, "keeps its data in another file"),
        (virtual, "virtual data set"),
        (declared, "declares 4398046511104 bytes and holds 0"),
        (packed, "unpacks to too many bytes"),
        (many, "holds more than"),
        (deep, "groups within groups"),
        (reference, "has data of type object"),
    ],
)
def test_hostile_files_are_refused(attack: Callable[[Any, Path], None], words: str, path: Path, tmp_path: Path) -> None:
    with h5py.File(path, "a") as file:
        attack(file, tmp_path)
    with pytest.raises(NeurosleepError, match=words):
        read_nir(path)
