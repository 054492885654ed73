"""SONATA files: libsonata reads every number of them, and NEST steps the network they describe to our own spikes."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import neurosleep as ns
from neurosleep.errors import MissingExtraError, NeurosleepError, RunFolderError, SettingsError, UnsupportedError
from neurosleep.exchange import write_sonata
from neurosleep.exchange.sonata.lags import population_lags
from neurosleep.functional import torch_generator

STEPS = 300
THRESHOLD = torch.tensor([0.9, 1.2, 0.7, 1.4, 0.3])
BIAS = torch.tensor([0.03, -0.02, 0.0, 0.11, -0.4])  # the last lets a neuron start with a pulse


@pytest.fixture(scope="module")
def libsonata() -> Any:
    pytest.importorskip("h5py", reason="the extra 'sonata' is not installed")
    return pytest.importorskip("libsonata", reason="libsonata is not installed")


def chain() -> ns.SpikingNetwork:
    """Two layers, of which the first has a loop and all that the format holds, and the second no leak."""
    draw = torch_generator(0, "network")
    last = 0.5 * torch.randn(5, 15, generator=draw) + 0.2
    last[4] = 0.5
    populations = (
        ns.Population("input", "input", (4, 5)),
        ns.Population("hid/den 1", "lif", (15,), threshold=1.0, decay=0.9, leak=0.1, refractory=2, bias=0.02),
        ns.Population("output", "lif", (5,), threshold=THRESHOLD, reset_value=-0.25, bias=BIAS),
    )
    return ns.SpikingNetwork(
        populations,
        (
            ns.Dense("input", "hid/den 1", 0.4 * torch.randn(15, 20, generator=draw), scale=1.5),
            ns.Dense("hid/den 1", "output", last.double()),
            ns.Dense("hid/den 1", "hid/den 1", 0.1 * torch.randn(15, 15, generator=draw), delay=1),
        ),
    )


def graph() -> ns.SpikingNetwork:
    """Two inputs, a path beside another, delays, a layer that talks back, steps of half a millisecond."""
    draw = torch_generator(0, "graph")

    def dense(source: str, target: str, post: int, pre: int, delay: int = 0) -> ns.Dense:
        weight = 0.5 * torch.randn(post, pre, generator=draw)
        return ns.Dense(source, target, weight * (torch.rand(post, pre, generator=draw) < 0.7), delay=delay)

    sizes = {"x": 8, "y": 6, "a": 10, "b": 9, "c": 7}
    populations = tuple(
        ns.Population(name, "input" if name in "xy" else "lif", (n,), decay=0.8, bias=0.05 * (name == "b"))
        for name, n in sizes.items()
    )
    joined = [("x", "a", 0), ("y", "b", 2), ("a", "b", 0), ("b", "c", 0), ("x", "c", 0), ("a", "c", 3), ("c", "a", 3)]
    return ns.SpikingNetwork(
        populations, tuple(dense(s, t, sizes[t], sizes[s], delay) for s, t, delay in joined), dt=0.0005
    )


def recorded(network: ns.SpikingNetwork) -> ns.Recording:
    spikes = {
        population.name: ns.SpikeEvents.from_dense(
            torch.rand(STEPS, population.size, generator=torch_generator(0, population.name)) < 0.2
        )
        for population in network.inputs
    }
    given = spikes if len(spikes) > 1 else next(iter(spikes.values()))
    return ns.simulate(network, given, record=ns.Record(spikes="all"), engine="reference")


def quoted(name: str) -> str:
    return {"hid/den 1": "hid%2Fden%201"}.get(name, name)


def table(path: Path) -> dict[str, str]:
    with path.open() as file:
        (row,) = csv.DictReader(file, delimiter=" ")
    return row


@pytest.mark.parametrize("make", [chain, graph])
def test_libsonata_reads_every_number(libsonata: Any, tmp_path: Path, make: Any) -> None:
    network = make()
    recording, lags = recorded(network), population_lags(network)
    folder = write_sonata(network, tmp_path / "new" / "network", recording=recording)
    config = libsonata.CircuitConfig.from_file(str(folder / "circuit_config.json"))
    start = {"start"} if make is chain else set()
    assert config.node_populations == {quoted(population.name) for population in network.populations} | start
    for population in network.populations:
        nodes = config.node_population(quoted(population.name))
        assert nodes.size == population.size
        kind = "virtual" if population.kind == "input" else "point_neuron"
        assert config.node_population_properties(quoted(population.name)).type == kind
    joined = {}
    for name in config.edge_populations:
        edges = config.edge_population(name)
        everyone = edges.select_all()
        at = edges.source_nodes(everyone), edges.target_nodes(everyone)
        weights, delays = (edges.get_attribute(key, everyone) for key in ("syn_weight", "delay"))
        if edges.source == "start":
            assert (edges.target, at[1].tolist(), weights.tolist(), set(delays)) == (
                "output",
                [4],
                pytest.approx([0.8]),
                {1.0},
            )
            continue
        joined[int(name.rpartition("__")[2])] = (edges.source, edges.target, at, weights, delays)
    for k, q in enumerate(network.projections):
        assert isinstance(q, ns.Dense)
        source, target, (pre, post), weights, delays = joined[k]
        assert (source, target) == (quoted(q.source), quoted(q.target))
        dense = np.zeros(q.weight.shape)
        dense[post, pre] = weights
        np.testing.assert_array_equal(dense, q.weight.double().numpy() * q.scale)
        assert len(weights) == np.count_nonzero(dense)
        steps = q.delay + lags[q.target] - lags[q.source]
        assert steps >= 1 and set(delays) == {steps * network.dt * 1000}
    inputs, others = (libsonata.SpikeReader(str(folder / "spikes" / f"{name}.h5")) for name in ("inputs", "recorded"))
    for population in network.populations:
        reader = inputs if population.kind == "input" else others
        spikes, monitor = reader[quoted(population.name)], recording.monitor(population.name)
        assert spikes.sorting == "by_time" and spikes.time_units == "ms"
        found = np.array(spikes.get(), dtype=float)
        np.testing.assert_array_equal(found[:, 0], monitor.i)
        steps = np.round(monitor.t / network.dt) + 1 + lags[population.name]
        np.testing.assert_array_equal(found[:, 1], steps * (network.dt * 1000))
        assert len(found) > 20


# --- NEST -------------------------------------------------------------------------------------------------------------


def parameters(libsonata: Any, folder: Path, config: dict[str, Any], name: str) -> tuple[str, dict[str, Any]]:
    """The model of a population's nodes and its parameters, as any reader of the format finds them."""
    (entry,) = (one for one in config["networks"]["nodes"] if name in one["populations"])
    row = table(folder / entry["node_types_file"].removeprefix("$BASE_DIR/"))
    if row["model_type"] == "virtual":
        return "virtual", {}
    values = json.loads((folder / "components" / row["dynamics_params"]).read_text())
    nodes = libsonata.NodeStorage(str(folder / entry["nodes_file"].removeprefix("$BASE_DIR/"))).open_population(name)
    for key in nodes.dynamics_attribute_names:
        values[key] = nodes.get_dynamics_attribute(key, nodes.select_all())
    assert row["model_template"].startswith("nest:")
    return row["model_template"].removeprefix("nest:"), values


def simulated(nest: Any, libsonata: Any, folder: Path) -> dict[str, set[tuple[int, float]]]:
    """What NEST says the neurons did: nothing is read but the files."""
    simulation = json.loads((folder / "simulation_config.json").read_text())
    config = json.loads((folder / "circuit_config.json").read_text())
    circuit = libsonata.CircuitConfig.from_file(str(folder / "circuit_config.json"))
    nest.ResetKernel()
    nest.resolution = simulation["run"]["dt"]
    given = libsonata.SpikeReader(str(folder / "spikes" / "inputs.h5"))
    populations, recorders = {}, {}
    for name in circuit.node_populations:
        n = circuit.node_population(name).size
        model, values = parameters(libsonata, folder, config, name)
        if model == "virtual":
            times = defaultdict(list)
            for node, time in given[name].get():
                times[node].append(time)
            populations[name] = nest.Create("spike_generator", n, [{"spike_times": times[k]} for k in range(n)])
        else:
            populations[name] = nest.Create(model, n, values)
            recorders[name] = nest.Create("spike_recorder")
            nest.Connect(populations[name], recorders[name])
    for name in circuit.edge_populations:
        edges = circuit.edge_population(name)
        everyone = edges.select_all()
        first = {one: populations[one][0].global_id for one in (edges.source, edges.target)}
        nest.Connect(
            np.array(edges.source_nodes(everyone), dtype=np.int64) + first[edges.source],
            np.array(edges.target_nodes(everyone), dtype=np.int64) + first[edges.target],
            "one_to_one",
            {
                key: edges.get_attribute(theirs, everyone)
                for key, theirs in (("weight", "syn_weight"), ("delay", "delay"))
            }
            | {"synapse_model": "static_synapse"},
        )
    nest.Simulate(simulation["run"]["tstop"])
    return {
        name: {
            (int(node) - populations[name][0].global_id, round(float(time), 6))
            for node, time in zip(recorder.events["senders"], recorder.events["times"], strict=True)
        }
        for name, recorder in recorders.items()
    }


@pytest.mark.parametrize("make", [chain, graph])
def test_nest_steps_the_network_to_our_own_spikes(libsonata: Any, tmp_path: Path, make: Any) -> None:
    nest = pytest.importorskip("nest", reason="NEST is not installed")
    network = make()
    folder = write_sonata(network, tmp_path / "network", recording=recorded(network))
    expected = libsonata.SpikeReader(str(folder / "spikes" / "recorded.h5"))
    last = STEPS * network.dt * 1000
    for name, spikes in simulated(nest, libsonata, folder).items():
        ours = {(node, round(time, 6)) for node, time in expected[name].get()}
        # Behind the end of the recording NEST goes on for as long as the last layer lags behind.
        assert len(ours) > 50 and {spike for spike in spikes if spike[1] <= last} == {o for o in ours if o[1] <= last}
        assert ours <= spikes


def test_a_converted_classifier_goes_out(libsonata: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False), nn.ReLU())
    network = ns.convert(model, torch.rand(30, 12), reset="to_value")
    folder = write_sonata(network, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["circuit_config.json", "components", "network"]
    values = json.loads((folder / "components" / "output.json").read_text())
    assert math.exp(-1.0 / values["tau_m"]) == 1 - 2**-50 and values["tau_m"] * 2**-50 == 1.0  # no leak, exact sums
    assert libsonata.CircuitConfig.from_file(str(folder / "circuit_config.json")).node_population("output").size == 3


# --- lags and refusals ------------------------------------------------------------------------------------------------


def test_lags_are_the_smallest_that_leave_every_delay_a_step() -> None:
    network = graph()
    lags = population_lags(network)
    assert lags == {"x": 0, "y": 0, "a": 1, "b": 2, "c": 3}
    assert all(q.delay + lags[q.target] - lags[q.source] >= 1 for q in network.projections)
    assert population_lags(chain()) == {"input": 0, "hid/den 1": 1, "output": 2}


def test_what_has_no_counterpart_is_refused_by_name(tmp_path: Path) -> None:
    eye, inputs = torch.eye(3), ns.Population("input", "input", (3,))

    def network(delay: int = 0, **changes: Any) -> ns.SpikingNetwork:
        neurons = ns.Population("a", changes.pop("kind", "lif"), (3,), **changes)
        return ns.SpikingNetwork((inputs, neurons), (ns.Dense("input", "a", eye, delay=delay),))

    short = ns.SpikingNetwork(
        (inputs, ns.Population("a", "lif", (3,)), ns.Population("b", "lif", (3,))),
        (ns.Dense("input", "a", eye), ns.Dense("a", "b", eye), ns.Dense("b", "a", eye, delay=1)),
    )
    pooled = ns.SpikingNetwork((inputs, ns.Population("a", "lif", (3,))), (ns.spiking.Identity("input", "a"),))
    cases = [
        (network(kind="li"), "'a' is of kind 'li'"),
        (network(kind="cuba_lif", synaptic_decay=0.5), "'a' is of kind 'cuba_lif'"),
        (network(reset="subtract"), "'a' has reset 'subtract'"),
        (network(compare=">"), "'a' has compare '>'"),
        (network(refractory=1, while_refractory="integrate"), "'a' has while_refractory"),
        (network(reset_value=1.0), "'a' has a reset at or above"),
        (network(decay=0.0), "'a' has a decay of 0"),
        (network(leak=1.0), "'a' has a leak at or above"),
        (pooled, "'input' -> 'a' is of kind 'identity'"),
        (short, "fewer steps than it has projections"),
    ]
    for one, words in cases:
        with pytest.raises(UnsupportedError, match=words):
            write_sonata(one, tmp_path / "out")
    with pytest.raises(SettingsError, match="Expected: a SpikingNetwork"):
        write_sonata("network", tmp_path / "out")  # type: ignore[arg-type]
    fine = network()
    counted = ns.simulate(fine, torch.ones(4, 3, dtype=torch.bool))
    for recording in (counted, recorded(chain()), "spikes"):
        with pytest.raises(SettingsError, match="spikes of all neurons of 'input'"):
            write_sonata(fine, tmp_path / "out", recording=recording)  # type: ignore[arg-type]
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="is a file"):
        write_sonata(fine, tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_without_h5py_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r'pip install "neurosleep\[sonata\]"') as refused:
        write_sonata(chain(), tmp_path / "out")
    assert isinstance(refused.value, NeurosleepError) and not list(tmp_path.iterdir())
