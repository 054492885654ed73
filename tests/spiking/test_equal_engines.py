"""Random networks, spike for spike the same in every engine: any refractoriness, delay, rest, reset and threshold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosleep.functional import SpikeEvents, numpy_generator
from neurosleep.spiking import Dense, Population, SpikingNetwork, get_engine
from neurosleep.spiking.engines.batch import SpikeInput

STEPS = 16
SEEDS = st.integers(0, 2**32 - 1)


def dyadic(rng: np.random.Generator, low: int, high: int, size: int | None = None) -> float | torch.Tensor:
    """Eighths from ``low / 8`` to ``high / 8``: sums and halves of them are exact, in whatever order they are taken."""
    found = rng.integers(low, high, size, endpoint=True) / 8
    return float(found) if size is None else torch.from_numpy(found)


def population(rng: np.random.Generator, name: str) -> Population:
    n = int(rng.integers(1, 20))
    soft = bool(rng.integers(2))
    refractory = int(rng.choice([0, 0, 1, 3, 40]))

    def drawn(low: int, high: int) -> float | torch.Tensor:
        return dyadic(rng, low, high, n if rng.integers(2) else None)

    return Population(
        name,
        "lif",
        (n,),
        threshold=drawn(0, 12),
        decay=float(rng.choice([0.0, 0.5, 1.0])),
        leak=drawn(-8, 16) if rng.integers(2) else 0.0,  # at rest below, at or above the threshold
        reset_value=0.0 if soft else drawn(-8, 12),  # even where it fires again at once
        bias=drawn(-4, 10) if rng.integers(2) else 0.0,
        refractory=refractory,
        compare=">=" if rng.integers(2) else ">",
        reset="subtract" if soft else "to_value",
        amount=drawn(0, 12) if soft and rng.integers(2) else None,
        while_refractory="hold" if rng.integers(2) else "integrate",
    )


def network(seed: int, shape: str) -> SpikingNetwork:
    """A chain, a graph without loops of which projections may skip populations, or one with feedback."""
    rng = numpy_generator(seed, shape)
    populations = [Population("in", "input", (int(rng.integers(1, 9)),))]
    populations += [population(rng, f"p{k}") for k in range(int(rng.integers(1, 4)))]
    pairs = [(k, k + 1) for k in range(len(populations) - 1)]
    if shape != "chain":
        pairs += [(s, t) for t in range(2, len(populations)) for s in range(t - 1) if rng.integers(2)]
    if shape == "recurrent":
        pairs += [(s, t) for t in range(1, len(populations)) for s in range(t, len(populations)) if rng.integers(2)]
        pairs.append((len(populations) - 1, 1))
    projections = []
    for s, t in dict.fromkeys(pairs):
        back = s >= t
        weight = torch.from_numpy(rng.integers(-6, 10, (populations[t].size, populations[s].size)) / 8)
        projections.append(
            Dense(
                populations[s].name,
                populations[t].name,
                weight,
                scale=float(rng.choice([0.5, 1.0, 2.0])),
                delay=int(rng.integers(1, 4)) if back else int(rng.choice([0, 0, 1, 5])),
            )
        )
    return SpikingNetwork(tuple(populations), tuple(projections))


def trains(engine: str, net: SpikingNetwork, spikes: np.ndarray) -> dict[str, np.ndarray]:
    found = get_engine(engine).start(net).run({"in": SpikeEvents.from_dense(spikes)})
    return {name: events.to_dense(torch.bool).numpy() for name, events in found.items()}


def check_equal(seed: int, shape: str) -> None:
    net = network(seed, shape)
    rng = numpy_generator(seed, "input")
    spikes = rng.random((STEPS, net.inputs[0].size)) < rng.choice([0.0, 0.1, 0.5, 1.0])
    expected = trains("reference", net, spikes)
    for engine in ("event", "snntorch"):
        found = trains(engine, net, spikes)
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=f"{engine}: {name}")
    # A batch of the same input and of silence, in the engines that step batches.
    fired = np.zeros((STEPS, 2 * spikes.shape[1]), dtype=np.bool_)
    fired[:, : spikes.shape[1]] = spikes
    samples, neurons = np.divmod(np.arange(2 * spikes.shape[1]), spikes.shape[1])
    told = []
    for engine in ("event", "reference", "snntorch"):
        session = get_engine(engine).start_batch(net, 2)
        said = session.advance(SpikeInput(2, spikes.shape[1], samples, neurons, fired))
        told.append(said.numpy())
        for name, total in session.totals().items():
            np.testing.assert_array_equal(total[0].numpy(), expected[name].sum(0), err_msg=f"batch, {engine}: {name}")
    np.testing.assert_array_equal(told[0], told[1])
    np.testing.assert_array_equal(told[2], told[1])


SHAPES = pytest.mark.parametrize("shape", ["chain", "graph", "recurrent"])


@SHAPES
@given(seed=SEEDS)
@settings(max_examples=13)
def test_engines_give_equal_spikes(shape: str, seed: int) -> None:
    check_equal(seed, shape)


@pytest.mark.full
@SHAPES
@given(seed=SEEDS)
@settings(max_examples=300)
def test_engines_give_equal_spikes_in_many_networks(shape: str, seed: int) -> None:
    check_equal(seed, shape)


def test_the_random_networks_fire_and_hold_every_feature() -> None:
    nets = [network(seed, shape) for seed in range(40) for shape in ("chain", "graph", "recurrent")]
    units = [p for net in nets for p in net.layers]

    def rests_above(p: Population) -> bool:
        return bool((torch.as_tensor(p.leak) >= torch.as_tensor(p.threshold)).any())

    assert sum(rests_above(p) for p in units) > 20
    assert {p.refractory for p in units} == {0, 1, 3, 40}
    assert {q.delay for net in nets for q in net.projections} >= {0, 1, 2, 3, 5}
    quiet = [not trains("reference", net, np.zeros((STEPS, net.inputs[0].size), bool))["p0"].any() for net in nets]
    assert 0 < sum(quiet) < len(nets)


@pytest.mark.parametrize("engine", ["reference", "snntorch", "event"])
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # v = 1.5 + (v - 1.5) / 2: 1.5, then from 0 by way of 0.75 to 1.125.
        ({"leak": 1.5, "decay": 0.5}, [0, 2, 4, 6]),
        ({"leak": 1.0, "decay": 0.0}, [0, 1, 2, 3, 4, 5, 6, 7]),  # exactly at the threshold
        ({"leak": 1.0, "decay": 0.0, "compare": ">"}, []),
        ({"leak": 2.0, "decay": 0.0, "refractory": 2}, [0, 3, 6]),
        # v = v / 2 + 0.75 goes to 1.5: 0.75, 1.125, then from 0 again.
        ({"bias": 0.75, "decay": 0.5}, [1, 3, 5, 7]),
        # A soft reset of 0.25 leaves 1.25 of 1.5; decay 1 holds it: below 1 after two spikes more.
        ({"leak": 1.5, "decay": 1.0, "reset": "subtract", "amount": 0.25}, [0, 1, 2]),
    ],
)
def test_units_that_rest_at_or_above_their_threshold_fire_by_themselves(engine, fields, expected) -> None:
    net = SpikingNetwork(
        (Population("in", "input", (2,)), Population("a", "lif", (3,), **fields)),
        (Dense("in", "a", torch.zeros(3, 2, dtype=torch.float64)),),
    )
    found = trains(engine, net, np.zeros((8, 2), dtype=bool))["a"]
    for unit in range(3):
        assert np.flatnonzero(found[:, unit]).tolist() == expected
