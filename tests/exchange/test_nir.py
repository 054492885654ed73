"""NIR: our networks come back bit for bit, those of others by NIR's own meaning; hostile files are refused."""

from __future__ import annotations

import itertools
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import neurosleep as ns
from neurosleep.errors import ExchangeError, SettingsError, UnsupportedError
from neurosleep.exchange import ExchangeWarning, from_nir, to_nir
from neurosleep.functional import SpikeEvents
from neurosleep.spiking import Conv, Dense, Identity, Pool, Population, Projection, Reshape, SpikingNetwork, get_engine

nir = pytest.importorskip("nir")
h5py = pytest.importorskip("h5py")

STEPS = 200


def trains(network: SpikingNetwork, seed: int = 0, steps: int = STEPS, p: float = 0.4) -> dict[str, np.ndarray]:
    """Spikes of every population but relays over random input, by the reference engine."""
    generator = torch.Generator().manual_seed(seed)
    inputs = {
        q.name: SpikeEvents.from_dense(torch.rand(steps, q.size, generator=generator) < p) for q in network.inputs
    }
    out = get_engine("reference").start(network).run(inputs)
    return {q.name: out[q.name].to_dense(torch.bool).numpy() for q in network.populations if q.kind != "relay"}


def random_network(seed: int) -> SpikingNetwork:
    """A chain with recurrent and feedback projections, every neuron kind and convention, numbers and tensors."""
    draw = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    dtype = draw.choice([torch.float32, torch.float64])

    def parameter(n: int, low: float, high: float) -> float | Tensor:
        values = low + (high - low) * torch.rand(n, generator=generator, dtype=dtype)
        return float(values[0]) if draw.random() < 0.5 else values

    sizes = [draw.randint(2, 8) for _ in range(draw.randint(2, 4))]
    populations = [Population("in", "input", (sizes[0],))]
    for k, n in enumerate(sizes[1:]):
        soft = draw.random() < 0.4
        populations.append(
            Population(
                draw.choice([f"p{k}", f"a/b {k}", f"x.{k}"]),
                draw.choice(["lif", "cuba_lif", "lif", "li" if k == len(sizes) - 2 else "lif"]),  # type: ignore[arg-type]
                (n,),
                threshold=parameter(n, 0.2, 1.5),
                decay=draw.choice([0.0, 1.0, parameter(n, 0.3, 1.0), parameter(n, 0.3, 1.0)]),
                leak=draw.choice([0.0, parameter(n, -0.3, 0.3)]),
                reset_value=draw.choice([0.0, parameter(n, -0.3, 0.1)]),
                bias=draw.choice([0.0, parameter(n, -0.1, 0.3)]),
                synaptic_decay=parameter(n, 0.0, 1.0),
                refractory=0 if soft else draw.randint(0, 2),
                compare=draw.choice([">=", ">"]),
                reset="subtract" if soft else "to_value",
                amount=draw.choice([None, parameter(n, 0.2, 1.0)]),
                reset_time=draw.choice(["same", "next", "guarded"]) if soft else "same",
            )
        )
    names = [p.name for p in populations]

    def weight(post: int, pre: int) -> Tensor:
        return 0.3 + torch.randn(post, pre, generator=generator, dtype=dtype)

    projections = [
        Dense(a, b, weight(m, n), scale=draw.choice([1.0, 0.3, 2.0]), delay=draw.choice([0, 0, 2]))
        for a, b, n, m in zip(names, names[1:], sizes, sizes[1:], strict=False)
    ]
    if draw.random() < 0.5:
        n = sizes[1]
        projections.append(
            Dense(names[1], names[1], weight(n, n), scale=draw.choice([1.0, -0.5]), delay=draw.randint(1, 3))
        )
    if len(names) > 2 and draw.random() < 0.3:
        projections.append(Dense(names[2], names[1], weight(sizes[1], sizes[2]), delay=1, plastic=False))
    return SpikingNetwork(
        tuple(populations),
        tuple(projections),
        dt=draw.choice([1e-3, 1e-4, 0.0123]),
        discretisation=draw.choice(["euler", "exponential"]),
    )


def check_round_trip(network: SpikingNetwork, tmp_path: Path) -> None:
    again = ns.load(ns.save(network, tmp_path / "net.nir"))
    assert isinstance(again, SpikingNetwork)
    assert [p.name for p in again.populations] == [p.name for p in network.populations]
    assert len(again.weights) == len(network.weights)
    for a, b in zip(again.weights, network.weights, strict=True):
        assert a.dtype == b.dtype and torch.equal(a, b)
    ours, theirs = trains(network), trains(again)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("seed", range(40))
def test_round_trip(seed: int, tmp_path: Path) -> None:
    check_round_trip(random_network(seed), tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(40, 540))
def test_round_trip_of_many(seed: int, tmp_path: Path) -> None:
    check_round_trip(random_network(seed), tmp_path)


def test_random_networks_fire() -> None:
    rates = [trains(random_network(seed)) for seed in range(10)]
    shares = [spikes.mean() for found in rates for name, spikes in found.items() if name != "in"]
    assert sum(0.01 < share < 0.99 for share in shares) > len(shares) / 2


def test_every_convention_is_in_the_metadata_and_in_nirs_own_terms(tmp_path: Path) -> None:
    network = SpikingNetwork(
        (
            Population("in", "input", (2,)),
            Population("out", "lif", (3,), threshold=1.5, decay=0.75, bias=0.25, reset="subtract", refractory=1),
        ),
        (Dense("in", "out", torch.ones(3, 2), scale=0.5, delay=2),),
        dt=0.001,
        discretisation="euler",
    )
    graph = nir.read(str(ns.save(network, tmp_path / "net.nir")))  # the library's own reader, with its type check
    node = graph.nodes["out"]
    # dt/(1 - 0.75) = 4 ms; the threshold in units of the input, 1.5/0.5; R makes the gain 1; the bias in the Affine.
    assert type(node).__name__ == "LIF" and node.tau == pytest.approx([0.004] * 3)
    assert node.v_threshold.tolist() == [3.0] * 3 and node.r == pytest.approx([4.0] * 3)
    assert {k: node.metadata[k] for k in ("dt", "decay", "alpha", "reset", "compare", "refractory")} == {
        "dt": 0.001,
        "decay": 0.75,
        "alpha": 0.5,
        "reset": "subtract",
        "compare": ">=",
        "refractory": 1,
    }
    kinds = {key: type(found).__name__ for key, found in graph.nodes.items()}
    assert sorted(kinds.values()) == ["Affine", "Delay", "Input", "LIF", "Output"]
    affine = next(found for found in graph.nodes.values() if type(found).__name__ == "Affine")
    assert affine.bias.tolist() == [0.5] * 3 and affine.weight.tolist() == [[1.0, 1.0]] * 3


def test_a_changed_graph_is_read_by_nirs_own_meaning() -> None:
    network = SpikingNetwork(
        (Population("in", "input", (2,)), Population("out", "lif", (3,), decay=0.75)),
        (Dense("in", "out", torch.ones(3, 2)),),
        discretisation="euler",
    )
    graph = to_nir(network)
    graph.nodes["out"].tau = graph.nodes["out"].tau * 2
    with pytest.warns(ExchangeWarning, match="changed since neurosleep wrote it"):
        again = from_nir(graph)
    # dt/tau = 0.25/2, from the dt in the metadata; R is that of the old tau: a gain of 1/2.
    assert again.population("out").decay == pytest.approx(0.875) and again.population("out").compare == ">"
    assert again.projections[0].scale == pytest.approx(0.5)
    with pytest.raises(SettingsError, match="says its own time step"):
        from_nir(to_nir(network), dt=0.5)


# --- other tools' graphs, by hand -------------------------------------------------------------------------------------


def vector(*values: float) -> np.ndarray:
    return np.array(values)


def graph_of(nodes: dict[str, Any], edges: list[tuple[str, str]]) -> Any:
    return nir.NIRGraph(nodes=nodes, edges=edges, type_check=False)


def chain(*nodes: Any, shape: tuple[int, ...] = (2,)) -> Any:
    named = {"input": nir.Input(np.array(shape))}
    named |= {f"n{k}": node for k, node in enumerate(nodes)}
    named["output"] = nir.Output(np.array([1]))
    keys = list(named)
    return graph_of(named, list(itertools.pairwise(keys)))


W = np.array([[0.7, -0.3], [0.4, 0.9], [1.1, 0.2]])
B = np.array([0.05, -0.1, 0.2])


def euler(kind: str, p: dict[str, np.ndarray], spikes: np.ndarray, dt: float) -> np.ndarray:
    """The differential equations of NIR's neurons by forward Euler, the current first: spikes or potentials."""
    v, i, rows = np.array(p.get("v_leak", np.zeros(3))), np.zeros(3), []
    for s in spikes.astype(float):
        current = W @ s + B
        if kind in ("CubaLIF", "CubaLI"):
            i = i + dt / p["tau_syn"] * (p["w_in"] * current - i)
            current = i
        if kind in ("IF", "I"):
            v = v + dt * p["r"] * current
        else:
            v = v + dt / p.get("tau", p.get("tau_mem")) * (p["v_leak"] - v + p["r"] * current)
        if kind in ("LI", "CubaLI", "I"):
            rows.append(v)
            continue
        fired = v > p["v_threshold"]
        v = np.where(fired, p["v_reset"], v)
        rows.append(fired)
    return np.array(rows)


NODES: dict[str, dict[str, np.ndarray]] = {
    "LIF": {
        "tau": vector(0.004, 0.01, 0.02),
        "r": vector(4.0, 4.0, 4.0),
        "v_leak": vector(0.1, 0.0, -0.1),
        "v_threshold": vector(0.9, 1.0, 1.1),
        "v_reset": vector(0.0, -0.2, 0.1),
    },
    "CubaLIF": {
        "tau_syn": vector(0.003, 0.002, 0.004),
        "tau_mem": vector(0.004, 0.01, 0.02),
        "r": vector(2.0, 3.0, 4.0),
        "v_leak": vector(0.1, 0.0, -0.1),
        "v_threshold": vector(0.9, 1.0, 0.5),
        "v_reset": vector(0.0, -0.2, 0.1),
        "w_in": vector(2.0, 3.0, 4.0),
    },
    "IF": {"r": vector(300.0, 300.0, 300.0), "v_threshold": vector(0.9, 1.0, 1.1), "v_reset": vector(0, -0.2, 0.1)},
    "LI": {"tau": vector(0.004, 0.01, 0.02), "r": vector(4.0, 10.0, 20.0), "v_leak": vector(0.1, 0.0, -0.1)},
    "CubaLI": {
        "tau_syn": vector(0.003, 0.003, 0.003),
        "tau_mem": vector(0.004, 0.01, 0.02),
        "r": vector(4.0, 10.0, 20.0),
        "v_leak": vector(0.1, 0.0, -0.1),
        "w_in": vector(2.0, 2.0, 2.0),
    },
    "I": {"r": vector(7.0, 7.0, 7.0)},
}


VOLTS: dict[str, dict[str, np.ndarray]] = {
    "LIF": {
        "tau": vector(0.004, 0.01, 0.02),
        "r": vector(0.06, 0.06, 0.06),
        "v_leak": vector(-0.065, -0.065, -0.045),  # the last one rests above its threshold, and fires by itself
        "v_threshold": vector(-0.05, -0.055, -0.05),
        "v_reset": vector(-0.07, -0.065, -0.07),
    },
    "CubaLIF": {
        "tau_syn": vector(0.003, 0.002, 0.004),
        "tau_mem": vector(0.004, 0.01, 0.02),
        "r": vector(0.04, 0.04, 0.04),
        "v_leak": vector(-0.065, -0.065, -0.065),
        "v_threshold": vector(-0.05, -0.055, -0.05),
        "v_reset": vector(-0.07, -0.065, -0.07),
        "w_in": vector(2.0, 3.0, 4.0),
    },
    "IF": {"r": vector(30.0, 30.0, 30.0), "v_threshold": vector(-0.05, 0.02, -0.01), "v_reset": vector(-0.1, 0, -0.09)},
}


@pytest.mark.parametrize(("kind", "volts"), [*((kind, False) for kind in NODES), *((kind, True) for kind in VOLTS)])
def test_neurons_by_forward_euler(kind: str, volts: bool) -> None:
    parameters, spikes = (VOLTS if volts else NODES)[kind], np.random.default_rng(1).random((STEPS, 2)) < 0.4
    expected = euler(kind, parameters, spikes, 0.001)
    network = from_nir(chain(nir.Affine(W, B), getattr(nir, kind)(**parameters)), dt=0.001)
    session = get_engine("reference").start(network.to(torch.float64))
    out = session.run({"input": SpikeEvents.from_dense(torch.from_numpy(spikes))})
    if kind in ("LI", "CubaLI", "I"):
        np.testing.assert_allclose(session.membranes()["n1"].numpy(), expected[-1], rtol=1e-9)
    else:
        assert 0.02 < expected.mean() < 0.98
        np.testing.assert_array_equal(out["n1"].to_dense(torch.bool).numpy(), expected)


def test_exact_steps_for_constant_input() -> None:
    tau, r, dt = 0.004, 3.0, 0.001
    node = nir.LI(tau=vector(tau), r=vector(r), v_leak=vector(0.0))
    network = from_nir(chain(nir.Linear(np.array([[0.5, 0.5]])), node), dt=dt, discretisation="exponential")
    session = get_engine("reference").start(network.to(torch.float64))
    session.run({"input": SpikeEvents.from_dense(torch.ones(7, 2, dtype=torch.bool))})
    # The closed form of tau v' = -v + R I from 0, after 7 steps of I = 1.
    assert session.membranes()["n1"].item() == pytest.approx(r * (1 - np.exp(-7 * dt / tau)), rel=1e-12)


def test_threshold_delay_and_scale() -> None:
    nodes = [
        nir.Delay(vector(0.003, 0.003)),
        nir.Linear(W),
        nir.Scale(vector(2.0, 2.0, 2.0)),
        nir.Threshold(vector(1, 1, 1)),
    ]
    network = from_nir(chain(*nodes), dt=0.001)
    spikes = np.random.default_rng(2).random((50, 2)) < 0.5
    out = get_engine("reference").start(network).run({"input": SpikeEvents.from_dense(torch.from_numpy(spikes))})
    late = np.concatenate([np.zeros((3, 2)), spikes[:-3]])
    np.testing.assert_array_equal(out["n3"].to_dense(torch.bool).numpy(), 2 * (late @ W.T) > 1)
    (only,) = network.projections
    assert (only.kind, only.delay, only.scale) == ("dense", 3, 2.0)


def recurrent_by_hand(spikes: np.ndarray, loop: np.ndarray) -> np.ndarray:
    v, fired, rows = np.zeros(3), np.zeros(3), []
    for s in spikes.astype(float):
        v = 0.75 * v + W @ s + loop @ fired
        fired = (v > 1.0).astype(float)
        v = np.where(fired > 0, 0.0, v)
        rows.append(fired)
    return np.array(rows)


@pytest.mark.parametrize("nested", [False, True])
def test_a_recurrent_edge_takes_one_step(nested: bool) -> None:
    three = np.ones(3)
    lif = nir.LIF(tau=0.004 * three, r=4 * three, v_leak=0 * three, v_threshold=three, v_reset=0 * three)
    loop = np.array([[0.0, -0.5, 0.3], [0.2, 0.1, -0.4], [0.6, -0.2, 0.0]])
    inner = [("lif", "rec"), ("rec", "lif")]
    if nested:
        part = graph_of(
            {"in": nir.Input(np.array([3])), "lif": lif, "rec": nir.Linear(loop), "out": nir.Output(np.array([3]))},
            [("in", "lif"), *inner, ("lif", "out")],
        )
        nodes = {
            "input": nir.Input(np.array([2])),
            "w": nir.Linear(W),
            "part": part,
            "output": nir.Output(np.array([3])),
        }
        graph = graph_of(nodes, [("input", "w"), ("w", "part"), ("part", "output")])
    else:
        nodes = {"input": nir.Input(np.array([2])), "w": nir.Linear(W), "lif": lif, "rec": nir.Linear(loop)}
        nodes["output"] = nir.Output(np.array([3]))
        graph = graph_of(nodes, [("input", "w"), ("w", "lif"), *inner, ("lif", "output")])
    network = from_nir(graph, dt=0.001)
    assert len(network.populations) == 2 and len(network.projections) == 2
    spikes = np.random.default_rng(3).random((STEPS, 2)) < 0.4
    out = get_engine("reference").start(network.to(torch.float64))
    events = out.run({"input": SpikeEvents.from_dense(torch.from_numpy(spikes))})
    expected = recurrent_by_hand(spikes, loop)
    assert 0.05 < expected.mean() < 0.95
    np.testing.assert_array_equal(events["part.lif" if nested else "lif"].to_dense().numpy(), expected)


# --- what the other tools write ---------------------------------------------------------------------------------------


def warned(read: Callable[[], Any]) -> tuple[Any, str]:
    """What a reader gives or raises, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = read()
        except ExchangeError as error:
            found = error
    assert all(issubclass(w.category, ExchangeWarning) for w in caught)
    return found, " ".join(str(w.message) for w in caught)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_snntorch_writes_is_warned_of_and_put_right() -> None:
    pytest.importorskip("nirtorch")
    import snntorch
    from snntorch.export_nir import export_to_nir

    torch.manual_seed(0)
    lif = snntorch.Leaky(beta=torch.full((3,), 0.875), threshold=torch.full((3,), 0.5), init_hidden=True)
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), lif)
    graph = export_to_nir(net, torch.zeros(2))
    by_letter, texts = warned(lambda: from_nir(graph, dt=1e-4))
    assert "looks like snnTorch's" in texts and by_letter.layers[0].reset == "to_value"
    meant, texts = warned(lambda: from_nir(graph, writer="snntorch"))
    assert not texts and meant.dt == 1e-4 and meant.layers[0].reset_time == "next"
    spikes = torch.rand(STEPS, 1, 2, generator=torch.Generator().manual_seed(1)) < 0.6
    with torch.no_grad():
        snntorch.Leaky.reset_hidden()
        expected = torch.stack([net(s.float()) for s in spikes])[:, 0] > 0
    out = get_engine("reference").start(meant).run({meant.inputs[0].name: SpikeEvents.from_dense(spikes[:, 0])})
    assert expected.any() and torch.equal(out[meant.layers[0].name].to_dense(torch.bool), expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_norse_writes_is_warned_of_and_put_right() -> None:
    pytest.importorskip("nirtorch")
    norse = pytest.importorskip("norse.torch")
    torch.manual_seed(1)
    net = norse.SequentialState(torch.nn.Linear(2, 3), norse.LIFCell())
    with torch.no_grad():
        net[0].weight.mul_(8)
    graph = norse.to_nir(net, torch.zeros(1, 2))
    refused, texts = warned(lambda: from_nir(graph, dt=0.001))
    assert isinstance(refused, ExchangeError) and "writer='norse'" in str(refused)
    assert "Norse 1.1.0 writes dt/tau_mem_inv" in texts and "batch dimension" in texts and "are numbers" in texts
    meant, texts = warned(lambda: from_nir(graph, dt=0.001, writer="norse"))
    assert "does not write v_reset" in texts
    lif = meant.layers[0]
    assert lif.decay == pytest.approx(0.9) and lif.synaptic_decay == pytest.approx(0.8)
    spikes = torch.rand(STEPS, 1, 2, generator=torch.Generator().manual_seed(1)) < 0.6
    state, expected = None, []
    with torch.no_grad():
        for s in spikes:
            z, state = net(s.float(), state)
            expected.append(z[0] > 0)
    out = get_engine("reference").start(meant).run({meant.inputs[0].name: SpikeEvents.from_dense(spikes[:, 0])})
    assert torch.stack(expected).any()
    assert torch.equal(out[lif.name].to_dense(torch.bool), torch.stack(expected))


# --- what is refused --------------------------------------------------------------------------------------------------


def broken(kind: str) -> Any:
    three = np.ones(3)
    lif = nir.LIF(tau=0.004 * three, r=4 * three, v_leak=0 * three, v_threshold=three, v_reset=0 * three)
    if kind == "nan":
        return chain(nir.Linear(W * np.nan), lif)
    if kind == "shapes":
        return chain(nir.Linear(W.T), lif)
    if kind == "delays":
        return chain(nir.Delay(vector(0.001, 0.002)), nir.Linear(W), lif)
    if kind == "edge":
        return graph_of({"input": nir.Input(np.array([2]))}, [("input", "nowhere")])
    if kind == "no input":
        return graph_of({"lif": lif}, [])
    if kind == "huge":
        return chain(nir.Flatten(None), lif, shape=(2**40,))
    if kind == "unknown":
        return chain(nir.Linear(W), type("Adaptive", (nir.LI,), {})(three, three, three))
    if kind == "threshold":
        return chain(nir.Linear(W), nir.Threshold(-three))
    return chain(nir.Linear(W), nir.LIF(tau=1e-5 * three, r=3 * three, v_leak=0 * three, v_threshold=three))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("nan", "'n0': weight holds NaN"),
        ("shapes", r"'n0' has a weight of shape \(2, 3\)"),
        ("delays", "'n0' has delays from"),
        ("edge", "no node: 'nowhere'"),
        ("no input", "no input"),
        ("huge", "too many units"),
        ("unknown", "'n1' is of kind 'Adaptive'"),
        ("threshold", "'n1'.*threshold"),
        ("tau", "'n1': tau of 1e-05 s is shorter than the step"),
    ],
)
def test_broken_graphs_are_refused_by_name(kind: str, words: str) -> None:
    with pytest.raises(ExchangeError, match=words):
        from_nir(broken(kind), dt=0.001)


def test_a_threshold_below_0_is_not_taken_away() -> None:
    """Counted from elsewhere it would be another amount."""
    three = np.ones(3)
    lif = nir.LIF(tau=0.004 * three, r=4 * three, v_leak=-2 * three, v_threshold=-three, v_reset=0 * three)
    assert float(from_nir(chain(nir.Linear(W), lif), dt=0.001).populations[-1].threshold) == 1
    for reset in ("subtract", "subtract-next"):
        with pytest.raises(ExchangeError, match=r"'n1'.*threshold is -1"):
            from_nir(chain(nir.Linear(W), lif), dt=0.001, reset=reset)  # type: ignore[arg-type]


def test_a_graph_without_a_time_step_needs_one() -> None:
    three = np.ones(3)
    lif = nir.LIF(tau=0.004 * three, r=3 * three, v_leak=0 * three, v_threshold=three, v_reset=0 * three)
    with pytest.raises(SettingsError, match="no time step, and the node 'n1' needs one"):
        from_nir(chain(nir.Linear(W), lif))
    for wrong in ({"dt": -1.0}, {"dt": 0.1, "writer": "lava"}, {"dt": 0.1, "reset": "hard"}, {"discretisation": "x"}):
        with pytest.raises(SettingsError):
            from_nir(chain(nir.Linear(W), lif), **wrong)  # type: ignore[arg-type]


def test_what_nir_has_no_place_for() -> None:
    populations = (Population("in", "input", (2,)), Population("a", "lif", (2,), bias=0.5))
    with pytest.raises(UnsupportedError, match="no place for the bias of population 'a'"):
        to_nir(SpikingNetwork(populations, (Identity("in", "a"),)))


@pytest.mark.parametrize("dims", [1, 2])
def test_a_convolutional_network_round_trip(dims: int, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(dims)
    shape, maps, pooled = ((4, 9), (6, 5), (6, 5)) if dims == 1 else ((4, 8, 8), (6, 4, 4), (6, 2, 2))
    kernel = torch.randn(6, 2, *(3,) * dims, generator=generator)
    populations = [Population("in", "input", shape), Population("conv", "lif", maps, threshold=0.5, decay=0.9)]
    projections: list[Projection] = [Conv("in", "conv", kernel, stride=2, padding=(1,) * dims, groups=2)]
    last = "conv"
    if dims == 2:
        populations.append(Population("pool", "relay", pooled))
        projections.append(Pool("conv", "pool", mode="average", kernel=(2, 2), stride=(2, 2)))
        last = "pool"
    size = populations[-1].size
    populations += [Population("flat", "relay", (size,)), Population("out", "lif", (3,), decay=0.8, bias=0.1)]
    projections.append(Reshape(last, "flat"))
    projections.append(Dense("flat", "out", torch.randn(3, size, generator=generator)))
    network = SpikingNetwork(tuple(populations), tuple(projections), discretisation="euler")
    check_round_trip(network, tmp_path)
    spikes = trains(network)
    assert 0 < spikes["conv"].mean() < 1 and 0 < spikes["out"].mean() < 1
    # Without our metadata the same wiring comes back, by NIR's own meaning.
    graph = to_nir(network)
    graph.metadata = {}
    other = from_nir(graph)
    assert {q.kind for q in other.projections} >= {"conv", "dense"}
    for a, b in zip(network.weights, other.weights, strict=True):
        assert torch.equal(a, b)
    ours, theirs = trains(network), trains(other)
    assert np.array_equal(ours["conv"], theirs["conv"]) and np.array_equal(ours["out"], theirs["out"])
