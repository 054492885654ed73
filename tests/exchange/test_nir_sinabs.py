"""Graphs as sinabs writes them: time constants in steps, IF nodes whose input is a jump, exponential decay."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

import neurosleep as ns
from neurosleep.cli.app import app
from neurosleep.exchange import from_nir
from neurosleep.functional import SpikeEvents
from neurosleep.spiking import SpikingNetwork, get_engine

nir = pytest.importorskip("nir")
STEPS = 150


def train(network: SpikingNetwork, x: Tensor) -> Tensor:
    found = get_engine("reference").start(network).run({"input": SpikeEvents.from_dense(x.reshape(len(x), -1))})
    return found[network.last.name].to_dense(torch.bool)


def spikes(*shape: int) -> Tensor:
    return torch.rand(STEPS, *shape, generator=torch.Generator().manual_seed(0)) < 0.4


def written(tau: float | None, weight: np.ndarray) -> Any:
    """As ``sinabs.nir.to_nir`` writes a Linear and an IAF or LIF layer."""
    n = len(weight)
    ones, zeros = np.ones(n, np.float32), np.zeros(n, np.float32)
    neuron = nir.IF(r=ones, v_threshold=ones)
    if tau is not None:
        neuron = nir.LIF(tau=tau * ones, r=ones, v_leak=zeros, v_threshold=ones)
    nodes = {"input": nir.Input(np.array([weight.shape[1]])), "fc": nir.Affine(weight, zeros), "neuron": neuron}
    names = [*nodes, "output"]
    nodes["output"] = nir.Output(np.array([n]))
    return nir.NIRGraph(nodes=nodes, edges=list(itertools.pairwise(names)), type_check=False)


@pytest.mark.parametrize("reset", ["subtract", "to_value"])
@pytest.mark.parametrize("tau", [None, 20.0, 3.5])
def test_steps_as_sinabs_makes_them(tau: float | None, reset: Any, tmp_path: Path) -> None:
    """v = a v + (1 - a) x with a = exp(-1/tau), or v + x; spikes where v >= 1; of dt nothing depends."""
    weight = np.random.default_rng(0).normal(0.2, 0.5 if tau is None else 0.1 * tau + 1, (6, 10)).astype(np.float32)
    x, a = spikes(10), 1.0 if tau is None else np.exp(-1 / tau)
    v, expected = np.zeros(6), []
    for step in x.double().numpy():
        v = a * v + (1.0 if tau is None else 1 - a) * (weight.astype(np.float64) @ step)
        fired = v >= 1
        v = v - fired if reset == "subtract" else np.where(fired, 0.0, v)
        expected.append(fired)
    assert sum(map(sum, expected)) > 50
    graph = written(tau, weight)
    for dt in (1e-3, 0.5):
        network = from_nir(graph, dt=dt, writer="sinabs", **({} if reset == "subtract" else {"reset": reset}))
        assert np.array_equal(train(network.to(torch.float64), x).numpy(), np.array(expected))
    nir.write(tmp_path / "theirs.nir", graph)
    arguments = ["--to", "snn", "--dt", "0.001", "--writer", "sinabs", "--reset", reset]
    out = tmp_path / "ours.safetensors"
    result = CliRunner().invoke(app, ["convert", str(tmp_path / "theirs.nir"), *arguments, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert np.array_equal(train(ns.load(out).to(torch.float64), x).numpy(), np.array(expected))


def test_a_threshold_that_is_reached_is_enough() -> None:
    network = from_nir(written(None, np.eye(2, dtype=np.float32)), dt=1e-3, writer="sinabs")
    assert network.last.compare == ">=" and torch.equal(train(network, spikes(2)), spikes(2))
