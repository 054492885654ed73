"""Recordings as event data of NIR: to files and back, in NIR's own hands, and from files that nobody should trust."""

from __future__ import annotations

from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
import torch

import neurosleep as ns
from neurosleep.errors import DataError, ExchangeError, SettingsError, UnsupportedError
from neurosleep.exchange import from_nir_data, read_nir_data, to_nir, to_nir_data, write_nir_data
from neurosleep.functional import SpikeEvents
from neurosleep.spiking import Dense, Population, Record, Recording, SpikingNetwork

DT = (0.001, 0.0003, 0.1, 1 / 3)


def recording(seed: int = 0, steps: int = 400, dt: float = 0.001) -> Recording:
    rng = np.random.default_rng(seed)
    spikes = {name: SpikeEvents.from_dense(rng.random((steps, n)) < 0.1) for name, n in (("input", 5), ("output", 3))}
    return Recording(steps, dt, {name: e.counts() for name, e in spikes.items()}, spikes=spikes)


def equal(a: Recording, b: Recording) -> bool:
    return (
        (a.steps, a.dt) == (b.steps, b.dt)
        and set(a.spikes) == set(b.spikes)
        and all(a.spikes[name].equals(b.spikes[name]) for name in a.spikes)
        and all(np.array_equal(a.counts[name], b.counts[name]) for name in a.counts)
    )


@pytest.mark.parametrize("dt", DT)
def test_spikes_come_back_from_data_and_from_files(tmp_path: Path, dt: float) -> None:
    for seed, steps in enumerate((1, 7, 400, 3000)):
        given = recording(seed, steps, dt)
        assert equal(given, from_nir_data(to_nir_data(given), dt))
        assert equal(given, read_nir_data(write_nir_data(given, tmp_path / f"{seed}.nir"), dt))


@pytest.mark.parametrize("dt", DT)
def test_nirs_own_functions_see_the_same_spikes(tmp_path: Path, dt: float) -> None:
    given = recording(1, 3000, dt)
    write_nir_data(given, tmp_path / "a.nir")
    for data in (to_nir_data(given), nir.read_data(str(tmp_path / "a.nir"))):
        for name, events in given.spikes.items():
            gridded = data.nodes[name].observables["spikes"].to_time_gridded(dt)
            np.testing.assert_array_equal(gridded.data[0], events.to_dense(torch.bool).numpy())


def test_what_nir_writes_can_be_read(tmp_path: Path) -> None:
    given = recording(2)
    dense = {name: events.to_dense(torch.bool).numpy() for name, events in given.spikes.items()}
    two = {name: np.stack([np.zeros_like(d), d]) for name, d in dense.items()}
    gridded = nir.NIRGraphData(
        {name: nir.NIRNodeData({"spikes": nir.TimeGriddedData(d, 0.001)}) for name, d in two.items()}
    )
    nir.write_data(tmp_path / "grid.nir", gridded)
    assert equal(given, read_nir_data(tmp_path / "grid.nir", 0.001, sample=1))
    assert equal(given, from_nir_data(gridded, 0.001, sample=1))
    assert read_nir_data(tmp_path / "grid.nir", 0.001).counts["input"].sum() == 0
    shifted = nir.NIRGraphData(
        {
            name: nir.NIRNodeData({"sent": nir.TimeGriddedData(d, 0.001).to_event(2000, time_shift=0.0004)})
            for name, d in two.items()
        }
    )
    nir.write_data(tmp_path / "events.nir", shifted)
    assert equal(given, read_nir_data(tmp_path / "events.nir", 0.001, sample=1))


def test_names_are_those_of_the_graph_and_potentials_go_along(tmp_path: Path) -> None:
    network = SpikingNetwork(
        (Population("input", "input", (4,)), Population("hidden1", "lif", (3,), decay=0.9)),
        (Dense("input", "hidden1", torch.rand(3, 4, generator=torch.Generator().manual_seed(0))),),
    )
    spikes = torch.rand(50, 4, generator=torch.Generator().manual_seed(1)) < 0.3
    record = Record(spikes="all", potentials={"hidden1": "all"}, potentials_every=10)
    found = ns.simulate(network, spikes, record=record)
    data = to_nir_data(found)
    data.check_nodes(to_nir(network))
    v = data.nodes["hidden1"].observables["v"]
    np.testing.assert_array_equal(v.data[0], found.state_monitor("hidden1").values())
    assert v.dt == pytest.approx(0.01)
    read = nir.read_data(str(write_nir_data(found, tmp_path / "a.nir")))
    np.testing.assert_array_equal(read.nodes["hidden1"].observables["v"].data, v.data)
    assert equal(Recording(50, 0.001, found.counts, spikes=found.spikes), read_nir_data(tmp_path / "a.nir", 0.001))


@pytest.mark.parametrize("steps", [0, 1, 10])
def test_silence_and_single_spikes(tmp_path: Path, steps: int) -> None:
    for count in (0, min(steps, 1)):
        dense = np.zeros((steps, 2), dtype=bool)
        dense[:count, 1] = True
        events = SpikeEvents.from_dense(dense)
        given = Recording(steps, 0.001, {"a": events.counts()}, spikes={"a": events})
        assert equal(given, from_nir_data(to_nir_data(given), 0.001))
        assert equal(given, read_nir_data(write_nir_data(given, tmp_path / f"{count}.nir"), 0.001))


def test_what_has_no_place_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = recording()
    with pytest.raises(DataError, match="nothing that NIR"):
        to_nir_data(Recording(4, 0.001, given.counts))
    some = Recording(400, 0.001, given.counts, spikes=given.spikes, kept={"input": np.array([1])})
    with pytest.raises(UnsupportedError, match="only 1 of 5 neurons of 'input'"):
        to_nir_data(some)
    events = given.spikes["input"]
    with pytest.raises(ExchangeError, match="no place for a population named 'a/b'"):
        write_nir_data(Recording(400, 0.001, {"a/b": events.counts()}, spikes={"a/b": events}), tmp_path / "a.nir")
    with pytest.raises(ExchangeError, match="cannot be written"):
        write_nir_data(given, tmp_path / "missing" / "a.nir")
    for dt in (0, -1, float("nan"), True):
        with pytest.raises(SettingsError, match="dt, the length of a step in seconds, cannot be"):
            from_nir_data(to_nir_data(given), dt)
    with pytest.raises(ExchangeError, match=r"spikes twice(.|\n)*shorter dt"):
        from_nir_data(to_nir_data(recording(0, 400)), 0.01)
    with pytest.raises(ExchangeError, match="no sample 1"):
        from_nir_data(to_nir_data(given), 0.001, sample=1)
    monkeypatch.delattr(nir, "NIRGraphData")
    with pytest.raises(UnsupportedError, match=r'pip install "nir>=1\.0\.8"'):
        to_nir_data(given)


def data(idx: object, time: object, n: float = 3, t_max: float = 0.01) -> object:
    return nir.NIRGraphData({"a": nir.NIRNodeData({"spikes": nir.EventData(np.array(idx), np.array(time), n, t_max)})})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (data([[3]], [[0.001]]), "neurons that it does not have"),
        (data([[-2]], [[0.001]]), "neurons that it does not have"),
        (data([[0]], [[0.02]]), "outside the recording"),
        (data([[0]], [[-0.001]]), "outside the recording"),
        (data([[0]], [[np.nan]]), "outside the recording"),
        (data([[0]], [[0.001]], t_max=1e12), "over 1e\\+15 steps"),
        (data([[0]], [[0.001]], n=2**40), "neurons over"),
        (data([[0.0]], [[0.001]]), "cannot be read"),
        (data([0], [0.001]), "cannot be read"),
        (nir.NIRGraphData({}), "no spikes"),
        (nir.NIRGraphData({"a": nir.NIRNodeData({"v": nir.TimeGriddedData(np.zeros((1, 2, 3)), 1.0)})}), "no spikes"),
    ],
)
def test_impossible_events_are_refused(tmp_path: Path, given: object, message: str) -> None:
    with pytest.raises(ExchangeError, match=message):
        from_nir_data(given, 0.001)
    nir.write_data(tmp_path / "a.nir", given)
    with pytest.raises(ExchangeError, match=message):
        read_nir_data(tmp_path / "a.nir", 0.001)


def test_damaged_and_hostile_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match="no file"):
        read_nir_data(tmp_path / "none.nir", 0.001)
    ns.save(SpikingNetwork((Population("a", "input", (1,)),), ()), tmp_path / "graph.nir")
    with pytest.raises(ExchangeError, match="'nodes'"):
        read_nir_data(tmp_path / "graph.nir", 0.001)
    path = write_nir_data(recording(), tmp_path / "a.nir")
    whole = path.read_bytes()
    with h5py.File(path, "r+") as file:
        file["nodes/input/observables/spikes"].attrs["t_max"] = "long"
    with pytest.raises(ExchangeError, match="does not say n_neurons and t_max"):
        read_nir_data(path, 0.001)
    with h5py.File(path, "r+") as file:
        file["nodes/input/observables/spikes"].attrs["t_max"] = -np.inf
    with pytest.raises(ExchangeError, match="'t_max' of 'input' is -inf"):
        read_nir_data(path, 0.001)
    with h5py.File(path, "r+") as file:
        file["nodes/link"] = h5py.ExternalLink("other.nir", "/nodes")
    with pytest.raises(ExchangeError, match="link"):
        read_nir_data(path, 0.001)
    rng = np.random.default_rng(0)
    refused = 0
    for k in range(300):
        noisy = bytearray(whole[: len(whole) // 2] if k < 5 else whole)
        for place in rng.integers(0, len(noisy), 8):
            noisy[place] = rng.integers(256)
        path.write_bytes(noisy)
        try:
            read_nir_data(path, 0.001)
        except ExchangeError:
            refused += 1
    assert refused >= 5
