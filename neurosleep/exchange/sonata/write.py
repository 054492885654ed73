"""A SpikingNetwork, and what was recorded of it, as files in the SONATA format (extra ``sonata``)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from neurosleep._files import check_folder, write_whole
from neurosleep.errors import ExchangeError, SettingsError, UnsupportedError, missing_extra
from neurosleep.exchange.sonata.lags import population_lags
from neurosleep.exchange.sonata.neurons import Values, check_neurons, dynamics, start
from neurosleep.spiking import Dense, Population, Recording, SpikingNetwork

__all__ = ["write_sonata"]

# What every file of the format carries, and its version.
_MAGIC, _VERSION = np.uint32(0x0A7A), np.array([0, 1], dtype=np.uint32)
_SORTING = {"none": 0, "by_id": 1, "by_time": 2}


def write_sonata(network: SpikingNetwork, folder: str | Path, *, recording: Recording | None = None) -> Path:
    """Write a network of LIF or IF neurons, and spikes of it, as a folder in the SONATA format; the folder comes back.

    ``circuit_config.json`` names the nodes and edges: inputs are virtual nodes, neurons those of NEST's
    ``iaf_psc_delta``, in mV and ms, where a unit of potential is a mV. Of each dense projection every weight that is
    not 0 is a synapse, its scale multiplied in.

    Every synapse of SONATA takes a step at least, while a delay of 0 here is within the step. Times of a population are
    therefore shifted by its lag (one step for each layer of a chain): its spike trains stay the same. A spike in step k
    is at ``(k + 1 + lag) dt``, the end of its step.

    Parameters
    ----------
    network:
        Populations of kind ``input`` and ``lif`` that compare with ``>=`` and are reset to a value below the threshold,
        with dense projections.
    folder:
        Where to; what is there under the same names is replaced.
    recording:
        Of one train, with the spikes of the inputs (``Record(spikes="all")``): they go to ``spikes/inputs.h5``, which
        ``simulation_config.json`` names, and those of the neurons to ``spikes/recorded.h5``: what a simulator should
        say.

    Raises
    ------
    UnsupportedError
        If a neuron or projection has no counterpart, by its name; or a loop is shorter than its projections.
    SettingsError
        If the recording is not one of this network with the spikes of its inputs.
    MissingExtraError, ExchangeError, RunFolderError
        If h5py is not there, or the folder cannot be written.

    References
    ----------
    Dai et al. (2020). The SONATA data format for efficient description of large-scale network models. PLoS
    Computational Biology 16, doi:10.1371/journal.pcbi.1007696.

    See Also
    --------
    write_nir : convolutions, other resets, other tools

    Examples
    --------
    >>> import tempfile, torch
    >>> import neurosleep as ns
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.ReLU())
    >>> network = ns.convert(model, torch.rand(20, 4), reset="to_value")
    >>> with tempfile.TemporaryDirectory() as place:
    ...     folder = ns.exchange.write_sonata(network, f"{place}/network")
    ...     print(sorted(path.name for path in folder.iterdir()))
    ['circuit_config.json', 'components', 'network']
    """
    if not isinstance(network, SpikingNetwork):
        raise SettingsError(f"The network is {network!r:.60}.", expected="a SpikingNetwork")
    for q in network.projections:
        if not isinstance(q, Dense):
            raise UnsupportedError(
                f"The projection {q.source!r} -> {q.target!r} is of kind {q.kind!r}.",
                expected="dense projections",
                hint="write_nir(network, path) writes convolutions and what goes with them",
            )
    lags = population_lags(network)
    for population in network.populations:
        check_neurons(population, lags[population.name])
    if recording is not None:
        _check_recording(network, recording)
    folder = Path(folder)
    check_folder(folder, "give another folder")
    writer = _Writer(folder)
    nodes = [_write_nodes(writer, population, network.dt, lags[population.name]) for population in network.populations]
    edges = [_write_projection(writer, network, k, lags) for k in range(len(network.projections))]
    pulses = _start_pulses(network, lags)
    if pulses:
        name = _start_name(network)
        nodes.append(_write_nodes(writer, Population(name, "input", (1,)), network.dt, 0))
        edges += [
            _write_edges(
                writer, f"{name}__{_plain_name(target)}", (name, target), weight, (lags[target] - 1) * network.dt
            )
            for target, weight in pulses.items()
        ]
    writer.json("circuit_config.json", _circuit(nodes, edges))
    if recording is not None:
        _write_spikes(writer, network, recording, lags, starts=bool(pulses))
    return folder


class _Writer:
    """Files in a folder, each whole or not there."""

    def __init__(self, folder: Path) -> None:
        try:
            import h5py
        except ImportError as error:
            raise missing_extra("h5py", "sonata", "Writing SONATA files") from error
        self.h5py: Any = h5py
        self.folder = folder

    def text(self, name: str, text: str) -> str:
        write_whole(self.folder / name, text, error=ExchangeError)
        return name

    def json(self, name: str, content: Any) -> str:
        return self.text(name, json.dumps(content, indent=2) + "\n")

    def table(self, name: str, row: Mapping[str, Any]) -> str:
        """A table of one row, with spaces between columns, as the format has them."""
        return self.text(name, " ".join(row) + "\n" + " ".join(map(str, row.values())) + "\n")

    def hdf5(self, name: str, fill: Callable[[Any], None]) -> str:
        def write(temporary: Path) -> None:
            with self.h5py.File(temporary, "w") as file:
                file.attrs["magic"], file.attrs["version"] = _MAGIC, _VERSION
                fill(file)

        write_whole(self.folder / name, write, error=ExchangeError)
        return name


def _plain_name(name: str) -> str:
    """A name that files and groups of HDF5 may have, and that is one column of a table."""
    return quote(name, safe="")


def _write_nodes(writer: _Writer, population: Population, dt: float, lag: int) -> dict[str, Any]:
    """The neurons of a population: what is one number for all of them stands with their type."""
    name, n = _plain_name(population.name), population.size
    virtual = population.kind == "input"
    values: dict[str, Values] = {} if virtual else dynamics(population, dt, lag)
    single = {key: value for key, value in values.items() if isinstance(value, float)}

    def fill(file: Any) -> None:
        group = file.create_group(f"nodes/{name}")
        group["node_id"], group["node_group_index"] = np.arange(n, dtype=np.uint64), np.arange(n, dtype=np.uint64)
        group["node_type_id"], group["node_group_id"] = np.zeros(n, np.uint64), np.zeros(n, np.uint64)
        attributes = group.create_group("0")
        for key, value in values.items():
            if key not in single:
                attributes[f"dynamics_params/{key}"] = value

    row = {"node_type_id": 0, "pop_name": name, "model_type": "virtual" if virtual else "point_neuron"}
    if not virtual:
        writer.json(f"components/{name}.json", single)
        row |= {"model_template": "nest:iaf_psc_delta", "dynamics_params": f"{name}.json"}
    return {
        "nodes_file": "$BASE_DIR/" + writer.hdf5(f"network/{name}_nodes.h5", fill),
        "node_types_file": "$BASE_DIR/" + writer.table(f"network/{name}_node_types.csv", row),
        "populations": {name: {"type": row["model_type"]}},
    }


def _start_pulses(network: SpikingNetwork, lags: Mapping[str, int]) -> dict[str, NDArray[np.float64]]:
    """By population, weights ``[n, 1]`` of one spike that lets it start from rest, where it takes one."""
    pulses = {}
    for population in network.populations:
        weight = start(population, lags[population.name])[1] if population.kind == "lif" else np.zeros(())
        if weight.any():
            pulses[population.name] = np.broadcast_to(weight, population.size)[:, None]
    return pulses


def _start_name(network: SpikingNetwork) -> str:
    """A name that no population has."""
    name = "start"
    while any(population.name == name for population in network.populations):
        name += "_"
    return name


def _write_projection(writer: _Writer, network: SpikingNetwork, k: int, lags: Mapping[str, int]) -> dict[str, Any]:
    q = network.projections[k]
    assert isinstance(q, Dense)
    weight = q.weight.detach().cpu().double().numpy() * q.scale
    # Two projections may join the same populations.
    name = f"{_plain_name(q.source)}__{_plain_name(q.target)}__{k}"
    delay = (q.delay + lags[q.target] - lags[q.source]) * network.dt
    return _write_edges(writer, name, (q.source, q.target), weight, delay)


def _write_edges(
    writer: _Writer, name: str, joined: tuple[str, str], weight: NDArray[np.float64], delay: float
) -> dict[str, Any]:
    """The synapses of weights ``[post, pre]``, by target and then by source; ``delay`` in seconds."""
    source, target = map(_plain_name, joined)
    post, pre = np.nonzero(weight)
    delay = 1000 * delay
    n = len(post)

    def fill(file: Any) -> None:
        group = file.create_group(f"edges/{name}")
        for key, ids, population in (("source_node_id", pre, source), ("target_node_id", post, target)):
            group[key] = ids.astype(np.uint64)
            group[key].attrs["node_population"] = population
        group["edge_type_id"], group["edge_group_id"] = np.zeros(n, np.uint64), np.zeros(n, np.uint64)
        group["edge_group_index"] = np.arange(n, dtype=np.uint64)
        group["0/syn_weight"], group["0/delay"] = weight[post, pre], np.full(n, delay)

    row = {"edge_type_id": 0, "model_template": "static_synapse", "delay": repr(delay)}
    return {
        "edges_file": "$BASE_DIR/" + writer.hdf5(f"network/{name}_edges.h5", fill),
        "edge_types_file": "$BASE_DIR/" + writer.table(f"network/{name}_edge_types.csv", row),
        "populations": {name: {"type": "chemical"}},
    }


def _circuit(nodes: list[dict[str, Any]], edges: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "manifest": {"$BASE_DIR": "."},
        "components": {"point_neuron_models_dir": "$BASE_DIR/components"},
        "networks": {"nodes": nodes, "edges": edges},
    }


def _check_recording(network: SpikingNetwork, recording: Recording) -> None:
    sizes = {population.name: population.size for population in network.populations}
    inputs = [population.name for population in network.inputs]
    found = {name: events.n for name, events in recording.spikes.items()} if isinstance(recording, Recording) else {}
    missing = [name for name in inputs if name not in found or name in recording.kept]
    if missing or recording.dt != network.dt or any(sizes.get(name) != n for name, n in found.items()):
        raise SettingsError(
            f"The recording is {recording!r:.120}.",
            expected=f"one train of this network, in steps of {network.dt:g} s, with the spikes of all neurons of "
            + ", ".join(map(repr, inputs)),
            hint='simulate(network, spikes, record=Record(spikes="all"))',
        )


def _write_spikes(
    writer: _Writer, network: SpikingNetwork, recording: Recording, lags: Mapping[str, int], *, starts: bool
) -> None:
    """The spikes of the inputs, those that a simulator should find, and how to simulate."""
    step = 1000 * recording.dt
    inputs = [population.name for population in network.inputs]
    trains = {name: _train(recording, name, lags[name]) for name in recording.spikes}
    others = {name: train for name, train in trains.items() if name not in inputs}
    given = {name: trains[name] for name in inputs}
    if starts:
        given[_start_name(network)] = (np.ones(1, np.int64), np.zeros(1, np.uint64))
    _write_train(writer, "spikes/inputs.h5", given, step)
    if others:
        _write_train(writer, "spikes/recorded.h5", others, step)
    writer.json(
        "simulation_config.json",
        {
            "manifest": {"$BASE_DIR": "."},
            "network": "$BASE_DIR/circuit_config.json",
            "run": {"tstart": 0.0, "tstop": (recording.steps + max(lags.values()) + 1) * step, "dt": step},
            "inputs": {
                _plain_name(name): {
                    "input_type": "spikes",
                    "module": "h5",
                    "input_file": "$BASE_DIR/spikes/inputs.h5",
                    "node_set": {"population": _plain_name(name)},
                }
                for name in given
            },
            "output": {"output_dir": "$BASE_DIR/output", "spikes_file": "spikes.h5", "spikes_sort_order": "by_time"},
        },
    )


def _train(recording: Recording, name: str, lag: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """The step at whose end each spike is, and its neuron."""
    events = recording.spikes[name]
    neurons = events.indices[events.offsets[0] : events.offsets[-1]]
    return np.asarray(events.times, dtype=np.int64) + 1 + lag, neurons.astype(np.uint64)


def _write_train(
    writer: _Writer, name: str, trains: Mapping[str, tuple[NDArray[np.int64], NDArray[np.uint64]]], step: float
) -> None:
    def fill(file: Any) -> None:
        for population, (steps, neurons) in trains.items():
            group = file.create_group(f"spikes/{_plain_name(population)}")
            group["timestamps"], group["node_ids"] = steps * step, neurons
            group["timestamps"].attrs["units"] = "ms"
            sorting = writer.h5py.enum_dtype(_SORTING, basetype="u1")
            group.attrs.create("sorting", _SORTING["by_time"], dtype=sorting)

    writer.hdf5(name, fill)
