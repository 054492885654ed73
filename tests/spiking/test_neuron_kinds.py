"""cuba_lif and li populations, and later resets, in the engines that step them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import neurosleep as ns
from neurosleep.errors import SettingsError, UnsupportedError
from neurosleep.functional import SpikeEvents, SRCRule
from neurosleep.spiking import Dense, Population, SpikingNetwork, engine_names, get_engine

STEPS = 60


def _network(dyadic: bool, kind: str, synaptic: float = 0.0, **fields: Any) -> SpikingNetwork:
    generator = torch.Generator().manual_seed(3)
    w = torch.randint(-16, 24, (5, 7), generator=generator).double() / 32
    u = torch.randint(-16, 24, (3, 5), generator=generator).double() / 32
    if not dyadic:
        w, u = w * 1.1, u * 0.9
    return SpikingNetwork(
        (
            Population("in", "input", (7,)),
            Population("a", kind, (5,), **fields),
            Population("b", "li", (3,), decay=0.5, synaptic_decay=synaptic),
        ),  # type: ignore[arg-type]
        (Dense("in", "a", w, scale=0.5), Dense("a", "b", u, delay=1)),
    )


def _by_hand(network: SpikingNetwork, spikes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The contract in plain NumPy: spikes of a, potentials of a and of the integrators b after the last step."""
    p = network.population("a")
    w, u = (weight.numpy() for weight in network.weights)
    v, i, fired, wait = np.full(5, float(p.leak)), np.zeros(5), [np.zeros(5)], np.zeros(5, dtype=int)
    amount = float(p.threshold if p.amount is None else p.amount)
    read_out, arrived, synaptic = np.zeros(3), np.zeros(3), float(network.population("b").synaptic_decay)
    for s in spikes:
        i = float(p.synaptic_decay) * i + float(p.bias) + 0.5 * (w @ s)
        ready = wait == 0
        moved = p.leak + p.decay * (v - p.leak) + i
        v = np.where(ready, moved, v) if p.while_refractory == "hold" else moved
        out = (v >= p.threshold if p.compare == ">=" else v > p.threshold) & ready
        wait = np.where(out, p.refractory, np.maximum(wait - 1, 0))
        v = np.where(out, p.reset_value if p.reset == "to_value" else v - amount, v)
        arrived = synaptic * arrived + u @ fired[-1]
        read_out = 0.5 * read_out + arrived
        fired.append(out.astype(float))
    return np.array(fired[1:]), v, read_out


CASES: dict[str, dict[str, Any]] = {
    "plain": {"decay": 0.5, "synaptic_decay": 0.5},
    "soft": {"decay": 0.5, "synaptic_decay": 0.25, "reset": "subtract", "amount": 0.75},
    "strict": {"decay": 0.75, "synaptic_decay": 0.5, "compare": ">"},
    "leak, bias": {"decay": 0.5, "synaptic_decay": 0.5, "leak": -0.25, "bias": 0.125, "reset_value": -0.5},
    "hold": {"decay": 0.5, "synaptic_decay": 0.75, "refractory": 2},
    "integrate": {"decay": 0.5, "synaptic_decay": 0.75, "refractory": 1, "while_refractory": "integrate"},
    "no synaptic current": {"decay": 0.5, "synaptic_decay": 0.0},
}


@pytest.mark.parametrize("dyadic", [True, False])
@pytest.mark.parametrize(
    ("engine", "synaptic"),
    [("reference", 0.0), ("reference", 0.75), ("snntorch", 0.0), ("torch", 0.0), ("torch", 0.75)],
)
@pytest.mark.parametrize("case", CASES)
def test_cuba_lif_and_li_as_by_hand(case: str, engine: str, dyadic: bool, synaptic: float) -> None:
    network = _network(dyadic, "cuba_lif", synaptic, **CASES[case])
    spikes = np.random.default_rng(0).random((STEPS, 7)) < 0.4
    fired, v, read_out = _by_hand(network, spikes)
    assert 0 < fired.mean() < 1
    session = get_engine(engine).start(network)
    out = session.run({"in": SpikeEvents.from_dense(torch.from_numpy(spikes))})
    np.testing.assert_array_equal(out["a"].to_dense(torch.bool).numpy(), fired)
    np.testing.assert_allclose(session.membranes()["a"].numpy(), v, rtol=0, atol=1e-12)
    assert out["b"].to_dense().sum() == 0
    np.testing.assert_allclose(session.membranes()["b"].numpy(), read_out, rtol=0, atol=1e-12)


@pytest.mark.parametrize("engine", [name for name in engine_names() if get_engine(name).general])
@pytest.mark.parametrize("leak", [0.0, 0.25])
def test_integrators_at_the_end_in_every_engine(engine: str, leak: float) -> None:
    if engine == "norse":
        pytest.importorskip("norse")
    chain = _network(True, "lif", decay=0.5)
    bias = torch.tensor([0.0, 0.5, -0.25], dtype=torch.float64)
    last = Population("b", "li", (3,), decay=0.5, leak=leak, bias=bias)
    network = SpikingNetwork((*chain.populations[:2], last), chain.projections)
    spikes = np.random.default_rng(0).random((STEPS, 7)) < 0.4
    fired, _, _ = _by_hand(chain, spikes)
    v = np.full(3, leak)
    for before in [np.zeros(5), *fired[:-1]]:
        v = leak + 0.5 * (v - leak) + bias.numpy() + network.weights[1].numpy() @ before
    recording = ns.simulate(network, torch.from_numpy(spikes), engine=engine)
    np.testing.assert_array_equal(recording.potentials["b"], v)
    assert recording.counts["b"].sum() == 0 < recording.counts["a"].sum()
    assert set(recording.potentials) == {"b"}


@pytest.mark.parametrize("engine", ["event", "snntorch"])
def test_an_integrator_with_a_synaptic_current_is_refused_by_name(engine: str) -> None:
    with pytest.raises(UnsupportedError, match="'b': it integrates") as refused:
        get_engine(engine).start(_network(True, "lif", 0.75))
    assert "norse, reference" in str(refused.value)


def test_sleep_lets_an_integrator_alone() -> None:
    network = _network(True, "lif", decay=0.5)
    spikes = {"in": SpikeEvents.from_dense(np.random.default_rng(0).random((STEPS, 7)) < 0.4)}
    found = []
    for engine in ("reference", "event"):
        session = get_engine(engine).start(network, SRCRule(inc=0.1, dec=0.01, factor="constant"))
        session.run(spikes)
        found.append(session.weights())
    for w, other in zip(*found, strict=True):
        torch.testing.assert_close(w, other, rtol=1e-9, atol=1e-12)
    assert not torch.equal(found[0][0], network.weights[0])
    assert torch.equal(found[0][1], network.weights[1])


def test_a_reset_in_the_next_step_by_the_engine() -> None:
    # decay 0.5, amount 1: the trains of a reset of 2 in the same step; membranes before and after the reset.
    later = _network(True, "lif", decay=0.5, reset="subtract", reset_time="next")
    same = _network(True, "lif", decay=0.5, reset="subtract", amount=2.0)
    events = {"in": SpikeEvents.from_dense(torch.rand(STEPS, 7, generator=torch.Generator().manual_seed(0)) < 0.6)}
    a, b = (get_engine("reference").start(network).run(events)["a"].to_dense(torch.bool) for network in (later, same))
    assert a.any() and torch.equal(a, b)


@pytest.mark.parametrize("engine", ["event", "norse", "snntorch"])
def test_what_an_engine_lacks_is_refused_by_name(engine: str) -> None:
    if engine == "norse":
        pytest.importorskip("norse")
    later = SpikingNetwork(_network(True, "lif", reset="subtract", reset_time="next").populations[:2], ())
    with pytest.raises(UnsupportedError, match="reset_time 'next'") as refused:
        get_engine(engine).start(later)
    assert "reference" in str(refused.value)
    if engine == "snntorch":
        return
    kind = "cuba_lif"
    with pytest.raises(UnsupportedError, match=f"of kind '{kind}'") as refused:
        get_engine(engine).start(SpikingNetwork((Population("a", kind, (2,)),), ()))  # type: ignore[arg-type]
    assert "reference" in str(refused.value)


def test_a_later_reset_is_soft_and_without_refractoriness() -> None:
    for fields in ({"reset": "to_value"}, {"reset": "subtract", "refractory": 1}):
        with pytest.raises(SettingsError, match="reset_time is 'next'"):
            Population("a", "lif", (2,), reset_time="next", **fields)  # type: ignore[arg-type]
